//! A directory by its handle: what is done in it is done in it, whatever becomes of its path.

use super::{Disk, Growing, NewFile, Step, named};
use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{AtFlags, FileType, Mode, OFlags, RenameFlags},
    io::Errno,
};
use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// An open directory. Cheap to clone; clones share the handle. Names given to it are single names, without `/`;
/// links in their place are not followed.
#[derive(Clone, Debug)]
pub struct Dir(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    fd: OwnedFd,
    path: PathBuf,
    disk: Disk,
    identity: OnceLock<(u64, u64)>,
}

/// What is known of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Octets.
    pub size: u64,
    /// Time of the last change of the octets.
    pub modified: SystemTime,
    /// Time of the last change of the octets or the entry, as the kernel counts it.
    pub changed: SystemTime,
    /// Device and inode.
    pub identity: (u64, u64),
    /// A directory.
    pub is_dir: bool,
    /// A plain file.
    pub is_file: bool,
    /// Names that the file has.
    pub links: u64,
}

impl Dir {
    pub(super) fn open_at(disk: &Disk, above: impl AsFd, path: &Path) -> io::Result<Dir> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(above, path, flags, Mode::empty())
            .map_err(|fault| named(path, fault.into()))?;
        Ok(Dir(Arc::new(Inner { fd, path: path.to_owned(), disk: disk.clone(), identity: OnceLock::new() })))
    }

    pub(in crate::sys) fn fd(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }

    /// The path it was opened by, for messages to people and for watches.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// The way to the disk that it was opened through.
    pub fn disk(&self) -> &Disk {
        &self.0.disk
    }

    /// Opens a directory in this one. A link there is followed: people put their folders elsewhere.
    pub fn open(&self, name: impl AsRef<Path>) -> io::Result<Dir> {
        let name = name.as_ref();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(self.fd(), name, flags, Mode::empty())
            .map_err(|fault| self.fault(name, fault))?;
        let path = self.0.path.join(name);
        Ok(Dir(Arc::new(Inner { fd, path, disk: self.0.disk.clone(), identity: OnceLock::new() })))
    }

    /// Makes a directory in this one; false when it was there. Durable after [`Dir::sync`] of this one.
    pub fn make(&self, name: impl AsRef<Path>, mode: u32) -> io::Result<bool> {
        let name = name.as_ref();
        self.step(Step::MakeDir, name)?;
        match rustix::fs::mkdirat(self.fd(), name, Mode::from_raw_mode(mode)) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(fault) => Err(self.fault(name, fault)),
        }
    }

    /// Begins a new file, mode 0600. `AlreadyExists` when the name is taken. It goes when dropped, unless placed.
    pub fn create(&self, name: impl AsRef<Path>) -> io::Result<NewFile> {
        let name = name.as_ref();
        self.step(Step::Create, name)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(self.fd(), name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|fault| self.fault(name, fault))?;
        Ok(NewFile::new(File::from(fd), self.clone(), name.to_owned(), self.0.disk.clone()))
    }

    /// Opens a file for appending, making it when it is missing (then durable after [`Dir::sync`]). Mode 0600.
    pub fn grow(&self, name: impl AsRef<Path>) -> io::Result<Growing> {
        let name = name.as_ref();
        self.step(Step::Create, name)?;
        self.growing(name, OFlags::CREATE)
    }

    /// Opens a file for appending; `NotFound` when it is missing.
    pub fn grow_on(&self, name: impl AsRef<Path>) -> io::Result<Growing> {
        self.growing(name.as_ref(), OFlags::empty())
    }

    fn growing(&self, name: &Path, more: OFlags) -> io::Result<Growing> {
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::CLOEXEC | more;
        let fd = rustix::fs::openat(self.fd(), name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|fault| self.fault(name, fault))?;
        Ok(Growing::new(File::from(fd), self.0.path.join(name), self.0.disk.clone()))
    }

    /// Opens a plain file for reading. Anything else that has the name (a pipe, a device, a link) is refused.
    pub fn open_file(&self, name: impl AsRef<Path>) -> io::Result<File> {
        self.open_known(name).map(|(file, _)| file)
    }

    /// The same, with what is known of the file that was opened.
    pub fn open_known(&self, name: impl AsRef<Path>) -> io::Result<(File, Stat)> {
        let name = name.as_ref();
        // Without NONBLOCK the opening of a pipe that somebody put there would wait for ever.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(self.fd(), name, flags, Mode::empty())
            .map_err(|fault| self.fault(name, fault))?;
        let stat = Stat::of(&rustix::fs::fstat(&fd).map_err(|fault| self.fault(name, fault))?);
        match stat.is_file {
            true => Ok((File::from(fd), stat)),
            false => Err(named(&self.0.path.join(name), io::Error::other("not a plain file"))),
        }
    }

    /// Reads a small file whole; `None` when it is missing, an error when it is larger than `cap` octets.
    pub fn read(&self, name: impl AsRef<Path>, cap: u64) -> io::Result<Option<Vec<u8>>> {
        let name = name.as_ref();
        let file = match self.open_file(name) {
            Ok(file) => file,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(fault) => return Err(fault),
        };
        let mut bytes = Vec::new();
        file.take(cap.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|fault| named(&self.0.path.join(name), fault))?;
        if bytes.len() as u64 > cap {
            let text = format!("larger than {cap} octets");
            return Err(named(&self.0.path.join(name), io::Error::new(io::ErrorKind::FileTooLarge, text)));
        }
        Ok(Some(bytes))
    }

    /// Writes a small file durably in the place of what has the name: a temporary file, its sync, a rename, the
    /// directory's sync. A reader sees the old or the new, also after a power cut.
    pub fn replace(&self, name: impl AsRef<Path>, bytes: &[u8]) -> io::Result<()> {
        let name = name.as_ref();
        let mut draft = name.as_os_str().as_bytes().to_vec();
        draft.extend_from_slice(format!(".{:08x}.tmp", super::super::random::u32()).as_bytes());
        let mut file = self.create(OsStr::from_bytes(&draft))?;
        io::Write::write_all(&mut file, bytes)?;
        file.sync()?;
        file.replace(self, name)?;
        self.sync()
    }

    /// Moves `from` to `to` in another directory of the same file system. `AlreadyExists` when that name is taken.
    pub fn rename_new(&self, from: impl AsRef<Path>, dir: &Dir, to: impl AsRef<Path>) -> io::Result<()> {
        let (from, to) = (from.as_ref(), to.as_ref());
        self.step(Step::Link, from)?;
        match rustix::fs::renameat_with(self.fd(), from, dir.fd(), to, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                rustix::fs::linkat(self.fd(), from, dir.fd(), to, AtFlags::empty())
                    .and_then(|()| rustix::fs::unlinkat(self.fd(), from, AtFlags::empty()))
            }
            done => done,
        }
        .map_err(|fault| self.fault(from, fault))
    }

    /// Moves `from` to `to` in another directory, in the place of what has that name.
    pub fn rename(&self, from: impl AsRef<Path>, dir: &Dir, to: impl AsRef<Path>) -> io::Result<()> {
        let from = from.as_ref();
        self.step(Step::Link, from)?;
        rustix::fs::renameat(self.fd(), from, dir.fd(), to.as_ref()).map_err(|fault| self.fault(from, fault))
    }

    /// Gives a file another name. `AlreadyExists` when that name is taken.
    pub fn link(&self, from: impl AsRef<Path>, dir: &Dir, to: impl AsRef<Path>) -> io::Result<()> {
        let from = from.as_ref();
        self.step(Step::Link, from)?;
        rustix::fs::linkat(self.fd(), from, dir.fd(), to.as_ref(), AtFlags::empty())
            .map_err(|fault| self.fault(from, fault))
    }

    /// Takes a name away; false when it was not there.
    pub fn remove(&self, name: impl AsRef<Path>) -> io::Result<bool> {
        self.unlink(name.as_ref(), AtFlags::empty())
    }

    /// Takes an empty directory away; false when it was not there.
    pub fn remove_dir(&self, name: impl AsRef<Path>) -> io::Result<bool> {
        self.unlink(name.as_ref(), AtFlags::REMOVEDIR)
    }

    fn unlink(&self, name: &Path, flags: AtFlags) -> io::Result<bool> {
        self.step(Step::Remove, name)?;
        match rustix::fs::unlinkat(self.fd(), name, flags) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(fault) => Err(self.fault(name, fault)),
        }
    }

    /// What stands under a name (a link itself, not where it leads); `None` when nothing does.
    pub fn stat(&self, name: impl AsRef<Path>) -> io::Result<Option<Stat>> {
        let name = name.as_ref();
        match rustix::fs::statat(self.fd(), name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Stat::of(&stat))),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(fault) => Err(self.fault(name, fault)),
        }
    }

    /// What is known of the directory itself.
    pub fn stat_self(&self) -> io::Result<Stat> {
        rustix::fs::fstat(self.fd())
            .map(|stat| Stat::of(&stat))
            .map_err(|fault| named(self.path(), fault.into()))
    }

    /// Sets a file's time of last change.
    pub fn set_modified(&self, name: impl AsRef<Path>, time: SystemTime) -> io::Result<()> {
        let name = name.as_ref();
        let file = self.open_file(name)?;
        file.set_modified(time).map_err(|fault| named(&self.0.path.join(name), fault))
    }

    /// Its names, in no order, without `.` and `..`. Each call reads from the start.
    pub fn names(&self) -> io::Result<Names> {
        let found =
            rustix::fs::Dir::read_from(self.fd()).map_err(|fault| named(self.path(), fault.into()))?;
        Ok(Names { found, dir: self.clone(), files: false })
    }

    /// The same, without what is known to be no plain file. (Some file systems don't tell.)
    pub fn files(&self) -> io::Result<Names> {
        Ok(Names { files: true, ..self.names()? })
    }

    /// Makes the entries of this directory durable: those that were there when the call began.
    pub fn sync(&self) -> io::Result<()> {
        let key = || {
            if let Some(&identity) = self.0.identity.get() {
                return Ok(identity);
            }
            let identity = self.stat_self()?.identity;
            Ok(*self.0.identity.get_or_init(|| identity))
        };
        self.0
            .disk
            .sync_together(Step::SyncDir, key, || Ok(rustix::fs::fsync(self.fd())?))
            .map_err(|fault| named(self.path(), fault))
    }

    fn step(&self, step: Step, name: &Path) -> io::Result<()> {
        self.0.disk.step(step).map_err(|fault| named(&self.0.path.join(name), fault))
    }

    fn fault(&self, name: &Path, fault: Errno) -> io::Error {
        named(&self.0.path.join(name), fault.into())
    }
}

