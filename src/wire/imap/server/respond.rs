//! Responses (RFC 3501 section 7).

use super::ask::{Code, Refusal};
use crate::wire::imap::print;
use std::borrow::Cow;

/// What a command is remembered by until it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) tag: String,
    /// Its name in the table.
    pub(super) name: &'static str,
    /// It stands behind UID.
    pub(super) uid: bool,
    /// No EXPUNGE may be told before its end (RFC 3501 section 7.4.1).
    pub(super) holds: bool,
}

/// How a command ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// With a code (without its brackets) and words of our own, or `NAME completed`.
    Ok {
        code: Option<Vec<u8>>,
        text: Option<&'static str>,
    },
    No(Refusal),
    /// Not made out, or out of place.
    Bad(Cow<'static, str>),
}

impl Outcome {
    /// Nothing special.
    pub(super) const OK: Outcome = Outcome::Ok { code: None, text: None };

    /// A refusal of our own.
    pub(super) fn no(code: Code, text: &'static str) -> Outcome {
        Outcome::No(Refusal::new(code, text))
    }
}

/// The response that ends a command.
///
/// ```abnf
/// response-tagged = tag SP resp-cond-state CRLF
/// ```
pub(super) fn tagged(command: &Command, outcome: &Outcome, out: &mut Vec<u8>) {
    out.extend_from_slice(command.tag.as_bytes());
    match outcome {
        Outcome::Ok { code, text } => {
            out.extend_from_slice(b" OK ");
            if let Some(code) = code {
                out.push(b'[');
                out.extend_from_slice(code);
                out.extend_from_slice(b"] ");
            }
            match text {
                Some(text) => print::text(text, out),
                None => {
                    out.extend_from_slice(if command.uid { b"UID " } else { b"" });
                    out.extend_from_slice(command.name.as_bytes());
                    out.extend_from_slice(b" completed");
                }
            }
        }
        Outcome::No(refusal) => {
            out.extend_from_slice(b" NO ");
            refused(refusal, out);
        }
        Outcome::Bad(text) => {
            out.extend_from_slice(b" BAD ");
            print::text(text, out);
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// `resp-text`
fn refused(refusal: &Refusal, out: &mut Vec<u8>) {
    if let Some(code) = refusal.code {
        out.push(b'[');
        out.extend_from_slice(code.name().as_bytes());
        out.extend_from_slice(b"] ");
    }
    print::text(&refusal.text, out);
}

/// `* BYE text`
pub(super) fn bye(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"* BYE ");
    print::text(text, out);
    out.extend_from_slice(b"\r\n");
}

/// `* BAD text`, for what has no tag.
pub(super) fn bad(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"* BAD ");
    print::text(text, out);
    out.extend_from_slice(b"\r\n");
}

/// `* NO text`, a warning.
pub(super) fn warn(refusal: &Refusal, out: &mut Vec<u8>) {
    out.extend_from_slice(b"* NO ");
    refused(refusal, out);
    out.extend_from_slice(b"\r\n");
}

/// `* 7 EXISTS`
pub(super) fn counted(number: u64, what: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"* ");
    print::number(number, out);
    out.push(b' ');
    out.extend_from_slice(what.as_bytes());
    out.extend_from_slice(b"\r\n");
}
