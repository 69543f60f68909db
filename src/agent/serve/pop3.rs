//! One POP3 connection: answers what its session asks.

use super::{
    Serve, Settings,
    client::Client,
    heads::{self, Heads},
    maildrops::Held,
};
use crate::{
    agent::daemon::{blocking, limits::UserSeat, login::Login},
    mail::{
        folder::FolderName,
        query::{Uid, UidSet},
    },
    net::{
        accept::Closing,
        converse::{Agent, Manners, Trouble, converse},
        link::{Link, Wire},
        tls::Role,
    },
    store::{Act, Fault, Home, Store},
    wire::{
        pop3::{
            UIDL_MAX,
            reply::{Code, Reply},
            server::{Answer, Ask, Event, Known, Server},
        },
        sasl::Credentials,
    },
};
use std::{collections::HashMap, io::BufRead, sync::Arc};

/// Messages that are read ahead, at most.
const AHEAD: usize = 64;
/// Messages that are measured at once.
const MEASURED: usize = 10_000;

/// Lets a connection talk until it ends.
pub(super) async fn session<S: Store + 'static>(
    serve: Arc<Serve<S>>,
    settings: Arc<Settings>,
    client: Client,
    door: &'static str,
    closing: Closing,
    link: Link<Wire>,
    role: Role,
) {
    let known = Known { plaintext_login: client.may_be_plain(&settings) };
    let mut session = Server::new(Arc::new(settings.pop3(door)), known);
    let mut agent = Pop3 { serve, settings, client, closing, open: None };
    // The agent was told of any trouble.
    let _ = converse(&mut session, &mut agent, link, &role, &Manners::SERVER).await;
    let client = &agent.client.name;
    if let Some((count, last)) = session.refused() {
        tracing::info!(client, count, reply = %last, "refused what the client said");
    }
    if let Some(Open { home, retrieved, removed, .. }) = &agent.open {
        tracing::info!(client, login = home.account, retrieved, removed, "logged out");
    }
}

/// The agent of one connection.
struct Pop3<S: Store> {
    serve: Arc<Serve<S>>,
    settings: Arc<Settings>,
    client: Client,
    closing: Closing,
    open: Option<Open<S>>,
}

/// An open maildrop.
struct Open<S: Store> {
    home: Home,
    /// The user's connection and the maildrop, until the session lets go of them.
    held: Option<(UserSeat, Held)>,
    /// By number, from 1.
    uids: Vec<Uid>,
    uid_validity: u32,
    /// What is left of the message that is being read.
    rest: Option<S::Octets>,
    /// The number behind that of the message which was asked for last,
    next: u32,
    /// and messages from there on that were read already.
    ahead: Heads<S::Octets>,
    retrieved: u64,
    removed: usize,
}

const TROUBLE: Reply = Reply::refused(Code::SysTemp, "The mail store has a fault; come back later");

