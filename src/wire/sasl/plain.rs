//! PLAIN (RFC 4616).

use super::{Credentials, Refused, Step};
use zeroize::Zeroizing;

/// Waits for the message, which the challenge before it was empty for.
#[derive(Debug)]
pub struct ExpectMessage;

impl ExpectMessage {
    /// ```abnf
    /// message = [authzid] UTF8NUL authcid UTF8NUL passwd
    /// ```
    /// RFC 4616 section 2. Nobody acts for another here: authzid is empty or the same as authcid.
    pub fn handle(self, message: &[u8]) -> Result<Step, Refused> {
        let mut parts = message.split(|&octet| octet == 0);
        let (Some(authzid), Some(authcid), Some(passwd), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Refused::Malformed);
        };
        if !authzid.is_empty() && authzid != authcid {
            return Err(Refused::ForAnother);
        }
        Ok(Step::Check(Credentials::take(authcid, passwd)?))
    }
}

/// The client's message, with an empty authzid.
pub(super) fn message(credentials: &Credentials) -> Zeroizing<Vec<u8>> {
    let room = credentials.login.len() + credentials.secret.len() + 2;
    let mut message = Zeroizing::new(Vec::with_capacity(room));
    message.push(0);
    message.extend_from_slice(credentials.login.as_bytes());
    message.push(0);
    message.extend_from_slice(&credentials.secret);
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::sasl::{Client, Exchange, Mechanism, SECRET_MAX};

    fn check(message: &[u8]) -> Option<(String, Vec<u8>)> {
        match Exchange::begin(Mechanism::Plain, Some(message)) {
            Ok(Step::Check(found)) => Some((found.login, found.secret.to_vec())),
            _ => None,
        }
    }

    #[test]
    fn a_message_is_three_parts_and_acts_for_itself() {
        let tim = Some(("tim".to_owned(), b"tanstaaftanstaaf".to_vec()));
        let long = [b"\0tim\0".as_slice(), &[b'x'; SECRET_MAX + 1]].concat();
        let cases: [(&[u8], _); 12] = [
            // The examples of RFC 4616 section 4; in the second one acts for another.
            (b"\0tim\0tanstaaftanstaaf", tim.clone()),
            (b"Ursel\0Kurt\0xipj3plmq", None),
            (b"tim\0tim\0tanstaaftanstaaf", tim),
            (b"", None),
            (b"\0", None),
            (b"\0tim", None),
            (b"\0tim\0", None),
            (b"\0\0secret", None),
            (b"\0tim\0sec\0ret", None),
            (b"\0tim\r\n\0secret", None),
            (b"\0tim\0\xff", None),
            (&long, None),
        ];
        for (message, wanted) in cases {
            assert_eq!(check(message), wanted, "{:?}", String::from_utf8_lossy(message));
        }
    }

    #[test]
    fn both_sides_agree() {
        let credentials = Credentials::take("j\u{fc}rgen".as_bytes(), b"p ss").expect("printable");
        let mut client = Client::new(Mechanism::Plain, credentials).expect("no NUL");
        let message = client.initial().expect("PLAIN speaks first");
        assert_eq!(check(&message), Some(("j\u{fc}rgen".to_owned(), b"p ss".to_vec())));
        assert!(client.respond().is_none(), "there is nothing more to say");
    }
}
