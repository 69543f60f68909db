//! The server's side of POP3, as a [`Session`].
//!
//! ```text
//!  ExpectUser <-> ExpectPass -> (login) -> ExpectCommand -> (QUIT: removes) -> closed
//!    ^   |
//!    |   +--> ExpectResponse (AUTH)
//!  ExpectTls (STLS)
//! ```
//! Between them the server waits for its agent in the states called `Await...`. Each state is a struct that its input
//! consumes; what all of them share stands in [`Cx`]. What a peer may say when is the table in [`table`].

use super::reply::{Code, Reply};
use crate::wire::{
    line::Framer,
    sasl::Credentials,
    session::{Input, Session, Step, Turn},
};
use std::sync::Arc;

mod auth;
mod fuzz;
mod list;
mod maildrop;
mod settings;
mod small;
mod state;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod waiting;

pub use fuzz::fuzz;
use maildrop::Maildrop;
pub use settings::{Budget, Limits, Settings, Tls};
use state::{Next, State};

/// A question to the agent. Messages are named by their numbers: from 1, as the maildrop was opened. A session that closes without
/// [`Ask::Remove`] removes nothing.
#[derive(Debug)]
pub enum Ask {
    /// Do these open a maildrop, and is it free? Answer: `Open`, which keeps it for this session until that ends; or `Refuse`.
    /// It is the agent who slows down failures of one address or login.
    Login {
        /// What the peer gave.
        credentials: Credentials,
        /// Logins that failed on this connection before.
        failures: u32,
    },
    /// The unique ids from this message on, at most [`Server::NAMES`] of them. Answer: `Names`, at least one; or `Refuse`.
    Names {
        /// The first message.
        from: u32,
        /// How many are wanted, at most.
        most: u32,
    },
    /// Nothing; a listing goes on behind it, once the peer has read what came before. Answer: `Yes`.
    Room,
    /// A message's first octets. Answer: `Text`; or `Refuse`, where it can't be had.
    Text(u32),
    /// The octets behind those of the last `Text`, in the same buffer if that is of use. Answer: `Text`; or `Broken`.
    More(Vec<u8>),
    /// No more of the message. Answer: `Yes`.
    Stop,
    /// QUIT: removes these messages (there may be none), durably, and frees the maildrop, which the client may open again as soon as it
    /// hears that it is done (RFC 1939 section 6). Answer: `Yes`; or `Refuse` where any of them may have stayed.
    Remove(Vec<u32>),
}

/// An answer of the agent. One that does not fit the question ends the connection.
#[derive(Debug)]
pub enum Answer {
    /// Done.
    Yes,
    /// Not done, and this is what to say.
    Refuse(Reply),
    /// The login is good, and the maildrop held: the octets of each message, with CR LF line ends.
    Open(Vec<u64>),
    /// Unique ids, in the order of the messages (RFC 1939 section 7): 1 to 70 octets from 0x21 to 0x7E.
    Names(Vec<String>),
    /// Octets of a message, at most [`Server::CHUNK`] of them, with CR LF line ends.
    Text {
        /// The octets.
        octets: Vec<u8>,
        /// None follow.
        last: bool,
    },
    /// The rest of a message can't be read. The connection is closed, which is how the peer is told.
    Broken,
}

/// What happens elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The daemon goes down. A session is ended between commands, as by its deadline: without a word, and nothing is removed
    /// (RFC 1939 section 3).
    Drain,
}

/// What a listener knows of a connection when it accepts it.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The peer is in a range that may log in without TLS.
    pub plaintext_login: bool,
}

/// A connection to a server.
pub struct Server {
    cx: Cx,
    state: State,
}

/// What all states share.
struct Cx {
    settings: Arc<Settings>,
    known: Known,
    secured: bool,
    framer: Framer,
    /// Open once somebody has logged in.
    maildrop: Option<Maildrop>,
    errors: u32,
    idle_commands: u32,
    failed_logins: u32,
    /// Refusals that the agent does not know of: how many, and the last.
    refused: (u32, Option<Reply>),
    /// Something was completed since octets were last waited for, so that a new deadline begins.
    fresh: bool,
}

impl Server {
    /// The most octets of a message that the agent gives at once.
    pub const CHUNK: usize = 64 * 1024;
    /// The most unique ids that are asked for at once.
    pub const NAMES: u32 = 500;