impl<S: Store + 'static> Pop3<S> {
    async fn login(&mut self, credentials: Credentials) -> Answer {
        let (account, seat) = match self.client.login(&self.serve, &self.settings, credentials).await {
            Login::Good(account, seat) => (account, seat),
            Login::Wrong => return Answer::Refuse(Reply::refused(Code::Auth, "Wrong login or password")),
            Login::Crowded => {
                return Answer::Refuse(Reply::refused(Code::SysTemp, "Too many connections of this user"));
            }
            Login::Unknown => {
                return Answer::Refuse(Reply::refused(Code::SysTemp, "Logins cannot be checked now"));
            }
        };
        let client = &self.client.name;
        let Some(held) = self.serve.maildrops.take(&account.id) else {
            tracing::info!(client, login = account.id, "the maildrop is in use");
            return Answer::Refuse(Reply::refused(Code::InUse, "Another session has the maildrop"));
        };
        let home = Home { account: account.id, location: account.location };
        let (serve, of) = (Arc::clone(&self.serve), home.clone());
        let opened = blocking(move || measure(&serve.store, &of)).await;
        match opened {
            Ok(Ok((uid_validity, measured))) => {
                tracing::info!(client, login = home.account, messages = measured.len(), "logged in");
                let uids = measured.iter().map(|(uid, _)| *uid).collect();
                self.open = Some(Open {
                    home,
                    held: Some((seat, held)),
                    uids,
                    uid_validity,
                    rest: None,
                    next: 1,
                    ahead: Heads::default(),
                    retrieved: 0,
                    removed: 0,
                });
                Answer::Open(measured.into_iter().map(|(_, octets)| octets).collect())
            }
            Ok(Err(fault)) => {
                tracing::error!(client, login = home.account, %fault, "a maildrop could not be opened");
                Answer::Refuse(TROUBLE)
            }
            Err(_) => Answer::Refuse(TROUBLE),
        }
    }

    async fn names(&mut self, from: u32, most: u32) -> Answer {
        let Some(open) = &mut self.open else { return Answer::Broken };
        let uids: Vec<Uid> = open.numbered(from).iter().take(at(most)).copied().collect();
        let (serve, home) = (Arc::clone(&self.serve), open.home.clone());
        let (wanted, count) = (uids.iter().copied().collect::<UidSet>(), uids.len());
        let rows = blocking(move || serve.store.rows(&home, &FolderName::inbox(), &wanted, count)).await;
        match rows {
            Ok(Ok(rows)) => {
                let mut saved: HashMap<Uid, String> =
                    rows.into_iter().filter_map(|row| Some((row.uid, row.uidl?))).collect();
                let name = |uid: &Uid| match saved.remove(uid).filter(|name| is_name(name)) {
                    Some(name) => name,
                    // What Dovecot gives by default, so that no client fetches again what it has.
                    None => format!("{uid:08x}{:08x}", open.uid_validity),
                };
                Answer::Names(uids.iter().map(name).collect())
            }
            Ok(Err(fault)) => self.fault(&fault, "unique ids could not be had"),
            Err(_) => Answer::Refuse(TROUBLE),
        }
    }

    /// The beginning of a message. Clients ask for one after the other, so that the next ones are read together.
    async fn text(&mut self, number: u32) -> Answer {
        let Some(open) = &mut self.open else { return Answer::Broken };
        let Some(uid) = open.numbered(number).first().copied() else { return Answer::Broken };
        open.rest = None;
        if open.ahead.heads.front().is_none_or(|head| head.uid != uid) {
            let many = if open.next == number { AHEAD } else { 1 };
            open.ahead = Heads::default();
            let uids: Vec<Uid> = open.numbered(number).iter().take(many).copied().collect();
            let (serve, home) = (Arc::clone(&self.serve), open.home.clone());
            let heads = blocking(move || {
                heads::heads((&serve.store, &home, &FolderName::inbox()), &uids, Server::CHUNK, Server::CHUNK)
            });
            match heads.await {
                Ok(Ok(heads)) => open.ahead = heads,
                Ok(Err(fault)) => return self.fault(&fault, "a message could not be read"),
                Err(_) => return Answer::Refuse(TROUBLE),
            }
        }
        open.next = number.saturating_add(1);
        let (head, rest, fault) = open.ahead.take();
        if let Some(fault) = fault {
            return self.fault(&fault, "a message could not be read");
        }
        let Some(octets) = head.and_then(|head| head.octets) else {
            return Answer::Refuse(Reply::err("Another client has removed that message"));
        };
        open.retrieved = open.retrieved.saturating_add(1);
        open.rest = rest;
        Answer::Text { octets, last: open.rest.is_none() }
    }

    async fn more(&mut self, buffer: Vec<u8>) -> Answer {
        let Some(open) = &mut self.open else { return Answer::Broken };
        let Some(octets) = open.rest.take() else { return Answer::Broken };
        match blocking(move || fill(octets, buffer)).await {
            Ok(Ok((octets, chunk))) => {
                open.rest = octets;
                Answer::Text { octets: chunk, last: open.rest.is_none() }
            }
            Ok(Err(fault)) => {
                self.fault(&fault.into(), "a message could not be read to its end");
                Answer::Broken
            }
            Err(_) => Answer::Broken,
        }
    }

    async fn remove(&mut self, numbers: Vec<u32>) -> Answer {
        const STAYED: Reply = Reply::refused(Code::SysTemp, "Some messages may not have been removed");
        let Some(open) = &mut self.open else { return Answer::Broken };
        // Free before the answer, whatever it is.
        let _held = open.held.take();
        if numbers.is_empty() {
            return Answer::Yes;
        }
        let uids: UidSet =
            numbers.iter().filter_map(|number| open.numbered(*number).first().copied()).collect();
        let (serve, home) = (Arc::clone(&self.serve), open.home.clone());
        let act = Act::Expunge { folder: FolderName::inbox(), uids: Some(uids), deleted_only: false };
        let applied = blocking(move || {
            let applied = serve.store.apply(&home, vec![act]);
            serve.usage.forget(&home.account);
            applied
        })
        .await;
        match applied.map(|applied| applied.outcomes.into_iter().next()) {
            Ok(Some(Ok(_))) => {
                open.removed = numbers.len();
                Answer::Yes
            }
            Ok(Some(Err(fault))) => {
                self.fault(&fault, "messages could not be removed");
                Answer::Refuse(STAYED)
            }
            Ok(None) | Err(_) => Answer::Refuse(STAYED),
        }
    }

    /// The answer to a fault of the store.
    fn fault(&self, fault: &Fault, what: &'static str) -> Answer {
        let login = self.open.as_ref().map(|open| open.home.account.as_str()).unwrap_or_default();
        tracing::error!(client = self.client.name, login, %fault, "{what}");
        Answer::Refuse(TROUBLE)
    }
}

