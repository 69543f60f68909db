//! What store and wire both speak of: UID sets, modification sequences and search keys.

use super::{date::Date, header};
use std::{fmt, ops::RangeInclusive};

/// A message's number within a folder and its UIDVALIDITY; never 0 (RFC 9051 section 2.3.1.1).
pub type Uid = u32;

/// A modification sequence (RFC 7162 section 3.1): grows with every change in an account; at most 2^63 - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ModSeq(pub u64);

impl fmt::Display for ModSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A set of UIDs as ranges that are sorted, apart from each other and not empty, so that equal sets are equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct UidSet(Vec<(Uid, Uid)>);

impl UidSet {
    /// The set of these ranges, in any order; 0 is left out, and a range of two ends the wrong way round is empty.
    pub fn new(ranges: impl IntoIterator<Item = RangeInclusive<Uid>>) -> UidSet {
        let ends = ranges.into_iter().map(RangeInclusive::into_inner);
        let mut sorted: Vec<(Uid, Uid)> =
            ends.map(|(low, high)| (low.max(1), high)).filter(|(low, high)| low <= high).collect();
        sorted.sort_unstable();
        let mut ranges: Vec<(Uid, Uid)> = Vec::with_capacity(sorted.len());
        for (low, high) in sorted {
            match ranges.last_mut() {
                Some((_, end)) if low <= end.saturating_add(1) => *end = high.max(*end),
                _ => ranges.push((low, high)),
            }
        }
        UidSet(ranges)
    }

    /// True when `uid` is in the set.
    pub fn contains(&self, uid: Uid) -> bool {
        let behind = self.0.partition_point(|&(low, _)| low <= uid);
        behind.checked_sub(1).and_then(|at| self.0.get(at)).is_some_and(|&(_, high)| uid <= high)
    }

    /// Adds one UID; in amortised constant time when it is greater than all before it.
    pub fn insert(&mut self, uid: Uid) {
        match self.0.last_mut() {
            _ if uid == 0 => {}
            Some((_, end)) if uid.checked_sub(1) == Some(*end) => *end = uid,
            Some((_, end)) if uid <= *end => {
                if !self.contains(uid) {
                    *self = UidSet::new(self.ranges().chain([uid..=uid]));
                }
            }
            _ => self.0.push((uid, uid)),
        }
    }

    /// The ranges, in order.
    pub fn ranges(&self) -> impl Iterator<Item = RangeInclusive<Uid>> + '_ {
        self.0.iter().map(|&(low, high)| low..=high)
    }

    /// The UIDs, in order. There may be four thousand million of them: who takes a set from a peer intersects it
    /// with what there is.
    pub fn iter(&self) -> impl Iterator<Item = Uid> + '_ {
        self.ranges().flatten()
    }

    /// How many UIDs there are.
    pub fn len(&self) -> u64 {
        self.0.iter().map(|&(low, high)| u64::from(high.saturating_sub(low)).saturating_add(1)).sum()
    }

    /// True for the empty set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Uid> for UidSet {
    fn from_iter<I: IntoIterator<Item = Uid>>(uids: I) -> UidSet {
        UidSet::new(uids.into_iter().map(|uid| uid..=uid))
    }
}

/// `uid-set` (RFC 9051 section 9): `1:4,7`. The empty set is the empty string, which IMAP can't send.
impl fmt::Display for UidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, &(low, high)) in self.0.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { "," })?;
            match low == high {
                true => write!(f, "{low}")?,
                false => write!(f, "{low}:{high}")?,
            }
        }
        Ok(())
    }
}

/// A day of the calendar, without time and zone, as the date keys of a search have it.
pub type Day = jiff::civil::Date;

