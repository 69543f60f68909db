//! Streams: the sockets themselves, and a stream that may become TLS on the way.

use rustix::{fs::fstat, net::AddressFamily};
use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    pin::Pin,
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf, Stdin, Stdout},
    net::{
        TcpStream, UnixStream,
        unix::pipe::{Receiver, Sender},
    },
};
use tokio_openssl::SslStream;

/// A connection of whatever kind, without TLS.
#[derive(Debug)]
pub enum Wire {
    /// TCP.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
    /// Standard input and output that are two pipes.
    Pipes(Receiver, Sender),
    /// Standard input and output of any other kind. TLS over them is not to be relied on, since OpenSSL takes a write
    /// that is still under way for a failed one.
    Stdio(Stdin, Stdout),
}

impl Wire {
    /// The process's own standard input and output (`--stdio`): a socket, as inetd gives it, or pipes, as a shell or ssh
    /// does, are driven as such; anything else by threads.
    pub fn stdio() -> Wire {
        let (input, output) = (io::stdin(), io::stdout());
        let (input, output) = (input.as_fd(), output.as_fd());
        let known = match same(input, output) {
            true => socket(input),
            false => pipes(input, output),
        };
        known.unwrap_or_else(|| Wire::Stdio(tokio::io::stdin(), tokio::io::stdout()))
    }
}

fn same(one: BorrowedFd<'_>, other: BorrowedFd<'_>) -> bool {
    let place = |fd| fstat(fd).map(|stat| (stat.st_dev, stat.st_ino));
    matches!((place(one), place(other)), (Ok(one), Ok(other)) if one == other)
}

fn socket(fd: BorrowedFd<'_>) -> Option<Wire> {
    let family = rustix::net::sockopt::socket_domain(fd).ok()?;
    let fd = fd.try_clone_to_owned().ok()?;
    if family == AddressFamily::UNIX {
        let stream = std::os::unix::net::UnixStream::from(fd);
        stream.set_nonblocking(true).ok()?;
        UnixStream::from_std(stream).ok().map(Wire::Unix)
    } else {
        let stream = std::net::TcpStream::from(fd);
        stream.set_nonblocking(true).ok()?;
        TcpStream::from_std(stream).ok().map(Wire::Tcp)
    }
}

fn pipes(input: BorrowedFd<'_>, output: BorrowedFd<'_>) -> Option<Wire> {
    let input = Receiver::from_owned_fd(input.try_clone_to_owned().ok()?).ok()?;
    let output = Sender::from_owned_fd(output.try_clone_to_owned().ok()?).ok()?;
    Some(Wire::Pipes(input, output))
}

/// A stream, in the clear or under TLS.
#[derive(Debug)]
pub enum Link<T> {
    /// In the clear.
    Plain(T),
    /// Under TLS.
    Secure(Box<SslStream<T>>),
}

/// Passes one call on to whichever stream stands behind `self`.
macro_rules! pass {
    ($own:expr, $call:ident($($arg:expr),*)) => {
        match $own.get_mut() {
            Link::Plain(stream) => Pin::new(stream).$call($($arg),*),
            Link::Secure(stream) => Pin::new(stream).$call($($arg),*),
        }
    };
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Link<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        pass!(self, poll_read(cx, buf))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Link<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        pass!(self, poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pass!(self, poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pass!(self, poll_shutdown(cx))
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Wire::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Wire::Pipes(input, _) => Pin::new(input).poll_read(cx, buf),
            Wire::Stdio(input, _) => Pin::new(input).poll_read(cx, buf),
        }
    }
}

/// The same for the writing half of a [`Wire`].
macro_rules! pass_out {
    ($own:expr, $call:ident($($arg:expr),*)) => {
        match $own.get_mut() {
            Wire::Tcp(stream) => Pin::new(stream).$call($($arg),*),
            Wire::Unix(stream) => Pin::new(stream).$call($($arg),*),
            Wire::Pipes(_, output) => Pin::new(output).$call($($arg),*),
            Wire::Stdio(_, output) => Pin::new(output).$call($($arg),*),
        }
    };
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        pass_out!(self, poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pass_out!(self, poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pass_out!(self, poll_shutdown(cx))
    }
}
