//! Several sessions and another program's hand on one folder, at random: every session is told what happens to it, by numbers that
//! fit what it was told before.

use crate::kit::{PATIENCE, daemon::Daemon, house::House, lines::Lines, soak};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    time::Instant,
};

/// The subject of each UID, by whomever it was seen: no UID ever names two messages.
type Names = BTreeMap<u32, String>;

/// What a folder holds: UIDs and flags, in order. `\Recent` is a session's own.
type Folder = Vec<(u32, BTreeSet<String>)>;

/// A message as a session knows it.
#[derive(Clone, Default, Debug)]
struct Known {
    uid: Option<u32>,
    flags: Option<BTreeSet<String>>,
}

/// An IMAP session, and what it was told of INBOX.
struct Session {
    name: String,
    lines: Lines,
    view: Vec<Known>,
    /// It waits in IDLE.
    idles: bool,
}

fn between<'a>(line: &'a str, start: &str, end: &str) -> Option<&'a str> {
    line.split_once(start)?.1.split_once(end).map(|(found, _)| found)
}

fn flags(line: &str) -> Option<BTreeSet<String>> {
    let all =
        between(line, "FLAGS (", ")")?.split(' ').filter(|flag| !flag.is_empty() && *flag != "\\Recent");
    Some(all.map(str::to_owned).collect())
}

impl Session {
    fn begin(daemon: &Daemon, name: String, idles: bool, names: &mut Names) -> Session {
        let mut lines = Lines::connect(daemon.tcp("imap"));
        lines.hear().unwrap();
        lines.imap("LOGIN alice wonderland");
        let mut session = Session { name, lines, view: Vec::new(), idles: false };
        session.say("SELECT INBOX", names);
        if idles {
            session.idle();
        }
        session
    }

    fn idle(&mut self) {
        self.lines.say("i IDLE");
        assert!(self.lines.hear().unwrap().starts_with("+ "));
        self.idles = true;
    }

    /// Takes over what a line tells, which must fit what was told before.
    fn told(&mut self, line: &str, names: &mut Names) {
        let Session { name, view, .. } = self;
        let mut words = line.splitn(4, ' ');
        let (star, number, what) = (words.next(), words.next().unwrap_or(""), words.next().unwrap_or(""));
        let Ok(number) = number.parse::<usize>() else { return };
        assert_eq!(star, Some("*"), "{name}: {line}");
        match what {
            "EXISTS" => {
                assert!(number >= view.len(), "{name}: {line}, had {}", view.len());
                view.resize(number, Known::default());
            }
            "RECENT" => assert!(number <= view.len(), "{name}: {line}, has {}", view.len()),
            "EXPUNGE" => {
                assert!((1..=view.len()).contains(&number), "{name}: {line}, has {}", view.len());
                view.remove(number - 1);
            }
            "FETCH" => {
                assert!((1..=view.len()).contains(&number), "{name}: {line}, has {}", view.len());
                let known = &mut view[number - 1];
                if let Some(uid) = between(line, "UID ", " ").or_else(|| between(line, "UID ", ")")) {
                    let uid = uid.trim_end_matches(')').parse().unwrap();
                    assert!(known.uid.is_none_or(|before| before == uid), "{name}: {line}, was {known:?}");
                    known.uid = Some(uid);
                }
                if let Some(flags) = flags(line) {
                    known.flags = Some(flags);
                }
                if let (Some(uid), Some(subject)) = (known.uid, between(line, "ENVELOPE (NIL \"", "\"")) {
                    let before = names.insert(uid, subject.to_owned());
                    assert!(
                        before.is_none_or(|before| before == subject),
                        "{name}: {uid} has another message: {line}"
                    );
                }
            }
            _ => panic!("{name}: {line}"),
        }
        let uids: Vec<u32> = view.iter().filter_map(|known| known.uid).collect();
        assert!(uids.is_sorted_by(|one, two| one < two), "{name}: {line}: {uids:?}");
    }

    /// Says a command and takes over what is told up to its end, which is OK or NO. Of a message that is gone nothing may be said by
    /// number in the answers that give numbers (RFC 3501 section 7.4.1).
    fn say(&mut self, command: &str, names: &mut Names) {
        self.lines.say(&format!("t {command}"));
        let holds = ["FETCH", "STORE", "SEARCH"].iter().any(|name| command.starts_with(name));
        if command.starts_with("SELECT") {
            self.view.clear();
        }
        loop {
            let line = self.lines.hear().unwrap_or_else(|| panic!("{}: closed at {command}", self.name));
            if let Some(end) = line.strip_prefix("t ") {
                assert!(end.starts_with("OK") || end.starts_with("NO"), "{}: {command}: {line}", self.name);
                return;
            }
            assert!(!holds || !line.ends_with(" EXPUNGE"), "{}: {command}: {line}", self.name);
            self.told(&line, names);
        }
    }

