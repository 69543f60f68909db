//! What is kept, in memory: for tests, and as the plain statement of what the seam means.

mod draft;
mod folder;

pub use draft::{MemoryDraft, MemoryReceipt};

use super::{
    Act, Applied, Changes, Done, Fault, Home, LineEnds, Listed, Measure, Row, Scope, Snapshot, Status, Store,
    Watching, search,
};
use crate::{
    mail::{
        flags::Flags,
        folder::FolderName,
        id::QueueId,
        query::{Key, ModSeq, Uid, UidSet},
    },
    sys::clock::Clock,
};
use folder::Folder;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    io::{self, Cursor},
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

/// Accounts and their folders. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    clock: Clock,
    accounts: Mutex<BTreeMap<String, Account>>,
    listeners: Mutex<Listeners>,
}

#[derive(Debug)]
struct Account {
    folders: BTreeMap<FolderName, Folder>,
    subscribed: BTreeSet<FolderName>,
    modseq: ModSeq,
    validity: u32,
}

/// A message as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its key.
    pub key: (QueueId, u32),
    /// Its octets as a file has them.
    pub octets: Vec<u8>,
    /// Its flags.
    pub flags: Flags,
    /// INTERNALDATE.
    pub date: SystemTime,
    /// No reader took it.
    pub recent: bool,
}

impl Account {
    fn new() -> Account {
        let mut account =
            Account { folders: BTreeMap::new(), subscribed: BTreeSet::new(), modseq: ModSeq(1), validity: 0 };
        account.make(&FolderName::inbox());
        account
    }

    fn make(&mut self, name: &FolderName) -> &mut Folder {
        let validity = &mut self.validity;
        self.folders.entry(name.clone()).or_insert_with(|| {
            *validity = validity.saturating_add(1);
            Folder::new(*validity)
        })
    }

    fn folder(&mut self, name: &FolderName) -> Result<&mut Folder, Fault> {
        self.folders.get_mut(name).ok_or(Fault::NoFolder)
    }

    fn advance(&mut self) -> ModSeq {
        self.modseq = ModSeq(self.modseq.0.saturating_add(1));
        self.modseq
    }
}

impl Memory {
    /// Nothing yet.
    pub fn new(clock: Clock) -> Memory {
        Memory(Arc::new(Inner { clock, ..Inner::default() }))
    }

    /// The messages of a folder; `None` when there is no such folder.
    pub fn messages(&self, home: &Home, folder: &FolderName) -> Option<Vec<Message>> {
        let folder = self.with(home, |account| {
            let messages = &account.folder(folder)?.messages;
            Ok(messages.values().map(|(_, message)| message.clone()).collect())
        });
        folder.ok()
    }

    fn with<T>(&self, home: &Home, act: impl FnOnce(&mut Account) -> Result<T, Fault>) -> Result<T, Fault> {
        act(held(&self.0.accounts).entry(home.location.clone()).or_insert_with(Account::new))
    }

    /// Keeps a message, in a folder that is made where it is missing; its UID, and whether its key was there before.
    fn put(&self, home: &Home, name: &FolderName, message: Message) -> (Uid, bool) {
        let mut accounts = held(&self.0.accounts);
        let account = accounts.entry(home.location.clone()).or_insert_with(Account::new);
        if !account.folders.contains_key(name) {
            account.subscribed.insert(name.clone());
        }
        let modseq = account.advance();
        let folder = account.make(name);
        let there = folder.messages.iter().find(|(_, (_, kept))| kept.key == message.key);
        let put = match there {
            Some((uid, _)) => (*uid, true),
            None => (folder.add(message, modseq), false),
        };
        drop(accounts);
        self.tell(home, &Scope::Folder(name.clone()));
        self.tell(home, &Scope::Folders);
        put
    }

