//! The configuration: `posthaste.toml` as typed values (posthaste.toml(5)).
//! What it leaves out: opening anything that the values name (cli/open).

pub mod fetch;
pub mod find;
pub mod read;
pub mod relayd;
pub mod send;
pub mod serve;
pub mod value;

use crate::{
    account::location::Location,
    mail::address::{Domain, Mailbox},
    net::network::Network,
};
use read::{Item, Notes, Source, Table};
use std::path::PathBuf;
use toml::de::DeTable;

pub use fetch::Fetch;
pub use find::{Reader, check, load};
pub use relayd::Relayd;
pub use send::Send;
pub use serve::Serve;

/// The whole configuration. Paths are as seen from the folder of the file that named them.
#[derive(Clone, Debug)]
pub struct Config {
    /// What we call ourselves; without the key, what the system calls itself.
    pub hostname: String,
    /// Spool and keys.
    pub state: PathBuf,
    /// What daemons that were started as root become.
    pub user: String,
    /// The largest message, in octets.
    pub size_limit: u64,
    /// Who lives here.
    pub accounts: Accounts,
    /// Certificate and key; both or none.
    pub tls: Option<Tls>,
    /// The server that takes mail.
    pub relayd: Relayd,
    /// The server that mail is read from.
    pub serve: Serve,
    /// Servers to submit to, by the names of their tables, in the order of these names.
    pub send: Vec<Send>,
    /// Sources to fetch from, likewise.
    pub fetch: Vec<Fetch>,
}

/// `[accounts]`: who lives here.
#[derive(Clone, Debug)]
pub struct Accounts {
    /// Domains whose mail is delivered here, in lower case.
    pub domains: Vec<String>,
    /// The accounts, in Dovecot's passwd-file layout.
    pub file: Option<PathBuf>,
    /// Where an account's mail lies.
    pub maildir: Option<Location>,
    /// The aliases, in the layout of /etc/aliases.
    pub aliases: Option<PathBuf>,
    /// Who gets the mail for postmaster, abuse, root and MAILER-DAEMON where no alias or account says it.
    pub postmaster: Option<Mailbox>,
    /// Who gets the mail for unknown users of our domains.
    pub catch_all: Option<Mailbox>,
    /// What an account may keep, in octets, where its line in the file does not say it.
    pub quota: Option<u64>,
}

/// `[tls]`: what the listeners show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The certificate, with its chain, in PEM.
    pub certificate: PathBuf,
    /// Its key, in PEM.
    pub key: PathBuf,
}

impl Config {
    /// Reads parsed files, the first of which has precedence; faults are noted.
    fn read<'a>(files: &'a [(&'a Source, DeTable<'a>)], notes: &'a Notes) -> Config {
        let top = Table::top(files, notes);
        let accounts = accounts(top.table("accounts"));
        let tls = tls(top.table("tls"));
        let config = Config {
            hostname: top.value("hostname", host).unwrap_or_else(system_name),
            state: top.value("state", |item| item.path()).unwrap_or_else(|| "/var/lib/posthaste".into()),
            user: top.value("user", word).unwrap_or_else(|| "posthaste".into()),
            size_limit: top.value("size_limit", size).unwrap_or(50 << 20),
            accounts,
            tls,
            relayd: relayd::read(top.table("relayd")),
            serve: serve::read(top.table("serve")),
            send: send::read(top.table("send")),
            fetch: fetch::read(top.table("fetch")),
        };
        top.done();
        config
    }

    /// Every key there is, by its full name; `send.NAME.from` stands for each name.
    pub fn keys() -> Vec<String> {
        let source = Source { name: PathBuf::new(), text: "[send.NAME]\n[fetch.NAME]\n".into() };
        let notes = Notes::default();
        let Some(table) = read::parse(&source, &notes) else { return Vec::new() };
        let files = [(&source, table)];
        Config::read(&files, &notes);
        notes.known()
    }
}

fn accounts(table: Table<'_>) -> Accounts {
    let accounts = Accounts {
        domains: table.list("domains", host).unwrap_or_default(),
        file: table.value("file", |item| item.path()),
        maildir: table.value("maildir", |item| {
            Location::parse(item.from_here(item.string()?).to_str().ok_or("the path is not UTF-8")?)
        }),
        aliases: table.value("aliases", |item| item.path()),
        postmaster: table.value("postmaster", mailbox),
        catch_all: table.value("catch_all", mailbox),
        quota: table.value("quota", size),
    };
    if accounts.file.is_some() && accounts.domains.is_empty() {
        table.fault("file", "accounts.file needs accounts.domains: the domains of these accounts");
    }
    if accounts.file.is_some() && accounts.maildir.is_none() {
        table.fault("file", "accounts.file needs accounts.maildir: where the mail of these accounts lies");
    }
    table.done();
    accounts
}

fn tls(table: Table<'_>) -> Option<Tls> {
    let certificate = table.value("certificate", |item| item.path());
    let key = table.value("key", |item| item.path());
    let tls = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(Tls { certificate, key }),
        (Some(_), None) => {
            table.fault("certificate", "tls.certificate needs tls.key");
            None
        }
        (None, Some(_)) => {
            table.fault("key", "tls.key needs tls.certificate");
            None
        }
        (None, None) => None,
    };
    table.done();
    tls
}

/// A host or domain name, in lower case.
fn host(item: Item<'_>) -> Result<String, String> {
    let text = item.string()?;
    match Domain::parse(text.as_bytes()) {
        Ok(Domain::Name(name)) => Ok(name),
        Ok(Domain::Literal(_)) => Err(format!("`{text}` is an address, not a name")),
        Err(fault) => Err(format!("`{text}` is no host name: {fault}")),
    }
}

/// A full address.
fn mailbox(item: Item<'_>) -> Result<Mailbox, String> {
    let text = item.string()?;
    Mailbox::parse(text.as_bytes()).map_err(|fault| format!("`{text}` is no address: {fault}"))
}

/// A number of octets, plain or as `"50M"`.
fn size(item: Item<'_>) -> Result<u64, String> {
    match item.string() {
        Ok(text) => value::size(text),
        Err(_) => item.number(),
    }
}

/// A string that is not empty.
fn word(item: Item<'_>) -> Result<String, String> {
    match item.string()? {
        "" => Err("expected a name".into()),
        text => Ok(text.to_string()),
    }
}

/// Where to listen; a socket's relative path starts where the file is.
fn place(item: Item<'_>) -> Result<value::Place, String> {
    match value::place(item.string()?)? {
        value::Place::Unix(path) => socket_here(&item, &path.to_string_lossy()),
        tcp => Ok(tcp),
    }
}

fn socket_here(item: &Item<'_>, path: &str) -> Result<value::Place, String> {
    let path = item.from_here(path);
    value::place(&format!("unix:{}", path.to_str().ok_or("the path is not UTF-8")?))
}

/// A range of addresses.
fn range(item: Item<'_>) -> Result<Network, String> {
    item.string()?.parse()
}

/// A number from 1.
fn count(item: Item<'_>) -> Result<u32, String> {
    u32::try_from(item.number()?)
        .ok()
        .filter(|count| *count != 0)
        .ok_or_else(|| "expected a number from 1".into())
}

/// What the system calls itself, where that can be a host name.
fn system_name() -> String {
    let name = rustix::system::uname();
    match Domain::parse(name.nodename().to_bytes()) {
        Ok(Domain::Name(name)) => name,
        _ => "localhost".into(),
    }
}

#[cfg(test)]
mod tests;
