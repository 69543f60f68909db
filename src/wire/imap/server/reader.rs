//! Cuts commands from what a peer sends: lines and the literals between them (RFC 3501 section 2.2.1, RFC 7888). What is
//! refused is still read to its end, so that no octet of it is ever taken for a command.

use crate::wire::imap::token::{Announced, announced};

/// How much one command may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Octets without its literals.
    pub(super) line: usize,
    /// Octets of literals that are kept.
    pub(super) literals: usize,
    /// Octets of it that are thrown away.
    pub(super) drain: u64,
}

/// What came of the octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// The command goes on.
    More,
    /// A line ended that announces a literal. [`Reader::accept`], [`Reader::refuse`] or, when its sender waits, [`Reader::clear`].
    Literal(Announced),
    /// The command is whole: [`Reader::text`].
    Whole,
    /// The command ended, and it was refused.
    Refused,
    /// The peer is not worth listening to.
    Flood,
}

/// How much of the beginning of a refused command is kept, for its tag.
const KEPT: usize = 512;
/// How much of the end of a refused line is kept, to see whether it announces a literal.
const TAIL: usize = 64;

/// The command being read.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// What came of it, literals as they came.
    text: Vec<u8>,
    /// Where the line that is being read begins in `text`.
    line: usize,
    /// Octets outside of literals.
    words: usize,
    /// Octets of literals.
    literals: usize,
    /// Octets of a literal that are still to come.
    wanted: u64,
    refused: bool,
    drained: u64,
}

impl Reader {
    /// Takes octets up to the end of a line or all of them: how many, and what they were.
    pub(super) fn take(&mut self, octets: &[u8], room: Room) -> (usize, Taken) {
        let mut used = 0;
        loop {
            let rest = octets.get(used..).unwrap_or_default();
            if self.wanted > 0 {
                let given = usize::try_from(self.wanted).unwrap_or(usize::MAX).min(rest.len());
                self.keep(rest.get(..given).unwrap_or_default());
                self.wanted = self.wanted.saturating_sub(given as u64);
                used += given;
                if self.wanted > 0 {
                    return (used, self.unless_flood(room));
                }
                self.line = self.text.len();
                continue;
            }
            let end = memchr::memchr(b'\n', rest).map(|at| at + 1);
            let piece = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            used += piece.len();
            self.words = self.words.saturating_add(piece.len());
            if self.words > room.line {
                self.refused = true;
            }
            self.keep(piece);
            if end.is_none() || !self.text.ends_with(b"\r\n") {
                let taken = self.unless_flood(room);
                if end.is_none() || taken == Taken::Flood {
                    return (used, taken);
                }
                continue;
            }
            let line = self.text.get(self.line..self.text.len().saturating_sub(2)).unwrap_or_default();
            match self.ended(announced(line), room) {
                Taken::More => {}
                taken => return (used, taken),
            }
        }
    }

    fn ended(&mut self, announced: Option<Announced>, room: Room) -> Taken {
        match (announced, self.refused) {
            (Some(announced), false) => Taken::Literal(announced),
            (Some(Announced { octets, waits: false }), true) => {
                self.wanted = octets;
                self.line = self.text.len();
                self.drained = self.drained.saturating_add(octets);
                self.unless_flood(room)
            }
            (None, false) => {
                self.text.truncate(self.text.len().saturating_sub(2));
                Taken::Whole
            }
            (_, true) => self.unless_flood_then(room, Taken::Refused),
        }
    }

    /// Keeps octets in `text`: of a refused command only its beginning and the end of its line.
    fn keep(&mut self, octets: &[u8]) {
        if !self.refused {
            return self.text.extend_from_slice(octets);
        }
        if self.wanted > 0 {
            // Counted when it was announced.
            return;
        }
        self.drained = self.drained.saturating_add(octets.len() as u64);
        self.text.extend_from_slice(octets);
        if let Some(over) = self.text.len().checked_sub(KEPT + TAIL).filter(|over| *over > 0) {
            self.text.drain(KEPT..KEPT + over);
            self.line = self.line.min(KEPT);
        }
    }

    fn unless_flood(&self, room: Room) -> Taken {
        self.unless_flood_then(room, Taken::More)
    }

    fn unless_flood_then(&self, room: Room, then: Taken) -> Taken {
        if self.refused && self.drained > room.drain { Taken::Flood } else { then }
    }

    /// The announced literal is wanted; false when it does not fit.
    pub(super) fn accept(&mut self, announced: Announced, room: Room) -> bool {
        let fits =
            usize::try_from(announced.octets).ok().and_then(|octets| self.literals.checked_add(octets));
        let Some(literals) = fits.filter(|literals| *literals <= room.literals) else { return false };
        self.literals = literals;
        self.wanted = announced.octets;
        self.line = self.text.len();
        true
    }

