//! Address lists, as From, To and Cc hold them (RFC 5322 section 3.4, obsolete syntax included). Reading them is
//! never an error and one pass; whether an address can be sent to is asked of each one.

use super::lex;
use crate::mail::{
    address::{DOMAIN_MAX, Domain, Fault, LOCAL_MAX, Mailbox},
    words,
};

/// One element of an address list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// An address, within a group or not.
    Address(Address),
    /// A group begins, with its name.
    GroupStart(Vec<u8>),
    /// The group ends.
    GroupEnd,
}

/// An address as a header field shows it, not yet judged.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Address {
    /// The display name without quotes, or else the comment behind the address; encoded words as they are.
    pub name: Vec<u8>,
    /// The local part without quotes.
    pub local: Vec<u8>,
    /// What stands behind the `@`; `None` where there is none.
    pub domain: Option<Vec<u8>>,
    /// True when the text is no address by any grammar: more than one word, or something left over.
    pub broken: bool,
}

impl Address {
    /// The display name, decoded for people.
    pub fn display_name(&self) -> String {
        words::decode(&self.name)
    }

    /// `local@domain` for people.
    pub fn text(&self) -> String {
        let mut text = words::raw(&self.local);
        if let Some(domain) = &self.domain {
            text.push('@');
            text.push_str(&words::raw(domain));
        }
        text
    }

    /// The address to send to. One without a domain gets `default`.
    pub fn mailbox(&self, default: &Domain) -> Result<Mailbox, Fault> {
        let domain = self.domain.as_deref();
        if !self.local.is_ascii() || domain.is_some_and(|domain| !domain.is_ascii()) {
            return Err(Fault::NonAscii);
        }
        if self.broken || !self.local.iter().all(|octet| matches!(octet, b' '..=b'~')) {
            return Err(Fault::Syntax);
        }
        let domain = match domain {
            Some(domain) if domain.len() > DOMAIN_MAX.saturating_add(1) => return Err(Fault::DomainTooLong),
            Some(domain) => Domain::parse(domain.strip_suffix(b".").unwrap_or(domain))?,
            None if self.local.is_empty() => return Err(Fault::Syntax),
            None => default.clone(),
        };
        let mailbox = Mailbox { local: self.local.iter().map(|&octet| octet as char).collect(), domain };
        let written = mailbox.to_string().len().saturating_sub(mailbox.domain.to_string().len());
        if written > LOCAL_MAX.saturating_add(1) { Err(Fault::LocalTooLong) } else { Ok(mailbox) }
    }
}

/// Reads the address list in a field's body, at most `most` items of it; `true` when there were more.
pub fn list(body: &[u8], most: usize) -> (Vec<Item>, bool) {
    let mut reader = Reader { items: Vec::new(), open: Open::default(), in_group: false };
    let mut rest = body;
    while let Some((token, tail)) = token(rest) {
        rest = tail;
        reader.take(token);
        if reader.items.len() > most {
            reader.items.truncate(most);
            return (reader.items, true);
        }
    }
    reader.flush();
    if reader.in_group {
        reader.items.push(Item::GroupEnd);
    }
    let more = reader.items.len() > most;
    reader.items.truncate(most);
    (reader.items, more)
}

/// The addresses among the items of the list in `body`, groups opened.
pub fn addresses(body: &[u8], most: usize) -> (Vec<Address>, bool) {
    let (items, more) = list(body, most);
    let address = |item| match item {
        Item::Address(address) => Some(address),
        _ => None,
    };
    (items.into_iter().filter_map(address).collect(), more)
}

enum Token {
    /// An atom (dots included), a quoted string or a domain literal.
    Word(Vec<u8>),
    Comment(Vec<u8>),
    Special(u8),
}

fn token(input: &[u8]) -> Option<(Token, &[u8])> {
    let input = input.trim_ascii_start();
    let (&first, rest) = input.split_first()?;
    Some(match first {
        b'"' => {
            let (word, rest) = lex::quoted(rest);
            (Token::Word(word), rest)
        }
        b'(' => {
            let (comment, rest) = lex::comment(rest);
            (Token::Comment(comment), rest)
        }
        b'<' | b'>' | b'@' | b',' | b';' | b':' | b')' => (Token::Special(first), rest),
        b'[' => {
            let end =
                input.iter().position(|&octet| octet == b']').map_or(input.len(), |at| at.saturating_add(1));
            let (literal, rest) = input.split_at_checked(end)?;
            (Token::Word(literal.to_vec()), rest)
        }
        _ => {
            let special = |octet: &u8| octet.is_ascii_whitespace() || b"\"()<>@,;:[".contains(octet);
            // An encoded word is a word even where its composer left a comma or bracket in it.
            let coded = words::encoded_length(input);
            let end = coded.or_else(|| input.iter().position(special)).unwrap_or(input.len());
            let (atom, rest) = input.split_at_checked(end)?;
            (Token::Word(atom.to_vec()), rest)
        }
    })
}