/// What is searched for (RFC 9051 section 6.4.4). Text is compared without case, as a part of what is searched.
/// How deep keys nest is bounded by whoever reads them from a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// Every message.
    All,
    /// All of these; none is every message.
    And(Vec<Key>),
    /// Either.
    Or(Box<Key>, Box<Key>),
    /// Not this.
    Not(Box<Key>),
    /// A flag or keyword, as [`super::flags::Flags::contains`] takes it.
    Flag(String),
    /// A field of this name that holds the text; any such field for the empty text.
    Header(String, String),
    /// The text in the body.
    Body(String),
    /// The text in header or body.
    Text(String),
    /// INTERNALDATE before the day, on it, or on it or later.
    Before(Day),
    /// INTERNALDATE on the day.
    On(Day),
    /// INTERNALDATE on the day or later.
    Since(Day),
    /// The Date field before the day, as its writer's calendar had it.
    SentBefore(Day),
    /// The Date field on the day.
    SentOn(Day),
    /// The Date field on the day or later.
    SentSince(Day),
    /// More wire octets than this.
    Larger(u64),
    /// Fewer wire octets than this.
    Smaller(u64),
    /// One of these UIDs.
    Uid(UidSet),
    /// Changed at this modification sequence or later.
    ModSeq(ModSeq),
}

/// Judges the keys that a header alone decides: the text of `header` holds the answer; `None` for any other key.
pub fn header_decides(key: &Key, octets: &[u8]) -> Option<bool> {
    let day = || {
        let date = Date::parse(&header::first(octets, "Date")?.unfolded())?;
        Some(date.as_written()?.date())
    };
    Some(match key {
        Key::Header(name, text) => {
            let wanted = text.to_lowercase();
            let holds =
                |field: header::Field| wanted.is_empty() || field.text().to_lowercase().contains(&wanted);
            header::fields(octets).any(|field| field.is(name) && holds(field))
        }
        Key::SentBefore(wanted) => day().is_some_and(|day| day < *wanted),
        Key::SentOn(wanted) => day().is_some_and(|day| day == *wanted),
        Key::SentSince(wanted) => day().is_some_and(|day| day >= *wanted),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_uids_are_what_they_hold() {
        let reversed = RangeInclusive::new(10, 9);
        let set = UidSet::new([5..=7, 1..=2, 3..=3, reversed, 0..=0, 6..=8, 12..=12]);
        assert_eq!(set.to_string(), "1:3,5:8,12");
        assert_eq!(set.len(), 8);
        assert_eq!(set.iter().collect::<UidSet>(), set);
        for (uid, is_in) in
            [(0, false), (1, true), (3, true), (4, false), (8, true), (9, false), (12, true), (13, false)]
        {
            assert_eq!(set.contains(uid), is_in, "{uid}");
        }
        assert_eq!(UidSet::new([1..=Uid::MAX]).len(), u64::from(Uid::MAX));
        assert!(UidSet::new([1..=Uid::MAX]).contains(Uid::MAX));
        assert!(UidSet::default().is_empty() && !UidSet::default().contains(1));
    }

    #[test]
    fn uids_can_be_added_in_any_order() {
        let mut set = UidSet::default();
        for uid in [4, 5, 9, 2, 3, 9, 0, 1, Uid::MAX, Uid::MAX] {
            set.insert(uid);
        }
        assert_eq!(set.to_string(), "1:5,9,4294967295");
    }

    #[test]
    fn header_keys_are_judged_without_case_and_decoded() {
        let octets = b"Subject: =?utf-8?q?=C3=89t=C3=A9?=\r\nDate: Tue, 24 Nov 2026 00:30:00 +0900\r\n\r\n";
        let day = |text: &str| text.parse::<Day>().unwrap();
        for (key, judged) in [
            (Key::Header("subject".into(), "\u{e9}T\u{c9}".into()), Some(true)),
            (Key::Header("subject".into(), "hiver".into()), Some(false)),
            (Key::Header("Subject".into(), String::new()), Some(true)),
            (Key::Header("X-None".into(), String::new()), Some(false)),
            (Key::SentOn(day("2026-11-24")), Some(true)),
            (Key::SentSince(day("2026-11-25")), Some(false)),
            (Key::SentBefore(day("2026-11-24")), Some(false)),
            (Key::Larger(1), None),
        ] {
            assert_eq!(header_decides(&key, octets), judged, "{key:?}");
        }
    }
}
