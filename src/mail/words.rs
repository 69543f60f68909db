//! Text in headers: encoded words (RFC 2047) and charsets, decoded for people and encoded for headers.
//! Decoding is one pass, whatever the text, and never an error.

use super::transfer;
use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
use std::fmt::Write as _;

/// Decodes the encoded words in an unfolded field. Octets outside of them are UTF-8, or else Windows-1252. White
/// space between two encoded words is dropped; a character that a composer split over two words of one charset is put
/// together again.
pub fn decode(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut run: Option<Run> = None;
    // What stands before `at` and behind the last encoded word is not yet written.
    let (mut from, mut at) = (0, 0);
    while let Some(found) = text.get(at..).and_then(|rest| memchr::memmem::find(rest, b"=?")) {
        at = at.saturating_add(found);
        let Some(word) = text.get(at..).and_then(Word::read) else {
            at = at.saturating_add(2);
            continue;
        };
        let between = text.get(from..at).unwrap_or_default();
        let blank = between.iter().all(u8::is_ascii_whitespace);
        run = match run.take() {
            Some(mut open) if blank && open.charset.eq_ignore_ascii_case(word.charset) => {
                word.octets(&mut open.octets);
                Some(open)
            }
            open => {
                let first = open.is_none();
                open.into_iter().for_each(|open| open.flush(&mut out));
                if first || !blank {
                    out.push_str(&raw(between));
                }
                let mut octets = Vec::new();
                word.octets(&mut octets);
                Some(Run { charset: word.charset, octets })
            }
        };
        at = at.saturating_add(word.length);
        from = at;
    }
    run.into_iter().for_each(|open| open.flush(&mut out));
    out.push_str(&raw(text.get(from..).unwrap_or_default()));
    out
}

/// The length of the encoded word at the head of `text`, if one stands there and holds no white space.
pub(crate) fn encoded_length(text: &[u8]) -> Option<usize> {
    Word::read(text).filter(|word| word.text.iter().all(u8::is_ascii_graphic)).map(|word| word.length)
}

/// Octets of no declared charset: UTF-8, or else Windows-1252, in which every octet is something.
pub fn raw(octets: &[u8]) -> String {
    match std::str::from_utf8(octets) {
        Ok(text) => text.to_owned(),
        Err(_) => WINDOWS_1252.decode_without_bom_handling(octets).0.into_owned(),
    }
}

/// The encoding of a charset's name as mail spells it; `None` for an unknown one and for US-ASCII, where octets
/// beyond ASCII are of no declared charset.
pub fn charset(name: &[u8]) -> Option<&'static Encoding> {
    let name = name.trim_ascii();
    let known = match name.to_ascii_lowercase().as_slice() {
        b"us-ascii" | b"ascii" | b"ansi_x3.4-1968" => return None,
        b"cp932" | b"ms932" => b"shift_jis".as_slice(),
        b"cp936" | b"ms936" => b"gbk",
        b"cp949" | b"ms949" => b"euc-kr",
        b"cp950" | b"ms950" => b"big5",
        b"utf8mb4" => b"utf-8",
        _ => name,
    };
    Encoding::for_label_no_replacement(known)
}

/// Decodes octets of a named charset; of an unknown one as [`raw`].
pub fn decode_charset(name: &[u8], octets: &[u8]) -> String {
    match charset(name) {
        Some(encoding) if encoding != UTF_8 => encoding.decode_without_bom_handling(octets).0.into_owned(),
        Some(_) => String::from_utf8_lossy(octets).into_owned(),
        None => raw(octets),
    }
}

/// Encoded words of one charset that follow each other.
struct Run<'a> {
    charset: &'a [u8],
    octets: Vec<u8>,
}

impl Run<'_> {
    fn flush(self, out: &mut String) {
        out.push_str(&decode_charset(self.charset, &self.octets));
    }
}

/// `=?charset[*language]?encoding?text?=`
struct Word<'a> {
    charset: &'a [u8],
    base64: bool,
    text: &'a [u8],
    length: usize,
}

