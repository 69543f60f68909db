//! Replies (RFC 5321 section 4.2), printed and read.

use crate::mail::verdict::{EnhancedCode, Verdict, Why};
use std::borrow::Cow;

mod read;
pub use read::{BadReply, ReplyReader};

/// The most octets of a printed reply line, CR LF included (RFC 5321 section 4.5.3.1.5).
pub const LINE_MAX: usize = 512;

/// A reply: a code, an enhanced code where there is one, and lines for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The basic code, 200 to 559.
    pub code: u16,
    /// The enhanced code (RFC 2034), which is printed at the front of every line.
    pub status: Option<EnhancedCode>,
    /// The text; `\n` stands between its lines.
    pub text: Cow<'static, str>,
}

impl Reply {
    /// A reply that is always the same. The enhanced code's class is the first digit of `code`.
    pub const fn fixed(code: u16, subject: u16, detail: u16, text: &'static str) -> Reply {
        let status = EnhancedCode { class: class(code), subject, detail };
        Reply { code, status: Some(status), text: Cow::Borrowed(text) }
    }

    /// A reply without an enhanced code: greetings, answers to EHLO, 3xx.
    pub const fn plain(code: u16, text: &'static str) -> Reply {
        Reply { code, status: None, text: Cow::Borrowed(text) }
    }

    /// A reply with the enhanced code `x.subject.detail`, x being the first digit of `code`.
    pub fn new(code: u16, subject: u16, detail: u16, text: impl Into<String>) -> Reply {
        let status = EnhancedCode { class: class(code), subject, detail };
        Reply { code, status: Some(status), text: Cow::Owned(text.into()) }
    }

    /// True for 2xx.
    pub fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// The text's lines, at least one.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.split('\n')
    }

    /// What it means for a recipient: 2xx is `Done`, 4xx `Later`, 5xx `Never`; anything else, being out of
    /// place where an outcome is expected, is `Later`. The text is the reply's, code and all, on one line.
    pub fn verdict(&self) -> Verdict {
        let (subject, detail) = self.status.map_or((0, 0), |status| (status.subject, status.detail));
        let why = || Why::new(subject, detail, self.to_string());
        match self.code / 100 {
            2 => Verdict::Done,
            5 => Verdict::Never(why()),
            _ => Verdict::Later(why()),
        }
    }

    /// Appends it to `out` as it goes over the wire. Every octet that may not stand in a reply is replaced, and lines
    /// over [`LINE_MAX`] are broken, whatever the text holds.
    pub fn print(&self, out: &mut Vec<u8>) {
        let code = if matches!(self.code, 200..=559) { self.code } else { 451 };
        let mut rest = self.text.as_bytes();
        loop {
            let start = out.len();
            number(out, code);
            let separator = out.len();
            out.push(b' ');
            if let Some(status) = self.status {
                number(out, u16::from(status.class));
                out.push(b'.');
                number(out, status.subject);
                out.push(b'.');
                number(out, status.detail);
                out.push(b' ');
            }
            let room = (LINE_MAX - 2).saturating_sub(out.len() - start);
            let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len()).min(room);
            let (line, behind) = rest.split_at_checked(end).unwrap_or((rest, &[]));
            out.extend(line.iter().map(|&octet| if matches!(octet, b' '..=b'~') { octet } else { b'?' }));
            out.extend_from_slice(b"\r\n");
            if behind.is_empty() {
                return;
            }
            if let Some(separator) = out.get_mut(separator) {
                *separator = b'-';
            }
            rest = behind.strip_prefix(b"\n").unwrap_or(behind);
        }
    }
}

/// Appends a number in decimal.
fn number(out: &mut Vec<u8>, value: u16) {
    if value >= 10 {
        number(out, value / 10);
    }
    out.push(b'0' + (value % 10) as u8);
}

const fn class(code: u16) -> u8 {
    match code {
        200..300 => 2,
        500..600 => 5,
        _ => 4,
    }
}

