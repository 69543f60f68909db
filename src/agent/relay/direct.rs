//! Direct delivery: every recipient is local and there are few, so the message goes into their mailboxes before the
//! reply, and never through the spool.

use super::{Relay, blocking, local::Copy, text::Whole, transaction::Transaction};
use crate::{
    agent::route::{Fate, expand::Leaf},
    mail::{
        address::Mailbox,
        id::{DeliveryKey, QueueId},
        verdict::Verdict,
    },
    spool::Spool,
    store::Store,
};
use std::sync::Arc;

/// The copy of message `id` for a local end; `None` for any other.
pub(super) fn copy(id: &QueueId, end: &Leaf, sender: Option<&Mailbox>, again: bool) -> Option<Copy> {
    let Fate::Local { account, detail } = &end.fate else { return None };
    Some(Copy {
        account: account.clone(),
        detail: detail.clone(),
        mailbox: end.mailbox.clone(),
        sender: sender.cloned(),
        key: DeliveryKey::copy_for(id.clone(), &end.mailbox.key(), again),
    })
}

impl<S: Store + 'static, Q: Spool + 'static> Relay<S, Q> {
    /// Puts a message that is in memory into the mailboxes of all its ends, side by side. One verdict an end.
    pub(super) async fn deliver_now(
        self: &Arc<Self>,
        transaction: &Transaction,
        id: &QueueId,
        top: Arc<Vec<u8>>,
        text: Arc<Vec<u8>>,
    ) -> Vec<Verdict> {
        let mut under_way = Vec::with_capacity(transaction.ends.len());
        for end in &transaction.ends {
            let copy = copy(id, end, transaction.sender.as_ref(), false);
            let (relay, top, text) = (Arc::clone(self), Arc::clone(&top), Arc::clone(&text));
            under_way.push(tokio::spawn(blocking(move || match copy {
                Some(copy) => relay.put(&copy, &top, &mut Whole(Some(&text))),
                None => Verdict::Later(super::intake::not_local()),
            })));
        }
        let mut verdicts = Vec::with_capacity(under_way.len());
        for one in under_way {
            verdicts.push(match one.await {
                Ok(Ok(verdict)) => verdict,
                Ok(Err(why)) => Verdict::Later(why),
                Err(_) => Verdict::Later(super::intake::not_local()),
            });
        }
        verdicts
    }
}
