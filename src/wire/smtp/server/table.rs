//! The commands: who may say them, when, how long, and what they do.

use super::{
    Cx, auth, bdat, body, hello, mail,
    small::{expn, help, http, noop, quit, rset, starttls, vrfy},
    state::Next,
    waiting::Waiting,
};
use crate::wire::smtp::{
    Dialect,
    command::{ENVID_MAX, ORCPT_MAX},
};

/// The most octets of a command line (RFC 5321 section 4.5.3.1.4).
pub(super) const LINE: usize = 512;
/// What AUTH gets in addition (RFC 4954 section 4: 12288 in all).
pub(super) const AUTH_ROOM: usize = 12_288 - LINE;
/// What MAIL gets in addition: SIZE (RFC 1870 section 3), BODY (RFC 6152 section 2), AUTH (RFC 4954 section 3), SMTPUTF8 (RFC
/// 6531 section 3.1), RET and ENVID (RFC 3461 section 4).
const MAIL_ROOM: usize = 26 + 17 + 500 + 10 + 9 + 7 + ENVID_MAX;
/// What RCPT gets in addition: NOTIFY and ORCPT (RFC 3461 section 4).
const RCPT_ROOM: usize = 29 + 7 + ORCPT_MAX;

/// What a command does.
type Method = fn(Waiting, &mut Cx, &str, &mut Vec<u8>) -> Next;

/// A command.
pub(super) struct Row {
    verb: &'static str,
    dialects: &'static [Dialect],
    /// Where it is allowed: before the peer is greeted, without a transaction, within one.
    states: [bool; 3],
    room: usize,
    /// Nothing may follow before its reply (RFC 2920 section 3.1; RFC 3207 section 4; RFC 4954 section 4).
    pub(super) ends_group: bool,
    pub(super) run: Method,
}

const ALL: &[Dialect] = &[Dialect::Smtp, Dialect::Submission, Dialect::Lmtp];
const SMTP: &[Dialect] = &[Dialect::Smtp, Dialect::Submission];
const LMTP: &[Dialect] = &[Dialect::Lmtp];

const ANY: [bool; 3] = [true, true, true];
const IDLE: [bool; 3] = [false, true, false];
const OPEN: [bool; 3] = [false, false, true];

const fn command(
    verb: &'static str,
    dialects: &'static [Dialect],
    states: [bool; 3],
    room: usize,
    ends_group: bool,
    run: Method,
) -> Row {
    Row { verb, dialects, states, room, ends_group, run }
}

static TABLE: [Row; 20] = [
    //  verb        dialects states room       ends   method
    command("MAIL", ALL, IDLE, MAIL_ROOM, false, mail::mail),
    command("RCPT", ALL, OPEN, RCPT_ROOM, false, mail::rcpt),
    command("DATA", ALL, OPEN, 0, true, body::data),
    // Its octets follow it, wherever it is said.
    command("BDAT", ALL, ANY, 0, false, bdat::bdat),
    command("EHLO", SMTP, ANY, 0, true, hello::ehlo),
    command("HELO", SMTP, ANY, 0, true, hello::helo),
    command("LHLO", LMTP, ANY, 0, true, hello::ehlo),
    command("QUIT", ALL, ANY, 0, false, quit),
    command("RSET", ALL, ANY, 0, false, rset),
    command("NOOP", ALL, ANY, 0, false, noop),
    command("STARTTLS", ALL, IDLE, 0, true, starttls),
    command("AUTH", ALL, IDLE, AUTH_ROOM, true, auth::auth),
    command("HELP", ALL, ANY, 0, false, help),
    command("VRFY", ALL, ANY, 0, false, vrfy),
    command("EXPN", ALL, ANY, 0, false, expn),
    // What a browser says when a page sends it here.
    command("GET", ALL, ANY, 0, false, http),
    command("POST", ALL, ANY, 0, false, http),
    command("PUT", ALL, ANY, 0, false, http),
    command("CONNECT", ALL, ANY, 0, false, http),
    command("OPTIONS", ALL, ANY, 0, false, http),
];

/// The command called `verb`, in any case (RFC 5321 section 2.4).
pub(super) fn row(verb: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.verb.eq_ignore_ascii_case(verb))
}

/// The command that an unfinished line begins with.
pub(super) fn begun(line: &[u8]) -> Option<&'static Row> {
    let verb = line.get(..line.len().min(9))?.split(|octet| !octet.is_ascii_alphabetic()).next()?;
    row(std::str::from_utf8(verb).ok()?)
}

impl Row {
    /// How many octets its line may have over [`LINE`].
    pub(super) fn room(&self, cx: &Cx) -> usize {
        if self.room == AUTH_ROOM && !cx.offers_login() { 0 } else { self.room }
    }

    /// True where the command exists in a dialect.
    pub(super) fn speaks(&self, dialect: Dialect) -> bool {
        self.dialects.contains(&dialect)
    }

    /// True where it may be said.
    pub(super) fn allows(&self, waiting: Waiting) -> bool {
        let [hello, idle, open] = self.states;
        match waiting {
            Waiting::Hello(_) => hello,
            Waiting::Mail(_) => idle,
            Waiting::Rcpt(_) => open,
            // What is allowed everywhere.
            Waiting::More(_) => hello && idle && open,
        }
    }
}
