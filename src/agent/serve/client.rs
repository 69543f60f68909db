//! Who is at the other end of a session, and whether they may log in.

use super::{Serve, Settings};
use crate::{
    agent::daemon::login::Login,
    net::{accept::Peer, converse::Trouble, network::Network},
    store::Store,
    wire::sasl::Credentials,
};
use std::{net::IpAddr, sync::Arc};

/// The other end of a connection.
pub(super) struct Client {
    peer: Peer,
    /// For the log.
    pub(super) name: String,
}

impl Client {
    pub(super) fn new(peer: Peer) -> Client {
        let name = match peer {
            Peer::Tcp(address) => address.ip().to_string(),
            Peer::Unix { uid, .. } => format!("uid {uid}"),
            Peer::Stdio => "stdio".to_owned(),
        };
        Client { peer, name }
    }

    fn address(&self) -> Option<IpAddr> {
        match self.peer {
            Peer::Tcp(address) => Some(address.ip()),
            Peer::Unix { .. } | Peer::Stdio => None,
        }
    }

    /// True where a login without TLS is heard.
    pub(super) fn may_be_plain(&self, settings: &Settings) -> bool {
        match self.peer {
            Peer::Tcp(address) => Network::any(&settings.allow_plaintext, address.ip()),
            // Nobody listens between us and a local process.
            Peer::Unix { .. } | Peer::Stdio => true,
        }
    }

    /// Checks a login.
    pub(super) async fn login<S: Store + 'static>(
        &self,
        serve: &Serve<S>,
        settings: &Settings,
        credentials: Credentials,
    ) -> Login {
        let directory = Arc::clone(&settings.directory);
        serve.limits.login(directory, credentials, (self.address(), &self.name), settings.per_user).await
    }

    /// Writes to the log how the connection was lost.
    pub(super) fn lost(&self, trouble: &Trouble) {
        let client = &self.name;
        match trouble {
            Trouble::Tls(fault) => tracing::info!(client, why = %fault, "no TLS with a client"),
            Trouble::Stalled(_) => tracing::info!(client, %trouble, "cut off"),
            _ => tracing::debug!(client, %trouble, "a connection was lost"),
        }
    }
}
