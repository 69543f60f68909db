//! Writing the words of IMAP. Whatever they are made of, what comes out is the grammar's.

use super::token::is_atom_char;

/// The longest text that is written as a quoted string; a longer one is a literal.
const QUOTED_MAX: usize = 1000;

/// ```abnf
/// string = quoted / literal
/// ```
/// A NUL, which neither can hold, goes out as 0x80.
pub fn string(octets: &[u8], out: &mut Vec<u8>) {
    let quotable = |&octet: &u8| octet.is_ascii() && !matches!(octet, 0 | b'\r' | b'\n');
    if octets.len() > QUOTED_MAX || !octets.iter().all(quotable) {
        return literal(octets, out);
    }
    out.push(b'"');
    for &octet in octets {
        if matches!(octet, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(octet);
    }
    out.push(b'"');
}

/// ```abnf
/// nstring = string / nil
/// ```
pub fn nstring(octets: Option<&[u8]>, out: &mut Vec<u8>) {
    match octets {
        Some(octets) => string(octets, out),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// ```abnf
/// astring = 1*ASTRING-CHAR / string
/// ```
/// NIL is quoted, since not all who read it know that an astring can't be NIL.
pub fn astring(octets: &[u8], out: &mut Vec<u8>) {
    let atom =
        !octets.is_empty() && octets.len() <= QUOTED_MAX && octets.iter().all(|&octet| is_atom_char(octet));
    match atom && !octets.eq_ignore_ascii_case(b"NIL") {
        true => out.extend_from_slice(octets),
        false => string(octets, out),
    }
}

/// ```abnf
/// literal = "{" number "}" CRLF *CHAR8
/// ```
pub fn literal(octets: &[u8], out: &mut Vec<u8>) {
    announce(octets.len() as u64, out);
    content(octets, out);
}

/// The head of a literal, behind which so many octets come.
pub fn announce(octets: u64, out: &mut Vec<u8>) {
    out.push(b'{');
    number(octets, out);
    out.extend_from_slice(b"}\r\n");
}

/// Octets of a literal. NUL, which it can't hold, becomes 0x80.
pub fn content(octets: &[u8], out: &mut Vec<u8>) {
    let from = out.len();
    out.extend_from_slice(octets);
    let mut at = from;
    while let Some(found) = out.get(at..).and_then(|rest| memchr::memchr(0, rest)) {
        at = at.saturating_add(found);
        if let Some(nul) = out.get_mut(at) {
            *nul = 0x80;
        }
    }
}

/// A number.
pub fn number(number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut rest = number;
    let mut at = digits.len();
    loop {
        at = at.saturating_sub(1);
        if let Some(digit) = digits.get_mut(at) {
            // A remainder of ten is one digit.
            *digit = b'0'.wrapping_add((rest % 10) as u8);
        }
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(at..).unwrap_or_default());
}

/// Text for people in a response: what may not stand there is replaced.
///
/// ```abnf
/// text = 1*TEXT-CHAR
/// ```
pub fn text(text: &str, out: &mut Vec<u8>) {
    if text.is_empty() {
        out.push(b'.');
    }
    out.extend(
        text.bytes().take(TEXT_MAX).map(|octet| if matches!(octet, b' '..=b'~') { octet } else { b'?' }),
    );
}

/// The most octets of a text for people.
const TEXT_MAX: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::imap::token::Tokens;
    use proptest::prelude::*;

    fn printed(print: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        print(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn the_shortest_spelling_is_chosen() {
        for (text, wanted) in [
            ("abc", "abc"),
            ("", "\"\""),
            ("a b", "\"a b\""),
            ("nil", "\"nil\""),
            ("a\"b\\", "\"a\\\"b\\\\\""),
            ("a\r\nb", "{4}\r\na\r\nb"),
            ("a]b", "\"a]b\""),
            ("a*", "\"a*\""),
        ] {
            assert_eq!(printed(|out| astring(text.as_bytes(), out)), wanted);
        }
        assert_eq!(printed(|out| nstring(None, out)), "NIL");
        assert_eq!(printed(|out| nstring(Some(b""), out)), "\"\"");
        assert_eq!(printed(|out| text("a\r\nb\u{e9}", out)), "a??b??");
    }

    #[test]
    fn a_nul_goes_out_as_0x80() {
        let mut out = Vec::new();
        literal(b"a\0\0b\0", &mut out);
        assert_eq!(out, b"{5}\r\na\x80\x80b\x80");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(octets in proptest::collection::vec(1_u8.., 0..40), number_ in any::<u64>()) {
            let mut out = Vec::new();
            astring(&octets, &mut out);
            out.push(b' ');
            number(number_, &mut out);
            let mut tokens = Tokens::new(&out);
            prop_assert_eq!(tokens.astring().unwrap().into_owned(), octets);
            tokens.space().unwrap();
            prop_assert_eq!(tokens.number64(), Ok(number_));
            prop_assert!(tokens.end().is_ok());
        }
    }
}