impl Word<'_> {
    /// Reads the word that begins `input`. No octet behind the fourth `?` is looked at, so that a scan over many
    /// beginnings of words stays linear.
    fn read(input: &[u8]) -> Option<Word<'_>> {
        let rest = input.strip_prefix(b"=?")?;
        let (charset, rest) = upto_mark(rest)?;
        let (encoding, rest) = upto_mark(rest)?;
        let (text, rest) = upto_mark(rest)?;
        let rest = rest.strip_prefix(b"=")?;
        let charset = charset.split(|&octet| octet == b'*').next()?;
        let base64 = match encoding {
            b"B" | b"b" => true,
            b"Q" | b"q" => false,
            _ => return None,
        };
        let is_token = |octet: &u8| octet.is_ascii_graphic() && *octet != b'=';
        (!charset.is_empty() && charset.iter().all(is_token)).then(|| Word {
            charset,
            base64,
            text,
            length: input.len().saturating_sub(rest.len()),
        })
    }

    fn octets(&self, out: &mut Vec<u8>) {
        if self.base64 {
            let mut decoder = transfer::Decoder::new(transfer::Encoding::Base64);
            decoder.push(self.text, out);
            decoder.finish(out);
            return;
        }
        let mut rest = self.text;
        while let Some((&octet, tail)) = rest.split_first() {
            rest = tail;
            match (octet, tail) {
                (b'_', _) => out.push(b' '),
                (b'=', [high, low, behind @ ..]) => match transfer::hex_pair(*high, *low) {
                    Some(meant) => {
                        out.push(meant);
                        rest = behind;
                    }
                    None => out.push(octet),
                },
                _ => out.push(octet),
            }
        }
    }
}

fn upto_mark(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(b'?', input)?;
    #[cfg(test)]
    tests::LOOKED.set(tests::LOOKED.get() + at + 1);
    Some((input.get(..at)?, input.get(at.saturating_add(1)..)?))
}

/// The most octets of an encoded word (RFC 2047 section 2).
const WORD_MAX: usize = 75;

/// Text for an unstructured field or a display name, in ASCII: words beyond printable ASCII become encoded words in
/// UTF-8. What is not encoded is left as it is, so a display name needs its quotes elsewhere.
pub fn encode(text: &str) -> String {
    let plain = |word: &str| word.bytes().all(|octet| octet.is_ascii_graphic()) && !word.contains("=?");
    let mut out = String::with_capacity(text.len());
    let mut run = String::new();
    for (at, word) in text.split(' ').enumerate() {
        // An empty word is a doubled space, which belongs to what stands before it.
        if plain(word) && (run.is_empty() || !word.is_empty()) {
            encode_run(&mut run, &mut out);
            out.push_str(if at == 0 { "" } else { " " });
            out.push_str(word);
            continue;
        }
        if run.is_empty() {
            out.push_str(if at == 0 { "" } else { " " });
        } else {
            run.push(' ');
        }
        run.push_str(word);
    }
    encode_run(&mut run, &mut out);
    out
}

fn encode_run(run: &mut String, out: &mut String) {
    const AROUND: usize = "=?utf-8?q??=".len();
    let quoted_length = |letter: char| match letter {
        ' ' => 1,
        _ if is_plain_in_word(letter) => 1,
        _ => letter.len_utf8().saturating_mul(3),
    };
    let length: usize = run.chars().map(quoted_length).sum();
    let base64 = length > run.len().div_ceil(3).saturating_mul(4);
    let room = WORD_MAX.saturating_sub(AROUND);
    let mut word = String::new();
    let mut used = 0_usize;
    let mut written = false;
    for letter in run.chars() {
        let next = match base64 {
            true => word.len().saturating_add(letter.len_utf8()).div_ceil(3).saturating_mul(4),
            false => used.saturating_add(quoted_length(letter)),
        };
        if next > room {
            write_word(&word, base64, written, out);
            word.clear();
            used = 0;
            written = true;
        }
        used = used.saturating_add(quoted_length(letter));
        word.push(letter);
    }
    if !word.is_empty() {
        write_word(&word, base64, written, out);
    }
    run.clear();
}

fn is_plain_in_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "!*+-/".contains(letter)
}

