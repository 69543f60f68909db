//! The SMTP server's dialogues, and the town that its scripted agent knows.
//!
//! `@` lines of a dialogue: `dialect smtp|submission|lmtp`, `tls none|offered|broken|standing`, `logins offered`, `login NAME`
//! (the listener knows who it is), `plaintext` (may log in without TLS), `bare` (local parts alone), `size N`, `recipients N`, and
//! `town` where what is said is the town's own, so that `mail-relayd` itself would say something else.
//!
//! Of the town: alice (password wonderland) and bob live in example.org; its postmaster is at home. `full` has no room
//! now, `picky` takes an envelope but no message, `slow` is why the whole house goes away. Who logged in may write anywhere.

use crate::kit::talk::{self, Scripted, Side, Talk};
use posthaste::{
    mail::address::{Domain, Forward, Mailbox},
    wire::smtp::{
        Dialect,
        command::Rcpt,
        reply::Reply,
        server::{Answer, Ask, Event, Known, Limits, Logins, Server, Settings, Tls},
    },
};
use std::sync::Arc;

#[test]
fn every_dialogue_is_kept_to() {
    for talk in talk::folder("smtp", Side::Server) {
        talk.play_session(scripted);
    }
}

/// The server and the town that a dialogue orders.
pub fn scripted(talk: &Talk) -> Scripted<'static, Server> {
    let (settings, known) = order(talk);
    let mut town = Town::new(&settings, &known);
    let server = Server::new(Arc::new(settings), known);
    Scripted::new(server, move |ask| town.answer(ask)).events(|name| match name {
        "drain" => Event::Drain,
        other => panic!("no event {other}"),
    })
}

/// A server without TLS and logins.
pub fn settings(dialect: Dialect) -> Settings {
    Settings {
        dialect,
        hostname: Domain::Name("mx.example.org".into()),
        tls: Tls::None,
        logins: Logins::None,
        login_required: dialect == Dialect::Submission,
        bare_names: false,
        limits: Limits::of(dialect, 1000),
    }
}

fn order(talk: &Talk) -> (Settings, Known) {
    let mut settings = settings(match talk.setting("dialect") {
        Some("submission") => Dialect::Submission,
        Some("lmtp") => Dialect::Lmtp,
        Some("smtp") | None => Dialect::Smtp,
        Some(other) => panic!("{}: no dialect {other}", talk.name),
    });
    let mut known = Known::default();
    for (key, value) in talk.settings() {
        match (key, value) {
            ("dialect", _) | ("town", "") => {}
            ("tls", "none") => settings.tls = Tls::None,
            ("tls", "offered") => settings.tls = Tls::Offered,
            ("tls", "broken") => settings.tls = Tls::Broken,
            ("tls", "standing") => settings.tls = Tls::Standing,
            ("logins", "offered") => settings.logins = Logins::Offered,
            ("login", name) => known.login = Some(name.to_owned()),
            ("plaintext", "") => known.plaintext_login = true,
            ("bare", "") => settings.bare_names = true,
            ("size", octets) => settings.limits = Limits::of(settings.dialect, octets.parse().unwrap()),
            ("recipients", most) => settings.limits.recipients = most.parse().unwrap(),
            other => panic!("{}: no setting {other:?}", talk.name),
        }
    }
    (settings, known)
}

/// An agent. It watches that the session keeps to what [`Ask`] promises.
pub struct Town {
    dialect: Dialect,
    size: u64,
    login: Option<String>,
    /// The transaction: its recipients, and its text once DATA has begun.
    open: Option<(Vec<String>, Option<Vec<u8>>)>,
    /// The agent has refused the text.
    refused: bool,
    /// Texts taken.
    pub taken: Vec<Vec<u8>>,
}

impl Town {
    pub fn new(settings: &Settings, known: &Known) -> Town {
        Town {
            dialect: settings.dialect,
            size: settings.limits.size,
            login: known.login.clone(),
            open: None,
            refused: false,
            taken: Vec::new(),
        }
    }

