//! One connection: answers what the SMTP session asks.

use super::{
    Relay, Settings, blocking, date,
    limits::UserSeat,
    message::{Message, Taken, judge},
    settings::door,
    transaction::Transaction,
};
use crate::{
    account::Account,
    agent::{
        daemon::login::Login,
        route::{
            Fate,
            expand::Leaf,
            hosts,
            may::{self, Origin},
        },
    },
    mail::{
        address::{Domain, Forward, Mailbox},
        id::QueueId,
        trace::{From, Received, Told},
        verdict::{Verdict, Why},
    },
    net::{
        accept::{Closing, Peer as Caller},
        converse::{Agent, Trouble},
        network::Network,
        tls::Facts,
    },
    spool::Spool,
    store::Store,
    sys::random,
    wire::{
        sasl::Credentials,
        smtp::{
            Dialect,
            command::{Mail, Rcpt},
            reply::Reply,
            server::{Answer, Ask, Event, Peer, Server, TOO_MANY_RECIPIENTS},
        },
    },
};
use std::{net::IpAddr, sync::Arc, time::Duration};

/// After so many recipients that were refused, a stranger's further ones are answered late: who tries out names is slow.
const GUESSES: u32 = 10;
/// So late.
const LATE: Duration = Duration::from_secs(1);

/// The agent of one connection.
pub(super) struct Accept<S: Store, Q: Spool> {
    relay: Arc<Relay<S, Q>>,
    settings: Arc<Settings>,
    door: &'static str,
    dialect: Dialect,
    caller: Caller,
    /// What it is called in the log.
    client: String,
    closing: Closing,
    login: Option<(Account, UserSeat)>,
    tls: Option<Facts>,
    transaction: Option<Transaction>,
    message: Option<Message<S, Q>>,
    /// Recipients refused since a message was taken.
    guesses: u32,
}

impl<S: Store + 'static, Q: Spool + 'static> Accept<S, Q> {
    /// For a connection that came through `door`; `client` is what the log calls who is at its other end.
    pub(super) fn new(
        relay: Arc<Relay<S, Q>>,
        settings: Arc<Settings>,
        door: &'static str,
        dialect: Dialect,
        (caller, client): (Caller, String),
        closing: Closing,
    ) -> Accept<S, Q> {
        Accept {
            relay,
            settings,
            door,
            dialect,
            caller,
            client,
            closing,
            login: None,
            tls: None,
            transaction: None,
            message: None,
            guesses: 0,
        }
    }

    fn address(&self) -> Option<IpAddr> {
        match self.caller {
            Caller::Tcp(address) => Some(address.ip()),
            Caller::Unix { .. } | Caller::Stdio => None,
        }
    }

    fn origin(&self) -> Origin {
        let relays = |address| Network::any(&self.settings.relay_from, address);
        match (self.door, &self.login) {
            (door::LMTP, _) => Origin::Lmtp,
            (door::LOCAL, _) => Origin::Trusted,
            (_, Some((account, _))) => Origin::Login(account.clone()),
            (door::SMTP, None) if self.address().is_some_and(relays) => Origin::Trusted,
            _ => Origin::Stranger,
        }
    }

    async fn login(&mut self, credentials: Credentials) -> Answer {
        let directory = Arc::clone(&self.settings.directory);
        let client = (self.address(), self.client());
        match self.relay.limits.login(directory, credentials, client, self.settings.per_user).await {
            Login::Good(account, seat) => {
                let id = account.id.clone();
                self.login = Some((account, seat));
                Answer::Login(id)
            }
            Login::Crowded => Answer::Say(Reply::fixed(421, 7, 0, "Too many connections of this user")),
            Login::Wrong => Answer::Say(Reply::fixed(535, 7, 8, "Wrong login or password")),
            Login::Unknown => {
                Answer::Say(Reply::fixed(454, 7, 0, "Logins cannot be checked now; try again later"))
            }
        }
    }

