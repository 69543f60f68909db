//! The entry of the fuzz target: a hostile client against the session, with what must hold whatever it says.

use super::{Answer, Ask, Code, Event, Known, Limits, Server, Settings, Tls};
use crate::wire::{
    pop3::reply::Reply,
    session::{Input, Session, Step},
};
use std::sync::Arc;

/// The messages here: texts whose dots and ends need care.
const MESSAGES: [&[u8]; 5] = [
    b"Subject: one\r\n\r\n.\r\n..\r\nend\r\n",
    b"Subject: two\r\n\r\nno end",
    b"",
    b".\r\n",
    b"A: b\r\n\r\nx\0y\r\n",
];

/// Plays a session against `octets`: the first ones choose the settings and how the rest, the client's side, is cut.
/// False when something that must hold did not: lines that end otherwise than in CR LF, questions out of order, removals that were not
/// asked for, replies that differ with the cut of the input, or no end.
pub fn fuzz(octets: &[u8]) -> bool {
    let Some(([choice, cut], said)) = octets.split_first_chunk::<2>() else { return true };
    let Some(whole) = play(*choice, said, said.len().max(1)) else { return false };
    let Some(pieces) = play(*choice, said, usize::from(*cut).max(1)) else { return false };
    // What is thrown away before TLS stands depends on the cut.
    whole.apart || pieces.apart || (whole.heard == pieces.heard && whole.removed == pieces.removed)
}

/// What came of a conversation.
struct Outcome {
    heard: Vec<u8>,
    removed: Option<Vec<u32>>,
    apart: bool,
}

fn play(choice: u8, said: &[u8], piece: usize) -> Option<Outcome> {
    let bit = |bit: u8| choice >> bit & 1 == 1;
    let settings = Settings {
        hostname: "mx.example.org".to_owned(),
        tls: if bit(0) { Tls::Offered } else { Tls::Standing },
        limits: Limits::default(),
    };
    let mut server = Server::new(Arc::new(settings), Known { plaintext_login: bit(1) });
    let mut agent = Agent { many: bit(2), ..Agent::default() };
    let (mut out, mut unread, mut heard) = (Vec::new(), Vec::new(), Vec::new());
    let mut client = said.chunks(piece);
    // When an endless line is given up depends on the cut, too.
    let mut apart = said.len() > 16 * 1024;
    let mut turn = server.turn(Input::Begin, &mut out);
    let mut seen = true;
    for _ in 0..said.len().saturating_mul(8).saturating_add(100) {
        if turn.used > unread.len() || out.len() > Server::OUT_MAX {
            return None;
        }
        unread.drain(..turn.used);
        heard.append(&mut out);
        turn = match turn.step {
            Step::Close => {
                let ends = memchr::memchr_iter(b'\n', &heard)
                    .all(|at| at.checked_sub(1).and_then(|before| heard.get(before)) == Some(&b'\r'));
                let whole = heard.ends_with(b"\r\n") && ends && !heard.contains(&0);
                return whole.then_some(Outcome { heard, removed: agent.removed, apart });
            }
            Step::StartTls => {
                apart = true;
                unread.clear();
                server.turn(Input::Secured, &mut out)
            }
            Step::Ask(ask) => {
                seen = false;
                server.turn(Input::Answer(agent.answer(ask)?), &mut out)
            }
            Step::Read(_) | Step::More if !seen && !unread.is_empty() => {
                seen = true;
                server.turn(Input::Octets(&unread), &mut out)
            }
            Step::Read(_) | Step::More if unread.len() > Server::IN_MAX => return None,
            Step::Read(_) | Step::More => match client.next() {
                Some(more) => {
                    seen = true;
                    unread.extend_from_slice(more);
                    server.turn(Input::Octets(&unread), &mut out)
                }
                None if bit(3) => server.turn(Input::Deadline, &mut out),
                None if bit(4) => server.turn(Input::Event(Event::Drain), &mut out),
                None => server.turn(Input::Eof, &mut out),
            },
        };
    }
    None
}

/// Knows what may be asked when.
#[derive(Default)]
struct Agent {
    /// A maildrop whose listings take more than one turn.
    many: bool,
    open: bool,
    /// The message being read, and how much of it was.
    reading: Option<(usize, usize)>,
    removed: Option<Vec<u32>>,
}

impl Agent {
    fn count(&self) -> u32 {
        if self.many { 1203 } else { 5 }
    }

    fn text(number: usize) -> &'static [u8] {
        MESSAGES.get(number % MESSAGES.len()).copied().unwrap_or_default()
    }

    /// `None` to a question out of place.
    fn answer(&mut self, ask: Ask) -> Option<Answer> {
        if !matches!(ask, Ask::Login { .. } | Ask::Room) && !self.open {
            return None;
        }
        if self.removed.is_some() {
            return None;
        }
        match ask {
            Ask::Login { .. } if self.open => None,
            Ask::Login { credentials, .. } if credentials.secret.len() % 2 == 0 => {
                Some(Answer::Refuse(Reply::refused(Code::Auth, "Wrong")))
            }
            Ask::Login { .. } => {
                self.open = true;
                let sizes = (0..self.count()).map(|number| Agent::text(number as usize).len() as u64);
                Some(Answer::Open(sizes.collect()))
            }
            Ask::Names { from, most } => {
                let end = from.saturating_add(most.min(Server::NAMES)).min(self.count().saturating_add(1));
                let ok = (1..=self.count()).contains(&from) && most > 0;
                ok.then(|| Answer::Names((from..end).map(|number| format!("{number:08x}")).collect()))
            }
            Ask::Room => self.reading.is_none().then_some(Answer::Yes),
            Ask::Text(number) => {
                let ok = (1..=self.count()).contains(&number) && self.reading.is_none();
                self.reading = Some((number.checked_sub(1)? as usize, 0));
                ok.then(|| self.next())?
            }
            Ask::More(_) => self.next(),
            Ask::Stop => self.reading.take().map(|_| Answer::Yes),
            Ask::Remove(numbers) => {
                let known = numbers.iter().all(|number| (1..=self.count()).contains(number));
                let sorted = numbers.is_sorted_by(|a, b| a < b);
                let ok = known && sorted;
                self.removed = Some(numbers);
                ok.then_some(Answer::Yes)
            }
        }
    }

    /// A few octets at a time.
    fn next(&mut self) -> Option<Answer> {
        let (number, at) = self.reading?;
        let rest = Agent::text(number).get(at..)?;
        let octets = rest.get(..rest.len().min(4))?.to_vec();
        let last = octets.len() == rest.len();
        self.reading = (!last).then_some((number, at.saturating_add(octets.len())));
        Some(Answer::Text { octets, last })
    }
}
