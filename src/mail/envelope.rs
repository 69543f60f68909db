//! Who a message is from and for, as the transport says it: not what its header shows.

use super::address::Mailbox;
use std::fmt;

/// The body type declared at MAIL (RFC 6152).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Body {
    /// `BODY=7BIT`, or nothing said.
    #[default]
    SevenBit,
    /// `BODY=8BITMIME`.
    EightBitMime,
}

/// What a report of failure is to bring back (RFC 3461 section 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ret {
    /// The whole message.
    Full,
    /// Its header.
    Headers,
}

impl Ret {
    /// `FULL` or `HDRS`, in any case.
    pub fn parse(word: &str) -> Option<Ret> {
        match word {
            _ if word.eq_ignore_ascii_case("FULL") => Some(Ret::Full),
            _ if word.eq_ignore_ascii_case("HDRS") => Some(Ret::Headers),
            _ => None,
        }
    }

    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Ret::Full => "FULL",
            Ret::Headers => "HDRS",
        }
    }
}

/// When a sender wants to be told (RFC 3461 section 4.1); never is none of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notify {
    /// Of delivery.
    pub success: bool,
    /// Of failure.
    pub failure: bool,
    /// Of delay.
    pub delay: bool,
}

impl Notify {
    /// ```abnf
    /// notify-esmtp-value  = "NEVER" / 1#notify-list-element
    /// notify-list-element = "SUCCESS" / "FAILURE" / "DELAY"
    /// ```
    /// RFC 3461 section 4.1.
    pub fn parse(value: &str) -> Option<Notify> {
        let mut notify = Notify::default();
        if value.eq_ignore_ascii_case("NEVER") {
            return Some(notify);
        }
        for word in value.split(',') {
            let flag = match word {
                _ if word.eq_ignore_ascii_case("SUCCESS") => &mut notify.success,
                _ if word.eq_ignore_ascii_case("FAILURE") => &mut notify.failure,
                _ if word.eq_ignore_ascii_case("DELAY") => &mut notify.delay,
                _ => return None,
            };
            *flag = true;
        }
        Some(notify)
    }
}

impl fmt::Display for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [(self.success, "SUCCESS"), (self.failure, "FAILURE"), (self.delay, "DELAY")];
        let mut between = "";
        for (_, word) in words.iter().filter(|(wanted, _)| *wanted) {
            write!(f, "{between}{word}")?;
            between = ",";
        }
        if between.is_empty() { f.write_str("NEVER") } else { Ok(()) }
    }
}

/// Of what a sender wants to hear about one recipient (RFC 3461 section 4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// When to be told; nothing said is failure, and delay as whoever delays thinks fit.
    pub notify: Option<Notify>,
    /// The recipient as its first sender knew it: `type;address`, decoded.
    pub orcpt: Option<String>,
}

impl Wish {
    /// True when a failure is told.
    pub fn failure(&self) -> bool {
        self.notify.is_none_or(|notify| notify.failure)
    }

    /// True when a delivery is told.
    pub fn success(&self) -> bool {
        self.notify.is_some_and(|notify| notify.success)
    }
}

/// One recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The address that mail is routed by.
    pub mailbox: Mailbox,
    /// The address as the sender gave it, where an alias led to another.
    pub original: Option<Mailbox>,
    /// Of what its sender wants to hear.
    pub wish: Wish,
}

impl Recipient {
    /// One that the sender named itself.
    pub fn to(mailbox: Mailbox) -> Recipient {
        Recipient { mailbox, original: None, wish: Wish::default() }
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
    /// How much of it a report is to bring back (RFC 3461 section 4.3).
    pub ret: Option<Ret>,
    /// Its name for its sender, decoded (RFC 3461 section 4.4).
    pub envid: Option<String>,
}
