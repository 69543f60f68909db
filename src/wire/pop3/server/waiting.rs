//! Waiting for a command: a line is framed, split, looked up and run.

use super::{
    Cx,
    state::{Next, State},
    table,
};
use crate::wire::{
    line::Framed,
    pop3::{COMMAND_MAX, command, reply::Reply},
};

/// The most octets of an over-long line that are thrown away to find its end.
const FLOOD: usize = 16 * 1024;

/// What may come next.
pub(super) enum Waiting {
    /// Nobody has said who he is.
    User(ExpectUser),
    /// Somebody has.
    Pass(ExpectPass),
    /// The maildrop is open.
    Command(ExpectCommand),
}

/// AUTHORIZATION: waits for USER or AUTH.
pub(super) struct ExpectUser;

/// AUTHORIZATION: waits for PASS.
pub(super) struct ExpectPass {
    /// Who wants to log in.
    pub(super) name: String,
}

/// TRANSACTION.
pub(super) struct ExpectCommand;

impl From<Waiting> for State {
    fn from(waiting: Waiting) -> State {
        State::Command(waiting)
    }
}

impl Waiting {
    /// Takes at most one command.
    pub(super) fn octets(self, cx: &mut Cx, octets: &[u8], out: &mut Vec<u8>) -> (usize, Next) {
        // Not in the middle of a line that is thrown away.
        if !cx.framer.is_skipping() && matches!((&self, octets), (Waiting::User(_), [0x16, 0x03, ..])) {
            return (octets.len(), cx.close(&TLS_AT_ONCE, out));
        }
        let (used, framed) = cx.framer.take(octets, COMMAND_MAX, FLOOD);
        let next = match framed {
            Framed::More => Next::Turn(self.into(), cx.read()),
            Framed::Flood => cx.close(&TOO_LONG, out),
            Framed::TooLong => cx.refuse(&TOO_LONG, self.into(), out),
            Framed::Line(line) => self.line(cx, line, out),
        };
        cx.fresh |= matches!(next, Next::On(_));
        (used, next)
    }

    fn line(self, cx: &mut Cx, line: &[u8], out: &mut Vec<u8>) -> Next {
        let (verb, arguments) = match command::split(line) {
            Ok(split) => split,
            Err(reply) => return cx.refuse(&reply, self.into(), out),
        };
        match table::row(verb) {
            None => cx.refuse(&UNKNOWN, self.into(), out),
            Some(row) if row.allows(&self) => (row.run)(self, cx, arguments, out),
            Some(row) => {
                let reply = match (&self, row.verb) {
                    (Waiting::User(_), "PASS") => NO_USER,
                    (Waiting::User(_) | Waiting::Pass(_), _) => NOBODY,
                    (Waiting::Command(_), _) => KNOWN,
                };
                cx.refuse(&reply, self.into(), out)
            }
        }
    }
}

/// A TLS record of a handshake (RFC 8446 section 5.1): its client waits for a server that is not here.
const TLS_AT_ONCE: Reply = Reply::err("TLS does not stand here from the start");
const TOO_LONG: Reply = Reply::err("The line is too long");
const UNKNOWN: Reply = Reply::err("Unknown command");
const NO_USER: Reply = Reply::err("Say USER first");
const NOBODY: Reply = Reply::err("Log in first");
const KNOWN: Reply = Reply::err("You are logged in");
