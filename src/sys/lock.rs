//! Locks: Dovecot's dotlock, and advisory locks that die with their owner.

use super::{
    clock::Clock,
    disk::{Dir, Stat, named},
};
use rustix::{
    fs::{AtFlags, CWD, FlockOperation, Mode, OFlags},
    io::Errno,
    process::Pid,
};
use std::{
    collections::HashSet,
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read, Write},
    os::fd::AsRawFd as _,
    sync::{Condvar, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

/// A lock file that has not changed for so long, and whose owner can't be asked, is broken. Dovecot's value for
/// `dovecot-uidlist.lock`.
const STALE: Duration = Duration::from_secs(120);
/// How long a lock that is older than the machine's start must stay as it is.
const WATCH: Duration = Duration::from_secs(5);
/// The longest pause between two looks at a lock that another process holds.
const PAUSE: Duration = Duration::from_millis(20);

/// Dovecot's dotlock: a file `NAME.lock` beside what it protects, holding `PID:HOST`. It goes when dropped.
///
/// The lock of a dead process on this host is broken at once, one whose process can't be asked (it says another host, or
/// nothing) after two minutes without a change. What says this host or nothing and is older than the machine's start is a
/// power cut's: its owner's number may be another's by now, and its text may be lost. Since a clock that was set forward makes
/// the lock of a living process look as old, it is broken only when it stays as it is for five seconds more. Threads of one
/// process exclude each other as well; who holds a lock must not ask for it again.
#[derive(Debug)]
pub struct Dotlock {
    dir: Dir,
    name: OsString,
    identity: (u64, u64),
    _ours: Ours,
}

impl Dotlock {
    /// Takes the lock of `name` in `dir`, waiting for others up to `patience` (then `TimedOut`).
    pub fn take(dir: &Dir, name: &str, patience: Duration) -> io::Result<Dotlock> {
        let deadline = Instant::now().checked_add(patience);
        let lock = OsString::from(format!("{name}.lock"));
        let late = || {
            let text = format!("still locked after {} s", patience.as_secs());
            named(&dir.path().join(&lock), io::Error::new(io::ErrorKind::TimedOut, text))
        };
        let ours = Ours::enter(dir.stat_self()?.identity, &lock, deadline).ok_or_else(late)?;
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let mut pause = Duration::from_millis(1);
        let mut watch = Watch::default();
        loop {
            if let Some(identity) = make(dir, &lock, &host)? {
                return Ok(Dotlock { dir: dir.clone(), name: lock, identity, _ours: ours });
            }
            if break_stale(dir, &lock, &host, &Moment::now(watch.same(dir, &lock)?))? {
                continue;
            }
            if deadline.is_none_or(|deadline| Instant::now() >= deadline) {
                return Err(late());
            }
            std::thread::sleep(pause);
            pause = pause.saturating_mul(2).min(PAUSE);
        }
    }
}

impl Drop for Dotlock {
    fn drop(&mut self) {
        // Somebody may have broken it while we were stopped: theirs is not ours to take away.
        if matches!(self.dir.stat(&self.name), Ok(Some(stat)) if stat.identity == self.identity) {
            let _ = rustix::fs::unlinkat(self.dir.fd(), &self.name, AtFlags::empty());
        }
    }
}

/// Makes the lock file; `None` when it is there. It gets its name only with its text in it, so that who dies on the way leaves
/// none whose owner can't be asked.
fn make(dir: &Dir, lock: &OsStr, host: &str) -> io::Result<Option<(u64, u64)>> {
    if dir.stat(lock)?.is_some() {
        return Ok(None);
    }
    let wrong = |fault: io::Error| named(&dir.path().join(lock), fault);
    let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
    let nameless = rustix::fs::openat(dir.fd(), ".", flags, Mode::from_raw_mode(0o600));
    let Ok(fd) = nameless else { return make_by_name(dir, lock, host).map_err(wrong) };
    let mut file = File::from(fd);
    let identity = mark(&mut file, host).map_err(wrong)?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    match rustix::fs::linkat(CWD, path, dir.fd(), lock, AtFlags::SYMLINK_FOLLOW) {
        Ok(()) => Ok(Some(identity)),
        Err(Errno::EXIST) => Ok(None),
        // There is no /proc, or the file system can't.
        Err(Errno::NOENT | Errno::PERM | Errno::OPNOTSUPP | Errno::XDEV) => {
            make_by_name(dir, lock, host).map_err(wrong)
        }
        Err(fault) => Err(wrong(fault.into())),
    }
}

/// The same where files need a name from the start.
fn make_by_name(dir: &Dir, lock: &OsStr, host: &str) -> io::Result<Option<(u64, u64)>> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(dir.fd(), lock, flags, Mode::from_raw_mode(0o600)) {
        Ok(fd) => mark(&mut File::from(fd), host).map(Some).inspect_err(|_| {
            let _ = rustix::fs::unlinkat(dir.fd(), lock, AtFlags::empty());
        }),
        Err(Errno::EXIST) => Ok(None),
        Err(fault) => Err(fault.into()),
    }
}

