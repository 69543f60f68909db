//! What must go: messages that we have taken responsibility for and that have not reached every recipient.

use crate::mail::{
    draft::Draft,
    envelope::Envelope,
    id::QueueId,
    verdict::{Verdict, Why},
};
use std::{
    io,
    ops::Range,
    time::{Duration, SystemTime},
};

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

/// The spool of one daemon.
pub trait Spool: Send + Sync {
    /// A message being written, in wire octets (CR LF).
    type Draft: Draft<Place = Envelope>;
    /// The octets of a spooled message.
    type Octets: io::Read + Send;

    /// Begins a message.
    fn draft(&self) -> io::Result<Self::Draft>;
    /// Claims up to `most` entries that are due at `now`, oldest due first, each for `lease` long.
    fn claim(&self, now: SystemTime, lease: Duration, most: usize) -> io::Result<Vec<Lease>>;
    /// When the next unclaimed entry is due.
    fn next_due(&self) -> Option<SystemTime>;
    /// Lengthens a lease. Fails when it ran out and another took the entry.
    fn renew(&self, lease: &mut Lease, now: SystemTime, by: Duration) -> io::Result<()>;
    /// Records what became of some recipients (by index) while others are still being tried; the lease goes on.
    /// So what one destination took is not given to it again after a crash, however long another keeps us
    /// waiting. Durable when it returns; refused like [`Spool::settle`].
    fn record(&self, lease: &Lease, verdicts: &[(usize, Verdict)]) -> io::Result<()>;
    /// Records what became of recipients (by index) and ends the lease. Refused, without any change, when the
    /// lease ran out and another took the entry. Durable when it returns, except that a removed entry may
    /// come back after a power cut: the copies that it would make again are the permitted duplicate.
    fn settle(&self, lease: Lease, verdicts: &[(usize, Verdict)], next: Next) -> io::Result<()>;
    /// The octets of a claimed or listed message in `range`.
    fn read(&self, id: &QueueId, range: Range<u64>) -> io::Result<Self::Octets>;
    /// Up to `most` entries with an id greater than `after`, in the order of ids.
    fn list(&self, after: Option<&QueueId>, most: usize) -> io::Result<Vec<Entry>>;
    /// Keeps an entry from being claimed.
    fn hold(&self, id: &QueueId) -> io::Result<()>;
    /// Makes an entry due at `now`, held or not.
    fn release(&self, id: &QueueId, now: SystemTime) -> io::Result<()>;
    /// Removes an entry without telling anybody. Fails while it is claimed.
    fn remove(&self, id: &QueueId) -> io::Result<()>;
}
