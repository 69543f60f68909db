//! Reading replies: strict about what frames them, patient with what they say.

use super::Reply;
use crate::{
    mail::verdict::EnhancedCode,
    wire::line::{Framed, Framer},
};

/// The most octets of a line that is read, CR LF included: more than RFC 5321 allows, since some peers say more.
const LINE_MAX: usize = 2048;
/// The most lines of a reply.
const LINES_MAX: usize = 200;
/// The most octets of text that are kept of a reply.
const TEXT_MAX: usize = 8 * 1024;

/// Why what a peer said is no reply. The connection is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadReply {
    /// A line does not begin with a code of 2yz to 5yz and ` ` or `-`.
    NoCode,
    /// Lines of one reply carry different codes.
    Mixed,
    /// A CR or LF stands within a line.
    BareLineEnd,
    /// A line, or the number of lines, is over the limit.
    TooLong,
}

impl std::fmt::Display for BadReply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            BadReply::NoCode => "the server's line is no SMTP reply",
            BadReply::Mixed => "the lines of the server's reply carry different codes",
            BadReply::BareLineEnd => "the server's reply holds a bare CR or LF",
            BadReply::TooLong => "the server's reply is too long",
        })
    }
}

/// Takes replies from a stream, however it is cut.
#[derive(Debug, Default)]
pub struct ReplyReader {
    framer: Framer,
    lines: usize,
    code: u16,
    status: Option<EnhancedCode>,
    text: String,
}

impl ReplyReader {
    /// True while a reply has begun and not ended.
    pub fn is_within(&self) -> bool {
        self.lines > 0
    }

    /// Takes what is at the front of `octets`: how many were used up, and a reply if one ended there. `None` wants
    /// more octets. After an error the reader is of no more use.
    pub fn take(&mut self, octets: &[u8]) -> (usize, Option<Result<Reply, BadReply>>) {
        let mut used = 0;
        loop {
            let rest = octets.get(used..).unwrap_or_default();
            let (taken, framed) = self.framer.take(rest, LINE_MAX, 0);
            used += taken;
            match framed {
                Framed::More => return (used, None),
                Framed::TooLong | Framed::Flood => return (used, Some(Err(BadReply::TooLong))),
                Framed::Line(line) => match self.line(line) {
                    Ok(false) => {}
                    Ok(true) => {
                        self.lines = 0;
                        let text = std::mem::take(&mut self.text).into();
                        let reply = Reply { code: self.code, status: self.status.take(), text };
                        return (used, Some(Ok(reply)));
                    }
                    Err(bad) => return (used, Some(Err(bad))),
                },
            }
        }
    }

    /// ```abnf
    /// Reply-line = *( Reply-code "-" [ textstring ] CRLF ) Reply-code [ SP textstring ] CRLF
    /// Reply-code = %x32-35 %x30-35 %x30-39
    /// ```
    /// RFC 5321 section 4.2. True when the line is a reply's last.
    fn line(&mut self, line: &[u8]) -> Result<bool, BadReply> {
        let (code, rest) = line.split_at_checked(3).ok_or(BadReply::NoCode)?;
        let &[a @ b'2'..=b'5', b @ b'0'..=b'5', c @ b'0'..=b'9'] = code else { return Err(BadReply::NoCode) };
        let code = 100 * u16::from(a - b'0') + 10 * u16::from(b - b'0') + u16::from(c - b'0');
        let (last, text) = match rest {
            [] => (true, rest),
            [b' ', text @ ..] => (true, text),
            [b'-', text @ ..] => (false, text),
            _ => return Err(BadReply::NoCode),
        };
        if text.iter().any(|octet| matches!(octet, b'\r' | b'\n')) {
            return Err(BadReply::BareLineEnd);
        }
        if self.lines > 0 && code != self.code {
            return Err(BadReply::Mixed);
        }
        let (status, text) = status(code, text);
        if self.lines == 0 {
            (self.code, self.status) = (code, status);
        } else {
            self.text.push('\n');
        }
        self.lines += 1;
        if self.lines > LINES_MAX {
            return Err(BadReply::TooLong);
        }
        let room = TEXT_MAX.saturating_sub(self.text.len());
        let text = String::from_utf8_lossy(text.get(..room).unwrap_or(text));
        self.text.extend(text.chars().map(|c| if c.is_control() { '?' } else { c }));
        Ok(last)
    }
}

