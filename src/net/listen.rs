//! Opens listeners: TCP, unix sockets, and those that systemd opened for us.

use listenfd::ListenFd;
use rustix::fs::{Gid, Mode};
use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
};
use tokio::net::{TcpListener, TcpSocket, UnixListener};

/// Connections that the kernel holds until we accept them.
const BACKLOG: u32 = 4096;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A TCP address; port 0 takes a free one. `[::]` means IPv4 too, and 0.0.0.0 where there is no IPv6.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix {
        /// Its path. A socket that nobody serves any more is replaced.
        path: PathBuf,
        /// Who may connect.
        mode: u32,
        /// The group it is given to.
        group: Option<u32>,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Tcp(address) => address.fmt(f),
            Place::Unix { path, .. } => write!(f, "unix:{}", path.display()),
        }
    }
}

/// An open listener.
#[derive(Debug)]
pub enum Socket {
    /// TCP.
    Tcp(TcpListener),
    /// A unix socket, and its path when it is ours to remove at the end.
    Unix(UnixListener, Option<PathBuf>),
}

impl Socket {
    /// The TCP address that it listens on.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Socket::Tcp(listener) => listener.local_addr().ok().map(unmap),
            Socket::Unix(..) => None,
        }
    }

    /// Where it is, as [`Place`] writes it. Of a unix socket that somebody else opened: as the kernel knows it.
    pub fn place(&self) -> Option<String> {
        match self {
            Socket::Tcp(_) => self.address().map(|address| address.to_string()),
            Socket::Unix(_, Some(path)) => Some(format!("unix:{}", path.display())),
            Socket::Unix(listener, None) => {
                let address = listener.local_addr().ok()?;
                Some(format!("unix:{}", address.as_pathname()?.display()))
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Socket::Unix(_, Some(path)) = self {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Opens a listener (inside a tokio runtime). The error names the place.
pub fn open(place: &Place) -> io::Result<Socket> {
    let opened = match place {
        Place::Tcp(address) => tcp(*address).map(Socket::Tcp),
        Place::Unix { path, mode, group } => {
            unix(path, *mode, *group).map(|listener| Socket::Unix(listener, Some(path.clone())))
        }
    };
    opened.map_err(|fault| io::Error::new(fault.kind(), format!("cannot listen on {place}: {fault}")))
}

/// The sockets that systemd opened and named (`FileDescriptorName`), each with its name.
#[derive(Debug, Default)]
pub struct Inherited {
    sockets: Vec<(String, Socket)>,
}

impl Inherited {
    /// Takes the sockets that this process was started with; `names` as for [`Inherited::take`].
    pub fn of_process(names: &str) -> io::Result<Inherited> {
        Inherited::take(ListenFd::from_env(), names)
    }

    /// Takes the sockets of `handed`; `names` is the text of `LISTEN_FDNAMES`: names between colons, in the same order.
    pub fn take(mut handed: ListenFd, names: &str) -> io::Result<Inherited> {
        let mut sockets = Vec::new();
        for (index, name) in (0..handed.len()).zip(names.split(':').chain(std::iter::repeat(""))) {
            let named = |fault: io::Error| {
                io::Error::new(fault.kind(), format!("inherited socket {index} ({name}): {fault}"))
            };
            let socket = match handed.take_tcp_listener(index) {
                Ok(Some(listener)) => {
                    listener.set_nonblocking(true).map_err(named)?;
                    Socket::Tcp(TcpListener::from_std(listener).map_err(named)?)
                }
                Ok(None) => continue,
                Err(_) => match handed.take_unix_listener(index).map_err(named)? {
                    Some(listener) => {
                        listener.set_nonblocking(true).map_err(named)?;
                        Socket::Unix(UnixListener::from_std(listener).map_err(named)?, None)
                    }
                    None => continue,
                },
            };
            sockets.push((name.to_owned(), socket));
        }
        Ok(Inherited { sockets })
    }

    /// Takes those named `name`.
    pub fn named(&mut self, name: &str) -> Vec<Socket> {
        let (own, rest) = std::mem::take(&mut self.sockets).into_iter().partition(|(known, _)| known == name);
        self.sockets = rest;
        own.into_iter().map(|(_, socket)| socket).collect()
    }

    /// The names that nobody took.
    pub fn left(&self) -> Vec<&str> {
        self.sockets.iter().map(|(name, _)| name.as_str()).collect()
    }
}

/// Turns ::ffff:a.b.c.d into a.b.c.d, so that rules see the address that was meant.
pub fn unmap(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// The addresses of this machine's interfaces, loopback included; empty where they can't be listed.
pub fn own_addresses() -> Vec<IpAddr> {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    let addresses = interfaces.filter_map(|interface| {
        let address = interface.address?;
        let four = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        four.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
    });
    addresses.collect()
}

fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let any = address.ip() == IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED);
    match tcp_on(address) {
        Err(fault) if any && no_ipv6(&fault) => {
            tcp_on(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port()))
        }
        opened => opened,
    }
}

fn no_ipv6(fault: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL]
        .iter()
        .any(|errno| fault.raw_os_error() == Some(errno.raw_os_error()))
}

fn tcp_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if address.is_ipv6() {
        // What the system's default is must not decide whether IPv4 is served.
        rustix::net::sockopt::set_ipv6_v6only(&socket, false)?;
    }
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn unix(path: &Path, mode: u32, group: Option<u32>) -> io::Result<UnixListener> {
    if std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process serves it")),
            Err(fault) if fault.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path)?,
            Err(fault) => return Err(fault),
        }
    }
    let listener = UnixListener::bind(path)?;
    if let Some(group) = group {
        rustix::fs::chown(path, None, Some(Gid::from_raw(group)))?;
    }
    rustix::fs::chmod(path, Mode::from_raw_mode(mode))?;
    Ok(listener)
}
