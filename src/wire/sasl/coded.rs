//! How SMTP, IMAP and POP3 carry an exchange: in lines of base64 (RFC 4954, RFC 3501 section 6.2.2, RFC 5034).

use super::{Exchange, Mechanism, Refused, Step};
use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

/// A challenge as it stands in its line.
pub fn challenge(octets: &[u8]) -> String {
    STANDARD.encode(octets)
}

fn decode(coded: &[u8]) -> Result<Zeroizing<Vec<u8>>, Refused> {
    STANDARD.decode(coded).map(Zeroizing::new).map_err(|_| Refused::NotBase64)
}

impl Exchange {
    /// ```abnf
    /// initial-response = base64 / "="
    /// ```
    /// RFC 4954 section 4, RFC 4959 section 3, RFC 5034 section 4: `=` is one without octets.
    pub fn begin_coded(mechanism: Mechanism, initial: Option<&[u8]>) -> Result<Step, Refused> {
        let initial = match initial {
            None => None,
            Some(b"") => return Err(Refused::NotBase64),
            Some(b"=") => Some(Zeroizing::new(Vec::new())),
            Some(coded) => Some(decode(coded)?),
        };
        Exchange::begin(mechanism, initial.as_ref().map(|octets| octets.as_slice()))
    }

    /// ```abnf
    /// response = [base64] / "*"
    /// ```
    /// The same sections: `*` cancels.
    pub fn handle_coded(self, line: &[u8]) -> Result<Step, Refused> {
        match line {
            b"*" => Err(Refused::Cancelled),
            coded => self.handle(&decode(coded)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_what_their_base64_says() {
        // RFC 4616 section 4: the message of tim, with his password.
        let tim = "AHRpbQB0YW5zdGFhZnRhbnN0YWFm";
        let begin = |initial: Option<&str>| {
            Exchange::begin_coded(Mechanism::Plain, initial.map(str::as_bytes)).map(|step| match step {
                Step::Challenge(octets, _) => challenge(octets),
                Step::Check(credentials) => credentials.login,
            })
        };
        assert_eq!(begin(None), Ok(String::new()));
        assert_eq!(begin(Some(tim)), Ok("tim".to_owned()));
        assert_eq!(begin(Some("=")), Err(Refused::Malformed));
        for coded in ["", "*", "AHRpbQB0YW5z*", &format!("{tim}="), "AHRpb"] {
            assert_eq!(begin(Some(coded)), Err(Refused::NotBase64), "{coded}");
        }
        let handle = |line: &str| match Exchange::begin(Mechanism::Login, None) {
            Ok(Step::Challenge(_, exchange)) => {
                exchange.handle_coded(line.as_bytes()).map(|step| match step {
                    Step::Challenge(octets, _) => challenge(octets),
                    Step::Check(credentials) => credentials.login,
                })
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(handle("dGlt"), Ok("UGFzc3dvcmQ6".to_owned()));
        assert_eq!(handle("*"), Err(Refused::Cancelled));
        assert_eq!(handle("dGl"), Err(Refused::NotBase64));
        assert_eq!(handle(""), Err(Refused::Malformed));
    }
}
