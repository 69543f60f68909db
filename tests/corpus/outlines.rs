//! Each message in `messages/` has the outline that stands beside it, and two other readers see the same parts,
//! except where this file says why not.

use crate::kit;
use mail_parser::{MessageParser, MimeHeaders as _, PartType};
use posthaste::mail::outline::{Outline, Shape, Span};
use std::{fmt::Write as _, fs, path::PathBuf, process::Command};

/// Every message, by its name.
fn messages() -> Vec<(String, PathBuf, Vec<u8>)> {
    let dir = kit::root().join("tests/corpus/messages");
    let mut found: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "eml"))
        .map(|path| {
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), path.clone(), fs::read(path).unwrap())
        })
        .collect();
    found.sort();
    assert!(found.len() >= 40, "only {} messages", found.len());
    found
}

fn shown(outline: &Outline) -> String {
    let mut text = String::new();
    let span = |span: &Span| {
        let range = span.range();
        format!("{}-{} wire {} lines {}", range.start, range.end, span.wire(), span.lines())
    };
    for (part, number) in outline.parts.iter().zip(outline.numbers()) {
        let number = if number.is_empty() { "-" } else { &number };
        let parent = part.parent.map_or("-".to_owned(), |parent| parent.to_string());
        let (header, body) = (span(&part.header), span(&part.body));
        writeln!(text, "{number} in {parent} {:?} {}: {header}; {body}", part.shape, part.media.name())
            .unwrap();
        if let Some(name) = part.file_name() {
            writeln!(text, "  file {name:?}").unwrap();
        }
    }
    text
}

/// The outlines were read by a person against RFC 2046. A change of one is a change of what IMAP clients are told.
#[test]
fn outlines_are_those_beside_the_messages() {
    for (name, path, octets) in messages() {
        let golden = path.with_extension("outline");
        let text = shown(&Outline::of(&octets));
        if std::env::var_os("POSTHASTE_WRITE_OUTLINES").is_some() {
            fs::write(&golden, &text).unwrap();
        }
        assert_eq!(text, fs::read_to_string(&golden).unwrap_or_default(), "{name}");
    }
}

/// One part as another reader sees it: type, and the octets of a leaf without line ends around them, which readers
/// count to different parts.
type Seen = (String, Option<Vec<u8>>);

fn ours(octets: &[u8]) -> Vec<Seen> {
    let body = |span: &Span| octets[span.start.at as usize..span.end.at as usize].trim_ascii().to_vec();
    let outline = Outline::of(octets);
    let leaf = |part: &posthaste::mail::outline::Part| (part.shape == Shape::Leaf).then(|| body(&part.body));
    outline.parts.iter().map(|part| (part.media.name(), leaf(part))).collect()
}

/// Why a reader sees something else.
const PARSER_DIFFERS: [(&str, &str); 8] = [
    ("bad-type", "a type that can't be read is text/plain (RFC 2045 section 5.2)"),
    ("dashes-in-text", "it takes --aa for the delimiter --a"),
    ("empty-parts", "it passes over parts without any octet"),
    (
        "encoded-message",
        "a message must not be encoded (RFC 2046 section 5.2.1): it decodes it, we leave it alone",
    ),
    ("leading-space", "a header can't begin with a continuation: it passes over the line"),
    ("no-blank-line", "what is no field ends a header: it takes the body for fields"),
    ("outer-ends-inner", "the outer delimiter ends the inner part (RFC 2046 section 5.1.2)"),
    ("two-types", "of two fields where one is allowed it takes the last"),
];

#[test]
fn mail_parser_sees_the_same_parts() {
    for (name, _, octets) in messages() {
        let Some(message) = MessageParser::default().parse(&octets) else { continue };
        let mut seen: Vec<Seen> = Vec::new();
        let mut next = vec![(&message, 0_usize)];
        while let Some((message, at)) = next.pop() {
            let Some(part) = message.parts.get(at) else { continue };
            let media = part.content_type().map_or("text/plain".to_owned(), |media| {
                format!("{}/{}", media.ctype(), media.subtype().unwrap_or("")).to_ascii_lowercase()
            });
            let raw = &octets[part.offset_body as usize..(part.offset_end as usize).min(octets.len())];
            match &part.body {
                PartType::Multipart(parts) => {
                    seen.push((media, None));
                    next.extend(parts.iter().rev().map(|&at| (message, at as usize)));
                }
                PartType::Message(inner) => {
                    seen.push((
                        if part.content_type().is_none() { "message/rfc822".to_owned() } else { media },
                        None,
                    ));
                    next.push((inner, 0));
                }
                _ => seen.push((media, Some(raw.trim_ascii().to_vec()))),
            }
        }
        judge("mail-parser", &PARSER_DIFFERS, &name, &ours(&octets), &seen);
    }
}

const PYTHON_DIFFERS: [(&str, &str); 7] = [
    ("bounce", "it reads the fields in a message/delivery-status as parts"),
    ("empty-parts", "it passes over parts without any octet"),
    (
        "encoded-message",
        "a message must not be encoded (RFC 2046 section 5.2.1): it reads the encoded text as a message",
    ),
    ("leading-space", "a header can't begin with a continuation: it passes over the line"),
    ("lone-cr", "it takes a lone CR for a line end"),
    (
        "obsolete-syntax",
        "white space may stand before a colon (RFC 5322 section 4.5.8): it takes that for the body",
    ),
    ("same-boundary", "an inner multipart may end before the outer one: it takes the first end for both"),
];

#[test]
fn python_sees_the_same_parts() {
    let Some(python) = kit::peer("python3") else { return };
    const SCRIPT: &str = "
import email, sys
for path in sys.argv[1:]:
    print('=')
    for part in email.message_from_bytes(open(path, 'rb').read()).walk():
        body = part._payload
        leaf = '-' if part.is_multipart() else body.encode('ascii', 'surrogateescape').strip().hex() + '.'
        print(part.get_content_type(), leaf)
";
    let all = messages();
    let out = Command::new(python)
        .args(["-c", SCRIPT])
        .args(all.iter().map(|message| &message.1))
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).unwrap();
    for ((name, _, octets), lines) in all.iter().zip(text.split("=\n").skip(1)) {
        let seen = lines.lines().map(|line| {
            let (media, body) = line.split_once(' ').unwrap();
            (media.to_owned(), body.strip_suffix('.').map(unhex))
        });
        judge("Python", &PYTHON_DIFFERS, name, &ours(octets), &seen.collect::<Vec<_>>());
    }
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
}

fn judge(judge: &str, differs: &[(&str, &str)], name: &str, ours: &[Seen], seen: &[Seen]) {
    match differs.iter().find(|known| known.0 == name) {
        None => assert_eq!(ours, seen, "{name}: ours is left, {judge}'s right"),
        Some(known) => assert_ne!(ours, seen, "{name}: {judge} agrees now, though: {}", known.1),
    }
}
