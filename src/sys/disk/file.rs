//! A file on its way to its place, and a file that grows at its end.

use super::{Dir, Disk, Step, named};
use rustix::fs::{AtFlags, RenameFlags, Timespec, Timestamps};
use std::{
    fs::File,
    io::{self, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

/// Octets kept before they are written: one system call for a small message, few for a large one.
const BUFFER: usize = 32 * 1024;
/// Writing back of a large body is started each time so much more of it has come, so that the final sync is short.
const WRITEBACK: u64 = 1024 * 1024;

/// Reads once, as much as there is room behind what `into` holds; 0 at the end of the file.
pub fn read_once(file: &File, into: &mut Vec<u8>) -> io::Result<usize> {
    loop {
        match rustix::io::read(file, rustix::buffer::spare_capacity(into)) {
            Err(rustix::io::Errno::INTR) => {}
            read => return Ok(read?),
        }
    }
}

/// A file being written under a name that nobody reads. It goes when dropped, unless it was placed.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    dir: Dir,
    name: PathBuf,
    disk: Disk,
    buffer: Vec<u8>,
    written: u64,
    handed: u64,
    failed: bool,
    synced: bool,
    moved: bool,
}

impl NewFile {
    pub(super) fn new(file: File, dir: Dir, name: PathBuf, disk: Disk) -> NewFile {
        NewFile {
            file,
            dir,
            name,
            disk,
            buffer: Vec::new(),
            written: 0,
            handed: 0,
            failed: false,
            synced: false,
            moved: false,
        }
    }

    /// Octets written so far.
    pub fn len(&self) -> u64 {
        self.written.saturating_add(self.buffer.len() as u64)
    }

    /// True when nothing was written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The file itself, to be read back or mapped. What stands in the buffer is written out first.
    pub fn file(&mut self) -> io::Result<&File> {
        self.flush()?;
        Ok(&self.file)
    }

    /// Overwrites octets that were written before.
    pub fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.flush()?;
        self.synced = false;
        self.guard(|disk, file| {
            disk.step(Step::Write)?;
            file.write_all_at(bytes, offset)
        })
    }

    /// Sets the time of the last change, which for a Maildir is INTERNALDATE. Before [`NewFile::sync`].
    pub fn set_modified(&mut self, time: SystemTime) -> io::Result<()> {
        self.flush()?;
        self.synced = false;
        let stamp = match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Timespec {
                tv_sec: i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: after.subsec_nanos().into(),
            },
            // Before 1970: whole seconds are all that a message's date has.
            Err(before) => Timespec {
                tv_sec: i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |secs| -secs),
                tv_nsec: 0,
            },
        };
        let times = Timestamps { last_access: stamp, last_modification: stamp };
        self.guard(|_, file| Ok(rustix::fs::futimens(file, &times)?))
    }

    /// Starts the writing back of what was written, without waiting for it.
    pub fn start(&mut self) -> io::Result<()> {
        self.flush()?;
        if self.written > self.handed {
            // "Don't need" makes Linux start the writing back of dirty pages; those stay in memory until
            // they are clean. Only advice: whether it worked, the sync will tell.
            let length = std::num::NonZeroU64::new(self.written.saturating_sub(self.handed));
            let _ = rustix::fs::fadvise(&self.file, self.handed, length, rustix::fs::Advice::DontNeed);
            self.handed = self.written;
        }
        Ok(())
    }

    /// Makes the octets durable. Once; after a failure the file can only be dropped.
    pub fn sync(&mut self) -> io::Result<()> {
        self.flush()?;
        if !self.synced {
            self.guard(|disk, file| disk.sync_file(file))?;
            self.synced = true;
        }
        Ok(())
    }

    /// Gives the file another name as well, in `dir`, which stays when the draft goes. The file must be synced.
    /// `AlreadyExists` when the name is taken. The entry is durable after [`Dir::sync`].
    pub fn link(&mut self, dir: &Dir, name: impl AsRef<Path>) -> io::Result<()> {
        self.ready()?;
        self.disk.step(Step::Link)?;
        let name = name.as_ref();
        rustix::fs::linkat(self.dir.fd(), &self.name, dir.fd(), name, AtFlags::empty())
            .map_err(|fault| named(name, fault.into()))
    }

    /// Moves the file to `name` in `dir`, its last place. The file must be synced. `AlreadyExists` when the name is
    /// taken. The entry is durable after [`Dir::sync`].
    pub fn place(&mut self, dir: &Dir, name: impl AsRef<Path>) -> io::Result<()> {
        self.ready()?;
        self.disk.step(Step::Link)?;
        let name = name.as_ref();
        match rustix::fs::renameat_with(self.dir.fd(), &self.name, dir.fd(), name, RenameFlags::NOREPLACE) {
            Ok(()) => {
                self.moved = true;
                Ok(())
            }
            // File systems without it (NFS and some in user space): a link sees the collision as well, and the
            // old name goes when this is dropped.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::OPNOTSUPP) => {
                rustix::fs::linkat(self.dir.fd(), &self.name, dir.fd(), name, AtFlags::empty())
                    .map_err(|fault| named(name, fault.into()))
            }
            Err(fault) => Err(named(name, fault.into())),
        }
    }

    /// As [`NewFile::place`], but takes the place of what has the name now.
    pub fn replace(&mut self, dir: &Dir, name: impl AsRef<Path>) -> io::Result<()> {
        self.ready()?;
        self.disk.step(Step::Link)?;
        rustix::fs::renameat(self.dir.fd(), &self.name, dir.fd(), name.as_ref())
            .map_err(|fault| named(name.as_ref(), fault.into()))?;
        self.moved = true;
        Ok(())
    }

    fn ready(&self) -> io::Result<()> {
        if self.synced { Ok(()) } else { Err(io::Error::other("a file is placed only when it is synced")) }
    }

    /// After one failure everything fails: a file with a hole must never be placed.
    fn guard(&mut self, act: impl FnOnce(&Disk, &File) -> io::Result<()>) -> io::Result<()> {
        if self.failed {
            return Err(named(&self.name, io::Error::other("an earlier write failed")));
        }
        act(&self.disk, &self.file).map_err(|fault| {
            self.failed = true;
            self.synced = false;
            named(&self.name, fault)
        })
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.guard(|disk, mut file| {
            disk.step(Step::Write)?;
            file.write_all(bytes)
        })?;
        self.written = self.written.saturating_add(bytes.len() as u64);
        Ok(())
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.synced = false;
        if self.buffer.len().saturating_add(bytes.len()) > BUFFER {
            self.flush()?;
            if self.written.saturating_sub(self.handed) >= WRITEBACK {
                self.start()?;
            }
        }
        if bytes.len() >= BUFFER {
            return self.put(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let outcome = self.put(&buffer);
        buffer.clear();
        self.buffer = buffer;
        outcome
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.moved {
            let _ = rustix::fs::unlinkat(self.dir.fd(), &self.name, AtFlags::empty());
        }
    }
}

/// A file that grows at its end: a journal, a list. Opened by [`Dir::grow`].
#[derive(Debug)]
pub struct Growing {
    file: File,
    name: PathBuf,
    disk: Disk,
}

impl Growing {
    pub(super) fn new(file: File, name: PathBuf, disk: Disk) -> Growing {
        Growing { file, name, disk }
    }

    /// Octets in the file now.
    pub fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// True when the file is empty.
    pub fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// The file, to be read.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Appends `bytes` whole or not at all: what a full disk let through is cut off again.
    pub fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let before = self.len()?;
        let put = self.disk.step(Step::Write).and_then(|()| (&self.file).write_all(bytes));
        put.map_err(|fault| {
            let _ = self.file.set_len(before);
            named(&self.name, fault)
        })
    }

    /// Cuts the file to `length` octets.
    pub fn cut(&self, length: u64) -> io::Result<()> {
        self.disk.step(Step::Write)?;
        self.file.set_len(length).map_err(|fault| named(&self.name, fault))
    }

    /// Makes what was appended durable; shared with others who want the same.
    pub fn sync(&self) -> io::Result<()> {
        let key = || {
            let stat = rustix::fs::fstat(&self.file)?;
            Ok((stat.st_dev, stat.st_ino))
        };
        self.disk
            .sync_together(Step::SyncFile, key, || self.file.sync_data())
            .map_err(|fault| named(&self.name, fault))
    }
}
