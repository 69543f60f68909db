//! APPEND (RFC 3501 section 6.3.11): the message is a literal that streams to the agent.

use super::{
    Answer, Ask, Code, Cx, HEAD, Refusal,
    folders::mailbox,
    reader::Taken,
    respond::{Command, Outcome},
    state::{Next, State},
    store::{flag_list, try_create},
};
use crate::{
    mail::flags::Flags,
    wire::{
        imap::{
            date, print,
            token::{Announced, Bad, Tokens},
        },
        session::Step,
    },
};

/// Waits for the agent to say that a message may come.
pub(super) struct AwaitBegun {
    command: Command,
    announced: Announced,
}

/// Waits for octets of the message, and then for the end of the command.
pub(super) struct ExpectMessage {
    command: Command,
    /// How many octets are still to come.
    left: u64,
    /// Octets that the agent has not got yet.
    held: Vec<u8>,
    /// Octets since a deadline was set.
    since: u64,
}

/// Waits for the agent to take a chunk.
pub(super) struct AwaitChunk(ExpectMessage);

/// Waits for the message to be durable.
pub(super) struct AwaitAppended {
    command: Command,
}

/// Waits for the message to be forgotten. What still comes of the command is being thrown away, where `draining`.
pub(super) struct AwaitAborted {
    command: Command,
    outcome: Outcome,
    draining: bool,
}

/// What stands before the message.
struct Begun<'a> {
    command: Command,
    arguments: Tokens<'a>,
}

/// ```abnf
/// append = "APPEND" SP mailbox [SP flag-list] [SP date-time] SP literal
/// ```
/// Here it is as a command that has ended without a message: one that [`begun`] did not take.
pub(super) fn append(_: &mut Cx, _: &Command, _: Tokens, _: &mut Vec<u8>) -> Result<Next, Bad> {
    Err(Bad("a mailbox, then perhaps flags in parentheses and a date in quotes, then a message as a literal"))
}

/// The command so far, when it is APPEND.
fn head(text: &[u8]) -> Option<Begun<'_>> {
    let mut arguments = Tokens::new(text);
    let tag = arguments.tag().ok()?.to_owned();
    arguments.space().ok()?;
    if !arguments.keyword("APPEND") {
        return None;
    }
    arguments.space().ok()?;
    Some(Begun { command: Command { tag, name: "APPEND", uid: false, holds: false }, arguments })
}

/// A literal was announced. `None` where it is not an APPEND's message.
pub(super) fn begun(cx: &mut Cx, announced: Announced, out: &mut Vec<u8>) -> Option<Next> {
    if !cx.logged_in {
        return None;
    }
    let Begun { command, mut arguments } = head(cx.reader.text())?;
    // A name that is itself the literal has not come yet.
    let folder = mailbox(cx, &mut arguments).ok()?;
    arguments.space().ok()?;
    let mut flags = Flags::default();
    if arguments.peek() == Some(b'(') {
        flags = flag_list(&mut arguments).ok()?;
        arguments.space().ok()?;
    }
    let mut date = None;
    if arguments.peek() == Some(b'"') {
        date = Some(date::moment(&arguments.quoted().ok()?).ok()?);
        arguments.space().ok()?;
    }
    // What is left is the announcement.
    if arguments.peek() != Some(b'{') || arguments.rest().iter().filter(|octet| **octet == b'{').count() != 1
    {
        return None;
    }
    let size = announced.octets;
    let outcome = match folder {
        Err(outcome) => outcome,
        Ok(_) if size > cx.settings.limits.size => {
            let text = format!("A message may have {} octets", cx.settings.limits.size);
            Outcome::No(Refusal::new(Code::TooBig, text))
        }
        Ok(_) if size == 0 => Outcome::no(Code::Cannot, "There is no empty message"),
        Ok(folder) => {
            let state = AwaitBegun { command, announced };
            return Some(Next::ask(State::Append(state), Ask::Append { folder, flags, date, size }));
        }
    };
    Some(refuse(cx, command, outcome, announced, out))
}

/// Refuses the message: one that was waited with does not come, any other is thrown away.
fn refuse(cx: &mut Cx, command: Command, outcome: Outcome, announced: Announced, out: &mut Vec<u8>) -> Next {
    if announced.waits {
        cx.reader.clear();
        return cx.finish(command, outcome, out);
    }
    drain(cx, command, outcome, announced.octets);
    Next::On(State::Command)
}

/// Throws away what still comes of the command, which ends so.
fn drain(cx: &mut Cx, command: Command, outcome: Outcome, left: u64) {
    cx.reader.refuse(left);
    cx.verdict = Some((command, outcome));
}

