//! The client's side of POP3, as a [`Session`]: it goes over to TLS, logs in, lists what there is, fetches what the agent
//! names and deletes what the agent says is safe.
//!
//! Round trips are saved where the server allows it (PIPELINING, RFC 2449 section 6.6): up to [`WINDOW`] commands are under way.
//!
//! What it leaves out: APOP, TOP, servers without UIDL (there what is new can't be told from what is old).

use super::reply::{Reply, Status};
use crate::mail::verdict::{Verdict, Why};
use crate::wire::{
    dots::Unstuffer,
    line::{Framed, Framer},
    mailbox::{Failure, Order, Stage, Tls, quoted},
    sasl,
    session::{Input, Session, Step, Turn},
};
use reply::{LINE_MAX, Offer, said};
use std::{
    collections::{HashMap, VecDeque},
    convert::Infallible,
};

mod fuzz;
mod login;
mod reply;

pub use fuzz::fuzz;

/// The most commands under way.
pub const WINDOW: usize = 400;
/// The most messages of a maildrop that is read.
pub const MESSAGES_MAX: usize = 500_000;
/// The most lines of the answer to CAPA.
const CAPABILITIES_MAX: usize = 200;
/// The most octets of one [`Ask::Piece`].
const PIECE_MAX: usize = 64 * 1024;
/// The most octets of an over-long line that are thrown away.
const FLOOD: usize = 64 * 1024;

/// A message in the maildrop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its number in this session.
    pub number: u32,
    /// Its name in all sessions (RFC 1939 section 7): 1 to 255 printable ASCII characters.
    pub uidl: String,
    /// Its octets, as the server says.
    pub size: Option<u64>,
}

/// What the session asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Takes note of what there is, in the order of the numbers. Answered by [`Answer::Noted`] or [`Answer::Quit`].
    Listed(Vec<Listed>),
    /// Which messages are to be fetched next? Answered by [`Answer::Numbers`]; none means that there are no more.
    Wave,
    /// A message begins. This, its pieces and its end are answered by [`Answer::Noted`] or [`Answer::Stop`].
    Begin(u32),
    /// Octets of it, with CR LF line ends.
    Piece(Vec<u8>),
    /// It is whole.
    End(u32),
    /// It was not given.
    Refused(u32, Why),
    /// All that was asked for has come. Which messages are to be deleted? Answered by [`Answer::Numbers`].
    Deletions,
    /// Takes note of how it ended: whether what was to be deleted is, or why not. Answered by [`Answer::Noted`].
    Over(Result<(), Why>),
    /// Takes note that it ended before its time; nothing is deleted. Answered by [`Answer::Noted`].
    Failed(Failure),
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Heard.
    Noted,
    /// These.
    Numbers(Vec<u32>),
    /// Nothing more is wanted: say goodbye.
    Quit,
    /// It can't go on here: the connection is dropped.
    Stop(Why),
}

/// The session.
#[derive(Debug)]
pub struct Client {
    order: Order,
    framer: Framer,
    offer: Offer,
    secured: bool,
    /// Messages asked for by the agent and not yet by us.
    queue: VecDeque<u32>,
    /// Messages asked for by us.
    under_way: VecDeque<u32>,
    /// The agent has no more.
    dry: bool,
    /// How many DELE were refused, and why the first was.
    unkept: Option<Why>,
    state: State,
}

#[derive(Debug)]
enum State {
    ExpectGreeting,
    ExpectCapa,
    ExpectCapabilities(Offer, usize),
    ExpectStls,
    ExpectSecured,
    ExpectAuth(sasl::Client),
    ExpectUser,
    ExpectPass,
    ExpectUidl,
    ExpectUidlLines(Vec<Listed>),
    ExpectList(Vec<Listed>),
    ExpectListLines(Vec<Listed>, HashMap<u32, usize>),
    /// The agent looks at the listing.
    ExpectStart,
    /// The agent says what is next.
    ExpectWave,
    /// Replies to RETR.
    ExpectRetr,
    /// The agent takes note of a beginning or a piece.
    ExpectText(Unstuffer),
    Reading(Unstuffer),
    /// The agent takes note of a message's end.
    ExpectEnd,
    ExpectDeletions,
    /// Replies to DELE.
    ExpectDele,
    ExpectBye,
    /// The agent hears how it ended; then we close.
    ExpectLast,
    Over,
}

/// What came of an input: the next state, and the step to it.
type Move = (State, Step<Ask>);

impl Client {
    /// A session that waits for the server's greeting.
    pub fn new(order: Order) -> Client {
        Client {
            order,
            framer: Framer::default(),
            offer: Offer::default(),
            secured: false,
            queue: VecDeque::new(),
            under_way: VecDeque::new(),
            dry: false,
            unkept: None,
            state: State::ExpectGreeting,
        }
    }

