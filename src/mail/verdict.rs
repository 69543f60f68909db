//! What became of a message for one recipient: done, later or never. Replies, exit statuses and
//! the fields of a delivery status notification are views of it.

use std::{fmt, io};

/// An enhanced status code, `class.subject.detail` (RFC 3463 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EnhancedCode {
    /// 2 (success), 4 (persistent transient failure) or 5 (permanent failure).
    pub class: u8,
    /// The field of the status: 1 addressing, 2 mailbox, 3 system, 4 network, 5 protocol, 6 content, 7 policy.
    pub subject: u16,
    /// The status within its subject.
    pub detail: u16,
}

impl fmt::Display for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// Why a recipient was not served: subject and detail of an [`EnhancedCode`], and words for a person.
/// The class is not kept here, since the [`Verdict`] around it says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// The enhanced code's subject.
    pub subject: u16,
    /// The enhanced code's detail.
    pub detail: u16,
    /// One line for a person. What a peer said stands here behind its host name.
    pub text: String,
}

impl Why {
    /// A reason with the enhanced code `x.subject.detail`.
    pub fn new(subject: u16, detail: u16, text: impl Into<String>) -> Why {
        Why { subject, detail, text: text.into() }
    }

    /// A local fault: a full disk or quota is x.3.1, anything else x.3.0. Always temporary
    /// (the caller wraps it in [`Verdict::Later`]).
    pub fn local(doing: &str, fault: &io::Error) -> Why {
        let full = matches!(fault.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        Why::new(3, u16::from(full), format!("{doing}: {fault}"))
    }
}

impl Why {
    /// True when a disk or a quota has no room (x.3.1, x.2.2).
    pub fn is_full(&self) -> bool {
        matches!((self.subject, self.detail), (3, 1) | (2, 2))
    }

    /// The same reason, told by a peer: `text` is its reply, code and all.
    pub fn said_by(self, host: &str) -> Why {
        Why { text: format!("{host}{SAID}{}", self.text), ..self }
    }

    /// The peer and its reply, where a peer gave the reason.
    pub fn said(&self) -> Option<(&str, &str)> {
        let (host, reply) = self.text.split_once(SAID)?;
        let coded = reply.as_bytes().get(..3).is_some_and(|code| code.iter().all(u8::is_ascii_digit));
        (coded && !host.is_empty() && !host.contains(' ')).then_some((host, reply))
    }
}

/// What stands between a peer's name and its reply.
const SAID: &str = " said: ";

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The outcome for one recipient. Unknown trouble is always `Later`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Somebody durable has taken responsibility.
    Done,
    /// Not now: the sender keeps the message and tries again.
    Later(Why),
    /// Never: the sender is told.
    Never(Why),
}

impl Verdict {
    /// The enhanced status code (RFC 3463): 2.0.0, 4.s.d or 5.s.d.
    pub fn code(&self) -> EnhancedCode {
        match self {
            Verdict::Done => EnhancedCode { class: 2, subject: 0, detail: 0 },
            Verdict::Later(why) => EnhancedCode { class: 4, subject: why.subject, detail: why.detail },
            Verdict::Never(why) => EnhancedCode { class: 5, subject: why.subject, detail: why.detail },
        }
    }

    /// The basic SMTP reply code that goes with it (RFC 5321 section 4.2.3).
    pub fn reply_code(&self) -> u16 {
        match self {
            Verdict::Done => 250,
            Verdict::Later(why) => match (why.subject, why.detail) {
                (1, _) | (2, 1) | (7, _) => 450,
                (2, 2) | (3, 1) | (5, 3) => 452,
                (4, _) => 421,
                _ => 451,
            },
            Verdict::Never(why) => match (why.subject, why.detail) {
                (1, 3 | 7) | (5, 4) => 501,
                (1, 10) => 556,
                (1, _) | (2, 1) | (7, _) | (5, 2) => 550,
                (2, 2) | (3, 4) => 552,
                (6, 7) => 553,
                _ => 554,
            },
        }
    }

    /// True for `Done`.
    pub fn is_done(&self) -> bool {
        matches!(self, Verdict::Done)
    }
}
