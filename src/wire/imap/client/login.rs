//! The way to a session of one's own: the greeting, what the server can do, TLS, and the login.

use super::{
    Ask, Client, Move, Offer, Said, State, Told,
    parse::{Code, Word},
    sasl,
};
use crate::{
    mail::verdict::Verdict,
    wire::{
        imap::print,
        mailbox::{Failure, Stage, Tls},
        sasl::Mechanism,
        session::Step,
    },
};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use zeroize::Zeroizing;

/// A login under way.
#[derive(Debug)]
pub(super) struct Login {
    /// AUTHENTICATE's exchange; `None` for LOGIN.
    exchange: Option<sasl::Client>,
    /// What the server can do now, if it said so.
    offer: Option<Offer>,
}

impl Client {
    pub(super) fn greeted(&mut self, said: Said, out: &mut Vec<u8>) -> Move {
        let (told, inside) = match said {
            Said::Told(told) if told.word == Word::Ok => (told, false),
            Said::Preauth(told) => (told, true),
            Said::Bye(text) => {
                return Client::fail(
                    self.order.lost(Stage::Greeting, &format!("it does not want us: {text}")),
                );
            }
            _ => return self.odd(Stage::Greeting, "did not greet as IMAP does"),
        };
        match told.code {
            Code::Capability(offer) => self.offered(offer, inside, out),
            _ => {
                self.say(b"CAPABILITY", out);
                self.read(State::ExpectCapability(None, inside))
            }
        }
    }

    pub(super) fn capability(
        &mut self,
        offer: Option<Offer>,
        inside: bool,
        said: Said,
        out: &mut Vec<u8>,
    ) -> Move {
        match (said, offer) {
            (Said::Capability(offer), _) => self.read(State::ExpectCapability(Some(offer), inside)),
            (Said::Tagged(tag, told), Some(offer)) if self.is_last(&tag) && told.word == Word::Ok => {
                self.offered(offer, inside, out)
            }
            (Said::Tagged(..), _) => self.odd(Stage::Capability, "does not say what it can do"),
            (_, offer) => self.read(State::ExpectCapability(offer, inside)),
        }
    }

    /// What it can do is known.
    fn offered(&mut self, offer: Offer, inside: bool, out: &mut Vec<u8>) -> Move {
        self.offer = offer;
        let demanded = self.order.tls == Tls::Demanded && !self.secured;
        if demanded && inside {
            // RFC 2595 section 3: then STARTTLS is not possible any more, and who greets so may be anybody.
            let text = "lets us in before TLS stands (PREAUTH), and without TLS nothing is said";
            return Client::fail(self.order.never(Stage::StartTls, 7, 10, text));
        }
        if inside {
            return (State::ExpectStart, Step::Ask(Ask::Start));
        }
        if self.offer.starttls && !self.secured && self.order.tls != Tls::AsItIs {
            self.say(b"STARTTLS", out);
            return self.read(State::ExpectStartTls);
        }
        if demanded {
            let text = "offers no TLS (STARTTLS), and without it nothing is said; write imaps:// if it has TLS from the start";
            return Client::fail(self.order.never(Stage::StartTls, 7, 10, text));
        }
        self.login(out)
    }

    pub(super) fn may_start_tls(&mut self, said: Said, out: &mut Vec<u8>) -> Move {
        match said {
            Said::Tagged(tag, told) if self.is_last(&tag) => match told.word {
                Word::Ok => (State::ExpectSecured, Step::StartTls),
                _ if self.order.tls == Tls::Demanded => {
                    let verdict = told.verdict(&self.order.server, "STARTTLS", Verdict::Later);
                    Client::fail(Failure { stage: Stage::StartTls, verdict })
                }
                _ => self.login(out),
            },
            Said::Tagged(..) => self.odd(Stage::StartTls, "answered what was not asked"),
            _ => self.read(State::ExpectStartTls),
        }
    }

    fn login(&mut self, out: &mut Vec<u8>) -> Move {
        let Some(login) = self.order.login.clone() else {
            return Client::fail(self.order.never(
                Stage::Login,
                5,
                1,
                "wants a login; write imaps://USER@HOST",
            ));
        };
        if self.offer.plain
            && let Some(mut exchange) = sasl::Client::new(Mechanism::Plain, login.clone())
        {
            let mut command = Zeroizing::new(b"AUTHENTICATE PLAIN".to_vec());
            if self.offer.sasl_ir {
                command.push(b' ');
                let initial = exchange.initial().unwrap_or_default();
                command.extend_from_slice(Zeroizing::new(BASE64_STANDARD.encode(&*initial)).as_bytes());
            }
            self.say(&command, out);
            return self.read(State::ExpectLogin(Login { exchange: Some(exchange), offer: None }));
        }
        if self.offer.login_disabled {
            let text = "offers no login that we know (AUTH=PLAIN or LOGIN)";
            return Client::fail(self.order.never(Stage::Login, 5, 4, text));
        }
        let is_sendable =
            |octets: &[u8]| octets.len() <= 900 && octets.iter().all(|octet| matches!(octet, b' '..=b'~'));
        if !is_sendable(login.login.as_bytes()) || !is_sendable(&login.secret) {
            let text = "offers only LOGIN, which takes no user or password with characters beyond ASCII or of more than 900 octets";
            return Client::fail(self.order.never(Stage::Login, 5, 4, text));
        }
        let mut command = Zeroizing::new(b"LOGIN ".to_vec());
        print::string(login.login.as_bytes(), &mut command);
        command.push(b' ');
        print::string(&login.secret, &mut command);
        self.say(&command, out);
        self.read(State::ExpectLogin(Login { exchange: None, offer: None }))
    }

    pub(super) fn login_said(&mut self, login: Login, said: Said, out: &mut Vec<u8>) -> Move {
        match said {
            Said::Capability(offer) => self.read(State::ExpectLogin(Login { offer: Some(offer), ..login })),
            Said::Continue => {
                let Some(mut exchange) = login.exchange else {
                    return self.odd(Stage::Login, "asked for more where nothing was to be said");
                };
                match exchange.respond() {
                    Some(response) => {
                        let response = Zeroizing::new(BASE64_STANDARD.encode(&*response));
                        out.extend_from_slice(response.as_bytes());
                    }
                    // It asks for more than there is to say.
                    None => out.extend_from_slice(b"*"),
                }
                out.extend_from_slice(b"\r\n");
                self.read(State::ExpectLogin(Login { exchange: Some(exchange), ..login }))
            }
            Said::Tagged(tag, told) if self.is_last(&tag) => self.logged_in(login.offer, told, out),
            Said::Tagged(..) => self.odd(Stage::Login, "answered what was not asked"),
            _ => self.read(State::ExpectLogin(login)),
        }
    }

    fn logged_in(&mut self, offer: Option<Offer>, told: Told, out: &mut Vec<u8>) -> Move {
        if told.word != Word::Ok {
            let verdict = told.verdict(&self.order.server, "the login", Verdict::Never);
            return Client::fail(Failure { stage: Stage::Login, verdict });
        }
        let offer = match told.code {
            Code::Capability(offer) => Some(offer),
            _ => offer,
        };
        match offer {
            Some(offer) => self.offered(offer, true, out),
            // Many servers say more to those they know (RFC 3501 section 7.2.1).
            None => {
                self.say(b"CAPABILITY", out);
                self.read(State::ExpectCapability(None, true))
            }
        }
    }
}
