//! Mail addresses as SMTP speaks of them (RFC 5321 section 4.1.2), and with SMTPUTF8 (RFC 6531 section 3.3), read strictly; and
//! a lenient reader for the command line. `%` and `!` are letters like any other: a local part is never taken apart here.

use super::verdict::Why;
use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    str::FromStr,
};

/// The most octets of a local part, as written. RFC 5321 section 4.5.3.1 wants at least 64, and no limit where that is
/// possible: the senders of mailing lists and forwarders (VERP, SRS) are often longer.
pub const LOCAL_MAX: usize = 255;
/// The most octets of a domain (RFC 5321 section 4.5.3.1.2).
pub const DOMAIN_MAX: usize = 255;
/// The most octets between two dots of a domain (RFC 1035 section 2.3.4).
pub const LABEL_MAX: usize = 63;

/// What is wrong with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// It does not follow the grammar.
    Syntax,
    /// It has no `@domain`.
    NoDomain,
    /// It begins with a source route (`@relay:`), which nobody needs any more (RFC 5321 appendix C).
    SourceRoute,
    /// It holds octets beyond ASCII, which need SMTPUTF8 (RFC 6531).
    NonAscii,
    /// The local part is over [`LOCAL_MAX`].
    LocalTooLong,
    /// The domain is over [`DOMAIN_MAX`] or a label over [`LABEL_MAX`].
    DomainTooLong,
    /// What stands in `[]` is no IPv4 address and no `IPv6:` address.
    BadLiteral,
}

impl Fault {
    /// As the reason to refuse a sender: x.1.7, or x.6.7 where SMTPUTF8 would be needed (RFC 6531 section 3.7.4.2).
    pub fn of_sender(self) -> Why {
        self.why(7)
    }

    /// As the reason to refuse a recipient: x.1.3, or x.6.7 where SMTPUTF8 would be needed.
    pub fn of_recipient(self) -> Why {
        self.why(3)
    }

    fn why(self, detail: u16) -> Why {
        match self {
            Fault::NonAscii => Why::new(6, 7, self.to_string()),
            _ => Why::new(1, detail, self.to_string()),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Syntax => "bad address syntax",
            Fault::NoDomain => "the address has no domain",
            Fault::SourceRoute => "source routes are not accepted",
            Fault::NonAscii => "non-ASCII addresses need SMTPUTF8",
            Fault::LocalTooLong => "the local part is longer than 255 octets",
            Fault::DomainTooLong => "the domain is longer than 255 octets, or a label longer than 63",
            Fault::BadLiteral => "bad address literal",
        })
    }
}

impl std::error::Error for Fault {}

/// What stands behind the `@`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Domain {
    /// A host name in lower case, without a final dot.
    Name(String),
    /// An address literal, `[192.0.2.1]` or `[IPv6:2001:db8::1]`.
    Literal(IpAddr),
}

impl Domain {
    /// The same, where a name may hold U-labels (RFC 6531 section 3.3, RFC 5890): it is kept as the A-labels that stand
    /// for them, so that a domain has one spelling here, the one that the DNS knows.
    pub fn parse_utf8(text: &[u8]) -> Result<Domain, Fault> {
        if text.is_ascii() {
            return Domain::parse(text);
        }
        // A letter of a label takes at most 4 octets.
        if text.len() > 4 * DOMAIN_MAX {
            return Err(Fault::DomainTooLong);
        }
        let (deny, hyphens, length) = (AsciiDenyList::STD3, Hyphens::Check, DnsLength::Verify);
        let ascii = Uts46::new().to_ascii(text, deny, hyphens, length).map_err(|_| Fault::Syntax)?;
        match Domain::parse(ascii.as_bytes())? {
            name @ Domain::Name(_) => Ok(name),
            Domain::Literal(_) => Err(Fault::BadLiteral),
        }
    }

