//! The view: what one session's client knows of a mailbox that changes under it. Sequence numbers belong to the
//! client: a message keeps its number until the client was told of an EXPUNGE, however long the message is gone.

use super::{
    ask::{Changes, Row, Snapshot},
    keywords::Keywords,
    respond,
};
use crate::{
    mail::query::{ModSeq, Uid, UidSet},
    wire::imap::{set::SequenceSet, token::Bad},
};
use std::collections::BTreeSet;

/// A mailbox as its client knows it.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// The messages, told or about to be; the one at `n - 1` has the number `n`.
    uids: Vec<Uid>,
    /// Those of `uids` that are there no more, which the client does not know.
    gone: BTreeSet<Uid>,
    /// How many messages the client was told of.
    told: usize,
    recent: UidSet,
    keywords: Keywords,
    pub(super) uid_validity: u32,
    pub(super) uid_next: Uid,
    pub(super) modseq: ModSeq,
    /// EXAMINE.
    pub(super) read_only: bool,
}

impl View {
    /// As it is at the selection.
    pub(super) fn new(snapshot: &Snapshot, read_only: bool) -> View {
        let uids: Vec<Uid> = snapshot.uids.iter().collect();
        View {
            told: uids.len(),
            uids,
            gone: BTreeSet::new(),
            recent: snapshot.recent.clone(),
            keywords: Keywords::new(&snapshot.keywords),
            uid_validity: snapshot.uid_validity,
            uid_next: snapshot.uid_next,
            modseq: snapshot.modseq,
            read_only,
        }
    }

    /// How many messages the client knows of.
    pub(super) fn exists(&self) -> usize {
        self.told
    }

    /// How many messages are recent.
    pub(super) fn count_recent(&self) -> usize {
        self.uids.iter().filter(|uid| self.recent.contains(**uid)).count()
    }

    /// True for a message that is recent here.
    pub(super) fn is_recent(&self, uid: Uid) -> bool {
        self.recent.contains(uid)
    }

    /// The recent messages that the client knows of.
    pub(super) fn recent(&self) -> UidSet {
        self.only(&self.recent)
    }

    /// The number of a message that the client knows of.
    pub(super) fn number(&self, uid: Uid) -> Option<u32> {
        let at = self.known().binary_search(&uid).ok()?;
        u32::try_from(at.checked_add(1)?).ok()
    }

    fn known(&self) -> &[Uid] {
        self.uids.get(..self.told).unwrap_or(&self.uids)
    }

    /// The messages of these numbers; those that are gone too, until the client knows. A number that no message has is
    /// an error; `*` in an empty mailbox is no message.
    pub(super) fn numbered(&self, set: &SequenceSet) -> Result<UidSet, Bad> {
        let last = u32::try_from(self.told).unwrap_or(u32::MAX);
        let mut picked = Vec::new();
        for range in set.ranges(last) {
            let (low, high) = range.into_inner();
            // `*` in the empty mailbox.
            if low == 0 {
                continue;
            }
            if high > last {
                return Err(Bad("numbers of messages that are there"));
            }
            picked.push(low..=high);
        }
        // Sorted and merged, so that a set which names a message a thousand times costs as much as one that does it once.
        let mut uids = UidSet::default();
        for range in UidSet::new(picked).ranges() {
            let (low, high) = range.into_inner();
            let from = usize::try_from(low.saturating_sub(1)).unwrap_or(usize::MAX);
            let to = usize::try_from(high).unwrap_or(usize::MAX);
            self.known().get(from..to).unwrap_or_default().iter().for_each(|&uid| uids.insert(uid));
        }
        Ok(uids)
    }

    /// Those messages that have these UIDs; `*` is the last one's.
    pub(super) fn among(&self, set: &SequenceSet) -> UidSet {
        let last = self.known().last().copied().unwrap_or(0);
        self.only(&UidSet::new(set.ranges(last)))
    }

    /// Those of `uids` that the client knows of.
    pub(super) fn only(&self, uids: &UidSet) -> UidSet {
        let known = self.known();
        let mut picked = UidSet::default();
        for range in uids.ranges() {
            let from = known.partition_point(|uid| uid < range.start());
            let to = known.partition_point(|uid| uid <= range.end());
            known.get(from..to).unwrap_or_default().iter().for_each(|&uid| picked.insert(uid));
        }
        picked
    }

    /// Takes changes in: the client's messages that may have new flags.
    pub(super) fn take(&mut self, changes: &Changes) -> UidSet {
        self.modseq = self.modseq.max(changes.modseq);
        self.uid_next = self.uid_next.max(changes.uid_next);
        for range in changes.vanished.ranges() {
            let from = self.uids.partition_point(|uid| uid < range.start());
            let to = self.uids.partition_point(|uid| uid <= range.end());
            self.gone.extend(self.uids.get(from..to).unwrap_or_default());
        }
        let mut touched = UidSet::default();
        let last = self.uids.last().copied().unwrap_or(0);
        for range in changes.changed.ranges() {
            let from = self.uids.partition_point(|uid| uid < range.start());
            let to = self.uids.partition_point(|uid| uid <= range.end());
            for &uid in self.uids.get(from..to).unwrap_or_default() {
                self.gone.remove(&uid);
                touched.insert(uid);
            }
            // What comes has a UID above all before it.
            for uid in (*range.start()).max(last.saturating_add(1))..=*range.end() {
                self.uids.push(uid);
                if changes.recent.contains(uid) {
                    self.recent.insert(uid);
                }
            }
        }
        touched
    }

    /// Tells which messages are gone, the last first, so that no number of this telling moves another.
    pub(super) fn tell_gone(&mut self, out: &mut Vec<u8>) {
        if self.gone.is_empty() {
            return;
        }
        for uid in self.gone.iter().rev() {
            if let Some(number) = self.number(*uid) {
                respond::counted(u64::from(number), "EXPUNGE", out);
            }
        }
        let known = self.known().len();
        let gone = &self.gone;
        let left = self.known().iter().filter(|uid| !gone.contains(uid)).count();
        self.uids.retain(|uid| !gone.contains(uid));
        self.told = left.min(known);
        self.gone.clear();
    }

    /// Tells which flags there are.
    pub(super) fn tell_keywords(&self, out: &mut Vec<u8>) {
        self.keywords.tell(self.read_only, out);
    }

    /// Tells it again, where messages whose flags are about to be told have a keyword that is new.
    pub(super) fn learn_keywords(&mut self, rows: &[Row], out: &mut Vec<u8>) {
        if self.keywords.learn(rows) {
            self.tell_keywords(out);
        }
    }

    /// Tells of messages that came.
    pub(super) fn tell_came(&mut self, out: &mut Vec<u8>) {
        if self.told < self.uids.len() {
            self.told = self.uids.len();
            respond::counted(self.told as u64, "EXISTS", out);
            respond::counted(self.count_recent() as u64, "RECENT", out);
        }
    }
}

#[cfg(test)]
mod tests;
