//! LOGIN (draft-murchison-sasl-login-00): the name, then the password, each asked for in words that no client may rely on
//! but some do.

use super::{Credentials, Exchange, Refused, Step};

/// The first challenge.
pub(super) const ASK_NAME: &[u8] = b"Username:";
/// The second.
const ASK_SECRET: &[u8] = b"Password:";

/// Waits for the name.
#[derive(Debug)]
pub struct ExpectName;

impl ExpectName {
    /// The response is the name.
    pub fn handle(self, response: &[u8]) -> Result<Step, Refused> {
        let name = super::printable(response, super::LOGIN_MAX)?.to_owned();
        Ok(Step::Challenge(ASK_SECRET, Exchange::LoginSecret(ExpectSecret { name })))
    }
}

/// Waits for the password.
#[derive(Debug)]
pub struct ExpectSecret {
    name: String,
}

impl ExpectSecret {
    /// The response is the password.
    pub fn handle(self, response: &[u8]) -> Result<Step, Refused> {
        Ok(Step::Check(Credentials::take(self.name.as_bytes(), response)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::sasl::{Client, Mechanism};

    #[test]
    fn both_sides_agree_with_and_without_an_initial_response() {
        for initial in [false, true] {
            let credentials = Credentials::take(b"tim", b"secret").expect("printable");
            let mut client = Client::new(Mechanism::Login, credentials).expect("no NUL");
            assert!(client.initial().is_none(), "the server speaks first");
            let first = initial.then(|| client.respond().expect("the name"));
            let mut step = Exchange::begin(Mechanism::Login, first.as_ref().map(|name| name.as_slice()));
            let mut asked = Vec::new();
            let found = loop {
                match step.expect("well formed") {
                    Step::Challenge(challenge, exchange) => {
                        asked.push(challenge);
                        step = exchange.handle(&client.respond().expect("a response"));
                    }
                    Step::Check(found) => break found,
                }
            };
            let wanted: &[&[u8]] = if initial { &[ASK_SECRET] } else { &[ASK_NAME, ASK_SECRET] };
            assert_eq!(asked, wanted);
            assert_eq!((found.login.as_str(), found.secret.as_slice()), ("tim", b"secret".as_slice()));
            assert!(client.respond().is_none(), "there is nothing more to say");
        }
    }

    #[test]
    fn what_does_not_print_is_refused() {
        for bad in [b"".as_slice(), b"a\0b", b"a\nb", b"\xc3", &[b'x'; 5000]] {
            assert!(ExpectName.handle(bad).is_err(), "name {bad:?}");
            assert!(ExpectSecret { name: "tim".to_owned() }.handle(bad).is_err(), "password {bad:?}");
        }
    }
}
