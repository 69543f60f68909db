//! The text of a message made fit for DATA: CR LF at every line's end, a dot doubled where it begins a line (RFC 5321
//! section 4.5.2), CR LF . CR LF at the end. No bare CR or LF leaves it, whatever goes in.

use memchr::memchr2;

/// Where the text stands between two pieces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// At the beginning of a line.
    #[default]
    Start,
    /// Within a line.
    Within,
    /// Behind a CR, whose CR LF was written already.
    Cr,
}

/// Stuffs a text that comes in pieces. Linear in its octets; a piece grows to at most twice its size.
#[derive(Debug, Default)]
pub struct Stuffer {
    at: At,
}

impl Stuffer {
    /// Appends a piece. LF, CR LF and CR each end a line.
    pub fn piece(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let mut rest = piece;
        if self.at == At::Cr {
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            if !piece.is_empty() {
                self.at = At::Start;
            }
        }
        // What needs no change is copied in one go: `plain` octets at the front of `rest` are such.
        let mut plain = 0;
        while let Some(here) = rest.get(plain..).filter(|here| !here.is_empty()) {
            if self.at == At::Start && here.first() == Some(&b'.') {
                out.extend_from_slice(rest.get(..plain).unwrap_or_default());
                out.push(b'.');
                (rest, plain) = (here, 0);
            }
            let here = rest.get(plain..).unwrap_or_default();
            let Some(end) = memchr2(b'\r', b'\n', here) else {
                self.at = At::Within;
                plain = rest.len();
                break;
            };
            match here.get(end..) {
                Some([b'\r', b'\n', ..]) => {
                    plain += end + 2;
                    self.at = At::Start;
                }
                Some([octet, behind @ ..]) => {
                    out.extend_from_slice(rest.get(..plain + end).unwrap_or_default());
                    out.extend_from_slice(b"\r\n");
                    self.at = if *octet == b'\r' && behind.is_empty() { At::Cr } else { At::Start };
                    (rest, plain) = (behind, 0);
                }
                _ => break,
            }
        }
        out.extend_from_slice(rest.get(..plain).unwrap_or_default());
    }

    /// Appends the end. A last line without an end gets one.
    pub fn end(self, out: &mut Vec<u8>) {
        if self.at == At::Within {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b".\r\n");
    }
}

/// How many octets a text has with CR LF line ends, dots not doubled: what SIZE declares (RFC 1870 section 5).
pub fn wire_size(text: &[u8]) -> u64 {
    let mut size = text.len() as u64;
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| memchr2(b'\r', b'\n', rest)) {
        let end = from + at;
        from = end + 1;
        if text.get(end..).is_some_and(|rest| rest.starts_with(b"\r\n")) {
            from += 1;
        } else {
            size += 1;
        }
    }
    if !text.is_empty() && !text.ends_with(b"\n") && !text.ends_with(b"\r") {
        size += 2;
    }
    size
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stuffed(text: &[u8], piece: usize) -> Vec<u8> {
        let (mut stuffer, mut out) = (Stuffer::default(), Vec::new());
        for part in text.chunks(piece.max(1)) {
            stuffer.piece(part, &mut out);
        }
        stuffer.end(&mut out);
        out
    }

    #[test]
    fn every_line_end_becomes_cr_lf_and_leading_dots_are_doubled() {
        let cases: [(&[u8], &[u8]); 14] = [
            (b"", b".\r\n"),
            (b"a", b"a\r\n.\r\n"),
            (b"a\n", b"a\r\n.\r\n"),
            (b"a\r\nb\r\n", b"a\r\nb\r\n.\r\n"),
            (b"a\rb", b"a\r\nb\r\n.\r\n"),
            (b"a\r", b"a\r\n.\r\n"),
            (b"a\r\r\nb", b"a\r\n\r\nb\r\n.\r\n"),
            (b".\n", b"..\r\n.\r\n"),
            (b"..", b"...\r\n.\r\n"),
            (b"a\n.\nb\n", b"a\r\n..\r\nb\r\n.\r\n"),
            (b"a\r\n.\r\nQUIT\r\n", b"a\r\n..\r\nQUIT\r\n.\r\n"),
            (b"a\r.\rQUIT", b"a\r\n..\r\nQUIT\r\n.\r\n"),
            (b"a.b\n", b"a.b\r\n.\r\n"),
            (b"\n\n\r\r", b"\r\n\r\n\r\n\r\n.\r\n"),
        ];
        for (text, wanted) in cases {
            for piece in 1..=text.len().max(1) {
                let out = stuffed(text, piece);
                assert_eq!(
                    out.escape_ascii().to_string(),
                    wanted.escape_ascii().to_string(),
                    "{:?} by {piece}",
                    text.escape_ascii().to_string()
                );
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_bare_leaves_and_the_end_stands_only_at_the_end(
            text in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'.'), Just(b'x')], 0..60),
            piece in 1..20usize,
        ) {
            let out = stuffed(&text, piece);
            for (at, octet) in out.iter().enumerate() {
                match octet {
                    b'\r' => prop_assert_eq!(out.get(at + 1), Some(&b'\n')),
                    b'\n' => prop_assert!(at > 0 && out[at - 1] == b'\r'),
                    _ => {}
                }
            }
            let framed = [b"\r\n".as_slice(), &out].concat();
            let ends = framed.windows(5).filter(|five| *five == b"\r\n.\r\n").count();
            prop_assert_eq!(ends, 1);
            prop_assert!(framed.ends_with(b"\r\n.\r\n"));
            prop_assert_eq!(out.clone(), stuffed(&text, text.len()));
            // What a receiver makes of it is the text with CR LF line ends.
            let mut got: Vec<u8> = Vec::new();
            for line in out[..out.len() - 3].split_inclusive(|octet| *octet == b'\n') {
                got.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
            }
            prop_assert_eq!(got.len() as u64, wire_size(&text));
        }
    }
}
