//! What a process remembers of an account: its modification sequence, and the folders that it has looked at.

use super::{Inner, folders, scan, view::View};
use crate::{
    mail::{folder::FolderName, query::ModSeq},
    store::{Fault, Home},
    sys::{clock::Clock, disk::Dir},
};
use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// Folders remembered in an account. The rest are read anew, which costs a reader no more than to hear of changes
/// that it knew.
const REMEMBERED: usize = 64;
/// Accounts remembered.
const ACCOUNTS: usize = 4096;

/// The accounts of a store.
pub(super) type Accounts = Mutex<HashMap<String, Arc<Account>>>;

/// One account.
#[derive(Debug, Default)]
pub(super) struct Account {
    last: AtomicU64,
    views: Mutex<HashMap<FolderName, Arc<Mutex<View>>>>,
}

impl Account {
    /// The account of a home.
    pub(super) fn of(accounts: &Accounts, home: &Home) -> Arc<Account> {
        let mut accounts = held(accounts);
        if accounts.len() >= ACCOUNTS && !accounts.contains_key(&home.location) {
            accounts.retain(|_, account| Arc::strong_count(account) > 1);
        }
        Arc::clone(accounts.entry(home.location.clone()).or_default())
    }

    /// A modification sequence greater than all before it. The first is the clock's microseconds: greater than
    /// what an earlier process gave, unless that made a million changes a second.
    pub(super) fn advance(&self, clock: &Clock) -> ModSeq {
        let now = clock.micros();
        let next = |last: u64| Some(last.saturating_add(1).max(now));
        match self.last.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next) {
            Ok(last) | Err(last) => ModSeq(last.saturating_add(1).max(now)),
        }
    }

    /// Forgets what was known of a folder.
    pub(super) fn forget(&self, folder: &FolderName) {
        held(&self.views).remove(folder);
    }

    /// The last one that was given.
    pub(super) fn modseq(&self) -> ModSeq {
        ModSeq(self.last.load(Ordering::SeqCst))
    }

    /// The view of a folder.
    pub(super) fn view(&self, folder: &FolderName, dir: &Dir, clock: &Clock) -> io::Result<Arc<Mutex<View>>> {
        // Not in one breath with the next lines: whoever reads a large folder holds its view, not all others.
        let known = held(&self.views).get(folder).cloned();
        if let Some(view) = known
            && held(&view).is_of(dir)?
        {
            return Ok(view);
        }
        let mut views = held(&self.views);
        if views.len() >= REMEMBERED {
            views.retain(|_, view| Arc::strong_count(view) > 1);
        }
        let view = Arc::new(Mutex::new(View::open(dir)?));
        // A courtesy to the disk: a reader must not fail for it.
        let _ = scan::clean(dir, clock);
        views.insert(folder.clone(), Arc::clone(&view));
        Ok(view)
    }
}

/// Opens the Maildir of a home, made where it is missing.
pub(super) fn root(store: &Inner, home: &Home) -> io::Result<Dir> {
    match store.disk.open(home.location.as_ref()) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
            let root = store.disk.make_all(home.location.as_ref(), 0o700)?;
            folders::make(&root, &FolderName::inbox())?;
            Ok(root)
        }
        opened => opened,
    }
}

/// A folder that exists, INBOX made where it is missing; with what is remembered of it, fresh.
pub(super) struct Opened {
    pub(super) root: Dir,
    pub(super) dir: Dir,
    pub(super) account: Arc<Account>,
    pub(super) view: Arc<Mutex<View>>,
}

impl Opened {
    pub(super) fn open(store: &Inner, home: &Home, folder: &FolderName) -> Result<Opened, Fault> {
        let root = root(store, home)?;
        let missing = |fault: io::Error| match fault.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Fault::NoFolder,
            _ => Fault::Local(fault),
        };
        let dir = folders::open(&root, folder).map_err(missing)?;
        let account = Account::of(&store.accounts, home);
        let view = match account.view(folder, &dir, &store.clock) {
            // Some programs make a folder with cur/ only.
            Err(fault)
                if fault.kind() == io::ErrorKind::NotFound
                    && (folder.is_inbox() || dir.stat("cur")?.is_some()) =>
            {
                folders::make(&root, folder)?;
                account.view(folder, &dir, &store.clock)
            }
            opened => opened,
        };
        let view = view.map_err(missing)?;
        Ok(Opened { root, dir, account, view })
    }

    /// The view as it was when it was brought up to date last.
    pub(super) fn known(&self, store: &Inner) -> Result<MutexGuard<'_, View>, Fault> {
        let view = held(&self.view);
        if view.is_read() {
            return Ok(view);
        }
        drop(view);
        self.fresh(store)
    }

    /// The view, brought up to date.
    pub(super) fn fresh(&self, store: &Inner) -> Result<MutexGuard<'_, View>, Fault> {
        let mut view = held(&self.view);
        view.refresh(&self.root, &self.account, &store.clock)?;
        Ok(view)
    }
}

/// Locks. A view that a thread left half changed by a panic is brought up to date before it is used.
pub(super) fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_modseq_is_greater_than_all_before_it_and_than_those_of_an_earlier_process() {
        let clock = Clock::standing(1000);
        let account = Account::default();
        assert_eq!(account.advance(&clock), ModSeq(1000));
        assert_eq!(account.advance(&clock), ModSeq(1001));
        clock.advance(Duration::from_secs(1));
        assert_eq!(account.advance(&clock), ModSeq(1_001_000));
        assert_eq!(account.modseq(), ModSeq(1_001_000));
        assert!(Account::default().advance(&clock) >= ModSeq(1_001_000));
    }
}
