//! Content transfer encodings (RFC 2045 section 6), decoded as a stream. What is no base64 or quoted-printable is
//! passed over or kept as it stands: decoding is never an error.

/// How a part's octets are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Encoding {
    /// `7bit`, `8bit`, `binary` or nothing said: as they are.
    #[default]
    Identity,
    /// `base64`.
    Base64,
    /// `quoted-printable`.
    QuotedPrintable,
    /// Another one, which can't be decoded.
    Unknown,
}

impl Encoding {
    /// The encoding of this name, in any case.
    pub fn named(name: &[u8]) -> Encoding {
        match name.trim_ascii().to_ascii_lowercase().as_slice() {
            b"" | b"7bit" | b"8bit" | b"binary" | b"7-bit" | b"8-bit" => Encoding::Identity,
            b"base64" => Encoding::Base64,
            b"quoted-printable" => Encoding::QuotedPrintable,
            _ => Encoding::Unknown,
        }
    }
}

/// White space before a possible line end is held back up to so many octets.
const SPACE_MAX: usize = 1024;

/// Decodes a stream in a small, fixed amount of memory.
#[derive(Clone, Debug)]
pub struct Decoder {
    encoding: Encoding,
    /// Base64: digits that do not make an octet yet.
    bits: u32,
    /// Base64: how many digits.
    digits: u8,
    /// Quoted-printable: the octets of an escape, or white space that may end a line.
    held: Vec<u8>,
}

impl Decoder {
    /// At the start of a part. [`Encoding::Unknown`] is passed through like identity.
    pub fn new(encoding: Encoding) -> Decoder {
        Decoder { encoding, bits: 0, digits: 0, held: Vec::new() }
    }

    /// Decodes `octets`, appending to `out` what they mean: never more octets than were given so far.
    pub fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        match self.encoding {
            Encoding::Identity | Encoding::Unknown => out.extend_from_slice(octets),
            Encoding::Base64 => octets.iter().for_each(|&octet| self.base64(octet, out)),
            Encoding::QuotedPrintable => octets.iter().for_each(|&octet| self.quoted_printable(octet, out)),
        }
    }

    /// Appends what the end of the part makes clear.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        match self.encoding {
            Encoding::Base64 => self.base64_end(out),
            _ => {
                // White space at the end of a part ends a line; half an escape is kept, but no soft line break.
                if self.held.first() == Some(&b'=') && self.held.len() > 1 {
                    out.extend_from_slice(&self.held);
                }
                self.held.clear();
            }
        }
    }

    fn base64(&mut self, octet: u8, out: &mut Vec<u8>) {
        let value = match octet {
            b'A'..=b'Z' => octet.wrapping_sub(b'A'),
            b'a'..=b'z' => octet.wrapping_sub(b'a').wrapping_add(26),
            b'0'..=b'9' => octet.wrapping_sub(b'0').wrapping_add(52),
            b'+' => 62,
            b'/' => 63,
            // Padding ends one run of base64; another may follow.
            b'=' => return self.base64_end(out),
            _ => return,
        };
        self.bits = self.bits << 6 | u32::from(value);
        self.digits = self.digits.wrapping_add(1);
        if self.digits == 4 {
            let [_, octets @ ..] = self.bits.to_be_bytes();
            out.extend_from_slice(&octets);
            (self.bits, self.digits) = (0, 0);
        }
    }

    fn base64_end(&mut self, out: &mut Vec<u8>) {
        match self.digits {
            2 => out.extend(((self.bits >> 4) as u16).to_be_bytes().last()),
            3 => out.extend(((self.bits >> 2) as u16).to_be_bytes()),
            _ => {}
        }
        (self.bits, self.digits) = (0, 0);
    }

    fn quoted_printable(&mut self, octet: u8, out: &mut Vec<u8>) {
        match (self.held.as_slice(), octet) {
            // A soft line break, with or without white space behind the `=`.
            ([b'='] | [b'=', b' ' | b'\t' | b'\r', ..], b'\n') => self.held.clear(),
            ([b'='] | [b'=', b' ' | b'\t', ..], b' ' | b'\t' | b'\r') if self.held.len() < SPACE_MAX => {
                self.held.push(octet);
            }
            ([b'='], _) if octet.is_ascii_hexdigit() => self.held.push(octet),
            ([b'=', high], low) if let Some(meant) = hex_pair(*high, low) => {
                out.push(meant);
                self.held.clear();
            }
            ([b'=', ..], _) => {
                // No escape: kept as it stands.
                out.append(&mut self.held);
                self.quoted_printable(octet, out);
            }
            (_, b'=') => {
                out.append(&mut self.held);
                self.held.push(octet);
            }
            (_, b' ' | b'\t' | b'\r') if self.held.len() < SPACE_MAX => self.held.push(octet),
            (held, b'\n') => {
                // White space before a line end was added on the way (RFC 2045 section 6.7, rule 3).
                if held.last() == Some(&b'\r') {
                    out.push(b'\r');
                }
                out.push(octet);
                self.held.clear();
            }
            _ => {
                out.append(&mut self.held);
                out.push(octet);
            }
        }
    }
}

