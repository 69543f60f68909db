//! `[serve]`: the part of the server that mail is read from.

use super::{
    count, place, range,
    read::{Item, Table},
    value::Place,
};
use crate::net::network::Network;

/// The server's settings.
#[derive(Clone, Debug)]
pub struct Serve {
    /// Listeners for IMAP, with STARTTLS.
    pub imap: Vec<Place>,
    /// Listeners for IMAP within TLS.
    pub imaps: Vec<Place>,
    /// Listeners for POP3, with STLS.
    pub pop3: Vec<Place>,
    /// Listeners for POP3 within TLS.
    pub pop3s: Vec<Place>,
    /// What parts the levels of folder names in IMAP: `.` or `/`.
    pub separator: char,
    /// Ranges that may log in without TLS.
    pub allow_plaintext: Vec<Network>,
    /// Connections from one address at a time.
    pub per_address: u32,
    /// Connections of one user at a time.
    pub per_user: u32,
}

pub(super) fn read(table: Table<'_>) -> Serve {
    let places = |key| table.list(key, place).unwrap_or_default();
    let serve = Serve {
        imap: places("imap"),
        imaps: places("imaps"),
        pop3: places("pop3"),
        pop3s: places("pop3s"),
        separator: table.value("separator", separator).unwrap_or('.'),
        allow_plaintext: table.list("allow_plaintext", range).unwrap_or_default(),
        per_address: table.value("per_address", count).unwrap_or(50),
        per_user: table.value("per_user", count).unwrap_or(50),
    };
    table.done();
    serve
}

fn separator(item: Item<'_>) -> Result<char, String> {
    match item.string()? {
        "." => Ok('.'),
        "/" => Ok('/'),
        other => Err(format!("`{other}`: write \".\" or \"/\"")),
    }
}
