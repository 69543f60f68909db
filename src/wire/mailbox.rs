//! What the clients that read a mailbox, IMAP's and POP3's, have in common: what is ordered, where the dialogue stands, and
//! why it came to nothing.

use super::sasl::Credentials;
use crate::mail::verdict::{Verdict, Why};
use std::{fmt, time::Duration};

/// Whether the connection goes over to TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// It stays as it is: in the clear, or already under TLS (implicit TLS).
    AsItIs,
    /// By STARTTLS where the server offers it (opportunistic, RFC 7435).
    IfOffered,
    /// By STARTTLS, or nothing is said.
    Demanded,
}

/// What a session is to be.
#[derive(Clone, Debug)]
pub struct Order {
    /// The server's name, for what people are told.
    pub server: String,
    /// Whether to go over to TLS.
    pub tls: Tls,
    /// Who logs in; `None` only where the server knows us already (IMAP's PREAUTH).
    pub login: Option<Credentials>,
    /// How long to wait for the next octets of what was asked for.
    pub patience: Duration,
}

/// A step of the dialogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The server's greeting.
    Greeting,
    /// What it can do.
    Capability,
    /// STARTTLS or STLS, and the handshake.
    StartTls,
    /// The login.
    Login,
    /// Which folders and messages there are.
    Listing,
    /// The messages.
    Messages,
    /// Their deletion.
    Deleting,
    /// The goodbye.
    Idle,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Greeting => "before the greeting",
            Stage::Capability => "while asking what it can do",
            Stage::StartTls => "while going over to TLS",
            Stage::Login => "during the login",
            Stage::Listing => "during the listing",
            Stage::Messages => "while messages were fetched",
            Stage::Deleting => "during the deletion",
            Stage::Idle => "at the goodbye",
        })
    }
}

/// Why a session ended before its time. What was fetched until then is the agent's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Where the dialogue stood.
    pub stage: Stage,
    /// `Never` where trying again unchanged can't help (a refused login, no TLS).
    pub verdict: Verdict,
}

impl Order {
    /// The connection is of no use any more.
    pub(super) fn lost(&self, stage: Stage, text: &str) -> Failure {
        let text = format!("{}: {text} {stage}", self.server);
        Failure { stage, verdict: Verdict::Later(Why::new(4, 2, text)) }
    }

    /// The server does not keep to the protocol.
    pub(super) fn odd(&self, stage: Stage, text: &str) -> Failure {
        let text = format!("{}: {text} ({stage})", self.server);
        Failure { stage, verdict: Verdict::Later(Why::new(5, 0, text)) }
    }

    /// There is no way to do it here.
    pub(super) fn never(&self, stage: Stage, subject: u16, detail: u16, text: &str) -> Failure {
        let text = format!("{}: {text}", self.server);
        Failure { stage, verdict: Verdict::Never(Why::new(subject, detail, text)) }
    }
}

/// What a server says to people, on one line and not too long.
pub(super) fn quoted(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text.get(..text.len().min(300)).unwrap_or_default());
    crate::mail::harmless::line(&text).trim().to_owned()
}
