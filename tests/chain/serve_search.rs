//! Searches that take long: who asked for one and left, or is told of the end, has no more work done for it, and nobody else waits
//! for it.

use crate::kit::{daemon::Daemon, house::House, lines::Lines};
use rustix::process::Signal;
use std::{fs, net::Shutdown};

/// So many different texts, none of them there, in so much text: work for minutes.
const TEXTS: usize = 900;
const LINES: usize = 1_000_000;

fn start() -> (House, Daemon) {
    let mut house = House::new();
    house.set("serve.allow_plaintext", r#"["127.0.0.0/8"]"#);
    let (alice, bob) = (house.maildir("alice"), house.maildir("bob"));
    for (dir, text) in [(&alice, "zq filling for the time\n".repeat(LINES)), (&bob, "apple\n".to_owned())] {
        for part in ["cur", "new", "tmp"] {
            fs::create_dir_all(dir.join(part)).unwrap();
        }
        fs::write(dir.join("cur/1.a:2,S"), format!("Subject: one\n\n{text}")).unwrap();
        fs::write(dir.join("cur/2.b:2,"), "Subject: two\n\npear\n").unwrap();
    }
    let daemon = Daemon::start(&house, "mail-serve");
    (house, daemon)
}

fn session(daemon: &Daemon, login: &str) -> Lines {
    let mut lines = Lines::connect(daemon.tcp("imap"));
    assert!(lines.hear().unwrap().starts_with("* OK"));
    lines.imap(&format!("LOGIN {login}"));
    lines.imap("SELECT INBOX");
    lines
}

/// Begins a search that does not end.
fn search(lines: &mut Lines) {
    // Each is looked for to the end.
    let keys: Vec<String> = (0..TEXTS).map(|n| format!("BODY zq{n:04}")).collect();
    lines.say(&format!("s SEARCH {}", keys.join(" ")));
}

#[test]
fn a_search_ends_with_its_client_and_nobody_waits_for_it() {
    let (_house, daemon) = start();
    let (mut one, mut two) = (session(&daemon, "alice wonderland"), session(&daemon, "alice wonderland"));
    search(&mut one);
    search(&mut two);
    // Both turns are taken. Others have theirs, in the same folder and elsewhere.
    let mut other = session(&daemon, "alice wonderland");
    assert!(other.imap("SEARCH BODY pear").contains(&"* SEARCH 2".to_owned()));
    assert!(other.imap("STORE 2 +FLAGS (\\Flagged)").iter().any(|line| line.starts_with("* 2 FETCH")));
    assert!(session(&daemon, "bob builder").imap("SEARCH TEXT apple").contains(&"* SEARCH 1".to_owned()));
    // Who says no more may still listen, and is told that something is being done.
    one.shutdown(Shutdown::Write);
    for _ in 0..3 {
        assert_eq!(one.hear().as_deref(), Some("* OK Searching"));
    }
    drop(one);
    daemon.logged("logged out");
    // With commands behind it.
    two.say("t NOOP");
    drop((two, other));
    let until = std::time::Instant::now() + crate::kit::PATIENCE;
    while daemon.log().matches("logged out").count() < 4 {
        assert!(std::time::Instant::now() < until, "{}", daemon.log());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn a_search_does_not_hold_up_the_end() {
    let (_house, mut daemon) = start();
    let mut one = session(&daemon, "alice wonderland");
    search(&mut one);
    // It is at work once a second one waits for it.
    let mut other = session(&daemon, "alice wonderland");
    other.imap("SEARCH BODY pear");
    daemon.signal(Signal::TERM);
    one.until("* BYE");
    other.until("* BYE");
    assert!(daemon.wait().success());
    assert!(!daemon.log().contains("cut off"), "{}", daemon.log());
}
