//! How much accounts with a quota hold: summed from their folders, and remembered for a while, so that a client that
//! names an account again and again costs the disk nothing.

use std::{
    collections::HashMap,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// A sum is good for so long. What others deliver or delete meanwhile is not seen; what comes through us is added.
const MEMORY: Duration = Duration::from_secs(10);
/// Accounts that are remembered at most.
const REMEMBERED: usize = 10_000;

/// The sums, by account.
#[derive(Debug, Default)]
pub(crate) struct Usage(Mutex<HashMap<String, Sum>>);

#[derive(Clone, Copy, Debug)]
struct Sum {
    octets: u64,
    at: Instant,
}

impl Usage {
    /// The octets that `account` holds; `read` sums them up where that is not known at `now`. Of several threads that
    /// ask at once each may read.
    pub(crate) fn of(
        &self,
        account: &str,
        now: Instant,
        read: impl FnOnce() -> io::Result<u64>,
    ) -> io::Result<u64> {
        let fresh = |sum: &Sum| now.saturating_duration_since(sum.at) < MEMORY;
        if let Some(sum) = self.sums().get(account).filter(|sum| fresh(sum)) {
            return Ok(sum.octets);
        }
        let octets = read()?;
        let mut sums = self.sums();
        if sums.len() >= REMEMBERED {
            sums.retain(|_, sum| fresh(sum));
            if sums.len() >= REMEMBERED {
                sums.clear();
            }
        }
        sums.insert(account.to_owned(), Sum { octets, at: now });
        Ok(octets)
    }

    /// Something of an account's was removed: its sum is read again.
    pub(crate) fn forget(&self, account: &str) {
        self.sums().remove(account);
    }

    /// Adds what was delivered.
    pub(crate) fn add(&self, account: &str, octets: u64) {
        if let Some(sum) = self.sums().get_mut(account) {
            sum.octets = sum.octets.saturating_add(octets);
        }
    }

    fn sums(&self) -> MutexGuard<'_, HashMap<String, Sum>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_summed_up_once_in_a_while_and_deliveries_count_at_once() {
        let usage = Usage::default();
        let begun = Instant::now();
        let mut read = 0;
        let mut at = |seconds, account: &str, there| {
            let now = begun + Duration::from_secs(seconds);
            usage.of(account, now, || {
                read += 1;
                Ok(there)
            })
        };
        assert_eq!(at(0, "a", 100).unwrap(), 100);
        assert_eq!(at(9, "a", 500).unwrap(), 100);
        assert_eq!(at(9, "b", 7).unwrap(), 7);
        usage.add("a", 20);
        usage.add("stranger", 20);
        assert_eq!(at(9, "a", 500).unwrap(), 120);
        assert_eq!(at(10, "a", 500).unwrap(), 500);
        usage.forget("a");
        assert_eq!(at(11, "a", 300).unwrap(), 300);
        assert_eq!(read, 4);
    }

    #[test]
    fn a_fault_is_not_remembered_and_neither_are_accounts_without_bound() {
        let usage = Usage::default();
        let now = Instant::now();
        assert!(usage.of("a", now, || Err(io::ErrorKind::PermissionDenied.into())).is_err());
        assert_eq!(usage.of("a", now, || Ok(1)).unwrap(), 1);
        for n in 0..2 * REMEMBERED {
            usage.of(&n.to_string(), now, || Ok(1)).unwrap();
        }
        assert!(usage.sums().len() <= REMEMBERED);
    }
}
