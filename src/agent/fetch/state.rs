//! What was fetched before: one text file a source, a journal (ARCHITECTURE.md, section 10).
//!
//! A message is noted as begun, with the moment that its name in the Maildir is made of, before its copy can be seen there,
//! and as taken once the copy is durable. So a run that was killed leaves behind exactly which copies may be there already.

use super::{letter::Letter, name::Name};
use crate::{
    mail::{
        query::{Uid, UidSet},
        verdict::{Verdict, Why},
    },
    sys::{
        disk::{Dir, Disk, Growing},
        lock::FileLock,
    },
};
use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write as _,
    io,
    path::{Path, PathBuf},
};

/// The first line of a file.
const HEAD: &str = "posthaste-fetch 1";
/// The largest file that is read.
const LARGEST: u64 = 256 << 20;
/// A journal of fewer octets is not worth rewriting.
const WORTH_TIDYING: u64 = 64 * 1024;

/// What is known of a folder of the source.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Known {
    /// Its UIDVALIDITY; 0 where there is none (POP3).
    pub validity: u32,
    taken: UidSet,
    /// No message had these when the folder was listed. They are not looked for, but one that is listed all the same is
    /// new.
    passed: UidSet,
    named: HashSet<String>,
    begun: BTreeMap<Name, u64>,
}

impl Known {
    /// True for what needs not be fetched again.
    pub fn is_taken(&self, name: &Name) -> bool {
        match name {
            Name::Uid(uid) => self.taken.contains(*uid),
            Name::Uidl(name) => self.named.contains(&**name),
        }
    }

    /// When an earlier run began it, in microseconds since 1970: its copy may be there.
    pub fn begun(&self, name: &Name) -> Option<u64> {
        self.begun.get(name).copied()
    }

    /// The lowest UID that may have to be fetched; `None` when there is none left.
    pub fn first_left(&self) -> Option<Uid> {
        match self.looked_through().ranges().next() {
            Some(range) if *range.start() == 1 => range.end().checked_add(1),
            _ => Some(1),
        }
    }

    /// The UIDs that were taken, and those that no message had.
    pub fn looked_through(&self) -> UidSet {
        UidSet::new(self.taken.ranges().chain(self.passed.ranges()))
    }

    fn take(&mut self, uids: &UidSet) {
        self.forget_begun(uids);
        self.taken = UidSet::new(self.taken.ranges().chain(uids.ranges()));
    }

    fn pass(&mut self, uids: &UidSet) {
        self.forget_begun(uids);
        self.passed = UidSet::new(self.passed.ranges().chain(uids.ranges()));
    }

    fn forget_begun(&mut self, uids: &UidSet) {
        self.begun.retain(|name, _| !matches!(name, Name::Uid(uid) if uids.contains(*uid)));
    }

    fn take_named(&mut self, name: &str) {
        self.begun.remove(&Name::Uidl(name.into()));
        self.named.insert(name.to_owned());
    }
}

/// What happened to messages of one folder.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Their copies are durable.
    pub taken: Vec<Name>,
    /// No message has these UIDs: they were not listed.
    pub passed: UidSet,
    /// It is certain that they have no copy, though they were begun.
    pub back: Vec<Name>,
    /// They begin, at this moment.
    pub begun: Vec<(Name, u64)>,
}

impl Change {
    fn is_empty(&self) -> bool {
        self.taken.is_empty() && self.passed.is_empty() && self.back.is_empty() && self.begun.is_empty()
    }
}

/// Why a state can't be used.
#[derive(Debug)]
pub enum Fault {
    /// Another process has it.
    Busy,
    /// The file is damaged or somebody else's: its path, and what is wrong where.
    Damaged(PathBuf, String),
    /// The machine failed.
    Local(io::Error),
}

