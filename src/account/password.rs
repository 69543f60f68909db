//! A stored password in Dovecot's form, `{SCHEME}TEXT`: read, verified, written.
//! What it leaves out: weak old schemes (DES, MD5, unsalted SHA): such an account has no login.

use super::{ScramKeys, scram};
use crate::sys::random;
use argon2::{Algorithm, Argon2, Params, PasswordVerifier as _, Version, password_hash::phc::PasswordHash};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use openssl::memcmp;
use std::io;
use zeroize::Zeroizing;

/// The longest password that is looked at, in octets. (The work of some schemes grows with it.)
pub const LONGEST: usize = 1024;

/// The schemes that new passwords can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `{SCRAM-SHA-256}`: serves SCRAM and plain logins.
    ScramSha256,
    /// `{ARGON2ID}`: plain logins only, and the hardest to guess from a stolen file.
    Argon2id,
}

/// A stored password.
#[derive(Clone)]
pub struct Password {
    scheme: &'static str,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Scram(ScramKeys),
    Plain(Zeroizing<String>),
    Argon2(String),
    Sha(String),
    Bcrypt(String),
}

/// Why a stored password can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// There is none, or it begins with `!` or `*` as a locked one does.
    Locked,
    /// A scheme that we don't have; its name.
    Scheme(String),
    /// Not what its scheme writes, or it would take too much time or memory.
    Malformed(&'static str),
}

impl Password {
    /// Reads the password field of a passwd-file. Without a scheme it is {CRYPT}, as for Dovecot.
    pub fn parse(field: &str) -> Result<Password, Unusable> {
        let (scheme, text) = match field.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
            Some((scheme, text)) => (scheme.to_ascii_uppercase(), text),
            None => ("CRYPT".to_string(), field),
        };
        if text.is_empty() || (scheme == "CRYPT" && text.starts_with(['!', '*'])) {
            return Err(Unusable::Locked);
        }
        let (scheme, kind) = match scheme.as_str() {
            "SCRAM-SHA-256" => ("SCRAM-SHA-256", ScramKeys::parse(text).map(Kind::Scram)),
            "PLAIN" | "CLEAR" | "CLEARTEXT" => ("PLAIN", Some(Kind::Plain(Zeroizing::new(text.into())))),
            "ARGON2ID" => ("ARGON2ID", argon2(text, "$argon2id$")),
            "ARGON2I" => ("ARGON2I", argon2(text, "$argon2i$")),
            "SHA512-CRYPT" => ("SHA512-CRYPT", sha(text, "$6$")),
            "SHA256-CRYPT" => ("SHA256-CRYPT", sha(text, "$5$")),
            "BLF-CRYPT" => ("BLF-CRYPT", bcrypt(text)),
            "CRYPT" => match text.get(..3) {
                Some("$6$") => ("SHA512-CRYPT", sha(text, "$6$")),
                Some("$5$") => ("SHA256-CRYPT", sha(text, "$5$")),
                Some("$2a" | "$2b" | "$2y") => ("BLF-CRYPT", bcrypt(text)),
                _ => return Err(Unusable::Scheme("CRYPT".into())),
            },
            other => return Err(Unusable::Scheme(other.chars().take(40).collect())),
        };
        kind.map(|kind| Password { scheme, kind }).ok_or(Unusable::Malformed(scheme))
    }

    /// The field for a new password.
    pub fn write(scheme: Scheme, password: &str) -> io::Result<String> {
        let mut salt = [0; 16];
        random::fill(&mut salt)?;
        match scheme {
            Scheme::ScramSha256 => {
                let keys = ScramKeys::derive(password.as_bytes(), &salt, scram::ITERATIONS)?;
                Ok(format!("{{SCRAM-SHA-256}}{}", keys.text()))
            }
            Scheme::Argon2id => {
                let params = Params::default();
                let (memory, time, lanes) = (params.m_cost(), params.t_cost(), params.p_cost());
                let mut hash = [0; 32];
                Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                    .hash_password_into(password.as_bytes(), &salt, &mut hash)
                    .map_err(|fault| io::Error::other(fault.to_string()))?;
                let [salt, hash] = [&salt[..], &hash].map(|octets| STANDARD_NO_PAD.encode(octets));
                Ok(format!("{{ARGON2ID}}$argon2id$v=19$m={memory},t={time},p={lanes}${salt}${hash}"))
            }
        }
    }

    /// The scheme's name, without braces.
    pub fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// What tells one stored password from another, in memory only: for {PLAIN} it is the password.
    pub(super) fn mark(&self) -> Zeroizing<String> {
        match &self.kind {
            Kind::Scram(keys) => Zeroizing::new(keys.text()),
            Kind::Plain(plain) => plain.clone(),
            Kind::Argon2(text) | Kind::Sha(text) | Kind::Bcrypt(text) => Zeroizing::new(text.clone()),
        }
    }

    /// True when `secret` is this password. The time it takes tells nothing of how far it was right.
    pub fn is(&self, secret: &[u8]) -> bool {
        if secret.is_empty() || secret.len() > LONGEST {
            return false;
        }
        match &self.kind {
            Kind::Scram(keys) => keys.are_of(secret).unwrap_or(false),
            // Through a digest, since the length must not show either.
            Kind::Plain(plain) => {
                memcmp::eq(&openssl::sha::sha256(plain.as_bytes()), &openssl::sha::sha256(secret))
            }
            Kind::Argon2(text) => PasswordHash::new(text)
                .is_ok_and(|hash| Argon2::default().verify_password(secret, &hash).is_ok()),
            Kind::Sha(text) => {
                use sha_crypt::PasswordVerifier as _;
                sha_crypt::ShaCrypt::default().verify_password(secret, text.as_str()).is_ok()
            }
            Kind::Bcrypt(text) => bcrypt::verify(secret, text).unwrap_or(false),
        }
    }

    /// The SCRAM keys, which {PLAIN} has for any salt, and other schemes have not.
    pub fn keys(&self, salt: impl FnOnce() -> Vec<u8>) -> Option<ScramKeys> {
        match &self.kind {
            Kind::Scram(keys) => Some(keys.clone()),
            Kind::Plain(plain) => ScramKeys::derive(plain.as_bytes(), &salt(), scram::ITERATIONS).ok(),
            _ => None,
        }
    }
}

