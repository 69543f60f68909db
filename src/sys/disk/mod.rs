//! The durable sequence: write, sync, link, sync the directory; and how syncs are shared.
//!
//! What a caller acknowledges must survive a power cut: the data and its directory entry. So a file is made in a
//! directory for the unfinished ([`Dir::create`]), written, synced, linked into place where a collision is seen
//! ([`NewFile::place`]), and the directory is synced ([`Dir::sync`]). A failed fsync is never tried again: the kernel
//! may have thrown the pages away, and a second call would say that all is well.
//!
//! There are no threads here. In a one-shot program ([`Disk::inline`]) each call is just its system call. In a daemon
//! ([`Disk::shared`]) the calling threads bound each other, and those who want the same directory synced share the
//! calls: who arrives during one waits for the next ([`turns`]). The kernel shares the journal's commits between
//! file syncs that run side by side, so nothing more is needed there. Never syncfs: it flushes strangers' data.

mod dir;
mod faults;
mod file;
mod turns;

pub use dir::{Dir, Names, Stat};
pub use faults::{Faults, Step};
pub use file::{Growing, NewFile, read_once};

use std::{fmt, io, path::Path, sync::Arc};
use turns::{Permits, Turns};

/// A way to the disk: what shares syncs, and (in tests) what fails. Cheap to clone; clones share.
#[derive(Clone)]
pub struct Disk(Arc<Inner>);

struct Inner {
    shared: Option<Shared>,
    faults: Option<Faults>,
}

struct Shared {
    permits: Permits,
    turns: Turns,
    /// Who would sync a directory lets the file syncs end that run.
    gathers: bool,
}

impl Disk {
    /// For a program that does one thing: nothing is shared, nothing waits.
    pub fn inline() -> Disk {
        Disk(Arc::new(Inner { shared: None, faults: None }))
    }

    /// For a daemon with many threads: at most `at_once` file syncs run side by side, directory syncs are shared.
    pub fn shared(at_once: usize) -> Disk {
        Disk::sharing(at_once, false)
    }

    /// For a program that pours many files into few directories: as [`Disk::shared`], and before a directory is synced
    /// the file syncs that run may end, so that theirs is the same one. It costs the first a little time, and all
    /// together many syncs less.
    pub fn gathering(at_once: usize) -> Disk {
        Disk::sharing(at_once, true)
    }

    fn sharing(at_once: usize, gathers: bool) -> Disk {
        let shared = Shared { permits: Permits::new(at_once), turns: Turns::default(), gathers };
        Disk(Arc::new(Inner { shared: Some(shared), faults: None }))
    }

    /// A stand-in that fails where `faults` says so.
    pub fn failing(faults: Faults) -> Disk {
        Disk(Arc::new(Inner { shared: None, faults: Some(faults) }))
    }

    /// Opens a directory.
    pub fn open(&self, path: &Path) -> io::Result<Dir> {
        Dir::open_at(self, rustix::fs::CWD, path)
    }

