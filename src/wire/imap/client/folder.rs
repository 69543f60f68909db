//! A folder: it is opened, its messages are listed, and waves of them are fetched.

use super::{
    Answer, Ask, Client, FOLDERS_MAX, Listed, MESSAGES_MAX, Move, ROWS, Row, Said, State, Step, WAVE_MAX,
    parse::{Body, Code, Fetch, Word},
};
use crate::{
    mail::{
        query::{Uid, UidSet},
        verdict::Why,
    },
    wire::{imap::print, mailbox::Stage},
};
use std::collections::{BTreeSet, VecDeque};

/// What is known of a folder that is being opened.
#[derive(Debug, Default)]
pub(super) struct Opening {
    exists: u32,
    validity: Option<u32>,
    next: Option<Uid>,
}

/// A listing under way.
#[derive(Debug)]
pub(super) struct Rows {
    from: Uid,
    rows: Vec<Row>,
    /// Messages of which not all was told: they are there, and must not be taken for UIDs that never will be a message.
    partial: Vec<Row>,
    told: usize,
    ended: bool,
    counted: Counted,
}

/// Whether a listing is whole: its messages are counted from the first listed to the last of the folder.
#[derive(Debug, Default)]
struct Counted {
    /// Messages in the folder.
    exists: u32,
    /// The first and the last that were listed.
    first: u32,
    last: u32,
    /// How many were.
    listed: u32,
}

impl Counted {
    fn row(&mut self, number: u32) {
        self.first = if self.listed == 0 { number } else { self.first.min(number) };
        self.last = self.last.max(number);
        self.listed = self.listed.saturating_add(1);
    }

    /// Servers may tell of it in the middle of a UID FETCH (RFC 3501 section 5.5).
    fn expunged(&mut self, number: u32) {
        self.exists = self.exists.saturating_sub(1);
        for end in [&mut self.first, &mut self.last] {
            if *end >= number {
                *end = end.saturating_sub(1);
            }
        }
    }

    /// True when some between the first and the last, or behind it, were left out. Those before the first have lower UIDs
    /// than were asked for, unless all were.
    fn lacks(&self, all: bool) -> bool {
        if self.listed == 0 {
            // Some servers have nothing for `n:*` behind the last UID.
            return all && self.exists > 0;
        }
        let span = self.last.saturating_sub(self.first).saturating_add(1);
        self.last < self.exists || self.listed < span || (all && self.first > 1)
    }
}

/// Messages asked for by one command, and not yet come.
#[derive(Debug)]
pub(super) struct Wave {
    tag: String,
    coming: BTreeSet<Uid>,
}

/// Waves under way.
#[derive(Debug, Default)]
pub(super) struct Fetching {
    waves: VecDeque<Wave>,
    /// The agent has no more.
    dry: bool,
    /// What the agent was asked or told last.
    asked: Asked,
    /// A message came within its response: it is told piece by piece, too.
    here: Option<(Uid, Vec<u8>)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Asked {
    #[default]
    Nothing,
    Wave,
    /// The beginning or a piece of a message.
    Part,
}

impl Client {
    pub(super) fn folders_said(&mut self, mut folders: Vec<Listed>, said: Said) -> Move {
        match said {
            Said::List(listed) if folders.len() < FOLDERS_MAX => {
                self.noise = 0;
                folders.push(listed);
                self.read(State::ExpectFolders(folders))
            }
            Said::List(_) => self.odd(Stage::Listing, &format!("lists more than {FOLDERS_MAX} folders")),
            Said::Tagged(tag, told) if self.is_last(&tag) => match told.word {
                Word::Ok => (State::ExpectNoted, Step::Ask(Ask::Folders(folders))),
                _ => self.odd(Stage::Listing, &format!("does not list its folders: {}", told.text)),
            },
            Said::Tagged(..) => self.odd(Stage::Listing, "answered what was not asked"),
            _ => self.read(State::ExpectFolders(folders)),
        }
    }

    pub(super) fn open(&mut self, name: &str, write: bool, out: &mut Vec<u8>) -> Move {
        if name.len() > 900 || !name.bytes().all(|octet| matches!(octet, b' '..=b'~')) {
            let why = Why::new(5, 4, format!("{}: {name:?} is no folder's name", self.order.server));
            return (State::ExpectNoted, Step::Ask(Ask::NoFolder(why)));
        }
        let mut command = if write { b"SELECT ".to_vec() } else { b"EXAMINE ".to_vec() };
        print::astring(name.as_bytes(), &mut command);
        self.say(&command, out);
        self.read(State::ExpectOpen(Opening::default()))
    }

