//! Responses (RFC 3501 section 7), as far as a client that fetches must understand them. What it does not know is passed
//! over; what it knows must be well formed.

use super::{Listed, frame::Passed};
use crate::{
    mail::{
        flags::Flags,
        query::Uid,
        verdict::{Verdict, Why},
    },
    wire::{
        imap::{
            date,
            token::{Bad, Tokens},
        },
        mailbox::quoted,
    },
};
use std::time::SystemTime;

/// How deep lists may nest in what is passed over.
const DEPTH_MAX: usize = 32;
/// The most keywords of a message that are kept.
const KEYWORDS_MAX: usize = 64;

/// A response.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    /// `+`: go on.
    Continue,
    /// How a command ended: its tag.
    Tagged(String, Told),
    /// `* OK`, `* NO`, `* BAD`.
    Told(Told),
    /// `* BYE`.
    Bye(String),
    /// `* PREAUTH`.
    Preauth(Told),
    /// What the server can do.
    Capability(Offer),
    /// So many messages are in the folder.
    Exists(u32),
    /// This one is not any more, and those behind it count one less.
    Expunge(u32),
    /// A message, by parts.
    Fetch(Fetch),
    /// What a search found.
    Search(Vec<u32>),
    /// A folder.
    List(Listed),
    /// Anything else.
    Other,
}

/// A condition, its code, and what is said to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) word: Word,
    pub(super) code: Code,
    /// The whole, without tag, on one line.
    pub(super) text: String,
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Ok,
    No,
    Bad,
}

/// What stands in brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Code {
    None,
    Capability(Offer),
    UidValidity(u32),
    UidNext(Uid),
    /// Its first word, in upper case.
    Other(String),
}

/// What the server can do.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Offer {
    pub(super) starttls: bool,
    pub(super) login_disabled: bool,
    pub(super) plain: bool,
    pub(super) sasl_ir: bool,
    pub(super) uidplus: bool,
}

/// Parts of a message.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Fetch {
    /// Which one of the folder's messages it is now.
    pub(super) number: u32,
    pub(super) uid: Option<Uid>,
    pub(super) flags: Option<Flags>,
    pub(super) date: Option<SystemTime>,
    pub(super) size: Option<u64>,
    pub(super) body: Body,
}

/// What of a body stands in a response.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) enum Body {
    /// It was not spoken of.
    #[default]
    Unsaid,
    /// It was passed on before.
    Passed,
    /// NIL: the server can't give it.
    Nil,
    /// A quoted string: these octets.
    Here(Vec<u8>),
}

impl Told {
    /// What it means for a command that it answers; for a `NO` without a code that we know `bare` says it.
    pub(super) fn verdict(&self, server: &str, asked: &str, bare: fn(Why) -> Verdict) -> Verdict {
        let why = |subject, detail| {
            Why::new(subject, detail, format!("{server} said: {} (in answer to {asked})", self.text))
        };
        match (self.word, &self.code) {
            (Word::Ok, _) => Verdict::Done,
            (Word::Bad, _) => Verdict::Later(why(5, 0)),
            (Word::No, Code::Other(code)) => match code.as_str() {
                // RFC 5530 section 3.
                "UNAVAILABLE" | "INUSE" | "LIMIT" | "SERVERBUG" => Verdict::Later(why(3, 0)),
                "AUTHENTICATIONFAILED" | "AUTHORIZATIONFAILED" | "EXPIRED" | "PRIVACYREQUIRED" => {
                    Verdict::Never(why(7, 8))
                }
                _ => bare(why(7, 8)),
            },
            (Word::No, _) => bare(why(7, 8)),
        }
    }
}

impl Offer {
    /// ```abnf
    /// capability-data = "CAPABILITY" *(SP capability) SP "IMAP4rev1" *(SP capability)
    /// ```
    /// The words behind the first.
    fn read(words: &[u8]) -> Offer {
        let mut offer = Offer::default();
        for word in words.split(|octet| *octet == b' ') {
            match word.to_ascii_uppercase().as_slice() {
                b"STARTTLS" => offer.starttls = true,
                b"LOGINDISABLED" => offer.login_disabled = true,
                b"AUTH=PLAIN" => offer.plain = true,
                b"SASL-IR" => offer.sasl_ir = true,
                b"UIDPLUS" => offer.uidplus = true,
                // IMAP4rev2 has these in itself (RFC 9051 appendix E).
                b"IMAP4REV2" => (offer.sasl_ir, offer.uidplus) = (true, true),
                _ => {}
            }
        }
        offer
    }
}