/// The names in a directory; see [`Dir::names`].
#[derive(Debug)]
pub struct Names {
    found: rustix::fs::Dir,
    dir: Dir,
    files: bool,
}

impl Iterator for Names {
    type Item = io::Result<OsString>;

    fn next(&mut self) -> Option<io::Result<OsString>> {
        loop {
            return match self.found.next()? {
                Ok(entry) => match entry.file_name().to_bytes() {
                    b"." | b".." => continue,
                    _ if self.files
                        && !matches!(entry.file_type(), FileType::RegularFile | FileType::Unknown) =>
                    {
                        continue;
                    }
                    name => Some(Ok(OsStr::from_bytes(name).to_owned())),
                },
                Err(fault) => Some(Err(named(self.dir.path(), fault.into()))),
            };
        }
    }
}

impl Stat {
    fn of(stat: &rustix::fs::Stat) -> Stat {
        let time = |secs: i64, nanos: u64| {
            let nanos = Duration::from_nanos(nanos.min(999_999_999));
            let whole = Duration::from_secs(secs.unsigned_abs());
            let at = if secs >= 0 { UNIX_EPOCH.checked_add(whole) } else { UNIX_EPOCH.checked_sub(whole) };
            at.and_then(|at| at.checked_add(nanos)).unwrap_or(UNIX_EPOCH)
        };
        let kind = FileType::from_raw_mode(stat.st_mode);
        Stat {
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified: time(stat.st_mtime, stat.st_mtime_nsec),
            changed: time(stat.st_ctime, stat.st_ctime_nsec),
            identity: (stat.st_dev, stat.st_ino),
            is_dir: kind == FileType::Directory,
            is_file: kind == FileType::RegularFile,
            links: stat.st_nlink,
        }
    }
}
