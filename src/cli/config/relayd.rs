//! `[relayd]`: the server's part of the configuration.

use super::{
    count, host, place, range,
    read::{Item, Table},
    value::{self, Place},
    word,
};
use crate::{
    cli::{secret::Secret, server::Server},
    net::network::Network,
};
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// The server's settings.
#[derive(Clone, Debug)]
pub struct Relayd {
    /// Listeners for other servers.
    pub smtp: Vec<Place>,
    /// Listeners for our users, with STARTTLS.
    pub submission: Vec<Place>,
    /// Listeners for our users, within TLS.
    pub submissions: Vec<Place>,
    /// Listeners for LMTP.
    pub lmtp: Vec<Place>,
    /// The group that may connect to the sockets of `lmtp`.
    pub lmtp_group: Option<String>,
    /// The socket for local programs.
    pub local: Option<Place>,
    /// The socket for mail-queue.
    pub control: Option<Place>,
    /// Ranges that may relay without a login.
    pub relay_from: Vec<Network>,
    /// Domains that we are a backup MX for.
    pub relay_domains: Vec<String>,
    /// Where everything that is not for us goes; `None` is MX.
    pub smarthost: Option<Server>,
    /// The password for the smarthost.
    pub smarthost_password: Option<Secret>,
    /// Certificates that are trusted of the smarthost besides the system's.
    pub smarthost_tls_ca: Option<PathBuf>,
    /// The port of other servers.
    pub mx_port: u16,
    /// Name servers; none are those of the system.
    pub dns: Vec<SocketAddr>,
    /// Ranges that may log in without TLS.
    pub allow_plaintext: Vec<Network>,
    /// Connections from one address at a time.
    pub per_address: u32,
    /// Connections of one user at a time.
    pub per_user: u32,
    /// How long a client may take over one thing.
    pub patience: Duration,
    /// Waits between attempts; the last one stays. None are those of the spool.
    pub retry: Vec<Duration>,
    /// The age at which a message is given up; `None` is the spool's.
    pub expire: Option<Duration>,
}

/// RFC 5321 section 4.5.3.2.7.
const PATIENCE: Duration = Duration::from_secs(300);

pub(super) fn read(table: Table<'_>) -> Relayd {
    let places = |key| table.list(key, place).unwrap_or_default();
    let ranges = |key| table.list(key, range).unwrap_or_default();
    let relayd = Relayd {
        smtp: places("smtp"),
        submission: places("submission"),
        submissions: places("submissions"),
        lmtp: places("lmtp"),
        lmtp_group: table.value("lmtp_group", word),
        local: table.value("local", socket),
        control: table.value("control", socket),
        relay_from: ranges("relay_from"),
        relay_domains: table.list("relay_domains", host).unwrap_or_default(),
        smarthost: table
            .value("smarthost", |item| match item.string()? {
                "" => Ok(None),
                text => text.parse().map(Some),
            })
            .flatten(),
        smarthost_password: secret(
            &table,
            "smarthost_password_command",
            "smarthost_password_file",
            "smarthost_password_credential",
        ),
        smarthost_tls_ca: table.value("smarthost_tls_ca", |item| item.path()),
        mx_port: table.value("mx_port", port).unwrap_or(25),
        dns: table.list("dns", name_server).unwrap_or_default(),
        allow_plaintext: ranges("allow_plaintext"),
        per_address: table.value("per_address", count).unwrap_or(50),
        per_user: table.value("per_user", count).unwrap_or(50),
        patience: table.value("patience", patience).unwrap_or(PATIENCE),
        retry: table.list("retry", time).unwrap_or_default(),
        expire: table.value("expire", time),
    };
    let login = relayd.smarthost.as_ref().is_some_and(|server| server.user.is_some());
    if login && relayd.smarthost_password.is_none() {
        table.fault("smarthost", "relayd.smarthost names a user; say where the password is: smarthost_password_command, smarthost_password_file or smarthost_password_credential");
    }
    if !login && relayd.smarthost_password.is_some() {
        table.fault("smarthost", "a password for relayd.smarthost needs a user in it: smtps://USER@HOST");
    }
    table.done();
    relayd
}

/// A password's place, of which at most one may be named.
pub(super) fn secret(
    table: &Table<'_>,
    command: &'static str,
    file: &'static str,
    credential: &'static str,
) -> Option<Secret> {
    let places = [
        table.value(command, |item| match item.strings() {
            Some(words) => {
                value::check_command(words?.into_iter().map(str::to_string).collect()).map(Secret::Command)
            }
            None => value::command(item.string()?).map(Secret::Command),
        }),
        table.value(file, |item| item.path().map(Secret::File)),
        table.value(credential, |item| match item.string()? {
            name if name.is_empty() || name.contains('/') || name.starts_with('.') => {
                Err(format!("`{name}` is no credential's name"))
            }
            name => Ok(Secret::Credential(name.to_string())),
        }),
    ];
    let mut named = places.into_iter().flatten();
    let first = named.next();
    if named.next().is_some() {
        table.fault(command, &format!("only one of {command}, {file} and {credential} may be set"));
    }
    first
}

/// A unix socket: nothing else may stand here, since its peers are known by their credentials.
fn socket(item: Item<'_>) -> Result<Place, String> {
    match place(item)? {
        Place::Tcp(_) => Err("expected a unix socket: \"unix:/path\"".into()),
        unix => Ok(unix),
    }
}

fn time(item: Item<'_>) -> Result<Duration, String> {
    value::duration(item.string()?)
}

fn patience(item: Item<'_>) -> Result<Duration, String> {
    match time(item)? {
        short if short < Duration::from_secs(1) => Err("expected at least one second: \"1s\"".into()),
        time => Ok(time),
    }
}

fn port(item: Item<'_>) -> Result<u16, String> {
    u16::try_from(item.number()?)
        .ok()
        .filter(|port| *port != 0)
        .ok_or_else(|| "a port is between 1 and 65535".into())
}

fn name_server(item: Item<'_>) -> Result<SocketAddr, String> {
    let text = item.string()?;
    text.parse()
        .or_else(|_| text.parse().map(|address| SocketAddr::new(address, 53)))
        .map_err(|_| format!("`{text}`: write \"192.0.2.53\" or \"127.0.0.1:5353\""))
}