/// Writes whose it is; answers with what the file is.
fn mark(file: &mut File, host: &str) -> io::Result<(u64, u64)> {
    file.write_all(format!("{}:{host}", std::process::id()).as_bytes())?;
    let stat = rustix::fs::fstat(&*file)?;
    Ok((stat.st_dev, stat.st_ino))
}

/// What a lock was when it was looked at first, and when that was.
#[derive(Default)]
struct Watch(Option<(Stat, Instant)>);

impl Watch {
    /// How long the lock has been as it is now, by a clock that nobody sets.
    fn same(&mut self, dir: &Dir, lock: &OsStr) -> io::Result<Duration> {
        let now = dir.stat(lock)?;
        if self.0.map(|(stat, _)| stat) != now {
            self.0 = now.map(|stat| (stat, Instant::now()));
        }
        Ok(self.0.map(|(_, since)| since.elapsed()).unwrap_or_default())
    }
}

/// When a lock is looked at.
struct Moment {
    now: SystemTime,
    /// How long the machine runs.
    uptime: Duration,
    /// How long the lock was seen to stay as it is.
    watched: Duration,
}

impl Moment {
    fn now(watched: Duration) -> Moment {
        let uptime = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let uptime = Duration::from_secs(u64::try_from(uptime.tv_sec).unwrap_or(u64::MAX));
        Moment { now: Clock::system().now(), uptime, watched }
    }

    /// True when a lock did not change for so long.
    fn silent(&self, dir: &Dir, lock: &OsStr, time: Duration) -> io::Result<bool> {
        let changed = dir.stat(lock)?.map(|stat| stat.changed.max(stat.modified));
        Ok(changed.is_some_and(|changed| self.now.duration_since(changed).is_ok_and(|silent| silent >= time)))
    }

    /// True when a lock is older than the machine's start. Seconds are cut off there, hence one more.
    fn forerunners(&self, dir: &Dir, lock: &OsStr) -> io::Result<bool> {
        let older = self.silent(dir, lock, self.uptime.saturating_add(Duration::from_secs(1)))?;
        Ok(older && self.watched >= WATCH)
    }
}

/// Takes away a lock whose owner is dead or silent; true when it may be free now.
fn break_stale(dir: &Dir, lock: &OsStr, host: &str, moment: &Moment) -> io::Result<bool> {
    let file = match dir.open_file(lock) {
        Ok(file) => file,
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(true),
        // Not a plain file, or not ours to read: whoever put it there has to take it away.
        Err(_) => return Ok(false),
    };
    let stat = rustix::fs::fstat(&file)?;
    let mut text = Vec::new();
    (&file).take(512).read_to_end(&mut text)?;
    let stale = match owner(&text, host) {
        // Our own id in a file that no thread of ours made (we hold its place in the process) is a forerunner's.
        Some(pid) => pid == std::process::id() || !alive(pid) || moment.forerunners(dir, lock)?,
        None if text.is_empty() && moment.forerunners(dir, lock)? => true,
        None => moment.silent(dir, lock, STALE)?,
    };
    if !stale {
        return Ok(false);
    }
    // Of several who saw the same dead lock only one may take it away: the others would take a new one. They
    // meet on an advisory lock of the dead file itself.
    if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(false);
    }
    if dir.stat(lock)?.is_some_and(|now| now.identity == (stat.st_dev, stat.st_ino)) {
        rustix::fs::unlinkat(dir.fd(), lock, AtFlags::empty())
            .or_else(|fault| if fault == Errno::NOENT { Ok(()) } else { Err(fault) })
            .map_err(|fault| named(&dir.path().join(lock), fault.into()))?;
    }
    Ok(true)
}

