//! The entry of the fuzz target: a hostile client against the session, with what must hold whatever it says.

use super::{
    Answer, Ask, Changes, Code, Event, HEAD, HEADS, Head, Known, Limits, Listed, Measure, Refusal, Row,
    Server, Settings, Snapshot, Status, Tls,
};
use crate::{
    mail::{
        flags::Flags,
        folder::FolderName,
        outline::Outline,
        query::{ModSeq, Uid, UidSet},
    },
    wire::{
        imap::token::announced,
        session::{Input, Session, Step},
    },
};
use std::{ops::Range, sync::Arc, time::UNIX_EPOCH};

/// The most octets of a message here.
const SIZE: u64 = 100_000;

/// Plays a session against `octets`: the first ones choose the settings and how the rest, the client's side, is cut.
/// False when something that must hold did not: responses that are none, questions out of order, messages that differ with
/// the cut of the input, octets left over, or no end.
pub fn fuzz(octets: &[u8]) -> bool {
    let Some(([choice, cut], said)) = octets.split_first_chunk::<2>() else { return true };
    let Some(whole) = play(*choice, said, said.len().max(1)) else { return false };
    let Some(pieces) = play(*choice, said, usize::from(*cut).max(1)) else { return false };
    // When TLS begins, or something happens elsewhere, depends on the cut.
    whole.apart || pieces.apart || whole.messages == pieces.messages
}

/// What came of a conversation.
struct Outcome {
    messages: Vec<Vec<u8>>,
    apart: bool,
}

