//! Composes a message from a sender, recipients, a subject, a text and files, through lettre's builder.

use crate::mail::address::Mailbox;
use lettre::{
    Address,
    address::Envelope,
    message::{
        Attachment, Body, Mailboxes, Message, MultiPart, SinglePart,
        header::{ContentTransferEncoding, ContentType},
    },
};
use std::{fmt, time::SystemTime};

/// The most octets of text and files together: they stand in memory several times while they are encoded.
pub const SIZE_MAX: u64 = 256 * 1024 * 1024;

/// What is to be composed. Names and addresses are as people write them: `Jürgen <j@example.org>, k@example.org`.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// One address.
    pub from: String,
    /// Lists of addresses.
    pub to: Vec<String>,
    /// Lists of addresses.
    pub cc: Vec<String>,
    /// Lists of addresses that only the envelope names.
    pub bcc: Vec<String>,
    /// The subject; none is no field.
    pub subject: Option<String>,
    /// The text.
    pub body: String,
    /// Files: their names and octets.
    pub files: Vec<(String, Vec<u8>)>,
    /// The local part of the Message-ID.
    pub id: String,
}

/// A message with its envelope.
#[derive(Debug)]
pub struct Composed {
    /// The octets, CR LF line ends.
    pub octets: Vec<u8>,
    /// Who sends it.
    pub sender: Mailbox,
    /// All who get it, each once.
    pub recipients: Vec<Mailbox>,
}

/// What can't be composed, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit(pub String);

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Composes it, with the Date of `now`.
pub fn compose(parts: Parts, now: SystemTime) -> Result<Composed, Unfit> {
    let from = list("the sender", &parts.from)?;
    let mut from_list = from.iter();
    let (Some(author), None) = (from_list.next(), from_list.next()) else {
        return Err(Unfit(format!("the sender {:?} is not one address", parts.from)));
    };
    let sender = mailbox(&author.email)?;
    let mut recipients: Vec<Mailbox> = Vec::new();
    let mut envelope = Vec::new();
    let mut builder = Message::builder().from(author.clone()).date(now);
    for (which, lists) in [("To", &parts.to), ("Cc", &parts.cc), ("Bcc", &parts.bcc)] {
        for listed in lists {
            for one in list(which, listed)? {
                let recipient = mailbox(&one.email)?;
                if !recipients.contains(&recipient) {
                    recipients.push(recipient);
                    envelope.push(one.email.clone());
                }
                builder = match which {
                    "To" => builder.to(one),
                    "Cc" => builder.cc(one),
                    _ => builder,
                };
            }
        }
    }
    if let Some(subject) = parts.subject {
        harmless("the subject", &subject)?;
        builder = builder.subject(subject);
    }
    let envelope =
        Envelope::new(Some(author.email.clone()), envelope).map_err(|fault| Unfit(fault.to_string()))?;
    let id = format!("<{}@{}>", parts.id, sender.domain);
    let builder = builder.envelope(envelope).message_id(Some(id));
    let message = if parts.files.is_empty() {
        builder.singlepart(SinglePart::plain(parts.body))
    } else {
        let mut whole = MultiPart::mixed().singlepart(SinglePart::plain(parts.body));
        for (name, octets) in parts.files {
            harmless("the file's name", &name)?;
            let kind = kind(&name, &octets);
            // In base64, so that every octet of a file arrives: line ends, too.
            let octets = Body::new_with_encoding(octets, ContentTransferEncoding::Base64)
                .map_err(|_| Unfit(format!("{name}: not fit for base64")))?;
            whole = whole.singlepart(Attachment::new(name).body(octets, kind));
        }
        builder.multipart(whole)
    };
    let message = message.map_err(|fault| Unfit(fault.to_string()))?;
    Ok(Composed { octets: message.formatted(), sender, recipients })
}

/// Refuses what could end a header field.
fn harmless(what: &str, text: &str) -> Result<(), Unfit> {
    match text.chars().any(|c| c.is_control() && c != '\t') {
        true => Err(Unfit(format!("{what} {text:?} holds a control character"))),
        false => Ok(()),
    }
}

fn list(what: &str, text: &str) -> Result<Mailboxes, Unfit> {
    harmless(what, text)?;
    text.parse().map_err(|_| {
        Unfit(format!("{what}: {text:?} is no address; write a@example.org or Name <a@example.org>"))
    })
}

fn mailbox(address: &Address) -> Result<Mailbox, Unfit> {
    let text: &str = address.as_ref();
    Mailbox::parse(text.as_bytes()).map_err(|fault| Unfit(format!("{text:?}: {fault}")))
}

