//! Hands a message to a server for `mail-send` and `sendmail`, and tells people and programs what came of it.

use super::{
    config::Config,
    exit::{Exit, Failure},
    secret::Secret,
    server::{Place, Scheme, Server},
};
use crate::{
    agent::send::{self, Order, Privacy, Sent, send, text::Text},
    mail::{
        address::{Domain, Mailbox},
        envelope::Body,
        header::addresses,
        verdict::Verdict,
        words,
    },
    net::tls::{Connector, Trust, Unusable},
    wire::{
        sasl::Credentials,
        smtp::{Dialect, client::Patience},
    },
};
use serde::Serialize;
use std::{
    io::{self, Read, Write as _},
    net::IpAddr,
    os::fd::AsFd as _,
    path::PathBuf,
    time::Duration,
};

/// How long dialling and a TLS handshake may take.
const DIALLING: Duration = Duration::from_secs(30);
/// Where mail-relayd takes messages when the configuration does not say it.
const LOCAL: &str = "/run/posthaste/submit";
/// The most addresses of one argument.
const ADDRESSES_MAX: usize = 1000;

/// Which server, and how it knows us.
#[derive(Clone, Debug)]
pub struct Via {
    /// The server and the login.
    pub server: Server,
    /// Where the password is.
    pub password: Option<Secret>,
    /// Certificates to trust besides the system's.
    pub tls_ca: Option<PathBuf>,
}

impl Via {
    /// This machine's own mail-relayd.
    pub fn local(config: &Config) -> Via {
        let path = match &config.relayd.local {
            Some(super::config::value::Place::Unix(path)) => path.clone(),
            _ => LOCAL.into(),
        };
        let server = Server { scheme: Scheme::Smtp, user: None, place: Place::Unix(path) };
        Via { server, password: None, tls_ca: None }
    }
}

/// Where recipients were looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sought {
    /// On the command line only.
    Named,
    /// In the header as well: `-t`.
    Header,
    /// In the flags that a message is composed from.
    Composed,
}

impl Sought {
    /// What is to be said when nobody was found.
    pub fn in_vain(self) -> &'static str {
        match self {
            Sought::Named => "no recipients: name them behind the flags, or take those of the header with -t",
            Sought::Header => {
                "no recipients in To, Cc, Bcc: -t takes them from there; or name them behind the flags"
            }
            Sought::Composed => "no recipients: name them with --to, --cc or --bcc, or behind the flags",
        }
    }
}

/// A message, ready to go.
#[derive(Debug)]
pub struct Job {
    /// Who is told of it as the speaker.
    pub program: &'static str,
    /// Which way it goes.
    pub via: Via,
    /// Our own name, for EHLO.
    pub name: String,
    /// The envelope's sender; `None` is the null sender.
    pub sender: Option<Mailbox>,
    /// The envelope's recipients.
    pub recipients: Vec<Mailbox>,
    /// What was said of them besides: where they were looked for in vain, if there are none.
    pub sought: Sought,
    /// The message.
    pub text: Text,
    /// What stands in it; `None` looks.
    pub body: Option<Body>,
    /// Say what was sent.
    pub verbose: bool,
    /// Say nothing on stderr about recipients that were refused.
    pub quiet: bool,
    /// Print a line of JSON for each recipient.
    pub json: bool,
    /// Print what would be done.
    pub dry_run: bool,
}