/// ```abnf
/// status-code = ("2" / "4" / "5") "." 1*3digit "." 1*3digit
/// ```
/// RFC 3463 section 2; it counts when its class is the code's (RFC 2034 section 4). The rest is the text.
fn status(code: u16, text: &[u8]) -> (Option<EnhancedCode>, &[u8]) {
    let end = text.iter().position(|&octet| octet == b' ').unwrap_or(text.len());
    let (word, behind) = text.split_at_checked(end).unwrap_or((text, &[]));
    let mut parts = word.split(|&octet| octet == b'.').map(|part| {
        let digits = (1..=3).contains(&part.len()) && part.iter().all(u8::is_ascii_digit);
        digits.then(|| part.iter().fold(0, |sum: u16, digit| sum * 10 + u16::from(digit - b'0')))
    });
    let parsed = (parts.next().flatten(), parts.next().flatten(), parts.next().flatten(), parts.next());
    let (Some(class @ (2 | 4 | 5)), Some(subject), Some(detail), None) = parsed else { return (None, text) };
    if class != code / 100 {
        return (None, text);
    }
    let status = EnhancedCode { class: class as u8, subject, detail };
    (Some(status), behind.strip_prefix(b" ").unwrap_or(behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every reply in `input`, cut into pieces of `piece` octets.
    fn read(input: &[u8], piece: usize) -> Vec<Result<Reply, BadReply>> {
        let (mut reader, mut held, mut seen) = (ReplyReader::default(), Vec::new(), Vec::new());
        for part in input.chunks(piece) {
            held.extend_from_slice(part);
            loop {
                let (used, reply) = reader.take(&held);
                held.drain(..used);
                match reply {
                    Some(Ok(reply)) => seen.push(Ok(reply)),
                    Some(Err(bad)) => {
                        seen.push(Err(bad));
                        return seen;
                    }
                    None => break,
                }
            }
        }
        seen
    }

    #[test]
    fn replies_are_read_however_they_are_cut() {
        let input = b"220 mx ESMTP\r\n250-mx\r\n250-SIZE 1\r\n250 HELP\r\n250\r\n550-5.1.1 no\r\n550 5.1.1 such\r\n250 4.0.0 x\r\n";
        let wanted = vec![
            Ok(Reply::plain(220, "mx ESMTP")),
            Ok(Reply::plain(250, "mx\nSIZE 1\nHELP")),
            Ok(Reply::plain(250, "")),
            Ok(Reply::fixed(550, 1, 1, "no\nsuch")),
            Ok(Reply::plain(250, "4.0.0 x")),
        ];
        for piece in 1..=input.len() {
            assert_eq!(read(input, piece), wanted, "{piece}");
        }
    }

    #[test]
    fn what_is_no_reply_is_refused_as_what_it_is() {
        let long = [b"250 ".as_slice(), &[b'x'; 3000], b"\r\n"].concat();
        let many = b"250-x\r\n".repeat(LINES_MAX + 1);
        let cases: [(&[u8], BadReply); 9] = [
            (b"hello\r\n", BadReply::NoCode),
            (b"\r\n", BadReply::NoCode),
            (b"199 x\r\n", BadReply::NoCode),
            (b"260 x\r\n", BadReply::NoCode),
            (b"250x\r\n", BadReply::NoCode),
            (b"250-x\r\n251 y\r\n", BadReply::Mixed),
            (b"250 x\n250 y\r\n", BadReply::BareLineEnd),
            (&long, BadReply::TooLong),
            (&many, BadReply::TooLong),
        ];
        for (input, bad) in cases {
            for piece in [1, 2, 1000, input.len()] {
                assert_eq!(
                    read(input, piece).last(),
                    Some(&Err(bad)),
                    "{:?}",
                    String::from_utf8_lossy(input)
                );
            }
        }
    }

    #[test]
    fn what_is_kept_is_capped_and_clean() {
        let flood = [b"250-".as_slice(), &[b'x'; 1500], b"\r\n"].concat().repeat(100);
        let input = [flood.as_slice(), b"250 \x1b[31m\0\xff\r\n"].concat();
        let reply = read(&input, 4096).pop().expect("one").expect("a reply");
        assert!(reply.text.len() <= TEXT_MAX + LINES_MAX);
        let reply = read(b"250 \x1b[31m\0\xff\r\n", 99).pop().expect("one").expect("a reply");
        assert_eq!(reply.text, "?[31m?\u{fffd}");
    }
}
