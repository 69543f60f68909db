//! Commands that do little.

use super::{
    Answer, Ask, Cx, Tls,
    respond::{Command, Outcome},
    state::{Next, State},
};
use crate::wire::{
    imap::{
        print,
        token::{Bad, Tokens},
    },
    session::Step,
};

/// Waits for the agent to have done what a command wants, with nothing to tell.
pub(super) struct AwaitDone {
    command: Command,
    /// Something that is said before the end.
    says: &'static [u8],
    /// The end, if all goes well.
    outcome: Outcome,
}

/// Asks for something, and ends the command when it is done.
pub(super) fn ask(command: &Command, ask: Ask) -> Next {
    ask_then(command, ask, Outcome::OK)
}

/// The same, with an end of its own.
pub(super) fn ask_then(command: &Command, ask: Ask, outcome: Outcome) -> Next {
    Next::ask(State::Done(AwaitDone { command: command.clone(), says: b"", outcome }), ask)
}

impl AwaitDone {
    pub(super) fn answer(self, cx: &mut Cx, answer: Answer, out: &mut Vec<u8>) -> Option<Next> {
        let outcome = match answer {
            Answer::Done => {
                out.extend_from_slice(self.says);
                self.outcome
            }
            Answer::No(refusal) => Outcome::No(refusal),
            _ => return None,
        };
        Some(cx.finish(self.command, outcome, out))
    }
}

/// ```abnf
/// greeting = "*" SP (resp-cond-auth / resp-cond-bye) CRLF
/// ```
pub(super) fn greet(cx: &mut Cx, out: &mut Vec<u8>) -> Next {
    out.extend_from_slice(if cx.logged_in { b"* PREAUTH [" } else { b"* OK [" });
    capabilities(cx, out);
    out.extend_from_slice(b"] ");
    let hostname = cx.settings.hostname.clone();
    print::text(&hostname, out);
    out.extend_from_slice(b" IMAP4rev1\r\n");
    Next::On(State::Command)
}

/// What is offered now, as it stands behind `CAPABILITY`.
pub(super) fn capabilities(cx: &Cx, out: &mut Vec<u8>) {
    out.extend_from_slice(b"CAPABILITY IMAP4rev1 LITERAL+ ID ENABLE");
    if cx.logged_in {
        out.extend_from_slice(b" IDLE NAMESPACE CHILDREN SPECIAL-USE UNSELECT UIDPLUS MOVE");
        return;
    }
    out.extend_from_slice(b" SASL-IR");
    if cx.offers_tls() {
        out.extend_from_slice(b" STARTTLS");
    }
    out.extend_from_slice(if cx.offers_login() { b" AUTH=PLAIN AUTH=LOGIN" } else { b" LOGINDISABLED" });
}

/// RFC 3501 section 6.1.1.
pub(super) fn capability(
    cx: &mut Cx,
    command: &Command,
    arguments: Tokens,
    out: &mut Vec<u8>,
) -> Result<Next, Bad> {
    arguments.end()?;
    out.extend_from_slice(b"* ");
    capabilities(cx, out);
    out.extend_from_slice(b"\r\n");
    Ok(cx.answer(command, &Outcome::OK, out))
}

/// NOOP and CHECK (RFC 3501 sections 6.1.2 and 6.4.1): what is kept is durable at any time, so that both only look for news.
pub(super) fn noop(
    cx: &mut Cx,
    command: &Command,
    arguments: Tokens,
    out: &mut Vec<u8>,
) -> Result<Next, Bad> {
    arguments.end()?;
    cx.stirred = true;
    Ok(cx.finish(command.clone(), Outcome::OK, out))
}

/// RFC 3501 section 6.1.3.
pub(super) fn logout(
    cx: &mut Cx,
    command: &Command,
    arguments: Tokens,
    out: &mut Vec<u8>,
) -> Result<Next, Bad> {
    arguments.end()?;
    out.extend_from_slice(b"* BYE Until next time\r\n");
    cx.answer(command, &Outcome::OK, out);
    Ok(Next::Turn(State::Closed, Step::Close))
}

/// The most pairs of an ID (RFC 2971 section 3.3).
const ID_PAIRS: usize = 30;
/// The longest field name, and the longest value.
const ID_FIELD: usize = 30;
const ID_VALUE: usize = 1024;

/// ```abnf
/// id = "ID" SPACE ("(" #(string SPACE nstring) ")" / nil)
/// ```
/// RFC 2971 section 3.1.
pub(super) fn id(_: &mut Cx, command: &Command, mut arguments: Tokens, _: &mut Vec<u8>) -> Result<Next, Bad> {
    let text =
        |octets: &[u8], most| String::from_utf8_lossy(octets.get(..most).unwrap_or(octets)).into_owned();
    arguments.space()?;
    let mut pairs = Vec::new();
    if !arguments.keyword("NIL") {
        arguments.expect(b'(', "a list or NIL")?;
        while !arguments.take(b')') {
            if !pairs.is_empty() {
                arguments.space()?;
            }
            let field = text(&arguments.string()?, ID_FIELD);
            arguments.space()?;
            let value = arguments.nstring()?.map(|value| text(&value, ID_VALUE));
            if pairs.len() >= ID_PAIRS {
                return Err(Bad("no more than 30 pairs"));
            }
            pairs.push((field, value));
        }
    }
    arguments.end()?;
    let says = b"* ID (\"name\" \"posthaste\")\r\n";
    let state = AwaitDone { command: command.clone(), says, outcome: Outcome::OK };
    Ok(Next::ask(State::Done(state), Ask::Identify(pairs)))
}

/// ```abnf
/// enable = "ENABLE" 1*(SP capability)
/// ```
/// RFC 5161 section 3.1. Nothing here needs to be enabled, and what is not known is passed over.
pub(super) fn enable(
    cx: &mut Cx,
    command: &Command,
    mut arguments: Tokens,
    out: &mut Vec<u8>,
) -> Result<Next, Bad> {
    loop {
        arguments.space()?;
        arguments.atom()?;
        if arguments.rest().is_empty() {
            break;
        }
    }
    out.extend_from_slice(b"* ENABLED\r\n");
    Ok(cx.answer(command, &Outcome::OK, out))
}

/// RFC 2342 section 5: all folders are the account's own.
pub(super) fn namespace(
    cx: &mut Cx,
    command: &Command,
    arguments: Tokens,
    out: &mut Vec<u8>,
) -> Result<Next, Bad> {
    arguments.end()?;
    out.extend_from_slice(b"* NAMESPACE ((\"\" ");
    print::string(cx.settings.separator.encode_utf8(&mut [0; 4]).as_bytes(), out);
    out.extend_from_slice(b")) NIL NIL\r\n");
    Ok(cx.answer(command, &Outcome::OK, out))
}

/// Begins TLS.
pub(super) fn secure(cx: &Cx) -> Result<(), Outcome> {
    match cx.settings.tls {
        _ if cx.secured => Err(Outcome::Bad("TLS stands already".into())),
        Tls::None | Tls::Standing => Err(Outcome::Bad("There is no TLS here".into())),
        Tls::Broken => Err(Outcome::no(super::Code::Unavailable, "TLS can't be had now")),
        Tls::Offered => Ok(()),
    }
}