fn play(choice: u8, said: &[u8], piece: usize) -> Option<Outcome> {
    let bit = |bit: u8| choice >> bit & 1 == 1;
    let settings = Settings {
        hostname: "mail.example.org".to_owned(),
        tls: if bit(0) { Tls::Offered } else { Tls::Standing },
        separator: if bit(1) { '.' } else { '/' },
        limits: Limits::of(SIZE),
    };
    let known = Known { login: bit(2), plaintext_login: bit(3) };
    let mut server = Server::new(Arc::new(settings), known);
    let mut agent = Agent::default();
    let (mut out, mut unread) = (Vec::new(), Vec::new());
    let mut reader = Responses::default();
    let mut client = said.chunks(piece);
    let (mut apart, mut seen, mut turns) = (false, true, 0_usize);
    let mut turn = server.turn(Input::Begin, &mut out);
    for _ in 0..said.len().saturating_mul(200).saturating_add(1000) {
        if turn.used > unread.len() || out.len() > Server::OUT_MAX {
            return None;
        }
        unread.drain(..turn.used);
        if !reader.take(&std::mem::take(&mut out)) {
            return None;
        }
        turns += 1;
        turn = match turn.step {
            Step::Close => {
                return Some(Outcome { messages: agent.messages, apart });
            }
            Step::StartTls => {
                unread.clear();
                apart = true;
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
            // Something happens elsewhere.
            Step::Read(_) | Step::More if bit(4) && turns.is_multiple_of(7) => {
                apart = true;
                seen = false;
                agent.stir();
                let event = if bit(5) && turns.is_multiple_of(3) { Event::Drain } else { Event::Changed };
                server.turn(Input::Event(event), &mut out)
            }
            Step::Read(_) | Step::More => match client.next() {
                Some(more) => {
                    seen = true;
                    unread.extend_from_slice(more);
                    server.turn(Input::Octets(&unread), &mut out)
                }
                None if bit(6) => server.turn(Input::Deadline, &mut out),
                None => server.turn(Input::Eof, &mut out),
            },
        };
    }
    None
}

/// Reads responses: lines that begin as they must, with their literals, in which there is no NUL.
#[derive(Default)]
struct Responses {
    held: Vec<u8>,
}

impl Responses {
    /// False for what is no response.
    fn take(&mut self, octets: &[u8]) -> bool {
        self.held.extend_from_slice(octets);
        let mut from = 0;
        let whole = loop {
            let mut at = from;
            // One response: a line, as long as it announces literals.
            let end = loop {
                let rest = self.held.get(at..).unwrap_or_default();
                let Some(end) = memchr::memmem::find(rest, b"\r\n") else { break None };
                let line = rest.get(..end).unwrap_or_default();
                if line.iter().any(|octet| matches!(octet, 0 | b'\r' | b'\n')) {
                    return false;
                }
                at = at.saturating_add(end).saturating_add(2);
                let Some(literal) = announced(line) else { break Some(at) };
                let length = usize::try_from(literal.octets).unwrap_or(usize::MAX);
                let Some(octets) = self.held.get(at..at.saturating_add(length)) else { break None };
                if octets.contains(&0) {
                    return false;
                }
                at = at.saturating_add(length);
            };
            let Some(end) = end else { break from };
            let response = self.held.get(from..end).unwrap_or_default();
            let first = response.split(|octet| *octet == b' ').next().unwrap_or_default();
            if first.is_empty() || !first.iter().all(u8::is_ascii_graphic) {
                return false;
            }
            from = end;
        };
        self.held.drain(..whole);
        true
    }
}

/// Refuses now and then, has a mailbox in which messages come and go, and knows what may be asked when.
#[derive(Default)]
struct Agent {
    logged_in: bool,
    /// The selected mailbox: whether it may be changed, its messages, the last UID, and what happened unseen.
    selected: Option<Mailbox>,
    open: Option<(u64, Vec<u8>)>,
    messages: Vec<Vec<u8>>,
    asked: u32,
}

struct Mailbox {
    read_only: bool,
    uids: Vec<Uid>,
    last: Uid,
    changed: UidSet,
    vanished: UidSet,
    modseq: u64,
}

impl Agent {
    fn stir(&mut self) {
        let Some(mailbox) = &mut self.selected else { return };
        mailbox.last = mailbox.last.saturating_add(1);
        mailbox.uids.push(mailbox.last);
        mailbox.changed.insert(mailbox.last);
        if mailbox.uids.len().is_multiple_of(3) {
            let gone = mailbox.uids.remove(0);
            mailbox.vanished.insert(gone);
        }
    }

    /// The octets of a message: of many kinds, by its UID.
    fn octets(&self, uid: Uid, range: Range<u64>) -> Option<Vec<u8>> {
        self.selected.as_ref()?.uids.contains(&uid).then_some(())?;
        let text = match uid % 5 {
            0 => b"Subject: zero\r\n\r\n\0\r\n".to_vec(),
            1 => b"From: a@b\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\none\r\n--x\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ntext\r\n--x--\r\n".to_vec(),
            2 => [b"To: a\r\n\r\n".as_slice(), &[b'y'; 70_000]].concat(),
            3 => [b"X-A: b\r\n".repeat(6000).as_slice(), b"Subject: late\r\n\r\nbody".as_slice()].concat(),
            _ => b"no header".to_vec(),
        };
        let at = |place: u64| usize::try_from(place).unwrap_or(usize::MAX).min(text.len());
        Some(text.get(at(range.start)..at(range.end)).unwrap_or_default().to_vec())
    }

    /// `None` to a question out of place.
    fn answer(&mut self, ask: Ask) -> Option<Answer> {
        self.asked = self.asked.wrapping_add(1);
        let no = || Some(Answer::No(Refusal::new(Code::NonExistent, "Not\r\n this one\u{e9}")));
        match &ask {
            Ask::Pause => return Some(Answer::Done),
            Ask::Login { .. } => {}
            // With a login that the listener knows, the first other question is the first of all.
            _ => self.logged_in = true,
        }
        let refuse = self.asked.is_multiple_of(13);
        let here = |agent: &Agent| agent.selected.is_some();
        match ask {
            Ask::Pause => Some(Answer::Done),
            Ask::Login { credentials, .. } => {
                if self.logged_in {
                    return None;
                }
                if credentials.secret.len().is_multiple_of(2) {
                    return no();
                }
                self.logged_in = true;
                Some(Answer::Done)
            }
            Ask::Identify(_) => Some(Answer::Done),
            Ask::Create(_) | Ask::Delete(_) | Ask::Rename { .. } | Ask::Subscribe { .. } if refuse => no(),
            Ask::Create(_) | Ask::Delete(_) | Ask::Rename { .. } | Ask::Subscribe { .. } => {
                Some(Answer::Done)
            }
            Ask::Folders => {
                let listed = |name: &str, exists| Listed {
                    name: FolderName::parse(name, '/').unwrap_or(FolderName::inbox()),
                    exists,
                    subscribed: true,
                };
                Some(Answer::Folders(vec![
                    listed("INBOX", true),
                    listed("a/b.c", true),
                    listed("a b", false),
                ]))
            }
            Ask::Status(_) if refuse => no(),
            Ask::Status(_) => {
                let status = Status { uid_validity: 1, uid_next: 2, messages: 3, unseen: 4, recent: 5 };
                Some(Answer::Status(status))
            }
            Ask::Select { .. } if refuse => {
                self.selected = None;
                no()
            }
            Ask::Select { read_only, .. } => {
                let (changed, vanished) = (UidSet::default(), UidSet::default());
                let uids = vec![1, 2, 3, 5, 8, 13];
                self.selected = Some(Mailbox { read_only, uids, last: 13, changed, vanished, modseq: 1 });
                Some(Answer::Selected(Snapshot {
                    uid_validity: 7,
                    uid_next: 14,
                    modseq: ModSeq(1),
                    uids: [1, 2, 3, 5, 8, 13].into_iter().collect(),
                    recent: UidSet::new([8..=13]),
                    unseen: Some(3),
                    keywords: vec!["$Junk".to_owned()],
                }))
            }
            Ask::Unselect => {
                self.selected = None;
                Some(Answer::Done)
            }
            Ask::Rows { uids, most } => {
                let mailbox = self.selected.as_ref()?;
                let row = |uid: &Uid| {
                    let flags = Flags { seen: uid.is_multiple_of(2), ..Flags::default() };
                    Row { uid: *uid, flags, modseq: ModSeq(1) }
                };
                (!uids.is_empty()).then_some(())?;
                let rows = mailbox.uids.iter().filter(|uid| uids.contains(**uid)).take(most).map(row);
                Some(Answer::Rows(rows.collect()))
            }
            Ask::Measures { uids, most } => {
                let mailbox = self.selected.as_ref()?;
                let there = mailbox.uids.iter().filter(|uid| uids.contains(**uid)).take(most);
                let measure = |uid: &Uid| {
                    let octets = self.octets(*uid, 0..u64::MAX).map_or(0, |octets| octets.len() as u64);
                    Measure { uid: *uid, octets, date: UNIX_EPOCH }
                };
                Some(Answer::Measures(there.map(measure).collect()))
            }
            Ask::Size(uid) => {
                here(self).then_some(())?;
                let octets = self.octets(uid, 0..u64::MAX);
                let measure =
                    |octets: Vec<u8>| Measure { uid, octets: octets.len() as u64, date: UNIX_EPOCH };
                Some(Answer::Measures(octets.into_iter().map(measure).collect()))
            }
            Ask::Heads { uids, most } => {
                let (mut heads, mut sum) = (Vec::new(), 0);
                (here(self) && most <= HEAD).then_some(())?;
                for uid in uids {
                    let octets = self.octets(uid, 0..most as u64);
                    let all = self.octets(uid, 0..u64::MAX).map_or(0, |octets| octets.len());
                    sum += octets.as_ref().map_or(0, Vec::len);
                    heads.push(Head { uid, octets, whole: all <= most });
                    if sum >= HEADS {
                        break;
                    }
                }
                Some(Answer::Heads(heads))
            }
            Ask::Outline(uid) => {
                here(self).then_some(())?;
                let octets = self.octets(uid, 0..u64::MAX);
                Some(Answer::Outline(octets.map(|octets| Box::new(Outline::of(&octets)))))
            }
            Ask::Read { uid, range } => {
                let ok = here(self) && range.end > range.start && range.end - range.start <= HEAD as u64;
                ok.then(|| Answer::Octets(self.octets(uid, range)))
            }
            Ask::Search(_) if refuse => no(),
            Ask::Search(_) | Ask::GoOn if self.asked.is_multiple_of(3) => Some(Answer::Searching),
            Ask::Search(_) | Ask::GoOn => {
                let mailbox = self.selected.as_ref()?;
                Some(Answer::Found(mailbox.uids.iter().copied().collect()))
            }
            Ask::Changes { .. } => {
                let mailbox = self.selected.as_mut()?;
                mailbox.modseq += 1;
                Some(Answer::Changes(Changes {
                    modseq: ModSeq(mailbox.modseq),
                    uid_validity: 7,
                    uid_next: mailbox.last.saturating_add(1),
                    changed: std::mem::take(&mut mailbox.changed),
                    recent: UidSet::default(),
                    vanished: std::mem::take(&mut mailbox.vanished),
                }))
            }
            Ask::Append { .. } if refuse => no(),
            Ask::Append { size, .. } => {
                let ok = self.open.is_none() && size > 0 && size <= SIZE;
                self.open = Some((size, Vec::new()));
                ok.then_some(Answer::Done)
            }
            Ask::Chunk(chunk) => {
                let (size, text) = self.open.as_mut()?;
                text.extend_from_slice(&chunk);
                let ok = !chunk.is_empty() && !chunk.contains(&0) && text.len() as u64 <= *size;
                ok.then_some(Answer::Taken(chunk))
            }
            Ask::End => {
                let (size, text) = self.open.take()?;
                let whole = text.len() as u64 == size;
                self.messages.push(text);
                whole.then_some(Answer::Appended { uid_validity: 7, uid: 99 })
            }
            Ask::Abort => self.open.take().map(|_| Answer::Done),
            Ask::Flag { uids, .. } => {
                let mailbox = self.selected.as_mut()?;
                let ok = !mailbox.read_only && !uids.is_empty();
                mailbox.changed = mailbox.uids.iter().copied().filter(|uid| uids.contains(*uid)).collect();
                ok.then_some(Answer::Done)
            }
            Ask::Copy { .. } | Ask::Move { .. } if refuse => no(),
            Ask::Copy { uids, .. } => {
                here(self).then(|| Answer::Copied { uid_validity: 9, pairs: uids.iter().zip(1..).collect() })
            }
            Ask::Move { uids, .. } => {
                let mailbox = self.selected.as_mut()?;
                if mailbox.read_only {
                    return None;
                }
                let pairs = uids.iter().zip(1..).collect();
                mailbox.uids.retain(|uid| !uids.contains(*uid));
                mailbox.vanished = uids;
                Some(Answer::Copied { uid_validity: 9, pairs })
            }
            Ask::Expunge { .. } => {
                let mailbox = self.selected.as_mut()?;
                if let Some(gone) = mailbox.uids.pop() {
                    mailbox.vanished.insert(gone);
                }
                (!mailbox.read_only).then_some(Answer::Done)
            }
        }
    }
}
