//! The client's side of the control conversation: requests are sent one behind the other, each line of an answer is
//! shown to the agent.

use super::{
    super::session::{Input, Session, Step, Turn},
    RESPONSE_MAX, Request, Response,
};
use std::time::Duration;

/// How long the server may think. It may wait for a disk.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a conversation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Every request was answered, or the agent had enough.
    Whole,
    /// The server went.
    Gone,
    /// The server was silent too long.
    Silent,
    /// The server said what is none of this conversation.
    Nonsense,
}

/// One conversation.
#[derive(Debug)]
pub struct Client {
    requests: std::vec::IntoIter<Request>,
    asked: Option<Request>,
    line: Vec<u8>,
    end: Option<End>,
}

impl Client {
    /// Will ask these.
    pub fn new(requests: Vec<Request>) -> Client {
        Client { requests: requests.into_iter(), asked: None, line: Vec::new(), end: None }
    }

    /// How it ended.
    pub fn end(&self) -> End {
        self.end.unwrap_or(End::Gone)
    }

    fn close(&mut self, end: End) -> Step<(Request, Response)> {
        self.end = self.end.or(Some(end));
        Step::Close
    }

    fn next(&mut self, out: &mut Vec<u8>) -> Step<(Request, Response)> {
        self.asked = self.requests.next();
        match &self.asked {
            Some(request) => {
                out.extend(request.print());
                Step::Read(PATIENCE)
            }
            None => self.close(End::Whole),
        }
    }

    fn octets(&mut self, octets: &[u8]) -> (usize, Step<(Request, Response)>) {
        let Some(end) = octets.iter().position(|&octet| octet == b'\n') else {
            self.line.extend_from_slice(octets);
            let long = self.line.len() > RESPONSE_MAX;
            return (octets.len(), if long { self.close(End::Nonsense) } else { Step::Read(PATIENCE) });
        };
        self.line.extend_from_slice(octets.get(..end).unwrap_or_default());
        let response = Response::parse(&self.line);
        self.line.clear();
        let used = end.saturating_add(1);
        match (response, &self.asked) {
            (Some(response), Some(request)) => (used, Step::Ask((request.clone(), response))),
            _ => (used, self.close(End::Nonsense)),
        }
    }
}

/// The agent's answer to a line that it was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// It was the last one of its request.
    Last,
    /// There are more.
    More,
    /// Enough: close.
    Enough,
}

impl Session for Client {
    type Ask = (Request, Response);
    type Answer = Shown;
    type Event = ();

    fn turn(&mut self, input: Input<'_, Shown, ()>, out: &mut Vec<u8>) -> Turn<Self::Ask> {
        let (used, step) = match input {
            Input::Begin | Input::Answer(Shown::Last) => (0, self.next(out)),
            Input::Answer(Shown::More) | Input::Event(()) | Input::Secured => (0, Step::Read(PATIENCE)),
            Input::Answer(Shown::Enough) => (0, self.close(End::Whole)),
            Input::Octets(octets) => self.octets(octets),
            Input::Eof => (0, self.close(End::Gone)),
            Input::Deadline => (0, self.close(End::Silent)),
        };
        Turn { used, step }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_go_one_behind_the_other_and_each_line_is_shown() {
        let mut client = Client::new(vec![Request::List, Request::List]);
        let mut out = Vec::new();
        assert!(matches!(client.turn(Input::Begin, &mut out).step, Step::Read(_)));
        let turn = client.turn(Input::Octets(b"{\"octets\""), &mut out);
        assert!(turn.used == 9 && matches!(turn.step, Step::Read(_)));
        let turn = client.turn(Input::Octets(b":\"\"}\n\"done\"\n"), &mut out);
        assert_eq!(turn.used, 5);
        assert!(matches!(turn.step, Step::Ask((Request::List, Response::Octets(_)))));
        assert!(matches!(client.turn(Input::Answer(Shown::More), &mut out).step, Step::Read(_)));
        let turn = client.turn(Input::Octets(b"\"done\"\n"), &mut out);
        assert!(matches!(turn.step, Step::Ask((Request::List, Response::Done))));
        assert_eq!(out, b"\"list\"\n");
        assert!(matches!(client.turn(Input::Answer(Shown::Last), &mut out).step, Step::Read(_)));
        assert_eq!(out, b"\"list\"\n\"list\"\n");
        assert!(matches!(client.turn(Input::Eof, &mut out).step, Step::Close));
        assert_eq!(client.end(), End::Gone);
    }

    #[test]
    fn nonsense_and_silence_end_it() {
        for (input, end) in [
            (Input::Octets(b"220 mx.example.org ESMTP\r\n"), End::Nonsense),
            (Input::Deadline, End::Silent),
            (Input::Answer(Shown::Enough), End::Whole),
        ] {
            let mut client = Client::new(vec![Request::List]);
            client.turn(Input::Begin, &mut Vec::new());
            assert!(matches!(client.turn(input, &mut Vec::new()).step, Step::Close));
            assert_eq!(client.end(), end);
        }
        let mut client = Client::new(vec![Request::List]);
        client.turn(Input::Begin, &mut Vec::new());
        let piece = vec![b'x'; 1 << 20];
        let closed = (0..40)
            .position(|_| matches!(client.turn(Input::Octets(&piece), &mut Vec::new()).step, Step::Close));
        assert_eq!(closed, Some(32));
    }
}