    /// Leaves IDLE and hears what was told in it.
    fn done(&mut self, names: &mut Names) {
        self.lines.say("DONE");
        loop {
            let line = self.lines.hear().unwrap();
            if line.starts_with("i OK") {
                break;
            }
            self.told(&line, names);
        }
        self.idles = false;
    }

    /// True when nothing it knows differs from what is there, as far as it was told.
    fn agrees(&self, folder: &Folder) -> bool {
        self.view.len() == folder.len()
            && self.view.iter().zip(folder).all(|(known, (uid, flags))| {
                known.uid.is_none_or(|known| known == *uid)
                    && known.flags.as_ref().is_none_or(|known| known == flags)
            })
    }

    /// A command of a client at work.
    fn work(&mut self, random: &mut impl FnMut(usize) -> usize, names: &mut Names) {
        let some = (!self.view.is_empty()).then(|| 1 + random(self.view.len()));
        match (random(9), some) {
            (0, _) | (_, None) => {
                let text = format!("Subject: appended by {} {}\r\n\r\nbody\r\n", self.name, random(1 << 40));
                self.say(&format!("APPEND INBOX {{{}+}}\r\n{text}", text.len()), names);
            }
            (1, Some(number)) => {
                let flag = ["\\Flagged", "\\Seen", "kept"][random(3)];
                let sign = ["+", "-"][random(2)];
                self.say(&format!("STORE {number} {sign}FLAGS ({flag})"), names);
            }
            (2, Some(number)) => {
                self.say(&format!("STORE {number} +FLAGS (\\Deleted)"), names);
                self.say("EXPUNGE", names);
            }
            (3, Some(number)) => self.say(&format!("COPY {number} INBOX"), names),
            (4, Some(number)) if random(3) == 0 => self.say(&format!("MOVE {number} Other"), names),
            (5, Some(number)) => self.say(&format!("FETCH 1:{number} (UID FLAGS)"), names),
            (6, Some(number)) => self.say(&format!("FETCH {number} (UID ENVELOPE)"), names),
            (7, _) => self.say("UID FETCH 1:* (FLAGS ENVELOPE)", names),
            _ => self.say("NOOP", names),
        }
    }
}

/// A program that works on the files themselves.
struct Stranger {
    maildir: PathBuf,
    count: u64,
}

impl Stranger {
    fn work(&mut self, random: &mut impl FnMut(usize) -> usize) {
        let mut files: Vec<(&str, String)> = Vec::new();
        for part in ["new", "cur"] {
            for entry in fs::read_dir(self.maildir.join(part)).unwrap() {
                files.push((part, entry.unwrap().file_name().into_string().unwrap()));
            }
        }
        files.sort();
        let some = (!files.is_empty()).then(|| files[random(files.len())].clone());
        match (random(5), some) {
            (0 | 1, _) | (_, None) => {
                self.count += 1;
                let (tmp, name) = (self.maildir.join("tmp/x"), format!("{}.stranger", self.count));
                fs::write(&tmp, format!("Subject: delivered {}\n\nbody\n", self.count)).unwrap();
                fs::rename(tmp, self.maildir.join("new").join(name)).unwrap();
            }
            (2 | 3, Some((part, name))) => {
                let (base, letters) = name.split_once(":2,").unwrap_or((&name, ""));
                let mut letters: BTreeSet<char> = letters.chars().collect();
                let letter = ['D', 'F', 'R', 'S'][random(4)];
                if !letters.remove(&letter) {
                    letters.insert(letter);
                }
                let letters: String = letters.into_iter().collect();
                let to = self.maildir.join(format!("cur/{base}:2,{letters}"));
                // The server may have renamed it meanwhile.
                let _ = fs::rename(self.maildir.join(part).join(&name), to);
            }
            (_, Some((part, name))) => {
                let _ = fs::remove_file(self.maildir.join(part).join(name));
            }
        }
    }

    /// How many files there are.
    fn files(&self) -> usize {
        ["new", "cur"].iter().map(|part| fs::read_dir(self.maildir.join(part)).unwrap().count()).sum()
    }
}

/// A POP3 session from login to QUIT: its numbers are its own, whatever others do meanwhile.
struct Pop3 {
    lines: Lines,
    uids: Vec<u32>,
}

