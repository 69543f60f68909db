//! mail-relayd: flags and configuration to an order for [`crate::agent::relay`].

use super::{
    config::{self, Config, Reader, check, load},
    daemon::{self, Listeners, Ready},
    exit::{self, Exit, Failure},
    flags::{self, Configuration, Log, Loudness},
    log, open,
    server::{self, Scheme, Server},
};
use crate::{
    agent::{
        relay::{self, Names, Order, Security, Settings, Smarthost, Target, run, run_stdio},
        route::{Rules, hosts::Own},
    },
    mail::address::Mailbox,
    net::{
        accept::Limits,
        dns::Dns,
        listen::{self, Socket},
        tls::Trust,
    },
    spool::schedule::Schedule,
    sys::{clock::Clock, disk::Disk},
    wire::{sasl::Credentials, smtp::Dialect},
};
use clap::{CommandFactory as _, Parser, ValueEnum};
use jiff::tz::TimeZone;
use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};
use zeroize::Zeroizing;

/// How long a name server may take.
const DNS_PATIENCE: Duration = Duration::from_secs(5);

/// Take mail over SMTP, deliver it here, and send the rest on
#[derive(Parser, Debug)]
#[command(name = "mail-relayd", version)]
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
    #[arg(long, value_name = "LISTENER", num_args = 0..=1, require_equals = true, default_missing_value = "smtp")]
    stdio: Option<Listener>,
}

/// The listeners that `--stdio` can stand for.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Listener {
    Smtp,
    Submission,
    Submissions,
    Lmtp,
    Local,
}

/// Runs mail-relayd.
pub fn main() -> ExitCode {
    exit::run("mail-relayd", start)
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
        Listener::Smtp => relay::door::SMTP,
        Listener::Submission => relay::door::SUBMISSION,
        Listener::Submissions => relay::door::SUBMISSIONS,
        Listener::Lmtp => relay::door::LMTP,
        Listener::Local => relay::door::LOCAL,
    };
    daemon::alone(async {
        let spool = open::spool(config, &disk)?;
        let settings = settings(config, &disk, &[])?;
        let store = open::store(disk.clone(), Clock::system());
        run_stdio(store, spool, settings, door).await;
        Ok(())
    })
}

fn daemon(flags: &Flags, config: &Config) -> Result<Exit, Failure> {
    let connections = daemon::raise_limits();
    let ready = Ready::new(flags.ready_fd)?;
    daemon::threaded(async {
        let doors = daemon::doors("relayd", plan(config)?, config)?;
        let disk = Disk::shared(daemon::SYNCS);
        let bound: Vec<SocketAddr> =
            doors.iter().flat_map(|door| door.sockets.iter().filter_map(Socket::address)).collect();
        let order = Order {
            spool: open::spool(config, &disk)?,
            store: open::store(disk.clone(), Clock::system()),
            settings: settings(config, &disk, &bound)?,
            limits: Limits { total: connections, per_address: daemon::size(config.relayd.per_address) },
            ready: ready.of(&doors),
            doors,
            reload: reload(flags.configuration.clone(), disk, bound, fixed(config)),
        };
        run(order).await.map_err(daemon::no_signals)
    })
}

/// The listeners that are configured.
fn plan(config: &Config) -> Result<Vec<Listeners>, Failure> {
    let relayd = &config.relayd;
    let group = relayd.lmtp_group.as_deref().map(group).transpose()?;
    let one = |place: &Option<config::value::Place>| place.iter().cloned().collect::<Vec<_>>();
    const CROWDED: &[u8] = b"421 4.7.0 Too many connections; come back later\r\n";
    let of = |name, places: Vec<_>, mode, refusal| Listeners {
        name,
        places,
        mode,
        group: None,
        secure: false,
        refusal,
    };
    Ok(vec![
        of(relay::door::SMTP, relayd.smtp.clone(), 0o600, CROWDED),
        of(relay::door::SUBMISSION, relayd.submission.clone(), 0o600, CROWDED),
        Listeners { secure: true, ..of(relay::door::SUBMISSIONS, relayd.submissions.clone(), 0o600, b"") },
        Listeners { group, ..of(relay::door::LMTP, relayd.lmtp.clone(), 0o660, CROWDED) },
        of(relay::door::LOCAL, one(&relayd.local), 0o666, CROWDED),
        of(relay::door::CONTROL, one(&relayd.control), 0o600, b""),
    ])
}

fn group(name: &str) -> Result<u32, Failure> {
    match nix::unistd::Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        Ok(None) => Err(Failure::new(Exit::Config, format!("relayd.lmtp_group: there is no group {name:?}"))),
        Err(fault) => Err(Failure::new(Exit::OsErr, format!("relayd.lmtp_group: {fault}"))),
    }
}

