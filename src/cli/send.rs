//! mail-send: flags to a message and the server that takes it. Called as `sendmail`, it is [`super::sendmail`].

use super::{
    config::{Config, Reader, Send as Account, check, load, value},
    exit::{self, Exit, Failure},
    flags::{self, AccountName, Configuration, DryRun, Json, Loudness},
    secret::Secret,
    sendmail,
    server::Server,
    submit::{self, Job, Sought, Via},
};
use crate::{
    agent::{
        compose::{self, Composed, Parts, compose},
        send::text::Text,
    },
    mail::address::{Domain, Mailbox},
    sys::{clock::Clock, random},
};
use clap::{CommandFactory as _, Parser};
use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Send a message to a mail server
#[derive(Parser, Debug)]
#[command(name = "mail-send", version)]
struct Flags {
    #[command(flatten)]
    configuration: Configuration,
    #[command(flatten)]
    account: AccountName,
    #[command(flatten)]
    loudness: Loudness,
    #[command(flatten)]
    json: Json,
    #[command(flatten)]
    dry_run: DryRun,
    /// Send to the addresses of To, Cc and Bcc, too
    #[arg(short = 't', long, conflicts_with_all = ["to", "cc", "bcc", "subject", "attach", "body"])]
    read_recipients: bool,
    /// The envelope's sender; <> is the null sender. Otherwise it is the message's author
    #[arg(short = 'f', long, value_name = "ADDRESS", allow_hyphen_values = true)]
    sender: Option<String>,
    /// Send by this server: smtps://USER@HOST, smtp://HOST:PORT, lmtp://HOST or unix:/SOCKET
    #[arg(long, value_name = "URL", conflicts_with = "account")]
    server: Option<Server>,
    /// Trust the certificates in this file, too
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// The password is the first line that this command prints
    #[arg(long, value_name = "COMMAND", requires = "server", conflicts_with = "password_file")]
    password_command: Option<String>,
    /// The password is the first line of this file, which nobody else may read
    #[arg(long, value_name = "FILE", requires = "server")]
    password_file: Option<PathBuf>,
    /// Compose: who it is from
    #[arg(long, value_name = "ADDRESS", allow_hyphen_values = true)]
    from: Option<String>,
    /// Compose: who it is for; may be given more than once
    #[arg(long, value_name = "ADDRESS", allow_hyphen_values = true)]
    to: Vec<String>,
    /// Compose: who gets a copy
    #[arg(long, value_name = "ADDRESS", allow_hyphen_values = true)]
    cc: Vec<String>,
    /// Compose: who gets a copy that nobody sees
    #[arg(long, value_name = "ADDRESS", allow_hyphen_values = true)]
    bcc: Vec<String>,
    /// Compose: the subject
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    subject: Option<String>,
    /// Compose: a file to go along; may be given more than once
    #[arg(long, value_name = "FILE")]
    attach: Vec<PathBuf>,
    /// Compose: the text; - reads it from stdin, which is the default
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    body: Option<String>,
    /// Who gets it. Behind -- an address may begin with a hyphen
    #[arg(value_name = "RECIPIENT")]
    recipients: Vec<String>,
}

/// Runs mail-send, or sendmail when that is what it is called as.
pub fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let called = words.next().unwrap_or_default();
    if Path::new(&called).file_name().is_some_and(|name| name == "sendmail") {
        return exit::run("sendmail", || sendmail::run(words));
    }
    exit::run("mail-send", run)
}

/// The table of its flags.
pub fn command() -> clap::Command {
    Flags::command()
}

