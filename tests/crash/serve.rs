//! mail-serve killed at random moments in the middle of its work: what got its tagged OK is there, and no UID ever names two
//! messages.

use crate::kit::{daemon::Daemon, house::House, lines::Lines, soak};
use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
    time::Duration,
};

const FOLDERS: [&str; 2] = ["INBOX", "Other"];

/// A message: its folder and UID.
type At = (&'static str, u32);

/// What was acknowledged, and what was ever seen.
#[derive(Default)]
struct Ledger {
    /// Where which message must be, by its number in the subject, and with which flags.
    there: BTreeMap<At, (u64, BTreeSet<&'static str>)>,
    /// What must not be any more.
    gone: BTreeSet<At>,
    /// What the command that had no answer spoke of: it happened or it did not.
    open: BTreeSet<At>,
    /// Which number was ever seen where.
    seen: BTreeMap<At, u64>,
    validity: BTreeMap<&'static str, String>,
    count: u64,
}

fn between<'a>(line: &'a str, start: &str, end: &str) -> Option<&'a str> {
    line.split_once(start)?.1.split_once(end).map(|(found, _)| found)
}

fn session(daemon: &Daemon) -> Option<Lines> {
    let mut lines = Lines::connect(daemon.tcp("imap"));
    lines.hear()?;
    lines.ask("LOGIN alice wonderland")?;
    Some(lines)
}

/// The UID that a copy got: `[COPYUID validity old new]`.
fn copied(answer: &[String]) -> u32 {
    let code = answer.iter().find_map(|line| between(line, "[COPYUID ", "]")).expect("COPYUID");
    code.rsplit(' ').next().unwrap().parse().unwrap()
}

impl Ledger {
    /// Works until the daemon is gone; `None` says that it is.
    fn work(&mut self, daemon: &Daemon, mut random: impl FnMut(u64) -> u64) -> Option<()> {
        let mut session = session(daemon)?;
        session.ask("SELECT INBOX")?;
        loop {
            self.open.clear();
            let inbox: Vec<At> = self.there.keys().filter(|at| at.0 == "INBOX").copied().collect();
            let some = (!inbox.is_empty()).then(|| inbox[random(inbox.len() as u64) as usize]);
            match (random(6), some) {
                (0 | 1, _) | (_, None) => {
                    self.count += 1;
                    let text = format!("Subject: {}\r\n\r\n{}\r\n", self.count, "text ".repeat(100));
                    let said = session.ask(&format!("APPEND INBOX {{{}+}}\r\n{text}", text.len()))?;
                    let code =
                        said.iter().find_map(|line| between(line, "[APPENDUID ", "]")).expect("APPENDUID");
                    let uid = code.rsplit(' ').next().unwrap().parse().unwrap();
                    self.there.insert(("INBOX", uid), (self.count, BTreeSet::new()));
                }
                (2, Some(at)) => {
                    let flag = ["\\Flagged", "\\Answered", "kept"][random(3) as usize];
                    session.ask(&format!("UID STORE {} +FLAGS ({flag})", at.1))?;
                    self.there.get_mut(&at).unwrap().1.insert(flag);
                }
                (3, Some(at)) => {
                    let said = session.ask(&format!("UID COPY {} Other", at.1))?;
                    let copy = self.there[&at].clone();
                    self.there.insert(("Other", copied(&said)), copy);
                }
                (4, Some(at)) => {
                    self.open.insert(at);
                    let said = session.ask(&format!("UID MOVE {} Other", at.1))?;
                    let moved = self.there.remove(&at).unwrap();
                    self.there.insert(("Other", copied(&said)), moved);
                    self.gone.insert(at);
                }
                (_, Some(at)) => {
                    self.open.insert(at);
                    session.ask(&format!("UID STORE {} +FLAGS.SILENT (\\Deleted)", at.1))?;
                    session.ask("EXPUNGE")?;
                    self.there.remove(&at);
                    self.gone.insert(at);
                }
            }
        }
    }

