//! Accepts connections on several listeners, within limits, and lets them end in good order.

use super::{
    link::Wire,
    listen::{Socket, unmap},
};
use std::{
    collections::HashMap,
    future::Future,
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{io::AsyncWriteExt, sync::watch, task::JoinSet, time::timeout};

/// How long sessions may go on after a shutdown was asked for.
pub const DRAIN: Duration = Duration::from_secs(5);
/// The pause after an accept that failed for want of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// Listeners that are served alike.
#[derive(Debug)]
pub struct Door {
    /// What it is called: the configuration key.
    pub name: &'static str,
    /// Its listeners.
    pub sockets: Vec<Socket>,
    /// What a connection over the limits is told before it is closed: a whole line, or nothing (implicit TLS).
    pub refusal: &'static [u8],
}

/// How many connections there may be at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// In all.
    pub total: usize,
    /// From one IPv4 address or one IPv6 /64. A local user other than root may have a quarter of all.
    pub per_address: usize,
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A TCP client, its address unmapped.
    Tcp(SocketAddr),
    /// A local process, by the credentials that the kernel vouches for.
    Unix {
        /// Its effective user.
        uid: u32,
        /// Its effective group.
        gid: u32,
        /// The process, where known.
        pid: Option<i32>,
    },
    /// Whoever started us with `--stdio`.
    Stdio,
}

/// An accepted connection. It counts against the limits until its session ends.
#[derive(Debug)]
pub struct Caller {
    /// The stream.
    pub wire: Wire,
    /// Who calls.
    pub peer: Peer,
    /// Our own address, for TCP.
    pub local: Option<SocketAddr>,
    /// The name of the door it came through.
    pub door: &'static str,
    /// Tells of a shutdown.
    pub closing: Closing,
}

/// Tells sessions that the daemon wants to end.
#[derive(Clone, Debug)]
pub struct Closing {
    wanted: watch::Receiver<bool>,
    told: bool,
}

impl Closing {
    /// A switch and what it switches.
    pub fn switch() -> (watch::Sender<bool>, Closing) {
        let (sender, receiver) = watch::channel(false);
        (sender, Closing { wanted: receiver, told: false })
    }

    /// Waits until the end is wanted. May be dropped and called again.
    pub async fn wanted(&mut self) {
        if self.wanted.wait_for(|wanted| *wanted).await.is_err() {
            // Nobody is left who could switch.
            std::future::pending::<()>().await;
        }
    }

    /// The same, but only once: for who waits for other things, too, and needs to be told no more.
    pub async fn once(&mut self) {
        if self.told {
            std::future::pending::<()>().await;
        }
        self.wanted().await;
        self.told = true;
    }

    /// True when the end is wanted.
    pub fn is_wanted(&self) -> bool {
        *self.wanted.borrow()
    }
}

/// Accepts until `closing` says so, and gives each connection to `session` in a task of its own. Then closes the listeners and
/// waits for the sessions, which hear of it too, for at most [`DRAIN`]; those that still run are dropped. Returns how many were.
pub async fn serve<F, S>(doors: Vec<Door>, limits: Limits, mut closing: Closing, session: F) -> usize
where
    F: Fn(Caller) -> S + Send + Sync + 'static,
    S: Future<Output = ()> + Send + 'static,
{
    let seats = Seats(Arc::new(Mutex::new(Taken::default())), limits);
    let session = Arc::new(session);
    let mut acceptors = JoinSet::new();
    let (call, mut calls) = tokio::sync::mpsc::channel::<(Caller, Seat)>(64);
    for door in doors {
        for socket in door.sockets {
            let (name, refusal) = (door.name, door.refusal);
            acceptors.spawn(accept(socket, name, refusal, seats.clone(), closing.clone(), call.clone()));
        }
    }
    drop(call);
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = closing.wanted() => break,
            Some(ended) = sessions.join_next(), if !sessions.is_empty() => drop(ended),
            caller = calls.recv() => match caller {
                Some((caller, seat)) => {
                    let session = session(caller);
                    sessions.spawn(async move {
                        session.await;
                        drop(seat);
                    });
                }
                None => break,
            },
        }
    }
    acceptors.shutdown().await;
    drop(calls);
    let _ = timeout(DRAIN, async { while sessions.join_next().await.is_some() {} }).await;
    let left = sessions.len();
    sessions.shutdown().await;
    left
}

