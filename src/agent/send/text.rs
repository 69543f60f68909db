//! The message that is sent: read once, held in memory up to [`HOLD`], streamed beyond. Bcc is cut out and what is missing is
//! put before the header without another copy.

use crate::{
    mail::{
        address::{Domain, Mailbox},
        envelope::Body,
        header::{self, Field, addresses},
    },
    wire::smtp::client::{TEXT_MAX, wire_size},
};
use std::{
    collections::BTreeSet,
    fmt,
    io::{self, Read},
    ops::Range,
};

/// Up to so many octets a message is held, its size is declared, and it can be sent twice. Of a larger one its
/// beginning is held, and the rest goes from the reader to the server as it comes.
pub const HOLD: usize = 8 * 1024 * 1024;
/// The first room for a message.
const ROOM: usize = 16 * 1024;
/// The most addresses in one field.
const ADDRESSES_MAX: usize = 10_000;

/// A message.
pub struct Text {
    buffer: Vec<u8>,
    /// What is sent before what is kept.
    prefix: Vec<u8>,
    /// What is sent of the buffer.
    kept: Vec<Range<usize>>,
    /// Where the next piece begins: in the prefix (0) or in the n-th range (n + 1), and how far into it.
    at: (usize, usize),
    /// What comes behind the buffer.
    rest: Option<Box<dyn Read + Send>>,
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Text").field("held", &self.buffer.len()).field("whole", &self.rest.is_none()).finish()
    }
}

/// Why a message's header can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadHeader(pub String);

impl fmt::Display for BadHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Text {
    /// Reads a message up to its end, or [`HOLD`] octets of it.
    pub fn read(mut source: impl Read + Send + 'static) -> io::Result<Text> {
        let mut buffer = Vec::with_capacity(ROOM);
        while buffer.len() < HOLD {
            let had = buffer.len();
            let room = (HOLD - had).min(had.max(ROOM));
            buffer.resize(had + room, 0);
            let read = match source.read(buffer.get_mut(had..).unwrap_or_default()) {
                Err(fault) if fault.kind() == io::ErrorKind::Interrupted => Ok(None),
                Err(fault) => Err(fault),
                Ok(count) => Ok(Some(count)),
            };
            buffer.truncate(had + read.as_ref().map_or(0, |read| read.unwrap_or(0)));
            if read? == Some(0) {
                return Ok(Text::from(buffer));
            }
        }
        Ok(Text { rest: Some(Box::new(source)), ..Text::from(buffer) })
    }

    /// What the header names: To, Cc and Bcc, or those of the last resending (RFC 5322 section 3.6.6). Each once.
    pub fn addressees(&self, default: &Domain) -> Result<Vec<Mailbox>, BadHeader> {
        self.whole_header()?;
        let resent = ["Resent-To", "Resent-Cc", "Resent-Bcc"];
        let is_resent = header::fields(&self.buffer).any(|field| is_one_of(&field, &resent));
        let names = if is_resent { resent } else { ["To", "Cc", "Bcc"] };
        let mut found = Vec::new();
        let mut seen = BTreeSet::new();
        for field in header::fields(&self.buffer).filter(|field| is_one_of(field, &names)) {
            let name = String::from_utf8_lossy(field.name).into_owned();
            let (listed, more) = addresses::addresses(field.body, ADDRESSES_MAX);
            if more {
                return Err(BadHeader(format!("{name}: more than {ADDRESSES_MAX} addresses")));
            }
            for address in listed {
                let mailbox = address.mailbox(default).map_err(|fault| {
                    BadHeader(format!("{name}: {}: {fault}", address.text().escape_debug()))
                })?;
                if seen.insert(mailbox.clone()) {
                    found.push(mailbox);
                }
            }
        }
        Ok(found)
    }

    /// Who sent it: Sender, else the first address of From.
    pub fn author(&self, default: &Domain) -> Option<Mailbox> {
        ["Sender", "From"].iter().find_map(|name| {
            let field = header::first(&self.buffer, name)?;
            let (listed, _) = addresses::addresses(field.body, 1);
            listed.first()?.mailbox(default).ok()
        })
    }