/// The media type by the name's end. What is not known is octets; text counts as such only when it is UTF-8.
fn kind(name: &str, octets: &[u8]) -> ContentType {
    let end = name.rsplit_once('.').map_or("", |(_, end)| end).to_ascii_lowercase();
    let text = match end.as_str() {
        "txt" | "log" | "md" | "rs" | "c" | "h" | "py" | "toml" | "conf" | "diff" | "patch" => {
            "text/plain; charset=utf-8"
        }
        "html" | "htm" => "text/html; charset=utf-8",
        "csv" => "text/csv; charset=utf-8",
        "ics" => "text/calendar; charset=utf-8",
        _ => "",
    };
    let other = match end.as_str() {
        "pdf" => "application/pdf",
        "json" => "application/json",
        "xml" => "application/xml",
        "zip" => "application/zip",
        "gz" | "tgz" => "application/gzip",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "svg" => "image/svg+xml",
        "mp3" => "audio/mpeg",
        "mp4" => "video/mp4",
        "doc" => "application/msword",
        "docx" => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "xlsx" => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "odt" => "application/vnd.oasis.opendocument.text",
        _ => "application/octet-stream",
    };
    let chosen = if !text.is_empty() && std::str::from_utf8(octets).is_ok() { text } else { other };
    ContentType::parse(chosen).unwrap_or(ContentType::TEXT_PLAIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail_parser::{MessageParser, MimeHeaders};
    use std::time::Duration;

    fn parts() -> Parts {
        Parts {
            from: "Jürgen Müller <j@example.org>".to_owned(),
            to: vec!["Zoë <z@example.net>, k@example.net".to_owned()],
            subject: Some("Grüße".to_owned()),
            body: "Hällo\n.dot\n".to_owned(),
            id: "id".to_owned(),
            ..Parts::default()
        }
    }

    fn composed(parts: Parts) -> Composed {
        compose(parts, SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000)).unwrap()
    }

    #[test]
    fn a_judge_reads_what_was_composed() {
        let composed = composed(Parts {
            cc: vec!["k@example.net".to_owned()],
            bcc: vec!["hidden@example.net".to_owned()],
            files: vec![
                ("a b.txt".to_owned(), b"text\n".to_vec()),
                ("ü.bin".to_owned(), vec![0, 13, 10, 255]),
            ],
            ..parts()
        });
        let to: Vec<String> = composed.recipients.iter().map(ToString::to_string).collect();
        assert_eq!(to, ["z@example.net", "k@example.net", "hidden@example.net"]);
        assert_eq!(composed.sender.to_string(), "j@example.org");
        let message = MessageParser::new().parse(&composed.octets).unwrap();
        assert_eq!(message.subject(), Some("Grüße"));
        assert_eq!(message.from().unwrap().first().unwrap().name(), Some("Jürgen Müller"));
        assert_eq!(message.message_id(), Some("id@example.org"));
        assert_eq!(message.date().unwrap().to_timestamp(), 1_795_000_000);
        assert_eq!(message.body_text(0).unwrap().replace("\r\n", "\n"), "Hällo\n.dot\n");
        let files: Vec<_> =
            message.attachments().map(|it| (it.attachment_name().unwrap(), it.contents())).collect();
        assert_eq!(files, [("a b.txt", b"text\n".as_slice()), ("ü.bin", &[0, 13, 10, 255])]);
        let text = String::from_utf8(composed.octets).unwrap();
        assert!(text.is_ascii() && !text.contains("hidden"), "{text}");
    }

    #[test]
    fn nothing_can_add_a_field() {
        for parts in [
            Parts { subject: Some("a\r\nBcc: x@y".to_owned()), ..parts() },
            Parts { subject: Some("a\nb".to_owned()), ..parts() },
            Parts { from: "a@b\r\nSubject: x".to_owned(), ..parts() },
            Parts { to: vec!["\"a\r\n\"@b".to_owned()], ..parts() },
            Parts { cc: vec!["A\n <a@b>".to_owned()], ..parts() },
            Parts { bcc: vec!["a@b\n".to_owned()], ..parts() },
            Parts { files: vec![("a\nb".to_owned(), Vec::new())], ..parts() },
        ] {
            assert!(compose(parts.clone(), SystemTime::UNIX_EPOCH).is_err(), "{parts:?}");
        }
    }

    #[test]
    fn what_is_no_address_is_named() {
        for (parts, said) in [
            (Parts { to: vec!["nobody".to_owned()], ..parts() }, "nobody"),
            (Parts { from: "a@b, c@d".to_owned(), ..parts() }, "not one address"),
            (Parts { to: vec!["ü@example.org".to_owned()], ..parts() }, "SMTPUTF8"),
        ] {
            let fault = compose(parts, SystemTime::UNIX_EPOCH).unwrap_err().to_string();
            assert!(fault.contains(said), "{fault}");
        }
    }
}
