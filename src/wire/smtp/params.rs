//! ESMTP parameters behind a path (RFC 5321 section 4.1.2) and xtext (RFC 3461 section 4).

/// One parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param<'a> {
    /// Its keyword, in the case that it was given in.
    pub keyword: &'a str,
    /// What stands behind `=`; `None` where there is no `=`.
    pub value: Option<&'a str>,
}

/// ```abnf
/// Mail-parameters = esmtp-param *(SP esmtp-param)
/// esmtp-param     = esmtp-keyword ["=" esmtp-value]
/// esmtp-keyword   = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-")
/// esmtp-value     = 1*(%d33-60 / %d62-126)
/// ```
/// RFC 5321 section 4.1.2. `None` stands for a word that is no parameter. Spaces at the end are passed over (RFC 5321
/// section 4.1.1).
pub fn params(text: &str) -> impl Iterator<Item = Option<Param<'_>>> {
    text.split(' ').filter(|word| !word.is_empty()).map(|word| {
        let (keyword, value) = match word.split_once('=') {
            Some((keyword, value)) => (keyword, Some(value)),
            None => (word, None),
        };
        let keyword_ok = keyword.starts_with(|c: char| c.is_ascii_alphanumeric())
            && keyword.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
        let value_ok = value.is_none_or(|value| {
            !value.is_empty() && value.bytes().all(|octet| matches!(octet, 33..=60 | 62..=126))
        });
        (keyword_ok && value_ok).then_some(Param { keyword, value })
    })
}

/// ```abnf
/// xtext   = *( xchar / hexchar )
/// xchar   = %d33-42 / %d44-60 / %d62-126
/// hexchar = "+" 2(%x30-39 / %x41-46)
/// ```
/// RFC 3461 section 4. `None` where it is none, and where what it stands for holds a control octet or is no UTF-8.
pub fn xtext(text: &str) -> Option<String> {
    let mut octets = text.bytes();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(octet) = octets.next() {
        let octet = match octet {
            b'+' => {
                let mut half = || match octets.next()? {
                    octet @ b'0'..=b'9' => Some(octet - b'0'),
                    octet @ b'A'..=b'F' => Some(octet - b'A' + 10),
                    _ => None,
                };
                (half()? << 4) | half()?
            }
            33..=42 | 44..=60 | 62..=126 => octet,
            _ => return None,
        };
        if octet.is_ascii_control() {
            return None;
        }
        plain.push(octet);
    }
    String::from_utf8(plain).ok()
}

/// Writes octets as xtext.
pub fn to_xtext(text: &str, out: &mut Vec<u8>) {
    for octet in text.bytes() {
        match octet {
            33..=42 | 44..=60 | 62..=126 => out.push(octet),
            _ => {
                let digit = |half: u8| if half < 10 { b'0' + half } else { b'A' + half - 10 };
                out.extend_from_slice(&[b'+', digit(octet >> 4), digit(octet & 15)]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_words_with_or_without_a_value() {
        let seen: Vec<_> = params(" SIZE=10  BODY=8BITMIME X-a ").collect();
        let some = |keyword, value| Some(Param { keyword, value });
        assert_eq!(seen, [some("SIZE", Some("10")), some("BODY", Some("8BITMIME")), some("X-a", None)]);
        for bad in ["-A=1", "A=", "=1", "A=b=c", "A_B", "A=\u{e9}", "A=\t"] {
            assert_eq!(params(bad).collect::<Vec<_>>(), [None], "{bad:?}");
        }
    }

    #[test]
    fn xtext_is_undone_and_never_holds_a_control_octet() {
        let cases = [
            ("e+3Dmc2@example.com", Some("e=mc2@example.com")),
            ("", Some("")),
            ("a+2Bb", Some("a+b")),
            ("+C3+A9", Some("\u{e9}")),
            ("a+0Ab", None),
            ("a+0Db", None),
            ("a+00b", None),
            ("a+7Fb", None),
            ("+1B[31m", None),
            ("a+2bb", None),
            ("a+2", None),
            ("a+", None),
            ("a b", None),
            ("a=b", None),
            ("+FF", None),
        ];
        for (given, wanted) in cases {
            assert_eq!(xtext(given).as_deref(), wanted, "{given}");
            if let Some(text) = wanted {
                let mut out = Vec::new();
                to_xtext(text, &mut out);
                assert_eq!(xtext(std::str::from_utf8(&out).unwrap()).as_deref(), wanted);
            }
        }
    }
}