    async fn mail(&mut self, mail: Mail, peer: Arc<Peer>) -> Answer {
        let Mail { sender, size, body, utf8, ret, envid } = mail;
        self.message = None;
        let origin = self.origin();
        let refusal = match &origin {
            Origin::Login(account) => self.not_theirs(account, sender.as_ref()).await,
            Origin::Stranger => self.unanswerable(sender.as_ref()).await,
            Origin::Trusted | Origin::Lmtp => None,
        };
        if let Some(reply) = refusal {
            self.refused(sender.as_ref(), None, &reply);
            return Answer::Say(reply);
        }
        self.transaction = Some(Transaction {
            origin,
            peer,
            sender,
            size,
            body,
            utf8,
            ret,
            envid,
            recipients: Vec::new(),
            ends: Vec::new(),
            wishes: Vec::new(),
        });
        Answer::Yes
    }

    /// The refusal of a sender that a login may not use.
    async fn not_theirs(&mut self, account: &Account, sender: Option<&Mailbox>) -> Option<Reply> {
        let (settings, account, sender) = (Arc::clone(&self.settings), account.clone(), sender.cloned());
        let allowed = blocking(move || {
            may::send_as(&account, sender.as_ref(), settings.directory.as_ref(), &settings.rules)
        });
        match allowed.await.and_then(|allowed| allowed) {
            Ok(true) => None,
            Ok(false) => Some(Reply::fixed(553, 7, 1, "You may not send as this address")),
            Err(why) => Some(Reply::from(&Verdict::Later(why))),
        }
    }

    /// The refusal of a sender whose domain takes no mail (RFC 7505 section 4.2).
    async fn unanswerable(&mut self, sender: Option<&Mailbox>) -> Option<Reply> {
        let Domain::Name(domain) = &sender?.domain else { return None };
        let null = self.settings.dns.takes_no_mail(domain).await;
        null.then(|| Reply::from(&hosts::null_sender(domain)))
    }

    async fn rcpt(&mut self, Rcpt { to, wish }: Rcpt) -> Answer {
        let Some(transaction) = self.transaction.take() else { return confused() };
        let mailbox = match to {
            Forward::Mailbox(mailbox) => mailbox,
            Forward::Postmaster => Mailbox {
                local: "postmaster".to_owned(),
                domain: Domain::Name(self.settings.hostname.clone()),
            },
        };
        let (relay, settings) = (Arc::clone(&self.relay), Arc::clone(&self.settings));
        let admitted = blocking(move || {
            let admitted = relay.admit(&settings, &transaction, &mailbox);
            (transaction, mailbox, admitted)
        });
        let (mut transaction, mailbox, admitted) = match admitted.await {
            Ok(done) => done,
            Err(_) => return confused(),
        };
        let admitted = match admitted {
            Ok(leaves) => self.not_null(leaves).await,
            refused => refused,
        };
        let answer = match admitted {
            Ok(leaves) => match transaction.add(mailbox.clone(), leaves, &wish) {
                true => Answer::Yes,
                false => Answer::Say(TOO_MANY_RECIPIENTS),
            },
            Err(verdict) => Answer::Say(Reply::from(&verdict)),
        };
        if let Answer::Say(reply) = &answer {
            self.refused(transaction.sender.as_ref(), Some(&mailbox), reply);
            self.guesses = self.guesses.saturating_add(1);
            if self.guesses > GUESSES && matches!(transaction.origin, Origin::Stranger) {
                tokio::time::sleep(LATE).await;
            }
        }
        self.transaction = Some(transaction);
        answer
    }

    /// Refuses a recipient whose domain says that it takes no mail, as long as somebody is there to hear it.
    async fn not_null(&mut self, leaves: Vec<Leaf>) -> Result<Vec<Leaf>, Verdict> {
        if let [Leaf { fate: Fate::Mx(Domain::Name(domain)), .. }] = leaves.as_slice()
            && self.settings.dns.takes_no_mail(domain).await
        {
            return Err(hosts::null(domain));
        }
        Ok(leaves)
    }

