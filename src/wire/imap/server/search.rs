//! SEARCH (RFC 3501 section 6.4.4): keys are read into [`Key`], which the agent's store understands.

use super::{
    Answer, Ask, Code, Cx, Refusal, Server,
    respond::{Command, Outcome},
    state::{Next, State},
    view::View,
};
use crate::{
    mail::{
        query::{Key, UidSet},
        words,
    },
    wire::{
        imap::{
            date, print,
            set::SequenceSet,
            token::{Bad, Tokens},
        },
        session::{Session as _, Step},
    },
};
use std::time::Duration;

/// Waits for the messages found. Between the slices of a long search it looks, without waiting, whether its client is still
/// there: one that closed may only have nothing more to say, and is told something, which shows whether it listens.
pub(super) struct AwaitFound {
    command: Command,
    /// Slices so far.
    slices: u32,
    /// The octets that are there are known, and more were asked for.
    looked: bool,
    /// The client says nothing more.
    over: bool,
}

/// A client that waits hears something every so many slices.
const SILENCE: u32 = 100;

/// How deep keys may stand in each other.
const DEPTH_MAX: usize = 50;
/// The most keys of a search.
const KEYS_MAX: usize = 1000;
/// The most ranges of UIDs in all keys of a search, as the mailbox has them.
const RANGES_MAX: usize = 500_000;

/// ```abnf
/// search = "SEARCH" [SP "CHARSET" SP astring] 1*(SP search-key)
/// ```
pub(super) fn search(
    cx: &mut Cx,
    command: &Command,
    mut arguments: Tokens,
    out: &mut Vec<u8>,
) -> Result<Next, Bad> {
    let view = cx.view.as_ref().ok_or(Bad("a selected mailbox"))?;
    arguments.space()?;
    let mut charset = b"utf-8".to_vec();
    if arguments.keyword("CHARSET") {
        arguments.space()?;
        charset = arguments.astring()?.into_owned();
        arguments.space()?;
        if words::charset(&charset).is_none() && !charset.eq_ignore_ascii_case(b"US-ASCII") {
            let refusal = Refusal::new(Code::BadCharset, "Unknown charset");
            return Ok(cx.finish(command.clone(), Outcome::No(refusal), out));
        }
    }
    let mut reader = Reader { view, charset, keys: 0, ranges: 0 };
    let mut keys = Vec::new();
    loop {
        keys.push(reader.key(&mut arguments, DEPTH_MAX)?);
        if arguments.rest().is_empty() {
            break;
        }
        arguments.space()?;
    }
    let state = AwaitFound { command: command.clone(), slices: 0, looked: false, over: false };
    Ok(Next::ask(State::Found(state), Ask::Search(Key::And(keys))))
}

struct Reader<'a> {
    view: &'a View,
    charset: Vec<u8>,
    keys: usize,
    ranges: usize,
}

