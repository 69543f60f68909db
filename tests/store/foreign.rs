//! A Maildir that other programs work on at the same time: what they do is seen at once, and what they keep stays.

use super::scene::*;
use posthaste::{
    mail::query::{ModSeq, Uid},
    store::{Act, Done, FlagChange, Scope, Store, maildir::Maildir},
    sys::{clock::Clock, disk::Disk},
};
use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::mpsc,
    time::{Duration, SystemTime},
};

fn store() -> Maildir {
    Maildir::new(Disk::inline(), Clock::system())
}

/// A delivery as any program makes it.
fn put(scratch: &Scratch, name: &str) {
    for part in ["cur", "new", "tmp"] {
        fs::create_dir_all(scratch.path().join(part)).unwrap();
    }
    let unfinished = scratch.path().join("tmp/x");
    fs::write(&unfinished, format!("Subject: {name}\n\n")).unwrap();
    fs::rename(unfinished, scratch.path().join(name)).unwrap();
}

fn rename(scratch: &Scratch, from: &str, to: &str) {
    fs::rename(scratch.path().join(from), scratch.path().join(to)).unwrap();
}

fn uidlist(scratch: &Scratch) -> String {
    fs::read_to_string(scratch.path().join("dovecot-uidlist")).unwrap()
}

fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn deliveries_flags_and_removals_by_others_are_seen_at_once() {
    let (scratch, store) = (Scratch::new(), store());
    let home = scratch.home();
    put(&scratch, "new/1000.b.h");
    put(&scratch, "new/999.z.h");
    put(&scratch, "cur/1001.c.h:2,RS");
    put(&scratch, "new/1002.d.h:2,Sa");
    fs::write(scratch.path().join("dovecot-keywords"), "0 work\n").unwrap();
    let since = store.open(&home, &inbox(), false).unwrap().modseq;
    let wanted = [(1, ""), (2, ""), (3, "\\Answered \\Seen"), (4, "\\Seen work")];
    assert_eq!(listing(&store, &home, "INBOX"), wanted.map(|(uid, flags)| (uid, flags.to_owned())));
    assert_eq!(octets(&store, &home, "INBOX", 1), b"Subject: new/999.z.h\r\n\r\n");

    rename(&scratch, "new/1000.b.h", "cur/1000.b.h:2,F");
    fs::remove_file(scratch.path().join("cur/1001.c.h:2,RS")).unwrap();
    put(&scratch, "new/1003.e.h");
    let changes = store.changes(&home, &inbox(), since, false).unwrap();
    assert_eq!((changes.changed, changes.vanished), (uids(&[2, 5]), uids(&[3])));
    assert_eq!(listing(&store, &home, "INBOX")[1], (2, "\\Flagged".to_owned()));

    fs::write(scratch.path().join("dovecot-keywords"), "0 play\n").unwrap();
    let changes = store.changes(&home, &inbox(), changes.modseq, false).unwrap();
    assert_eq!(changes.changed, uids(&[4]));
    assert_eq!(listing(&store, &home, "INBOX")[2], (4, "\\Seen play".to_owned()));
}

#[test]
fn a_message_that_comes_back_is_another_message() {
    let (scratch, store) = (Scratch::new(), store());
    let home = scratch.home();
    put(&scratch, "cur/1000.a.h:2,");
    put(&scratch, "cur/1001.b.h:2,");
    assert_eq!(listing(&store, &home, "INBOX").len(), 2);
    rename(&scratch, "cur/1000.a.h:2,", "tmp/away");
    assert_eq!(listing(&store, &home, "INBOX"), [(2, String::new())]);
    rename(&scratch, "tmp/away", "cur/1000.a.h:2,");
    assert_eq!(listing(&store, &home, "INBOX"), [(2, String::new()), (3, String::new())]);
    // Also for a process that knows nothing but the list.
    assert_eq!(listing(&self::store(), &home, "INBOX"), [(2, String::new()), (3, String::new())]);
}