/// What a reload reads anew.
fn settings(config: &Config, disk: &Disk, bound: &[SocketAddr]) -> Result<Settings, Failure> {
    let relayd = &config.relayd;
    let directory = open::directory_for_logins(config, disk)?;
    let first = directory.first().and_then(|account| Mailbox::parse(account.id.as_bytes()).ok());
    let addresses: Vec<IpAddr> = listen::own_addresses();
    let acceptor = daemon::acceptor(config, b"\x04smtp")?;
    let dns = match relayd.dns.as_slice() {
        [] => Dns::system(DNS_PATIENCE),
        servers => Dns::at(servers, DNS_PATIENCE),
    };
    let dns = dns.map_err(|fault| Failure::new(Exit::OsErr, format!("name servers: {fault}")))?;
    let smarthost = match &relayd.smarthost {
        Some(server) => {
            let password = relayd.smarthost_password.as_ref().map(|secret| secret.ask()).transpose()?;
            Some(smarthost(server, password, relayd.smarthost_tls_ca.as_deref()))
        }
        None => None,
    };
    let defaults = Schedule::DEFAULT_EXPIRE;
    Ok(Settings {
        hostname: config.hostname.clone(),
        rules: Rules {
            hostname: config.hostname.clone(),
            addresses: addresses.clone(),
            home: config.accounts.domains.first().cloned(),
            relay_domains: relayd.relay_domains.clone(),
            smarthost: smarthost.is_some(),
            postmaster: config.accounts.postmaster.clone().or(first),
        },
        directory: Arc::new(directory),
        own: Own { names: vec![config.hostname.clone()], listeners: bound.to_vec(), addresses },
        relay_from: relayd.relay_from.clone(),
        allow_plaintext: relayd.allow_plaintext.clone(),
        per_user: daemon::size(relayd.per_user),
        patience: relayd.patience,
        size_limit: config.size_limit,
        schedule: Schedule::new(&relayd.retry, relayd.expire.unwrap_or(defaults)),
        smarthost,
        mx_port: relayd.mx_port,
        dns: Arc::new(Names::new(dns)),
        acceptor,
        zone: TimeZone::system(),
    })
}

/// TLS is demanded of every server that is not on this machine, and of one whose certificate we are told.
fn smarthost(server: &Server, password: Option<Zeroizing<String>>, ca: Option<&Path>) -> Smarthost {
    let (target, here) = match &server.place {
        server::Place::Unix(path) => (Target::Unix(path.clone()), true),
        server::Place::Host(host, port) => {
            let loopback = host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
            (Target::Host(host.clone(), *port), loopback || host == "localhost")
        }
    };
    let login = server
        .user
        .clone()
        .zip(password)
        .map(|(login, secret)| Credentials { login, secret: Zeroizing::new(secret.as_bytes().to_vec()) });
    Smarthost {
        dialect: if server.scheme == Scheme::Lmtp { Dialect::Lmtp } else { Dialect::Submission },
        target,
        security: match (server.scheme, here, ca, &server.user) {
            (Scheme::Smtps, ..) => Some(Security::Implicit),
            (_, false, ..) | (_, _, Some(_), _) => Some(Security::StartTls),
            // Servers rarely take a login without TLS, even from here.
            (_, true, None, Some(_)) => None,
            (_, true, None, None) => Some(Security::Clear),
        },
        trust: ca.map_or(Trust::System, |ca| Trust::File(ca.to_owned())),
        login,
    }
}

/// The keys that only a start takes over, with their values.
fn fixed(config: &Config) -> Vec<(&'static str, String)> {
    let relayd = &config.relayd;
    vec![
        ("relayd.smtp", format!("{:?}", relayd.smtp)),
        ("relayd.submission", format!("{:?}", relayd.submission)),
        ("relayd.submissions", format!("{:?}", relayd.submissions)),
        ("relayd.lmtp", format!("{:?}", relayd.lmtp)),
        ("relayd.lmtp_group", format!("{:?}", relayd.lmtp_group)),
        ("relayd.local", format!("{:?}", relayd.local)),
        ("relayd.control", format!("{:?}", relayd.control)),
        ("relayd.per_address", relayd.per_address.to_string()),
        ("state", config.state.display().to_string()),
        ("user", config.user.clone()),
    ]
}

/// Reads the configuration again. What is fixed stays what it is, and the log says so.
fn reload(
    flags: Configuration,
    disk: Disk,
    bound: Vec<SocketAddr>,
    started: Vec<(&'static str, String)>,
) -> Box<dyn Fn() -> Result<Settings, String> + Send + Sync> {
    Box::new(move || {
        let text = |failure: Failure| failure.text().to_owned();
        let config = load(&flags, Reader::Daemon).map_err(text)?;
        let read = settings(&config, &disk, &bound).map_err(text)?;
        daemon::warn_of_changes(&started, &fixed(&config));
        Ok(read)
    })
}
