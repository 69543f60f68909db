//! Lines: what ends in CR LF, within a budget. A bare CR or LF does not end a line; it stays in it, for the
//! parser to refuse. An over-long line is thrown away up to its own end, so that its tail is never taken for a command.

use memchr::memchr;

/// What stands at the front of the given octets.
#[derive(Debug, PartialEq, Eq)]
pub enum Framed<'a> {
    /// A line, without its CR LF.
    Line(&'a [u8]),
    /// No whole line yet.
    More,
    /// A line over its budget ended here. It is gone.
    TooLong,
    /// An over-long line that has not ended within the flood budget. The peer is not worth listening to.
    Flood,
}

/// Cuts lines from a stream. It remembers how far it looked, so that a line which comes octet by octet costs
/// no more than one that comes whole.
#[derive(Debug, Default)]
pub struct Framer {
    /// Octets at the front in which no line ends.
    scanned: usize,
    /// Octets of an over-long line thrown away so far; 0 outside of one.
    skipped: usize,
    /// The last octet thrown away was a CR.
    skipped_cr: bool,
}

impl Framer {
    /// Takes what is at the front of `octets`: how many were used up, and what they were. `budget` is the most
    /// octets of a line with its CR LF; `flood` the most that are thrown away of one that is longer.
    pub fn take<'a>(&mut self, octets: &'a [u8], budget: usize, flood: usize) -> (usize, Framed<'a>) {
        if self.skipped > 0 {
            return self.skip(octets, flood);
        }
        while let Some(at) = octets.get(self.scanned..).and_then(|rest| memchr(b'\n', rest)) {
            let end = self.scanned + at;
            let line = octets.get(..end).unwrap_or_default();
            if end >= budget {
                break;
            }
            self.scanned = end + 1;
            if let Some(line) = line.strip_suffix(b"\r") {
                self.scanned = 0;
                return (end + 1, Framed::Line(line));
            }
        }
        if octets.len() < budget {
            self.scanned = octets.len();
            return (0, Framed::More);
        }
        // No line ends within the budget.
        self.scanned = 0;
        self.skip(octets, flood)
    }

    /// True while an over-long line is being thrown away.
    pub fn is_skipping(&self) -> bool {
        self.skipped > 0
    }

    fn skip<'a>(&mut self, octets: &[u8], flood: usize) -> (usize, Framed<'a>) {
        let mut from = 0;
        while let Some(at) = octets.get(from..).and_then(|rest| memchr(b'\n', rest)) {
            let end = from + at;
            let cr = match end.checked_sub(1) {
                Some(before) => octets.get(before) == Some(&b'\r'),
                None => self.skipped_cr,
            };
            from = end + 1;
            if cr {
                self.skipped = 0;
                self.skipped_cr = false;
                return (from, Framed::TooLong);
            }
        }
        if let Some(&last) = octets.last() {
            self.skipped_cr = last == b'\r';
        }
        self.skipped = self.skipped.saturating_add(octets.len());
        (octets.len(), if self.skipped > flood { Framed::Flood } else { Framed::More })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `input` in pieces of `piece` octets and notes what came out.
    fn frames(input: &[u8], piece: usize, budget: usize) -> Vec<String> {
        let (mut framer, mut held, mut seen) = (Framer::default(), Vec::new(), Vec::new());
        for part in input.chunks(piece) {
            held.extend_from_slice(part);
            loop {
                let (used, framed) = framer.take(&held, budget, 1000);
                let more = framed == Framed::More;
                match framed {
                    Framed::Line(line) => seen.push(String::from_utf8_lossy(line).into_owned()),
                    Framed::TooLong => seen.push("(long)".to_owned()),
                    Framed::Flood => return [seen, vec!["(flood)".to_owned()]].concat(),
                    Framed::More => {}
                }
                held.drain(..used);
                if more {
                    break;
                }
            }
        }
        seen
    }

    #[test]
    fn only_cr_lf_ends_a_line_however_it_is_cut() {
        let input = b"NOOP\r\na\nb\rc\r\n\r\n\r\r\nrest";
        for piece in 1..=input.len() {
            assert_eq!(frames(input, piece, 100), ["NOOP", "a\nb\rc", "", "\r"], "{piece}");
        }
    }

    #[test]
    fn the_tail_of_an_over_long_line_is_no_line() {
        let input = b"AAAAAAAAAAAAAAAAAAAA\nQUIT\nRSET\r\nNOOP\r\n";
        for piece in 1..=input.len() {
            assert_eq!(frames(input, piece, 10), ["(long)", "NOOP"], "{piece}");
        }
    }

    #[test]
    fn the_budget_counts_the_line_end() {
        for (line, seen) in [("12345678\r\n", "12345678"), ("123456789\r\n", "(long)")] {
            for piece in 1..=line.len() {
                assert_eq!(frames(line.as_bytes(), piece, 10), [seen], "{line:?} by {piece}");
            }
        }
    }

    #[test]
    fn a_line_without_end_is_a_flood() {
        assert_eq!(frames(&[b'A'; 1200], 7, 10), ["(flood)"]);
    }
}