    /// Reads `Domain / address-literal`, the whole of `text`. A final dot is refused, since the grammar has none.
    pub fn parse(text: &[u8]) -> Result<Domain, Fault> {
        if !text.is_ascii() {
            return Err(Fault::NonAscii);
        }
        if let Some(inner) = text.strip_prefix(b"[") {
            let inner = inner.strip_suffix(b"]").ok_or(Fault::BadLiteral)?;
            return literal(inner).map(Domain::Literal).ok_or(Fault::BadLiteral);
        }
        if text.len() > DOMAIN_MAX {
            return Err(Fault::DomainTooLong);
        }
        for label in text.split(|&octet| octet == b'.') {
            if label.len() > LABEL_MAX {
                return Err(Fault::DomainTooLong);
            }
            let ends = [label.first(), label.last()];
            let inside = |&octet: &u8| octet.is_ascii_alphanumeric() || octet == b'-';
            if !label.iter().all(inside) || ends.iter().any(|end| end.is_none_or(|&octet| octet == b'-')) {
                return Err(Fault::Syntax);
            }
        }
        Ok(Domain::Name(text.iter().map(|octet| octet.to_ascii_lowercase() as char).collect()))
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Domain::Name(name) => f.write_str(name),
            Domain::Literal(IpAddr::V4(address)) => write!(f, "[{address}]"),
            Domain::Literal(IpAddr::V6(address)) => write!(f, "[IPv6:{address}]"),
        }
    }
}

impl FromStr for Domain {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Domain, Fault> {
        Domain::parse(text.as_bytes())
    }
}

/// `Mailbox = Local-part "@" ( Domain / address-literal )` (RFC 5321 section 4.1.2). The local part is kept
/// unquoted and in its own case; [`fmt::Display`] quotes it again where it must.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mailbox {
    /// The local part's meaning, without quotes and backslashes.
    pub local: String,
    /// The domain or address literal.
    pub domain: Domain,
}

impl Mailbox {
    /// Reads a mailbox, the whole of `text`, by the letter of RFC 5321.
    pub fn parse(text: &[u8]) -> Result<Mailbox, Fault> {
        if !text.is_ascii() {
            return Err(Fault::NonAscii);
        }
        Mailbox::parse_utf8(text)
    }

    /// The same by the letter of RFC 6531 section 3.3: letters beyond ASCII in the local part, U-labels in the domain.
    /// Control characters are none, whatever their code.
    pub fn parse_utf8(text: &[u8]) -> Result<Mailbox, Fault> {
        if text.first() == Some(&b'@') {
            return Err(if text.contains(&b':') { Fault::SourceRoute } else { Fault::Syntax });
        }
        let (local, rest) = local_part(text)?;
        match rest {
            [] => Err(Fault::NoDomain),
            [b'@', domain @ ..] => Ok(Mailbox { local, domain: Domain::parse_utf8(domain)? }),
            _ => Err(Fault::Syntax),
        }
    }

    /// Reads what people and scripts write on a command line or in a file of addresses: space around and a pair of `<>` are
    /// dropped, an address without a domain gets `default`, a final dot of the domain is dropped, and dots in
    /// the local part may stand anywhere (it is then quoted when written). The bounds of [`Mailbox::parse`] hold.
    pub fn lenient(text: &str, default: &Domain) -> Result<Mailbox, Fault> {
        let text = text.trim();
        let text = text.strip_prefix('<').and_then(|inner| inner.strip_suffix('>')).unwrap_or(text).trim();
        if !text.is_ascii() {
            return Err(Fault::NonAscii);
        }
        let octets = text.as_bytes();
        if octets.first() == Some(&b'"') {
            let (local, rest) = local_part(octets)?;
            return match rest {
                [] => Ok(Mailbox { local, domain: default.clone() }),
                [b'@', domain @ ..] => Ok(Mailbox { local, domain: lenient_domain(domain)? }),
                _ => Err(Fault::Syntax),
            };
        }
        let (local, domain) = match text.rsplit_once('@') {
            Some((local, domain)) => (local, lenient_domain(domain.as_bytes())?),
            None => (text, default.clone()),
        };
        if local.starts_with('@') {
            return Err(Fault::SourceRoute);
        }
        if local.is_empty() || !local.bytes().all(|octet| is_atext(octet) || octet == b'.') {
            return Err(Fault::Syntax);
        }
        // With dots in odd places it is written in quotes, which count.
        let quotes = if is_dot_string(local.as_bytes()) { 0 } else { 2 };
        if local.len().saturating_add(quotes) > LOCAL_MAX {
            return Err(Fault::LocalTooLong);
        }
        Ok(Mailbox { local: local.to_owned(), domain })
    }

