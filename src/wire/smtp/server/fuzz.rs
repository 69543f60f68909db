//! The entry of the fuzz target: a hostile client against the session, with what must hold whatever it says.

use super::{Answer, Ask, Event, Known, Limits, Logins, Server, Settings, Tls};
use crate::{
    mail::address::{Domain, Forward},
    wire::{
        session::{Input, Session, Step},
        smtp::{
            Dialect,
            reply::{Reply, ReplyReader},
        },
    },
};
use std::sync::Arc;

/// The most octets of a message here.
const SIZE: u64 = 100_000;

/// Plays a session against `octets`: the first ones choose the settings and how the rest, the client's side, is cut.
/// False when something that must hold did not: replies that are none, questions out of order, a message that differs with
/// the cut of the input, octets left over, or no end.
pub fn fuzz(octets: &[u8]) -> bool {
    let Some(([choice, cut], said)) = octets.split_first_chunk::<2>() else { return true };
    let Some(whole) = play(*choice, said, said.len().max(1)) else { return false };
    let Some(pieces) = play(*choice, said, usize::from(*cut).max(1)) else { return false };
    // Who spoke too early in one cut did not in the other.
    whole.apart || pieces.apart || whole.messages == pieces.messages
}

/// What came of a conversation.
struct Outcome {
    messages: Vec<Vec<u8>>,
    /// The cut matters: octets came too early, or a shutdown fell somewhere.
    apart: bool,
}

fn settings(choice: u8) -> (Settings, Known) {
    let dialect = match choice & 3 {
        0 | 1 => Dialect::Smtp,
        2 => Dialect::Submission,
        _ => Dialect::Lmtp,
    };
    let bit = |bit: u8| choice >> bit & 1 == 1;
    let settings = Settings {
        dialect,
        hostname: Domain::Name("mx.example.org".to_owned()),
        tls: if bit(2) { Tls::Offered } else { Tls::Standing },
        logins: if bit(3) { Logins::Offered } else { Logins::None },
        login_required: dialect == Dialect::Submission,
        bare_names: bit(4),
        limits: Limits { recipients: 100, ..Limits::of(dialect, SIZE) },
    };
    let login = bit(5).then(|| "alice".to_owned());
    (settings, Known { login, plaintext_login: bit(6) })
}

fn play(choice: u8, said: &[u8], piece: usize) -> Option<Outcome> {
    let (settings, known) = settings(choice);
    let mut agent = Agent { lmtp: settings.dialect == Dialect::Lmtp, ..Agent::default() };
    let mut server = Server::new(Arc::new(settings), known);
    let mut replies = ReplyReader::default();
    let (mut out, mut unread, mut heard) = (Vec::new(), Vec::new(), Vec::new());
    let mut client = said.chunks(piece);
    let mut apart = false;
    let mut turn = server.turn(Input::Begin, &mut out);
    let mut greeted = false;
    // Octets left unused have been seen.
    let mut seen = true;
    for _ in 0..said.len().saturating_mul(4).saturating_add(100) {
        if turn.used > unread.len() || out.len() > Server::OUT_MAX {
            return None;
        }
        unread.drain(..turn.used);
        heard.append(&mut out);
        loop {
            let (used, reply) = replies.take(&heard);
            heard.drain(..used);
            match reply {
                Some(Ok(reply)) => apart |= reply.code == 554 && reply.text.starts_with("You spoke"),
                Some(Err(_)) => return None,
                None => break,
            }
        }
        turn = match turn.step {
            Step::Close => {
                return heard.is_empty().then_some(Outcome { messages: agent.messages, apart });
            }
            Step::StartTls => {
                unread.clear();
                // TLS would fail at whatever came first; a fuzzer goes on in the clear.
                server.turn(Input::Secured, &mut out)
            }
            Step::Ask(ask) => {
                seen = false;
                server.turn(Input::Answer(agent.answer(ask)?), &mut out)
            }
            Step::Read(_) | Step::More if !greeted => {
                greeted = true;
                server.turn(Input::Deadline, &mut out)
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
                None if choice & 128 != 0 => server.turn(Input::Deadline, &mut out),
                None => server.turn(Input::Eof, &mut out),
            },
        };
        if choice & 64 != 0 && agent.messages.len() == 3 && matches!(turn.step, Step::Read(_) | Step::More) {
            unread.drain(..turn.used.min(unread.len()));
            turn = server.turn(Input::Event(Event::Drain), &mut out);
            // How far it had come by then depends on the cut.
            apart = true;
        }
    }
    None
}

/// Takes nearly everything, and knows what may be asked when.
#[derive(Default)]
struct Agent {
    lmtp: bool,
    /// Recipients of the open transaction.
    open: Option<usize>,
    utf8: bool,
    text: Option<Vec<u8>>,
    messages: Vec<Vec<u8>>,
}

impl Agent {
    /// `None` to a question out of place.
    fn answer(&mut self, ask: Ask) -> Option<Answer> {
        let refuse = || Some(Answer::Say(Reply::fixed(450, 2, 0, "Not this one")));
        match ask {
            Ask::Login { credentials, .. } if credentials.secret.len() % 2 == 0 => refuse(),
            Ask::Login { credentials, .. } => Some(Answer::Login(credentials.login)),
            Ask::Mail { mail, peer } => {
                let sized = mail.size.is_none_or(|size| size <= SIZE);
                let ascii = mail.sender.is_none_or(|sender| sender.is_ascii());
                let ok = self.open.is_none() && !peer.hello.is_empty() && sized && (ascii || mail.utf8);
                self.utf8 = mail.utf8;
                self.open = Some(0);
                ok.then_some(Answer::Yes)
            }
            Ask::Rcpt(rcpt) => {
                if matches!(rcpt.to, Forward::Mailbox(to) if !to.is_ascii() && !self.utf8) {
                    return None;
                }
                let recipients = self.open.as_mut()?;
                *recipients += 1;
                if *recipients % 7 == 0 {
                    *recipients -= 1;
                    return refuse();
                }
                (self.text.is_none() && *recipients <= 100).then_some(Answer::Yes)
            }
            Ask::Open => {
                let ok = self.open? > 0 && self.text.is_none();
                self.text = Some(Vec::new());
                ok.then_some(Answer::Yes)
            }
            Ask::Chunk(chunk) => {
                let text = self.text.as_mut()?;
                text.extend_from_slice(&chunk);
                (!chunk.is_empty() && text.len() as u64 <= SIZE).then_some(Answer::Taken(chunk))
            }
            Ask::End(last) => {
                let recipients = self.open.take()?;
                let mut text = self.text.take()?;
                text.extend_from_slice(&last);
                let ends =
                    memchr::memchr_iter(b'\n', &text).all(|at| at > 0 && text.get(at - 1) == Some(&b'\r'));
                let crs = memchr::memchr_iter(b'\r', &text).all(|at| text.get(at + 1) == Some(&b'\n'));
                let clean = ends && crs && !text.contains(&0) && (text.is_empty() || text.ends_with(b"\r\n"));
                let ok = clean && text.len() as u64 <= SIZE;
                self.messages.push(text);
                let taken = Reply::fixed(250, 0, 0, "Taken");
                match self.lmtp {
                    true => ok.then(|| Answer::Each(vec![taken; recipients])),
                    false => ok.then_some(Answer::Yes),
                }
            }
            Ask::Reset => {
                self.open.take()?;
                self.text = None;
                Some(Answer::Yes)
            }
        }
    }
}
