//! The states, and what each makes of an input.

use super::{Answer, Ask, Cx, Event, auth, list, small, text, waiting::Waiting};
use crate::wire::session::{Input, Step};

/// What is waited for.
pub(super) enum State {
    /// A command.
    Command(Waiting),
    /// The handshake of STLS.
    Tls(small::ExpectTls),
    /// A line of a login.
    Response(auth::ExpectResponse),
    /// Whether a login is good.
    Login(auth::AwaitLogin),
    /// That the peer has read; then a command.
    Room(Waiting),
    /// That the peer has read; then the listing goes on.
    Sizes(list::AwaitRoom),
    /// Unique ids.
    Names(list::AwaitNames),
    /// The text of a message.
    Text(text::AwaitText),
    /// That a text was put away.
    Stop(text::AwaitStop),
    /// That messages were removed.
    Removed(small::AwaitRemoved),
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

/// The end without a word.
pub(super) const fn gone() -> Next {
    Next::Turn(State::Closed, Step::Close)
}

impl State {
    /// Takes octets: how many, and what follows.
    pub(super) fn octets(self, cx: &mut Cx, octets: &[u8], out: &mut Vec<u8>) -> (usize, Next) {
        match self {
            State::Command(state) => state.octets(cx, octets, out),
            State::Response(state) => state.octets(cx, octets, out),
            // A driver gives no octets to the others.
            _ => (0, gone()),
        }
    }

    /// Takes anything else.
    pub(super) fn other(self, cx: &mut Cx, input: Input<'_, Answer, Event>, out: &mut Vec<u8>) -> Next {
        match (input, self) {
            (Input::Begin, _) => small::greet(cx, out),
            (Input::Secured, State::Tls(state)) => state.secured(cx),
            (Input::Answer(answer), state) => {
                // The agent's time is not the peer's.
                cx.fresh = true;
                let next = match (state, answer) {
                    (State::Login(state), answer) => state.answer(cx, answer, out),
                    (State::Room(waiting), Answer::Yes) => Some(Next::On(waiting.into())),
                    (State::Sizes(state), Answer::Yes) => Some(state.go_on(cx, out)),
                    (State::Names(state), answer) => state.answer(cx, answer, out),
                    (State::Text(state), answer) => state.answer(cx, answer, out),
                    (State::Stop(state), Answer::Yes) => Some(state.stopped()),
                    (State::Removed(state), answer) => state.answer(cx, answer, out),
                    _ => None,
                };
                next.unwrap_or_else(gone)
            }
            // The autologout of RFC 1939 section 3 sends nothing and removes nothing; so does the end of the daemon, or a lost peer.
            _ => gone(),
        }
    }
}
