//! Whatever is done in whatever order, a Maildir says the same as plain memory does: also to a process that starts in
//! between and knows nothing but the disk.

use super::scene::*;
use posthaste::{
    mail::{
        draft::{Draft, Receipt},
        id::{DeliveryKey, QueueId},
        query::{ModSeq, Uid, UidSet},
    },
    store::{
        Act, Changes, Done, Fault, FlagChange, Home, Measure, Place, Row, Snapshot, Store, maildir::Maildir,
        memory::Memory,
    },
    sys::{clock::Clock, disk::Disk},
};
use proptest::prelude::*;
use std::{
    collections::BTreeMap,
    time::{Duration, UNIX_EPOCH},
};

const FOLDERS: [&str; 4] = ["INBOX", "a", "a/b", "c.d"];
const FLAGS: [&str; 6] = ["\\Seen", "\\Deleted", "\\Flagged", "$Forwarded", "one", "two"];

#[derive(Clone, Debug)]
enum Op {
    Deliver(Vec<usize>, Vec<usize>, Vec<u8>),
    Append(usize, Vec<usize>, Vec<u8>),
    Flag(usize, Vec<Uid>, FlagChange, Vec<usize>, bool),
    Copy(usize, Vec<Uid>, usize),
    Move(usize, Vec<Uid>, usize),
    Expunge(usize, Option<Vec<Uid>>, bool),
    Create(usize),
    Delete(usize),
    Rename(usize, usize),
    Subscribe(usize, bool),
    Take(usize),
    Restart,
}

fn ops() -> impl Strategy<Value = Op> {
    let folder = 0..FOLDERS.len();
    let flags = proptest::collection::vec(0..FLAGS.len(), 0..4);
    let some = proptest::collection::vec(1_u32..12, 1..5);
    let body = proptest::collection::vec(prop_oneof![Just(b"line\r\n".to_vec()), Just(b"x".to_vec())], 0..4)
        .prop_map(|parts| parts.concat());
    let change = prop_oneof![Just(FlagChange::Set), Just(FlagChange::Add), Just(FlagChange::Remove)];
    prop_oneof![
        4 => (proptest::collection::vec(folder.clone(), 1..3), flags.clone(), body.clone())
            .prop_map(|(folders, flags, body)| Op::Deliver(folders, flags, body)),
        3 => (folder.clone(), flags.clone(), body).prop_map(|(folder, flags, body)| Op::Append(folder, flags, body)),
        4 => (folder.clone(), some.clone(), change, flags, any::<bool>())
            .prop_map(|(folder, uids, change, flags, since)| Op::Flag(folder, uids, change, flags, since)),
        3 => (folder.clone(), some.clone(), folder.clone()).prop_map(|(from, uids, to)| Op::Copy(from, uids, to)),
        3 => (folder.clone(), some.clone(), folder.clone()).prop_map(|(from, uids, to)| Op::Move(from, uids, to)),
        2 => (folder.clone(), proptest::option::of(some), any::<bool>())
            .prop_map(|(folder, uids, only)| Op::Expunge(folder, uids, only)),
        1 => folder.clone().prop_map(Op::Create),
        1 => folder.clone().prop_map(Op::Delete),
        1 => (folder.clone(), folder.clone()).prop_map(|(from, to)| Op::Rename(from, to)),
        1 => (folder.clone(), any::<bool>()).prop_map(|(folder, on)| Op::Subscribe(folder, on)),
        1 => folder.prop_map(Op::Take),
        1 => Just(Op::Restart),
    ]
}

/// What an outcome says that both stores can say.
fn told(done: Result<Done, Fault>) -> String {
    match done {
        Ok(Done::Appended { uid, .. }) => format!("appended {uid}"),
        Ok(Done::Flagged { modified }) => format!("flagged but {modified}"),
        Ok(Done::Copied { pairs, .. }) => format!("copied {pairs:?}"),
        Ok(Done::Expunged { uids }) => format!("expunged {uids}"),
        Err(Fault::Local(fault)) => panic!("{fault}"),
        Err(fault) => format!("{fault:?}"),
    }
}

fn done(outcome: Result<(), Fault>) -> String {
    match outcome {
        Ok(()) => "done".into(),
        Err(Fault::Local(fault)) => panic!("{fault}"),
        Err(fault) => format!("{fault:?}"),
    }
}

/// Does one thing; what was told about it.
fn perform<S: Store>(
    store: &S,
    home: &Home,
    op: &Op,
    key: &DeliveryKey,
    since: &BTreeMap<usize, ModSeq>,
) -> String {
    let at = |index: &usize| folder(FOLDERS[*index]);
    let set = |indices: &[usize]| flags(&indices.iter().map(|index| FLAGS[*index]).collect::<Vec<_>>());
    let date = UNIX_EPOCH + Duration::from_secs(1_000_000_000 + u64::from(key.copy));
    let place =
        |index: &usize, names: &[usize]| Place { folder: at(index), flags: set(names), date: Some(date) };
    let one = |act_: Act<S::Draft>| told(act(store, home, act_));
    match op {
        Op::Deliver(folders, names, body) => {
            let places = folders.iter().map(|index| place(index, names)).collect();
            let kept = draft(store, home, body).commit(places, key).wait();
            kept.into_iter().map(|kept| format!("kept, again {} ", kept.unwrap().already)).collect()
        }
        Op::Append(folder, names, body) => {
            let (draft, place) = (draft(store, home, body), place(folder, names));
            one(Act::Append { draft, place, key: key.clone() })
        }
        Op::Flag(folder, on, change, names, conditional) => one(Act::Flag {
            folder: at(folder),
            uids: uids(on),
            change: *change,
            flags: set(names),
            unchanged_since: conditional.then(|| since.get(folder).copied().unwrap_or_default()),
        }),
        Op::Copy(from, on, to) => one(Act::Copy { from: at(from), uids: uids(on), to: at(to) }),
        Op::Move(from, on, to) => one(Act::Move { from: at(from), uids: uids(on), to: at(to) }),
        Op::Expunge(folder, on, deleted_only) => one(Act::Expunge {
            folder: at(folder),
            uids: on.as_ref().map(|on| uids(on)),
            deleted_only: *deleted_only,
        }),
        Op::Create(folder) => done(store.create(home, &at(folder))),
        Op::Delete(folder) => done(store.delete(home, &at(folder))),
        Op::Rename(from, to) => done(store.rename(home, &at(from), &at(to))),
        Op::Subscribe(folder, on) => done(store.subscribe(home, &at(folder), *on)),
        Op::Take(folder) => match store.open(home, &at(folder), true) {
            Ok(snapshot) => format!("took {}", snapshot.recent),
            Err(fault) => format!("{fault:?}"),
        },
        Op::Restart => String::new(),
    }
}

