//! A message being received: what is written on top of it, and where its octets go.
//!
//! A small one comes in one piece, and all that is to be done for it is done by one thread. A large one goes to the
//! disk as it comes, to the mailbox of its only recipient or to the spool.

use super::{
    Relay, blocking, direct,
    intake::unspooled,
    local::{Copy, unstored},
    text::Whole,
    transaction::Transaction,
};
use crate::{
    agent::route::Fate,
    mail::{
        id::QueueId,
        trace::{HOPS_MAX, Told},
        verdict::{Verdict, Why},
    },
    spool::Spool,
    store::Store,
};
use std::{io::Write, sync::Arc};

/// A large message, partly written.
pub(super) struct Message<S: Store, Q: Spool> {
    /// Its name.
    pub(super) id: QueueId,
    /// Octets so far.
    pub(super) size: u64,
    writing: Writing<S, Q>,
}

/// What became of a message.
pub(super) struct Taken {
    /// One verdict a recipient.
    pub(super) verdicts: Vec<Verdict>,
    /// Some of it waits in the spool.
    pub(super) queued: bool,
}

enum Writing<S: Store, Q: Spool> {
    Mailbox(Box<Copy>, S::Draft),
    Spool(Q::Draft),
}

/// What the head of a message says against it: it has been through too many hosts. (RFC 5321 section 6.3)
pub(super) fn judge(told: &Told) -> Result<(), Verdict> {
    match told.hops > HOPS_MAX {
        true => Err(Verdict::Never(Why::new(4, 6, format!("mail loop: {} hosts were passed", told.hops)))),
        false => Ok(()),
    }
}

/// True for the ends at which the message was before.
fn loops(transaction: &Transaction, told: &Told) -> (usize, usize) {
    let local = transaction.ends.iter().filter(|end| matches!(end.fate, Fate::Local { .. }));
    let looping = local.filter(|end| told.was_delivered_to(&end.mailbox)).count();
    (looping, transaction.ends.len())
}

impl<S: Store + 'static, Q: Spool + 'static> Relay<S, Q> {
    /// Takes a message that is whole and small.
    pub(super) async fn take(
        self: &Arc<Self>,
        transaction: Transaction,
        id: &QueueId,
        told: &Told,
        top: Vec<u8>,
        text: Vec<u8>,
    ) -> Taken {
        let (looping, ends) = loops(&transaction, told);
        if looping == ends {
            return Taken { verdicts: vec![looped(); transaction.recipients.len()], queued: false };
        }
        let (top, text) = (Arc::new(top), Arc::new(text));
        let mut verdicts = vec![None; ends];
        if transaction.is_direct() && looping == 0 {
            let of_ends = self.deliver_now(&transaction, id, Arc::clone(&top), Arc::clone(&text)).await;
            if of_ends.iter().all(Verdict::is_done) || !of_ends.iter().any(Verdict::is_done) {
                return Taken { verdicts: transaction.verdicts(&of_ends), queued: false };
            }
            verdicts = of_ends.into_iter().map(|verdict| verdict.is_done().then_some(verdict)).collect();
        }
        // What is left goes through the spool: all of it, or what a mailbox did not take now.
        let left = (0..ends).filter(|&number| verdicts.get(number).is_some_and(Option::is_none));
        let envelope = transaction.envelope(left);
        let (relay, id) = (Arc::clone(self), id.clone());
        let spooled = blocking(move || relay.spool(&id, envelope, &top, &mut Whole(Some(&text)))).await;
        let outcome = match spooled {
            Ok(Ok(())) => Verdict::Done,
            Ok(Err(why)) | Err(why) => Verdict::Later(why),
        };
        let of_ends: Vec<Verdict> =
            verdicts.into_iter().map(|verdict| verdict.unwrap_or_else(|| outcome.clone())).collect();
        Taken { verdicts: transaction.verdicts(&of_ends), queued: true }
    }

    /// Begins a large message with its first octets, which come back. With several recipients it goes through the
    /// spool even where all are local: should one mailbox fail, nothing has to be read back from another.
    pub(super) async fn begin_large(
        self: &Arc<Self>,
        transaction: &Transaction,
        id: QueueId,
        told: &Told,
        top: Vec<u8>,
        text: Vec<u8>,
    ) -> Result<(Message<S, Q>, Vec<u8>), Verdict> {
        let (looping, ends) = loops(transaction, told);
        if looping == ends {
            return Err(looped());
        }
        let copy = match transaction.ends.as_slice() {
            [only] if !transaction.wants_reports() => {
                direct::copy(&id, only, transaction.sender.as_ref(), false)
            }
            _ => None,
        };
        let relay = Arc::clone(self);
        let begun = blocking(move || {
            let writing = match copy {
                Some(copy) => {
                    let mut draft = relay.begin(&copy, &top)?;
                    draft.write_all(&text).map_err(|fault| unstored(&fault))?;
                    Writing::Mailbox(Box::new(copy), draft)
                }
                None => {
                    let begun = relay.spool.draft().and_then(|mut draft| {
                        draft.write_all(&top)?;
                        draft.write_all(&text)?;
                        Ok(draft)
                    });
                    Writing::Spool(begun.map_err(|fault| unspooled(&fault))?)
                }
            };
            let size = text.len() as u64;
            Ok((Message { id, size, writing }, text))
        });
        begun.await.and_then(|begun| begun).map_err(Verdict::Later)
    }

    /// Finishes a large message.
    pub(super) async fn finish_large(
        self: &Arc<Self>,
        message: Message<S, Q>,
        transaction: Transaction,
        rest: Vec<u8>,
    ) -> Taken {
        let queued = matches!(message.writing, Writing::Spool(_));
        let relay = Arc::clone(self);
        let count = transaction.recipients.len();
        let outcome = blocking(move || match message.writing {
            Writing::Mailbox(copy, mut draft) => {
                draft.write_all(&rest).map_err(|fault| unstored(&fault))?;
                relay.finish(&copy, draft, message.size.saturating_add(rest.len() as u64))
            }
            Writing::Spool(mut draft) => {
                draft.write_all(&rest).map_err(|fault| unspooled(&fault))?;
                let envelope = transaction.envelope(0..transaction.ends.len());
                relay.keep(&message.id, envelope, draft)
            }
        });
        let verdict = match outcome.await.and_then(|outcome| outcome) {
            Ok(()) => Verdict::Done,
            Err(why) => Verdict::Later(why),
        };
        Taken { verdicts: vec![verdict; count], queued }
    }
}

impl<S: Store + 'static, Q: Spool + 'static> Message<S, Q> {
    /// Writes further octets, which come back.
    pub(super) async fn push(self, octets: Vec<u8>) -> Result<(Message<S, Q>, Vec<u8>), Why> {
        let mut message = self;
        let pushed = blocking(move || {
            match &mut message.writing {
                Writing::Mailbox(_, draft) => draft.write_all(&octets).map_err(|fault| unstored(&fault))?,
                Writing::Spool(draft) => draft.write_all(&octets).map_err(|fault| unspooled(&fault))?,
            }
            message.size = message.size.saturating_add(octets.len() as u64);
            Ok((message, octets))
        });
        pushed.await.and_then(|pushed| pushed)
    }
}

fn looped() -> Verdict {
    Verdict::Never(Why::new(4, 6, "mail loop: the message was delivered here before"))
}
