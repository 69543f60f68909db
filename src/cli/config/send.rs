//! `[send.NAME]`: servers that `mail-send` submits to.

use super::{mailbox, read::Table, relayd::secret};
use crate::{
    cli::{secret::Secret, server::Server},
    mail::address::Mailbox,
};
use std::path::PathBuf;

/// One server to submit to.
#[derive(Clone, Debug)]
pub struct Send {
    /// What `-a` calls it.
    pub name: String,
    /// Whose mail goes there: it is picked by the sender's address.
    pub from: Vec<Mailbox>,
    /// The server; always given.
    pub server: Server,
    /// The password, where the server names a user.
    pub password: Option<Secret>,
    /// A file of certificates to trust besides the system's, in PEM.
    pub tls_ca: Option<PathBuf>,
}

pub(super) fn read(table: Table<'_>) -> Vec<Send> {
    table.named().into_iter().filter_map(|(name, table)| one(name, table)).collect()
}

fn one(name: String, table: Table<'_>) -> Option<Send> {
    let server: Option<Server> = table.value("server", |item| item.string()?.parse());
    let from = table
        .value("from", |item| match item.strings() {
            None => mailbox(item).map(|one| vec![one]),
            Some(addresses) => addresses?
                .into_iter()
                .map(|text| {
                    Mailbox::parse(text.as_bytes())
                        .map_err(|fault| format!("`{text}` is no address: {fault}"))
                })
                .collect(),
        })
        .unwrap_or_default();
    let password = secret(&table, "password_command", "password_file", "password_credential");
    let tls_ca = table.value("tls_ca", |item| item.path());
    if !table.has("server") {
        table.fault("from", &format!("[{}] needs a server", table.name_of("").trim_end_matches('.')));
    }
    if server.as_ref().is_some_and(|server| server.user.is_some()) && password.is_none() {
        table.fault("server", "the server names a user; say where the password is: password_command, password_file or password_credential");
    }
    table.done();
    Some(Send { name, from, server: server?, password, tls_ca })
}
