//! Submits one message to one server: dials, goes over to TLS, logs in, sends, and says what became of each recipient.
//!
//! What it leaves out: a queue. Whatever does not go now is the caller's to try again, and the verdicts say so.

use crate::{
    mail::{
        address::Mailbox,
        envelope::Body,
        verdict::{Verdict, Why},
    },
    net::{
        converse::{Agent, Manners, Trouble, converse},
        dial,
        link::{Link, Wire},
        tls::{Connector, Facts, Role},
    },
    wire::{
        sasl::Credentials,
        smtp::{
            Dialect,
            client::{Answer, Ask, Client, Message, Order as Talk, Outcome, Patience, TOO_MANY, Tls},
        },
    },
};
use std::{path::PathBuf, time::Duration};

pub mod text;
pub mod until_dot;

use text::Text;

/// Where the server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A host name or address, and a port.
    Host(String, u16),
    /// A unix socket.
    Unix(PathBuf),
}

/// How the connection is kept from others' eyes.
#[derive(Clone, Debug)]
pub enum Privacy {
    /// Not at all: the server is on this machine.
    None,
    /// By STARTTLS, if it is offered.
    IfOffered(Connector),
    /// By STARTTLS, or nothing is sent.
    StartTls(Connector),
    /// By TLS from the first octet.
    Implicit(Connector),
}

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Order {
    /// Where the server is.
    pub place: Place,
    /// What it is called when people are told of it.
    pub server: String,
    /// What is spoken.
    pub dialect: Dialect,
    /// TLS.
    pub privacy: Privacy,
    /// Who logs in.
    pub login: Option<Credentials>,
    /// Our own name, for EHLO.
    pub name: String,
    /// The envelope's sender; `None` is the null sender.
    pub sender: Option<Mailbox>,
    /// At least one.
    pub recipients: Vec<Mailbox>,
    /// The text holds octets over 127; `None` looks at it.
    pub body: Option<Body>,
    /// How long dialling and a TLS handshake may take.
    pub dialling: Duration,
    /// How long to wait for replies.
    pub patience: Patience,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// One verdict a recipient, in their order.
    pub verdicts: Vec<Verdict>,
    /// What the server said when it took the message.
    pub said: Option<String>,
    /// The version of TLS, where there was any.
    pub tls: Option<String>,
}

/// Sends `text`. A server that takes fewer recipients at once gets the others in another transaction.
pub async fn send(order: &Order, text: &mut Text) -> Sent {
    let mut sent = Sent { verdicts: Vec::new(), said: None, tls: None };
    let mut recipients = order.recipients.clone();
    // Whom each of `recipients` is among those of the order.
    let mut places: Vec<usize> = (0..recipients.len()).collect();
    let nothing = || Verdict::Later(Why::new(4, 0, "it was not tried"));
    sent.verdicts.resize_with(recipients.len(), nothing);
    loop {
        let round = once(order, recipients, text).await;
        sent.said = round.said.or(sent.said);
        sent.tls = round.tls.or(sent.tls);
        let progress = round.verdicts.iter().any(Verdict::is_done);
        let mut left = Vec::new();
        for (&place, verdict) in places.iter().zip(round.verdicts) {
            if matches!(&verdict, Verdict::Later(why) if (why.subject, why.detail) == TOO_MANY) {
                left.push(place);
            }
            if let Some(slot) = sent.verdicts.get_mut(place) {
                *slot = verdict;
            }
        }
        if left.is_empty() || !progress || !text.rewind() {
            return sent;
        }
        recipients = left.iter().filter_map(|&place| order.recipients.get(place).cloned()).collect();
        places = left;
    }
}

