//! SASL (RFC 4422): logins as a conversation of challenges and responses, both sides. Here stand the octets that
//! mechanisms exchange, and the lines that carry them (`coded`); what stands around those is a protocol's own matter.

pub use coded::challenge;
use std::fmt;
use zeroize::Zeroizing;

mod coded;
pub mod login;
pub mod plain;

/// The mechanisms known, in the order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// PLAIN (RFC 4616).
    Plain,
    /// LOGIN (draft-murchison-sasl-login), which old programs speak.
    Login,
}

impl Mechanism {
    /// Every mechanism, the preferred first.
    pub const ALL: [Mechanism; 2] = [Mechanism::Plain, Mechanism::Login];

    /// The name as registered.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::Login => "LOGIN",
        }
    }

    /// ```abnf
    /// sasl-mech = 1*20mech-char
    /// ```
    /// RFC 4422 section 3.1; compared without case, as SMTP's and IMAP's own grammars say.
    pub fn parse(name: &str) -> Option<Mechanism> {
        Mechanism::ALL.into_iter().find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
    }
}

/// The most octets of a login name.
pub const LOGIN_MAX: usize = 255;
/// The most octets of a password.
pub const SECRET_MAX: usize = 1024;

/// A login name and its password. The password is wiped when it is dropped, and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Who wants to log in, without control characters.
    pub login: String,
    /// The password: UTF-8 without control characters.
    pub secret: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials {{ login: {:?}, secret: (hidden) }}", self.login)
    }
}

impl Credentials {
    /// Takes a name and a password from a peer; refuses what is empty, too long, no UTF-8, or holds a control character.
    pub fn take(login: &[u8], secret: &[u8]) -> Result<Credentials, Refused> {
        let login = printable(login, LOGIN_MAX)?.to_owned();
        let secret = Zeroizing::new(printable(secret, SECRET_MAX)?.as_bytes().to_vec());
        Ok(Credentials { login, secret })
    }
}

fn printable(octets: &[u8], most: usize) -> Result<&str, Refused> {
    let text = std::str::from_utf8(octets).map_err(|_| Refused::Malformed)?;
    let fits = (1..=most).contains(&text.len()) && !text.chars().any(char::is_control);
    fits.then_some(text).ok_or(Refused::Malformed)
}

/// Why a response is refused before anybody asks whether the password is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The mechanism does not allow it.
    Malformed,
    /// It wants to act for somebody else.
    ForAnother,
    /// The line that it stands in can't be decoded.
    NotBase64,
    /// The client wants to end it.
    Cancelled,
}

/// What a server says to a response.
#[derive(Debug)]
pub enum Step {
    /// Send this challenge and come back with the response.
    Challenge(&'static [u8], Exchange),
    /// These are to be verified.
    Check(Credentials),
}

/// A login as its server sees it.
#[derive(Debug)]
pub enum Exchange {
    /// PLAIN waits for its only response.
    Plain(plain::ExpectMessage),
    /// LOGIN waits for the name.
    LoginName(login::ExpectName),
    /// LOGIN waits for the password.
    LoginSecret(login::ExpectSecret),
}

impl Exchange {
    /// Begins; with the initial response if the client gave one.
    pub fn begin(mechanism: Mechanism, initial: Option<&[u8]>) -> Result<Step, Refused> {
        let (challenge, exchange) = match mechanism {
            Mechanism::Plain => (b"".as_slice(), Exchange::Plain(plain::ExpectMessage)),
            Mechanism::Login => (login::ASK_NAME, Exchange::LoginName(login::ExpectName)),
        };
        match initial {
            Some(response) => exchange.handle(response),
            None => Ok(Step::Challenge(challenge, exchange)),
        }
    }

    /// Takes a response.
    pub fn handle(self, response: &[u8]) -> Result<Step, Refused> {
        match self {
            Exchange::Plain(state) => state.handle(response),
            Exchange::LoginName(state) => state.handle(response),
            Exchange::LoginSecret(state) => state.handle(response),
        }
    }
}

/// A login as its client sees it.
#[derive(Clone, Debug)]
pub struct Client {
    mechanism: Mechanism,
    credentials: Credentials,
    /// Responses given so far.
    given: u8,
}

impl Client {
    /// Begins a login. `None` when the credentials hold what the mechanism cannot carry: a NUL.
    pub fn new(mechanism: Mechanism, credentials: Credentials) -> Option<Client> {
        let nul = credentials.login.contains('\0') || credentials.secret.contains(&0);
        (!nul).then_some(Client { mechanism, credentials, given: 0 })
    }

    /// The initial response, for a protocol that can carry one; `None` where the server speaks first.
    pub fn initial(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        match self.mechanism {
            Mechanism::Plain => self.respond(),
            Mechanism::Login => None,
        }
    }

    /// The response to a challenge, whose words do not matter to these mechanisms; `None` when the server asks for more
    /// than the mechanism has to say: then the login is cancelled.
    pub fn respond(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        let response = match (self.mechanism, self.given) {
            (Mechanism::Plain, 0) => plain::message(&self.credentials),
            (Mechanism::Login, 0) => Zeroizing::new(self.credentials.login.clone().into_bytes()),
            (Mechanism::Login, 1) => self.credentials.secret.clone(),
            _ => return None,
        };
        self.given += 1;
        Some(response)
    }
}