/// The item being read.
#[derive(Default)]
struct Open {
    /// Words outside `<>`, joined by single spaces: a name, or a local part.
    name: Vec<u8>,
    comment: Vec<u8>,
    address: Address,
    /// Where the next word goes.
    stage: Stage,
    /// The last thing of the local part or domain was a word, which a dot or nothing must follow.
    after_word: bool,
    /// Anything was read at all.
    begun: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    /// Outside `<>`, no `@` yet.
    #[default]
    Outside,
    /// Outside `<>`, behind an `@`.
    OutsideDomain,
    /// Behind `<`.
    Inside,
    /// In a source route behind `<`.
    Route,
    /// Behind `<` and `@`.
    InsideDomain,
    /// Behind `>`.
    Behind,
}

struct Reader {
    items: Vec<Item>,
    open: Open,
    in_group: bool,
}

impl Reader {
    fn take(&mut self, token: Token) {
        match token {
            Token::Comment(comment) => {
                if self.open.comment.is_empty() {
                    self.open.comment = comment;
                }
            }
            Token::Word(word) => self.word(&word),
            Token::Special(b',') if self.open.stage == Stage::Route => {}
            Token::Special(b',') => self.flush(),
            Token::Special(b';') => {
                self.flush();
                if std::mem::take(&mut self.in_group) {
                    self.items.push(Item::GroupEnd);
                }
            }
            Token::Special(special) => self.special(special),
        }
    }

    fn word(&mut self, word: &[u8]) {
        let open = &mut self.open;
        open.begun = true;
        let dotted = word.first() == Some(&b'.');
        let into = match open.stage {
            Stage::Outside => {
                if !open.name.is_empty() {
                    open.name.push(b' ');
                }
                open.name.extend_from_slice(word);
                &mut open.address.local
            }
            Stage::Inside => &mut open.address.local,
            Stage::OutsideDomain | Stage::InsideDomain => open.address.domain.get_or_insert_default(),
            Stage::Route => return,
            Stage::Behind => {
                open.address.broken = true;
                return;
            }
        };
        if open.after_word && !dotted {
            open.address.broken = true;
            into.push(b' ');
        }
        into.extend_from_slice(word);
        open.after_word = word.last() != Some(&b'.');
    }

    fn special(&mut self, special: u8) {
        let open = &mut self.open;
        let after_word = std::mem::take(&mut open.after_word);
        match (special, open.stage) {
            (b'<', Stage::Outside) => {
                open.address = Address::default();
                open.stage = Stage::Inside;
            }
            (b'>', Stage::Inside | Stage::InsideDomain | Stage::Route) => open.stage = Stage::Behind,
            (b'@', Stage::Inside) if open.address.local.is_empty() && !after_word => {
                open.stage = Stage::Route
            }
            (b':', Stage::Route) => open.stage = Stage::Inside,
            (b'@', Stage::Route) => {}
            (b'@', Stage::Outside | Stage::Inside) => {
                open.address.domain = Some(Vec::new());
                let outside = open.stage == Stage::Outside;
                open.stage = if outside { Stage::OutsideDomain } else { Stage::InsideDomain };
            }
            (b':', Stage::Outside) if !self.in_group => {
                self.items.push(Item::GroupStart(std::mem::take(&mut open.name)));
                self.in_group = true;
                self.open = Open::default();
                return;
            }
            _ => open.address.broken = true,
        }
        open.begun = true;
    }

