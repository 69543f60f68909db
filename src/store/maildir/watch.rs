//! Who wants to hear of changes. One thread for the whole store reads the events, for as long as anybody listens.

use super::{Inner, account, folders};
use crate::{
    store::{Fault, Home, Scope, Watching},
    sys::{
        disk::Dir,
        watch::{Hint, Watched, Watcher},
    },
};
use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

/// The listeners of a store.
#[derive(Clone, Default)]
pub(super) struct Watches(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    watcher: Option<Watcher>,
    /// By the number of each watch.
    listeners: BTreeMap<u64, Arc<dyn Fn() + Send + Sync>>,
    running: bool,
}

/// One listener's watches; they end when dropped.
struct Listener {
    watches: Watches,
    watched: Vec<Watched>,
}

impl Inner {
    pub(super) fn watch(
        &self,
        home: &Home,
        scope: &Scope,
        tell: Box<dyn Fn() + Send + Sync>,
    ) -> Result<Watching, Fault> {
        let root = account::root(self, home)?;
        let dirs = match scope {
            // The root's own messages are INBOX's, but its directory also changes with every folder.
            Scope::Folders => vec![root],
            Scope::Folder(folder) => {
                let missing = |fault: io::Error| match fault.kind() {
                    io::ErrorKind::NotFound => Fault::NoFolder,
                    _ => Fault::Local(fault),
                };
                let dir = folders::open(&root, folder).map_err(missing)?;
                if folder.is_inbox() {
                    folders::make(&root, folder)?;
                }
                let parts = ["new", "cur"].map(|part| dir.open(part).map_err(missing));
                let [new, cur] = parts;
                vec![new?, cur?, dir]
            }
        };
        Ok(self.watches.listen(&dirs, tell.into())?)
    }
}

impl Watches {
    fn listen(&self, dirs: &[Dir], tell: Arc<dyn Fn() + Send + Sync>) -> io::Result<Watching> {
        let mut table = self.table();
        let watcher = match &table.watcher {
            Some(watcher) => watcher.clone(),
            None => table.watcher.insert(Watcher::new()?).clone(),
        };
        let watched = dirs.iter().map(|dir| watcher.watch(dir.path())).collect::<io::Result<Vec<_>>>()?;
        for watch in &watched {
            table.listeners.insert(watch.number(), Arc::clone(&tell));
        }
        if !table.running {
            let watches = self.clone();
            thread::Builder::new().name("maildir-watch".into()).spawn(move || watches.run(&watcher))?;
            table.running = true;
        }
        Ok(Box::new(Listener { watches: self.clone(), watched }))
    }

    /// Until nobody listens. The end of a watch is an event, too, so the last one that goes wakes this.
    fn run(&self, watcher: &Watcher) {
        loop {
            let hint = watcher.next(None);
            let mut table = self.table();
            let told: Vec<_> = match &hint {
                Ok(Some(Hint::Changed(numbers))) => {
                    numbers.iter().filter_map(|number| table.listeners.get(number).cloned()).collect()
                }
                Ok(Some(Hint::All)) => table.listeners.values().cloned().collect(),
                Ok(None) => Vec::new(),
                // The instance is broken: all look once more, and later listeners get another.
                Err(_) => {
                    table.watcher = None;
                    std::mem::take(&mut table.listeners).into_values().collect()
                }
            };
            if table.listeners.is_empty() {
                table.running = false;
            }
            let ended = !table.running;
            drop(table);
            let mut last: Option<&Arc<dyn Fn() + Send + Sync>> = None;
            for tell in &told {
                // A listener has several watches; neighbours are usually one's own.
                if last.is_none_or(|last| !Arc::ptr_eq(last, tell)) {
                    tell();
                }
                last = Some(tell);
            }
            if ended {
                return;
            }
        }
    }

    fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Watches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Watches({})", self.table().listeners.len())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut table = self.watches.table();
        for watch in &self.watched {
            table.listeners.remove(&watch.number());
        }
        // Then the watches themselves: the event of the last one finds an empty table.
        drop(table);
        self.watched.clear();
    }
}
