//! DATA: the text of a message goes to the agent in chunks, and its fate comes back. The text of BDAT ([`super::bdat`]) goes
//! the same way.

use super::{
    Answer, Ask, Cx, Server,
    bdat::Chunk,
    mail::accepted,
    state::{Next, State},
    waiting::{ExpectMail, ExpectRcpt, Waiting},
};
use crate::wire::{
    dots::Unstuffer,
    session::Step,
    smtp::{Dialect, command, reply::Reply},
};

/// Waits for the agent to say that a message may come.
pub(super) struct AwaitOpen {
    pub(super) recipients: usize,
    /// It is BDAT that asks.
    pub(super) chunk: Option<Chunk>,
}

/// Waits for octets of the text.
pub(super) struct ExpectBody {
    pub(super) recipients: usize,
    pub(super) text: Unstuffer,
    /// The part of it that comes now, where it is counted.
    pub(super) chunk: Option<Chunk>,
    /// Octets of the message so far.
    pub(super) size: u64,
    /// Octets since a deadline was set.
    since: u64,
    /// Octets that the agent has not got yet.
    pub(super) held: Vec<u8>,
    pub(super) refused: Option<Refused>,
    /// What follows a refusal.
    pub(super) then: Waiting,
}

/// A message that will not be taken: the rest of it is thrown away.
pub(super) struct Refused {
    pub(super) reply: Reply,
    /// Nothing the peer says after that can be trusted.
    pub(super) close: bool,
    /// Octets thrown away.
    pub(super) drained: u64,
}

/// Waits for the agent to take a chunk.
pub(super) struct AwaitChunk(ExpectBody);

/// Waits for the agent's word on the message.
pub(super) struct AwaitOutcome {
    recipients: usize,
}

/// RFC 5321 section 4.2.2; enhanced code RFC 3463 section 3.4.
pub(super) fn too_big(cx: &Cx) -> Reply {
    Reply::new(552, 3, 4, format!("A message may have {} octets", cx.settings.limits.size))
}

/// The message is not as a text must be, and what else comes on this connection is not to be trusted.
pub(super) const BARE: Reply = Reply::fixed(550, 5, 2, "The message holds a bare CR, a bare LF or a NUL");

/// What is said where nobody would get the message. RFC 2033 section 4.2 wants 503 of LMTP; RFC 5321 section 3.3
/// leaves 503 and 554.
pub(super) fn nobody(cx: &Cx) -> Reply {
    match cx.settings.dialect {
        Dialect::Lmtp => Reply::fixed(503, 5, 1, "No valid recipients"),
        _ => Reply::fixed(554, 5, 1, "No valid recipients"),
    }
}

/// RFC 5321 section 4.1.1.4.
pub(super) fn data(waiting: Waiting, cx: &mut Cx, arguments: &str, out: &mut Vec<u8>) -> Next {
    let reply = match (command::nothing(arguments), waiting) {
        (Err(reply), _) => reply,
        (Ok(()), Waiting::Rcpt(ExpectRcpt { recipients: 0 })) => nobody(cx),
        (Ok(()), Waiting::Rcpt(ExpectRcpt { recipients })) => {
            return Next::Turn(State::Open(AwaitOpen { recipients, chunk: None }), Step::Ask(Ask::Open));
        }
        _ => waiting.out_of_place(cx),
    };
    cx.refuse(&reply, waiting.into(), out)
}

impl AwaitOpen {
    pub(super) fn answer(self, cx: &mut Cx, answer: Answer, out: &mut Vec<u8>) -> Option<Next> {
        let reply = accepted(answer, Reply::plain(354, "Go ahead; end with a dot on a line alone"))?;
        let mut body = ExpectBody::new(self.recipients, self.chunk);
        match (reply.code, body.chunk) {
            (354, None) => reply.print(out),
            (354, Some(_)) => {}
            (421, _) | (_, None) => return Some(cx.pass_on(&reply, body.then.into(), out)),
            (_, Some(_)) => body.refused = Some(Refused { reply, close: false, drained: 0 }),
        }
        Some(Next::On(State::Body(body)))
    }
}

impl ExpectBody {
    pub(super) fn new(recipients: usize, chunk: Option<Chunk>) -> ExpectBody {
        ExpectBody {
            recipients,
            text: if chunk.is_some() { Unstuffer::counted() } else { Unstuffer::default() },
            chunk,
            size: 0,
            since: 0,
            held: Vec::new(),
            refused: None,
            then: Waiting::Mail(ExpectMail),
        }
    }