    /// Makes the header fit for others: Bcc and a postmark (`From joe Mon ...`) go, and `from`, a whole From field's body, stands
    /// where there was none. A text without any header gets the empty line that ends one.
    pub fn finish(&mut self, from: Option<&str>) {
        let extent = header::extent(&self.buffer);
        self.kept = header::without(&self.buffer, &["Bcc", "Resent-Bcc"]);
        if let Some(first) = self.kept.first_mut() {
            first.start = first.start.max(extent.start).min(first.end);
        }
        self.kept.retain(|range| !range.is_empty());
        if let Some(from) = from.filter(|_| header::first(&self.buffer, "From").is_none()) {
            self.prefix = format!("From: {from}\r\n").into_bytes();
        }
        let is_bare = extent.start == extent.end && extent.body == extent.end;
        if is_bare && !self.buffer.is_empty() {
            self.prefix.extend_from_slice(b"\r\n");
        }
        self.at = (0, 0);
    }

    /// Its octets on the wire; `None` while it is not all known.
    pub fn size(&self) -> Option<u64> {
        self.rest.is_none().then(|| self.held().map(wire_size).sum())
    }

    /// Its octets as they were given, of what is held.
    pub fn held_octets(&self) -> usize {
        self.held().map(<[u8]>::len).sum()
    }

    /// Whether it holds octets over 127. What is not known yet may.
    pub fn body(&self) -> Body {
        if self.rest.is_none() && self.held().all(<[u8]>::is_ascii) {
            Body::SevenBit
        } else {
            Body::EightBitMime
        }
    }

    /// The next piece, at most [`TEXT_MAX`] octets; `None` at the end.
    pub fn piece(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut piece = Vec::new();
        while piece.len() < TEXT_MAX {
            let (part, from) = self.at;
            let Some(octets) = self.part(part) else { break };
            let rest = octets.get(from..).unwrap_or_default();
            let taken = rest.len().min(TEXT_MAX - piece.len());
            piece.extend_from_slice(rest.get(..taken).unwrap_or_default());
            self.at = if taken == rest.len() { (part + 1, 0) } else { (part, from + taken) };
        }
        if !piece.is_empty() {
            return Ok(Some(piece));
        }
        let Some(source) = &mut self.rest else { return Ok(None) };
        piece.resize(TEXT_MAX, 0);
        loop {
            match source.read(&mut piece) {
                Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
                Err(fault) => return Err(fault),
                Ok(0) => return Ok(None),
                Ok(count) => {
                    piece.truncate(count);
                    return Ok(Some(piece));
                }
            }
        }
    }

    /// Goes back to the beginning; false when that can't be done any more.
    pub fn rewind(&mut self) -> bool {
        self.at = (0, 0);
        self.rest.is_none()
    }

    fn held(&self) -> impl Iterator<Item = &[u8]> {
        (0..=self.kept.len()).filter_map(|part| self.part(part))
    }

    fn part(&self, part: usize) -> Option<&[u8]> {
        match part.checked_sub(1) {
            None => Some(&self.prefix),
            Some(range) => self.buffer.get(self.kept.get(range)?.clone()),
        }
    }

    fn whole_header(&self) -> Result<(), BadHeader> {
        match self.rest.is_some() && header::extent(&self.buffer).end == self.buffer.len() {
            true => Err(BadHeader(format!("the header has more than {HOLD} octets"))),
            false => Ok(()),
        }
    }
}

/// All of it, as it is.
impl From<Vec<u8>> for Text {
    fn from(buffer: Vec<u8>) -> Text {
        let kept = std::iter::once(0..buffer.len()).collect();
        Text { buffer, prefix: Vec::new(), kept, at: (0, 0), rest: None }
    }
}

