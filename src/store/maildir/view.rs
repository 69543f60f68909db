//! One folder as this process knows it: its list of UIDs, the files that are there, and what changed when.
//!
//! [`View::refresh`] compares both with the disk. Files without a UID get one under the folder's lock, in the order of
//! their arrival, and the list is synced before anybody is told. A file that is gone is an expunge; should it come back
//! it is another message. Renamed files are changed flags.

use super::{
    account::Account,
    keywords::Known,
    name,
    read::Measured,
    scan::{Files, Found, Scanner, by_arrival},
    uidlist::{self, UidList},
    validity,
};
use crate::{
    mail::{
        flags::Flags,
        query::{ModSeq, Uid, UidSet},
    },
    store::{Changes, Row, Snapshot, Status},
    sys::{
        clock::Clock,
        disk::{Dir, Stat},
        lock::Dotlock,
    },
};
use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    io,
    sync::Arc,
};

/// Expunges that are remembered with their modseq. Who asks about longer ago is told all that is not there.
const EXPUNGES: usize = 10_000;
/// Lines without a message that a list may hold before it is written anew.
const DEAD: usize = 64;

/// A message that is there.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) found: Found,
    pub(super) modseq: ModSeq,
    /// What its file measured when it was looked at last.
    pub(super) measured: Option<Measured>,
}

#[derive(Debug)]
pub(super) struct View {
    pub(super) dir: Dir,
    pub(super) scanner: Scanner,
    pub(super) list: UidList,
    pub(super) known: Known,
    pub(super) messages: BTreeMap<Uid, Message>,
    list_seen: Option<Stat>,
    known_seen: Option<[Option<Stat>; 2]>,
    /// UIDs that were told to be gone and still stand in the list.
    gone: HashSet<Uid>,
    expunges: VecDeque<(ModSeq, Uid)>,
    /// Expunges after this are all remembered.
    complete_from: ModSeq,
}

impl View {
    /// A view that knows nothing yet.
    pub(super) fn open(dir: &Dir) -> io::Result<View> {
        Ok(View {
            dir: dir.clone(),
            scanner: Scanner::open(dir)?,
            list: UidList::new(0),
            known: Known::default(),
            messages: BTreeMap::new(),
            list_seen: None,
            known_seen: None,
            gone: HashSet::new(),
            expunges: VecDeque::new(),
            complete_from: ModSeq(0),
        })
    }

    /// True when `dir` is the directory that this view is of, and not one that took its place.
    pub(super) fn is_of(&self, dir: &Dir) -> io::Result<bool> {
        Ok(self.dir.stat_self()?.identity == dir.stat_self()?.identity
            && dir.stat("cur")?.map(|stat| stat.identity) == Some(self.scanner.cur.stat_self()?.identity))
    }

    /// True when the folder was read, lately or long ago.
    pub(super) fn is_read(&self) -> bool {
        self.list_seen.is_some() && self.scanner.is_read()
    }

    /// Brings everything up to date. Takes the folder's lock where a file has no UID yet.
    pub(super) fn refresh(&mut self, root: &Dir, account: &Account, clock: &Clock) -> io::Result<()> {
        self.refresh_with(root, account, clock, None)
    }

    /// The same by one who holds the lock.
    pub(super) fn refresh_locked(
        &mut self,
        root: &Dir,
        account: &Account,
        clock: &Clock,
        lock: &Dotlock,
    ) -> io::Result<()> {
        self.refresh_with(root, account, clock, Some(lock))
    }

    fn refresh_with(
        &mut self,
        root: &Dir,
        account: &Account,
        clock: &Clock,
        lock: Option<&Dotlock>,
    ) -> io::Result<()> {
        let mut now = Now { account, clock, given: None };
        if self.read_list(&mut now)? {
            self.scanner.forget();
        }
        self.read_keywords(&mut now)?;
        let (messages, list) = (&self.messages, &self.list);
        let base = |uid: &Uid| list.record(*uid).map(|record| &record.base);
        let complete =
            |files: &Files| messages.keys().all(|uid| base(uid).is_some_and(|base| files.contains_key(base)));
        let Some(mut files) = self.scanner.scan(clock, complete)? else { return Ok(()) };
        if self.list_seen.is_none() || self.list.damaged || !self.unnamed(&files).is_empty() {
            let taken = match lock {
                Some(_) => None,
                None => Some(uidlist::lock(&self.dir)?),
            };
            // The files were read before the lock was had; what another named meanwhile stands in the list now.
            self.read_list(&mut now)?;
            if let Some(lock) = lock.or(taken.as_ref()) {
                self.name_files(root, &mut files, &mut now, lock)?;
            }
        }
        self.take_over(&files, &mut now);
        Ok(())
    }

    /// Reads the list when it is another than before; true when it was.
    fn read_list(&mut self, now: &mut Now<'_>) -> io::Result<bool> {
        let stat = self.dir.stat(uidlist::FILE)?;
        if stat.is_some() && same(&stat, &self.list_seen) {
            return Ok(false);
        }
        match uidlist::read(&self.dir)? {
            Some(list) => {
                if list.uid_validity != self.list.uid_validity {
                    self.begin(now);
                }
                self.list = list;
                self.list_seen = stat;
            }
            // Without a list, or with one that can't be read, all UIDs are void.
            None => self.list_seen = None,
        }
        Ok(true)
    }

