//! Where a file can't just get another name: folders on other file systems, files with too many names. And when the
//! kernel loses count of what changed.

use super::scene::*;
use crate::kit::power::Small;
use posthaste::{
    mail::draft::{Draft as _, Receipt as _},
    store::{Act, Done, Home, Scope, Store, maildir::Maildir},
    sys::{
        clock::Clock,
        disk::{Disk, Faults, Step},
    },
};
use std::{
    fs,
    os::unix::fs::{MetadataExt, symlink},
    path::Path,
    sync::mpsc,
    time::Duration,
};

const EMLINK: i32 = 31;

fn store() -> Maildir {
    Maildir::new(Disk::inline(), Clock::system())
}

/// Every file below a directory that is not a list of the store's own.
fn messages(dir: &Path) -> Vec<fs::Metadata> {
    let parts = ["tmp", "new", "cur"].map(|part| dir.join(part));
    let entries = parts.iter().flat_map(|part| fs::read_dir(part).into_iter().flatten());
    entries.map(|entry| entry.unwrap().metadata().unwrap()).collect()
}

#[test]
fn a_folder_may_lie_on_another_file_system() {
    let Some(disk) = Small::make(4 << 20) else { return };
    let (scratch, store) = (Scratch::new(), store());
    let home = scratch.home();
    deliver(&store, &home, "INBOX", &[], b"one");
    let far = disk.path().join("Far");
    fs::create_dir_all(far.join("cur")).unwrap();
    symlink(&far, scratch.path().join(".Far")).unwrap();
    assert_ne!(far.metadata().unwrap().dev(), scratch.path().metadata().unwrap().dev());

    // Delivered to both by one commit: a file for each.
    let both = vec![place("INBOX", &[]), place("Far", &["\\Flagged"])];
    let outcomes = draft(&store, &home, b"two").commit(both, &key()).wait();
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(append(&store, &home, "Far", &["\\Seen"], None, b"three").unwrap(), 2);
    assert_eq!(listing(&store, &home, "Far"), [(1, "\\Flagged".to_owned()), (2, "\\Seen".to_owned())]);

    // Copied and moved, there and back, with its date.
    store.open(&home, &inbox(), true).unwrap();
    let date = |name: &str, uid| {
        let measures = store.measures(&home, &folder(name), &uids(&[uid]), 1).unwrap();
        measures[0].date
    };
    let before = date("INBOX", 1);
    act(&store, &home, Act::Copy { from: inbox(), uids: uids(&[1]), to: folder("Far") }).unwrap();
    let done = act(&store, &home, Act::Move { from: inbox(), uids: uids(&[2]), to: folder("Far") }).unwrap();
    assert!(matches!(&done, Done::Copied { pairs, .. } if pairs == &[(2, 4)]), "{done:?}");
    assert_eq!((listing(&store, &home, "INBOX").len(), listing(&store, &home, "Far").len()), (1, 4));
    assert_eq!(date("Far", 3), before);
    act(&store, &home, Act::Move { from: folder("Far"), uids: uids(&[2]), to: inbox() }).unwrap();
    let texts = |name: &str| -> Vec<Vec<u8>> {
        listing(&store, &home, name).iter().map(|row| octets(&store, &home, name, row.0)).collect()
    };
    assert_eq!(texts("INBOX"), [b"one".to_vec(), b"three".to_vec()]);
    assert_eq!(texts("Far"), [b"two".to_vec(), b"one".to_vec(), b"two".to_vec()]);
    // Nothing is left over on either side, and every file has one name.
    for (dir, count) in [(scratch.path(), 2), (&far, 3)] {
        let files = messages(dir);
        assert_eq!(files.len(), count, "{}", dir.display());
        assert!(files.iter().all(|file| file.nlink() == 1));
    }
}

