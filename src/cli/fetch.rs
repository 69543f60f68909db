//! mail-fetch: flags and configuration to orders, one a source, and what people and programs are told of them.

use super::{
    config::{Config, Fetch, Reader, check, load},
    exit::{self, Exit, Failure},
    flags::{self, Configuration, DryRun, Json, Loudness},
    open, prompt,
    secret::Secret,
    server::Source,
};
use crate::{
    agent::{
        fetch::{Fetched, Folders, Order, Protocol, Target, fetch},
        send::{Place, Privacy},
    },
    mail::verdict::Verdict,
    net::tls::{Connector, Trust},
    store::{Home, Store},
    sys::{clock::Clock, disk::Disk},
    wire::sasl::Credentials,
};
use clap::{CommandFactory as _, Parser};
use std::{
    ffi::OsString,
    io,
    net::IpAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

mod tell;

use tell::{Said, Teller};

/// How long dialling and a TLS handshake may take.
const DIALLING: Duration = Duration::from_secs(30);
/// How long a server may be silent (RFC 9051 section 5.4 lets servers wait for half an hour; none that works does).
const PATIENCE: Duration = Duration::from_secs(300);
/// How long a program may take for a message where nothing else is said.
const LIMIT: Duration = Duration::from_secs(300);
/// How many messages become durable side by side.
const SYNCS: usize = 16;

/// Fetch what is new from IMAP and POP3 mailboxes
#[derive(Parser, Debug)]
#[command(name = "mail-fetch", version)]
struct Flags {
    #[command(flatten)]
    configuration: Configuration,
    #[command(flatten)]
    loudness: Loudness,
    #[command(flatten)]
    json: Json,
    #[command(flatten)]
    dry_run: DryRun,
    /// Put messages into this Maildir; - writes an mbox to stdout
    #[arg(long, value_name = "DIR", conflicts_with = "program")]
    into: Option<PathBuf>,
    /// End a program that takes longer than this for a message, such as 30s; else 5m
    #[arg(long, value_name = "TIME", value_parser = super::config::value::duration)]
    exec_timeout: Option<Duration>,
    /// Keep in this directory what was fetched
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Fetch this folder, as the server names it; may be given more than once
    #[arg(long, value_name = "NAME", conflicts_with = "all_folders")]
    folder: Vec<String>,
    /// Fetch all folders
    #[arg(long)]
    all_folders: bool,
    /// Leave messages at the source; this is the default
    #[arg(long, conflicts_with = "delete")]
    keep: bool,
    /// Delete messages at the source once they are safe here
    #[arg(long)]
    delete: bool,
    /// Trust the certificates in this file, too
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// The password is the first line that this command prints
    #[arg(long, value_name = "COMMAND", conflicts_with = "password_file")]
    password_command: Option<String>,
    /// The password is the first line of this file, which nobody else may read
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// What to fetch from: imaps://USER@HOST, imap://, pop3s:// or pop3://, or a name in the configuration. Without
    /// any: all that the configuration names
    #[arg(value_name = "SOURCE")]
    sources: Vec<String>,
    /// Give each message to a program of its own, on stdin
    #[arg(value_name = "PROGRAM", last = true)]
    program: Vec<OsString>,
}

/// Runs mail-fetch.
pub fn main() -> ExitCode {
    exit::run("mail-fetch", run)
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
    // A URL needs no file.
    let is_url = |source: &String| source.contains("://");
    let config = match !flags.sources.is_empty() && flags.sources.iter().all(is_url) {
        true if flags.configuration.config.is_none() => None,
        _ => Some(load(&flags.configuration, Reader::User)?),
    };
    let jobs = jobs(&flags, config.as_ref())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(SYNCS)
        .build()
        .map_err(|fault| Failure::new(Exit::OsErr, format!("no event loop: {fault}")))?;
    let mut exits = Vec::new();
    for job in &jobs {
        exits.push(match job.run(&flags, &runtime) {
            Ok(exit) => exit,
            // The other sources are fetched all the same.
            Err(failure) if jobs.len() > 1 && !failure.text().is_empty() => {
                eprintln!("mail-fetch: {}", failure.text());
                failure.exit()
            }
            Err(failure) => return Err(failure),
        });
    }
    // A name that is still being looked up must not keep us.
    runtime.shutdown_background();
    Ok(Exit::over(exits))
}

/// A source, and what is done with its messages.
#[derive(Clone, Debug)]
struct Job {
    source: Source,
    password: Option<Secret>,
    tls_ca: Option<PathBuf>,
    to: To,
    limit: Duration,
    folders: Folders,
    delete: bool,
    state: PathBuf,
}

/// Where messages go.
#[derive(Clone, Debug, PartialEq, Eq)]
enum To {
    Maildir(PathBuf),
    Program(Vec<OsString>),
    Stdout,
}

fn jobs(flags: &Flags, config: Option<&Config>) -> Result<Vec<Job>, Failure> {
    let known = config.map(|config| config.fetch.as_slice()).unwrap_or_default();
    if flags.sources.is_empty() {
        if known.is_empty() {
            return Err(Failure::usage(
                "fetch from what? Name a URL, or write a [fetch.NAME] (posthaste.toml(5))",
            ));
        }
        return known.iter().map(|one| job(flags, &one.source, Some(one))).collect();
    }
    let one = |text: &String| match text.contains("://") {
        true => job(flags, &text.parse().map_err(Failure::usage)?, None),
        false => match known.iter().find(|one| one.name == *text) {
            Some(one) => job(flags, &one.source, Some(one)),
            None => {
                Err(Failure::new(Exit::Config, format!("{text}: the configuration has no [fetch.{text}]")))
            }
        },
    };
    flags.sources.iter().map(one).collect()
}

/// Flags go before what the configuration says.
fn job(flags: &Flags, source: &Source, known: Option<&Fetch>) -> Result<Job, Failure> {
    let configured = known.and_then(|known| match (&known.into, &known.exec) {
        (Some(path), _) => Some(To::Maildir(path.clone())),
        (None, Some(words)) => Some(To::Program(words.iter().map(OsString::from).collect())),
        (None, None) => None,
    });
    let to = match (&flags.into, flags.program.is_empty()) {
        (Some(path), _) if path.as_os_str() == "-" => To::Stdout,
        (Some(path), _) => To::Maildir(path.clone()),
        (None, false) => To::Program(flags.program.clone()),
        (None, true) => configured.ok_or_else(|| {
            Failure::usage(format!(
                "{source}: say where messages go: --into DIR, --into - for stdout, or -- PROGRAM"
            ))
        })?,
    };
    let password = match (&flags.password_command, &flags.password_file) {
        (Some(command), _) => {
            Some(Secret::Command(super::config::value::command(command).map_err(Failure::usage)?))
        }
        (None, Some(path)) => Some(Secret::File(path.clone())),
        (None, None) => known.and_then(|known| known.password.clone()),
    };
    let folders = match (flags.all_folders, flags.folder.is_empty(), known) {
        (true, ..) => Folders::All,
        (false, false, _) => Folders::These(flags.folder.clone()),
        (false, true, Some(known)) if known.all_folders => Folders::All,
        (false, true, Some(known)) if !known.folders.is_empty() => Folders::These(known.folders.clone()),
        (false, true, _) => Folders::These(vec!["INBOX".to_owned()]),
    };
    // To fetch, or even delete, INBOX in its place would be another thing than what was asked for.
    let other = |names: &[String]| names.iter().find(|name| !name.eq_ignore_ascii_case("INBOX")).cloned();
    if source.protocol == Protocol::Pop3
        && let Folders::These(names) = &folders
        && let Some(name) = other(names)
    {
        return Err(Failure::usage(format!("{source}: POP3 has INBOX only, and no folder {name}")));
    }
    let delete = flags.delete || (!flags.keep && known.is_some_and(|known| known.delete));
    if to == To::Stdout && (flags.json.json || (delete && !is_file(io::stdout()))) {
        let text = match flags.json.json {
            true => "--json and --into - both want stdout",
            false => {
                "--delete with --into - needs stdout to be a file: of a pipe nobody knows whether what is in it is safe; use -- PROGRAM"
            }
        };
        return Err(Failure::usage(text));
    }
    Ok(Job {
        source: source.clone(),
        password,
        tls_ca: flags.tls_ca.clone().or_else(|| known.and_then(|known| known.tls_ca.clone())),
        to,
        limit: flags.exec_timeout.or_else(|| known.and_then(|known| known.exec_timeout)).unwrap_or(LIMIT),
        folders,
        delete,
        state: match flags.state.clone().or_else(|| known.and_then(|known| known.state.clone())) {
            Some(state) => state,
            None => default_state()?,
        },
    })
}

fn is_file(stdout: impl std::os::fd::AsFd) -> bool {
    let kind = rustix::fs::fstat(stdout).map(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode));
    matches!(kind, Ok(rustix::fs::FileType::RegularFile))
}

