//! Drives a [`Session`] over a stream: the one loop of all programs, servers and clients.
//!
//! What it holds: one buffer of octets read and one of octets to send, both bounded; a peer that does not read is
//! waited for (up to [`Manners::write`] without progress), never buffered for.

use super::{
    link::Link,
    tls::{Facts, Role},
};
use crate::wire::session::{Input, Session, Step, Turn};
use std::{fmt, future::Future, io, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{Instant, sleep_until, timeout, timeout_at},
};

/// Octets to send are flushed at the latest when there are so many.
const FLUSH_AT: usize = 64 * 1024;
/// The first read's room; it grows while reads fill it, so that idle connections stay small.
const ROOM_MIN: usize = 2 * 1024;
/// The largest read.
const ROOM_MAX: usize = 64 * 1024;
/// So much is to be read by a peer that we write to, or all there is, before its deadline begins anew. One octet now
/// and then is no progress.
const PROGRESS: usize = 32 * 1024;
/// No deadline lies farther away.
const WAIT_MAX: Duration = Duration::from_secs(24 * 3600);

/// What answers a session's questions.
pub trait Agent<S: Session>: Send {
    /// Answers a question.
    fn answer(&mut self, ask: S::Ask) -> impl Future<Output = S::Answer> + Send;

    /// Waits for an outside event. It is dropped and called again whenever octets come, and so must lose nothing when dropped.
    fn event(&mut self) -> impl Future<Output = S::Event> + Send {
        std::future::pending()
    }

    /// TLS stands; called before the session hears of it.
    fn secured(&mut self, _facts: &Facts) {}

    /// The connection is lost; called before the session gets [`Input::Eof`].
    fn trouble(&mut self, _trouble: &Trouble) {}
}

/// How a driver behaves towards the peer.
#[derive(Clone, Copy, Debug)]
pub struct Manners {
    /// How long the peer may take to read 32 KiB of what is written, or the rest of it.
    pub write: Duration,
    /// How long a TLS handshake may take.
    pub handshake: Duration,
    /// After the last octets were sent, read on for at most this long, so that the kernel does not throw them away
    /// together with input that nobody read.
    pub linger: Duration,
    /// When writing fails, the session gets what the peer had said before it went, even instead of an answer.
    pub last_words: bool,
}

impl Manners {
    /// A server's (RFC 5321 section 4.5.3.2).
    pub const SERVER: Manners = Manners {
        write: Duration::from_secs(300),
        handshake: Duration::from_secs(30),
        linger: Duration::from_secs(1),
        last_words: false,
    };
    /// A client's.
    pub const CLIENT: Manners = Manners { linger: Duration::ZERO, last_words: true, ..Manners::SERVER };
}

/// Why a connection was lost.
#[derive(Debug)]
pub enum Trouble {
    /// Reading failed.
    Read(io::Error),
    /// Writing failed.
    Write(io::Error),
    /// The peer did not read for so long.
    Stalled(Duration),
    /// No TLS: the handshake failed or was not possible.
    Tls(io::Error),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Read(fault) => write!(f, "reading: {fault}"),
            Trouble::Write(fault) => write!(f, "writing: {fault}"),
            Trouble::Stalled(time) => write!(f, "the peer read nothing for {} s", time.as_secs()),
            Trouble::Tls(fault) => write!(f, "TLS: {fault}"),
        }
    }
}

impl std::error::Error for Trouble {}

/// Lets `session` talk over `link` until it closes or the peer is gone. An `Err` was told to the agent before, and the
/// session was given [`Input::Eof`] for it, so that it could still report.
pub async fn converse<S, A, T>(
    session: &mut S,
    agent: &mut A,
    link: Link<T>,
    role: &Role,
    manners: &Manners,
) -> Result<(), Trouble>
where
    S: Session,
    A: Agent<S>,
    T: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut talk = Talk::new(link, manners);
    let mut turn = session.turn(Input::Begin, &mut talk.out);
    let mut deadline = Instant::now();
    loop {
        talk.use_up(turn.used);
        // Where the connection broke, what the peer said last and the end of it are all that is left to hear.
        let full = talk.out.len() >= FLUSH_AT;
        let step = if full && !talk.flush(agent).await { Step::More } else { turn.step };
        turn = match step {
            Step::Close => return talk.finish(agent).await,
            Step::Ask(ask) => {
                let answer = agent.answer(ask).await;
                talk.seen = false;
                session.turn(Input::Answer(answer), &mut talk.out)
            }
            Step::StartTls => match talk.secure(role, agent).await {
                Some(facts) => {
                    agent.secured(&facts);
                    session.turn(Input::Secured, &mut talk.out)
                }
                None => Turn { used: 0, step: Step::More },
            },
            step @ (Step::Read(_) | Step::More) => {
                if let Step::Read(wait) = step {
                    let now = Instant::now();
                    deadline = now.checked_add(wait.min(WAIT_MAX)).unwrap_or(now);
                }
                let only_look = matches!(step, Step::Read(Duration::ZERO));
                match talk.more(agent, deadline, only_look).await {
                    News::Octets => {
                        let octets = talk.inbox.get(talk.at..).unwrap_or_default();
                        session.turn(Input::Octets(octets), &mut talk.out)
                    }
                    News::Event(event) => session.turn(Input::Event(event), &mut talk.out),
                    News::Deadline => session.turn(Input::Deadline, &mut talk.out),
                    News::Eof => session.turn(Input::Eof, &mut talk.out),
                    News::Nothing => return talk.finish(agent).await,
                }
            }
        };
    }
}

