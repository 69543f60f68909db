//! Fetches what is new at a source, by IMAP or POP3, into a mailbox, through a program or to stdout.
//!
//! What is new is known from the state ([`state`]). A message goes one way: it is asked for in a wave, noted as begun, written,
//! made durable side by side with others, noted as taken; and only then may it be deleted where it came from.
//!
//! What it leaves out: two-way sync (what is changed or deleted later, on either side, is not carried over), and a cure for
//! servers without UIDL.

pub mod name;
pub mod state;

mod catch;
mod imap;
mod letter;
mod pop3;
mod program;

use crate::{
    agent::send::{self, Privacy},
    mail::verdict::{Verdict, Why},
    net::{converse::Manners, tls::Role},
    store::{Home, Store},
    sys::{clock::Clock, disk::Disk},
    wire::{
        mailbox::{self, Tls},
        sasl::Credentials,
    },
};
use catch::Catch;
use name::Name;
use state::State;
use std::{ffi::OsString, io, path::PathBuf, time::Duration};

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// IMAP4rev1 or rev2.
    Imap,
    /// POP3.
    Pop3,
}

/// Where messages go.
#[derive(Clone, Debug)]
pub enum Target<S> {
    /// Into this mailbox.
    Store(S, Home),
    /// Each to a program of its own, on stdin: its words. Exit status 0 means that it has taken the message.
    Program(Vec<OsString>),
    /// To stdout, as an mbox.
    Mbox,
}

/// Which folders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Folders {
    /// These, as the server names them, in UTF-8.
    These(Vec<String>),
    /// All that hold messages of their own.
    All,
}

/// What is to be fetched, and how.
#[derive(Clone, Debug)]
pub struct Order<S> {
    /// What the source is called, in the state and for people: its URL without a password.
    pub source: String,
    /// What is spoken.
    pub protocol: Protocol,
    /// Where the server is.
    pub place: send::Place,
    /// The server's name, for what people are told.
    pub server: String,
    /// TLS.
    pub privacy: Privacy,
    /// Who logs in.
    pub login: Option<Credentials>,
    /// Which folders (IMAP).
    pub folders: Folders,
    /// Where messages go.
    pub target: Target<S>,
    /// How long the program may take for one message.
    pub limit: Duration,
    /// Delete at the source what is durable here, also what was taken earlier.
    pub delete: bool,
    /// The directory of the state.
    pub state: PathBuf,
    /// Only say what would be fetched.
    pub dry_run: bool,
    /// The way to the state's disk.
    pub disk: Disk,
    /// The time.
    pub clock: Clock,
    /// How long dialling and a TLS handshake may take.
    pub dialling: Duration,
    /// How long to wait for octets.
    pub patience: Duration,
}

/// What happens, as it happens.
#[derive(Debug)]
pub enum News<'a> {
    /// The folder's UIDVALIDITY is another than before: all of it is fetched anew.
    Renewed {
        /// The folder.
        folder: &'a str,
    },
    /// The folder can't be fetched.
    NoFolder {
        /// The folder.
        folder: &'a str,
        /// Why.
        why: &'a Why,
    },
    /// The server has more messages in the folder than it lists.
    Unlisted {
        /// The folder.
        folder: &'a str,
        /// What it said.
        why: &'a Why,
    },
    /// What there is to fetch.
    Folder {
        /// The folder.
        folder: &'a str,
        /// How many messages.
        new: u64,
        /// Their octets, as far as the server tells.
        octets: u64,
    },
    /// A message would be fetched (dry run).
    Would {
        /// The folder.
        folder: &'a str,
        /// The message.
        name: &'a Name,
        /// Its octets.
        octets: Option<u64>,
    },
    /// So many octets of messages have come.
    Octets(u64),
    /// A message is where it belongs.
    Taken {
        /// The folder.
        folder: &'a str,
        /// The message.
        name: &'a Name,
        /// Its octets.
        octets: u64,
        /// An earlier run had put it there.
        already: bool,
    },
    /// A message was left for the next time.
    Left {
        /// The folder.
        folder: &'a str,
        /// The message.
        name: &'a Name,
        /// Why.
        why: &'a Why,
    },
    /// So many messages were deleted at the source.
    Deleted {
        /// The folder.
        folder: &'a str,
        /// How many.
        count: u64,
    },
    /// What was to be deleted was not, or not wholly.
    Undeleted {
        /// The folder.
        folder: &'a str,
        /// Why.
        why: &'a Why,
    },
    /// Stdout can't be written.
    Stdout(&'a io::Error),
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Messages taken.
    pub taken: u64,
    /// Messages left for the next time.
    pub left: u64,
    /// The whole: `Done` when nothing was left that could have been taken.
    pub verdict: Verdict,
}

/// Fetches. The state is locked meanwhile; where another process has it, that is `Later`.
pub async fn fetch<S: Store<Draft: 'static> + 'static>(
    order: &Order<S>,
    tell: &mut (dyn FnMut(News<'_>) + Send),
) -> Fetched {
    let nothing = |verdict| Fetched { taken: 0, left: 0, verdict };
    let opened = match order.dry_run {
        true => State::look(&order.disk, &order.state, &order.source),
        false => State::open(&order.disk, &order.state, &order.source),
    };
    let state = match opened {
        Ok(state) => state,
        Err(fault) => return nothing(fault.verdict(&order.source)),
    };
    let (link, _) = match send::connect(&order.place, &order.privacy, &order.server, order.dialling).await {
        Ok(connected) => connected,
        Err(why) => return nothing(Verdict::Later(why)),
    };
    let host = send::host(&order.place);
    let (tls, role) = match &order.privacy {
        Privacy::None | Privacy::Implicit(_) => (Tls::AsItIs, Role::None),
        Privacy::IfOffered(connector) => (Tls::IfOffered, Role::Client(connector.clone(), host)),
        Privacy::StartTls(connector) => (Tls::Demanded, Role::Client(connector.clone(), host)),
    };
    let talk = mailbox::Order {
        server: order.server.clone(),
        tls,
        login: order.login.clone(),
        patience: order.patience,
    };
    let manners = Manners { handshake: order.dialling, ..Manners::CLIENT };
    let catch = Catch::new(order, state, tell);
    match order.protocol {
        Protocol::Pop3 => pop3::fetch(catch, talk, link, &role, &manners).await,
        Protocol::Imap => imap::fetch(catch, talk, link, &role, &manners).await,
    }
}

/// Where the connection broke, the reason says more than that it did.
fn explained(verdict: Verdict, server: &str, trouble: Option<&str>) -> Verdict {
    match (verdict, trouble) {
        (Verdict::Later(why), Some(trouble)) if why.subject == 4 => {
            Verdict::Later(Why { text: format!("{server}: {trouble}"), ..why })
        }
        (verdict, _) => verdict,
    }
}

/// The end of a session: what is under way comes to its end, and the whole is judged.
async fn close<S: Store<Draft: 'static> + 'static>(mut catch: Catch<'_, S>, ended: Verdict) -> Fetched {
    let noted = catch.finish().await.and_then(|()| catch.tidy());
    let verdict = match (noted, ended, catch.trouble()) {
        (Err(why), ..) => Verdict::Later(why),
        (Ok(()), Verdict::Done, Some(why)) => Verdict::Later(why.clone()),
        (Ok(()), ended, _) => ended,
    };
    Fetched { taken: catch.taken, left: catch.left, verdict }
}