impl Said {
    /// Reads a response, without its final CR LF.
    pub(super) fn read(response: &[u8], passed: Passed) -> Result<Said, Bad> {
        if response.first() == Some(&b'+') {
            return Ok(Said::Continue);
        }
        let mut tokens = Tokens::new(response);
        if !tokens.take(b'*') {
            let tag = tokens.tag()?.to_owned();
            tokens.space()?;
            return match told(&mut tokens) {
                Some((told, Kind::Condition)) => Ok(Said::Tagged(tag, told)),
                _ => Err(Bad("OK, NO or BAD behind the tag")),
            };
        }
        tokens.space()?;
        if let Some((told, kind)) = told(&mut tokens) {
            return Ok(match kind {
                Kind::Condition => Said::Told(told),
                Kind::Bye => Said::Bye(told.text),
                Kind::Preauth => Said::Preauth(told),
            });
        }
        if tokens.peek().is_some_and(|octet| octet.is_ascii_digit()) {
            let number = tokens.number()?;
            tokens.space()?;
            return match tokens.atom()?.to_ascii_uppercase().as_str() {
                "EXISTS" => Ok(Said::Exists(number)),
                "EXPUNGE" => Ok(Said::Expunge(number)),
                "FETCH" => {
                    tokens.space()?;
                    let fetch = fetch(&mut tokens, passed)?;
                    Ok(Said::Fetch(Fetch { number, ..fetch }))
                }
                _ => Ok(Said::Other),
            };
        }
        let word = tokens.atom()?.to_ascii_uppercase();
        match word.as_str() {
            "CAPABILITY" => Ok(Said::Capability(Offer::read(tokens.rest()))),
            "SEARCH" => search(&mut tokens).map(Said::Search),
            "LIST" => list(&mut tokens).map(Said::List),
            _ => Ok(Said::Other),
        }
    }
}

enum Kind {
    Condition,
    Bye,
    Preauth,
}

/// ```abnf
/// resp-cond-state = ("OK" / "NO" / "BAD") SP resp-text
/// resp-text       = ["[" resp-text-code "]" SP] text
/// ```
/// Servers leave the text out; so it may be missing. `None` when another word stands there; nothing is used up then.
fn told(tokens: &mut Tokens<'_>) -> Option<(Told, Kind)> {
    let rest = tokens.rest();
    let length = rest.iter().position(|octet| *octet == b' ').unwrap_or(rest.len());
    let (word, behind) = rest.split_at_checked(length)?;
    let (word, kind) = match word.to_ascii_uppercase().as_slice() {
        b"OK" => (Word::Ok, Kind::Condition),
        b"NO" => (Word::No, Kind::Condition),
        b"BAD" => (Word::Bad, Kind::Condition),
        b"BYE" => (Word::Bad, Kind::Bye),
        b"PREAUTH" => (Word::Ok, Kind::Preauth),
        _ => return None,
    };
    let text = quoted(rest);
    let code = behind.strip_prefix(b" [").and_then(|inner| inner.get(..memchr::memchr(b']', inner)?));
    let code = code.map_or(Code::None, |code| {
        let length = code.iter().position(|octet| *octet == b' ').unwrap_or(code.len());
        let (name, value) = code.split_at_checked(length).unwrap_or((code, b""));
        let value = value.trim_ascii();
        let number = || std::str::from_utf8(value).ok()?.parse::<u32>().ok().filter(|number| *number > 0);
        let name = String::from_utf8_lossy(name).to_ascii_uppercase();
        match (name.as_str(), number()) {
            ("CAPABILITY", _) => Code::Capability(Offer::read(value)),
            ("UIDVALIDITY", Some(number)) => Code::UidValidity(number),
            ("UIDNEXT", Some(number)) => Code::UidNext(number),
            _ => Code::Other(name),
        }
    });
    Some((Told { word, code, text }, kind))
}

