//! What a server is told once, and how much it takes from whom.

use crate::{mail::address::Domain, wire::smtp::Dialect};
use std::time::Duration;

/// What all sessions of one listener share.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What is spoken.
    pub dialect: Dialect,
    /// Our host name, as the greeting says it.
    pub hostname: Domain,
    /// How TLS stands.
    pub tls: Tls,
    /// Whether a peer may log in.
    pub logins: Logins,
    /// MAIL needs a login. (One that the listener knows already, as on a unix socket, counts.)
    pub login_required: bool,
    /// Addresses may be local parts alone, as local programs write them; they then belong to [`Settings::hostname`].
    pub bare_names: bool,
    /// How much is taken.
    pub limits: Limits,
}

/// How TLS stands at a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// There is none.
    None,
    /// STARTTLS offers it.
    Offered,
    /// STARTTLS would offer it, but it can't be had now (no readable certificate).
    Broken,
    /// It stood before the first octet.
    Standing,
}

/// Who may log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logins {
    /// Nobody: AUTH is unknown.
    None,
    /// Whoever talks under TLS, or from a range where the listener allows logins without.
    Offered,
}

/// How much is taken.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The most octets of a message.
    pub size: u64,
    /// The most recipients of a message; at least 100 (RFC 5321 section 4.5.3.1.8).
    pub recipients: usize,
    /// Octets of a refused message that are read and thrown away to find its end; then the connection is closed.
    pub drain: u64,
    /// How long a peer must be silent before it is greeted. Zero only looks whether it has spoken.
    pub greet_pause: Duration,
    /// How long [`Limits::data_quantum`] octets of a message (or the rest of it) may take: together the least rate.
    pub data_wait: Duration,
    /// See [`Limits::data_wait`].
    pub data_quantum: u64,
    /// For who has not logged in.
    pub stranger: Budget,
    /// For who has.
    pub known: Budget,
}

/// What depends on whether the peer has logged in.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// How long a whole command may take, from the reply before it to its line end.
    pub command_wait: Duration,
    /// Refused commands, for now or for good, after which the connection is closed; an accepted message sets the
    /// count to zero. Recipients too many do not count until they are twice as many as may be.
    pub errors: u32,
    /// Commands that bring no message forward (NOOP, RSET, ...) before each more counts as an error.
    pub idle_commands: u32,
}

impl Limits {
    /// What RFC 5321 section 4.5.3 asks of servers. On submission a stranger can only log in, and so gets less.
    pub fn of(dialect: Dialect, size: u64) -> Limits {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let known = Budget { command_wait: minutes(5), errors: 50, idle_commands: 1000 };
        let stranger = match dialect {
            Dialect::Smtp => Budget { command_wait: minutes(5), errors: 20, idle_commands: 100 },
            Dialect::Submission => Budget { command_wait: minutes(1), errors: 5, idle_commands: 20 },
            // Software of this machine, whose lists may be as bad as they like.
            Dialect::Lmtp => Budget { errors: 1000, ..known },
        };
        Limits {
            size,
            recipients: 1000,
            drain: size.max(1024 * 1024),
            greet_pause: Duration::ZERO,
            data_wait: minutes(5),
            data_quantum: 32 * 1024,
            stranger,
            known,
        }
    }

    /// The same with no wait longer than `patience`; those of 5 minutes last just so long.
    pub fn within(mut self, patience: Duration) -> Limits {
        let long = Duration::from_secs(300);
        let budgets = [&mut self.stranger.command_wait, &mut self.known.command_wait, &mut self.data_wait];
        for wait in budgets {
            *wait = if *wait == long { patience } else { (*wait).min(patience) };
        }
        self
    }
}
