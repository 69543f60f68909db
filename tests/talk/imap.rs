//! The IMAP server's dialogues, and the house that its scripted agent keeps: a store in memory.
//!
//! `@` lines of a dialogue: `tls none|offered|broken|standing`, `plaintext` (may log in without TLS), `preauth` (the listener
//! knows who it is), `separator X`, `size N`, `town` (what is said is the scripted agent's own; `imap_daemon.rs` plays the others
//! against `mail-serve`).
//!
//! alice's password is wonderland. INBOX holds four messages, of which the first is seen and the last two are recent;
//! there are Drafts, Lists/rust (subscribed), Archive and full. `! event arrive` brings another message into INBOX, `! event gone`
//! takes the second away, `! event flag` flags the third, all by somebody else; `full` is a folder that has no room. A search for
//! `slow` takes several turns.

use crate::kit::talk::{self, Scripted, Side, Talk};
use posthaste::{
    mail::{
        draft::{Draft, Receipt},
        flags::Flags,
        folder::FolderName,
        id::{DeliveryKey, QueueId},
        outline::Outline,
        query::UidSet,
    },
    store::{self, Act, Done, Fault, Home, LineEnds, Place, Store, memory::Memory},
    wire::imap::server::{
        Answer, Ask, Changes, Code, Event, HEAD, HEADS, Head, Known, Limits, Listed, Measure, Refusal, Row,
        Server, Settings, Snapshot, Status, Tls,
    },
};
use std::{
    cell::RefCell,
    io::{Read, Write},
    rc::Rc,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

#[test]
fn every_dialogue_is_kept_to() {
    for talk in talk::folder("imap", Side::Server) {
        talk.play_session(scripted);
    }
}

/// The server and the house that a dialogue orders.
pub fn scripted(talk: &Talk) -> Scripted<'static, Server> {
    let (settings, known) = order(talk);
    let keeper = Rc::new(RefCell::new(Keeper::new()));
    let other = Rc::clone(&keeper);
    let server = Server::new(Arc::new(settings), known);
    Scripted::new(server, move |ask| keeper.borrow_mut().answer(ask)).events(move |name| match name {
        "drain" => Event::Drain,
        "nothing" => Event::Changed,
        name => {
            other.borrow_mut().happens(name);
            Event::Changed
        }
    })
}

/// A server whose logins may be said in the clear.
pub fn settings() -> Settings {
    Settings {
        hostname: "mail.example.org".into(),
        tls: Tls::None,
        separator: '/',
        limits: Limits::of(1_000_000),
    }
}

fn order(talk: &Talk) -> (Settings, Known) {
    let mut settings = settings();
    let mut known = Known { plaintext_login: true, ..Known::default() };
    for (key, value) in talk.settings() {
        match (key, value) {
            ("tls", "none") => settings.tls = Tls::None,
            ("tls", state) => {
                known.plaintext_login = false;
                settings.tls = match state {
                    "offered" => Tls::Offered,
                    "broken" => Tls::Broken,
                    "standing" => Tls::Standing,
                    other => panic!("{}: no tls {other}", talk.name),
                };
            }
            ("plaintext", "") => known.plaintext_login = true,
            ("preauth", "") => known.login = true,
            ("town", "") => {}
            ("separator", text) => settings.separator = text.parse().unwrap(),
            ("size", octets) => settings.limits = Limits::of(octets.parse().unwrap()),
            other => panic!("{}: no setting {other:?}", talk.name),
        }
    }
    (settings, known)
}

/// 24 November 2026, 15:20:28 UTC.
pub const NOON: u64 = 1_795_533_628;

/// The messages of INBOX, as their files have them.
pub const MESSAGES: [&str; 4] = [
    "Date: Tue, 24 Nov 2026 10:00:00 +0000\nFrom: Bob <bob@example.org>\nTo: alice@example.org\nSubject: one\nMessage-ID: <1@example.org>\n\nFirst.\n",
    "From: carol@example.org\nSubject: two\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\nPart one\n--x\nContent-Type: text/html\nContent-Disposition: attachment; filename=a.html\n\n<p>\n--x--\n",
    "Subject: three\nX-Odd: 1\n\nA \0 in it\n",
    "\nNo header at all\n",
];

