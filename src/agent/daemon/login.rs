//! Whether a login is good, and there is room for it.

use super::{
    blocking,
    limits::{Limits, UserSeat},
};
use crate::{
    account::{Account, Directory},
    wire::sasl::Credentials,
};
use std::{net::IpAddr, sync::Arc, time::Instant};

/// What became of a login.
pub(crate) enum Login {
    /// It opens this account. The seat is to be kept as long as the session.
    Good(Account, UserSeat),
    /// It opens nothing. The answer was held back for a time that grows with failures.
    Wrong,
    /// The user has all the connections that one may have.
    Crowded,
    /// It could not be checked: a fault of ours.
    Unknown,
}

impl Limits {
    /// Checks a login from `address` and writes to the log what became of it; `client` is the name of the peer there.
    pub(crate) async fn login(
        &self,
        directory: Arc<dyn Directory>,
        credentials: Credentials,
        (address, client): (Option<IpAddr>, &str),
        per_user: usize,
    ) -> Login {
        let login = credentials.login.clone();
        let verified = {
            let _turn = self.turn().await;
            blocking(move || directory.verify(&credentials.login, &credentials.secret)).await
        };
        let verified = verified.and_then(|done| done);
        match verified {
            Ok(Some(account)) => match self.sit(&account.id, per_user) {
                Some(seat) => Login::Good(account, seat),
                None => {
                    tracing::warn!(login, client, "too many connections of this user");
                    Login::Crowded
                }
            },
            Ok(None) => {
                let delay = self.failed(address, &login, Instant::now());
                tracing::warn!(login, client, "login failed");
                tokio::time::sleep(delay).await;
                Login::Wrong
            }
            Err(why) => {
                tracing::error!(login, client, why = why.text, "a login could not be checked");
                Login::Unknown
            }
        }
    }
}
