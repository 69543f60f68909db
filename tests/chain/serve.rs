//! mail-serve as a daemon: sessions that see each other's changes and everybody else's, limits, reload, the end.

use crate::kit::{self, daemon::Daemon, house::House, lines::Lines};
use rustix::process::Signal;
use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

fn house() -> House {
    let mut house = House::new();
    house.set("serve.allow_plaintext", r#"["127.0.0.0/8"]"#);
    house
}

fn deliver(house: &House, subject: &str) {
    let mut command = house.command("mail-deliver");
    let mut child = command.args(["-d", "alice"]).stdin(Stdio::piped()).spawn().unwrap();
    let text = format!("Subject: {subject}\n\nbody\n");
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

fn session(daemon: &Daemon) -> Lines {
    let mut lines = Lines::connect(daemon.tcp("imap"));
    assert!(lines.hear().unwrap().starts_with("* OK"));
    lines.imap("LOGIN alice wonderland");
    lines
}

#[test]
fn who_idles_sees_what_sessions_deliveries_and_other_programs_do() {
    let house = house();
    deliver(&house, "one");
    let daemon = Daemon::start(&house, "mail-serve");
    let (mut idle, mut other) = (session(&daemon), session(&daemon));
    assert!(idle.imap("SELECT INBOX").iter().any(|line| line == "* 1 EXISTS"));
    other.imap("SELECT INBOX");
    idle.say("i IDLE");
    idle.until("+ ");
    // A delivery.
    deliver(&house, "two");
    idle.until("* 2 EXISTS");
    // Another session.
    other.imap("STORE 1 +FLAGS (\\Flagged)");
    assert!(idle.until("* 1 FETCH").last().unwrap().contains("\\Flagged"));
    // Another program renames a file, and another one removes one.
    let files = || -> Vec<_> { house.messages("alice", "") };
    let one = files().into_iter().find(|path| fs::read_to_string(path).unwrap().contains("one")).unwrap();
    let name = one.file_name().unwrap().to_str().unwrap().split(":2,").next().unwrap().to_owned();
    fs::rename(&one, house.maildir("alice").join("cur").join(format!("{name}:2,FS"))).unwrap();
    assert!(idle.until("* 1 FETCH").last().unwrap().contains("\\Seen"));
    let two = files().into_iter().find(|path| fs::read_to_string(path).unwrap().contains("two")).unwrap();
    fs::remove_file(two).unwrap();
    idle.until("* 2 EXPUNGE");
    // POP3 beside them.
    let mut pop3 = Lines::connect(daemon.tcp("pop3"));
    for line in ["USER alice", "PASS wonderland", "DELE 1", "QUIT"] {
        pop3.say(line);
    }
    for _ in 0..5 {
        assert!(pop3.hear().unwrap().starts_with("+OK"));
    }
    idle.until("* 1 EXPUNGE");
    idle.say("DONE");
    idle.until("i OK");
    assert!(other.imap("NOOP").iter().any(|line| line.ends_with(" EXPUNGE")));
}

fn append(session: &mut Lines, folder: &str, subject: &str) {
    let text = format!("Subject: {subject}\r\n\r\nbody\r\n");
    session.imap(&format!("APPEND {folder} {{{}+}}\r\n{text}", text.len()));
}

#[test]
fn what_a_client_calls_itself_is_logged_once_however_often_it_says_so() {
    let house = house();
    let daemon = Daemon::start(&house, "mail-serve");
    let mut lines = Lines::connect(daemon.tcp("imap"));
    lines.hear().unwrap();
    for number in 0..5 {
        lines.imap(&format!("ID (\"name\" \"client-{number}\")"));
    }
    lines.imap("LOGIN alice wonderland");
    daemon.logged("logged in");
    let log = daemon.log();
    assert!(log.contains("client-0") && log.matches("calls itself").count() == 1, "{log}");
}

#[test]
fn uids_of_a_folder_that_was_made_anew_name_none_of_its_messages() {
    for command in [
        "UID STORE 1 +FLAGS (\\Deleted)",
        "EXPUNGE",
        "UID MOVE 1 INBOX",
        "UID FETCH 1 BODY.PEEK[]",
        "FETCH 1 FLAGS",
    ] {
        let house = house();
        let daemon = Daemon::start(&house, "mail-serve");
        let (mut first, mut idle, mut other) = (session(&daemon), session(&daemon), session(&daemon));
        other.imap("CREATE Work");
        append(&mut other, "Work", "old");
        first.imap("SELECT Work");
        idle.imap("SELECT Work");
        idle.say("i IDLE");
        idle.until("+ ");
        other.imap("DELETE Work");
        // The first was told before it.
        idle.until("* BYE");
        other.imap("CREATE Work");
        append(&mut other, "Work", "new");
        other.imap("SELECT Work");
        let marked = command == "EXPUNGE";
        if marked {
            other.imap("STORE 1 +FLAGS (\\Deleted)");
        }
        first.say(&format!("t {command}"));
        let mut heard = Vec::new();
        while let Some(line) = first.hear() {
            heard.push(line);
            if heard.last().is_some_and(|line| line.starts_with("t ")) {
                break;
            }
        }
        assert!(heard.iter().any(|line| line.starts_with("* BYE")), "{command}: {heard:?}");
        assert!(!heard.iter().any(|line| line.contains("FETCH (") || line.starts_with("t OK")), "{heard:?}");
        let there = other.imap("UID FETCH 1:* FLAGS");
        assert!(there.iter().any(|line| line.starts_with("* 1 FETCH (UID 1 ")), "{command}: {there:?}");
        assert_eq!(there.iter().any(|line| line.contains("\\Deleted")), marked, "{command}: {there:?}");
    }
}

#[test]
fn connections_of_an_address_and_of_a_user_are_bounded() {
    let mut house = house();
    house.set("serve.per_address", "3").set("serve.per_user", "1");
    let daemon = Daemon::start(&house, "mail-serve");
    let mut first = session(&daemon);
    let mut second = Lines::connect(daemon.tcp("imap"));
    second.hear();
    second.say("a LOGIN alice wonderland");
    assert!(second.hear().unwrap().starts_with("a NO [LIMIT] "));
    second.say("b LOGIN bob builder");
    assert!(second.hear().unwrap().starts_with("b OK "));
    let mut third = Lines::connect(daemon.tcp("pop3"));
    assert!(third.hear().unwrap().starts_with("+OK "));
    third.say("USER alice");
    third.say("PASS wonderland");
    third.hear();
    assert!(third.hear().unwrap().starts_with("-ERR [SYS/TEMP] "));
    let mut fourth = Lines::connect(daemon.tcp("imap"));
    assert!(fourth.hear().unwrap().starts_with("* BYE [UNAVAILABLE] "));
    assert_eq!(fourth.hear(), None);
    let mut fifth = Lines::connect(daemon.tcp("pop3"));
    assert!(fifth.hear().unwrap().starts_with("-ERR [SYS/TEMP] "));
    // A seat is free again once its session has ended.
    first.imap("LOGOUT");
    assert_eq!(first.hear(), None);
    second.say("c LOGOUT");
    while second.hear().is_some() {}
    daemon.logged("logged out");
    session(&daemon);
}

/// RFC 1939 section 6: the lock is released, then the connection is closed.
#[test]
fn a_maildrop_is_free_when_quit_is_answered() {
    let house = house();
    (0..20).for_each(|number| deliver(&house, &number.to_string()));
    let daemon = Daemon::start(&house, "mail-serve");
    // Who has quit may still have the connection.
    let mut quit = None;
    for round in 0..100 {
        let mut lines = Lines::connect(daemon.tcp("pop3"));
        lines.until("+OK");
        lines.say("USER alice\r\nPASS wonderland");
        lines.until("+OK");
        let said = lines.hear().unwrap();
        assert!(said.starts_with("+OK"), "round {round}: {said}");
        if round % 5 == 0 {
            lines.say("DELE 1");
            lines.until("+OK");
        }
        drop(quit.take());
        lines.say("QUIT");
        lines.until("+OK");
        quit = Some(lines);
    }
    assert!(house.messages("alice", "").is_empty());
}

#[test]
fn the_end_is_told_where_the_protocol_can_tell_it_and_nothing_is_removed() {
    let house = house();
    deliver(&house, "one");
    let daemon = Daemon::start(&house, "mail-serve");
    let mut idle = session(&daemon);
    idle.imap("SELECT INBOX");
    idle.say("i IDLE");
    idle.until("+ ");
    let mut waiting = session(&daemon);
    let mut pop3 = Lines::connect(daemon.tcp("pop3"));
    for line in ["USER alice", "PASS wonderland", "DELE 1"] {
        pop3.say(line);
    }
    for _ in 0..4 {
        assert!(pop3.hear().unwrap().starts_with("+OK"));
    }
    daemon.signal(Signal::TERM);
    idle.until("* BYE");
    waiting.until("* BYE");
    assert_eq!(pop3.hear(), None);
    let mut daemon = daemon;
    assert!(daemon.wait().success());
    assert_eq!(house.messages("alice", "").len(), 1);
}

#[test]
fn a_reload_takes_new_settings_and_refuses_mistakes() {
    let mut house = House::new();
    let daemon = Daemon::start(&house, "mail-serve");
    let greeting = |daemon: &Daemon| Lines::connect(daemon.tcp("imap")).hear().unwrap();
    assert!(greeting(&daemon).contains("LOGINDISABLED"));
    house.set("serve.allow_plaintext", "7");
    daemon.signal(Signal::HUP);
    daemon.logged("not reloaded");
    assert!(greeting(&daemon).contains("LOGINDISABLED"));
    house.set("serve.allow_plaintext", r#"["127.0.0.1"]"#);
    daemon.signal(Signal::HUP);
    daemon.logged("INFO reloaded");
    assert!(!greeting(&daemon).contains("LOGINDISABLED"));
}

#[test]
fn what_cannot_be_served_is_said() {
    for (keys, said) in [
        (
            vec![("serve.imap", "[]"), ("serve.imaps", "[]"), ("serve.pop3", "[]"), ("serve.pop3s", "[]")],
            "no listener is configured: set serve.imap",
        ),
        (vec![("serve.separator", "\"-\"")], "serve.separator: `-`: write \".\" or \"/\""),
        (vec![("serve.pop", "[]")], "unknown key `pop` in [serve]; did you mean `pop3`?"),
        (vec![("tls.key", "\"/nonexistent\"")], "/nonexistent"),
    ] {
        let mut house = House::new();
        for (key, value) in keys {
            house.set(key, value);
        }
        let out = house.command("mail-serve").stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(78), "{text}");
        assert!(text.contains(said), "{said:?} is not in {text:?}");
    }
}

#[test]
fn systemd_hands_sockets_over_by_their_names() {
    let Some(activate) = kit::peer("systemd-socket-activate") else { return };
    let house = house();
    let (imap, pop3) = (house.path("run/one"), house.path("run/two"));
    let mut child = Command::new(activate)
        .arg("-l")
        .arg(&imap)
        .arg("-l")
        .arg(&pop3)
        .arg("--fdname=imap:pop3")
        .arg(kit::program("mail-serve"))
        .arg("-C")
        .arg(house.config())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    for (path, wanted) in [(imap, "* OK [CAPABILITY IMAP4rev1"), (pop3, "+OK mx.example.org POP3")] {
        let until = std::time::Instant::now() + kit::PATIENCE;
        let stream = loop {
            match std::os::unix::net::UnixStream::connect(&path) {
                Ok(stream) => break stream,
                Err(fault) => assert!(std::time::Instant::now() < until, "{}: {fault}", path.display()),
            }
            std::thread::yield_now();
        };
        stream.set_read_timeout(Some(kit::PATIENCE)).unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stream), &mut line).unwrap();
        assert!(line.starts_with(wanted), "{line}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
