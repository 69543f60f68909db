//! The way to a session of one's own: what the server can do, TLS, and the login.

use super::{CAPABILITIES_MAX, Client, Move, Offer, State};
use crate::wire::{
    mailbox::{Stage, Tls},
    sasl::{self, Mechanism},
};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use zeroize::Zeroizing;

/// The longest line with AUTH's initial response (RFC 5034 section 4); what is longer waits for its challenge.
const AUTH_MAX: usize = 255;
/// The longest argument of USER and PASS.
const ARGUMENT_MAX: usize = 1024;

impl Client {
    /// A line of the answer to CAPA.
    pub(super) fn capability(
        &mut self,
        mut offer: Offer,
        count: usize,
        line: &[u8],
        out: &mut Vec<u8>,
    ) -> Move {
        if line == b"." {
            return self.offered(offer, out);
        }
        if count >= CAPABILITIES_MAX {
            return Client::fail(self.order.odd(Stage::Capability, "has no end of capabilities"));
        }
        offer.note(line);
        self.read(State::ExpectCapabilities(offer, count.saturating_add(1)))
    }

    /// What it can do is known.
    pub(super) fn offered(&mut self, offer: Offer, out: &mut Vec<u8>) -> Move {
        self.offer = offer;
        match (self.order.tls, self.secured) {
            (Tls::IfOffered | Tls::Demanded, false) if self.offer.stls => {
                out.extend_from_slice(b"STLS\r\n");
                self.read(State::ExpectStls)
            }
            (Tls::Demanded, false) => {
                let text = "offers no TLS (STLS), and without it nothing is said; write pop3s:// if it has TLS from the start";
                Client::fail(self.order.never(Stage::StartTls, 7, 10, text))
            }
            _ => self.login(out),
        }
    }

    pub(super) fn login(&mut self, out: &mut Vec<u8>) -> Move {
        let Some(login) = self.order.login.clone() else {
            return Client::fail(self.order.never(
                Stage::Login,
                5,
                1,
                "POP3 needs a user; write pop3s://USER@HOST",
            ));
        };
        let is_sendable = |octets: &[u8]| {
            octets.len() <= ARGUMENT_MAX && !octets.iter().any(|octet| matches!(octet, 0..=31 | 127))
        };
        if !is_sendable(login.login.as_bytes()) || !is_sendable(&login.secret) {
            let text = "user and password hold no control characters and have at most 1024 octets";
            return Client::fail(self.order.never(Stage::Login, 5, 4, text));
        }
        if self.offer.plain
            && let Some(client) = sasl::Client::new(Mechanism::Plain, login.clone())
        {
            return self.plain(client, out);
        }
        out.extend_from_slice(format!("USER {}\r\n", login.login).as_bytes());
        self.read(State::ExpectUser)
    }

    fn plain(&self, mut client: sasl::Client, out: &mut Vec<u8>) -> Move {
        let before = client.clone();
        let initial = client.initial().unwrap_or_default();
        let initial = Zeroizing::new(BASE64_STANDARD.encode(&*initial));
        if initial.len() + "AUTH PLAIN \r\n".len() > AUTH_MAX {
            out.extend_from_slice(b"AUTH PLAIN\r\n");
            return self.read(State::ExpectAuth(before));
        }
        out.extend_from_slice(b"AUTH PLAIN ");
        out.extend_from_slice(initial.as_bytes());
        out.extend_from_slice(b"\r\n");
        self.read(State::ExpectAuth(client))
    }

    /// The server wants a response.
    pub(super) fn respond(&self, mut client: sasl::Client, out: &mut Vec<u8>) -> Move {
        match client.respond() {
            Some(response) => {
                let response = Zeroizing::new(BASE64_STANDARD.encode(&*response));
                out.extend_from_slice(response.as_bytes());
            }
            // It asks for more than there is to say.
            None => out.extend_from_slice(b"*"),
        }
        out.extend_from_slice(b"\r\n");
        self.read(State::ExpectAuth(client))
    }

    pub(super) fn pass(&self, out: &mut Vec<u8>) -> Move {
        out.extend_from_slice(b"PASS ");
        if let Some(login) = &self.order.login {
            out.extend_from_slice(&login.secret);
        }
        out.extend_from_slice(b"\r\n");
        self.read(State::ExpectPass)
    }
}