    /// True when a server without SMTPUTF8 can be told of it. (Domains are always ASCII here.)
    pub fn is_ascii(&self) -> bool {
        self.local.is_ascii()
    }

    /// What two spellings of a mailbox have in common where local parts are compared without case: the address in
    /// lower case. Only whoever owns the domain may compare so (RFC 5321 section 2.4).
    pub fn key(&self) -> String {
        self.to_string().to_ascii_lowercase()
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_dot_string(self.local.as_bytes()) {
            f.write_str(&self.local)?;
        } else {
            f.write_str("\"")?;
            for letter in self.local.chars() {
                if matches!(letter, '"' | '\\') {
                    f.write_str("\\")?;
                }
                write!(f, "{letter}")?;
            }
            f.write_str("\"")?;
        }
        write!(f, "@{}", self.domain)
    }
}

impl FromStr for Mailbox {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Mailbox, Fault> {
        Mailbox::parse(text.as_bytes())
    }
}

/// Whom RCPT names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Forward {
    /// A mailbox.
    Mailbox(Mailbox),
    /// `<Postmaster>` without a domain, in any case: whoever looks after this host.
    Postmaster,
}

/// `Reverse-path = Path / "<>"` at the head of `input`: the sender (`None` for `<>`) and what follows the `>`. With
/// `utf8` by RFC 6531 section 3.3.
pub fn reverse_path(input: &[u8], utf8: bool) -> Result<(Option<Mailbox>, &[u8]), Fault> {
    let (inner, rest) = path(input)?;
    if inner.is_empty() {
        return Ok((None, rest));
    }
    Ok((Some(mailbox(inner, utf8)?), rest))
}

/// `"<Postmaster>" / Forward-path` at the head of `input`: the recipient and what follows the `>`. With
/// `utf8` by RFC 6531 section 3.3.
pub fn forward_path(input: &[u8], utf8: bool) -> Result<(Forward, &[u8]), Fault> {
    let (inner, rest) = path(input)?;
    if inner.eq_ignore_ascii_case(b"postmaster") {
        return Ok((Forward::Postmaster, rest));
    }
    Ok((Forward::Mailbox(mailbox(inner, utf8)?), rest))
}

fn mailbox(text: &[u8], utf8: bool) -> Result<Mailbox, Fault> {
    if utf8 { Mailbox::parse_utf8(text) } else { Mailbox::parse(text) }
}

/// What stands between `<` and the first `>` outside quotes, and what follows.
fn path(input: &[u8]) -> Result<(&[u8], &[u8]), Fault> {
    let inner = input.strip_prefix(b"<").ok_or(Fault::Syntax)?;
    let (mut quoted, mut escaped) = (false, false);
    for (at, &octet) in inner.iter().enumerate() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b'>' if !quoted => {
                let (inner, rest) = inner.split_at_checked(at).ok_or(Fault::Syntax)?;
                return Ok((inner, rest.get(1..).unwrap_or_default()));
            }
            _ => {}
        }
    }
    Err(Fault::Syntax)
}

