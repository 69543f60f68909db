//! Who is due when, and who holds what until when: the one table that every spool keeps in memory.
//!
//! An entry costs about 60 octets here, so that a million of them stay small: ids and due times are packed.
//! Times are whole seconds since 1970, as the names of spool files are.

use crate::mail::id::QueueId;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io,
    ops::Bound,
    time::{Duration, SystemTime},
};

/// A packed queue id; sorts as the ids do.
pub type Key = [u8; 10];

/// When an entry is due: seconds since 1970, or held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due([u8; 5]);

impl Due {
    /// Held: due never.
    pub const HELD: Due = Due([0xff; 5]);
    /// The last time that 10 decimal digits can say.
    const LAST: u64 = 9_999_999_999;

    /// At so many seconds since 1970.
    pub fn at(seconds: u64) -> Due {
        let [_, _, _, packed @ ..] = seconds.min(Due::LAST).to_be_bytes();
        Due(packed)
    }

    /// At `time`, or at the next whole second.
    pub fn not_before(time: SystemTime) -> Due {
        let since = since_1970(time);
        Due::at(since.as_secs().saturating_add(u64::from(since.subsec_nanos() > 0)))
    }

    /// At `time`, or at the last whole second before: at once when `time` is now.
    pub fn by(time: SystemTime) -> Due {
        Due::at(since_1970(time).as_secs())
    }

    /// When this message came.
    pub fn of(id: &QueueId) -> Due {
        Due::at(id.micros() / 1_000_000)
    }

    /// The seconds since 1970; `None` when held.
    pub fn seconds(self) -> Option<u64> {
        let [a, b, c, d, e] = self.0;
        (self != Due::HELD).then(|| u64::from_be_bytes([0, 0, 0, a, b, c, d, e]))
    }

    /// As a time; `None` when held.
    pub fn time(self) -> Option<SystemTime> {
        self.seconds().and_then(|seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)))
    }
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// A claim that somebody holds. One that ran out is kept until another takes its place: it may still be renewed
/// or settled.
#[derive(Clone, Copy, Debug)]
struct Claim {
    fence: u64,
    until: SystemTime,
    over: bool,
}

/// The table.
#[derive(Debug, Default)]
pub struct Claims {
    entries: BTreeMap<Key, Due>,
    /// Unclaimed entries that are not held.
    waiting: BTreeSet<(Due, Key)>,
    claimed: HashMap<Key, Claim>,
    ends: BTreeSet<(SystemTime, Key)>,
    fences: u64,
}

impl Claims {
    /// Adds an entry; false, and no change, when the id is there already.
    pub fn insert(&mut self, key: Key, due: Due) -> bool {
        if self.entries.contains_key(&key) {
            return false;
        }
        self.entries.insert(key, due);
        self.wait(key, due);
        true
    }

    fn wait(&mut self, key: Key, due: Due) {
        if due != Due::HELD {
            self.waiting.insert((due, key));
        }
    }

    /// When the entry is due.
    pub fn due(&self, key: &Key) -> io::Result<Due> {
        self.entries.get(key).copied().ok_or_else(|| missing(key))
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Up to `most` ids behind `after`, in their order.
    pub fn page(&self, after: Option<Key>, most: usize) -> Vec<(Key, Due)> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.entries.range((start, Bound::Unbounded)).take(most).map(|(&key, &due)| (key, due)).collect()
    }

    /// Claims the entry that is due the longest at `now`; with it its fence.
    pub fn take(&mut self, now: SystemTime, until: SystemTime) -> Option<(Key, u64)> {
        self.reclaim(now);
        let &(due, key) = self.waiting.first()?;
        if due.seconds()? > since_1970(now).as_secs() {
            return None;
        }
        self.waiting.remove(&(due, key));
        self.fences = self.fences.saturating_add(1);
        self.claimed.insert(key, Claim { fence: self.fences, until, over: false });
        self.ends.insert((until, key));
        Some((key, self.fences))
    }

    /// Ends the claims that ran out.
    fn reclaim(&mut self, now: SystemTime) {
        while let Some(&(until, key)) = self.ends.first().filter(|(until, _)| *until <= now) {
            self.ends.remove(&(until, key));
            if let Some(claim) = self.claimed.get_mut(&key) {
                claim.over = true;
            }
            if let Some(&due) = self.entries.get(&key) {
                self.wait(key, due);
            }
        }
    }

    /// When `take` next finds something: an entry is due, or a claim ends.
    pub fn next(&self) -> Option<SystemTime> {
        let due = self.waiting.first().and_then(|(due, _)| due.time());
        let end = self.ends.first().map(|(until, _)| *until);
        due.into_iter().chain(end).min()
    }

    /// True while somebody holds the entry.
    pub fn is_claimed(&self, key: &Key) -> bool {
        self.claimed.get(key).is_some_and(|claim| !claim.over)
    }

    /// Refuses a claim that ran out and was followed by another, and an entry that is gone.
    pub fn check(&self, key: &Key, fence: u64) -> io::Result<()> {
        self.due(key)?;
        match self.claimed.get(key) {
            Some(claim) if claim.fence == fence => Ok(()),
            _ => Err(io::Error::new(
                io::ErrorKind::ResourceBusy,
                format!("{}: the lease ran out", QueueId::unpacked(*key)),
            )),
        }
    }

    /// Lets a claim last until another time.
    pub fn renew(&mut self, key: &Key, fence: u64, until: SystemTime) -> io::Result<()> {
        self.check(key, fence)?;
        if let Some(claim) = self.claimed.get_mut(key) {
            self.ends.remove(&(claim.until, *key));
            (claim.until, claim.over) = (until, false);
            self.ends.insert((until, *key));
        }
        if let Some(&due) = self.entries.get(key) {
            self.waiting.remove(&(due, *key));
        }
        Ok(())
    }

    /// Ends a claim, if there is one; the entry waits again, or stays held.
    pub fn give_back(&mut self, key: &Key) {
        if let Some(claim) = self.claimed.remove(key) {
            self.ends.remove(&(claim.until, *key));
            if let Some(&due) = self.entries.get(key) {
                self.wait(*key, due);
            }
        }
    }

    /// Sets when the entry is due. A claim goes on.
    pub fn set_due(&mut self, key: &Key, due: Due) -> io::Result<()> {
        let old = std::mem::replace(self.entries.get_mut(key).ok_or_else(|| missing(key))?, due);
        self.waiting.remove(&(old, *key));
        if !self.is_claimed(key) {
            self.wait(*key, due);
        }
        Ok(())
    }

    /// Takes the entry off the table, claimed or not.
    pub fn remove(&mut self, key: &Key) {
        if let Some(claim) = self.claimed.remove(key) {
            self.ends.remove(&(claim.until, *key));
        }
        if let Some(due) = self.entries.remove(key) {
            self.waiting.remove(&(due, *key));
        }
    }
}

/// A time in the future, or a refusal of one that no clock can show.
pub fn after(now: SystemTime, wait: Duration) -> io::Result<SystemTime> {
    now.checked_add(wait).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a lease without end"))
}

/// The entry is not there (any more).
pub fn missing(key: &Key) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{}: not in the spool", QueueId::unpacked(*key)))
}

/// The entry is being delivered.
pub fn busy(key: &Key) -> io::Error {
    let text = format!("{}: it is being delivered just now", QueueId::unpacked(*key));
    io::Error::new(io::ErrorKind::ResourceBusy, text)
}
