//! The seam between a protocol and whatever drives it: octets, answers, events and deadlines go in, octets and
//! one step come out. A session owns no socket and reads no clock, so that it can be played as a dialogue.

use std::time::Duration;

/// What a driver gives to a session.
#[derive(Debug)]
pub enum Input<'a, Answer, Event> {
    /// The connection stands (for a session that speaks first).
    Begin,
    /// Octets from the peer, possibly none new: those which an earlier turn left unused come first.
    Octets(&'a [u8]),
    /// The peer closed its side.
    Eof,
    /// The agent's answer to the question of [`Step::Ask`].
    Answer(Answer),
    /// TLS is up, as [`Step::StartTls`] wanted.
    Secured,
    /// Something happened elsewhere: new mail, a shutdown.
    Event(Event),
    /// The time of [`Step::Read`] ran out before what it waited for had come.
    Deadline,
}

/// What a session wants next. Whatever it wrote to `out` is sent first (for `Ask`: at the latest then
/// when the driver next waits for the peer, so that replies to a pipelined group leave in one write).
#[derive(Debug)]
pub enum Step<Ask> {
    /// Give me octets (those left unused, if more than was left has come), or `Deadline` after so long. Zero asks
    /// only for what the kernel already holds (whether the peer spoke before it was greeted).
    Read(Duration),
    /// Give me more octets of the same thing: the deadline that the last `Read` set goes on running, so that a
    /// peer which sends an octet a minute gains nothing by it.
    More,
    /// Ask the agent and come back with its answer.
    Ask(Ask),
    /// Send `out`, then begin TLS. Octets received before TLS stood are thrown away, never given to the session.
    StartTls,
    /// Send `out`, then close.
    Close,
}

/// One turn's outcome.
#[derive(Debug)]
pub struct Turn<Ask> {
    /// How many of the given octets were used up. The rest is given again in front of what comes next.
    pub used: usize,
    /// What is wanted next.
    pub step: Step<Ask>,
}

/// A conversation in a protocol, seen from one side.
///
/// Contract: a turn does bounded work, appends at most [`Session::OUT_MAX`] octets to `out`, and never asks for
/// octets while it could act on those it was given. While it reads, it leaves at most [`Session::IN_MAX`] octets unused: a driver's
/// buffer must hold more than that. After `Close` it is not called again. Ends of dialogues are states, not errors.
pub trait Session: Send {
    /// A question to the agent.
    type Ask: Send;
    /// The answer.
    type Answer: Send;
    /// An outside event.
    type Event: Send;
    /// The most octets that one turn appends to `out`.
    const OUT_MAX: usize = 64 * 1024;
    /// The most octets that are left unused when more are asked for.
    const IN_MAX: usize = 16 * 1024;

    /// Takes one input, appends what is to be sent to `out` and says what is wanted next.
    fn turn(&mut self, input: Input<'_, Self::Answer, Self::Event>, out: &mut Vec<u8>) -> Turn<Self::Ask>;
}