/// Bounded to 512 MiB, and to some ten times the work of Dovecot's default.
fn argon2(text: &str, prefix: &str) -> Option<Kind> {
    let hash = PasswordHash::new(text.starts_with(prefix).then_some(text)?).ok()?;
    let params = Params::try_from(&hash).ok()?;
    let work = u64::from(params.m_cost()).saturating_mul(u64::from(params.t_cost()));
    (params.m_cost() <= 512 << 10 && params.p_cost() <= 64 && work <= 2 << 20 && hash.hash.is_some())
        .then(|| Kind::Argon2(text.into()))
}

/// `$6$[rounds=N$]SALT$HASH`. Rounds are bounded to a million, the default being 5000.
fn sha(text: &str, prefix: &str) -> Option<Kind> {
    let mut fields = text.strip_prefix(prefix)?.split('$');
    let mut salt = fields.next()?;
    if let Some(rounds) = salt.strip_prefix("rounds=") {
        rounds.parse::<u32>().ok().filter(|rounds| (1000..=1_000_000).contains(rounds))?;
        salt = fields.next()?;
    }
    let hash = fields.next()?;
    let length = if prefix == "$6$" { 86 } else { 43 };
    let good = |c: u8| c.is_ascii_alphanumeric() || c == b'.' || c == b'/';
    (salt.len() <= 16 && hash.len() == length && hash.bytes().all(good) && fields.next().is_none())
        .then(|| Kind::Sha(text.into()))
}

