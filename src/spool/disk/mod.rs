//! The spool on disk: a directory a state, a file a message (the table at the head of `spool/mod.rs`).
//!
//! A file's name says when it is due, so a start reads directories and no file. Claims live in memory only: a crash
//! ends them. Each entry is changed by one thread at a time ([`Grasp`]); no lock is held over a system call.
//!
//! Left out: any guess at what a damaged file meant. It is set aside for a person.

mod draft;
mod entry;
mod places;
mod settle;
mod view;

pub use draft::{DiskDraft, DiskReceipt};
pub use entry::Octets;
pub use view::View;

use super::{
    Entry, Lease, Look, Next, Spool, Standing,
    claims::{self, Claims, Due, Key},
    format::Fault,
};
use crate::{
    mail::{id::QueueId, verdict::Verdict},
    sys::{disk::Disk, lock::FileLock},
};
use places::{Place, Places};
use std::{
    collections::{HashMap, HashSet},
    io,
    ops::Range,
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

/// How long an entry that can't be read just now, or whose name can't be changed just now, is left alone.
const PAUSE: Duration = Duration::from_secs(60);
/// Files that one call of `claim` looks at in vain, at most.
const VAIN: usize = 256;

/// A spool in a directory. Clones are the same spool.
#[derive(Clone, Debug)]
pub struct DiskSpool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    places: Places,
    table: Mutex<Table>,
    let_go: Condvar,
    /// Dies with its owner: a second daemon on the same spool sees it.
    _lock: FileLock,
}

#[derive(Debug, Default)]
struct Table {
    claims: Claims,
    /// Ids of messages that are being made durable.
    coming: HashSet<Key>,
    /// Entries that a thread is changing.
    grasped: HashSet<Key>,
    /// Threads that wait for one of them.
    waiting: usize,
    /// Of claimed entries, how often each recipient was tried; `None` where nothing is left to do.
    tries: HashMap<Key, Vec<Option<u32>>>,
    /// Outcomes that could not be written. They hold all the same, and are written with the next ones.
    unwritten: HashMap<Key, Vec<(usize, Verdict)>>,
    /// Entries whose journal may end in a torn line.
    doubtful: HashSet<Key>,
}

impl DiskSpool {
    /// Opens the spool in the directory `path`, making what is missing, and finds its entries by their names. What
    /// stands in tmp/ was never acknowledged, and goes; a name in queue/ or held/ that is none of ours is set aside.
    /// Fails (`ResourceBusy`) while another process has the spool.
    pub fn open(disk: &Disk, path: &Path) -> io::Result<DiskSpool> {
        let places = Places::make(disk, path)?;
        let lock = places.lock()?;
        let mut table = Table::default();
        places.start(|key, due| table.claims.insert(key, due))?;
        Ok(DiskSpool(Arc::new(Inner {
            places,
            table: Mutex::new(table),
            let_go: Condvar::new(),
            _lock: lock,
        })))
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.table().claims.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no other thread changes the entry, and keeps others from it. `NotFound` when it is gone.
    fn grasp(&self, key: Key) -> io::Result<Grasp<'_>> {
        let mut table = self.table();
        while table.grasped.contains(&key) {
            table.waiting = table.waiting.saturating_add(1);
            table = self.0.let_go.wait(table).unwrap_or_else(PoisonError::into_inner);
            table.waiting = table.waiting.saturating_sub(1);
        }
        let due = table.claims.due(&key)?;
        table.grasped.insert(key);
        drop(table);
        Ok(Grasp { spool: self, place: Place::new(key, due), key })
    }

    /// Reads a claimed entry. `None` when it can't be delivered: it is gone, was set aside, or must wait.
    fn take_up(&self, key: Key, fence: u64, now: SystemTime) -> Option<Entry> {
        let mut grasp = self.grasp(key).ok()?;
        let fault = match grasp.read() {
            Ok(entry) if entry.standing.iter().any(Standing::is_waiting) => {
                let tries = entry.standing.iter().map(|standing| match standing {
                    Standing::Waiting { tries, .. } => Some(*tries),
                    _ => None,
                });
                self.table().tries.insert(key, tries.collect());
                return Some(entry);
            }
            // The last outcome was written, but not the removal that follows it.
            Ok(_) => match grasp.remove() {
                Ok(()) => return None,
                Err(fault) => Fault::Read(fault),
            },
            Err(fault) => fault,
        };
        match fault {
            Fault::Read(fault) if fault.kind() == io::ErrorKind::NotFound => {
                tracing::warn!(id = %QueueId::unpacked(key), "a spool file was taken away by somebody else");
                self.table().forget(&key);
            }
            Fault::Read(fault) if entry::may_pass(&fault) => {
                tracing::warn!(id = %QueueId::unpacked(key), %fault, "a spool file can't be read now");
                grasp.pause(fence, now);
            }
            fault => {
                if grasp.set_aside(&fault).is_err() {
                    grasp.pause(fence, now);
                }
            }
        }
        None
    }
}

impl Look for DiskSpool {
    type Octets = Octets;

    fn read(&self, id: &QueueId, range: Range<u64>) -> io::Result<Octets> {
        let grasp = self.grasp(id.packed())?;
        Octets::open(&self.0.places, &grasp.place, range)
    }

    fn entry(&self, id: &QueueId) -> io::Result<Entry> {
        self.grasp(id.packed())?.read().map_err(entry::unreadable)
    }

