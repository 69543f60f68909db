//! RETR and TOP: the text comes from the agent in chunks and goes out with its dots doubled.

use super::{
    Answer, Ask, Cx, Server,
    state::{Next, State, gone},
    waiting::{ExpectCommand, Waiting},
};
use crate::wire::{
    pop3::{command, reply::Reply, stuff::Stuffer},
    session::Step,
};
use memchr::memchr;

/// Waits for octets of a message.
pub(super) struct AwaitText {
    /// What is said before the first octet.
    begin: Option<Reply>,
    stuffer: Stuffer,
    top: Option<Top>,
}

/// Waits for the agent to put a message away of which only the top was wanted.
pub(super) struct AwaitStop;

/// RFC 1939 section 5.
pub(super) fn retr(waiting: Waiting, cx: &mut Cx, arguments: &str, out: &mut Vec<u8>) -> Next {
    let Some(maildrop) = &cx.maildrop else { return gone() };
    match command::number(arguments).and_then(|number| Ok((number, maildrop.size(number)?))) {
        Ok((number, octets)) => {
            let text = format!("{octets} octets").into();
            ask(number, Reply { text, ..Reply::ok("") }, None)
        }
        Err(reply) => cx.refuse(&reply, waiting.into(), out),
    }
}

/// RFC 1939 section 7.
pub(super) fn top(waiting: Waiting, cx: &mut Cx, arguments: &str, out: &mut Vec<u8>) -> Next {
    let Some(maildrop) = &cx.maildrop else { return gone() };
    match command::number_and_lines(arguments).and_then(|(number, lines)| {
        maildrop.size(number)?;
        Ok((number, lines))
    }) {
        Ok((number, lines)) => ask(number, Reply::ok("The top"), Some(Top::of(lines))),
        Err(reply) => cx.refuse(&reply, waiting.into(), out),
    }
}

fn ask(number: u32, begin: Reply, top: Option<Top>) -> Next {
    let text = AwaitText { begin: Some(begin), stuffer: Stuffer::default(), top };
    Next::Turn(State::Text(text), Step::Ask(Ask::Text(number)))
}

fn ready() -> State {
    Waiting::Command(ExpectCommand).into()
}

impl AwaitText {
    pub(super) fn answer(mut self, cx: &mut Cx, answer: Answer, out: &mut Vec<u8>) -> Option<Next> {
        let (octets, last) = match answer {
            Answer::Text { octets, last } if octets.len() <= Server::CHUNK => (octets, last),
            Answer::Refuse(reply) if self.begin.is_some() && !reply.is_ok() => {
                return Some(cx.pass_on(&reply, ready(), out));
            }
            // A text that breaks off must not look as if it had ended.
            _ => return None,
        };
        if let Some(reply) = self.begin.take() {
            reply.print(out);
        }
        let (used, done) = match &mut self.top {
            Some(top) => top.take(&octets),
            None => (octets.len(), false),
        };
        self.stuffer.piece(octets.get(..used).unwrap_or_default(), out);
        if !last && !done {
            return Some(Next::Turn(State::Text(self), Step::Ask(Ask::More(octets))));
        }
        self.stuffer.end(out);
        cx.works();
        match last {
            true => Some(Next::On(ready())),
            false => Some(Next::Turn(State::Stop(AwaitStop), Step::Ask(Ask::Stop))),
        }
    }
}

impl AwaitStop {
    pub(super) fn stopped(self) -> Next {
        Next::On(ready())
    }
}

/// Finds the end of a header, its empty line, and so many lines of the body.
struct Top {
    /// Lines of the body still wanted.
    left: u32,
    header: bool,
    /// The line that has begun holds something.
    filled: bool,
}

impl Top {
    fn of(lines: u32) -> Top {
        Top { left: lines, header: true, filled: false }
    }

    /// How many octets of a piece belong to it, and whether that is the end of it.
    fn take(&mut self, piece: &[u8]) -> (usize, bool) {
        let mut from = 0;
        while let Some(rest) = piece.get(from..).filter(|rest| !rest.is_empty()) {
            let end = memchr(b'\n', rest);
            let line = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            self.filled |= !matches!(line, b"" | b"\r");
            let Some(end) = end else { break };
            from = from.saturating_add(end).saturating_add(1);
            match self.header {
                true => self.header = std::mem::take(&mut self.filled),
                false => self.left = self.left.saturating_sub(1),
            }
            if !self.header && self.left == 0 {
                return (from, true);
            }
        }
        (piece.len(), false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_top_is_the_header_and_so_many_lines() {
        let text = b"A: b\r\nC: d\r\n\r\none\r\n\r\nthree\r\n";
        for (lines, top) in [
            (0, "A: b\r\nC: d\r\n\r\n"),
            (1, "A: b\r\nC: d\r\n\r\none\r\n"),
            (2, "A: b\r\nC: d\r\n\r\none\r\n\r\n"),
            (3, "A: b\r\nC: d\r\n\r\none\r\n\r\nthree\r\n"),
            (9, "A: b\r\nC: d\r\n\r\none\r\n\r\nthree\r\n"),
        ] {
            for piece in 1..=text.len() {
                let (mut of, mut got) = (Top::of(lines), Vec::new());
                for part in text.chunks(piece) {
                    let (used, done) = of.take(part);
                    got.extend_from_slice(&part[..used]);
                    if done {
                        break;
                    }
                }
                assert_eq!(String::from_utf8_lossy(&got), top, "{lines} by {piece}");
            }
        }
        assert_eq!(Top::of(0).take(b"\r\nbody\r\n"), (2, true));
        assert_eq!(Top::of(5).take(b"no header ends here"), (19, false));
    }
}
