//! mail-serve: flags and configuration to an order for [`crate::agent::serve`].

use super::{
    config::{Config, Reader, check, load},
    daemon::{self, Listeners, Ready},
    deliver,
    exit::{self, Exit, Failure},
    flags::{self, Configuration, Log, Loudness},
    log, open,
};
use crate::{
    account::{Account, Directory},
    agent::{
        daemon::Reload,
        serve::{Order, Settings, door, run, run_stdio},
    },
    net::{accept::Limits, tls::Acceptor},
    sys::{clock::Clock, confine, disk::Disk},
};
use clap::{CommandFactory as _, Parser, ValueEnum};
use std::{
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

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
    #[arg(long, value_name = "LISTENER", num_args = 0..=1, require_equals = true, default_missing_value = "imap")]
    stdio: Option<Listener>,
    /// With --stdio: this account of the configuration is logged in from the start, and no password asked for
    #[arg(long, value_name = "USER", requires = "stdio")]
    user: Option<String>,
    /// With --stdio: this Maildir is served, whoever's it is, and no password asked for
    #[arg(long, value_name = "DIR", requires = "stdio", conflicts_with = "user")]
    maildir: Option<PathBuf>,
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
    if flags.user.is_some() || flags.maildir.is_some() {
        return tunnel(&flags);
    }
    let config = load(&flags.configuration, Reader::Daemon)?;
    log::start(flags.log.log, flags.loudness);
    match flags.stdio {
        Some(listener) => stdio(&config, listener),
        None => daemon(&flags, &config),
    }
}

/// Serves who could read the Maildir without us: the rights of this process are all that is asked for.
fn tunnel(flags: &Flags) -> Result<Exit, Failure> {
    if !matches!(flags.stdio, Some(Listener::Imap)) {
        return Err(Failure::usage("--user and --maildir are served by --stdio=imap only"));
    }
    // Whoever has the other end of the tunnel sees stderr, too, and wants to see nothing.
    let quiet = flags.loudness.verbose == 0;
    log::start(flags.log.log, Loudness { quiet, ..flags.loudness });
    let disk = Disk::inline();
    let (config, account) = match (&flags.user, &flags.maildir) {
        (Some(user), _) => {
            let config = load(&flags.configuration, Reader::Daemon)?;
            let (account, ..) = open::account(&config, user)?;
            (config, account)
        }
        (None, dir) => {
            let location = dir.as_deref().and_then(Path::to_str);
            let location = location.ok_or_else(|| Failure::usage("--maildir is not UTF-8"))?.to_owned();
            let account = Account { id: location.clone(), location, quota: None, send_as: Vec::new() };
            (load(&flags.configuration, Reader::User)?, account)
        }
    };
    become_owner(Path::new(&account.location), flags.user.as_ref().map(|_| config.user.as_str()))?;
    daemon::alone(async {
        // Nobody logs in, and no key can be read.
        let settings = settings_of(&config, Arc::new(open::nobody()), None);
        run_stdio(open::store(disk, Clock::system()), settings, door::IMAP, Some(account)).await;
        Ok(())
    })
}

/// Root becomes whom the directory itself belongs to: a link that stands in its place may lead to anybody's.
fn become_owner(maildir: &Path, otherwise: Option<&str>) -> Result<(), Failure> {
    let refuse = |why: &dyn std::fmt::Display| {
        Failure::new(Exit::NoPerm, format!("{}: {why}; run mail-serve as its owner", maildir.display()))
    };
    match maildir.symlink_metadata() {
        Ok(stat) if confine::is_root() && stat.is_symlink() => {
            Err(refuse(&"root follows no link in the place of a Maildir"))
        }
        Ok(stat) if confine::is_root() && stat.uid() != 0 => {
            confine::become_number(stat.uid(), stat.gid()).map_err(|fault| refuse(&fault))
        }
        Ok(_) => Ok(()),
        Err(_) => deliver::become_owner(maildir, otherwise),
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
        run_stdio(open::store(disk.clone(), Clock::system()), settings, door, None).await;
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
    let directory = Arc::new(open::directory_for_logins(config, disk)?);
    Ok(settings_of(config, directory, daemon::acceptor(config, b"\x04imap\x04pop3")?))
}

fn settings_of(config: &Config, directory: Arc<dyn Directory>, acceptor: Option<Acceptor>) -> Settings {
    Settings {
        hostname: config.hostname.clone(),
        directory,
        allow_plaintext: config.serve.allow_plaintext.clone(),
        per_user: daemon::size(config.serve.per_user),
        size_limit: config.size_limit,
        separator: config.serve.separator,
        folders: config.serve.folders.clone(),
        acceptor,
    }
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
