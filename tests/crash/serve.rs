//! mail-serve killed at random moments in the middle of its work, and its power cut, in the middle and between two commands: what
//! got its tagged OK is there, and no UID ever names two messages.

use super::daemon::move_onto;
use crate::kit::{self, daemon::Daemon, house::House, lines::Lines, power::Disk, soak};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

const FOLDERS: [&str; 2] = ["INBOX", "Other"];

/// A message: its folder and UID.
type At = (&'static str, u32);

/// What a client does, or another program beside it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Deed {
    Append,
    AppendFlagged,
    Store,
    Copy,
    Move,
    Expunge,
    /// Another program delivers; the server gives the UID.
    Name,
    /// POP3 deletes.
    Quit,
}

const DEEDS: [Deed; 8] = [
    Deed::Store,
    Deed::Expunge,
    Deed::Append,
    Deed::Move,
    Deed::Name,
    Deed::Copy,
    Deed::Quit,
    Deed::AppendFlagged,
];

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

/// The last number in the code of an answer, such as `[COPYUID validity old new]`.
fn coded(answer: &[String], code: &str) -> u32 {
    let found = answer.iter().find_map(|line| between(line, &format!("[{code} "), "]"));
    found.unwrap_or_else(|| panic!("no {code}: {answer:?}")).rsplit(' ').next().unwrap().parse().unwrap()
}

/// A daemon that is talked to. All that is said when `dying` stands is no promise; see `ledger::Said`.
struct Talk<'a> {
    daemon: &'a Daemon,
    inbox: PathBuf,
    dying: &'a AtomicBool,
    imap: Lines,
}

impl Talk<'_> {
    fn begin<'a>(house: &House, daemon: &'a Daemon, dying: &'a AtomicBool) -> Option<Talk<'a>> {
        let imap = Lines::try_connect(daemon.tcp("imap"))?;
        let mut talk = Talk { daemon, inbox: house.maildir("alice"), dying, imap };
        talk.imap.hear()?;
        talk.ask("LOGIN alice wonderland")?;
        talk.ask("SELECT INBOX")?;
        Some(talk)
    }

    /// The answer of IMAP; `None` when there is none, or it is no promise.
    fn ask(&mut self, command: &str) -> Option<Vec<String>> {
        let said = self.imap.ask(command).filter(|_| !self.dying.load(Ordering::SeqCst))?;
        assert!(said.last().is_some_and(|line| line.starts_with("t OK")), "{command}: {said:?}");
        Some(said)
    }

    /// The same of POP3.
    fn pop3(&self, pop3: &mut Lines, line: &str) -> Option<String> {
        pop3.say(line);
        let said = pop3.hear().filter(|_| !self.dying.load(Ordering::SeqCst))?;
        assert!(said.starts_with("+OK"), "{line}: {said}");
        Some(said)
    }

    /// Delivers as others do, durably.
    fn deliver(&self, number: u64, text: &str) -> std::io::Result<()> {
        let (name, text) = (format!("{number}.elsewhere"), text.replace("\r\n", "\n"));
        let tmp = self.inbox.join("tmp").join(&name);
        fs::write(&tmp, text)?;
        fs::File::open(&tmp)?.sync_all()?;
        fs::rename(&tmp, self.inbox.join("new").join(&name))?;
        fs::File::open(self.inbox.join("new"))?.sync_all()
    }
}

impl Ledger {
    /// A message that was answered for.
    fn put(&mut self, at: At, number: u64, flags: BTreeSet<&'static str>) {
        let before = self.seen.insert(at, number);
        assert!(before.is_none_or(|before| before == number), "{at:?} was {before:?}, is {number}");
        self.there.insert(at, (number, flags));
    }

    fn text(&mut self) -> String {
        self.count += 1;
        let number = self.count;
        format!("Subject: {number}\r\nMessage-ID: <{number}@example.org>\r\n\r\n{}\r\n", "text ".repeat(100))
    }

