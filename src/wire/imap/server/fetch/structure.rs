//! BODY and BODYSTRUCTURE (RFC 3501 section 7.4.2), and the parts that section numbers name, out of an outline.

use super::envelope;
use crate::{
    mail::{
        mime::{Params, Valued},
        outline::{Outline, Part, Shape},
    },
    wire::imap::print,
};

/// What stands in each part, by its place in the outline.
pub(super) struct Tree<'a> {
    outline: &'a Outline,
    children: Vec<Vec<usize>>,
}

impl<'a> Tree<'a> {
    pub(super) fn new(outline: &'a Outline) -> Tree<'a> {
        let mut children = vec![Vec::new(); outline.parts.len()];
        for (at, part) in outline.parts.iter().enumerate() {
            if let Some(list) = part.parent.and_then(|parent| children.get_mut(parent)) {
                list.push(at);
            }
        }
        Tree { outline, children }
    }

    pub(super) fn part(&self, at: usize) -> Option<&'a Part> {
        self.outline.parts.get(at)
    }

    fn children(&self, at: usize) -> &[usize] {
        self.children.get(at).map_or(&[], Vec::as_slice)
    }

    /// The entity in a message, by the place of the part that holds the message.
    pub(super) fn inner(&self, at: usize) -> Option<usize> {
        let is_message = self.part(at).is_some_and(|part| part.shape == Shape::Message);
        self.children(at).first().copied().filter(|_| is_message)
    }

    /// The part with these numbers (RFC 3501 section 6.4.5): of a multipart the n-th part, of anything else in a message
    /// the first is itself.
    pub(super) fn find(&self, numbers: &[u32]) -> Option<usize> {
        let (first, rest) = numbers.split_first()?;
        let mut at = self.step(0, *first)?;
        for number in rest {
            at = match self.part(at)?.shape {
                Shape::Multipart => self.step(at, *number)?,
                Shape::Message => self.step(self.inner(at)?, *number)?,
                Shape::Leaf => return None,
            };
        }
        Some(at)
    }

    fn step(&self, at: usize, number: u32) -> Option<usize> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        match self.part(at)?.shape {
            Shape::Multipart => self.children(at).get(index).copied(),
            _ => (index == 0).then_some(at),
        }
    }

    /// The messages within the message, by the places of their own entities: what BODYSTRUCTURE shows envelopes of.
    pub(super) fn messages(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.outline.parts.len()).filter_map(|at| self.inner(at).filter(|_| is_rfc822(self.part(at))))
    }

    /// Prints the structure; `header` gives the header octets of a part within a message/rfc822.
    pub(super) fn print<'h>(
        &self,
        extended: bool,
        header: impl Fn(usize) -> Option<&'h [u8]>,
        out: &mut Vec<u8>,
    ) {
        let mut left = vec![Work::Part(0)];
        while let Some(work) = left.pop() {
            match work {
                Work::Part(at) => self.part_begins(at, &header, &mut left, out),
                Work::Ends(at) => self.part_ends(at, extended, out),
            }
        }
    }

    fn part_begins<'h>(
        &self,
        at: usize,
        header: &impl Fn(usize) -> Option<&'h [u8]>,
        left: &mut Vec<Work>,
        out: &mut Vec<u8>,
    ) {
        let Some(part) = self.part(at) else { return };
        out.push(b'(');
        left.push(Work::Ends(at));
        if part.shape == Shape::Multipart {
            left.extend(self.children(at).iter().rev().map(|child| Work::Part(*child)));
            return;
        }
        if is_rfc822(Some(part)) {
            kind(part, out);
            fields(part, out);
            out.push(b' ');
            let inner = self.inner(at);
            envelope::print(inner.and_then(header).unwrap_or_default(), out);
            out.push(b' ');
            match inner {
                Some(inner) => left.push(Work::Part(inner)),
                // It could not be followed.
                None => out.extend_from_slice(b"(\"text\" \"plain\" NIL NIL NIL \"7bit\" 0 0)"),
            }
            return;
        }
        kind(part, out);
        fields(part, out);
    }

    fn part_ends(&self, at: usize, extended: bool, out: &mut Vec<u8>) {
        let Some(part) = self.part(at) else { return };
        if part.shape == Shape::Multipart {
            out.push(b' ');
            print::string(part.media.subtype.as_bytes(), out);
            if extended {
                out.push(b' ');
                params(&part.media.params, out);
                extension(part, out);
            }
        } else {
            if is_rfc822(Some(part)) || is_text(part) {
                out.push(b' ');
                print::number(part.body.lines(), out);
            }
            if extended {
                out.push(b' ');
                print::nstring(part.md5.as_deref(), out);
                extension(part, out);
            }
        }
        out.push(b')');
    }
}

enum Work {
    Part(usize),
    Ends(usize),
}

fn is_rfc822(part: Option<&Part>) -> bool {
    part.is_some_and(|part| part.shape != Shape::Multipart && part.media.is("message", "rfc822"))
}

/// A multipart that has no parts is shown as text, since the grammar has no such thing.
fn is_text(part: &Part) -> bool {
    matches!(part.media.kind.as_str(), "text" | "multipart")
}

fn kind(part: &Part, out: &mut Vec<u8>) {
    let (kind, subtype) = match part.media.kind.as_str() {
        "multipart" => ("text", "plain"),
        kind => (kind, part.media.subtype.as_str()),
    };
    print::string(kind.as_bytes(), out);
    out.push(b' ');
    print::string(subtype.as_bytes(), out);
    out.push(b' ');
}

