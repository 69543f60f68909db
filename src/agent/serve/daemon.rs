//! The daemon's life: it serves its doors, reloads, and ends in good order.

use super::{Serve, Settings, client::Client, imap, pop3, settings::door};
use crate::{
    account::Account,
    agent::daemon::{Reload, heed},
    net::{
        accept::{Caller, Closing, Door, Limits, serve, stdio},
        converse::{Manners, Trouble, slow_handshake},
        link::Link,
        tls::Role,
    },
    store::Store,
};
use std::{io, sync::Arc};
use tokio::time::timeout;

/// What the daemon is to do.
pub struct Order<S: Store> {
    /// Where mail is kept.
    pub store: S,
    /// What a reload may change.
    pub settings: Settings,
    /// The listeners, by the names of their configuration keys.
    pub doors: Vec<Door>,
    /// Connections at once.
    pub limits: Limits,
    /// Reads the configuration anew.
    pub reload: Reload<Settings>,
    /// Called once everything is served.
    pub ready: Box<dyn FnOnce() + Send>,
}

/// Serves until SIGTERM or SIGINT.
pub async fn run<S: Store + 'static>(order: Order<S>) -> io::Result<()> {
    let Order { store, settings, doors, limits, reload, ready } = order;
    let all = Serve::new(store, settings);
    let (end, closing) = Closing::switch();
    let of = Arc::clone(&all);
    let signals = tokio::spawn(heed(end, reload, move |settings| of.settings.store(Arc::new(settings)))?);
    ready();
    tracing::info!("ready");
    let left = serve(doors, limits, closing, move |caller| session(Arc::clone(&all), caller, None)).await;
    if left > 0 {
        tracing::warn!(left, "connections were cut off");
    }
    signals.abort();
    tracing::info!("ended");
    Ok(())
}

/// Serves one session on standard input and output, as if it had come through `door`. With an account, which is one of IMAP, it is
/// logged in from the start: who runs us may do with its mail what we do.
pub async fn run_stdio<S: Store + 'static>(
    store: S,
    settings: Settings,
    door: &'static str,
    account: Option<Account>,
) {
    let (_end, closing) = Closing::switch();
    session(Serve::new(store, settings), stdio(door, closing), account).await;
}

/// One connection.
async fn session<S: Store + 'static>(serve: Arc<Serve<S>>, caller: Caller, account: Option<Account>) {
    let settings = serve.settings();
    let role = settings.acceptor.clone().map_or(Role::None, Role::Server);
    let Caller { wire, peer, door, closing, .. } = caller;
    let client = Client::new(peer);
    let link = match door::is_secure(door) {
        true => {
            let handshake = timeout(Manners::SERVER.handshake, role.secure(wire)).await;
            match handshake.unwrap_or_else(|_| Err(slow_handshake())) {
                Ok(stream) => Link::Secure(Box::new(stream)),
                Err(fault) => return client.lost(&Trouble::Tls(fault)),
            }
        }
        false => Link::Plain(wire),
    };
    match door::is_imap(door) {
        true => imap::session(serve, settings, (client, account), door, closing, link, role).await,
        false => pop3::session(serve, settings, client, door, closing, link, role).await,
    }
}