fn run() -> Result<Exit, Failure> {
    let flags: Flags = flags::parse()?;
    if flags.configuration.check_config {
        return check(&flags.configuration, Reader::User);
    }
    // All that is needed may stand in the flags: then no file is read.
    let config = match &flags.server {
        Some(_) if flags.configuration.config.is_none() => None,
        _ => Some(load(&flags.configuration, Reader::User)?),
    };
    let hostname = match &config {
        Some(config) => config.hostname.clone(),
        None => rustix::system::uname().nodename().to_string_lossy().into_owned(),
    };
    let here = submit::here(&hostname);
    let mut recipients = Vec::new();
    for text in &flags.recipients {
        recipients.extend(submit::mailboxes(text, &here)?);
    }
    let given = flags.sender.as_deref().map(|text| submit::sender(text, &here)).transpose()?;
    let picked = flags.account.account.as_deref().map(|name| by_name(config.as_ref(), name)).transpose()?;
    let message = if flags.composes() { made(&flags, picked, &here)? } else { piped(&flags, &here)? };
    let author = message.author.or_else(|| picked.and_then(|account| account.from.first().cloned()));
    let account = match (picked, &config) {
        (None, Some(config)) if flags.server.is_none() => by_author(config, author.as_ref())?,
        _ => picked,
    };
    let via = via(&flags, account, config.as_ref())?;
    let sender = match (given, author.or_else(|| account.and_then(|account| account.from.first().cloned()))) {
        (Some(given), _) => given,
        (None, Some(author)) => Some(author),
        (None, None) => Some(Mailbox { local: submit::whoami().0, domain: here.clone() }),
    };
    let mut text = message.text;
    if !flags.composes() {
        text.finish(sender.as_ref().map(ToString::to_string).as_deref());
    }
    for more in message.recipients {
        if !recipients.contains(&more) {
            recipients.push(more);
        }
    }
    let job = Job {
        program: "mail-send",
        via,
        name: if hostname.contains('.') { hostname } else { "localhost".to_owned() },
        sender,
        recipients,
        sought: match (flags.composes(), flags.read_recipients) {
            (true, _) => Sought::Composed,
            (false, true) => Sought::Header,
            (false, false) => Sought::Named,
        },
        text,
        body: None,
        verbose: flags.loudness.verbose > 0,
        quiet: flags.loudness.quiet,
        json: flags.json.json,
        dry_run: flags.dry_run.dry_run,
    };
    job.run()
}

impl Flags {
    /// True when the message is made from flags.
    fn composes(&self) -> bool {
        self.from.is_some()
            || self.subject.is_some()
            || self.body.is_some()
            || ![&self.to, &self.cc, &self.bcc].into_iter().all(Vec::is_empty)
            || !self.attach.is_empty()
    }
}

/// A message and what it says of itself.
struct Message {
    text: Text,
    author: Option<Mailbox>,
    recipients: Vec<Mailbox>,
}

/// The message on stdin.
fn piped(flags: &Flags, here: &Domain) -> Result<Message, Failure> {
    let text = Text::read(submit::stdin()?).map_err(|fault| Failure::input("stdin", &fault))?;
    let recipients = match flags.read_recipients {
        true => {
            text.addressees(here).map_err(|fault| Failure::new(Exit::DataErr, format!("stdin: {fault}")))?
        }
        false => Vec::new(),
    };
    Ok(Message { author: text.author(here), text, recipients })
}

/// A message made from flags.
fn made(flags: &Flags, account: Option<&Account>, here: &Domain) -> Result<Message, Failure> {
    if [&flags.to, &flags.cc, &flags.bcc, &flags.recipients].iter().all(|list| list.is_empty()) {
        return Err(Failure::usage(Sought::Composed.in_vain()));
    }
    let from = match (&flags.from, account.and_then(|account| account.from.first())) {
        (Some(from), _) => from.clone(),
        (None, Some(own)) => own.to_string(),
        (None, None) => {
            let (login, name) = submit::whoami();
            submit::named(&name, &Mailbox { local: login, domain: here.clone() })
        }
    };
    let mut left = compose::SIZE_MAX;
    let mut files = Vec::new();
    for path in &flags.attach {
        let name = path.file_name().and_then(|name| name.to_str());
        let Some(name) = name else { return Err(Failure::usage(format!("--attach {path:?} names no file"))) };
        let whence = path.display().to_string();
        let file = File::open(path).map_err(|fault| Failure::input(&whence, &fault))?;
        files.push((name.to_owned(), whole(file, &whence, &mut left)?));
    }
    let body = match flags.body.as_deref() {
        None | Some("-") => {
            let octets = whole(submit::stdin()?, "stdin", &mut left)?;
            String::from_utf8(octets).map_err(|_| {
                Failure::new(Exit::DataErr, "stdin: the text is not UTF-8; attach it as a file instead")
            })?
        }
        Some(text) => text.to_owned(),
    };
    let clock = Clock::system();
    let parts = Parts {
        from,
        to: [flags.to.clone(), flags.recipients.clone()].concat(),
        cc: flags.cc.clone(),
        bcc: flags.bcc.clone(),
        subject: flags.subject.clone(),
        body,
        files,
        id: random::queue_id(&clock).to_string(),
    };
    let Composed { octets, sender, recipients } =
        compose(parts, clock.now()).map_err(|fault| Failure::usage(fault.to_string()))?;
    Ok(Message { text: Text::from(octets), author: Some(sender), recipients })
}

