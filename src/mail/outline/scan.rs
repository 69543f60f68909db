//! The scanner behind [`Outline`]: one pass over lines. Every line is looked at as a delimiter of an open multipart
//! and, within a header, as a field; nothing is looked at twice but the heads of such lines.

use super::{BOUNDARY_MAX, DEPTH_MAX, FIELD_MAX, Outline, PARTS_MAX, Part, Place, Shape, Span, TEXT_MAX};
use crate::mail::{
    header::{self, Line},
    mime::{Media, Valued},
    transfer::Encoding,
};
use std::collections::HashMap;

/// The most octets of a line that can be a delimiter: boundary, dashes, and room for padding.
const DELIMITER_MAX: usize = BOUNDARY_MAX + 64;

/// Reads a message in chunks of any size.
#[derive(Debug)]
pub struct Scanner {
    parts: Vec<Part>,
    /// The containers that are open, outermost first.
    open: Vec<Container>,
    /// For each boundary that is open, the containers (by their place in `open`) that have it, innermost last.
    boundaries: HashMap<Vec<u8>, Vec<usize>>,
    state: State,
    /// The place of the next octet.
    here: Place,
    /// Where the current line began.
    line: Place,
    /// Where the line before it ended, without its line end.
    before: Place,
    /// The head of the current line, when it began in an earlier chunk.
    head: Vec<u8>,
    /// The last octet of the chunk before.
    last: u8,
    /// The field being read in a header, when it is one that is kept, and its octets so far.
    field: Option<(Kept, Vec<u8>)>,
    /// The fields that were found in this header.
    seen: Vec<Kept>,
    /// How many octets of fields may yet be kept.
    room: usize,
    cut: bool,
    work: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In the header of the last part.
    Header(Next),
    /// In the body of a leaf that is open: the last part.
    Leaf,
    /// Between or behind the parts of a multipart.
    Between,
}

/// What the next line of a header can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// The first line of a message: a postmark, a field or the end.
    Message,
    /// The first line of another part, or of a message behind its postmark: a field or the end.
    Part,
    /// A field, more of the field above, or the end.
    Later,
}

#[derive(Debug)]
struct Container {
    part: usize,
    /// What parts it; none in a message, and none when its last part has ended.
    boundary: Option<Vec<u8>>,
}

/// The fields that an outline keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    Type,
    Encoding,
    Disposition,
    Id,
    Description,
    Language,
    Location,
    Md5,
}

impl Kept {
    fn named(name: &[u8]) -> Option<Kept> {
        Some(match name.get(8..)?.to_ascii_lowercase().as_slice() {
            _ if !name.get(..8)?.eq_ignore_ascii_case(b"content-") => return None,
            b"type" => Kept::Type,
            b"transfer-encoding" => Kept::Encoding,
            b"disposition" => Kept::Disposition,
            b"id" => Kept::Id,
            b"description" => Kept::Description,
            b"language" => Kept::Language,
            b"location" => Kept::Location,
            b"md5" => Kept::Md5,
            _ => return None,
        })
    }
}

impl Default for Scanner {
    fn default() -> Scanner {
        Scanner::new()
    }
}

impl Scanner {
    /// At the first octet of a message.
    pub fn new() -> Scanner {
        let start = Place::default();
        Scanner {
            parts: vec![part(None, Media::default_text(), start)],
            open: Vec::new(),
            boundaries: HashMap::new(),
            state: State::Header(Next::Message),
            here: start,
            line: start,
            before: start,
            head: Vec::new(),
            last: 0,
            field: None,
            seen: Vec::new(),
            room: TEXT_MAX,
            cut: false,
            work: 0,
        }
    }

    /// How many octets were looked at, each as often as it was: proof that the work grows with the message.
    pub fn work(&self) -> u64 {
        self.work
    }