/// One connection and one transaction.
async fn once(order: &Order, recipients: Vec<Mailbox>, text: &mut Text) -> Sent {
    let count = recipients.len();
    let (link, facts) = match connect(&order.place, &order.privacy, &order.server, order.dialling).await {
        Ok(connected) => connected,
        Err(why) => return Sent { verdicts: vec![Verdict::Later(why); count], said: None, tls: None },
    };
    let (tls, role) = match &order.privacy {
        Privacy::None | Privacy::Implicit(_) => (Tls::AsItIs, Role::None),
        Privacy::IfOffered(connector) => {
            (Tls::IfOffered, Role::Client(connector.clone(), host(&order.place)))
        }
        Privacy::StartTls(connector) => (Tls::Demanded, Role::Client(connector.clone(), host(&order.place))),
    };
    let message = Message {
        sender: order.sender.clone(),
        recipients,
        size: text.size(),
        body: order.body.unwrap_or_else(|| text.body()),
        last: true,
        ..Message::default()
    };
    let mut client = Client::new(Talk {
        dialect: order.dialect,
        name: order.name.clone(),
        server: order.server.clone(),
        tls,
        login: order.login.clone(),
        patience: order.patience,
    });
    let mut courier = Courier {
        message: Some(message),
        text,
        outcome: None,
        trouble: None,
        tls: facts.map(|facts| facts.version),
        server: &order.server,
        count,
    };
    let manners = Manners { handshake: order.dialling, ..Manners::CLIENT };
    // What ended the conversation was told to the courier.
    let _ = converse(&mut client, &mut courier, link, &role, &manners).await;
    let outcome = courier.outcome.unwrap_or_else(|| Outcome {
        verdicts: vec![
            Verdict::Later(Why::new(4, 2, format!("{}: the session ended early", order.server)));
            count
        ],
        said: None,
        lost: None,
        elsewhere: false,
    });
    Sent { verdicts: outcome.verdicts, said: outcome.said, tls: courier.tls }
}

/// The name to verify a certificate by.
pub(super) fn host(place: &Place) -> String {
    match place {
        Place::Host(host, _) => host.clone(),
        Place::Unix(_) => "localhost".to_owned(),
    }
}

/// Connects, with TLS where that comes first. `server` is the place's name for people.
pub(super) async fn connect(
    place: &Place,
    privacy: &Privacy,
    server: &str,
    dialling: Duration,
) -> Result<(Link<Wire>, Option<Facts>), Why> {
    let cannot = |fault| Why::new(4, 1, format!("cannot connect to {server}: {fault}"));
    let wire = match place {
        Place::Unix(path) => Wire::Unix(dial::unix(path, dialling).await.map_err(cannot)?),
        Place::Host(host, port) => {
            let addresses = dial::resolve(host, *port, dialling)
                .await
                .map_err(|fault| Why::new(4, 3, format!("cannot find the address of {host}: {fault}")))?;
            Wire::Tcp(dial::tcp(&addresses, None, dialling).await.map_err(cannot)?)
        }
    };
    let Privacy::Implicit(connector) = privacy else { return Ok((Link::Plain(wire), None)) };
    let no_tls = |fault: String| Why::new(7, 5, format!("{server}: TLS: {fault}"));
    match tokio::time::timeout(dialling, connector.connect(&host(place), wire)).await {
        Ok(Ok(stream)) => {
            let facts = Facts::of(stream.ssl());
            Ok((Link::Secure(Box::new(stream)), Some(facts)))
        }
        Ok(Err(fault)) => Err(no_tls(fault.to_string())),
        Err(_) => Err(no_tls("the handshake took too long".to_owned())),
    }
}

/// Gives the session its message and keeps what came of it.
struct Courier<'a> {
    message: Option<Message>,
    text: &'a mut Text,
    outcome: Option<Outcome>,
    trouble: Option<String>,
    tls: Option<String>,
    server: &'a str,
    count: usize,
}

impl Agent<Client> for Courier<'_> {
    async fn answer(&mut self, ask: Ask) -> Answer {
        match ask {
            Ask::Message(_) => self.message.take().map_or(Answer::Quit, Answer::Message),
            // The only reader of a one-shot program's input may wait for it.
            Ask::Text => match self.text.piece() {
                Ok(Some(piece)) => Answer::Text(piece),
                Ok(None) => Answer::TextEnd,
                Err(fault) => Answer::TextFault(Why::local("reading the message", &fault)),
            },
            Ask::Outcome(mut outcome) => {
                if outcome.lost.is_some() {
                    outcome.verdicts.iter_mut().for_each(|verdict| self.explain(verdict));
                }
                self.outcome = Some(outcome);
                Answer::Noted
            }
            Ask::Failed(failure) => {
                let mut verdict = failure.verdict;
                self.explain(&mut verdict);
                let verdicts = vec![verdict; self.count];
                self.outcome = Some(Outcome { verdicts, said: None, lost: None, elsewhere: false });
                Answer::Noted
            }
        }
    }

    fn secured(&mut self, facts: &Facts) {
        self.tls = Some(facts.version.clone());
    }

    fn trouble(&mut self, trouble: &Trouble) {
        self.trouble = Some(trouble.to_string());
    }
}

impl Courier<'_> {
    /// Where the connection broke, the reason says more than that it did.
    fn explain(&self, verdict: &mut Verdict) {
        if let (Some(trouble), Verdict::Later(why)) = (&self.trouble, verdict)
            && why.subject == 4
        {
            why.text = format!("{}: {trouble}", self.server);
        }
    }
}
