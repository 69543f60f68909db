//! What the daemon is told; a reload replaces it whole.

use crate::{
    account::Directory,
    mail::folder::FolderName,
    net::{network::Network, tls::Acceptor},
    wire::{imap, pop3},
};
use std::sync::Arc;

/// Everything that a reload may change.
#[derive(Clone)]
pub struct Settings {
    /// Our host name, in lower case.
    pub hostname: String,
    /// The accounts.
    pub directory: Arc<dyn Directory>,
    /// Ranges that may log in without TLS.
    pub allow_plaintext: Vec<Network>,
    /// Connections of one login at a time.
    pub per_user: usize,
    /// The largest message that may be appended, in octets.
    pub size_limit: u64,
    /// What parts the levels of folder names: `.` or `/`.
    pub separator: char,
    /// Folders that every account has, once it has logged in over IMAP.
    pub folders: Vec<FolderName>,
    /// The certificate; `None` is no TLS.
    pub acceptor: Option<Acceptor>,
}

/// The listeners, by the names of their configuration keys.
pub mod door {
    /// IMAP, with STARTTLS.
    pub const IMAP: &str = "imap";
    /// IMAP within TLS.
    pub const IMAPS: &str = "imaps";
    /// POP3, with STLS.
    pub const POP3: &str = "pop3";
    /// POP3 within TLS.
    pub const POP3S: &str = "pop3s";

    /// True for those where TLS stands before the first octet.
    pub fn is_secure(door: &str) -> bool {
        matches!(door, IMAPS | POP3S)
    }

    /// True for those where IMAP is spoken.
    pub fn is_imap(door: &str) -> bool {
        matches!(door, IMAP | IMAPS)
    }
}

impl Settings {
    /// What an IMAP session is told.
    pub(super) fn imap(&self, door: &str) -> imap::server::Settings {
        use imap::server::{Limits, Tls};
        let tls = match (door::is_secure(door), &self.acceptor) {
            (true, _) => Tls::Standing,
            (false, Some(_)) => Tls::Offered,
            (false, None) => Tls::None,
        };
        imap::server::Settings {
            hostname: self.hostname.clone(),
            tls,
            separator: self.separator,
            limits: Limits::of(self.size_limit),
        }
    }

    /// What a POP3 session is told.
    pub(super) fn pop3(&self, door: &str) -> pop3::server::Settings {
        use pop3::server::{Limits, Tls};
        let tls = match (door::is_secure(door), &self.acceptor) {
            (true, _) => Tls::Standing,
            (false, Some(_)) => Tls::Offered,
            (false, None) => Tls::None,
        };
        pop3::server::Settings { hostname: self.hostname.clone(), tls, limits: Limits::default() }
    }
}
