//! The header section of a message: fields, folding, and lookups by name (RFC 5322 section 2.2). Nothing here is an
//! error: a header ends where its fields end, and any sequence of octets is a message.
//!
//! A line ends with LF, with or without CR before it. A field's name is printable ASCII up to a colon, white space
//! before the colon is passed over (obsolete syntax), and lines that begin with white space belong to the field above.
//! The header ends at an empty line, or before the first line that is none of this. A postmark (`From joe Mon ...`, as
//! mbox files have) may stand before the first field and belongs to neither header nor body.

pub mod addresses;
pub(crate) mod lex;
mod scan;

pub use scan::{Gather, Progress, Scan};

use super::words;
use std::ops::Range;

/// How far from the start of its line a field's colon may be.
pub const NAME_MAX: usize = 256;

/// One header field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name, as written.
    pub name: &'a [u8],
    /// What stands behind the colon, folded as written, without the final line end.
    pub body: &'a [u8],
    /// The whole field with its final line end, as offsets into the octets that were scanned.
    pub range: Range<usize>,
}

impl<'a> Field<'a> {
    /// True when this is the field `name`; case does not count.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The body without folding (line ends are dropped) and without white space around it.
    pub fn unfolded(&self) -> Vec<u8> {
        unfold(self.body)
    }

    /// The body unfolded and its encoded words decoded, for people. It may hold any character that an encoded
    /// word can smuggle in: whoever shows it on a terminal makes it harmless first.
    pub fn text(&self) -> String {
        words::decode(&self.unfolded())
    }
}

/// `body` without line ends, and without white space around it.
pub fn unfold(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    for line in body.split(|&octet| octet == b'\n') {
        out.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
    }
    out.trim_ascii().to_vec()
}

/// Where a header lies in the octets that were scanned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Extent {
    /// The first octet of the first field: 0, or behind a postmark.
    pub start: usize,
    /// Behind the last field.
    pub end: usize,
    /// The first octet of the body: `end`, or behind the empty line there.
    pub body: usize,
}

/// True when no field in `head` holds an octet beyond ASCII.
pub fn is_ascii(head: &[u8]) -> bool {
    head.get(..extent(head).end).is_none_or(<[u8]>::is_ascii)
}

/// The fields of a message or header, in order.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    octets: &'a [u8],
    at: usize,
}

/// Iterates over the fields at the head of `octets`, each octet being looked at once.
pub fn fields(octets: &[u8]) -> Fields<'_> {
    let mut at = 0;
    if matches!(line(octets), Line::Other) && is_postmark(octets) {
        at = memchr::memchr(b'\n', octets).map_or(0, |end| end.saturating_add(1));
    }
    Fields { octets, at }
}

/// What a line in a header is.
pub(crate) enum Line<'a> {
    /// A field: its name, and where its colon is.
    Field(&'a [u8], usize),
    /// The empty line, with its line end's length.
    Empty(usize),
    /// Nothing that belongs to a header.
    Other,
}

/// What the line at the head of `octets` is, when it does not go on with the field above it.
pub(crate) fn line(octets: &[u8]) -> Line<'_> {
    match octets {
        [b'\n', ..] => return Line::Empty(1),
        [b'\r', b'\n', ..] => return Line::Empty(2),
        _ => {}
    }
    let head = octets.get(..NAME_MAX.saturating_add(1)).unwrap_or(octets);
    if let Some(colon) = memchr::memchr2(b':', b'\n', head)
        && head.get(colon) == Some(&b':')
        && let Some(name) = head.get(..colon).and_then(field_name)
    {
        return Line::Field(name, colon);
    }
    Line::Other
}

/// True for a first line that is no field and that mbox files begin a message with.
pub(crate) fn is_postmark(line: &[u8]) -> bool {
    line.starts_with(b"From ") || line.starts_with(b">From ")
}

impl Fields<'_> {
    /// The offset where the next field begins, or the header ends.
    pub fn at(&self) -> usize {
        self.at
    }
}

/// The field name in what stands before a colon.
fn field_name(before: &[u8]) -> Option<&[u8]> {
    let length = before.iter().rposition(|octet| !matches!(octet, b' ' | b'\t'))?.saturating_add(1);
    before.get(..length).filter(|name| name.iter().all(u8::is_ascii_graphic))
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let Line::Field(name, colon) = line(self.octets.get(self.at..)?) else { return None };
        let start = self.at;
        let body = start.saturating_add(colon).saturating_add(1);
        let mut end = body;
        loop {
            let rest = self.octets.get(end..).unwrap_or_default();
            end =
                end.saturating_add(memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at.saturating_add(1)));
            if !matches!(self.octets.get(end), Some(b' ' | b'\t')) {
                break;
            }
        }
        self.at = end;
        let body = self.octets.get(body..end).unwrap_or_default();
        let body = body.strip_suffix(b"\n").map_or(body, |body| body.strip_suffix(b"\r").unwrap_or(body));
        Some(Field { name, body, range: start..end })
    }
}

