//! Cuts responses from what a server sends: lines, with the literals in them. A message's body, which may be large, is not
//! gathered but passed on as it comes.

use crate::wire::imap::token::{Announced, announced};

/// The most octets of a response without the body in it. (A SEARCH that finds 100,000 messages has 700,000.)
pub(super) const RESPONSE_MAX: usize = 1024 * 1024;
/// The most octets of a literal that is no body.
const LITERAL_MAX: u64 = 64 * 1024;
/// The most octets of one piece of a body.
const PIECE_MAX: usize = 64 * 1024;

/// What was cut.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Framed {
    /// Nothing yet.
    More,
    /// A response, without its final CR LF; literals stand in it as they came. In the place of a body that was passed on
    /// stands an empty one.
    Response(Vec<u8>, Passed),
    /// A body of so many octets begins.
    Body(u64),
    /// Octets of it.
    Piece(Vec<u8>),
    /// What no server says.
    Bad(&'static str),
}

/// Whether a body was passed on before the response that it stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) enum Passed {
    /// None was.
    #[default]
    Nothing,
    /// One was.
    Body,
}

/// Cuts a stream.
#[derive(Debug, Default)]
pub(super) struct Frames {
    held: Vec<u8>,
    /// Where in `held` the line begins that is being read.
    line: usize,
    /// Octets of a literal still to be gathered.
    literal: usize,
    /// Octets of a body still to be passed on.
    body: u64,
    passed: Passed,
}

impl Frames {
    /// Takes what it can of `octets`: how many were used up, and what they were. Nothing is left over while it wants more.
    pub(super) fn take(&mut self, octets: &[u8]) -> (usize, Framed) {
        let mut used = 0;
        loop {
            let rest = octets.get(used..).unwrap_or_default();
            if rest.is_empty() {
                return (used, Framed::More);
            }
            if self.body > 0 {
                let most = usize::try_from(self.body).unwrap_or(usize::MAX).min(PIECE_MAX).min(rest.len());
                let piece = rest.get(..most).unwrap_or_default().to_vec();
                self.body = self.body.saturating_sub(most as u64);
                return (used + most, Framed::Piece(piece));
            }
            if self.literal > 0 {
                let most = self.literal.min(rest.len());
                self.held.extend_from_slice(rest.get(..most).unwrap_or_default());
                self.literal -= most;
                self.line = self.held.len();
                used += most;
                continue;
            }
            let length = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
            if self.held.len().saturating_add(length) > RESPONSE_MAX {
                return (octets.len(), Framed::Bad("a response of more than a mebibyte"));
            }
            self.held.extend_from_slice(rest.get(..length).unwrap_or_default());
            used += length;
            let Some(line) = self.held.get(self.line..).and_then(|line| line.strip_suffix(b"\r\n")) else {
                continue;
            };
            let literal = if is_status(&self.held) { None } else { announced(line) };
            match literal {
                None => {
                    self.line = 0;
                    let mut response = std::mem::take(&mut self.held);
                    response.truncate(response.len().saturating_sub(2));
                    return (used, Framed::Response(response, std::mem::take(&mut self.passed)));
                }
                Some(Announced { octets, .. }) if announces_body(&self.held) => {
                    if self.passed == Passed::Body {
                        return (used, Framed::Bad("two bodies in one response"));
                    }
                    let brace = memchr::memrchr(b'{', &self.held).unwrap_or(0);
                    self.held.truncate(brace);
                    self.held.extend_from_slice(b"{0}\r\n");
                    self.line = self.held.len();
                    self.passed = Passed::Body;
                    self.body = octets;
                    return (used, Framed::Body(octets));
                }
                Some(Announced { octets, .. }) => {
                    let fits = octets <= LITERAL_MAX
                        && (self.held.len() as u64).saturating_add(octets) <= RESPONSE_MAX as u64;
                    match usize::try_from(octets) {
                        Ok(length) if fits => self.literal = length,
                        _ => return (used, Framed::Bad("a literal of more than 64 KiB where no message is")),
                    }
                    self.line = self.held.len();
                }
            }
        }
    }
}

/// True for responses that end in a text for people, which may look like anything (RFC 3501 section 9, `resp-text`).
fn is_status(response: &[u8]) -> bool {
    let mut words = response.splitn(3, |octet| *octet == b' ');
    let first = words.next().unwrap_or_default();
    let second = words.next().unwrap_or_default().trim_ascii_end();
    let names: [&[u8]; 5] = [b"OK", b"NO", b"BAD", b"BYE", b"PREAUTH"];
    first.first() == Some(&b'+') || names.iter().any(|name| second.eq_ignore_ascii_case(name))
}

