//! A message on its way to a durable place: what store and spool both hand out to be written into.

use super::{id::DeliveryKey, verdict::Why};
use std::io;

/// A message being written. Octets go in through [`io::Write`]; nothing is visible to anybody before
/// [`Draft::commit`]. Dropping a draft aborts it and leaves nothing behind.
pub trait Draft: io::Write + Send {
    /// Where one copy becomes visible: a folder with flags, or the envelope of a spooled message.
    type Place: Send;
    /// What commit answers with.
    type Receipt: Receipt;

    /// Ends the writing and starts the syncing. After an error the draft can only be dropped:
    /// a failed fsync is never tried again, since the kernel may have thrown the pages away.
    fn seal(&mut self) -> io::Result<()>;

    /// Makes the message visible in every place. Seals first if that was not done. A commit of unknown
    /// outcome may be repeated with the same `key`: a place that already has the copy counts as kept.
    fn commit(self, places: Vec<Self::Place>, key: &DeliveryKey) -> Self::Receipt;
}

/// The answer to a commit, one outcome a place, in the order of the places.
pub trait Receipt: Send {
    /// What is known of a copy that is kept.
    type Kept;

    /// Waits until the data and its directory entry are durable in each place (or are known not to be).
    /// An `Err` is always temporary: the caller gives it as `Verdict::Later`.
    fn wait(self) -> Vec<Result<Self::Kept, Why>>;
}