/// `$XDG_STATE_HOME/posthaste/fetch`.
fn default_state() -> Result<PathBuf, Failure> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
    let folder = folder
        .ok_or_else(|| Failure::usage("no home directory to keep the state in: name one by --state"))?;
    Ok(folder.join("posthaste/fetch"))
}

impl Job {
    fn run(&self, flags: &Flags, runtime: &tokio::runtime::Runtime) -> Result<Exit, Failure> {
        let (disk, clock) = (Disk::gathering(SYNCS), Clock::system());
        let target = match &self.to {
            To::Maildir(path) => Target::Store(open::store(disk.clone(), clock.clone()), home(path)?),
            To::Program(words) => Target::Program(words.clone()),
            To::Stdout => Target::Mbox,
        };
        let order = self.order(target, disk, clock, flags.dry_run.dry_run)?;
        let source = self.source.to_string();
        let mut teller = Teller::new(&source, flags.loudness, flags.json.json, flags.dry_run.dry_run);
        let fetched = runtime.block_on(fetch(&order, &mut |news| teller.tell(news)));
        self.ended(&fetched, teller)
    }

    fn order<S: Store>(
        &self,
        target: Target<S>,
        disk: Disk,
        clock: Clock,
        dry_run: bool,
    ) -> Result<Order<S>, Failure> {
        let privacy = self.privacy()?;
        Ok(Order {
            source: self.source.to_string(),
            protocol: self.source.protocol,
            place: Place::Host(self.source.host.clone(), self.source.port),
            server: self.source.server(),
            privacy,
            login: self.login()?,
            folders: self.folders.clone(),
            target,
            limit: self.limit,
            delete: self.delete,
            state: self.state.clone(),
            dry_run,
            disk,
            clock,
            dialling: DIALLING,
            patience: PATIENCE,
        })
    }

