//! mail-queue: flags to an order for [`crate::agent::queue`]. Also `mailq`, when that is what it is called as.

use super::{
    config::{Config, Reader, check, load, value::Place},
    exit::{self, Exit, Failure},
    flags::{self, Configuration, Json},
    open,
};
use crate::{
    agent::queue::{Change, Fault, Order, Verb, run as ask},
    sys::clock::Clock,
    wire::control::Refusal,
};
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use std::{
    ffi::OsString,
    io::{self, BufRead as _, Read as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Where the daemon listens when the configuration does not say it.
const SOCKET: &str = "/run/posthaste/control";
/// Ids that are read from stdin, at most.
const IDS_MAX: usize = 1_000_000;
/// The longest line on stdin.
const LINE_MAX: u64 = 1024;

/// Look at the messages that mail-relayd has not delivered yet, and change them
#[derive(Parser, Debug)]
#[command(name = "mail-queue", version)]
struct Flags {
    #[command(flatten)]
    configuration: Configuration,
    #[command(flatten)]
    json: Json,
    /// What to do; list is the default
    #[command(subcommand)]
    command: Option<Command>,
}

/// The messages in the queue
#[derive(Parser, Debug)]
#[command(name = "mailq", version)]
struct Mailq {
    #[command(flatten)]
    configuration: Configuration,
    #[command(flatten)]
    json: Json,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Show every message
    List(Print),
    /// Show all that is known of messages, or their text
    Show {
        #[command(flatten)]
        print: Print,
        /// Print the messages themselves, as they will be sent
        #[arg(long, conflicts_with = "json")]
        message: bool,
        /// Queue ids; - reads them from stdin
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
    /// Try waiting messages now
    Retry(Which),
    /// Keep messages until they are released
    Hold(Which),
    /// Let held messages go, now
    Release(Which),
    /// Take messages away, without a bounce
    Remove(Which),
}

/// Flags that may also stand behind the command.
#[derive(Args, Debug, Clone, Default)]
struct Print {
    #[command(flatten)]
    json: Json,
    #[command(flatten)]
    configuration: Configuration,
}

#[derive(Args, Debug)]
struct Which {
    #[command(flatten)]
    configuration: Configuration,
    /// Every message for which it makes sense
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    /// Queue ids; - reads them from stdin
    #[arg(required_unless_present = "all", value_name = "ID")]
    ids: Vec<String>,
}

/// Runs mail-queue.
pub fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    if called(&words) == Some("mailq".as_ref()) {
        exit::run("mailq", || {
            let flags: Mailq = flags::parse_from(words)?;
            run(Flags { configuration: flags.configuration, json: flags.json, command: None })
        })
    } else {
        exit::run("mail-queue", || run(flags::parse_from(words)?))
    }
}

fn called(words: &[OsString]) -> Option<&std::ffi::OsStr> {
    Path::new(words.first()?).file_name()
}

/// The table of its flags.
pub fn command() -> clap::Command {
    Flags::command()
}

/// What `sendmail -bp` does: prints the queue.
pub(super) fn print(configuration: Configuration) -> Result<Exit, Failure> {
    run(Flags { configuration, json: Json::default(), command: None })
}

/// What `sendmail -q` does: tries all that waits.
pub(super) fn flush(configuration: Configuration) -> Result<Exit, Failure> {
    let which = Which { configuration: configuration.clone(), all: true, ids: Vec::new() };
    run(Flags { configuration, json: Json::default(), command: Some(Command::Retry(which)) })
}

fn run(flags: Flags) -> Result<Exit, Failure> {
    let (verb, print) = verb(flags.command, &mut io::stdin().lock())?;
    let configuration = Configuration {
        config: print.configuration.config.or(flags.configuration.config),
        check_config: print.configuration.check_config || flags.configuration.check_config,
    };
    if configuration.check_config {
        return check(&configuration, Reader::Daemon);
    }
    let config = load(&configuration, Reader::Daemon)?;
    let order = Order { socket: socket(&config), verb, json: flags.json.json || print.json.json };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|fault| Failure::new(Exit::OsErr, format!("no event loop: {fault}")))?;
    let mut out = io::BufWriter::new(io::stdout());
    let asked = ask(&order, || open::view(&config), Clock::system().now(), &mut out);
    let report = runtime.block_on(asked).map_err(failure)?;
    drop(out);
    if let Verb::Change(_, None) = order.verb {
        eprintln!(
            "mail-queue: {} of {}",
            report.done,
            messages(report.done.saturating_add(report.refused.len()))
        );
    }
    for (_, text) in &report.refused {
        eprintln!("mail-queue: {text}");
    }
    Ok(Exit::over(report.refused.iter().map(|(why, _)| status(*why))))
}

fn messages(count: usize) -> String {
    if count == 1 { "1 message".to_owned() } else { format!("{count} messages") }
}

fn verb(command: Option<Command>, stdin: &mut impl io::BufRead) -> Result<(Verb, Print), Failure> {
    let (change, which) = match command {
        None => return Ok((Verb::List, Print::default())),
        Some(Command::List(print)) => return Ok((Verb::List, print)),
        Some(Command::Show { print, message, ids }) => {
            let ids = read(ids, stdin)?;
            return Ok((if message { Verb::Message(ids) } else { Verb::Show(ids) }, print));
        }
        Some(Command::Retry(which)) => (Change::Retry, which),
        Some(Command::Hold(which)) => (Change::Hold, which),
        Some(Command::Release(which)) => (Change::Release, which),
        Some(Command::Remove(which)) => (Change::Remove, which),
    };
    let ids = if which.all { None } else { Some(read(which.ids, stdin)?) };
    Ok((Verb::Change(change, ids), Print { configuration: which.configuration, json: Json::default() }))
}

/// The ids as given, with those of stdin, one a line, in the place of `-`.
fn read(ids: Vec<String>, stdin: &mut impl io::BufRead) -> Result<Vec<String>, Failure> {
    let mut all = Vec::new();
    for id in ids {
        if id != "-" {
            all.push(id);
            continue;
        }
        let mut line = String::new();
        while all.len() < IDS_MAX {
            line.clear();
            let got = stdin.by_ref().take(LINE_MAX).read_line(&mut line);
            if got.map_err(|fault| Failure::input("stdin", &fault))? == 0 {
                break;
            }
            all.extend(Some(line.trim().to_owned()).filter(|id| !id.is_empty()));
        }
    }
    Ok(all)
}

fn socket(config: &Config) -> PathBuf {
    match &config.relayd.control {
        Some(Place::Unix(path)) => path.clone(),
        _ => SOCKET.into(),
    }
}

fn failure(fault: Fault) -> Failure {
    match fault {
        Fault::Down(text) | Fault::Cut(text) => Failure::new(Exit::TempFail, text),
        Fault::Forbidden(text) => Failure::new(Exit::NoPerm, text),
        Fault::Output(fault) => Failure::stdout(fault),
    }
}

fn status(why: Refusal) -> Exit {
    match why {
        Refusal::Missing => Exit::NoInput,
        Refusal::Busy | Refusal::Temporary => Exit::TempFail,
        Refusal::State => Exit::Unavailable,
        Refusal::Damaged => Exit::IoErr,
        Refusal::Request => Exit::Protocol,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(line: &str) -> Result<(Flags, Verb, Print), Failure> {
        let mut flags: Flags = flags::parse_from(line.split(' ').map(OsString::from))?;
        let (verb, print) = verb(flags.command.take(), &mut &b"one\n\n two \n"[..])?;
        Ok((flags, verb, print))
    }

    #[test]
    fn flags_become_an_order() {
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        for (line, wanted) in [
            ("mail-queue", Verb::List),
            ("mail-queue list", Verb::List),
            ("mail-queue show a b", Verb::Show(ids(&["a", "b"]))),
            ("mail-queue show --message a", Verb::Message(ids(&["a"]))),
            ("mail-queue retry --all", Verb::Change(Change::Retry, None)),
            ("mail-queue hold x - y", Verb::Change(Change::Hold, Some(ids(&["x", "one", "two", "y"])))),
            ("mail-queue release -", Verb::Change(Change::Release, Some(ids(&["one", "two"])))),
            ("mail-queue remove a", Verb::Change(Change::Remove, Some(ids(&["a"])))),
        ] {
            assert_eq!(flags(line).unwrap().1, wanted, "{line}");
        }
        let (before, _, _) = flags("mail-queue -C /f --json list").unwrap();
        assert!(before.json.json && before.configuration.config == Some("/f".into()));
        let (_, _, behind) = flags("mail-queue list -C /f --json").unwrap();
        assert!(behind.json.json && behind.configuration.config == Some("/f".into()));
    }

    #[test]
    fn nothing_is_changed_without_a_word_about_which() {
        for line in [
            "retry",
            "hold",
            "release",
            "remove",
            "show",
            "remove --all a",
            "show --message --json a",
            "drop",
        ] {
            let failure = flags(&format!("mail-queue {line}")).unwrap_err();
            assert_eq!(failure.exit(), Exit::Usage, "{line}");
        }
    }
}
