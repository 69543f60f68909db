//! IMAP's modified UTF-7 (RFC 3501 section 5.1.3): printable ASCII stands for itself, `&-` for `&`, and
//! anything else is UTF-16 in base64 between `&` and `-`, with `,` in place of `/` and no padding.

use base64::{
    Engine as _,
    alphabet::IMAP_MUTF7,
    engine::{GeneralPurpose, general_purpose::NO_PAD},
};

/// Refuses padding and trailing bits that are not zero.
const BASE64: GeneralPurpose = GeneralPurpose::new(&IMAP_MUTF7, NO_PAD);

/// The text in modified UTF-7.
pub(super) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut units = Vec::new();
    for letter in text.chars() {
        if !matches!(letter, ' '..='~') {
            let mut pair = [0; 2];
            units.extend(letter.encode_utf16(&mut pair).iter().flat_map(|unit| unit.to_be_bytes()));
            continue;
        }
        flush(&mut units, &mut out);
        out.push(letter);
        if letter == '&' {
            out.push('-');
        }
    }
    flush(&mut units, &mut out);
    out
}

fn flush(units: &mut Vec<u8>, out: &mut String) {
    if !units.is_empty() {
        out.push('&');
        BASE64.encode_string(&units, out);
        out.push('-');
        units.clear();
    }
}

/// Reads modified UTF-7; `None` for anything that [`encode`] would not have written.
pub(super) fn decode(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut after_shift = false;
    while let Some(letter) = rest.chars().next() {
        if !matches!(letter, ' '..='~') {
            return None;
        }
        if letter != '&' {
            out.push(letter);
            rest = rest.get(1..)?;
            after_shift = false;
            continue;
        }
        let (shifted, tail) = rest.get(1..)?.split_once('-')?;
        rest = tail;
        if shifted.is_empty() {
            out.push('&');
            after_shift = false;
            continue;
        }
        // Two shifts in a row are one too many.
        if after_shift {
            return None;
        }
        after_shift = true;
        let octets = BASE64.decode(shifted).ok()?;
        let (pairs, []) = octets.as_chunks::<2>() else { return None };
        for letter in char::decode_utf16(pairs.iter().map(|&pair| u16::from_be_bytes(pair))) {
            let letter = letter.ok()?;
            if matches!(letter, ' '..='~') {
                return None;
            }
            out.push(letter);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_the_rfc_and_others_go_both_ways() {
        for (text, coded) in [
            ("", ""),
            ("plain ~", "plain ~"),
            ("~peter/mail/\u{53f0}\u{5317}/\u{65e5}\u{672c}\u{8a9e}", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
            ("\u{53f0}\u{5317}\u{65e5}\u{672c}\u{8a9e}", "&U,BTF2XlZyyKng-"),
            ("a&b", "a&-b"),
            ("&&", "&-&-"),
            ("\u{fc}&", "&APw-&-"),
            ("\u{1f600}", "&2D3eAA-"),
            ("\t", "&AAk-"),
        ] {
            assert_eq!(encode(text), coded);
            assert_eq!(decode(coded).as_deref(), Some(text), "{coded}");
        }
    }

    #[test]
    fn what_no_encoder_writes_is_refused() {
        for coded in [
            "&",                  // never ends
            "&U,BTFw",            // never ends
            "&U,BTFw-&ZeVnLIqe-", // a superfluous shift (RFC 3501)
            "&Jjo!",              // the RFC's own bad example
            "&AGE-",              // printable ASCII in base64
            "&ACY-",              // the ampersand itself
            "&APx-",              // trailing bits that are not zero
            "&APw=-",             // padding
            "&AP/,-",             // a slash
            "&AA-",               // half a unit
            "&2D0-",              // half a surrogate pair
            "&3gDYPQ-",           // the halves exchanged
            "\u{fc}",
            "a\tb",
        ] {
            assert_eq!(decode(coded), None, "{coded}");
        }
    }
}
