//! The server's side of SMTP, submission and LMTP, as a [`Session`].
//!
//! ```text
//!  ExpectSilence -> ExpectHello <-> ExpectMail <-> ExpectRcpt -> ExpectBody -> ExpectMail
//!                        ^            |     |                       ^
//!                    ExpectTls <------+     |                       v
//!                                           +--> ExpectResponse  ExpectMore (BDAT)
//! ```
//! Between them the server waits for its agent in the states called `Await...`. Each state is a struct that its input
//! consumes; what all of them share stands in [`Cx`]. What a peer may say when is the table in [`table`].

use crate::wire::{
    line::Framer,
    sasl::Credentials,
    session::{Input, Session, Step, Turn},
    smtp::{
        Dialect,
        command::{Mail, Rcpt},
        reply::Reply,
    },
};
use std::sync::Arc;

mod auth;
mod bdat;
mod body;
mod fuzz;
mod hello;
mod mail;
mod settings;
mod small;
mod state;
mod table;
#[cfg(test)]
mod tests;
mod waiting;

pub use fuzz::fuzz;
pub use settings::{Budget, Limits, Logins, Settings, Tls};
use state::{Next, State};

/// Who is talking, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Peer {
    /// What it called itself at EHLO, HELO or LHLO; empty before.
    pub hello: String,
    /// It said EHLO or LHLO, not HELO.
    pub extended: bool,
    /// TLS stands.
    pub secured: bool,
    /// Who logged in, by AUTH or as the listener knows.
    pub login: Option<String>,
    /// The login came from AUTH.
    pub authenticated: bool,
}

impl Peer {
    /// What stands behind `with` in a Received field (RFC 3848, and with SMTPUTF8 RFC 6531 section 4.3).
    pub fn protocol(&self, dialect: Dialect, utf8: bool) -> &'static str {
        match (dialect, self.extended, self.secured, self.authenticated) {
            (Dialect::Lmtp, _, false, false) if utf8 => "UTF8LMTP",
            (Dialect::Lmtp, _, true, false) if utf8 => "UTF8LMTPS",
            (Dialect::Lmtp, _, false, true) if utf8 => "UTF8LMTPA",
            (Dialect::Lmtp, _, true, true) if utf8 => "UTF8LMTPSA",
            (_, _, false, false) if utf8 => "UTF8SMTP",
            (_, _, true, false) if utf8 => "UTF8SMTPS",
            (_, _, false, true) if utf8 => "UTF8SMTPA",
            (_, _, true, true) if utf8 => "UTF8SMTPSA",
            (Dialect::Lmtp, _, false, false) => "LMTP",
            (Dialect::Lmtp, _, true, false) => "LMTPS",
            (Dialect::Lmtp, _, false, true) => "LMTPA",
            (Dialect::Lmtp, _, true, true) => "LMTPSA",
            (_, false, false, false) => "SMTP",
            (_, _, false, false) => "ESMTP",
            (_, _, true, false) => "ESMTPS",
            (_, _, false, true) => "ESMTPA",
            (_, _, true, true) => "ESMTPSA",
        }
    }
}

/// A question to the agent. A session that closes, in whatever way, abandons an open transaction without asking.
#[derive(Debug)]
pub enum Ask {
    /// Do these open an account? The agent's answer may be as late as it likes: it is there that failures of one
    /// address or login are slowed down. Answer: `Login`, or `Say` a refusal.
    Login {
        /// What the peer gave.
        credentials: Credentials,
        /// Logins that failed on this connection before.
        failures: u32,
    },
    /// A transaction begins: MAIL. Answer: `Yes`, or `Say` a reply, which refuses unless it is 2xx.
    Mail {
        /// What it says; the declared size is within [`Limits::size`].
        mail: Mail,
        /// Who is talking.
        peer: Arc<Peer>,
    },
    /// A recipient: RCPT. Answer: as for `Mail`.
    Rcpt(Rcpt),
    /// DATA or the first BDAT, after at least one recipient was accepted. Answer: `Yes`, or `Say` a refusal; the transaction is then over.
    Open,
    /// The next octets of the message, about [`Server::CHUNK`] of them: as on the wire (CR LF), dots taken out.
    /// Answer: `Taken` with the buffer, whose memory is used again; or `Say` a refusal, given to the peer once it
    /// has sent the rest: no more comes of this message, nor `Reset`.
    Chunk(Vec<u8>),
    /// The last octets, which of a small message are all; possibly none. Answer: `Say` a reply (2xx: it is durable, or `Yes`),
    /// or in LMTP `Each`, one reply an accepted recipient in their order. The transaction is then over.
    End(Vec<u8>),
    /// The transaction that was open is abandoned. Answer: `Yes`.
    Reset,
}

/// An answer of the agent. One that does not fit the question ends the connection with a 421, as any `Say` of 421 does.
#[derive(Debug)]
pub enum Answer {
    /// Accepted; the session finds the words.
    Yes,
    /// The reply to give.
    Say(Reply),
    /// LMTP: the replies to give, one a recipient.
    Each(Vec<Reply>),
    /// The login is good; it is that of this account.
    Login(String),
    /// A chunk is taken; here is its buffer.
    Taken(Vec<u8>),
}

/// What happens elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The daemon goes down: a message being received is finished, nothing new begins.
    Drain,
}

