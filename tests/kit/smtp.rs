//! An SMTP client for tests: says a line, reads the reply, and judges nothing.

use super::PATIENCE;
use openssl::ssl::{Ssl, SslContext, SslMethod, SslStream};
use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
};

/// A connection to a server. Its greeting is read already.
pub struct Speaker {
    stream: Stream,
    unread: Vec<u8>,
    /// The greeting.
    pub greeting: String,
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(SslStream<TcpStream>),
    Gone,
}

impl Speaker {
    /// Over TCP.
    pub fn tcp(address: SocketAddr) -> Speaker {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Speaker::of(Stream::Tcp(stream))
    }

    /// Over TLS from the start.
    pub fn tls(address: SocketAddr) -> Speaker {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Speaker::of(Stream::Tls(secured(stream)))
    }

    /// Over a unix socket.
    pub fn unix(path: impl AsRef<Path>) -> Speaker {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Speaker::of(Stream::Unix(stream))
    }

    fn of(stream: Stream) -> Speaker {
        let mut speaker = Speaker { stream, unread: Vec::new(), greeting: String::new() };
        speaker.greeting = speaker.reply();
        speaker
    }

    /// Says EHLO.
    pub fn hello(mut self) -> Speaker {
        let reply = self.say("EHLO client.example");
        assert!(reply.starts_with("250"), "{reply}");
        self
    }

    /// Begins TLS by STARTTLS and says EHLO.
    pub fn secure(mut self) -> Speaker {
        let reply = self.say("STARTTLS");
        assert!(reply.starts_with("220"), "{reply}");
        self.stream = match std::mem::replace(&mut self.stream, Stream::Gone) {
            Stream::Tcp(stream) => Stream::Tls(secured(stream)),
            _ => panic!("only TCP can go over to TLS"),
        };
        self.hello()
    }

    /// Logs in by AUTH PLAIN, and answers with the reply.
    pub fn login(&mut self, user: &str, password: &str) -> String {
        use base64::{Engine, engine::general_purpose::STANDARD};
        self.say(&format!("AUTH PLAIN {}", STANDARD.encode(format!("\0{user}\0{password}"))))
    }

    /// Says a line and reads the reply: all its lines, joined by line feeds; empty when the server has closed.
    pub fn say(&mut self, line: &str) -> String {
        match self.write(format!("{line}\r\n").as_bytes()) {
            Ok(()) => self.reply(),
            Err(_) => String::new(),
        }
    }

    /// Writes octets and reads nothing.
    pub fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Tcp(stream) => stream.write_all(octets),
            Stream::Unix(stream) => stream.write_all(octets),
            Stream::Tls(stream) => stream.write_all(octets),
            Stream::Gone => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Reads a reply; empty at the end of the connection.
    pub fn reply(&mut self) -> String {
        let mut lines: Vec<String> = Vec::new();
        loop {
            let Some(line) = self.line() else { return lines.join("\n") };
            let last = line.as_bytes().get(3) != Some(&b'-');
            lines.push(line);
            if last {
                return lines.join("\n");
            }
        }
    }

    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.unread.iter().position(|&octet| octet == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return Some(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            let mut octets = [0; 4096];
            let got = match &mut self.stream {
                Stream::Tcp(stream) => stream.read(&mut octets),
                Stream::Unix(stream) => stream.read(&mut octets),
                Stream::Tls(stream) => stream.read(&mut octets),
                Stream::Gone => Ok(0),
            };
            match got {
                Ok(0) => return None,
                Ok(got) => self.unread.extend_from_slice(&octets[..got]),
                Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => panic!("no reply in time"),
                Err(_) => return None,
            }
        }
    }

    /// One message, whose text has no dot at the start of a line; lines may end with LF. The replies to MAIL, to each RCPT and, when one of them was
    /// accepted, to the end of the text.
    pub fn send(&mut self, from: &str, to: &[&str], text: &str) -> Vec<String> {
        let mut replies = vec![self.say(&format!("MAIL FROM:<{from}>"))];
        for to in to {
            replies.push(self.say(&format!("RCPT TO:<{to}>")));
        }
        let go = self.say("DATA");
        if go.starts_with("354") {
            let text = text.replace("\r\n", "\n").replace('\n', "\r\n");
            let text = if text.ends_with("\r\n") || text.is_empty() { text } else { text + "\r\n" };
            replies.push(self.say(&format!("{text}.")));
        } else if replies[1..].iter().any(|reply| reply.starts_with("250")) {
            replies.push(go);
        }
        replies
    }

    /// The same, which must be taken.
    pub fn deliver(&mut self, from: &str, to: &[&str], text: &str) -> String {
        let replies = self.send(from, to, text);
        assert_eq!(replies.len(), to.len() + 2, "{replies:?}");
        assert!(replies.iter().all(|reply| reply.starts_with("250")), "{replies:?}");
        replies.into_iter().next_back().unwrap()
    }
}

fn secured(stream: TcpStream) -> SslStream<TcpStream> {
    let context = SslContext::builder(SslMethod::tls_client()).unwrap().build();
    let mut stream = SslStream::new(Ssl::new(&context).unwrap(), stream).unwrap();
    stream.connect().unwrap();
    stream
}