    fn stage(&self) -> Stage {
        stage_of(&self.state)
    }

    fn read(&self, state: State) -> Move {
        (state, Step::Read(self.order.patience))
    }

    fn fail(failure: Failure) -> Move {
        (State::ExpectLast, Step::Ask(Ask::Failed(failure)))
    }

    fn refused(&self, stage: Stage, reply: &Reply, asked: &str, bare: fn(Why) -> Verdict) -> Move {
        Client::fail(Failure { stage, verdict: reply::judged(&self.order.server, reply, asked, bare) })
    }

    /// What a refusal says of one message.
    fn why(&self, reply: &Reply, asked: &str) -> Why {
        Why::new(5, 0, format!("{} said: {} (in answer to {asked})", self.order.server, said(reply)))
    }

    /// A line in a state that reads lines.
    fn line(&mut self, state: State, line: &[u8], out: &mut Vec<u8>) -> Move {
        match state {
            State::ExpectCapabilities(offer, count) => return self.capability(offer, count, line, out),
            State::ExpectUidlLines(listed) => return self.uidl_line(listed, line, out),
            State::ExpectListLines(listed, places) => return self.list_line(listed, places, line),
            _ => {}
        }
        let Some(reply) = Reply::parse(line) else {
            let text = format!("said {:?}, which is no POP3", quoted(line));
            return Client::fail(self.order.odd(stage_of(&state), &text));
        };
        self.reply(state, reply, out)
    }

    fn reply(&mut self, state: State, reply: Reply, out: &mut Vec<u8>) -> Move {
        let stage = stage_of(&state);
        match (state, reply.status) {
            (State::ExpectGreeting, Status::Ok) => {
                out.extend_from_slice(b"CAPA\r\n");
                self.read(State::ExpectCapa)
            }
            (State::ExpectGreeting, Status::Err) => {
                self.refused(stage, &reply, "the connection", Verdict::Later)
            }
            (State::ExpectCapa, Status::Ok) => self.read(State::ExpectCapabilities(Offer::default(), 0)),
            // An old server, which can do nothing of all this.
            (State::ExpectCapa, Status::Err) => self.offered(Offer::default(), out),
            (State::ExpectStls, Status::Ok) => (State::ExpectSecured, Step::StartTls),
            (State::ExpectStls, Status::Err) if self.order.tls == Tls::Demanded => {
                self.refused(stage, &reply, "STLS", Verdict::Later)
            }
            (State::ExpectStls, Status::Err) => self.login(out),
            (State::ExpectAuth(client), Status::Challenge) => self.respond(client, out),
            (State::ExpectAuth(_), Status::Err) => self.refused(stage, &reply, "AUTH PLAIN", Verdict::Never),
            (State::ExpectUser, Status::Ok) => self.pass(out),
            (State::ExpectUser, Status::Err) => self.refused(stage, &reply, "USER", Verdict::Never),
            (State::ExpectPass, Status::Err) => self.refused(stage, &reply, "PASS", Verdict::Never),
            (State::ExpectAuth(_) | State::ExpectPass, Status::Ok) => {
                let both = self.offer.pipelining;
                out.extend_from_slice(if both { b"UIDL\r\nLIST\r\n" } else { b"UIDL\r\n" });
                self.read(State::ExpectUidl)
            }
            (State::ExpectUidl, Status::Ok) => self.read(State::ExpectUidlLines(Vec::new())),
            (State::ExpectUidl, Status::Err) => {
                let text = format!(
                    "it can't name its messages, so that new ones can't be told from old (it said: {} in answer to UIDL)",
                    said(&reply)
                );
                Client::fail(self.order.never(stage, 5, 1, &text))
            }
            (State::ExpectList(listed), Status::Ok) => {
                let places = listed.iter().enumerate().map(|(place, one)| (one.number, place)).collect();
                self.read(State::ExpectListLines(listed, places))
            }
            // The sizes are only for people.
            (State::ExpectList(listed), Status::Err) => self.listed(listed),
            (State::ExpectRetr, Status::Ok) => match self.under_way.front() {
                Some(number) => (State::ExpectText(Unstuffer::lenient()), Step::Ask(Ask::Begin(*number))),
                None => Client::fail(self.order.odd(stage, "gave a message that was not asked for")),
            },
            (State::ExpectRetr, Status::Err) => match self.under_way.pop_front() {
                Some(number) => (State::ExpectEnd, Step::Ask(Ask::Refused(number, self.why(&reply, "RETR")))),
                None => Client::fail(self.order.odd(stage, "refused what was not asked for")),
            },
            (State::ExpectDele, Status::Ok) => {
                self.under_way.pop_front();
                self.delete(out)
            }
            (State::ExpectDele, Status::Err) => {
                self.under_way.pop_front();
                let why = self.why(&reply, "DELE");
                self.unkept.get_or_insert(why);
                self.delete(out)
            }
            (State::ExpectBye, Status::Ok) => {
                let outcome = self.unkept.take().map_or(Ok(()), Err);
                (State::ExpectLast, Step::Ask(Ask::Over(outcome)))
            }
            // RFC 1939 section 6: some or none of the messages marked were removed.
            (State::ExpectBye, Status::Err) => {
                (State::ExpectLast, Step::Ask(Ask::Over(Err(self.why(&reply, "QUIT")))))
            }
            (_, Status::Challenge) => {
                Client::fail(self.order.odd(stage, "asked for more where nothing was to be said"))
            }
            (_, Status::Ok | Status::Err) => Client::fail(self.order.odd(stage, "spoke without being asked")),
        }
    }

