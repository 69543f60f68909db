//! The daemon's life: it serves its doors, sends on what is spooled, reloads, and ends in good order.

use super::{Relay, Settings, accept::Accept, control, local, settings::door};
use crate::{
    agent::daemon::{Reload, heed},
    net::{
        accept::{Caller, Closing, Door, Limits, Peer, serve, stdio},
        converse::{Agent as _, Trouble, converse, slow_handshake},
        link::Link,
        network::Network,
        tls::{Facts, Role},
    },
    spool::Spool,
    store::Store,
    sys::clock::Clock,
    wire::smtp::server::{Known, Server},
};
use std::{io, sync::Arc};
use tokio::time::timeout;

/// What the daemon is to do.
pub struct Order<S: Store, Q: Spool> {
    /// Where local mail is kept.
    pub store: S,
    /// Where the rest waits.
    pub spool: Q,
    /// What a reload may change.
    pub settings: Settings,
    /// The listeners, by the names of their configuration keys.
    pub doors: Vec<Door>,
    /// Connections at once. As many in all may be made to other servers.
    pub limits: Limits,
    /// Reads the configuration anew; the error is for the log.
    pub reload: Reload<Settings>,
    /// Called once everything is served.
    pub ready: Box<dyn FnOnce() + Send>,
}

/// Serves until SIGTERM or SIGINT.
pub async fn run<S: Store + 'static, Q: Spool + 'static>(order: Order<S, Q>) -> io::Result<()> {
    let Order { store, spool, settings, doors, limits, reload, ready } = order;
    let relay = Relay::new(store, spool, settings, Clock::system(), limits.total);
    let (end, closing) = Closing::switch();
    let of = Arc::clone(&relay);
    let signals = tokio::spawn(heed(end, reload, move |settings| {
        of.settings.store(Arc::new(settings));
        of.due.notify_one();
    })?);
    let outbound = tokio::spawn(Arc::clone(&relay).outbound(closing.clone()));
    ready();
    tracing::info!("ready");
    let of = Arc::clone(&relay);
    let left = serve(doors, limits, closing, move |caller| session(Arc::clone(&of), caller)).await;
    if left > 0 {
        tracing::warn!(left, "connections were cut off");
    }
    let _ = outbound.await;
    signals.abort();
    tracing::info!("ended");
    Ok(())
}

/// Serves one session on standard input and output, as if it had come through `door`.
pub async fn run_stdio<S: Store + 'static, Q: Spool + 'static>(
    store: S,
    spool: Q,
    settings: Settings,
    door: &'static str,
) {
    let relay = Relay::new(store, spool, settings, Clock::system(), 1);
    let (_end, closing) = Closing::switch();
    session(relay, stdio(door, closing)).await;
}

/// One connection.
async fn session<S: Store + 'static, Q: Spool + 'static>(relay: Arc<Relay<S, Q>>, caller: Caller) {
    if caller.door == door::CONTROL {
        return control::session(relay, caller).await;
    }
    let settings = relay.settings();
    let told = settings.session(caller.door);
    let role = settings.acceptor.clone().map_or(Role::None, Role::Server);
    let client = named(caller.peer, &settings.hostname).await;
    let known = known(&caller, &settings, &client);
    let manners = settings.manners();
    let (door, peer) = (caller.door, caller.peer);
    let Caller { wire, closing, .. } = caller;
    let mut agent = Accept::new(relay, settings, door, told.dialect, (peer, client), closing);
    let link = match door {
        door::SUBMISSIONS => {
            let handshake = timeout(manners.handshake, role.secure(wire)).await;
            match handshake.unwrap_or_else(|_| Err(slow_handshake())) {
                Ok(stream) => {
                    agent.secured(&Facts::of(stream.ssl()));
                    Link::Secure(Box::new(stream))
                }
                Err(fault) => return agent.trouble(&Trouble::Tls(fault)),
            }
        }
        _ => Link::Plain(wire),
    };
    let mut session = Server::new(Arc::new(told), known);
    // The agent was told of any trouble.
    let _ = converse(&mut session, &mut agent, link, &role, &manners).await;
    if let Some((count, last)) = session.refused() {
        agent.misspoke(count, last);
    }
}

/// What the log calls a client. Who a user is may have to be asked over a network (nsswitch.conf(5)), which nobody else
/// is to wait for.
async fn named(peer: Peer, hostname: &str) -> String {
    let uid = match peer {
        Peer::Tcp(address) => return address.ip().to_string(),
        Peer::Stdio => return "stdio".to_owned(),
        Peer::Unix { uid, .. } => uid,
    };
    let hostname = hostname.to_owned();
    super::blocking(move || local::identity(uid, &hostname)).await.unwrap_or_else(|_| uid.to_string())
}

/// What is known of a connection before it speaks.
fn known(caller: &Caller, settings: &Settings, client: &str) -> Known {
    let login = match (caller.door, caller.peer) {
        (door::LOCAL, Peer::Unix { .. }) => Some(client.to_owned()),
        (door::LOCAL, _) => Some(local::identity(rustix::process::getuid().as_raw(), &settings.hostname)),
        _ => None,
    };
    let plain = |address: std::net::SocketAddr| Network::any(&settings.allow_plaintext, address.ip());
    let plaintext_login = match caller.peer {
        Peer::Tcp(address) => plain(address),
        Peer::Unix { .. } | Peer::Stdio => false,
    };
    Known { login, plaintext_login }
}
