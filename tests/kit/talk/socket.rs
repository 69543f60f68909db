//! A dialogue against a program: on a socket, or on stdin and stdout as inetd runs it.

use super::{super::PATIENCE, End, Move, Pace, Side, Talk, play};
use openssl::ssl::{Ssl, SslAcceptor, SslConnector, SslFiletype, SslMethod, SslStream, SslVerifyMode};
use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::Path,
    process::{Command, Stdio},
    thread,
};

/// A connection to what is tested.
pub struct Conn {
    stream: Stream,
    side: Side,
    acceptor: Option<SslAcceptor>,
    /// Read and not yet compared.
    read: Vec<u8>,
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<SslStream<Raw>>),
    Gone,
}

/// A socket beneath TLS.
enum Raw {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Conn {
    /// A connection to a server that is tested.
    pub fn tcp(stream: TcpStream) -> Conn {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Conn { stream: Stream::Tcp(stream), side: Side::Server, acceptor: None, read: Vec::new() }
    }

    /// The same over a unix socket.
    pub fn unix(stream: UnixStream) -> Conn {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Conn { stream: Stream::Unix(stream), side: Side::Server, acceptor: None, read: Vec::new() }
    }

    /// The other end is a client that is tested: `! tls` accepts, with this certificate.
    pub fn of_client(mut self, certificate: &Path, key: &Path) -> Conn {
        let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
        acceptor.set_certificate_chain_file(certificate).unwrap();
        acceptor.set_private_key_file(key, SslFiletype::PEM).unwrap();
        self.acceptor = Some(acceptor.build());
        self.side = Side::Client;
        self
    }

    /// Begins TLS at once, as on a port with implicit TLS. The certificate is not judged here.
    pub fn secured(mut self) -> Conn {
        self.secure().unwrap();
        self
    }

    /// Before a dialogue begins: says a line (or nothing), and answers with what is heard up to the line that begins so.
    pub fn ask(&mut self, line: &str, until: &str) -> Vec<String> {
        let mut heard = Vec::new();
        if !line.is_empty() {
            self.give(format!("{line}\r\n").as_bytes()).unwrap();
        }
        while !heard.last().is_some_and(|line: &String| line.starts_with(until)) {
            let line = self.hear().unwrap();
            assert!(!line.is_empty(), "closed before {until:?}, after {heard:?}");
            heard.push(String::from_utf8(line).unwrap());
        }
        heard
    }

    /// Lets the dialogue hear this line first.
    pub fn greeted(mut self, line: &str) -> Conn {
        self.unhear(line.as_bytes());
        self
    }

    fn secure(&mut self) -> Result<(), String> {
        let raw = match std::mem::replace(&mut self.stream, Stream::Gone) {
            Stream::Tcp(stream) => Raw::Tcp(stream),
            Stream::Unix(stream) => Raw::Unix(stream),
            _ => return Err("TLS within TLS".into()),
        };
        let stream = match &self.acceptor {
            Some(acceptor) => {
                let ssl = Ssl::new(acceptor.context()).unwrap();
                let mut stream = SslStream::new(ssl, raw).unwrap();
                stream.accept().map(|()| stream)
            }
            None => {
                let mut connector = SslConnector::builder(SslMethod::tls()).unwrap();
                connector.set_verify(SslVerifyMode::NONE);
                let mut settings = connector.build().configure().unwrap();
                settings.set_verify_hostname(false);
                let mut stream = SslStream::new(settings.into_ssl("mx.example.org").unwrap(), raw).unwrap();
                stream.connect().map(|()| stream)
            }
        };
        self.stream = Stream::Tls(Box::new(stream.map_err(|fault| format!("TLS: {fault}"))?));
        Ok(())
    }

    fn some(&mut self) -> Result<usize, String> {
        let mut octets = [0; 4096];
        let count = match &mut self.stream {
            Stream::Tcp(stream) => stream.read(&mut octets),
            Stream::Unix(stream) => stream.read(&mut octets),
            Stream::Tls(stream) => stream.read(&mut octets),
            Stream::Gone => Ok(0),
        };
        match count {
            Ok(count) => {
                self.read.extend_from_slice(&octets[..count]);
                Ok(count)
            }
            Err(fault) if fault.kind() == io::ErrorKind::ConnectionReset => Ok(0),
            Err(fault) => {
                Err(format!("it said no more than {:?}: {fault}", self.read.escape_ascii().to_string()))
            }
        }
    }
}

impl End for Conn {
    fn give(&mut self, octets: &[u8]) -> Result<(), String> {
        // Who closed early may not hear the rest; what it said counts.
        let _ = match &mut self.stream {
            Stream::Tcp(stream) => stream.write_all(octets),
            Stream::Unix(stream) => stream.write_all(octets),
            Stream::Tls(stream) => stream.write_all(octets),
            Stream::Gone => Ok(()),
        };
        Ok(())
    }

