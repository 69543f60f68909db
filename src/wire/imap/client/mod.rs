//! The client's side of IMAP, as a [`Session`], as far as fetching goes: it goes over to TLS, logs in, lists folders, and in each
//! that the agent names lists messages, fetches those that the agent wants, and deletes what the agent says is safe.
//!
//! Round trips are saved: a wave of messages is asked for in one command, and the next wave before the last one has come.
//! Bodies are passed on as they come. Nothing is marked as read.
//!
//! What it leaves out: IDLE, partial bodies, CONDSTORE and QRESYNC, and all that changes flags but `\Deleted`.

use crate::{
    mail::{
        flags::Flags,
        query::Uid,
        verdict::{Verdict, Why},
    },
    wire::{
        mailbox::{Failure, Order, Stage},
        sasl,
        session::{Input, Session, Step, Turn},
    },
};
use frame::{Framed, Frames};
use parse::{Code, Offer, Said, Told};
use std::{convert::Infallible, time::SystemTime};

mod delete;
mod folder;
mod frame;
mod fuzz;
mod login;
mod parse;

use delete::Deleting;
use folder::Opening;
pub use fuzz::fuzz;

/// The most messages of a folder that is read.
pub const MESSAGES_MAX: usize = 1_000_000;
/// The most folders of a mailbox.
pub const FOLDERS_MAX: usize = 10_000;
/// The most messages of one wave.
pub const WAVE_MAX: usize = 1000;
/// How many rows are told at once.
const ROWS: usize = 1000;
/// Responses that nobody asked for, between two that somebody did.
const NOISE_MAX: u32 = 20_000;

/// A folder at the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name as the server spells it (modified UTF-7, or UTF-8), without control characters.
    pub name: String,
    /// What parts the levels of its name.
    pub separator: Option<char>,
    /// It can hold messages.
    pub holds: bool,
    /// It shows messages that lie in other folders (RFC 6154: `\All`, `\Flagged`).
    pub view: bool,
}

/// A message at the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its number.
    pub uid: Uid,
    /// Its flags.
    pub flags: Flags,
    /// INTERNALDATE, where the server gave one that can be read.
    pub date: Option<SystemTime>,
    /// RFC822.SIZE; 0 where the server did not tell.
    pub size: u64,
}

/// What the session asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// The login is done. Which folders are to be listed? Answered by [`Answer::List`] or [`Answer::Noted`] (none).
    Start,
    /// These are there. Answered by [`Answer::Noted`].
    Folders(Vec<Listed>),
    /// Which folder is next? Answered by [`Answer::Folder`] or [`Answer::Quit`].
    Folder,
    /// It can't be opened. Answered by [`Answer::Noted`]; [`Ask::Folder`] comes next.
    NoFolder(Why),
    /// It is open. Answered by [`Answer::From`] or [`Answer::Quit`] (nothing in it is wanted: the next folder).
    Opened {
        /// UIDVALIDITY; never 0.
        validity: u32,
        /// UIDNEXT, where the server tells.
        next: Option<Uid>,
        /// How many messages there are.
        exists: u32,
    },
    /// Messages from the UID on that was named, in the server's order; there may be more rows. Of one that is told twice the first
    /// counts. Answered by [`Answer::Noted`].
    Rows(Vec<Row>),
    /// There are more messages from that UID on than it listed, though it said that it listed them. Answered by
    /// [`Answer::Noted`].
    Unlisted(Why),
    /// All rows were told. Which messages are to be fetched next? Answered by [`Answer::Uids`]; none means that there are
    /// no more.
    Wave,
    /// A message of so many octets begins; which, its end tells. This, its pieces and its end are answered by
    /// [`Answer::Noted`] or [`Answer::Stop`].
    Begin(u64),
    /// Octets of it.
    Piece(Vec<u8>),
    /// It is whole.
    End(Uid),
    /// These of a wave are not there any more. Answered by [`Answer::Noted`].
    Gone(Vec<Uid>),
    /// These were not given. Answered by [`Answer::Noted`].
    Refused(Vec<Uid>, Why),
    /// All of the folder has come. Which messages are to be deleted? Answered by [`Answer::Uids`].
    Deletions,
    /// They are deleted, or why not. Answered by [`Answer::Noted`].
    Deleted(Result<(), Why>),
    /// Takes note that all is done. Answered by [`Answer::Noted`].
    Over,
    /// Takes note that it ended before its time. Answered by [`Answer::Noted`].
    Failed(Failure),
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Heard.
    Noted,
    /// List all folders (`true`), or only ask how the levels of their names are parted.
    List(bool),
    /// This folder, as the server spells it.
    Folder {
        /// Its name, printable ASCII.
        name: String,
        /// Messages in it are to be deleted.
        write: bool,
    },
    /// List messages from this UID on.
    From(Uid),
    /// These; at most [`WAVE_MAX`] of a wave.
    Uids(Vec<Uid>),
    /// Nothing of it is wanted.
    Quit,
    /// It can't go on here: the connection is dropped.
    Stop(Why),
}

