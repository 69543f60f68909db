//! A server as people name it: `smtps://me@smtp.example.org`, `lmtp://[::1]:24`, `unix:/run/posthaste/submit`; and a
//! mailbox on one: `imaps://me@imap.example.org`.

use crate::{agent::fetch::Protocol, mail::address::Domain};
use std::{fmt, net::IpAddr, path::PathBuf, str::FromStr};

/// What is spoken there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// SMTP, with STARTTLS where the server is not on this machine.
    Smtp,
    /// SMTP within TLS from the start (RFC 8314 section 3.3).
    Smtps,
    /// LMTP (RFC 2033).
    Lmtp,
}

/// Where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A host name in lower case or an address, and a port.
    Host(String, u16),
    /// A unix socket.
    Unix(PathBuf),
}

/// A server: what is spoken, where, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// What is spoken there.
    pub scheme: Scheme,
    /// The login; `None` is none.
    pub user: Option<String>,
    /// Where it is.
    pub place: Place,
}

impl FromStr for Server {
    type Err = String;

    /// `SCHEME://[USER@]HOST[:PORT]` (RFC 3986 section 3), `SCHEME:///SOCKET` or `unix:/SOCKET`, which is SMTP. The
    /// user may hold `@`, also as `%40`. Without a port: smtps 465, lmtp 24, smtp 587 with a user and 25 without.
    fn from_str(text: &str) -> Result<Server, String> {
        let odd =
            || format!("`{text}`: write smtps://USER@HOST, smtp://HOST:PORT, lmtp://HOST or unix:/SOCKET");
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Server { scheme: Scheme::Smtp, user: None, place: socket(path).ok_or_else(odd)? });
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(odd)?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "smtp" => Scheme::Smtp,
            "smtps" => Scheme::Smtps,
            "lmtp" => Scheme::Lmtp,
            _ => return Err(odd()),
        };
        if rest.starts_with('/') {
            if scheme == Scheme::Smtps {
                return Err(format!("`{text}`: a unix socket needs no TLS; write unix:{rest}"));
            }
            return Ok(Server { scheme, user: None, place: socket(rest).ok_or_else(odd)? });
        }
        let (user, host, port) = authority(text, rest, &odd)?;
        let port = match port {
            Some(port) => port,
            None => match scheme {
                Scheme::Smtps => 465,
                Scheme::Lmtp => 24,
                Scheme::Smtp if user.is_some() => 587,
                Scheme::Smtp => 25,
            },
        };
        Ok(Server { scheme, user, place: Place::Host(host, port) })
    }
}

/// A mailbox on a server: what is spoken, where, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// IMAP or POP3.
    pub protocol: Protocol,
    /// TLS from the start (RFC 8314 section 3).
    pub tls: bool,
    /// The login; `None` is none.
    pub user: Option<String>,
    /// A host name in lower case or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl FromStr for Source {
    type Err = String;

    /// `SCHEME://[USER@]HOST[:PORT]` as a [`Server`] is written. Without a port: imaps 993, imap 143, pop3s 995, pop3 110.
    fn from_str(text: &str) -> Result<Source, String> {
        let odd = || {
            format!(
                "`{text}`: write imaps://USER@HOST, imap://USER@HOST, pop3s://USER@HOST or pop3://USER@HOST:PORT"
            )
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(odd)?;
        let (protocol, tls, usual) = match scheme.to_ascii_lowercase().as_str() {
            "imaps" => (Protocol::Imap, true, 993),
            "imap" => (Protocol::Imap, false, 143),
            "pop3s" => (Protocol::Pop3, true, 995),
            "pop3" => (Protocol::Pop3, false, 110),
            _ => return Err(odd()),
        };
        let (user, host, port) = authority(text, rest, &odd)?;
        Ok(Source { protocol, tls, user, host, port: port.unwrap_or(usual) })
    }
}

impl Source {
    /// The server, for people: `host:port`.
    pub fn server(&self) -> String {
        Place::Host(self.host.clone(), self.port).to_string()
    }
}

/// As it is written in full, always the same for the same mailbox.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match (self.protocol, self.tls) {
            (Protocol::Imap, true) => "imaps",
            (Protocol::Imap, false) => "imap",
            (Protocol::Pop3, true) => "pop3s",
            (Protocol::Pop3, false) => "pop3",
        };
        write!(f, "{scheme}://")?;
        if let Some(user) = &self.user {
            for octet in user.bytes() {
                match octet {
                    b'%' | b'/' | b':' | 0..=b' ' | 127.. => write!(f, "%{octet:02X}")?,
                    octet => write!(f, "{}", char::from(octet))?,
                }
            }
            f.write_str("@")?;
        }
        f.write_str(&self.server())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Host(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Place::Host(host, port) => write!(f, "{host}:{port}"),
            Place::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)
    }
}

