//! Changes to messages. What gets a UID is put in place under the target folder's lock; flags and expunges are renames
//! and removals of files, which need no lock. All of it is durable before it is answered. No two folders are held at once.

use super::{
    Inner, MaildirDraft,
    account::{Account, Opened, held},
    draft,
    keywords::Known,
    name,
    scan::Found,
    uidlist,
    view::View,
};
use crate::{
    mail::{
        flags::{Flags, unknown_letters},
        folder::FolderName,
        id::DeliveryKey,
        query::{ModSeq, Uid, UidSet},
    },
    store::{Act, Applied, Done, Fault, FlagChange, Home, Place},
    sys::{disk::Dir, lock::Dotlock, random},
};
use std::{collections::BTreeSet, io, sync::Arc};

/// How often a message that another program renames just when we want to is tried again.
const TRIES: usize = 4;

impl Inner {
    pub(super) fn apply(&self, home: &Home, acts: Vec<Act<MaildirDraft>>) -> Applied {
        let outcomes = acts.into_iter().map(|act| self.act(home, act)).collect();
        Applied { modseq: Account::of(&self.accounts, home).modseq(), outcomes }
    }

    fn act(&self, home: &Home, act: Act<MaildirDraft>) -> Result<Done, Fault> {
        match act {
            Act::Append { draft, place, key } => self.append(home, draft, &place, &key),
            Act::Flag { folder, uids, change, flags, unchanged_since } => {
                let opened = Opened::open(self, home, &folder)?;
                self.flag(&opened, &uids, change, &flags, unchanged_since)
            }
            Act::Copy { from, uids, to } => self.transfer(home, &from, &uids, &to, false),
            Act::Move { from, uids, to } => self.transfer(home, &from, &uids, &to, true),
            Act::Expunge { folder, uids, deleted_only } => {
                let opened = Opened::open(self, home, &folder)?;
                self.expunge(&opened, uids, deleted_only)
            }
        }
    }

    fn append(
        &self,
        home: &Home,
        mut draft: MaildirDraft,
        place: &Place,
        key: &DeliveryKey,
    ) -> Result<Done, Fault> {
        let opened = Opened::open(self, home, &place.folder)?;
        // All that takes long comes before the lock.
        draft.finish(place.date)?;
        let mut view = held(&opened.view);
        let placed = draft.put(place, key, true)?;
        let named = placed.dir.sync().and_then(|()| uidlist::lock(&opened.dir)).and_then(|lock| {
            view.scanner.forget();
            view.refresh_locked(&opened.root, &opened.account, &self.clock, &lock)
        });
        if let Err(fault) = named {
            // RFC 3501 section 6.3.11: the folder is as it was.
            placed.take_back();
            return Err(fault.into());
        }
        let uid = view.list.uid(&placed.base).filter(|uid| view.messages.contains_key(uid));
        let uid = uid.ok_or(Fault::NoMessage)?;
        Ok(Done::Appended { uid_validity: view.list.uid_validity, uid })
    }

    fn flag(
        &self,
        opened: &Opened,
        uids: &UidSet,
        change: FlagChange,
        flags: &Flags,
        unchanged_since: Option<ModSeq>,
    ) -> Result<Done, Fault> {
        let mut view = opened.fresh(self)?;
        let mut modified = UidSet::default();
        let there: Vec<Uid> = view.among(uids).map(|(uid, _)| uid).collect();
        let mut now = None;
        for uid in there {
            for _ in 0..TRIES {
                let Some(message) = view.messages.get(&uid) else { break };
                if unchanged_since.is_some_and(|since| message.modseq > since) {
                    modified.insert(uid);
                    break;
                }
                if self.set_flags(opened, &mut view, uid, change, flags, &mut now)? {
                    break;
                }
                // It has another name now.
                view.scanner.forget();
                view.refresh(&opened.root, &opened.account, &self.clock)?;
            }
        }
        // Also where nothing was to change: what another session changed just now need not be durable yet.
        let cur = view.scanner.cur.clone();
        drop(view);
        cur.sync()?;
        Ok(Done::Flagged { modified })
    }

