//! What the daemon is told; a reload replaces it whole.

use super::names::Names;
use crate::{
    account::Directory,
    agent::route::{Rules, hosts::Own},
    mail::address::Domain,
    net::{
        converse::Manners,
        network::Network,
        tls::{Acceptor, Trust},
    },
    spool::schedule::Schedule,
    wire::{
        sasl::Credentials,
        smtp::{
            Dialect,
            server::{self, Limits, Logins, Tls},
        },
    },
};
use jiff::tz::TimeZone;
use std::{path::PathBuf, sync::Arc, time::Duration};

/// Everything that a reload may change.
#[derive(Clone)]
pub struct Settings {
    /// Our host name, in lower case.
    pub hostname: String,
    /// Accounts and aliases.
    pub directory: Arc<dyn Directory>,
    /// What else decides where a recipient goes.
    pub rules: Rules,
    /// How we are known, so that we do not send to ourselves.
    pub own: Own,
    /// Ranges that may relay without a login.
    pub relay_from: Vec<Network>,
    /// Ranges that may log in without TLS.
    pub allow_plaintext: Vec<Network>,
    /// Connections of one login at a time.
    pub per_user: usize,
    /// How long a client may take over a command, or over 32 KiB in either direction.
    pub patience: Duration,
    /// The largest message, in octets.
    pub size_limit: u64,
    /// When what did not go is tried again.
    pub schedule: Schedule,
    /// Where everything goes that is not ours; `None` is MX.
    pub smarthost: Option<Smarthost>,
    /// The port of other servers.
    pub mx_port: u16,
    /// Whom to ask about domains.
    pub dns: Arc<Names>,
    /// The certificate; `None` is no TLS.
    pub acceptor: Option<Acceptor>,
    /// The zone of the dates that we write.
    pub zone: TimeZone,
}

/// A server that takes everything.
#[derive(Clone, Debug)]
pub struct Smarthost {
    /// What is spoken there.
    pub dialect: Dialect,
    /// Where it is.
    pub target: Target,
    /// What is demanded of TLS there; `None` uses it where it is offered, whatever the certificate.
    pub security: Option<Security>,
    /// Whose word is taken for its certificate, where TLS is demanded.
    pub trust: Trust,
    /// Who logs in there.
    pub login: Option<Credentials>,
}

/// A place that was named, not found by MX.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A host name or address, and a port.
    Host(String, u16),
    /// A unix socket.
    Unix(PathBuf),
}

/// How a connection to a named server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Security {
    /// Not at all: to this machine.
    Clear,
    /// By STARTTLS, or nothing is sent.
    StartTls,
    /// From the first octet.
    Implicit,
}

/// The listeners, by the names of their configuration keys.
pub mod door {
    /// Other servers: local recipients only, no login.
    pub const SMTP: &str = "smtp";
    /// Our users: STARTTLS and a login.
    pub const SUBMISSION: &str = "submission";
    /// Our users: TLS from the first octet, and a login.
    pub const SUBMISSIONS: &str = "submissions";
    /// Other mail software on this machine: local recipients only.
    pub const LMTP: &str = "lmtp";
    /// Local programs, known by their credentials.
    pub const LOCAL: &str = "local";
    /// mail-queue.
    pub const CONTROL: &str = "control";
}

impl Settings {
    /// What the SMTP session of a listener is told.
    pub(super) fn session(&self, door: &str) -> server::Settings {
        let dialect = match door {
            door::SMTP => Dialect::Smtp,
            door::LMTP => Dialect::Lmtp,
            _ => Dialect::Submission,
        };
        let tls = match door {
            door::SUBMISSIONS => Tls::Standing,
            door::SMTP | door::SUBMISSION if self.acceptor.is_some() => Tls::Offered,
            _ => Tls::None,
        };
        let logins = match door {
            door::SUBMISSION | door::SUBMISSIONS => Logins::Offered,
            _ => Logins::None,
        };
        server::Settings {
            dialect,
            hostname: Domain::Name(self.hostname.clone()),
            tls,
            logins,
            login_required: dialect == Dialect::Submission,
            bare_names: door == door::LOCAL,
            limits: Limits::of(dialect, self.size_limit).within(self.patience),
        }
    }

    /// How the driver behaves towards clients.
    pub(super) fn manners(&self) -> Manners {
        let within = |time: Duration| time.min(self.patience);
        Manners { write: self.patience, handshake: within(Manners::SERVER.handshake), ..Manners::SERVER }
    }
}