/// `Local-part = Dot-string / Quoted-string` at the head of `text`: its meaning and what follows.
fn local_part(text: &[u8]) -> Result<(String, &[u8]), Fault> {
    let Some(inner) = text.strip_prefix(b"\"") else {
        let length = text.iter().position(|&octet| octet == b'@').unwrap_or(text.len());
        let (local, rest) = text.split_at_checked(length).ok_or(Fault::Syntax)?;
        if !is_dot_string(local) {
            return Err(Fault::Syntax);
        }
        if local.len() > LOCAL_MAX {
            return Err(Fault::LocalTooLong);
        }
        return Ok((letters(local.to_vec())?, rest));
    };
    let mut local = Vec::new();
    let mut octets = inner.iter().enumerate();
    while let Some((at, &octet)) = octets.next() {
        let meant = match octet {
            b'"' => {
                // The written form counts: two quotes and `at` octets between them.
                if at.saturating_add(2) > LOCAL_MAX {
                    return Err(Fault::LocalTooLong);
                }
                return Ok((letters(local)?, inner.get(at.saturating_add(1)..).unwrap_or_default()));
            }
            b'\\' => octets.next().map_or(0, |(_, &next)| next),
            other => other,
        };
        if !matches!(meant, b' '..=b'~' | 0x80..) {
            return Err(Fault::Syntax);
        }
        local.push(meant);
    }
    Err(Fault::Syntax)
}

/// What is written so, if it is UTF-8 (RFC 3629) without control characters.
fn letters(octets: Vec<u8>) -> Result<String, Fault> {
    let text = String::from_utf8(octets).map_err(|_| Fault::Syntax)?;
    if text.chars().any(char::is_control) { Err(Fault::Syntax) } else { Ok(text) }
}

/// `Dot-string = Atom *("." Atom)`, where `atext` may be `UTF8-non-ascii` too (RFC 6531 section 3.3).
fn is_dot_string(text: &[u8]) -> bool {
    text.split(|&octet| octet == b'.')
        .all(|atom| !atom.is_empty() && atom.iter().all(|&octet| is_atext(octet) || octet >= 0x80))
}

/// `atext` (RFC 5322 section 3.2.3): what an atom is made of.
pub(crate) fn is_atext(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&octet)
}

fn lenient_domain(text: &[u8]) -> Result<Domain, Fault> {
    Domain::parse(text.strip_suffix(b".").unwrap_or(text))
}

