//! FETCH (RFC 3501 section 6.4.5). Messages are looked up in batches and told one after the other; octets that do not lie
//! in a message's head are streamed.

use super::{
    Answer, Ask, Code, Cx, HEAD, Head, Measure, Row,
    respond::{Command, Outcome},
    state::{Next, State},
    sync::{self, Told},
};
use crate::{
    mail::{
        flags::{FlagChange, Flags},
        query::{Uid, UidSet},
    },
    wire::{
        imap::{
            date, print,
            set::SequenceSet,
            token::{Bad, Tokens},
        },
        session::Step,
    },
};
use items::Item;
use letter::Letter;
use std::collections::VecDeque;

mod envelope;
pub(super) mod flags;
mod items;
mod letter;
mod structure;

/// How many messages are looked up at once: without their content, and with it.
const ROWS: usize = 2000;
const LETTERS: usize = 256;
/// Octets of a message that hold the header of nearly all.
const HEADER: usize = 16 * 1024;
/// The most messages whose flags are remembered as told, so that they are not told twice.
const TOLD_MAX: usize = 10_000;

/// What must be looked up.
#[derive(Clone, Copy, Debug, Default)]
struct Needs {
    rows: bool,
    measures: bool,
    content: bool,
    /// Octets of a message that are looked at first.
    most: usize,
    /// Reading makes a message `\Seen`.
    seen: bool,
}

/// What was asked last.
enum Stage {
    Rows,
    Measures,
    Heads,
    /// To mark messages `\Seen`.
    Seen(UidSet),
    /// What a letter wants.
    Letter,
    Stream,
    Pause,
}

/// Waits for what is to be told of messages.
pub(super) struct Fetching {
    command: Command,
    items: Vec<Item>,
    needs: Needs,
    uids: Vec<Uid>,
    /// The first message that was not told.
    at: usize,
    /// Behind the last one that is looked up.
    end: usize,
    rows: Vec<Row>,
    measures: Vec<Measure>,
    heads: VecDeque<Head>,
    letter: Option<Letter>,
    /// Something of the next message was told.
    begun: bool,
    /// The item of it that comes next.
    item: usize,
    /// Messages that were marked, so that their flags are told with them.
    marked: UidSet,
    told: Told,
    /// A message was not there.
    missing: bool,
    /// A message could not be read.
    unread: bool,
    stage: Stage,
}

/// ```abnf
/// fetch = "FETCH" SP sequence-set SP ("ALL" / "FULL" / "FAST" / fetch-att / "(" fetch-att *(SP fetch-att) ")")
/// ```
pub(super) fn fetch(
    cx: &mut Cx,
    command: &Command,
    mut arguments: Tokens,
    out: &mut Vec<u8>,
) -> Result<Next, Bad> {
    arguments.space()?;
    let set = SequenceSet::read(&mut arguments)?;
    arguments.space()?;
    let mut items = items::read(&mut arguments)?;
    arguments.end()?;
    let Some(view) = cx.view.as_ref() else { return Err(Bad("a selected mailbox")) };
    let uids = if command.uid { view.among(&set) } else { view.numbered(&set)? };
    if command.uid && !items.contains(&Item::Uid) {
        items.insert(0, Item::Uid);
    }
    let needs = needs(&items, view.read_only);
    let fetching = Fetching {
        command: command.clone(),
        items,
        needs,
        uids: uids.iter().collect(),
        at: 0,
        end: 0,
        rows: Vec::new(),
        measures: Vec::new(),
        heads: VecDeque::new(),
        letter: None,
        begun: false,
        item: 0,
        marked: UidSet::default(),
        told: Told::default(),
        missing: false,
        unread: false,
        stage: Stage::Pause,
    };
    Ok(Box::new(fetching).go_on(cx, out))
}

fn needs(items: &[Item], read_only: bool) -> Needs {
    let mut needs = Needs::default();
    for item in items {
        match item {
            Item::Uid => {}
            Item::Flags => needs.rows = true,
            Item::InternalDate | Item::Size => needs.measures = true,
            Item::Envelope | Item::Structure { .. } => needs.content = true,
            Item::Section(section) => {
                needs.content = true;
                needs.seen |= !section.peek && !read_only;
            }
        }
    }
    needs.rows |= needs.seen;
    needs.most = if letter::is_of_header(items) { HEADER } else { HEAD };
    needs
}

impl Fetching {
    /// Half of a literal was told, so that nothing else can be.
    pub(super) fn is_within_literal(&self) -> bool {
        self.letter.as_ref().is_some_and(Letter::is_within_literal)
    }