    fn act(&self, home: &Home, act: Act<MemoryDraft>) -> Result<Done, Fault> {
        match act {
            Act::Append { draft, place, key } => {
                let uid_validity =
                    self.with(home, |account| Ok(account.folder(&place.folder)?.uid_validity))?;
                let message = draft.message(&place, place.date, &key);
                let (uid, _) = self.put(home, &place.folder, message);
                Ok(Done::Appended { uid_validity, uid })
            }
            Act::Flag { folder, uids, change, flags, unchanged_since } => self.with(home, |account| {
                let modseq = account.advance();
                let folder = account.folder(&folder)?;
                let mut modified = UidSet::default();
                let there: Vec<(Uid, ModSeq)> =
                    folder.among(&uids).map(|(uid, kept)| (uid, kept.0)).collect();
                for (uid, changed) in there {
                    match unchanged_since.is_some_and(|since| changed > since) {
                        true => modified.insert(uid),
                        false => folder.flag(uid, change, &flags, modseq),
                    }
                }
                Ok(Done::Flagged { modified })
            }),
            Act::Copy { from, uids, to } => self.transfer(home, &from, &uids, &to, false),
            Act::Move { from, uids, to } => self.transfer(home, &from, &uids, &to, true),
            Act::Expunge { folder, uids, deleted_only } => self.with(home, |account| {
                let modseq = account.advance();
                let folder = account.folder(&folder)?;
                let uids = uids.unwrap_or_else(|| UidSet::new([1..=Uid::MAX]));
                let going =
                    folder.among(&uids).filter(|(_, (_, message))| !deleted_only || message.flags.deleted);
                let going: UidSet = going.map(|(uid, _)| uid).collect();
                going.iter().for_each(|uid| folder.remove(uid, modseq));
                Ok(Done::Expunged { uids: going })
            }),
        }
    }

    fn transfer(
        &self,
        home: &Home,
        from: &FolderName,
        uids: &UidSet,
        to: &FolderName,
        moving: bool,
    ) -> Result<Done, Fault> {
        self.with(home, |account| {
            let modseq = account.advance();
            let source = account.folder(from)?;
            let leaving: Vec<(Uid, Message)> =
                source.among(uids).map(|(uid, kept)| (uid, kept.1.clone())).collect();
            let target = account.folder(to)?;
            let uid_validity = target.uid_validity;
            let put = |(old, message): &(Uid, Message)| {
                (*old, target.add(Message { recent: false, ..message.clone() }, modseq))
            };
            let pairs: Vec<(Uid, Uid)> = leaving.iter().map(put).collect();
            if moving {
                let source = account.folder(from)?;
                leaving.iter().for_each(|(old, _)| source.remove(*old, modseq));
            }
            Ok(Done::Copied { uid_validity, pairs })
        })
    }

    fn tell(&self, home: &Home, scope: &Scope) {
        let told: Vec<Tell> = held(&self.0.listeners)
            .list
            .values()
            .filter(|(location, listening, _)| *location == home.location && listening == scope)
            .map(|(_, _, tell)| Arc::clone(tell))
            .collect();
        told.iter().for_each(|tell| tell());
    }
}

impl Store for Memory {
    type Draft = MemoryDraft;
    type Octets = Cursor<Vec<u8>>;

    fn draft(&self, home: &Home, ends: LineEnds) -> io::Result<MemoryDraft> {
        Ok(MemoryDraft { memory: self.clone(), home: home.clone(), ends, octets: Vec::new(), sealed: false })
    }

    fn usage(&self, home: &Home) -> io::Result<u64> {
        let accounts = held(&self.0.accounts);
        let folders = accounts.get(&home.location).into_iter().flat_map(|account| account.folders.values());
        Ok(folders.flat_map(|folder| folder.messages.values()).map(|kept| kept.1.octets.len() as u64).sum())
    }

    fn folders(&self, home: &Home) -> io::Result<Vec<Listed>> {
        let listed = self.with(home, |account| {
            let names: BTreeSet<&FolderName> = account.folders.keys().chain(&account.subscribed).collect();
            let listed = names.into_iter().map(|name| Listed {
                name: name.clone(),
                exists: account.folders.contains_key(name),
                subscribed: account.subscribed.contains(name),
            });
            Ok(listed.collect())
        });
        listed.map_err(io::Error::other)
    }

