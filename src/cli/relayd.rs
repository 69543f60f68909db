//! mail-relayd: flags and configuration to an order for [`crate::agent::relay`].

use super::{
    config::{self, Config, Reader, check, load},
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
        accept::{Door, Limits},
        dns::Dns,
        listen::{self, Inherited, Place, Socket},
        tls::{Acceptor, Trust},
    },
    spool::schedule::Schedule,
    sys::{clock::Clock, confine, disk::Disk},
    wire::{sasl::Credentials, smtp::Dialect},
};
use clap::{CommandFactory as _, Parser, ValueEnum};
use jiff::tz::TimeZone;
use std::{
    fs::File,
    io::{self, Write as _},
    net::{IpAddr, SocketAddr},
    os::unix::fs::chown,
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};
use zeroize::Zeroizing;

/// File syncs side by side.
const SYNCS: usize = 64;
/// Threads that may block, at most.
const BLOCKING: usize = 192;
/// Connections in all, as far as there are descriptors.
const CONNECTIONS: u64 = 4096;
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
        let said = check(&flags.configuration, Reader::Daemon)?;
        io::stdout().lock().write_all(said.as_bytes()).map_err(Failure::stdout)?;
        return Ok(Exit::Ok);
    }
    let config = load(&flags.configuration, Reader::Daemon)?;
    log::start(flags.log.log, flags.loudness);
    match flags.stdio {
        Some(listener) => stdio(&config, listener),
        None => daemon(&flags, &config),
    }
}

fn stdio(config: &Config, listener: Listener) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(no_runtime)?;
    let disk = Disk::inline();
    let door = match listener {
        Listener::Smtp => relay::door::SMTP,
        Listener::Submission => relay::door::SUBMISSION,
        Listener::Submissions => relay::door::SUBMISSIONS,
        Listener::Lmtp => relay::door::LMTP,
        Listener::Local => relay::door::LOCAL,
    };
    runtime.block_on(async {
        let spool = open::spool(config, &disk)?;
        let settings = settings(config, &disk, &[])?;
        let store = open::store(disk.clone(), Clock::system());
        run_stdio(store, spool, settings, door).await;
        Ok::<_, Failure>(())
    })?;
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(Exit::Ok)
}

fn daemon(flags: &Flags, config: &Config) -> Result<Exit, Failure> {
    let connections = raise_limits();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING)
        .thread_keep_alive(Duration::from_secs(60))
        .build()
        .map_err(no_runtime)?;
    let ready_to = flags.ready_fd.map(ready_file).transpose()?;
    let served = runtime.block_on(async {
        let doors = doors(config)?;
        if confine::is_root() {
            give_away(config)?;
        }
        let disk = Disk::shared(SYNCS);
        let bound: Vec<SocketAddr> =
            doors.iter().flat_map(|door| door.sockets.iter().filter_map(Socket::address)).collect();
        let order = Order {
            spool: open::spool(config, &disk)?,
            store: open::store(disk.clone(), Clock::system()),
            settings: settings(config, &disk, &bound)?,
            limits: Limits { total: connections, per_address: size(config.relayd.per_address) },
            ready: ready(&doors, config, ready_to),
            doors,
            reload: reload(flags.configuration.clone(), disk, bound, fixed(config)),
        };
        run(order).await.map_err(|fault| Failure::new(Exit::OsErr, format!("signals: {fault}")))
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    served.map(|()| Exit::Ok)
}

fn no_runtime(fault: io::Error) -> Failure {
    Failure::new(Exit::OsErr, format!("can't start threads: {fault}"))
}

fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Asks for as many descriptors as we may have, and says how many connections they are good for.
fn raise_limits() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.or(limit.current).unwrap_or(CONNECTIONS * 4);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: limit.maximum });
    let have = if raised.is_ok() { most } else { limit.current.unwrap_or(most) };
    usize::try_from((have / 4).clamp(16, CONNECTIONS)).unwrap_or(16)
}

/// Opens the listeners, or takes those that systemd opened.
fn doors(config: &Config) -> Result<Vec<Door>, Failure> {
    let failed = |fault: io::Error| Failure::new(Exit::OsErr, fault.to_string());
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut inherited = Inherited::of_process(&names).map_err(failed)?;
    let relayd = &config.relayd;
    let group = relayd.lmtp_group.as_deref().map(group).transpose()?;
    let one = |place: &Option<config::value::Place>| place.iter().cloned().collect::<Vec<_>>();
    const CROWDED: &[u8] = b"421 4.7.0 Too many connections; come back later\r\n";
    let plan = [
        (relay::door::SMTP, relayd.smtp.clone(), 0o600, CROWDED),
        (relay::door::SUBMISSION, relayd.submission.clone(), 0o600, CROWDED),
        (relay::door::SUBMISSIONS, relayd.submissions.clone(), 0o600, b"".as_slice()),
        (relay::door::LMTP, relayd.lmtp.clone(), 0o660, CROWDED),
        (relay::door::LOCAL, one(&relayd.local), 0o666, CROWDED),
        (relay::door::CONTROL, one(&relayd.control), 0o600, b"".as_slice()),
    ];
    let mut doors = Vec::new();
    for (name, places, mode, refusal) in plan {
        let mut sockets = inherited.named(name);
        if sockets.is_empty() {
            let group = group.filter(|_| name == relay::door::LMTP);
            for place in places {
                let place = match place {
                    config::value::Place::Tcp(address) => Place::Tcp(address),
                    config::value::Place::Unix(path) => Place::Unix { path, mode, group },
                };
                sockets.push(listen::open(&place).map_err(failed)?);
            }
        }
        if name == relay::door::SUBMISSIONS && !sockets.is_empty() && config.tls.is_none() {
            let text = "relayd.submissions needs a certificate: tls.certificate and tls.key";
            return Err(Failure::new(Exit::Config, text));
        }
        if !sockets.is_empty() {
            doors.push(Door { name, sockets, refusal });
        }
    }
    if let Some(unknown) = inherited.left().first() {
        let text = format!("systemd gave a socket named {unknown:?}, which is no listener of [relayd]");
        return Err(Failure::new(Exit::Config, text));
    }
    match doors.is_empty() {
        true => Err(Failure::new(Exit::Config, "no listener is configured: set relayd.smtp or another")),
        false => Ok(doors),
    }
}