    async fn chunk(&mut self, octets: Vec<u8>) -> Answer {
        if let Some(message) = self.message.take() {
            return match message.push(octets).await {
                Ok((message, buffer)) => {
                    self.message = Some(message);
                    Answer::Taken(buffer)
                }
                Err(why) => self.failed(why),
            };
        }
        let Some(mut transaction) = self.transaction.take() else { return confused() };
        let told = Told::of(&octets);
        if let Err(verdict) = judge(&told) {
            return Answer::Say(Reply::from(&verdict));
        }
        let id = random::queue_id(&self.relay.clock);
        transaction.settle_utf8(&octets);
        let top = self.top(&id, &told, &transaction);
        match self.relay.begin_large(&transaction, id, &told, top, octets).await {
            Ok((message, buffer)) => {
                (self.message, self.transaction) = (Some(message), Some(transaction));
                Answer::Taken(buffer)
            }
            Err(Verdict::Later(why)) => self.failed(why),
            Err(verdict) => Answer::Say(Reply::from(&verdict)),
        }
    }

    async fn end(&mut self, octets: Vec<u8>) -> Answer {
        let Some(mut transaction) = self.transaction.take() else { return confused() };
        let told_of = Line::of(&transaction);
        let (id, size, taken) = match self.message.take() {
            Some(message) => {
                let (id, size) = (message.id.clone(), message.size.saturating_add(octets.len() as u64));
                (id, size, self.relay.finish_large(message, transaction, octets).await)
            }
            None => {
                let told = Told::of(&octets);
                let id = random::queue_id(&self.relay.clock);
                if let Err(verdict) = judge(&told) {
                    self.log(&id, octets.len() as u64, &told_of, &verdict, false);
                    return Answer::Say(Reply::from(&verdict));
                }
                transaction.settle_utf8(&octets);
                let top = self.top(&id, &told, &transaction);
                let size = octets.len() as u64;
                let taken = self.relay.take(transaction, &id, &told, top, octets).await;
                (id, size, taken)
            }
        };
        let Taken { verdicts, queued } = taken;
        if verdicts.iter().any(Verdict::is_done) {
            self.guesses = 0;
        }
        let worst = verdicts.iter().find(|verdict| !verdict.is_done()).cloned().unwrap_or(Verdict::Done);
        self.log(&id, size, &told_of, &worst, queued);
        let reply = |verdict: &Verdict| match verdict {
            Verdict::Done => Reply::new(250, 0, 0, format!("Ok, {id}")),
            other => Reply::from(other),
        };
        match self.dialect {
            Dialect::Lmtp => Answer::Each(verdicts.iter().map(reply).collect()),
            _ => Answer::Say(reply(&worst)),
        }
    }

    /// What we write on top of a message.
    fn top(&self, id: &QueueId, told: &Told, transaction: &Transaction) -> Vec<u8> {
        let date = date(self.relay.clock.now(), &self.settings);
        let ours = self.dialect == Dialect::Submission;
        let peer = &transaction.peer;
        let from = match (self.caller, self.address()) {
            (Caller::Unix { uid, .. }, _) => From::Local(uid),
            // A message is not to tell where its author was.
            (_, Some(address)) if !ours => From::Client { hello: &peer.hello, address },
            _ => From::Hidden,
        };
        let received = Received {
            from,
            by: &self.settings.hostname,
            with: peer.protocol(self.dialect, transaction.utf8),
            tls: self.tls.as_ref().map(|facts| (facts.version.as_str(), facts.cipher.as_str())),
            id,
            // A header that was ASCII stays so: it may go on to who knows nothing else.
            recipient: transaction.only_recipient().filter(|to| transaction.utf8 || to.is_ascii()),
            date,
        };
        let mut top = received.to_string();
        if ours && !told.date {
            top.push_str(&format!("Date: {date}\r\n"));
        }
        if ours && !told.message_id {
            top.push_str(&format!("Message-ID: <{id}@{}>\r\n", self.settings.hostname));
        }
        top.into_bytes()
    }

    /// The reply to a local fault; the transaction is over.
    fn failed(&mut self, why: Why) -> Answer {
        self.transaction = None;
        tracing::error!(client = self.client(), why = why.text, "a message could not be taken");
        Answer::Say(Reply::from(&Verdict::Later(why)))
    }

    fn client(&self) -> &str {
        &self.client
    }