    /// Makes the directory `path` and what is missing above it (mode `mode` less the umask), each durable in the one
    /// above, and opens it.
    pub fn make_all(&self, path: &Path, mode: u32) -> io::Result<Dir> {
        match self.open(path) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {}
            done => return done,
        }
        // Found by walking up without recursion: a path may be as deep as its writer likes.
        let mut missing = vec![path];
        let mut above = path.parent();
        let mut dir = loop {
            let Some(at) = above else { break self.open(Path::new("."))? };
            if at.as_os_str().is_empty() {
                break self.open(Path::new("."))?;
            }
            match self.open(at) {
                Ok(dir) => break dir,
                Err(fault) if fault.kind() == io::ErrorKind::NotFound => missing.push(at),
                Err(fault) => return Err(fault),
            }
            above = at.parent();
        };
        for path in missing.into_iter().rev() {
            let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
            if dir.make(name, mode)? {
                dir.sync()?;
            }
            dir = dir.open(name)?;
        }
        Ok(dir)
    }

    /// Asked before each step that changes the disk.
    fn step(&self, step: Step) -> io::Result<()> {
        self.0.faults.as_ref().map_or(Ok(()), |faults| faults.meet(step))
    }

    /// Syncs a file that only the caller writes.
    fn sync_file(&self, file: &std::fs::File) -> io::Result<()> {
        self.step(Step::SyncFile)?;
        let _permit = self.0.shared.as_ref().map(|shared| shared.permits.take());
        file.sync_all()
    }

    /// Syncs what many threads may want synced at once, known by `key` (device and inode).
    fn sync_together(
        &self,
        step: Step,
        key: impl FnOnce() -> io::Result<(u64, u64)>,
        sync: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        self.step(step)?;
        match &self.0.shared {
            None => sync(),
            Some(shared) => {
                let gathers = shared.gathers && step == Step::SyncDir;
                let gather = || {
                    if gathers {
                        shared.permits.let_end()
                    }
                };
                shared.turns.share(key()?, gather, sync)
            }
        }
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.shared.is_some() { "Disk(shared)" } else { "Disk(inline)" })
    }
}

/// Puts the name of what failed in front of a fault, keeping its kind and its [`errno`].
pub fn named(name: &Path, fault: io::Error) -> io::Error {
    let errno = errno(&fault);
    io::Error::new(fault.kind(), Named { text: format!("{}: {fault}", name.display()), errno })
}

/// The system's number for a fault, also of a [`named`] one.
pub fn errno(fault: &io::Error) -> Option<i32> {
    let inside = || fault.get_ref()?.downcast_ref::<Named>()?.errno;
    fault.raw_os_error().or_else(inside)
}

#[derive(Debug)]
struct Named {
    text: String,
    errno: Option<i32>,
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Named {}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::{io::Write, path::PathBuf};

    /// A directory for one test; it goes when dropped.
    pub(crate) struct Scratch(PathBuf);

    impl Scratch {
        pub(crate) fn new(name: &str) -> Scratch {
            let name = format!("posthaste-{name}-{}-{:08x}", std::process::id(), crate::sys::random::u32());
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir(&path).unwrap();
            Scratch(path)
        }

        pub(crate) fn path(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn deliver(disk: &Disk, path: &Path, body: &[u8]) -> io::Result<()> {
        let dir = disk.make_all(&path.join("a/b"), 0o700)?;
        let mut file = dir.create("draft")?;
        file.write_all(body)?;
        file.sync()?;
        file.place(&dir, "message")?;
        dir.sync()
    }

    #[test]
    fn a_file_is_synced_before_it_is_linked_and_its_directory_after() {
        let scratch = Scratch::new("sequence");
        let faults = Faults::none();
        deliver(&Disk::failing(faults.clone()), scratch.path(), b"x").unwrap();
        let made = [Step::MakeDir, Step::SyncDir, Step::MakeDir, Step::SyncDir];
        let placed = [Step::Create, Step::Write, Step::SyncFile, Step::Link, Step::SyncDir];
        assert_eq!(faults.trace(), [&made[..], &placed[..]].concat());
    }

    #[test]
    fn a_full_disk_at_any_step_leaves_no_half_file_and_says_that_it_is_full() {
        for n in 0.. {
            let scratch = Scratch::new("full");
            let faults = Faults::from(n, 28);
            let outcome = deliver(&Disk::failing(faults.clone()), scratch.path(), &[b'x'; 100_000]);
            if !faults.struck() {
                outcome.unwrap();
                assert!(n > 5);
                break;
            }
            assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::StorageFull, "step {n}");
            let left = std::fs::read_dir(scratch.path().join("a/b"))
                .map_or(vec![], |dir| dir.map(|entry| entry.unwrap().path()).collect::<Vec<_>>());
            for path in left {
                assert!(path.ends_with("message"), "step {n}: {}", path.display());
                assert_eq!(std::fs::metadata(path).unwrap().len(), 100_000);
            }
        }
    }

