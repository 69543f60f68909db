//! Mail in Maildirs (Maildir++), with Dovecot's own files beside the messages, so that a Maildir can go back and forth.
//!
//! Truth is the names of the files (flags), `dovecot-uidlist` (UIDs), `dovecot-keywords` and `subscriptions`; nothing else
//! is kept on disk but the keywords for which there is no letter. What a process remembers of a folder ([`view`]) is
//! compared with the disk each time it is asked, so that deliveries and changes by other programs are seen at once.
//! Files whose names are not UTF-8 are not seen as messages.

mod account;
mod apply;
mod browse;
mod draft;
mod ends;
mod folders;
mod keywords;
mod name;
mod open;
mod read;
mod scan;
mod subscriptions;
mod uidlist;
mod validity;
mod view;
mod watch;

pub use browse::{Found, alone, browse};
pub use draft::{MaildirDraft, MaildirReceipt};
pub use keywords::Keywords;
pub use name::{parted, size, wire_size};
pub use read::Octets;
pub use subscriptions::Subscriptions;
pub use uidlist::{Record, UidList};

use super::{
    Act, Applied, Changes, Fault, Home, LineEnds, Listed, Measure, Row, Scope, Snapshot, Status, Store,
    Watching,
};
use crate::{
    mail::{
        folder::FolderName,
        query::{Key, ModSeq, Uid, UidSet},
    },
    sys::{clock::Clock, disk::Disk},
};
use account::Account;
use std::{io, ops::Range, sync::Arc};

/// All Maildirs that a program works on. [`Home::location`] is the path of the Maildir. Cheap to clone; clones share
/// what is remembered.
#[derive(Clone, Debug)]
pub struct Maildir(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    disk: Disk,
    clock: Clock,
    host: String,
    accounts: account::Accounts,
    watches: watch::Watches,
}

impl Maildir {
    /// Maildirs reached through `disk`.
    pub fn new(disk: Disk, clock: Clock) -> Maildir {
        let host = name::host(&rustix::system::uname().nodename().to_string_lossy());
        let accounts = account::Accounts::default();
        Maildir(Arc::new(Inner { disk, clock, host, accounts, watches: watch::Watches::default() }))
    }
}

impl Store for Maildir {
    type Draft = MaildirDraft;
    type Octets = Octets;

    fn draft(&self, home: &Home, ends: LineEnds) -> io::Result<MaildirDraft> {
        MaildirDraft::new(&self.0, home, ends)
    }

    fn usage(&self, home: &Home) -> io::Result<u64> {
        folders::usage(&self.0.disk, home)
    }

    fn folders(&self, home: &Home) -> io::Result<Vec<Listed>> {
        folders::listed(&self.0.disk, home)
    }

    fn create(&self, home: &Home, folder: &FolderName) -> Result<(), Fault> {
        folders::create(&account::root(&self.0, home)?, folder)
    }

    fn delete(&self, home: &Home, folder: &FolderName) -> Result<(), Fault> {
        folders::delete(&account::root(&self.0, home)?, folder)?;
        Account::of(&self.0.accounts, home).forget(folder);
        Ok(())
    }

    fn rename(&self, home: &Home, from: &FolderName, to: &FolderName) -> Result<(), Fault> {
        let root = account::root(&self.0, home)?;
        if from.is_inbox() {
            folders::create(&root, to)?;
            let all = UidSet::new([1..=Uid::MAX]);
            let moved = Act::Move { from: from.clone(), uids: all, to: to.clone() };
            let outcomes = self.apply(home, vec![moved]).outcomes;
            return outcomes.into_iter().try_for_each(|outcome| outcome.map(drop));
        }
        let account = Account::of(&self.0.accounts, home);
        folders::rename(&root, from, to)?.iter().for_each(|folder| account.forget(folder));
        Ok(())
    }

    fn subscribe(&self, home: &Home, folder: &FolderName, subscribed: bool) -> Result<(), Fault> {
        let root = account::root(&self.0, home)?;
        let mut full = false;
        subscriptions::change(&root, |known| match subscribed {
            true => {
                full = known.is_full();
                known.add(folder)
            }
            false => known.remove(folder),
        })?;
        if full { Err(Fault::Cannot("there are too many subscriptions")) } else { Ok(()) }
    }

    fn open(&self, home: &Home, folder: &FolderName, take: bool) -> Result<Snapshot, Fault> {
        self.0.snapshot(home, folder, take)
    }

    fn status(&self, home: &Home, folder: &FolderName) -> Result<Status, Fault> {
        self.0.status(home, folder)
    }

    fn rows(&self, home: &Home, folder: &FolderName, uids: &UidSet, most: usize) -> Result<Vec<Row>, Fault> {
        self.0.rows(home, folder, uids, most)
    }

    fn email_ids(
        &self,
        home: &Home,
        folder: &FolderName,
        uids: &UidSet,
        most: usize,
    ) -> Result<Vec<(Uid, String)>, Fault> {
        self.0.email_ids(home, folder, uids, most)
    }

    fn measures(
        &self,
        home: &Home,
        folder: &FolderName,
        uids: &UidSet,
        most: usize,
    ) -> Result<Vec<Measure>, Fault> {
        self.0.measures(home, folder, uids, most)
    }

    fn counted(&self, home: &Home, folder: &FolderName, uid: Uid) -> Result<Option<Measure>, Fault> {
        self.0.counted(home, folder, uid)
    }

    fn changes(&self, home: &Home, folder: &FolderName, since: ModSeq, take: bool) -> Result<Changes, Fault> {
        self.0.changes(home, folder, since, take)
    }

    fn read(&self, home: &Home, folder: &FolderName, uid: Uid, range: Range<u64>) -> Result<Octets, Fault> {
        self.0.octets(home, folder, uid, range)
    }

    fn read_each(
        &self,
        home: &Home,
        folder: &FolderName,
        uids: &[Uid],
        take: &mut dyn FnMut(Uid, io::Result<Option<Octets>>) -> Result<bool, Fault>,
    ) -> Result<(), Fault> {
        self.0.each(home, folder, uids, take)
    }

    fn search(&self, home: &Home, folder: &FolderName, key: &Key) -> Result<UidSet, Fault> {
        self.0.search(home, folder, key)
    }

    fn watch(
        &self,
        home: &Home,
        scope: &Scope,
        tell: Box<dyn Fn() + Send + Sync>,
    ) -> Result<Watching, Fault> {
        self.0.watch(home, scope, tell)
    }

    fn apply(&self, home: &Home, acts: Vec<Act<MaildirDraft>>) -> Applied {
        self.0.apply(home, acts)
    }
}
