//! A store with an empty account, and the short ways to use it.

use posthaste::{
    mail::{
        draft::{Draft, Receipt},
        flags::Flags,
        folder::FolderName,
        id::{DeliveryKey, QueueId},
        query::{Uid, UidSet},
    },
    store::{Act, Done, Fault, FlagChange, Home, LineEnds, Place, Store},
};
use std::{
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::SystemTime,
};

/// A directory of one test; it goes when dropped.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Scratch {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("posthaste-store-{}-{count}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Scratch(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// An account whose Maildir is this directory.
    pub fn home(&self) -> Home {
        Home { account: "ann@example.org".into(), location: self.0.to_str().unwrap().into() }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub fn folder(name: &str) -> FolderName {
    FolderName::parse(name, '/').unwrap()
}

pub fn inbox() -> FolderName {
    FolderName::inbox()
}

pub fn flags(names: &[&str]) -> Flags {
    let mut flags = Flags::default();
    names.iter().for_each(|name| flags.insert(name).unwrap());
    flags
}

pub fn uids(text: &[Uid]) -> UidSet {
    text.iter().copied().collect()
}

pub fn all() -> UidSet {
    UidSet::new([1..=Uid::MAX])
}

pub fn place(name: &str, names: &[&str]) -> Place {
    Place { folder: folder(name), flags: flags(names), date: None }
}

/// A key that no other call gives.
pub fn key() -> DeliveryKey {
    static COUNT: AtomicU32 = AtomicU32::new(1);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    DeliveryKey::first(QueueId::new(1_795_000_000_000_000 + u64::from(count), count))
}

pub fn draft<S: Store>(store: &S, home: &Home, octets: &[u8]) -> S::Draft {
    let mut draft = store.draft(home, LineEnds::Wire).unwrap();
    draft.write_all(octets).unwrap();
    draft.seal().unwrap();
    draft
}

pub fn deliver<S: Store>(store: &S, home: &Home, name: &str, names: &[&str], octets: &[u8]) {
    let draft = draft(store, home, octets);
    let outcomes = draft.commit(vec![place(name, names)], &key()).wait();
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
}

pub fn act<S: Store>(store: &S, home: &Home, act: Act<S::Draft>) -> Result<Done, Fault> {
    let mut outcomes = store.apply(home, vec![act]).outcomes;
    assert_eq!(outcomes.len(), 1);
    outcomes.remove(0)
}

pub fn append<S: Store>(
    store: &S,
    home: &Home,
    name: &str,
    names: &[&str],
    date: Option<SystemTime>,
    octets: &[u8],
) -> Result<Uid, Fault> {
    let place = Place { date, ..place(name, names) };
    let draft = draft(store, home, octets);
    match act(store, home, Act::Append { draft, place, key: key() })? {
        Done::Appended { uid, .. } => Ok(uid),
        other => panic!("{other:?}"),
    }
}

pub fn flag<S: Store>(
    store: &S,
    home: &Home,
    name: &str,
    on: &[Uid],
    change: FlagChange,
    names: &[&str],
) -> Done {
    let what = Act::Flag {
        folder: folder(name),
        uids: uids(on),
        change,
        flags: flags(names),
        unchanged_since: None,
    };
    act(store, home, what).unwrap()
}

/// UIDs and flags of a folder, as a person would write them.
pub fn listing<S: Store>(store: &S, home: &Home, name: &str) -> Vec<(Uid, String)> {
    store.open(home, &folder(name), false).unwrap();
    let rows = store.rows(home, &folder(name), &all(), usize::MAX).unwrap();
    let row = |row: posthaste::store::Row| (row.uid, row.flags.names().collect::<Vec<_>>().join(" "));
    rows.into_iter().map(row).collect()
}

pub fn octets<S: Store>(store: &S, home: &Home, name: &str, uid: Uid) -> Vec<u8> {
    let mut octets = Vec::new();
    store.read(home, &folder(name), uid, 0..u64::MAX).unwrap().read_to_end(&mut octets).unwrap();
    octets
}