impl Pop3 {
    fn begin(daemon: &Daemon) -> Pop3 {
        let mut lines = Lines::connect(daemon.tcp("pop3"));
        lines.hear().unwrap();
        lines.say("USER alice\r\nPASS wonderland\r\nUIDL");
        for _ in 0..3 {
            assert!(lines.hear().unwrap().starts_with("+OK"));
        }
        let listed = lines.until(".");
        let uids = listed.iter().take(listed.len() - 1).zip(1..).map(|(line, number)| {
            let name = line.strip_prefix(&format!("{number} ")).expect("numbers in order");
            u32::from_str_radix(&name[..8], 16).unwrap()
        });
        let uids = uids.collect();
        Pop3 { lines, uids }
    }

    /// Reads a message, and removes it perhaps; then QUIT.
    fn end(mut self, random: &mut impl FnMut(usize) -> usize, names: &mut Names) {
        if !self.uids.is_empty() {
            let number = random(self.uids.len());
            self.lines.say(&format!("RETR {}", number + 1));
            // Somebody else may have removed it.
            if self.lines.hear().unwrap().starts_with("+OK") {
                let text = self.lines.until(".");
                let subject = text.iter().find_map(|line| line.strip_prefix("Subject: ")).unwrap().to_owned();
                let before = names.insert(self.uids[number], subject.clone());
                assert!(before.is_none_or(|before| before == subject), "{}: {subject}", self.uids[number]);
                if random(2) == 0 {
                    self.lines.say(&format!("DELE {}", number + 1));
                    assert!(self.lines.hear().unwrap().starts_with("+OK"));
                }
            }
        }
        self.lines.say("QUIT");
        assert!(self.lines.hear().unwrap().starts_with("+OK"));
    }
}

/// What is there, as somebody sees it who comes now.
fn folder(daemon: &Daemon, names: &mut Names) -> Folder {
    let mut session = Session::begin(daemon, "who comes last".into(), false, names);
    session.say("UID FETCH 1:* (FLAGS ENVELOPE)", names);
    session.view.into_iter().map(|known| (known.uid.unwrap(), known.flags.unwrap())).collect()
}

fn run(seed: u64, steps: usize) {
    let mut house = House::new();
    house.set("serve.allow_plaintext", r#"["127.0.0.0/8"]"#);
    let daemon = Daemon::start(&house, "mail-serve");
    let mut state = seed;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut names = Names::new();
    let mut sessions: Vec<Session> = (0..6)
        .map(|number| Session::begin(&daemon, format!("session {number}"), number % 3 == 0, &mut names))
        .collect();
    sessions[1].say("CREATE Other", &mut names);
    let mut stranger = Stranger { maildir: house.maildir("alice"), count: 0 };
    let mut pop3 = None;
    for _ in 0..steps {
        match random(10) {
            0..=3 => stranger.work(&mut random),
            4 => match pop3.take() {
                None => pop3 = Some(Pop3::begin(&daemon)),
                Some(session) => Pop3::end(session, &mut random, &mut names),
            },
            _ => {
                let number = random(sessions.len());
                let session = &mut sessions[number];
                if session.idles {
                    session.done(&mut names);
                    session.work(&mut random, &mut names);
                    session.idle();
                } else {
                    session.work(&mut random, &mut names);
                }
            }
        }
    }
    if let Some(session) = pop3.take() {
        session.end(&mut random, &mut names);
    }
    let there = folder(&daemon, &mut names);
    assert_eq!(there.len(), stranger.files());
    for session in &mut sessions {
        let begun = Instant::now();
        while !session.agrees(&there) {
            assert!(begun.elapsed() < PATIENCE, "{}: {:?}\nis not {there:?}", session.name, session.view);
            if session.idles {
                // Who idles is told without asking.
                let line = session.lines.hear().unwrap_or_else(|| {
                    panic!("{} is told no more: {:?}\nis not {there:?}", session.name, session.view)
                });
                session.told(&line, &mut names);
            } else {
                session.say("NOOP", &mut names);
            }
        }
        if session.idles {
            session.done(&mut names);
        }
        // And so is all that it was not told but may ask for.
        session.say("FETCH 1:* (UID FLAGS)", &mut names);
        assert!(session.agrees(&there), "{}: {:?}\nis not {there:?}", session.name, session.view);
        assert!(session.view.iter().all(|known| known.uid.is_some() && known.flags.is_some()));
    }
    println!("seed {seed}: {} messages of {} at the end", there.len(), names.len());
}

#[test]
fn every_session_sees_every_change_by_numbers_that_fit_its_view() {
    let (seeds, steps) = if soak() { (12, 2000) } else { (3, 400) };
    for seed in 0..seeds {
        run(seed, steps);
    }
}
