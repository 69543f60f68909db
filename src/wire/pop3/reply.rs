//! What a server says: `+OK` or `-ERR`, perhaps a response code, and a text for people.

use std::{borrow::Cow, fmt};

/// Why a command was refused, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Another session has the maildrop (RFC 2449 section 8.1.2).
    InUse,
    /// A login came too soon after the last one (RFC 2449 section 8.1.1).
    LoginDelay,
    /// The server's trouble, and it will pass (RFC 3206 section 4).
    SysTemp,
    /// The server's trouble, and somebody must see to it (RFC 3206 section 4).
    SysPerm,
    /// The login is the trouble (RFC 3206 section 4).
    Auth,
}

impl Code {
    const ALL: [Code; 5] = [Code::InUse, Code::LoginDelay, Code::SysTemp, Code::SysPerm, Code::Auth];

    /// As it stands in brackets.
    pub fn name(self) -> &'static str {
        match self {
            Code::InUse => "IN-USE",
            Code::LoginDelay => "LOGIN-DELAY",
            Code::SysTemp => "SYS/TEMP",
            Code::SysPerm => "SYS/PERM",
            Code::Auth => "AUTH",
        }
    }
}

/// How a reply begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// `+OK`
    Ok,
    /// `-ERR`
    Err,
    /// `+`: the server waits for a line of a login; the text is a challenge in base64 (RFC 5034 section 4).
    Challenge,
}

/// The line that a reply begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// How it went.
    pub status: Status,
    /// Why not, where that is told.
    pub code: Option<Code>,
    /// The rest of the line.
    pub text: Cow<'static, str>,
}

impl Reply {
    /// `+OK`.
    pub const fn ok(text: &'static str) -> Reply {
        Reply { status: Status::Ok, code: None, text: Cow::Borrowed(text) }
    }

    /// `-ERR`.
    pub const fn err(text: &'static str) -> Reply {
        Reply { status: Status::Err, code: None, text: Cow::Borrowed(text) }
    }

    /// `-ERR [code]`.
    pub const fn refused(code: Code, text: &'static str) -> Reply {
        Reply { status: Status::Err, code: Some(code), text: Cow::Borrowed(text) }
    }

    /// True for `+OK`.
    pub fn is_ok(&self) -> bool {
        self.status == Status::Ok
    }

    /// Appends the line. Control characters of the text, which would be another line, are left out.
    pub fn print(&self, out: &mut Vec<u8>) {
        let text: String = self.to_string();
        out.extend(text.bytes().filter(|octet| !octet.is_ascii_control()).take(super::REPLY_MAX - 2));
        out.extend_from_slice(b"\r\n");
    }

    /// ```abnf
    /// single-line = status [SP text] CRLF
    /// status      = "+OK" / "-ERR"
    /// resp-code   = "[" resp-level *("/" resp-level) "]"
    /// ```
    /// RFC 2449 section 4 and 8; `+` alone begins a challenge. A code that nobody knows stays in the text. `None` is no reply.
    pub fn parse(line: &[u8]) -> Option<Reply> {
        let text = String::from_utf8_lossy(line);
        let (word, text) = text.split_once(' ').unwrap_or((&text, ""));
        let status = match word {
            "+OK" => Status::Ok,
            "-ERR" => Status::Err,
            "+" => Status::Challenge,
            _ => return None,
        };
        let coded = || {
            let (name, text) = text.strip_prefix('[')?.split_once(']')?;
            let code = Code::ALL.into_iter().find(|code| code.name().eq_ignore_ascii_case(name))?;
            Some((code, text.strip_prefix(' ').unwrap_or(text)))
        };
        let (code, text) = match coded().filter(|_| status == Status::Err) {
            Some((code, text)) => (Some(code), text),
            None => (None, text),
        };
        Some(Reply { status, code, text: text.to_owned().into() })
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.status {
            Status::Ok => "+OK",
            Status::Err => "-ERR",
            Status::Challenge => "+",
        })?;
        if let Some(code) = self.code {
            write!(f, " [{}]", code.name())?;
        }
        match &*self.text {
            // A challenge has its space even when it is empty (RFC 5034 section 4).
            "" if self.status != Status::Challenge => Ok(()),
            text => write!(f, " {text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_again() {
        for (line, reply) in [
            ("+OK", Reply::ok("")),
            ("+OK 2 320", Reply::ok("2 320")),
            ("-ERR", Reply::err("")),
            ("-ERR no such message", Reply::err("no such message")),
            ("-ERR [IN-USE] Busy", Reply::refused(Code::InUse, "Busy")),
            ("-ERR [SYS/TEMP]", Reply::refused(Code::SysTemp, "")),
            ("+ ", Reply { status: Status::Challenge, code: None, text: "".into() }),
            ("+ VXNlcm5hbWU6", Reply { status: Status::Challenge, code: None, text: "VXNlcm5hbWU6".into() }),
        ] {
            assert_eq!(Reply::parse(line.as_bytes()), Some(reply.clone()), "{line}");
            let mut out = Vec::new();
            reply.print(&mut out);
            assert_eq!(String::from_utf8_lossy(&out), format!("{line}\r\n"));
        }
    }

    #[test]
    fn others_spell_it_their_way() {
        assert_eq!(Reply::parse(b"-ERR [auth]no"), Some(Reply::refused(Code::Auth, "no")));
        assert_eq!(Reply::parse(b"-ERR [NEW/CODE] no"), Some(Reply::err("[NEW/CODE] no")));
        assert_eq!(Reply::parse(b"+OK [AUTH] hello"), Some(Reply::ok("[AUTH] hello")));
        for line in [b"".as_slice(), b"+ok", b"OK", b"*", b"+OKAY", b"220 mail", b" +OK"] {
            assert_eq!(Reply::parse(line), None, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn a_reply_is_one_line_of_512_octets_at_most() {
        let mut out = Vec::new();
        Reply { status: Status::Err, code: None, text: format!("a\r\nb{}", "x".repeat(600)).into() }
            .print(&mut out);
        assert_eq!(out.len(), 512);
        assert!(out.starts_with(b"-ERR abxx") && out.ends_with(b"x\r\n"));
    }
}