    /// Takes the next octets.
    pub fn push(&mut self, octets: &[u8]) {
        let mut rest = octets;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, tail) = rest.split_at_checked(end.saturating_add(1)).unwrap_or((rest, &[]));
            rest = tail;
            self.worked(line.len());
            let carriage = match end.checked_sub(1) {
                Some(at) => line.get(at) == Some(&b'\r'),
                None => self.last == b'\r' && self.here.at > self.line.at,
            };
            self.here.at = self.here.at.saturating_add(line.len() as u64);
            self.here.lines = self.here.lines.saturating_add(1);
            self.here.wire =
                self.here.wire.saturating_add(line.len() as u64).saturating_add(u64::from(!carriage));
            self.last = b'\n';
            if self.head.is_empty() {
                self.whole_line(line, true);
            } else {
                let mut head = std::mem::take(&mut self.head);
                self.extend(&mut head, line);
                self.whole_line(&head, true);
                head.clear();
                self.head = head;
            }
            self.before = Place {
                at: self.here.at.saturating_sub(1).saturating_sub(u64::from(carriage)),
                wire: self.here.wire.saturating_sub(2),
                lines: self.here.lines.saturating_sub(1),
            };
            self.line = self.here;
        }
        if let Some(&last) = rest.last() {
            let mut head = std::mem::take(&mut self.head);
            self.extend(&mut head, rest);
            self.head = head;
            self.worked(rest.len());
            self.here.at = self.here.at.saturating_add(rest.len() as u64);
            self.here.wire = self.here.wire.saturating_add(rest.len() as u64);
            self.last = last;
        }
    }

    /// The outline, once the last octet was pushed.
    pub fn finish(mut self) -> Outline {
        let head = std::mem::take(&mut self.head);
        if !head.is_empty() {
            self.whole_line(&head, false);
        }
        // The end of a header may open a message, and with it one more header.
        while matches!(self.state, State::Header(_)) {
            self.end_header(self.here);
        }
        self.before = self.here;
        self.close_down_to(0);
        Outline { parts: self.parts, end: self.here, cut: self.cut }
    }

    fn worked(&mut self, octets: usize) {
        self.work = self.work.saturating_add(octets as u64);
    }

    /// Keeps as much of a line in pieces as can matter.
    fn extend(&mut self, head: &mut Vec<u8>, piece: &[u8]) {
        let room = FIELD_MAX.saturating_sub(head.len());
        let piece = piece.get(..room).unwrap_or(piece);
        self.worked(piece.len());
        head.extend_from_slice(piece);
    }

    /// A line from `self.line` to `self.here`, with its end if it is `ended`; when it is very long perhaps only its head.
    fn whole_line(&mut self, line: &[u8], ended: bool) {
        if self.delimiter(line) {
            return;
        }
        let State::Header(next) = self.state else { return };
        let line = line.get(..FIELD_MAX).unwrap_or(line);
        self.worked(line.len());
        if matches!(line.first(), Some(b' ' | b'\t')) && next == Next::Later {
            self.keep(line);
            return;
        }
        match header::line(line) {
            Line::Field(name, colon) => {
                self.end_field();
                self.state = State::Header(Next::Later);
                // Of several fields of one name the first counts.
                let kept = Kept::named(name).filter(|kept| !self.seen.contains(kept));
                self.seen.extend(kept);
                self.field = kept.map(|kept| (kept, Vec::new()));
                self.keep(line.get(colon.saturating_add(1)..).unwrap_or_default());
            }
            Line::Empty(_) => self.end_header(self.here),
            Line::Other if next == Next::Message && ended && header::is_postmark(line) => {
                self.state = State::Header(Next::Part);
                if let Some(part) = self.parts.last_mut() {
                    part.header.start = self.here;
                }
            }
            Line::Other => {
                self.end_header(self.line);
                // The line is the body's first: it may part it, or be the first of a message in it.
                match self.state {
                    State::Header(_) => self.whole_line(line, ended),
                    _ => drop(self.delimiter(line)),
                }
            }
        }
    }

    /// Adds a line to the field that is read.
    fn keep(&mut self, line: &[u8]) {
        let whole = (self.here.at.saturating_sub(self.line.at)) <= FIELD_MAX as u64;
        if let Some((_, octets)) = &mut self.field {
            let room = FIELD_MAX.saturating_sub(octets.len());
            self.cut |= !whole || line.len() > room;
            octets.extend_from_slice(line.get(..room).unwrap_or(line));
        }
    }

    fn end_field(&mut self) {
        let (Some((kept, octets)), Some(part)) = (self.field.take(), self.parts.last_mut()) else { return };
        let Some(room) = self.room.checked_sub(octets.len()) else {
            self.cut = true;
            if kept == Kept::Type {
                part.media = Media::new("application", "octet-stream");
            }
            return;
        };
        self.room = room;
        let octets = header::unfold(&octets);
        match kept {
            // What can't be read is plain text (RFC 2045 section 5.2).
            Kept::Type => part.media = Media::parse(&octets).unwrap_or_else(Media::default_text),
            Kept::Encoding => part.encoding = octets,
            Kept::Disposition => part.disposition = Valued::parse(&octets),
            Kept::Id => part.id = Some(octets),
            Kept::Description => part.description = Some(octets),
            Kept::Language => part.language = Some(octets),
            Kept::Location => part.location = Some(octets),
            Kept::Md5 => part.md5 = Some(octets),
        }
    }

    /// The header of the last part ends where its body begins, at `body`.
    fn end_header(&mut self, body: Place) {
        self.end_field();
        self.seen.clear();
        self.state = State::Leaf;
        let count = self.parts.len();
        let at = count.saturating_sub(1);
        let Some(part) = self.parts.last_mut() else { return };
        part.header.end = body;
        part.body = Span { start: body, end: body };
        let room = self.open.len() < DEPTH_MAX;
        if part.media.kind == "multipart" {
            let boundary = part.media.params.raw("boundary").unwrap_or_default().trim_ascii_end();
            if boundary.is_empty() || boundary.len() > BOUNDARY_MAX || !room {
                self.cut |= !room;
                return;
            }
            let boundary = boundary.to_vec();
            self.boundaries.entry(boundary.clone()).or_default().push(self.open.len());
            self.open.push(Container { part: at, boundary: Some(boundary) });
            self.state = State::Between;
        } else if part.media.kind == "message"
            && matches!(part.media.subtype.as_str(), "rfc822" | "global")
            && Encoding::named(&part.encoding) == Encoding::Identity
        {
            if !room || count >= PARTS_MAX {
                self.cut = true;
                return;
            }
            part.shape = Shape::Message;
            self.open.push(Container { part: at, boundary: None });
            self.parts.push(self::part(Some(at), Media::default_text(), body));
            self.state = State::Header(Next::Message);
        }
    }

    /// True when `line` is a delimiter of an open multipart, which it then acts upon.
    fn delimiter(&mut self, line: &[u8]) -> bool {
        if self.boundaries.is_empty() || line.len() > DELIMITER_MAX {
            return false;
        }
        let Some(line) = line.strip_prefix(b"--") else { return false };
        self.worked(line.len().saturating_mul(2));
        let line = line.trim_ascii_end();
        let container = |boundary: &[u8]| self.boundaries.get(boundary)?.last().copied();
        let (place, closes) = match (container(line), line.strip_suffix(b"--").and_then(container)) {
            (Some(place), _) => (place, false),
            (None, Some(place)) => (place, true),
            (None, None) => return false,
        };
        if matches!(self.state, State::Header(_)) {
            // A part that ends within its header.
            self.end_header_short();
        }
        self.close_down_to(place.saturating_add(1));
        self.state = State::Between;
        let Some(container) = self.open.get_mut(place) else { return true };
        let parent = container.part;
        if closes {
            let boundary = container.boundary.take();
            self.forget(boundary);
        } else if self.parts.len() >= PARTS_MAX {
            self.cut = true;
        } else if let Some(parent_part) = self.parts.get_mut(parent) {
            parent_part.shape = Shape::Multipart;
            let media = match parent_part.media.subtype.as_str() {
                "digest" => Media::new("message", "rfc822"),
                _ => Media::default_text(),
            };
            self.parts.push(part(Some(parent), media, self.here));
            self.state = State::Header(Next::Part);
        }
        true
    }

    /// Ends the header of the last part at the current line, a delimiter: its body is empty and nothing opens.
    fn end_header_short(&mut self) {
        self.end_field();
        self.seen.clear();
        if let Some(part) = self.parts.last_mut() {
            part.header.end = self.line;
            part.body = Span { start: self.line, end: self.line };
        }
        self.state = State::Leaf;
    }

    /// Closes the containers from `place` in `open` on, and the leaf that is open, at a delimiter or the end. The line
    /// end in front of a delimiter belongs to it (RFC 2046 section 5.1.1): not to a body, and where that is empty not to the
    /// header above it.
    fn close_down_to(&mut self, place: usize) {
        let leaf = (self.state == State::Leaf).then(|| self.parts.len().saturating_sub(1));
        let outermost = self.open.get(place).map(|container| container.part).or(leaf);
        let Some(start) = outermost.and_then(|at| self.parts.get(at)).map(|part| part.header.start) else {
            return;
        };
        // A delimiter right behind another parts nothing.
        let end = self.before.max(start);
        let close = |part: &mut Part| {
            if part.body.start > end {
                part.header = Span { start: part.header.start.min(end), end };
                part.body.start = end;
            }
            part.body.end = end;
        };
        if let Some(part) = leaf.and_then(|at| self.parts.get_mut(at)) {
            close(part);
        }
        while self.open.len() > place {
            let Some(container) = self.open.pop() else { return };
            if let Some(part) = self.parts.get_mut(container.part) {
                close(part);
            }
            self.forget(container.boundary);
        }
    }

    fn forget(&mut self, boundary: Option<Vec<u8>>) {
        let Some(boundary) = boundary else { return };
        if let Some(places) = self.boundaries.get_mut(&boundary) {
            places.pop();
            if places.is_empty() {
                self.boundaries.remove(&boundary);
            }
        }
    }
}

fn part(parent: Option<usize>, media: Media, start: Place) -> Part {
    let span = Span { start, end: start };
    Part {
        parent,
        shape: Shape::Leaf,
        media,
        header: span,
        body: span,
        encoding: Vec::new(),
        disposition: None,
        id: None,
        description: None,
        language: None,
        location: None,
        md5: None,
    }
}
