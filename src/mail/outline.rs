//! The shape of a message as octet ranges: what IMAP calls ENVELOPE and BODYSTRUCTURE, and what a reader needs to
//! find a part without looking at the rest.
//!
//! [`Scanner`] reads a message of any size once, in chunks, without recursion and within the bounds below. Any
//! sequence of octets has an outline: what can't be followed (a multipart without a boundary or any part, nesting
//! beyond the bounds, an encoded message) is a leaf that holds its octets as they are.
//!
//! Left out: the fields that only ENVELOPE shows. They lie in [`Part::header`], for whoever wants them to read.

mod scan;

pub use scan::Scanner;

use super::{
    mime::{Media, Valued},
    transfer::Encoding,
};
use std::{
    fmt::Write as _,
    io,
    ops::{Range, Sub},
};

/// The most parts that are told apart; the octets of further ones belong to the part around them alone.
pub const PARTS_MAX: usize = 10_000;
/// How deep parts are followed into each other.
pub const DEPTH_MAX: usize = 100;
/// The most octets of a field that are read.
pub const FIELD_MAX: usize = 16 * 1024;
/// The most octets of fields that are kept of one message.
pub const TEXT_MAX: usize = 256 * 1024;
/// The most octets of a boundary. The standard has 70 (RFC 2046 section 5.1.1), real mail more.
pub const BOUNDARY_MAX: usize = 998;

/// A place in a message, as three counts of what stands before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct Place {
    /// Octets as they lie in the file.
    pub at: u64,
    /// Octets with every line end as CR LF: what goes over the wire.
    pub wire: u64,
    /// Line ends.
    pub lines: u64,
}

impl Sub for Place {
    type Output = Place;

    fn sub(self, before: Place) -> Place {
        Place {
            at: self.at.saturating_sub(before.at),
            wire: self.wire.saturating_sub(before.wire),
            lines: self.lines.saturating_sub(before.lines),
        }
    }
}

/// A piece of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Span {
    /// Where it begins.
    pub start: Place,
    /// Behind its last octet.
    pub end: Place,
}

impl Span {
    /// Its file offsets.
    pub fn range(&self) -> Range<u64> {
        self.start.at..self.end.at
    }

    /// Its octets with every line end as CR LF.
    pub fn wire(&self) -> u64 {
        (self.end - self.start).wire
    }

    /// Its line ends.
    pub fn lines(&self) -> u64 {
        (self.end - self.start).lines
    }
}

/// How a part is made up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Shape {
    /// Octets with nothing in them that is followed, whatever its media type says.
    #[default]
    Leaf,
    /// One or more parts.
    Multipart,
    /// A message: exactly one part, whose header is the message's.
    Message,
}

/// One part: an entity with a header (perhaps empty) and a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The part that this one stands in, by its place in [`Outline::parts`].
    pub parent: Option<usize>,
    /// How it is made up.
    pub shape: Shape,
    /// Its declared media type, or the one that holds when none is declared (RFC 2045 section 5.2, RFC 2046 section 5.1.5).
    pub media: Media,
    /// Its header, with the empty line behind it where there is one.
    pub header: Span,
    /// Its body, without the line end that belongs to the delimiter behind it.
    pub body: Span,
    /// Content-Transfer-Encoding, as written; empty when there is none.
    pub encoding: Vec<u8>,
    /// Content-Disposition.
    pub disposition: Option<Valued>,
    /// Content-ID, unfolded.
    pub id: Option<Vec<u8>>,
    /// Content-Description, unfolded.
    pub description: Option<Vec<u8>>,
    /// Content-Language, unfolded.
    pub language: Option<Vec<u8>>,
    /// Content-Location, unfolded.
    pub location: Option<Vec<u8>>,
    /// Content-MD5, unfolded.
    pub md5: Option<Vec<u8>>,
}

impl Part {
    /// How its octets are encoded.
    pub fn transfer(&self) -> Encoding {
        Encoding::named(&self.encoding)
    }

    /// The file name that its composer gave it, as it came: who makes a file of that name cleans it first.
    pub fn file_name(&self) -> Option<String> {
        let given = self.disposition.as_ref().and_then(|disposition| disposition.params.text("filename"));
        given.or_else(|| self.media.params.text("name"))
    }

    /// True when its composer wants it shown as a file, not read in place.
    pub fn is_attachment(&self) -> bool {
        self.disposition.as_ref().is_some_and(|disposition| disposition.value == "attachment")
    }
}

/// The parts of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    /// The parts in the order of their headers; the first is the message itself. A part stands behind its parent.
    pub parts: Vec<Part>,
    /// The end of the message.
    pub end: Place,
    /// True when a bound was met, so that parts or fields are missing.
    pub cut: bool,
}

impl Outline {
    /// The outline of a message in memory.
    pub fn of(octets: &[u8]) -> Outline {
        let mut scanner = Scanner::new();
        scanner.push(octets);
        scanner.finish()
    }

    /// Reads a message to its end. Only reading can fail.
    pub fn read(mut from: impl io::Read) -> io::Result<Outline> {
        let mut scanner = Scanner::new();
        let mut chunk = vec![0; 64 * 1024];
        loop {
            match from.read(&mut chunk) {
                Ok(0) => return Ok(scanner.finish()),
                Ok(length) => scanner.push(chunk.get(..length).unwrap_or_default()),
                Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
                Err(fault) => return Err(fault),
            }
        }
    }

    /// The parts that stand directly in the part at `at`, by their places.
    pub fn children(&self, at: usize) -> impl Iterator<Item = usize> + '_ {
        let behind = self.parts.iter().enumerate().skip(at.saturating_add(1));
        behind.filter(move |(_, part)| part.parent == Some(at)).map(|(place, _)| place)
    }

    /// IMAP's part numbers (RFC 9051 section 6.4.5.1), one a part: `2.1`. What has no number of its own (the message
    /// itself where it is a multipart, and the same within a message/rfc822) has that of the part around it, or none.
    pub fn numbers(&self) -> Vec<String> {
        let mut numbers: Vec<String> = Vec::with_capacity(self.parts.len());
        // How many children of each part were numbered so far.
        let mut counts = vec![0_u32; self.parts.len()];
        for part in &self.parts {
            let parent = part.parent.and_then(|at| self.parts.get(at).map(|parent| (at, parent.shape)));
            let outer = parent.and_then(|(at, _)| numbers.get(at)).cloned().unwrap_or_default();
            let count = match (parent, part.shape) {
                (Some((at, Shape::Multipart)), _) => counts.get_mut(at).map(|count| {
                    *count = count.saturating_add(1);
                    *count
                }),
                (_, Shape::Multipart) => None,
                _ => Some(1),
            };
            let mut number = outer;
            if let Some(count) = count {
                let dot = if number.is_empty() { "" } else { "." };
                // Writing to a String does not fail.
                let _ = write!(number, "{dot}{count}");
            }
            numbers.push(number);
        }
        numbers
    }

    /// The part that IMAP calls `number`, and its place.
    pub fn numbered(&self, number: &str) -> Option<(usize, &Part)> {
        let at = self.numbers().iter().position(|known| known == number).filter(|_| !number.is_empty())?;
        // Of a multipart and its container, which share a number, the container comes first and is meant.
        Some((at, self.parts.get(at)?))
    }
}

#[cfg(test)]
mod tests;
