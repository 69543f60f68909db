//! The server's side of the control conversation: whole requests go out as questions, the agent's octets are passed on.

use super::{
    super::session::{Input, Session, Step, Turn},
    REQUEST_MAX, Refusal, Request, Response,
};
use std::time::Duration;

/// A silent client is let go.
const PATIENCE: Duration = Duration::from_secs(300);

/// What the session asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Begin to answer a request.
    Begin(Request),
    /// Go on answering the last one.
    More,
}

/// The agent's answer: the next lines, or a part of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Octets for the client, at most [`Session::OUT_MAX`].
    pub octets: Vec<u8>,
    /// More will follow.
    pub more: bool,
}

/// One conversation.
#[derive(Debug, Default)]
pub struct Server(());

impl Server {
    /// Before the first request.
    pub fn new() -> Server {
        Server::default()
    }
}

impl Session for Server {
    type Ask = Question;
    /// `None` where the agent broke down: the client is let go, and knows it.
    type Answer = Option<Answer>;
    type Event = ();

    fn turn(&mut self, input: Input<'_, Option<Answer>, ()>, out: &mut Vec<u8>) -> Turn<Question> {
        let (used, step) = match input {
            Input::Begin | Input::Event(()) | Input::Secured => (0, Step::Read(PATIENCE)),
            Input::Octets(octets) => {
                match octets.iter().take(REQUEST_MAX).position(|&octet| octet == b'\n') {
                    Some(end) => {
                        let line = octets.get(..end).unwrap_or_default();
                        match Request::parse(line) {
                            Some(request) => (end.saturating_add(1), Step::Ask(Question::Begin(request))),
                            None => {
                                out.extend(refusal("no request that I know").print());
                                (end.saturating_add(1), Step::Read(PATIENCE))
                            }
                        }
                    }
                    None if octets.len() >= REQUEST_MAX => {
                        out.extend(refusal("the request is too long").print());
                        (octets.len(), Step::Close)
                    }
                    None => (0, Step::More),
                }
            }
            Input::Answer(Some(answer)) => {
                out.extend_from_slice(&answer.octets);
                (0, if answer.more { Step::Ask(Question::More) } else { Step::Read(PATIENCE) })
            }
            Input::Answer(None) | Input::Eof | Input::Deadline => (0, Step::Close),
        };
        Turn { used, step }
    }
}

fn refusal(text: &str) -> Response {
    Response::Refused { why: Refusal::Request, text: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(text: &[u8]) -> (usize, Step<Question>, String) {
        let mut out = Vec::new();
        let turn = Server::new().turn(Input::Octets(text), &mut out);
        (turn.used, turn.step, String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_whole_line_is_one_question_and_the_next_one_waits() {
        assert!(matches!(say(b"\"li"), (0, Step::More, out) if out.is_empty()));
        let (used, step, _) = say(b"\"list\"\n\"list\"\n");
        assert_eq!(used, 7);
        assert!(matches!(step, Step::Ask(Question::Begin(Request::List))));
    }

    #[test]
    fn an_answer_of_several_parts_is_asked_for_until_it_ends() {
        let mut server = Server::new();
        let mut out = Vec::new();
        let part = |more| Input::Answer(Some(Answer { octets: b"x".to_vec(), more }));
        assert!(matches!(server.turn(part(true), &mut out).step, Step::Ask(Question::More)));
        assert!(matches!(server.turn(part(false), &mut out).step, Step::Read(_)));
        assert_eq!(out, b"xx");
    }

    #[test]
    fn a_client_whose_answer_will_not_come_is_let_go_at_once() {
        let mut out = Vec::new();
        assert!(matches!(Server::new().turn(Input::Answer(None), &mut out).step, Step::Close));
        assert!(out.is_empty());
    }

    #[test]
    fn nonsense_is_refused_and_a_line_without_end_closes() {
        let (used, step, out) = say(b"{\"drop\":\"all\"}\n");
        assert!(used == 15 && matches!(step, Step::Read(_)));
        assert!(out.starts_with("{\"refused\":{\"why\":\"request\""), "{out}");
        let (_, step, out) = say(&[b'x'; REQUEST_MAX]);
        assert!(matches!(step, Step::Close) && out.contains("too long"));
    }
}
