//! `[serve]`: the part of the server that mail is read from.

use super::{
    count, place, range,
    read::{Item, Table},
    value::Place,
};
use crate::{mail::folder::FolderName, net::network::Network};

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
    /// Folders that every account has.
    pub folders: Vec<FolderName>,
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
        folders: table.list("folders", folder).unwrap_or_default(),
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

/// The name of a folder, its levels parted by dots, or by slashes where there is one.
fn folder(item: Item<'_>) -> Result<FolderName, String> {
    let text = item.string()?;
    let separator = if text.contains('/') { '/' } else { '.' };
    FolderName::parse(text, separator).map_err(|fault| format!("`{text}`: {fault}"))
}
