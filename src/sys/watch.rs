//! Hints that a directory changed: one inotify instance for the whole process, since the kernel allows only 128.

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags},
    io::Errno,
};
use std::{
    collections::{BTreeSet, HashMap},
    io,
    mem::MaybeUninit,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// What is worth a look in a directory: names that come and go, files that were written, its own end.
const WORTH: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);

/// Watches directories. Cheap to clone; clones share the instance.
#[derive(Clone, Debug)]
pub struct Watcher(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    fd: OwnedFd,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// The kernel gives one number a directory, however often it is asked: who asked stands here.
    watched: HashMap<i32, BTreeSet<u64>>,
    last: u64,
}

/// What [`Watcher::next`] tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    /// Something changed in the directories of these watches, ascending ([`Watched::number`]).
    Changed(Vec<u64>),
    /// Events were lost: everything that is watched is to be looked at again.
    All,
}

/// A directory being watched; it ends when dropped.
#[derive(Debug)]
pub struct Watched {
    watcher: Watcher,
    descriptor: i32,
    number: u64,
}

impl Watched {
    /// Names this watch in hints. Never used twice in a process.
    pub fn number(&self) -> u64 {
        self.number
    }
}

impl Watcher {
    /// Opens the instance. Fails when the kernel has none left (`fs.inotify.max_user_instances`).
    pub fn new() -> io::Result<Watcher> {
        let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        Ok(Watcher(Arc::new(Inner { fd, table: Mutex::default() })))
    }

    /// Watches the directory at `path`.
    pub fn watch(&self, path: &Path) -> io::Result<Watched> {
        let mut table = self.table();
        let descriptor = inotify::add_watch(&self.0.fd, path, WORTH)
            .map_err(|fault| super::disk::named(path, fault.into()))?;
        table.last = table.last.saturating_add(1);
        let number = table.last;
        table.watched.entry(descriptor).or_default().insert(number);
        Ok(Watched { watcher: self.clone(), descriptor, number })
    }

    /// Waits up to `patience` (`None`: for ever) and tells what changed since the last call; `None` when nothing did.
    pub fn next(&self, patience: Option<Duration>) -> io::Result<Option<Hint>> {
        let patience = patience.map(|time| Timespec {
            tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: time.subsec_nanos().into(),
        });
        match poll(&mut [PollFd::new(&self.0.fd, PollFlags::IN)], patience.as_ref()) {
            Ok(0) | Err(Errno::INTR) => return Ok(None),
            Ok(_) => {}
            Err(fault) => return Err(fault.into()),
        }
        self.take()
    }

    /// Tells what changed since the last call, without waiting: for who polls the descriptor itself.
    pub fn take(&self) -> io::Result<Option<Hint>> {
        let mut buffer = [const { MaybeUninit::uninit() }; 8 * 1024];
        let mut events = inotify::Reader::new(&self.0.fd, &mut buffer);
        let mut numbers = BTreeSet::new();
        let mut overflowed = false;
        loop {
            match events.next() {
                Ok(event) if event.events().contains(ReadFlags::QUEUE_OVERFLOW) => overflowed = true,
                Ok(event) => {
                    let mut table = self.table();
                    if let Some(interested) = table.watched.get(&event.wd()) {
                        numbers.extend(interested);
                    }
                    // The kernel ended the watch (the directory went): its number may come back for another.
                    if event.events().contains(ReadFlags::IGNORED) {
                        table.watched.remove(&event.wd());
                    }
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(fault) => return Err(fault.into()),
            }
        }
        Ok(match (overflowed, numbers.is_empty()) {
            (true, _) => Some(Hint::All),
            (false, false) => Some(Hint::Changed(numbers.into_iter().collect())),
            (false, true) => None,
        })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsFd for Watcher {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut table = self.watcher.table();
        let Some(interested) = table.watched.get_mut(&self.descriptor) else { return };
        // A descriptor that was ended and given anew belongs to others.
        if interested.remove(&self.number) && interested.is_empty() {
            table.watched.remove(&self.descriptor);
            let _ = inotify::remove_watch(&self.watcher.0.fd, self.descriptor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::disk::tests::Scratch;

    const LONG: Option<Duration> = Some(Duration::from_secs(20));

    #[test]
    fn a_new_name_is_told_to_all_who_watch_its_directory_and_to_nobody_else() {
        let (one, two) = (Scratch::new("watch1"), Scratch::new("watch2"));
        let watcher = Watcher::new().unwrap();
        let first = watcher.watch(one.path()).unwrap();
        let again = watcher.watch(one.path()).unwrap();
        let other = watcher.watch(two.path()).unwrap();
        std::fs::write(one.path().join("x"), "").unwrap();
        assert_eq!(watcher.next(LONG).unwrap(), Some(Hint::Changed(vec![first.number(), again.number()])));
        drop(first);
        std::fs::rename(one.path().join("x"), two.path().join("x")).unwrap();
        let mut told = BTreeSet::new();
        while told.len() < 2 {
            let Some(Hint::Changed(numbers)) = watcher.next(LONG).unwrap() else { panic!("no hint") };
            told.extend(numbers);
        }
        assert_eq!(told, BTreeSet::from([again.number(), other.number()]));
    }

    #[test]
    fn lost_events_are_told_to_all() {
        // The kernel keeps so many; two in a row that are the same count once, so each has a name of its own.
        let most = std::fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
        let most: usize = most.trim().parse().unwrap();
        if most > 200_000 {
            eprintln!("skipped: this machine keeps {most} events");
            return;
        }
        let (flooded, quiet) = (Scratch::new("watch4"), Scratch::new("watch5"));
        let watcher = Watcher::new().unwrap();
        let one = watcher.watch(flooded.path()).unwrap();
        let two = watcher.watch(quiet.path()).unwrap();
        for number in 0..=most {
            std::fs::create_dir(flooded.path().join(number.to_string())).unwrap();
        }
        std::fs::write(quiet.path().join("lost"), "").unwrap();
        assert_eq!(watcher.next(LONG).unwrap(), Some(Hint::All));
        // And from here on as before.
        std::fs::write(quiet.path().join("x"), "").unwrap();
        assert_eq!(watcher.next(LONG).unwrap(), Some(Hint::Changed(vec![two.number()])));
        drop(one);
    }

    #[test]
    fn a_removed_directory_is_told_and_its_watch_forgotten() {
        let scratch = Scratch::new("watch3");
        let path = scratch.path().join("gone");
        std::fs::create_dir(&path).unwrap();
        let watcher = Watcher::new().unwrap();
        let watched = watcher.watch(&path).unwrap();
        std::fs::remove_dir(&path).unwrap();
        assert_eq!(watcher.next(LONG).unwrap(), Some(Hint::Changed(vec![watched.number()])));
        assert!(watcher.table().watched.is_empty());
        assert!(watcher.watch(&path).is_err());
    }
}
