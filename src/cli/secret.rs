//! Where a password comes from: a command, a file that only its owner can read, or a systemd credential. Never an
//! argument, since every user of the machine can list those.

use super::exit::{Exit, Failure};
use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use zeroize::Zeroizing;

/// The longest password, in octets.
const LONGEST: u64 = 4096;

/// A place to ask for a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    /// The first line that this command prints. It asks on the terminal or on stderr, which is ours; its stdin is empty,
    /// since ours may hold a message.
    Command(Vec<String>),
    /// The first line of this file, which group and others must not be able to read.
    File(PathBuf),
    /// The first line of the credential with this name (`LoadCredential=` in systemd.exec(5)).
    Credential(String),
}

impl Secret {
    /// Asks for the password.
    pub fn ask(&self) -> Result<Zeroizing<String>, Failure> {
        match self {
            Secret::Command(words) => of_command(words),
            Secret::File(path) => of_file(path, true),
            Secret::Credential(name) => match std::env::var_os("CREDENTIALS_DIRECTORY") {
                Some(folder) => of_file(&Path::new(&folder).join(name), false),
                None => Err(Failure::new(
                    Exit::Config,
                    format!(
                        "credential `{name}`: systemd gave none; add LoadCredential={name}:FILE to the unit"
                    ),
                )),
            },
        }
    }
}

/// Reads a password from an open stream up to the line's end: what `mail-user` takes from stdin, too.
pub fn line_of(stream: impl Read, whence: &str) -> Result<Zeroizing<String>, Failure> {
    let mut octets = Zeroizing::new(Vec::with_capacity(256));
    stream
        .take(LONGEST.saturating_add(2))
        .read_to_end(&mut octets)
        .map_err(|fault| Failure::input(whence, &fault))?;
    let line = octets.split(|b| *b == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let wrong = |what: &str| Err(Failure::new(Exit::DataErr, format!("{whence}: {what}")));
    match std::str::from_utf8(line) {
        Ok("") => wrong("there is no password"),
        Ok(line) if line.len() as u64 > LONGEST => wrong("the password is over 4096 octets"),
        Ok(line) if line.contains('\0') => wrong("a password holds no NUL"),
        Ok(line) => Ok(Zeroizing::new(line.to_string())),
        Err(_) => wrong("the password is not UTF-8"),
    }
}

fn of_file(path: &Path, strict: bool) -> Result<Zeroizing<String>, Failure> {
    let whence = path.display().to_string();
    let file = File::open(path).map_err(|fault| Failure::input(&whence, &fault))?;
    let mode = file.metadata().map_err(|fault| Failure::input(&whence, &fault))?.mode();
    if strict && mode & 0o077 != 0 {
        let text =
            format!("{whence}: others can read the password (mode {:04o}); chmod 600 it", mode & 0o7777);
        return Err(Failure::new(Exit::NoPerm, text));
    }
    line_of(file, &whence)
}

fn of_command(words: &[String]) -> Result<Zeroizing<String>, Failure> {
    let (program, arguments) =
        words.split_first().ok_or_else(|| Failure::usage("an empty password command"))?;
    let failed =
        |fault: io::Error| Failure::new(Exit::TempFail, format!("password command `{program}`: {fault}"));
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let line = match child.stdout.take() {
        Some(stdout) => line_of(stdout, &format!("password command `{program}`")),
        None => Err(Failure::new(Exit::Software, "no pipe to the password command")),
    };
    let status = child.wait().map_err(failed)?;
    if !status.success() {
        return Err(Failure::new(
            Exit::TempFail,
            format!("password command `{program}` ended with {status}"),
        ));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn command(words: &[&str]) -> Secret {
        Secret::Command(words.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_first_line_counts_and_no_shell_expands() {
        assert_eq!(*command(&["printf", "$HOME\\r\\nsecond"]).ask().unwrap(), "$HOME");
        assert!(command(&["true"]).ask().unwrap_err().text().contains("no password"));
        assert_eq!(command(&["false"]).ask().unwrap_err().exit(), Exit::TempFail);
        assert_eq!(command(&["/no/such/program"]).ask().unwrap_err().exit(), Exit::TempFail);
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let path = std::env::temp_dir().join(format!("posthaste-secret-{}", std::process::id()));
        std::fs::write(&path, "hush\n").unwrap();
        for (mode, good) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            let answer = Secret::File(path.clone()).ask();
            assert_eq!(answer.as_deref().map(String::as_str).ok(), good.then_some("hush"), "{mode:o}");
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(Secret::File(path).ask().unwrap_err().exit(), Exit::NoInput);
    }

    #[test]
    fn an_endless_password_is_not_read_to_its_end() {
        let failure = line_of(io::repeat(b'x'), "stdin").unwrap_err();
        assert_eq!(failure.exit(), Exit::DataErr);
    }
}
