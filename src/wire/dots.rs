//! Text up to `CR LF . CR LF`, with the dots doubled by its sender taken out: what follows SMTP's DATA (RFC 5321 section
//! 4.5.2) and POP3's multi-line replies (RFC 1939 section 3). Text that comes counted, as behind BDAT, has the same faults.

use memchr::memchr3;

/// What makes a text unacceptable. Nothing of the kind ends the text, which is how mail is smuggled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextFault {
    /// A CR that no LF follows.
    BareCr,
    /// A LF that no CR precedes.
    BareLf,
    /// A NUL.
    Nul,
}

/// Where in a line the scanner stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// Behind CR LF, or at the beginning.
    #[default]
    Start,
    /// Behind the dot that begins a line.
    Dot,
    /// Behind a CR that follows that dot.
    DotCr,
    /// Within a line.
    Within,
    /// Behind a CR.
    Cr,
    /// Behind the end.
    End,
}

/// Finds the end of a text in a stream and takes the dots out. Linear in the octets given, however they are cut.
#[derive(Debug, Default)]
pub struct Unstuffer {
    at: At,
    fault: Option<TextFault>,
    lenient: bool,
    counted: bool,
}

impl Unstuffer {
    /// One that finds no fault: bare CR, bare LF and NUL are text like any other. They still end nothing.
    pub fn lenient() -> Unstuffer {
        Unstuffer { lenient: true, ..Unstuffer::default() }
    }

    /// One for text whose octets are counted (RFC 3030 section 2): a dot is a dot, and nothing ends the text but
    /// [`Unstuffer::finish`]. Faults are the same.
    pub fn counted() -> Unstuffer {
        Unstuffer { counted: true, ..Unstuffer::default() }
    }

    /// The counted text is whole. True when it ended with a line (or is empty).
    pub fn finish(&mut self) -> bool {
        if self.at == At::Cr {
            self.fault = self.fault.or(Some(TextFault::BareCr));
        }
        self.at == At::Start
    }

    /// The first fault found so far. Octets that follow it are not kept, but the end is looked for on.
    pub fn fault(&self) -> Option<TextFault> {
        self.fault
    }

    /// True when the end was found.
    pub fn is_ended(&self) -> bool {
        self.at == At::End
    }

