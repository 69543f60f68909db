//! What every store promises, said once and asked of each.

use super::scene::*;
use posthaste::{
    mail::{
        draft::{Draft, Receipt},
        id::DeliveryKey,
        query::{Key, ModSeq, Uid},
    },
    store::{
        Act, Done, Fault, FlagChange, Home, LineEnds, Measure, Place, Scope, Store, maildir::Maildir,
        memory::Memory,
    },
    sys::{clock::Clock, disk::Disk},
};
use std::{
    io::{Read, Write},
    sync::mpsc,
    time::{Duration, UNIX_EPOCH},
};

/// Asks every store for what `$promise` says.
macro_rules! ask_each {
    ($promise:ident) => {{
        let home = Home { account: "ann@example.org".into(), location: "ann".into() };
        $promise(&Memory::default(), &home);
        for disk in [Disk::inline(), Disk::shared(4)] {
            let scratch = Scratch::new();
            $promise(&Maildir::new(disk, Clock::system()), &scratch.home());
        }
    }};
}

const MESSAGE: &[u8] = b"Subject: Hello\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\n\r\nbody\r\n";

#[test]
fn a_delivered_message_gets_a_uid_when_its_folder_is_opened() {
    fn promise<S: Store>(store: &S, home: &Home) {
        deliver(store, home, "INBOX", &[], MESSAGE);
        deliver(store, home, "INBOX", &["\\Seen", "$Junk", "work"], b"second");
        let snapshot = store.open(home, &inbox(), true).unwrap();
        assert_eq!((snapshot.uids, snapshot.uid_next), (uids(&[1, 2]), 3));
        assert_eq!(snapshot.recent, uids(&[1]));
        assert_ne!(snapshot.uid_validity, 0);
        assert!(store.open(home, &inbox(), false).unwrap().recent.is_empty(), "they were taken");
        let wanted = [(1, String::new()), (2, "\\Seen $Junk work".to_owned())];
        assert_eq!(listing(store, home, "INBOX"), wanted);
        assert_eq!(octets(store, home, "INBOX", 1), MESSAGE);
        assert_eq!(octets(store, home, "INBOX", 2), b"second");
        assert_eq!(store.usage(home).unwrap(), MESSAGE.len() as u64 - 4 + 6);
    }
    ask_each!(promise);
}

#[test]
fn one_draft_goes_to_several_places_and_the_same_key_only_once_to_each() {
    fn promise<S: Store>(store: &S, home: &Home) {
        let key = key();
        for again in [false, true] {
            let draft = draft(store, home, MESSAGE);
            let places = vec![place("INBOX", &[]), place("Lists/rust", &["\\Flagged"]), place("INBOX", &[])];
            let outcomes = draft.commit(places, &DeliveryKey { again, ..key.clone() }).wait();
            let already: Vec<bool> = outcomes.into_iter().map(|kept| kept.unwrap().already).collect();
            assert_eq!(already, [again, again, true]);
        }
        assert_eq!(listing(store, home, "INBOX").len(), 1);
        assert_eq!(listing(store, home, "Lists/rust"), [(1, "\\Flagged".to_owned())]);
        let listed = store.folders(home).unwrap();
        let lists = listed.iter().find(|listed| listed.name == folder("Lists/rust")).unwrap();
        assert!(lists.exists && lists.subscribed);
    }
    ask_each!(promise);
}

#[test]
fn a_dropped_draft_is_nothing_and_a_sealed_one_takes_no_more() {
    fn promise<S: Store>(store: &S, home: &Home) {
        let mut draft = store.draft(home, LineEnds::AsGiven).unwrap();
        draft.write_all(b"x").unwrap();
        draft.seal().unwrap();
        assert!(draft.write_all(b"y").is_err());
        drop(draft);
        assert!(listing(store, home, "INBOX").is_empty());
    }
    ask_each!(promise);
}

#[test]
fn append_answers_with_the_uid_and_keeps_flags_date_and_octets() {
    fn promise<S: Store>(store: &S, home: &Home) {
        let date = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        assert!(matches!(append(store, home, "Sent", &[], None, b"x"), Err(Fault::NoFolder)));
        store.create(home, &folder("Sent")).unwrap();
        deliver(store, home, "Sent", &[], b"delivered before");
        let uid = append(store, home, "Sent", &["\\Seen"], Some(date), MESSAGE).unwrap();
        assert_eq!(uid, 2);
        assert_eq!(append(store, home, "Sent", &[], None, b"y").unwrap(), 3);
        assert_eq!(listing(store, home, "Sent")[1], (2, "\\Seen".to_owned()));
        let measures = store.measures(home, &folder("Sent"), &uids(&[2, 7]), 10).unwrap();
        assert_eq!(measures, [Measure { uid: 2, octets: MESSAGE.len() as u64, date }]);
    }
    ask_each!(promise);
}

