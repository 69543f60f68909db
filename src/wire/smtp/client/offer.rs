//! What a server offers: the lines of its answer to EHLO or LHLO (RFC 5321 section 4.1.1.1).

use crate::wire::{sasl::Mechanism, smtp::reply::Reply};

/// The extensions that we can use. Nothing is offered in answer to HELO.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// 8BITMIME (RFC 6152).
    pub eight_bit: bool,
    /// SMTPUTF8 (RFC 6531).
    pub utf8: bool,
    /// DSN (RFC 3461).
    pub dsn: bool,
    /// SIZE (RFC 1870): the largest message taken; 0 where no limit is named, `None` where the word is not offered.
    pub size: Option<u64>,
    /// STARTTLS (RFC 3207).
    pub starttls: bool,
    /// AUTH (RFC 4954): the mechanisms that we speak, too, in the order of our preference.
    pub auth: Vec<Mechanism>,
}

impl Offer {
    /// ```abnf
    /// ehlo-line    = ehlo-keyword *( SP ehlo-param )
    /// ehlo-keyword = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-")
    /// ```
    /// RFC 5321 section 4.1.1.1. The first line is the server's name; words that are not known are passed over.
    pub fn read(reply: &Reply) -> Offer {
        let mut offer = Offer::default();
        for line in reply.lines().skip(1) {
            // Old servers write `AUTH=LOGIN`, too.
            let mut words = line.split([' ', '=']).filter(|word| !word.is_empty());
            let keyword = words.next().unwrap_or_default();
            let is = |name: &str| keyword.eq_ignore_ascii_case(name);
            if is("PIPELINING") {
                offer.pipelining = true;
            } else if is("8BITMIME") {
                offer.eight_bit = true;
            } else if is("SMTPUTF8") {
                offer.utf8 = true;
            } else if is("DSN") {
                offer.dsn = true;
            } else if is("SIZE") {
                // A number that can't be read names no limit.
                offer.size = Some(words.next().and_then(|digits| digits.parse().ok()).unwrap_or(0));
            } else if is("STARTTLS") {
                offer.starttls = true;
            } else if is("AUTH") {
                let named: Vec<Mechanism> = words.filter_map(Mechanism::parse).collect();
                let known = Mechanism::ALL.into_iter();
                offer.auth = known.filter(|it| named.contains(it) || offer.auth.contains(it)).collect();
            }
        }
        offer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_without_case_and_odd_ones_passed_over() {
        let text = "mx.example pipelining\nPipelining\nSIZE 52428800\nAUTH=LOGIN\nauth CRAM-MD5 PLAIN\n8bitmime\n\nSTARTTLS now\nsmtputf8\ndsn\nX-ODD = ?";
        let offer = Offer::read(&Reply::plain(250, text));
        let wanted = Offer {
            pipelining: true,
            eight_bit: true,
            utf8: true,
            dsn: true,
            size: Some(52_428_800),
            starttls: true,
            auth: vec![Mechanism::Plain, Mechanism::Login],
        };
        assert_eq!(offer, wanted);
        assert_eq!(Offer::read(&Reply::plain(250, "pipelining at your service")), Offer::default());
        for (line, size) in [("SIZE", Some(0)), ("SIZE 0", Some(0)), ("SIZE x", Some(0)), ("SIZES 5", None)] {
            let text = format!("mx\n{line}");
            assert_eq!(Offer::read(&Reply::new(250, 0, 0, text)).size, size, "{line}");
        }
    }
}