    fn create(&self, home: &Home, folder: &FolderName) -> Result<(), Fault> {
        self.with(home, |account| match account.folders.contains_key(folder) {
            true => Err(Fault::Exists),
            false => {
                account.make(folder);
                Ok(())
            }
        })?;
        self.tell(home, &Scope::Folders);
        Ok(())
    }

    fn delete(&self, home: &Home, folder: &FolderName) -> Result<(), Fault> {
        if folder.is_inbox() {
            return Err(Fault::Cannot("INBOX can't be deleted"));
        }
        self.with(home, |account| account.folders.remove(folder).map(drop).ok_or(Fault::NoFolder))?;
        self.tell(home, &Scope::Folders);
        Ok(())
    }

    fn rename(&self, home: &Home, from: &FolderName, to: &FolderName) -> Result<(), Fault> {
        if from.is_inbox() {
            self.create(home, to)?;
            return self.transfer(home, from, &UidSet::new([1..=Uid::MAX]), to, true).map(drop);
        }
        if to.is_inbox() {
            return Err(Fault::Exists);
        }
        if to.is_within(from) {
            return Err(Fault::Cannot("a folder can't be moved into itself"));
        }
        self.with(home, |account| {
            let names = account.folders.keys().filter(|name| *name == from || name.is_within(from));
            let mut pairs = Vec::new();
            for name in names {
                let below = name.levels().get(from.levels().len()..).unwrap_or_default();
                let levels = to.levels().iter().chain(below).cloned().collect();
                let target =
                    FolderName::new(levels).map_err(|_| Fault::Cannot("the new name is too long"))?;
                if account.folders.contains_key(&target) {
                    return Err(Fault::Exists);
                }
                pairs.push((name.clone(), target));
            }
            if pairs.is_empty() {
                return Err(Fault::NoFolder);
            }
            for (name, target) in pairs {
                if let Some(folder) = account.folders.remove(&name) {
                    account.folders.insert(target, folder);
                }
            }
            Ok(())
        })?;
        self.tell(home, &Scope::Folders);
        Ok(())
    }

    fn subscribe(&self, home: &Home, folder: &FolderName, subscribed: bool) -> Result<(), Fault> {
        self.with(home, |account| {
            match subscribed {
                true => account.subscribed.insert(folder.clone()),
                false => account.subscribed.remove(folder),
            };
            Ok(())
        })?;
        self.tell(home, &Scope::Folders);
        Ok(())
    }

    fn open(&self, home: &Home, folder: &FolderName, take: bool) -> Result<Snapshot, Fault> {
        self.with(home, |account| {
            let modseq = account.modseq;
            let folder = account.folder(folder)?;
            let snapshot = folder.snapshot(modseq);
            if take {
                folder.take_recent();
            }
            Ok(snapshot)
        })
    }

    fn status(&self, home: &Home, folder: &FolderName) -> Result<Status, Fault> {
        self.with(home, |account| {
            let modseq = account.modseq;
            Ok(account.folder(folder)?.status(modseq))
        })
    }

    fn rows(&self, home: &Home, folder: &FolderName, uids: &UidSet, most: usize) -> Result<Vec<Row>, Fault> {
        self.with(home, |account| {
            let folder = account.folder(folder)?;
            Ok(folder.among(uids).take(most).map(|(uid, kept)| folder::row(uid, kept)).collect())
        })
    }

    fn email_ids(
        &self,
        home: &Home,
        folder: &FolderName,
        uids: &UidSet,
        most: usize,
    ) -> Result<Vec<(Uid, String)>, Fault> {
        self.with(home, |account| {
            let messages = account.folder(folder)?.among(uids).take(most);
            Ok(messages.map(|(uid, (_, message))| (uid, folder::email_id(message))).collect())
        })
    }

