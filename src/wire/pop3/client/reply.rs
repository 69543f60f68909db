//! What the client makes of a server's words: refusals, what it can do, and the lines of its listings.

use crate::{
    mail::verdict::{Verdict, Why},
    wire::{
        mailbox::quoted,
        pop3::reply::{Code, Reply},
    },
};

/// The most octets of a line. RFC 2449 section 4 allows 512 for a reply; servers say more.
pub(super) const LINE_MAX: usize = 2048;

/// What a refusal means, by its response code (RFC 2449 section 8, RFC 3206); where it has none, `bare` says it.
pub(super) fn judged(server: &str, reply: &Reply, asked: &str, bare: fn(Why) -> Verdict) -> Verdict {
    let why = |subject, detail| {
        Why::new(subject, detail, format!("{server} said: {} (in answer to {asked})", said(reply)))
    };
    match reply.code {
        Some(Code::Auth) => Verdict::Never(why(7, 8)),
        Some(Code::SysPerm) => Verdict::Never(why(3, 0)),
        Some(Code::SysTemp | Code::InUse | Code::LoginDelay) => Verdict::Later(why(3, 0)),
        None => bare(why(7, 8)),
    }
}

/// A reply for people.
pub(super) fn said(reply: &Reply) -> String {
    quoted(reply.to_string().as_bytes())
}

/// What the server can do (RFC 2449 section 6).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Offer {
    pub(super) stls: bool,
    pub(super) plain: bool,
    pub(super) pipelining: bool,
}

impl Offer {
    /// One line of the answer to CAPA.
    pub(super) fn note(&mut self, line: &[u8]) {
        let line = line.to_ascii_uppercase();
        let mut words = line.split(|octet| *octet == b' ').filter(|word| !word.is_empty());
        match words.next() {
            Some(b"STLS") => self.stls = true,
            Some(b"PIPELINING") => self.pipelining = true,
            Some(b"SASL") => self.plain = self.plain || words.any(|word| word == b"PLAIN"),
            _ => {}
        }
    }
}

/// ```abnf
/// scan-listing   = msg-number SP size
/// unique-listing = msg-number SP 1*70(%x21-7E)
/// ```
/// RFC 1939 section 5 and 7. Whatever stands behind a further space is passed over; names may have up to 255 octets.
pub(super) fn listing(line: &[u8]) -> Option<(u32, &str)> {
    let mut words = std::str::from_utf8(line).ok()?.split(' ').filter(|word| !word.is_empty());
    let number = words.next().filter(|word| word.bytes().all(|octet| octet.is_ascii_digit()))?;
    let number = number.parse().ok().filter(|number| *number > 0)?;
    let word = words.next()?;
    (word.len() <= 255 && word.bytes().all(|octet| octet.is_ascii_graphic())).then_some((number, word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_listing_are_a_number_and_a_word() {
        for (line, wanted) in [
            (&b"1 whqtswO00WBw418f9t5JxYwZ"[..], Some((1, "whqtswO00WBw418f9t5JxYwZ"))),
            (b"2 200", Some((2, "200"))),
            (b"2 200 more", Some((2, "200"))),
            (b"0 x", None),
            (b"-1 x", None),
            (b"+1 x", None),
            (b"4294967296 x", None),
            (b"1", None),
            (b"1 \xff", None),
            (b"1 a\tb", None),
            (b"", None),
        ] {
            assert_eq!(listing(line), wanted, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn codes_say_whether_a_refusal_is_for_good() {
        for (line, never) in [
            ("-ERR [AUTH] wrong", true),
            ("-ERR [IN-USE] locked", false),
            ("-ERR [sys/temp] x", false),
            ("-ERR [SYS/PERM] x", true),
            ("-ERR invalid password", true),
        ] {
            let reply = Reply::parse(line.as_bytes()).unwrap();
            let verdict = judged("s", &reply, "PASS", Verdict::Never);
            assert_eq!(matches!(verdict, Verdict::Never(_)), never, "{line}");
        }
    }
}
