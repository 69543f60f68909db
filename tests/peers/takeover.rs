//! A Maildir of Dovecot's is taken over by `mail-serve` and given back: UIDVALIDITY, UIDs, flags, keywords, subscriptions and
//! POP3's unique ids stay what they were, whoever changed what in between.

use crate::kit::{
    self,
    daemon::Daemon,
    dovecot::{Dovecot, Imap},
    house::House,
};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
};

/// A message's UID, flags and subject.
type Row = (u64, String, String);

/// All that a client may have kept of an account.
#[derive(Debug, PartialEq, Eq)]
struct Picture {
    /// By name: UIDVALIDITY, UIDNEXT, and the messages.
    folders: BTreeMap<String, (u64, u64, Vec<Row>)>,
    subscribed: Vec<String>,
    uidl: Vec<String>,
}

fn picture(imap: SocketAddr, pop3: SocketAddr) -> Picture {
    let mut session = Imap::login(imap, "alice", "wonderland");
    let names = |lines: Vec<String>| -> Vec<String> {
        let existing = lines.iter().filter(|line| !line.contains("\\Noselect"));
        let mut names: Vec<String> =
            existing.map(|line| line.rsplit(' ').next().unwrap().trim_matches('"').to_owned()).collect();
        names.sort();
        names
    };
    let mut folders = BTreeMap::new();
    for name in names(session.say("LIST \"\" *")) {
        let said = session.say(&format!("SELECT {name}")).join("\n");
        let rows = session.say("UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])");
        let rows = rows.iter().filter(|line| line.contains(" FETCH (")).map(|line| {
            let mut flags: Vec<&str> = between(line, "FLAGS (", ")").split(' ').collect();
            flags.retain(|flag| !["", "\\Recent"].contains(flag));
            flags.sort_unstable();
            (number(line, "UID "), flags.join(" "), between(line, "Subject: ", "\r\n").to_owned())
        });
        let rows = rows.collect();
        folders.insert(name, (number(&said, "UIDVALIDITY "), number(&said, "UIDNEXT "), rows));
    }
    let subscribed = names(session.say("LSUB \"\" *"));
    session.say("LOGOUT");
    Picture { folders, subscribed, uidl: uidl(pop3) }
}

fn uidl(pop3: SocketAddr) -> Vec<String> {
    let mut stream = TcpStream::connect(pop3).unwrap();
    stream.set_read_timeout(Some(kit::PATIENCE)).unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map(|line| line.unwrap());
    assert!(lines.next().unwrap().starts_with("+OK"));
    for said in ["USER alice@example.org", "PASS wonderland", "UIDL"] {
        stream.write_all(format!("{said}\r\n").as_bytes()).unwrap();
        let heard = lines.next().unwrap();
        assert!(heard.starts_with("+OK"), "{said}: {heard}");
    }
    let ids = lines.by_ref().take_while(|line| line != ".").collect();
    stream.write_all(b"QUIT\r\n").unwrap();
    assert!(lines.next().unwrap().starts_with("+OK"));
    ids
}

fn between<'a>(line: &'a str, start: &str, end: &str) -> &'a str {
    let rest = line.split_once(start).unwrap_or_else(|| panic!("no {start:?} in {line:?}")).1;
    rest.split_once(end).unwrap_or_else(|| panic!("no {end:?} in {line:?}")).0
}