fn group(name: &str) -> Result<u32, Failure> {
    match nix::unistd::Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        Ok(None) => Err(Failure::new(Exit::Config, format!("relayd.lmtp_group: there is no group {name:?}"))),
        Err(fault) => Err(Failure::new(Exit::OsErr, format!("relayd.lmtp_group: {fault}"))),
    }
}

/// Gives what root had to make to the user that the daemon becomes, and becomes it.
fn give_away(config: &Config) -> Result<(), Failure> {
    let user = match nix::unistd::User::from_name(&config.user) {
        Ok(Some(user)) => user,
        Ok(None) => {
            let text = format!("there is no user {:?}; make one, or set `user`", config.user);
            return Err(Failure::new(Exit::Config, text));
        }
        Err(fault) => return Err(Failure::new(Exit::OsErr, format!("user {:?}: {fault}", config.user))),
    };
    let state = &config.state;
    let wrong = |fault: &dyn std::fmt::Display| {
        Failure::new(Exit::CantCreat, format!("the state directory {}: {fault}", state.display()))
    };
    if !state.exists() {
        Disk::inline().make_all(state, 0o750).map_err(|fault| wrong(&fault))?;
        chown(state, Some(user.uid.as_raw()), Some(user.gid.as_raw())).map_err(|fault| wrong(&fault))?;
    }
    let relayd = &config.relayd;
    for place in relayd.lmtp.iter().chain(&relayd.local).chain(&relayd.control) {
        if let config::value::Place::Unix(path) = place {
            // A socket of systemd's may stand elsewhere.
            let _ = chown(path, Some(user.uid.as_raw()), None);
        }
    }
    confine::become_named(&config.user)
        .map_err(|fault| Failure::new(Exit::OsErr, format!("can't become {:?}: {fault}", config.user)))
}

/// What a reload reads anew.
fn settings(config: &Config, disk: &Disk, bound: &[SocketAddr]) -> Result<Settings, Failure> {
    let relayd = &config.relayd;
    let directory = open::directory_for_logins(config, disk)?;
    let first = directory.first().and_then(|account| Mailbox::parse(account.id.as_bytes()).ok());
    let addresses: Vec<IpAddr> = listen::own_addresses();
    let acceptor = match &config.tls {
        Some(tls) => Some(Acceptor::open(&tls.certificate, &tls.key).map_err(|fault| {
            Failure::new(
                Exit::Config,
                format!("{fault} (the user {:?} must be able to read it)", config.user),
            )
        })?),
        None => None,
    };
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
        per_user: size(relayd.per_user),
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
        for ((key, old), (_, new)) in started.iter().zip(fixed(&config)) {
            if *old != new {
                tracing::warn!(key, "changed, but not taken over: this changes at a restart");
            }
        }
        Ok(read)
    })
}

/// Opens the descriptor that is told of readiness, while we still may.
fn ready_file(number: u32) -> Result<Box<dyn io::Write + Send>, Failure> {
    match number {
        1 => Ok(Box::new(io::stdout())),
        2 => Ok(Box::new(io::stderr())),
        _ => match File::options().write(true).open(format!("/dev/fd/{number}")) {
            Ok(file) => Ok(Box::new(file)),
            Err(fault) => Err(Failure::usage(format!("--ready-fd {number}: {fault}"))),
        },
    }
}

/// Tells systemd and whoever gave a descriptor.
fn ready(doors: &[Door], config: &Config, to: Option<Box<dyn io::Write + Send>>) -> Box<dyn FnOnce() + Send> {
    let mut line = serde_json::Map::new();
    for door in doors {
        let mut places: Vec<serde_json::Value> = Vec::new();
        places.extend(door.sockets.iter().filter_map(Socket::address).map(|at| at.to_string().into()));
        places.extend(unix_places(door, config).map(|path| format!("unix:{path}").into()));
        line.insert(door.name.to_owned(), places.into());
    }
    Box::new(move || {
        if let Some(mut to) = to {
            let told = writeln!(to, "{}", serde_json::Value::Object(line)).and_then(|()| to.flush());
            if let Err(fault) = told {
                tracing::warn!(%fault, "nobody hears that we are ready");
            }
        }
        // Without systemd there is nobody to tell.
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    })
}

fn unix_places<'a>(door: &Door, config: &'a Config) -> impl Iterator<Item = String> + 'a {
    let relayd = &config.relayd;
    let places: Vec<&config::value::Place> = match door.name {
        relay::door::LMTP => relayd.lmtp.iter().collect(),
        relay::door::LOCAL => relayd.local.iter().collect(),
        relay::door::CONTROL => relayd.control.iter().collect(),
        _ => Vec::new(),
    };
    places.into_iter().filter_map(|place| match place {
        config::value::Place::Unix(path) => Some(path.display().to_string()),
        config::value::Place::Tcp(_) => None,
    })
}
