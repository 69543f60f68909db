//! Media types, dispositions and their parameters (RFC 2045 section 5.1, RFC 2183, RFC 2231), read without errors.

use super::{header::lex, transfer, words};
use std::{borrow::Cow, collections::BTreeMap};

/// The most parameters that are kept of one field.
pub const PARAMS_MAX: usize = 128;

/// `attribute=value` pairs in their order, names in lower case, values without quotes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Params(pub Vec<(String, Vec<u8>)>);

/// A value with parameters, as Content-Disposition has it: `attachment; filename=a`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Valued {
    /// The value, in lower case.
    pub value: String,
    /// Its parameters.
    pub params: Params,
}

/// A media type, as Content-Type has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Media {
    /// `text`, in lower case.
    pub kind: String,
    /// `plain`, in lower case.
    pub subtype: String,
    /// Its parameters.
    pub params: Params,
}

impl Media {
    /// A type without parameters.
    pub fn new(kind: &str, subtype: &str) -> Media {
        Media { kind: kind.to_owned(), subtype: subtype.to_owned(), params: Params::default() }
    }

    /// What a part without Content-Type is (RFC 2045 section 5.2).
    pub fn default_text() -> Media {
        let charset = ("charset".to_owned(), b"us-ascii".to_vec());
        Media { params: Params(vec![charset]), ..Media::new("text", "plain") }
    }

    /// Reads the body of a Content-Type field; `None` when it holds no `type/subtype`.
    pub fn parse(body: &[u8]) -> Option<Media> {
        let (kind, rest) = token(body);
        let (subtype, rest) = token(lex::skip_space(rest).strip_prefix(b"/")?);
        if kind.is_empty() || subtype.is_empty() {
            return None;
        }
        Some(Media { kind: lower(kind), subtype: lower(subtype), params: Params::parse(rest) })
    }

    /// True for this type and subtype, given in lower case.
    pub fn is(&self, kind: &str, subtype: &str) -> bool {
        self.kind == kind && self.subtype == subtype
    }

    /// `type/subtype`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.kind, self.subtype)
    }
}

impl Valued {
    /// Reads a field's body; `None` when it has no value.
    pub fn parse(body: &[u8]) -> Option<Valued> {
        let (value, rest) = token(body);
        (!value.is_empty()).then(|| Valued { value: lower(value), params: Params::parse(rest) })
    }
}

impl Params {
    /// Reads `; name=value` pairs. A value without quotes goes on to the next `;`, since real names have spaces;
    /// what is no pair is passed over.
    pub fn parse(body: &[u8]) -> Params {
        let mut params = Vec::new();
        let mut rest = body;
        while params.len() < PARAMS_MAX {
            let Some(at) = memchr::memchr(b';', rest) else { break };
            let (name, tail) = token(rest.get(at.saturating_add(1)..).unwrap_or_default());
            rest = lex::skip_space(tail);
            let Some(value) = rest.strip_prefix(b"=") else { continue };
            let value = lex::skip_space(value);
            let value = match value.strip_prefix(b"\"") {
                Some(inner) => {
                    let (value, tail) = lex::quoted(inner);
                    rest = tail;
                    value
                }
                None => {
                    let end =
                        value.iter().position(|octet| matches!(octet, b';' | b'(')).unwrap_or(value.len());
                    let (value, tail) = value.split_at_checked(end).unwrap_or_default();
                    rest = tail;
                    value
                        .trim_ascii()
                        .iter()
                        .copied()
                        .filter(|octet| !matches!(octet, b'\r' | b'\n'))
                        .collect()
                }
            };
            rest = lex::skip_space(rest);
            if !name.is_empty() {
                params.push((lower(name), value));
            }
        }
        Params(params)
    }

    /// The value of `name` (in lower case) as it stands, without RFC 2231.
    pub fn raw(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice())
    }

    /// The value of `name` (in lower case) for people: extended and continued values of RFC 2231 put together and
    /// decoded; else the plain value, in which encoded words are decoded too, since many composers write them there.
    pub fn text(&self, name: &str) -> Option<String> {
        let mut sections: BTreeMap<u16, (bool, &[u8])> = BTreeMap::new();
        for (known, value) in &self.0 {
            let Some(tail) = known.strip_prefix(name).and_then(|tail| tail.strip_prefix('*')) else {
                continue;
            };
            let (number, extended) = match tail.strip_suffix('*') {
                Some(number) => (number, true),
                None => (tail, tail.is_empty()),
            };
            let number = if number.is_empty() { Ok(0) } else { number.parse() };
            if let Ok(number) = number {
                sections.entry(number).or_insert((extended, value));
            }
        }
        let mut charset: &[u8] = b"";
        let mut octets = Vec::new();
        for (expected, (number, (extended, value))) in (0_u16..).zip(sections) {
            if number != expected {
                break;
            }
            let value = match value.splitn(3, |&octet| octet == b'\'').collect::<Vec<_>>().as_slice() {
                [name, _, text] if extended && number == 0 => {
                    charset = name;
                    text
                }
                _ => value,
            };
            octets.extend_from_slice(&if extended { percent_decoded(value) } else { Cow::Borrowed(value) });
        }
        if octets.is_empty() {
            return self.raw(name).map(words::decode);
        }
        Some(words::decode_charset(charset, &octets))
    }
}