#[test]
fn dovecots_list_is_continued_and_everything_in_it_kept() {
    let (scratch, store) = (Scratch::new(), store());
    let home = scratch.home();
    for name in ["cur/1000.a.h:2,S", "cur/1001.b.h:2,", "new/1002.c.h"] {
        put(&scratch, name);
    }
    let list = "3 V1700000000 N8 G00112233445566778899aabbccddeeff Xmore\n\
        3 W22 Pold-uidl :1000.a.h\n7 :1001.b.h:2,F\n";
    fs::write(scratch.path().join("dovecot-uidlist"), list).unwrap();
    let snapshot = store.open(&home, &inbox(), false).unwrap();
    assert_eq!((snapshot.uid_validity, snapshot.uid_next), (1_700_000_000, 9));
    let rows = store.rows(&home, &inbox(), &all(), 9).unwrap();
    let found: Vec<_> = rows.into_iter().map(|row| (row.uid, row.uidl)).collect();
    assert_eq!(found, [(3, Some("old-uidl".to_owned())), (7, None), (8, None)]);
    assert_eq!(uidlist(&scratch), format!("{list}8 :1002.c.h\n"));
    // Another program names the next one.
    put(&scratch, "new/1003.d.h");
    fs::write(scratch.path().join("dovecot-uidlist"), format!("{list}8 :1002.c.h\n20 :1003.d.h\n")).unwrap();
    let uids: Vec<Uid> = listing(&store, &home, "INBOX").into_iter().map(|row| row.0).collect();
    assert_eq!(uids, [3, 7, 8, 20]);
    assert_eq!(append(&store, &home, "INBOX", &[], None, b"x").unwrap(), 21);
}

#[test]
fn a_crowd_of_dead_lines_goes_and_the_header_stays() {
    let (scratch, store) = (Scratch::new(), store());
    let home = scratch.home();
    let header = "3 V1700000000 N1000 G00112233445566778899aabbccddeeff";
    let dead: String = (1..=500).map(|uid| format!("{uid} :{uid}.gone\n")).collect();
    put(&scratch, "cur/1000.a.h:2,S");
    fs::write(scratch.path().join("dovecot-uidlist"), format!("{header}\n{dead}600 W1 :1000.a.h\n")).unwrap();
    assert_eq!(listing(&store, &home, "INBOX"), [(600, "\\Seen".to_owned())]);
    put(&scratch, "new/1001.b.h");
    assert_eq!(listing(&store, &home, "INBOX").len(), 2);
    assert_eq!(uidlist(&scratch), format!("{header}\n600 W1 :1000.a.h\n1000 :1001.b.h\n"));
}

#[test]
fn a_broken_list_voids_all_uids_and_a_lost_one_too() {
    let (scratch, store) = (Scratch::new(), store());
    let home = scratch.home();
    put(&scratch, "cur/1000.a.h:2,S");
    let mut before = store.open(&home, &inbox(), false).unwrap();
    for text in [Some("\u{0}\u{0}\u{0}"), Some(""), None] {
        let path = scratch.path().join("dovecot-uidlist");
        match text {
            Some(text) => fs::write(path, text).unwrap(),
            None => fs::remove_file(path).unwrap(),
        }
        let changes = store.changes(&home, &inbox(), before.modseq, false).unwrap();
        assert_ne!(changes.uid_validity, before.uid_validity, "{text:?}");
        assert_eq!(changes.changed, uids(&[1]));
        before = store.open(&home, &inbox(), false).unwrap();
        assert!(uidlist(&scratch).starts_with("3 V"), "{text:?}");
    }
}

#[test]
fn two_processes_name_messages_together_and_agree() {
    let scratch = Scratch::new();
    let home = scratch.home();
    let (one, two) = (store(), store());
    for round in 0..20 {
        put(&scratch, &format!("new/{}.a.h", 1000 + round));
        std::thread::scope(|scope| {
            let first = scope.spawn(|| listing(&one, &home, "INBOX"));
            let second = scope.spawn(|| append(&two, &home, "INBOX", &[], None, b"x").unwrap());
            first.join().unwrap();
            second.join().unwrap();
        });
        assert_eq!(listing(&one, &home, "INBOX"), listing(&two, &home, "INBOX"));
    }
    let list = listing(&one, &home, "INBOX");
    assert_eq!(list.iter().map(|row| row.0).collect::<Vec<_>>(), (1..=40).collect::<Vec<Uid>>());
    assert_eq!(uidlist(&scratch).lines().count(), 41);
}

