//! mail-serve: flags and configuration to an order for [`crate::agent::serve`].

use super::{
    config::{Config, Reader, check, load},
    daemon::{self, Listeners, Ready},
    exit::{self, Exit, Failure},
    flags::{self, Configuration, Log, Loudness},
    log, open,
};
use crate::{
    agent::{
        daemon::Reload,
        serve::{Order, Settings, door, run, run_stdio},
    },
    net::accept::Limits,
    sys::{clock::Clock, disk::Disk},
};
use clap::{CommandFactory as _, Parser, ValueEnum};
use std::{process::ExitCode, sync::Arc};

/// Let people read their mail over IMAP and POP3
#[derive(Parser, Debug)]
#[command(name = "mail-serve", version)]
struct Flags {
    #[command(flatten)]
    configuration: Configuration,
    #[command(flatten)]
    log: Log,
    #[command(flatten)]
    loudness: Loudness,
    /// Once everything is served, write a line of JSON with the listeners' addresses to this descriptor
    #[arg(long, value_name = "N")]
    ready_fd: Option<u32>,
    /// Serve one session on stdin and stdout, as that listener would, and end
    #[arg(long, value_name = "LISTENER", require_equals = true)]
    stdio: Option<Listener>,
}

/// The listeners that `--stdio` can stand for.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Listener {
    Imap,
    Imaps,
    Pop3,
    Pop3s,
}

/// Runs mail-serve.
pub fn main() -> ExitCode {
    exit::run("mail-serve", start)
}

/// The table of its flags.
pub fn command() -> clap::Command {
    Flags::command()
}

fn start() -> Result<Exit, Failure> {
    let flags: Flags = flags::parse()?;
    if flags.configuration.check_config {
        return check(&flags.configuration, Reader::Daemon);
    }
    let config = load(&flags.configuration, Reader::Daemon)?;
    log::start(flags.log.log, flags.loudness);
    match flags.stdio {
        Some(listener) => stdio(&config, listener),
        None => daemon(&flags, &config),
    }
}

fn stdio(config: &Config, listener: Listener) -> Result<Exit, Failure> {
    let disk = Disk::inline();
    let door = match listener {
        Listener::Imap => door::IMAP,
        Listener::Imaps => door::IMAPS,
        Listener::Pop3 => door::POP3,
        Listener::Pop3s => door::POP3S,
    };
    daemon::alone(async {
        let settings = settings(config, &disk)?;
        run_stdio(open::store(disk.clone(), Clock::system()), settings, door).await;
        Ok(())
    })
}

fn daemon(flags: &Flags, config: &Config) -> Result<Exit, Failure> {
    let connections = daemon::raise_limits();
    let ready = Ready::new(flags.ready_fd)?;
    daemon::threaded(async {
        let doors = daemon::doors("serve", plan(config), config)?;
        let disk = Disk::shared(daemon::SYNCS);
        let order = Order {
            store: open::store(disk.clone(), Clock::system()),
            settings: settings(config, &disk)?,
            limits: Limits { total: connections, per_address: daemon::size(config.serve.per_address) },
            ready: ready.of(&doors),
            doors,
            reload: reload(flags.configuration.clone(), disk, fixed(config)),
        };
        run(order).await.map_err(daemon::no_signals)
    })
}

/// The listeners that are configured.
fn plan(config: &Config) -> Vec<Listeners> {
    let serve = &config.serve;
    let of = |name, places: &[_], refusal| Listeners {
        name,
        places: places.to_vec(),
        mode: 0o600,
        group: None,
        secure: door::is_secure(name),
        refusal,
    };
    vec![
        of(
            door::IMAP,
            &serve.imap,
            b"* BYE [UNAVAILABLE] Too many connections; come back later\r\n".as_slice(),
        ),
        of(door::IMAPS, &serve.imaps, b""),
        of(door::POP3, &serve.pop3, b"-ERR [SYS/TEMP] Too many connections; come back later\r\n"),
        of(door::POP3S, &serve.pop3s, b""),
    ]
}

/// What a reload reads anew.
fn settings(config: &Config, disk: &Disk) -> Result<Settings, Failure> {
    Ok(Settings {
        hostname: config.hostname.clone(),
        directory: Arc::new(open::directory_for_logins(config, disk)?),
        allow_plaintext: config.serve.allow_plaintext.clone(),
        per_user: daemon::size(config.serve.per_user),
        size_limit: config.size_limit,
        separator: config.serve.separator,
        acceptor: daemon::acceptor(config, b"\x04imap\x04pop3")?,
    })
}

/// The keys that only a start takes over, with their values.
fn fixed(config: &Config) -> Vec<(&'static str, String)> {
    let serve = &config.serve;
    vec![
        ("serve.imap", format!("{:?}", serve.imap)),
        ("serve.imaps", format!("{:?}", serve.imaps)),
        ("serve.pop3", format!("{:?}", serve.pop3)),
        ("serve.pop3s", format!("{:?}", serve.pop3s)),
        ("serve.per_address", serve.per_address.to_string()),
        ("state", config.state.display().to_string()),
        ("user", config.user.clone()),
    ]
}

/// Reads the configuration again. What is fixed stays what it is, and the log says so.
fn reload(flags: Configuration, disk: Disk, started: Vec<(&'static str, String)>) -> Reload<Settings> {
    Box::new(move || {
        let text = |failure: Failure| failure.text().to_owned();
        let config = load(&flags, Reader::Daemon).map_err(text)?;
        let read = settings(&config, &disk).map_err(text)?;
        daemon::warn_of_changes(&started, &fixed(&config));
        Ok(read)
    })
}
