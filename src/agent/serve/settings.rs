//! What the daemon is told; a reload replaces it whole.

use crate::{
    account::Directory,
    net::{network::Network, tls::Acceptor},
    wire::pop3,
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
    /// The certificate; `None` is no TLS.
    pub acceptor: Option<Acceptor>,
}

/// The listeners, by the names of their configuration keys.
pub mod door {
    /// POP3, with STLS.
    pub const POP3: &str = "pop3";
    /// POP3 within TLS.
    pub const POP3S: &str = "pop3s";

    /// True for those where TLS stands before the first octet.
    pub fn is_secure(door: &str) -> bool {
        door == POP3S
    }
}

impl Settings {
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