/// Serves standard input and output as one connection.
pub fn stdio(door: &'static str, closing: Closing) -> Caller {
    Caller { wire: Wire::stdio(), peer: Peer::Stdio, local: None, door, closing }
}

async fn accept(
    socket: Socket,
    door: &'static str,
    refusal: &'static [u8],
    seats: Seats,
    closing: Closing,
    call: tokio::sync::mpsc::Sender<(Caller, Seat)>,
) {
    loop {
        let (wire, peer, local) = match one(&socket).await {
            Ok(accepted) => accepted,
            Err(fault) if fault.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(_) => {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        match seats.sit(&peer) {
            Some(seat) => {
                let caller = Caller { wire, peer, local, door, closing: closing.clone() };
                if call.send((caller, seat)).await.is_err() {
                    return;
                }
            }
            None => refuse(wire, refusal).await,
        }
    }
}

async fn one(socket: &Socket) -> io::Result<(Wire, Peer, Option<SocketAddr>)> {
    match socket {
        Socket::Tcp(listener) => {
            let (stream, address) = listener.accept().await?;
            // A failure means that the peer is gone already, which the session will notice.
            let _ = stream.set_nodelay(true);
            let local = stream.local_addr().ok().map(unmap);
            Ok((Wire::Tcp(stream), Peer::Tcp(unmap(address)), local))
        }
        Socket::Unix(listener, _) => {
            let (stream, _) = listener.accept().await?;
            let who = stream.peer_cred()?;
            Ok((Wire::Unix(stream), Peer::Unix { uid: who.uid(), gid: who.gid(), pid: who.pid() }, None))
        }
    }
}

/// Says the refusal, as far as the kernel takes it at once, and closes.
async fn refuse(mut wire: Wire, refusal: &[u8]) {
    let _ = timeout(PAUSE, async {
        let _ = wire.write_all(refusal).await;
        let _ = wire.shutdown().await;
    })
    .await;
}

/// What is counted as one address.
fn neighbourhood(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(six) => IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() & !u128::from(u64::MAX))),
    }
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    by_caller: HashMap<Source, usize>,
}

/// What is counted as one caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Source {
    Network(IpAddr),
    User(u32),
}

#[derive(Clone, Debug)]
struct Seats(Arc<Mutex<Taken>>, Limits);

impl Seats {
    fn sit(&self, peer: &Peer) -> Option<Seat> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.total >= self.1.total {
            return None;
        }
        let from = match peer {
            Peer::Tcp(address) => Some((Source::Network(neighbourhood(address.ip())), self.1.per_address)),
            // Nobody on this machine may keep the others' mail out.
            Peer::Unix { uid, .. } if *uid != 0 => Some((Source::User(*uid), (self.1.total / 4).max(1))),
            Peer::Unix { .. } | Peer::Stdio => None,
        };
        if let Some((from, most)) = from {
            let count = taken.by_caller.entry(from).or_default();
            if *count >= most {
                return None;
            }
            *count += 1;
        }
        taken.total += 1;
        Some(Seat(self.clone(), from.map(|(from, _)| from)))
    }
}

#[derive(Debug)]
struct Seat(Seats, Option<Source>);

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.total = taken.total.saturating_sub(1);
        if let Some(from) = self.1
            && let std::collections::hash_map::Entry::Occupied(mut entry) = taken.by_caller.entry(from)
        {
            *entry.get_mut() = entry.get().saturating_sub(1);
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests;