    /// One deed; `None` when what is answered is no promise any more.
    fn deed(&mut self, talk: &mut Talk<'_>, deed: Deed, mut random: impl FnMut(u64) -> u64) -> Option<()> {
        self.open.clear();
        let inbox: Vec<At> = self.there.keys().filter(|at| at.0 == "INBOX").copied().collect();
        let some = (!inbox.is_empty()).then(|| inbox[random(inbox.len() as u64) as usize]);
        match (deed, some) {
            (Deed::Name, _) => {
                let text = self.text();
                if let Err(fault) = talk.deliver(self.count, &text) {
                    assert!(talk.dying.load(Ordering::SeqCst), "{fault}");
                    return None;
                }
                talk.ask("SELECT INBOX")?;
                let said = talk.ask(&format!("UID SEARCH HEADER Message-ID <{}@example.org>", self.count))?;
                let uid = said.iter().find_map(|line| line.strip_prefix("* SEARCH ")).expect("its UID");
                self.put(("INBOX", uid.parse().unwrap()), self.count, BTreeSet::new());
            }
            (Deed::Append | Deed::AppendFlagged, _) | (_, None) => {
                let (flags, list) = match deed {
                    Deed::AppendFlagged => (BTreeSet::from(["\\Draft"]), "(\\Draft) "),
                    _ => (BTreeSet::new(), ""),
                };
                let text = self.text();
                let said = talk.ask(&format!("APPEND INBOX {list}{{{}+}}\r\n{text}", text.len()))?;
                self.put(("INBOX", coded(&said, "APPENDUID")), self.count, flags);
            }
            (Deed::Store, Some(at)) => {
                let flag = ["\\Flagged", "\\Answered", "kept"][random(3) as usize];
                talk.ask(&format!("UID STORE {} +FLAGS ({flag})", at.1))?;
                self.there.get_mut(&at).unwrap().1.insert(flag);
            }
            (Deed::Copy, Some(at)) => {
                let said = talk.ask(&format!("UID COPY {} Other", at.1))?;
                let (number, flags) = self.there[&at].clone();
                self.put(("Other", coded(&said, "COPYUID")), number, flags);
            }
            (Deed::Move, Some(at)) => {
                self.open.insert(at);
                let said = talk.ask(&format!("UID MOVE {} Other", at.1))?;
                let (number, flags) = self.there.remove(&at).unwrap();
                self.put(("Other", coded(&said, "COPYUID")), number, flags);
                self.gone.insert(at);
            }
            (Deed::Expunge, Some(at)) => {
                self.open.insert(at);
                talk.ask(&format!("UID STORE {} +FLAGS.SILENT (\\Deleted)", at.1))?;
                talk.ask("EXPUNGE")?;
                self.there.remove(&at);
                self.gone.insert(at);
            }
            (Deed::Quit, Some(_)) => {
                let mut pop3 = Lines::try_connect(talk.daemon.tcp("pop3"))?;
                pop3.hear()?;
                for line in ["USER alice", "PASS wonderland"] {
                    talk.pop3(&mut pop3, line)?;
                }
                // Dovecot's: eight digits of the UID, then of UIDVALIDITY.
                let said = talk.pop3(&mut pop3, "UIDL 1")?;
                let uid = said.strip_prefix("+OK 1 ").and_then(|name| name.get(..8)).expect("a UIDL");
                let at = ("INBOX", u32::from_str_radix(uid, 16).unwrap());
                self.open.insert(at);
                for line in ["DELE 1", "QUIT"] {
                    talk.pop3(&mut pop3, line)?;
                }
                // The maildrop is free when the connection is closed.
                assert_eq!(pop3.hear(), None);
                self.there.remove(&at);
                self.gone.insert(at);
            }
        }
        self.open.clear();
        Some(())
    }