    /// The session refused so much by itself: bad commands, bad texts, slowness.
    pub(super) fn misspoke(&self, count: u32, last: &Reply) {
        tracing::info!(client = self.client(), count, reply = %last, "refused what the client said");
    }

    fn refused(&self, sender: Option<&Mailbox>, recipient: Option<&Mailbox>, reply: &Reply) {
        let from = sender.map_or_else(|| "<>".to_owned(), Mailbox::to_string);
        let to = recipient.map(Mailbox::to_string);
        tracing::info!(from, to, client = self.client(), reply = %reply, "refused");
    }

    fn log(&self, id: &QueueId, size: u64, line: &Line, verdict: &Verdict, queued: bool) {
        let Line { from, to } = line;
        let client = self.client();
        let login = self.login.as_ref().map(|(account, _)| account.id.as_str());
        let tls = self.tls.as_ref().map(Facts::to_string);
        match verdict {
            Verdict::Done if !queued => {
                tracing::info!(%id, from, to, size, client, tls, login, "delivered");
            }
            Verdict::Done => tracing::info!(%id, from, to, size, client, tls, login, "queued"),
            Verdict::Later(why) => {
                tracing::error!(%id, from, to, size, client, tls, login, why = why.text, "not taken now");
            }
            Verdict::Never(why) => {
                tracing::info!(%id, from, to, size, client, tls, login, why = why.text, "not taken");
            }
        }
    }
}

/// What a log line says of a transaction.
struct Line {
    from: String,
    to: String,
}

impl Line {
    fn of(transaction: &Transaction) -> Line {
        let from = transaction.sender.as_ref().map_or_else(|| "<>".to_owned(), Mailbox::to_string);
        let mut to: Vec<String> =
            transaction.recipients.iter().take(10).map(|(mailbox, _)| mailbox.to_string()).collect();
        let more = transaction.recipients.len().saturating_sub(to.len());
        if more > 0 {
            to.push(format!("{more} more"));
        }
        Line { from, to: to.join(",") }
    }
}

impl<S: Store + 'static, Q: Spool + 'static> Relay<S, Q> {
    /// Where a recipient leads, or why it is refused. Blocking.
    fn admit(
        &self,
        settings: &Settings,
        transaction: &Transaction,
        mailbox: &Mailbox,
    ) -> Result<Vec<Leaf>, Verdict> {
        let leaves = may::admit(&transaction.origin, mailbox, settings.directory.as_ref(), &settings.rules)?;
        for leaf in &leaves {
            if let Fate::Local { account, .. } = &leaf.fate {
                self.check_quota(account, transaction.size.unwrap_or(0)).map_err(Verdict::Later)?;
            }
        }
        Ok(leaves)
    }
}

impl<S: Store + 'static, Q: Spool + 'static> Agent<Server> for Accept<S, Q> {
    async fn answer(&mut self, ask: Ask) -> Answer {
        match ask {
            Ask::Login { credentials, .. } => self.login(credentials).await,
            Ask::Mail { mail, peer } => self.mail(mail, peer).await,
            Ask::Rcpt(rcpt) => self.rcpt(rcpt).await,
            Ask::Open => Answer::Yes,
            Ask::Chunk(octets) => self.chunk(octets).await,
            Ask::End(octets) => self.end(octets).await,
            Ask::Reset => {
                (self.transaction, self.message) = (None, None);
                Answer::Yes
            }
        }
    }

    async fn event(&mut self) -> Event {
        self.closing.once().await;
        Event::Drain
    }

    fn secured(&mut self, facts: &Facts) {
        self.tls = Some(facts.clone());
        self.login = None;
        self.transaction = None;
    }

    fn trouble(&mut self, trouble: &Trouble) {
        match trouble {
            Trouble::Tls(fault) => {
                tracing::info!(client = self.client(), why = %fault, "no TLS with a client");
            }
            Trouble::Stalled(_) => tracing::info!(client = self.client(), %trouble, "cut off"),
            _ => tracing::debug!(client = self.client(), %trouble, "a connection was lost"),
        }
    }
}

fn confused() -> Answer {
    Answer::Say(Reply::fixed(421, 3, 0, "Local fault; come back later"))
}