    fn flush(&mut self) {
        let open = std::mem::take(&mut self.open);
        if !open.begun {
            return;
        }
        let mut address = open.address;
        let angled = matches!(open.stage, Stage::Behind | Stage::Inside | Stage::Route | Stage::InsideDomain);
        address.name = if angled && !open.name.is_empty() { open.name } else { open.comment };
        self.items.push(Item::Address(address));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Vec<String> {
        let show = |item| match item {
            Item::GroupStart(name) => format!("{}:", words::raw(&name)),
            Item::GroupEnd => ";".to_owned(),
            Item::Address(address) => {
                let broken = if address.broken { " !" } else { "" };
                format!("{}|{}{broken}", address.display_name(), address.text())
            }
        };
        list(body.as_bytes(), 1000).0.into_iter().map(show).collect()
    }

    #[test]
    fn lists_of_rfc_5322_are_read() {
        for (body, items) in [
            ("joe@example.org", &["|joe@example.org"][..]),
            ("John Doe <jdoe@machine.example>", &["John Doe|jdoe@machine.example"]),
            (
                "\"Joe Q. Public\" <john.q.public@example.com>, Mary Smith <mary@x.test>, jdoe@example.org, \
                 Who? <one@y.test>",
                &[
                    "Joe Q. Public|john.q.public@example.com",
                    "Mary Smith|mary@x.test",
                    "|jdoe@example.org",
                    "Who?|one@y.test",
                ],
            ),
            (
                "<boss@nil.test>, \"Giant; \\\"Big\\\" Box\" <sysservices@example.net>",
                &["|boss@nil.test", "Giant; \"Big\" Box|sysservices@example.net"],
            ),
            (
                "A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;",
                &["A Group:", "Ed Jones|c@a.test", "|joe@where.test", "John|jdoe@one.test", ";"],
            ),
            ("Undisclosed recipients:;", &["Undisclosed recipients:", ";"]),
            ("Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", &["Pete|pete@silly.test"]),
            (
                "A Group(Some people)\r\n     :Chris Jones <c@(Chris's host.)public.example>,\r\n         joe@example.org;",
                &["A Group:", "Chris Jones|c@public.example", "|joe@example.org", ";"],
            ),
            ("(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;", &["Hidden recipients:", ";"]),
            ("Joe Q. Public <john.q.public@example.com>", &["Joe Q. Public|john.q.public@example.com"]),
            (
                "Mary Smith <@node.test,@other.test:mary@example.net>, , jdoe@test  . example",
                &["Mary Smith|mary@example.net", "|jdoe@test.example"],
            ),
            ("joe@example.org (Joe Doe)", &["Joe Doe|joe@example.org"]),
            ("=?utf-8?q?J=C3=B6?= <joe@example.org>", &["J\u{f6}|joe@example.org"]),
            ("=?utf-8?q?Doe,_Joe_<x>?= <joe@example.org>, a@b", &["Doe, Joe <x>|joe@example.org", "|a@b"]),
            ("\"a b\"@example.org", &["|a b@example.org"]),
            ("joe@[192.0.2.1]", &["|joe@[192.0.2.1]"]),
            ("root", &["|root"]),
            ("a:b@c", &["a:", "|b@c", ";"]),
            ("a@b; c@d", &["|a@b", "|c@d"]),
            ("", &[]),
            (" , ,", &[]),
            ("<>", &["|"]),
        ] {
            assert_eq!(read(body), items, "{body}");
        }
    }

    #[test]
    fn what_is_no_address_is_marked() {
        for (body, items) in [
            ("joe doe", &["|joe doe !"][..]),
            ("Joe <a@b> c@d", &["Joe|a@b !"]),
            ("a@b@c", &["|a@bc !"]),
            ("Joe <a@b <c@d>", &["Joe|a@bcd !"]),
            ("Joe <a@b, c@d", &["Joe|a@b", "|c@d"]),
            (")", &["| !"]),
            ("a) <b@c>)", &["a|b@c !"]),
            ("a@b c", &["|a@b c !"]),
            ("x: y: z@w;", &["x:", "|yz@w !", ";"]),
        ] {
            assert_eq!(read(body), items, "{body}");
        }
    }

    #[test]
    fn only_what_smtp_can_carry_becomes_a_mailbox() {
        let here: Domain = "host.example".parse().unwrap();
        let judge = |body: &str| {
            let (list, _) = addresses(body.as_bytes(), 10);
            list[0].mailbox(&here).map(|mailbox| mailbox.to_string())
        };
        assert_eq!(judge("root"), Ok("root@host.example".to_owned()));
        assert_eq!(judge("Joe <a..b@Example.ORG.>"), Ok("\"a..b\"@example.org".to_owned()));
        assert_eq!(judge("joe doe"), Err(Fault::Syntax));
        assert_eq!(judge("<>"), Err(Fault::Syntax));
        assert_eq!(judge("joe@"), Err(Fault::Syntax));
        assert_eq!(judge("\"a\tb\"@example.org"), Err(Fault::Syntax));
        assert_eq!(judge("j\u{f6}@example.org"), Err(Fault::NonAscii));
        assert_eq!(judge(&format!("{}@example.org", "a".repeat(256))), Err(Fault::LocalTooLong));
        assert_eq!(judge(&format!("a@{}", "a.".repeat(200))), Err(Fault::DomainTooLong));
    }

    #[test]
    fn the_bound_on_items_is_said_when_met() {
        assert_eq!(list(b"a,b,c", 3), (list(b"a,b,c", 9).0, false));
        let (items, more) = list(b"a,b,c,d", 3);
        assert_eq!((items.len(), more), (3, true));
    }
}
