//! Which messages a search key describes: shared by all stores, which only look things up.

use super::{Fault, Measure, Row};
use crate::mail::query::{self, Day, Key, UidSet};
use std::{io, time::SystemTime};

/// How much of a header is searched, in octets.
pub const HEAD: usize = 256 * 1024;
/// How deep keys may nest. Who reads them from a peer has a bound, too.
const DEPTH: usize = 100;

/// What must be looked up of a message.
pub trait Lookup {
    /// Size and date; `None` when the message is gone.
    fn measure(&mut self) -> io::Result<Option<Measure>>;
    /// The header, up to [`HEAD`] octets of it.
    fn head(&mut self) -> io::Result<&[u8]>;
}

/// Refuses keys that can't be judged.
pub fn check(key: &Key) -> Result<(), Fault> {
    let mut level = vec![key];
    for _ in 0..DEPTH {
        let mut below = Vec::new();
        for key in level {
            match key {
                Key::And(keys) => below.extend(keys),
                Key::Or(one, two) => below.extend([&**one, &**two]),
                Key::Not(key) => below.push(&**key),
                Key::Body(_) | Key::Text(_) => {
                    return Err(Fault::Cannot("the text of messages can't be searched yet"));
                }
                _ => {}
            }
        }
        if below.is_empty() {
            return Ok(());
        }
        level = below;
    }
    Err(Fault::Cannot("the search is nested too deeply"))
}

/// True when `key` describes the message of `row`. Keys that [`check`] refuses describe none. The cheapest is asked first:
/// flags before sizes and dates, the header last.
pub fn matches(key: &Key, row: &Row, lookup: &mut dyn Lookup) -> io::Result<bool> {
    Ok(match key {
        Key::All => true,
        Key::And(keys) => {
            let mut keys: Vec<&Key> = keys.iter().collect();
            keys.sort_by_key(|key| cost(key, DEPTH));
            for key in keys {
                if !matches(key, row, lookup)? {
                    return Ok(false);
                }
            }
            true
        }
        Key::Or(one, two) => {
            let (first, second) = if cost(one, DEPTH) <= cost(two, DEPTH) { (one, two) } else { (two, one) };
            matches(first, row, lookup)? || matches(second, row, lookup)?
        }
        Key::Not(key) => !matches(key, row, lookup)?,
        Key::Flag(name) => row.flags.contains(name),
        Key::Uid(uids) => uids.contains(row.uid),
        Key::ModSeq(modseq) => row.modseq >= *modseq,
        Key::Larger(octets) => lookup.measure()?.is_some_and(|measure| measure.octets > *octets),
        Key::Smaller(octets) => lookup.measure()?.is_some_and(|measure| measure.octets < *octets),
        Key::Before(wanted) => day(lookup)?.is_some_and(|day| day < *wanted),
        Key::On(wanted) => day(lookup)?.is_some_and(|day| day == *wanted),
        Key::Since(wanted) => day(lookup)?.is_some_and(|day| day >= *wanted),
        Key::Header(..) | Key::SentBefore(_) | Key::SentOn(_) | Key::SentSince(_) => {
            query::header_decides(key, lookup.head()?).unwrap_or(false)
        }
        Key::Body(_) | Key::Text(_) => false,
    })
}

fn day(lookup: &mut dyn Lookup) -> io::Result<Option<Day>> {
    let date = lookup.measure()?.map(|measure| measure.date);
    Ok(date.and_then(day_of))
}

/// The day of a time, in UTC.
fn day_of(time: SystemTime) -> Option<Day> {
    let stamp = jiff::Timestamp::try_from(time).ok()?;
    Some(stamp.to_zoned(jiff::tz::TimeZone::UTC).date())
}

/// True for keys that a folder's list alone decides.
pub fn is_cheap(key: &Key) -> bool {
    cost(key, DEPTH) == 0
}

/// The UIDs beyond which a key describes nothing, where it says so itself: work for others can be spared.
pub fn within(key: &Key) -> Option<&UidSet> {
    match key {
        Key::Uid(uids) => Some(uids),
        Key::And(keys) => keys.iter().find_map(|key| match key {
            Key::Uid(uids) => Some(uids),
            _ => None,
        }),
        _ => None,
    }
}

fn cost(key: &Key, depth: usize) -> u32 {
    let Some(depth) = depth.checked_sub(1) else { return 2 };
    match key {
        Key::All | Key::Flag(_) | Key::Uid(_) | Key::ModSeq(_) => 0,
        Key::Larger(_) | Key::Smaller(_) | Key::Before(_) | Key::On(_) | Key::Since(_) => 1,
        Key::And(keys) => keys.iter().map(|key| cost(key, depth)).max().unwrap_or(0),
        Key::Or(one, two) => cost(one, depth).max(cost(two, depth)),
        Key::Not(key) => cost(key, depth),
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{flags::Flags, query::ModSeq};
    use std::time::{Duration, UNIX_EPOCH};

    #[derive(Default)]
    struct Counted {
        measured: usize,
        read: usize,
    }

    impl Lookup for Counted {
        fn measure(&mut self) -> io::Result<Option<Measure>> {
            self.measured += 1;
            // 2026-11-24 23:59:59 UTC
            Ok(Some(Measure { uid: 5, octets: 100, date: UNIX_EPOCH + Duration::from_secs(1_795_564_799) }))
        }
        fn head(&mut self) -> io::Result<&[u8]> {
            self.read += 1;
            Ok(b"Subject: Hello World\nDate: Mon, 23 Nov 2026 00:00:00 +0000\n\n")
        }
    }

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    #[test]
    fn keys_are_judged_by_flags_sizes_days_and_headers() {
        let flags = Flags { seen: true, ..Flags::default() };
        let row = Row { uid: 5, flags, modseq: ModSeq(10), uidl: None };
        let header = |text: &str| Key::Header("Subject".into(), text.into());
        for (key, matched, measured, read) in [
            (Key::All, true, 0, 0),
            (Key::And(vec![]), true, 0, 0),
            (Key::Flag("\\SEEN".into()), true, 0, 0),
            (Key::Not(Box::new(Key::Flag("\\Seen".into()))), false, 0, 0),
            (Key::Uid(UidSet::new([4..=6])), true, 0, 0),
            (Key::ModSeq(ModSeq(10)), true, 0, 0),
            (Key::ModSeq(ModSeq(11)), false, 0, 0),
            (Key::Larger(99), true, 1, 0),
            (Key::Larger(100), false, 1, 0),
            (Key::Smaller(100), false, 1, 0),
            (Key::On(day("2026-11-24")), true, 1, 0),
            (Key::Since(day("2026-11-25")), false, 1, 0),
            (Key::Before(day("2026-11-24")), false, 1, 0),
            (Key::SentOn(day("2026-11-23")), true, 0, 1),
            (header("hello w"), true, 0, 1),
            (Key::And(vec![header("hello"), Key::Larger(100), Key::All]), false, 1, 0),
            (Key::Or(Box::new(header("nothing")), Box::new(Key::All)), true, 0, 0),
        ] {
            let mut lookup = Counted::default();
            check(&key).unwrap();
            assert_eq!(matches(&key, &row, &mut lookup).unwrap(), matched, "{key:?}");
            assert_eq!((lookup.measured, lookup.read), (measured, read), "{key:?}");
        }
    }

    #[test]
    fn bodies_and_bottomless_keys_are_refused() {
        assert!(check(&Key::Not(Box::new(Key::Body("x".into())))).is_err());
        let deep = (0..200).fold(Key::All, |key, _| Key::Not(Box::new(key)));
        assert!(check(&deep).is_err());
    }
}
