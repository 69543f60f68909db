//! What the daemons' programs share: descriptors, listeners, threads, the user that they become, and how readiness is told.

use super::{
    config::{self, Config},
    exit::{Exit, Failure},
};
use crate::{
    net::{
        accept::Door,
        listen::{self, Inherited, Place, Socket},
        tls::Acceptor,
    },
    sys::{confine, disk::Disk},
};
use std::{
    fs::File,
    io::{self, Write as _},
    os::unix::fs::chown,
    time::Duration,
};

/// File syncs side by side.
pub const SYNCS: usize = 64;
/// Threads that may block, at most.
const BLOCKING: usize = 192;
/// Connections in all, as far as there are descriptors.
const CONNECTIONS: u64 = 4096;

/// The listeners of one configuration key.
#[derive(Debug)]
pub struct Listeners {
    /// The key.
    pub name: &'static str,
    /// What it says.
    pub places: Vec<config::value::Place>,
    /// Who may connect to its unix sockets,
    pub mode: u32,
    /// and the group they are given to.
    pub group: Option<u32>,
    /// TLS stands there from the start, so that a certificate is needed.
    pub secure: bool,
    /// What one connection too many is told.
    pub refusal: &'static [u8],
}

/// Opens listeners, or takes those that systemd opened; then, started by root, becomes the user that the configuration names.
/// `section` is the table of the configuration.
pub fn doors(section: &str, plan: Vec<Listeners>, config: &Config) -> Result<Vec<Door>, Failure> {
    let failed = |fault: io::Error| Failure::new(Exit::OsErr, fault.to_string());
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut inherited = Inherited::of_process(&names).map_err(failed)?;
    let mut doors = Vec::new();
    let mut unix = Vec::new();
    let first = plan.first().map(|one| one.name).unwrap_or_default();
    for Listeners { name, places, mode, group, secure, refusal } in plan {
        let mut sockets = inherited.named(name);
        if sockets.is_empty() {
            for place in places {
                let place = match place {
                    config::value::Place::Tcp(address) => Place::Tcp(address),
                    config::value::Place::Unix(path) => {
                        unix.push(path.clone());
                        Place::Unix { path, mode, group }
                    }
                };
                sockets.push(listen::open(&place).map_err(failed)?);
            }
        }
        if secure && !sockets.is_empty() && config.tls.is_none() {
            let text = format!("{section}.{name} needs a certificate: tls.certificate and tls.key");
            return Err(Failure::new(Exit::Config, text));
        }
        if !sockets.is_empty() {
            doors.push(Door { name, sockets, refusal });
        }
    }
    if let Some(unknown) = inherited.left().first() {
        let text = format!("systemd gave a socket named {unknown:?}, which is no listener of [{section}]");
        return Err(Failure::new(Exit::Config, text));
    }
    if doors.is_empty() {
        let text = format!("no listener is configured: set {section}.{first} or another");
        return Err(Failure::new(Exit::Config, text));
    }
    if confine::is_root() {
        give_away(config, &unix)?;
    }
    Ok(doors)
}

/// Gives what root had to make to the user that the daemon becomes, and becomes it.
fn give_away(config: &Config, sockets: &[std::path::PathBuf]) -> Result<(), Failure> {
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
    for path in sockets {
        // A failure shows when somebody connects, or does not matter.
        let _ = chown(path, Some(user.uid.as_raw()), None);
    }
    confine::become_named(&config.user)
        .map_err(|fault| Failure::new(Exit::OsErr, format!("can't become {:?}: {fault}", config.user)))
}

/// The certificate, where there is one, for a server of these protocols (ALPN).
pub fn acceptor(config: &Config, protocols: &'static [u8]) -> Result<Option<Acceptor>, Failure> {
    let Some(tls) = &config.tls else { return Ok(None) };
    let opened = Acceptor::speaking(&tls.certificate, &tls.key, protocols).map_err(|fault| {
        Failure::new(Exit::Config, format!("{fault} (the user {:?} must be able to read it)", config.user))
    });
    opened.map(Some)
}

/// Runs one session on this thread.
pub fn alone(work: impl Future<Output = Result<(), Failure>>) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(no_runtime)?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(Duration::from_secs(1));
    done.map(|()| Exit::Ok)
}

/// Runs a daemon.
pub fn threaded(work: impl Future<Output = Result<(), Failure>>) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING)
        .thread_keep_alive(Duration::from_secs(60))
        .build()
        .map_err(no_runtime)?;
    let served = runtime.block_on(work);
    runtime.shutdown_timeout(Duration::from_secs(1));
    served.map(|()| Exit::Ok)
}

fn no_runtime(fault: io::Error) -> Failure {
    Failure::new(Exit::OsErr, format!("can't start threads: {fault}"))
}

/// Signals can't be heard.
pub fn no_signals(fault: io::Error) -> Failure {
    Failure::new(Exit::OsErr, format!("signals: {fault}"))
}

/// A number of the configuration as a size.
pub fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Asks for as many descriptors as we may have, and says how many connections they are good for.
pub fn raise_limits() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.or(limit.current).unwrap_or(CONNECTIONS * 4);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: limit.maximum });
    let have = if raised.is_ok() { most } else { limit.current.unwrap_or(most) };
    usize::try_from((have / 4).clamp(16, CONNECTIONS)).unwrap_or(16)
}

/// Says in the log which of the keys that only a start takes over have other values now.
pub fn warn_of_changes(started: &[(&'static str, String)], now: &[(&'static str, String)]) {
    for ((key, old), (_, new)) in started.iter().zip(now) {
        if old != new {
            tracing::warn!(key, "changed, but not taken over: this changes at a restart");
        }
    }
}

/// Who is told of readiness.
pub struct Ready(Option<Box<dyn io::Write + Send>>);

impl Ready {
    /// systemd, and the descriptor of `--ready-fd`, which is opened while we still may.
    pub fn new(descriptor: Option<u32>) -> Result<Ready, Failure> {
        let Some(number) = descriptor else { return Ok(Ready(None)) };
        Ok(Ready(Some(match number {
            1 => Box::new(io::stdout()),
            2 => Box::new(io::stderr()),
            _ => match File::options().write(true).open(format!("/dev/fd/{number}")) {
                Ok(file) => Box::new(file),
                Err(fault) => return Err(Failure::usage(format!("--ready-fd {number}: {fault}"))),
            },
        })))
    }

    /// What tells them.
    pub fn of(self, doors: &[Door]) -> Box<dyn FnOnce() + Send> {
        let mut line = serde_json::Map::new();
        for door in doors {
            let places: Vec<serde_json::Value> =
                door.sockets.iter().filter_map(Socket::place).map(serde_json::Value::from).collect();
            line.insert(door.name.to_owned(), places.into());
        }
        Box::new(move || {
            if let Some(mut to) = self.0 {
                let told = writeln!(to, "{}", serde_json::Value::Object(line)).and_then(|()| to.flush());
                if let Err(fault) = told {
                    tracing::warn!(%fault, "nobody hears that we are ready");
                }
            }
            // Without systemd there is nobody to tell.
            let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        })
    }
}