#[test]
fn letters_of_others_stay_and_files_that_move_under_our_hands_are_found() {
    let (scratch, store) = (Scratch::new(), store());
    let home = scratch.home();
    put(&scratch, "cur/1000.a.h:2,SXz");
    put(&scratch, "cur/1001.b.h:2,");
    listing(&store, &home, "INBOX");
    flag(&store, &home, "INBOX", &[1], FlagChange::Set, &["\\Flagged", "work"]);
    assert_eq!(names(&scratch.path().join("cur")), ["1000.a.h:2,FXaz", "1001.b.h:2,"]);
    // Renamed after we looked, within the same tick of the clock: the next step must not go by what was seen.
    rename(&scratch, "cur/1001.b.h:2,", "cur/1001.b.h:2,S");
    flag(&store, &home, "INBOX", &[2], FlagChange::Add, &["\\Answered"]);
    assert_eq!(listing(&store, &home, "INBOX")[1], (2, "\\Answered \\Seen".to_owned()));
    assert_eq!(octets(&store, &home, "INBOX", 2), b"Subject: cur/1001.b.h:2,\r\n\r\n");
}

#[test]
fn messages_of_other_programs_have_the_sizes_that_they_have() {
    let (scratch, store) = (Scratch::new(), store());
    let home = scratch.home();
    put(&scratch, "new/1000.a.h");
    put(&scratch, "new/1001.b.h,S=1,W=1");
    fs::write(scratch.path().join("new/1002.c.h"), "crlf\r\nlf\n").unwrap();
    store.open(&home, &inbox(), true).unwrap();
    for measure in store.measures(&home, &inbox(), &all(), 9).unwrap() {
        assert_eq!(octets(&store, &home, "INBOX", measure.uid).len() as u64, measure.octets);
    }
    let in_new: Vec<PathBuf> =
        fs::read_dir(scratch.path().join("new")).unwrap().map(|it| it.unwrap().path()).collect();
    assert!(in_new.is_empty(), "{in_new:?}");
}

#[test]
fn a_message_that_is_edited_in_place_has_the_size_that_it_has_now() {
    let (scratch, store) = (Scratch::new(), store());
    let home = scratch.home();
    put(&scratch, "cur/1000.a.h,S=4,W=6:2,");
    let path = scratch.path().join("cur/1000.a.h,S=4,W=6:2,");
    let write = |text: &str, hour: u64| {
        let mut file = fs::File::create(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(hour * 3600)).unwrap();
    };
    // Longer than its name says, as long with other lines, shorter, as long as the name says, and as it says.
    for (hour, text) in
        [(1, "a\nb\n"), (2, "a\nb\nc\n"), (3, "abcd\n\n"), (4, "a"), (5, "abc\n"), (6, "a\nb\n")]
    {
        write(text, hour);
        let wire = text.replace('\n', "\r\n");
        let measures = store.measures(&home, &inbox(), &all(), 9).unwrap();
        assert_eq!((measures.len(), measures[0].octets), (1, wire.len() as u64), "{text:?}");
        assert_eq!(octets(&store, &home, "INBOX", 1), wire.as_bytes());
    }
}

#[test]
fn what_a_name_says_is_not_what_is_announced() {
    for name in ["S=4,W=4", "S=4,W=5", "S=4,W=8", "S=4,W=6", "S=3,W=5", "W=7"] {
        let (scratch, store) = (Scratch::new(), store());
        let home = scratch.home();
        put(&scratch, "new/1000.a.h");
        fs::remove_file(scratch.path().join("new/1000.a.h")).unwrap();
        fs::write(scratch.path().join(format!("new/1000.a.h,{name}")), "a\nb\n").unwrap();
        store.measures(&home, &inbox(), &all(), 9).unwrap();
        assert_eq!(octets(&store, &home, "INBOX", 1), b"a\r\nb\r\n", "{name}");
        let counted = store.counted(&home, &inbox(), 1).unwrap();
        assert_eq!(counted.map(|one| one.octets), Some(6), "{name}");
        assert!(store.counted(&home, &inbox(), 2).unwrap().is_none());
    }
}