/// The session.
#[derive(Debug)]
pub struct Client {
    order: Order,
    frames: Frames,
    offer: Offer,
    secured: bool,
    /// Commands said so far; the last one's tag.
    tags: u32,
    /// Responses in a row that nobody asked for.
    noise: u32,
    /// The UIDVALIDITY of the folder that is open.
    validity: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    ExpectGreeting,
    /// What the server can do; whether it was given, and whether we are logged in.
    ExpectCapability(Option<Offer>, bool),
    ExpectStartTls,
    ExpectSecured,
    ExpectLogin(login::Login),
    ExpectStart,
    ExpectFolders(Vec<Listed>),
    /// The agent takes note of the folders, or that one can't be opened, or of a deletion; then it says which is next.
    ExpectNoted,
    ExpectFolder,
    ExpectOpen(Opening),
    /// How many messages there are.
    ExpectFrom(u32),
    ExpectRows(folder::Rows),
    /// The agent takes note of rows.
    ExpectRowsNoted(folder::Rows),
    /// All else that happens to messages.
    Fetching(folder::Fetching),
    ExpectDeletions,
    Deleting(Deleting),
    ExpectBye,
    /// The agent hears how it ended; then we close.
    ExpectLast,
    Over,
}

/// What came of an input: the next state, and the step to it.
type Move = (State, Step<Ask>);

impl State {
    fn stage(&self) -> Stage {
        match self {
            State::ExpectGreeting => Stage::Greeting,
            State::ExpectCapability(..) => Stage::Capability,
            State::ExpectStartTls | State::ExpectSecured => Stage::StartTls,
            State::ExpectLogin(_) => Stage::Login,
            State::ExpectStart
            | State::ExpectFolders(_)
            | State::ExpectNoted
            | State::ExpectFolder
            | State::ExpectOpen(_)
            | State::ExpectFrom(_)
            | State::ExpectRows(_)
            | State::ExpectRowsNoted(_) => Stage::Listing,
            State::Fetching(_) => Stage::Messages,
            State::ExpectDeletions | State::Deleting(_) => Stage::Deleting,
            State::ExpectBye | State::ExpectLast | State::Over => Stage::Idle,
        }
    }
}

impl Client {
    /// A session that waits for the server's greeting.
    pub fn new(order: Order) -> Client {
        Client {
            order,
            frames: Frames::default(),
            offer: Offer::default(),
            secured: false,
            tags: 0,
            noise: 0,
            validity: 0,
            state: State::ExpectGreeting,
        }
    }

    fn read(&self, state: State) -> Move {
        (state, Step::Read(self.order.patience))
    }

    fn fail(failure: Failure) -> Move {
        (State::ExpectLast, Step::Ask(Ask::Failed(failure)))
    }

    fn odd(&self, stage: Stage, text: &str) -> Move {
        Client::fail(self.order.odd(stage, text))
    }

    /// Writes a command, and answers with its tag.
    fn say(&mut self, command: &[u8], out: &mut Vec<u8>) -> String {
        self.tags = self.tags.wrapping_add(1);
        let tag = format!("p{}", self.tags);
        out.extend_from_slice(tag.as_bytes());
        out.push(b' ');
        out.extend_from_slice(command);
        out.extend_from_slice(b"\r\n");
        tag
    }

    /// True for the tag of the last command.
    fn is_last(&self, tag: &str) -> bool {
        tag.strip_prefix('p').and_then(|digits| digits.parse().ok()) == Some(self.tags)
    }

    /// A response in a state that waits for one.
    fn said(&mut self, state: State, said: Said, out: &mut Vec<u8>) -> Move {
        let stage = state.stage();
        // Whoever gets what was asked for sets it back.
        self.noise = self.noise.saturating_add(1);
        if self.noise > NOISE_MAX {
            return self.odd(stage, "it says too much that was not asked for");
        }
        match (state, said) {
            (State::ExpectGreeting, said) => self.greeted(said, out),
            (State::ExpectBye, Said::Tagged(..) | Said::Bye(_)) => (State::ExpectLast, Step::Ask(Ask::Over)),
            (_, Said::Bye(text)) => {
                let text = format!("it said goodbye: {text}");
                Client::fail(self.order.lost(stage, &text))
            }
            (_, Said::Preauth(_)) => self.odd(stage, "greeted twice"),
            (State::ExpectRows(_) | State::Fetching(_) | State::Deleting(_), Said::Told(told)) if matches!(told.code, Code::UidValidity(validity) if validity != self.validity) =>
            {
                // RFC 3501 section 2.3.1.1: never within a session. From here on no UID is what it was.
                self.odd(stage, "renumbered the folder (another UIDVALIDITY) while it was open")
            }
            (State::ExpectCapability(offer, inside), said) => self.capability(offer, inside, said, out),
            (State::ExpectStartTls, said) => self.may_start_tls(said, out),
            (State::ExpectLogin(login), said) => self.login_said(login, said, out),
            (State::ExpectFolders(folders), said) => self.folders_said(folders, said),
            (State::ExpectOpen(opening), said) => self.opening_said(opening, said),
            (State::ExpectRows(rows), said) => self.rows_said(rows, said),
            (State::Fetching(fetching), said) => self.fetching_said(fetching, said),
            (State::Deleting(deleting), said) => self.deleting_said(deleting, said, out),
            (state, Said::Tagged(..)) => self.odd(state.stage(), "answered what was not asked"),
            (state, _) => self.read(state),
        }
    }