fn write_word(word: &str, base64: bool, spaced: bool, out: &mut String) {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    out.push_str(if spaced { " " } else { "" });
    if base64 {
        out.push_str("=?utf-8?b?");
        STANDARD.encode_string(word, out);
    } else {
        out.push_str("=?utf-8?q?");
        for letter in word.chars() {
            match letter {
                ' ' => out.push('_'),
                _ if is_plain_in_word(letter) => out.push(letter),
                _ => letter.encode_utf8(&mut [0; 4]).bytes().for_each(|octet| {
                    // Writing to a String does not fail.
                    let _ = write!(out, "={octet:02X}");
                }),
            }
        }
    }
    out.push_str("?=");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    thread_local! {
        /// The octets that searches for a `?` have gone over.
        pub(super) static LOOKED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    }

    #[test]
    fn encoded_words_of_rfc_2047_are_decoded() {
        for (text, meant) in [
            ("=?US-ASCII?Q?Keith_Moore?=", "Keith Moore"),
            ("=?ISO-8859-1?Q?Keld_J=F8rn_Simonsen?=", "Keld J\u{f8}rn Simonsen"),
            (
                "=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?= =?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=",
                "If you can read this you understand the example.",
            ),
            ("(=?ISO-8859-1?Q?a?= b)", "(a b)"),
            ("(=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=)", "(ab)"),
            ("(=?ISO-8859-1?Q?a?=    =?ISO-8859-1?Q?b?=)", "(ab)"),
            ("(=?ISO-8859-1?Q?a_b?=)", "(a b)"),
            ("(=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=)", "(a b)"),
            ("=?utf-8*de?q?gr=C3=BC=C3=9Fe?=", "gr\u{fc}\u{df}e"),
            ("=?ISO-2022-JP?B?GyRCRnxLXDhsGyhC?=", "\u{65e5}\u{672c}\u{8a9e}"),
            ("=?GB18030?B?xOO6ww==?=", "\u{4f60}\u{597d}"),
            ("=?gb2312?q?=C4=E3=BA=C3?=", "\u{4f60}\u{597d}"),
            ("=?koi8-r?B?8NLJ18XU?=", "\u{41f}\u{440}\u{438}\u{432}\u{435}\u{442}"),
            // A character split over two words.
            ("=?utf-8?q?=E6=97?= =?UTF-8?q?=A5?=", "\u{65e5}"),
            ("=?utf-8?b?5pc=?=\t=?utf-8?b?pQ==?=", "\u{65e5}"),
        ] {
            assert_eq!(decode(text.as_bytes()), meant, "{text}");
        }
    }

    #[test]
    fn what_is_no_encoded_word_stays() {
        for text in [
            "",
            "plain",
            "=?",
            "=?=",
            "=?utf-8?",
            "=?utf-8?q?a",
            "=?utf-8?q?a?",
            "=?utf-8?x?a?=",
            "=??q?a?=",
            "a =? b ?= c",
            "=?u t f?q?a?=",
        ] {
            assert_eq!(decode(text.as_bytes()), text);
        }
        assert_eq!(decode(b"=?=?utf-8?q?a?="), "=?a");
        assert_eq!(decode(b"=?utf-8?q?50=25_=zz=?="), "50% =zz=");
        assert_eq!(decode("=?x-unknown?q?=C3=A9?= \u{e9}".as_bytes()), "\u{e9} \u{e9}");
        assert_eq!(decode(b"caf\xe9"), "caf\u{e9}");
        assert_eq!(decode(b"=?utf-8?q?=ff?="), "\u{fffd}");
    }

    #[test]
    fn a_scan_looks_at_no_octet_more_than_a_few_times() {
        // Each of these makes a careless decoder quadratic.
        for unit in ["=?", "=?a?q?", "=?a?q?=?", "=?utf-8?q?a?= ", "=?utf-8?q?=E6?= ", "=?utf-8?q?a b"] {
            let text = unit.repeat(240 * 1024 / unit.len());
            LOOKED.set(0);
            let _ = decode(text.as_bytes());
            assert!(LOOKED.get() <= 4 * text.len(), "{unit}: {} of {}", LOOKED.get(), text.len());
        }
    }

    #[test]
    fn encoded_text_is_short_words_of_ascii() {
        assert_eq!(encode("plain text"), "plain text");
        assert_eq!(encode("L\u{f6}sungsweg an alle"), "=?utf-8?q?L=C3=B6sungsweg?= an alle");
        assert_eq!(encode("\u{65e5}\u{672c}\u{8a9e}"), "=?utf-8?b?5pel5pys6Kqe?=");
        assert_eq!(encode("a\r\nBcc: x"), "=?utf-8?b?YQ0KQmNjOg==?= x");
        assert_eq!(encode("=?utf-8?q?a?="), "=?utf-8?b?PT91dGYtOD9xP2E/PQ==?=");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn what_is_encoded_decodes_to_itself(text in "([a-z]| |\u{e4}|\u{65e5}|=\\?|\n|_|\u{1f600}){0,120}") {
            let coded = encode(&text);
            prop_assert!(coded.is_ascii() && !coded.contains('\n'));
            prop_assert!(coded.split(' ').all(|word| word.len() <= WORD_MAX || !word.contains("=?")));
            prop_assert_eq!(decode(coded.as_bytes()), text);
        }

        #[test]
        fn no_octets_stop_the_decoder(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&octets);
        }
    }
}
