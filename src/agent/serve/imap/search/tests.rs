use super::*;
use crate::{
    mail::{
        draft::{Draft as _, Receipt as _},
        flags::Flags,
        folder::FolderName,
        id::{DeliveryKey, QueueId},
    },
    store::{Home, LineEnds, Place, memory::Memory},
};
use std::io::Write as _;

struct Scene {
    store: Memory,
    home: Home,
    folder: FolderName,
}

impl Scene {
    fn new(messages: &[&str]) -> Scene {
        let home = Home { account: "a@example.org".into(), location: "a".into() };
        let scene = Scene { store: Memory::default(), home, folder: FolderName::inbox() };
        for (at, octets) in messages.iter().enumerate() {
            let mut draft = scene.store.draft(&scene.home, LineEnds::AsGiven).unwrap();
            draft.write_all(octets.as_bytes()).unwrap();
            draft.seal().unwrap();
            let flags = Flags { seen: at % 2 == 0, ..Flags::default() };
            let place = Place { folder: scene.folder.clone(), flags, date: None };
            let id = QueueId::new(u64::try_from(at).unwrap() + 1, 7);
            for kept in draft.commit(vec![place], &DeliveryKey::first(id)).wait() {
                kept.unwrap();
            }
        }
        scene.store.open(&scene.home, &scene.folder, true).unwrap();
        scene
    }

    fn at(&self) -> At<'_, Memory> {
        At { store: &self.store, home: &self.home, folder: &self.folder }
    }

    /// What is found, in slices as short as can be: the messages, how many were read, and how many slices it took.
    fn search(&self, key: Key) -> (String, usize, usize) {
        let mut searching = Box::new(Searching::new(key).unwrap());
        for slices in 1.. {
            let read = searching.read;
            match searching.slice(self.at(), Instant::now()).unwrap() {
                Slice::Done(found) => return (found.to_string(), read, slices),
                Slice::More(more) => searching = more,
            }
        }
        unreachable!()
    }
}

fn body(text: &str) -> Key {
    Key::Body(text.into())
}

fn text(text: &str) -> Key {
    Key::Text(text.into())
}

fn not(key: Key) -> Key {
    Key::Not(Box::new(key))
}

fn or(one: Key, two: Key) -> Key {
    Key::Or(Box::new(one), Box::new(two))
}

const MESSAGES: [&str; 4] = [
    "Subject: apple\n\nbanana cherry\n",
    "Subject: banana\n\napple\n",
    "Subject: cherry\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\napple\n--x\n\nbanana\n--x--\n",
    "Subject: nothing\nContent-Type: application/pdf\n\napple banana cherry\n",
];

#[test]
fn each_message_is_read_once_for_all_texts_and_not_at_all_where_that_is_known_without() {
    let scene = Scene::new(&MESSAGES);
    let seen = || Key::Flag("\\Seen".into());
    let subject = |text: &str| Key::Header("Subject".into(), text.into());
    for (key, found, read) in [
        (Key::All, "1:4", 0),
        (body("apple"), "2:3", 4),
        (text("APPLE"), "1:3", 4),
        (Key::And(vec![body("apple"), body("banana"), not(body("cherry"))]), "3", 4),
        (or(body("cherry"), and_both("apple", "banana")), "1,3", 4),
        (not(text("banana")), "4", 4),
        (body(""), "1:4", 4),
        // Flags spare half of them, a header all but one, both one more.
        (Key::And(vec![text("apple"), seen()]), "1,3", 2),
        (Key::And(vec![text("apple"), subject("cherry")]), "3", 1),
        (Key::And(vec![text("apple"), seen(), subject("nothing")]), "", 0),
        // What is found either way, or neither, is not read.
        (or(body("banana"), seen()), "1,3", 2),
        (or(body("banana"), not(subject("banana"))), "1,3:4", 1),
        (not(Key::And(vec![not(seen()), text("banana")])), "1,3:4", 2),
        (Key::And(vec![or(body("x"), Key::All), not(and_both("x", "y"))]), "1:4", 4),
    ] {
        let said = format!("{key:?}");
        let (uids, times, _) = scene.search(key);
        assert_eq!((uids.as_str(), times), (found, read), "{said}");
    }
}

fn and_both(one: &str, two: &str) -> Key {
    Key::And(vec![body(one), body(two)])
}

#[test]
fn a_message_is_read_piece_by_piece_and_only_until_it_is_known() {
    let filling = "x".repeat(70) + "\n";
    let large = format!("Subject: large\n\napple\n{}pear\n", filling.repeat(5000));
    let scene = Scene::new(&[&large]);
    let (found, _, whole) = scene.search(body("pear"));
    assert_eq!(found, "1");
    // 355,000 octets twice, in pieces of 32 KiB.
    assert!((22..40).contains(&whole), "{whole}");
    let (found, _, half) = scene.search(or(body("apple"), body("plum")));
    assert_eq!(found, "1");
    assert!(half < whole - 8, "{half} of {whole}");
}

#[test]
fn a_large_folder_is_searched_in_chunks_and_who_goes_meanwhile_is_not_found() {
    let scene = Scene::new(&vec!["Subject: a\n\nb\n"; CHUNK * 2 + 1]);
    let (found, read, slices) = scene.search(Key::Header("Subject".into(), "a".into()));
    assert_eq!((found.as_str(), read), ("1:257", 0));
    assert!(slices > 3);
    let mut searching = Box::new(Searching::new(body("b")).unwrap());
    let mut slices = 0;
    let found = loop {
        match searching.slice(scene.at(), Instant::now()).unwrap() {
            Slice::Done(found) => break found,
            Slice::More(more) => searching = more,
        }
        slices += 1;
        if slices == 2 {
            let folder = scene.folder.clone();
            let uids = Some(UidSet::new([1..=256]));
            let act = crate::store::Act::Expunge { folder, uids, deleted_only: false };
            scene.store.apply(&scene.home, vec![act]);
        }
    };
    assert_eq!(found.to_string(), "257");
}

#[test]
fn what_nests_without_end_is_refused() {
    let scene = Scene::new(&["Subject: a\n\n"]);
    let deep = (0..200).fold(body("x"), |key, _| not(key));
    let mut searching = Box::new(Searching::new(deep).unwrap());
    let fault = loop {
        match searching.slice(scene.at(), Instant::now()) {
            Ok(Slice::More(more)) => searching = more,
            Ok(Slice::Done(found)) => panic!("{found}"),
            Err(fault) => break fault,
        }
    };
    assert!(matches!(fault, Fault::Cannot(_)), "{fault}");
}
