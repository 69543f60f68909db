//! What the child said, held against what its spool has when it is opened again.

use posthaste::{
    mail::{
        address::Mailbox,
        envelope::{Envelope, Recipient},
        id::QueueId,
    },
    spool::{Entry, Look, Standing, disk::DiskSpool},
    sys::disk::Disk,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Read},
    path::Path,
    time::Duration,
};

/// The message with this id, which is all that one must know of it: its length and its octets follow.
pub fn body(id: &QueueId) -> Vec<u8> {
    let seed =
        id.as_str().bytes().fold(7u64, |seed, octet| seed.wrapping_mul(131).wrapping_add(octet.into()));
    let length = if seed % 10 == 0 { 40_000 + seed % 60_000 } else { 100 + seed % 8_000 };
    let mut text = format!("Subject: {id}\r\n\r\n").into_bytes();
    let mut state = seed;
    while (text.len() as u64) < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.extend_from_slice(format!("{state:016x}\r\n").as_bytes());
    }
    text
}

/// Its envelope: three recipients.
pub fn envelope(id: &QueueId) -> Envelope {
    let to = |n| Recipient::to(Mailbox::parse(format!("{id}-{n}@example.net").as_bytes()).unwrap());
    Envelope { recipients: (0..3).map(to).collect(), ..Envelope::default() }
}

/// How the child ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// What its system calls did is there.
    Kill,
    /// What was not synced may be gone.
    PowerCut,
}

/// What is known of one message.
#[derive(Default)]
struct Story {
    kept: bool,
    going: bool,
    gone: bool,
    held: Option<bool>,
    outcomes: BTreeMap<usize, bool>,
}

/// What a child said: before its end began, and while it died. A cut of a loop device is no instant: a sync that
/// runs meanwhile may answer that all is well (jbd2_complete_transaction in Linux does, for a transaction that was
/// dropped). What is said in that moment is no promise, but still tells what was begun.
#[derive(Default)]
pub struct Said {
    pub before: String,
    pub dying: String,
}

impl From<&str> for Said {
    fn from(text: &str) -> Said {
        Said { before: text.to_owned(), dying: String::new() }
    }
}

/// How many messages were acknowledged, or what is wrong with the spool in `dir` after the child said this.
pub fn judge(said: &Said, dir: &Path, death: Death) -> Result<usize, String> {
    let mut stories: BTreeMap<String, Story> = BTreeMap::new();
    let promises = said.before.lines().map(|line| (line, true));
    let last_words = said.dying.lines().map(|line| (line, death == Death::Kill));
    for (line, promise) in promises.chain(last_words) {
        let words: Vec<&str> = line.split(' ').collect();
        let [word, id, rest @ ..] = &words[..] else { continue };
        if QueueId::parse(id).is_none() {
            continue;
        }
        let story = stories.entry((*id).to_owned()).or_default();
        match (*word, rest) {
            ("going", _) => story.going = true,
            ("holding" | "freeing", _) => story.held = None,
            ("kept" | "gone" | "held" | "free" | "out", _) if !promise => {}
            ("kept", _) => story.kept = true,
            ("gone", _) => story.gone = true,
            ("held", _) => story.held = Some(true),
            ("free", _) => story.held = Some(false),
            ("out", [to, how]) => drop(story.outcomes.insert(to.parse().unwrap(), *how == "done")),
            _ => return Err(format!("the child said {line:?}")),
        }
    }
    // Somebody else's start, as a daemon's: it must find all in order.
    let spool = start(dir).map_err(|fault| format!("it does not start: {fault}"))?;
    let aside: Vec<_> =
        fs::read_dir(dir.join("corrupt")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    if !aside.is_empty() {
        return Err(format!("set aside: {aside:?}"));
    }
    let entries = spool.list(None, usize::MAX).unwrap();
    if entries.len() != spool.len() {
        return Err(format!("{} of {} entries can be read", entries.len(), spool.len()));
    }
    let found: BTreeSet<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
    for (id, story) in &stories {
        let there = found.contains(id.as_str());
        if story.kept && !story.going && !there {
            return Err(format!("{id} was acknowledged and is lost"));
        }
        if story.gone && there && death == Death::Kill {
            return Err(format!("{id} went and is back"));
        }
    }
    for entry in &entries {
        whole(&spool, entry)?;
        if let Some(story) = stories.get(entry.id.as_str()) {
            told(entry, story)?;
        }
    }
    Ok(stories.values().filter(|story| story.kept).count())
}

fn whole(spool: &DiskSpool, entry: &Entry) -> Result<(), String> {
    let mut octets = Vec::new();
    spool.read(&entry.id, 0..u64::MAX).unwrap().read_to_end(&mut octets).unwrap();
    if octets != body(&entry.id) || entry.envelope != envelope(&entry.id) {
        return Err(format!("{} is not whole: {} octets", entry.id, octets.len()));
    }
    Ok(())
}

fn told(entry: &Entry, story: &Story) -> Result<(), String> {
    for (&to, &done) in &story.outcomes {
        let right = match &entry.standing[to] {
            Standing::Done => done,
            Standing::Failed(_) => !done,
            Standing::Waiting { .. } => false,
        };
        if !right {
            return Err(format!("{}: the outcome for {to} is lost: {:?}", entry.id, entry.standing[to]));
        }
    }
    match story.held {
        Some(held) if held != entry.due.is_none() => Err(format!("{}: held is not {held}", entry.id)),
        _ => Ok(()),
    }
}

/// Opens the spool. Other tests of this process start programs: between fork and exec such a child still has the lock of a
/// spool that was closed here.
fn start(dir: &Path) -> io::Result<DiskSpool> {
    let ours = format!("in use by process {};", std::process::id());
    let mut tries = 0;
    loop {
        match DiskSpool::open(&Disk::inline(), dir) {
            Err(fault) if tries < 100 && fault.to_string().contains(&ours) => {
                tries += 1;
                std::thread::sleep(Duration::from_millis(20));
            }
            done => return done,
        }
    }
}
