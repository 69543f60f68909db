//! SCRAM-SHA-256 keys of a password (RFC 5802 section 3, RFC 7677), and Dovecot's text form of them:
//! `ITERATIONS,BASE64(SALT),BASE64(STOREDKEY),BASE64(SERVERKEY)`.
//!
//! Passwords are taken as they are: no SASLprep. For ASCII, which nearly all passwords are, that is the same.

use super::ScramKeys;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use openssl::{
    error::ErrorStack, hash::MessageDigest, memcmp, pkcs5::pbkdf2_hmac, pkey::PKey, sha::sha256, sign::Signer,
};

/// What new passwords get: as RFC 7677 section 4 recommends at least, and what Dovecot writes.
pub const ITERATIONS: u32 = 4096;
/// The most that are computed for a login; more would let one line of the file hold up all others.
const ITERATIONS_MOST: u32 = 1_000_000;
/// The longest salt that is read, in octets.
const SALT_LONGEST: usize = 256;

impl ScramKeys {
    /// The keys of `password`.
    pub fn derive(password: &[u8], salt: &[u8], iterations: u32) -> Result<ScramKeys, ErrorStack> {
        let mut salted = [0; 32];
        let rounds = usize::try_from(iterations).unwrap_or(usize::MAX);
        pbkdf2_hmac(password, salt, rounds, MessageDigest::sha256(), &mut salted)?;
        Ok(ScramKeys {
            salt: salt.to_vec(),
            iterations,
            stored_key: sha256(&hmac(&salted, &[b"Client Key"])?),
            server_key: hmac(&salted, &[b"Server Key"])?,
        })
    }

    /// True when these are the keys of `password`. Takes the same time for a right and a wrong one.
    pub fn are_of(&self, password: &[u8]) -> Result<bool, ErrorStack> {
        let other = ScramKeys::derive(password, &self.salt, self.iterations)?;
        Ok(memcmp::eq(&self.stored_key, &other.stored_key))
    }

    /// Reads the text form.
    pub fn parse(text: &str) -> Option<ScramKeys> {
        let mut fields = text.split(',');
        let iterations =
            fields.next().filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()?;
        let mut octets = || STANDARD.decode(fields.next()?).ok();
        let (salt, stored_key, server_key) = (octets()?, octets()?, octets()?);
        if fields.next().is_some() || iterations == 0 || iterations > ITERATIONS_MOST {
            return None;
        }
        if salt.is_empty() || salt.len() > SALT_LONGEST {
            return None;
        }
        Some(ScramKeys {
            salt,
            iterations,
            stored_key: stored_key.try_into().ok()?,
            server_key: server_key.try_into().ok()?,
        })
    }

    /// The text form.
    pub fn text(&self) -> String {
        let [salt, stored, server] =
            [&self.salt[..], &self.stored_key, &self.server_key].map(|octets| STANDARD.encode(octets));
        format!("{},{salt},{stored},{server}", self.iterations)
    }
}

/// HMAC-SHA-256 (RFC 2104) of the parts one after the other.
pub(super) fn hmac(key: &[u8], parts: &[&[u8]]) -> Result<[u8; 32], ErrorStack> {
    let key = PKey::hmac(key)?;
    let mut signer = Signer::new(MessageDigest::sha256(), &key)?;
    for part in parts {
        signer.update(part)?;
    }
    let mut mac = [0; 32];
    signer.sign(&mut mac)?;
    Ok(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exchange in RFC 7677 section 3: user `user`, password `pencil`.
    #[test]
    fn the_example_of_rfc_7677() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let keys = ScramKeys::derive(b"pencil", &salt, 4096).unwrap();
        let bare = "n=user,r=rOprNGfwEbeRWgbNEkqO";
        let first = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let last = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let message = format!("{bare},{first},{last}");
        let signature = hmac(&keys.server_key, &[message.as_bytes()]).unwrap();
        assert_eq!(STANDARD.encode(signature), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        let proof = STANDARD.decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=").unwrap();
        let mask = hmac(&keys.stored_key, &[message.as_bytes()]).unwrap();
        let client_key: Vec<u8> = proof.iter().zip(mask).map(|(a, b)| a ^ b).collect();
        assert_eq!(sha256(&client_key), keys.stored_key);
    }

    /// Made by `doveadm pw -s SCRAM-SHA-256 -p pencil` (2.3.19): both keys, of which a plain login checks only one.
    #[test]
    fn dovecot_derives_the_same_keys() {
        let text = "4096,FwGmM3KhcScu7PjLNm1Ozg==,pLWtTfQ9G+b6YLJE5nMLnRwEL5VnhGizVzqenfGIWvs=,\
            ji23JxMLmCvD5w+XDAyoubX1bwHTKqpMs8K7TzXPfLo=";
        let keys = ScramKeys::parse(text).unwrap();
        assert_eq!(ScramKeys::derive(b"pencil", &keys.salt, 4096).unwrap().text(), text);
        assert_eq!(keys.text(), text);
    }

    #[test]
    fn what_is_no_text_form_is_refused() {
        let good = ScramKeys::derive(b"x", b"0123456789abcdef", 1).unwrap();
        assert!(ScramKeys::parse(&good.text()).unwrap() == good);
        let fields: Vec<String> = good.text().split(',').map(str::to_string).collect();
        let with = |at: usize, field: &str| {
            let mut fields = fields.clone();
            fields[at] = field.to_string();
            fields.join(",")
        };
        for text in [
            String::new(),
            "4096".into(),
            with(0, "0"),
            with(0, "+1"),
            with(0, "99999999"),
            with(1, ""),
            with(1, "*"),
            with(2, "AAAA"),
            with(3, "AAAA"),
            format!("{},x", good.text()),
        ] {
            assert!(ScramKeys::parse(&text).is_none(), "{text}");
        }
    }
}
