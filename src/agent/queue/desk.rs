//! The daemon's side of `mail-queue`: requests to the spool, lines to the client. Blocking, like the spool.

use crate::{
    mail::{id::QueueId, verdict::Verdict},
    spool::{Entry, Look, Spool, Standing},
    wire::control::{
        self, PIECE_MAX, Recipient, Refusal, Request, Response, Row, State,
        server::{Answer, Question},
    },
};
use std::{
    io::{self, Read},
    time::{Duration, SystemTime},
};

/// Entries that are read before their lines are sent.
const PAGE: usize = 32;
/// Octets that go out in one answer.
const ANSWER_MAX: usize = 48 * 1024;

/// Answers the requests of one client.
pub struct Desk<L: Look> {
    doing: Doing<L::Octets>,
    lines: Vec<u8>,
    sent: usize,
    changed: bool,
}

enum Doing<Octets> {
    Nothing,
    Listing(Option<QueueId>),
    Reading(Octets),
}

impl<L: Look> Default for Desk<L> {
    fn default() -> Desk<L> {
        Desk { doing: Doing::Nothing, lines: Vec::new(), sent: 0, changed: false }
    }
}

impl<L: Look> Desk<L> {
    /// For a new client.
    pub fn new() -> Desk<L> {
        Desk::default()
    }

    /// True once after an answer that made an entry due: the daemon should look.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Answers a question about a spool that can only be looked at; what would change it is refused with `why`.
    pub fn look(&mut self, spool: &L, question: Question, why: &str) -> Answer {
        self.answer_with(spool, question, |_, _, _| Err((Refusal::Temporary, why.to_owned())))
    }

    fn answer_with(
        &mut self,
        spool: &L,
        question: Question,
        change: impl FnOnce(&mut bool, &Request, &QueueId) -> Result<(), Refused>,
    ) -> Answer {
        if let Question::Begin(request) = question {
            self.doing = Doing::Nothing;
            let end = self.begin(spool, &request, change);
            if matches!(self.doing, Doing::Nothing) {
                self.lines.extend(last(end).print());
            }
        }
        while self.lines.len().saturating_sub(self.sent) < ANSWER_MAX && self.go_on(spool) {}
        let end = self.sent.saturating_add(ANSWER_MAX).min(self.lines.len());
        let octets = self.lines.get(self.sent..end).unwrap_or_default().to_vec();
        self.sent = end;
        if self.sent == self.lines.len() {
            self.lines.clear();
            self.sent = 0;
        }
        let more = !self.lines.is_empty() || !matches!(self.doing, Doing::Nothing);
        Answer { octets, more }
    }

    fn begin(
        &mut self,
        spool: &L,
        request: &Request,
        change: impl FnOnce(&mut bool, &Request, &QueueId) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        let id = |of: &control::Of| {
            let odd = || (Refusal::Missing, format!("{}: no queue id", of.id.escape_debug()));
            QueueId::parse(&of.id).ok_or_else(odd)
        };
        match request {
            Request::List => self.doing = Doing::Listing(None),
            Request::Show(of) => {
                let entry = spool.entry(&id(of)?).map_err(|fault| fault_of(&fault))?;
                self.lines.extend(Response::Entry(row(&entry)).print());
            }
            Request::Read(of) => {
                let octets = spool.read(&id(of)?, 0..u64::MAX).map_err(|fault| fault_of(&fault))?;
                self.doing = Doing::Reading(octets);
            }
            Request::Retry(of) | Request::Hold(of) | Request::Release(of) | Request::Remove(of) => {
                change(&mut self.changed, request, &id(of)?)?;
            }
        }
        Ok(())
    }

