//! A disk that is full from any one step on: nothing that was there is lost, and what is answered with success stays.

use super::scene::*;
use posthaste::{
    mail::query::{Uid, UidSet},
    store::{Act, Done, FlagChange, Home, Place, Store, maildir::Maildir},
    sys::{
        clock::Clock,
        disk::{Disk, Faults, Step},
    },
};
use std::collections::BTreeSet;

const ENOSPC: i32 = 28;

/// Every message of both folders by its text.
fn texts(store: &Maildir, home: &Home) -> Vec<String> {
    let mut texts = Vec::new();
    for name in ["INBOX", "Work"] {
        for uid in store.open(home, &folder(name), false).unwrap().uids.iter() {
            texts.push(String::from_utf8(octets(store, home, name, uid)).unwrap());
        }
    }
    texts.sort();
    texts
}

/// Makes a Maildir with two messages, does `deed` on a disk that fails at (or from) each step in turn, and looks at what is left on
/// a disk that has room again.
fn at_every_step(
    faults: fn(usize, i32) -> Faults,
    deed: impl Fn(&Maildir, &Home) -> Result<Done, posthaste::store::Fault>,
    judge: impl Fn(Option<Done>, &Maildir, &Home, usize),
) {
    for n in 0..200 {
        let scratch = Scratch::new();
        let home = scratch.home();
        let whole = Maildir::new(Disk::inline(), Clock::system());
        whole.create(&home, &folder("Work")).unwrap();
        append(&whole, &home, "INBOX", &["\\Seen"], None, b"one").unwrap();
        append(&whole, &home, "INBOX", &[], None, b"two").unwrap();
        let faults = faults(n, ENOSPC);
        let failing = Maildir::new(Disk::failing(faults.clone()), Clock::system());
        let outcome = deed(&failing, &home);
        drop(failing);
        let ended = !faults.struck();
        assert!(!ended || outcome.is_ok(), "{outcome:?}");
        judge(outcome.ok(), &Maildir::new(Disk::inline(), Clock::system()), &home, n);
        if ended {
            assert!(n > 0, "nothing failed");
            return;
        }
    }
    panic!("it never ends");
}

#[test]
fn an_append_is_there_with_its_uid_or_was_not_acknowledged() {
    let deed = |store: &Maildir, home: &Home| {
        let mut draft = store.draft(home, posthaste::store::LineEnds::Wire)?;
        std::io::Write::write_all(&mut draft, b"three")?;
        let place = Place { date: None, ..place("Work", &["\\Flagged", "word"]) };
        act(store, home, Act::Append { draft, place, key: key() })
    };
    at_every_step(Faults::from, deed, |done, store, home, n| {
        let texts = texts(store, home);
        if let Some(Done::Appended { uid, .. }) = done {
            assert_eq!(octets(store, home, "Work", uid), b"three", "step {n}");
            assert_eq!(texts, ["one", "three", "two"], "step {n}");
        } else {
            assert!(texts == ["one", "two"] || texts == ["one", "three", "two"], "step {n}: {texts:?}");
        }
    });
}

#[test]
fn an_append_that_was_refused_left_nothing() {
    let deed = |store: &Maildir, home: &Home| {
        let mut draft = store.draft(home, posthaste::store::LineEnds::Wire)?;
        std::io::Write::write_all(&mut draft, b"three")?;
        act(store, home, Act::Append { draft, place: place("Work", &["\\Flagged", "word"]), key: key() })
    };
    // The disk has room again right after.
    at_every_step(Faults::once, deed, |done, store, home, n| {
        let kept = if done.is_some() { vec!["one", "three", "two"] } else { vec!["one", "two"] };
        assert_eq!(texts(store, home), kept, "step {n}");
    });
}

