//! The server's side of IMAP, as a [`Session`].
//!
//! ```text
//!              +--> ExpectResponse (AUTHENTICATE)      +--> ExpectDone (IDLE)
//!  greeting -> ExpectCommand <-> Await... (the agent) <-> ExpectCommand
//!              +--> ExpectTls (STARTTLS)               +--> ExpectMessage (APPEND)
//! ```
//! A command is read whole ([`reader`]; of APPEND all but the message), looked up in [`table`], and runs to its tagged
//! response before the next is looked at. What a client knows of the selected mailbox is its [`view`], which only
//! [`sync`] brings up to date. Each state is a struct that its input consumes; what all of them share stands in [`Cx`].

use super::token::Bad;
use crate::wire::session::{Input, Session, Step, Turn};
use std::sync::Arc;

mod append;
mod ask;
mod fetch;
mod folders;
mod fuzz;
mod idle;
mod keywords;
mod list;
mod login;
mod reader;
mod respond;
mod search;
mod select;
mod settings;
mod small;
mod state;
mod store;
mod sync;
mod table;
#[cfg(test)]
mod tests;
mod view;
mod waiting;

pub use ask::{
    Answer, Ask, Changes, Code, Event, HEAD, HEADS, Head, Listed, Measure, Refusal, Row, Snapshot, Status,
};
pub use fuzz::fuzz;
pub use list::special_use;
use reader::{Reader, Room};
use respond::{Command, Outcome};
pub use settings::{Budget, Known, Limits, Settings, Tls};
use state::{Next, State};
use view::View;

/// A connection to a server.
pub struct Server {
    cx: Cx,
    state: State,
    /// Said, but more than one turn may say; and the step behind it.
    left: Option<(Vec<u8>, Step<Ask>)>,
}

/// What all states share.
struct Cx {
    settings: Arc<Settings>,
    known: Known,
    secured: bool,
    logged_in: bool,
    /// The selected mailbox.
    view: Option<View>,
    reader: Reader,
    /// How a command ends whose octets are being thrown away.
    verdict: Option<(Command, Outcome)>,
    errors: u32,
    failed_logins: u32,
    /// Something may have changed in the selected mailbox.
    stirred: bool,
    draining: bool,
    /// Something was completed since octets were last waited for, so that a new deadline begins.
    fresh: bool,
    /// Where this turn's octets begin in what is sent.
    said: usize,
}

impl Server {
    /// A connection that has just been accepted (with [`Tls::Standing`]: after its handshake).
    pub fn new(settings: Arc<Settings>, known: Known) -> Server {
        let cx = Cx {
            secured: settings.tls == Tls::Standing,
            logged_in: known.login,
            settings,
            known,
            view: None,
            reader: Reader::default(),
            verdict: None,
            errors: 0,
            failed_logins: 0,
            stirred: false,
            draining: false,
            fresh: true,
            said: 0,
        };
        Server { cx, state: State::Closed, left: None }
    }

    /// TLS stands.
    pub fn is_secured(&self) -> bool {
        self.cx.secured
    }

    /// Somebody is logged in.
    pub fn is_logged_in(&self) -> bool {
        self.cx.logged_in
    }

    /// Ends a turn. What it said over [`Session::OUT_MAX`] is kept for the next, which the agent's answer to
    /// [`Ask::Pause`] begins.
    fn end(&mut self, used: usize, step: Step<Ask>, out: &mut Vec<u8>) -> Turn<Ask> {
        let most = self.cx.said.saturating_add(Server::OUT_MAX);
        if out.len() <= most {
            return Turn { used, step };
        }
        self.left = Some((out.split_off(most), step));
        Turn { used, step: Step::Ask(Ask::Pause) }
    }

    /// Says more of what was left.
    fn go_on(&mut self, input: &Input<'_, Answer, Event>, out: &mut Vec<u8>) -> Option<Turn<Ask>> {
        let (mut rest, step) = self.left.take()?;
        if !matches!(input, Input::Answer(_)) {
            return Some(Turn { used: 0, step: Step::Close });
        }
        let tail = if rest.len() > Server::OUT_MAX { rest.split_off(Server::OUT_MAX) } else { Vec::new() };
        out.append(&mut rest);
        Some(match tail.is_empty() {
            true => Turn { used: 0, step },
            false => {
                self.left = Some((tail, step));
                Turn { used: 0, step: Step::Ask(Ask::Pause) }
            }
        })
    }
}

