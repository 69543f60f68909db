//! The client's side of SMTP, submission and LMTP, as a [`Session`]: it greets, goes over to TLS, logs in, and sends one
//! message after another. It is the twin of `wire/smtp/server`.
//!
//! Round trips are saved where the server allows it: MAIL, every RCPT and DATA leave in one write (PIPELINING, RFC 2920), and
//! so do the text's end and QUIT behind the last message. Every reply is read and judged on its own.
//!
//! What it leaves out: CHUNKING is not used; an 8-bit text goes to a server without 8BITMIME as it is.

use super::{
    Dialect,
    reply::{Reply, ReplyReader},
};
use crate::{
    mail::{
        address::Mailbox,
        envelope::{Body, Ret, Wish},
        verdict::{Verdict, Why},
    },
    wire::{
        sasl::Credentials,
        session::{Input, Session, Step, Turn},
    },
};
use std::{convert::Infallible, fmt, time::Duration};

mod flight;
mod fuzz;
mod hello;
mod offer;
mod stuff;

pub use flight::TOO_MANY;
use flight::{Ending, Flight, Next};
pub use fuzz::fuzz;
pub use offer::Offer;
pub use stuff::wire_size;

/// The most octets of one [`Answer::Text`]. They can double on the wire.
pub const TEXT_MAX: usize = 64 * 1024;

/// Whether the connection goes over to TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// It stays as it is: in the clear, or already under TLS (implicit TLS).
    AsItIs,
    /// By STARTTLS where the server offers it (opportunistic, RFC 7435).
    IfOffered,
    /// By STARTTLS, or nothing is sent.
    Demanded,
}

/// How long to wait for replies (RFC 5321 section 4.5.3.2).
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the greeting and the reply to each command.
    pub command: Duration,
    /// For the reply to the end of a message.
    pub end: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { command: Duration::from_secs(300), end: Duration::from_secs(600) }
    }
}

/// What a session is to be.
#[derive(Clone, Debug)]
pub struct Order {
    /// What is spoken.
    pub dialect: Dialect,
    /// Our own name, for EHLO and LHLO. Octets that may not stand there are left out.
    pub name: String,
    /// The server's name, for what people are told.
    pub server: String,
    /// Whether to go over to TLS.
    pub tls: Tls,
    /// Who logs in. Without the server's offer of a login nothing is sent.
    pub login: Option<Credentials>,
    /// How long to wait.
    pub patience: Patience,
}

/// One message's envelope.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// The reverse-path; `None` is the null sender.
    pub sender: Option<Mailbox>,
    /// The recipients. More than a server takes at once come back as `Later`.
    pub recipients: Vec<Mailbox>,
    /// The text's octets with CR LF line ends ([`wire_size`]), where known.
    pub size: Option<u64>,
    /// What stands in the text.
    pub body: Body,
    /// The sender's address or the header holds letters beyond ASCII: without SMTPUTF8 (RFC 6531) it can't go there. Of a
    /// recipient's address that is seen.
    pub utf8: bool,
    /// What a report is to bring back, the message's name, and of what the sender wants to hear about each recipient, in their
    /// order; all are said only where DSN (RFC 3461) is offered.
    pub ret: Option<Ret>,
    /// See [`Message::ret`].
    pub envid: Option<String>,
    /// See [`Message::ret`].
    pub wishes: Vec<Wish>,
    /// True when no other message follows on this connection.
    pub last: bool,
}

/// A step of the dialogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The server's greeting.
    Greeting,
    /// EHLO, LHLO or HELO.
    Hello,
    /// STARTTLS and the handshake.
    StartTls,
    /// AUTH.
    Login,
    /// RSET, MAIL and what follows up to the text.
    Envelope,
    /// The text.
    Text,
    /// The reply to the end of the text. What was lost here may have arrived.
    End,
    /// Between messages and at QUIT.
    Idle,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Greeting => "before the greeting",
            Stage::Hello => "after EHLO",
            Stage::StartTls => "after STARTTLS",
            Stage::Login => "during the login",
            Stage::Envelope => "during the envelope",
            Stage::Text => "while the message was sent",
            Stage::End => "after the end of the message",
            Stage::Idle => "between two messages",
        })
    }
}