    /// Looks at what is there after a new start.
    fn check(&mut self, daemon: &Daemon, round: usize) {
        let mut session = session(daemon).unwrap();
        let mut found: BTreeMap<At, (u64, String)> = BTreeMap::new();
        for folder in FOLDERS {
            let said = session.imap(&format!("SELECT {folder}")).join("\n");
            let validity = between(&said, "[UIDVALIDITY ", "]").unwrap().to_owned();
            assert_eq!(*self.validity.entry(folder).or_insert(validity.clone()), validity, "round {round}");
            let said = session.imap("UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])");
            let mut last = None;
            for line in said {
                if let Some(uid) = between(&line, "UID ", " ").filter(|_| line.contains(" FETCH (")) {
                    last = Some((
                        (folder, uid.parse().unwrap()),
                        between(&line, "FLAGS (", ")").unwrap().to_owned(),
                    ));
                } else if let (Some(number), Some((at, flags))) =
                    (line.strip_prefix("Subject: "), last.take())
                {
                    found.insert(at, (number.parse().unwrap(), flags));
                }
            }
        }
        for (at, (number, flags)) in &found {
            let before = self.seen.insert(*at, *number);
            assert!(
                before.is_none_or(|before| before == *number),
                "round {round}: {at:?} was {before:?}, is {number}"
            );
            assert!(!self.gone.contains(at), "round {round}: {at:?} came back, {flags}");
        }
        for (at, (number, flags)) in self.there.clone() {
            match found.get(&at) {
                Some((is, has)) => {
                    assert_eq!(*is, number, "round {round}: {at:?}");
                    assert!(
                        flags.iter().all(|flag| has.contains(flag)),
                        "round {round}: {at:?} {flags:?}, has {has}"
                    );
                }
                None => {
                    assert!(self.open.contains(&at), "round {round}: {at:?}, message {number}, is lost");
                    self.there.remove(&at);
                    self.gone.insert(at);
                }
            }
        }
        // A command without an answer may have been half done: the flag is set, the message still there.
        for at in std::mem::take(&mut self.open) {
            if let Some((_, flags)) = found.get(&at)
                && flags.contains("\\Deleted")
            {
                session.imap("SELECT INBOX");
                session.imap(&format!("UID STORE {} -FLAGS (\\Deleted)", at.1));
            }
        }
        // Bounded, so that rounds stay short.
        if self.there.len() > 200 {
            for folder in FOLDERS {
                session.imap(&format!("SELECT {folder}"));
                session.imap("STORE 1:* +FLAGS.SILENT (\\Deleted)");
                session.imap("EXPUNGE");
            }
            self.gone.extend(std::mem::take(&mut self.there).into_keys());
        }
    }
}

#[test]
fn what_was_acknowledged_is_there_after_any_kill() {
    let mut house = House::new();
    house.set("serve.allow_plaintext", r#"["127.0.0.0/8"]"#);
    let mut ledger = Ledger::default();
    let mut seed = 20_261_124_u64;
    let mut random = move |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let daemon = Daemon::start(&house, "mail-serve");
    session(&daemon).unwrap().imap("CREATE Other");
    drop(daemon);
    for round in 0..if soak() { 200 } else { 15 } {
        let daemon = Daemon::start(&house, "mail-serve");
        ledger.check(&daemon, round);
        let pid = rustix::process::Pid::from_raw(i32::try_from(daemon.pid()).unwrap()).unwrap();
        // The moment is what is tested: any will do.
        let wait = Duration::from_micros(2_000 + random(120_000));
        let killer = thread::spawn(move || {
            thread::sleep(wait);
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        });
        assert!(ledger.work(&daemon, &mut random).is_none());
        killer.join().unwrap();
    }
    assert!(ledger.count > 15, "only {} messages were appended", ledger.count);
    ledger.check(&Daemon::start(&house, "mail-serve"), usize::MAX);
}
