//! Messages that are very large, or that change while somebody is told of them: it is that session's matter alone.

use crate::kit::{daemon::Daemon, house::House, lines::Lines};
use std::{
    fs::{self, File},
    io::{Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

const GIB: u64 = 1 << 30;

fn start() -> (House, Daemon, PathBuf) {
    let mut house = House::new();
    house.set("serve.allow_plaintext", r#"["127.0.0.0/8"]"#);
    let cur = house.maildir("alice").join("cur");
    fs::create_dir_all(&cur).unwrap();
    let daemon = Daemon::start(&house, "mail-serve");
    (house, daemon, cur)
}

fn session(daemon: &Daemon) -> Lines {
    let mut lines = Lines::connect(daemon.tcp("imap"));
    assert!(lines.hear().unwrap().starts_with("* OK"));
    lines.imap("LOGIN alice wonderland");
    lines.imap("SELECT INBOX");
    lines
}

/// A message of more octets than 2^30, of which the disk holds a few.
fn large(path: &Path) {
    let mut file = File::create(path).unwrap();
    file.write_all(b"Subject: large\n\nbody\n").unwrap();
    file.seek(SeekFrom::Start(GIB)).unwrap();
    file.write_all(b"\nthe end\n").unwrap();
}

#[test]
fn a_message_of_more_than_a_gibioctet_is_served_from_both_ends() {
    let (_house, daemon, cur) = start();
    large(&cur.join("1.a:2,"));
    let mut alice = session(&daemon);
    // Five lines have an end of one octet in the file.
    let size = GIB + 9 + 5;
    let told = alice.imap("FETCH 1 RFC822.SIZE");
    assert_eq!(told[0], format!("* 1 FETCH (RFC822.SIZE {size})"));
    // Each answer says how many octets it has.
    alice.say(&format!("a FETCH 1 (BODY.PEEK[]<0.14> BODY.PEEK[]<{}.100>)", size - 9));
    assert_eq!(alice.hear().unwrap(), "* 1 FETCH (BODY[]<0> {14}");
    assert_eq!(alice.hear().unwrap(), format!("Subject: large BODY[]<{}> {{9}}", size - 9));
    assert_eq!(alice.hear().unwrap(), "the end");
    assert_eq!(alice.hear().unwrap(), ")");
    alice.until("a OK");
    // One that leaves in the middle of it is missed by nobody.
    alice.say("b FETCH 1 BODY.PEEK[]");
    assert_eq!(alice.hear().unwrap(), format!("* 1 FETCH (BODY[] {{{size}}}"));
    drop(alice);
    daemon.logged("logged out");
    session(&daemon).imap("NOOP");
}

#[test]
fn a_message_that_shrinks_while_it_is_told_ends_that_session_and_no_other() {
    let (_house, daemon, cur) = start();
    large(&cur.join("1.a:2,"));
    let (mut alice, mut other) = (session(&daemon), session(&daemon));
    alice.say("a FETCH 1 BODY.PEEK[]");
    assert!(alice.hear().unwrap().starts_with("* 1 FETCH (BODY[] {"));
    fs::OpenOptions::new().write(true).open(cur.join("1.a:2,")).unwrap().set_len(100_000).unwrap();
    // What was said before is all that comes: a literal that is too short, and no word of it.
    let mut last = String::new();
    while let Some(line) = alice.hear() {
        last = line;
    }
    assert!(!last.contains("OK") && !last.contains("BYE"), "{last:.200}");
    let line = daemon.logged("changed while it was read");
    assert!(line.contains("WARN") && line.contains("uid=1") && line.contains("alice@example.org"), "{line}");
    other.imap("NOOP");
    assert_eq!(other.imap("FETCH 1 BODY.PEEK[]<0.3>")[0], "* 1 FETCH (BODY[]<0> {3}");
}

#[test]
fn a_message_that_is_removed_while_it_is_told_is_told_to_its_end() {
    let (_house, daemon, cur) = start();
    let text = format!("Subject: a\n\n{}", "line\n".repeat(2_000_000));
    fs::write(cur.join("1.a:2,"), &text).unwrap();
    let mut alice = session(&daemon);
    alice.say("a FETCH 1 BODY.PEEK[]");
    let size = text.len() + text.matches('\n').count();
    assert_eq!(alice.hear().unwrap(), format!("* 1 FETCH (BODY[] {{{size}}}"));
    fs::remove_file(cur.join("1.a:2,")).unwrap();
    let told = alice.until("a OK");
    assert_eq!(told.iter().filter(|line| *line == "line").count(), 2_000_000);
    assert!(alice.imap("NOOP").contains(&"* 1 EXPUNGE".to_owned()));
}

#[test]
fn a_size_in_a_name_is_believed_only_until_the_message_is_read() {
    let (_house, daemon, cur) = start();
    let (small, large) =
        ("Subject: a\n\nb\n".to_owned(), format!("Subject: b\n\n{}", "line\n".repeat(20_000)));
    let mut sizes = Vec::new();
    for (number, text) in [(1, &small), (2, &large)] {
        // As many octets as the name says, and other line ends than it says.
        let (octets, wrong) = (text.len(), text.len() + 1);
        fs::write(cur.join(format!("{number}.a,S={octets},W={wrong}:2,")), text).unwrap();
        sizes.push(octets + text.matches('\n').count());
    }
    let mut alice = session(&daemon);
    for (number, size) in (1..).zip(&sizes) {
        alice.say(&format!("a FETCH {number} (RFC822.SIZE BODY.PEEK[])"));
        let first = alice.hear().unwrap();
        assert_eq!(first, format!("* {number} FETCH (RFC822.SIZE {size} BODY[] {{{size}}}"));
        alice.until("a OK");
    }
    // What was counted is remembered.
    assert_eq!(alice.imap("FETCH 2 RFC822.SIZE")[0], format!("* 2 FETCH (RFC822.SIZE {})", sizes[1]));
}
