//! One folder in memory, and what becomes of its messages.

use super::{Message, draft};
use crate::{
    mail::{
        flags::Flags,
        query::{ModSeq, Uid, UidSet},
    },
    store::{Changes, FlagChange, Measure, Row, Snapshot, Status},
};
use std::collections::BTreeMap;

#[derive(Debug)]
pub(super) struct Folder {
    pub(super) uid_validity: u32,
    pub(super) uid_next: Uid,
    pub(super) messages: BTreeMap<Uid, (ModSeq, Message)>,
    expunges: Vec<(ModSeq, Uid)>,
}

impl Folder {
    pub(super) fn new(uid_validity: u32) -> Folder {
        Folder { uid_validity, uid_next: 1, messages: BTreeMap::new(), expunges: Vec::new() }
    }

    pub(super) fn add(&mut self, message: Message, modseq: ModSeq) -> Uid {
        let uid = self.uid_next;
        self.uid_next = uid.saturating_add(1);
        self.messages.insert(uid, (modseq, message));
        uid
    }

    pub(super) fn remove(&mut self, uid: Uid, modseq: ModSeq) {
        if self.messages.remove(&uid).is_some() {
            self.expunges.push((modseq, uid));
        }
    }

    pub(super) fn among(&self, uids: &UidSet) -> impl Iterator<Item = (Uid, &(ModSeq, Message))> {
        self.messages.iter().filter(|(uid, _)| uids.contains(**uid)).map(|(uid, kept)| (*uid, kept))
    }

    pub(super) fn flag(&mut self, uid: Uid, change: FlagChange, flags: &Flags, modseq: ModSeq) {
        let Some((changed, message)) = self.messages.get_mut(&uid) else { return };
        let mut new = message.flags.clone();
        match change {
            FlagChange::Set => new = flags.clone(),
            FlagChange::Add => flags.names().for_each(|name| drop(new.insert(name))),
            FlagChange::Remove => flags.names().for_each(|name| new.remove(name)),
        }
        if new != message.flags {
            message.flags = new;
            message.recent = false;
            *changed = modseq;
        }
    }

    pub(super) fn snapshot(&self, modseq: ModSeq) -> Snapshot {
        Snapshot {
            uid_validity: self.uid_validity,
            uid_next: self.uid_next,
            modseq,
            uids: self.messages.keys().copied().collect(),
            recent: self.recent(),
        }
    }

    pub(super) fn status(&self, modseq: ModSeq) -> Status {
        let count = |is: &dyn Fn(&Message) -> bool| {
            self.messages.values().filter(|(_, message)| is(message)).count() as u64
        };
        Status {
            uid_validity: self.uid_validity,
            uid_next: self.uid_next,
            modseq,
            messages: self.messages.len() as u64,
            unseen: count(&|message| !message.flags.seen),
            deleted: count(&|message| message.flags.deleted),
            recent: count(&|message| message.recent),
        }
    }

    fn recent(&self) -> UidSet {
        let recent = self.messages.iter().filter(|(_, (_, message))| message.recent);
        recent.map(|(uid, _)| *uid).collect()
    }

    /// The recent messages are so for nobody after.
    pub(super) fn take_recent(&mut self) {
        self.messages.values_mut().for_each(|(_, message)| message.recent = false);
    }

    pub(super) fn changes(&self, since: ModSeq, modseq: ModSeq) -> Changes {
        let changed = self.messages.iter().filter(|(_, (modseq, _))| *modseq > since);
        let vanished = self.expunges.iter().filter(|(modseq, _)| *modseq > since);
        Changes {
            modseq,
            uid_validity: self.uid_validity,
            uid_next: self.uid_next,
            changed: changed.map(|(uid, _)| *uid).collect(),
            recent: self.recent(),
            vanished: vanished.map(|(_, uid)| *uid).collect(),
        }
    }
}

pub(super) fn row(uid: Uid, (modseq, message): &(ModSeq, Message)) -> Row {
    Row { uid, flags: message.flags.clone(), modseq: *modseq, uidl: None }
}

pub(super) fn email_id(message: &Message) -> String {
    let (id, copy) = &message.key;
    if *copy == 0 { id.to_string() } else { format!("{id}-{copy:08x}") }
}

pub(super) fn measure(uid: Uid, message: &Message) -> Measure {
    Measure { uid, octets: draft::wire(&message.octets).len() as u64, date: message.date }
}