/// An agent over a store in memory. It watches that the session keeps to what [`Ask`] promises.
pub struct Keeper {
    store: Memory,
    home: Home,
    logged_in: bool,
    selected: Option<(FolderName, bool)>,
    open: Option<Coming>,
    /// A search that takes some more turns.
    slow: Option<(u32, posthaste::mail::query::Key)>,
    count: u64,
}

/// A message that is being appended: where to, with which flags and date, how many octets, and those that came.
type Coming = (FolderName, Flags, Option<SystemTime>, u64, Vec<u8>);

pub fn folder(name: &str) -> FolderName {
    FolderName::parse(name, '/').unwrap()
}

/// In the words of `mail-serve`, which keeps to the same dialogues.
fn refuse(fault: Fault) -> Answer {
    let (code, text) = match fault {
        Fault::NoFolder => (Code::NonExistent, "There is no such folder".to_owned()),
        Fault::Exists => (Code::AlreadyExists, "There is such a folder already".to_owned()),
        Fault::NoMessage => (Code::ExpungeIssued, "The message is gone".to_owned()),
        Fault::Cannot(why) => (Code::Cannot, why.to_owned()),
        Fault::Local(fault) => (Code::Unavailable, fault.to_string()),
    };
    Answer::No(Refusal::new(code, text))
}

impl Keeper {
    fn new() -> Keeper {
        let mut keeper = Keeper::empty();
        for (at, octets) in MESSAGES.iter().enumerate() {
            if at == 2 {
                // The first two were seen by somebody.
                keeper.store.open(&keeper.home, &FolderName::inbox(), true).unwrap();
            }
            let flags = Flags { seen: at == 0, ..Flags::default() };
            keeper.put("INBOX", octets.as_bytes(), flags);
        }
        for name in ["Drafts", "Lists/rust", "Archive", "full"] {
            keeper.store.create(&keeper.home, &folder(name)).unwrap();
        }
        keeper.store.subscribe(&keeper.home, &folder("Lists/rust"), true).unwrap();
        keeper
    }

    /// Without any message, and with INBOX alone.
    pub fn empty() -> Keeper {
        let home = Home { account: "alice@example.org".into(), location: "alice".into() };
        Keeper {
            store: Memory::default(),
            home,
            logged_in: false,
            selected: None,
            open: None,
            slow: None,
            count: 0,
        }
    }

    fn key(&mut self) -> DeliveryKey {
        self.count += 1;
        DeliveryKey { id: QueueId::new(NOON * 1_000_000 + self.count, 7), copy: 0, again: false }
    }

    /// A message comes from elsewhere.
    pub fn put(&mut self, name: &str, octets: &[u8], flags: Flags) {
        let key = self.key();
        let mut draft = self.store.draft(&self.home, LineEnds::AsGiven).unwrap();
        draft.write_all(octets).unwrap();
        draft.seal().unwrap();
        let date = UNIX_EPOCH + Duration::from_secs(NOON + self.count);
        let place = Place { folder: folder(name), flags, date: Some(date) };
        for kept in draft.commit(vec![place], &key).wait() {
            kept.unwrap();
        }
    }

    /// Somebody else does something.
    fn happens(&mut self, what: &str) {
        let inbox = FolderName::inbox();
        let uids = |uid: u32| UidSet::new([uid..=uid]);
        let act = match what {
            "arrive" => return self.put("INBOX", b"Subject: new\n\nNew.\n", Flags::default()),
            "gone" => Act::Expunge { folder: inbox, uids: Some(uids(2)), deleted_only: false },
            "flag" => Act::Flag {
                folder: inbox,
                uids: uids(3),
                change: store::FlagChange::Add,
                flags: Flags { flagged: true, ..Flags::default() },
                unchanged_since: None,
            },
            other => panic!("no event {other}"),
        };
        self.store.apply(&self.home, vec![act]).outcomes.remove(0).unwrap();
    }

    fn apply(&mut self, act: Act<<Memory as Store>::Draft>) -> Result<Done, Fault> {
        self.store.apply(&self.home, vec![act]).outcomes.remove(0)
    }

    pub fn answer(&mut self, ask: Ask) -> Answer {
        match self.try_answer(ask) {
            Ok(answer) => answer,
            Err(fault) => refuse(fault),
        }
    }

    fn here(&self) -> FolderName {
        self.selected.as_ref().expect("nothing is selected").0.clone()
    }

    fn writable(&self) -> FolderName {
        let (folder, read_only) = self.selected.clone().expect("nothing is selected");
        assert!(!read_only, "a change in EXAMINE");
        folder
    }

