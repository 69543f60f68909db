//! One IMAP connection: answers what its session asks. Folders and messages are asked of the store on threads that may
//! block.
//!
//! `selected` has what is asked of the selected folder, `message` how messages are read, `search` how they are searched, `append` how one
//! comes in, `folders` which ones every account has.

mod append;
mod folders;
mod message;
mod search;
mod selected;

use super::{Serve, Settings, client::Client};
use crate::{
    account::Account,
    agent::daemon::{blocking, limits::UserSeat, login::Login},
    mail::query::Uid,
    net::{
        accept::Closing,
        converse::{Agent, Manners, Trouble, converse},
        link::{Link, Wire},
        tls::Role,
    },
    store::{Fault, Home, Store},
    wire::{
        imap::server::{Answer, Ask, Code, Event, Known, Listed, Refusal, Server, Status},
        sasl::Credentials,
    },
};
use append::Appending;
use selected::Selected;
use std::{borrow::Cow, io, sync::Arc};

/// Lets a connection talk until it ends. With an account it is logged in from the start.
pub(super) async fn session<S: Store + 'static>(
    serve: Arc<Serve<S>>,
    settings: Arc<Settings>,
    (client, account): (Client, Option<Account>),
    door: &'static str,
    closing: Closing,
    link: Link<Wire>,
    role: Role,
) {
    let known = Known { login: account.is_some(), plaintext_login: client.may_be_plain(&settings) };
    let mut session = Server::new(Arc::new(settings.imap(door)), known);
    let mut user = User { serve, client, account: None };
    if let Some(account) = account
        && let Some(seat) = user.serve.limits.sit(&account.id, usize::MAX)
    {
        user.begin(&settings, account, seat).await;
    }
    let mut agent = Imap { user, settings, closing, selected: None, appending: None, identified: false };
    // The agent was told of any trouble.
    let _ = converse(&mut session, &mut agent, link, &role, &Manners::SERVER).await;
    if let Some((account, _)) = &agent.user.account {
        tracing::info!(client = agent.user.client.name, login = account.id, "logged out");
    }
}

/// The agent of one connection.
struct Imap<S: Store> {
    user: User<S>,
    settings: Arc<Settings>,
    closing: Closing,
    selected: Option<Selected<S>>,
    appending: Option<Appending<S>>,
    /// The peer has said what it is; once is enough for the log.
    identified: bool,
}

/// Whose connection it is, and what may be asked of the store for them.
struct User<S: Store> {
    serve: Arc<Serve<S>>,
    client: Client,
    account: Option<(Account, UserSeat)>,
}

impl<S: Store + 'static> User<S> {
    /// Asks the store on a thread that may block. A fault becomes a refusal, and a line of the log where it is ours.
    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&S, &Home) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Refusal> {
        let Some((account, _)) = &self.account else {
            return Err(Refusal::new(Code::ServerBug, "Nobody is logged in"));
        };
        let home = Home { account: account.id.clone(), location: account.location.clone() };
        let serve = Arc::clone(&self.serve);
        match blocking(move || work(&serve.store, &home)).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(fault)) => Err(self.refusal(fault)),
            Err(_) => Err(Refusal::new(Code::ServerBug, "A fault in the server")),
        }
    }

    /// The most octets that the account may keep.
    fn quota(&self) -> Option<u64> {
        self.account.as_ref().and_then(|(account, _)| account.quota)
    }

    /// So many octets came to what is kept.
    fn added(&self, octets: u64) {
        if let Some((account, _)) = &self.account {
            self.serve.usage.add(&account.id, octets);
        }
    }

    /// Something was removed, so that there is room for other things.
    fn removed(&self) {
        if let Some((account, _)) = &self.account {
            self.serve.usage.forget(&account.id);
        }
    }

    /// What was announced can't be told. The session ends, if it has told a part of it, for there are no words for that.
    fn changed_under_us(&self, uid: Uid) {
        let login = self.account.as_ref().map(|(account, _)| account.id.as_str()).unwrap_or_default();
        tracing::warn!(client = self.client.name, login, uid, "a message changed while it was read");
    }

    /// What the peer is told of a fault.
    fn refusal(&self, fault: Fault) -> Refusal {
        match fault {
            Fault::NoFolder => Refusal::new(Code::NonExistent, "There is no such folder"),
            Fault::Exists => Refusal::new(Code::AlreadyExists, "There is such a folder already"),
            Fault::NoMessage => Refusal::new(Code::ExpungeIssued, "The message is gone"),
            Fault::Cannot(why) => Refusal::new(Code::Cannot, why),
            Fault::Local(fault) => {
                let login = self.account.as_ref().map(|(account, _)| account.id.as_str()).unwrap_or_default();
                tracing::error!(client = self.client.name, login, %fault, "the mail store has a fault");
                match fault.kind() {
                    io::ErrorKind::StorageFull => Refusal::new(Code::Unavailable, "The disk is full"),
                    _ => Refusal::new(Code::Unavailable, "The mail store has a fault; try again later"),
                }
            }
        }
    }

    /// Somebody is logged in: their account gets the folders that it is to have.
    async fn begin(&mut self, settings: &Settings, account: Account, seat: UserSeat) {
        tracing::info!(client = self.client.name, login = account.id, "logged in");
        self.account = Some((account, seat));
        let wanted = settings.folders.clone();
        if !wanted.is_empty() {
            // A fault stands in the log, and is no reason not to serve what there is.
            let _ = self.ask(move |store, home| folders::make(store, home, &wanted)).await;
        }
    }

    async fn login(&mut self, settings: &Settings, credentials: Credentials) -> Answer {
        match self.client.login(&self.serve, settings, credentials).await {
            Login::Good(account, seat) => {
                self.begin(settings, account, seat).await;
                Answer::Done
            }
            Login::Wrong => refuse(Code::AuthenticationFailed, "Wrong login or password"),
            Login::Crowded => refuse(Code::Limit, "Too many connections of this user"),
            Login::Unknown => refuse(Code::Unavailable, "Logins cannot be checked now"),
        }
    }
}

