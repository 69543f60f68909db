//! The words of IMAP (RFC 3501 section 9): atoms, quoted strings, literals, numbers, lists. They are read off a
//! buffer that holds a whole command or response, literals included as they came (`{3}` CR LF `abc`).

use std::{borrow::Cow, fmt};

/// Why octets are not what the grammar has there: what was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bad(pub &'static str);

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}", self.0)
    }
}

impl std::error::Error for Bad {}

/// A literal that a line announces at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    /// How many octets follow the line.
    pub octets: u64,
    /// Its sender waits for a `+` before it sends them.
    pub waits: bool,
}

/// The literal that `line` (without its CR LF) announces.
///
/// ```abnf
/// literal = "{" number64 ["+"] "}" CRLF *CHAR8
/// ```
/// RFC 7888 section 8. A number that no machine holds is the greatest that one does.
pub fn announced(line: &[u8]) -> Option<Announced> {
    let inner = line.strip_suffix(b"}")?;
    let (inner, waits) = match inner.strip_suffix(b"+") {
        Some(inner) => (inner, false),
        None => (inner, true),
    };
    let digits = inner.iter().rev().take_while(|octet| octet.is_ascii_digit()).count();
    let (before, digits) = inner.split_at_checked(inner.len().checked_sub(digits)?)?;
    if digits.is_empty() || before.last() != Some(&b'{') {
        return None;
    }
    let value =
        |sum: u64, digit: &u8| sum.saturating_mul(10).saturating_add(u64::from(digit.wrapping_sub(b'0')));
    Some(Announced { octets: digits.iter().fold(0, value), waits })
}

/// `ATOM-CHAR`: any 7-bit character but `( ) { SP CTL % * " \ ]`.
pub fn is_atom_char(octet: u8) -> bool {
    octet.is_ascii_graphic() && !b"(){%*\"\\]".contains(&octet)
}

/// `ASTRING-CHAR`: `ATOM-CHAR` or `]`.
pub fn is_astring_char(octet: u8) -> bool {
    is_atom_char(octet) || octet == b']'
}

/// What is left of a command or response.
#[derive(Clone, Debug)]
pub struct Tokens<'a> {
    rest: &'a [u8],
}