    pub(super) fn opening_said(&mut self, mut opening: Opening, said: Said) -> Move {
        match said {
            Said::Exists(exists) => opening.exists = exists,
            Said::Told(told) => match told.code {
                Code::UidValidity(validity) => opening.validity = Some(validity),
                Code::UidNext(next) => opening.next = Some(next),
                _ => {}
            },
            Said::Tagged(tag, told) if self.is_last(&tag) => {
                self.noise = 0;
                let Opening { exists, validity, next } = opening;
                let why = |text: &str| Why::new(2, 0, format!("{}: {text}", self.order.server));
                return match (told.word, validity) {
                    (Word::Ok, Some(validity)) => {
                        self.validity = validity;
                        (State::ExpectFrom(exists), Step::Ask(Ask::Opened { validity, next, exists }))
                    }
                    (Word::Ok, None) => {
                        let why = why("it gives no UIDVALIDITY: new messages can't be told from old");
                        (State::ExpectNoted, Step::Ask(Ask::NoFolder(why)))
                    }
                    (Word::No, _) => (State::ExpectNoted, Step::Ask(Ask::NoFolder(why(&told.text)))),
                    (Word::Bad, _) => self.odd(Stage::Listing, &told.text),
                };
            }
            Said::Tagged(..) => return self.odd(Stage::Listing, "answered what was not asked"),
            _ => {}
        }
        self.read(State::ExpectOpen(opening))
    }

    pub(super) fn list(&mut self, from: Uid, exists: u32, out: &mut Vec<u8>) -> Move {
        self.say(format!("UID FETCH {from}:* (UID FLAGS INTERNALDATE RFC822.SIZE)").as_bytes(), out);
        self.read(State::ExpectRows(Rows {
            from,
            rows: Vec::new(),
            partial: Vec::new(),
            told: 0,
            ended: false,
            counted: Counted { exists, ..Counted::default() },
        }))
    }

    pub(super) fn rows_said(&mut self, mut rows: Rows, said: Said) -> Move {
        match said {
            Said::Expunge(number) => rows.counted.expunged(number),
            Said::Fetch(Fetch { number, uid: Some(uid), flags, size, date, body: Body::Unsaid }) => {
                rows.counted.row(number);
                // `n:*` is the last message even where that is below n (RFC 3501 section 6.4.8).
                if uid >= rows.from {
                    let whole = flags.is_some() && size.is_some();
                    let row =
                        Row { uid, flags: flags.unwrap_or_default(), date, size: size.unwrap_or_default() };
                    rows.told += 1;
                    if whole {
                        rows.rows.push(row);
                        self.noise = 0;
                    } else {
                        rows.partial.push(row);
                    }
                }
                if rows.told > MESSAGES_MAX {
                    return self.odd(Stage::Listing, &format!("lists more than {MESSAGES_MAX} messages"));
                }
                if rows.rows.len() >= ROWS {
                    let some = std::mem::take(&mut rows.rows);
                    return (State::ExpectRowsNoted(rows), Step::Ask(Ask::Rows(some)));
                }
            }
            Said::Tagged(tag, told) if self.is_last(&tag) && told.word == Word::Ok => {
                self.noise = 0;
                // Who hears of a message twice takes what was told first.
                let mut rest = std::mem::take(&mut rows.rows);
                rest.append(&mut rows.partial);
                rows.ended = true;
                return match rest.is_empty() {
                    true => self.rows_noted(rows),
                    false => (State::ExpectRowsNoted(rows), Step::Ask(Ask::Rows(rest))),
                };
            }
            Said::Tagged(_, told) => {
                return self.odd(Stage::Listing, &format!("does not list its messages: {}", told.text));
            }
            _ => {}
        }
        self.read(State::ExpectRows(rows))
    }

    pub(super) fn rows_noted(&mut self, rows: Rows) -> Move {
        match rows.ended {
            true if rows.counted.lacks(rows.from <= 1) => {
                let Counted { exists, listed, .. } = rows.counted;
                let text = format!(
                    "{}: it has {exists} messages, but leaves some out of its listing ({listed} are in it)",
                    self.order.server
                );
                let fetching = Fetching::default();
                (State::Fetching(fetching), Step::Ask(Ask::Unlisted(Why::new(5, 0, text))))
            }
            true => self.next_wave(Fetching::default()),
            false => self.read(State::ExpectRows(rows)),
        }
    }

    /// Asks for another wave where there is room for one, and says what is awaited.
    fn next_wave(&mut self, fetching: Fetching) -> Move {
        // The next is asked for while the last is still coming, so that the server never idles.
        if fetching.waves.len() < 2 && !fetching.dry {
            return (State::Fetching(Fetching { asked: Asked::Wave, ..fetching }), Step::Ask(Ask::Wave));
        }
        if fetching.waves.is_empty() {
            return (State::ExpectDeletions, Step::Ask(Ask::Deletions));
        }
        self.read(State::Fetching(Fetching { asked: Asked::Nothing, ..fetching }))
    }

