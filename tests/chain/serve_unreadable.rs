//! A file that nobody may read, or that a broken disk gives back no more: it keeps nobody from the others.

use crate::kit::{daemon::Daemon, house::House, lines::Lines};
use nix::unistd::User;
use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, chown, symlink},
};

/// Messages 1 to 9, of which 4 and 7 can't be read; some names tell how large they are. Root could read all of them, so that the
/// daemon is somebody else then.
fn start() -> (House, Daemon) {
    let mut house = House::new();
    house.set("serve.allow_plaintext", r#"["127.0.0.0/8"]"#);
    let cur = house.maildir("alice").join("cur");
    fs::create_dir_all(&cur).unwrap();
    for number in 1..=9 {
        let text = format!("Subject: {number}\n\nneedle\n");
        let name = match number % 2 {
            0 => format!("{number}.a,S={},W={}:2,", text.len(), text.len() + 3),
            _ => format!("{number}.a:2,"),
        };
        fs::write(cur.join(&name), text).unwrap();
        let mode = if [4, 7].contains(&number) { 0o000 } else { 0o644 };
        fs::set_permissions(cur.join(&name), Permissions::from_mode(mode)).unwrap();
    }
    // What only looks like messages has no number.
    fs::create_dir(cur.join("0.directory")).unwrap();
    symlink("/dev/zero", cur.join("0.link")).unwrap();
    if rustix::process::geteuid().is_root() {
        let user = User::from_name("mail").unwrap().unwrap();
        house.set("user", "\"mail\"");
        fs::set_permissions(&house, Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(house.config(), Permissions::from_mode(0o644)).unwrap();
        fs::set_permissions(house.path("cert.pem"), Permissions::from_mode(0o644)).unwrap();
        fs::set_permissions(house.path("key.pem"), Permissions::from_mode(0o640)).unwrap();
        for owned in ["accounts", "aliases", "mail", "state", "key.pem"] {
            chown(house.path(owned), Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
        }
        let maildir = house.maildir("alice");
        for owned in [cur.as_path(), maildir.as_path()] {
            chown(owned, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
        }
    }
    let daemon = Daemon::start(&house, "mail-serve");
    (house, daemon)
}

#[test]
fn over_imap_the_others_are_told_and_the_log_names_it() {
    let (_house, daemon) = start();
    let mut alice = Lines::connect(daemon.tcp("imap"));
    assert!(alice.hear().unwrap().starts_with("* OK"));
    alice.imap("LOGIN alice wonderland");
    alice.imap("SELECT INBOX");
    let sizes = alice.imap("UID FETCH 1:* RFC822.SIZE");
    assert_eq!(sizes.iter().filter(|line| line.contains("FETCH (UID")).count(), 9, "{sizes:?}");
    alice.say("a UID FETCH 1:* BODY.PEEK[]");
    let told = alice.until("a ");
    let numbers: Vec<&str> = told.iter().filter_map(|line| line.strip_prefix("Subject: ")).collect();
    assert_eq!(numbers, ["1", "2", "3", "5", "6", "8", "9"]);
    assert!(told.last().unwrap().starts_with("a NO [UNAVAILABLE]"), "{:?}", told.last());
    assert_eq!(alice.imap("UID SEARCH BODY needle")[0], "* SEARCH 1 2 3 5 6 8 9");
    assert!(daemon.log().contains("4.a,S=") && daemon.log().contains("7.a:2,"), "{}", daemon.log());
}

#[test]
fn over_pop3_the_others_are_given() {
    let (_house, daemon) = start();
    let mut alice = Lines::connect(daemon.tcp("pop3"));
    assert!(alice.hear().unwrap().starts_with("+OK"));
    for command in ["USER alice", "PASS wonderland"] {
        alice.say(command);
        assert!(alice.hear().unwrap().starts_with("+OK"), "{command}");
    }
    let mut given = Vec::new();
    for number in 1..=9 {
        alice.say(&format!("RETR {number}"));
        if alice.hear().unwrap().starts_with("+OK") {
            let text = alice.until(".");
            assert_eq!(text[0], format!("Subject: {number}"));
            given.push(number);
        }
    }
    assert_eq!(given, [1, 2, 3, 5, 6, 8, 9]);
}