    pub(super) fn answer(
        mut self: Box<Self>,
        cx: &mut Cx,
        answer: Answer,
        out: &mut Vec<u8>,
    ) -> Option<Next> {
        match (answer, std::mem::replace(&mut self.stage, Stage::Pause)) {
            // What can't be marked can be read all the same.
            (Answer::No(_), Stage::Seen(_)) => self.needs.seen = false,
            (Answer::No(_), _) if self.begun => return Some(broken()),
            (Answer::No(refusal), _) => return Some(self.finish(cx, Outcome::No(refusal), out)),
            (Answer::Rows(rows), Stage::Rows) => {
                if let Some(view) = cx.view.as_mut() {
                    view.learn_keywords(&rows, out);
                }
                self.rows = rows;
                return Some(self.measures_or_on(cx, out));
            }
            (Answer::Measures(measures), Stage::Measures) => self.measures = measures,
            (Answer::Heads(heads), Stage::Heads) => {
                if heads.is_empty() {
                    return None;
                }
                self.heads = heads.into();
                if let Some((uids, ask)) = self.mark() {
                    return Some(self.ask(Stage::Seen(uids), ask));
                }
            }
            (Answer::Done, Stage::Seen(uids)) => {
                for row in self.rows.iter_mut().filter(|row| uids.contains(row.uid)) {
                    row.flags.seen = true;
                }
                self.marked = uids;
                cx.stirred = true;
            }
            (Answer::Octets(octets), Stage::Stream) => {
                let letter = self.letter.as_mut()?;
                if letter.streamed(&octets.unwrap_or_default(), out).is_err() {
                    return Some(broken());
                }
            }
            (answer, Stage::Letter) => match self.letter.as_mut()?.take(answer)? {
                Ok(()) => {}
                Err(letter::Gone) => self.skip(),
            },
            (Answer::Done, Stage::Pause) => {}
            _ => return None,
        }
        Some(self.go_on(cx, out))
    }

    fn ask(mut self: Box<Self>, stage: Stage, ask: Ask) -> Next {
        self.stage = stage;
        Next::ask(State::Fetch(self), ask)
    }

    /// Tells what is looked up, and looks up more.
    fn go_on(mut self: Box<Self>, cx: &mut Cx, out: &mut Vec<u8>) -> Next {
        loop {
            if cx.is_full(out) {
                return self.ask(Stage::Pause, Ask::Pause);
            }
            if self.letter.is_some() {
                match self.tell_letter(cx, out) {
                    Some((stage, ask)) => return self.ask(stage, ask),
                    None => continue,
                }
            }
            if let Some(head) = self.heads.pop_front() {
                let unread = head.octets.is_none() && !head.whole;
                match Letter::new(head) {
                    Some(letter) => self.letter = Some(letter),
                    None if unread => {
                        self.unread = true;
                        self.at = self.at.saturating_add(1);
                    }
                    None => self.skip(),
                }
                continue;
            }
            if self.at < self.end {
                if self.needs.content {
                    let uids = self.uids.get(self.at..self.end).unwrap_or_default().to_vec();
                    let most = self.needs.most;
                    return self.ask(Stage::Heads, Ask::Heads { uids, most });
                }
                self.tell_row(cx, out);
                continue;
            }
            if self.at >= self.uids.len() {
                if self.unread {
                    let outcome = Outcome::no(Code::Unavailable, "Some messages could not be read");
                    return self.finish(cx, outcome, out);
                }
                let outcome = match self.missing && !self.command.uid {
                    true => Outcome::Ok {
                        code: Some(Code::ExpungeIssued.name().into()),
                        text: Some("Some are gone"),
                    },
                    false => Outcome::OK,
                };
                return self.finish(cx, outcome, out);
            }
            let most = if self.needs.content { LETTERS } else { ROWS };
            self.end = self.at.saturating_add(most).min(self.uids.len());
            if self.needs.rows {
                let uids = self.batch();
                return self.ask(Stage::Rows, Ask::Rows { uids, most });
            }
            if self.needs.measures {
                let uids = self.batch();
                return self.ask(Stage::Measures, Ask::Measures { uids, most });
            }
        }
    }

    fn measures_or_on(self: Box<Self>, cx: &mut Cx, out: &mut Vec<u8>) -> Next {
        match self.needs.measures {
            true => {
                let (uids, most) = (self.batch(), self.end.saturating_sub(self.at));
                self.ask(Stage::Measures, Ask::Measures { uids, most })
            }
            false => self.go_on(cx, out),
        }
    }

    fn batch(&self) -> UidSet {
        self.uids.get(self.at..self.end).unwrap_or_default().iter().copied().collect()
    }

    /// Asks that those messages whose heads have come are `\Seen`.
    fn mark(&self) -> Option<(UidSet, Ask)> {
        if !self.needs.seen {
            return None;
        }
        let there = self.heads.iter().filter(|head| head.octets.is_some()).map(|head| head.uid);
        let uids: UidSet = there.filter(|uid| self.row(*uid).is_some_and(|row| !row.flags.seen)).collect();
        if uids.is_empty() {
            return None;
        }
        let flags = Flags { seen: true, ..Flags::default() };
        Some((uids.clone(), Ask::Flag { uids, change: FlagChange::Add, flags }))
    }

    fn row(&self, uid: Uid) -> Option<&Row> {
        let at = self.rows.binary_search_by_key(&uid, |row| row.uid).ok()?;
        self.rows.get(at)
    }

