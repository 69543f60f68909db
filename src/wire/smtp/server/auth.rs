//! AUTH (RFC 4954): carries the lines of an exchange.

use super::{
    Answer, Ask, Cx,
    state::{Next, State},
    table,
    waiting::{EARLY, ExpectMail, Waiting},
};
use crate::wire::{
    line::Framed,
    sasl::{self, Exchange, Mechanism},
    session::Step,
    smtp::{command, reply::Reply},
};
use std::sync::Arc;

/// Waits for the response to a challenge.
pub(super) struct ExpectResponse {
    exchange: Exchange,
}

/// Waits for the agent's word on a login.
pub(super) struct AwaitLogin;

const NOT_BASE64: Reply = Reply::fixed(501, 5, 2, "That is not base64");
const MALFORMED: Reply = Reply::fixed(501, 5, 2, "That is not what the mechanism asks for");
const WRONG: Reply = Reply::fixed(535, 7, 8, "Wrong login or password");
const CANCELLED: Reply = Reply::fixed(501, 7, 0, "Cancelled");
const TOO_LONG: Reply = Reply::fixed(500, 5, 6, "The line is too long");

/// Mechanisms that rest on MD5 or DES, or on nothing (RFC 6331 obsoletes DIGEST-MD5).
const WEAK: [&str; 4] = ["CRAM-MD5", "DIGEST-MD5", "NTLM", "ANONYMOUS"];

/// RFC 4954 section 4.
pub(super) fn auth(waiting: Waiting, cx: &mut Cx, arguments: &str, out: &mut Vec<u8>) -> Next {
    match begin(cx, arguments) {
        Ok(step) => follow(cx, step, out),
        Err(reply) => cx.refuse(&reply, waiting.into(), out),
    }
}

fn begin(cx: &Cx, arguments: &str) -> Result<sasl::Step, Reply> {
    if cx.settings.logins == super::Logins::None {
        return Err(Reply::fixed(502, 5, 1, "There are no logins here"));
    }
    if cx.peer.login.is_some() {
        return Err(Reply::fixed(503, 5, 1, "You are logged in"));
    }
    if !cx.offers_login() {
        return Err(Reply::fixed(530, 7, 0, "Begin TLS first"));
    }
    let (name, initial) = command::auth(arguments)?;
    let mechanism = match Mechanism::parse(name) {
        Some(mechanism) => mechanism,
        None if WEAK.iter().any(|weak| weak.eq_ignore_ascii_case(name)) => {
            return Err(Reply::fixed(534, 7, 9, "That mechanism is too weak"));
        }
        None => return Err(Reply::fixed(504, 5, 4, "Unknown mechanism")),
    };
    Exchange::begin_coded(mechanism, initial.map(str::as_bytes)).map_err(refused)
}

fn refused(refused: sasl::Refused) -> Reply {
    match refused {
        sasl::Refused::Malformed => MALFORMED,
        sasl::Refused::ForAnother => WRONG,
        sasl::Refused::NotBase64 => NOT_BASE64,
        sasl::Refused::Cancelled => CANCELLED,
    }
}

fn follow(cx: &mut Cx, step: sasl::Step, out: &mut Vec<u8>) -> Next {
    match step {
        sasl::Step::Challenge(challenge, exchange) => {
            out.extend_from_slice(b"334 ");
            out.extend_from_slice(sasl::challenge(challenge).as_bytes());
            out.extend_from_slice(b"\r\n");
            cx.fresh = true;
            Next::On(State::Response(ExpectResponse { exchange }))
        }
        sasl::Step::Check(credentials) => {
            let failures = cx.failed_logins;
            Next::Turn(State::Login(AwaitLogin), Step::Ask(Ask::Login { credentials, failures }))
        }
    }
}

impl ExpectResponse {
    /// ```abnf
    /// response = base64 CRLF / "*" CRLF
    /// ```
    /// RFC 4954 section 4: `*` cancels.
    pub(super) fn octets(self, cx: &mut Cx, octets: &[u8], out: &mut Vec<u8>) -> (usize, Next) {
        let most = table::LINE + table::AUTH_ROOM;
        let (used, framed) = cx.framer.take(octets, most, most);
        let idle = || Waiting::Mail(ExpectMail).into();
        let next = match framed {
            Framed::More => Next::Turn(State::Response(self), cx.read()),
            Framed::Flood => cx.close(&TOO_LONG, out),
            Framed::TooLong => cx.refuse(&TOO_LONG, idle(), out),
            // Its line ends a group too.
            Framed::Line(_) if octets.len() > used => cx.close(&EARLY, out),
            Framed::Line(line) => match self.exchange.handle_coded(line) {
                Ok(step) => follow(cx, step, out),
                Err(why) => cx.refuse(&refused(why), idle(), out),
            },
        };
        cx.fresh |= matches!(next, Next::On(_));
        (used, next)
    }
}

impl AwaitLogin {
    pub(super) fn answer(self, cx: &mut Cx, answer: Answer, out: &mut Vec<u8>) -> Option<Next> {
        let idle = Waiting::Mail(ExpectMail).into();
        match answer {
            Answer::Login(login) => {
                let peer = Arc::make_mut(&mut cx.peer);
                peer.login = Some(login);
                peer.authenticated = true;
                Reply::fixed(235, 7, 0, "Welcome").print(out);
                Some(Next::On(idle))
            }
            Answer::Say(reply) if !reply.is_positive() => {
                cx.failed_logins += 1;
                Some(cx.pass_on(&reply, idle, out))
            }
            _ => None,
        }
    }
}