#[test]
fn any_range_of_the_octets_can_be_read() {
    fn promise<S: Store>(store: &S, home: &Home) {
        deliver(store, home, "INBOX", &[], MESSAGE);
        store.open(home, &inbox(), false).unwrap();
        for range in [0..0, 0..5, 10..20, 15..16, 16..17, 60..1000, 500..600, 0..u64::MAX] {
            let mut read = Vec::new();
            store.read(home, &inbox(), 1, range.clone()).unwrap().read_to_end(&mut read).unwrap();
            let end = (range.end as usize).min(MESSAGE.len());
            assert_eq!(read, &MESSAGE[(range.start as usize).min(end)..end], "{range:?}");
        }
        assert!(matches!(store.read(home, &inbox(), 2, 0..1), Err(Fault::NoMessage)));
        assert!(matches!(store.read(home, &folder("none"), 1, 0..1), Err(Fault::NoFolder)));
    }
    ask_each!(promise);
}

#[test]
fn flags_are_set_added_and_removed_and_changes_say_whose() {
    fn promise<S: Store>(store: &S, home: &Home) {
        for _ in 0..3 {
            deliver(store, home, "INBOX", &[], MESSAGE);
        }
        let since = store.open(home, &inbox(), true).unwrap().modseq;
        assert!(store.changes(home, &inbox(), since, false).unwrap().changed.is_empty());
        flag(store, home, "INBOX", &[1, 3, 9], FlagChange::Add, &["\\Seen", "later", "$Forwarded"]);
        assert_eq!(listing(store, home, "INBOX")[0].1, "\\Seen $Forwarded later");
        flag(store, home, "INBOX", &[1], FlagChange::Remove, &["LATER"]);
        flag(store, home, "INBOX", &[3], FlagChange::Set, &["\\Deleted"]);
        let flags: Vec<String> = listing(store, home, "INBOX").into_iter().map(|row| row.1).collect();
        assert_eq!(flags, ["\\Seen $Forwarded", "", "\\Deleted"]);
        let changes = store.changes(home, &inbox(), since, false).unwrap();
        assert_eq!(changes.changed, uids(&[1, 3]));
        assert!(changes.vanished.is_empty() && changes.modseq > since);
        flag(store, home, "INBOX", &[1], FlagChange::Add, &["\\Seen"]);
        assert!(
            store.changes(home, &inbox(), changes.modseq, false).unwrap().changed.is_empty(),
            "no change"
        );
        let status = store.status(home, &inbox()).unwrap();
        let counts = (status.messages, status.unseen, status.deleted, status.recent, status.uid_next);
        assert_eq!(counts, (3, 2, 1, 0, 4));
    }
    ask_each!(promise);
}

#[test]
fn what_changed_since_is_spared_where_asked() {
    fn promise<S: Store>(store: &S, home: &Home) {
        deliver(store, home, "INBOX", &[], MESSAGE);
        deliver(store, home, "INBOX", &[], MESSAGE);
        let since = store.open(home, &inbox(), false).unwrap().modseq;
        flag(store, home, "INBOX", &[2], FlagChange::Add, &["\\Seen"]);
        let both = Act::Flag {
            folder: inbox(),
            uids: uids(&[1, 2]),
            change: FlagChange::Add,
            flags: flags(&["\\Flagged"]),
            unchanged_since: Some(since),
        };
        assert_eq!(act(store, home, both).unwrap(), Done::Flagged { modified: uids(&[2]) });
        let flags: Vec<String> = listing(store, home, "INBOX").into_iter().map(|row| row.1).collect();
        assert_eq!(flags, ["\\Flagged", "\\Seen"]);
    }
    ask_each!(promise);
}