impl Reader<'_> {
    /// `search-key`, of at most such a depth.
    fn key(&mut self, tokens: &mut Tokens, depth: usize) -> Result<Key, Bad> {
        let depth = depth.checked_sub(1).ok_or(Bad("a search that is not so deep"))?;
        self.keys = self.keys.saturating_add(1);
        if self.keys > KEYS_MAX {
            return Err(Bad("fewer search keys"));
        }
        match tokens.peek() {
            Some(b'(') => {
                tokens.take(b'(');
                let mut keys = Vec::new();
                loop {
                    keys.push(self.key(tokens, depth)?);
                    if tokens.take(b')') {
                        return Ok(Key::And(keys));
                    }
                    tokens.space()?;
                }
            }
            Some(b'0'..=b'9' | b'*') => {
                let set = SequenceSet::read(tokens)?;
                let uids = self.view.numbered(&set)?;
                self.uids(uids)
            }
            _ => self.named(tokens, depth),
        }
    }

    fn named(&mut self, tokens: &mut Tokens, depth: usize) -> Result<Key, Bad> {
        let name = tokens.atom().map_err(|_| Bad("a search key"))?.to_ascii_uppercase();
        let flag = |name: &str| Key::Flag(name.to_owned());
        let not = |key| Key::Not(Box::new(key));
        Ok(match name.as_str() {
            "ALL" => Key::All,
            "ANSWERED" => flag("\\Answered"),
            "DELETED" => flag("\\Deleted"),
            "DRAFT" => flag("\\Draft"),
            "FLAGGED" => flag("\\Flagged"),
            "SEEN" => flag("\\Seen"),
            "UNANSWERED" => not(flag("\\Answered")),
            "UNDELETED" => not(flag("\\Deleted")),
            "UNDRAFT" => not(flag("\\Draft")),
            "UNFLAGGED" => not(flag("\\Flagged")),
            "UNSEEN" => not(flag("\\Seen")),
            "RECENT" => self.recent()?,
            "OLD" => not(self.recent()?),
            "NEW" => Key::And(vec![self.recent()?, not(flag("\\Seen"))]),
            "KEYWORD" | "UNKEYWORD" => {
                tokens.space()?;
                let key = flag(tokens.atom()?);
                if name == "KEYWORD" { key } else { not(key) }
            }
            "BCC" => self.header("Bcc", tokens)?,
            "CC" => self.header("Cc", tokens)?,
            "FROM" => self.header("From", tokens)?,
            "SUBJECT" => self.header("Subject", tokens)?,
            "TO" => self.header("To", tokens)?,
            "HEADER" => {
                let field = self.text(tokens)?;
                Key::Header(field, self.text(tokens)?)
            }
            "BODY" => Key::Body(self.text(tokens)?),
            "TEXT" => Key::Text(self.text(tokens)?),
            "BEFORE" => Key::Before(day(tokens)?),
            "ON" => Key::On(day(tokens)?),
            "SINCE" => Key::Since(day(tokens)?),
            "SENTBEFORE" => Key::SentBefore(day(tokens)?),
            "SENTON" => Key::SentOn(day(tokens)?),
            "SENTSINCE" => Key::SentSince(day(tokens)?),
            "LARGER" => Key::Larger(size(tokens)?),
            "SMALLER" => Key::Smaller(size(tokens)?),
            "UID" => {
                tokens.space()?;
                let uids = self.view.among(&SequenceSet::read(tokens)?);
                self.uids(uids)?
            }
            "NOT" => {
                tokens.space()?;
                not(self.key(tokens, depth)?)
            }
            "OR" => {
                tokens.space()?;
                let one = self.key(tokens, depth)?;
                tokens.space()?;
                Key::Or(Box::new(one), Box::new(self.key(tokens, depth)?))
            }
            _ => return Err(Bad("a search key")),
        })
    }

    fn header(&self, name: &str, tokens: &mut Tokens) -> Result<Key, Bad> {
        Ok(Key::Header(name.to_owned(), self.text(tokens)?))
    }

    /// ```abnf
    /// SP astring
    /// ```
    /// In the search's charset.
    fn text(&self, tokens: &mut Tokens) -> Result<String, Bad> {
        tokens.space()?;
        Ok(words::decode_charset(&self.charset, &tokens.astring()?))
    }

    fn recent(&mut self) -> Result<Key, Bad> {
        let uids = self.view.recent();
        self.uids(uids)
    }

    fn uids(&mut self, uids: UidSet) -> Result<Key, Bad> {
        self.ranges = self.ranges.saturating_add(uids.ranges().count());
        if self.ranges > RANGES_MAX {
            return Err(Bad("fewer sets of messages"));
        }
        Ok(Key::Uid(uids))
    }
}

/// ```abnf
/// SP (date-text / DQUOTE date-text DQUOTE)
/// ```
fn day(tokens: &mut Tokens) -> Result<crate::mail::query::Day, Bad> {
    tokens.space()?;
    date::day(&tokens.astring()?)
}

fn size(tokens: &mut Tokens) -> Result<u64, Bad> {
    tokens.space()?;
    tokens.number64()
}

impl AwaitFound {
    pub(super) fn answer(self, cx: &mut Cx, answer: Answer, out: &mut Vec<u8>) -> Option<Next> {
        let outcome = match answer {
            Answer::Found(found) => {
                let view = cx.view.as_ref()?;
                out.extend_from_slice(b"* SEARCH");
                for uid in view.only(&found).iter() {
                    let number = if self.command.uid { Some(uid) } else { view.number(uid) };
                    if let Some(number) = number {
                        out.push(b' ');
                        print::number(u64::from(number), out);
                    }
                }
                out.extend_from_slice(b"\r\n");
                Outcome::OK
            }
            Answer::Searching => return Some(self.look(out)),
            Answer::No(refusal) => Outcome::No(refusal),
            _ => return None,
        };
        Some(cx.finish(self.command, outcome, out))
    }

    /// Another slice is done.
    fn look(mut self, out: &mut Vec<u8>) -> Next {
        self.slices = self.slices.saturating_add(1);
        self.looked = false;
        if self.over || self.slices.is_multiple_of(SILENCE) {
            out.extend_from_slice(b"* OK Searching\r\n");
        }
        Next::Turn(State::Found(self), Step::Read(Duration::ZERO))
    }

