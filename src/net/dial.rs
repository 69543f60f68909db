//! Connects outward: TCP to one of a host's addresses, or a unix socket.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    time::Duration,
};
use tokio::{
    net::{TcpSocket, TcpStream, UnixStream},
    task::JoinSet,
    time::timeout,
};

/// The next address is tried when the one before has not answered for so long (RFC 8305 section 5).
const NEXT_AFTER: Duration = Duration::from_millis(250);
/// More addresses of one host are not tried.
const ADDRESSES_MAX: usize = 16;

/// Connects to the first of `addresses` that answers, in their order with a head start for each, within `patience`.
/// `source` is our own address, where one is wanted. Small writes leave at once (TCP_NODELAY).
pub async fn tcp(
    addresses: &[SocketAddr],
    source: Option<IpAddr>,
    patience: Duration,
) -> io::Result<TcpStream> {
    let race = async {
        match addresses {
            [] => Err(io::Error::new(io::ErrorKind::NotFound, "the host has no address")),
            [only] => one(*only, source).await,
            several => race(several, source).await,
        }
    };
    match timeout(patience, race).await {
        Ok(outcome) => outcome,
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no connection within {} s", patience.as_secs()),
        )),
    }
}

/// The addresses of `host`, a name or an IP address, by the system's resolver (which knows /etc/hosts).
pub async fn resolve(host: &str, port: u16, patience: Duration) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    if host.eq_ignore_ascii_case("localhost") {
        // It is this machine, whatever a resolver says (RFC 6761 section 6.3).
        return Ok(vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()]);
    }
    match timeout(patience, tokio::net::lookup_host((host, port))).await {
        Ok(found) => Ok(interleave(found?.collect())),
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no answer about {host} within {} s", patience.as_secs()),
        )),
    }
}

/// Connects to a unix socket.
pub async fn unix(path: &Path, patience: Duration) -> io::Result<UnixStream> {
    match timeout(patience, UnixStream::connect(path)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "nobody accepts connections there")),
    }
}

async fn one(address: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(source) = source.filter(|source| source.is_ipv4() == address.is_ipv4()) {
        socket.bind(SocketAddr::new(source, 0))?;
    }
    socket.set_nodelay(true)?;
    socket.connect(address).await
}

async fn race(addresses: &[SocketAddr], source: Option<IpAddr>) -> io::Result<TcpStream> {
    let mut runners = JoinSet::new();
    let mut fault = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for &address in addresses.iter().take(ADDRESSES_MAX) {
        runners.spawn(one(address, source));
        if let Ok(Some(ended)) = timeout(NEXT_AFTER, runners.join_next()).await {
            match ended {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => fault = error,
                Err(error) => fault = io::Error::other(error),
            }
        }
    }
    while let Some(ended) = runners.join_next().await {
        match ended {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => fault = error,
            Err(error) => fault = io::Error::other(error),
        }
    }
    Err(fault)
}

/// Takes turns between the families, beginning with that of the first (RFC 8305 section 4).
pub fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first) = addresses.first().map(SocketAddr::is_ipv4) else { return addresses };
    let (own, other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv4() == first);
    let (mut own, mut other) = (own.into_iter(), other.into_iter());
    let mut order = Vec::new();
    loop {
        let pair = [own.next(), other.next()];
        if pair.iter().all(Option::is_none) {
            return order;
        }
        order.extend(pair.into_iter().flatten());
    }
}