    fn measures(
        &self,
        home: &Home,
        folder: &FolderName,
        uids: &UidSet,
        most: usize,
    ) -> Result<Vec<Measure>, Fault> {
        self.with(home, |account| {
            let folder = account.folder(folder)?;
            Ok(folder.among(uids).take(most).map(|(uid, kept)| folder::measure(uid, &kept.1)).collect())
        })
    }

    fn changes(&self, home: &Home, folder: &FolderName, since: ModSeq, take: bool) -> Result<Changes, Fault> {
        self.with(home, |account| {
            let modseq = account.modseq;
            let folder = account.folder(folder)?;
            let changes = folder.changes(since, modseq);
            if take {
                folder.take_recent();
            }
            Ok(changes)
        })
    }

    fn read(
        &self,
        home: &Home,
        folder: &FolderName,
        uid: Uid,
        range: Range<u64>,
    ) -> Result<Cursor<Vec<u8>>, Fault> {
        self.with(home, |account| {
            let (_, message) = account.folder(folder)?.messages.get(&uid).ok_or(Fault::NoMessage)?;
            let octets = draft::wire(&message.octets);
            let at = |octets: &[u8], place| usize::try_from(place).unwrap_or(usize::MAX).min(octets.len());
            let range = at(&octets, range.start)..at(&octets, range.end);
            Ok(Cursor::new(octets.get(range).unwrap_or_default().to_vec()))
        })
    }

    fn search(&self, home: &Home, folder: &FolderName, key: &Key) -> Result<UidSet, Fault> {
        search::check(key)?;
        self.with(home, |account| {
            let mut found = UidSet::default();
            for (uid, kept) in &account.folder(folder)?.messages {
                if search::matches(key, &folder::row(*uid, kept), &mut Found(*uid, &kept.1))? {
                    found.insert(*uid);
                }
            }
            Ok(found)
        })
    }

    fn watch(
        &self,
        home: &Home,
        scope: &Scope,
        tell: Box<dyn Fn() + Send + Sync>,
    ) -> Result<Watching, Fault> {
        if let Scope::Folder(folder) = scope {
            self.with(home, |account| account.folder(folder).map(drop))?;
        }
        let mut listeners = held(&self.0.listeners);
        listeners.last = listeners.last.saturating_add(1);
        let number = listeners.last;
        listeners.list.insert(number, (home.location.clone(), scope.clone(), tell.into()));
        Ok(Box::new(Listening { memory: self.clone(), number }))
    }

    fn apply(&self, home: &Home, acts: Vec<Act<MemoryDraft>>) -> Applied {
        let mut outcomes = Vec::new();
        for act in acts {
            let folders: Vec<FolderName> = match &act {
                Act::Append { place, .. } => vec![place.folder.clone()],
                Act::Flag { folder, .. } | Act::Expunge { folder, .. } => vec![folder.clone()],
                Act::Copy { to, .. } => vec![to.clone()],
                Act::Move { from, to, .. } => vec![from.clone(), to.clone()],
            };
            outcomes.push(self.act(home, act));
            folders.into_iter().for_each(|folder| self.tell(home, &Scope::Folder(folder)));
        }
        let modseq = self.with(home, |account| Ok(account.modseq)).unwrap_or_default();
        Applied { modseq, outcomes }
    }
}

struct Found<'a>(Uid, &'a Message);

impl search::Lookup for Found<'_> {
    fn measure(&mut self) -> io::Result<Option<Measure>> {
        Ok(Some(folder::measure(self.0, self.1)))
    }

    fn head(&mut self) -> io::Result<&[u8]> {
        let octets = &self.1.octets;
        Ok(octets.get(..search::HEAD).unwrap_or(octets))
    }
}

type Tell = Arc<dyn Fn() + Send + Sync>;

#[derive(Default)]
struct Listeners {
    list: BTreeMap<u64, (String, Scope, Tell)>,
    last: u64,
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listeners({})", self.list.len())
    }
}

struct Listening {
    memory: Memory,
    number: u64,
}

impl Drop for Listening {
    fn drop(&mut self) {
        held(&self.memory.0.listeners).list.remove(&self.number);
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
