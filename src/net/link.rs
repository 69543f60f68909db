//! Streams: the sockets themselves, and a stream that may become TLS on the way.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf, Stdin, Stdout},
    net::{TcpStream, UnixStream},
};
use tokio_openssl::SslStream;

/// A connection of whatever kind, without TLS.
#[derive(Debug)]
pub enum Wire {
    /// TCP.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
    /// Standard input and output (`--stdio`).
    Stdio(Stdin, Stdout),
}

impl Wire {
    /// The process's own standard input and output.
    pub fn stdio() -> Wire {
        Wire::Stdio(tokio::io::stdin(), tokio::io::stdout())
    }
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