    /// The command is refused; what is announced and still comes of it is thrown away.
    pub(super) fn refuse(&mut self, coming: u64) {
        self.refused = true;
        self.text.truncate(KEPT);
        self.line = self.text.len();
        self.wanted = coming;
        self.drained = self.drained.saturating_add(coming);
    }

    /// Waits for the next command.
    pub(super) fn clear(&mut self) {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        if text.capacity() > 4 * 1024 {
            text = Vec::new();
        }
        *self = Reader { text, ..Reader::default() };
    }

    /// The command so far, literals included; of a refused one its beginning.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Takes the text out; [`Reader::put_back`] gives its memory back.
    pub(super) fn take_text(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.text)
    }

    /// Waits for the next command, in the memory of this one.
    pub(super) fn put_back(&mut self, text: Vec<u8>) {
        self.text = text;
        self.clear();
    }

    /// True when nothing of a command has come.
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty() && !self.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room { line: 40, literals: 10, drain: 100 };

    /// Feeds `input` in pieces and accepts what fits.
    fn read(input: &[u8], piece: usize) -> Vec<String> {
        let (mut reader, mut seen) = (Reader::default(), Vec::new());
        for part in input.chunks(piece) {
            let mut at = 0;
            // What comes of a refusal is known at once.
            while at < part.len() || reader.take(b"", ROOM).1 == Taken::Flood {
                let (used, taken) = reader.take(&part[at..], ROOM);
                at += used;
                let head = String::from_utf8_lossy(&reader.text()[..reader.text().len().min(2)]).into_owned();
                match taken {
                    Taken::More => assert_eq!(at, part.len()),
                    Taken::Literal(announced) if reader.accept(announced, ROOM) => {}
                    Taken::Literal(announced) if announced.waits => {
                        seen.push(format!("(no +) {head}"));
                        reader.clear();
                    }
                    Taken::Literal(announced) => reader.refuse(announced.octets),
                    Taken::Whole => {
                        seen.push(String::from_utf8_lossy(reader.text()).into_owned());
                        reader.clear();
                    }
                    Taken::Refused => {
                        seen.push(format!("(refused) {head}"));
                        reader.clear();
                    }
                    Taken::Flood => {
                        seen.push("(flood)".to_owned());
                        return seen;
                    }
                }
            }
        }
        assert!(reader.is_empty());
        seen
    }

    #[test]
    fn commands_are_cut_the_same_however_they_come() {
        let long = format!("c {}\r\n", "x".repeat(80));
        let cases: [(&str, &[&str]); 9] = [
            ("a NOOP\r\nb X\r\n", &["a NOOP", "b X"]),
            ("a\nb\rc\r\n", &["a\nb\rc"]),
            ("a L {3+}\r\nx\r\n {2}\r\n\r\n\r\nb\r\n", &["a L {3+}\r\nx\r\n {2}\r\n\r\n", "b"]),
            ("a L {0}\r\n\r\n", &["a L {0}\r\n"]),
            // A literal over the room, whose octets look like commands.
            ("a L {12+}\r\nb LOGOUT\r\nc!\r\nd N\r\n", &["(refused) a ", "d N"]),
            ("a L {12}\r\nb N\r\n", &["(no +) a ", "b N"]),
            // Behind a refused literal comes another.
            ("a L {12+}\r\n123456789012 {3+}\r\nb\r\n\r\nd N\r\n", &["(refused) a ", "d N"]),
            (&long, &["(refused) c "]),
            ("a L {120+}\r\n", &["(flood)"]),
        ];
        for (input, seen) in cases {
            for piece in 1..=input.len() {
                assert_eq!(read(input.as_bytes(), piece), seen, "{input:?} by {piece}");
            }
        }
    }

    #[test]
    fn the_literal_behind_an_over_long_line_is_no_command() {
        let input = format!("a {} {{8+}}\r\nb LOGOUT\r\nc NOOP\r\n", "x".repeat(50));
        for piece in 1..=input.len() {
            assert_eq!(read(input.as_bytes(), piece), ["(refused) a ", "c NOOP"], "by {piece}");
        }
        let endless = "x".repeat(500);
        assert_eq!(read(endless.as_bytes(), 7), ["(flood)"]);
    }

    #[test]
    fn a_refused_command_is_not_kept() {
        let mut reader = Reader::default();
        let room = Room { line: 10, literals: 10, drain: 1_000_000 };
        for _ in 0..1000 {
            reader.take(&[b'x'; 900], room);
            assert!(reader.text().len() <= KEPT + TAIL);
        }
    }
}
