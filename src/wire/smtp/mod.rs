//! SMTP (RFC 5321), message submission (RFC 6409) and LMTP (RFC 2033): one grammar, one dialect enum.

pub mod client;
pub mod command;
pub mod params;
pub mod reply;
pub mod server;

/// Which of the three is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Between servers (RFC 5321).
    Smtp,
    /// From a mail program: a login comes before MAIL (RFC 6409).
    Submission,
    /// To a place that delivers at once: LHLO, and one reply a recipient at the end of DATA (RFC 2033).
    Lmtp,
}
