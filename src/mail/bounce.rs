//! Bounces: delivery status notifications (RFC 3461 section 6, RFC 3462, RFC 3464) to the sender of a message: of failures, and
//! of deliveries where that was wished for.
//!
//! Written by hand, part by part, since the report's parts have types of their own. The original's header goes
//! along, capped; the whole of it where its sender wished so and it is small.

use super::{
    address::Mailbox,
    date::Date,
    header,
    id::QueueId,
    verdict::{Verdict, Why},
};
use std::io::{self, Write};

/// The most octets of the original's header that go along.
pub const HEADER_MAX: usize = 64 * 1024;
/// The most octets of a reason; a peer may have said more.
const REASON_MAX: usize = 800;
/// The longest Message-ID that is referred to.
const MESSAGE_ID_MAX: usize = 500;

/// What became of one recipient.
#[derive(Clone, Debug)]
pub struct Fate<'a> {
    /// Where the message went.
    pub recipient: &'a Mailbox,
    /// What the sender had written, where an alias led elsewhere.
    pub original: Option<&'a Mailbox>,
    /// What its first sender had written, `type;address`, where that was told (ORCPT).
    pub orcpt: Option<&'a str>,
    /// What became of it.
    pub action: Action<'a>,
}

/// RFC 3464 section 2.3.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action<'a> {
    /// It was given up, for this reason.
    Failed(&'a Why),
    /// It is in its mailbox.
    Delivered,
    /// This host took it, and will not tell what becomes of it.
    Relayed(&'a str),
}

/// A report on one message.
#[derive(Clone, Debug)]
pub struct Bounce<'a> {
    /// Our host name.
    pub hostname: &'a str,
    /// The message's sender, to whom the report goes (with the null sender: reports are never answered by reports).
    pub to: &'a Mailbox,
    /// The report's own queue id.
    pub id: &'a QueueId,
    /// The message's.
    pub of: &'a QueueId,
    /// When the message came.
    pub arrived: Date,
    /// Now.
    pub now: Date,
    /// At least one; all of them failed, or none did.
    pub fates: &'a [Fate<'a>],
    /// The message's name for its sender, where it was told (ENVID).
    pub envid: Option<&'a str>,
    /// The message's first octets: its header, or the first [`HEADER_MAX`] of it.
    pub head: &'a [u8],
    /// `head` is the whole message, and goes along so.
    pub full: bool,
}

