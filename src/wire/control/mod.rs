//! The control conversation of `mail-relayd`, over its unix socket: lines of JSON, the client asks, the server answers.
//!
//! ```text
//! C: {"show":{"id":"01jc3q8m7kx5vwz9"}}
//! S: {"entry":{"id":"01jc3q8m7kx5vwz9","state":"waiting",...}}
//! S: "done"
//! C: {"hold":{"id":"01jc3q8m7kx5vwz0"}}
//! S: {"refused":{"why":"missing","text":"01jc3q8m7kx5vwz0: not in the spool"}}
//! ```
//! Every request ends with one line `"done"` or `{"refused":...}`. Requests may be sent ahead; they are answered in
//! order. Who may speak is a matter of the socket's mode, 0600. Left out: any version; both ends come in one package,
//! and a field or verb that the other end does not know is ignored or refused by name.

pub mod client;
pub mod server;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

/// The most octets of a request's line.
pub const REQUEST_MAX: usize = 1024;
/// The most octets of a response's line: an entry with all the recipients that it can have.
pub const RESPONSE_MAX: usize = 32 << 20;
/// The most octets of a message that one response carries.
pub const PIECE_MAX: usize = 24 * 1024;

/// What the client wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Request {
    /// Every entry, in the order of ids.
    List,
    /// One entry.
    Show(Of),
    /// The octets of a message.
    Read(Of),
    /// A waiting message is due now.
    Retry(Of),
    /// Wait for a person.
    Hold(Of),
    /// A held message is due now.
    Release(Of),
    /// Go, without telling anybody.
    Remove(Of),
}

/// The message that a request is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Of {
    /// Its queue id.
    pub id: String,
}

/// One line of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Response {
    /// An entry.
    Entry(Row),
    /// The next octets of a message, in base64; at most [`PIECE_MAX`] of them.
    Octets(String),
    /// The end of an answer: it was done.
    Done,
    /// The end of an answer: it was not done.
    Refused {
        /// The sort of reason.
        why: Refusal,
        /// One line for a person.
        text: String,
    },
}

/// Why a request was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Refusal {
    /// There is no such entry.
    Missing,
    /// It is being delivered just now.
    Busy,
    /// It is not in a state for that: a release of what is not held, a retry of what is.
    State,
    /// Its file can't be read.
    Damaged,
    /// A fault of ours; another time it may work.
    Temporary,
    /// The request is none that the server knows.
    Request,
}

/// An entry of the spool, as `mail-queue --json` prints it. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The queue id.
    pub id: String,
    /// `waiting` or `held`.
    pub state: State,
    /// When it came.
    pub arrived: u64,
    /// When it is next tried; none while it is held.
    pub due: Option<u64>,
    /// Octets of the message.
    pub size: u64,
    /// The reverse-path; none is `<>`.
    pub sender: Option<String>,
    /// The login that submitted it.
    pub login: Option<String>,
    /// How each recipient stands.
    pub recipients: Vec<Recipient>,
}

/// The state of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// To be tried when it is due, or being tried.
    Waiting,
    /// Waits for a person.
    Held,
}

/// A recipient of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// The address that it is routed by.
    pub mailbox: String,
    /// The address as the sender gave it, where an alias led on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<String>,
    /// How it stands.
    pub standing: Standing,
    /// How often it was tried in vain, while it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tries: Option<u32>,
    /// The enhanced status code of the last failure (RFC 3463).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// What was said at the last failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// How a recipient stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// To be tried (again).
    Waiting,
    /// Has it.
    Done,
    /// Will not get it; the sender was told.
    Failed,
}

impl Request {
    /// The line's octets, its end included.
    pub fn print(&self) -> Vec<u8> {
        line(self)
    }

    /// Reads a line without its end.
    pub fn parse(line: &[u8]) -> Option<Request> {
        serde_json::from_slice(line).ok()
    }
}

impl Response {
    /// The next octets of a message, of which the first [`PIECE_MAX`] count.
    pub fn octets(octets: &[u8]) -> Response {
        Response::Octets(STANDARD.encode(octets.get(..PIECE_MAX).unwrap_or(octets)))
    }

    /// The octets in an [`Response::Octets`]; `None` when they are no base64.
    pub fn decode(text: &str) -> Option<Vec<u8>> {
        STANDARD.decode(text).ok()
    }

    /// The line's octets, its end included.
    pub fn print(&self) -> Vec<u8> {
        line(self)
    }

    /// Reads a line without its end.
    pub fn parse(line: &[u8]) -> Option<Response> {
        serde_json::from_slice(line).ok()
    }

    /// True for the last line of an answer.
    pub fn is_last(&self) -> bool {
        matches!(self, Response::Done | Response::Refused { .. })
    }
}

fn line(of: &impl Serialize) -> Vec<u8> {
    // Only a map with odd keys could fail, and there is none.
    let mut octets = serde_json::to_vec(of).unwrap_or_default();
    octets.push(b'\n');
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_the_head_of_this_file_shows_them() {
        let of = |id: &str| Of { id: id.to_owned() };
        let requests = [
            (Request::List, "\"list\"\n"),
            (Request::Show(of("01jc3q8m7kx5vwz9")), "{\"show\":{\"id\":\"01jc3q8m7kx5vwz9\"}}\n"),
            (Request::Remove(of("x")), "{\"remove\":{\"id\":\"x\"}}\n"),
        ];
        for (request, text) in requests {
            assert_eq!(String::from_utf8(request.print()).unwrap(), text);
            assert_eq!(Request::parse(text.trim_end().as_bytes()), Some(request));
        }
        let refused = Response::Refused { why: Refusal::Missing, text: "no".to_owned() };
        for (response, text) in [
            (Response::Done, "\"done\"\n"),
            (refused, "{\"refused\":{\"why\":\"missing\",\"text\":\"no\"}}\n"),
            (Response::octets(b"ab\xff"), "{\"octets\":\"YWL/\"}\n"),
        ] {
            assert_eq!(String::from_utf8(response.print()).unwrap(), text);
            assert_eq!(Response::parse(text.trim_end().as_bytes()), Some(response));
        }
        assert_eq!(Response::decode("YWL/"), Some(b"ab\xff".to_vec()));
        assert_eq!(Response::decode("?"), None);
    }

    #[test]
    fn odd_lines_are_none() {
        for text in ["", "null", "{}", "\"lists\"", "{\"show\":{}}", "{\"show\":{\"id\":1}}", "[[[[", "\u{0}"]
        {
            assert_eq!(Request::parse(text.as_bytes()), None, "{text}");
        }
    }
}
