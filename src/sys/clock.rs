//! The time of day, asked for in one place so that a test can set it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Tells the time: the machine's, or one that a test sets. Clones of a set clock share its hands.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<AtomicU64>>);

impl Clock {
    /// The machine's clock.
    pub fn system() -> Clock {
        Clock(None)
    }

    /// A clock that stands at `micros` microseconds after 1970 until it is moved.
    pub fn standing(micros: u64) -> Clock {
        Clock(Some(Arc::new(AtomicU64::new(micros))))
    }

    /// Moves a standing clock forward; the machine's goes by itself.
    pub fn advance(&self, by: Duration) {
        if let Some(hands) = &self.0 {
            hands.fetch_add(u64::try_from(by.as_micros()).unwrap_or(u64::MAX), Ordering::SeqCst);
        }
    }

    /// The time of day.
    pub fn now(&self) -> SystemTime {
        match &self.0 {
            None => SystemTime::now(),
            Some(hands) => UNIX_EPOCH
                .checked_add(Duration::from_micros(hands.load(Ordering::SeqCst)))
                .unwrap_or(UNIX_EPOCH),
        }
    }

    /// Microseconds since 1970; 0 when the machine's clock stands before that.
    pub fn micros(&self) -> u64 {
        let since = self.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standing_clock_moves_only_when_told() {
        let clock = Clock::standing(1_000_000);
        let shared = clock.clone();
        assert_eq!(shared.micros(), 1_000_000);
        clock.advance(Duration::from_secs(2));
        assert_eq!(shared.micros(), 3_000_000);
        assert_eq!(shared.now(), UNIX_EPOCH + Duration::from_secs(3));
    }
}
