//! STARTTLS, LOGIN and AUTHENTICATE (RFC 3501 section 6.2, RFC 4959).

use super::{
    Answer, Ask, Code, Cx,
    reader::Taken,
    respond::{Command, Outcome},
    small,
    state::{Next, State},
};
use crate::wire::{
    imap::token::{Bad, Tokens},
    sasl::{self, Credentials, Exchange, Mechanism},
    session::Step,
};
use zeroize::Zeroizing;

/// Waits for the handshake.
pub(super) struct ExpectTls;

/// Waits for the response to a challenge.
pub(super) struct ExpectResponse {
    command: Command,
    exchange: Exchange,
}

/// Waits for the agent's word on a login.
pub(super) struct AwaitLogin {
    command: Command,
}

const NOT_BASE64: Bad = Bad("base64");

/// RFC 3501 section 6.2.1.
pub(super) fn starttls(
    cx: &mut Cx,
    command: &Command,
    arguments: Tokens,
    out: &mut Vec<u8>,
) -> Result<Next, Bad> {
    arguments.end()?;
    if let Err(outcome) = small::secure(cx) {
        return Ok(cx.answer(command, &outcome, out));
    }
    cx.answer(command, &Outcome::Ok { code: None, text: Some("Begin") }, out);
    Ok(Next::Turn(State::Tls(ExpectTls), Step::StartTls))
}

impl ExpectTls {
    /// What was said before TLS is forgotten.
    pub(super) fn secured(self, cx: &mut Cx) -> Next {
        cx.secured = true;
        cx.fresh = true;
        cx.errors = 0;
        cx.reader.clear();
        Next::On(State::Command)
    }
}

/// Where a password may not be said.
fn in_the_clear(cx: &Cx) -> Option<Outcome> {
    (!cx.offers_login()).then(|| Outcome::no(Code::PrivacyRequired, "Begin TLS first"))
}

/// ```abnf
/// login = "LOGIN" SP userid SP password
/// ```
/// RFC 3501 section 6.2.3.
pub(super) fn login(
    cx: &mut Cx,
    command: &Command,
    mut arguments: Tokens,
    out: &mut Vec<u8>,
) -> Result<Next, Bad> {
    arguments.space()?;
    let name = arguments.astring()?;
    arguments.space()?;
    let secret = match arguments.astring()? {
        std::borrow::Cow::Borrowed(secret) => Zeroizing::new(secret.to_vec()),
        std::borrow::Cow::Owned(secret) => Zeroizing::new(secret),
    };
    arguments.end()?;
    if let Some(outcome) = in_the_clear(cx) {
        return Ok(cx.answer(command, &outcome, out));
    }
    Ok(match Credentials::take(&name, &secret) {
        Ok(credentials) => check(cx, command.clone(), credentials),
        Err(refused) => refuse(cx, command, refused, out),
    })
}

/// ```abnf
/// authenticate = "AUTHENTICATE" SP auth-type [SP (base64 / "=")] *(CRLF base64)
/// ```
/// RFC 3501 section 6.2.2, RFC 4959 section 3.
pub(super) fn authenticate(
    cx: &mut Cx,
    command: &Command,
    mut arguments: Tokens,
    out: &mut Vec<u8>,
) -> Result<Next, Bad> {
    arguments.space()?;
    let name = arguments.atom()?;
    let initial = arguments.take(b' ').then(|| arguments.run(|octet| octet != b' '));
    arguments.end()?;
    if let Some(outcome) = in_the_clear(cx) {
        return Ok(cx.answer(command, &outcome, out));
    }
    let Some(mechanism) = Mechanism::parse(name) else {
        return Ok(cx.answer(command, &Outcome::no(Code::Cannot, "Unknown mechanism"), out));
    };
    Ok(follow(cx, command.clone(), Exchange::begin_coded(mechanism, initial), out))
}

fn follow(cx: &mut Cx, command: Command, step: Result<sasl::Step, sasl::Refused>, out: &mut Vec<u8>) -> Next {
    match step {
        Ok(sasl::Step::Challenge(challenge, exchange)) => {
            out.extend_from_slice(b"+ ");
            out.extend_from_slice(sasl::challenge(challenge).as_bytes());
            out.extend_from_slice(b"\r\n");
            cx.fresh = true;
            Next::On(State::Response(ExpectResponse { command, exchange }))
        }
        Ok(sasl::Step::Check(credentials)) => check(cx, command, credentials),
        Err(refused) => refuse(cx, &command, refused, out),
    }
}

fn check(cx: &Cx, command: Command, credentials: Credentials) -> Next {
    let ask = Ask::Login { credentials, failures: cx.failed_logins };
    Next::ask(State::Login(AwaitLogin { command }), ask)
}

fn refuse(cx: &mut Cx, command: &Command, refused: sasl::Refused, out: &mut Vec<u8>) -> Next {
    let outcome = match refused {
        sasl::Refused::Malformed => Outcome::Bad("That is no login".into()),
        sasl::Refused::ForAnother => Outcome::no(Code::AuthorizationFailed, "Nobody acts for another here"),
        sasl::Refused::NotBase64 => Outcome::Bad(NOT_BASE64.to_string().into()),
        sasl::Refused::Cancelled => Outcome::Bad("Cancelled".into()),
    };
    cx.answer(command, &outcome, out)
}

impl ExpectResponse {
    /// ```abnf
    /// response = base64 CRLF / "*" CRLF
    /// ```
    /// RFC 3501 section 6.2.2: `*` cancels.
    pub(super) fn octets(self, cx: &mut Cx, octets: &[u8], out: &mut Vec<u8>) -> (usize, Next) {
        let (used, taken) = cx.reader.take(octets, cx.room());
        let next = match taken {
            Taken::More => Next::Turn(State::Response(self), cx.read()),
            Taken::Whole => {
                let line = Zeroizing::new(cx.reader.take_text());
                cx.reader.clear();
                self.line(cx, &line, out)
            }
            _ => cx.close("That is no response", out),
        };
        (used, next)
    }

    fn line(self, cx: &mut Cx, line: &[u8], out: &mut Vec<u8>) -> Next {
        let step = self.exchange.handle_coded(line);
        follow(cx, self.command, step, out)
    }
}

impl AwaitLogin {
    pub(super) fn answer(self, cx: &mut Cx, answer: Answer, out: &mut Vec<u8>) -> Option<Next> {
        let outcome = match answer {
            Answer::Done => {
                cx.logged_in = true;
                let mut code = Vec::new();
                small::capabilities(cx, &mut code);
                Outcome::Ok { code: Some(code), text: Some("Welcome") }
            }
            Answer::No(refusal) => {
                cx.failed_logins = cx.failed_logins.saturating_add(1);
                Outcome::No(refusal)
            }
            _ => return None,
        };
        Some(cx.finish(self.command, outcome, out))
    }
}