/// What came of waiting.
enum News<Event> {
    Octets,
    Event(Event),
    Deadline,
    Eof,
    /// The session wants to read though it was told of the end.
    Nothing,
}

/// The stream and its two buffers.
struct Talk<'a, T> {
    /// `None` only while and after a handshake fails.
    link: Option<Link<T>>,
    manners: &'a Manners,
    inbox: Vec<u8>,
    /// Octets of `inbox` that are used up.
    at: usize,
    /// True when the session was shown all that is unread, and wants more.
    seen: bool,
    /// How much the next read takes at most.
    room: usize,
    out: Vec<u8>,
    /// Nothing more will come.
    over: bool,
    /// The session knows that.
    told: bool,
    lost: Option<Trouble>,
}

impl<'a, T: AsyncRead + AsyncWrite + Unpin + Send> Talk<'a, T> {
    fn new(link: Link<T>, manners: &'a Manners) -> Self {
        Talk {
            link: Some(link),
            manners,
            inbox: Vec::new(),
            at: 0,
            seen: true,
            room: ROOM_MIN,
            out: Vec::new(),
            over: false,
            told: false,
            lost: None,
        }
    }

    fn unread(&self) -> &[u8] {
        self.inbox.get(self.at..).unwrap_or_default()
    }

    fn use_up(&mut self, used: usize) {
        self.at = self.at.saturating_add(used).min(self.inbox.len());
        if self.at == self.inbox.len() {
            self.inbox.clear();
            self.at = 0;
        }
    }

    /// Waits for something that the session wants to know.
    async fn more<S, A>(&mut self, agent: &mut A, deadline: Instant, only_look: bool) -> News<S::Event>
    where
        S: Session,
        A: Agent<S>,
    {
        if !self.over && (self.seen || self.unread().is_empty()) && self.flush(agent).await {
            if only_look {
                // The reactor hears of octets that the kernel holds when it is next polled.
                tokio::task::yield_now().await;
            }
            self.make_room();
            let Some(link) = self.link.as_mut() else { return News::Nothing };
            let had = self.inbox.len();
            let read = tokio::select! {
                biased;
                read = link.read_buf(&mut self.inbox) => read,
                event = agent.event(), if !only_look => {
                    self.seen = false;
                    return News::Event(event);
                }
                () = std::future::ready(()), if only_look => {
                    self.seen = false;
                    return News::Deadline;
                }
                () = sleep_until(deadline) => {
                    self.seen = false;
                    return News::Deadline;
                }
            };
            match read {
                Ok(0) => self.over = true,
                Ok(count) => {
                    self.seen = false;
                    self.room = match count {
                        full if full >= self.room => (self.room * 4).min(ROOM_MAX),
                        few if few < self.room / 4 => (self.room / 4).max(ROOM_MIN),
                        _ => self.room,
                    };
                }
                Err(fault) => self.lose(agent, Trouble::Read(fault)),
            }
            if self.inbox.len().saturating_sub(had) == 0 && !self.over {
                return News::Nothing;
            }
        }
        if !self.seen && !self.unread().is_empty() {
            self.seen = true;
            News::Octets
        } else if self.over && !self.told {
            self.told = true;
            News::Eof
        } else if only_look && self.flush(agent).await {
            // That nothing is there is an answer, too, as long as the peer listens.
            self.seen = false;
            News::Deadline
        } else {
            News::Nothing
        }
    }

    /// Moves what is unread to the front and makes room for one read; gives memory back when little comes.
    fn make_room(&mut self) {
        if self.inbox.is_empty() && self.inbox.capacity() > 2 * self.room {
            self.inbox = Vec::new();
        }
        if self.out.capacity() > 2 * ROOM_MIN {
            self.out = Vec::new();
        }
        self.inbox.drain(..self.at);
        self.at = 0;
        self.inbox.reserve_exact(self.room);
    }