    /// Makes the next lines of an answer that has many. False when there are none.
    fn go_on(&mut self, spool: &L) -> bool {
        let end = match &mut self.doing {
            Doing::Nothing => return false,
            Doing::Listing(after) => match spool.list(after.as_ref(), PAGE) {
                Ok(entries) => {
                    for entry in &entries {
                        self.lines.extend(Response::Entry(row(entry)).print());
                    }
                    match entries.last() {
                        Some(last) => {
                            *after = Some(last.id.clone());
                            return true;
                        }
                        None => Ok(()),
                    }
                }
                Err(fault) => Err(fault_of(&fault)),
            },
            Doing::Reading(octets) => {
                let mut piece = Vec::with_capacity(PIECE_MAX);
                match octets.by_ref().take(PIECE_MAX as u64).read_to_end(&mut piece) {
                    Ok(0) => Ok(()),
                    Ok(_) => {
                        self.lines.extend(Response::octets(&piece).print());
                        return true;
                    }
                    Err(fault) => Err(fault_of(&fault)),
                }
            }
        };
        self.lines.extend(last(end).print());
        self.doing = Doing::Nothing;
        false
    }
}

impl<S: Spool> Desk<S> {
    /// Answers a question; `now` is when a retried or released message is due.
    pub fn answer(&mut self, spool: &S, question: Question, now: SystemTime) -> Answer {
        self.answer_with(spool, question, |changed, request, id| {
            let done = match request {
                Request::Hold(_) => spool.hold(id),
                Request::Remove(_) => spool.remove(id),
                Request::Retry(_) | Request::Release(_) => {
                    let entry = spool.entry(id).map_err(|fault| fault_of(&fault))?;
                    let held = entry.due.is_none();
                    match (request, held) {
                        (Request::Retry(_), true) => {
                            return Err((Refusal::State, format!("{id}: it is held; release it")));
                        }
                        (Request::Release(_), false) => {
                            return Err((Refusal::State, format!("{id}: it is not held")));
                        }
                        _ => *changed = true,
                    }
                    spool.release(id, now)
                }
                Request::List | Request::Show(_) | Request::Read(_) => Ok(()),
            };
            done.map_err(|fault| fault_of(&fault))
        })
    }
}

type Refused = (Refusal, String);

/// The line that ends an answer.
fn last(end: Result<(), Refused>) -> Response {
    match end {
        Ok(()) => Response::Done,
        Err((why, text)) => Response::Refused { why, text },
    }
}

fn fault_of(fault: &io::Error) -> Refused {
    let why = match fault.kind() {
        io::ErrorKind::NotFound => Refusal::Missing,
        io::ErrorKind::ResourceBusy => Refusal::Busy,
        io::ErrorKind::InvalidData => Refusal::Damaged,
        _ => Refusal::Temporary,
    };
    (why, fault.to_string())
}

fn row(entry: &Entry) -> Row {
    let seconds = |time: SystemTime| {
        time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since: Duration| since.as_secs())
    };
    let recipients = entry.envelope.recipients.iter().zip(&entry.standing).map(|(recipient, standing)| {
        let (word, tries, verdict) = match standing {
            Standing::Waiting { tries, why } => {
                (control::Standing::Waiting, Some(*tries), why.clone().map(Verdict::Later))
            }
            Standing::Done => (control::Standing::Done, None, None),
            Standing::Failed(why) => (control::Standing::Failed, None, Some(Verdict::Never(why.clone()))),
        };
        Recipient {
            mailbox: recipient.mailbox.to_string(),
            original: recipient.original.as_ref().map(ToString::to_string),
            standing: word,
            tries,
            status: verdict.as_ref().map(|verdict| verdict.code().to_string()),
            text: verdict.and_then(|verdict| match verdict {
                Verdict::Later(why) | Verdict::Never(why) => Some(why.text),
                Verdict::Done => None,
            }),
        }
    });
    Row {
        id: entry.id.to_string(),
        state: if entry.due.is_none() { State::Held } else { State::Waiting },
        arrived: seconds(entry.arrived),
        due: entry.due.map(seconds),
        size: entry.size,
        sender: entry.envelope.sender.as_ref().map(ToString::to_string),
        login: entry.envelope.login.clone(),
        recipients: recipients.collect(),
    }
}

#[cfg(test)]
mod tests;
