//! Which directory and name an entry's state gives to its file, and the moves between them.

use super::super::claims::{Due, Key};
use crate::{
    mail::id::QueueId,
    sys::{
        disk::{Dir, Disk},
        lock::FileLock,
    },
};
use std::{ffi::OsStr, io, path::Path};

/// The directories of a spool.
#[derive(Debug)]
pub(super) struct Places {
    root: Dir,
    pub(super) tmp: Dir,
    pub(super) queue: Dir,
    pub(super) held: Dir,
    corrupt: Dir,
}

/// Where an entry's file stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) key: Key,
    pub(super) due: Due,
}

impl Place {
    pub(super) fn new(key: Key, due: Due) -> Place {
        Place { key, due }
    }

    /// The place that a name in queue/ stands for.
    pub(super) fn waiting(name: &OsStr) -> Option<Place> {
        let (due, id) = name.to_str()?.split_once('.')?;
        let digits = due.len() == 10 && due.bytes().all(|octet| octet.is_ascii_digit());
        let due = Due::at(due.parse().ok().filter(|_| digits)?);
        Some(Place::new(QueueId::parse(id)?.packed(), due))
    }

    /// The place that a name in held/ stands for.
    pub(super) fn held(name: &OsStr) -> Option<Place> {
        Some(Place::new(QueueId::parse(name.to_str()?)?.packed(), Due::HELD))
    }

    /// The message.
    pub(super) fn id(&self) -> QueueId {
        QueueId::unpacked(self.key)
    }

    /// The file's name.
    pub(super) fn name(&self) -> String {
        match self.due.seconds() {
            Some(due) => format!("{due:010}.{}", self.id()),
            None => self.id().to_string(),
        }
    }

    /// The file's directory.
    pub(super) fn dir<'a>(&self, places: &'a Places) -> &'a Dir {
        if self.due == Due::HELD { &places.held } else { &places.queue }
    }
}

impl Places {
    /// Opens the directories, making those that are missing.
    pub(super) fn make(disk: &Disk, path: &Path) -> io::Result<Places> {
        let make = |name| disk.make_all(&path.join(name), 0o700);
        Ok(Places {
            tmp: make("tmp")?,
            queue: make("queue")?,
            held: make("held")?,
            corrupt: make("corrupt")?,
            root: disk.open(path)?,
        })
    }

    /// Opens the directories to look only.
    pub(super) fn look(path: &Path) -> io::Result<Places> {
        let root = Disk::inline().open(path)?;
        Ok(Places {
            tmp: root.open("tmp")?,
            queue: root.open("queue")?,
            held: root.open("held")?,
            corrupt: root.open("corrupt")?,
            root,
        })
    }

    pub(super) fn lock(&self) -> io::Result<FileLock> {
        FileLock::take(&self.root, "lock")?.ok_or_else(|| {
            let owner = self.root.read("lock", 64).ok().flatten().unwrap_or_default();
            let owner = String::from_utf8_lossy(&owner).trim().to_owned();
            let text = format!("{}: in use by process {owner}; only one may", self.root.path().display());
            io::Error::new(io::ErrorKind::ResourceBusy, text)
        })
    }

    /// Takes away what is unfinished, and names every entry to `found`, which answers false for an id that it had
    /// before. What has no name of ours is set aside; where not even that works it stays, and is passed over.
    pub(super) fn start(&self, mut found: impl FnMut(Key, Due) -> bool) -> io::Result<()> {
        for name in self.tmp.names()? {
            let name = name?;
            if let Err(fault) = self.tmp.remove(&name) {
                let _ = self.set_aside(&self.tmp, &name, &format!("it can't be removed: {fault}"));
            }
        }
        // Held first: where a file system without NOREPLACE was cut short between link and unlink, the entry is
        // there under both names, and a person's word counts.
        for held in [true, false] {
            let dir = if held { &self.held } else { &self.queue };
            for name in dir.names()? {
                let name = name?;
                match if held { Place::held(&name) } else { Place::waiting(&name) } {
                    Some(place) if found(place.key, place.due) => {}
                    found => {
                        let why = if found.is_some() {
                            "another file has its id"
                        } else {
                            "its name is none of ours"
                        };
                        let _ = self.set_aside(dir, &name, why);
                    }
                }
            }
        }
        Ok(())
    }

    /// Gives a file the name of another place.
    pub(super) fn shift(&self, from: &Place, to: &Place) -> io::Result<()> {
        from.dir(self).rename_new(from.name(), to.dir(self), to.name())
    }

    /// Moves a file out of the way of the daemon, and says so in the log.
    pub(super) fn set_aside(&self, dir: &Dir, name: &OsStr, why: &str) -> io::Result<()> {
        let mut to = name.to_owned();
        for copy in 1..100 {
            match dir.rename_new(name, &self.corrupt, &to) {
                Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => {
                    to = name.to_owned();
                    to.push(format!(".{copy}"));
                }
                Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(()),
                done => {
                    let file = self.corrupt.path().join(&to);
                    match &done {
                        Ok(()) => tracing::error!(file = %file.display(), why, "set a spool file aside"),
                        Err(fault) => {
                            tracing::error!(%fault, why, "a spool file can't be read nor set aside");
                        }
                    }
                    return done;
                }
            }
        }
        Err(io::Error::new(io::ErrorKind::AlreadyExists, "too many files of one name were set aside"))
    }
}
