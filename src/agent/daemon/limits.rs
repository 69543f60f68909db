//! What slows down and bounds logins: a delay that grows with failures, and connections a user.

use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::{Semaphore, SemaphorePermit};

/// The delay of a first failure; each further one doubles it.
const FIRST_DELAY: Duration = Duration::from_millis(500);
/// The longest delay.
const LONGEST_DELAY: Duration = Duration::from_secs(30);
/// Failures are forgotten after so long without another.
const MEMORY: Duration = Duration::from_secs(600);
/// The most addresses and logins whose failures are remembered, each.
const REMEMBERED: usize = 10_000;
/// Passwords that are checked at once: each check may take a core for a while, and 512 MiB (account/password).
const CHECKS: usize = 4;

/// The daemon's memory of who failed and who is here.
#[derive(Debug)]
pub(crate) struct Limits {
    addresses: Mutex<Failures<IpAddr>>,
    logins: Mutex<Failures<String>>,
    users: Arc<Mutex<HashMap<String, usize>>>,
    checks: Semaphore,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            addresses: Mutex::default(),
            logins: Mutex::default(),
            users: Arc::default(),
            checks: Semaphore::new(CHECKS),
        }
    }
}

impl Limits {
    /// Notes a failed login and says how long its answer is to be held back. Right passwords are never held back, so
    /// that nobody can shut a user out by failing in their name.
    pub(crate) fn failed(&self, address: Option<IpAddr>, login: &str, now: Instant) -> Duration {
        let of_login = locked(&self.logins).note(login.to_lowercase(), now);
        let of_address = address.map_or(0, |address| locked(&self.addresses).note(network(address), now));
        delay(of_login.max(of_address))
    }

    /// Waits until a password may be checked. The place is given back when the answer is dropped.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.checks.acquire().await.ok()
    }

    /// Counts a user's connection until the seat is dropped. `None` when there are `most` already.
    pub(crate) fn sit(&self, login: &str, most: usize) -> Option<UserSeat> {
        let mut users = locked(&self.users);
        let count = users.entry(login.to_owned()).or_default();
        if *count >= most {
            return None;
        }
        *count = count.saturating_add(1);
        Some(UserSeat { login: login.to_owned(), users: Arc::clone(&self.users) })
    }
}

/// A user's connection.
#[derive(Debug)]
pub(crate) struct UserSeat {
    login: String,
    users: Arc<Mutex<HashMap<String, usize>>>,
}

impl Drop for UserSeat {
    fn drop(&mut self) {
        let mut users = locked(&self.users);
        if let Some(count) = users.get_mut(&self.login) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                users.remove(&self.login);
            }
        }
    }
}

/// Who failed how often, and when last.
#[derive(Debug)]
struct Failures<K>(HashMap<K, (u32, Instant)>);

impl<K> Default for Failures<K> {
    fn default() -> Failures<K> {
        Failures(HashMap::new())
    }
}

impl<K: Eq + Hash> Failures<K> {
    /// Counts one more: how many there are.
    fn note(&mut self, who: K, now: Instant) -> u32 {
        let fresh = |last: Instant| now.saturating_duration_since(last) < MEMORY;
        if self.0.len() >= REMEMBERED && !self.0.contains_key(&who) {
            self.0.retain(|_, (_, last)| fresh(*last));
            if self.0.len() >= REMEMBERED {
                // A flood from everywhere: all are as suspect as each other.
                self.0.clear();
            }
        }
        let entry = self.0.entry(who).or_insert((0, now));
        if !fresh(entry.1) {
            entry.0 = 0;
        }
        *entry = (entry.0.saturating_add(1), now);
        entry.0
    }
}

fn delay(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    FIRST_DELAY.saturating_mul(1 << doublings).min(LONGEST_DELAY)
}

/// What counts as one address: an IPv6 host has a /64 to itself.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(six) => IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() & !u128::from(u64::MAX))),
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(delay: Duration) -> f32 {
        delay.as_secs_f32()
    }

    #[test]
    fn the_delay_grows_with_failures_of_an_address_or_a_login_and_has_an_end() {
        let limits = Limits::default();
        let now = Instant::now();
        let address = |last: u8| Some(IpAddr::from([192, 0, 2, last]));
        let of = |last, login: &str| seconds(limits.failed(address(last), login, now));
        assert_eq!([of(1, "a"), of(1, "b"), of(1, "c"), of(1, "d")], [0.5, 1.0, 2.0, 4.0]);
        assert_eq!([of(2, "x"), of(3, "X"), of(4, "x")], [0.5, 1.0, 2.0]);
        for _ in 0..40 {
            of(1, "a");
        }
        assert_eq!(of(1, "a"), 30.0);
        let later = now + MEMORY;
        assert_eq!(seconds(limits.failed(address(1), "a", later)), 0.5);
    }

    #[tokio::test]
    async fn few_passwords_are_checked_at_once() {
        let limits = Limits::default();
        let mut turns = Vec::new();
        for _ in 0..CHECKS {
            turns.push(limits.turn().await);
        }
        let next = limits.turn();
        tokio::pin!(next);
        assert!(futures_poll(&mut next).is_none());
        turns.pop();
        assert!(next.await.is_some());
    }

    /// The answer, if it is there at once.
    fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::Pin::new(future).poll(&mut cx) {
            std::task::Poll::Ready(answer) => Some(answer),
            std::task::Poll::Pending => None,
        }
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        let limits = Limits::default();
        let now = Instant::now();
        let mut all = Vec::new();
        for n in 0..3_u16 {
            let address = format!("2001:db8::{n:x}").parse().ok();
            all.push(seconds(limits.failed(address, &format!("user{n}"), now)));
        }
        assert_eq!(all, [0.5, 1.0, 2.0]);
    }

    #[test]
    fn a_flood_of_names_is_not_remembered_without_bound() {
        let mut failures = Failures::default();
        let now = Instant::now();
        for n in 0..REMEMBERED * 3 {
            failures.note(n, now);
        }
        assert!(failures.0.len() <= REMEMBERED);
    }

    #[test]
    fn a_user_has_so_many_connections_at_a_time() {
        let limits = Limits::default();
        let first = limits.sit("a", 2);
        let second = limits.sit("a", 2);
        assert!(first.is_some() && second.is_some());
        assert!(limits.sit("a", 2).is_none());
        assert!(limits.sit("b", 2).is_some());
        drop(first);
        assert!(limits.sit("a", 2).is_some());
        drop(second);
        assert!(limits.users.lock().unwrap().is_empty());
    }
}
