//! Asks a person at the terminal for a password, which is not shown.

use super::exit::{Exit, Failure};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use zeroize::Zeroizing;

/// The longest password that is taken, in octets.
const LONGEST: usize = 1024;

/// A new password from stdin: asked for twice where that is a terminal, else its first line.
pub fn new_password(of: &str) -> Result<Zeroizing<String>, Failure> {
    if !io::stdin().is_terminal() {
        let line = super::secret::line_of(io::stdin().lock(), "stdin")?;
        return checked(line);
    }
    let first = checked(ask(&format!("New password for {of}: "))?)?;
    let second = ask("Once more: ")?;
    if *first != *second {
        return Err(Failure::new(Exit::DataErr, "the two passwords differ; nothing was changed"));
    }
    Ok(first)
}

/// The password that somebody has, where stdin is a terminal to ask at.
pub fn password(of: &str) -> Option<Result<Zeroizing<String>, Failure>> {
    let asked = || ask(&format!("Password for {of}: ")).and_then(checked);
    io::stdin().is_terminal().then(asked)
}

fn checked(password: Zeroizing<String>) -> Result<Zeroizing<String>, Failure> {
    if password.is_empty() {
        return Err(Failure::new(Exit::DataErr, "an empty password; nothing was changed"));
    }
    if password.len() > LONGEST {
        return Err(Failure::new(Exit::DataErr, format!("a password has at most {LONGEST} octets")));
    }
    if password.contains(char::is_control) {
        return Err(Failure::new(Exit::DataErr, "a password holds no control characters"));
    }
    Ok(password)
}

fn ask(question: &str) -> Result<Zeroizing<String>, Failure> {
    let fault = |fault: io::Error| Failure::new(Exit::IoErr, format!("the terminal: {fault}"));
    let mut stderr = io::stderr().lock();
    // Quiet first: what is typed the moment the question stands must not show.
    let quiet = Quiet::new().map_err(fault)?;
    stderr.write_all(question.as_bytes()).and_then(|()| stderr.flush()).map_err(fault)?;
    let line = typed(io::stdin().lock().bytes());
    drop(quiet);
    let _ = stderr.write_all(b"\n");
    let octets = line.map_err(fault)?.ok_or_else(|| Failure::new(Exit::TempFail, "cancelled"))?;
    match std::str::from_utf8(&octets) {
        Ok(text) => Ok(Zeroizing::new(text.to_string())),
        Err(_) => Err(Failure::new(Exit::DataErr, "the password is not UTF-8")),
    }
}

/// A line as it is typed key by key; `None` when it was given up with ^C or ^D.
fn typed(keys: impl Iterator<Item = io::Result<u8>>) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let mut line = Zeroizing::new(Vec::with_capacity(LONGEST));
    for key in keys {
        match key? {
            b'\r' | b'\n' => return Ok(Some(line)),
            3 | 4 => return Ok(None),
            // ^U; backspace takes a whole character of UTF-8.
            21 => line.clear(),
            8 | 127 => while line.pop().is_some_and(|octet| octet & 0xc0 == 0x80) {},
            octet if line.len() < LONGEST => line.push(octet),
            _ => {}
        }
    }
    Ok(None)
}

/// A terminal that shows nothing and passes ^C on as a key, so that it can be set right again before we end.
struct Quiet(Termios);

impl Quiet {
    fn new() -> io::Result<Quiet> {
        let before = tcgetattr(io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes &= !(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        tcsetattr(io::stdin(), OptionalActions::Flush, &quiet)?;
        Ok(Quiet(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_a_line() {
        let line = |keys: &str| {
            typed(keys.bytes().map(Ok)).unwrap().map(|line| String::from_utf8(line.to_vec()).unwrap())
        };
        assert_eq!(line("secret\nrest").as_deref(), Some("secret"));
        assert_eq!(line("wrong\x15se\u{e9}\x7fx\x08cret\r").as_deref(), Some("secret"));
        assert_eq!(line("\x7f\x7fa\n").as_deref(), Some("a"));
        assert_eq!(line("sec\x03"), None);
        assert_eq!(line("sec\x04"), None);
        assert_eq!(line("sec"), None, "the terminal went away");
    }

    #[test]
    fn what_is_no_password_is_refused() {
        for (text, good) in [("x", true), ("", false), ("a\tb", false), (&"x".repeat(1025), false)] {
            assert_eq!(checked(Zeroizing::new(text.to_string())).is_ok(), good, "{text}");
        }
    }
}