    fn begin(&mut self, now: &mut Now<'_>) {
        self.messages.clear();
        self.gone.clear();
        self.expunges.clear();
        self.complete_from = now.get();
    }

    fn read_keywords(&mut self, now: &mut Now<'_>) -> io::Result<()> {
        let stats = Known::stats(&self.dir)?;
        if let Some(seen) = &self.known_seen
            && stats.iter().zip(seen).all(|(now, then)| same(now, then))
        {
            return Ok(());
        }
        let known = Known::read(&self.dir)?;
        for (uid, message) in &mut self.messages {
            let Some(record) = self.list.record(*uid) else { continue };
            let flags = |known: &Known| known.flags(&record.base, message.found.letters());
            if flags(&known) != flags(&self.known) {
                message.modseq = now.get();
            }
        }
        self.known = known;
        self.known_seen = Some(stats);
        Ok(())
    }

    fn unnamed(&self, files: &Files) -> Vec<Arc<str>> {
        let named = |base: &str| self.list.uid(base).is_some_and(|uid| !self.gone.contains(&uid));
        files.keys().filter(|base| !named(base)).cloned().collect()
    }

    fn name_files(
        &mut self,
        root: &Dir,
        files: &mut Files,
        now: &mut Now<'_>,
        lock: &Dotlock,
    ) -> io::Result<()> {
        let fresh = self.list_seen.is_none();
        if fresh {
            self.list = UidList::new(validity::next(root, now.clock)?);
            self.begin(now);
        }
        let crowded = self.list.len().saturating_sub(files.len()) > DEAD.saturating_add(files.len());
        if crowded {
            // Only who holds the lock names files, so a record whose file is not there now has none.
            self.scanner.forget();
            let again = self.scanner.scan(now.clock, |again| again.len() >= files.len())?;
            *files = again.unwrap_or_default();
            self.known.forget(&self.dir, |base| !files.contains_key(base), lock)?;
        }
        if fresh || crowded || self.list.damaged {
            let gone = std::mem::take(&mut self.gone);
            let records = self.list.records();
            let kept = records.filter(|(uid, record)| {
                !gone.contains(uid) && (!crowded || files.contains_key(&record.base))
            });
            let kept: HashSet<Uid> = kept.map(|(uid, _)| uid).collect();
            uidlist::write(&self.dir, &mut self.list, |uid| kept.contains(&uid), lock)?;
        }
        let mut unnamed = self.unnamed(files);
        if !unnamed.is_empty() {
            unnamed.sort_by(|one, two| by_arrival(one).cmp(&by_arrival(two)));
            uidlist::append(&self.dir, &mut self.list, &unnamed, lock)?;
        }
        self.list_seen = self.dir.stat(uidlist::FILE)?;
        Ok(())
    }

    /// Compares what is known with the files that are there.
    fn take_over(&mut self, files: &Files, now: &mut Now<'_>) {
        // Both are in the order of UIDs.
        let mut before = std::mem::take(&mut self.messages).into_iter().peekable();
        let (mut there, mut gone) = (Vec::with_capacity(files.len()), Vec::new());
        for (uid, record) in self.list.records() {
            while let Some((old, _)) = before.next_if(|(old, _)| *old < uid) {
                gone.push(old);
            }
            let known = before.next_if(|(old, _)| *old == uid);
            match (files.get(&record.base).filter(|_| !self.gone.contains(&uid)), known) {
                (Some(found), Some((_, mut message))) => {
                    if message.found != *found {
                        if message.found.letters() != found.letters() {
                            message.modseq = now.get();
                        }
                        message.found = found.clone();
                    }
                    there.push((uid, message));
                }
                (Some(found), None) => {
                    there.push((uid, Message { found: found.clone(), modseq: now.get(), measured: None }));
                }
                (None, Some(_)) => gone.push(uid),
                (None, None) => {}
            }
        }
        gone.extend(before.map(|(uid, _)| uid));
        self.messages = there.into_iter().collect();
        for uid in gone {
            self.expunged(uid, now.get());
        }
    }

    /// Notes an expunge. The message is no longer in `messages`.
    fn expunged(&mut self, uid: Uid, modseq: ModSeq) {
        self.gone.insert(uid);
        self.expunges.push_back((modseq, uid));
        if self.expunges.len() > EXPUNGES
            && let Some((modseq, _)) = self.expunges.pop_front()
        {
            self.complete_from = modseq;
        }
    }

    /// Removes messages from the view whose files are gone.
    pub(super) fn drop_messages(&mut self, uids: &UidSet, account: &Account, clock: &Clock) {
        let mut now = Now { account, clock, given: None };
        for uid in uids.iter() {
            if self.messages.remove(&uid).is_some() {
                self.expunged(uid, now.get());
            }
        }
    }

