//! Trace fields (RFC 5321 section 4.4): what we write on top of a message, and what those that are there tell.

use super::{address::Mailbox, date::Date, header, id::QueueId};
use crate::mail::address::is_atext;
use std::{fmt, net::IpAddr};

/// Received fields at which a message is taken to go in circles (RFC 5321 section 6.3 wants it to be at least 100
/// hops where hops are counted, but no mail passes 50 hosts).
pub const HOPS_MAX: usize = 50;

/// The client's side of a hop.
#[derive(Clone, Debug)]
pub enum From<'a> {
    /// A TCP client: what it called itself, and its address.
    Client {
        /// EHLO's argument.
        hello: &'a str,
        /// Where it came from.
        address: IpAddr,
    },
    /// A process on this machine, by its user id.
    Local(u32),
    /// Nothing is said: a message is not to tell where its author was.
    Hidden,
}

/// One `Received` field; [`fmt::Display`] gives it whole, folded, with its last CR LF.
#[derive(Clone, Debug)]
pub struct Received<'a> {
    /// The client.
    pub from: From<'a>,
    /// Our host name.
    pub by: &'a str,
    /// How it came (RFC 3848): `SMTP`, `ESMTPSA`, `LMTP`.
    pub with: &'a str,
    /// TLS version and cipher.
    pub tls: Option<(&'a str, &'a str)>,
    /// The message.
    pub id: &'a QueueId,
    /// The recipient as the client gave it, where there is only one: several are nobody's business.
    pub recipient: Option<&'a Mailbox>,
    /// When it came.
    pub date: Date,
}

impl fmt::Display for Received<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Received: ")?;
        match self.from {
            From::Client { hello, address } => {
                let literal = super::address::Domain::Literal(address);
                match is_name(hello) || hello == literal.to_string() {
                    true => write!(f, "from {hello} ({literal})\r\n\t")?,
                    false => write!(f, "from {literal}\r\n\t")?,
                }
            }
            From::Local(_) | From::Hidden => {}
        }
        write!(f, "by {} (posthaste", self.by)?;
        if let From::Local(uid) = self.from {
            write!(f, ", from user id {uid}")?;
        }
        write!(f, ") with {}", self.with)?;
        if let Some((version, cipher)) = self.tls {
            write!(f, "\r\n\t(using {version} with {cipher})")?;
        }
        write!(f, "\r\n\tid {}", self.id)?;
        if let Some(recipient) = self.recipient {
            write!(f, "\r\n\tfor <{recipient}>")?;
        }
        write!(f, "; {}\r\n", self.date)
    }
}

/// `Return-Path`, as final delivery writes it (RFC 5321 section 4.4), with its CR LF.
pub fn return_path(sender: Option<&Mailbox>) -> String {
    match sender {
        Some(sender) => format!("Return-Path: <{sender}>\r\n"),
        None => "Return-Path: <>\r\n".to_owned(),
    }
}

/// `Delivered-To` (RFC 9228), with its CR LF.
pub fn delivered_to(recipient: &Mailbox) -> String {
    format!("Delivered-To: {recipient}\r\n")
}

/// What the head of a message tells; `head` holds at least its first fields.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Told {
    /// How many `Received` fields there are.
    pub hops: usize,
    /// The mailboxes in its `Delivered-To` fields, in lower case; at most [`HOPS_MAX`].
    pub delivered_to: Vec<String>,
    /// There is a `Date`.
    pub date: bool,
    /// There is a `Message-ID`.
    pub message_id: bool,
}

impl Told {
    /// Reads the fields in `head`.
    pub fn of(head: &[u8]) -> Told {
        let mut told = Told::default();
        for field in header::fields(head) {
            if field.is("Received") {
                told.hops = told.hops.saturating_add(1);
            } else if field.is("Delivered-To") && told.delivered_to.len() < HOPS_MAX {
                let mut mailbox = String::from_utf8_lossy(&field.unfolded()).into_owned();
                mailbox.make_ascii_lowercase();
                told.delivered_to.push(mailbox);
            } else if field.is("Date") {
                told.date = true;
            } else if field.is("Message-ID") {
                told.message_id = true;
            }
        }
        told
    }

