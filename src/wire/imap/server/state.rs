//! The states, and what each makes of an input.

use super::{
    Answer, Ask, Cx, Event, append, fetch, folders, idle, login, search, select, small, store, sync, waiting,
};
use crate::wire::session::{Input, Step};

/// What is waited for.
pub(super) enum State {
    /// A command.
    Command,
    /// The handshake of STARTTLS.
    Tls(login::ExpectTls),
    /// A line of a login.
    Response(login::ExpectResponse),
    /// DONE.
    Idle(idle::ExpectDone),
    /// The octets of a message.
    Message(append::ExpectMessage),
    /// Whether a login is good.
    Login(login::AwaitLogin),
    /// That something is done.
    Done(small::AwaitDone),
    /// The folders.
    Folders(folders::AwaitFolders),
    /// Counts of a folder.
    Status(folders::AwaitStatus),
    /// A folder's messages.
    Selected(select::AwaitSelected),
    /// That deleted messages are gone, and then the selection.
    Closing(select::AwaitClosing),
    /// What happened in the selected folder.
    Sync(sync::Syncing),
    /// What is told of messages.
    Fetch(Box<fetch::Fetching>),
    /// The messages found.
    Found(search::AwaitFound),
    /// That flags are changed.
    Flagged(store::AwaitFlagged),
    /// Where copies are.
    Copied(store::AwaitCopied),
    /// That messages are gone.
    Expunged(store::AwaitExpunged),
    /// Whether a message may come.
    Append(append::AwaitBegun),
    /// Whether a piece of it was taken.
    Chunk(append::AwaitChunk),
    /// What UID it has.
    Appended(append::AwaitAppended),
    /// That it is forgotten.
    Aborted(append::AwaitAborted),
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
    /// Asks the agent.
    pub(super) fn ask(state: State, ask: Ask) -> Next {
        Next::Turn(state, Step::Ask(ask))
    }
}

const DRAINING: &str = "Going down for a while; come back later";

impl State {
    /// Takes octets: how many, and what follows.
    pub(super) fn octets(self, cx: &mut Cx, octets: &[u8], out: &mut Vec<u8>) -> (usize, Next) {
        match self {
            State::Command | State::Response(_) | State::Idle(_) if cx.draining => {
                (0, cx.close(DRAINING, out))
            }
            State::Command => waiting::octets(cx, octets, out),
            State::Response(state) => state.octets(cx, octets, out),
            State::Idle(state) => state.octets(cx, octets, out),
            State::Message(state) => state.octets(cx, octets, out),
            State::Found(state) => (0, state.octets(octets)),
            // A driver gives no octets to the others.
            _ => (0, Next::Turn(State::Closed, Step::Close)),
        }
    }

    /// Takes anything else.
    pub(super) fn other(self, cx: &mut Cx, input: Input<'_, Answer, Event>, out: &mut Vec<u8>) -> Next {
        match (input, self) {
            (Input::Begin, _) => small::greet(cx, out),
            (Input::Deadline, State::Found(state)) => state.go_on(),
            (Input::Eof, State::Found(state)) => state.over(),
            (Input::Deadline, State::Message(_)) => cx.close("Too slow", out),
            (Input::Deadline, _) => cx.close("Nothing was heard for too long", out),
            (Input::Event(Event::Drain), state) => {
                cx.draining = true;
                match state {
                    State::Command | State::Response(_) | State::Idle(_) => cx.close(DRAINING, out),
                    state => Next::Turn(state, Step::More),
                }
            }
            (Input::Event(Event::Changed), state) => {
                cx.stirred = true;
                match state {
                    State::Idle(state) if cx.view.is_some() => sync::begin(cx, sync::Then::Idle(state)),
                    state => Next::Turn(state, Step::More),
                }
            }
            (Input::Secured, State::Tls(state)) => state.secured(cx),
            (Input::Answer(Answer::Bye(_)), State::Fetch(state)) if state.is_within_literal() => {
                Next::Turn(State::Closed, Step::Close)
            }
            (Input::Answer(Answer::Bye(text)), _) => cx.close(&text, out),
            (Input::Answer(answer), state) => {
                // The agent's time is not the peer's.
                cx.fresh = true;
                state.answer(cx, answer, out).unwrap_or_else(|| {
                    // An agent that does not answer what it was asked. What was said may be half of something.
                    Next::Turn(State::Closed, Step::Close)
                })
            }
            _ => Next::Turn(State::Closed, Step::Close),
        }
    }

    fn answer(self, cx: &mut Cx, answer: Answer, out: &mut Vec<u8>) -> Option<Next> {
        match self {
            State::Login(state) => state.answer(cx, answer, out),
            State::Done(state) => state.answer(cx, answer, out),
            State::Folders(state) => state.answer(cx, answer, out),
            State::Status(state) => state.answer(cx, answer, out),
            State::Selected(state) => state.answer(cx, answer, out),
            State::Closing(state) => state.answer(cx, answer, out),
            State::Sync(state) => state.answer(cx, answer, out),
            State::Fetch(state) => state.answer(cx, answer, out),
            State::Found(state) => state.answer(cx, answer, out),
            State::Flagged(state) => state.answer(cx, answer, out),
            State::Copied(state) => state.answer(cx, answer, out),
            State::Expunged(state) => state.answer(cx, answer, out),
            State::Append(state) => state.answer(cx, answer, out),
            State::Chunk(state) => state.answer(cx, answer, out),
            State::Appended(state) => state.answer(cx, answer, out),
            State::Aborted(state) => state.answer(cx, answer, out),
            _ => None,
        }
    }
}
