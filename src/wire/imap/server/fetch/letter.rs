//! The content of one message: what must be looked up before it can be told, and the telling, piece by piece.

use super::{
    super::ask::{Answer, Ask, HEAD, Head},
    envelope,
    items::{Fields, Item, Section, What},
    structure::Tree,
};
use crate::{
    mail::{
        header,
        outline::{Outline, Span},
        query::Uid,
    },
    wire::imap::print,
};
use std::ops::Range;

/// The most octets of a header that are looked at for its fields.
const HEADER_MAX: u64 = 256 * 1024;
/// The most octets of headers that are kept of one message. What is beyond shows as if it were not there.
const KEPT_MAX: u64 = 1024 * 1024;

/// A message being told.
pub(super) struct Letter {
    pub(super) uid: Uid,
    head: Vec<u8>,
    /// `head` is all of it.
    whole: bool,
    /// Its octets, as far as they were counted.
    pub(super) size: Option<u64>,
    outline: Option<Box<Outline>>,
    /// Headers that do not lie in `head`: where they begin, their octets, and where the looking up ends.
    kept: Vec<(Range<u64>, Vec<u8>)>,
    /// The headers are known, and what could be had of them is here.
    ready: bool,
    /// Octets of a literal that are still to be told.
    stream: Range<u64>,
}

/// True when the message's own header is all that must be looked at.
pub(super) fn is_of_header(items: &[Item]) -> bool {
    items.iter().all(|item| match item {
        Item::Section(section) => section.part.is_empty() && !matches!(section.what, What::All | What::Text),
        Item::Structure { .. } => false,
        _ => true,
    })
}

/// What comes next.
pub(super) enum Next {
    /// Ask the agent.
    Ask(Ask),
    /// All that was wanted is told.
    Told,
}

/// The message is gone, or is not what it was.
pub(super) struct Gone;

impl Letter {
    /// `None` for a message that is gone.
    pub(super) fn new(head: Head) -> Option<Letter> {
        let octets = head.octets?;
        Some(Letter {
            uid: head.uid,
            size: head.whole.then_some(octets.len() as u64),
            head: octets,
            whole: head.whole,
            outline: None,
            kept: Vec::new(),
            ready: false,
            stream: 0..0,
        })
    }

    /// Half of a literal was told.
    pub(super) fn is_within_literal(&self) -> bool {
        !self.stream.is_empty()
    }

    /// What must be known before these are told: a question, or nothing more.
    pub(super) fn wants(&mut self, items: &[Item]) -> Option<Ask> {
        if self.ready {
            return None;
        }
        let sections = || {
            items.iter().filter_map(|item| match item {
                Item::Section(section) => Some(section),
                _ => None,
            })
        };
        let parts = items.iter().any(|item| matches!(item, Item::Structure { .. }))
            || sections().any(|section| !section.part.is_empty());
        let header = items.contains(&Item::Envelope)
            || sections().any(|section| section.part.is_empty() && section.what != What::All);
        if self.outline.is_none() && self.whole && parts {
            self.outline = Some(Box::new(Outline::of(&self.head)));
        }
        // A header that ends within the head needs no outline.
        if self.outline.is_none() && (parts || (header && !self.has_header())) && !self.whole {
            return Some(Ask::Outline(self.uid));
        }
        if self.size.is_none() {
            match &self.outline {
                Some(outline) => self.size = Some(outline.end.wire),
                None if sections().any(|section| matches!(section.what, What::All | What::Text)) => {
                    return Some(Ask::Size(self.uid));
                }
                None => {}
            }
        }
        if self.kept.is_empty() && !self.whole {
            self.kept = self.headers(items).into_iter().map(|range| (range, Vec::new())).collect();
        }
        let missing =
            self.kept.iter().find(|(range, octets)| (octets.len() as u64) < range.end - range.start);
        if let Some((range, octets)) = missing {
            let from = range.start.saturating_add(octets.len() as u64);
            let to = range.end.min(from.saturating_add(HEAD as u64));
            return Some(Ask::Read { uid: self.uid, range: from..to });
        }
        self.ready = true;
        None
    }

