//! What stands behind a command's verb (RFC 5321 section 4.1.1). The grammar only: what is allowed when is the server's table.

use super::{
    params::{Param, params, xtext},
    reply::Reply,
};
use crate::mail::{
    address::{self, Domain, Fault, Forward, Mailbox},
    envelope::{Body, Notify, Ret, Wish},
    verdict::Verdict,
};

/// What MAIL says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// The sender; `None` is `<>`.
    pub sender: Option<Mailbox>,
    /// The declared size in octets (RFC 1870); one that does not fit is the greatest that does.
    pub size: Option<u64>,
    /// The declared body type (RFC 6152).
    pub body: Body,
    /// SMTPUTF8 (RFC 6531): addresses and header may hold letters beyond ASCII.
    pub utf8: bool,
    /// What a report is to bring back (RFC 3461).
    pub ret: Option<Ret>,
    /// The message's name for its sender, decoded (RFC 3461).
    pub envid: Option<String>,
}

/// What RCPT says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rcpt {
    /// The recipient.
    pub to: Forward,
    /// Of what the sender wants to hear (RFC 3461).
    pub wish: Wish,
}

/// What a server's grammar depends on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Grammar<'a> {
    /// AUTH is offered, and so is its parameter of MAIL.
    pub auth: bool,
    /// Addresses may be local parts alone; they then belong to this host.
    pub bare: Option<&'a Domain>,
    /// The transaction is one with SMTPUTF8. (MAIL says so itself.)
    pub utf8: bool,
}

/// Splits a line, which has no line end, into the verb and what stands behind it.
///
/// ```abnf
/// command = verb [SP arguments] [*WSP] CRLF
/// ```
/// RFC 5321 section 4.1.1. Spaces at the end are dropped. `Err` where the line is no UTF-8 or holds a control octet.
pub fn split(line: &[u8]) -> Result<(&str, &str), Reply> {
    let text = std::str::from_utf8(line).ok();
    let Some(text) = text.filter(|text| !text.chars().any(char::is_control)) else {
        return Err(Reply::fixed(500, 5, 2, "The command holds octets that do not belong there"));
    };
    let text = text.trim_end_matches(' ');
    Ok(text.split_once(' ').unwrap_or((text, "")))
}

/// Takes nothing.
///
/// ```abnf
/// data = "DATA" CRLF    ; as RSET, QUIT, STARTTLS
/// ```
/// RFC 5321 section 4.1.1.4.
pub fn nothing(arguments: &str) -> Result<(), Reply> {
    if arguments.is_empty() { Ok(()) } else { Err(Reply::fixed(501, 5, 4, "No arguments are allowed here")) }
}

/// ```abnf
/// ehlo = "EHLO" SP ( Domain / address-literal ) CRLF
/// ```
/// RFC 5321 section 4.1.1.1. Read generously, since the name proves nothing; but only what may stand in a Received
/// field passes.
pub fn hello(arguments: &str) -> Result<&str, Reply> {
    let allowed = |octet: u8| octet.is_ascii_alphanumeric() || b".-_:[]".contains(&octet);
    if (1..=255).contains(&arguments.len()) && arguments.bytes().all(allowed) {
        Ok(arguments)
    } else {
        Err(Reply::fixed(501, 5, 4, "Say your host name"))
    }
}