    fn measure(&self, uid: Uid) -> Option<&Measure> {
        let at = self.measures.binary_search_by_key(&uid, |measure| measure.uid).ok()?;
        self.measures.get(at)
    }

    /// The message that is next is not there any more.
    fn skip(&mut self) {
        self.missing = true;
        self.letter = None;
        self.at = self.at.saturating_add(1);
    }

    /// True when all that is to be told of a message was found.
    fn is_known(&self, uid: Uid) -> bool {
        (!self.needs.rows || self.row(uid).is_some()) && (!self.needs.measures || self.measure(uid).is_some())
    }

    /// Tells of a message without content.
    fn tell_row(&mut self, cx: &Cx, out: &mut Vec<u8>) {
        let uid = self.uids.get(self.at).copied().unwrap_or(0);
        if !self.is_known(uid) || !self.begin(cx, uid, out) {
            return self.skip();
        }
        for at in 0..self.items.len() {
            self.tell_item(cx, uid, at, None, out);
        }
        self.close(cx, uid, out);
    }

    /// Tells of a message with its content; a question where something must be known first.
    fn tell_letter(&mut self, cx: &Cx, out: &mut Vec<u8>) -> Option<(Stage, Ask)> {
        let mut letter = self.letter.take()?;
        if let Some(ask) = letter.wants(&self.items) {
            self.letter = Some(letter);
            return Some((Stage::Letter, ask));
        }
        let uid = letter.uid;
        if !self.begun && (!self.is_known(uid) || !self.begin(cx, uid, out)) {
            self.skip();
            return None;
        }
        self.begun = true;
        while !cx.is_full(out) {
            if let letter::Next::Ask(ask) = letter.stream() {
                self.letter = Some(letter);
                return Some((Stage::Stream, ask));
            }
            match self.items.get(self.item) {
                None => {
                    self.close(cx, uid, out);
                    return None;
                }
                Some(Item::Envelope | Item::Structure { .. } | Item::Section(_)) => {
                    out.extend_from_slice(if self.item == 0 { b"" } else { b" " });
                    if let Some(item) = self.items.get(self.item) {
                        letter.print(item, out);
                    }
                }
                Some(_) => self.tell_item(cx, uid, self.item, letter.size, out),
            }
            self.item = self.item.saturating_add(1);
        }
        self.letter = Some(letter);
        None
    }

    /// `* 7 FETCH (`; false for a message that the client does not know.
    fn begin(&self, cx: &Cx, uid: Uid, out: &mut Vec<u8>) -> bool {
        let Some(number) = cx.view.as_ref().and_then(|view| view.number(uid)) else { return false };
        out.extend_from_slice(b"* ");
        print::number(u64::from(number), out);
        out.extend_from_slice(b" FETCH (");
        true
    }

    /// Tells an item that is not about content. A size that is known from the content is better than one that was looked up.
    fn tell_item(&self, cx: &Cx, uid: Uid, at: usize, size: Option<u64>, out: &mut Vec<u8>) {
        out.extend_from_slice(if at == 0 { b"" } else { b" " });
        match (self.items.get(at), self.measure(uid)) {
            (Some(Item::Uid), _) => {
                out.extend_from_slice(b"UID ");
                print::number(u64::from(uid), out);
            }
            (Some(Item::Flags), _) => self.tell_flags(cx, uid, out),
            (Some(Item::Size), Some(measure)) => {
                out.extend_from_slice(b"RFC822.SIZE ");
                print::number(size.unwrap_or(measure.octets), out);
            }
            (Some(Item::InternalDate), Some(measure)) => {
                out.extend_from_slice(b"INTERNALDATE ");
                date::print(measure.date, out);
            }
            _ => {}
        }
    }

    fn tell_flags(&self, cx: &Cx, uid: Uid, out: &mut Vec<u8>) {
        if let (Some(row), Some(view)) = (self.row(uid), cx.view.as_ref()) {
            flags::list(&row.flags, view.is_recent(uid), out);
        }
    }

    /// The end of what is told of a message. That it is `\Seen` now belongs to it.
    fn close(&mut self, cx: &Cx, uid: Uid, out: &mut Vec<u8>) {
        if self.marked.contains(uid) {
            if !self.items.contains(&Item::Flags) {
                out.push(b' ');
                self.tell_flags(cx, uid, out);
            }
            if let Some(row) = self.row(uid).filter(|_| self.told.flags.len() < TOLD_MAX) {
                let flags = row.flags.clone();
                self.told.flags.insert(uid, flags);
            }
        }
        out.extend_from_slice(b")\r\n");
        self.letter = None;
        self.begun = false;
        self.item = 0;
        self.at = self.at.saturating_add(1);
    }

    fn finish(self: Box<Self>, cx: &mut Cx, outcome: Outcome, out: &mut Vec<u8>) -> Next {
        match cx.stirred {
            true => sync::begin_after(cx, sync::Then::Finish(self.command, outcome), self.told),
            false => cx.finish(self.command, outcome, out),
        }
    }
}

/// Something of a message was told that can't be told to its end: there are no words for that.
fn broken() -> Next {
    Next::Turn(State::Closed, Step::Close)
}