/// `[USER@]HOST[:PORT][/]` of the URL `text`: the user decoded, the host in lower case or an address.
fn authority(
    text: &str,
    rest: &str,
    odd: &impl Fn() -> String,
) -> Result<(Option<String>, String, Option<u16>), String> {
    let (user, host) = match rest.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, rest),
    };
    if user.is_some_and(|user| user.contains(':')) {
        return Err("a password does not belong into a server's name; use a password command or file".into());
    }
    let user = user.map(|user| percent_decoded(user).ok_or_else(odd)).transpose()?;
    let host = host.strip_suffix('/').unwrap_or(host);
    let (host, port) = match host.strip_prefix('[') {
        Some(inner) => {
            let (address, behind) = inner.split_once(']').ok_or_else(odd)?;
            let port = if behind.is_empty() { None } else { Some(behind.strip_prefix(':').ok_or_else(odd)?) };
            (address.parse::<IpAddr>().map_err(|_| odd())?.to_string(), port)
        }
        None => {
            let (host, port) = match host.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (host, None),
            };
            let host = match host.parse::<IpAddr>() {
                Ok(address) => address.to_string(),
                Err(_) => Domain::parse(host.strip_suffix('.').unwrap_or(host).as_bytes())
                    .map_err(|fault| format!("`{text}`: {fault}"))?
                    .to_string(),
            };
            (host, port)
        }
    };
    let port =
        port.map(|digits| digits.parse().ok().filter(|port| *port != 0).ok_or_else(odd)).transpose()?;
    Ok((user, host, port))
}

fn socket(path: &str) -> Option<Place> {
    // sun_path holds 108 octets with the final NUL (unix(7)).
    (!path.is_empty() && path.len() <= 107 && !path.contains('\0')).then(|| Place::Unix(path.into()))
}

/// `pct-encoded` (RFC 3986 section 2.1) decoded; `None` where it is no UTF-8, holds a control character or is empty.
fn percent_decoded(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = match (first, tail) {
            (b'%', [high, low, tail @ ..]) => {
                let digit =
                    |octet: &u8| char::from(*octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                octets.push((digit(high)? << 4) | digit(low)?);
                tail
            }
            (b'%', _) => return None,
            _ => {
                octets.push(*first);
                tail
            }
        };
    }
    String::from_utf8(octets).ok().filter(|user| !user.is_empty() && !user.chars().any(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(scheme: Scheme, user: Option<&str>, host: &str, port: u16) -> Server {
        Server { scheme, user: user.map(str::to_string), place: Place::Host(host.into(), port) }
    }

    #[test]
    fn servers_as_people_write_them() {
        for (text, server) in [
            ("smtps://me@smtp.example.org", host(Scheme::Smtps, Some("me"), "smtp.example.org", 465)),
            ("smtp://Smtp.Example.org.", host(Scheme::Smtp, None, "smtp.example.org", 25)),
            (
                "smtp://me@example.org@mx.example.org/",
                host(Scheme::Smtp, Some("me@example.org"), "mx.example.org", 587),
            ),
            ("smtp://me%40example.org@mx:2525", host(Scheme::Smtp, Some("me@example.org"), "mx", 2525)),
            ("LMTP://[::1]:24", host(Scheme::Lmtp, None, "::1", 24)),
            ("lmtp://192.0.2.1", host(Scheme::Lmtp, None, "192.0.2.1", 24)),
        ] {
            assert_eq!(text.parse::<Server>(), Ok(server), "{text}");
        }
        let unix = |scheme| Server { scheme, user: None, place: Place::Unix("/run/x".into()) };
        assert_eq!("unix:/run/x".parse(), Ok(unix(Scheme::Smtp)));
        assert_eq!("lmtp:///run/x".parse(), Ok(unix(Scheme::Lmtp)));
    }

    #[test]
    fn what_is_no_server_is_refused() {
        for text in [
            "",
            "mx.example.org",
            "http://x",
            "smtp://",
            "smtp://x:0",
            "smtp://x:65536",
            "smtp://x:",
            "smtp://x/y",
            "smtp://me:hush@x",
            "smtp://@x",
            "smtp://a%0ab@x",
            "smtp://a%zz@x",
            "smtp://[::1",
            "smtp://[x]:25",
            "smtp://-x-",
            "unix:",
            "smtps:///run/x",
            "smtp://x y",
        ] {
            assert!(text.parse::<Server>().is_err(), "{text}");
        }
    }

    #[test]
    fn sources_as_people_write_them_and_as_they_are_written_in_full() {
        for (text, full) in [
            ("imaps://me@imap.example.org", "imaps://me@imap.example.org:993"),
            ("IMAP://me@Example.org@imap.example.org/", "imap://me@Example.org@imap.example.org:143"),
            ("pop3s://a%20b@[::1]", "pop3s://a%20b@[::1]:995"),
            ("pop3://127.0.0.1:1100", "pop3://127.0.0.1:1100"),
        ] {
            let source: Source = text.parse().unwrap();
            assert_eq!(source.to_string(), full, "{text}");
            assert_eq!(full.parse(), Ok(source));
        }
        for text in [
            "",
            "work",
            "smtp://x",
            "imaps://",
            "imaps://me:hush@x",
            "imap://x:0",
            "pop3:///run/x",
            "pop3://@x",
        ] {
            assert!(text.parse::<Source>().is_err(), "{text}");
        }
    }
}