    /// Sends all of `out`. False when the connection is lost, now or earlier.
    async fn flush<S: Session, A: Agent<S>>(&mut self, agent: &mut A) -> bool {
        let sent = match self.link.as_mut() {
            Some(link) if self.lost.is_none() => send(link, &self.out, self.manners.write).await,
            _ => return false,
        };
        self.out.clear();
        let Err(trouble) = sent else { return true };
        if self.manners.last_words {
            self.hear_last_words().await;
        }
        self.lose(agent, trouble);
        false
    }

    /// A peer that closes while we write may have said why.
    async fn hear_last_words(&mut self) {
        let Some(link) = self.link.as_mut() else { return };
        let until = Instant::now() + Duration::from_secs(1);
        while self.inbox.len() < ROOM_MAX {
            let had = self.inbox.len();
            let read = timeout_at(until, link.read_buf(&mut self.inbox)).await;
            if !matches!(read, Ok(Ok(count)) if count > 0) {
                break;
            }
            self.seen = self.seen && self.inbox.len() == had;
        }
    }

    fn lose<S: Session, A: Agent<S>>(&mut self, agent: &mut A, trouble: Trouble) {
        agent.trouble(&trouble);
        self.lost = Some(trouble);
        self.over = true;
        self.out.clear();
    }

    /// Goes over to TLS. What came before is thrown away.
    async fn secure<S: Session, A: Agent<S>>(&mut self, role: &Role, agent: &mut A) -> Option<Facts> {
        let flushed = self.flush(agent).await;
        self.inbox.clear();
        self.at = 0;
        self.seen = true;
        if !flushed {
            return None;
        }
        let secured = match self.link.take()? {
            Link::Plain(stream) => match timeout(self.manners.handshake, role.secure(stream)).await {
                Ok(secured) => secured,
                Err(_) => Err(slow_handshake()),
            },
            Link::Secure(_) => Err(io::Error::other("already under TLS")),
        };
        match secured {
            Ok(stream) => {
                let facts = Facts::of(stream.ssl());
                self.link = Some(Link::Secure(Box::new(stream)));
                Some(facts)
            }
            Err(fault) => {
                self.lose(agent, Trouble::Tls(fault));
                None
            }
        }
    }

    /// Sends what is left and parts from the peer.
    async fn finish<S: Session, A: Agent<S>>(mut self, agent: &mut A) -> Result<(), Trouble> {
        if self.flush(agent).await
            && let Some(link) = self.link.as_mut()
        {
            let part = async {
                let _ = link.shutdown().await;
                let mut heard = 0;
                let mut scrap = [0; 1024];
                while !self.over && heard < ROOM_MAX {
                    match link.read(&mut scrap).await {
                        Ok(count) if count > 0 => heard += count,
                        _ => break,
                    }
                }
            };
            if !self.manners.linger.is_zero() {
                let _ = timeout(self.manners.linger, part).await;
            }
        }
        self.lost.map_or(Ok(()), Err)
    }
}

/// The fault of a handshake that was not waited for any longer.
pub fn slow_handshake() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the handshake took too long")
}

/// Writes all of `octets`; the peer has so long for each [`PROGRESS`] of them.
async fn send<T: AsyncWrite + Unpin>(link: &mut T, octets: &[u8], patience: Duration) -> Result<(), Trouble> {
    let (mut rest, mut since) = (octets, 0_usize);
    let patient = || Instant::now().checked_add(patience.min(WAIT_MAX)).unwrap_or_else(Instant::now);
    let mut deadline = patient();
    while !rest.is_empty() {
        match timeout_at(deadline, link.write(rest)).await {
            Ok(Ok(0)) => return Err(Trouble::Write(io::ErrorKind::WriteZero.into())),
            Ok(Ok(count)) => {
                rest = rest.get(count..).unwrap_or_default();
                since = since.saturating_add(count);
                if since >= PROGRESS {
                    (since, deadline) = (0, patient());
                }
            }
            Ok(Err(fault)) => return Err(Trouble::Write(fault)),
            Err(_) => return Err(Trouble::Stalled(patience)),
        }
    }
    if octets.is_empty() {
        return Ok(());
    }
    match timeout(patience, link.flush()).await {
        Ok(flushed) => flushed.map_err(Trouble::Write),
        Err(_) => Err(Trouble::Stalled(patience)),
    }
}

#[cfg(test)]
mod tests;