/// The process in `PID:HOST` when HOST is this one; `None` when it can't be asked.
fn owner(text: &[u8], host: &str) -> Option<u32> {
    let text = std::str::from_utf8(text).ok()?;
    let (pid, at) = text.split_once(':')?;
    (at.trim_end() == host).then(|| pid.parse().ok()).flatten()
}

fn alive(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    // No permission to signal it means that it is there.
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(Errno::SRCH))
}

/// The dotlocks that threads of this process hold.
static HELD: Mutex<Option<HashSet<Key>>> = Mutex::new(None);
static LEFT: Condvar = Condvar::new();

type Key = ((u64, u64), OsString);

#[derive(Debug)]
struct Ours(Key);

impl Ours {
    fn enter(dir: (u64, u64), lock: &OsStr, deadline: Option<Instant>) -> Option<Ours> {
        let key = (dir, lock.to_owned());
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        while held.get_or_insert_default().contains(&key) {
            let left = deadline?.checked_duration_since(Instant::now())?;
            held = LEFT.wait_timeout(held, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        held.get_or_insert_default().insert(key.clone());
        Some(Ours(key))
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        held.get_or_insert_default().remove(&self.0);
        LEFT.notify_all();
    }
}

/// An advisory lock on a whole file, for as long as this process holds it: a second daemon on the same spool sees it.
#[derive(Debug)]
pub struct FileLock {
    file: File,
}

impl FileLock {
    /// Locks `name` in `dir`, making it when it is missing; `None` when another process has it. The file then holds
    /// our process id, for people.
    pub fn take(dir: &Dir, name: &str) -> io::Result<Option<FileLock>> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let path = dir.path().join(name);
        let fd = rustix::fs::openat(dir.fd(), name, flags, Mode::from_raw_mode(0o600))
            .map_err(|fault| named(&path, fault.into()))?;
        let file = File::from(fd);
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(fault) => return Err(named(&path, fault.into())),
        }
        // A full disk must not keep a daemon from starting: the number is only a courtesy.
        let _ = file.set_len(0).and_then(|()| writeln!(&file, "{}", std::process::id()));
        Ok(Some(FileLock { file }))
    }