/// There is no room for what is to be kept.
const FULL: Refusal = Refusal { code: Some(Code::OverQuota), text: Cow::Borrowed("The account is full") };

fn refuse(code: Code, text: &'static str) -> Answer {
    Answer::No(Refusal::new(code, text))
}

/// `Done`, or the refusal.
fn done(done: Result<(), Refusal>) -> Answer {
    done.map_or_else(Answer::No, |()| Answer::Done)
}

impl<S: Store + 'static> Agent<Server> for Imap<S> {
    async fn answer(&mut self, ask: Ask) -> Answer {
        let user = &mut self.user;
        match ask {
            Ask::Login { credentials, .. } => user.login(&self.settings, credentials).await,
            Ask::Identify(pairs) => {
                let login = user.account.as_ref().map(|(account, _)| account.id.as_str()).unwrap_or_default();
                if !std::mem::replace(&mut self.identified, true) {
                    tracing::info!(client = user.client.name, login, "calls itself {pairs:?}");
                }
                Answer::Done
            }
            Ask::Folders => {
                let folders = user.ask(|store, home| Ok(store.folders(home)?)).await;
                folders.map_or_else(Answer::No, |folders| {
                    Answer::Folders(folders.into_iter().map(listed).collect())
                })
            }
            Ask::Status(folder) => {
                let status = user.ask(move |store, home| store.status(home, &folder)).await;
                status.map_or_else(Answer::No, |status| {
                    Answer::Status(Status {
                        uid_validity: status.uid_validity,
                        uid_next: status.uid_next,
                        messages: status.messages,
                        unseen: status.unseen,
                        recent: status.recent,
                    })
                })
            }
            Ask::Create(folder) => done(user.ask(move |store, home| store.create(home, &folder)).await),
            Ask::Delete(folder) => {
                let deleted = done(user.ask(move |store, home| store.delete(home, &folder)).await);
                user.removed();
                deleted
            }
            Ask::Rename { from, to } => {
                done(user.ask(move |store, home| store.rename(home, &from, &to)).await)
            }
            Ask::Subscribe { folder, subscribed } => {
                done(user.ask(move |store, home| store.subscribe(home, &folder, subscribed)).await)
            }
            Ask::Select { folder, read_only } => {
                self.selected = None;
                match Selected::open(user, folder, read_only).await {
                    Ok((selected, snapshot)) => {
                        self.selected = Some(selected);
                        Answer::Selected(snapshot)
                    }
                    Err(refusal) => Answer::No(refusal),
                }
            }
            Ask::Unselect => {
                self.selected = None;
                Answer::Done
            }
            Ask::Append { folder, flags, date, size } => {
                self.appending = None;
                match Appending::begin(user, folder, flags, date, size).await {
                    Ok(appending) => {
                        self.appending = Some(appending);
                        Answer::Done
                    }
                    Err(refusal) => Answer::No(refusal),
                }
            }
            Ask::Chunk(octets) => match self.appending.take() {
                Some(appending) => match appending.push(user, octets).await {
                    Ok((appending, buffer)) => {
                        self.appending = Some(appending);
                        Answer::Taken(buffer)
                    }
                    Err(refusal) => Answer::No(refusal),
                },
                None => confused(),
            },
            Ask::End => match self.appending.take() {
                Some(appending) => appending.end(user).await,
                None => confused(),
            },
            Ask::Abort => {
                self.appending = None;
                Answer::Done
            }
            Ask::Pause => Answer::Done,
            ask => match &mut self.selected {
                Some(selected) => selected.answer(user, &mut self.closing, ask).await,
                None => confused(),
            },
        }
    }

    async fn event(&mut self) -> Event {
        let bell = self.selected.as_ref().map(Selected::bell);
        let stirred = async {
            match bell {
                Some(bell) => bell.notified().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.closing.once() => Event::Drain,
            () = stirred => Event::Changed,
        }
    }

    fn trouble(&mut self, trouble: &Trouble) {
        self.user.client.lost(trouble);
    }
}

fn listed(folder: crate::store::Listed) -> Listed {
    Listed { name: folder.name, exists: folder.exists, subscribed: folder.subscribed }
}

/// A question out of place. The session does not ask such; should it, nothing is pretended.
fn confused() -> Answer {
    Answer::Bye("A fault in the server".into())
}
