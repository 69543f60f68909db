//! How threads share: a sync that many want is done once for all who asked before it began.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

/// One queue for each thing that is synced (a directory, a file that many write), by device and inode.
#[derive(Default)]
pub(super) struct Turns(Mutex<HashMap<(u64, u64), Arc<Queue>>>);

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    running: bool,
    next: Option<Arc<Turn>>,
}

/// One sync and how it ended; kept by those who wait for it.
#[derive(Default)]
struct Turn(Mutex<Option<Result<(), Failed>>>);

/// An `io::Error` that several can be told of.
#[derive(Clone)]
struct Failed {
    errno: Option<i32>,
    kind: io::ErrorKind,
    text: String,
}

impl Turns {
    /// Returns when a sync of `key` that began after this call has ended, with that sync's outcome. One of the
    /// waiting threads runs its `sync` for all of them.
    pub(super) fn share(&self, key: (u64, u64), sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let queue = Arc::clone(held(&self.0).entry(key).or_default());
        let outcome = queue.take_part(sync);
        let mut queues = held(&self.0);
        // Two holders are the map and this thread: nobody else waits, and the map must not grow for ever.
        if Arc::strong_count(&queue) <= 2 {
            queues.remove(&key);
        }
        outcome
    }
}

impl Queue {
    fn take_part(&self, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let mut state = held(&self.state);
        let mine = Arc::clone(state.next.get_or_insert_default());
        loop {
            if let Some(outcome) = held(&mine.0).clone() {
                return outcome.map_err(Failed::into_error);
            }
            if !state.running {
                break;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        // Nothing runs and mine is not done, so mine is the next: later comers get a new one.
        state.running = true;
        state.next = None;
        drop(state);
        let outcome = sync().map_err(|fault| Failed::from_error(&fault));
        let mut state = held(&self.state);
        state.running = false;
        *held(&mine.0) = Some(outcome.clone());
        drop(state);
        self.changed.notify_all();
        outcome.map_err(Failed::into_error)
    }
}

impl Failed {
    fn from_error(fault: &io::Error) -> Failed {
        Failed { errno: fault.raw_os_error(), kind: fault.kind(), text: fault.to_string() }
    }

    fn into_error(self) -> io::Error {
        match self.errno {
            Some(errno) => io::Error::from_raw_os_error(errno),
            None => io::Error::new(self.kind, self.text),
        }
    }
}

/// At most so many at once.
pub(super) struct Permits {
    free: Mutex<usize>,
    returned: Condvar,
}

/// One of them; given back when dropped.
pub(super) struct Permit<'a>(&'a Permits);

impl Permits {
    pub(super) fn new(many: usize) -> Permits {
        Permits { free: Mutex::new(many.max(1)), returned: Condvar::new() }
    }

    pub(super) fn take(&self) -> Permit<'_> {
        let mut free = held(&self.free);
        while *free == 0 {
            free = self.returned.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free = free.saturating_sub(1);
        Permit(self)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut free = held(&self.0.free);
        *free = free.saturating_add(1);
        self.0.returned.notify_one();
    }
}

/// Locks; a thread that panicked while it held the lock left nothing half done here.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::{
            atomic::{AtomicUsize, Ordering},
            mpsc,
        },
        thread,
    };

    #[test]
    fn who_arrives_during_a_sync_waits_for_the_next_and_shares_it() {
        let turns = Arc::new(Turns::default());
        let ran = Arc::new(AtomicUsize::new(0));
        let (begun, has_begun) = mpsc::channel();
        let (finish, may_finish) = mpsc::channel::<()>();
        let first = {
            let (turns, ran) = (Arc::clone(&turns), Arc::clone(&ran));
            thread::spawn(move || {
                turns.share((1, 1), || {
                    begun.send(()).unwrap();
                    may_finish.recv().unwrap();
                    ran.fetch_add(1, Ordering::SeqCst);
                    Ok(())
                })
            })
        };
        has_begun.recv().unwrap();
        let others: Vec<_> = (0..8)
            .map(|_| {
                let (turns, ran) = (Arc::clone(&turns), Arc::clone(&ran));
                thread::spawn(move || {
                    turns.share((1, 1), || {
                        ran.fetch_add(1, Ordering::SeqCst);
                        Err(io::Error::from_raw_os_error(28))
                    })
                })
            })
            .collect();
        // All eight stand in the queue when the next turn has nine holders: themselves and the state.
        let waiting = || {
            let queue = held(&turns.0).get(&(1, 1)).cloned().unwrap();
            let state = held(&queue.state);
            state.next.as_ref().map_or(0, Arc::strong_count)
        };
        while waiting() < 9 {
            thread::yield_now();
        }
        finish.send(()).unwrap();
        assert!(first.join().unwrap().is_ok());
        for other in others {
            let fault = other.join().unwrap().unwrap_err();
            assert_eq!(fault.kind(), io::ErrorKind::StorageFull);
        }
        assert_eq!(ran.load(Ordering::SeqCst), 2);
        assert!(held(&turns.0).is_empty());
    }

    #[test]
    fn a_permit_comes_back() {
        let permits = Permits::new(1);
        drop(permits.take());
        drop(permits.take());
        assert_eq!(*held(&permits.free), 1);
    }
}
