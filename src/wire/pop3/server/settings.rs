//! What a server is told once, and how much it takes from whom.

use std::time::Duration;

/// What all sessions of one listener share.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Our host name, as the greeting says it.
    pub hostname: String,
    /// How TLS stands.
    pub tls: Tls,
    /// How much is taken.
    pub limits: Limits,
}

/// How TLS stands at a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// There is none.
    None,
    /// STLS offers it.
    Offered,
    /// It stood before the first octet.
    Standing,
}

/// How much is taken.
#[derive(Clone, Debug)]
pub struct Limits {
    /// From who has not logged in.
    pub stranger: Budget,
    /// From who has.
    pub known: Budget,
}

/// What depends on whether the peer has logged in.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// How long a whole command may take, from the reply before it to its line end.
    pub command_wait: Duration,
    /// Refused commands after which the connection is closed; a retrieved message sets the count to zero.
    pub errors: u32,
    /// Commands that bring no message forward (NOOP, STAT, CAPA, ...) before each more counts as an error.
    pub idle_commands: u32,
}

impl Default for Limits {
    /// A client that logged in may be silent for ten minutes (RFC 1939 section 3).
    fn default() -> Limits {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        Limits {
            stranger: Budget { command_wait: minutes(1), errors: 5, idle_commands: 20 },
            known: Budget { command_wait: minutes(10), errors: 50, idle_commands: 1000 },
        }
    }
}
