//! `[serve]`: the part of the server that mail is read from.

use super::{count, place, range, read::Table, value::Place};
use crate::net::network::Network;

/// The server's settings.
#[derive(Clone, Debug)]
pub struct Serve {
    /// Listeners for POP3, with STLS.
    pub pop3: Vec<Place>,
    /// Listeners for POP3 within TLS.
    pub pop3s: Vec<Place>,
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
        pop3: places("pop3"),
        pop3s: places("pop3s"),
        allow_plaintext: table.list("allow_plaintext", range).unwrap_or_default(),
        per_address: table.value("per_address", count).unwrap_or(50),
        per_user: table.value("per_user", count).unwrap_or(50),
    };
    table.done();
    serve
}
