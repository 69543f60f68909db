//! The commands: when they may be said, and what they do.

use super::{
    Cx, auth,
    list::{list, uidl},
    small::{capa, dele, noop, quit, rset, stat, stls},
    state::Next,
    text::{retr, top},
    waiting::Waiting,
};

/// What a command does.
type Method = fn(Waiting, &mut Cx, &str, &mut Vec<u8>) -> Next;

/// A command.
pub(super) struct Row {
    pub(super) verb: &'static str,
    /// Where it is allowed: before USER, between USER and PASS, after the login.
    states: [bool; 3],
    pub(super) run: Method,
}

const ANY: [bool; 3] = [true, true, true];
const LOGIN: [bool; 3] = [true, true, false];
const PASS: [bool; 3] = [false, true, false];
const DROP: [bool; 3] = [false, false, true];

const fn command(verb: &'static str, states: [bool; 3], run: Method) -> Row {
    Row { verb, states, run }
}

static TABLE: [Row; 15] = [
    //  verb   states method
    command("USER", LOGIN, auth::user),
    command("PASS", PASS, auth::pass),
    command("AUTH", LOGIN, auth::auth),
    command("STLS", LOGIN, stls),
    command("CAPA", ANY, capa),
    command("STAT", DROP, stat),
    command("LIST", DROP, list),
    command("UIDL", DROP, uidl),
    command("RETR", DROP, retr),
    command("TOP", DROP, top),
    command("DELE", DROP, dele),
    command("NOOP", DROP, noop),
    command("RSET", DROP, rset),
    command("QUIT", ANY, quit),
    // RFC 1939 section 7: it needs the password itself on the server, and MD5.
    command("APOP", LOGIN, auth::apop),
];

/// The command called `verb`, in any case (RFC 1939 section 3).
pub(super) fn row(verb: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.verb.eq_ignore_ascii_case(verb))
}

impl Row {
    /// True where it may be said.
    pub(super) fn allows(&self, waiting: &Waiting) -> bool {
        let [user, pass, drop] = self.states;
        match waiting {
            Waiting::User(_) => user,
            Waiting::Pass(_) => pass,
            Waiting::Command(_) => drop,
        }
    }
}