    /// Gives UIDs to files that were just put here; the lock was taken before the last [`View::refresh`].
    pub(super) fn name_new(
        &mut self,
        files: Vec<(Arc<str>, Found)>,
        account: &Account,
        clock: &Clock,
        lock: &Dotlock,
    ) -> io::Result<Vec<Uid>> {
        let bases: Vec<Arc<str>> = files.iter().map(|(base, _)| Arc::clone(base)).collect();
        let uids = uidlist::append(&self.dir, &mut self.list, &bases, lock)?;
        self.list_seen = self.dir.stat(uidlist::FILE)?;
        let modseq = account.advance(clock);
        for (uid, (_, found)) in uids.iter().zip(files) {
            self.messages.insert(*uid, Message { found, modseq, measured: None });
        }
        Ok(uids)
    }

    /// The base name of a message.
    pub(super) fn base(&self, uid: Uid) -> Option<&Arc<str>> {
        self.list.record(uid).map(|record| &record.base)
    }

    /// The flags of a message.
    pub(super) fn flags(&self, uid: Uid) -> Option<Flags> {
        let message = self.messages.get(&uid)?;
        Some(self.known.flags(self.base(uid)?, message.found.letters()))
    }

    /// The messages that are in `uids`, in order; work for those that are there, however large the set is.
    pub(super) fn among<'a>(&'a self, uids: &'a UidSet) -> impl Iterator<Item = (Uid, &'a Message)> + 'a {
        let ranges = uids.ranges();
        ranges.flat_map(|range| self.messages.range(range).map(|(uid, message)| (*uid, message)))
    }

    pub(super) fn row(&self, uid: Uid, message: &Message) -> Option<Row> {
        let record = self.list.record(uid)?;
        Some(Row {
            uid,
            flags: self.known.flags(&record.base, message.found.letters()),
            modseq: message.modseq,
            uidl: record.field('P').map(str::to_owned),
        })
    }

    pub(super) fn snapshot(&self, modseq: ModSeq) -> Snapshot {
        Snapshot {
            uid_validity: self.list.uid_validity,
            uid_next: self.list.next,
            modseq,
            uids: self.messages.keys().copied().collect(),
            recent: self.recent(),
        }
    }

    fn recent(&self) -> UidSet {
        self.messages.iter().filter(|(_, message)| message.found.new).map(|(uid, _)| *uid).collect()
    }

    pub(super) fn status(&self, modseq: ModSeq) -> Status {
        let count = |is: &dyn Fn(&Message) -> bool| {
            self.messages.values().filter(|message| is(message)).count() as u64
        };
        Status {
            uid_validity: self.list.uid_validity,
            uid_next: self.list.next,
            modseq,
            messages: self.messages.len() as u64,
            unseen: count(&|message| !message.found.letters().contains('S')),
            deleted: count(&|message| message.found.letters().contains('T')),
            recent: count(&|message| message.found.new),
        }
    }

    pub(super) fn changes(&self, since: ModSeq, modseq: ModSeq) -> Changes {
        let changed = self.messages.iter().filter(|(_, message)| message.modseq > since);
        let vanished = if since >= self.complete_from {
            let later = self.expunges.iter().filter(|(modseq, _)| *modseq > since);
            later.map(|(_, uid)| *uid).collect()
        } else {
            self.absent()
        };
        Changes {
            modseq,
            uid_validity: self.list.uid_validity,
            uid_next: self.list.next,
            changed: changed.map(|(uid, _)| *uid).collect(),
            recent: self.recent(),
            vanished,
        }
    }

    /// Every UID below the next that names no message.
    fn absent(&self) -> UidSet {
        let mut from: Uid = 1;
        let mut gaps = Vec::new();
        for uid in self.messages.keys().copied().chain([self.list.next]) {
            if let Some(last) = uid.checked_sub(1).filter(|last| from <= *last) {
                gaps.push(from..=last);
            }
            from = uid.saturating_add(1);
        }
        UidSet::new(gaps)
    }

    /// Moves what is in new/ to cur/, so that it is recent for nobody else.
    pub(super) fn take_recent(&mut self) -> io::Result<()> {
        for (uid, message) in self.messages.iter_mut().filter(|(_, message)| message.found.new) {
            let Some(record) = self.list.record(*uid) else { continue };
            let name = name::with_letters(&record.base, message.found.letters());
            match self.scanner.new.rename_new(&*message.found.name, &self.scanner.cur, &name) {
                Ok(()) => message.found = Found { new: false, name: name.into() },
                // Another was quicker; the next refresh sees where it is.
                Err(fault)
                    if matches!(fault.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists) => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }
}

/// One modification sequence for all that a step finds, taken when something is found.
struct Now<'a> {
    account: &'a Account,
    clock: &'a Clock,
    given: Option<ModSeq>,
}

impl Now<'_> {
    fn get(&mut self) -> ModSeq {
        *self.given.get_or_insert_with(|| self.account.advance(self.clock))
    }
}

fn same(one: &Option<Stat>, two: &Option<Stat>) -> bool {
    let key = |stat: &Option<Stat>| stat.map(|stat| (stat.identity, stat.size, stat.modified, stat.changed));
    key(one) == key(two)
}