/// ```abnf
/// mail = "MAIL FROM:" Reverse-path [SP Mail-parameters] CRLF
/// ```
/// RFC 5321 section 4.1.1.2. Spaces behind the colon, which RFC 5321 does not allow, are passed over: many send them.
pub fn mail(arguments: &str, grammar: Grammar<'_>) -> Result<Mail, Reply> {
    let usage = Reply::fixed(501, 5, 4, "Say MAIL FROM:<address>");
    let path = behind(arguments, "FROM:").ok_or(usage)?;
    let refused = |fault: Fault| Reply::from(&Verdict::Never(fault.of_sender()));
    let (sender, rest) = match (address::reverse_path(path.as_bytes(), true), grammar.bare) {
        (Err(Fault::NoDomain), Some(here)) => {
            let (sender, rest) = bare(path, here).map_err(refused)?;
            (Some(sender), rest.as_bytes())
        }
        (read, _) => read.map_err(refused)?,
    };
    let mut mail = Mail { sender, size: None, body: Body::SevenBit, utf8: false, ret: None, envid: None };
    let ascii = path.strip_suffix(std::str::from_utf8(rest).unwrap_or_default()).is_none_or(str::is_ascii);
    let (mut sized, mut bodied, mut authed, mut retted, mut named) = (false, false, false, false, false);
    for param in parameters(rest)? {
        let param = param.ok_or(BAD_VALUE)?;
        let is = |keyword: &str| param.keyword.eq_ignore_ascii_case(keyword);
        if is("SMTPUTF8") {
            if std::mem::replace(&mut mail.utf8, true) || param.value.is_some() {
                return Err(BAD_VALUE);
            }
            continue;
        }
        let (seen, value) = if is("SIZE") {
            (&mut sized, param.value.and_then(size).map(|size| mail.size = Some(size)))
        } else if is("BODY") {
            (&mut bodied, param.value.and_then(body).map(|body| mail.body = body))
        } else if is("RET") {
            (&mut retted, param.value.and_then(Ret::parse).map(|ret| mail.ret = Some(ret)))
        } else if is("ENVID") {
            (&mut named, param.value.and_then(envid).map(|envid| mail.envid = Some(envid)))
        } else if is("AUTH") && grammar.auth {
            // It says who first submitted the message. Nobody is trusted to say so (RFC 4954 section 5).
            (&mut authed, param.value.and_then(submitter))
        } else {
            return Err(UNKNOWN_PARAMETER);
        };
        if std::mem::replace(seen, true) || value.is_none() {
            return Err(BAD_VALUE);
        }
    }
    if !ascii && !mail.utf8 {
        return Err(refused(Fault::NonAscii));
    }
    Ok(mail)
}

/// ```abnf
/// rcpt = "RCPT TO:" ( "<Postmaster>" / Forward-path ) [SP Rcpt-parameters] CRLF
/// ```
/// RFC 5321 section 4.1.1.3.
pub fn rcpt(arguments: &str, grammar: Grammar<'_>) -> Result<Rcpt, Reply> {
    let usage = Reply::fixed(501, 5, 4, "Say RCPT TO:<address>");
    let path = behind(arguments, "TO:").ok_or(usage)?;
    let refused = |fault: Fault| Reply::from(&Verdict::Never(fault.of_recipient()));
    let (to, rest) = match (address::forward_path(path.as_bytes(), grammar.utf8), grammar.bare) {
        (Err(Fault::NoDomain), Some(here)) => {
            let (to, rest) = bare(path, here).map_err(refused)?;
            (Forward::Mailbox(to), rest.as_bytes())
        }
        (read, _) => read.map_err(refused)?,
    };
    let mut wish = Wish::default();
    for param in parameters(rest)? {
        let param = param.ok_or(BAD_VALUE)?;
        let is = |keyword: &str| param.keyword.eq_ignore_ascii_case(keyword);
        let fresh = if is("NOTIFY") {
            let notify = param.value.and_then(Notify::parse).ok_or(BAD_VALUE)?;
            wish.notify.replace(notify).is_none()
        } else if is("ORCPT") {
            let orcpt = param.value.and_then(orcpt).ok_or(BAD_VALUE)?;
            wish.orcpt.replace(orcpt).is_none()
        } else {
            return Err(UNKNOWN_PARAMETER);
        };
        if !fresh {
            return Err(BAD_VALUE);
        }
    }
    Ok(Rcpt { to, wish })
}

/// The most characters of an ENVID (RFC 3461 section 4.4) and of an ORCPT (section 4.2), as they are written.
pub(super) const ENVID_MAX: usize = 100;
pub(super) const ORCPT_MAX: usize = 500;

/// ```abnf
/// envid-parameter = "ENVID=" xtext
/// ```
/// RFC 3461 section 4.4: what it stands for is printable ASCII.
fn envid(value: &str) -> Option<String> {
    let text = xtext(value).filter(|_| value.len() <= ENVID_MAX)?;
    text.bytes().all(|octet| matches!(octet, b' '..=b'~')).then_some(text)
}

