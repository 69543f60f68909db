//! From the greeting to the first message: EHLO, STARTTLS, AUTH.

use super::{Client, Dialect, Move, Offer, Stage, State, Tls};
use crate::{
    mail::verdict::{Verdict, Why},
    wire::{sasl, session::Step, smtp::reply::Reply},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

/// A login and password of so many octets fit into a command line of 512 in base64 (RFC 5321 section 4.5.3.1.4).
const INITIAL_MAX: usize = 360;

/// A login under way.
#[derive(Debug)]
pub(super) struct Login(sasl::Client);

impl Client {
    pub(super) fn greeted(&mut self, reply: &Reply, out: &mut Vec<u8>) -> Move {
        if reply.code != 220 {
            return self.refused(Stage::Greeting, reply, "the connection");
        }
        self.say_hello(out)
    }

    fn say_hello(&mut self, out: &mut Vec<u8>) -> Move {
        self.offer = Offer::default();
        self.say_name(if self.order.dialect == Dialect::Lmtp { "LHLO" } else { "EHLO" }, out);
        self.read(State::ExpectHello)
    }

    fn say_name(&self, command: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(command.as_bytes());
        out.push(b' ');
        let start = out.len();
        out.extend(self.order.name.bytes().filter(u8::is_ascii_graphic).take(255));
        if out.len() == start {
            out.extend_from_slice(b"localhost");
        }
        out.extend_from_slice(b"\r\n");
    }

    pub(super) fn hello(&mut self, reply: &Reply, out: &mut Vec<u8>) -> Move {
        if reply.code != 250 {
            // Without EHLO there is no TLS and no login: HELO is only for those who need neither (RFC 5321 section 3.2).
            let plain = self.order.dialect != Dialect::Lmtp
                && self.order.login.is_none()
                && self.order.tls != Tls::Demanded
                && !self.secured;
            if plain && reply.code / 100 == 5 {
                self.say_name("HELO", out);
                return self.read(State::ExpectHelo);
            }
            return self.refused(Stage::Hello, reply, "EHLO");
        }
        self.offer = Offer::read(reply);
        match self.order.tls {
            _ if self.secured => {}
            Tls::IfOffered | Tls::Demanded if self.offer.starttls => {
                out.extend_from_slice(b"STARTTLS\r\n");
                return self.read(State::ExpectStartTls);
            }
            Tls::Demanded => {
                let text = format!(
                    "{}: the server does not offer STARTTLS, and nothing is sent without TLS",
                    self.order.server
                );
                return self.fail(Stage::StartTls, Verdict::Later(Why::new(7, 4, text)));
            }
            Tls::IfOffered | Tls::AsItIs => {}
        }
        self.log_in(out)
    }

    pub(super) fn helo(&mut self, reply: &Reply) -> Move {
        if reply.code != 250 {
            return self.refused(Stage::Hello, reply, "HELO");
        }
        self.next_message()
    }

    pub(super) fn may_start_tls(&mut self, reply: &Reply, out: &mut Vec<u8>) -> Move {
        if reply.code == 220 {
            return Move::Go(State::ExpectSecured, Step::StartTls);
        }
        if self.order.tls == Tls::IfOffered && reply.code != 421 {
            return self.log_in(out);
        }
        // Whatever the server says of TLS, it says nothing of the message.
        let verdict = match self.judged(reply, "STARTTLS") {
            Verdict::Never(why) | Verdict::Later(why) => Verdict::Later(why),
            Verdict::Done => Verdict::Later(Why::new(5, 0, self.odd(reply, "STARTTLS"))),
        };
        self.fail(Stage::StartTls, verdict)
    }

    /// TLS stands: all that was learnt before it is forgotten (RFC 3207 section 4.2).
    pub(super) fn secured_now(&mut self, state: State, out: &mut Vec<u8>) -> Move {
        if !matches!(state, State::ExpectSecured) {
            return Move::Stay(state);
        }
        self.secured = true;
        self.reader = Default::default();
        self.say_hello(out)
    }

    fn log_in(&mut self, out: &mut Vec<u8>) -> Move {
        let Some(credentials) = self.order.login.take() else { return self.next_message() };
        let Some(&mechanism) = self.offer.auth.first() else {
            let text = format!("{}: the server offers no login that is known here", self.order.server);
            return self.fail(Stage::Login, Verdict::Never(Why::new(7, 4, text)));
        };
        let length = credentials.login.len() + credentials.secret.len();
        let Some(mut client) = sasl::Client::new(mechanism, credentials) else {
            let text = "the login or its password holds a NUL".to_owned();
            return self.fail(Stage::Login, Verdict::Never(Why::new(7, 8, text)));
        };
        out.extend_from_slice(b"AUTH ");
        out.extend_from_slice(mechanism.name().as_bytes());
        // What is too long for a command line is given behind the server's challenge instead (RFC 4954 section 4).
        if length <= INITIAL_MAX
            && let Some(initial) = client.initial()
        {
            out.push(b' ');
            out.extend_from_slice(Zeroizing::new(STANDARD.encode(&*initial)).as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        self.read(State::ExpectLogin(Login(client)))
    }

    pub(super) fn login(&mut self, login: Login, reply: &Reply, out: &mut Vec<u8>) -> Move {
        let Login(mut client) = login;
        match reply.code {
            235 => self.next_message(),
            334 => {
                match client.respond() {
                    Some(response) => {
                        let line = Zeroizing::new(STANDARD.encode(&*response));
                        out.extend_from_slice(line.as_bytes());
                    }
                    None => out.push(b'*'),
                }
                out.extend_from_slice(b"\r\n");
                self.read(State::ExpectLogin(Login(client)))
            }
            _ => self.refused(Stage::Login, reply, "AUTH"),
        }
    }

    /// A reply that ends the session before any message.
    fn refused(&self, stage: Stage, reply: &Reply, asked: &str) -> Move {
        let verdict = match self.judged(reply, asked) {
            Verdict::Done => Verdict::Later(Why::new(5, 0, self.odd(reply, asked))),
            verdict => verdict,
        };
        self.fail(stage, verdict)
    }

    fn odd(&self, reply: &Reply, asked: &str) -> String {
        format!("{} said something odd: {reply} (in answer to {asked})", self.order.server)
    }
}