    pub(super) fn octets(mut self, cx: &mut Cx, octets: &[u8], out: &mut Vec<u8>) -> (usize, Next) {
        let room = Server::CHUNK.saturating_sub(self.held.len());
        let room = self.chunk.as_ref().map_or(room, |chunk| chunk.room(room));
        let piece = octets.get(..octets.len().min(room)).unwrap_or(octets);
        let before = self.held.len();
        if self.refused.is_none() {
            self.held.reserve(piece.len());
        }
        let used = self.text.scan(piece, self.refused.is_none().then_some(&mut self.held));
        self.size = self.size.saturating_add((self.held.len() - before) as u64);
        self.since = self.since.saturating_add(used as u64);
        if let Some(chunk) = &mut self.chunk {
            chunk.left = chunk.left.saturating_sub(used as u64);
        }
        if let Some(refused) = &mut self.refused {
            refused.drained = refused.drained.saturating_add(used as u64);
        } else if self.text.fault().is_some() {
            return (used, self.refuse(BARE, true, true));
        } else if self.size > cx.settings.limits.size {
            return (used, self.refuse(too_big(cx), false, true));
        }
        (used, self.go_on(cx, used < octets.len(), out))
    }

    /// From here on the text is thrown away; the agent is told where it still holds what came before.
    pub(super) fn refuse(mut self, reply: Reply, close: bool, tell: bool) -> Next {
        self.held = Vec::new();
        self.refused = Some(Refused { reply, close, drained: 0 });
        match tell {
            true => Next::reset(State::Body(self)),
            false => Next::On(State::Body(self)),
        }
    }

    fn go_on(mut self, cx: &mut Cx, more: bool, out: &mut Vec<u8>) -> Next {
        if self.text.is_ended() || self.chunk.as_ref().is_some_and(|chunk| chunk.left == 0) {
            return self.end(cx, out);
        }
        if self.refused.as_ref().is_some_and(|refused| refused.drained > cx.settings.limits.drain) {
            return self.parting(cx, out);
        }
        if self.held.len() >= Server::CHUNK {
            let chunk = std::mem::take(&mut self.held);
            return Next::Turn(State::Chunk(AwaitChunk(self)), Step::Ask(Ask::Chunk(chunk)));
        }
        if more {
            return Next::On(State::Body(self));
        }
        if std::mem::take(&mut cx.fresh) || self.since >= cx.settings.limits.data_quantum {
            self.since = 0;
            return Next::Turn(State::Body(self), Step::Read(cx.settings.limits.data_wait));
        }
        Next::Turn(State::Body(self), Step::More)
    }

    fn end(self, cx: &mut Cx, out: &mut Vec<u8>) -> Next {
        match &self.refused {
            None if self.chunk.is_some() => self.end_chunk(cx, out),
            None => self.whole(),
            Some(refused) if refused.close => self.parting(cx, out),
            Some(refused) => {
                for _ in 1..self.replies(cx) {
                    refused.reply.print(out);
                }
                cx.refuse(&refused.reply, self.then.into(), out)
            }
        }
    }

    /// The agent has the last word.
    pub(super) fn whole(self) -> Next {
        let recipients = self.recipients;
        Next::Turn(State::Outcome(AwaitOutcome { recipients }), Step::Ask(Ask::End(self.held)))
    }

    /// How often a refusal is said.
    fn replies(&self, cx: &Cx) -> usize {
        match self.chunk {
            Some(Chunk { last: false, .. }) => 1,
            _ => replies(cx, self.recipients),
        }
    }

    /// Gives the refusal and closes.
    fn parting(self, cx: &mut Cx, out: &mut Vec<u8>) -> Next {
        let replies = self.replies(cx);
        match self.refused {
            Some(refused) => {
                for _ in 1..replies {
                    refused.reply.print(out);
                }
                cx.close(&refused.reply, out)
            }
            None => Next::Turn(State::Closed, Step::Close),
        }
    }
}

/// LMTP gives a reply for each recipient (RFC 2033 section 4.2).
fn replies(cx: &Cx, recipients: usize) -> usize {
    if cx.settings.dialect == Dialect::Lmtp { recipients } else { 1 }
}

impl AwaitChunk {
    pub(super) fn answer(mut self, answer: Answer) -> Option<Next> {
        match answer {
            Answer::Taken(mut buffer) => {
                buffer.clear();
                self.0.held = buffer;
                Some(Next::On(State::Body(self.0)))
            }
            Answer::Say(reply) if !reply.is_positive() => {
                let close = reply.code == 421;
                Some(self.0.refuse(reply, close, false))
            }
            _ => None,
        }
    }
}

impl AwaitOutcome {
    pub(super) fn answer(self, cx: &mut Cx, answer: Answer, out: &mut Vec<u8>) -> Option<Next> {
        let wanted = replies(cx, self.recipients);
        let replies = match answer {
            Answer::Yes => vec![Reply::fixed(250, 0, 0, "Ok"); wanted],
            Answer::Say(reply) => vec![reply; wanted],
            Answer::Each(replies) if replies.len() == wanted => replies,
            _ => return None,
        };
        let (last, others) = replies.split_last()?;
        for reply in others {
            reply.print(out);
        }
        if replies.iter().any(Reply::is_positive) {
            cx.forgive();
        }
        Some(cx.pass_on(last, Waiting::Mail(ExpectMail).into(), out))
    }
}