    /// Renames a message's file for its new flags; false when the file is not where it was.
    fn set_flags(
        &self,
        opened: &Opened,
        view: &mut View,
        uid: Uid,
        change: FlagChange,
        flags: &Flags,
        now: &mut Option<ModSeq>,
    ) -> Result<bool, Fault> {
        let (Some(old), Some(base), Some(message)) =
            (view.flags(uid), view.base(uid).cloned(), view.messages.get(&uid).cloned())
        else {
            return Ok(true);
        };
        let new = changed(&old, change, flags);
        if new == old {
            return Ok(true);
        }
        let foreign = unknown_letters(message.found.letters(), |letter| view.known.letters.name_of(letter));
        let letters = letters(view, &base, &new)?;
        let name = name::with_letters(&base, &with_foreign(&letters, &foreign));
        let part = view.scanner.part(message.found.new);
        match part.rename(&*message.found.name, &view.scanner.cur, &name) {
            Ok(()) => {}
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(fault) => return Err(fault.into()),
        }
        let modseq = *now.get_or_insert_with(|| opened.account.advance(&self.clock));
        if let Some(message) = view.messages.get_mut(&uid) {
            message.found = Found { new: false, name: name.into() };
            message.modseq = modseq;
        }
        Ok(true)
    }

    fn expunge(&self, opened: &Opened, uids: Option<UidSet>, deleted_only: bool) -> Result<Done, Fault> {
        let mut view = opened.fresh(self)?;
        let uids = uids.unwrap_or_else(|| UidSet::new([1..=Uid::MAX]));
        let spared = |found: &Found| deleted_only && !found.letters().contains('T');
        let going = view.among(&uids).filter(|(_, message)| !spared(&message.found));
        let going: Vec<Uid> = going.map(|(uid, _)| uid).collect();
        let mut gone = UidSet::default();
        for uid in going {
            for _ in 0..TRIES {
                let Some(message) = view.messages.get(&uid) else { break };
                if spared(&message.found) {
                    break;
                }
                if view.scanner.part(message.found.new).remove(&*message.found.name)? {
                    gone.insert(uid);
                    view.drop_messages(&UidSet::new([uid..=uid]), &opened.account, &self.clock);
                    break;
                }
                view.scanner.forget();
                view.refresh(&opened.root, &opened.account, &self.clock)?;
            }
        }
        let parts = view.scanner.parts();
        drop(view);
        if !gone.is_empty() {
            sync(&parts)?;
        }
        Ok(Done::Expunged { uids: gone })
    }

    /// Copies or moves. The source is looked at, then the target is changed under its lock, then the source is told.
    fn transfer(
        &self,
        home: &Home,
        from: &FolderName,
        uids: &UidSet,
        to: &FolderName,
        moving: bool,
    ) -> Result<Done, Fault> {
        let source = Opened::open(self, home, from)?;
        let target = Opened::open(self, home, to)?;
        let mut pairs: Vec<(Uid, Uid)> = Vec::new();
        for _ in 0..TRIES {
            let leaving = leaving(&*source.fresh(self)?, uids);
            let received = self.receive(&target, &leaving, moving)?;
            pairs.extend(&received.pairs);
            let mut view = held(&source.view);
            view.drop_messages(&received.moved, &source.account, &self.clock);
            if received.missed {
                view.scanner.forget();
            }
            let parts = view.scanner.parts();
            drop(view);
            if let Some(fault) = received.fault {
                return Err(fault.into());
            }
            if !received.moved.is_empty() {
                sync(&parts)?;
            }
            if !received.missed {
                let uid_validity = received.uid_validity;
                return Ok(Done::Copied { uid_validity, pairs });
            }
        }
        Err(Fault::Local(io::Error::other("another program renames the messages all the time")))
    }

    fn receive(&self, target: &Opened, leaving: &[Leaving], moving: bool) -> Result<Received, Fault> {
        let mut view = held(&target.view);
        let lock = uidlist::lock(&target.dir)?;
        view.refresh_locked(&target.root, &target.account, &self.clock, &lock)?;
        let mut received = Received { uid_validity: view.list.uid_validity, ..Received::default() };
        let mut put: Vec<(Uid, Arc<str>, Found)> = Vec::new();
        for message in leaving {
            let taken: Vec<&str> = put.iter().map(|(_, base, _)| &**base).collect();
            match self.receive_one(&mut view, message, &taken, &lock, moving) {
                Ok(Some((base, found))) => put.push((message.uid, base, found)),
                Ok(None) => received.missed = true,
                Err(fault) => received.fault = Some(fault),
            }
            if received.fault.is_some() || (received.missed && !moving) {
                break;
            }
        }
        if moving {
            received.moved = put.iter().map(|(old, ..)| *old).collect();
        } else if received.missed || received.fault.is_some() {
            take_back(&view, &put);
            return Ok(received);
        }
        if put.is_empty() {
            return Ok(received);
        }
        // The names are durable before the UIDs are given. Moved messages that then get none get it from the next
        // reader; copies are taken back.
        let files = put.iter().map(|(_, base, found)| (Arc::clone(base), found.clone())).collect();
        let named =
            view.scanner.cur.sync().and_then(|()| view.name_new(files, &target.account, &self.clock, &lock));
        match named {
            Ok(uids) => received.pairs = put.iter().map(|(old, ..)| *old).zip(uids).collect(),
            Err(fault) => {
                if !moving {
                    take_back(&view, &put);
                }
                received.fault = Some(fault);
            }
        }
        Ok(received)
    }

