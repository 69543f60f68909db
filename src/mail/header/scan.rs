//! The same scan as [`super::fields`], octet by octet, for a message that streams by.

use super::{Extent, NAME_MAX};

/// Finds fields and the end of a header in a stream, in a fixed amount of memory.
#[derive(Clone, Debug)]
pub struct Scan {
    state: State,
    /// The offset of the next octet.
    at: usize,
    /// Where the current line began.
    line: usize,
    extent: Extent,
    /// The line so far, while it may yet be a field.
    name: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// At the start of a line; `true` when a field stands above it that it could go on with.
    Line(bool),
    /// A CR began the line.
    Cr,
    /// In what may be a name.
    Name,
    /// In what follows a colon.
    Body,
    /// In a postmark.
    Postmark,
    /// Behind the header.
    Done,
}

impl Default for Scan {
    fn default() -> Scan {
        Scan::new()
    }
}

impl Scan {
    /// At the first octet of a message.
    pub fn new() -> Scan {
        Scan { state: State::Line(false), at: 0, line: 0, extent: Extent::default(), name: Vec::new() }
    }

    /// Takes the next octets and calls `on` with each field's name and its offset in the message. True once the
    /// header has ended; later octets are not looked at.
    pub fn push(&mut self, octets: &[u8], mut on: impl FnMut(&[u8], usize)) -> bool {
        let mut rest = octets;
        while self.state != State::Done {
            if matches!(self.state, State::Body | State::Postmark) {
                let Some(end) = memchr::memchr(b'\n', rest) else {
                    self.at = self.at.saturating_add(rest.len());
                    return false;
                };
                self.at = self.at.saturating_add(end).saturating_add(1);
                rest = rest.get(end.saturating_add(1)..).unwrap_or_default();
                self.line = self.at;
                self.extent.end = self.at;
                if self.state == State::Postmark {
                    self.extent.start = self.at;
                }
                self.state = State::Line(self.state == State::Body);
            }
            let Some((&octet, tail)) = rest.split_first() else { return false };
            rest = tail;
            self.at = self.at.saturating_add(1);
            self.state = self.step(octet, &mut on);
        }
        true
    }

    fn step(&mut self, octet: u8, on: &mut impl FnMut(&[u8], usize)) -> State {
        match (self.state, octet) {
            (State::Line(true), b' ' | b'\t') => State::Body,
            (State::Line(_) | State::Cr, b'\n') => self.end(self.at),
            (State::Line(_), b'\r') => State::Cr,
            (State::Line(_), _) => {
                self.name.clear();
                self.named(octet, on)
            }
            (State::Name, _) => self.named(octet, on),
            (State::Cr, _) => self.end(self.line),
            (other, _) => other,
        }
    }

    fn named(&mut self, octet: u8, on: &mut impl FnMut(&[u8], usize)) -> State {
        let name = self.name.trim_ascii_end();
        let goes_on = match octet {
            b':' if !name.is_empty() => {
                on(name, self.line);
                return State::Body;
            }
            b' ' | b'\t' => true,
            _ => octet != b':' && octet.is_ascii_graphic() && name.len() == self.name.len(),
        };
        if goes_on && self.name.len() < NAME_MAX {
            self.name.push(octet);
            return State::Name;
        }
        let first = self.line == 0;
        if first && (self.name.starts_with(b"From ") || self.name.starts_with(b">From ")) {
            if octet != b'\n' {
                return State::Postmark;
            }
            self.line = self.at;
            self.extent.start = self.at;
            return State::Line(false);
        }
        self.end(self.line)
    }

    fn end(&mut self, body: usize) -> State {
        self.extent.end = self.line;
        self.extent.body = body;
        State::Done
    }

    /// Where the header lies, when no more octets come or it has ended.
    pub fn extent(&self) -> Extent {
        match self.state {
            State::Done => self.extent,
            State::Body => Extent { end: self.at, body: self.at, ..self.extent },
            State::Postmark => Extent::default(),
            State::Line(_) | State::Cr | State::Name => {
                Extent { end: self.line, body: self.line, ..self.extent }
            }
        }
    }
}

/// How far a [`Gather`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The header goes on.
    More,
    /// All of the header is here.
    Ended,
    /// The bound is reached before the header ended: what is here is not all of it.
    Full,
}

/// Keeps the head of a message that streams by, up to the end of its header or a bound.
#[derive(Clone, Debug)]
pub struct Gather {
    octets: Vec<u8>,
    scan: Scan,
    most: usize,
}

impl Gather {
    /// Keeps at most `most` octets.
    pub fn new(most: usize) -> Gather {
        Gather { octets: Vec::new(), scan: Scan::new(), most }
    }

    /// At the first octet of the next message, in the same memory.
    pub fn clear(&mut self) {
        self.octets.clear();
        self.scan = Scan::new();
    }

    /// Takes octets from the message: how many of them were kept, and how far it is. The rest of `octets`, when the
    /// header ended or the bound is reached, is the caller's to pass on.
    pub fn push(&mut self, octets: &[u8]) -> (usize, Progress) {
        if self.scan.state == State::Done {
            return (0, Progress::Ended);
        }
        let room = self.most.saturating_sub(self.octets.len());
        let head = octets.get(..room).unwrap_or(octets);
        let ended = self.scan.push(head, |_, _| {});
        let taken = self.scan.at.saturating_sub(self.octets.len()).min(head.len());
        self.octets.extend_from_slice(head.get(..taken).unwrap_or(head));
        let progress = match ended {
            true => Progress::Ended,
            false if self.octets.len() >= self.most => Progress::Full,
            false => Progress::More,
        };
        (taken, progress)
    }

    /// What was kept: the header, and at most the beginning of one line that ended it. [`super::fields`] takes it apart.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// Where the header lies in [`Gather::octets`], given that it ended or no more octets come.
    pub fn extent(&self) -> Extent {
        self.scan.extent()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::header::{extent, fields};
    use proptest::prelude::*;

    fn scanned(octets: &[u8], step: usize) -> (Extent, Vec<(Vec<u8>, usize)>) {
        let (mut scan, mut found) = (Scan::new(), Vec::new());
        for chunk in octets.chunks(step) {
            scan.push(chunk, |name, at| found.push((name.to_vec(), at)));
        }
        (scan.extent(), found)
    }

    #[test]
    fn the_gathered_head_ends_with_the_empty_line() {
        for step in 1..30 {
            let (mut gather, mut taken) = (Gather::new(1000), 0);
            for chunk in b"A: 1\r\nB: 2\r\n\r\nbody\r\n".chunks(step) {
                taken += gather.push(chunk).0;
            }
            assert_eq!((gather.octets(), taken), (b"A: 1\r\nB: 2\r\n\r\n".as_slice(), 14));
            assert_eq!(gather.extent(), Extent { start: 0, end: 12, body: 14 });
        }
        let mut gather = Gather::new(6);
        assert_eq!(gather.push(b"A: 1\r\nB: 2\r\n\r\nbody\r\n"), (6, Progress::Full));
        assert_eq!(gather.push(b"more"), (0, Progress::Full));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]
        #[test]
        fn the_stream_and_the_slice_agree(
            text in "(From |>From |A|B|Received| |\t|:|\r\n|\n|\r|\u{e9}|[!-~]){0,40}",
            step in 1_usize..7,
        ) {
            let octets = text.as_bytes();
            let slice: Vec<_> = fields(octets).map(|field| (field.name.to_vec(), field.range.start)).collect();
            prop_assert_eq!(scanned(octets, step), (extent(octets), slice));
        }
    }
}