    fn next_folder() -> Move {
        (State::ExpectFolder, Step::Ask(Ask::Folder))
    }

    fn answer(&mut self, state: State, answer: Answer, out: &mut Vec<u8>) -> Move {
        let stage = state.stage();
        match (state, answer) {
            (State::ExpectLast | State::Over, _) => (State::Over, Step::Close),
            (_, Answer::Stop(why)) => Client::fail(Failure { stage, verdict: Verdict::Later(why) }),
            (State::ExpectStart, Answer::List(all)) => {
                self.say(if all { b"LIST \"\" \"*\"" } else { b"LIST \"\" \"\"" }, out);
                self.read(State::ExpectFolders(Vec::new()))
            }
            (State::ExpectStart | State::ExpectNoted, _) => Client::next_folder(),
            (State::ExpectFolder, Answer::Folder { name, write }) => self.open(&name, write, out),
            (State::ExpectFolder, _) => {
                self.say(b"LOGOUT", out);
                self.read(State::ExpectBye)
            }
            (State::ExpectFrom(exists), Answer::From(from)) => self.list(from, exists, out),
            (State::ExpectFrom(_), _) => Client::next_folder(),
            (State::ExpectRowsNoted(rows), _) => self.rows_noted(rows),
            (State::Fetching(fetching), answer) => self.fetching_answered(fetching, answer, out),
            (State::ExpectDeletions, Answer::Uids(uids)) => self.delete(uids, out),
            (State::ExpectDeletions, _) => Client::next_folder(),
            (_, _) => (State::Over, Step::Close),
        }
    }

    /// The connection is of no more use.
    fn give_up(&self, state: State, failure: Failure) -> Move {
        match state {
            State::ExpectLast | State::Over => (State::Over, Step::Close),
            // What was to be done is done; only the goodbye is missing.
            State::ExpectBye => (State::ExpectLast, Step::Ask(Ask::Over)),
            _ => Client::fail(failure),
        }
    }

    fn octets(&mut self, octets: &[u8], out: &mut Vec<u8>) -> Turn<Ask> {
        let mut used = 0;
        let mut step = Step::More;
        loop {
            let rest = octets.get(used..).unwrap_or_default();
            let (taken, framed) = self.frames.take(rest);
            used += taken;
            if framed == Framed::More {
                return Turn { used, step };
            }
            let state = std::mem::replace(&mut self.state, State::Over);
            let stage = state.stage();
            let (state, next) = match framed {
                Framed::Response(response, passed) => match Said::read(&response, passed) {
                    Ok(said) => self.said(state, said, out),
                    Err(bad) => {
                        let text = format!("it said {:?}; {bad}", crate::wire::mailbox::quoted(&response));
                        self.give_up(state, self.order.odd(stage, &text))
                    }
                },
                Framed::Body(size) => self.body_begins(state, size),
                Framed::Piece(piece) => (state, Step::Ask(Ask::Piece(piece))),
                Framed::Bad(what) => self.give_up(state, self.order.odd(stage, &format!("it sent {what}"))),
                Framed::More => (state, Step::More),
            };
            self.state = state;
            match next {
                Step::Read(_) | Step::More => step = next,
                // What stands behind the answer to STARTTLS was sent by who knows whom.
                Step::StartTls => {
                    self.frames = Frames::default();
                    return Turn { used: octets.len(), step: next };
                }
                _ => return Turn { used, step: next },
            }
        }
    }
}

impl Session for Client {
    type Ask = Ask;
    type Answer = Answer;
    type Event = Infallible;
    const OUT_MAX: usize = 32 * 1024;

    fn turn(&mut self, input: Input<'_, Answer, Infallible>, out: &mut Vec<u8>) -> Turn<Ask> {
        if let Input::Octets(octets) = input {
            return self.octets(octets, out);
        }
        let state = std::mem::replace(&mut self.state, State::Over);
        let stage = state.stage();
        let (state, step) = match input {
            Input::Begin => self.read(state),
            Input::Answer(answer) => self.answer(state, answer, out),
            Input::Secured => {
                self.secured = true;
                self.say(b"CAPABILITY", out);
                self.read(State::ExpectCapability(None, false))
            }
            Input::Eof => self.give_up(state, self.order.lost(stage, "the connection was lost")),
            Input::Deadline => self.give_up(state, self.order.lost(stage, "nothing came in time")),
            Input::Octets(_) => (state, Step::More),
            Input::Event(never) => match never {},
        };
        self.state = state;
        Turn { used: 0, step }
    }
}

#[cfg(test)]
mod tests;
