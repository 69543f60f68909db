//! Into the spool, durably.

use super::{Relay, text::Source};
use crate::{
    mail::{
        draft::{Draft, Receipt},
        envelope::Envelope,
        id::{DeliveryKey, QueueId},
        verdict::Why,
    },
    spool::Spool,
    store::Store,
};
use std::io::Write;

/// A fault of ours that should not be.
pub(super) fn not_local() -> Why {
    Why::new(3, 0, "a fault in the program")
}

impl<S: Store + 'static, Q: Spool + 'static> Relay<S, Q> {
    /// Spools a message under the name `id`, and wakes whoever sends it on. Blocking. The text is `top`, then what
    /// `source` gives.
    pub(super) fn spool(
        &self,
        id: &QueueId,
        envelope: Envelope,
        top: &[u8],
        source: &mut impl Source,
    ) -> Result<(), Why> {
        let written = self.spool.draft().and_then(|mut draft| {
            draft.write_all(top)?;
            while let Some(octets) = source.next()? {
                draft.write_all(octets)?;
            }
            Ok(draft)
        });
        self.keep(id, envelope, written.map_err(|fault| unspooled(&fault))?)
    }

    /// Commits a draft that is written. Blocking.
    pub(super) fn keep(&self, id: &QueueId, envelope: Envelope, mut draft: Q::Draft) -> Result<(), Why> {
        draft.seal().map_err(|fault| unspooled(&fault))?;
        let key = DeliveryKey::first(id.clone());
        match draft.commit(vec![envelope], &key).wait().into_iter().next() {
            Some(Ok(_)) => {
                self.due.notify_one();
                Ok(())
            }
            Some(Err(why)) => Err(why),
            None => Err(not_local()),
        }
    }
}

pub(super) fn unspooled(fault: &std::io::Error) -> Why {
    Why::local("the message could not be spooled", fault)
}