    fn uidl_line(&mut self, mut listed: Vec<Listed>, line: &[u8], out: &mut Vec<u8>) -> Move {
        if line == b"." {
            if !self.offer.pipelining {
                out.extend_from_slice(b"LIST\r\n");
            }
            return self.read(State::ExpectList(listed));
        }
        let last = listed.last().map_or(0, |last| last.number);
        match reply::listing(line) {
            Some((number, uidl)) if number > last && listed.len() < MESSAGES_MAX => {
                listed.push(Listed { number, uidl: uidl.to_owned(), size: None });
                self.read(State::ExpectUidlLines(listed))
            }
            Some((number, _)) if number > last => Client::fail(
                self.order.odd(Stage::Listing, &format!("lists more than {MESSAGES_MAX} messages")),
            ),
            _ => {
                let text = format!("said {:?} in its listing", quoted(line));
                Client::fail(self.order.odd(Stage::Listing, &text))
            }
        }
    }

    fn list_line(&mut self, mut listed: Vec<Listed>, mut places: HashMap<u32, usize>, line: &[u8]) -> Move {
        if line == b"." {
            return self.listed(listed);
        }
        // Each line of this listing uses up one of the first.
        let found = reply::listing(line).and_then(|(number, size)| Some((places.remove(&number)?, size)));
        match found {
            Some((place, size)) => {
                if let Some(one) = listed.get_mut(place) {
                    one.size = size.parse().ok();
                }
                self.read(State::ExpectListLines(listed, places))
            }
            None => {
                let text = format!("said {:?} in its second listing", quoted(line));
                Client::fail(self.order.odd(Stage::Listing, &text))
            }
        }
    }

    fn listed(&self, listed: Vec<Listed>) -> Move {
        (State::ExpectStart, Step::Ask(Ask::Listed(listed)))
    }

    /// Asks for what may be asked for now, and says what is awaited.
    fn fetch(&mut self, out: &mut Vec<u8>) -> Move {
        let window = if self.offer.pipelining { WINDOW } else { 1 };
        while self.under_way.len() < window
            && let Some(number) = self.queue.pop_front()
        {
            out.extend_from_slice(format!("RETR {number}\r\n").as_bytes());
            self.under_way.push_back(number);
        }
        // A new wave is asked for before the last one has run out, so that the server never idles.
        if self.queue.is_empty() && !self.dry && self.under_way.len() <= window / 2 {
            return (State::ExpectWave, Step::Ask(Ask::Wave));
        }
        if self.under_way.is_empty() {
            return (State::ExpectDeletions, Step::Ask(Ask::Deletions));
        }
        self.read(State::ExpectRetr)
    }

    fn delete(&mut self, out: &mut Vec<u8>) -> Move {
        let window = if self.offer.pipelining { WINDOW } else { 1 };
        while self.under_way.len() < window
            && let Some(number) = self.queue.pop_front()
        {
            out.extend_from_slice(format!("DELE {number}\r\n").as_bytes());
            self.under_way.push_back(number);
        }
        if self.under_way.is_empty() {
            return self.bye(out);
        }
        self.read(State::ExpectDele)
    }

    fn bye(&self, out: &mut Vec<u8>) -> Move {
        out.extend_from_slice(b"QUIT\r\n");
        self.read(State::ExpectBye)
    }