fn is_one_of(field: &Field<'_>, names: &[&str]) -> bool {
    names.iter().any(|name| field.is(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(text: &mut Text) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(piece) = text.piece().unwrap() {
            assert!(!piece.is_empty() && piece.len() <= TEXT_MAX);
            all.extend_from_slice(&piece);
        }
        all
    }

    fn finished(message: &str, from: Option<&str>) -> String {
        let mut text = Text::read(io::Cursor::new(message.to_owned())).unwrap();
        text.finish(from);
        String::from_utf8(sent(&mut text)).unwrap()
    }

    #[test]
    fn bcc_never_leaves_and_the_rest_leaves_as_it_is() {
        let cases = [
            ("A: 1\nB: 2\n\nBcc: body\n", "A: 1\nB: 2\n\nBcc: body\n"),
            ("Bcc: x@y\nA: 1\n\nbody", "A: 1\n\nbody"),
            ("A: 1\r\nbCC : x@y,\r\n z@y\r\nB: 2\r\n\r\n", "A: 1\r\nB: 2\r\n\r\n"),
            ("A: 1\nBcc: x@y\n", "A: 1\n"),
            ("A: 1\nResent-Bcc: x@y\nBcc: z@y\n\n", "A: 1\n\n"),
            ("From joe Mon Jan  1 00:00:00 2026\nA: 1\n\nFrom here on\n", "A: 1\n\nFrom here on\n"),
            ("no header at all\n", "\r\nno header at all\n"),
            ("\nbody\n", "\nbody\n"),
            ("", ""),
        ];
        for (message, wanted) in cases {
            assert_eq!(finished(message, None), wanted, "{message:?}");
        }
    }

    #[test]
    fn a_missing_from_is_put_before_the_header() {
        assert_eq!(finished("To: x@y\n\nb", Some("Me <me@x>")), "From: Me <me@x>\r\nTo: x@y\n\nb");
        assert_eq!(finished("FROM: you@y\n\nb", Some("Me <me@x>")), "FROM: you@y\n\nb");
        assert_eq!(finished("b", Some("me@x")), "From: me@x\r\n\r\nb");
        assert_eq!(finished("\nb", Some("me@x")), "From: me@x\r\n\nb");
    }

    #[test]
    fn addressees_are_those_of_to_cc_and_bcc_or_of_the_resending() {
        let host = Domain::Name("host.example".to_owned());
        let named = |message: &str| {
            let text = Text::from(message.as_bytes().to_vec());
            text.addressees(&host)
                .map(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        };
        for (message, wanted) in [
            ("To: a@x, B <b@x>\nCc: c@x (see)\nBcc: d@x\n\n", "a@x b@x c@x d@x"),
            ("To: a@x\nCc: a@x, root\n\nTo: no@x", "a@x root@host.example"),
            ("To: old@x\nResent-To: new@x\nResent-Bcc: hid@x\n\n", "new@x hid@x"),
            ("To: friends: a@x, b@x;, undisclosed-recipients:;\n\n", "a@x b@x"),
            ("To: \"-bs\"@x, -oQ/tmp@x\n\n", "-bs@x -oQ/tmp@x"),
            ("Subject: nobody\n\n", ""),
        ] {
            assert_eq!(named(message).as_deref(), Ok(wanted), "{message:?}");
        }
        for (message, said) in [
            ("To: a@x, two words@x\n\n", "two"),
            ("Cc: \"a\r\n b\x01\"@x\n\n", "Cc"),
            ("Bcc: a@x..y\n\n", "a@x..y"),
        ] {
            let fault = named(message).unwrap_err().to_string();
            assert!(fault.contains(said) && !fault.contains('\n'), "{fault:?}");
        }
    }

    #[test]
    fn the_author_is_the_sender_or_the_first_of_from() {
        let host = Domain::Name("host".to_owned());
        let author =
            |message: &str| Text::from(message.as_bytes().to_vec()).author(&host).map(|it| it.to_string());
        assert_eq!(author("From: A <a@x>, b@x\n\n").as_deref(), Some("a@x"));
        assert_eq!(author("From: a@x, b@x\nSender: b@x\n\n").as_deref(), Some("b@x"));
        assert_eq!(author("From: nobody in particular\n\n"), None);
        assert_eq!(author("To: a@x\n\n"), None);
    }

    #[test]
    fn a_large_message_is_held_in_part_and_streamed_on() {
        let whole: Vec<u8> =
            b"Bcc: x@y\nA: 1\n\n".iter().copied().chain((0..HOLD + 70_000).map(|at| at as u8)).collect();
        let mut text = Text::read(io::Cursor::new(whole.clone())).unwrap();
        text.finish(None);
        assert_eq!((text.size(), text.body(), text.buffer.len()), (None, Body::EightBitMime, HOLD));
        assert!(sent(&mut text) == whole[9..], "the pieces are not the message");
        assert!(!text.rewind());
        let endless = Text::read(io::repeat(b'x')).unwrap();
        assert!(endless.addressees(&Domain::Name("h".to_owned())).is_ok(), "no field, no header");
        let header = Text::read(io::Read::chain(&b"A: "[..], io::repeat(b'x'))).unwrap();
        assert!(header.addressees(&Domain::Name("h".to_owned())).is_err());
    }

    #[test]
    fn size_and_body_are_those_of_what_is_sent() {
        let mut text = Text::from(b"Bcc: \xe9\nA: 1\n\nbody".to_vec());
        text.finish(Some("me"));
        assert_eq!(text.body(), Body::SevenBit);
        assert_eq!(text.size(), Some("From: me\r\nA: 1\r\n\r\nbody\r\n".len() as u64));
        assert_eq!(Text::from(b"\xe9".to_vec()).body(), Body::EightBitMime);
    }
}