#[test]
fn a_folder_in_two_halves_is_refused_with_the_reason() {
    let Some(disk) = Small::make(4 << 20) else { return };
    let (scratch, store) = (Scratch::new(), store());
    let home = scratch.home();
    deliver(&store, &home, "INBOX", &[], b"one");
    fs::remove_dir(scratch.path().join("tmp")).unwrap();
    symlink(disk.path(), scratch.path().join("tmp")).unwrap();
    let outcomes = draft(&store, &home, b"two").commit(vec![place("INBOX", &[])], &key()).wait();
    let why = outcomes.into_iter().next().unwrap().unwrap_err();
    let said = format!("{}: tmp/ lies on another file system", scratch.path().display());
    assert!(why.text.contains(&said) && (why.subject, why.detail) == (3, 0), "{why:?}");
    assert_eq!(fs::read_dir(disk.path()).unwrap().count(), 0, "nothing is left in tmp/");
    assert_eq!(messages(scratch.path()).len(), 1);
    // Another folder has a tmp/ of its own, and takes its copy.
    deliver(&store, &home, "Work", &[], b"three");
    assert_eq!(listing(&store, &home, "Work").len(), 1);
}

/// Copies INBOX's only message to Work on a disk with these faults; the outcome, and the place of the first link.
fn copied(faults: Faults) -> (Result<Done, posthaste::store::Fault>, usize, Scratch, Home) {
    let scratch = Scratch::new();
    let home = scratch.home();
    let whole = store();
    whole.create(&home, &folder("Work")).unwrap();
    append(&whole, &home, "INBOX", &[], None, b"one").unwrap();
    listing(&whole, &home, "Work");
    let disk = Maildir::new(Disk::failing(faults.clone()), Clock::system());
    listing(&disk, &home, "Work");
    listing(&disk, &home, "INBOX");
    let before = faults.trace().len();
    let done = act(&disk, &home, Act::Copy { from: inbox(), uids: all(), to: folder("Work") });
    let link = faults.trace()[before..].iter().position(|&step| step == Step::Link).unwrap();
    (done, before + link, scratch, home)
}

#[test]
fn a_file_that_can_have_no_more_names_is_copied() {
    let (done, link, scratch, _home) = copied(Faults::none());
    done.unwrap();
    assert!(messages(&scratch.path().join(".Work")).iter().all(|file| file.nlink() == 2), "a copy is a link");
    let faults = Faults::once(link, EMLINK);
    let (done, _, scratch, home) = copied(faults.clone());
    assert!(faults.struck());
    assert!(matches!(done, Ok(Done::Copied { ref pairs, .. }) if pairs == &[(1, 1)]), "{done:?}");
    assert!(messages(&scratch.path().join(".Work")).iter().all(|file| file.nlink() == 1));
    assert_eq!(octets(&store(), &home, "Work", 1), b"one");
    assert_eq!(octets(&store(), &home, "INBOX", 1), b"one");
}

#[test]
fn listeners_of_every_folder_hear_when_events_were_lost() {
    let most = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let most: usize = most.trim().parse().unwrap();
    if most > 200_000 {
        eprintln!("skipped: this machine keeps {most} events");
        return;
    }
    let (scratch, store) = (Scratch::new(), store());
    let home = scratch.home();
    deliver(&store, &home, "Quiet", &[], b"x");
    listing(&store, &home, "Quiet");
    listing(&store, &home, "INBOX");
    let (told, flooded) = mpsc::channel();
    let (go_on, held) = mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let flood = move || {
        told.send(()).unwrap_or_default();
        // The store's own thread waits here, so that the kernel's queue fills.
        let _ = held.lock().unwrap().recv();
    };
    let _flooded = store.watch(&home, &Scope::Folder(inbox()), Box::new(flood)).unwrap();
    let (tell, quiet) = mpsc::channel();
    let _quiet = store
        .watch(&home, &Scope::Folder(folder("Quiet")), Box::new(move || tell.send(()).unwrap_or_default()))
        .unwrap();
    fs::write(scratch.path().join("new/first"), "").unwrap();
    flooded.recv_timeout(Duration::from_secs(20)).unwrap();
    for number in 0..=most {
        fs::write(scratch.path().join(format!("new/{number}.x")), "").unwrap();
    }
    // Nobody will hear of this one by itself.
    fs::write(scratch.path().join(".Quiet/new/9.lost"), "").unwrap();
    drop(go_on);
    quiet.recv_timeout(Duration::from_secs(20)).expect("the other folder is to be looked at, too");
    assert_eq!(listing(&store, &home, "Quiet").len(), 2);
    assert_eq!(store.open(&home, &inbox(), false).unwrap().uids.iter().count(), most + 2);
}