impl Job {
    /// Sends it.
    pub fn run(mut self) -> Result<Exit, Failure> {
        if self.recipients.is_empty() {
            return Err(Failure::usage(self.sought.in_vain()));
        }
        let privacy = Secrecy::of(&self.via);
        if self.dry_run {
            return self.tell_plan(privacy);
        }
        let order = self.order(privacy)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|fault| Failure::new(Exit::OsErr, format!("no event loop: {fault}")))?;
        let sent = runtime.block_on(send(&order, &mut self.text));
        // A name that is still being looked up must not keep us.
        runtime.shutdown_background();
        self.tell(&sent)
    }

    fn order(&self, secrecy: Secrecy) -> Result<Order, Failure> {
        let Server { scheme, user, place } = &self.via.server;
        let trust = match &self.via.tls_ca {
            Some(path) => Trust::File(path.clone()),
            None => Trust::System,
        };
        let open = |trust: &Trust| Connector::open(trust).map_err(|fault| unusable(&fault));
        let privacy = match secrecy {
            Secrecy::None => Privacy::None,
            Secrecy::IfOffered => Privacy::IfOffered(open(&Trust::Anyone)?),
            Secrecy::StartTls => Privacy::StartTls(open(&trust)?),
            Secrecy::Implicit => Privacy::Implicit(open(&trust)?),
        };
        let login = match (user, &self.via.password) {
            (Some(user), Some(password)) => {
                let secret = password.ask()?;
                Some(Credentials { login: user.clone(), secret: secret.as_bytes().to_vec().into() })
            }
            (Some(user), None) => {
                let text = format!(
                    "{}: the login {user} has no password; name a --password-command or --password-file",
                    self.via.server
                );
                return Err(Failure::usage(text));
            }
            (None, _) => None,
        };
        Ok(Order {
            place: match place {
                Place::Host(host, port) => send::Place::Host(host.clone(), *port),
                Place::Unix(path) => send::Place::Unix(path.clone()),
            },
            server: self.via.server.to_string(),
            dialect: match scheme {
                Scheme::Lmtp => Dialect::Lmtp,
                Scheme::Smtp | Scheme::Smtps => Dialect::Submission,
            },
            privacy,
            login,
            name: self.name.clone(),
            sender: self.sender.clone(),
            recipients: self.recipients.clone(),
            body: self.body,
            dialling: DIALLING,
            patience: Patience::default(),
        })
    }

    fn tell(&self, sent: &Sent) -> Result<Exit, Failure> {
        let exit = Exit::over(sent.verdicts.iter().map(Exit::from));
        let done = sent.verdicts.iter().filter(|verdict| verdict.is_done()).count();
        let mut lines = String::new();
        if !self.quiet {
            lines = self.refusals(sent);
            if done > 0 && done < sent.verdicts.len() {
                lines.push_str(&format!(
                    "{}: sent to {done} of {} recipients\n",
                    self.program,
                    sent.verdicts.len()
                ));
            }
        }
        if self.verbose && done == sent.verdicts.len() {
            let said = sent.said.as_deref().unwrap_or("taken");
            let tls = sent.tls.as_ref().map(|version| format!(" ({version})")).unwrap_or_default();
            lines
                .push_str(&format!("{}: sent to {done} by {}{tls}: {said}\n", self.program, self.via.server));
        }
        // With stderr gone there is nobody left to tell; the status still says it.
        let _ = io::stderr().lock().write_all(lines.as_bytes());
        if self.json {
            let mut out = String::new();
            for (recipient, verdict) in self.recipients.iter().zip(&sent.verdicts) {
                let (word, text) = match verdict {
                    Verdict::Done => ("done", sent.said.as_deref().unwrap_or_default()),
                    Verdict::Later(why) => ("later", why.text.as_str()),
                    Verdict::Never(why) => ("never", why.text.as_str()),
                };
                out.push_str(&json(&Line {
                    recipient: &recipient.to_string(),
                    verdict: word,
                    code: &verdict.code().to_string(),
                    text,
                    server: &self.via.server.to_string(),
                })?);
            }
            // What was sent is sent, whoever reads of it.
            let _ = io::stdout().lock().write_all(out.as_bytes());
        }
        Ok(exit)
    }

    /// What was not taken: a line for each recipient, or one line where all have the same reason.
    fn refusals(&self, sent: &Sent) -> String {
        let why = |verdict: &Verdict| match verdict {
            Verdict::Done => None,
            Verdict::Later(why) => Some(format!("not now: {}", why.text)),
            Verdict::Never(why) => Some(format!("refused: {}", why.text)),
        };
        let reasons: Vec<Option<String>> = sent.verdicts.iter().map(why).collect();
        if let Some(Some(first)) = reasons.first()
            && reasons.len() > 1
            && reasons.iter().all(|reason| reason.as_ref() == Some(first))
        {
            return format!("{}: all {} recipients: {first}\n", self.program, reasons.len());
        }
        let said =
            self.recipients.iter().zip(reasons).filter_map(|(recipient, reason)| {
                Some(format!("{}: {recipient}: {}\n", self.program, reason?))
            });
        said.collect()
    }

    fn tell_plan(&self, secrecy: Secrecy) -> Result<Exit, Failure> {
        let size = self.text.size();
        let sender = self.sender.as_ref().map_or_else(|| "<>".to_owned(), ToString::to_string);
        let server = self.via.server.to_string();
        let mut out = String::new();
        for recipient in self.recipients.iter().map(ToString::to_string) {
            let (sender, recipient, server) = (&sender, &recipient, &server);
            if self.json {
                out.push_str(&json(&Plan { sender, recipient, server, tls: secrecy.word(), octets: size })?);
            } else {
                let size = size.map_or_else(|| "more than 8 MiB".to_owned(), |size| format!("{size} octets"));
                let tls = secrecy.word();
                out.push_str(&format!("{size} from {sender} to {recipient} by {server} (TLS: {tls})\n"));
            }
        }
        io::stdout().lock().write_all(out.as_bytes()).map_err(Failure::stdout)?;
        Ok(Exit::Ok)
    }
}