/// Why no message could be sent at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Where the dialogue stood.
    pub stage: Stage,
    /// `Never` where the server said so for good. (A caller that can go elsewhere may think otherwise of it: a refused
    /// login or greeting says nothing of the message.)
    pub verdict: Verdict,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// One verdict a recipient, in their order.
    pub verdicts: Vec<Verdict>,
    /// What the server said when it took the message, on one line.
    pub said: Option<String>,
    /// Where the connection was lost, if it was: no other message can go this way.
    pub lost: Option<Stage>,
    /// It was put off as a whole before its end was sent: by a 4xx to MAIL or DATA, a 421, or the loss of the
    /// connection. Another host of the same destination may take it now (RFC 5321 section 5.1).
    pub elsewhere: bool,
}

/// What the session asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Which message goes next? Answered by [`Answer::Message`] or [`Answer::Quit`]. What the server offers is told along.
    Message(Offer),
    /// The next piece of the text. Answered by [`Answer::Text`], [`Answer::TextEnd`] or [`Answer::TextFault`].
    Text,
    /// Takes note of what became of the message. Answered by [`Answer::Noted`].
    Outcome(Outcome),
    /// Takes note that no message was asked for, or none will be any more. Answered by [`Answer::Noted`]; the session then closes.
    Failed(Failure),
}

/// An answer.
#[derive(Debug)]
pub enum Answer {
    /// This one.
    Message(Message),
    /// None: say goodbye.
    Quit,
    /// Octets of the text, at most [`TEXT_MAX`], with line ends of any kind.
    Text(Vec<u8>),
    /// The text is whole.
    TextEnd,
    /// The text can't be read. The connection is dropped, so that nobody takes half of it for a message.
    TextFault(Why),
    /// Heard.
    Noted,
}

/// The session.
#[derive(Debug)]
pub struct Client {
    order: Order,
    reader: ReplyReader,
    offer: Offer,
    /// TLS was begun by us.
    secured: bool,
    /// A message was sent that needs RSET before the next.
    stale: bool,
    state: State,
}

/// What the session waits for.
#[derive(Debug)]
enum State {
    ExpectGreeting,
    ExpectHello,
    /// HELO, since EHLO was not understood.
    ExpectHelo,
    ExpectStartTls,
    ExpectSecured,
    ExpectLogin(hello::Login),
    ExpectMessage,
    ExpectReplies(Flight),
    ExpectText(Ending),
    ExpectEnd(Ending),
    /// The agent takes note; then QUIT's reply is awaited, or the next message asked for, or all is over.
    ExpectNoted(After),
    ExpectBye,
    Over,
}

#[derive(Clone, Copy, Debug)]
enum After {
    /// The next message.
    Message,
    /// The reply to a QUIT that was sent.
    Bye,
    Close,
}

/// What came of an input.
enum Move {
    /// Stay in this state; read on.
    Stay(State),
    /// Go on to this one, with this step.
    Go(State, Step<Ask>),
}

impl Client {
    /// A session that waits for the server's greeting.
    pub fn new(order: Order) -> Client {
        Client {
            order,
            reader: ReplyReader::default(),
            offer: Offer::default(),
            secured: false,
            stale: false,
            state: State::ExpectGreeting,
        }
    }

    fn stage(&self) -> Stage {
        match &self.state {
            State::ExpectGreeting => Stage::Greeting,
            State::ExpectHello | State::ExpectHelo => Stage::Hello,
            State::ExpectStartTls | State::ExpectSecured => Stage::StartTls,
            State::ExpectLogin(_) => Stage::Login,
            State::ExpectReplies(_) => Stage::Envelope,
            State::ExpectText(_) => Stage::Text,
            State::ExpectEnd(_) => Stage::End,
            State::ExpectMessage | State::ExpectNoted(_) | State::ExpectBye | State::Over => Stage::Idle,
        }
    }

