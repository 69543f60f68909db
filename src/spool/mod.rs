//! What must go: messages that we have taken responsibility for and that have not reached every recipient.
//!
//! # The states of a message on disk
//! A message is one file, and the directory that holds it is its state:
//!
//! | state | file | known to the sender as | lives through a crash |
//! | --- | --- | --- | --- |
//! | coming | `tmp/NAME` (or none, while it is small) | not acknowledged | no: a start takes it away |
//! | waiting | `queue/DUE.ID` | ours | yes |
//! | claimed | `queue/DUE.ID` or `held/ID`, and a lease in memory | ours | as waiting or held: the lease ends |
//! | held | `held/ID` | ours | yes |
//! | set aside | `corrupt/NAME` | ours, and a line in the log | yes; nobody touches it but a person |
//! | gone | none | delivered, or its bounce is in the spool | - |
//!
//! Each transition is one system call on one name or at one file's end; what a crash before it and behind it leaves
//! is a state of this table, so nothing needs to be undone:
//!
//! | transition | the call | durable before it | made durable behind it |
//! | --- | --- | --- | --- |
//! | begin -> coming | `openat(tmp/NAME, O_EXCL)` | | |
//! | coming -> waiting | `renameat2(tmp/NAME, queue/DUE.ID, NOREPLACE)` | the file: `fsync` | `fsync(queue)`, then `250` |
//! | an outcome | append to the journal | | done, never: `fdatasync`; later: nothing (tried sooner) |
//! | claimed -> waiting until DUE | `renameat2(queue/OLD.ID, queue/DUE.ID)` | its outcomes | nothing (tried sooner) |
//! | claimed -> gone | `unlinkat` | the bounce, where there is one | nothing (the permitted duplicate) |
//! | waiting, claimed -> held | `renameat2(queue/DUE.ID, held/ID)` | | `fsync(held)`, `fsync(queue)` |
//! | held -> waiting | `renameat2(held/ID, queue/DUE.ID)` | | `fsync(queue)`, `fsync(held)` |
//! | waiting, held -> gone (a person's) | `unlinkat` | | `fsync` of its directory |
//! | waiting, held -> set aside | `renameat2(.., corrupt/NAME)` | | nothing (found again) |
//!
//! An append may be torn: the line without its end is ignored, and cut off before the next. A file system without
//! NOREPLACE takes `linkat` and `unlinkat` for a rename; between the two a file has both names, of which a start
//! sets one aside. `tests/crash.rs` kills the program at every one of these calls.

pub mod claims;
pub mod disk;
pub mod format;
pub mod memory;
pub mod schedule;

use crate::mail::{
    draft::{Draft, Receipt},
    envelope::Envelope,
    id::QueueId,
    verdict::{Verdict, Why},
};
use std::{
    io,
    ops::Range,
    time::{Duration, SystemTime},
};

const ONE_PLACE: &str = "a commit to the spool takes one envelope";
const TAKEN: &str = "the queue id is taken";

/// How one recipient of a spooled message stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Not tried, or to be tried again: how often it was tried, and why it did not go.
    Waiting {
        /// Attempts so far.
        tries: u32,
        /// The reason of the last failure.
        why: Option<Why>,
    },
    /// Delivered.
    Done,
    /// Given up; the sender is told by a bounce.
    Failed(Why),
}

impl Standing {
    /// What a verdict makes of it. Done and failed are final.
    pub fn apply(&mut self, verdict: &Verdict) {
        if let Standing::Waiting { tries, .. } = self {
            *self = match verdict {
                Verdict::Done => Standing::Done,
                Verdict::Later(why) => {
                    Standing::Waiting { tries: tries.saturating_add(1), why: Some(why.clone()) }
                }
                Verdict::Never(why) => Standing::Failed(why.clone()),
            };
        }
    }

    /// True while the recipient is to be tried (again).
    pub fn is_waiting(&self) -> bool {
        matches!(self, Standing::Waiting { .. })
    }
}

/// A spooled message, without its octets.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name.
    pub id: QueueId,
    /// Sender and recipients.
    pub envelope: Envelope,
    /// One a recipient, in the envelope's order.
    pub standing: Vec<Standing>,
    /// Octets of the message, with CR LF line ends.
    pub size: u64,
    /// When it came.
    pub arrived: SystemTime,
    /// When it is next tried; `None` while it is held.
    pub due: Option<SystemTime>,
}

