//! Password checks: two at a time, few waiting, and good ones remembered for a while.
//!
//! A check costs milliseconds by design; without a bound, a few hundred logins a second would take the whole machine.

use super::{password::Password, scram::hmac};
use crate::{mail::verdict::Why, sys::random};
use std::{
    collections::HashMap,
    io,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Checks at a time.
const AT_ONCE: usize = 2;
/// Checks that may wait their turn.
const WAITING: usize = 64;
/// How long a good password is remembered.
const REMEMBERED: Duration = Duration::from_secs(300);
/// How many are.
const REMEMBERED_MOST: usize = 4096;

/// Where all checks of a process go through.
pub struct Checks {
    /// Of this process only: what is remembered tells nothing outside of it.
    key: [u8; 32],
    room: Mutex<Room>,
    left: Condvar,
    good: Mutex<HashMap<[u8; 32], Instant>>,
}

#[derive(Default)]
struct Room {
    inside: usize,
    waiting: usize,
}

impl Checks {
    /// Nothing remembered.
    pub fn new() -> io::Result<Checks> {
        let mut key = [0; 32];
        random::fill(&mut key)?;
        Ok(Checks { key, room: Mutex::default(), left: Condvar::new(), good: Mutex::default() })
    }

    /// True when `secret` is `password`, that of the account `name`. Blocks for its turn;
    /// an error (temporary) when too many wait already. `decoy` is a password that nobody has: the check then takes as
    /// long and is false.
    pub fn check(&self, name: &str, password: &Password, secret: &[u8], decoy: bool) -> Result<bool, Why> {
        self.check_at(Instant::now(), name, password, secret, decoy)
    }

    fn check_at(
        &self,
        now: Instant,
        name: &str,
        password: &Password,
        secret: &[u8],
        decoy: bool,
    ) -> Result<bool, Why> {
        // Lengths stand between the parts, so that no two triples look the same.
        let stored = password.mark();
        let lengths = [name.len(), stored.len()].map(usize::to_le_bytes);
        let [one, two] = &lengths;
        let mark = hmac(&self.key, &[one, two, name.as_bytes(), stored.as_bytes(), secret])
            .map_err(|fault| Why::local("checking a password", &fault.into()))?;
        if !decoy && lock(&self.good).get(&mark).is_some_and(|until| *until > now) {
            return Ok(true);
        }
        let turn = self.enter()?;
        let good = password.is(secret) && !decoy;
        drop(turn);
        if good {
            let mut remembered = lock(&self.good);
            if remembered.len() >= REMEMBERED_MOST {
                remembered.retain(|_, until| *until > now);
            }
            if remembered.len() >= REMEMBERED_MOST {
                remembered.clear();
            }
            if let Some(until) = now.checked_add(REMEMBERED) {
                remembered.insert(mark, until);
            }
        }
        Ok(good)
    }

    fn enter(&self) -> Result<Turn<'_>, Why> {
        let mut room = lock(&self.room);
        if room.inside >= AT_ONCE {
            if room.waiting >= WAITING {
                return Err(Why::new(3, 2, "too many logins at once; try again"));
            }
            room.waiting = room.waiting.saturating_add(1);
            while room.inside >= AT_ONCE {
                room = self.left.wait(room).unwrap_or_else(PoisonError::into_inner);
            }
            room.waiting = room.waiting.saturating_sub(1);
        }
        room.inside = room.inside.saturating_add(1);
        Ok(Turn(self))
    }
}

#[cfg(test)]
impl Checks {
    /// Runs `work` while both places are taken and no more may wait.
    pub(super) fn crowded<T>(&self, work: impl FnOnce() -> T) -> T {
        let before = std::mem::replace(&mut *lock(&self.room), Room { inside: AT_ONCE, waiting: WAITING });
        let done = work();
        *lock(&self.room) = before;
        done
    }
}

/// A place among those that are checked now.
struct Turn<'a>(&'a Checks);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut room = lock(&self.0.room);
        room.inside = room.inside.saturating_sub(1);
        self.0.left.notify_one();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn plain(text: &str) -> Password {
        Password::parse(&format!("{{PLAIN}}{text}")).map_err(|_| ()).unwrap()
    }

    #[test]
    fn a_good_password_is_remembered_until_it_changes_or_five_minutes_pass() {
        let checks = Checks::new().unwrap();
        let now = Instant::now();
        let late = now + REMEMBERED;
        assert!(checks.check_at(now, "ann", &plain("x"), b"x", false).unwrap());
        // With both places taken, only what is remembered is answered at once; the rest would wait.
        let _turns = [checks.enter().unwrap(), checks.enter().unwrap()];
        lock(&checks.room).waiting = WAITING;
        assert!(checks.check_at(now, "ann", &plain("x"), b"x", false).unwrap());
        let full = |now, name, stored: &str, secret: &[u8], decoy| {
            checks.check_at(now, name, &plain(stored), secret, decoy).unwrap_err().subject == 3
        };
        assert!(full(late, "ann", "x", b"x", false), "forgotten after five minutes");
        assert!(full(now, "ann", "y", b"x", false), "forgotten when the password changed");
        assert!(full(now, "bob", "x", b"x", false), "another account with the same password");
        assert!(full(now, "ann", "x", b"y", false), "a wrong password");
        assert!(full(now, "ann", "x", b"x", true), "a decoy");
    }

    #[test]
    fn a_wrong_password_and_a_decoy_are_never_good() {
        let checks = Checks::new().unwrap();
        for _ in 0..2 {
            assert!(!checks.check("ann", &plain("x"), b"y", false).unwrap());
            assert!(!checks.check("ann", &plain("x"), b"x", true).unwrap());
        }
        assert!(lock(&checks.good).is_empty());
    }

    #[test]
    fn who_waits_gets_a_turn_and_never_more_than_two_are_inside() {
        let checks = Checks::new().unwrap();
        let first = [checks.enter().unwrap(), checks.enter().unwrap()];
        thread::scope(|scope| {
            let waiting: Vec<_> = (0..20)
                .map(|_| {
                    scope.spawn(|| {
                        let turn = checks.enter().unwrap();
                        let inside = lock(&checks.room).inside;
                        drop(turn);
                        inside
                    })
                })
                .collect();
            while lock(&checks.room).waiting < 20 {
                thread::yield_now();
            }
            drop(first);
            assert!(waiting.into_iter().all(|one| one.join().unwrap() <= AT_ONCE));
        });
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let checks = Checks::new().unwrap();
        let now = Instant::now();
        for n in 0..REMEMBERED_MOST + 10 {
            assert!(checks.check_at(now, &n.to_string(), &plain("x"), b"x", false).unwrap());
        }
        assert!(lock(&checks.good).len() <= REMEMBERED_MOST);
    }
}