    fn answer(&mut self, state: State, answer: Answer, out: &mut Vec<u8>) -> Move {
        let stage = stage_of(&state);
        match (state, answer) {
            (_, Answer::Stop(why)) => Client::fail(Failure { stage, verdict: Verdict::Later(why) }),
            (State::ExpectStart, Answer::Noted) => self.fetch(out),
            (State::ExpectStart, _) => self.bye(out),
            (State::ExpectWave, Answer::Numbers(numbers)) => {
                self.dry = numbers.is_empty();
                self.queue.extend(numbers);
                self.fetch(out)
            }
            (State::ExpectWave, _) => {
                self.dry = true;
                self.fetch(out)
            }
            (State::ExpectText(text), _) if text.is_ended() => match self.under_way.pop_front() {
                Some(number) => (State::ExpectEnd, Step::Ask(Ask::End(number))),
                None => (State::Over, Step::Close),
            },
            (State::ExpectText(text), _) => self.read(State::Reading(text)),
            (State::ExpectEnd, _) => self.fetch(out),
            (State::ExpectDeletions, Answer::Numbers(numbers)) => {
                self.queue.extend(numbers);
                self.delete(out)
            }
            (State::ExpectDeletions, _) => self.bye(out),
            (_, _) => (State::Over, Step::Close),
        }
    }

    /// The connection is of no more use.
    fn give_up(&self, state: State, failure: Failure) -> Move {
        match state {
            State::ExpectLast | State::Over => (State::Over, Step::Close),
            _ => Client::fail(failure),
        }
    }

    fn octets(&mut self, octets: &[u8], out: &mut Vec<u8>) -> Turn<Ask> {
        let mut used = 0;
        let mut step = Step::More;
        loop {
            let rest = octets.get(used..).unwrap_or_default();
            let stage = self.stage();
            let state = std::mem::replace(&mut self.state, State::Over);
            if let State::Reading(mut text) = state {
                let mut piece = Vec::new();
                let rest = rest.get(..rest.len().min(PIECE_MAX)).unwrap_or_default();
                let taken = text.scan(rest, Some(&mut piece));
                used += taken;
                if !piece.is_empty() {
                    self.state = State::ExpectText(text);
                    return Turn { used, step: Step::Ask(Ask::Piece(piece)) };
                }
                if text.is_ended()
                    && let Some(number) = self.under_way.pop_front()
                {
                    self.state = State::ExpectEnd;
                    return Turn { used, step: Step::Ask(Ask::End(number)) };
                }
                self.state = State::Reading(text);
                let wait = if taken > 0 { Step::Read(self.order.patience) } else { step };
                return Turn { used, step: wait };
            }
            let (taken, framed) = self.framer.take(rest, LINE_MAX, FLOOD);
            used += taken;
            let (state, next) = match framed {
                Framed::Line(line) => self.line(state, line, out),
                Framed::More => {
                    self.state = state;
                    return Turn { used, step };
                }
                Framed::TooLong | Framed::Flood => {
                    let failure =
                        self.order.odd(stage, &format!("said a line of more than {LINE_MAX} octets"));
                    self.give_up(state, failure)
                }
            };
            self.state = state;
            match next {
                Step::Read(_) | Step::More => step = next,
                // What stands behind the reply to STLS was sent by who knows whom.
                Step::StartTls => return Turn { used: octets.len(), step: next },
                _ => return Turn { used, step: next },
            }
        }
    }
}

/// Where the dialogue stands.
fn stage_of(state: &State) -> Stage {
    match state {
        State::ExpectGreeting => Stage::Greeting,
        State::ExpectCapa | State::ExpectCapabilities(..) => Stage::Capability,
        State::ExpectStls | State::ExpectSecured => Stage::StartTls,
        State::ExpectAuth(_) | State::ExpectUser | State::ExpectPass => Stage::Login,
        State::ExpectUidl
        | State::ExpectUidlLines(_)
        | State::ExpectList(_)
        | State::ExpectListLines(..)
        | State::ExpectStart => Stage::Listing,
        State::ExpectWave
        | State::ExpectRetr
        | State::ExpectText(_)
        | State::Reading(_)
        | State::ExpectEnd => Stage::Messages,
        State::ExpectDeletions | State::ExpectDele => Stage::Deleting,
        State::ExpectBye | State::ExpectLast | State::Over => Stage::Idle,
    }
}

impl Session for Client {
    type Ask = Ask;
    type Answer = Answer;
    type Event = Infallible;
    const OUT_MAX: usize = 8 * 1024;

    fn turn(&mut self, input: Input<'_, Answer, Infallible>, out: &mut Vec<u8>) -> Turn<Ask> {
        if let Input::Octets(octets) = input {
            return self.octets(octets, out);
        }
        let stage = self.stage();
        let state = std::mem::replace(&mut self.state, State::Over);
        let (state, step) = match input {
            Input::Begin => self.read(state),
            Input::Answer(answer) => self.answer(state, answer, out),
            Input::Secured => {
                self.secured = true;
                out.extend_from_slice(b"CAPA\r\n");
                self.read(State::ExpectCapa)
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