    /// A connection that has just been accepted (with [`Tls::Standing`]: after its handshake).
    pub fn new(settings: Arc<Settings>, known: Known) -> Server {
        let secured = settings.tls == Tls::Standing;
        let cx = Cx {
            settings,
            known,
            secured,
            framer: Framer::default(),
            maildrop: None,
            errors: 0,
            idle_commands: 0,
            failed_logins: 0,
            refused: (0, None),
            fresh: true,
        };
        Server { cx, state: State::Closed }
    }

    /// What was refused without asking the agent (bad commands): how often, and the last reply.
    pub fn refused(&self) -> Option<(u32, &Reply)> {
        self.cx.refused.1.as_ref().map(|last| (self.cx.refused.0, last))
    }
}

impl Session for Server {
    type Ask = Ask;
    type Answer = Answer;
    type Event = Event;
    /// Every other octet of a chunk can be a dot that is doubled.
    const OUT_MAX: usize = 2 * Server::CHUNK;

    fn turn(&mut self, input: Input<'_, Answer, Event>, out: &mut Vec<u8>) -> Turn<Ask> {
        let state = std::mem::replace(&mut self.state, State::Closed);
        let cx = &mut self.cx;
        let begun = out.len();
        let (octets, mut next) = match input {
            Input::Octets(octets) => (octets, Next::On(state)),
            other => (b"".as_slice(), state.other(cx, other, out)),
        };
        let mut used = 0;
        loop {
            match next {
                Next::Turn(state, step) => {
                    self.state = state;
                    return Turn { used, step };
                }
                // A pipelining peer that does not read is waited for.
                Next::On(State::Command(waiting)) if out.len().saturating_sub(begun) > PLENTY => {
                    self.state = State::Room(waiting);
                    return Turn { used, step: Step::Ask(Ask::Room) };
                }
                Next::On(state) => {
                    let rest = octets.get(used..).unwrap_or_default();
                    let (taken, then) = state.octets(cx, rest, out);
                    used = used.saturating_add(taken);
                    next = then;
                }
            }
        }
    }
}

/// Octets of replies after which a turn ends.
const PLENTY: usize = 16 * 1024;

const TOO_MANY_ERRORS: Reply = Reply::err("Too many errors");

impl Cx {
    fn budget(&self) -> Budget {
        match self.maildrop {
            Some(_) => self.settings.limits.known,
            None => self.settings.limits.stranger,
        }
    }

    /// What is wanted of a driver that has no whole line.
    fn read(&mut self) -> Step<Ask> {
        match std::mem::take(&mut self.fresh) {
            true => Step::Read(self.budget().command_wait),
            false => Step::More,
        }
    }

    /// True where a login would be heard.
    fn offers_login(&self) -> bool {
        self.secured || self.known.plaintext_login
    }

    fn offers_tls(&self) -> bool {
        self.settings.tls == Tls::Offered && !self.secured
    }

    /// Counts a command that brings no message forward.
    fn idles(&mut self) {
        self.idle_commands = self.idle_commands.saturating_add(1);
        if self.idle_commands > self.budget().idle_commands {
            self.errors = self.errors.saturating_add(1);
        }
    }

    /// A message was retrieved: this is no idle client.
    fn works(&mut self) {
        (self.errors, self.idle_commands) = (0, 0);
    }

    /// Gives a last reply.
    fn close(&mut self, reply: &Reply, out: &mut Vec<u8>) -> Next {
        if !reply.is_ok() {
            self.refused = (self.refused.0.saturating_add(1), Some(reply.clone()));
        }
        reply.print(out);
        Next::Turn(State::Closed, Step::Close)
    }

    /// Refuses by ourselves.
    fn refuse(&mut self, reply: &Reply, then: State, out: &mut Vec<u8>) -> Next {
        self.refused = (self.refused.0.saturating_add(1), Some(reply.clone()));
        self.errors = self.errors.saturating_add(1);
        self.say(reply, then, out)
    }

    /// Gives the agent's refusal, and counts it.
    fn pass_on(&mut self, reply: &Reply, then: State, out: &mut Vec<u8>) -> Next {
        self.errors = self.errors.saturating_add(1);
        self.say(reply, then, out)
    }

    /// Gives a reply; over the budget of errors it is the last one.
    fn say(&mut self, reply: &Reply, then: State, out: &mut Vec<u8>) -> Next {
        if self.errors > self.budget().errors {
            return self.close(&TOO_MANY_ERRORS, out);
        }
        reply.print(out);
        Next::On(then)
    }
}