impl Session for Server {
    type Ask = Ask;
    type Answer = Answer;
    type Event = Event;
    /// Half of it, and the head of a message behind it.
    const OUT_MAX: usize = 2 * (HEAD + 16 * 1024);

    fn turn(&mut self, input: Input<'_, Answer, Event>, out: &mut Vec<u8>) -> Turn<Ask> {
        if let Some(turn) = self.go_on(&input, out) {
            return turn;
        }
        let state = std::mem::replace(&mut self.state, State::Closed);
        let cx = &mut self.cx;
        cx.said = out.len();
        let (octets, mut next) = match input {
            Input::Octets(octets) => (octets, Next::On(state)),
            other => (b"".as_slice(), state.other(cx, other, out)),
        };
        let mut used = 0;
        loop {
            match next {
                Next::Turn(state, step) => {
                    self.state = state;
                    return self.end(used, step, out);
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

impl Cx {
    fn budget(&self) -> Budget {
        match self.logged_in {
            true => self.settings.limits.known,
            false => self.settings.limits.stranger,
        }
    }

    /// How much the command being read may hold.
    fn room(&self) -> Room {
        let budget = self.budget();
        let drain = if self.logged_in { self.settings.limits.drain } else { 0 };
        Room { line: budget.line, literals: budget.literals, drain }
    }

    /// What is wanted of a driver that has no whole command.
    fn read(&mut self) -> Step<Ask> {
        match std::mem::take(&mut self.fresh) {
            true => Step::Read(self.budget().command_wait),
            false => Step::More,
        }
    }

    /// True when a turn has said so much that the rest waits for the next.
    fn is_full(&self, out: &[u8]) -> bool {
        out.len().saturating_sub(self.said) >= Server::OUT_MAX / 2
    }

    /// True where a password may be said.
    fn offers_login(&self) -> bool {
        self.secured || self.known.plaintext_login
    }

    fn offers_tls(&self) -> bool {
        matches!(self.settings.tls, Tls::Offered | Tls::Broken) && !self.secured
    }

    /// Gives the last words.
    fn close(&mut self, text: &str, out: &mut Vec<u8>) -> Next {
        respond::bye(text, out);
        Next::Turn(State::Closed, Step::Close)
    }

    /// Ends a command: what changed in the mailbox meanwhile is told first.
    fn finish(&mut self, command: Command, outcome: Outcome, out: &mut Vec<u8>) -> Next {
        match self.stirred && self.view.is_some() && !matches!(outcome, Outcome::Bad(_)) {
            true => sync::begin(self, sync::Then::Finish(command, outcome)),
            false => self.answer(&command, &outcome, out),
        }
    }

    /// Gives the tagged response. Over the budget of errors it is followed by the end.
    fn answer(&mut self, command: &Command, outcome: &Outcome, out: &mut Vec<u8>) -> Next {
        respond::tagged(command, outcome, out);
        self.fresh = true;
        match outcome {
            // Of a stranger all count: what is harmless between two of them makes none good.
            Outcome::Ok { .. } if self.logged_in => self.errors = 0,
            Outcome::Ok { .. } => {}
            Outcome::Bad(_) => return self.blame(out),
            Outcome::No(_) if !self.logged_in => return self.blame(out),
            Outcome::No(_) => {}
        }
        Next::On(State::Command)
    }

    /// Counts what makes no sense.
    fn blame(&mut self, out: &mut Vec<u8>) -> Next {
        self.errors = self.errors.saturating_add(1);
        match self.errors > self.budget().errors {
            true => self.close("Too many errors", out),
            false => Next::On(State::Command),
        }
    }

    /// A command that the grammar does not know.
    fn bad(&mut self, command: &Command, bad: Bad, out: &mut Vec<u8>) -> Next {
        self.answer(command, &Outcome::Bad(bad.to_string().into()), out)
    }
}