/// All that a reader can see.
fn picture<S: Store>(store: &S, home: &Home) -> String {
    let mut picture = format!("{:?}\n", store.folders(home).unwrap());
    for name in FOLDERS {
        let Ok(Snapshot { uids, uid_next, recent, .. }) = store.open(home, &folder(name), false) else {
            picture += &format!("{name}: none\n");
            continue;
        };
        let status = store.status(home, &folder(name)).unwrap();
        let counts = (status.messages, status.unseen, status.deleted, status.recent, status.uid_next);
        picture += &format!("{name}: {uids} next {uid_next} recent {recent} {counts:?}\n");
        let measures = store.measures(home, &folder(name), &all(), usize::MAX).unwrap();
        let rows = store.rows(home, &folder(name), &all(), usize::MAX).unwrap();
        for (Row { uid, flags, .. }, Measure { octets: size, date, .. }) in rows.into_iter().zip(measures) {
            let names: Vec<&str> = flags.names().collect();
            let octets = String::from_utf8(octets(store, home, name, uid)).unwrap();
            picture += &format!("  {uid} {names:?} {size} {date:?} {octets:?}\n");
        }
    }
    picture
}

/// A folder's changes since the last time; `None` where the folder or its UIDs are others now.
fn since<S: Store>(
    store: &S,
    home: &Home,
    index: usize,
    from: &BTreeMap<usize, (ModSeq, u32)>,
) -> Option<Changes> {
    let (modseq, validity) = from.get(&index)?;
    let changes = store.changes(home, &folder(FOLDERS[index]), *modseq, false).ok()?;
    (changes.uid_validity == *validity).then_some(changes)
}

fn marks<S: Store>(store: &S, home: &Home) -> BTreeMap<usize, (ModSeq, u32)> {
    let mark = |index: usize| {
        let snapshot = store.open(home, &folder(FOLDERS[index]), false).ok()?;
        Some((index, (snapshot.modseq, snapshot.uid_validity)))
    };
    (0..FOLDERS.len()).filter_map(mark).collect()
}

fn modseqs(marks: &BTreeMap<usize, (ModSeq, u32)>) -> BTreeMap<usize, ModSeq> {
    marks.iter().map(|(index, (modseq, _))| (*index, *modseq)).collect()
}

fn is_part(part: &UidSet, whole: &UidSet) -> bool {
    part.iter().all(|uid| whole.contains(uid))
}

/// A case is some hundred synced files; `make soak` asks for more of them by PROPTEST_CASES.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(40)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn a_maildir_and_memory_can_not_be_told_apart(ops in proptest::collection::vec(ops(), 1..25)) {
        let scratch = Scratch::new();
        let clock = Clock::standing(1_795_000_000_000_000);
        let (disk_home, memory_home) = (scratch.home(), scratch.home());
        let memory = Memory::new(clock.clone());
        let mut disk = Maildir::new(Disk::inline(), clock.clone());
        for (number, op) in ops.iter().enumerate() {
            clock.advance(Duration::from_micros(10));
            let (disk_marks, memory_marks) = (marks(&disk, &disk_home), marks(&memory, &memory_home));
            let restarted = matches!(op, Op::Restart);
            if restarted {
                disk = Maildir::new(Disk::inline(), clock.clone());
            }
            let key = DeliveryKey { copy: number as u32 + 1, ..DeliveryKey::first(QueueId::new(clock.micros(), 0)) };
            let by_disk = perform(&disk, &disk_home, op, &key, &modseqs(&disk_marks));
            let by_memory = perform(&memory, &memory_home, op, &key, &modseqs(&memory_marks));
            prop_assert_eq!(by_disk, by_memory, "{:?}", op);
            prop_assert_eq!(picture(&disk, &disk_home), picture(&memory, &memory_home), "{:?}", op);
            for (index, name) in FOLDERS.iter().enumerate() {
                let by_disk = since(&disk, &disk_home, index, &disk_marks);
                let by_memory = since(&memory, &memory_home, index, &memory_marks);
                prop_assert_eq!(by_disk.is_some(), by_memory.is_some(), "{}", name);
                let (Some(by_disk), Some(by_memory)) = (by_disk, by_memory) else { continue };
                // A restart may tell more than there is, never less.
                prop_assert!(is_part(&by_memory.changed, &by_disk.changed));
                prop_assert!(is_part(&by_memory.vanished, &by_disk.vanished));
                if !restarted {
                    prop_assert_eq!(by_disk.changed, by_memory.changed);
                }
            }
        }
    }
}
