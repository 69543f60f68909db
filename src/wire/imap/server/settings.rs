//! What a server is told once, and how much it takes from whom.

use std::time::Duration;

/// What all sessions of one listener share.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the greeting says we are: a host name, in printable ASCII.
    pub hostname: String,
    /// How TLS stands.
    pub tls: Tls,
    /// What parts the levels of a folder name: `/`, or `.` where clients know it from a server before.
    pub separator: char,
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

/// What a listener knows of a connection when it accepts it.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The account is known (a program of its owner's on stdin and stdout, say): the greeting is PREAUTH.
    pub login: bool,
    /// The peer is in a range that may log in without TLS.
    pub plaintext_login: bool,
}

/// How much is taken.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The most octets of a message.
    pub size: u64,
    /// Octets of refused literals that are read and thrown away to find the end of a command; then the connection is closed.
    pub drain: u64,
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
    /// How long a whole command may take, from the response before it to its end; for IDLE, how long it may last.
    pub command_wait: Duration,
    /// The most octets of a command without its literals.
    pub line: usize,
    /// The most octets of a command's literals together, that of APPEND aside.
    pub literals: usize,
    /// Commands that make no sense or are refused logins, after which the connection is closed.
    pub errors: u32,
}

impl Limits {
    /// What RFC 3501 section 5.4 and RFC 2683 section 3.2.1.5 ask of servers, and no more for strangers than a login needs.
    pub fn of(size: u64) -> Limits {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let stranger = Budget { command_wait: minutes(1), line: 8 * 1024, literals: 4 * 1024, errors: 5 };
        let known = Budget { command_wait: minutes(30), line: 64 * 1024, literals: 64 * 1024, errors: 50 };
        Limits {
            size,
            drain: size.saturating_add(1024 * 1024),
            data_wait: minutes(5),
            data_quantum: 32 * 1024,
            stranger,
            known,
        }
    }
}