impl<'a> Tokens<'a> {
    /// At the first octet.
    pub fn new(octets: &'a [u8]) -> Tokens<'a> {
        Tokens { rest: octets }
    }

    /// What was not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next octet.
    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Takes the next octet if it is this one.
    pub fn take(&mut self, octet: u8) -> bool {
        let tail = self.rest.split_first().filter(|(first, _)| **first == octet);
        tail.map(|(_, tail)| self.rest = tail).is_some()
    }

    /// Takes the next octet, which must be this one.
    pub fn expect(&mut self, octet: u8, what: &'static str) -> Result<(), Bad> {
        self.take(octet).then_some(()).ok_or(Bad(what))
    }

    /// `SP`
    pub fn space(&mut self) -> Result<(), Bad> {
        self.expect(b' ', "a space")
    }

    /// Nothing is left.
    pub fn end(&self) -> Result<(), Bad> {
        self.rest.is_empty().then_some(()).ok_or(Bad("the end of the command"))
    }

    /// Takes octets as long as they are so, perhaps none.
    pub fn run(&mut self, is: impl Fn(u8) -> bool) -> &'a [u8] {
        let length = self.rest.iter().position(|&octet| !is(octet)).unwrap_or(self.rest.len());
        let (run, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, &[]));
        self.rest = rest;
        run
    }

    /// Takes one or more such octets of ASCII.
    fn word(&mut self, is: impl Fn(u8) -> bool, what: &'static str) -> Result<&'a str, Bad> {
        let run = self.run(|octet| octet.is_ascii() && is(octet));
        std::str::from_utf8(run).ok().filter(|word| !word.is_empty()).ok_or(Bad(what))
    }

    /// ```abnf
    /// atom = 1*ATOM-CHAR
    /// ```
    pub fn atom(&mut self) -> Result<&'a str, Bad> {
        self.word(is_atom_char, "an atom")
    }

    /// ```abnf
    /// tag = 1*<any ASTRING-CHAR except "+">
    /// ```
    pub fn tag(&mut self) -> Result<&'a str, Bad> {
        self.word(|octet| is_astring_char(octet) && octet != b'+', "a tag")
    }

    /// ```abnf
    /// number64 = 1*DIGIT
    /// ```
    /// RFC 9051 section 9.
    pub fn number64(&mut self) -> Result<u64, Bad> {
        self.word(|octet| octet.is_ascii_digit(), "a number")?.parse().map_err(|_| Bad("a smaller number"))
    }

    /// ```abnf
    /// number = 1*DIGIT
    /// ```
    pub fn number(&mut self) -> Result<u32, Bad> {
        u32::try_from(self.number64()?).map_err(|_| Bad("a smaller number"))
    }

    /// ```abnf
    /// nz-number = digit-nz *DIGIT
    /// ```
    /// Zeros in front are read over.
    pub fn nz_number(&mut self) -> Result<u32, Bad> {
        self.number()
            .and_then(|number| if number == 0 { Err(Bad("a number above zero")) } else { Ok(number) })
    }

    /// ```abnf
    /// quoted = DQUOTE *QUOTED-CHAR DQUOTE
    /// ```
    /// Octets beyond ASCII are let through, since servers send them; CR, LF and NUL are not.
    pub fn quoted(&mut self) -> Result<Cow<'a, [u8]>, Bad> {
        const WHAT: Bad = Bad("a quoted string");
        let inner = self.rest.strip_prefix(b"\"").ok_or(WHAT)?;
        let mut owned: Option<Vec<u8>> = None;
        let mut from = 0;
        loop {
            let piece = inner.get(from..).unwrap_or_default();
            let length = piece.iter().position(|octet| b"\"\\\r\n\0".contains(octet)).ok_or(WHAT)?;
            let (plain, tail) = piece.split_at_checked(length).ok_or(WHAT)?;
            match tail {
                [b'"', rest @ ..] => {
                    self.rest = rest;
                    return Ok(match owned {
                        None => Cow::Borrowed(plain),
                        Some(mut owned) => {
                            owned.extend_from_slice(plain);
                            Cow::Owned(owned)
                        }
                    });
                }
                [b'\\', octet @ (b'"' | b'\\'), ..] => {
                    let owned = owned.get_or_insert_default();
                    owned.extend_from_slice(plain);
                    owned.push(*octet);
                    from = from.saturating_add(length).saturating_add(2);
                }
                _ => return Err(WHAT),
            }
        }
    }

    /// ```abnf
    /// literal = "{" number64 ["+"] "}" CRLF *CHAR8
    /// ```
    pub fn literal(&mut self) -> Result<&'a [u8], Bad> {
        const WHAT: Bad = Bad("a literal");
        let line =
            memchr::memmem::find(self.rest, b"\r\n").and_then(|end| self.rest.get(..end)).ok_or(WHAT)?;
        let announced = self.rest.strip_prefix(b"{").and_then(|_| announced(line)).ok_or(WHAT)?;
        // No number but that of the announcement stands between the braces.
        if line.iter().filter(|&&octet| octet == b'{').count() != 1 {
            return Err(WHAT);
        }
        let length = usize::try_from(announced.octets).map_err(|_| WHAT)?;
        let behind = self.rest.get(line.len().saturating_add(2)..).ok_or(WHAT)?;
        let (literal, rest) = behind.split_at_checked(length).ok_or(WHAT)?;
        self.rest = rest;
        Ok(literal)
    }

    /// ```abnf
    /// string = quoted / literal
    /// ```
    pub fn string(&mut self) -> Result<Cow<'a, [u8]>, Bad> {
        match self.peek() {
            Some(b'"') => self.quoted(),
            Some(b'{') => self.literal().map(Cow::Borrowed),
            _ => Err(Bad("a string")),
        }
    }

    /// ```abnf
    /// astring = 1*ASTRING-CHAR / string
    /// ```
    pub fn astring(&mut self) -> Result<Cow<'a, [u8]>, Bad> {
        match self.peek() {
            Some(b'"' | b'{') => self.string(),
            _ => self.word(is_astring_char, "a word or a string").map(|word| Cow::Borrowed(word.as_bytes())),
        }
    }

    /// ```abnf
    /// nstring = string / nil
    /// ```
    pub fn nstring(&mut self) -> Result<Option<Cow<'a, [u8]>>, Bad> {
        match self.peek() {
            Some(b'"' | b'{') => self.string().map(Some),
            _ => match self.atom() {
                Ok(atom) if atom.eq_ignore_ascii_case("NIL") => Ok(None),
                _ => Err(Bad("a string or NIL")),
            },
        }
    }

    /// Takes this word, in any case, if it stands there whole.
    pub fn keyword(&mut self, word: &str) -> bool {
        let mut ahead = self.clone();
        let found = ahead.atom().is_ok_and(|atom| atom.eq_ignore_ascii_case(word));
        if found {
            *self = ahead;
        }
        found
    }

    /// ```abnf
    /// flag = "\" atom / atom
    /// ```
    pub fn flag(&mut self) -> Result<&'a str, Bad> {
        let all = self.rest;
        let system = self.take(b'\\');
        // `\*` is what PERMANENTFLAGS has.
        let name = if system && self.take(b'*') { "*" } else { self.word(is_atom_char, "a flag")? };
        let length = name.len().saturating_add(usize::from(system));
        all.get(..length).and_then(|flag| std::str::from_utf8(flag).ok()).ok_or(Bad("a flag"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_announces_a_literal_only_at_its_end() {
        let some = |octets, waits| Some(Announced { octets, waits });
        for (line, wanted) in [
            ("a LOGIN {5}", some(5, true)),
            ("{0}", some(0, true)),
            ("{12+}", some(12, false)),
            ("a {5} ", None),
            ("{5+", None),
            ("{}", None),
            ("{+}", None),
            ("{-1}", None),
            ("{5++}", None),
            ("x5}", None),
            ("{99999999999999999999999+}", some(u64::MAX, false)),
        ] {
            assert_eq!(announced(line.as_bytes()), wanted, "{line}");
        }
    }

    #[test]
    fn strings_are_read_in_each_spelling() {
        for (text, wanted, rest) in [
            ("abc def", Some("abc"), " def"),
            ("a]b)", Some("a]b"), ")"),
            ("\"\" x", Some(""), " x"),
            ("\"a b\"x", Some("a b"), "x"),
            (r#""a\"b\\c" d"#, Some(r#"a"b\c"#), " d"),
            ("{3}\r\na\r\n b", Some("a\r\n"), " b"),
            ("{3+}\r\nabc", Some("abc"), ""),
            ("{0}\r\n", Some(""), ""),
            ("\"\u{e9}\"", Some("\u{e9}"), ""),
            (r#""a\b""#, None, ""),
            ("\"abc", None, ""),
            ("\"a\r\nb\"", None, ""),
            ("{4}\r\nabc", None, ""),
            ("{3}abc", None, ""),
            ("{3}x{3}\r\nabc", None, ""),
            ("(a)", None, ""),
            ("", None, ""),
            ("\u{e9}", None, ""),
        ] {
            let mut tokens = Tokens::new(text.as_bytes());
            let read = tokens.astring().ok().map(|string| String::from_utf8(string.into_owned()).unwrap());
            assert_eq!(read.as_deref(), wanted, "{text:?}");
            if wanted.is_some() {
                assert_eq!(tokens.rest(), rest.as_bytes(), "{text:?}");
            }
        }
    }

    #[test]
    fn words_end_where_the_grammar_says() {
        let mut tokens = Tokens::new(b"a1.x LOGIN+ (\\Seen $Label \\*) nil NILS 00017 4294967296 0");
        assert_eq!(tokens.tag(), Ok("a1.x"));
        tokens.space().unwrap();
        assert_eq!(tokens.atom(), Ok("LOGIN+"));
        tokens.space().unwrap();
        assert!(tokens.take(b'(') && !tokens.take(b'('));
        for (flag, behind) in [("\\Seen", b' '), ("$Label", b' '), ("\\*", b')')] {
            assert_eq!(tokens.flag(), Ok(flag));
            assert!(tokens.take(behind));
        }
        tokens.space().unwrap();
        assert_eq!(tokens.nstring(), Ok(None));
        tokens.space().unwrap();
        assert!(!tokens.keyword("NIL") && tokens.keyword("nils"));
        tokens.space().unwrap();
        assert_eq!(tokens.number(), Ok(17));
        tokens.space().unwrap();
        assert_eq!(tokens.clone().number64(), Ok(4_294_967_296));
        assert!(tokens.number().is_err());
        tokens.space().unwrap();
        assert!(tokens.nz_number().is_err());
        assert!(tokens.end().is_ok() && Tokens::new(b"+").tag().is_err());
    }

    proptest! {
        #[test]
        fn no_octets_break_the_words(octets in proptest::collection::vec(any::<u8>(), 0..60)) {
            let mut tokens = Tokens::new(&octets);
            let _ = (tokens.clone().atom(), tokens.clone().flag(), tokens.clone().nstring(), tokens.clone().literal());
            let _ = tokens.astring();
            let _ = announced(&octets);
        }
    }
}