    /// Looks at what is there after a new start.
    fn check(&mut self, daemon: &Daemon) -> Result<(), String> {
        let mut session = Lines::connect(daemon.tcp("imap"));
        session.hear().unwrap();
        session.imap("LOGIN alice wonderland");
        let mut found: BTreeMap<At, (u64, String)> = BTreeMap::new();
        for folder in FOLDERS {
            let said = session.ask(&format!("SELECT {folder}")).unwrap().join("\n");
            let validity = between(&said, "[UIDVALIDITY ", "]");
            let validity = validity.ok_or(format!("{folder} is lost: {said}"))?.to_owned();
            let before = self.validity.entry(folder).or_insert(validity.clone());
            if *before != validity {
                return Err(format!("{folder} had UIDVALIDITY {before}, has {validity}: every UID is lost"));
            }
            let said = session.imap("UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])");
            let mut last = None;
            for line in said {
                if let Some(uid) = between(&line, "UID ", " ").filter(|_| line.contains(" FETCH (")) {
                    let flags = between(&line, "FLAGS (", ")").unwrap().to_owned();
                    last = Some(((folder, uid.parse().unwrap()), flags));
                } else if let (Some(number), Some((at, flags))) =
                    (line.strip_prefix("Subject: "), last.take())
                {
                    found.insert(at, (number.parse().unwrap(), flags));
                }
            }
        }
        for (at, (number, flags)) in &found {
            match self.seen.insert(*at, *number) {
                Some(before) if before != *number => {
                    return Err(format!("{at:?} was message {before}, is {number}"));
                }
                _ if self.gone.contains(at) => return Err(format!("{at:?} came back, {flags}")),
                _ => {}
            }
        }
        for (at, (number, flags)) in self.there.clone() {
            match found.get(&at) {
                Some((_, has)) => {
                    if let Some(flag) = flags.iter().find(|flag| !has.contains(**flag)) {
                        return Err(format!("{at:?}, message {number}, lost {flag}, has {has}"));
                    }
                }
                None if self.open.contains(&at) => {
                    self.there.remove(&at);
                    self.gone.insert(at);
                }
                None => return Err(format!("{at:?}, message {number}, is lost")),
            }
        }
        session.imap("SELECT INBOX");
        // A command without an answer may have been half done: the flag is set, the message still there.
        for at in std::mem::take(&mut self.open) {
            if found.get(&at).is_some_and(|(_, flags)| flags.contains("\\Deleted")) {
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
        Ok(())
    }
}

fn house() -> House {
    let mut house = House::new();
    house.set("serve.allow_plaintext", r#"["127.0.0.0/8"]"#);
    house
}

/// Makes what must be there before anything is tested.
fn furnish(house: &House) {
    let daemon = Daemon::start(house, "mail-serve");
    let mut session = Lines::connect(daemon.tcp("imap"));
    session.hear().unwrap();
    session.imap("LOGIN alice wonderland");
    session.imap("CREATE Other");
}

/// Numbers that are the same in each run.
fn numbers() -> impl FnMut(u64) -> u64 + Copy {
    let mut seed = 20_261_124_u64;
    move |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    }
}

#[test]
fn what_was_acknowledged_is_there_after_any_kill() {
    let (house, mut ledger, mut random) = (house(), Ledger::default(), numbers());
    furnish(&house);
    let rounds = if soak() { 200 } else { 15 };
    for round in 0..=rounds {
        let daemon = Daemon::start(&house, "mail-serve");
        ledger.check(&daemon).unwrap_or_else(|fault| panic!("round {round}: {fault}"));
        if round == rounds {
            break;
        }
        let pid = Pid::from_raw(i32::try_from(daemon.pid()).unwrap()).unwrap();
        // The moment is what is tested: any will do.
        let wait = Duration::from_micros(2_000 + random(120_000));
        let killer = thread::spawn(move || {
            thread::sleep(wait);
            kill_process(pid, Signal::KILL).unwrap();
        });
        // What a process has answered before its end stands: it is no lie.
        let dying = AtomicBool::new(false);
        if let Some(mut talk) = Talk::begin(&house, &daemon, &dying) {
            while ledger.deed(&mut talk, DEEDS[random(8) as usize], &mut random).is_some() {}
        }
        killer.join().unwrap();
    }
    assert!(ledger.count > 15, "only {} messages were appended", ledger.count);
}

/// Works, then cuts the power: behind so many deeds in the middle of the next, or, when a last one is named, behind it.
fn cut(
    (house, disk, daemon): (&House, &Disk, Daemon),
    ledger: &mut Ledger,
    (count, last): (u64, Option<Deed>),
    mut random: impl FnMut(u64) -> u64,
) {
    let dying = AtomicBool::new(false);
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        let cutter = scope.spawn(|| {
            for () in told {}
            dying.store(true, Ordering::SeqCst);
            disk.cut();
        });
        let mut tell = Some(tell);
        let mut talk = Talk::begin(house, &daemon, &dying).unwrap();
        for done in 0.. {
            let deed = match (last, done >= count) {
                (Some(last), true) => last,
                (None, true) => {
                    tell = None;
                    DEEDS[random(8) as usize]
                }
                (_, false) => DEEDS[random(8) as usize],
            };
            if ledger.deed(&mut talk, deed, &mut random).is_none() || (last.is_some() && done >= count) {
                break;
            }
        }
        drop(tell);
        cutter.join().unwrap();
    });
    daemon.kill();
    disk.restore();
    // A cut may leave a lock that lost its text. A machine that starts anew knows it by its age; this one did not start anew.
    for folder in ["", ".Other"] {
        let lock = house.maildir("alice").join(folder).join("dovecot-uidlist.lock");
        if fs::read(&lock).is_ok_and(|text| text.is_empty()) {
            fs::remove_file(lock).unwrap();
        }
    }
}

