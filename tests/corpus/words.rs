//! Header fields as mailparse decodes them: each of the corpus, shapes with a name, and words made at random. Where the two
//! readers differ this file says who is right by RFC 2047.

use crate::kit;
use encoding_rs::Encoding;
use mailparse::MailHeader;
use posthaste::mail::{header, words};
use proptest::prelude::*;
use std::fs;

/// White space apart: mailparse makes one space of each fold, and we leave what stands behind the line end.
fn even(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn theirs(field: &[u8]) -> MailHeader<'_> {
    mailparse::parse_header(field).unwrap().0
}

/// Which fields of which messages are read in another way, and why.
const CORPUS_DIFFERS: [(&str, &str, &str); 0] = [];

#[test]
fn fields_of_the_corpus_are_decoded_alike() {
    let (mut judged, mut differ) = (0, Vec::new());
    for entry in fs::read_dir(kit::root().join("tests/corpus/messages")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "eml") {
            continue;
        }
        let octets = fs::read(&path).unwrap();
        let message = path.file_stem().unwrap().to_str().unwrap();
        for field in header::fields(&octets) {
            let other = theirs(&octets[field.range.clone()]);
            judged += 1;
            let name = String::from_utf8_lossy(field.name).into_owned();
            let same = name == other.get_key().trim_end() && even(&field.text()) == even(&other.get_value());
            let known = CORPUS_DIFFERS.iter().any(|row| (row.0, row.1) == (message, name.as_str()));
            if same == known {
                differ.push(format!("{message}, {name}: {:?}, theirs {:?}", field.text(), other.get_value()));
            }
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
    assert!(judged > 150, "only {judged} fields");
}

/// The body of a field, and what it means by RFC 2047.
const ALIKE: [(&str, &str); 12] = [
    ("plain", "plain"),
    ("=?US-ASCII?Q?Keith_Moore?= <moore@cs.utk.edu>", "Keith Moore <moore@cs.utk.edu>"),
    ("=?ISO-8859-1?Q?Andr=E9?= Pirard", "Andr\u{e9} Pirard"),
    ("(=?ISO-8859-1?Q?a?=\r\n    =?ISO-8859-1?Q?b?=)", "(ab)"),
    ("(=?ISO-8859-1?Q?a_b?=)", "(a b)"),
    ("a\r\n =?utf-8?b?w6k=?=\r\n b", "a \u{e9} b"),
    ("=?ISO-2022-JP?B?GyRCRnxLXDhsGyhC?=", "\u{65e5}\u{672c}\u{8a9e}"),
    ("=?GB18030?b?xOO6ww==?= =?koi8-r?q?=F0?=", "\u{4f60}\u{597d}\u{41f}"),
    ("=?utf-8?q?=3D=3Futf-8=3Fq=3Fa=3F=3D?=", "=?utf-8?q?a?="),
    ("=?utf-8?q?a", "=?utf-8?q?a"),
    ("1 =? 2 ?= 3", "1 =? 2 ?= 3"),
    ("=?utf-8?x?a?=", "=?utf-8?x?a?="),
];

/// The body, what we read, what mailparse reads, and who is right by which words of RFC 2047.
const DIFFER: [(&str, &str, &str, &str); 4] = [
    (
        "a=?utf-8?q?b?=c",
        "abc",
        "a=?utf-8?q?b?=c",
        "white space has to stand around a word (section 5): it is right, and we read what was meant",
    ),
    (
        "=?utf-8?q?=E6=97?= =?utf-8?q?=A5?=",
        "\u{65e5}",
        "\u{fffd}\u{fffd}",
        "a word must hold whole characters (section 5): what is none may be anything, and we mend it",
    ),
    (
        "=?utf-8*de?q?a?=",
        "a",
        "=?utf-8*de?q?a?=",
        "a language may stand there (RFC 2231 section 5): we are right",
    ),
    (
        "=?x-unknown?q?a_b?=",
        "a b",
        "=?x-unknown?q?a_b?=",
        "an unknown charset may be shown in any way that says so (section 6.2): its ASCII is read by us",
    ),
];

#[test]
fn shapes_of_encoded_words_are_decoded_alike() {
    let both = |body: &str| {
        let field = format!("Subject: {body}\r\n");
        let ours = header::first(field.as_bytes(), "Subject").unwrap().text();
        (even(&ours), even(&theirs(field.as_bytes()).get_value()))
    };
    for (body, meant) in ALIKE {
        assert_eq!(both(body), (meant.to_owned(), meant.to_owned()), "{body}");
    }
    for (body, ours, other, why) in DIFFER {
        assert_eq!(both(body), (ours.to_owned(), other.to_owned()), "{body}: {why}");
    }
}

/// Charsets with all letters of [`LETTERS`] that they have.
const CHARSETS: [&str; 6] = ["utf-8", "iso-8859-1", "windows-1251", "gb18030", "iso-2022-jp", "euc-kr"];
const LETTERS: &str = "([a-zA-Z0-9]|[ ?=_,.<>@-]|\u{e9}|\u{df}|\u{416}|\u{65e5}|\u{672c}){1,12}";

/// An encoded word as any program may make it; `None` for letters that the charset has not.
fn encoded(text: &str, charset: &str, base64: bool) -> Option<String> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let (octets, _, lost) = Encoding::for_label(charset.as_bytes())?.encode(text);
    if lost {
        return None;
    }
    let text = if base64 {
        STANDARD.encode(octets)
    } else {
        let quoted = |&octet: &u8| match octet {
            b' ' => "_".to_owned(),
            octet if octet.is_ascii_alphanumeric() => char::from(octet).to_string(),
            octet => format!("={octet:02X}"),
        };
        octets.iter().map(quoted).collect()
    };
    Some(format!("=?{charset}?{}?{text}?=", if base64 { "B" } else { "q" }))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whole words, between white space, folded anywhere: nobody can read that in two ways.
    #[test]
    fn well_formed_words_have_one_meaning(
        parts in prop::collection::vec((LETTERS, 0..CHARSETS.len(), any::<bool>(), any::<bool>(), any::<bool>()), 1..6)
    ) {
        let (mut body, mut meant, mut behind_word) = (String::new(), String::new(), false);
        for (text, charset, base64, plain, fold) in parts {
            let word = encoded(&text, CHARSETS[charset], base64).filter(|_| !plain);
            let (written, said) = match &word {
                Some(word) => (word.clone(), text),
                None => ("plain".to_owned(), "plain".to_owned()),
            };
            // Between two encoded words white space means nothing (section 6.2).
            if !meant.is_empty() && (!behind_word || word.is_none()) {
                meant.push(' ');
            }
            if !body.is_empty() {
                body += if fold { "\r\n " } else { " " };
            }
            behind_word = word.is_some();
            body += &written;
            meant += &said;
        }
        let field = format!("Subject: {body}\r\n");
        let ours = header::first(field.as_bytes(), "Subject").unwrap().text();
        let other = theirs(field.as_bytes()).get_value();
        prop_assert_eq!(even(&ours), even(&meant), "ours: {}", &body);
        prop_assert_eq!(even(&other), even(&meant), "theirs: {}", &body);
    }

    /// What we encode any reader decodes.
    #[test]
    fn what_we_encode_is_read_by_the_other(text in "([a-z]| |\u{e4}|\u{65e5}|=\\?|_|,|\u{1f600}){0,120}") {
        let field = format!("Subject: {}\r\n", words::encode(&text));
        prop_assert_eq!(even(&theirs(field.as_bytes()).get_value()), even(&text), "{}", field);
    }
}
