//! How threads share: a sync that many want is done once for all who asked before it began.

use std::{
    collections::{BTreeSet, HashMap},
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

/// One queue for each thing that is synced (a directory, a file that many write), by device and inode.
#[derive(Default)]
pub(super) struct Turns(Mutex<HashMap<(u64, u64), Arc<Queue>>>);

#[derive(Default)]
struct Queue(Mutex<State>);

#[derive(Default)]
struct State {
    running: bool,
    next: Option<Arc<Turn>>,
}

/// One sync and how it ended; kept by those who wait for it. Each has a bell of its own, so that the end of one wakes those
/// who shared it and one who runs the next, and nobody in vain.
#[derive(Default)]
struct Turn {
    outcome: Mutex<Option<Result<(), Failed>>>,
    /// Rung with the queue's lock.
    bell: Condvar,
}

/// An `io::Error` that several can be told of.
#[derive(Clone)]
struct Failed {
    errno: Option<i32>,
    kind: io::ErrorKind,
    text: String,
}

impl Turns {
    /// Returns when a sync of `key` that began after this call has ended, with that sync's outcome. One of the
    /// waiting threads runs its `sync` for all of them, after its `gather`, during which others still may come.
    pub(super) fn share(
        &self,
        key: (u64, u64),
        gather: impl FnOnce(),
        sync: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        let queue = Arc::clone(held(&self.0).entry(key).or_default());
        let outcome = queue.take_part(gather, sync);
        let mut queues = held(&self.0);
        // Two holders are the map and this thread: nobody else waits, and the map must not grow for ever.
        if Arc::strong_count(&queue) <= 2 {
            queues.remove(&key);
        }
        outcome
    }
}

impl Queue {
    fn take_part(&self, gather: impl FnOnce(), sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let mut state = held(&self.0);
        let mine = Arc::clone(state.next.get_or_insert_default());
        loop {
            if let Some(outcome) = held(&mine.outcome).clone() {
                return outcome.map_err(Failed::into_error);
            }
            if !state.running {
                break;
            }
            state = mine.bell.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        // Nothing runs and mine is not done, so mine is the next.
        state.running = true;
        drop(state);
        gather();
        // Later comers get a new one.
        held(&self.0).next = None;
        let outcome = sync().map_err(|fault| Failed::from_error(&fault));
        let mut state = held(&self.0);
        state.running = false;
        *held(&mine.outcome) = Some(outcome.clone());
        let next = state.next.clone();
        drop(state);
        // A bell that nobody hears costs a system call all the same.
        if Arc::strong_count(&mine) > 1 {
            mine.bell.notify_all();
        }
        if let Some(next) = next {
            next.bell.notify_one();
        }
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
    state: Mutex<Given>,
    returned: Condvar,
    /// Rung for those who let others end.
    landed: Condvar,
}

struct Given {
    free: usize,
    /// How many wait for one.
    wanted: usize,
    /// Those that are out, by when they were given.
    out: BTreeSet<u64>,
    next: u64,
    /// Who waits, waits for those that were given before this.
    awaited: Option<u64>,
}

/// One of them; given back when dropped.
pub(super) struct Permit<'a>(&'a Permits, u64);

impl Permits {
    pub(super) fn new(many: usize) -> Permits {
        let given = Given { free: many.max(1), wanted: 0, out: BTreeSet::new(), next: 0, awaited: None };
        Permits { state: Mutex::new(given), returned: Condvar::new(), landed: Condvar::new() }
    }

    pub(super) fn take(&self) -> Permit<'_> {
        let mut state = held(&self.state);
        state.wanted = state.wanted.saturating_add(1);
        while state.free == 0 {
            state = self.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.wanted = state.wanted.saturating_sub(1);
        state.free = state.free.saturating_sub(1);
        let number = state.next;
        state.next = number.saturating_add(1);
        state.out.insert(number);
        Permit(self, number)
    }

    /// Waits until all have come back that are out now.
    pub(super) fn let_end(&self) {
        let mut state = held(&self.state);
        let before = state.next;
        while !state.are_back(before) {
            state.awaited = Some(state.awaited.map_or(before, |other| other.min(before)));
            state = self.landed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Given {
    fn are_back(&self, before: u64) -> bool {
        self.out.first().is_none_or(|first| *first >= before)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut state = held(&self.0.state);
        state.free = state.free.saturating_add(1);
        state.out.remove(&self.1);
        let wanted = state.wanted > 0;
        let awaited = state.awaited.filter(|before| state.are_back(*before));
        if awaited.is_some() {
            state.awaited = None;
        }
        drop(state);
        if wanted {
            self.0.returned.notify_one();
        }
        // Who waits for later ones too, looks again and says so.
        if awaited.is_some() {
            self.0.landed.notify_all();
        }
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
                turns.share(
                    (1, 1),
                    || (),
                    || {
                        begun.send(()).unwrap();
                        may_finish.recv().unwrap();
                        ran.fetch_add(1, Ordering::SeqCst);
                        Ok(())
                    },
                )
            })
        };
        has_begun.recv().unwrap();
        let others: Vec<_> = (0..8)
            .map(|_| {
                let (turns, ran) = (Arc::clone(&turns), Arc::clone(&ran));
                thread::spawn(move || {
                    turns.share(
                        (1, 1),
                        || (),
                        || {
                            ran.fetch_add(1, Ordering::SeqCst);
                            Err(io::Error::from_raw_os_error(28))
                        },
                    )
                })
            })
            .collect();
        // All eight stand in the queue when the next turn has nine holders: themselves and the state.
        let waiting = || {
            let queue = held(&turns.0).get(&(1, 1)).cloned().unwrap();
            let state = held(&queue.0);
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
    fn who_gathers_waits_for_those_that_are_out_and_for_no_later_ones() {
        let permits = Arc::new(Permits::new(3));
        let (one, two) = (permits.take(), permits.take());
        let (ended, has_ended) = mpsc::channel();
        let gatherer = {
            let permits = Arc::clone(&permits);
            thread::spawn(move || {
                permits.let_end();
                ended.send(()).unwrap();
            })
        };
        while held(&permits.state).awaited.is_none() {
            thread::yield_now();
        }
        let later = permits.take();
        drop(two);
        assert!(has_ended.try_recv().is_err());
        assert_eq!(held(&permits.state).awaited, Some(2), "one is out");
        drop(one);
        has_ended.recv().unwrap();
        gatherer.join().unwrap();
        drop(later);
        // With nobody out there is nobody to wait for.
        permits.let_end();
    }

    #[test]
    fn who_comes_while_one_gathers_shares_the_same_sync() {
        let turns = Arc::new(Turns::default());
        let ran = Arc::new(AtomicUsize::new(0));
        let (begun, has_begun) = mpsc::channel();
        let (gathered, may_sync) = mpsc::channel::<()>();
        let first = {
            let (turns, ran) = (Arc::clone(&turns), Arc::clone(&ran));
            thread::spawn(move || {
                let gather = || {
                    begun.send(()).unwrap();
                    may_sync.recv().unwrap();
                };
                turns.share((1, 1), gather, || {
                    ran.fetch_add(1, Ordering::SeqCst);
                    Ok(())
                })
            })
        };
        has_begun.recv().unwrap();
        let second = {
            let turns = Arc::clone(&turns);
            thread::spawn(move || turns.share((1, 1), || (), || panic!("a sync of its own")))
        };
        let holders = || {
            let queue = held(&turns.0).get(&(1, 1)).cloned().unwrap();
            held(&queue.0).next.as_ref().map_or(0, Arc::strong_count)
        };
        // The state, the one that gathers, and the one that came.
        while holders() < 3 {
            thread::yield_now();
        }
        gathered.send(()).unwrap();
        assert!(first.join().unwrap().is_ok() && second.join().unwrap().is_ok());
        assert_eq!(ran.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_permit_comes_back() {
        let permits = Permits::new(1);
        drop(permits.take());
        drop(permits.take());
        assert_eq!(held(&permits.state).free, 1);
    }
}