    /// TLS is demanded everywhere but on this machine.
    fn privacy(&self) -> Result<Privacy, Failure> {
        let host = &self.source.host;
        let here = host == "localhost"
            || host.parse().is_ok_and(|address: IpAddr| address.to_canonical().is_loopback());
        let trust = match &self.tls_ca {
            Some(path) => Trust::File(path.clone()),
            None => Trust::System,
        };
        let open = |trust: &Trust| {
            Connector::open(trust).map_err(|fault| Failure::new(Exit::NoInput, fault.to_string()))
        };
        Ok(match (self.source.tls, here && self.tls_ca.is_none()) {
            (true, _) => Privacy::Implicit(open(&trust)?),
            (false, false) => Privacy::StartTls(open(&trust)?),
            (false, true) => Privacy::IfOffered(open(&Trust::Anyone)?),
        })
    }

    fn login(&self) -> Result<Option<Credentials>, Failure> {
        let Some(user) = &self.source.user else { return Ok(None) };
        let secret = match &self.password {
            Some(password) => password.ask()?,
            None => prompt::password(&self.source.to_string()).unwrap_or_else(|| {
                let text = format!(
                    "{}: the login {user} has no password; name a --password-command or --password-file",
                    self.source
                );
                Err(Failure::usage(text))
            })?,
        };
        Ok(Some(Credentials { login: user.clone(), secret: secret.as_bytes().to_vec().into() }))
    }

    fn ended(&self, fetched: &Fetched, teller: Teller<'_>) -> Result<Exit, Failure> {
        let to = match &self.to {
            To::Maildir(path) => format!("into {}", path.display()),
            To::Program(words) => {
                format!("to {}", words.first().map(|word| word.to_string_lossy()).unwrap_or_default())
            }
            To::Stdout => "to stdout".to_owned(),
        };
        match teller.ended(fetched, &to) {
            Said::Gone => return Err(Failure::silent(Exit::Ok)),
            Said::Already => return Ok(Exit::from(&fetched.verdict)),
            Said::NotYet => {}
        }
        match &fetched.verdict {
            Verdict::Done => Ok(Exit::Ok),
            Verdict::Later(why) | Verdict::Never(why) => {
                Err(Failure::new(Exit::from(&fetched.verdict), why.text.clone()))
            }
        }
    }
}

fn home(path: &Path) -> Result<Home, Failure> {
    let location = path.to_str().ok_or_else(|| Failure::usage("--into is not UTF-8"))?.to_owned();
    Ok(Home { account: location.clone(), location })
}

#[cfg(test)]
mod tests;