/// ```abnf
/// msg-att = "(" (msg-att-dynamic / msg-att-static) *(SP (msg-att-dynamic / msg-att-static)) ")"
/// ```
fn fetch(tokens: &mut Tokens<'_>, passed: Passed) -> Result<Fetch, Bad> {
    let mut fetch = Fetch::default();
    tokens.expect(b'(', "a list of parts")?;
    while !tokens.take(b')') {
        tokens.run(|octet| octet == b' ');
        let name = item(tokens)?;
        tokens.space()?;
        match name.to_ascii_uppercase().as_slice() {
            b"UID" => fetch.uid = Some(tokens.nz_number()?),
            b"RFC822.SIZE" => fetch.size = Some(tokens.number64()?),
            b"FLAGS" => fetch.flags = Some(flags(tokens)?),
            // A date that can't be read is none.
            b"INTERNALDATE" => fetch.date = date::moment(&tokens.quoted()?).ok(),
            b"BODY[]" => {
                let body = tokens.nstring()?;
                fetch.body = match (body, passed) {
                    (_, _) if fetch.body != Body::Unsaid => return Err(Bad("one body")),
                    (_, Passed::Body) => Body::Passed,
                    (None, _) => Body::Nil,
                    (Some(octets), _) => Body::Here(octets.into_owned()),
                };
            }
            _ => skip(tokens)?,
        }
        if !matches!(tokens.peek(), Some(b' ' | b')')) {
            return Err(Bad("a space or the end of the list"));
        }
    }
    tokens.end()?;
    if passed == Passed::Body && fetch.body != Body::Passed {
        return Err(Bad("a body where its octets were"));
    }
    Ok(fetch)
}

/// The name of a part: an atom, perhaps with a section in brackets, in which anything but CR and LF may stand.
fn item<'a>(tokens: &mut Tokens<'a>) -> Result<&'a [u8], Bad> {
    let rest = tokens.rest();
    let name = tokens.run(|octet| octet.is_ascii_graphic() && !b"()[]{\"".contains(&octet)).len();
    let section = match tokens.peek() {
        Some(b'[') => tokens
            .run(|octet| octet != b']' && octet != b'\r')
            .len()
            .saturating_add(usize::from(tokens.take(b']'))),
        _ => 0,
    };
    let partial = tokens.run(|octet| octet.is_ascii_digit() || b"<>.".contains(&octet)).len();
    let length = name.saturating_add(section).saturating_add(partial);
    rest.get(..length).filter(|name| !name.is_empty()).ok_or(Bad("the name of a part"))
}

fn flags(tokens: &mut Tokens<'_>) -> Result<Flags, Bad> {
    let mut flags = Flags::default();
    tokens.expect(b'(', "a list of flags")?;
    while !tokens.take(b')') {
        tokens.run(|octet| octet == b' ');
        if tokens.take(b')') {
            break;
        }
        let name = tokens.flag()?;
        if flags.keywords.len() < KEYWORDS_MAX {
            // `\Recent` and what else begins so is nothing that can be set.
            let _ = flags.insert(name);
        }
    }
    Ok(flags)
}

/// Passes over a value: a word, a string, a list of any such.
fn skip(tokens: &mut Tokens<'_>) -> Result<(), Bad> {
    let mut depth = 0_usize;
    loop {
        match tokens.peek() {
            Some(b'(') if depth < DEPTH_MAX => {
                tokens.take(b'(');
                depth += 1;
            }
            Some(b'(') => return Err(Bad("lists that are not so deep")),
            Some(b')') if depth > 0 => {
                tokens.take(b')');
                depth -= 1;
            }
            Some(b' ') if depth > 0 => {
                tokens.take(b' ');
            }
            Some(b'"' | b'{') => {
                tokens.string()?;
            }
            Some(_) => {
                let word = tokens.run(|octet| octet.is_ascii_graphic() && !b"(){\"".contains(&octet));
                if word.is_empty() {
                    return Err(Bad("a value"));
                }
            }
            None => return Err(Bad("a value")),
        }
        if depth == 0 {
            return Ok(());
        }
    }
}

/// ```abnf
/// mailbox-data = "SEARCH" *(SP nz-number)
/// ```
/// CONDSTORE's `(MODSEQ N)` at its end is passed over.
fn search(tokens: &mut Tokens<'_>) -> Result<Vec<u32>, Bad> {
    let mut found = Vec::new();
    while tokens.take(b' ') {
        match tokens.peek() {
            Some(b'0'..=b'9') => found.push(tokens.nz_number()?),
            Some(b'(') => skip(tokens)?,
            _ => {}
        }
    }
    tokens.end()?;
    Ok(found)
}