    fn list(&self, after: Option<&QueueId>, most: usize) -> io::Result<Vec<Entry>> {
        let mut after = after.map(QueueId::packed);
        let mut entries = Vec::new();
        while entries.len() < most {
            let page = self.table().claims.page(after, most.saturating_sub(entries.len()));
            let Some((last, _)) = page.last() else { break };
            after = Some(*last);
            for (key, _) in page {
                // One that went meanwhile, or can't be read, is no reason to show none; claim deals with it.
                entries.extend(self.grasp(key).ok().and_then(|grasp| grasp.read().ok()));
            }
        }
        Ok(entries)
    }
}

impl Spool for DiskSpool {
    type Draft = DiskDraft;

    fn draft(&self) -> io::Result<DiskDraft> {
        Ok(DiskDraft::new(self.clone()))
    }

    fn claim(&self, now: SystemTime, lease: Duration, most: usize) -> io::Result<Vec<Lease>> {
        let until = claims::after(now, lease)?;
        let mut leases = Vec::new();
        for _ in 0..most.saturating_add(VAIN) {
            if leases.len() == most {
                break;
            }
            let Some((key, fence)) = self.table().claims.take(now, until) else { break };
            leases.extend(self.take_up(key, fence, now).map(|entry| Lease { entry, fence, until }));
        }
        Ok(leases)
    }

    fn next_due(&self) -> Option<SystemTime> {
        self.table().claims.next()
    }

    fn renew(&self, lease: &mut Lease, now: SystemTime, by: Duration) -> io::Result<()> {
        let until = claims::after(now, by)?;
        self.table().claims.renew(&lease.entry.id.packed(), lease.fence, until)?;
        lease.until = until;
        Ok(())
    }

    fn record(&self, lease: &Lease, verdicts: &[(usize, Verdict)]) -> io::Result<()> {
        settle::record(self.grasp(lease.entry.id.packed())?, lease, verdicts)
    }

    fn settle(&self, lease: Lease, verdicts: &[(usize, Verdict)], next: Next) -> io::Result<()> {
        settle::settle(self.grasp(lease.entry.id.packed())?, &lease, verdicts, next)
    }

    fn hold(&self, id: &QueueId) -> io::Result<()> {
        self.grasp(id.packed())?.hold()
    }

    fn release(&self, id: &QueueId, now: SystemTime) -> io::Result<()> {
        let mut grasp = self.grasp(id.packed())?;
        let held = grasp.place.due == Due::HELD;
        grasp.set_due(Due::by(now))?;
        // Where it was only made due sooner, a power cut makes it due later again: nothing is lost.
        if held { self.0.places.queue.sync().and_then(|()| self.0.places.held.sync()) } else { Ok(()) }
    }

    fn remove(&self, id: &QueueId) -> io::Result<()> {
        let mut grasp = self.grasp(id.packed())?;
        if self.table().claims.is_claimed(&grasp.key) {
            return Err(claims::busy(&grasp.key));
        }
        grasp.remove()?;
        grasp.place.dir(&self.0.places).sync()
    }
}

/// An entry that only this thread changes.
struct Grasp<'a> {
    spool: &'a DiskSpool,
    key: Key,
    place: Place,
}

impl Grasp<'_> {
    /// Reads the entry, with the outcomes that could not be written. A torn last line of its journal is noted.
    fn read(&self) -> Result<Entry, Fault> {
        let found = entry::read(&self.spool.0.places, &self.place)?;
        let mut entry = found.entry;
        let mut table = self.spool.table();
        if found.torn {
            table.doubtful.insert(self.key);
        }
        for (to, verdict) in table.unwritten.get(&self.key).into_iter().flatten() {
            if let Some(standing) = entry.standing.get_mut(*to) {
                standing.apply(verdict);
            }
        }
        Ok(entry)
    }

    /// Makes the entry due at another time, or held: one rename.
    fn set_due(&mut self, due: Due) -> io::Result<()> {
        if due != self.place.due {
            let to = Place::new(self.key, due);
            self.spool.0.places.shift(&self.place, &to)?;
            self.spool.table().claims.set_due(&self.key, due)?;
            self.place = to;
        }
        Ok(())
    }

    /// Makes the entry held, durably.
    fn hold(&mut self) -> io::Result<()> {
        self.set_due(Due::HELD)?;
        let places = &self.spool.0.places;
        places.held.sync().and_then(|()| places.queue.sync())
    }

    /// Takes the file away, and the entry.
    fn remove(&mut self) -> io::Result<()> {
        self.place.dir(&self.spool.0.places).remove(self.place.name())?;
        self.spool.table().forget(&self.key);
        Ok(())
    }

    /// Sets the file aside for a person.
    fn set_aside(&mut self, fault: &Fault) -> io::Result<()> {
        let places = &self.spool.0.places;
        places.set_aside(self.place.dir(places), self.place.name().as_ref(), &fault.to_string())?;
        self.spool.table().forget(&self.key);
        Ok(())
    }

    /// Keeps others from claiming the entry for a while.
    fn pause(&self, fence: u64, now: SystemTime) {
        if let Ok(until) = claims::after(now, PAUSE) {
            let _ = self.spool.table().claims.renew(&self.key, fence, until);
        }
    }
}

impl Drop for Grasp<'_> {
    fn drop(&mut self) {
        let mut table = self.spool.table();
        table.grasped.remove(&self.key);
        if table.waiting > 0 {
            self.spool.0.let_go.notify_all();
        }
    }
}

impl Table {
    fn forget(&mut self, key: &Key) {
        self.claims.remove(key);
        self.tries.remove(key);
        self.unwritten.remove(key);
        self.doubtful.remove(key);
    }
}
