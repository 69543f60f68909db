//! Waiting for a command: a line is framed, split, looked up and run.

use super::{Cx, state::Next, state::State, table};
use crate::wire::{
    line::Framed,
    smtp::{Dialect, command, reply::Reply},
};

/// The most octets of an over-long line that are thrown away to find its end.
const FLOOD: usize = 64 * 1024;

/// What may come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// The peer has not said who it is.
    Hello(ExpectHello),
    /// No transaction is open.
    Mail(ExpectMail),
    /// One is.
    Rcpt(ExpectRcpt),
    /// A part of its message has come.
    More(ExpectMore),
}

/// Waits for EHLO, HELO or LHLO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ExpectHello;

/// Waits for MAIL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ExpectMail;

/// Waits for RCPT or DATA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ExpectRcpt {
    /// Recipients accepted so far.
    pub(super) recipients: usize,
}

/// Waits for the next BDAT. The message so far is in [`Cx::chunked`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ExpectMore;

impl From<Waiting> for State {
    fn from(waiting: Waiting) -> State {
        State::Command(waiting)
    }
}

impl Waiting {
    /// Takes at most one command.
    pub(super) fn octets(self, cx: &mut Cx, octets: &[u8], out: &mut Vec<u8>) -> (usize, Next) {
        // Not in the middle of a line that is thrown away.
        if !cx.framer.is_skipping() && matches!((self, octets), (Waiting::Hello(_), [0x16, 0x03, ..])) {
            return (octets.len(), cx.close(&TLS_AT_ONCE, out));
        }
        let mut budget = table::LINE;
        if !cx.framer.is_skipping() {
            let room = table::begun(octets).map_or(0, |row| row.room(cx));
            budget += room;
            cx.auth_line = room == table::AUTH_ROOM;
        }
        let (used, framed) = cx.framer.take(octets, budget, FLOOD);
        let next = match framed {
            Framed::More => Next::Turn(self.into(), cx.read()),
            Framed::Flood => {
                let reply = too_long(cx);
                cx.close(&reply, out)
            }
            Framed::TooLong => {
                let reply = too_long(cx);
                cx.refuse(&reply, self.into(), out)
            }
            Framed::Line(line) => self.line(cx, line, octets.len() > used, out),
        };
        cx.fresh |= matches!(next, Next::On(_));
        (used, next)
    }

    fn line(self, cx: &mut Cx, line: &[u8], followed: bool, out: &mut Vec<u8>) -> Next {
        let (verb, arguments) = match command::split(line) {
            Ok(split) => split,
            Err(reply) => return cx.refuse(&reply, self.into(), out),
        };
        let Some(row) = table::row(verb) else {
            return cx.refuse(&UNKNOWN, self.into(), out);
        };
        if !row.speaks(cx.settings.dialect) {
            return cx.refuse(&OTHER_DIALECT, self.into(), out);
        }
        if row.ends_group && followed {
            return cx.close(&EARLY, out);
        }
        if !row.allows(self) {
            return cx.refuse(&self.out_of_place(cx), self.into(), out);
        }
        (row.run)(self, cx, arguments, out)
    }

    /// The refusal of a command that has no place here (RFC 5321 section 4.2.2).
    pub(super) fn out_of_place(self, cx: &Cx) -> Reply {
        match (self, cx.settings.dialect) {
            (Waiting::Hello(_), Dialect::Lmtp) => Reply::fixed(503, 5, 1, "Say LHLO first"),
            (Waiting::Hello(_), _) => Reply::fixed(503, 5, 1, "Say EHLO first"),
            (Waiting::Mail(_), _) => Reply::fixed(503, 5, 1, "Say MAIL first"),
            (Waiting::Rcpt(_), _) => Reply::fixed(503, 5, 1, "Not within a transaction"),
            (Waiting::More(_), _) => Reply::fixed(503, 5, 1, "Not within a message; go on with BDAT"),
        }
    }

    /// After what ends a transaction: the greeted peer may begin another.
    pub(super) fn idle(self) -> State {
        match self {
            Waiting::Hello(state) => Waiting::Hello(state).into(),
            _ => Waiting::Mail(ExpectMail).into(),
        }
    }

    /// Goes to `then`; the agent drops an open transaction first.
    pub(super) fn leave(self, cx: &mut Cx, then: State) -> Next {
        cx.chunked = None;
        match self {
            Waiting::Rcpt(_) | Waiting::More(_) => Next::reset(then),
            _ => Next::On(then),
        }
    }
}

/// Octets that came before the reply which they should have waited for: pipelining where it is not allowed
/// (RFC 2920 section 3.1) is how commands are smuggled past what stands between.
pub(super) const EARLY: Reply = Reply::fixed(554, 5, 0, "You spoke before your turn");
/// A TLS record of a handshake (RFC 8446 section 5.1): its client waits for a server that is not here.
const TLS_AT_ONCE: Reply = Reply::fixed(554, 5, 0, "TLS does not stand here from the start");
const UNKNOWN: Reply = Reply::fixed(500, 5, 2, "Unknown command");
const OTHER_DIALECT: Reply = Reply::fixed(500, 5, 1, "Not in this dialect");

fn too_long(cx: &Cx) -> Reply {
    match cx.auth_line {
        true => Reply::fixed(500, 5, 6, "The line is too long"),
        false => Reply::fixed(500, 5, 2, "The line is too long"),
    }
}