impl AwaitBegun {
    pub(super) fn answer(self, cx: &mut Cx, answer: Answer, out: &mut Vec<u8>) -> Option<Next> {
        match answer {
            Answer::Done => {
                cx.reader.clear();
                if self.announced.waits {
                    out.extend_from_slice(b"+ Go ahead\r\n");
                }
                let held = Vec::new();
                let state =
                    ExpectMessage { command: self.command, left: self.announced.octets, held, since: 0 };
                Some(Next::On(State::Message(state)))
            }
            Answer::No(refusal) => Some(refuse(cx, self.command, try_create(refusal), self.announced, out)),
            _ => None,
        }
    }
}

impl ExpectMessage {
    pub(super) fn octets(mut self, cx: &mut Cx, octets: &[u8], out: &mut Vec<u8>) -> (usize, Next) {
        if self.left == 0 {
            return self.tail(cx, octets, out);
        }
        let room = HEAD.saturating_sub(self.held.len()).min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let piece = octets.get(..octets.len().min(room)).unwrap_or(octets);
        self.left = self.left.saturating_sub(piece.len() as u64);
        self.since = self.since.saturating_add(piece.len() as u64);
        // `literal` holds no NUL.
        if memchr::memchr(0, piece).is_some() {
            let outcome = Outcome::no(Code::Cannot, "The message holds a NUL");
            drain(cx, self.command.clone(), outcome.clone(), self.left);
            return (piece.len(), abort(self.command, outcome, true));
        }
        self.held.reserve_exact(room);
        self.held.extend_from_slice(piece);
        if self.held.len() >= HEAD || self.left == 0 {
            let chunk = std::mem::take(&mut self.held);
            return (piece.len(), Next::ask(State::Chunk(AwaitChunk(self)), Ask::Chunk(chunk)));
        }
        (piece.len(), self.wait(cx))
    }

    fn wait(mut self, cx: &mut Cx) -> Next {
        let step = match std::mem::take(&mut cx.fresh) || self.since >= cx.settings.limits.data_quantum {
            true => {
                self.since = 0;
                Step::Read(cx.settings.limits.data_wait)
            }
            false => Step::More,
        };
        Next::Turn(State::Message(self), step)
    }

    /// Nothing but the line end may follow.
    fn tail(self, cx: &mut Cx, octets: &[u8], out: &mut Vec<u8>) -> (usize, Next) {
        let (used, taken) = cx.reader.take(octets, cx.room());
        let outcome = || Outcome::Bad("expected the end of the command behind the message".into());
        let next = match taken {
            Taken::More => self.wait(cx),
            Taken::Whole if cx.reader.text().is_empty() => {
                cx.reader.clear();
                Next::ask(State::Appended(AwaitAppended { command: self.command }), Ask::End)
            }
            Taken::Literal(Announced { octets, waits: false }) => {
                drain(cx, self.command.clone(), outcome(), octets);
                abort(self.command, outcome(), true)
            }
            Taken::Whole | Taken::Literal(_) | Taken::Refused => {
                cx.reader.clear();
                abort(self.command, outcome(), false)
            }
            Taken::Flood => cx.close("That is too much", out),
        };
        (used, next)
    }
}

fn abort(command: Command, outcome: Outcome, draining: bool) -> Next {
    Next::ask(State::Aborted(AwaitAborted { command, outcome, draining }), Ask::Abort)
}

impl AwaitChunk {
    pub(super) fn answer(self, cx: &mut Cx, answer: Answer, _: &mut Vec<u8>) -> Option<Next> {
        let AwaitChunk(mut state) = self;
        match answer {
            Answer::Taken(mut buffer) => {
                buffer.clear();
                state.held = buffer;
                Some(Next::On(State::Message(state)))
            }
            Answer::No(refusal) => {
                drain(cx, state.command, Outcome::No(refusal), state.left);
                Some(Next::On(State::Command))
            }
            _ => None,
        }
    }
}

impl AwaitAborted {
    pub(super) fn answer(self, cx: &mut Cx, answer: Answer, out: &mut Vec<u8>) -> Option<Next> {
        match (answer, self.draining) {
            (Answer::Done | Answer::No(_), true) => Some(Next::On(State::Command)),
            (Answer::Done | Answer::No(_), false) => Some(cx.finish(self.command, self.outcome, out)),
            _ => None,
        }
    }
}

impl AwaitAppended {
    pub(super) fn answer(self, cx: &mut Cx, answer: Answer, out: &mut Vec<u8>) -> Option<Next> {
        let outcome = match answer {
            Answer::Appended { uid_validity, uid } => {
                // RFC 4315 section 3.
                let mut code = b"APPENDUID ".to_vec();
                print::number(u64::from(uid_validity), &mut code);
                code.push(b' ');
                print::number(u64::from(uid), &mut code);
                Outcome::Ok { code: Some(code), text: None }
            }
            Answer::No(refusal) => try_create(refusal),
            _ => return None,
        };
        // It may have come into the selected mailbox.
        cx.stirred = true;
        Some(cx.finish(self.command, outcome, out))
    }
}