#[test]
fn what_was_acknowledged_is_there_after_any_power_cut() {
    let Some(disk) = Disk::make("serve") else { return };
    let (house, mut ledger, mut random) = (house(), Ledger::default(), numbers());
    move_onto(&house, disk.path());
    furnish(&house);
    // Behind each deed, and in the middle of things.
    let (mut ends, midway): (Vec<_>, _) = (DEEDS.map(Some).to_vec(), if soak() { 12 } else { 2 });
    ends.extend(vec![None; midway]);
    for (round, last) in ends.into_iter().enumerate() {
        let daemon = Daemon::start(&house, "mail-serve");
        let count = 3 + random(40);
        cut((&house, &disk, daemon), &mut ledger, (count, last), &mut random);
        let daemon = Daemon::start(&house, "mail-serve");
        let fault = |fault| panic!("cut {round}, behind {count} deeds and {last:?}: {fault}");
        ledger.check(&daemon).unwrap_or_else(fault);
    }
    println!("{} messages", ledger.count);
}

/// The test itself, proved: without syncs the cut takes away what was answered for, and it is seen.
#[test]
fn a_server_without_syncs_is_caught_by_the_cut() {
    let Some(strace) = kit::peer("strace") else { return };
    for last in [Deed::Append, Deed::Store, Deed::Expunge] {
        let Some(disk) = Disk::make("serve-lie") else { return };
        let (house, mut ledger, mut random) = (house(), Ledger::default(), numbers());
        move_onto(&house, disk.path());
        furnish(&house);
        // What comes before the last deed is durable.
        let daemon = Daemon::start(&house, "mail-serve");
        let none = AtomicBool::new(false);
        let mut talk = Talk::begin(&house, &daemon, &none).unwrap();
        for _ in 0..3 {
            ledger.deed(&mut talk, Deed::Append, &mut random).unwrap();
        }
        drop(talk);
        ledger.check(&daemon).unwrap();
        drop(daemon);
        assert!(Command::new("sync").arg("-f").arg(disk.path()).status().unwrap().success());
        let lie = ["-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:retval=0"];
        let daemon = Daemon::spawn("mail-serve", traced(&house, &strace, &lie));
        cut((&house, &disk, daemon), &mut ledger, (0, Some(last)), &mut random);
        let fault = ledger.check(&Daemon::start(&house, "mail-serve")).unwrap_err();
        assert!(fault.contains("lost") || fault.contains("came back"), "{last:?}: {fault}");
    }
}

fn traced(house: &House, strace: &Path, options: &[&str]) -> Command {
    let (mut command, serve) = (Command::new(strace), house.command("mail-serve"));
    command.args(["-f", "-qq"]).args(options).arg(serve.get_program()).args(serve.get_args());
    command
}
