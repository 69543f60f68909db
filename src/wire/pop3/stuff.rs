//! A text made fit for a multi-line reply: a dot doubled where it begins a line, `CR LF . CR LF` at the end (RFC 1939 section 3).

use memchr::{memchr, memchr_iter};

/// Stuffs a text that comes in pieces and whose lines end in CR LF. Octets stay what they are, but for the doubled dots and a
/// NUL, which many clients take for an end: it becomes 0x80, which no charset means anything by.
#[derive(Debug, Default)]
pub struct Stuffer {
    ended: Ended,
}

/// How the text ends so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Ended {
    /// With CR LF, or nothing has come.
    #[default]
    Line,
    /// With a CR.
    Cr,
    /// With a LF that no CR precedes.
    Lf,
    /// With anything else.
    Within,
}

impl Stuffer {
    /// Appends a piece; it grows by half at most. After any LF a dot is doubled, since a reader may take that for a line's end.
    pub fn piece(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let Some(&last) = piece.last() else { return };
        let begun = out.len();
        let mut rest = piece;
        if matches!(self.ended, Ended::Line | Ended::Lf) && rest.first() == Some(&b'.') {
            out.push(b'.');
        }
        let mut from = 0;
        while let Some(at) = rest.get(from..).and_then(|rest| memchr(b'\n', rest)) {
            from = from.saturating_add(at).saturating_add(1);
            if rest.get(from) == Some(&b'.') {
                let (line, behind) = rest.split_at_checked(from).unwrap_or((rest, b""));
                out.extend_from_slice(line);
                out.push(b'.');
                (rest, from) = (behind, 0);
            }
        }
        out.extend_from_slice(rest);
        let nuls: Vec<usize> = memchr_iter(0, out.get(begun..).unwrap_or_default()).collect();
        for at in nuls {
            if let Some(octet) = out.get_mut(begun.saturating_add(at)) {
                *octet = 0x80;
            }
        }
        let before = match piece.len().checked_sub(2) {
            Some(at) => piece.get(at) == Some(&b'\r'),
            None => self.ended == Ended::Cr,
        };
        self.ended = match last {
            b'\n' if before => Ended::Line,
            b'\n' => Ended::Lf,
            b'\r' => Ended::Cr,
            _ => Ended::Within,
        };
    }

    /// Appends the end. A last line without an end gets one.
    pub fn end(self, out: &mut Vec<u8>) {
        if self.ended != Ended::Line {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b".\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::dots::Unstuffer;
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
    fn dots_are_doubled_and_octets_stay() {
        let cases: [(&[u8], &[u8]); 10] = [
            (b"", b".\r\n"),
            (b"a\r\n", b"a\r\n.\r\n"),
            (b"a", b"a\r\n.\r\n"),
            (b"a\r", b"a\r\r\n.\r\n"),
            (b".\r\n", b"..\r\n.\r\n"),
            (b"a\r\n.\r\n.b\r\n", b"a\r\n..\r\n..b\r\n.\r\n"),
            (b"a.b\r.c\r\n", b"a.b\r.c\r\n.\r\n"),
            (b"a\n.\r\n", b"a\n..\r\n.\r\n"),
            (b"a\n", b"a\n\r\n.\r\n"),
            (b"a\0\r\n.\0\r\n", b"a\x80\r\n..\x80\r\n.\r\n"),
        ];
        for (text, wanted) in cases {
            for piece in 1..=text.len().max(1) {
                let out = stuffed(text, piece).escape_ascii().to_string();
                assert_eq!(out, wanted.escape_ascii().to_string(), "{} by {piece}", text.escape_ascii());
            }
        }
    }

    proptest! {
        #[test]
        fn what_a_client_reads_is_the_text(
            lines in proptest::collection::vec("[.a\r]{0,4}", 0..20),
            piece in 1..20usize,
        ) {
            let text: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            let out = stuffed(text.as_bytes(), piece);
            let (mut unstuffer, mut read) = (Unstuffer::lenient(), Vec::new());
            prop_assert_eq!(unstuffer.scan(&out, Some(&mut read)), out.len());
            prop_assert!(unstuffer.is_ended());
            prop_assert_eq!(read, text.into_bytes());
        }
    }
}