    /// Commands that came meanwhile wait. So many as a driver may keep, it looks behind them.
    pub(super) fn octets(mut self, octets: &[u8]) -> Next {
        match std::mem::replace(&mut self.looked, true) || octets.len() > Server::IN_MAX {
            true => self.go_on(),
            false => Next::Turn(State::Found(self), Step::Read(Duration::ZERO)),
        }
    }

    /// Nothing is there.
    pub(super) fn go_on(self) -> Next {
        Next::ask(State::Found(self), Ask::GoOn)
    }

    /// Nothing will come any more.
    pub(super) fn over(self) -> Next {
        AwaitFound { over: true, ..self }.go_on()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{mail::query::ModSeq, wire::imap::server::Snapshot};

    fn read(text: &str) -> Result<Key, Bad> {
        let snapshot = Snapshot {
            uid_validity: 1,
            uid_next: 100,
            modseq: ModSeq(1),
            uids: UidSet::new([11..=13, 20..=20]),
            recent: UidSet::new([20..=20]),
            unseen: None,
            keywords: Vec::new(),
        };
        let view = View::new(&snapshot, false);
        let mut reader = Reader { view: &view, charset: b"utf-8".to_vec(), keys: 0, ranges: 0 };
        let mut tokens = Tokens::new(text.as_bytes());
        let key = reader.key(&mut tokens, DEPTH_MAX)?;
        tokens.end().map(|()| key)
    }

    #[test]
    fn every_key_of_the_rfc_is_read() {
        let uids =
            |ranges: &[(u32, u32)]| Key::Uid(UidSet::new(ranges.iter().map(|(low, high)| *low..=*high)));
        let flag = |name: &str| Key::Flag(name.into());
        let not = |key| Key::Not(Box::new(key));
        let header = |name: &str, text: &str| Key::Header(name.into(), text.into());
        let day = |text: &str| text.parse().unwrap();
        for (text, key) in [
            ("ALL", Key::All),
            ("answered", flag("\\Answered")),
            ("UNDRAFT", not(flag("\\Draft"))),
            ("NEW", Key::And(vec![uids(&[(20, 20)]), not(flag("\\Seen"))])),
            ("OLD", not(uids(&[(20, 20)]))),
            ("KEYWORD $Junk", flag("$Junk")),
            ("UNKEYWORD work", not(flag("work"))),
            ("FROM \"Smith\"", header("From", "Smith")),
            ("BCC {2}\r\nab", header("Bcc", "ab")),
            ("SUBJECT \"\u{e9}\"", header("Subject", "\u{e9}")),
            ("HEADER X-Spam \"\"", header("X-Spam", "")),
            ("BODY x", Key::Body("x".into())),
            ("TEXT \"a b\"", Key::Text("a b".into())),
            ("SINCE 1-Feb-1994", Key::Since(day("1994-02-01"))),
            ("SENTON \"24-Nov-2026\"", Key::SentOn(day("2026-11-24"))),
            ("LARGER 1000", Key::Larger(1000)),
            ("2:4", uids(&[(12, 13), (20, 20)])),
            ("*", uids(&[(20, 20)])),
            ("UID 1:12,99", uids(&[(11, 12)])),
            ("NOT SEEN", not(flag("\\Seen"))),
            (
                "OR SEEN (DRAFT 1)",
                Key::Or(
                    Box::new(flag("\\Seen")),
                    Box::new(Key::And(vec![flag("\\Draft"), uids(&[(11, 11)])])),
                ),
            ),
        ] {
            assert_eq!(read(text), Ok(key), "{text}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in [
            "",
            "FOO",
            "()",
            "(SEEN",
            "NOT",
            "OR SEEN",
            "5",
            "0",
            "SINCE 1994",
            "LARGER x",
            "HEADER x",
            "KEYWORD \\Seen",
            "SEEN  ",
            "UID",
            "FROM",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        for (deep, end) in [("(", ")"), ("NOT ", "")] {
            let nested = |depth: usize| format!("{}ALL{}", deep.repeat(depth), end.repeat(depth));
            assert!(read(&nested(DEPTH_MAX - 1)).is_ok(), "{deep}");
            assert!(read(&nested(DEPTH_MAX)).is_err(), "{deep}");
            assert!(read(&nested(10_000)).is_err(), "{deep}");
        }
        assert!(read(&format!("({}ALL)", "ALL ".repeat(KEYS_MAX))).is_err());
    }
}