impl<S: Store> Open<S> {
    /// The UIDs from a number on.
    fn numbered(&self, from: u32) -> &[Uid] {
        from.checked_sub(1).and_then(|from| self.uids.get(at(from)..)).unwrap_or_default()
    }
}

impl<S: Store + 'static> Agent<Server> for Pop3<S> {
    async fn answer(&mut self, ask: Ask) -> Answer {
        match ask {
            Ask::Login { credentials, .. } => self.login(credentials).await,
            Ask::Names { from, most } => self.names(from, most).await,
            Ask::Room => Answer::Yes,
            Ask::Text(number) => self.text(number).await,
            Ask::More(buffer) => self.more(buffer).await,
            Ask::Stop => {
                if let Some(open) = &mut self.open {
                    open.rest = None;
                }
                Answer::Yes
            }
            Ask::Remove(numbers) => self.remove(numbers).await,
        }
    }

    async fn event(&mut self) -> Event {
        self.closing.once().await;
        Event::Drain
    }

    fn trouble(&mut self, trouble: &Trouble) {
        self.client.lost(trouble);
    }
}

/// The messages of INBOX that are there, with their sizes.
fn measure<S: Store>(store: &S, home: &Home) -> Result<(u32, Vec<(Uid, u64)>), Fault> {
    let inbox = FolderName::inbox();
    let snapshot = store.open(home, &inbox, false)?;
    let uids: Vec<Uid> = snapshot.uids.iter().collect();
    let mut measured = Vec::with_capacity(uids.len());
    for some in uids.chunks(MEASURED) {
        let measures = store.measures(home, &inbox, &some.iter().copied().collect(), some.len())?;
        measured.extend(measures.into_iter().map(|measure| (measure.uid, measure.octets)));
    }
    Ok((snapshot.uid_validity, measured))
}

/// Fills a buffer; the octets that follow, where any may.
fn fill<R: BufRead>(mut octets: R, mut buffer: Vec<u8>) -> std::io::Result<(Option<R>, Vec<u8>)> {
    buffer.clear();
    heads::fill(&mut octets, Server::CHUNK, &mut buffer)?;
    Ok(((buffer.len() == Server::CHUNK).then_some(octets), buffer))
}

/// RFC 1939 section 7.
fn is_name(name: &str) -> bool {
    (1..=UIDL_MAX).contains(&name.len()) && name.bytes().all(|octet| octet.is_ascii_graphic())
}

fn at(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