    /// Takes the answer to what was wanted.
    pub(super) fn take(&mut self, answer: Answer) -> Option<Result<(), Gone>> {
        match answer {
            Answer::Outline(Some(outline)) => self.outline = Some(outline),
            Answer::Measures(measures) => match measures.first() {
                Some(measure) if measure.uid == self.uid => self.size = Some(measure.octets),
                _ => return Some(Err(Gone)),
            },
            Answer::Octets(Some(octets)) => {
                let wanting = self
                    .kept
                    .iter_mut()
                    .find(|(range, kept)| (kept.len() as u64) < range.end.saturating_sub(range.start))?;
                let (range, kept) = wanting;
                kept.extend_from_slice(&octets);
                if octets.is_empty() {
                    // There is no more of it.
                    range.end = range.start.saturating_add(kept.len() as u64);
                }
            }
            Answer::Outline(None) | Answer::Octets(None) => return Some(Err(Gone)),
            _ => return None,
        }
        Some(Ok(()))
    }

    /// True when the message's header ends within the head.
    fn has_header(&self) -> bool {
        self.whole || header::extent(&self.head).body < self.head.len()
    }

    /// The message's own header and what is behind it.
    fn halves(&self) -> (Range<u64>, Range<u64>) {
        let size = self.size.unwrap_or(self.head.len() as u64);
        match self.outline.as_ref().and_then(|outline| outline.parts.first()) {
            Some(part) => (range(&part.header), range(&part.body)),
            None => {
                let extent = header::extent(&self.head);
                (extent.start as u64..extent.body as u64, extent.body as u64..size.max(extent.body as u64))
            }
        }
    }

    /// The headers that are looked into, as far as they do not lie in the head.
    fn headers(&self, items: &[Item]) -> Vec<Range<u64>> {
        let mut wanted = Vec::new();
        let tree = self.outline.as_deref().map(Tree::new);
        for item in items {
            match item {
                Item::Envelope => wanted.push(self.halves().0),
                Item::Section(Section { what: What::Fields(_), part, .. }) => {
                    wanted.extend(self.resolve(tree.as_ref(), part, &What::Header));
                }
                Item::Structure { .. } => {
                    let tree = tree.iter();
                    wanted.extend(
                        tree.flat_map(|tree| tree.messages().filter_map(|at| tree.part(at)))
                            .map(|part| range(&part.header)),
                    );
                }
                _ => {}
            }
        }
        wanted.retain(|range| !range.is_empty() && range.end > self.head.len() as u64);
        wanted.sort_by_key(|range| range.start);
        wanted.dedup();
        let mut sum = 0_u64;
        for range in &mut wanted {
            range.end = range.end.min(range.start.saturating_add(HEADER_MAX));
            sum = sum.saturating_add(range.end - range.start);
            if sum > KEPT_MAX {
                range.end = range.start;
            }
        }
        wanted.retain(|range| !range.is_empty());
        wanted
    }

    /// Octets of a header: from the head, or as far as they were kept.
    fn header(&self, range: &Range<u64>) -> &[u8] {
        let at = |place: u64| usize::try_from(place).unwrap_or(usize::MAX);
        if let Some(octets) = self.head.get(at(range.start)..at(range.end)) {
            return octets;
        }
        let kept = self.kept.iter().find(|(kept, _)| kept.start == range.start);
        kept.map_or(&[], |(_, octets)| octets.as_slice())
    }

    /// Where the octets of a section lie; `None` when there is no such part.
    fn resolve(&self, tree: Option<&Tree>, numbers: &[u32], what: &What) -> Option<Range<u64>> {
        if numbers.is_empty() {
            let (header, body) = self.halves();
            return match what {
                What::All => Some(0..self.size.unwrap_or(self.head.len() as u64)),
                What::Header | What::Fields(_) => Some(header),
                What::Text => Some(body),
                What::Mime => None,
            };
        }
        let tree = tree?;
        let at = tree.find(numbers)?;
        let part = tree.part(at)?;
        match what {
            What::All => Some(range(&part.body)),
            What::Mime => Some(range(&part.header)),
            What::Header | What::Fields(_) => Some(range(&tree.part(tree.inner(at)?)?.header)),
            What::Text => Some(range(&tree.part(tree.inner(at)?)?.body)),
        }
    }