#[test]
fn a_folder_of_another_program_is_one_and_odd_directories_are_none() {
    let (scratch, store) = (Scratch::new(), store());
    let home = scratch.home();
    for dir in [".Sent/cur", ".Lists.a/cur", "..odd/cur", ".no-maildir", ".&bad/cur", "plain/cur"] {
        fs::create_dir_all(scratch.path().join(dir)).unwrap();
    }
    fs::write(scratch.path().join("subscriptions"), "Sent\nLists.a\nelsewhere\n").unwrap();
    let listed: Vec<String> = store
        .folders(&home)
        .unwrap()
        .into_iter()
        .map(|it| format!("{} {} {}", it.name, it.exists, it.subscribed))
        .collect();
    let wanted = ["INBOX true false", "Lists.a true true", "Sent true true", "elsewhere false true"];
    assert_eq!(listed, wanted);
    assert!(store.open(&home, &folder("Sent"), false).unwrap().uids.is_empty());
    assert!(scratch.path().join(".Sent/new").is_dir());
    store.subscribe(&home, &folder("New"), true).unwrap();
    let text = fs::read_to_string(scratch.path().join("subscriptions")).unwrap();
    assert_eq!(text, "Sent\nLists.a\nelsewhere\nNew\n");
}

#[test]
fn after_a_restart_all_is_told_that_can_not_be_known() {
    let scratch = Scratch::new();
    let home = scratch.home();
    let first = store();
    for _ in 0..4 {
        deliver(&first, &home, "INBOX", &[], b"x");
    }
    let since = first.open(&home, &inbox(), false).unwrap().modseq;
    let done =
        act(&first, &home, Act::Expunge { folder: inbox(), uids: Some(uids(&[2])), deleted_only: false });
    assert_eq!(done.unwrap(), Done::Expunged { uids: uids(&[2]) });
    let second = store();
    let changes = second.changes(&home, &inbox(), since, false).unwrap();
    assert!(changes.modseq > since);
    assert_eq!((changes.changed, changes.vanished), (uids(&[1, 3, 4]), uids(&[2])));
    assert_eq!(second.changes(&home, &inbox(), ModSeq(1), false).unwrap().vanished, uids(&[2]));
}

#[test]
fn a_watch_hears_another_program_and_a_flood() {
    let (scratch, store) = (Scratch::new(), store());
    let home = scratch.home();
    store.open(&home, &inbox(), false).unwrap();
    let (tell, told) = mpsc::channel();
    let _watching = store
        .watch(&home, &Scope::Folder(inbox()), Box::new(move || tell.send(()).unwrap_or_default()))
        .unwrap();
    for number in 0..500 {
        put(&scratch, &format!("new/{number}.a.h"));
    }
    let mut seen = 0;
    while seen < 500 {
        told.recv_timeout(Duration::from_secs(20)).unwrap();
        seen = listing(&store, &home, "INBOX").len();
    }
    while told.try_recv().is_ok() {}
    rename(&scratch, "new/7.a.h", "cur/7.a.h:2,S");
    told.recv_timeout(Duration::from_secs(20)).unwrap();
}

#[test]
fn a_lock_of_a_dead_process_does_not_hold_a_reader_up() {
    let (scratch, store) = (Scratch::new(), store());
    put(&scratch, "new/1000.a.h");
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let dead = child.id();
    child.wait().unwrap();
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    fs::write(scratch.path().join("dovecot-uidlist.lock"), format!("{dead}:{host}")).unwrap();
    assert_eq!(listing(&store, &scratch.home(), "INBOX").len(), 1);
    assert!(!scratch.path().join("dovecot-uidlist.lock").exists());
}
