//! One outgoing connection: the agent of an SMTP client session.

use super::{
    Relay, Settings, blocking,
    lane::{Carried, Job, Lane, Via},
    next_hop::{Host, NextHop, Place},
    settings::Security,
    text::{PIECE, fill},
};
use crate::{
    mail::verdict::{Verdict, Why},
    net::{
        accept::Closing,
        converse::{Agent, Manners, Trouble, converse},
        dial,
        link::{Link, Wire},
        tls::{Connector, Facts, Role, Trust, Unusable},
    },
    spool::Spool,
    store::Store,
    wire::smtp::{
        Dialect,
        client::{Answer, Ask, Client, Failure, Message, Order, Outcome, Patience, Stage, Tls},
    },
};
use std::{
    io,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::time::timeout;

/// How long a connection waits for another message.
const LINGER: Duration = Duration::from_secs(2);
/// Messages over one connection.
const MESSAGES_MAX: usize = 100;
/// How long a host may take to accept a connection.
const DIAL: Duration = Duration::from_secs(30);

/// How the connections to a host ended.
pub(super) struct Ended {
    /// Why no message could be sent over them; `None` when one was taken or refused, or nothing waited any more.
    pub(super) unreachable: Option<Why>,
    /// A job that is for the next host.
    pub(super) aside: Option<Aside>,
    /// It could be connected to.
    pub(super) connected: bool,
}

/// A job that a host put off as a whole: the next one may take it now (RFC 5321 section 5.1).
pub(super) struct Aside {
    job: Job,
    verdicts: Vec<Verdict>,
    via: Via,
}

impl Aside {
    /// No host is left: what the last one said counts.
    pub(super) fn settle(self) {
        let _ = self.job.answer.send(Carried::Tried(self.verdicts, self.via));
    }
}

/// What a carrier is to carry.
pub(super) struct Load {
    /// A job that another host put off; it comes first.
    pub(super) aside: Option<Aside>,
    /// Nothing else: what waits for the destination goes to a better host.
    pub(super) only: bool,
    /// There are hosts behind this one.
    pub(super) more_hosts: bool,
}

/// The agent.
pub(super) struct Carrier<S: Store, Q: Spool> {
    relay: Arc<Relay<S, Q>>,
    lane: Arc<Lane>,
    settings: Arc<Settings>,
    closing: Closing,
    load: Load,
    connected: bool,
    host: String,
    job: Option<Job>,
    text: Text<Q::Octets>,
    sent: usize,
    /// The host offers DSN.
    tells: bool,
    failed: Option<Failure>,
    /// Why there is no TLS.
    handshake: Option<String>,
    /// What was agreed on, under TLS.
    tls: Option<String>,
}

/// The text of the message under way.
enum Text<R> {
    None,
    /// It is small, and here.
    Whole(Vec<u8>),
    /// It is read piece by piece.
    Rest(R),
}

impl<S: Store + 'static, Q: Spool + 'static> Carrier<S, Q> {
    /// For one connection, or two when TLS does not come about.
    pub(super) fn new(
        relay: Arc<Relay<S, Q>>,
        lane: Arc<Lane>,
        settings: Arc<Settings>,
        closing: Closing,
        load: Load,
    ) -> Carrier<S, Q> {
        Carrier {
            relay,
            lane,
            settings,
            closing,
            load,
            connected: false,
            host: String::new(),
            job: None,
            text: Text::None,
            sent: 0,
            tells: false,
            failed: None,
            handshake: None,
            tls: None,
        }
    }

    /// Carries what waits to this host. Where TLS is only a bonus and can't be had, it is done without.
    pub(super) async fn go(mut self, hop: &NextHop, host: &Host) -> Ended {
        self.host.clone_from(&host.name);
        let tls = match host.security {
            None => Tls::IfOffered,
            Some(Security::StartTls) => Tls::Demanded,
            Some(Security::Clear | Security::Implicit) => Tls::AsItIs,
        };
        let talked = match self.connection(hop, host, tls).await {
            Err(failure) if failure.stage == Stage::StartTls && tls == Tls::IfOffered => {
                self.failed = None;
                self.connection(hop, host, Tls::AsItIs).await
            }
            talked => talked,
        };
        let unreachable = talked.err().map(|failure| why(failure.verdict));
        Ended { unreachable, aside: self.load.aside, connected: self.connected }
    }

    async fn connection(&mut self, hop: &NextHop, host: &Host, tls: Tls) -> Result<(), Failure> {
        let lost = |stage, what: String| Failure {
            stage,
            verdict: Verdict::Later(Why::new(4, 1, format!("{}: {what}", host.name))),
        };
        let wire = match &host.place {
            Place::Tcp(addresses) => dial::tcp(addresses, None, DIAL).await.map(Wire::Tcp),
            Place::Unix(path) => dial::unix(path, DIAL).await.map(Wire::Unix),
        };
        let wire = wire.map_err(|fault| lost(Stage::Greeting, fault.to_string()))?;
        self.connected = true;
        let role = match tls {
            Tls::AsItIs if host.security != Some(Security::Implicit) => Role::None,
            _ => {
                let trust =
                    host.security.and(self.settings.smarthost.as_ref()).map(|smarthost| &smarthost.trust);
                let connector = connector(trust);
                let connector = connector.map_err(|fault| lost(Stage::StartTls, fault.to_string()))?;
                Role::Client(connector, host.name.clone())
            }
        };
        let link = match host.security {
            Some(Security::Implicit) => {
                let secured = timeout(Manners::CLIENT.handshake, role.secure(wire)).await;
                let secured = secured.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
                let stream = secured.map_err(|fault| lost(Stage::Greeting, format!("TLS: {fault}")))?;
                self.tls = Some(Facts::of(stream.ssl()).to_string());
                Link::Secure(Box::new(stream))
            }
            _ => Link::Plain(wire),
        };
        let smarthost = self.settings.smarthost.as_ref().filter(|_| *hop == NextHop::Smarthost);
        let mut session = Client::new(Order {
            dialect: smarthost.map_or(Dialect::Smtp, |smarthost| smarthost.dialect),
            name: self.settings.hostname.clone(),
            server: host.name.clone(),
            tls,
            login: smarthost.and_then(|smarthost| smarthost.login.clone()),
            patience: Patience::default(),
        });
        let lane = Arc::clone(&self.lane);
        let _connected = lane.connected();
        let talked = converse(&mut session, self, link, &role, &Manners::CLIENT).await;
        if let Some(job) = self.job.take() {
            // The session always says what became of a message; this is for a session that does not.
            job.give_up(&Verdict::Later(Why::new(3, 0, "a fault in the program")));
        }
        match (self.failed.take(), talked) {
            (Some(failure), _) if self.sent == 0 => match (failure.stage, self.handshake.take()) {
                (Stage::StartTls, Some(fault)) => Err(lost(Stage::StartTls, fault)),
                _ => Err(failure),
            },
            (None, Err(trouble)) if self.sent == 0 => Err(lost(Stage::Greeting, trouble.to_string())),
            _ => Ok(()),
        }
    }

    /// The next message whose text can be had.
    async fn next(&mut self) -> Answer {
        loop {
            if self.closing.is_wanted() || self.sent >= MESSAGES_MAX {
                return Answer::Quit;
            }
            let job = match self.load.aside.take() {
                // It was put off here: the next host is not to wait for what else there is.
                Some(aside) if self.sent > 0 => {
                    self.load.aside = Some(aside);
                    return Answer::Quit;
                }
                Some(aside) => Some(aside.job),
                None if self.load.only => return Answer::Quit,
                None => {
                    let lane = Arc::clone(&self.lane);
                    match lane.pop() {
                        Some(job) => Some(job),
                        None if self.relay.lanes.are_crowded() => None,
                        None => tokio::select! {
                            job = lane.wait(LINGER) => job,
                            () = self.closing.wanted() => None,
                        },
                    }
                }
            };
            let Some(job) = job else { return Answer::Quit };
            match open(&self.relay, &job).await {
                Ok(text) => {
                    let message = Message {
                        sender: job.sender.clone(),
                        recipients: job.recipients.clone(),
                        size: Some(job.size),
                        body: job.body,
                        utf8: job.utf8,
                        ret: job.ret,
                        envid: job.envid.clone(),
                        wishes: job.wishes.clone(),
                        last: self.sent.saturating_add(1) >= MESSAGES_MAX,
                    };
                    (self.text, self.job) = (text, Some(job));
                    self.sent = self.sent.saturating_add(1);
                    return Answer::Message(message);
                }
                Err(why) => {
                    tracing::error!(id = %job.id, why = why.text, "a spooled message could not be read");
                    job.give_up(&Verdict::Later(why));
                }
            }
        }
    }

    /// The next piece of the text.
    async fn piece(&mut self) -> Answer {
        match std::mem::replace(&mut self.text, Text::None) {
            Text::None => Answer::TextEnd,
            Text::Whole(text) => Answer::Text(text),
            Text::Rest(mut reader) => {
                let read = blocking(move || {
                    let mut piece = vec![0; PIECE];
                    let got = fill(&mut reader, &mut piece)?;
                    piece.truncate(got);
                    Ok::<_, io::Error>((reader, piece))
                });
                match read.await {
                    Ok(Ok((_, piece))) if piece.is_empty() => Answer::TextEnd,
                    Ok(Ok((reader, piece))) => {
                        self.text = Text::Rest(reader);
                        Answer::Text(piece)
                    }
                    Ok(Err(fault)) => Answer::TextFault(Why::local("reading the spool", &fault)),
                    Err(why) => Answer::TextFault(why),
                }
            }
        }
    }

    fn outcome(&mut self, outcome: Outcome) {
        self.text = Text::None;
        let Some(mut job) = self.job.take() else { return };
        // A connection that was kept open may have been closed by the other side before it heard of this message.
        if outcome.lost == Some(Stage::Envelope) && self.sent > 1 && !job.again {
            job.again = true;
            self.lane.put_back(job);
            return;
        }
        if outcome.elsewhere && self.load.more_hosts {
            let why = outcome.verdicts.first().cloned().map_or_else(String::new, |verdict| why(verdict).text);
            tracing::info!(id = %job.id, host = self.host, why, "a host put a message off; the next one is asked");
            let via = Via { host: self.host.clone(), ..Via::default() };
            self.load.aside = Some(Aside { job, verdicts: outcome.verdicts, via });
            return;
        }
        if outcome.verdicts.iter().any(Verdict::is_done) {
            self.lane.went_well();
        }
        let (host, tls) = (self.host.clone(), self.tls.clone());
        let via = Via { host, tls, said: outcome.said, tells: self.tells };
        let _ = job.answer.send(Carried::Tried(outcome.verdicts, via));
    }
}

impl<S: Store + 'static, Q: Spool + 'static> Agent<Client> for Carrier<S, Q> {
    async fn answer(&mut self, ask: Ask) -> Answer {
        match ask {
            Ask::Message(offer) => {
                self.tells = offer.dsn;
                self.next().await
            }
            Ask::Text => self.piece().await,
            Ask::Outcome(outcome) => {
                self.outcome(outcome);
                Answer::Noted
            }
            Ask::Failed(failure) => {
                self.failed = Some(failure);
                Answer::Noted
            }
        }
    }

    fn secured(&mut self, facts: &Facts) {
        self.tls = Some(facts.to_string());
    }

    fn trouble(&mut self, trouble: &Trouble) {
        if let Trouble::Tls(fault) = trouble {
            self.handshake = Some(format!("TLS: {fault}"));
        }
        tracing::debug!(host = self.host, %trouble, "a connection was lost");
    }
}

/// The text of a job's message, whole where it is small.
async fn open<S: Store + 'static, Q: Spool + 'static>(
    relay: &Arc<Relay<S, Q>>,
    job: &Job,
) -> Result<Text<Q::Octets>, Why> {
    let (relay, id, size) = (Arc::clone(relay), job.id.clone(), job.size);
    let opened = blocking(move || {
        let mut octets = relay.spool.read(&id, 0..size)?;
        if size > PIECE as u64 {
            return Ok(Text::Rest(octets));
        }
        let mut whole = vec![0; usize::try_from(size).unwrap_or(PIECE)];
        let got = fill(&mut octets, &mut whole)?;
        match got == whole.len() {
            true => Ok(Text::Whole(whole)),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    });
    opened.await?.map_err(|fault| Why::local("reading the spool", &fault))
}

/// A context to connect with: one that trusts so, or anyone. The latter has no state and is made once.
fn connector(trust: Option<&Trust>) -> Result<Connector, Unusable> {
    static ANYONE: OnceLock<Connector> = OnceLock::new();
    if let Some(trust) = trust {
        return Connector::open(trust);
    }
    match ANYONE.get() {
        Some(made) => Ok(made.clone()),
        None => {
            let made = Connector::open(&Trust::Anyone)?;
            Ok(ANYONE.get_or_init(|| made).clone())
        }
    }
}

fn why(verdict: Verdict) -> Why {
    match verdict {
        Verdict::Later(why) | Verdict::Never(why) => why,
        Verdict::Done => Why::new(4, 0, "the connection ended"),
    }
}
