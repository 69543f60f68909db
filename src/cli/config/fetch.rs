//! `[fetch.NAME]`: sources that `mail-fetch` reads.

use super::{read::Item, read::Table, relayd::secret, value};
use crate::cli::{secret::Secret, server::Source};
use std::{path::PathBuf, time::Duration};

/// One source, and what is done with its messages.
#[derive(Clone, Debug)]
pub struct Fetch {
    /// What mail-fetch's argument calls it.
    pub name: String,
    /// The source; always given.
    pub source: Source,
    /// The password, where the source names a user.
    pub password: Option<Secret>,
    /// A file of certificates to trust besides the system's, in PEM.
    pub tls_ca: Option<PathBuf>,
    /// The Maildir that messages go into.
    pub into: Option<PathBuf>,
    /// The program that each message goes to, in words.
    pub exec: Option<Vec<String>>,
    /// How long that may take for a message.
    pub exec_timeout: Option<Duration>,
    /// The folders, as the server names them; none is INBOX.
    pub folders: Vec<String>,
    /// All folders.
    pub all_folders: bool,
    /// Delete at the source what is here.
    pub delete: bool,
    /// Where it is kept what was fetched.
    pub state: Option<PathBuf>,
}

pub(super) fn read(table: Table<'_>) -> Vec<Fetch> {
    table.named().into_iter().filter_map(|(name, table)| one(name, table)).collect()
}

fn one(name: String, table: Table<'_>) -> Option<Fetch> {
    let source: Option<Source> = table.value("source", |item| item.string()?.parse());
    let password = secret(&table, "password_command", "password_file", "password_credential");
    let tls_ca = table.value("tls_ca", |item| item.path());
    let into = table.value("into", home);
    let exec = table.value("exec", |item| match item.strings() {
        None => value::command(item.string()?),
        Some(words) => match words? {
            words if words.first().is_none_or(|program| program.is_empty()) => {
                Err("expected a command".to_owned())
            }
            words => Ok(words.into_iter().map(str::to_owned).collect()),
        },
    });
    let exec_timeout = table.value("exec_timeout", |item| value::duration(item.string()?));
    let folders = table.list("folders", super::word).unwrap_or_default();
    let all_folders = table.value("all_folders", |item| item.boolean()).unwrap_or(false);
    let delete = table.value("delete", |item| item.boolean()).unwrap_or(false);
    let state = table.value("state", home);
    let called = table.name_of("").trim_end_matches('.').to_owned();
    if !table.has("source") {
        table.fault("into", &format!("[{called}] needs a source"));
    }
    if source.as_ref().is_some_and(|source| source.user.is_some()) && password.is_none() {
        table.fault("source", "the source names a user; say where the password is: password_command, password_file or password_credential");
    }
    if table.has("into") == table.has("exec") {
        table.fault("exec", &format!("[{called}] needs into or exec: where messages go; one of them"));
    }
    if all_folders && !folders.is_empty() {
        table.fault("folders", "folders and all_folders exclude each other");
    }
    table.done();
    Some(Fetch {
        name,
        source: source?,
        password,
        tls_ca,
        into,
        exec,
        exec_timeout,
        folders,
        all_folders,
        delete,
        state,
    })
}

/// A path, where `~/` is the home directory of who runs this.
fn home(item: Item<'_>) -> Result<PathBuf, String> {
    match item.string()?.strip_prefix("~/") {
        None => item.path(),
        Some(rest) => match std::env::var_os("HOME").filter(|home| !home.is_empty()) {
            Some(home) if !rest.contains('\0') => Ok(PathBuf::from(home).join(rest)),
            _ => Err("there is no home directory: $HOME is not set".to_owned()),
        },
    }
}
