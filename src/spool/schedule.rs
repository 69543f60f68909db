//! When a message that did not go is tried again, and when it is given up. Pure: the time is passed in.

use std::time::{Duration, SystemTime};

/// The waits between attempts and the age at which a message is given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    waits: Vec<Duration>,
    expire: Duration,
}

/// The shortest wait that is kept: spool names count in seconds, and a wait of nothing would never rest.
const WAIT_MIN: Duration = Duration::from_secs(1);
/// The most waits that are kept: a journal counts no more attempts than that.
const WAITS_MAX: usize = super::format::TRIES_MAX as usize;

impl Default for Schedule {
    /// 5, 10, 20, 40, 80 and 160 minutes, then every 4 hours, for 5 days (RFC 5321 section 4.5.4.1 asks for
    /// at least 30 minutes later on, and for 4 to 5 days).
    fn default() -> Schedule {
        let minutes = [5, 10, 20, 40, 80, 160, 240];
        Schedule::new(&minutes.map(|minutes| Duration::from_secs(60 * minutes)), Schedule::DEFAULT_EXPIRE)
    }
}

impl Schedule {
    /// When a message is given up where nobody said otherwise (RFC 5321 section 4.5.4.1: 4 to 5 days).
    pub const DEFAULT_EXPIRE: Duration = Duration::from_secs(5 * 86400);

    /// The wait behind the first attempt, behind the second, and so on; the last one repeats. A wait below one
    /// second counts as one second, and no waits at all as the default's. A message older than `expire` is given
    /// up after its next attempt.
    pub fn new(waits: &[Duration], expire: Duration) -> Schedule {
        if waits.is_empty() {
            return Schedule { expire, ..Schedule::default() };
        }
        let waits = waits.iter().take(WAITS_MAX).map(|&wait| wait.max(WAIT_MIN)).collect();
        Schedule { waits, expire }
    }

    /// When to try again a message that came at `arrived` and did not go for the `tries`th time at `now`; `None`
    /// when it is too old and must be given up. The last attempt is made when it expires, not before.
    pub fn next(&self, arrived: SystemTime, tries: u32, now: SystemTime) -> Option<SystemTime> {
        let age = now.duration_since(arrived).unwrap_or_default();
        let left = self.expire.checked_sub(age).filter(|left| !left.is_zero())?;
        let nth = usize::try_from(tries.saturating_sub(1)).unwrap_or(usize::MAX);
        let wait = self.waits.get(nth).or(self.waits.last())?;
        now.checked_add(left.min(*wait).max(WAIT_MIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// Attempts at the times that the schedule names until it gives up: their ages.
    fn ages(schedule: &Schedule) -> Vec<Duration> {
        let arrived = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000);
        let mut ages = vec![Duration::ZERO];
        let mut now = arrived;
        while let Some(next) = schedule.next(arrived, ages.len() as u32, now) {
            assert!(next > now && ages.len() < 1000);
            now = next;
            ages.push(now.duration_since(arrived).unwrap());
        }
        ages
    }

    #[test]
    fn waits_grow_and_end_after_five_days() {
        let ages = ages(&Schedule::default());
        let minutes: Vec<u64> = ages.iter().take(8).map(|age| age.as_secs() / 60).collect();
        assert_eq!(minutes, [0, 5, 15, 35, 75, 155, 315, 555]);
        assert_eq!(ages.last(), Some(&Duration::from_secs(5 * 86400)));
        let waits: Vec<Duration> = ages.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let (_, but_last) = waits.split_last().unwrap();
        assert!(but_last.is_sorted());
        assert!(ages.len() < 40);
    }

    #[test]
    fn odd_settings_make_no_storm_and_no_panic() {
        let arrived = SystemTime::UNIX_EPOCH;
        let never_rests = Schedule::new(&[Duration::ZERO], 10 * MINUTE);
        assert_eq!(ages(&never_rests).len(), 601);
        let given_up_at_once = Schedule::new(&[MINUTE], Duration::ZERO);
        assert_eq!(given_up_at_once.next(arrived, 1, arrived), None);
        let clock_set_back = Schedule::default().next(arrived + MINUTE, 0, arrived);
        assert_eq!(clock_set_back, Some(arrived + 5 * MINUTE));
        let endless = Schedule::new(&[Duration::MAX], Duration::MAX);
        assert_eq!(endless.next(arrived, u32::MAX, arrived), None);
        assert_eq!(Schedule::new(&[], 9 * MINUTE).next(arrived, 1, arrived), Some(arrived + 5 * MINUTE));
    }
}