    /// Waits for a reply in the given state.
    fn read(&self, state: State) -> Move {
        let patience = match state {
            State::ExpectEnd(_) => self.order.patience.end,
            State::ExpectBye => self.order.patience.command.min(Duration::from_secs(5)),
            _ => self.order.patience.command,
        };
        Move::Go(state, Step::Read(patience))
    }

    /// No message can be sent.
    fn fail(&self, stage: Stage, verdict: Verdict) -> Move {
        Move::Go(State::ExpectNoted(After::Close), Step::Ask(Ask::Failed(Failure { stage, verdict })))
    }

    /// What a reply means, said with the server's name and what was asked.
    fn judged(&self, reply: &Reply, asked: &str) -> Verdict {
        judged(&self.order.server, reply, asked)
    }

    fn next_message(&self) -> Move {
        Move::Go(State::ExpectMessage, Step::Ask(Ask::Message(self.offer.clone())))
    }

    fn reply(&mut self, state: State, reply: Reply, out: &mut Vec<u8>) -> Move {
        match state {
            State::ExpectGreeting => self.greeted(&reply, out),
            State::ExpectHello => self.hello(&reply, out),
            State::ExpectHelo => self.helo(&reply),
            State::ExpectStartTls => self.may_start_tls(&reply, out),
            State::ExpectLogin(login) => self.login(login, &reply, out),
            State::ExpectReplies(flight) => {
                let next = flight.reply(&self.order.server, &reply, out);
                self.follow(next, out)
            }
            // What the server says before it was given all: it will not take it.
            State::ExpectText(ending) => {
                let outcome = ending.early(&self.order.server, &reply);
                self.told(outcome, After::Close)
            }
            State::ExpectEnd(ending) => {
                let next = ending.reply(&self.order.server, &reply);
                self.follow(next, out)
            }
            state @ (State::ExpectBye | State::Over) => Move::Go(state, Step::Close),
            state @ (State::ExpectSecured | State::ExpectMessage | State::ExpectNoted(_)) => {
                Move::Stay(state)
            }
        }
    }

    fn follow(&mut self, next: Next, out: &mut Vec<u8>) -> Move {
        match next {
            Next::Replies(flight) => self.read(State::ExpectReplies(flight)),
            Next::Text(ending) => Move::Go(State::ExpectText(ending), Step::Ask(Ask::Text)),
            Next::End(ending) => self.read(State::ExpectEnd(ending)),
            Next::Over { outcome, last, reset, bye } => {
                self.stale = reset;
                let after = match (outcome.lost.is_some(), bye, last) {
                    (true, ..) => After::Close,
                    (false, true, _) => After::Bye,
                    (false, false, true) => {
                        out.extend_from_slice(b"QUIT\r\n");
                        After::Bye
                    }
                    (false, false, false) => After::Message,
                };
                self.told(outcome, after)
            }
        }
    }

    fn told(&self, outcome: Outcome, after: After) -> Move {
        Move::Go(State::ExpectNoted(after), Step::Ask(Ask::Outcome(outcome)))
    }

    fn answer(&mut self, state: State, answer: Answer, out: &mut Vec<u8>) -> Move {
        match (state, answer) {
            (State::ExpectMessage, Answer::Message(message)) => {
                let stale = std::mem::take(&mut self.stale);
                let next = Flight::begin(&self.order, &self.offer, message, stale, out);
                self.follow(next, out)
            }
            (State::ExpectMessage, _) => {
                out.extend_from_slice(b"QUIT\r\n");
                self.read(State::ExpectBye)
            }
            (State::ExpectText(mut ending), Answer::Text(piece)) => {
                ending.text(&piece, out);
                Move::Go(State::ExpectText(ending), Step::Ask(Ask::Text))
            }
            (State::ExpectText(ending), Answer::TextEnd) => {
                let ending = ending.end(self.offer.pipelining, out);
                self.read(State::ExpectEnd(ending))
            }
            (State::ExpectText(ending), answer) => {
                let why = match answer {
                    Answer::TextFault(why) => why,
                    _ => Why::new(3, 0, "the message was not given"),
                };
                let outcome = ending.lost(Stage::Text, Verdict::Later(why));
                // The fault is ours, and would be with any host.
                self.told(Outcome { elsewhere: false, ..outcome }, After::Close)
            }
            (State::ExpectNoted(After::Message), _) => self.next_message(),
            (State::ExpectNoted(After::Bye), _) => self.read(State::ExpectBye),
            (state, _) => Move::Go(state, Step::Close),
        }
    }

