//! Who lives here.

pub mod aliases;
pub mod checks;
#[cfg(test)]
mod contract;
pub mod edit;
pub mod file;
pub mod fresh;
pub mod location;
pub mod memory;
pub mod passwd;
pub mod password;
pub mod scram;

use crate::mail::{address::Mailbox, verdict::Why};

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its full address in lower case: `user@domain`.
    pub id: String,
    /// Where its mail lies, in the store's own words.
    pub location: String,
    /// The most octets it may keep; `None` is no limit.
    pub quota: Option<u64>,
    /// Addresses besides its own that it may send as.
    pub send_as: Vec<Mailbox>,
}

/// What an address of ours leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// An account, and the detail of a subaddress (`user+detail`), RFC 5233.
    Account {
        /// The account.
        account: Account,
        /// What stands behind the `+`.
        detail: Option<String>,
    },
    /// Other addresses, ours or not. Never empty; not yet resolved themselves.
    Alias(Vec<Mailbox>),
    /// The domain is ours, the user is unknown.
    Unknown,
    /// The domain is not ours.
    Foreign,
}

/// What a SCRAM server keeps of a password (RFC 5802 section 3); of an unknown user a fake that is the same each time.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramKeys {
    /// The salt.
    pub salt: Vec<u8>,
    /// The iteration count.
    pub iterations: u32,
    /// `StoredKey`.
    pub stored_key: [u8; 32],
    /// `ServerKey`.
    pub server_key: [u8; 32],
}

/// The accounts and aliases. An `Err` is a fault of ours and always temporary.
pub trait Directory: Send + Sync {
    /// What an address leads to, one step.
    fn resolve(&self, address: &Mailbox) -> Result<Resolved, Why>;
    /// The account with this id.
    fn account(&self, id: &str) -> Result<Option<Account>, Why>;
    /// The account that `login` (a user or a full address) and `secret` open; `None` for a wrong password as for an
    /// unknown user, after the same work.
    fn verify(&self, login: &str, secret: &[u8]) -> Result<Option<Account>, Why>;
    /// The SCRAM-SHA-256 keys of `login`; `None` where its scheme has none.
    fn keys(&self, login: &str) -> Result<Option<ScramKeys>, Why>;
}