/// ```abnf
/// body-fields = body-fld-param SP body-fld-id SP body-fld-desc SP body-fld-enc SP body-fld-octets
/// ```
fn fields(part: &Part, out: &mut Vec<u8>) {
    params(&part.media.params, out);
    for text in [&part.id, &part.description] {
        out.push(b' ');
        print::nstring(text.as_deref(), out);
    }
    out.push(b' ');
    print::string(if part.encoding.is_empty() { b"7bit" } else { &part.encoding }, out);
    out.push(b' ');
    print::number(part.body.wire(), out);
}

/// ```abnf
/// SP body-fld-dsp SP body-fld-lang SP body-fld-loc
/// ```
fn extension(part: &Part, out: &mut Vec<u8>) {
    out.push(b' ');
    match &part.disposition {
        Some(Valued { value, params: list }) => {
            out.push(b'(');
            print::string(value.as_bytes(), out);
            out.push(b' ');
            params(list, out);
            out.push(b')');
        }
        None => out.extend_from_slice(b"NIL"),
    }
    out.push(b' ');
    match part.language.as_deref() {
        Some(list) if list.contains(&b',') => {
            out.push(b'(');
            for (at, language) in list.split(|&octet| octet == b',').enumerate() {
                out.extend_from_slice(if at == 0 { b"" } else { b" " });
                print::string(language.trim_ascii(), out);
            }
            out.push(b')');
        }
        other => print::nstring(other, out),
    }
    out.push(b' ');
    print::nstring(part.location.as_deref(), out);
}

/// ```abnf
/// body-fld-param = "(" string SP string *(SP string SP string) ")" / nil
/// ```
fn params(params: &Params, out: &mut Vec<u8>) {
    if params.0.is_empty() {
        return out.extend_from_slice(b"NIL");
    }
    out.push(b'(');
    for (at, (name, value)) in params.0.iter().enumerate() {
        out.extend_from_slice(if at == 0 { b"" } else { b" " });
        print::string(name.as_bytes(), out);
        out.push(b' ');
        print::string(value, out);
    }
    out.push(b')');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(message: &str, extended: bool) -> String {
        let outline = Outline::of(message.as_bytes());
        let tree = Tree::new(&outline);
        let header = |at: usize| {
            let span = outline.parts[at].header;
            message.as_bytes().get(span.start.at as usize..span.end.at as usize)
        };
        let mut out = Vec::new();
        tree.print(extended, header, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn a_plain_message_is_text() {
        // The example of RFC 3501 section 8, but for case and size.
        assert_eq!(
            printed("Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\r\n\r\na\r\nb\r\n", false),
            "(\"text\" \"plain\" (\"charset\" \"US-ASCII\") NIL NIL \"7bit\" 6 2)"
        );
        assert_eq!(
            printed("\r\na", true),
            "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 1 0 NIL NIL NIL NIL)"
        );
    }

    const NESTED: &str = "Content-Type: multipart/mixed; boundary=a\r\n\r\n\
         --a\r\n\r\none\r\n\
         --a\r\nContent-Type: message/rfc822\r\nContent-Disposition: attachment; filename=\"x\"\r\n\r\n\
         Subject: inner\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/html\r\nContent-Language: en, de\r\n\r\n<p>\r\n\
         --b\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\nContent-ID: <i>\r\n\r\nAAAA\r\n--b--\r\n\
         --a--\r\n";

    #[test]
    fn parts_within_parts_are_shown() {
        assert_eq!(
            printed(NESTED, true),
            "((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 3 0 NIL NIL NIL NIL)\
             (\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 231 \
             (NIL \"inner\" NIL NIL NIL NIL NIL NIL NIL NIL) \
             ((\"text\" \"html\" NIL NIL NIL \"7bit\" 3 0 NIL NIL (\"en\" \"de\") NIL)\
             (\"application\" \"pdf\" NIL \"<i>\" NIL \"base64\" 4 NIL NIL NIL NIL) \"alternative\" (\"boundary\" \"b\") NIL NIL NIL) \
             14 NIL (\"attachment\" (\"filename\" \"x\")) NIL NIL) \"mixed\" (\"boundary\" \"a\") NIL NIL NIL)"
        );
    }

    #[test]
    fn numbers_lead_to_parts() {
        let outline = Outline::of(NESTED.as_bytes());
        let tree = Tree::new(&outline);
        // The message, its first part, the message in it, that one's multipart, and its parts.
        for (numbers, place) in [
            (&[][..], None),
            (&[1], Some(1)),
            (&[2], Some(2)),
            (&[3], None),
            (&[1, 1], None),
            (&[2, 1], Some(4)),
            (&[2, 2], Some(5)),
            (&[2, 3], None),
            (&[2, 1, 1], None),
            (&[0], None),
        ] {
            assert_eq!(tree.find(numbers), place, "{numbers:?}");
        }
        let plain = Outline::of(b"\r\nx");
        assert_eq!(Tree::new(&plain).find(&[1]), Some(0));
        assert_eq!(Tree::new(&plain).find(&[2]), None);
        assert_eq!(Tree::new(&plain).find(&[1, 1]), None);
    }

    #[test]
    fn numbers_are_those_that_the_outline_gives() {
        let outline = Outline::of(NESTED.as_bytes());
        let tree = Tree::new(&outline);
        for number in outline.numbers().iter().filter(|number| !number.is_empty()) {
            let numbers: Vec<u32> = number.split('.').map(|one| one.parse().unwrap()).collect();
            assert_eq!(tree.find(&numbers), outline.numbered(number).map(|(at, _)| at), "{number}");
        }
    }
}