    /// The connection is of no more use, for this reason.
    fn give_up(&self, state: State, stage: Stage, verdict: Verdict) -> Move {
        match state {
            State::ExpectReplies(flight) => self.told(flight.lost(stage, verdict), After::Close),
            State::ExpectText(ending) | State::ExpectEnd(ending) => {
                self.told(ending.lost(stage, verdict), After::Close)
            }
            State::ExpectNoted(_) | State::ExpectBye | State::Over => Move::Go(State::Over, Step::Close),
            _ => self.fail(stage, verdict),
        }
    }

    fn later(&self, detail: u16, text: &str, stage: Stage) -> Verdict {
        Verdict::Later(Why::new(4, detail, format!("{}: {text} {stage}", self.order.server)))
    }

    /// Reads replies from `octets` until one leads to something else than reading on.
    fn octets(&mut self, octets: &[u8], out: &mut Vec<u8>) -> Turn<Ask> {
        let mut used = 0;
        let mut step = Step::More;
        loop {
            let rest = octets.get(used..).unwrap_or_default();
            let (taken, found) = self.reader.take(rest);
            used += taken;
            let stage = self.stage();
            let state = std::mem::replace(&mut self.state, State::Over);
            let moved = match found {
                None => {
                    self.state = state;
                    return Turn { used, step };
                }
                Some(Ok(reply)) => self.reply(state, reply, out),
                Some(Err(bad)) => {
                    let text = format!("{}: {bad} ({stage})", self.order.server);
                    self.give_up(state, stage, Verdict::Later(Why::new(5, 0, text)))
                }
            };
            match moved {
                Move::Stay(state) => self.state = state,
                Move::Go(state, next) => {
                    self.state = state;
                    match next {
                        Step::Read(_) | Step::More => step = next,
                        // What stands behind the reply to STARTTLS was sent by who knows whom.
                        Step::StartTls => return Turn { used: octets.len(), step: next },
                        _ => return Turn { used, step: next },
                    }
                }
            }
        }
    }
}

impl Session for Client {
    type Ask = Ask;
    type Answer = Answer;
    type Event = Infallible;
    const OUT_MAX: usize = 2 * TEXT_MAX + 1024;

    fn turn(&mut self, input: Input<'_, Answer, Infallible>, out: &mut Vec<u8>) -> Turn<Ask> {
        if let Input::Octets(octets) = input {
            return self.octets(octets, out);
        }
        let stage = self.stage();
        let state = std::mem::replace(&mut self.state, State::Over);
        let moved = match input {
            Input::Begin => self.read(state),
            Input::Answer(answer) => self.answer(state, answer, out),
            Input::Secured => self.secured_now(state, out),
            Input::Eof => {
                let verdict = self.later(2, "the connection was lost", stage);
                self.give_up(state, stage, verdict)
            }
            Input::Deadline => {
                let verdict = self.later(2, "no reply in time", stage);
                self.give_up(state, stage, verdict)
            }
            Input::Octets(_) => Move::Stay(state),
            Input::Event(never) => match never {},
        };
        let step = match moved {
            Move::Stay(state) => {
                self.state = state;
                Step::More
            }
            Move::Go(state, step) => {
                self.state = state;
                step
            }
        };
        Turn { used: 0, step }
    }
}

/// What a reply means, with the server's name and what was asked. A 421 is always temporary.
fn judged(server: &str, reply: &Reply, asked: &str) -> Verdict {
    let said = |mut why: Why| {
        why.text = format!("{server} said: {} (in answer to {asked})", why.text);
        why
    };
    match reply.verdict() {
        Verdict::Done => Verdict::Done,
        Verdict::Later(why) => Verdict::Later(said(why)),
        Verdict::Never(why) => Verdict::Never(said(why)),
    }
}

#[cfg(test)]
mod tests;
