//! SEARCH, in slices: between them the session looks whether its client is still there, and others have their turn.
//!
//! What is cheap is asked first: of the whole folder what flags and UIDs tell, then chunk by chunk what sizes, dates and headers tell, and
//! only of the messages for which that is not enough the text is read ([`text`]), once for all texts that the key names.

mod text;

use crate::{
    agent::serve::heads::{Head, heads},
    mail::query::{Key, Uid, UidSet},
    store::{Fault, Store, search},
};
use std::{collections::VecDeque, time::Instant};
pub(super) use text::At;
use text::{PIECE, Reading, Wanted};

/// Messages whose sizes, dates and headers are looked at together.
const CHUNK: usize = 128;
/// Messages whose beginnings are read together, and the octets of them that are enough.
const HEADS: usize = 64;
const HEADS_OCTETS: usize = 256 * 1024;
/// How deep keys may nest. The session has a bound, too.
const DEPTH: usize = 100;

/// A search that goes on.
pub(super) struct Searching<S: Store> {
    /// What flags and UIDs decide.
    cheap: Vec<Key>,
    /// The rest of the key.
    plan: Option<Plan>,
    texts: Vec<Wanted>,
    /// The messages that were not looked at; `None` before the first slice.
    left: Option<std::vec::IntoIter<Uid>>,
    /// Those that are looked at now, and what is known of them.
    chunk: VecDeque<Uid>,
    judged: Judged,
    /// The beginnings of messages whose text decides, most of which are all of them.
    heads: VecDeque<Head>,
    reading: Option<Reading<S::Octets>>,
    found: UidSet,
    /// Messages whose text was read.
    read: usize,
}

/// What became of a slice.
pub(super) enum Slice<S: Store> {
    /// There is more to do.
    More(Box<Searching<S>>),
    /// All that was found.
    Done(UidSet),
}

/// A key without its texts.
enum Plan {
    Plain(Plain),
    Text(usize),
    /// Of those that the keys describe, the ones that the others do.
    All(Plain, Vec<Plan>),
    Any(Box<Plan>, Box<Plan>),
    Not(Box<Plan>),
}

/// Keys that the store can judge, together; the first of them says of which messages. They may be large, and are not copied for
/// each chunk.
struct Plain(Key);

/// What is known of a chunk.
enum Judged {
    Known(UidSet),
    Text(usize),
    All(Vec<Judged>),
    Any(Box<Judged>, Box<Judged>),
    Not(Box<Judged>),
}

fn has_text(key: &Key, depth: usize) -> bool {
    let Some(depth) = depth.checked_sub(1) else { return false };
    match key {
        Key::Body(_) | Key::Text(_) => true,
        Key::And(keys) => keys.iter().any(|key| has_text(key, depth)),
        Key::Or(one, two) => has_text(one, depth) || has_text(two, depth),
        Key::Not(key) => has_text(key, depth),
        _ => false,
    }
}

impl Plain {
    fn new(mut keys: Vec<Key>) -> Plain {
        keys.insert(0, Key::Uid(UidSet::default()));
        Plain(Key::And(keys))
    }

    fn ask<S: Store>(&mut self, at: At<'_, S>, among: &UidSet) -> Result<UidSet, Fault> {
        match &mut self.0 {
            Key::And(keys) if keys.len() > 1 => {
                if let Some(first) = keys.first_mut() {
                    *first = Key::Uid(among.clone());
                }
            }
            _ => return Ok(among.clone()),
        }
        at.store.search(at.home, at.folder, &self.0)
    }
}

impl Plan {
    /// Takes the texts out of a key; the same one is looked for once.
    fn of(key: Key, texts: &mut Vec<Wanted>, depth: usize) -> Result<Plan, Fault> {
        let depth = depth.checked_sub(1).ok_or(Fault::Cannot("the search is nested too deeply"))?;
        let mut text = |wanted: Wanted| {
            let at = texts.iter().position(|known| *known == wanted).unwrap_or_else(|| {
                texts.push(wanted);
                texts.len().saturating_sub(1)
            });
            Plan::Text(at)
        };
        Ok(match key {
            Key::Body(wanted) => text(Wanted::new(&wanted, false)),
            Key::Text(wanted) => text(Wanted::new(&wanted, true)),
            Key::And(keys) => {
                let (with, plain): (Vec<Key>, Vec<Key>) =
                    keys.into_iter().partition(|key| has_text(key, depth));
                let with = with.into_iter().map(|key| Plan::of(key, texts, depth));
                Plan::All(Plain::new(plain), with.collect::<Result<_, _>>()?)
            }
            key if !has_text(&key, depth) => Plan::Plain(Plain::new(vec![key])),
            Key::Or(one, two) => {
                Plan::Any(Box::new(Plan::of(*one, texts, depth)?), Box::new(Plan::of(*two, texts, depth)?))
            }
            Key::Not(key) => Plan::Not(Box::new(Plan::of(*key, texts, depth)?)),
            key => Plan::Plain(Plain::new(vec![key])),
        })
    }

