//! What FETCH is asked for (RFC 3501 section 9, `fetch-att`).

use crate::wire::imap::{
    print,
    token::{Bad, Tokens},
};

/// One thing that is told of each message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Uid,
    Flags,
    InternalDate,
    Size,
    Envelope,
    /// BODYSTRUCTURE, or BODY, which has no extension data.
    Structure {
        extended: bool,
    },
    Section(Section),
}

/// Octets out of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Section {
    /// As it is called in the response: `BODY[1.TEXT]<0>`.
    pub(super) label: Vec<u8>,
    /// The numbers of the part; none for the message itself.
    pub(super) part: Vec<u32>,
    pub(super) what: What,
    /// The first octet, and how many at most.
    pub(super) partial: Option<(u64, u64)>,
    /// It leaves `\Seen` as it is.
    pub(super) peek: bool,
}

/// Of a part or message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// All of it.
    All,
    Header,
    Fields(Fields),
    Text,
    Mime,
}

/// Fields out of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) names: Vec<Vec<u8>>,
    /// All but these.
    pub(super) not: bool,
}

/// The most items of a FETCH.
const ITEMS_MAX: usize = 100;
/// The most part numbers of a section: no part lies deeper.
const PART_MAX: usize = 2 * crate::mail::outline::DEPTH_MAX;

/// ```abnf
/// "ALL" / "FULL" / "FAST" / fetch-att / "(" fetch-att *(SP fetch-att) ")"
/// ```
pub(super) fn read(tokens: &mut Tokens) -> Result<Vec<Item>, Bad> {
    let mut items = Vec::new();
    if !tokens.take(b'(') {
        item(tokens, true, &mut items)?;
        return Ok(items);
    }
    loop {
        item(tokens, false, &mut items)?;
        if items.len() > ITEMS_MAX {
            return Err(Bad("fewer things to fetch"));
        }
        if tokens.take(b')') {
            return Ok(items);
        }
        tokens.space()?;
    }
}

fn item(tokens: &mut Tokens, alone: bool, items: &mut Vec<Item>) -> Result<(), Bad> {
    let name = tokens.run(|octet| octet.is_ascii_alphanumeric() || octet == b'.').to_ascii_uppercase();
    let fast = [Item::Flags, Item::InternalDate, Item::Size];
    let whole = |label: &[u8], what, peek| {
        Item::Section(Section { label: label.to_vec(), part: Vec::new(), what, partial: None, peek })
    };
    items.push(match name.as_slice() {
        b"FAST" | b"ALL" | b"FULL" if alone => {
            items.extend(fast);
            if name != b"FAST" {
                items.push(Item::Envelope);
            }
            if name == b"FULL" {
                items.push(Item::Structure { extended: false });
            }
            return Ok(());
        }
        b"UID" => Item::Uid,
        b"FLAGS" => Item::Flags,
        b"INTERNALDATE" => Item::InternalDate,
        b"RFC822.SIZE" => Item::Size,
        b"ENVELOPE" => Item::Envelope,
        b"BODYSTRUCTURE" => Item::Structure { extended: true },
        b"RFC822" => whole(b"RFC822", What::All, false),
        b"RFC822.HEADER" => whole(b"RFC822.HEADER", What::Header, true),
        b"RFC822.TEXT" => whole(b"RFC822.TEXT", What::Text, false),
        b"BODY" if tokens.peek() != Some(b'[') => Item::Structure { extended: false },
        b"BODY" => Item::Section(section(tokens, false)?),
        b"BODY.PEEK" => Item::Section(section(tokens, true)?),
        _ => return Err(Bad("something that can be fetched")),
    });
    Ok(())
}

/// ```abnf
/// section      = "[" [section-spec] "]" ["<" number "." nz-number ">"]
/// section-spec = section-msgtext / (section-part ["." section-text])
/// section-part = nz-number *("." nz-number)
/// section-text = section-msgtext / "MIME"
/// ```
fn section(tokens: &mut Tokens, peek: bool) -> Result<Section, Bad> {
    const WHAT: Bad = Bad("a section like [1.2.MIME]");
    tokens.expect(b'[', WHAT.0)?;
    let mut label = b"BODY[".to_vec();
    let mut part = Vec::new();
    let mut dotted = false;
    while tokens.peek().is_some_and(|octet| octet.is_ascii_digit()) {
        let number = tokens.nz_number()?;
        if part.len() >= PART_MAX {
            return Err(Bad("fewer part numbers"));
        }
        label.extend_from_slice(if part.is_empty() { b"" } else { b"." });
        print::number(u64::from(number), &mut label);
        part.push(number);
        dotted = tokens.take(b'.');
        if !dotted {
            break;
        }
    }
    let text = tokens.run(|octet| octet.is_ascii_alphabetic() || octet == b'.').to_ascii_uppercase();
    if dotted && !text.is_empty() {
        label.push(b'.');
    }
    label.extend_from_slice(&text);
    let what = match text.as_slice() {
        b"" if !dotted => What::All,
        _ if !dotted && !part.is_empty() => return Err(WHAT),
        b"HEADER" => What::Header,
        b"TEXT" => What::Text,
        b"MIME" if dotted => What::Mime,
        b"HEADER.FIELDS" | b"HEADER.FIELDS.NOT" => {
            tokens.space()?;
            let names = names(tokens, &mut label)?;
            What::Fields(Fields { names, not: text.ends_with(b"NOT") })
        }
        _ => return Err(WHAT),
    };
    tokens.expect(b']', WHAT.0)?;
    label.push(b']');
    let mut partial = None;
    if tokens.take(b'<') {
        let from = tokens.number64()?;
        tokens.expect(b'.', "a number of octets")?;
        let most = tokens.number64()?;
        if most == 0 {
            return Err(Bad("a number of octets above zero"));
        }
        tokens.expect(b'>', "the end of a range")?;
        label.push(b'<');
        print::number(from, &mut label);
        label.push(b'>');
        partial = Some((from, most));
    }
    Ok(Section { label, part, what, partial, peek })
}