/// True for `* N FETCH (... BODY[] {N}`, with its CR LF.
fn announces_body(held: &[u8]) -> bool {
    let Some(brace) = memchr::memrchr(b'{', held) else { return false };
    let before = held.get(..brace).unwrap_or_default();
    let mut words = before.splitn(4, |octet| *octet == b' ');
    let head = (words.next(), words.next(), words.next());
    let (Some(b"*"), Some(number), Some(word)) = head else { return false };
    let numbered = !number.is_empty() && number.iter().all(u8::is_ascii_digit);
    let Some(stem) = before.len().checked_sub(b" BODY[] ".len()).and_then(|at| before.get(at..)) else {
        return false;
    };
    numbered
        && word.eq_ignore_ascii_case(b"FETCH")
        && matches!(stem.first(), Some(b' ' | b'('))
        && stem.get(1..).is_some_and(|stem| stem.eq_ignore_ascii_case(b"BODY[] "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(input: &[u8], cut: usize) -> Vec<String> {
        let (mut frames, mut seen, mut body) = (Frames::default(), Vec::new(), Vec::new());
        for part in input.chunks(cut) {
            let mut rest = part;
            loop {
                let (used, framed) = frames.take(rest);
                rest = &rest[used..];
                match framed {
                    Framed::More => break,
                    Framed::Response(octets, passed) => {
                        if passed == Passed::Body {
                            seen.push(format!("body {}", body.escape_ascii()));
                            body.clear();
                        }
                        seen.push(octets.escape_ascii().to_string());
                    }
                    Framed::Body(octets) => seen.push(format!("begins {octets}")),
                    Framed::Piece(piece) => body.extend(piece),
                    Framed::Bad(what) => {
                        seen.push(format!("bad {what}"));
                        return seen;
                    }
                }
            }
            assert!(rest.is_empty());
        }
        seen
    }

    #[test]
    fn bodies_are_passed_on_and_all_else_is_gathered() {
        for (input, wanted) in [
            (&b"* OK hello\r\n* 1 EXISTS\r\n"[..], &["* OK hello", "* 1 EXISTS"][..]),
            (
                b"* 1 FETCH (UID 5 BODY[] {3}\r\na\r\n)\r\na OK\r\n",
                &["begins 3", r"body a\r\n", r"* 1 FETCH (UID 5 BODY[] {0}\r\n)", "a OK"],
            ),
            (
                b"* 1 FETCH (body[] {2}\r\nxy UID 5)\r\n",
                &["begins 2", "body xy", r"* 1 FETCH (body[] {0}\r\n UID 5)"],
            ),
            (b"* 1 FETCH (BODY[] {0}\r\n)\r\n", &["begins 0", "body ", r"* 1 FETCH (BODY[] {0}\r\n)"]),
            // What looks like a body and is none.
            (b"* LIST () \".\" {7}\r\nBODY[] {\r\n", &[r#"* LIST () \".\" {7}\r\nBODY[] {"#]),
            (b"* 1 FETCH (XBODY[] {2}\r\nab)\r\n", &[r"* 1 FETCH (XBODY[] {2}\r\nab)"]),
            (b"* OK [ALERT] BODY[] {9}\r\n+ {5}\r\n", &["* OK [ALERT] BODY[] {9}", "+ {5}"]),
            (b"a NO {5}\r\n* BYE\r\n", &["a NO {5}", "* BYE"]),
            (b"* 1 FETCH (X {2}\r\n{9 Y {1}\r\nz)\r\n", &[r"* 1 FETCH (X {2}\r\n{9 Y {1}\r\nz)"]),
            (b"* LIST () NIL a\nb\rc\r\n", &[r"* LIST () NIL a\nb\rc"]),
            (
                b"* 1 FETCH (BODY[] {1}\r\na BODY[] {1}\r\nb)\r\n",
                &["begins 1", "bad two bodies in one response"],
            ),
            (b"* LIST () NIL {65537}\r\n", &["bad a literal of more than 64 KiB where no message is"]),
            (b"* X {99999999999999999999}\r\n", &["bad a literal of more than 64 KiB where no message is"]),
        ] {
            for cut in [1, 2, 3, 7, input.len()] {
                assert_eq!(frames(input, cut), wanted, "{} by {cut}", input.escape_ascii());
            }
        }
    }

    #[test]
    fn a_response_has_a_most() {
        let endless = vec![b'x'; RESPONSE_MAX + 10];
        assert_eq!(frames(&endless, 4096), ["bad a response of more than a mebibyte"]);
        let literals = b"* X {60000}\r\n".to_vec();
        let more = [vec![b'y'; 60_000], b" {60000}\r\n".to_vec()].concat();
        let endless = [literals, more.repeat(20)].concat();
        assert!(frames(&endless, 4096).last().unwrap().starts_with("bad"));
    }
}