    pub(super) fn fetching_answered(
        &mut self,
        mut fetching: Fetching,
        answer: Answer,
        out: &mut Vec<u8>,
    ) -> Move {
        match (fetching.asked, answer) {
            (Asked::Wave, Answer::Uids(uids)) if !uids.is_empty() => {
                let coming: BTreeSet<Uid> = uids.into_iter().take(WAVE_MAX).collect();
                let set: UidSet = coming.iter().copied().collect();
                let tag = self.say(format!("UID FETCH {set} (UID BODY.PEEK[])").as_bytes(), out);
                fetching.waves.push_back(Wave { tag, coming });
                self.next_wave(fetching)
            }
            (Asked::Wave, _) => self.next_wave(Fetching { dry: true, ..fetching }),
            (Asked::Part, _) => {
                if let Some((uid, octets)) = fetching.here.take() {
                    return match octets.is_empty() {
                        true => self.ended(fetching, uid),
                        false => {
                            fetching.here = Some((uid, Vec::new()));
                            (State::Fetching(fetching), Step::Ask(Ask::Piece(octets)))
                        }
                    };
                }
                self.read(State::Fetching(fetching))
            }
            (Asked::Nothing, _) => self.next_wave(fetching),
        }
    }

    /// A body begins to be passed on.
    pub(super) fn body_begins(&mut self, state: State, size: u64) -> Move {
        match state {
            State::Fetching(fetching) if fetching.waves.iter().any(|wave| !wave.coming.is_empty()) => {
                let fetching = Fetching { asked: Asked::Part, ..fetching };
                (State::Fetching(fetching), Step::Ask(Ask::Begin(size)))
            }
            state => {
                self.give_up(state, self.order.odd(Stage::Listing, "sent a message that was not asked for"))
            }
        }
    }

    pub(super) fn fetching_said(&mut self, mut fetching: Fetching, said: Said) -> Move {
        match said {
            Said::Fetch(Fetch { body: Body::Unsaid, .. }) => {}
            Said::Fetch(Fetch { uid, body, .. }) => {
                let known = uid.filter(|uid| fetching.waves.iter().any(|wave| wave.coming.contains(uid)));
                return match (known, body) {
                    (None, _) => self.odd(Stage::Messages, "sent a message that was not asked for"),
                    (Some(uid), Body::Passed) => self.ended(fetching, uid),
                    (Some(uid), Body::Here(octets)) => {
                        let size = octets.len() as u64;
                        let fetching = Fetching { here: Some((uid, octets)), asked: Asked::Part, ..fetching };
                        (State::Fetching(fetching), Step::Ask(Ask::Begin(size)))
                    }
                    (Some(uid), Body::Nil | Body::Unsaid) => {
                        take(&mut fetching, uid);
                        let text = format!("{} has nothing to give for message {uid}", self.order.server);
                        fetching.asked = Asked::Nothing;
                        (State::Fetching(fetching), Step::Ask(Ask::Refused(vec![uid], Why::new(5, 0, text))))
                    }
                };
            }
            Said::Tagged(tag, told) => {
                let Some(place) = fetching.waves.iter().position(|wave| wave.tag == tag) else {
                    return self.odd(Stage::Messages, "answered what was not asked");
                };
                let left: Vec<Uid> = fetching
                    .waves
                    .remove(place)
                    .map(|wave| wave.coming.into_iter().collect())
                    .unwrap_or_default();
                fetching.asked = Asked::Nothing;
                self.noise = 0;
                return match (told.word, left.is_empty()) {
                    (Word::Bad, _) => self.odd(Stage::Messages, &told.text),
                    (Word::Ok | Word::No, true) => self.next_wave(fetching),
                    // What was expunged meanwhile is passed over (RFC 3501 section 6.4.8).
                    (Word::Ok, false) => (State::Fetching(fetching), Step::Ask(Ask::Gone(left))),
                    (Word::No, false) => {
                        let why = Why::new(5, 0, format!("{} said: {}", self.order.server, told.text));
                        (State::Fetching(fetching), Step::Ask(Ask::Refused(left, why)))
                    }
                };
            }
            _ => {}
        }
        self.read(State::Fetching(fetching))
    }

    /// A message is whole.
    fn ended(&mut self, mut fetching: Fetching, uid: Uid) -> Move {
        take(&mut fetching, uid);
        self.noise = 0;
        fetching.asked = Asked::Nothing;
        (State::Fetching(fetching), Step::Ask(Ask::End(uid)))
    }
}

fn take(fetching: &mut Fetching, uid: Uid) {
    for wave in &mut fetching.waves {
        wave.coming.remove(&uid);
    }
}
