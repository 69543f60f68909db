//! The flags of a stored message.

use std::collections::BTreeSet;

/// The system flags (RFC 9051 section 2.3.2) and keywords. `\Recent` is not kept: a reader derives it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Flags {
    /// `\Answered`, Maildir `R`.
    pub answered: bool,
    /// `\Flagged`, Maildir `F`.
    pub flagged: bool,
    /// `\Deleted`, Maildir `T`.
    pub deleted: bool,
    /// `\Seen`, Maildir `S`.
    pub seen: bool,
    /// `\Draft`, Maildir `D`.
    pub draft: bool,
    /// Passed on (Maildir `P`); IMAP shows it as the keyword `$Forwarded`.
    pub passed: bool,
    /// Keywords, as first written; compared without case.
    pub keywords: BTreeSet<String>,
}