    #[test]
    fn a_taken_name_is_seen_and_what_has_it_stays() {
        let scratch = Scratch::new("collision");
        let dir = Disk::inline().open(scratch.path()).unwrap();
        std::fs::write(scratch.path().join("taken"), "old").unwrap();
        let mut file = dir.create("draft").unwrap();
        file.write_all(b"new").unwrap();
        assert!(file.place(&dir, "taken").is_err(), "placed without a sync");
        file.sync().unwrap();
        assert_eq!(file.place(&dir, "taken").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(file.link(&dir, "taken").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        file.link(&dir, "free").unwrap();
        file.place(&dir, "last").unwrap();
        drop(file);
        let mut names: Vec<_> = dir.names().unwrap().map(|name| name.unwrap()).collect();
        names.sort();
        assert_eq!(names, ["free", "last", "taken"]);
        assert_eq!(dir.read("taken", 10).unwrap().unwrap(), b"old");
        assert_eq!(dir.stat("last").unwrap().unwrap().links, 2);
        assert!(dir.create("last").is_err());
    }

    #[test]
    fn a_failed_write_or_sync_is_never_tried_again() {
        let scratch = Scratch::new("once");
        for n in 1..=2 {
            let dir = Disk::failing(Faults::once(n, 5)).open(scratch.path()).unwrap();
            let mut file = dir.create("draft").unwrap();
            let first = file.write_all(b"x").and_then(|()| file.sync());
            assert!(first.is_err(), "{n}");
            assert!(file.sync().is_err(), "{n}");
            assert!(file.place(&dir, "x").is_err(), "{n}");
        }
    }

    #[test]
    fn replacing_shows_the_old_or_the_new_and_a_journal_never_keeps_half_a_line() {
        let scratch = Scratch::new("replace");
        let dir = Disk::shared(2).open(scratch.path()).unwrap();
        dir.replace("list", b"one\n").unwrap();
        dir.replace("list", b"two\n").unwrap();
        assert_eq!(dir.read("list", 100).unwrap().unwrap(), b"two\n");
        assert_eq!(dir.read("list", 2).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(dir.read("missing", 2).unwrap(), None);
        let list = dir.grow("list").unwrap();
        list.append(b"three\n").unwrap();
        list.sync().unwrap();
        assert_eq!(list.len().unwrap(), 10);
        list.cut(4).unwrap();
        assert_eq!(dir.read("list", 100).unwrap().unwrap(), b"two\n");
        assert_eq!(dir.names().unwrap().count(), 1);
        for n in 0..5 {
            let dir = Disk::failing(Faults::from(n, 28)).open(scratch.path()).unwrap();
            let outcome = dir.replace("list", b"three\n");
            assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::StorageFull);
            let now = dir.read("list", 100).unwrap().unwrap();
            assert_eq!(now, if n < 4 { &b"two\n"[..] } else { b"three\n" }, "{n}");
            assert_eq!(dir.names().unwrap().count(), 1);
        }
    }

    #[test]
    fn pipes_and_links_in_the_place_of_files_are_refused() {
        let scratch = Scratch::new("odd");
        let dir = Disk::inline().open(scratch.path()).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", scratch.path().join("link")).unwrap();
        rustix::fs::mkfifoat(dir.fd(), "pipe", rustix::fs::Mode::RUSR).unwrap();
        for name in ["link", "pipe"] {
            assert!(dir.open_file(name).is_err(), "{name}");
            assert!(dir.create(name).is_err(), "{name}");
        }
        assert!(dir.grow("link").is_err());
        assert!(dir.grow_on("link").is_err());
        let missing = dir.grow_on("missing").unwrap_err();
        assert_eq!((missing.kind(), errno(&missing)), (io::ErrorKind::NotFound, Some(2)));
    }
}