    /// True when the message was delivered to this mailbox before, so that it would go in circles.
    pub fn was_delivered_to(&self, mailbox: &Mailbox) -> bool {
        let key = mailbox.key();
        self.delivered_to.contains(&key)
    }
}

/// A name that can stand in a Received field as it is. Longer ones than the DNS knows are none.
fn is_name(text: &str) -> bool {
    (1..=255).contains(&text.len())
        && text.split('.').all(|part| !part.is_empty() && part.bytes().all(is_atext))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(hello: &str, recipient: Option<&str>) -> String {
        let id = QueueId::new(1_795_000_000_000_000, 7);
        let recipient: Option<Mailbox> = recipient.map(|text| text.parse().unwrap());
        Received {
            from: From::Client { hello, address: "192.0.2.1".parse().unwrap() },
            by: "mx.example.org",
            with: "ESMTPS",
            tls: Some(("TLSv1.3", "TLS_AES_256_GCM_SHA384")),
            id: &id,
            recipient: recipient.as_ref(),
            date: Date { seconds: 1_795_000_000, offset: 60 },
        }
        .to_string()
    }

    #[test]
    fn a_received_field_is_the_stamp_of_rfc_5321() {
        assert_eq!(
            received("mail.example.net", Some("\"a b\"@example.org")),
            "Received: from mail.example.net ([192.0.2.1])\r\n\
             \tby mx.example.org (posthaste) with ESMTPS\r\n\
             \t(using TLSv1.3 with TLS_AES_256_GCM_SHA384)\r\n\
             \tid 1m7gzfng5r000007\r\n\
             \tfor <\"a b\"@example.org>; Wed, 18 Nov 2026 12:06:40 +0100\r\n"
                .replace("1m7gzfng5r000007", QueueId::new(1_795_000_000_000_000, 7).as_str())
        );
        assert!(!received("mail.example.net", None).contains("for <"));
    }

    #[test]
    fn what_a_client_calls_itself_can_not_spoil_the_field() {
        for odd in ["[evil", "a(b", "", "a..b", "a:b", &"x".repeat(300)] {
            assert!(received(odd, None).starts_with("Received: from [192.0.2.1]\r\n\tby "), "{odd}");
        }
        assert!(received("[192.0.2.1]", None).starts_with("Received: from [192.0.2.1] ([192.0.2.1])\r\n"));
        assert!(received("under_score", None).starts_with("Received: from under_score ([192.0.2.1])\r\n"));
    }

    #[test]
    fn a_hidden_client_leaves_no_address() {
        let id = QueueId::new(0, 0);
        let date = Date { seconds: 0, offset: 0 };
        let mut field = Received {
            from: From::Hidden,
            by: "mx.example.org",
            with: "ESMTPSA",
            tls: None,
            id: &id,
            recipient: None,
            date,
        };
        assert!(field.to_string().starts_with("Received: by mx.example.org (posthaste) with ESMTPSA\r\n"));
        field.from = From::Local(1000);
        assert!(field.to_string().starts_with("Received: by mx.example.org (posthaste, from user id 1000) "));
    }

    #[test]
    fn a_head_tells_hops_deliveries_and_what_is_missing() {
        let head = b"Received: a\r\nReceived : b\r\n c\r\nDelivered-To: Bob@Example.org\r\ndate: x\r\n\r\nReceived: no\r\n";
        let told = Told::of(head);
        assert_eq!((told.hops, told.date, told.message_id), (2, true, false));
        assert!(told.was_delivered_to(&"bob@example.org".parse().unwrap()));
        assert!(!told.was_delivered_to(&"bob+x@example.org".parse().unwrap()));
        assert_eq!(Told::of(b"no header at all"), Told::default());
    }
}