fn number(line: &str, word: &str) -> u64 {
    let rest = line.split_once(word).unwrap_or_else(|| panic!("no {word:?} in {line:?}")).1;
    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

/// Both servers on one house, never at the same time.
struct Both(House);

impl Both {
    /// Gives Dovecot the house: what it sees, and what `act` does there.
    fn dovecot(&self, act: impl FnOnce(&mut Imap)) -> Option<[Picture; 2]> {
        // That it was ended by a signal the last time is not its complaint.
        let _ = std::fs::remove_file(self.0.path("dovecot.log"));
        let dovecot = Dovecot::start(&self.0)?;
        dovecot.own();
        let before = picture(dovecot.imap(), dovecot.pop3());
        act(&mut dovecot.login("alice", "wonderland"));
        let after = picture(dovecot.imap(), dovecot.pop3());
        dovecot.content();
        Some([before, after])
    }

    /// The same with mail-serve.
    fn ours(&self, act: impl FnOnce(&mut Imap)) -> [Picture; 2] {
        let daemon = Daemon::start(&self.0, "mail-serve");
        let (imap, pop3) = (daemon.tcp("imap"), daemon.tcp("pop3"));
        let before = picture(imap, pop3);
        act(&mut Imap::login(imap, "alice", "wonderland"));
        let after = picture(imap, pop3);
        assert!(daemon.stop().success());
        [before, after]
    }
}

fn house() -> Both {
    let mut house = House::new();
    house.set("serve.allow_plaintext", r#"["127.0.0.0/8"]"#);
    Both(house)
}

fn text(subject: &str) -> String {
    format!("From: ann@example.net\r\nSubject: {subject}\r\n\r\nbody\r\n")
}

#[test]
fn a_maildir_of_dovecots_is_taken_over_and_given_back() {
    let both = house();
    let Some([_, theirs]) = both.dovecot(|imap| {
        for folder in ["Work", "Lists.rust", "Sent"] {
            imap.say(&format!("CREATE {folder}"));
        }
        imap.say("SUBSCRIBE Work");
        imap.say("SUBSCRIBE Lists.rust");
        for (folder, flags, subject) in [
            ("INBOX", "", "one"),
            ("INBOX", "\\Seen work $Junk", "two"),
            ("INBOX", "\\Flagged \\Answered $Forwarded", "three"),
            ("INBOX", "\\Draft", "four"),
            ("Work", "\\Seen later", "five"),
            ("Work", "later work", "six"),
            ("Lists.rust", "\\Deleted", "seven"),
        ] {
            imap.append(folder, flags, &text(subject));
        }
        // UIDs have gaps.
        imap.say("SELECT INBOX");
        imap.say("STORE 1 +FLAGS (\\Deleted)");
        imap.say("EXPUNGE");
    }) else {
        return;
    };
    assert_eq!(theirs.folders.len(), 4);
    assert_eq!(theirs.folders["INBOX"].2[0], (2, "$Junk \\Seen work".to_owned(), "two".to_owned()));

    let [taken, changed] = both.ours(|imap| {
        imap.append("Work", "\\Seen fresh", &text("eight"));
        imap.say("SELECT INBOX");
        imap.say("UID STORE 3 -FLAGS ($Forwarded)");
        imap.say("UID STORE 2 +FLAGS (other \\Flagged)");
        imap.say("UID COPY 2:3 Sent");
        imap.say("UID MOVE 4 Lists.rust");
        imap.say("CREATE Lists.cyrus");
        imap.say("SUBSCRIBE Sent");
        imap.say("UNSUBSCRIBE Work");
    });
    assert_eq!(taken, theirs, "as it was taken over");

    let [given, _] = both.dovecot(|_| {}).unwrap();
    assert_eq!(given, changed, "as it was given back");
    assert_eq!(given.folders["Lists.rust"].2[1].2, "four");
    assert_eq!(given.subscribed, ["Lists.rust", "Sent"]);
}

#[test]
fn many_changes_on_each_side_in_turn_renumber_nothing() {
    let both = house();
    let (rounds, acts) = if kit::soak() { (2, 1000) } else { (2, 60) };
    let mut seed = 0x2026_1124_u64;
    let mut random = move |below: u64| {
        // Any sequence will do, as long as it is the same each time.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    const FOLDERS: [&str; 3] = ["INBOX", "Work", "Archive.2026"];
    let mut turn = |imap: &mut Imap, side: &str| {
        for folder in &FOLDERS[1..] {
            imap.ask(&format!("CREATE {folder}"));
        }
        for act in 0..acts {
            let (folder, other) = (FOLDERS[random(3) as usize], FOLDERS[random(3) as usize]);
            let said = imap.say(&format!("SELECT {folder}"));
            let exists =
                said.iter().find_map(|line| line.strip_suffix(" EXISTS")?.strip_prefix("* ")).unwrap();
            let count: u64 = exists.parse().unwrap();
            let one = random(count.max(1)) + 1;
            let flags =
                ["\\Seen", "\\Flagged", "\\Answered \\Draft", "work", "$Junk later"][random(5) as usize];
            match random(6) {
                0 | 1 => imap.append(folder, flags, &text(&format!("{side} {act}"))),
                _ if count == 0 => {}
                2 => drop(imap.say(&format!("STORE {one} +FLAGS ({flags})"))),
                3 => drop(imap.say(&format!("STORE {one} -FLAGS ({flags})"))),
                4 if folder != other => drop(imap.say(&format!("COPY {one} {other}"))),
                5 if folder != other => drop(imap.say(&format!("MOVE {one} {other}"))),
                _ => {
                    imap.say(&format!("STORE {one} +FLAGS (\\Deleted)"));
                    imap.say("EXPUNGE");
                }
            }
        }
    };
    let mut last: Option<Picture> = None;
    for round in 0..rounds {
        let Some([before, after]) = both.dovecot(|imap| turn(imap, "theirs")) else { return };
        if let Some(last) = last {
            assert_eq!(before, last, "Dovecot, round {round}");
        }
        let [taken, changed] = both.ours(|imap| turn(imap, "ours"));
        assert_eq!(taken, after, "mail-serve, round {round}");
        last = Some(changed);
    }
}
