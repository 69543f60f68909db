//! Who has which maildrop: POP3 lets one session have it at a time (RFC 1939 section 4). The lock lives in this process, which is the
//! only one that serves POP3; deliveries and IMAP go on beside it, since numbers are the session's own.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The maildrops that are taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Maildrops(Arc<Mutex<HashSet<String>>>);

/// A maildrop that is ours until this is dropped.
#[derive(Debug)]
pub(super) struct Held {
    account: String,
    of: Maildrops,
}

impl Maildrops {
    fn locked(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an account's; `None` when another has it.
    pub(super) fn take(&self, account: &str) -> Option<Held> {
        let taken = self.locked().insert(account.to_owned());
        taken.then(|| Held { account: account.to_owned(), of: self.clone() })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.of.locked().remove(&self.account);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_a_maildrop_until_it_lets_go() {
        let maildrops = Maildrops::default();
        let first = maildrops.take("a@example.org");
        assert!(first.is_some() && maildrops.take("a@example.org").is_none());
        assert!(maildrops.take("b@example.org").is_some());
        drop(first);
        assert!(maildrops.take("a@example.org").is_some());
    }
}
