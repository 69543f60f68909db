//! What an account has from the start, what it may keep, and how its owner gets at it without a daemon.

use crate::kit::{daemon::Daemon, house::House, lines::Lines};
use std::{
    fs,
    io::Write as _,
    process::{Output, Stdio},
};

fn house() -> House {
    let mut house = House::new();
    house.set("serve.allow_plaintext", r#"["127.0.0.0/8"]"#);
    house
}

fn session(daemon: &Daemon) -> Lines {
    let mut lines = Lines::connect(daemon.tcp("imap"));
    assert!(lines.hear().unwrap().starts_with("* OK"));
    lines.imap("LOGIN alice wonderland");
    lines
}

/// Says all of it to `mail-serve` on its standard input, and nothing more.
fn tunnel(house: &House, args: &[&str], said: &str) -> Output {
    let mut command = house.command("mail-serve");
    command.args(args).env("HOME", house.path(""));
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // One that refuses its arguments may be gone already.
    let _ = child.stdin.take().unwrap().write_all(said.as_bytes());
    child.wait_with_output().unwrap()
}

#[test]
fn a_fresh_account_has_the_folders_that_are_configured_and_they_say_what_they_are_for() {
    let mut house = house();
    house.set("serve.folders", r#"["Drafts", "Sent", "Junk", "Trash", "Lists/rust"]"#);
    // One for sent messages is there already.
    fs::create_dir_all(house.maildir("alice").join(".Sent Items/cur")).unwrap();
    let daemon = Daemon::start(&house, "mail-serve");
    let mut alice = session(&daemon);
    let all = [
        "* LIST (\\HasNoChildren \\Drafts) \".\" Drafts",
        "* LIST (\\HasNoChildren) \".\" INBOX",
        "* LIST (\\HasNoChildren \\Junk) \".\" Junk",
        "* LIST (\\Noselect \\HasChildren) \".\" Lists",
        "* LIST (\\HasNoChildren) \".\" Lists.rust",
        "* LIST (\\HasNoChildren \\Sent) \".\" \"Sent Items\"",
        "* LIST (\\HasNoChildren \\Trash) \".\" Trash",
    ];
    let listed = alice.imap("LIST \"\" *");
    assert_eq!(listed[..listed.len() - 1], all);
    let subscribed = alice.imap("LSUB \"\" *").join("\n");
    for name in ["Drafts", "Junk", "Lists.rust", "Trash"] {
        assert!(subscribed.contains(&format!("\".\" {name}")), "{subscribed}");
    }
    // What is deleted is there again at the next login, as is said.
    alice.imap("DELETE Junk");
    assert!(session(&daemon).imap("LIST \"\" Junk")[0].contains("\\Junk"));
}

#[test]
fn an_account_is_full_until_something_is_removed() {
    let mut house = house();
    house.set("accounts.quota", "1000");
    let daemon = Daemon::start(&house, "mail-serve");
    let (mut alice, mut other) = (session(&daemon), session(&daemon));
    let text = format!("Subject: x\r\n\r\n{}\r\n", "x".repeat(400));
    let append = |session: &mut Lines, text: &str| {
        let command = format!("APPEND INBOX {{{}+}}\r\n{text}", text.len());
        session.ask(&command).unwrap().pop().unwrap()
    };
    // What is appended counts at once, also for others.
    assert!(append(&mut alice, &text).starts_with("t OK [APPENDUID "));
    assert!(append(&mut other, &text).starts_with("t OK [APPENDUID "));
    assert!(append(&mut alice, &text).starts_with("t NO [OVERQUOTA] "));
    assert!(append(&mut other, &text).starts_with("t NO [OVERQUOTA] "));
    // What one removes makes room for both.
    other.imap("SELECT INBOX");
    other.imap("STORE 1 +FLAGS.SILENT (\\Deleted)");
    other.imap("EXPUNGE");
    assert!(append(&mut alice, &text).starts_with("t OK [APPENDUID "));
    assert!(append(&mut alice, &text).starts_with("t NO [OVERQUOTA] "));
    // A copy takes room as well; to move takes none.
    let copied = other.ask("COPY 1 INBOX").unwrap().pop().unwrap();
    assert!(copied.starts_with("t NO [OVERQUOTA] "), "{copied}");
    alice.imap("CREATE Other");
    other.imap("MOVE 1 Other");
    alice.imap("DELETE Other");
    assert!(other.ask("COPY 1 INBOX").unwrap().pop().unwrap().starts_with("t OK [COPYUID "));
    assert!(append(&mut alice, &text).starts_with("t NO [OVERQUOTA] "));
}

#[test]
fn the_sum_of_an_account_is_not_read_for_each_message() {
    let mut house = house();
    house.set("accounts.quota", "\"1G\"");
    let daemon = Daemon::start(&house, "mail-serve");
    let mut alice = session(&daemon);
    assert!(alice.ask("APPEND INBOX {3+}\r\na\r\n").unwrap().pop().unwrap().starts_with("t OK"));
    // Should it be read again it can't be: a folder of which nothing is known to the session.
    let locked = house.maildir("alice").join(".Other/cur");
    fs::create_dir_all(&locked).unwrap();
    fs::write(locked.join("large,S=4000000000"), "x").unwrap();
    assert!(alice.ask("APPEND INBOX {3+}\r\na\r\n").unwrap().pop().unwrap().starts_with("t OK"));
    alice.imap("SELECT INBOX");
    alice.imap("EXPUNGE");
    let answer = alice.ask("APPEND INBOX {3+}\r\na\r\n").unwrap().pop().unwrap();
    assert!(answer.starts_with("t NO [OVERQUOTA] "), "{answer}");
}

#[test]
fn two_sessions_learn_of_each_others_keywords_before_they_meet_them() {
    let house = house();
    let cur = house.maildir("alice").join("cur");
    fs::create_dir_all(&cur).unwrap();
    fs::write(cur.join("1.a:2,"), "Subject: a\n\n").unwrap();
    let daemon = Daemon::start(&house, "mail-serve");
    let (mut one, mut two) = (session(&daemon), session(&daemon));
    one.imap("SELECT INBOX");
    two.imap("SELECT INBOX");
    let told = |lines: &[String]| {
        let at = |start: &str| lines.iter().position(|line| line.starts_with(start)).unwrap_or(usize::MAX);
        let (flags, permanent, fetch) = (at("* FLAGS ("), at("* OK [PERMANENTFLAGS ("), at("* 1 FETCH ("));
        assert!(flags < permanent && permanent < fetch && fetch < lines.len(), "{lines:?}");
        assert!(lines[flags].contains(" work") && lines[permanent].contains(" work \\*)"), "{lines:?}");
    };
    told(&one.imap("STORE 1 +FLAGS (work)"));
    told(&two.imap("NOOP"));
    // Once is enough.
    for _ in 0..2 {
        let again = two.imap("FETCH 1 FLAGS");
        assert!(!again.iter().any(|line| line.starts_with("* FLAGS")), "{again:?}");
    }
    // Who selects it later is told then.
    assert!(
        two.imap("SELECT INBOX").iter().any(|line| line.starts_with("* FLAGS") && line.contains(" work"))
    );
}

#[test]
fn who_can_read_a_maildir_needs_no_password_for_it() {
    let house = house();
    let cur = house.maildir("alice").join("cur");
    fs::create_dir_all(&cur).unwrap();
    fs::write(cur.join("1.a:2,"), "Subject: a\n\n").unwrap();
    let maildir = house.maildir("alice");
    let said = "a SELECT INBOX\r\nb LOGIN alice wonderland\r\nc UID SEARCH SUBJECT a\r\nd LOGOUT\r\n";
    for args in [
        vec!["--stdio", "--user", "alice"],
        vec!["--stdio=imap", "--user", "ALICE@example.org"],
        vec!["--stdio", "--maildir", maildir.to_str().unwrap()],
    ] {
        let out = tunnel(&house, &args, said);
        let text = String::from_utf8(out.stdout).unwrap();
        assert!(out.status.success(), "{args:?}: {text}");
        assert!(text.starts_with("* PREAUTH [CAPABILITY "), "{text}");
        assert!(
            text.contains("* 1 EXISTS") && text.contains("b BAD ") && text.contains("* SEARCH 1\r\n"),
            "{text}"
        );
        // What is said beside it would only stand in the way.
        assert_eq!(String::from_utf8(out.stderr).unwrap(), "", "{args:?}");
    }
    let link = house.path("link");
    std::os::unix::fs::symlink(&maildir, &link).unwrap();
    let linked = vec!["--stdio", "--maildir", link.to_str().unwrap()];
    let out = tunnel(&house, &linked, said);
    match rustix::process::getuid().is_root() {
        // It would become whoever the link leads to.
        true => assert_eq!((out.status.code(), out.stdout.len()), (Some(77), 0)),
        false => assert!(out.status.success()),
    }
    for (args, status, why) in [
        (vec!["--stdio", "--user", "nobody"], 67, "nobody: there is no such account"),
        (vec!["--stdio=pop3", "--user", "alice"], 64, "--stdio=imap"),
        (vec!["--user", "alice"], 64, "--stdio"),
        (vec!["--stdio", "--user", "alice", "--maildir", "x"], 64, "--maildir"),
    ] {
        let out = tunnel(&house, &args, said);
        let text = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(status), "{text}");
        assert!(text.contains(why), "{why:?} is not in {text}");
        assert!(out.stdout.is_empty());
    }
}