impl Bounce<'_> {
    /// True when the report holds octets beyond ASCII, so that its envelope says 8BITMIME.
    pub fn is_eight_bit(&self) -> bool {
        !self.returned().is_ascii() || self.is_utf8()
    }

    /// True when an address in it is beyond ASCII. The words for people are then in UTF-8; whether the report needs
    /// SMTPUTF8 depends on its recipient alone.
    fn is_utf8(&self) -> bool {
        let of = |fate: &Fate<'_>| fate.recipient.is_ascii() && fate.original.is_none_or(Mailbox::is_ascii);
        !self.to.is_ascii() || !self.fates.iter().all(of)
    }

    /// Writes the whole report in wire octets.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let boundary = self.boundary();
        let Bounce { hostname, to, id, now, .. } = self;
        let encoding = if self.is_eight_bit() { "8bit" } else { "7bit" };
        write!(out, "From: Mail delivery <MAILER-DAEMON@{hostname}>\r\nTo: <{to}>\r\n")?;
        let subject = if self.is_of_failure() { "could not be delivered" } else { "was delivered" };
        write!(out, "Subject: Your message {subject}\r\nDate: {now}\r\n")?;
        write!(out, "Message-ID: <{id}@{hostname}>\r\n")?;
        if let Some(message_id) = self.message_id() {
            write!(out, "In-Reply-To: {message_id}\r\nReferences: {message_id}\r\n")?;
        }
        write!(out, "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n")?;
        write!(out, "Content-Type: multipart/report; report-type=delivery-status;\r\n")?;
        write!(out, "\tboundary=\"{boundary}\"\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n")?;
        match self.is_utf8() {
            false => write!(out, "--{boundary}\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n")?,
            true => {
                write!(out, "--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n")?;
                write!(out, "Content-Transfer-Encoding: 8bit\r\n\r\n")?;
            }
        }
        self.write_for_people(out)?;
        write!(out, "\r\n--{boundary}\r\nContent-Type: message/delivery-status\r\n\r\n")?;
        self.write_status(out)?;
        write!(out, "\r\n--{boundary}\r\nContent-Type: {}\r\n", self.kind())?;
        write!(out, "Content-Transfer-Encoding: {encoding}\r\n\r\n")?;
        out.write_all(self.returned())?;
        write!(out, "\r\n--{boundary}--\r\n")
    }

    fn is_of_failure(&self) -> bool {
        self.fates.iter().any(|fate| matches!(fate.action, Action::Failed(_)))
    }

    /// The type of what goes along.
    fn kind(&self) -> &'static str {
        if self.full { "message/rfc822" } else { "text/rfc822-headers" }
    }

    /// What goes along.
    fn returned(&self) -> &[u8] {
        if self.full { self.head } else { self.header() }
    }

    fn write_for_people(&self, out: &mut impl Write) -> io::Result<()> {
        write!(out, "This is the mail system at {}.\r\n\r\n", self.hostname)?;
        match self.is_of_failure() {
            true => {
                write!(out, "Your message could not be delivered to the following recipients.\r\n")?;
                let what = if self.full { "It" } else { "Its header" };
                write!(out, "It will not be tried again. {what} is attached.\r\n")?;
            }
            false => write!(out, "Your message was delivered, of which you wished to be told.\r\n")?,
        }
        for fate in self.fates {
            write!(out, "\r\n<{}>", fate.recipient)?;
            if let Some(original) = fate.original {
                write!(out, " (you wrote to <{original}>)")?;
            }
            match fate.action {
                Action::Failed(why) => write!(out, ":\r\n    {}\r\n", plain(&why.text))?,
                Action::Delivered => write!(out, ":\r\n    is in the mailbox\r\n")?,
                Action::Relayed(host) => {
                    write!(out, ":\r\n    was taken by {}, which does not tell more\r\n", plain(host))?;
                }
            }
        }
        Ok(())
    }

    /// The fields of RFC 3464 section 2: those of the message, then a group a recipient.
    fn write_status(&self, out: &mut impl Write) -> io::Result<()> {
        if let Some(envid) = self.envid {
            write!(out, "Original-Envelope-Id: {}\r\n", plain(envid))?;
        }
        write!(out, "Reporting-MTA: dns; {}\r\n", self.hostname)?;
        write!(out, "X-Posthaste-Queue-Id: {}\r\nArrival-Date: {}\r\n", self.of, self.arrived)?;
        for fate in self.fates {
            write!(out, "\r\n")?;
            match (fate.orcpt.and_then(|orcpt| orcpt.split_once(';')), fate.original) {
                (Some((kind, address)), _) => {
                    write!(out, "Original-Recipient: {}; {}\r\n", plain(kind), plain(address))?;
                }
                (None, Some(original)) => write!(out, "Original-Recipient: {}\r\n", typed(original))?,
                (None, None) => {}
            }
            write!(out, "Final-Recipient: {}\r\n", typed(fate.recipient))?;
            match fate.action {
                Action::Failed(why) => {
                    let status = Verdict::Never(why.clone()).code();
                    write!(out, "Action: failed\r\nStatus: {status}\r\n")?;
                    match why.said() {
                        Some((host, reply)) => {
                            write!(out, "Remote-MTA: dns; {}\r\n", plain(host))?;
                            write!(out, "Diagnostic-Code: smtp; {}\r\n", plain(reply))?;
                        }
                        None => write!(out, "Diagnostic-Code: x-posthaste; {}\r\n", plain(&why.text))?,
                    }
                }
                Action::Delivered => write!(out, "Action: delivered\r\nStatus: 2.0.0\r\n")?,
                Action::Relayed(host) => {
                    write!(out, "Action: relayed\r\nStatus: 2.0.0\r\nRemote-MTA: dns; {}\r\n", plain(host))?;
                }
            }
            write!(out, "Last-Attempt-Date: {}\r\n", self.now)?;
        }
        Ok(())
    }

    /// The original's header up to [`HEADER_MAX`], whole fields only.
    fn header(&self) -> &[u8] {
        let head = self.head.get(..HEADER_MAX).unwrap_or(self.head);
        let cut = head.len() == HEADER_MAX;
        // A field that reaches the cut may go on behind it.
        let whole = header::fields(head).filter(|field| !cut || field.range.end < head.len());
        let end = whole.last().map_or(0, |field| field.range.end);
        head.get(header::extent(head).start..end).unwrap_or_default()
    }

    fn message_id(&self) -> Option<String> {
        let field = header::first(self.header(), "Message-ID")?.unfolded();
        let text = String::from_utf8(field).ok()?;
        let sound = text.starts_with('<')
            && text.ends_with('>')
            && text.bytes().all(|octet| octet.is_ascii_graphic())
            && text.len() <= MESSAGE_ID_MAX;
        sound.then_some(text)
    }

    /// A line that stands nowhere in what goes along.
    fn boundary(&self) -> String {
        let mut boundary = format!("=_{}", self.id);
        while memchr::memmem::find(self.returned(), boundary.as_bytes()).is_some() {
            boundary.push('x');
        }
        boundary
    }
}