/// The octet of two hexadecimal digits.
pub(crate) fn hex_pair(high: u8, low: u8) -> Option<u8> {
    let digit = |octet: u8| (octet as char).to_digit(16).and_then(|value| u8::try_from(value).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(encoding: Encoding, text: &[u8], step: usize) -> Vec<u8> {
        let (mut decoder, mut out) = (Decoder::new(encoding), Vec::new());
        text.chunks(step).for_each(|chunk| decoder.push(chunk, &mut out));
        decoder.finish(&mut out);
        out
    }

    #[test]
    fn base64_is_decoded_past_what_it_is_not() {
        for (text, meant) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYmFy", "foobar"),
            ("Zm9v\r\nYmFy\r\n", "foobar"),
            ("Z!m\0 9v", "foo"),
            ("Zm8", "fo"),
            ("Zg==Zm9v", "ffoo"),
            ("Z", ""),
            ("====", ""),
        ] {
            for step in 1..9 {
                assert_eq!(decoded(Encoding::Base64, text.as_bytes(), step), meant.as_bytes(), "{text:?}");
            }
        }
    }

    #[test]
    fn quoted_printable_is_decoded_past_what_it_is_not() {
        for (text, meant) in [
            ("a=3Db", "a=b"),
            ("a=3db", "a=b"),
            ("soft=\r\n break=\nhere", "soft breakhere"),
            ("soft= \t\r\nbreak", "softbreak"),
            ("trailing \t\r\nspace \nend  ", "trailing\r\nspace\nend"),
            ("kept  inside", "kept  inside"),
            ("=20\r\n", " \r\n"),
            ("=zz=4=", "=zz=4"),
            ("==3D", "=="),
            ("= x", "= x"),
            ("=4\n=4=41", "=4\n=4A"),
            ("lone\rCR", "lone\rCR"),
            ("=C3=A9", "\u{e9}"),
        ] {
            for step in 1..9 {
                let got = decoded(Encoding::QuotedPrintable, text.as_bytes(), step);
                assert_eq!(String::from_utf8_lossy(&got), meant, "{text:?}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn chunks_do_not_matter_and_nothing_grows(
            text in "([A-Za-z]| |\t|=|=[0-9A-F]{2}|\r|\n|=\r\n|[+/]|!){0,60}", step in 1_usize..5,
        ) {
            for encoding in [Encoding::Base64, Encoding::QuotedPrintable, Encoding::Identity] {
                let whole = decoded(encoding, text.as_bytes(), usize::MAX);
                prop_assert!(whole.len() <= text.len());
                prop_assert_eq!(&decoded(encoding, text.as_bytes(), step), &whole);
            }
        }
    }
}