    pub fn answer(&mut self, ask: Ask) -> Answer {
        match ask {
            Ask::Login { credentials, failures } => match credentials.login.as_str() {
                "alice" if credentials.secret.as_slice() == b"wonderland" => {
                    self.login = Some("alice@example.org".into());
                    Answer::Login("alice@example.org".into())
                }
                "broken" => Answer::Say(Reply::fixed(454, 7, 0, "Accounts cannot be read now")),
                _ => Answer::Say(Reply::new(535, 7, 8, format!("Wrong, failed {failures} times before"))),
            },
            Ask::Mail { mail, peer } => {
                assert!(self.open.is_none(), "a transaction was open");
                assert!(!peer.hello.is_empty());
                assert_eq!(peer.login, self.login);
                assert!(mail.size.is_none_or(|size| size <= self.size));
                if mail.sender.is_some_and(|sender| sender.local == "slow") {
                    return Answer::Say(Reply::fixed(421, 7, 0, "We go away"));
                }
                self.open = Some((Vec::new(), None));
                Answer::Say(Reply::new(
                    250,
                    1,
                    0,
                    format!("Ok with {}", peer.protocol(self.dialect, mail.utf8)),
                ))
            }
            Ask::Rcpt(Rcpt { to, .. }) => {
                let (recipients, text) = self.open.as_mut().expect("a transaction");
                assert!(text.is_none());
                let to = match to {
                    Forward::Postmaster => "postmaster@example.org".to_owned(),
                    Forward::Mailbox(Mailbox { local, domain: Domain::Name(domain) }) => {
                        format!("{local}@{domain}")
                    }
                    Forward::Mailbox(Mailbox { .. }) => "someone@elsewhere".to_owned(),
                };
                match to.split_once('@').unwrap() {
                    ("full", "example.org") => return Answer::Say(Reply::fixed(452, 2, 2, "No room now")),
                    ("alice" | "bob" | "picky" | "postmaster", "example.org") => {}
                    ("root", "mx.example.org") => {}
                    (_, "example.org") => return Answer::Say(Reply::fixed(550, 1, 1, "Nobody of that name")),
                    _ if self.login.is_some() => {}
                    _ => return Answer::Say(Reply::fixed(550, 7, 1, "Relaying is not for you")),
                }
                recipients.push(to);
                Answer::Yes
            }
            Ask::Open => {
                let (recipients, text) = self.open.as_mut().expect("a transaction");
                assert!(!recipients.is_empty() && text.is_none());
                *text = Some(Vec::new());
                Answer::Yes
            }
            Ask::Chunk(chunk) => {
                assert!(!chunk.is_empty() && chunk.len() <= Server::CHUNK);
                assert!(!self.refused, "a chunk after a refusal");
                let text = self.text();
                text.extend_from_slice(&chunk);
                if text.starts_with(b"Subject: disk full") {
                    self.open = None;
                    return Answer::Say(Reply::fixed(452, 3, 1, "The disk is full"));
                }
                Answer::Taken(chunk)
            }
            Ask::End(last) => {
                self.text().extend_from_slice(&last);
                let (recipients, text) = self.open.take().expect("a transaction");
                let text = text.expect("a text");
                assert!(text.len() as u64 <= self.size);
                let fate = |to: &String| match to.as_str() {
                    "picky@example.org" => Reply::fixed(550, 6, 0, "Not my taste"),
                    _ if text.len() < 50 => Reply::new(250, 0, 0, format!("Taken {}", text.escape_ascii())),
                    _ => Reply::new(250, 0, 0, format!("Taken {} octets", text.len())),
                };
                let replies: Vec<Reply> = recipients.iter().map(fate).collect();
                self.taken.push(text);
                match self.dialect {
                    Dialect::Lmtp => Answer::Each(replies),
                    _ => Answer::Say(replies.into_iter().next().expect("a recipient")),
                }
            }
            Ask::Reset => {
                assert!(self.open.take().is_some(), "no transaction was open");
                Answer::Yes
            }
        }
    }

    fn text(&mut self) -> &mut Vec<u8> {
        self.open.as_mut().expect("a transaction").1.as_mut().expect("DATA")
    }
}
