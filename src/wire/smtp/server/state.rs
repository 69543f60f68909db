//! The states, and what each makes of an input.

use super::{Answer, Ask, Cx, Event, auth, body, hello, mail, waiting::Waiting};
use crate::wire::{
    session::{Input, Step},
    smtp::reply::Reply,
};

/// What is waited for.
pub(super) enum State {
    /// A silence, before the greeting.
    Silence(hello::ExpectSilence),
    /// A command.
    Command(Waiting),
    /// The handshake of STARTTLS.
    Tls(hello::ExpectTls),
    /// A line of a login.
    Response(auth::ExpectResponse),
    /// Whether a login is good.
    Login(auth::AwaitLogin),
    /// Whether a sender is welcome.
    Mail(mail::AwaitMail),
    /// Whether a recipient is.
    Rcpt(mail::AwaitRcpt),
    /// Whether a message may come.
    Open(body::AwaitOpen),
    /// The text of a message.
    Body(body::ExpectBody),
    /// Whether a piece of it was taken.
    Chunk(body::AwaitChunk),
    /// What becomes of the message.
    Outcome(body::AwaitOutcome),
    /// That a transaction is gone. Then comes the other state.
    Reset(Box<State>),
    /// Nothing more.
    Closed,
}

/// What follows.
pub(super) enum Next {
    /// The state looks at what octets there are.
    On(State),
    /// The driver is to do this.
    Turn(State, Step<Ask>),
}

impl Next {
    /// The agent drops the transaction first.
    pub(super) fn reset(then: State) -> Next {
        Next::Turn(State::Reset(Box::new(then)), Step::Ask(Ask::Reset))
    }
}

const DEADLINE: Reply = Reply::fixed(421, 4, 2, "Too slow");
const DRAINING: Reply = Reply::fixed(421, 3, 2, "Going down for a while; come back later");
/// An agent that does not answer what it was asked.
const CONFUSED: Reply = Reply::fixed(421, 3, 0, "Local fault; come back later");

impl State {
    /// Takes octets: how many, and what follows.
    pub(super) fn octets(self, cx: &mut Cx, octets: &[u8], out: &mut Vec<u8>) -> (usize, Next) {
        match self {
            State::Silence(state) => state.octets(cx, octets, out),
            // A message of which a part has come is finished.
            State::Command(state @ Waiting::More(_)) => state.octets(cx, octets, out),
            State::Command(_) | State::Response(_) if cx.draining => (0, cx.close(&DRAINING, out)),
            State::Command(state) => state.octets(cx, octets, out),
            State::Response(state) => state.octets(cx, octets, out),
            State::Body(state) => state.octets(cx, octets, out),
            // A driver gives no octets to the others.
            _ => (0, Next::Turn(State::Closed, Step::Close)),
        }
    }

    /// Takes anything else.
    pub(super) fn other(self, cx: &mut Cx, input: Input<'_, Answer, Event>, out: &mut Vec<u8>) -> Next {
        match (input, self) {
            (Input::Begin, _) => hello::begin(cx),
            (Input::Deadline, State::Silence(_)) => hello::greet(cx, out),
            (Input::Deadline, _) => cx.close(&DEADLINE, out),
            (Input::Event(Event::Drain), state) => {
                cx.draining = true;
                match state {
                    State::Command(Waiting::More(_)) => Next::Turn(state, Step::More),
                    State::Command(_) | State::Response(_) | State::Silence(_) => cx.close(&DRAINING, out),
                    state => Next::Turn(state, Step::More),
                }
            }
            (Input::Secured, State::Tls(state)) => state.secured(cx),
            (Input::Answer(answer), state) => {
                // The agent's time is not the peer's.
                cx.fresh = true;
                let next = match (state, answer) {
                    (State::Reset(then), _) => Some(Next::On(*then)),
                    (State::Login(state), answer) => state.answer(cx, answer, out),
                    (State::Mail(state), answer) => state.answer(cx, answer, out),
                    (State::Rcpt(state), answer) => state.answer(cx, answer, out),
                    (State::Open(state), answer) => state.answer(cx, answer, out),
                    (State::Chunk(state), answer) => state.answer(answer),
                    (State::Outcome(state), answer) => state.answer(cx, answer, out),
                    _ => None,
                };
                next.unwrap_or_else(|| cx.close(&CONFUSED, out))
            }
            _ => Next::Turn(State::Closed, Step::Close),
        }
    }
}