fn percent_decoded(value: &[u8]) -> Cow<'_, [u8]> {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((&octet, tail)) = rest.split_first() {
        rest = tail;
        match tail {
            [high, low, behind @ ..] if octet == b'%' => match transfer::hex_pair(*high, *low) {
                Some(meant) => {
                    out.push(meant);
                    rest = behind;
                }
                None => out.push(octet),
            },
            _ => out.push(octet),
        }
    }
    Cow::Owned(out)
}

/// A token behind white space and comments (RFC 2045 section 5.1), and what follows it.
fn token(input: &[u8]) -> (&[u8], &[u8]) {
    let input = lex::skip_space(input);
    let special = |octet: &u8| !octet.is_ascii_graphic() || b"()<>@,;:\\\"/[]?=".contains(octet);
    input.split_at_checked(input.iter().position(special).unwrap_or(input.len())).unwrap_or((input, &[]))
}

fn lower(token: &[u8]) -> String {
    token.iter().map(|octet| octet.to_ascii_lowercase() as char).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(body: &str) -> Vec<(String, String)> {
        let params = Media::parse(body.as_bytes()).unwrap().params;
        params.0.into_iter().map(|(name, value)| (name, words::raw(&value))).collect()
    }

    #[test]
    fn types_and_parameters_are_read() {
        let own = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
        };
        for (body, pairs) in [
            ("text/plain", &[][..]),
            ("Text/Plain; Charset=UTF-8", &[("charset", "UTF-8")]),
            ("text/plain; charset=us-ascii (Plain text)", &[("charset", "us-ascii")]),
            ("text(a)/ (b) plain (c); charset (d) = (e) \"us-ascii\"", &[("charset", "us-ascii")]),
            (
                "multipart/mixed;\r\n\tboundary=\"a; b=\\\"c\\\"\"; x=y",
                &[("boundary", "a; b=\"c\""), ("x", "y")],
            ),
            ("application/pdf; name=my file.pdf; x=1", &[("name", "my file.pdf"), ("x", "1")]),
            ("text/plain;;; charset=a;", &[("charset", "a")]),
            ("text/plain; charset; format=flowed", &[("format", "flowed")]),
            ("text/plain; =a; b=", &[("b", "")]),
            ("text/plain charset=a; b=c", &[("b", "c")]),
            ("text/plain; b=c (; d=e); f=\"g\" (; h=i)", &[("b", "c"), ("f", "g")]),
        ] {
            assert_eq!(params(body), own(pairs), "{body}");
        }
        for body in ["", "text", "text/", "/plain", "\"text\"/plain", "text;plain"] {
            assert_eq!(Media::parse(body.as_bytes()), None, "{body}");
        }
        assert_eq!(Valued::parse(b" ATTACHMENT; filename=a").unwrap().value, "attachment");
        assert_eq!(Valued::parse(b"; filename=a"), None);
    }

    #[test]
    fn long_and_foreign_values_are_put_together() {
        for (body, text) in [
            ("a/b; title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A", "This is ***fun***"),
            (
                "a/b; title*0*=us-ascii'en'This%20is%20even%20more%20; title*1*=%2A%2A%2Afun%2A%2A%2A%20; \
                 title*2=\"isn't it!\"",
                "This is even more ***fun*** isn't it!",
            ),
            ("a/b; title*1=b; title*0=a; title*3=d", "ab"),
            ("a/b; title=plain; title*=utf-8''%C3%A9", "\u{e9}"),
            ("a/b; title=\"=?utf-8?q?=C3=A9?=.pdf\"", "\u{e9}.pdf"),
            ("a/b; title*=utf-8''%C3%A9%zz%", "\u{e9}%zz%"),
            ("a/b; title*=no-charset", "no-charset"),
            ("a/b; title=\"\"", ""),
            ("a/b; title*99999999999=x; title=y", "y"),
        ] {
            let media = Media::parse(body.as_bytes()).unwrap();
            assert_eq!(media.params.text("title").as_deref(), Some(text), "{body}");
        }
        assert_eq!(Media::new("a", "b").params.text("title"), None);
    }

    #[test]
    fn comments_are_looked_at_once() {
        for unit in [";x(", "(", ";x=(", ";(x", "; x (a);"] {
            let body = format!("a/b{}", unit.repeat(100_000));
            lex::LOOKED.set(0);
            let _ = Media::parse(body.as_bytes());
            assert!(lex::LOOKED.get() <= 2 * body.len(), "{unit}");
        }
    }

    #[test]
    fn only_so_many_parameters_are_kept() {
        let body = format!("a/b{}", "; x=y".repeat(10_000));
        assert_eq!(Media::parse(body.as_bytes()).unwrap().params.0.len(), PARAMS_MAX);
    }
}