    /// Asks the store what it knows of `among`.
    fn judge<S: Store>(&mut self, at: At<'_, S>, among: &UidSet) -> Result<Judged, Fault> {
        Ok(match self {
            Plan::Plain(keys) => Judged::Known(keys.ask(at, among)?),
            Plan::Text(text) => Judged::Text(*text),
            Plan::All(keys, plans) => {
                let left = keys.ask(at, among)?;
                let mut all = vec![Judged::Known(left.clone())];
                for plan in plans.iter_mut().filter(|_| !left.is_empty()) {
                    all.push(plan.judge(at, &left)?);
                }
                Judged::All(all)
            }
            Plan::Any(one, two) => {
                Judged::Any(Box::new(one.judge(at, among)?), Box::new(two.judge(at, among)?))
            }
            Plan::Not(plan) => Judged::Not(Box::new(plan.judge(at, among)?)),
        })
    }
}

impl Judged {
    /// Whether the key describes a message, given what is known of its texts; `None` where that is too little.
    fn decide(&self, uid: Uid, text: &impl Fn(usize) -> Option<bool>) -> Option<bool> {
        match self {
            Judged::Known(uids) => Some(uids.contains(uid)),
            Judged::Text(at) => text(*at),
            Judged::All(all) => {
                let mut whole = Some(true);
                for one in all {
                    match one.decide(uid, text) {
                        Some(false) => return Some(false),
                        Some(true) => {}
                        None => whole = None,
                    }
                }
                whole
            }
            Judged::Any(one, two) => match (one.decide(uid, text), two.decide(uid, text)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
            Judged::Not(one) => one.decide(uid, text).map(|is| !is),
        }
    }
}

impl<S: Store> Searching<S> {
    /// A search that has not begun.
    pub(super) fn new(key: Key) -> Result<Searching<S>, Fault> {
        let keys = if let Key::And(keys) = key { keys } else { vec![key] };
        let (cheap, rest): (Vec<Key>, Vec<Key>) = keys.into_iter().partition(search::is_cheap);
        let mut texts = Vec::new();
        let plan = match rest.is_empty() {
            true => None,
            false => Some(Plan::of(Key::And(rest), &mut texts, DEPTH)?),
        };
        Ok(Searching {
            cheap,
            plan,
            texts,
            left: None,
            chunk: VecDeque::new(),
            judged: Judged::Known(UidSet::default()),
            heads: VecDeque::new(),
            reading: None,
            found: UidSet::default(),
            read: 0,
        })
    }

    /// True when one short look at the folder's list is all that is left to do.
    pub(super) fn is_quick(&self) -> bool {
        self.plan.is_none()
    }

    /// Searches until it is that late, or a little later: to the end of what was begun.
    pub(super) fn slice(mut self: Box<Self>, at: At<'_, S>, until: Instant) -> Result<Slice<S>, Fault> {
        loop {
            if self.step(at)? {
                tracing::debug!(read = self.read, found = self.found.len(), "searched");
                return Ok(Slice::Done(self.found));
            }
            if Instant::now() >= until {
                return Ok(Slice::More(self));
            }
        }
    }

    /// Decides about a message, given what was read of it; where that is too little, more is read.
    fn note(&mut self, reading: Reading<S::Octets>, ended: bool) {
        match self.judged.decide(reading.uid, &|text| reading.holds(text, ended)) {
            Some(true) => self.found.insert(reading.uid),
            Some(false) => {}
            None => self.reading = Some(reading),
        }
    }

    /// Decides about messages of the chunk without their text, and begins to read those for which that is too little.
    fn look(&mut self, at: At<'_, S>) -> Result<(), Fault> {
        let mut open = Vec::new();
        while open.len() < HEADS
            && let Some(uid) = self.chunk.pop_front()
        {
            match self.judged.decide(uid, &|_| None) {
                Some(true) => self.found.insert(uid),
                Some(false) => {}
                None => open.push(uid),
            }
        }
        if !open.is_empty() {
            let read = heads((at.store, at.home, at.folder), &open, PIECE, HEADS_OCTETS)?;
            // It may have been enough before the last of them.
            open.iter().skip(read.heads.len()).rev().for_each(|uid| self.chunk.push_front(*uid));
            // What can't be read is not found, and the others are.
            if let Some(fault) = read.fault {
                tracing::error!(login = at.home.account, %fault, "a message could not be searched");
            }
            self.heads = read.heads;
        }
        Ok(())
    }

    /// Does a little; true at the end.
    fn step(&mut self, at: At<'_, S>) -> Result<bool, Fault> {
        if let Some(mut reading) = self.reading.take() {
            let ended = match reading.step(at, &self.texts) {
                Ok(ended) => ended,
                // One that went meanwhile is not found.
                Err(Fault::NoMessage) => return Ok(false),
                Err(fault) => return Err(fault),
            };
            self.note(reading, ended);
        } else if let Some(head) = self.heads.pop_front() {
            let Some(octets) = head.octets else { return Ok(false) };
            self.read = self.read.saturating_add(1);
            let mut reading = Reading::new(head.uid, &self.texts);
            if head.whole {
                reading.whole(&octets, &self.texts)?;
            }
            self.note(reading, head.whole);
        } else if !self.chunk.is_empty() {
            self.look(at)?;
        } else if let Some(left) = &mut self.left {
            self.chunk = left.take(CHUNK).collect();
            let Some(plan) = self.plan.as_mut().filter(|_| !self.chunk.is_empty()) else { return Ok(true) };
            self.judged = plan.judge(at, &self.chunk.iter().copied().collect())?;
        } else {
            let all = at.store.search(at.home, at.folder, &Key::And(std::mem::take(&mut self.cheap)))?;
            if self.plan.is_none() {
                self.found = all;
                return Ok(true);
            }
            self.left = Some(all.iter().collect::<Vec<_>>().into_iter());
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests;
