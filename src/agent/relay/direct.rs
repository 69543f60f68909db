//! Direct delivery: every recipient is local and there are few, so the message goes into their mailboxes before the
//! reply, and never through the spool.

use super::{
    Relay, blocking,
    intake::not_local,
    local::{Copy, unstored},
    text::Whole,
    transaction::Transaction,
};
use crate::{
    agent::route::{Fate, expand::Leaf},
    mail::{
        address::Mailbox,
        draft::Draft as _,
        id::{DeliveryKey, QueueId},
        verdict::Verdict,
    },
    spool::Spool,
    store::Store,
};
use std::{io::Write as _, sync::Arc};

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
    /// Puts a message that is in memory into the mailboxes of all its ends. One verdict an end.
    pub(super) async fn deliver_now(
        self: &Arc<Self>,
        transaction: &Transaction,
        id: &QueueId,
        top: Arc<Vec<u8>>,
        text: Arc<Vec<u8>>,
    ) -> Vec<Verdict> {
        let sender = transaction.sender.as_ref();
        let mut copies: Vec<Copy> =
            transaction.ends.iter().filter_map(|end| copy(id, end, sender, false)).collect();
        if copies.len() != transaction.ends.len() {
            return vec![Verdict::Later(not_local()); transaction.ends.len()];
        }
        let relay = Arc::clone(self);
        if copies.len() == 1
            && let Some(copy) = copies.pop()
        {
            let put = blocking(move || relay.put(&copy, &top, &mut Whole(Some(&text)))).await;
            return vec![put.unwrap_or_else(Verdict::Later)];
        }
        self.deliver_to_several(copies, top, text).await
    }

    /// All copies are written before the first is committed, so that a disk without room for all keeps none; then they
    /// are committed side by side. A mailbox that can't be written otherwise is no reason to refuse the others theirs.
    async fn deliver_to_several(
        self: &Arc<Self>,
        copies: Vec<Copy>,
        top: Arc<Vec<u8>>,
        text: Arc<Vec<u8>>,
    ) -> Vec<Verdict> {
        let (relay, count, size) = (Arc::clone(self), copies.len(), text.len() as u64);
        let written = blocking(move || {
            let mut drafts = Vec::with_capacity(copies.len());
            for copy in copies {
                let draft = relay.begin(&copy, &top).and_then(|mut draft| {
                    draft.write_all(&text).and_then(|()| draft.seal()).map_err(|fault| unstored(&fault))?;
                    Ok(draft)
                });
                match draft {
                    Err(why) if why.is_full() => return Err(why),
                    draft => drafts.push((copy, draft)),
                }
            }
            Ok(drafts)
        });
        let drafts = match written.await.and_then(|written| written) {
            Ok(drafts) => drafts,
            Err(why) => return vec![Verdict::Later(why); count],
        };
        let mut under_way = Vec::with_capacity(count);
        for (copy, draft) in drafts {
            let relay = Arc::clone(self);
            under_way.push(tokio::spawn(blocking(move || relay.finish(&copy, draft?, size))));
        }
        let mut verdicts = Vec::with_capacity(count);
        for one in under_way {
            verdicts.push(match one.await {
                Ok(Ok(Ok(()))) => Verdict::Done,
                Ok(Ok(Err(why)) | Err(why)) => Verdict::Later(why),
                Err(_) => Verdict::Later(not_local()),
            });
        }
        verdicts
    }
}