/// Where the header at the head of `octets` lies.
pub fn extent(octets: &[u8]) -> Extent {
    let mut fields = fields(octets);
    let start = fields.at();
    fields.by_ref().for_each(drop);
    let end = fields.at();
    let body = match line(octets.get(end..).unwrap_or_default()) {
        Line::Empty(length) => end.saturating_add(length),
        _ => end,
    };
    Extent { start, end, body }
}

/// The first field `name`.
pub fn first<'a>(octets: &'a [u8], name: &str) -> Option<Field<'a>> {
    fields(octets).find(|field| field.is(name))
}

/// What remains of `octets` when the fields of these names are cut out: the ranges to keep, in order, the body included.
pub fn without(octets: &[u8], names: &[&str]) -> Vec<Range<usize>> {
    let mut kept = Vec::new();
    let mut from = 0;
    for field in fields(octets).filter(|field| names.iter().any(|name| field.is(name))) {
        if field.range.start > from {
            kept.push(from..field.range.start);
        }
        from = field.range.end;
    }
    if octets.len() > from {
        kept.push(from..octets.len());
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(octets: &[u8]) -> Vec<String> {
        fields(octets).map(|field| String::from_utf8_lossy(field.name).into_owned()).collect()
    }

    #[test]
    fn fields_are_found_with_either_line_end_and_in_obsolete_syntax() {
        for message in [
            "A: 1\nSubject : two\n  lines\nC:\n\nbody: no\n",
            "A: 1\r\nSubject \t: two\r\n  lines\r\nC:\r\n\r\nbody: no",
        ] {
            assert_eq!(names(message.as_bytes()), ["A", "Subject", "C"]);
            assert_eq!(first(message.as_bytes(), "sUBJECT").unwrap().unfolded(), b"two  lines");
            assert_eq!(first(message.as_bytes(), "C").unwrap().body, b"");
            assert!(first(message.as_bytes(), "body").is_none());
        }
    }

    #[test]
    fn the_extent_is_right_for_every_end_of_a_header() {
        for (message, start, end, body) in [
            ("", 0, 0, 0),
            ("\n", 0, 0, 1),
            ("\r\nA: 1\r\n", 0, 0, 2),
            ("just text\n", 0, 0, 0),
            (" A: 1\n", 0, 0, 0),
            (": 1\n", 0, 0, 0),
            ("A: 1", 0, 4, 4),
            ("A: 1\n", 0, 5, 5),
            ("A: 1\n\nx", 0, 5, 6),
            ("A: 1\r\n\r\nx", 0, 6, 8),
            ("A: 1\n \n\nx", 0, 7, 8),
            ("A: 1\nno field here\n\nx", 0, 5, 5),
            ("A: 1\n\r\r\nx", 0, 5, 5),
            ("A: 1\rB: 2\n\nx", 0, 10, 11),
            ("From joe Tue Nov 24 15:20:28 2026\nA: 1\n\nx", 34, 39, 40),
            (">From joe Tue Nov 24 15:20:28 2026\nA: 1\n\nx", 35, 40, 41),
            ("From joe", 0, 0, 0),
            ("From : joe@example.org\n\nx", 0, 23, 24),
            ("A: 1\nFrom joe Tue Nov 24 15:20:28 2026\n\nx", 0, 5, 5),
            ("A\u{e9}: 1\n", 0, 0, 0),
            ("A B: 1\n", 0, 0, 0),
        ] {
            assert_eq!(extent(message.as_bytes()), Extent { start, end, body }, "{message:?}");
        }
    }

    #[test]
    fn a_colon_must_come_soon() {
        let (near, far) = ("a".repeat(NAME_MAX), "a".repeat(NAME_MAX + 1));
        assert_eq!(names(format!("{near}: 1\n").as_bytes()), [near]);
        assert_eq!(names(format!("{far}: 1\n").as_bytes()), [""; 0]);
    }

    #[test]
    fn cutting_fields_out_leaves_every_other_octet() {
        let message = b"Bcc: a,\r\n b\r\nFrom: x\r\nBCC: c\r\nTo: y\r\n\r\nBcc: body\r\n";
        let kept: Vec<u8> =
            without(message, &["bcc"]).into_iter().flat_map(|range| message[range].to_vec()).collect();
        assert_eq!(kept, b"From: x\r\nTo: y\r\n\r\nBcc: body\r\n");
        assert_eq!(without(b"x", &["Bcc"]).first(), Some(&(0..1)));
        assert_eq!(without(b"Bcc: x", &["Bcc"]), []);
    }
}