/// ```abnf
/// orcpt-parameter = "ORCPT=" original-recipient-address
/// original-recipient-address = addr-type ";" xtext
/// addr-type = atom
/// ```
/// RFC 3461 section 4.2. Any type: who reads it in a report may know it.
fn orcpt(value: &str) -> Option<String> {
    let (kind, address) = value.split_once(';').filter(|_| value.len() <= ORCPT_MAX)?;
    let atom = !kind.is_empty() && kind.bytes().all(address::is_atext);
    let address = xtext(address).filter(|address| atom && !address.is_empty())?;
    address.bytes().all(|octet| matches!(octet, b' '..=b'~')).then(|| format!("{kind};{address}"))
}

/// ```abnf
/// bdat = "BDAT" SP chunk-size [SP "LAST"] CRLF
/// chunk-size = 1*DIGIT
/// ```
/// RFC 3030 section 2. How many octets follow, and whether they are the last. `None` where that can't be known.
pub fn bdat(arguments: &str) -> Option<(u64, bool)> {
    let (digits, last) = match arguments.split_once(' ') {
        None => (arguments, false),
        Some((digits, word)) if word.eq_ignore_ascii_case("LAST") => (digits, true),
        Some(_) => return None,
    };
    let digits_only = !digits.is_empty() && digits.bytes().all(|octet| octet.is_ascii_digit());
    Some((digits.parse().ok().filter(|_| digits_only)?, last))
}

/// ```abnf
/// auth = "AUTH" SP sasl-mech [SP initial-response] CRLF
/// initial-response = base64 / "="
/// ```
/// RFC 4954 section 4 and 8. The mechanism's name, and the response as it came.
pub fn auth(arguments: &str) -> Result<(&str, Option<&str>), Reply> {
    let mut words = arguments.split(' ');
    match (words.next(), words.next(), words.next()) {
        (Some(mechanism), initial, None) if !mechanism.is_empty() && initial != Some("") => {
            Ok((mechanism, initial))
        }
        _ => Err(Reply::fixed(501, 5, 4, "Say AUTH, a mechanism, and at most one response")),
    }
}

const UNKNOWN_PARAMETER: Reply = Reply::fixed(555, 5, 4, "Unknown parameter");
const BAD_VALUE: Reply = Reply::fixed(501, 5, 4, "Bad or repeated parameter");

/// What stands behind a keyword in any case, and spaces.
fn behind<'a>(text: &'a str, keyword: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(keyword.len())?;
    start.eq_ignore_ascii_case(keyword).then(|| rest.trim_start_matches(' '))
}

/// The parameters in what stands behind a path; there must be a space before them.
fn parameters(rest: &[u8]) -> Result<impl Iterator<Item = Option<Param<'_>>>, Reply> {
    match (rest, std::str::from_utf8(rest)) {
        ([] | [b' ', ..], Ok(rest)) => Ok(params(rest)),
        _ => Err(Reply::fixed(501, 5, 4, "There must be a space behind >")),
    }
}

/// `"<" Local-part ">"` without quotes: a mailbox of `here`, and what follows.
fn bare<'a>(path: &'a str, here: &Domain) -> Result<(Mailbox, &'a str), Fault> {
    let (local, rest) = path.strip_prefix('<').and_then(|path| path.split_once('>')).ok_or(Fault::Syntax)?;
    Ok((Mailbox::lenient(local, here)?, rest))
}

/// ```abnf
/// size-value = 1*20DIGIT
/// ```
/// RFC 1870 section 4.
fn size(value: &str) -> Option<u64> {
    let digits = (1..=20).contains(&value.len()) && value.bytes().all(|octet| octet.is_ascii_digit());
    digits.then(|| value.parse().unwrap_or(u64::MAX))
}

/// ```abnf
/// body-value = "7BIT" / "8BITMIME"
/// ```
/// RFC 6152 section 2.
fn body(value: &str) -> Option<Body> {
    match value {
        _ if value.eq_ignore_ascii_case("7BIT") => Some(Body::SevenBit),
        _ if value.eq_ignore_ascii_case("8BITMIME") => Some(Body::EightBitMime),
        _ => None,
    }
}

/// ```abnf
/// mail-auth-value = xtext / "<>"
/// ```
/// RFC 4954 section 5. `<>` says that nobody is known.
fn submitter(value: &str) -> Option<()> {
    (value == "<>" || xtext(value).is_some()).then_some(())
}

#[cfg(test)]
mod tests;