    /// Tells an item that is about content. What of it does not lie in the head is told by [`Letter::stream`].
    pub(super) fn print(&mut self, item: &Item, out: &mut Vec<u8>) {
        match item {
            Item::Envelope => {
                out.extend_from_slice(b"ENVELOPE ");
                envelope::print(self.header(&self.halves().0), out);
            }
            Item::Structure { extended } => {
                out.extend_from_slice(if *extended { b"BODYSTRUCTURE " } else { b"BODY " });
                let Some(outline) = self.outline.as_deref() else { return };
                let header = |at: usize| Some(self.header(&range(&outline.parts.get(at)?.header)));
                Tree::new(outline).print(*extended, header, out);
            }
            Item::Section(section) => self.section(section, out),
            _ => {}
        }
    }

    fn section(&mut self, section: &Section, out: &mut Vec<u8>) {
        out.extend_from_slice(&section.label);
        out.push(b' ');
        let tree = if section.part.is_empty() { None } else { self.outline.as_deref().map(Tree::new) };
        let Some(range) = self.resolve(tree.as_ref(), &section.part, &section.what) else {
            return out.extend_from_slice(b"NIL");
        };
        if let What::Fields(fields) = &section.what {
            let found = fields.pick(self.header(&range));
            let range = clipped(0..found.len() as u64, section.partial);
            let at = |place: u64| usize::try_from(place).unwrap_or(usize::MAX);
            return print::literal(found.get(at(range.start)..at(range.end)).unwrap_or_default(), out);
        }
        let range = clipped(range, section.partial);
        print::announce(range.end - range.start, out);
        let at = |place: u64| usize::try_from(place).unwrap_or(usize::MAX).min(self.head.len());
        let here = self.head.get(at(range.start)..at(range.end)).unwrap_or_default();
        print::content(here, out);
        self.stream = range.start.saturating_add(here.len() as u64)..range.end;
    }

    /// The next octets of the literal that is being told.
    pub(super) fn stream(&self) -> Next {
        match self.stream.is_empty() {
            true => Next::Told,
            false => {
                let end = self.stream.end.min(self.stream.start.saturating_add(HEAD as u64));
                Next::Ask(Ask::Read { uid: self.uid, range: self.stream.start..end })
            }
        }
    }

    /// Tells them.
    pub(super) fn streamed(&mut self, octets: &[u8], out: &mut Vec<u8>) -> Result<(), Gone> {
        let left = self.stream.end.saturating_sub(self.stream.start);
        let octets = octets.get(..usize::try_from(left).unwrap_or(usize::MAX)).unwrap_or(octets);
        // A message that is shorter than it was said to be can't be told to its end.
        if octets.is_empty() {
            return Err(Gone);
        }
        print::content(octets, out);
        self.stream.start = self.stream.start.saturating_add(octets.len() as u64);
        Ok(())
    }
}

fn range(span: &Span) -> Range<u64> {
    span.start.wire..span.end.wire
}

/// The part of a range that is asked for (RFC 3501 section 6.4.5): beyond its end there is nothing.
fn clipped(range: Range<u64>, partial: Option<(u64, u64)>) -> Range<u64> {
    match partial {
        None => range,
        Some((from, most)) => {
            let start = range.start.saturating_add(from).min(range.end);
            start..start.saturating_add(most).min(range.end)
        }
    }
}

impl Fields {
    /// The fields out of a header, and the empty line behind them.
    fn pick(&self, octets: &[u8]) -> Vec<u8> {
        let mut found = Vec::new();
        for field in header::fields(octets) {
            let named = self.names.iter().any(|name| name.eq_ignore_ascii_case(field.name));
            if named != self.not {
                found.extend_from_slice(octets.get(field.range).unwrap_or_default());
                if !found.ends_with(b"\n") {
                    found.extend_from_slice(b"\r\n");
                }
            }
        }
        found.extend_from_slice(b"\r\n");
        found
    }
}
