//! Who a message is from and for, as the transport says it: not what its header shows.

use super::address::Mailbox;

/// The body type declared at MAIL (RFC 6152).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Body {
    /// `BODY=7BIT`, or nothing said.
    #[default]
    SevenBit,
    /// `BODY=8BITMIME`.
    EightBitMime,
}

/// One recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The address that mail is routed by.
    pub mailbox: Mailbox,
    /// The address as the sender gave it, where an alias led to another.
    pub original: Option<Mailbox>,
}

impl Recipient {
    /// One that the sender named itself.
    pub fn to(mailbox: Mailbox) -> Recipient {
        Recipient { mailbox, original: None }
    }
}

/// The envelope of one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// The reverse-path; `None` is the null sender `<>`.
    pub sender: Option<Mailbox>,
    /// At least one.
    pub recipients: Vec<Recipient>,
    /// The declared body type.
    pub body: Body,
    /// The login that submitted it, where there was one.
    pub login: Option<String>,
    /// Its sender's address or its header holds letters beyond ASCII, as SMTPUTF8 allowed (RFC 6531).
    pub utf8: bool,
}