/// An address with its type. One beyond ASCII is written as `utf-8-addr-xtext` (RFC 6533 section 3), so that the report's fields
/// stay ASCII.
fn typed(mailbox: &Mailbox) -> String {
    if mailbox.is_ascii() {
        return format!("rfc822; {mailbox}");
    }
    let mut text = String::from("utf-8; ");
    for letter in mailbox.to_string().chars() {
        match letter {
            '+' | '=' | '\\' => text.push_str(&format!("\\x{{{:X}}}", u32::from(letter))),
            '!'..='~' => text.push(letter),
            other => text.push_str(&format!("\\x{{{:X}}}", u32::from(other))),
        }
    }
    text
}

/// A reason as it may stand in a field or a text: printable ASCII, one line, not too long.
fn plain(text: &str) -> String {
    text.chars().take(REASON_MAX).map(|c| if matches!(c, ' '..='~') { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: u64 = 1_795_000_000_000_000;

    fn bounce(head: &[u8], why: &Why, original: Option<&str>) -> String {
        let (id, of) = (QueueId::new(ID, 1), QueueId::new(ID, 2));
        let to: Mailbox = "alice@example.org".parse().unwrap();
        let recipient: Mailbox = "bob@example.net".parse().unwrap();
        let original: Option<Mailbox> = original.map(|text| text.parse().unwrap());
        let action = Action::Failed(why);
        let fates = [Fate { recipient: &recipient, original: original.as_ref(), orcpt: None, action }];
        let date = Date { seconds: 1_795_000_000, offset: 0 };
        let bounce = Bounce {
            hostname: "mx.example.org",
            to: &to,
            id: &id,
            of: &of,
            arrived: date,
            now: date,
            fates: &fates,
            envid: None,
            head,
            full: false,
        };
        let mut out = Vec::new();
        bounce.write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn said() -> Why {
        Why::new(1, 1, "550 5.1.1 no such user").said_by("mx.example.net")
    }

    #[test]
    fn a_report_has_three_parts_and_the_fields_of_rfc_3464() {
        let text = bounce(
            b"Message-ID: <1@example.org>\r\nSubject: hello\r\n\r\nsecret body\r\n",
            &said(),
            Some("list@example.org"),
        );
        let message = mail_parser::MessageParser::new().parse(text.as_bytes()).unwrap();
        let top = mail_parser::MimeHeaders::content_type(&message).unwrap();
        assert_eq!((top.ctype(), top.subtype()), ("multipart", Some("report")));
        assert_eq!(top.attribute("report-type"), Some("delivery-status"));
        let types: Vec<_> = message
            .parts
            .iter()
            .skip(1)
            .map(|part| {
                let kind = mail_parser::MimeHeaders::content_type(part).unwrap();
                format!("{}/{}", kind.ctype(), kind.subtype().unwrap())
            })
            .collect();
        assert_eq!(types, ["text/plain", "message/delivery-status", "text/rfc822-headers"]);
        for field in [
            "Auto-Submitted: auto-replied\r\n",
            "In-Reply-To: <1@example.org>\r\n",
            "Reporting-MTA: dns; mx.example.org\r\n",
            "\r\n\r\nOriginal-Recipient: rfc822; list@example.org\r\nFinal-Recipient: rfc822; bob@example.net\r\n",
            "Action: failed\r\nStatus: 5.1.1\r\nRemote-MTA: dns; mx.example.net\r\n",
            "Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n",
            "\r\nSubject: hello\r\n",
        ] {
            assert!(text.contains(field), "{field:?} in {text}");
        }
        assert!(!text.contains("secret"));
    }

    #[test]
    fn a_local_reason_is_not_passed_off_as_a_peers() {
        let text = bounce(b"", &Why::new(4, 7, "gave up after 5 days"), None);
        assert!(text.contains("Status: 5.4.7\r\nDiagnostic-Code: x-posthaste; gave up after 5 days\r\n"));
        assert!(!text.contains("Remote-MTA") && !text.contains("Original-Recipient"));
    }

    #[test]
    fn nothing_that_a_peer_or_an_author_wrote_makes_a_line_of_its_own() {
        let why = Why::new(1, 1, "550 a\r\nAction: delivered\r\n\u{e9}").said_by("mx.example.net");
        let text = bounce(b"Message-ID: <a b>\r\n\r\n", &why, None);
        assert!(text.contains("smtp; 550 a??Action: delivered???\r\n"), "{text}");
        assert!(!text.contains("In-Reply-To"));
    }

    #[test]
    fn a_header_that_imitates_the_boundary_does_not_end_its_part() {
        let boundary = format!("=_{}", QueueId::new(ID, 1));
        let head = format!("X: 1\r\n --{boundary}--\r\n\r\n");
        let text = bounce(head.as_bytes(), &said(), None);
        assert!(text.ends_with(&format!("\r\n--{boundary}x--\r\n")));
    }

    #[test]
    fn a_large_header_is_cut_between_fields() {
        let mut head = b"Subject: kept\r\n".to_vec();
        head.extend_from_slice(b"X: ");
        head.resize(HEADER_MAX + 1000, b'x');
        let text = bounce(&head, &said(), None);
        assert!(text.contains("\r\nSubject: kept\r\n") && text.len() < 3000);
        let many = "Y: yyyyyyyyyyyyyyyy\r\n".repeat(10_000);
        let text = bounce(many.as_bytes(), &said(), None);
        assert!(text.len() > HEADER_MAX - 100 && text.len() < HEADER_MAX + 3000);
        assert!(text.contains("yyyy\r\n\r\n--=_"));
    }

    #[test]
    fn addresses_beyond_ascii_are_written_in_ascii_where_programs_read_them() {
        let mailbox = |text: &str| Mailbox::parse_utf8(text.as_bytes()).unwrap();
        // RFC 6533 section 3.
        assert_eq!(typed(&mailbox("joe+x@example.org")), "rfc822; joe+x@example.org");
        assert_eq!(
            typed(&mailbox("j\u{f6}+x@b\u{fc}cher.example")),
            "utf-8; j\\x{F6}\\x{2B}x@xn--bcher-kva.example"
        );
        assert_eq!(typed(&mailbox("\"\u{1f600} \"@example.org")), "utf-8; \"\\x{1F600}\\x{20}\"@example.org");
        let why = said();
        let (to, recipient) = (mailbox("alice@example.org"), mailbox("\u{7528}@example.net"));
        let (id, of, date) = (QueueId::new(ID, 1), QueueId::new(ID, 2), Date { seconds: 0, offset: 0 });
        let action = Action::Failed(&why);
        let fates = [Fate { recipient: &recipient, original: None, orcpt: None, action }];
        let bounce = Bounce {
            hostname: "mx.example.org",
            to: &to,
            id: &id,
            of: &of,
            arrived: date,
            now: date,
            fates: &fates,
            envid: None,
            head: b"",
            full: false,
        };
        let mut out = Vec::new();
        bounce.write(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(bounce.is_eight_bit());
        assert!(text.contains("charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"), "{text}");
        assert!(text.contains("\r\n<\u{7528}@example.net>:\r\n"), "{text}");
        assert!(text.contains("\r\nFinal-Recipient: utf-8; \\x{7528}@example.net\r\n"), "{text}");
    }

    #[test]
    fn what_the_sender_wished_for_stands_in_the_report() {
        let mailbox = |text: &str| text.parse::<Mailbox>().unwrap();
        let (to, one, two) =
            (mailbox("alice@example.org"), mailbox("bob@example.net"), mailbox("eve@example.com"));
        let (id, of, date) = (QueueId::new(ID, 1), QueueId::new(ID, 2), Date { seconds: 0, offset: 0 });
        let orcpt = Some("x-odd;b=b+\r\nX: y");
        let why = said();
        let written = |fates: &[Fate<'_>], head: &[u8], full| {
            let (envid, hostname) = (Some("QQ 314159"), "mx.example.org");
            let (to, id, of) = (&to, &id, &of);
            let bounce = Bounce { hostname, to, id, of, arrived: date, now: date, fates, envid, head, full };
            let mut out = Vec::new();
            bounce.write(&mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let head = b"Subject: hello\r\n\r\nbody\r\n";
        let text = written(
            &[
                Fate { recipient: &one, original: Some(&two), orcpt, action: Action::Delivered },
                Fate {
                    recipient: &two,
                    original: None,
                    orcpt: None,
                    action: Action::Relayed("mx.example.com"),
                },
            ],
            head,
            false,
        );
        for part in [
            "\r\nSubject: Your message was delivered\r\n",
            "\r\n\r\nOriginal-Envelope-Id: QQ 314159\r\nReporting-MTA: dns; mx.example.org\r\n",
            "\r\nOriginal-Recipient: x-odd; b=b+??X: y\r\nFinal-Recipient: rfc822; bob@example.net\r\nAction: delivered\r\nStatus: 2.0.0\r\n",
            "\r\n\r\nFinal-Recipient: rfc822; eve@example.com\r\nAction: relayed\r\nStatus: 2.0.0\r\nRemote-MTA: dns; mx.example.com\r\n",
            "\r\nContent-Type: text/rfc822-headers\r\n",
        ] {
            assert!(text.contains(part), "{part:?} in {text}");
        }
        assert!(!text.contains("body\r\n"), "{text}");
        let failed = [Fate { recipient: &one, original: None, orcpt: None, action: Action::Failed(&why) }];
        // What imitates the boundary does not end the part, in a body neither.
        let head = format!("Subject: hello\r\n\r\n--=_{id}\r\n");
        let text = written(&failed, head.as_bytes(), true);
        let end = format!(
            "\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n\r\n{head}\r\n--=_{id}x--\r\n"
        );
        assert!(text.ends_with(&end), "{text}");
    }

    #[test]
    fn eight_bit_headers_are_declared() {
        let text = bounce("Subject: gr\u{fc}n\r\n\r\n".as_bytes(), &said(), None);
        assert_eq!(text.matches("Content-Transfer-Encoding: 8bit\r\n").count(), 2);
    }
}