    /// Puts one message into the target; `None` when it is not where it was.
    fn receive_one(
        &self,
        view: &mut View,
        message: &Leaving,
        taken: &[&str],
        lock: &Dotlock,
        moving: bool,
    ) -> io::Result<Option<(Arc<str>, Found)>> {
        let alive = |base: &str| view.list.uid(base).is_some_and(|uid| view.messages.contains_key(&uid));
        // The base goes along, since the content's id derives from it; a second copy needs one of its own.
        let base = match alive(&message.base) || taken.contains(&&*message.base) {
            false => Arc::clone(&message.base),
            true => self.another_base(&message.base),
        };
        let dir = view.dir.clone();
        let letters = view.known.letters_for(&dir, &base, &message.flags, lock)?;
        let name = name::with_letters(&base, &letters);
        let (part, file, cur) = (&message.part, &*message.file, &view.scanner.cur);
        let put = match moving {
            true => part.rename_new(file, cur, &name),
            false => part.link(file, cur, &name),
        };
        match put {
            Ok(()) => {}
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(fault) if draft::needs_a_file_of_its_own(&fault) => {
                draft::copy_file(part.open_file(file)?, &view.dir, cur, &name)?;
                if moving {
                    cur.sync()?;
                    part.remove(file)?;
                }
            }
            Err(fault) => return Err(fault),
        }
        Ok(Some((base, Found { new: false, name: name.into() })))
    }

    /// A base for another copy of a message: its sizes are the same.
    fn another_base(&self, base: &str) -> Arc<str> {
        let key = DeliveryKey::first(random::queue_id(&self.clock));
        let sizes = base.find(",S=").and_then(|at| base.get(at..)).unwrap_or_default();
        format!("{}{}{sizes}", name::stem(&key), self.host).into()
    }
}

/// Makes durable what was renamed or removed. Nobody else may have to wait for it: the view is not held.
fn sync(parts: &[Dir; 2]) -> io::Result<()> {
    parts.iter().try_for_each(Dir::sync)
}

/// A message that is to be copied or moved.
struct Leaving {
    uid: Uid,
    base: Arc<str>,
    part: Dir,
    file: Box<str>,
    flags: Flags,
}

fn leaving(view: &View, uids: &UidSet) -> Vec<Leaving> {
    let messages = view.among(uids).filter_map(|(uid, message)| {
        Some(Leaving {
            uid,
            base: Arc::clone(view.base(uid)?),
            part: view.scanner.part(message.found.new).clone(),
            file: message.found.name.clone(),
            flags: view.flags(uid)?,
        })
    });
    messages.collect()
}

/// What came to a target.
#[derive(Default)]
struct Received {
    uid_validity: u32,
    /// Old and new UIDs.
    pairs: Vec<(Uid, Uid)>,
    /// Messages that left the source.
    moved: UidSet,
    /// A message was not where it was seen. Of copies none was made then.
    missed: bool,
    fault: Option<io::Error>,
}

/// Removes copies again that got no UID.
fn take_back(view: &View, put: &[(Uid, Arc<str>, Found)]) {
    for (_, _, found) in put {
        // Nobody knows of them; what can't be removed now is a new message for the next reader.
        let _ = view.scanner.cur.remove(&*found.name);
    }
}

fn changed(old: &Flags, change: FlagChange, flags: &Flags) -> Flags {
    let mut new = old.clone();
    match change {
        FlagChange::Set => return flags.clone(),
        // What was a flag once can be one again.
        FlagChange::Add => flags.names().for_each(|name| drop(new.insert(name))),
        FlagChange::Remove => flags.names().for_each(|name| new.remove(name)),
    }
    new
}

/// The letters for a message's flags. Only a keyword that has no letter yet needs the folder's lock.
fn letters(view: &mut View, base: &str, flags: &Flags) -> io::Result<String> {
    if let Some(letters) = view.known.letters_at_hand(base, flags) {
        return Ok(letters);
    }
    let dir = view.dir.clone();
    let lock = uidlist::lock(&dir)?;
    view.known = Known::read(&dir)?;
    view.known.letters_for(&dir, base, flags, &lock)
}

/// Letters of other programs stay where they are, in ASCII order with ours.
fn with_foreign(letters: &str, foreign: &str) -> String {
    let letters: BTreeSet<char> = letters.chars().chain(foreign.chars()).collect();
    letters.into_iter().collect()
}