/// Costs up to 16: some seconds.
fn bcrypt(text: &str) -> Option<Kind> {
    let parts: bcrypt::HashParts = text.parse().ok()?;
    ((4..=16).contains(&parts.get_cost()) && !text.starts_with("$2x")).then(|| Kind::Bcrypt(text.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `doveadm pw` 2.3.19, `openssl passwd`, `htpasswd -nbB`, argon2(1) and glibc's crypt(3); the
    /// password is in each case `tëst pass` in UTF-8.
    const FOREIGN: [(&str, &str, &str); 14] = [
        (
            "doveadm",
            "SCRAM-SHA-256",
            "{SCRAM-SHA-256}4096,8Sr83No8Zb3giJioub7i6g==,+FuItObodHR8NEFEaxw29/66qnoG81s3HSXr5D1NWUw=,8h1qpEg6QXQv2jqWoiMKU1/Qn3kJK78Oj1Tn0aKyGl4=",
        ),
        (
            "doveadm",
            "ARGON2ID",
            "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$u+Ud2GK8pX3HJyNpDMmoJg$Qux4+HIVijYa7ZbzWZ2LMuNZJ+AMNKZ9EF0k7AP/ctM",
        ),
        (
            "doveadm",
            "ARGON2I",
            "{ARGON2I}$argon2i$v=19$m=32768,t=4,p=1$E3YhYyzelVX1cu5XmuBZXw$sSF0j5UP+fICwCg5sbwnKjZcm+XruIPJf1ZB0OQdyc4",
        ),
        (
            "doveadm",
            "SHA512-CRYPT",
            "{SHA512-CRYPT}$6$0McZ6HJ8LkqoaPns$S2r1N22fWHK.zKeuOPbg7NOGltmT9NpZNXDFHZKgTu/QNp9DlsPGef4uEbMjA0xxBEWRpIVlTmvZUlbJ3ED7D1",
        ),
        (
            "doveadm",
            "SHA256-CRYPT",
            "{SHA256-CRYPT}$5$Cqu0X2Y3J3DWqXpJ$kRdoqceJi5eSJoOgfUVGaXQn7z9HxAQoMHGmhSkIOzA",
        ),
        ("doveadm", "BLF-CRYPT", "{BLF-CRYPT}$2y$05$4dwglMt0E1X7Qq8JBcXgm.8BIVpN1l6RC.98KtiujnsAJKSqm8izy"),
        ("doveadm", "PLAIN", "{PLAIN}tëst pass"),
        (
            "argon2",
            "ARGON2ID",
            "{ARGON2ID}$argon2id$v=19$m=4096,t=2,p=2$c29tZXNhbHQxNmJ5dGVzIQ$UrfUc0vkoj75RBG2ZSgR+4BAClHZaJGWL2aW59HyfXw",
        ),
        (
            "argon2",
            "ARGON2ID",
            "{argon2id}$argon2id$v=19$m=64,t=2,p=1$c29tZXNhbHQxNmJ5dGVzIQ$YEgrPSTe0Z10W8hLktSkExuOZn2VbJkt8+mbPrCMi1s",
        ),
        ("htpasswd", "BLF-CRYPT", "$2y$05$W4Z8axbsgiDmkeS5acy5TuxE4gFYqBdIfsV0byEpbff6QNKbra7xm"),
        (
            "openssl",
            "SHA512-CRYPT",
            "$6$saltstring$zJNhIK8Nd.Ap8h4JYH.8T9Vx3hb1gBFoG5xNe55go91TanXabJNxMxGCWDXomN1KE27OmmMxkRYcWNk6Dc1Uk.",
        ),
        ("openssl", "SHA256-CRYPT", "{CRYPT}$5$saltstring$kt31BS3HO6ry8TC3sRBhwvbWf5y27//VUeWBXJMbhT1"),
        (
            "crypt",
            "SHA512-CRYPT",
            "{SHA512-CRYPT}$6$rounds=1500$abcdefghijklmnop$./ukdEzJhEDDWw4HSlIPHB3fr4wwyP/BUK6c/aKdLJmtTmt/qWPqnLaDQMOj1PyVGdFFYpv2GeqjtfQt2zZzE1",
        ),
        (
            "crypt",
            "SHA512-CRYPT",
            "{CRYPT}$6$rounds=1500$abcdefghijklmnop$./ukdEzJhEDDWw4HSlIPHB3fr4wwyP/BUK6c/aKdLJmtTmt/qWPqnLaDQMOj1PyVGdFFYpv2GeqjtfQt2zZzE1",
        ),
    ];

    #[test]
    fn what_foreign_tools_wrote_is_verified() {
        for (tool, scheme, field) in FOREIGN {
            let password = Password::parse(field).map_err(|_| field).unwrap();
            assert_eq!(password.scheme(), scheme, "{field}");
            assert!(password.is("tëst pass".as_bytes()), "{tool} {field}");
            for wrong in ["tëst Pass", "tëst pas", "tëst passs", "", "t\u{e9}st", field] {
                assert!(!password.is(wrong.as_bytes()), "{tool} {field} {wrong}");
            }
        }
    }

    #[test]
    fn what_we_write_is_what_we_verify_and_never_twice_the_same() {
        for scheme in [Scheme::ScramSha256, Scheme::Argon2id] {
            let [one, other] = [(); 2].map(|()| Password::write(scheme, "pencil").unwrap());
            assert_ne!(one, other);
            assert!(Password::parse(&one).map_err(|_| ()).unwrap().is(b"pencil"));
            assert!(!Password::parse(&other).map_err(|_| ()).unwrap().is(b"Pencil"));
        }
    }

    #[test]
    fn locked_unknown_and_malformed_passwords_open_nothing() {
        let what = |field: &str| Password::parse(field).err();
        for locked in ["", "!", "*", "!$6$salt$hash", "{PLAIN}", "{SCRAM-SHA-256}", "{CRYPT}*"] {
            assert_eq!(what(locked), Some(Unusable::Locked), "{locked}");
        }
        for scheme in ["MD5", "PLAIN-MD5", "SHA", "SSHA", "CRAM-MD5", "OTP", "PLAIN.B64"] {
            assert_eq!(what(&format!("{{{scheme}}}x")), Some(Unusable::Scheme(scheme.into())));
        }
        for old in ["abJnggxhB/yWI", "$1$salt$hash", "é$6$"] {
            assert_eq!(what(old), Some(Unusable::Scheme("CRYPT".into())), "{old}");
        }
        for malformed in [
            "{SCRAM-SHA-256}4096,x",
            "{SCRAM-SHA-256}99999999,8Sr83No8Zb3giJioub7i6g==,+FuItObodHR8NEFEaxw29/66qnoG81s3HSXr5D1NWUw=,8h1qpEg6QXQv2jqWoiMKU1/Qn3kJK78Oj1Tn0aKyGl4=",
            "{ARGON2ID}x",
            "{ARGON2ID}$argon2i$v=19$m=32768,t=4,p=1$E3YhYyzelVX1cu5XmuBZXw$sSF0j5UP+fICwCg5sbwnKjZcm+XruIPJf1ZB0OQdyc4",
            "{ARGON2ID}$argon2id$v=19$m=4294967295,t=3,p=1$u+Ud2GK8pX3HJyNpDMmoJg$Qux4+HIVijYa7ZbzWZ2LMuNZJ+AMNKZ9EF0k7AP/ctM",
            "{ARGON2ID}$argon2id$v=19$m=65536,t=4294967295,p=1$u+Ud2GK8pX3HJyNpDMmoJg$Qux4+HIVijYa7ZbzWZ2LMuNZJ+AMNKZ9EF0k7AP/ctM",
            "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$u+Ud2GK8pX3HJyNpDMmoJg",
            "{SHA512-CRYPT}$6$salt",
            "{SHA512-CRYPT}$6$rounds=999999999$salt$zJNhIK8Nd.Ap8h4JYH.8T9Vx3hb1gBFoG5xNe55go91TanXabJNxMxGCWDXomN1KE27OmmMxkRYcWNk6Dc1Uk.",
            "{SHA512-CRYPT}$5$saltstring$kt31BS3HO6ry8TC3sRBhwvbWf5y27//VUeWBXJMbhT1",
            "{BLF-CRYPT}$2y$31$4dwglMt0E1X7Qq8JBcXgm.8BIVpN1l6RC.98KtiujnsAJKSqm8izy",
            "{BLF-CRYPT}$2y$05$short",
        ] {
            assert!(matches!(what(malformed), Some(Unusable::Malformed(_))), "{malformed}");
        }
    }

    #[test]
    fn an_empty_password_opens_nothing_even_where_it_was_stored() {
        let keys = ScramKeys::derive(b"", b"0123456789abcdef", 1).unwrap();
        let stored = Password::parse(&format!("{{SCRAM-SHA-256}}{}", keys.text())).map_err(|_| ()).unwrap();
        assert!(!stored.is(b""));
    }

    #[test]
    fn a_password_too_long_to_hash_is_wrong_without_work() {
        let password =
            Password::parse(&format!("{{PLAIN}}{}", "x".repeat(LONGEST + 1))).map_err(|_| ()).unwrap();
        assert!(!password.is("x".repeat(LONGEST + 1).as_bytes()));
    }
}