    /// Takes octets up to the end of the text or of `octets` and says how many. Appends the text to `keep` when
    /// there is one and no fault was found; never more octets than are taken. Every octet is looked at once.
    pub fn scan(&mut self, octets: &[u8], mut keep: Option<&mut Vec<u8>>) -> usize {
        // The text stands in `octets` from `from` on; it is copied when a dot, a fault or the end interrupts it.
        let (mut from, mut next) = (0, 0);
        let mut put = |text: &[u8]| {
            if let Some(keep) = &mut keep {
                keep.extend_from_slice(text);
            }
        };
        let text = |from: usize, to: usize| octets.get(from..to).unwrap_or_default();
        while let Some(&octet) = octets.get(next) {
            let mut fault = None;
            self.at = match (self.at, octet) {
                (At::End, _) => break,
                (At::Start, b'.') if !self.counted => {
                    if self.fault.is_none() {
                        put(text(from, next));
                    }
                    next += 1;
                    from = next;
                    At::Dot
                }
                (At::Dot, b'\r') => {
                    next += 1;
                    from = next;
                    At::DotCr
                }
                (At::DotCr, b'\n') => {
                    next += 1;
                    from = next;
                    At::End
                }
                (At::Cr, b'\n') => {
                    next += 1;
                    At::Start
                }
                (at @ (At::Cr | At::DotCr), _) => {
                    fault = Some(TextFault::BareCr);
                    if at == At::DotCr && self.lenient {
                        // It was passed over as a part of the end.
                        put(b"\r");
                    }
                    At::Within
                }
                (At::Start | At::Dot | At::Within, _) => {
                    let rest = octets.get(next..).unwrap_or_default();
                    let found = memchr3(b'\r', b'\n', b'\0', rest);
                    next += found.map_or(rest.len(), |at| at + 1);
                    match found.and_then(|at| rest.get(at)) {
                        Some(b'\r') => At::Cr,
                        Some(b'\n') => {
                            fault = Some(TextFault::BareLf);
                            At::Within
                        }
                        Some(_) => {
                            fault = Some(TextFault::Nul);
                            At::Within
                        }
                        None => At::Within,
                    }
                }
            };
            self.fault = self.fault.or(fault.filter(|_| !self.lenient));
        }
        if self.fault.is_none() {
            put(text(from, next));
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a text is by the letter of RFC 5321: found by looking at all of it at once.
    fn by_the_letter(input: &[u8]) -> (Option<Vec<u8>>, usize, bool) {
        let all = [b"\r\n".as_slice(), input].concat();
        let end = all.windows(5).position(|five| five == b"\r\n.\r\n");
        let text = end.map_or(all.as_slice(), |end| &all[..end + 2]);
        let bare = text.iter().enumerate().any(|(at, octet)| match octet {
            b'\r' => text.get(at + 1).is_some_and(|next| *next != b'\n'),
            b'\n' => at == 0 || text[at - 1] != b'\r',
            b'\0' => true,
            _ => false,
        });
        let mut kept = Vec::new();
        for (at, octet) in text.iter().enumerate().skip(2) {
            if *octet != b'.' || &text[at - 2..at] != b"\r\n" {
                kept.push(*octet);
            }
        }
        ((!bare).then_some(kept), end.map_or(input.len(), |end| end + 3), end.is_some())
    }

    fn scanned(input: &[u8], cuts: impl Fn(usize) -> usize) -> (Option<Vec<u8>>, usize, bool) {
        let (mut unstuffer, mut kept, mut used) = (Unstuffer::default(), Vec::new(), 0);
        while used < input.len() && !unstuffer.is_ended() {
            let piece = &input[used..input.len().min(used + cuts(used))];
            used += unstuffer.scan(piece, Some(&mut kept));
        }
        (unstuffer.fault().is_none().then_some(kept), used, unstuffer.is_ended())
    }

    #[test]
    fn only_cr_lf_dot_cr_lf_ends_the_text() {
        /// Input, the text unless it is refused, whether it ends.
        type Case<'a> = (&'a [u8], Option<&'a [u8]>, bool);
        let cases: [Case<'_>; 20] = [
            (b".\r\n", Some(b""), true),
            (b"a\r\n.\r\n", Some(b"a\r\n"), true),
            (b"..\r\n.\r\n", Some(b".\r\n"), true),
            (b".a\r\n.\r\n", Some(b"a\r\n"), true),
            (b"...\r\n.\r\n", Some(b"..\r\n"), true),
            (b"a.\r\n.\r\n", Some(b"a.\r\n"), true),
            (b"\r\n\r\n.\r\n", Some(b"\r\n\r\n"), true),
            (b"a\r\n. \r\n.\r\n", Some(b"a\r\n \r\n"), true),
            (b"a\n.\n", None, false),
            (b"a\n.\r\n", None, false),
            (b"a\r\n.\n", None, false),
            (b"a\r.\r", None, false),
            (b"a\r\n.\r", Some(b"a\r\n"), false),
            (b"a\r\n.\rb\r\n", None, false),
            (b"a\r\n.\r\r\n", None, false),
            (b"a\r\r\n.\r\n", None, true),
            (b"a\0b\r\n.\r\n", None, true),
            (b"\n.\r\n\r\n.\r\n", None, true),
            (b".\n.\r\nb\r\n.\r\n", None, true),
            (b"a\n\r\n.\r\nQUIT\r\n", None, true),
        ];
        for (input, text, ended) in cases {
            for piece in 1..=input.len() {
                let (kept, _, end) = scanned(input, |_| piece);
                let shown = String::from_utf8_lossy(input);
                assert_eq!((kept.as_deref(), end), (text, ended), "{shown:?} by {piece}");
            }
        }
    }

    #[test]
    fn a_lenient_reader_keeps_what_is_odd_and_finds_the_same_end() {
        let cases: [(&[u8], &[u8]); 9] = [
            (b"a\r\n.\r\n", b"a\r\n"),
            (b"a\n.\n.\r\nb\r\n.\r\n", b"a\n.\n.\r\nb\r\n"),
            (b"a\rb\0c\r\n.\r\n", b"a\rb\0c\r\n"),
            (b"a\r\r\n.\r\n", b"a\r\r\n"),
            (b".\rb\r\n.\r\n", b"\rb\r\n"),
            (b".\r\r\n.\r\n", b"\r\r\n"),
            (b"..\rb\r\n.\r\n", b".\rb\r\n"),
            (b".\r.\r\n.\r\n", b"\r.\r\n"),
            (b".\n\r\n.\r\n", b"\n\r\n"),
        ];
        for (input, text) in cases {
            for piece in 1..=input.len() {
                let (mut unstuffer, mut kept, mut used) = (Unstuffer::lenient(), Vec::new(), 0);
                for part in input.chunks(piece) {
                    used += unstuffer.scan(part, Some(&mut kept));
                }
                let shown = format!("{} by {piece}", input.escape_ascii());
                assert_eq!(kept.escape_ascii().to_string(), text.escape_ascii().to_string(), "{shown}");
                assert!(
                    unstuffer.is_ended() && used == input.len() && unstuffer.fault().is_none(),
                    "{shown}"
                );
            }
        }
    }

    #[test]
    fn counted_text_has_the_same_faults_and_its_dots_are_text() {
        /// Input, the text unless it is refused, whether it ends with a line.
        type Case<'a> = (&'a [u8], Option<&'a [u8]>, bool);
        let cases: [Case<'_>; 12] = [
            (b"", Some(b""), true),
            (b"a\r\n", Some(b"a\r\n"), true),
            (b"a", Some(b"a"), false),
            (b"..a\r\n.\r\nb\r\n", Some(b"..a\r\n.\r\nb\r\n"), true),
            (b"a\r\n.", Some(b"a\r\n."), false),
            (b".\r\n", Some(b".\r\n"), true),
            (b"a\nb\r\n", None, true),
            (b"a\rb\r\n", None, true),
            (b"a\0\r\n", None, true),
            (b".\n.\r\n", None, true),
            (b"a\r", None, false),
            (b"a\r\n.\r", None, false),
        ];
        for (input, text, line) in cases {
            for piece in 1..=input.len().max(1) {
                let (mut counted, mut kept) = (Unstuffer::counted(), Vec::new());
                for part in input.chunks(piece) {
                    assert_eq!(counted.scan(part, Some(&mut kept)), part.len());
                }
                let shown = format!("{} by {piece}", input.escape_ascii());
                assert_eq!(counted.finish(), line, "{shown}");
                assert_eq!(counted.fault().is_none().then_some(kept.as_slice()), text, "{shown}");
                assert!(!counted.is_ended(), "{shown}");
            }
        }
    }

    #[test]
    fn what_follows_the_end_is_left() {
        let mut unstuffer = Unstuffer::default();
        assert_eq!(unstuffer.scan(b"a\r\n.\r\nQUIT\r\n", None), 6);
        assert_eq!(unstuffer.scan(b"QUIT\r\n", None), 0);
    }

    proptest! {
        #[test]
        fn every_cut_gives_what_the_letter_says(
            input in proptest::collection::vec(prop::sample::select(b"\r\n.a\0\r\n.".to_vec()), 0..40),
            clean in proptest::collection::vec(prop::sample::select(vec!["\r\n", ".", "a", "\r\n."]), 0..30),
            seed in 1_usize..7,
        ) {
            for input in [input, clean.concat().into_bytes()] {
                let wanted = by_the_letter(&input);
                let cut = |used: usize| 1 + (used.wrapping_mul(31) ^ seed) % seed;
                for got in [scanned(&input, cut), scanned(&input, |_| seed), scanned(&input, |_| 99)] {
                    // A fault at the very end (a CR with nothing behind) shows only with the next octet.
                    prop_assert_eq!(&got.1, &wanted.1);
                    prop_assert_eq!(&got.2, &wanted.2);
                    if wanted.2 {
                        prop_assert_eq!(&got.0, &wanted.0);
                    }
                }
            }
        }
    }
}