/// One recipient's outcome.
#[derive(Serialize)]
struct Line<'a> {
    recipient: &'a str,
    verdict: &'a str,
    code: &'a str,
    text: &'a str,
    server: &'a str,
}

/// What would be done for one recipient.
#[derive(Serialize)]
struct Plan<'a> {
    sender: &'a str,
    recipient: &'a str,
    server: &'a str,
    tls: &'a str,
    octets: Option<u64>,
}

fn json(line: &impl Serialize) -> Result<String, Failure> {
    let line =
        serde_json::to_string(line).map_err(|fault| Failure::new(Exit::Software, fault.to_string()))?;
    Ok(line + "\n")
}

/// Whether TLS is demanded: everywhere but on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Secrecy {
    None,
    IfOffered,
    StartTls,
    Implicit,
}

impl Secrecy {
    fn of(via: &Via) -> Secrecy {
        let Place::Host(host, _) = &via.server.place else { return Secrecy::None };
        let here = host == "localhost"
            || host.parse().is_ok_and(|address: IpAddr| address.to_canonical().is_loopback());
        match (via.server.scheme, here, &via.tls_ca, &via.server.user) {
            (Scheme::Smtps, ..) => Secrecy::Implicit,
            (_, false, ..) | (_, _, Some(_), _) => Secrecy::StartTls,
            // Servers rarely take a login without TLS, even from here.
            (_, true, None, Some(_)) => Secrecy::IfOffered,
            (_, true, None, None) => Secrecy::None,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Secrecy::None => "no",
            Secrecy::IfOffered => "if offered",
            Secrecy::StartTls => "STARTTLS",
            Secrecy::Implicit => "from the start",
        }
    }
}

fn unusable(fault: &Unusable) -> Failure {
    Failure::new(Exit::NoInput, fault.to_string())
}

/// Standard input without a buffer between.
pub fn stdin() -> Result<impl Read + Send + 'static, Failure> {
    let own = io::stdin().as_fd().try_clone_to_owned().map_err(|fault| Failure::input("stdin", &fault))?;
    Ok(std::fs::File::from(own))
}

/// The addresses in an argument: one or more, bare or behind names. One without a domain gets `here`.
pub fn mailboxes(text: &str, here: &Domain) -> Result<Vec<Mailbox>, Failure> {
    let (listed, more) = addresses::addresses(text.as_bytes(), ADDRESSES_MAX);
    let control = text.chars().any(char::is_control);
    if listed.is_empty() || more || control {
        return Err(Failure::usage(format!("{text:?} is no address")));
    }
    let one = |address: &addresses::Address| {
        address.mailbox(here).map_err(|fault| Failure::usage(format!("{text:?}: {fault}")))
    };
    listed.iter().map(one).collect()
}

/// The sender that a flag names; `<>` and nothing at all are the null sender.
pub fn sender(text: &str, here: &Domain) -> Result<Option<Mailbox>, Failure> {
    if matches!(text.trim(), "" | "<>") {
        return Ok(None);
    }
    let mut found = mailboxes(text, here)?.into_iter();
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(Some(one)),
        _ => Err(Failure::usage(format!("{text:?} is not one address"))),
    }
}

/// What the system calls itself, for addresses without a domain.
pub fn here(hostname: &str) -> Domain {
    Domain::parse(hostname.as_bytes()).unwrap_or_else(|_| Domain::Name("localhost".to_owned()))
}

