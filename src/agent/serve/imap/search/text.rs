//! The text of one message, read in pieces: its header, and its parts decoded, each piece being searched for all texts.

use crate::{
    mail::{
        folder::FolderName,
        header,
        outline::{Outline, Part, Scanner, Shape, Span},
        query::Uid,
        transfer::Decoder,
    },
    store::{Fault, Home, Store},
};
use encoding_rs::{Encoding, UTF_8};
use memchr::memmem::Finder;
use std::{
    io::{self, Read},
    ops::Range,
};

/// What is read at once.
pub(super) const PIECE: usize = 32 * 1024;
/// The most octets of a header that are searched.
const HEADER: u64 = 256 * 1024;

/// A folder of the store's.
pub(in super::super) struct At<'a, S> {
    pub(in super::super) store: &'a S,
    pub(in super::super) home: &'a Home,
    pub(in super::super) folder: &'a FolderName,
}

impl<S> Clone for At<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for At<'_, S> {}

impl<S: Store> At<'_, S> {
    fn read(&self, uid: Uid, range: Range<u64>) -> Result<S::Octets, Fault> {
        self.store.read(self.home, self.folder, uid, range)
    }
}

/// A text that is looked for without case, in bodies or in headers, too.
pub(super) struct Wanted {
    text: Finder<'static>,
    in_header: bool,
}

impl PartialEq for Wanted {
    fn eq(&self, other: &Wanted) -> bool {
        (self.text.needle(), self.in_header) == (other.text.needle(), other.in_header)
    }
}

impl Wanted {
    pub(super) fn new(text: &str, in_header: bool) -> Wanted {
        let mut small = Vec::new();
        lower(text, &mut small);
        Wanted { text: Finder::new(&small).into_owned(), in_header }
    }

    fn len(&self) -> usize {
        self.text.needle().len()
    }
}