#[test]
fn moved_messages_stand_in_one_folder_or_the_other() {
    let deed = |store: &Maildir, home: &Home| {
        act(store, home, Act::Move { from: inbox(), uids: all(), to: folder("Work") })
    };
    at_every_step(Faults::from, deed, |done, store, home, n| {
        assert_eq!(texts(store, home), ["one", "two"], "step {n}");
        if done.is_some() {
            assert!(listing(store, home, "INBOX").is_empty(), "step {n}");
        }
    });
}

#[test]
fn copies_are_all_made_or_none() {
    let deed = |store: &Maildir, home: &Home| {
        act(store, home, Act::Copy { from: inbox(), uids: all(), to: folder("Work") })
    };
    // The disk has room again right after: what was made is taken back.
    at_every_step(Faults::once, deed, |done, store, home, n| {
        let originals: Vec<Uid> = listing(store, home, "INBOX").into_iter().map(|row| row.0).collect();
        assert_eq!(originals, [1, 2], "step {n}");
        let copies = listing(store, home, "Work").len();
        assert_eq!(copies, if done.is_some() { 2 } else { 0 }, "step {n}");
    });
}

#[test]
fn flags_are_the_old_or_the_new_and_an_expunge_removes_nothing_else() {
    let flag = |store: &Maildir, home: &Home| {
        act(
            store,
            home,
            Act::Flag {
                folder: inbox(),
                uids: UidSet::new([1..=1]),
                change: FlagChange::Add,
                flags: flags(&["\\Deleted", "word"]),
                unchanged_since: None,
            },
        )
    };
    at_every_step(Faults::from, flag, |done, store, home, n| {
        let now = listing(store, home, "INBOX").remove(0).1;
        let allowed = BTreeSet::from(["\\Seen", "\\Deleted \\Seen word"]);
        assert!(allowed.contains(now.as_str()), "step {n}: {now}");
        assert!(done.is_none() || now != "\\Seen", "step {n}: {now}");
    });
    let expunge = |store: &Maildir, home: &Home| {
        store.open(home, &inbox(), true)?;
        act(store, home, Act::Expunge { folder: inbox(), uids: Some(uids(&[2])), deleted_only: false })
    };
    at_every_step(Faults::from, expunge, |done, store, home, n| {
        let texts = texts(store, home);
        assert!(texts.contains(&"one".to_owned()), "step {n}: {texts:?}");
        assert!(done.is_none() || texts == ["one"], "step {n}: {texts:?}");
    });
}

#[test]
fn what_was_renamed_or_removed_is_synced_before_it_is_answered() {
    let (from, to) = (inbox(), folder("Work"));
    let flag = Act::Flag {
        folder: inbox(),
        uids: all(),
        change: FlagChange::Add,
        flags: flags(&["\\Flagged"]),
        unchanged_since: None,
    };
    let expunge = Act::Expunge { folder: inbox(), uids: Some(uids(&[2])), deleted_only: false };
    for (deed, syncs) in [
        (flag, 1),
        // new/ and cur/.
        (expunge, 2),
        // The source's, besides the target's cur/ before them.
        (Act::Move { from, uids: all(), to }, 2),
    ] {
        let scratch = Scratch::new();
        let home = scratch.home();
        let whole = Maildir::new(Disk::inline(), Clock::system());
        whole.create(&home, &folder("Work")).unwrap();
        append(&whole, &home, "INBOX", &["\\Seen"], None, b"one").unwrap();
        append(&whole, &home, "INBOX", &[], None, b"two").unwrap();
        whole.open(&home, &folder("Work"), false).unwrap();
        let name = format!("{deed:?}");
        let faults = Faults::none();
        act(&Maildir::new(Disk::failing(faults.clone()), Clock::system()), &home, deed).unwrap();
        let trace = faults.trace();
        let last = trace.iter().rposition(|step| matches!(step, Step::Link | Step::Remove)).unwrap();
        let after = trace[last..].iter().filter(|step| **step == Step::SyncDir).count();
        assert!(after >= syncs, "{name}: {trace:?}");
    }
}