/// Who runs this: the name of the login, and the full name where one is kept.
pub fn whoami() -> (String, String) {
    let found = nix::unistd::User::from_uid(nix::unistd::Uid::current()).ok().flatten();
    let Some(user) = found else { return (nix::unistd::Uid::current().to_string(), String::new()) };
    let gecos = user.gecos.to_string_lossy().into_owned();
    (user.name, gecos.split(',').next().unwrap_or_default().trim().to_owned())
}

/// `Name <address>`, fit for a From field.
pub fn named(name: &str, mailbox: &Mailbox) -> String {
    if name.is_empty() {
        return mailbox.to_string();
    }
    if name.bytes().all(|octet| matches!(octet, b' '..=b'~')) {
        let quoted: String = name
            .chars()
            .flat_map(|c| ['"', '\\'].contains(&c).then_some('\\').into_iter().chain([c]))
            .collect();
        return format!("\"{quoted}\" <{mailbox}>");
    }
    // What is not an encoded word must not be taken for more than words.
    let words: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == ' ' || !c.is_ascii() { c } else { '_' })
        .collect();
    format!("{} <{mailbox}>", words::encode(&words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn via(server: &str, tls_ca: bool) -> Via {
        Via { server: server.parse().unwrap(), password: None, tls_ca: tls_ca.then(|| "ca.pem".into()) }
    }

    #[test]
    fn tls_is_demanded_everywhere_but_here() {
        for (server, tls_ca, wanted) in [
            ("smtp://mx.example.org", false, Secrecy::StartTls),
            ("smtp://me@mx.example.org:25", false, Secrecy::StartTls),
            ("lmtp://mx.example.org", false, Secrecy::StartTls),
            ("smtp://192.0.2.1", false, Secrecy::StartTls),
            ("smtp://localhost.example.org", false, Secrecy::StartTls),
            ("smtps://localhost", false, Secrecy::Implicit),
            ("smtp://localhost:2525", false, Secrecy::None),
            ("smtp://127.0.0.9:2525", false, Secrecy::None),
            ("smtp://[::1]", false, Secrecy::None),
            ("lmtp://127.0.0.1", false, Secrecy::None),
            ("unix:/run/x", false, Secrecy::None),
            ("lmtp:///run/x", false, Secrecy::None),
            ("smtp://localhost", true, Secrecy::StartTls),
            ("smtp://me@localhost", false, Secrecy::IfOffered),
        ] {
            assert_eq!(Secrecy::of(&via(server, tls_ca)), wanted, "{server}");
        }
    }

    #[test]
    fn an_argument_is_one_address_or_more_and_nothing_else() {
        let host = Domain::Name("host.example".to_owned());
        let read = |text: &str| {
            mailboxes(text, &host)
                .map(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        };
        for (text, wanted) in [
            ("a@x.org", "a@x.org"),
            ("root", "root@host.example"),
            ("A B <a@x.org>, c@x.org", "a@x.org c@x.org"),
            ("-bs@x.org", "-bs@x.org"),
            ("\"a b\"@x.org", "\"a b\"@x.org"),
        ] {
            assert_eq!(read(text).unwrap(), wanted);
        }
        for bad in
            ["", " ", "a b@x.org", "a@x.org\r\nRCPT TO:<b@x.org>", "a@x.org\n", "a\0@x.org", "a@", "ü@x.org"]
        {
            assert_eq!(read(bad).unwrap_err().exit(), Exit::Usage, "{bad:?}");
        }
        assert_eq!(sender("<>", &host).unwrap(), None);
        assert_eq!(sender("", &host).unwrap(), None);
        assert!(sender("a@x, b@x", &host).is_err());
    }

    #[test]
    fn a_full_name_can_not_leave_its_place() {
        let mailbox = Mailbox::parse(b"me@example.org").unwrap();
        for (name, wanted) in [
            ("", "me@example.org"),
            ("Me", "\"Me\" <me@example.org>"),
            ("A \"B\" \\ C", "\"A \\\"B\\\" \\\\ C\" <me@example.org>"),
        ] {
            assert_eq!(named(name, &mailbox), wanted);
        }
        let odd = named("Jürgen, <x@y>", &mailbox);
        let (listed, _) = addresses::addresses(odd.as_bytes(), 10);
        assert_eq!(listed.len(), 1, "{odd}");
        assert_eq!(listed[0].text(), "me@example.org");
    }
}