/// ```abnf
/// header-list = "(" header-fld-name *(SP header-fld-name) ")"
/// ```
fn names(tokens: &mut Tokens, label: &mut Vec<u8>) -> Result<Vec<Vec<u8>>, Bad> {
    tokens.expect(b'(', "a list of field names")?;
    label.extend_from_slice(b" (");
    let mut names = Vec::new();
    loop {
        let name = tokens.astring()?;
        label.extend_from_slice(if names.is_empty() { b"" } else { b" " });
        print::astring(&name, label);
        names.push(name.into_owned());
        if tokens.take(b')') {
            label.push(b')');
            return Ok(names);
        }
        tokens.space()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Option<Vec<String>> {
        let mut tokens = Tokens::new(text.as_bytes());
        let items = read(&mut tokens).ok()?;
        tokens.end().ok()?;
        let show = |item| match item {
            Item::Section(section) => {
                format!(
                    "{}{}",
                    String::from_utf8(section.label).unwrap(),
                    if section.peek { " peek" } else { "" }
                )
            }
            other => format!("{other:?}"),
        };
        Some(items.into_iter().map(show).collect())
    }

    #[test]
    fn items_of_the_rfc_are_read() {
        for (text, wanted) in [
            ("FAST", &["Flags", "InternalDate", "Size"][..]),
            ("all", &["Flags", "InternalDate", "Size", "Envelope"]),
            ("FULL", &["Flags", "InternalDate", "Size", "Envelope", "Structure { extended: false }"]),
            (
                "(UID BODY BODYSTRUCTURE)",
                &["Uid", "Structure { extended: false }", "Structure { extended: true }"],
            ),
            ("BODY[]", &["BODY[]"]),
            ("body.peek[text]<0.100>", &["BODY[TEXT]<0> peek"]),
            ("BODY[1.2.MIME]", &["BODY[1.2.MIME]"]),
            ("BODY[4.1.HEADER]", &["BODY[4.1.HEADER]"]),
            ("BODY[3]<5.1>", &["BODY[3]<5>"]),
            (
                "(BODY.PEEK[HEADER.FIELDS (Date \"X y\")] RFC822.SIZE)",
                &["BODY[HEADER.FIELDS (Date \"X y\")] peek", "Size"],
            ),
            ("BODY[2.HEADER.FIELDS.NOT (a)]", &["BODY[2.HEADER.FIELDS.NOT (a)]"]),
            ("(RFC822 RFC822.HEADER RFC822.TEXT)", &["RFC822", "RFC822.HEADER peek", "RFC822.TEXT"]),
        ] {
            assert_eq!(
                labels(text).as_deref(),
                Some(wanted.iter().map(|w| w.to_string()).collect::<Vec<_>>()).as_deref(),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_item_is_refused() {
        for text in [
            "",
            "()",
            "(FAST)",
            "(UID ALL)",
            "BODY[",
            "BODY[MIME]",
            "BODY[1.]",
            "BODY[.1]",
            "BODY[0]",
            "BODY[1.FOO]",
            "BODY[1TEXT]",
            "BODY[HEADER.FIELDS]",
            "BODY[HEADER.FIELDS ()]",
            "BODY[]<1>",
            "BODY[]<1.0>",
            "BODY[]<.1>",
            "BODY.PEEK",
            "(UID  FLAGS)",
            "(UID",
            "X",
            "RFC822.PEEK",
            "BODY[HEADER.FIELDS(a)]",
            "BODY[TEXT.1]",
        ] {
            assert_eq!(labels(text), None, "{text}");
        }
        assert_eq!(labels(&format!("BODY[{}1]", "1.".repeat(PART_MAX))), None);
        assert_eq!(labels(&format!("({}UID)", "UID ".repeat(ITEMS_MAX))), None);
    }
}