    fn try_answer(&mut self, ask: Ask) -> Result<Answer, Fault> {
        let (store, home) = (self.store.clone(), self.home.clone());
        Ok(match ask {
            Ask::Pause => Answer::Done,
            Ask::Login { credentials, failures } => {
                assert!(!self.logged_in);
                match (credentials.login.as_str(), credentials.secret.as_slice()) {
                    ("alice", b"wonderland") => Answer::Done,
                    ("broken", _) => {
                        Answer::No(Refusal::new(Code::Unavailable, "Accounts can't be read now"))
                    }
                    ("gone", _) => Answer::Bye("Come back tomorrow".into()),
                    _ => {
                        let text = format!("Wrong, failed {failures} times before");
                        Answer::No(Refusal::new(Code::AuthenticationFailed, text))
                    }
                }
            }
            Ask::Identify(pairs) => {
                assert!(pairs.len() <= 30);
                Answer::Done
            }
            Ask::Folders => {
                let listed = store.folders(&home)?.into_iter();
                Answer::Folders(
                    listed
                        .map(|one| Listed { name: one.name, exists: one.exists, subscribed: one.subscribed })
                        .collect(),
                )
            }
            Ask::Status(folder) => {
                let status = store.status(&home, &folder)?;
                Answer::Status(Status {
                    uid_validity: status.uid_validity,
                    uid_next: status.uid_next,
                    messages: status.messages,
                    unseen: status.unseen,
                    recent: status.recent,
                })
            }
            Ask::Create(folder) => store.create(&home, &folder).map(|()| Answer::Done)?,
            Ask::Delete(folder) => store.delete(&home, &folder).map(|()| Answer::Done)?,
            Ask::Rename { from, to } => store.rename(&home, &from, &to).map(|()| Answer::Done)?,
            Ask::Subscribe { folder, subscribed } => {
                store.subscribe(&home, &folder, subscribed).map(|()| Answer::Done)?
            }
            Ask::Select { folder, read_only } => {
                self.selected = None;
                let snapshot = store.open(&home, &folder, !read_only)?;
                let unseen = posthaste::mail::query::Key::Not(Box::new(posthaste::mail::query::Key::Flag(
                    "\\Seen".into(),
                )));
                let unseen = store.search(&home, &folder, &unseen)?.iter().next();
                self.selected = Some((folder, read_only));
                Answer::Selected(Snapshot {
                    uid_validity: snapshot.uid_validity,
                    uid_next: snapshot.uid_next,
                    modseq: snapshot.modseq,
                    uids: snapshot.uids,
                    recent: snapshot.recent,
                    unseen,
                    keywords: vec!["$Junk".into()],
                })
            }
            Ask::Unselect => {
                self.selected = None;
                Answer::Done
            }
            Ask::Rows { uids, most } => {
                assert!(!uids.is_empty() && most > 0);
                let rows = store.rows(&home, &self.here(), &uids, most)?.into_iter();
                Answer::Rows(
                    rows.map(|row| Row { uid: row.uid, flags: row.flags, modseq: row.modseq }).collect(),
                )
            }
            Ask::Measures { uids, most } => {
                assert!(!uids.is_empty() && most > 0);
                let measures = store.measures(&home, &self.here(), &uids, most)?.into_iter();
                Answer::Measures(
                    measures
                        .map(|one| Measure { uid: one.uid, octets: one.octets, date: one.date })
                        .collect(),
                )
            }
            Ask::Size(uid) => {
                let counted = store.counted(&home, &self.here(), uid)?.into_iter();
                Answer::Measures(
                    counted.map(|one| Measure { uid: one.uid, octets: one.octets, date: one.date }).collect(),
                )
            }
            Ask::Heads { uids, most } => {
                assert!(!uids.is_empty() && most <= HEAD);
                let (mut heads, mut sum) = (Vec::new(), 0);
                for uid in uids {
                    let octets = self.octets(uid, 0..most as u64 + 1)?;
                    let whole = octets.as_ref().is_some_and(|octets| octets.len() <= most);
                    let octets = octets.map(|mut octets| {
                        octets.truncate(most);
                        octets
                    });
                    sum += octets.as_ref().map_or(0, Vec::len);
                    heads.push(Head { uid, octets, whole });
                    if sum >= HEADS {
                        break;
                    }
                }
                Answer::Heads(heads)
            }
            Ask::Outline(uid) => {
                let octets = self.octets(uid, 0..u64::MAX)?;
                Answer::Outline(octets.map(|octets| Box::new(Outline::of(&octets))))
            }
            Ask::Read { uid, range } => {
                assert!(range.end > range.start && range.end - range.start <= HEAD as u64);
                Answer::Octets(self.octets(uid, range)?)
            }
            Ask::Search(key) if format!("{key:?}").contains("slow") => {
                self.slow = Some((3, key));
                Answer::Searching
            }
            Ask::Search(key) => Answer::Found(store.search(&home, &self.here(), &key)?),
            Ask::GoOn => match self.slow.take().expect("no search goes on") {
                (1, key) => Answer::Found(store.search(&home, &self.here(), &key)?),
                (left, key) => {
                    self.slow = Some((left - 1, key));
                    Answer::Searching
                }
            },
            Ask::Changes { since } => {
                let (folder, read_only) = self.selected.clone().expect("nothing is selected");
                let changes = store.changes(&home, &folder, since, false)?;
                let recent = store.open(&home, &folder, !read_only)?.recent;
                Answer::Changes(Changes {
                    modseq: changes.modseq,
                    uid_validity: changes.uid_validity,
                    uid_next: changes.uid_next,
                    changed: changes.changed,
                    recent,
                    vanished: changes.vanished,
                })
            }
            Ask::Append { folder, flags, date, size } => {
                assert!(self.open.is_none() && size > 0 && size <= 1_000_000);
                store.status(&home, &folder)?;
                if folder.leaf() == "full" {
                    return Ok(Answer::No(Refusal::new(Code::OverQuota, "The account is full")));
                }
                self.open = Some((folder, flags, date, size, Vec::new()));
                Answer::Done
            }
            Ask::Chunk(chunk) => {
                assert!(!chunk.is_empty() && chunk.len() <= HEAD);
                let (_, _, _, size, text) = self.open.as_mut().expect("no message");
                text.extend_from_slice(&chunk);
                assert!(text.len() as u64 <= *size && !chunk.contains(&0));
                if text.starts_with(b"Subject: disk full") {
                    self.open = None;
                    return Ok(Answer::No(Refusal::new(Code::Unavailable, "The disk is full")));
                }
                Answer::Taken(chunk)
            }
            Ask::End => {
                let (folder, flags, date, size, text) = self.open.take().expect("no message");
                assert_eq!(text.len() as u64, size);
                let mut draft = store.draft(&home, LineEnds::Unknown)?;
                draft.write_all(&text)?;
                let (place, key) = (Place { folder, flags, date }, self.key());
                match self.apply(Act::Append { draft, place, key })? {
                    Done::Appended { uid_validity, uid } => Answer::Appended { uid_validity, uid },
                    other => panic!("{other:?}"),
                }
            }
            Ask::Abort => {
                assert!(self.open.take().is_some(), "no message");
                Answer::Done
            }
            Ask::Flag { uids, change, flags } => {
                assert!(!uids.is_empty());
                let folder = self.writable();
                self.apply(Act::Flag { folder, uids, change, flags, unchanged_since: None })?;
                Answer::Done
            }
            Ask::Copy { uids, to } => {
                let from = self.here();
                copied(self.apply(Act::Copy { from, uids, to })?)
            }
            Ask::Move { uids, to } => {
                let from = self.writable();
                copied(self.apply(Act::Move { from, uids, to })?)
            }
            Ask::Expunge { uids } => {
                let folder = self.writable();
                self.apply(Act::Expunge { folder, uids, deleted_only: true })?;
                Answer::Done
            }
        })
    }

    fn octets(&self, uid: u32, range: std::ops::Range<u64>) -> Result<Option<Vec<u8>>, Fault> {
        let mut octets = Vec::new();
        match self.store.read(&self.home, &self.here(), uid, range) {
            Ok(mut from) => {
                from.read_to_end(&mut octets)?;
                Ok(Some(octets))
            }
            Err(Fault::NoMessage) => Ok(None),
            Err(fault) => Err(fault),
        }
    }
}

fn copied(done: Done) -> Answer {
    match done {
        Done::Copied { uid_validity, pairs } => Answer::Copied { uid_validity, pairs },
        other => panic!("{other:?}"),
    }
}