#[test]
fn expunges_are_told_and_their_uids_never_come_again() {
    fn promise<S: Store>(store: &S, home: &Home) {
        for _ in 0..4 {
            deliver(store, home, "INBOX", &[], MESSAGE);
        }
        let since = store.open(home, &inbox(), false).unwrap().modseq;
        flag(store, home, "INBOX", &[1, 2, 4], FlagChange::Add, &["\\Deleted"]);
        let expunge = |uids, deleted_only| Act::Expunge { folder: inbox(), uids, deleted_only };
        let done = act(store, home, expunge(Some(uids(&[2, 3])), true)).unwrap();
        assert_eq!(done, Done::Expunged { uids: uids(&[2]) });
        let done = act(store, home, expunge(None, true)).unwrap();
        assert_eq!(done, Done::Expunged { uids: uids(&[1, 4]) });
        let changes = store.changes(home, &inbox(), since, false).unwrap();
        assert_eq!((changes.vanished, changes.uid_next), (uids(&[1, 2, 4]), 5));
        act(store, home, expunge(Some(uids(&[3])), false)).unwrap();
        deliver(store, home, "INBOX", &[], MESSAGE);
        assert_eq!(listing(store, home, "INBOX"), [(5, String::new())]);
        let changes = store.changes(home, &inbox(), changes.modseq, false).unwrap();
        assert_eq!((changes.changed, changes.vanished), (uids(&[5]), uids(&[3])));
    }
    ask_each!(promise);
}

#[test]
fn copies_and_moves_keep_flags_date_and_content_and_tell_both_uids() {
    fn promise<S: Store>(store: &S, home: &Home) {
        let date = UNIX_EPOCH + Duration::from_secs(1_234_567_890);
        append(store, home, "INBOX", &["\\Flagged", "work"], Some(date), MESSAGE).unwrap();
        append(store, home, "INBOX", &[], Some(date), b"second").unwrap();
        let copy = |to: &str| Act::Copy { from: inbox(), uids: uids(&[1, 2, 5]), to: folder(to) };
        assert!(matches!(act(store, home, copy("Work")), Err(Fault::NoFolder)));
        store.create(home, &folder("Work")).unwrap();
        deliver(store, home, "Work", &[], b"first here");
        let validity = store.status(home, &folder("Work")).unwrap().uid_validity;
        let done = act(store, home, copy("Work")).unwrap();
        assert_eq!(done, Done::Copied { uid_validity: validity, pairs: vec![(1, 2), (2, 3)] });
        // The same once more, and into the folder itself: other messages with the same content.
        act(store, home, copy("Work")).unwrap();
        act(store, home, copy("INBOX")).unwrap();
        assert_eq!(listing(store, home, "INBOX").len(), 4);
        let moving = Act::Move { from: inbox(), uids: uids(&[1, 3]), to: folder("Work") };
        let done = act(store, home, moving).unwrap();
        assert_eq!(done, Done::Copied { uid_validity: validity, pairs: vec![(1, 6), (3, 7)] });
        let left: Vec<Uid> = listing(store, home, "INBOX").into_iter().map(|row| row.0).collect();
        assert_eq!(left, [2, 4]);
        let rows = listing(store, home, "Work");
        assert_eq!(rows.len(), 7);
        for uid in [2, 4, 6, 7] {
            assert_eq!(rows[uid as usize - 1], (uid, "\\Flagged work".to_owned()));
            assert_eq!(octets(store, home, "Work", uid), MESSAGE);
        }
        let measures = store.measures(home, &folder("Work"), &uids(&[2, 6]), 10).unwrap();
        assert!(measures.iter().all(|measure| measure.date == date), "{measures:?}");
    }
    ask_each!(promise);
}