/// All of a stream, within what is left of the size of one message.
fn whole(stream: impl io::Read, whence: &str, left: &mut u64) -> Result<Vec<u8>, Failure> {
    let mut octets = Vec::new();
    let mut capped = stream.take(left.saturating_add(1));
    capped.read_to_end(&mut octets).map_err(|fault| Failure::input(whence, &fault))?;
    match left.checked_sub(octets.len() as u64) {
        Some(rest) => *left = rest,
        None => {
            let text =
                format!("{whence}: text and files have more than {} octets together", compose::SIZE_MAX);
            return Err(Failure::new(Exit::DataErr, text));
        }
    }
    Ok(octets)
}

fn by_name<'a>(config: Option<&'a Config>, name: &str) -> Result<&'a Account, Failure> {
    let accounts = config.map_or(&[][..], |config| &config.send);
    accounts.iter().find(|account| account.name == name).ok_or_else(|| {
        let names: Vec<&str> = accounts.iter().map(|account| account.name.as_str()).collect();
        let known = if names.is_empty() {
            "there is none".to_owned()
        } else {
            format!("known: {}", names.join(", "))
        };
        Failure::usage(format!("the configuration has no [send.{name}]; {known}"))
    })
}

/// The account whose mail this is; the only one, where the author has none. Without any the machine's own server takes it.
fn by_author<'a>(config: &'a Config, author: Option<&Mailbox>) -> Result<Option<&'a Account>, Failure> {
    let key = author.map(Mailbox::key);
    let own = |account: &&Account| account.from.iter().any(|from| Some(from.key()) == key);
    match (config.send.iter().find(own), config.send.as_slice()) {
        (Some(account), _) => Ok(Some(account)),
        (None, []) => Ok(None),
        (None, [only]) => Ok(Some(only)),
        (None, several) => {
            let names: Vec<&str> = several.iter().map(|account| account.name.as_str()).collect();
            let whose = author.map_or_else(|| "a message without an author".to_owned(), ToString::to_string);
            let text = format!(
                "no [send.NAME] of the configuration is from {whose}; pick one with -a: {}",
                names.join(", ")
            );
            Err(Failure::usage(text))
        }
    }
}

fn via(flags: &Flags, account: Option<&Account>, config: Option<&Config>) -> Result<Via, Failure> {
    if let Some(server) = &flags.server {
        let command = flags.password_command.as_deref().map(|text| {
            value::command(text).map_err(|fault| Failure::usage(format!("--password-command: {fault}")))
        });
        let password = match (command.transpose()?, &flags.password_file) {
            (Some(words), _) => Some(Secret::Command(words)),
            (None, Some(path)) => Some(Secret::File(path.clone())),
            (None, None) => None,
        };
        return Ok(Via { server: server.clone(), password, tls_ca: flags.tls_ca.clone() });
    }
    match (account, config) {
        (Some(account), _) => Ok(Via {
            server: account.server.clone(),
            password: account.password.clone(),
            tls_ca: flags.tls_ca.clone().or_else(|| account.tls_ca.clone()),
        }),
        (None, Some(config)) => Ok(Via::local(config)),
        (None, None) => Err(Failure::usage("no server: name one with --server")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    fn read(line: &[&str]) -> Result<Flags, Failure> {
        flags::parse_from(std::iter::once("mail-send").chain(line.iter().copied()).map(OsString::from))
    }

    #[test]
    fn an_address_behind_two_hyphens_is_no_flag() {
        let flags = read(&["-f", "-x@example.org", "--", "-t", "--server"]).unwrap();
        assert_eq!(flags.sender.as_deref(), Some("-x@example.org"));
        assert_eq!(flags.recipients, ["-t", "--server"]);
        assert!(!flags.read_recipients && flags.server.is_none());
    }

    #[test]
    fn a_line_that_means_two_things_is_refused() {
        for line in [
            &["-t", "--to", "a@x"][..],
            &["-a", "work", "--server", "smtp://x"],
            &["--password-command", "pass"],
            &["--server", "http://x"],
            &["--server", "smtps://me:secret@x"],
        ] {
            assert_eq!(read(line).unwrap_err().exit(), Exit::Usage, "{line:?}");
        }
    }
}