/// What stands in `[]`: `IPv4-address-literal / IPv6-address-literal` (RFC 5321 section 4.1.3). No other tag is registered.
fn literal(text: &[u8]) -> Option<IpAddr> {
    if text.get(..5).is_some_and(|tag| tag.eq_ignore_ascii_case(b"IPv6:")) {
        let address = std::str::from_utf8(text.get(5..)?).ok()?;
        return address.parse().ok().map(IpAddr::V6);
    }
    let mut parts = text.split(|&octet| octet == b'.');
    let mut octets = [0_u8; 4];
    for octet in &mut octets {
        // Snum = 1*3DIGIT: leading zeros are legal, and decimal.
        let digits = parts.next().filter(|digits| matches!(digits.len(), 1..=3))?;
        let value = digits.iter().try_fold(0_u16, |sum, &digit| {
            digit.is_ascii_digit().then(|| sum.saturating_mul(10).saturating_add(u16::from(digit - b'0')))
        })?;
        *octet = u8::try_from(value).ok()?;
    }
    parts.next().is_none().then(|| IpAddr::V4(Ipv4Addr::from(octets)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mailbox(local: &str, domain: &str) -> Mailbox {
        Mailbox { local: local.to_owned(), domain: domain.parse().unwrap() }
    }

    #[test]
    fn mailboxes_are_read_by_the_letter_of_rfc_5321() {
        for (text, local, domain) in [
            ("joe@example.org", "joe", "example.org"),
            ("Joe.Q+tag@EXAMPLE.Org", "Joe.Q+tag", "example.org"),
            ("\"joe\"@example.org", "joe", "example.org"),
            (r#""a b\"c\\d"@example.org"#, r#"a b"c\d"#, "example.org"),
            (r#""j\oe"@example.org"#, "joe", "example.org"),
            ("\"a@b\"@example.org", "a@b", "example.org"),
            ("\"\"@example.org", "", "example.org"),
            ("\"a>b\"@example.org", "a>b", "example.org"),
            ("user%other.example@example.org", "user%other.example", "example.org"),
            ("other.example!user@example.org", "other.example!user", "example.org"),
            ("joe@[192.0.2.1]", "joe", "[192.0.2.1]"),
            ("joe@[192.000.002.001]", "joe", "[192.0.2.1]"),
            ("joe@[IPv6:2001:db8::1]", "joe", "[IPv6:2001:db8::1]"),
            ("joe@[ipv6:::ffff:192.0.2.1]", "joe", "[IPv6:::ffff:192.0.2.1]"),
            ("joe@localhost", "joe", "localhost"),
            ("joe@xn--bcher-kva.example", "joe", "xn--bcher-kva.example"),
        ] {
            assert_eq!(Mailbox::parse(text.as_bytes()), Ok(mailbox(local, domain)), "{text}");
        }
    }

    #[test]
    fn each_fault_has_its_name() {
        let long_local = format!("{}@example.org", "a".repeat(256));
        let long_quoted = format!("\"{}\"@example.org", "a".repeat(254));
        let long_label = format!("joe@{}.org", "a".repeat(64));
        let long_domain = format!("joe@{}a", "abc.".repeat(64));
        for (text, fault) in [
            ("", Fault::Syntax),
            ("joe", Fault::NoDomain),
            ("\"joe\"", Fault::NoDomain),
            ("@a,@b:joe@example.org", Fault::SourceRoute),
            ("@a:joe@example.org", Fault::SourceRoute),
            ("@example.org", Fault::Syntax),
            ("jo\u{e9}@example.org", Fault::NonAscii),
            ("joe@ex\u{e4}mple.org", Fault::NonAscii),
            (&long_local, Fault::LocalTooLong),
            (&long_quoted, Fault::LocalTooLong),
            (&long_label, Fault::DomainTooLong),
            (&long_domain, Fault::DomainTooLong),
            ("joe@[192.0.2]", Fault::BadLiteral),
            ("joe@[192.0.2.256]", Fault::BadLiteral),
            ("joe@[192.0.2.1.1]", Fault::BadLiteral),
            ("joe@[192.0.2.1", Fault::BadLiteral),
            ("joe@[192.0.2.1]x", Fault::BadLiteral),
            ("joe@[2001:db8::1]", Fault::BadLiteral),
            ("joe@[IPv6:fe80::1%eth0]", Fault::BadLiteral),
            ("joe@[tag:content]", Fault::BadLiteral),
            ("joe@", Fault::Syntax),
            ("joe@example.org.", Fault::Syntax),
            ("joe@.example.org", Fault::Syntax),
            ("joe@exa..mple.org", Fault::Syntax),
            ("joe@-example.org", Fault::Syntax),
            ("joe@example-.org", Fault::Syntax),
            ("joe@exa_mple.org", Fault::Syntax),
            ("joe@exam ple.org", Fault::Syntax),
            ("joe@a@example.org", Fault::Syntax),
            ("jo e@example.org", Fault::Syntax),
            (".joe@example.org", Fault::Syntax),
            ("joe.@example.org", Fault::Syntax),
            ("j..oe@example.org", Fault::Syntax),
            ("\"joe@example.org", Fault::Syntax),
            ("\"joe\"x@example.org", Fault::Syntax),
            ("\"jo\"e\"@example.org", Fault::Syntax),
            ("\"jo\te\"@example.org", Fault::Syntax),
            ("\"jo\\\0e\"@example.org", Fault::Syntax),
            ("joe(comment)@example.org", Fault::Syntax),
            ("joe\r\n@example.org", Fault::Syntax),
            ("joe@example.org\r\n", Fault::Syntax),
        ] {
            assert_eq!(Mailbox::parse(text.as_bytes()), Err(fault), "{text:?}");
        }
    }

    #[test]
    fn with_smtputf8_letters_beyond_ascii_are_letters_and_a_domain_has_one_spelling() {
        for (text, local, domain) in [
            ("j\u{f6}@example.org", "j\u{f6}", "example.org"),
            ("\u{7528}.\u{6237}@example.org", "\u{7528}.\u{6237}", "example.org"),
            ("\"\u{7528} \\\u{6237}\"@example.org", "\u{7528} \u{6237}", "example.org"),
            ("joe@b\u{fc}cher.example", "joe", "xn--bcher-kva.example"),
            ("joe@B\u{dc}CHER.Example", "joe", "xn--bcher-kva.example"),
            ("joe@\u{4f8b}\u{5b50}.\u{5e7f}\u{544a}", "joe", "xn--fsqu00a.xn--4rr70v"),
            ("joe@[192.0.2.1]", "joe", "[192.0.2.1]"),
        ] {
            let it = Mailbox::parse_utf8(text.as_bytes());
            assert_eq!(it, Ok(mailbox(local, domain)), "{text}");
            let it = it.unwrap();
            assert_eq!(Mailbox::parse_utf8(it.to_string().as_bytes()), Ok(it.clone()), "{text}");
            assert_eq!(it.is_ascii(), local.is_ascii());
            let strict = Mailbox::parse(text.as_bytes());
            assert_eq!(strict.is_ok(), text.is_ascii(), "{text}");
        }
        let long_local = format!("{}@example.org", "\u{f6}".repeat(128));
        let long_domain = format!("joe@{}", "\u{f6}".repeat(600));
        let long_label = format!("joe@{}.example", "\u{4f8b}".repeat(60));
        for (text, fault) in [
            (long_local.as_bytes(), Fault::LocalTooLong),
            (long_domain.as_bytes(), Fault::DomainTooLong),
            (long_label.as_bytes(), Fault::Syntax),
            (b"j\xf6@example.org".as_slice(), Fault::Syntax),
            (b"joe@\xff.example", Fault::Syntax),
            ("j\u{85}@example.org".as_bytes(), Fault::Syntax),
            ("\"j\u{9f}\"@example.org".as_bytes(), Fault::Syntax),
            ("joe@\u{2029}.example".as_bytes(), Fault::Syntax),
            ("joe@-\u{f6}.example".as_bytes(), Fault::Syntax),
            ("joe@\u{f6}..example".as_bytes(), Fault::Syntax),
            ("joe@\u{f6}.example.".as_bytes(), Fault::Syntax),
            ("joe@\u{f6}_.example".as_bytes(), Fault::Syntax),
            ("joe@[\u{f6}]".as_bytes(), Fault::Syntax),
            ("@\u{f6}:joe@example.org".as_bytes(), Fault::SourceRoute),
            ("j\u{f6}".as_bytes(), Fault::NoDomain),
        ] {
            assert_eq!(Mailbox::parse_utf8(text), Err(fault), "{:?}", text.escape_ascii().to_string());
        }
    }

    #[test]
    fn what_is_written_reads_back_as_the_same_mailbox() {
        for (local, written) in [
            ("joe", "joe@example.org"),
            ("", "\"\"@example.org"),
            ("a b", "\"a b\"@example.org"),
            ("a..b", "\"a..b\"@example.org"),
            (r#"a"\b"#, r#""a\"\\b"@example.org"#),
            ("a@b", "\"a@b\"@example.org"),
        ] {
            let it = mailbox(local, "example.org");
            assert_eq!(it.to_string(), written);
            assert_eq!(written.parse(), Ok(it));
        }
    }

    #[test]
    fn the_bounds_themselves_are_allowed() {
        let local = "a".repeat(255);
        assert!(Mailbox::parse(format!("{local}@example.org").as_bytes()).is_ok());
        assert!(Mailbox::parse(format!("\"{}\"@example.org", "a".repeat(253)).as_bytes()).is_ok());
        assert!(Domain::parse("a".repeat(63).as_bytes()).is_ok());
        assert!(Domain::parse(format!("{}abc", "abc.".repeat(63)).as_bytes()).is_ok());
    }

    #[test]
    fn paths_end_at_the_first_bracket_outside_quotes() {
        let joe = || mailbox("joe", "example.org");
        assert_eq!(
            reverse_path(b"<joe@example.org> SIZE=1", false),
            Ok((Some(joe()), b" SIZE=1".as_slice()))
        );
        assert_eq!(reverse_path(b"<>", false), Ok((None, b"".as_slice())));
        let (angle, rest) = reverse_path(br#"<"a>\" b"@example.org>x"#, false).unwrap();
        assert_eq!((angle, rest), (Some(mailbox("a>\" b", "example.org")), b"x".as_slice()));
        assert_eq!(forward_path(b"<joe@example.org>", false), Ok((Forward::Mailbox(joe()), b"".as_slice())));
        for spelling in ["<postmaster>", "<Postmaster>", "<POSTMASTER>"] {
            assert_eq!(forward_path(spelling.as_bytes(), false), Ok((Forward::Postmaster, b"".as_slice())));
        }
        for (text, fault) in [
            ("<>", Fault::Syntax),
            ("joe@example.org", Fault::Syntax),
            ("<joe@example.org", Fault::Syntax),
            ("< joe@example.org>", Fault::Syntax),
            ("<joe@example.org >", Fault::Syntax),
            ("<<joe@example.org>>", Fault::Syntax),
            ("<joe>", Fault::NoDomain),
            ("<\"postmaster\">", Fault::NoDomain),
            ("<@a:joe@example.org>", Fault::SourceRoute),
            ("<jo\u{e9}@example.org>", Fault::NonAscii),
        ] {
            assert_eq!(forward_path(text.as_bytes(), false), Err(fault), "{text}");
        }
        assert_eq!(reverse_path(b"<postmaster>", false), Err(Fault::NoDomain));
    }

    #[test]
    fn people_may_leave_out_what_is_clear() {
        let here: Domain = "host.example".parse().unwrap();
        for (text, local, domain) in [
            ("root", "root", "host.example"),
            (" <joe@Example.org.> ", "joe", "example.org"),
            ("a..b.@example.org", "a..b.", "example.org"),
            ("\"a b\"", "a b", "host.example"),
            ("\"a b\"@example.org.", "a b", "example.org"),
            ("joe@[192.0.2.1]", "joe", "[192.0.2.1]"),
        ] {
            assert_eq!(Mailbox::lenient(text, &here), Ok(mailbox(local, domain)), "{text}");
        }
        let long = format!("{}..", "a".repeat(LOCAL_MAX - 3));
        for (text, fault) in [
            (long.as_str(), Fault::LocalTooLong),
            ("", Fault::Syntax),
            ("<>", Fault::Syntax),
            ("@example.org", Fault::Syntax),
            ("a b@example.org", Fault::Syntax),
            ("a@b@example.org", Fault::Syntax),
            ("joe\n@example.org", Fault::Syntax),
            ("@a:joe@example.org", Fault::SourceRoute),
            ("jo\u{e9}", Fault::NonAscii),
        ] {
            assert_eq!(Mailbox::lenient(text, &here), Err(fault), "{text:?}");
        }
    }

    #[test]
    fn keys_differ_only_where_the_mailbox_does() {
        assert_eq!(mailbox("Joe", "example.org").key(), "joe@example.org");
        assert_eq!(mailbox("JOE X", "example.org").key(), "\"joe x\"@example.org");
    }
}
