//! What the DNS says of domains, as far as a transaction may wait for it.

use crate::net::dns::{Dns, Fault, Mx};
use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::time::timeout;

/// How long a client is kept waiting for what we ask about a domain.
const PATIENCE: Duration = Duration::from_secs(2);
/// After a question that was not answered in time nothing is asked on behalf of clients for so long.
const QUIET: Duration = Duration::from_secs(60);

/// A resolver that is not asked while it does not answer.
#[derive(Debug)]
pub struct Names {
    dns: Dns,
    quiet_until: Mutex<Option<Instant>>,
}

impl Names {
    /// Asks `dns`.
    pub fn new(dns: Dns) -> Names {
        Names { dns, quiet_until: Mutex::default() }
    }

    /// The resolver itself, for those who can wait.
    pub(super) fn dns(&self) -> &Dns {
        &self.dns
    }

    /// True when the domain has a null MX (RFC 7505). What can't be found out now is not held against anybody.
    pub(super) async fn takes_no_mail(&self, domain: &str) -> bool {
        if self.quiet().is_some_and(|until| Instant::now() < until) {
            return false;
        }
        match timeout(PATIENCE, self.dns.mx(domain)).await {
            Ok(Ok(Mx::Null)) => true,
            Ok(Ok(Mx::Hosts(_)) | Err(Fault::NoName | Fault::NoData)) => false,
            Ok(Err(Fault::Trouble(_))) | Err(_) => {
                *self.quiet_until.lock().unwrap_or_else(PoisonError::into_inner) =
                    Instant::now().checked_add(QUIET);
                false
            }
        }
    }

    fn quiet(&self) -> Option<Instant> {
        *self.quiet_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
