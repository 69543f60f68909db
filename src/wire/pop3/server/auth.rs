//! Logins: USER and PASS (RFC 1939 section 7), and AUTH (RFC 5034).

use super::{
    Answer, Ask, Cx, Maildrop,
    state::{Next, State, gone},
    waiting::{ExpectCommand, ExpectPass, ExpectUser, Waiting},
};
use crate::wire::{
    line::Framed,
    pop3::reply::{Code, Reply, Status},
    sasl::{self, Credentials, Exchange, Mechanism},
    session::Step,
};

/// The most octets of a line of an exchange (RFC 5034 section 4).
const RESPONSE_MAX: usize = 12_288;
/// The most octets of an over-long one that are thrown away to find its end.
const FLOOD: usize = 4 * RESPONSE_MAX;

/// Waits for the response to a challenge.
pub(super) struct ExpectResponse {
    exchange: Exchange,
}

/// Waits for the agent's word on a login.
pub(super) struct AwaitLogin;

const NO_TLS: Reply = Reply::err("Begin TLS first");
const MALFORMED: Reply = Reply::err("That is not what the mechanism asks for");
const NOT_BASE64: Reply = Reply::err("That is not base64");
const WRONG: Reply = Reply::refused(Code::Auth, "Wrong login or password");
const CANCELLED: Reply = Reply::err("Cancelled");
const TOO_LONG: Reply = Reply::err("The line is too long");

/// Names are not told: whoever it is may go on to PASS.
pub(super) fn user(waiting: Waiting, cx: &mut Cx, name: &str, out: &mut Vec<u8>) -> Next {
    if !cx.offers_login() {
        return cx.refuse(&NO_TLS, waiting.into(), out);
    }
    match name {
        "" => cx.refuse(&Reply::err("Who?"), waiting.into(), out),
        name => {
            cx.idles();
            let then = Waiting::Pass(ExpectPass { name: name.to_owned() });
            cx.say(&Reply::ok("And the password?"), then.into(), out)
        }
    }
}

/// The password is all that follows the first space, other spaces included.
pub(super) fn pass(waiting: Waiting, cx: &mut Cx, secret: &str, out: &mut Vec<u8>) -> Next {
    let taken = match &waiting {
        Waiting::Pass(ExpectPass { name }) => Credentials::take(name.as_bytes(), secret.as_bytes()),
        _ => Err(sasl::Refused::Malformed),
    };
    match taken {
        Ok(credentials) => check(cx, credentials),
        Err(_) => cx.refuse(&WRONG, Waiting::User(ExpectUser).into(), out),
    }
}

/// Our passwords are kept so that they can't be read back, which APOP would need.
pub(super) fn apop(waiting: Waiting, cx: &mut Cx, _: &str, out: &mut Vec<u8>) -> Next {
    cx.refuse(&Reply::err("APOP is not served; use USER and PASS, or AUTH"), waiting.into(), out)
}

/// ```abnf
/// "AUTH" SP sasl-mech [SP initial-response] CRLF
/// ```
/// RFC 5034 section 4.
pub(super) fn auth(waiting: Waiting, cx: &mut Cx, arguments: &str, out: &mut Vec<u8>) -> Next {
    if !cx.offers_login() {
        return cx.refuse(&NO_TLS, waiting.into(), out);
    }
    if arguments.is_empty() {
        // What old clients ask before there was CAPA.
        cx.idles();
        return match cx.say(&Reply::ok("These"), waiting.into(), out) {
            Next::On(state) => {
                out.extend_from_slice(b"PLAIN\r\n.\r\n");
                Next::On(state)
            }
            closing => closing,
        };
    }
    match begin(arguments) {
        Ok(step) => follow(cx, step, out),
        Err(reply) => cx.refuse(&reply, waiting.into(), out),
    }
}

fn begin(arguments: &str) -> Result<sasl::Step, Reply> {
    let (name, initial) = match arguments.split_once(' ') {
        Some((name, initial)) => (name, Some(initial)),
        None => (arguments, None),
    };
    let mechanism = Mechanism::parse(name)
        .filter(|mechanism| *mechanism == Mechanism::Plain)
        .ok_or(Reply::err("Unknown mechanism"))?;
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
            Reply { status: Status::Challenge, code: None, text: sasl::challenge(challenge).into() }
                .print(out);
            cx.fresh = true;
            Next::On(State::Response(ExpectResponse { exchange }))
        }
        sasl::Step::Check(credentials) => check(cx, credentials),
    }
}

fn check(cx: &Cx, credentials: Credentials) -> Next {
    let failures = cx.failed_logins;
    Next::Turn(State::Login(AwaitLogin), Step::Ask(Ask::Login { credentials, failures }))
}

impl ExpectResponse {
    /// ```abnf
    /// response = base64 CRLF / "*" CRLF
    /// ```
    /// RFC 5034 section 4: `*` cancels.
    pub(super) fn octets(self, cx: &mut Cx, octets: &[u8], out: &mut Vec<u8>) -> (usize, Next) {
        let (used, framed) = cx.framer.take(octets, RESPONSE_MAX, FLOOD);
        let idle = || Waiting::User(ExpectUser).into();
        let next = match framed {
            Framed::More => Next::Turn(State::Response(self), cx.read()),
            Framed::Flood => cx.close(&TOO_LONG, out),
            Framed::TooLong => cx.refuse(&TOO_LONG, idle(), out),
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
        match answer {
            Answer::Open(sizes) => {
                let maildrop = cx.maildrop.insert(Maildrop::new(sizes));
                let (messages, octets) = maildrop.stat();
                cx.works();
                let text = format!("{messages} messages, {octets} octets");
                Some(cx.say(
                    &Reply { text: text.into(), ..Reply::ok("") },
                    Waiting::Command(ExpectCommand).into(),
                    out,
                ))
            }
            Answer::Refuse(reply) if !reply.is_ok() => {
                cx.failed_logins = cx.failed_logins.saturating_add(1);
                Some(cx.pass_on(&reply, Waiting::User(ExpectUser).into(), out))
            }
            _ => Some(gone()),
        }
    }
}