/// ```abnf
/// mailbox-list = "(" [mbx-list-flags] ")" SP (DQUOTE QUOTED-CHAR DQUOTE / nil) SP mailbox
/// ```
fn list(tokens: &mut Tokens<'_>) -> Result<Listed, Bad> {
    tokens.space()?;
    tokens.expect(b'(', "a list of attributes")?;
    let mut listed = Listed { name: String::new(), separator: None, holds: true, view: false };
    while !tokens.take(b')') {
        tokens.run(|octet| octet == b' ');
        if tokens.take(b')') {
            break;
        }
        match tokens.flag()?.to_ascii_lowercase().as_str() {
            "\\noselect" | "\\nonexistent" => listed.holds = false,
            // RFC 6154 section 2: these show messages that lie elsewhere.
            "\\all" | "\\flagged" => listed.view = true,
            _ => {}
        }
    }
    tokens.space()?;
    listed.separator = match tokens.nstring()?.as_deref() {
        Some(&[separator]) if separator.is_ascii_graphic() => Some(char::from(separator)),
        Some(&[]) | None => None,
        Some(_) => return Err(Bad("one character as separator")),
    };
    tokens.space()?;
    let name = tokens.astring()?;
    let name = std::str::from_utf8(&name).ok().filter(|name| !name.chars().any(char::is_control));
    listed.name = name.ok_or(Bad("a folder's name"))?.to_owned();
    Ok(listed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    fn read(response: &str) -> Result<Said, Bad> {
        Said::read(response.as_bytes(), Passed::Nothing)
    }

    fn fetched(response: &str) -> Fetch {
        match read(response) {
            Ok(Said::Fetch(fetch)) => fetch,
            other => panic!("{response}: {other:?}"),
        }
    }

    #[test]
    fn parts_of_a_message_are_read_in_any_order() {
        let seen = Flags { seen: true, keywords: ["Work".to_owned()].into(), ..Flags::default() };
        let date = UNIX_EPOCH.checked_add(Duration::from_secs(880_127_706));
        let all = Fetch {
            number: 12,
            uid: Some(5),
            flags: Some(seen),
            date,
            size: Some(44827),
            body: Body::Unsaid,
        };
        for response in [
            r#"* 12 FETCH (UID 5 FLAGS (\Seen Work \Recent) INTERNALDATE "21-Nov-1997 09:55:06 -0600" RFC822.SIZE 44827)"#,
            r#"* 12 fetch (rfc822.size 44827 internaldate "21-Nov-1997 09:55:06 -0600" flags (work \SEEN) uid 5)"#,
            r#"* 12 FETCH (ENVELOPE ("d" NIL ((NIL NIL "a" "b)")) {2}
x)) X-GM (1 (2 3)) UID 5 MODSEQ (17) BODY[HEADER.FIELDS ("X Y")]<0> NIL FLAGS (\Seen Work) INTERNALDATE "21-Nov-1997 09:55:06 -0600" RFC822.SIZE 44827)"#,
        ] {
            let response = response.replace('\n', "\r\n");
            let mut fetch = fetched(&response);
            if let Some(flags) = &mut fetch.flags {
                flags.keywords = flags.keywords.iter().map(|word| word.replace("work", "Work")).collect();
            }
            assert_eq!(fetch, all, "{response}");
        }
        assert_eq!(fetched("* 1 FETCH (BODY[] NIL UID 5)").body, Body::Nil);
        assert_eq!(read("* 3 EXPUNGE"), Ok(Said::Expunge(3)));
        assert_eq!(fetched(r#"* 1 FETCH (BODY[] "a\"b" UID 5)"#).body, Body::Here(b"a\"b".to_vec()));
        assert_eq!(fetched("* 1 FETCH ()"), Fetch { number: 1, ..Fetch::default() });
        assert_eq!(fetched(r#"* 1 FETCH (INTERNALDATE "yesterday" UID 5)"#).date, None);
        let passed = Said::read(b"* 1 FETCH (BODY[] {0}\r\n UID 5)", Passed::Body);
        assert!(matches!(passed, Ok(Said::Fetch(Fetch { body: Body::Passed, uid: Some(5), .. }))));
        assert!(Said::read(b"* 1 FETCH (UID 5)", Passed::Body).is_err());
    }

    #[test]
    fn what_is_malformed_is_refused() {
        let deep = format!("* 1 FETCH (X {}1{})", "(".repeat(40), ")".repeat(40));
        for response in [
            "",
            "*",
            "* ",
            "hello",
            "a",
            "a FETCH",
            "* 1 FETCH",
            "* 1 FETCH (UID)",
            "* 1 FETCH (UID 0)",
            "* 1 FETCH (UID 4294967296)",
            "* 1 FETCH (UID 5",
            "* 1 FETCH (UID 5) x",
            "* 1 FETCH (UID 5FLAGS ())",
            "* 1 FETCH (FLAGS (\\Seen)",
            "* 1 FETCH (BODY[] {5}\r\nabc)",
            "* 1 FETCH (BODY[] \"a\" BODY[] \"b\")",
            "* 99999999999 EXISTS",
            "* SEARCH 1 x",
            "* SEARCH 0",
            "* LIST () \"//\" a",
            "* LIST (\\Noselect \".\" a",
            "* LIST () \".\" \"a\u{7}\"",
            &deep,
        ] {
            assert!(read(response).is_err(), "{response}: {:?}", read(response));
        }
    }

    #[test]
    fn conditions_have_codes_and_words_for_people() {
        for (response, code) in [
            ("* OK [UIDVALIDITY 3857529045] UIDs valid", Code::UidValidity(3_857_529_045)),
            ("* ok [uidnext 4392] next", Code::UidNext(4392)),
            ("* OK [UIDNEXT 0] none", Code::Other("UIDNEXT".into())),
            ("* OK", Code::None),
            ("* OK [ALERT", Code::None),
            ("* NO [UNAVAILABLE] later", Code::Other("UNAVAILABLE".into())),
        ] {
            match read(response) {
                Ok(Said::Told(told)) => assert_eq!(told.code, code, "{response}"),
                other => panic!("{response}: {other:?}"),
            }
        }
        let offer = Offer { starttls: true, plain: true, ..Offer::default() };
        let greeting = read("* OK [CAPABILITY IMAP4rev1 STARTTLS auth=plain XAUTH=PLAIN] hi");
        assert!(matches!(greeting, Ok(Said::Told(told)) if told.code == Code::Capability(offer.clone())));
        assert_eq!(read("* CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN"), Ok(Said::Capability(offer)));
        assert!(matches!(read("a1 OK done"), Ok(Said::Tagged(tag, _)) if tag == "a1"));
        assert!(matches!(read("* BYE \u{1b}[2J"), Ok(Said::Bye(text)) if !text.contains('\u{1b}')));
        for other in [
            "* 3 RECENT",
            "* FLAGS (\\Seen)",
            "* STATUS x (MESSAGES 1)",
            "* ESEARCH (TAG \"x\")",
            "* 1 RECENT",
        ] {
            assert_eq!(read(other), Ok(Said::Other), "{other}");
        }
    }

    #[test]
    fn folders_and_searches_are_read() {
        let listed = |name: &str, separator, holds, view| {
            Ok(Said::List(Listed { name: name.to_owned(), separator, holds, view }))
        };
        for (response, wanted) in [
            ("* LIST (\\HasNoChildren) \".\" INBOX", listed("INBOX", Some('.'), true, false)),
            ("* LIST () \"/\" \"a b\"", listed("a b", Some('/'), true, false)),
            ("* LIST (\\Noselect) NIL {3}\r\nabc", listed("abc", None, false, false)),
            (
                "* LIST (\\All \\HasNoChildren) \"/\" \"[Gmail]/All\"",
                listed("[Gmail]/All", Some('/'), true, true),
            ),
            ("* LIST (\\Noselect) \"\\\\\" \"\"", listed("", Some('\\'), false, false)),
        ] {
            assert_eq!(read(response), wanted, "{response}");
        }
        assert_eq!(read("* SEARCH"), Ok(Said::Search(vec![])));
        assert_eq!(read("* SEARCH 2 84 882 (MODSEQ 917162500)"), Ok(Said::Search(vec![2, 84, 882])));
    }
}