    fn hear(&mut self) -> Result<Vec<u8>, String> {
        loop {
            if let Some(at) = self.read.iter().position(|&octet| octet == b'\n') {
                return Ok(self.read.drain(..=at).collect());
            }
            if self.some()? == 0 {
                return Ok(std::mem::take(&mut self.read));
            }
        }
    }

    fn unhear(&mut self, line: &[u8]) {
        self.read.splice(..0, line.iter().copied());
    }

    fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.read)
    }

    fn act(&mut self, what: &Move) -> Result<(), String> {
        match what {
            Move::Tls if self.read.is_empty() => self.secure(),
            Move::Tls => Err(format!("it sent {:?} before TLS", self.read.escape_ascii().to_string())),
            Move::Close => {
                while self.read.is_empty() && self.some()? > 0 {}
                match self.rest() {
                    extra if extra.is_empty() => Ok(()),
                    extra => {
                        Err(format!("instead of closing it said {:?}", extra.escape_ascii().to_string()))
                    }
                }
            }
            Move::Eof => {
                let done = match &mut self.stream {
                    Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
                    Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
                    Stream::Tls(stream) => {
                        let _ = stream.shutdown();
                        match stream.get_ref() {
                            Raw::Tcp(stream) => stream.shutdown(Shutdown::Write),
                            Raw::Unix(stream) => stream.shutdown(Shutdown::Write),
                        }
                    }
                    Stream::Gone => Ok(()),
                };
                done.map_err(|fault| fault.to_string())
            }
            other => Err(format!("{other:?} needs a session")),
        }
    }
}

impl Read for Raw {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Raw::Tcp(stream) => stream.read(into),
            Raw::Unix(stream) => stream.read(into),
        }
    }
}

impl Write for Raw {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Raw::Tcp(stream) => stream.write(octets),
            Raw::Unix(stream) => stream.write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Talk {
    /// Plays the dialogue on a connection, whole and octet by octet; `make` makes a fresh one for each. A dialogue
    /// that needs a session is passed over.
    pub fn play_conn(&self, mut make: impl FnMut(&Talk) -> Conn) {
        if self.needs_session() {
            return;
        }
        self.play_conn_at(Pace::Whole, &mut make);
        self.play_conn_at(Pace::Octets, make);
    }

    /// Plays it at one pace, where the other would be another story.
    pub fn play_conn_at(&self, pace: Pace, make: impl FnOnce(&Talk) -> Conn) {
        let mut conn = make(self);
        play(self, pace, &mut conn, 0).unwrap_or_else(|said| panic!("{said}"));
    }

    /// Plays the dialogue against a program that speaks on stdin and stdout (`--stdio`): both are one socket, as
    /// inetd gives it.
    pub fn play_stdio(&self, mut make: impl FnMut(&Talk) -> Command) {
        if self.needs_session() {
            return;
        }
        for pace in [Pace::Whole, Pace::Octets] {
            let (ours, theirs) = UnixStream::pair().unwrap();
            // A dialogue that begins with the peer's words wants them to be there before the program looks.
            let mut conn = Conn::unix(ours);
            let opening = self.opening();
            for octets in &opening {
                conn.give(octets).unwrap();
            }
            let mut command = make(self);
            let stdin = OwnedFd::from(theirs.try_clone().unwrap());
            command
                .stdin(Stdio::from(stdin))
                .stdout(Stdio::from(OwnedFd::from(theirs)))
                .stderr(Stdio::piped());
            let mut child = command.spawn().unwrap_or_else(|fault| panic!("{command:?}: {fault}"));
            // The command keeps our copies of its ends open: without this its end would never be seen.
            drop(command);
            let mut stderr = child.stderr.take().unwrap();
            let said = thread::spawn(move || {
                let mut text = Vec::new();
                let _ = stderr.read_to_end(&mut text);
                String::from_utf8_lossy(&text).into_owned()
            });
            let played = play(self, pace, &mut conn, opening.len());
            let _ = child.kill();
            child.wait().unwrap();
            let stderr = said.join().unwrap();
            played.unwrap_or_else(|said| panic!("{said}\n--- stderr:\n{stderr}"));
        }
    }
}