#[test]
fn a_message_keeps_its_content_id_wherever_it_goes() {
    fn promise<S: Store>(store: &S, home: &Home) {
        deliver(store, home, "INBOX", &[], MESSAGE);
        deliver(store, home, "INBOX", &[], MESSAGE);
        store.create(home, &folder("Work")).unwrap();
        let named = |name: &str| {
            store.open(home, &folder(name), true).unwrap();
            store.email_ids(home, &folder(name), &all(), 10).unwrap()
        };
        let ids: Vec<String> = named("INBOX").into_iter().map(|(_, id)| id).collect();
        assert_ne!(ids[0], ids[1]);
        flag(store, home, "INBOX", &[1], FlagChange::Add, &["\\Seen"]);
        act(store, home, Act::Move { from: inbox(), uids: uids(&[1]), to: folder("Work") }).unwrap();
        assert_eq!(named("Work"), [(1, ids[0].clone())]);
        act(store, home, Act::Move { from: folder("Work"), uids: uids(&[1]), to: inbox() }).unwrap();
        assert_eq!(named("INBOX")[1], (3, ids[0].clone()));
        assert!(ids.iter().all(|id| (1..=255).contains(&id.len())
            && id.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_".contains(&octet))));
    }
    ask_each!(promise);
}

#[test]
fn folders_are_made_renamed_and_deleted_with_what_is_in_them() {
    fn promise<S: Store>(store: &S, home: &Home) {
        let names = |store: &S| -> Vec<String> {
            store
                .folders(home)
                .unwrap()
                .into_iter()
                .filter(|it| it.exists)
                .map(|it| it.name.text('/'))
                .collect()
        };
        assert_eq!(names(store), ["INBOX"]);
        for name in ["a", "a/b", "v1.2", "Entw\u{fc}rfe"] {
            store.create(home, &folder(name)).unwrap();
            assert!(matches!(store.create(home, &folder(name)), Err(Fault::Exists)), "{name}");
        }
        assert!(matches!(store.create(home, &inbox()), Err(Fault::Exists)));
        deliver(store, home, "a/b", &["\\Seen"], MESSAGE);
        let before = store.open(home, &folder("a/b"), false).unwrap();
        store.rename(home, &folder("a"), &folder("z/y")).unwrap();
        assert_eq!(names(store), ["Entw\u{fc}rfe", "INBOX", "v1.2", "z/y", "z/y/b"]);
        let after = store.open(home, &folder("z/y/b"), false).unwrap();
        assert_eq!((after.uid_validity, &after.uids), (before.uid_validity, &before.uids));
        for (from, to, exists) in [("v1.2", "z/y", true), ("v1.2", "INBOX", true), ("none", "n", false)] {
            match store.rename(home, &folder(from), &folder(to)) {
                Err(Fault::Exists) => assert!(exists, "{from} {to}"),
                Err(Fault::NoFolder) => assert!(!exists, "{from} {to}"),
                other => panic!("{from} {to}: {other:?}"),
            }
        }
        assert!(matches!(store.rename(home, &folder("z"), &folder("z/q")), Err(Fault::Cannot(_))));
        store.delete(home, &folder("z/y")).unwrap();
        assert!(matches!(store.delete(home, &folder("z/y")), Err(Fault::NoFolder)));
        assert!(matches!(store.delete(home, &inbox()), Err(Fault::Cannot(_))));
        assert_eq!(names(store), ["Entw\u{fc}rfe", "INBOX", "v1.2", "z/y/b"]);
        store.delete(home, &folder("z/y/b")).unwrap();
        assert!(matches!(store.open(home, &folder("z/y/b"), false), Err(Fault::NoFolder)));
        store.create(home, &folder("z/y/b")).unwrap();
        let again = store.open(home, &folder("z/y/b"), false).unwrap();
        assert!(again.uids.is_empty() && again.uid_validity != before.uid_validity);
    }
    ask_each!(promise);
}

#[test]
fn renaming_inbox_moves_its_messages_and_leaves_it_empty() {
    fn promise<S: Store>(store: &S, home: &Home) {
        deliver(store, home, "INBOX", &["\\Seen"], MESSAGE);
        deliver(store, home, "INBOX/sub", &[], MESSAGE);
        store.rename(home, &inbox(), &folder("Old")).unwrap();
        assert!(listing(store, home, "INBOX").is_empty());
        assert_eq!(listing(store, home, "Old"), [(1, "\\Seen".to_owned())]);
        assert_eq!(listing(store, home, "INBOX/sub").len(), 1);
    }
    ask_each!(promise);
}

#[test]
fn subscriptions_are_names_of_their_own() {
    fn promise<S: Store>(store: &S, home: &Home) {
        store.create(home, &folder("a/b")).unwrap();
        for name in ["a/b", "none", "INBOX"] {
            store.subscribe(home, &folder(name), true).unwrap();
            store.subscribe(home, &folder(name), true).unwrap();
        }
        store.subscribe(home, &inbox(), false).unwrap();
        let listed: Vec<_> = store.folders(home).unwrap();
        let listed: Vec<_> = listed.iter().map(|it| (it.name.text('/'), it.exists, it.subscribed)).collect();
        let wanted = [("INBOX", true, false), ("a/b", true, true), ("none", false, true)];
        assert_eq!(listed, wanted.map(|(name, exists, subscribed)| (name.to_owned(), exists, subscribed)));
        store.delete(home, &folder("a/b")).unwrap();
        let listed = store.folders(home).unwrap();
        assert!(listed.iter().any(|it| it.name == folder("a/b") && it.subscribed && !it.exists));
    }
    ask_each!(promise);
}

#[test]
fn searches_find_what_their_keys_describe() {
    fn promise<S: Store>(store: &S, home: &Home) {
        let date = UNIX_EPOCH + Duration::from_secs(1_795_564_799);
        append(store, home, "INBOX", &["\\Seen", "work"], Some(date), MESSAGE).unwrap();
        append(store, home, "INBOX", &[], Some(date + Duration::from_secs(1)), b"Subject: other\r\n\r\n")
            .unwrap();
        let day = |text: &str| text.parse().unwrap();
        for (key, found) in [
            (Key::All, vec![1, 2]),
            (Key::Flag("WORK".into()), vec![1]),
            (Key::Not(Box::new(Key::Flag("\\Seen".into()))), vec![2]),
            (Key::Header("subject".into(), "HELL".into()), vec![1]),
            (Key::Header("Date".into(), String::new()), vec![1]),
            (Key::SentBefore(day("2026-11-24")), vec![1]),
            (Key::On(day("2026-11-24")), vec![1]),
            (Key::Since(day("2026-11-25")), vec![2]),
            (Key::Larger(20), vec![1]),
            (Key::Uid(uids(&[2, 3])), vec![2]),
            (Key::ModSeq(ModSeq(u64::MAX)), vec![]),
            (Key::Or(Box::new(Key::Smaller(21)), Box::new(Key::Flag("work".into()))), vec![1, 2]),
        ] {
            assert_eq!(store.search(home, &inbox(), &key).unwrap(), uids(&found), "{key:?}");
        }
        assert!(matches!(store.search(home, &inbox(), &Key::Body("x".into())), Err(Fault::Cannot(_))));
    }
    ask_each!(promise);
}

#[test]
fn rows_and_measures_come_in_batches() {
    fn promise<S: Store>(store: &S, home: &Home) {
        for _ in 0..5 {
            deliver(store, home, "INBOX", &[], MESSAGE);
        }
        store.open(home, &inbox(), false).unwrap();
        let (mut from, mut seen) = (1, Vec::new());
        loop {
            let rest = posthaste::mail::query::UidSet::new([from..=Uid::MAX]);
            let rows = store.rows(home, &inbox(), &rest, 2).unwrap();
            assert_eq!(store.measures(home, &inbox(), &rest, 2).unwrap().len(), rows.len());
            let Some(last) = rows.last() else { break };
            from = last.uid + 1;
            seen.extend(rows.into_iter().map(|row| row.uid));
        }
        assert_eq!(seen, [1, 2, 3, 4, 5]);
    }
    ask_each!(promise);
}

#[test]
fn who_watches_is_told_of_deliveries_flags_and_folders() {
    fn promise<S: Store>(store: &S, home: &Home) {
        store.open(home, &inbox(), false).unwrap();
        let patience = Duration::from_secs(20);
        let listen = |scope: Scope| {
            let (tell, told) = mpsc::channel();
            (store.watch(home, &scope, Box::new(move || tell.send(()).unwrap_or_default())).unwrap(), told)
        };
        let (_messages, told) = listen(Scope::Folder(inbox()));
        deliver(store, home, "INBOX", &[], MESSAGE);
        told.recv_timeout(patience).unwrap();
        assert_eq!(listing(store, home, "INBOX").len(), 1);
        while told.try_recv().is_ok() {}
        flag(store, home, "INBOX", &[1], FlagChange::Add, &["\\Seen"]);
        told.recv_timeout(patience).unwrap();
        let (watching, told) = listen(Scope::Folders);
        store.create(home, &folder("new one")).unwrap();
        told.recv_timeout(patience).unwrap();
        drop(watching);
        // The listener is gone with its watch: the channel ends.
        while told.recv_timeout(patience).is_ok() {}
        assert!(matches!(told.try_recv(), Err(mpsc::TryRecvError::Disconnected)));
        let none = store.watch(home, &Scope::Folder(folder("none")), Box::new(|| ()));
        assert!(matches!(none, Err(Fault::NoFolder)));
    }
    ask_each!(promise);
}

#[test]
fn acts_are_done_one_after_the_other_and_one_fault_does_not_stop_the_next() {
    fn promise<S: Store>(store: &S, home: &Home) {
        let append = |name: &str| Act::Append {
            draft: draft(store, home, MESSAGE),
            place: Place { date: None, ..place(name, &[]) },
            key: key(),
        };
        let applied = store.apply(home, vec![append("INBOX"), append("none"), append("INBOX")]);
        assert!(matches!(
            applied.outcomes.as_slice(),
            [Ok(Done::Appended { uid: 1, .. }), Err(Fault::NoFolder), Ok(Done::Appended { uid: 2, .. })]
        ));
        assert_eq!(applied.modseq, store.open(home, &inbox(), false).unwrap().modseq);
    }
    ask_each!(promise);
}