/// On one line, as it would stand in a log.
impl std::fmt::Display for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(status) = self.status {
            write!(f, " {status}")?;
        }
        for line in self.lines().filter(|line| !line.is_empty()) {
            write!(f, " {line}")?;
        }
        Ok(())
    }
}

/// A verdict as a reply: `Done` says `250 2.0.0 Ok`, the others their reason.
impl From<&Verdict> for Reply {
    fn from(verdict: &Verdict) -> Reply {
        let text = match verdict {
            Verdict::Done => Cow::Borrowed("Ok"),
            Verdict::Later(why) | Verdict::Never(why) => Cow::Owned(why.text.clone()),
        };
        Reply { code: verdict.reply_code(), status: Some(verdict.code()), text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use smtp_proto::response::parser::ResponseReceiver;

    fn printed(reply: &Reply) -> String {
        let mut out = Vec::new();
        reply.print(&mut out);
        String::from_utf8(out).expect("replies are ASCII")
    }

    #[test]
    fn the_code_stands_before_every_line() {
        assert_eq!(printed(&Reply::fixed(250, 1, 5, "Ok")), "250 2.1.5 Ok\r\n");
        assert_eq!(printed(&Reply::plain(354, "Go ahead")), "354 Go ahead\r\n");
        assert_eq!(
            printed(&Reply::new(550, 7, 1, "Not here\nsee there")),
            "550-5.7.1 Not here\r\n550 5.7.1 see there\r\n"
        );
    }

    #[test]
    fn no_text_makes_more_lines_than_it_says() {
        let text = "a\r\n250 2.0.0 forged\0\u{7f}ü\t";
        assert_eq!(
            printed(&Reply::new(451, 3, 0, text)),
            "451-4.3.0 a?\r\n451 4.3.0 250 2.0.0 forged?????\r\n"
        );
    }

    #[test]
    fn long_lines_are_broken_and_nothing_is_lost() {
        let text = printed(&Reply::new(550, 0, 0, "x".repeat(2000)));
        assert!(text.split_inclusive("\r\n").all(|line| line.len() <= LINE_MAX));
        assert_eq!(text.matches('x').count(), 2000);
        let lines = text.lines().count();
        assert_eq!(text.lines().filter(|line| line.starts_with("550-")).count(), lines - 1);
    }

    #[test]
    fn a_code_out_of_range_is_a_temporary_fault() {
        assert!(printed(&Reply { code: 999, status: None, text: "".into() }).starts_with("451 "));
    }

    #[test]
    fn unknown_classes_are_never_final() {
        assert!(matches!(Reply::plain(354, "Go").verdict(), Verdict::Later(_)));
        assert!(Reply::fixed(250, 0, 0, "Ok").verdict().is_done());
        assert!(matches!(Reply::fixed(550, 1, 1, "No").verdict(), Verdict::Never(why) if why.subject == 1));
    }

    proptest! {
        /// What is printed reads back the same, by our reader and by another.
        #[test]
        fn what_is_printed_is_a_reply(
            code in 200_u16..560,
            status in proptest::option::of((0_u16..1000, 0_u16..1000)),
            text in "[ -~]{0,40}(\n[ -~]{0,40}){0,3}",
        ) {
            // 3xx carries no enhanced code (RFC 2034 section 3).
            prop_assume!(code / 10 % 10 <= 5 && code / 100 != 3);
            // A text may look like an enhanced code of its own.
            let text = format!("x{}", text.replace('\n', "\nx"));
            let reply = match status {
                Some((subject, detail)) => Reply::new(code, subject, detail, text.clone()),
                None => Reply { code, status: None, text: text.clone().into() },
            };
            let mut out = Vec::new();
            reply.print(&mut out);
            let (used, read) = ReplyReader::default().take(&out);
            let (_, Some(Ok(read))) = (used, read) else { panic!("not read") };
            prop_assert_eq!(used, out.len());
            prop_assert_eq!(read.code, code);
            prop_assert_eq!(&read.text, &text);
            prop_assert_eq!(read.status, reply.status);
            let judged = ResponseReceiver::default().parse(&mut out.iter()).expect("the judge reads it");
            prop_assert_eq!(judged.code(), code);
        }
    }
}