/// What a listener knows of a connection when it accepts it.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The account whose program this is, where a unix socket says so.
    pub login: Option<String>,
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
    peer: Arc<Peer>,
    framer: Framer,
    /// The line being framed begins with AUTH.
    auth_line: bool,
    errors: u32,
    /// Recipients beyond what a message may have.
    excess: usize,
    idle_commands: u32,
    failed_logins: u32,
    /// Refusals that the agent does not know of: how many, and the last.
    refused: (u32, Option<Reply>),
    draining: bool,
    /// The open transaction is one with SMTPUTF8.
    utf8: bool,
    /// The message of which a part came by BDAT.
    chunked: Option<Box<body::ExpectBody>>,
    /// Something was completed since octets were last waited for, so that a new deadline begins.
    fresh: bool,
}

impl Server {
    /// How many octets of a message go to the agent at once.
    pub const CHUNK: usize = 64 * 1024;

    /// A connection that has just been accepted (with [`Tls::Standing`]: after its handshake).
    pub fn new(settings: Arc<Settings>, known: Known) -> Server {
        let peer = Cx::peer(&settings, &known);
        let cx = Cx {
            settings,
            known,
            peer,
            framer: Framer::default(),
            auth_line: false,
            errors: 0,
            excess: 0,
            idle_commands: 0,
            failed_logins: 0,
            refused: (0, None),
            draining: false,
            utf8: false,
            chunked: None,
            fresh: true,
        };
        Server { cx, state: State::Closed }
    }

    /// What was refused without asking the agent (bad commands, bad texts, slowness): how often, and the last reply.
    pub fn refused(&self) -> Option<(u32, &Reply)> {
        self.cx.refused.1.as_ref().map(|last| (self.cx.refused.0, last))
    }

    /// Who is talking.
    pub fn peer(&self) -> &Arc<Peer> {
        &self.cx.peer
    }
}

impl Session for Server {
    type Ask = Ask;
    type Answer = Answer;
    type Event = Event;

    fn turn(&mut self, input: Input<'_, Answer, Event>, out: &mut Vec<u8>) -> Turn<Ask> {
        let state = std::mem::replace(&mut self.state, State::Closed);
        let cx = &mut self.cx;
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
                Next::On(state) => {
                    let rest = octets.get(used..).unwrap_or_default();
                    let (taken, then) = state.octets(cx, rest, out);
                    used += taken;
                    next = then;
                }
            }
        }
    }
}

const TOO_MANY_ERRORS: Reply = Reply::fixed(421, 7, 0, "Too many errors");
/// The reply to recipients beyond [`Limits::recipients`], and of an agent that takes no more of them.
pub const TOO_MANY_RECIPIENTS: Reply =
    Reply::fixed(452, 5, 3, "Too many recipients; send the others another copy");

impl Cx {
    fn peer(settings: &Settings, known: &Known) -> Arc<Peer> {
        let secured = settings.tls == Tls::Standing;
        Arc::new(Peer { secured, login: known.login.clone(), ..Peer::default() })
    }

    fn budget(&self) -> Budget {
        match self.peer.login {
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

    /// True where AUTH would be heard.
    fn offers_login(&self) -> bool {
        self.settings.logins == Logins::Offered && (self.peer.secured || self.known.plaintext_login)
    }

    fn offers_tls(&self) -> bool {
        matches!(self.settings.tls, Tls::Offered | Tls::Broken) && !self.peer.secured
    }

    /// Notes a reply for [`Server::refused`].
    fn note(&mut self, reply: &Reply) {
        if reply.code >= 400 {
            self.refused.0 += 1;
            self.refused.1 = Some(reply.clone());
        }
    }

    /// Counts a command that brings no message forward.
    fn idles(&mut self) {
        self.idle_commands += 1;
        if self.idle_commands > self.budget().idle_commands {
            self.errors += 1;
        }
    }

    /// True for the reply to a recipient too many, as long as there are not twice as many as may be: who pipelines a
    /// long list must come to send the message to those who were accepted (RFC 5321 section 4.5.3.1.10).
    fn is_excess(&mut self, reply: &Reply) -> bool {
        let excess = (reply.code, reply.status) == (TOO_MANY_RECIPIENTS.code, TOO_MANY_RECIPIENTS.status);
        self.excess += usize::from(excess);
        excess && self.excess <= self.settings.limits.recipients
    }

    /// Forgets the errors: a message was taken.
    fn forgive(&mut self) {
        (self.errors, self.excess, self.idle_commands) = (0, 0, 0);
    }

    /// True when the peer has made more errors than its budget allows.
    fn is_tried(&self) -> bool {
        self.errors > self.budget().errors
    }

    /// Gives a last reply.
    fn close(&mut self, reply: &Reply, out: &mut Vec<u8>) -> Next {
        self.note(reply);
        reply.print(out);
        Next::Turn(State::Closed, Step::Close)
    }

    /// Gives a reply of our own.
    fn refuse(&mut self, reply: &Reply, then: State, out: &mut Vec<u8>) -> Next {
        self.note(reply);
        self.pass_on(reply, then, out)
    }

    /// Gives the agent's reply, and counts it where it is an error. Over the budget it is the last, as a 421 is.
    fn pass_on(&mut self, reply: &Reply, then: State, out: &mut Vec<u8>) -> Next {
        if reply.code == 421 {
            reply.print(out);
            return Next::Turn(State::Closed, Step::Close);
        }
        if reply.code >= 400 && !self.is_excess(reply) {
            self.errors += 1;
        }
        if self.is_tried() {
            return self.close(&TOO_MANY_ERRORS, out);
        }
        reply.print(out);
        Next::On(then)
    }
}