impl Fault {
    /// What it means for a fetch from `source`.
    pub(super) fn verdict(&self, source: &str) -> Verdict {
        match self {
            Fault::Busy => {
                Verdict::Later(Why::new(3, 0, format!("{source}: another mail-fetch is at work on it")))
            }
            Fault::Damaged(path, text) => {
                let text = format!("{}: {text}; without that file all is fetched anew", path.display());
                Verdict::Never(Why::new(6, 0, text))
            }
            Fault::Local(fault) => Verdict::Later(Why::local("the state", fault)),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(fault: io::Error) -> Fault {
        Fault::Local(fault)
    }
}

/// The state of one source, locked for as long as it lives.
#[derive(Debug)]
pub struct State {
    /// `None` where it is missing and only looked at.
    dir: Option<Dir>,
    file: String,
    source: String,
    folders: BTreeMap<String, Known>,
    /// `None` until the first note.
    journal: Option<Growing>,
    /// The folder that the next lines are of.
    current: String,
    _lock: Option<FileLock>,
}

impl State {
    /// Opens the state of `source` (a URL without a password) in a directory, which is made when it is missing.
    pub fn open(disk: &Disk, dir: &Path, source: &str) -> Result<State, Fault> {
        let dir = disk.make_all(dir, 0o700)?;
        let file = file_name(source);
        let lock = FileLock::take(&dir, &format!("{file}.lock"))?.ok_or(Fault::Busy)?;
        let mut state = State::empty(Some(dir), file, source, Some(lock));
        let (whole, length) = state.load()?;
        if length > 0 {
            let journal = state.dir()?.grow_on(&state.file)?;
            if whole < length {
                // A line that was being written when its writer was killed.
                journal.cut(whole)?;
                journal.sync()?;
            }
            state.journal = Some(journal);
        }
        Ok(state)
    }

    /// The same to look at only: nothing is made or locked, and nothing must be noted.
    pub fn look(disk: &Disk, dir: &Path, source: &str) -> Result<State, Fault> {
        let dir = match disk.open(dir) {
            Ok(dir) => Some(dir),
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => None,
            Err(fault) => return Err(fault.into()),
        };
        let mut state = State::empty(dir, file_name(source), source, None);
        if state.dir.is_some() {
            state.load()?;
        }
        Ok(state)
    }

    fn empty(dir: Option<Dir>, file: String, source: &str, lock: Option<FileLock>) -> State {
        State {
            dir,
            file,
            source: source.to_owned(),
            folders: BTreeMap::new(),
            journal: None,
            current: String::new(),
            _lock: lock,
        }
    }

    fn dir(&self) -> io::Result<&Dir> {
        self.dir.as_ref().ok_or_else(|| io::Error::other("the state is only looked at"))
    }

    /// Reads the file: how many octets of it are whole lines, and how many there are.
    fn load(&mut self) -> Result<(u64, u64), Fault> {
        let dir = self.dir()?;
        let Some(octets) = dir.read(&self.file, LARGEST)? else { return Ok((0, 0)) };
        let whole = memchr::memrchr(b'\n', &octets).map_or(0, |at| at.saturating_add(1));
        let damaged = |text| Fault::Damaged(dir.path().join(&self.file), text);
        let text = std::str::from_utf8(octets.get(..whole).unwrap_or_default())
            .map_err(|_| damaged("not text".to_owned()))?;
        let (folders, current) = read(text, &self.source).map_err(damaged)?;
        (self.folders, self.current) = (folders, current);
        Ok((whole as u64, octets.len() as u64))
    }

    /// A message that is to be whole before it goes on. There is one at a time.
    pub(super) fn letter(&self) -> io::Result<Letter> {
        Letter::new(self.dir()?, &format!("{}.letter", self.file))
    }

    /// As if nothing were known of a folder (to look at only).
    pub(super) fn suppose_new(&mut self, folder: &str) {
        self.folders.remove(folder);
    }

    /// What is known of a folder.
    pub fn known(&self, folder: &str) -> Option<&Known> {
        self.folders.get(folder)
    }

    /// The folder has this UIDVALIDITY now. True when it had another: then nothing known of it is good any more.
    pub fn validate(&mut self, folder: &str, validity: u32) -> io::Result<bool> {
        let before = self.folders.get(folder).map(|known| known.validity);
        if before == Some(validity) {
            return Ok(false);
        }
        let lines = self.heading(folder) + &format!("validity {validity}\n");
        self.append(folder, &lines)?;
        self.folders.insert(folder.to_owned(), Known { validity, ..Known::default() });
        Ok(before.is_some())
    }

    /// Notes, durably.
    pub fn note(&mut self, folder: &str, change: &Change) -> io::Result<()> {
        if change.is_empty() {
            return Ok(());
        }
        let mut lines = self.heading(folder);
        let taken = change.taken.iter().filter_map(Name::uid).collect::<UidSet>();
        if !taken.is_empty() {
            lines += &format!("taken {taken}\n");
        }
        if !change.passed.is_empty() {
            lines += &format!("passed {}\n", change.passed);
        }
        for name in change.taken.iter().filter(|name| name.uid().is_none()) {
            lines += &format!("taken {name}\n");
        }
        for name in &change.back {
            lines += &format!("back {name}\n");
        }
        for (name, micros) in &change.begun {
            lines += &format!("begin {micros} {name}\n");
        }
        self.append(folder, &lines)?;
        let known = self.folders.entry(folder.to_owned()).or_default();
        known.take(&taken);
        known.pass(&change.passed);
        for name in change.taken.iter() {
            if let Name::Uidl(name) = name {
                known.take_named(name);
            }
        }
        for name in &change.back {
            known.begun.remove(name);
        }
        known.begun.extend(change.begun.iter().cloned());
        Ok(())
    }

    /// Forgets names that the server has no more: it may give them to other messages (RFC 1939 section 7).
    pub fn forget(&mut self, present: &HashSet<&str>) -> io::Result<()> {
        let Some(known) = self.folders.get_mut("") else { return Ok(()) };
        let before = (known.named.len(), known.begun.len());
        known.named.retain(|name| present.contains(name.as_str()));
        known.begun.retain(|name, _| matches!(name, Name::Uidl(name) if present.contains(&**name)));
        match before == (known.named.len(), known.begun.len()) {
            true => Ok(()),
            false => self.rewrite(),
        }
    }

    /// Rewrites the journal without what is no longer true, where that is worth it.
    pub fn tidy(&mut self) -> io::Result<()> {
        let Some(journal) = &self.journal else { return Ok(()) };
        let length = journal.len()?;
        if length < WORTH_TIDYING || (self.text().len() as u64).saturating_mul(2) > length {
            return Ok(());
        }
        self.rewrite()
    }

    fn rewrite(&mut self) -> io::Result<()> {
        self.dir()?.replace(&self.file, self.text().as_bytes())?;
        self.journal = Some(self.dir()?.grow_on(&self.file)?);
        self.current = self.folders.keys().next_back().cloned().unwrap_or_default();
        Ok(())
    }

    /// The line that must stand before those of `folder`, where it is not the folder of the last ones.
    fn heading(&self, folder: &str) -> String {
        if self.current == folder { String::new() } else { format!("folder {folder}\n") }
    }

    fn append(&mut self, folder: &str, lines: &str) -> io::Result<()> {
        let journal = match self.journal.take() {
            Some(journal) => journal,
            None => {
                let dir = self.dir()?;
                dir.replace(&self.file, format!("{HEAD}\nsource {}\n", self.source).as_bytes())?;
                dir.grow_on(&self.file)?
            }
        };
        let journal = self.journal.insert(journal);
        journal.append(lines.as_bytes())?;
        self.current = folder.to_owned();
        journal.sync()
    }

    fn text(&self) -> String {
        let mut text = format!("{HEAD}\nsource {}\n", self.source);
        for (folder, known) in &self.folders {
            // Writing to a String can't fail.
            if !folder.is_empty() {
                let _ = writeln!(text, "folder {folder}");
            }
            if known.validity != 0 {
                let _ = writeln!(text, "validity {}", known.validity);
            }
            if !known.taken.is_empty() {
                let _ = writeln!(text, "taken {}", known.taken);
            }
            if !known.passed.is_empty() {
                let _ = writeln!(text, "passed {}", known.passed);
            }
            for name in &known.named {
                let _ = writeln!(text, "taken {name}");
            }
            for (name, micros) in &known.begun {
                let _ = writeln!(text, "begin {micros} {name}");
            }
        }
        text
    }
}

/// The file of a source: its URL, with all but letters, digits and `-_.@:` as `%XX`, `//` left out.
pub fn file_name(source: &str) -> String {
    let mut name = String::new();
    for octet in source.replacen("://", ":", 1).bytes() {
        match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'@' | b':' => {
                name.push(char::from(octet))
            }
            octet => {
                let _ = write!(name, "%{octet:02X}");
            }
        }
    }
    name
}

/// Reads a journal: what is known, and the folder of its last lines.
fn read(text: &str, source: &str) -> Result<(BTreeMap<String, Known>, String), String> {
    let mut folders: BTreeMap<String, Known> = BTreeMap::new();
    let mut current = String::new();
    let pop3 = source.starts_with("pop3");
    for (number, line) in text.lines().enumerate() {
        let at = |what: &str| format!("line {}: {what}", number.saturating_add(1));
        let (word, rest) =
            line.split_once(' ').ok_or_else(|| at("not a line of a state file of mail-fetch"))?;
        match (number, word) {
            (0, _) if line == HEAD => {}
            (0, _) => return Err(at("not a state file of mail-fetch")),
            (1, "source") if rest == source => {}
            (1, _) => return Err(at(&format!("it is the state of another source than {source}"))),
            (_, "folder") if !pop3 => current = rest.to_owned(),
            (_, "validity") => {
                let validity = rest.parse().map_err(|_| at("not a UIDVALIDITY"))?;
                folders.insert(current.clone(), Known { validity, ..Known::default() });
            }
            (_, "taken") if pop3 => folders.entry(current.clone()).or_default().take_named(rest),
            (_, "taken" | "passed") => {
                let uids = uid_set(rest).ok_or_else(|| at("not a set of UIDs"))?;
                let known = folders.entry(current.clone()).or_default();
                if word == "taken" { known.take(&uids) } else { known.pass(&uids) }
            }
            (_, "back" | "begin") => {
                let (micros, name) = match (word, rest.split_once(' ')) {
                    ("begin", Some((micros, name))) => (micros.parse().ok(), name),
                    ("begin", None) => (None, rest),
                    _ => (Some(0), rest),
                };
                let name =
                    if pop3 { Some(Name::Uidl(name.into())) } else { name.parse().ok().map(Name::Uid) };
                let (Some(micros), Some(name)) = (micros, name) else {
                    return Err(at("not a moment and a name"));
                };
                let begun = &mut folders.entry(current.clone()).or_default().begun;
                match word {
                    "back" => begun.remove(&name),
                    _ => begun.insert(name, micros),
                };
            }
            _ => return Err(at(&format!("unknown word `{word}`"))),
        }
    }
    match text.lines().count() {
        0 | 1 => Err("it is empty".to_owned()),
        _ => Ok((folders, current)),
    }
}

/// `1:3,7`.
fn uid_set(text: &str) -> Option<UidSet> {
    let range = |part: &str| {
        let (low, high) = part.split_once(':').unwrap_or((part, part));
        Some(low.parse().ok()?..=high.parse().ok()?)
    };
    text.split(',').map(range).collect::<Option<Vec<_>>>().map(UidSet::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::disk::tests::Scratch;

    const IMAP: &str = "imaps://me@imap.example.org:993";
    const POP3: &str = "pop3s://me@pop.example.org:995";

    fn open(scratch: &Scratch, source: &str) -> State {
        State::open(&Disk::inline(), &scratch.path().join("state"), source).unwrap()
    }

    fn text(scratch: &Scratch, source: &str) -> String {
        std::fs::read_to_string(scratch.path().join("state").join(file_name(source))).unwrap()
    }

    fn uid(uid: Uid) -> Name {
        Name::Uid(uid)
    }

    #[test]
    fn what_was_noted_is_known_to_the_next_run_and_reads_as_text() {
        let scratch = Scratch::new("fetch-state");
        let mut state = open(&scratch, IMAP);
        assert!(!state.validate("INBOX", 17).unwrap());
        let begun = vec![(uid(1), 1000), (uid(2), 1001), (uid(3), 1002)];
        state.note("INBOX", &Change { begun, ..Change::default() }).unwrap();
        let change = Change { taken: vec![uid(1), uid(2)], back: vec![uid(3)], ..Change::default() };
        state.note("INBOX", &change).unwrap();
        assert!(!state.validate("a b", 5).unwrap());
        state.note("a b", &Change { begun: vec![(uid(9), 7)], ..Change::default() }).unwrap();
        drop(state);
        assert_eq!(
            text(&scratch, IMAP),
            "posthaste-fetch 1\nsource imaps://me@imap.example.org:993\nfolder INBOX\nvalidity 17\nbegin 1000 1\nbegin 1001 2\nbegin 1002 3\ntaken 1:2\nback 3\nfolder a b\nvalidity 5\nbegin 7 9\n"
        );
        let mut state = open(&scratch, IMAP);
        let known = state.known("INBOX").unwrap();
        assert!(known.is_taken(&uid(2)) && !known.is_taken(&uid(3)) && known.begun(&uid(3)).is_none());
        assert_eq!((known.validity, known.first_left()), (17, Some(3)));
        assert_eq!(state.known("a b").unwrap().begun(&uid(9)), Some(7));
        let before = state.folders.clone();
        state.rewrite().unwrap();
        assert!(state.validate("a b", 6).unwrap(), "another UIDVALIDITY");
        drop(state);
        let state = open(&scratch, IMAP);
        assert_eq!(state.folders.get("INBOX"), before.get("INBOX"));
        assert_eq!(state.known("a b"), Some(&Known { validity: 6, ..Known::default() }));
    }

    #[test]
    fn what_no_message_had_is_passed_over_and_is_not_taken() {
        let scratch = Scratch::new("fetch-passed");
        let mut state = open(&scratch, IMAP);
        state.validate("INBOX", 17).unwrap();
        let passed = UidSet::new([1..=2, 4..=4]);
        state.note("INBOX", &Change { taken: vec![uid(3), uid(5)], passed, ..Change::default() }).unwrap();
        state.note("INBOX", &Change { taken: vec![uid(4)], ..Change::default() }).unwrap();
        let before = state.folders.clone();
        assert!(text(&scratch, IMAP).ends_with("validity 17\ntaken 3,5\npassed 1:2,4\ntaken 4\n"));
        state.rewrite().unwrap();
        drop(state);
        let state = open(&scratch, IMAP);
        assert_eq!(state.folders, before);
        let known = state.known("INBOX").unwrap();
        assert!(known.is_taken(&uid(4)) && !known.is_taken(&uid(2)));
        assert_eq!(known.first_left(), Some(6));
    }

    #[test]
    fn names_of_pop3_are_kept_one_a_line_and_forgotten_when_they_are_gone() {
        let scratch = Scratch::new("fetch-uidl");
        let mut state = open(&scratch, POP3);
        let name = |number: u32| Name::Uidl(format!("u{number}").into());
        let change = Change { taken: (0..1500).map(name).collect(), ..Change::default() };
        state.note("", &change).unwrap();
        state.note("", &Change { begun: vec![(name(1500), 5)], ..Change::default() }).unwrap();
        drop(state);
        assert!(text(&scratch, POP3).contains("\ntaken u7\n"));
        let mut state = open(&scratch, POP3);
        let known = state.known("").unwrap();
        assert!(known.is_taken(&name(1499)) && known.begun(&name(1500)) == Some(5));
        let text_before = text(&scratch, POP3);
        let all: Vec<String> = (0..=1500).map(|number| format!("u{number}")).collect();
        state.forget(&all.iter().map(String::as_str).collect()).unwrap();
        assert_eq!(text(&scratch, POP3), text_before, "nothing is gone, and nothing is written");
        state.forget(&HashSet::from(["u3"])).unwrap();
        drop(state);
        let mut state = open(&scratch, POP3);
        let known = state.known("").unwrap();
        assert!(known.is_taken(&name(3)) && !known.is_taken(&name(4)) && known.begun(&name(1500)).is_none());
        // A maildrop that is empty now may use all names again.
        state.forget(&HashSet::new()).unwrap();
        drop(state);
        assert!(open(&scratch, POP3).known("").is_none_or(|known| !known.is_taken(&name(3))));
    }

    #[test]
    fn a_torn_line_is_cut_and_a_damaged_file_is_said_with_its_line() {
        let scratch = Scratch::new("fetch-torn");
        let mut state = open(&scratch, IMAP);
        state.validate("INBOX", 17).unwrap();
        drop(state);
        let path = scratch.path().join("state").join(file_name(IMAP));
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{whole}taken 1:5")).unwrap();
        let mut state = open(&scratch, IMAP);
        state.note("INBOX", &Change { taken: vec![uid(4)], ..Change::default() }).unwrap();
        drop(state);
        assert_eq!(text(&scratch, IMAP), format!("{whole}taken 4\n"));
        for (damaged, line) in [
            ("".to_owned(), "empty"),
            ("hello world\n".to_owned(), "line 1"),
            (whole.replace("imaps", "imap"), "line 2"),
            (format!("{whole}taken x\n"), "line 5"),
            (format!("{whole}passed 1:x\n"), "line 5"),
            (format!("{whole}begin 1\n"), "line 5"),
            (format!("{whole}\n"), "line 5"),
            (format!("{whole}eaten 1\n"), "line 5"),
        ] {
            std::fs::write(&path, &damaged).unwrap();
            match State::open(&Disk::inline(), &scratch.path().join("state"), IMAP) {
                Err(Fault::Damaged(_, text)) => assert!(text.contains(line), "{text} of {damaged}"),
                other => panic!("{other:?} of {damaged}"),
            }
        }
    }

    #[test]
    fn two_never_have_one_state() {
        let scratch = Scratch::new("fetch-lock");
        let state = open(&scratch, IMAP);
        let second = State::open(&Disk::inline(), &scratch.path().join("state"), IMAP);
        assert!(matches!(second, Err(Fault::Busy)));
        open(&scratch, POP3);
        drop(state);
        open(&scratch, IMAP);
    }

    #[test]
    fn a_source_is_one_file_name() {
        assert_eq!(file_name(IMAP), "imaps:me@imap.example.org:993");
        assert_eq!(file_name("pop3://a/../b@[::1]:110"), "pop3:a%2F..%2Fb@%5B::1%5D:110");
    }
}