    /// The locked file.
    pub fn file(&self) -> &File {
        &self.file
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::disk::{Disk, tests::Scratch};

    fn host() -> String {
        rustix::system::uname().nodename().to_string_lossy().into_owned()
    }

    #[test]
    fn a_held_lock_is_waited_for_and_its_file_says_whose_it_is() {
        let scratch = Scratch::new("dotlock");
        let dir = Disk::inline().open(scratch.path()).unwrap();
        let lock = Dotlock::take(&dir, "list", Duration::ZERO).unwrap();
        let text = dir.read("list.lock", 100).unwrap().unwrap();
        assert_eq!(text, format!("{}:{}", std::process::id(), host()).into_bytes());
        let fault = Dotlock::take(&dir, "list", Duration::from_millis(5)).unwrap_err();
        assert_eq!(fault.kind(), io::ErrorKind::TimedOut);
        drop(lock);
        assert_eq!(dir.stat("list.lock").unwrap(), None);
        drop(Dotlock::take(&dir, "list", Duration::ZERO).unwrap());
    }

    #[test]
    fn the_lock_of_a_dead_process_on_this_host_is_broken_at_once_and_others_are_not() {
        let scratch = Scratch::new("deadlock");
        let dir = Disk::inline().open(scratch.path()).unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let dead = child.id();
        child.wait().unwrap();
        let put = |text: String| std::fs::write(scratch.path().join("list.lock"), text).unwrap();
        put(format!("{dead}:{}", host()));
        drop(Dotlock::take(&dir, "list", Duration::ZERO).unwrap());
        for alive in [format!("{dead}:elsewhere.example"), format!("1:{}", host()), String::new()] {
            put(alive.clone());
            let fault = Dotlock::take(&dir, "list", Duration::from_millis(3)).unwrap_err();
            assert_eq!(fault.kind(), io::ErrorKind::TimedOut, "{alive}");
        }
        assert_eq!(owner(b"12:h", "h"), Some(12));
        assert_eq!(owner(b"-1:h", "h"), None);
    }

    #[test]
    fn age_breaks_a_lock_only_where_its_owner_can_not_be_asked() {
        let scratch = Scratch::new("oldlock");
        let dir = Disk::inline().open(scratch.path()).unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let dead = child.id();
        child.wait().unwrap();
        let (lock, now) = (OsStr::new("list.lock"), SystemTime::now());
        let (none, young, old) = (Duration::ZERO, Duration::from_secs(100), Duration::from_secs(1000));
        let up = Duration::from_secs(5000);
        for (text, age, uptime, breaks) in [
            (format!("{dead}:{}", host()), none, up, true),
            (format!("{dead}:{}", host()), old, up, true),
            (format!("1:{}", host()), old, up, false),
            (format!("{dead}:elsewhere.example"), young, up, false),
            (format!("{dead}:elsewhere.example"), old, up, true),
            ("1:elsewhere.example".to_owned(), old, up, true),
            (String::new(), young, up, false),
            (String::new(), old, up, true),
            ("no number:".to_owned() + &host(), old, up, true),
            // The machine was started anew: whoever has the number now is another. An empty one lost its text.
            (format!("1:{}", host()), young, young / 2, true),
            (format!("1:{}", host()), young, young, false),
            (String::new(), young, young / 2, true),
            (String::new(), young, young, false),
            ("1:elsewhere.example".to_owned(), young, young / 2, false),
        ] {
            std::fs::write(scratch.path().join(lock), &text).unwrap();
            let at = |watched| Moment { now: now + age, uptime, watched };
            if uptime < up {
                // Not yet: it may be the clock that was set.
                let watched = WATCH - Duration::from_millis(1);
                assert!(!break_stale(&dir, lock, &host(), &at(watched)).unwrap(), "{text:?}");
            }
            let broken = break_stale(&dir, lock, &host(), &at(WATCH)).unwrap();
            let gone = dir.stat(lock).unwrap().is_none();
            assert_eq!((broken, gone), (breaks, breaks), "{text:?} {age:?} {uptime:?}");
        }
        let at = |now| Moment { now, uptime: up, watched: none };
        // A clock that was set back is no age.
        std::fs::write(scratch.path().join(lock), "").unwrap();
        assert!(!break_stale(&dir, lock, &host(), &at(now - old)).unwrap());
        // A touch is a sign of life, whatever the octets.
        let file = File::options().write(true).open(scratch.path().join(lock)).unwrap();
        file.set_modified(now + old).unwrap();
        assert!(!break_stale(&dir, lock, &host(), &at(now + old + young)).unwrap());
    }

    #[test]
    fn a_lock_is_watched_for_as_long_as_it_stays_the_same() {
        let scratch = Scratch::new("watchlock");
        let dir = Disk::inline().open(scratch.path()).unwrap();
        let (path, lock) = (scratch.path().join("list.lock"), OsStr::new("list.lock"));
        let mut watch = Watch::default();
        assert_eq!(watch.same(&dir, lock).unwrap(), Duration::ZERO);
        std::fs::write(&path, "1:a").unwrap();
        watch.same(&dir, lock).unwrap();
        let since = watch.0.unwrap().1;
        watch.same(&dir, lock).unwrap();
        assert_eq!(watch.0.unwrap().1, since);
        // Another in its place is watched anew.
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "1:abc").unwrap();
        watch.same(&dir, lock).unwrap();
        assert!(watch.0.unwrap().1 > since);
    }

    #[test]
    fn eight_threads_never_hold_one_lock_together() {
        let scratch = Scratch::new("threads");
        let dir = Disk::inline().open(scratch.path()).unwrap();
        let inside = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let _lock = Dotlock::take(&dir, "list", Duration::from_secs(60)).unwrap();
                        assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                    }
                });
            }
        });
    }

    #[test]
    fn a_file_lock_has_one_owner() {
        let scratch = Scratch::new("flock");
        let dir = Disk::inline().open(scratch.path()).unwrap();
        let first = FileLock::take(&dir, "daemon").unwrap();
        assert!(first.is_some());
        assert!(FileLock::take(&dir, "daemon").unwrap().is_none());
        drop(first);
        assert!(FileLock::take(&dir, "daemon").unwrap().is_some());
    }
}