/// Letter by letter, so that it does not matter where a text is cut.
fn lower(text: &str, out: &mut Vec<u8>) {
    if text.is_ascii() {
        out.extend(text.bytes().map(|octet| octet.to_ascii_lowercase()));
        return;
    }
    for letter in text.chars().flat_map(char::to_lowercase) {
        out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

/// A message that is read.
pub(super) struct Reading<O> {
    pub(super) uid: Uid,
    /// Which of the texts were found.
    found: Vec<bool>,
    stage: Stage<O>,
}

enum Stage<O> {
    Begin,
    /// Where its parts are is being found out.
    Outline(O, Box<Scanner>),
    Header(Outline),
    /// The next part that may have text.
    Part(Outline, usize),
    /// The part before that one is being read.
    Text(Outline, usize, Box<Text<O>>),
}

/// A part that is read, through a window as wide as what is wanted.
struct Text<O> {
    from: O,
    decoder: Decoder,
    letters: encoding_rs::Decoder,
    window: Vec<u8>,
}

impl<O: Read> Reading<O> {
    pub(super) fn new(uid: Uid, wanted: &[Wanted]) -> Reading<O> {
        // An empty text is a part of any.
        let found = wanted.iter().map(|wanted| wanted.len() == 0).collect();
        Reading { uid, found, stage: Stage::Begin }
    }

    /// Whether a text is in the message: `None` where that is not known, which it is when the reading `ended`.
    pub(super) fn holds(&self, text: usize, ended: bool) -> Option<bool> {
        match self.found.get(text) {
            Some(true) => Some(true),
            _ => ended.then_some(false),
        }
    }

    /// Reads a piece; true at the end.
    pub(super) fn step<S: Store<Octets = O>>(
        &mut self,
        at: At<'_, S>,
        wanted: &[Wanted],
    ) -> Result<bool, Fault> {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Begin) {
            Stage::Begin => Stage::Outline(at.read(self.uid, 0..u64::MAX)?, Box::default()),
            Stage::Outline(mut from, mut scanner) => match piece(&mut from)? {
                octets if octets.is_empty() => Stage::Header(scanner.finish()),
                octets => {
                    scanner.push(&octets);
                    Stage::Outline(from, scanner)
                }
            },
            Stage::Header(outline) => {
                if let Some(message) = outline.parts.first()
                    && wanted.iter().any(|wanted| wanted.in_header)
                {
                    let mut octets = Vec::new();
                    at.read(self.uid, wire(&message.header))?.take(HEADER).read_to_end(&mut octets)?;
                    self.header(&octets, wanted);
                }
                Stage::Part(outline, 0)
            }
            Stage::Part(outline, from) => {
                let parts = outline.parts.iter().enumerate().skip(from);
                let Some((number, part)) = parts.into_iter().find(|(_, part)| is_text(part)) else {
                    return Ok(true);
                };
                let text = Text::new(part, at.read(self.uid, wire(&part.body))?);
                Stage::Text(outline, number.saturating_add(1), Box::new(text))
            }
            Stage::Text(outline, next, mut text) => match text.step(wanted, &mut self.found)? {
                true => Stage::Part(outline, next),
                false => Stage::Text(outline, next, text),
            },
        };
        Ok(false)
    }

    /// Searches all of a message, which is small.
    pub(super) fn whole(&mut self, octets: &[u8], wanted: &[Wanted]) -> io::Result<()> {
        let within = |span: &Span| {
            let at = |place: u64| usize::try_from(place).unwrap_or(usize::MAX);
            octets.get(at(span.start.wire)..at(span.end.wire)).unwrap_or_default()
        };
        let outline = Outline::of(octets);
        if let Some(message) = outline.parts.first() {
            self.header(within(&message.header), wanted);
        }
        for part in outline.parts.iter().filter(is_text) {
            let mut text = Text::new(part, within(&part.body));
            while !text.step(wanted, &mut self.found)? {}
        }
        Ok(())
    }

    fn header(&mut self, octets: &[u8], wanted: &[Wanted]) {
        let mut text = Vec::new();
        for field in header::fields(octets) {
            text.clear();
            lower(&field.text(), &mut text);
            for (found, wanted) in self.found.iter_mut().zip(wanted).filter(|(_, wanted)| wanted.in_header) {
                *found = *found || wanted.text.find(&text).is_some();
            }
        }
    }
}

fn is_text(part: &&Part) -> bool {
    part.shape == Shape::Leaf && part.media.kind == "text"
}

fn wire(span: &Span) -> Range<u64> {
    span.start.wire..span.end.wire
}

/// Reads a piece; none is the end.
fn piece(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut octets = Vec::with_capacity(PIECE);
    from.take(PIECE as u64).read_to_end(&mut octets)?;
    Ok(octets)
}

impl<O: Read> Text<O> {
    fn new(part: &Part, from: O) -> Text<O> {
        let charset = part.media.params.raw("charset").unwrap_or_default();
        // What says nothing, or ASCII, and is more than that, is UTF-8 nowadays.
        let plain = charset.is_empty() || charset.eq_ignore_ascii_case(b"us-ascii");
        let charset = Encoding::for_label(charset).filter(|_| !plain).unwrap_or(UTF_8);
        let (decoder, letters) = (Decoder::new(part.transfer()), charset.new_decoder());
        Text { from, decoder, letters, window: Vec::new() }
    }

    /// Reads a piece, and notes what is found; true at the end.
    fn step(&mut self, wanted: &[Wanted], found: &mut [bool]) -> io::Result<bool> {
        let piece = piece(&mut self.from)?;
        let (ended, mut octets) = (piece.is_empty(), Vec::new());
        match ended {
            true => self.decoder.finish(&mut octets),
            false => self.decoder.push(&piece, &mut octets),
        }
        let mut text = String::new();
        text.reserve(self.letters.max_utf8_buffer_length(octets.len()).unwrap_or(0));
        let _ = self.letters.decode_to_string(&octets, &mut text, ended);
        let before = self.window.len();
        lower(&text, &mut self.window);
        let mut longest = 0;
        for (found, wanted) in found.iter_mut().zip(wanted).filter(|(found, _)| !**found) {
            // Of what was searched before, so much as may be its beginning.
            let most = wanted.len().saturating_sub(1);
            let from = before.saturating_sub(most);
            *found = wanted.text.find(self.window.get(from..).unwrap_or_default()).is_some();
            longest = longest.max(most);
        }
        self.window.drain(..self.window.len().saturating_sub(longest));
        Ok(ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_searched_decoded_without_case_and_across_pieces() {
        let far = format!("{}Stra\u{df}e\r\n", "filling ".repeat(PIECE / 8));
        for (message, wanted, found) in [
            ("\r\nhello World\r\n".to_owned(), "WORLD", true),
            ("\r\nhello World\r\n".to_owned(), "word", false),
            ("Content-Transfer-Encoding: base64\r\n\r\naGVsbG8gV29ybGQ=\r\n".to_owned(), "o world", true),
            (
                "Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=DFe\r\n".to_owned(),
                "gr\u{fc}\u{df}e",
                true,
            ),
            (format!("\r\n{far}"), "filling stra\u{df}e", true),
            ("\r\ngr\u{fc}n\r\n".to_owned(), "GR\u{dc}N", true),
            // A final sigma is one only where a word ends.
            ("\r\n\u{3a3}\u{391}\u{3a3}\r\n".to_owned(), "\u{3a3}\u{391}\u{3a3}", true),
        ] {
            let outline = Outline::of(message.as_bytes());
            let part = &outline.parts[0];
            let body = &message.as_bytes()[usize::try_from(part.body.start.at).unwrap()..];
            let mut text = Text::new(part, body);
            // Others beside it, longer and shorter, change nothing.
            let all = ["is not there at all, whatever is", wanted, "#"].map(|text| Wanted::new(text, false));
            let mut known = vec![false; 3];
            while !text.step(&all, &mut known).unwrap() {
                assert!(text.window.len() < 40);
            }
            assert_eq!(known, [false, found, false], "{wanted} in {message:.60}");
        }
    }
}
