//! A message on its way in: it is streamed into a draft, and durable before it has a UID.

use super::{FULL, User};
use crate::{
    agent::daemon::blocking,
    mail::{draft::Draft as _, flags::Flags, folder::FolderName, id::DeliveryKey},
    store::{Act, Done, Fault, LineEnds, Place, Store},
    sys::{clock::Clock, random},
    wire::imap::server::{Answer, Code, Refusal},
};
use std::{io::Write as _, sync::Arc, time::SystemTime};

/// A message being appended.
pub(super) struct Appending<S: Store> {
    draft: S::Draft,
    place: Place,
    size: u64,
}

impl<S: Store + 'static> Appending<S> {
    /// Begins, where the folder exists and the account has room.
    pub(super) async fn begin(
        user: &User<S>,
        folder: FolderName,
        flags: Flags,
        date: Option<SystemTime>,
        size: u64,
    ) -> Result<Appending<S>, Refusal> {
        let quota = user.quota();
        let (of, serve) = (folder.clone(), Arc::clone(&user.serve));
        let begun = user.ask(move |store, home| {
            store.status(home, &of)?;
            if !serve.has_room(home, quota, size)? {
                return Ok(None);
            }
            // What a client sends has line ends of all kinds; that all are CR LF shows only at the end.
            Ok(Some(store.draft(home, LineEnds::Unknown)?))
        });
        match begun.await? {
            Some(draft) => Ok(Appending { draft, place: Place { folder, flags, date }, size }),
            None => Err(FULL),
        }
    }

    /// Writes a piece, and gives its buffer back.
    pub(super) async fn push(
        mut self,
        user: &User<S>,
        octets: Vec<u8>,
    ) -> Result<(Appending<S>, Vec<u8>), Refusal> {
        let written = blocking(move || self.draft.write_all(&octets).map(|()| (self, octets))).await;
        match written {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(fault)) => Err(user.refusal(Fault::Local(fault))),
            Err(_) => Err(Refusal::new(Code::ServerBug, "A fault in the server")),
        }
    }

    /// Makes it durable.
    pub(super) async fn end(mut self, user: &User<S>) -> Answer {
        let serve = Arc::clone(&user.serve);
        let appended = user.ask(move |store, home| {
            self.draft.seal()?;
            let key = DeliveryKey::first(random::queue_id(&Clock::system()));
            let act = Act::Append { draft: self.draft, place: self.place, key };
            match store.apply(home, vec![act]).outcomes.pop() {
                Some(Ok(Done::Appended { uid_validity, uid })) => {
                    serve.usage.add(&home.account, self.size);
                    Ok((uid_validity, uid))
                }
                Some(Err(fault)) => Err(fault),
                _ => Err(Fault::Cannot("it has no UID")),
            }
        });
        match appended.await {
            Ok((uid_validity, uid)) => Answer::Appended { uid_validity, uid },
            Err(refusal) => Answer::No(refusal),
        }
    }
}