/// An entry claimed for delivery: nobody else gets it until the lease ends. `fence` tells a lease that ran out
/// from the one that followed it.
#[derive(Debug)]
pub struct Lease {
    /// The message.
    pub entry: Entry,
    /// Grows with every claim of this entry.
    pub fence: u64,
    /// When the lease ends unless it is renewed.
    pub until: SystemTime,
}

/// What to do with an entry after an attempt.
#[derive(Clone, Debug)]
pub enum Next {
    /// Try the waiting recipients again at this time. With nobody waiting the entry is removed instead.
    At(SystemTime),
    /// Hold it until a person releases it.
    Hold,
}

/// A spool as far as one can look at it.
pub trait Look: Send + Sync {
    /// The octets of a spooled message.
    type Octets: io::Read + Send;

    /// The octets of a claimed or listed message in `range`.
    fn read(&self, id: &QueueId, range: Range<u64>) -> io::Result<Self::Octets>;
    /// One entry. `InvalidData` when it can't be read.
    fn entry(&self, id: &QueueId) -> io::Result<Entry>;
    /// Up to `most` entries with an id greater than `after`, in the order of ids; fewer only at the end. One that
    /// can't be read is left out.
    fn list(&self, after: Option<&QueueId>, most: usize) -> io::Result<Vec<Entry>>;
}

/// The spool of one daemon.
pub trait Spool: Look {
    /// A message being written, in wire octets (CR LF). A commit takes one envelope; a further one is refused. The
    /// key's id names the entry, which is due from the time in its id on; `Kept` is that id again. An id that is
    /// there already is refused, or counts as kept when the key says that this is a repeated commit.
    type Draft: Draft<Place = Envelope, Receipt: Receipt<Kept = QueueId>>;

    /// Begins a message.
    fn draft(&self) -> io::Result<Self::Draft>;
    /// Claims up to `most` entries that are due at `now`, the longest due first, each for `lease` long. What can't
    /// be read is set aside for a person, with a line in the log, and is no error.
    fn claim(&self, now: SystemTime, lease: Duration, most: usize) -> io::Result<Vec<Lease>>;
    /// When `claim` next finds something: an unclaimed entry is due, or a lease ends.
    fn next_due(&self) -> Option<SystemTime>;
    /// Lengthens a lease, to `by` from `now`. Fails (`ResourceBusy`) when it ran out and another took the entry.
    fn renew(&self, lease: &mut Lease, now: SystemTime, by: Duration) -> io::Result<()>;
    /// Records what became of some recipients (by index) while others are still being tried; the lease goes on.
    /// So what one destination took is not given to it again after a crash, however long another keeps us
    /// waiting. Done and Never are durable when it returns; a Later may be forgotten in a power cut, and then the
    /// next attempt comes sooner. A bounce is committed before its Never is recorded. Refused like
    /// [`Spool::settle`]. When the outcomes can't be written they hold in memory, are written with the next
    /// ones, and the fault is answered. An outcome for a recipient who is done or failed already changes nothing; one
    /// for an index beyond the recipients is refused (`InvalidInput`).
    fn record(&self, lease: &Lease, verdicts: &[(usize, Verdict)]) -> io::Result<()>;
    /// Records like [`Spool::record`], and ends the lease. With nobody waiting any more the entry is removed,
    /// which may come undone in a power cut: the copies that are made again are the permitted duplicate. Refused,
    /// without any change, when the lease ran out and another took the entry (`ResourceBusy`) or the entry is gone
    /// (`NotFound`). An entry that a person held meanwhile stays held.
    fn settle(&self, lease: Lease, verdicts: &[(usize, Verdict)], next: Next) -> io::Result<()>;
    /// Keeps an entry from being claimed (again). Durable when it returns, as are the two below.
    fn hold(&self, id: &QueueId) -> io::Result<()>;
    /// Makes an entry due at `now`, held or not.
    fn release(&self, id: &QueueId, now: SystemTime) -> io::Result<()>;
    /// Removes an entry without telling anybody. Fails (`ResourceBusy`) while it is claimed.
    fn remove(&self, id: &QueueId) -> io::Result<()>;
}
