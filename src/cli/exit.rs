//! Exit statuses: those of `sysexits.h`, the same for every program, and how an outcome becomes one.
//! What it leaves out: status 1 and 2, since no program here means anything by them.

use crate::mail::verdict::{Verdict, Why};
use std::{
    fmt,
    io::{self, Write as _},
    process::ExitCode,
};

/// An exit status. Callers of mail programs (Postfix's pipe(8), mutt, git) read these numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// All was done; for mail: somebody durable has taken responsibility.
    Ok = 0,
    /// The command line is wrong.
    Usage = 64,
    /// The input is wrong.
    DataErr = 65,
    /// An input file is missing or can't be read.
    NoInput = 66,
    /// A recipient does not exist.
    NoUser = 67,
    /// A recipient's host does not exist.
    NoHost = 68,
    /// A service refuses for good.
    Unavailable = 69,
    /// A fault in the program.
    Software = 70,
    /// The system lacks something it needs.
    OsErr = 71,
    /// A system file is missing or can't be read.
    OsFile = 72,
    /// An output file or a mailbox can't be made.
    CantCreat = 73,
    /// Reading or writing a file did not work.
    IoErr = 74,
    /// Not now: try again later. Unknown trouble is this, too.
    TempFail = 75,
    /// The peer does not keep to the protocol.
    Protocol = 76,
    /// Not permitted.
    NoPerm = 77,
    /// The configuration is wrong.
    Config = 78,
}

impl Exit {
    /// All of them, in the order of their numbers.
    pub const ALL: [Exit; 16] = [
        Exit::Ok,
        Exit::Usage,
        Exit::DataErr,
        Exit::NoInput,
        Exit::NoUser,
        Exit::NoHost,
        Exit::Unavailable,
        Exit::Software,
        Exit::OsErr,
        Exit::OsFile,
        Exit::CantCreat,
        Exit::IoErr,
        Exit::TempFail,
        Exit::Protocol,
        Exit::NoPerm,
        Exit::Config,
    ];

    /// The number that the caller sees.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The name in `sysexits.h`.
    pub fn name(self) -> &'static str {
        match self {
            Exit::Ok => "EX_OK",
            Exit::Usage => "EX_USAGE",
            Exit::DataErr => "EX_DATAERR",
            Exit::NoInput => "EX_NOINPUT",
            Exit::NoUser => "EX_NOUSER",
            Exit::NoHost => "EX_NOHOST",
            Exit::Unavailable => "EX_UNAVAILABLE",
            Exit::Software => "EX_SOFTWARE",
            Exit::OsErr => "EX_OSERR",
            Exit::OsFile => "EX_OSFILE",
            Exit::CantCreat => "EX_CANTCREAT",
            Exit::IoErr => "EX_IOERR",
            Exit::TempFail => "EX_TEMPFAIL",
            Exit::Protocol => "EX_PROTOCOL",
            Exit::NoPerm => "EX_NOPERM",
            Exit::Config => "EX_CONFIG",
        }
    }

    /// What it means, for the table in the manual pages.
    pub fn meaning(self) -> &'static str {
        match self {
            Exit::Ok => "All was done.",
            Exit::Usage => "The command line is wrong.",
            Exit::DataErr => "The input is wrong.",
            Exit::NoInput => "An input file is missing or cannot be read.",
            Exit::NoUser => "A recipient or account does not exist.",
            Exit::NoHost => "A recipient's host does not exist.",
            Exit::Unavailable => "A service refuses for good.",
            Exit::Software => "A fault in the program.",
            Exit::OsErr => "The system lacks something that is needed.",
            Exit::OsFile => "A system file is missing or cannot be read.",
            Exit::CantCreat => "An output file or mailbox cannot be made.",
            Exit::IoErr => "A file cannot be read or written.",
            Exit::TempFail => "A temporary or unknown fault: try again later.",
            Exit::Protocol => "The peer does not keep to the protocol.",
            Exit::NoPerm => "Not permitted.",
            Exit::Config => "The configuration is wrong.",
        }
    }

    /// True for a status after which trying again unchanged can't help.
    pub fn is_permanent(self) -> bool {
        !matches!(self, Exit::Ok | Exit::TempFail)
    }

    /// One status for several outcomes: permanent beats temporary beats success; of two permanent ones the
    /// first stays.
    pub fn over(outcomes: impl IntoIterator<Item = Exit>) -> Exit {
        outcomes.into_iter().fold(Exit::Ok, |so_far, next| match so_far {
            Exit::Ok => next,
            Exit::TempFail if next.is_permanent() => next,
            _ => so_far,
        })
    }

    /// The status of a fault met while reading what the user named: missing and unreadable files are told apart from
    /// the rest, which is temporary or unknown.
    pub fn of_input(fault: &io::Error) -> Exit {
        match fault.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => {
                Exit::NoInput
            }
            io::ErrorKind::PermissionDenied => Exit::NoPerm,
            io::ErrorKind::InvalidData => Exit::DataErr,
            _ => Exit::TempFail,
        }
    }
}

impl From<&Verdict> for Exit {
    fn from(verdict: &Verdict) -> Exit {
        let why = match verdict {
            Verdict::Done => return Exit::Ok,
            Verdict::Later(_) => return Exit::TempFail,
            Verdict::Never(why) => why,
        };
        match (why.subject, why.detail) {
            (1, 2 | 10) => Exit::NoHost,
            (1, 3 | 7) => Exit::DataErr,
            (1, _) => Exit::NoUser,
            (2, _) => Exit::CantCreat,
            (3, 4) | (6, _) => Exit::DataErr,
            (5, _) => Exit::Protocol,
            (7, _) => Exit::NoPerm,
            _ => Exit::Unavailable,
        }
    }
}

/// Any local fault of delivery is temporary: whoever calls keeps the message.
impl From<&io::Error> for Exit {
    fn from(_: &io::Error) -> Exit {
        Exit::TempFail
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.number())
    }
}

/// Why a program ends early: a status, and a line for the person who called it.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    text: String,
    whole: bool,
}

impl Failure {
    /// `text` says what, where (file and line, or host and reply) and what to do; the program's name is put before it.
    pub fn new(exit: Exit, text: impl Into<String>) -> Failure {
        Failure { exit, text: text.into(), whole: false }
    }

    /// The command line is wrong.
    pub fn usage(text: impl Into<String>) -> Failure {
        Failure::new(Exit::Usage, text)
    }

    /// A file that the user named can't be read.
    pub fn input(what: impl fmt::Display, fault: &io::Error) -> Failure {
        Failure::new(Exit::of_input(fault), format!("{what}: {fault}"))
    }

    /// A fault while writing to stdout. A reader that went away has what it wanted: that is success, and silent.
    /// Only faults of stdout may come here, since a socket's broken pipe is not success.
    pub fn stdout(fault: io::Error) -> Failure {
        match fault.kind() {
            io::ErrorKind::BrokenPipe => Failure::silent(Exit::Ok),
            _ => Failure::new(Exit::IoErr, format!("stdout: {fault}")),
        }
    }

    /// Ends with a status, and says nothing (it was said already).
    pub fn silent(exit: Exit) -> Failure {
        Failure { exit, text: String::new(), whole: true }
    }

    /// Several lines that are printed as they are.
    pub(super) fn whole(exit: Exit, text: String) -> Failure {
        Failure { exit, text, whole: true }
    }

    /// The same, but temporary: a slip in the configuration must not make a caller that has mail give it back.
    pub fn temporary(self) -> Failure {
        Failure { exit: Exit::TempFail, ..self }
    }

    /// The status it ends with.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// What is said, without the program's name.
    pub fn text(&self) -> &str {
        &self.text
    }

    fn print(&self, program: &str) {
        // With stderr gone there is nobody left to tell; the status still says it.
        let _ = match (self.text.is_empty(), self.whole) {
            (true, _) => Ok(()),
            (false, true) => io::stderr().lock().write_all(self.text.as_bytes()),
            (false, false) => {
                let lines: String = self.text.lines().map(|line| format!("{program}: {line}\n")).collect();
                io::stderr().lock().write_all(lines.as_bytes())
            }
        };
    }
}

impl From<Why> for Failure {
    /// A fault of ours, always temporary.
    fn from(why: Why) -> Failure {
        Failure::new(Exit::TempFail, why.text)
    }
}

/// Runs a program to its exit status. A [`Failure`] is printed as `PROGRAM: what, where, what to do`.
pub fn run(program: &str, main: impl FnOnce() -> Result<Exit, Failure>) -> ExitCode {
    let ended = main();
    let flushed = io::stdout().flush().map_err(Failure::stdout);
    match ended.and_then(|exit| flushed.map(|()| exit)) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            failure.print(program);
            failure.exit.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers and names as in FreeBSD's and glibc's sysexits.h.
    #[test]
    fn numbers_are_those_of_sysexits() {
        let table = "0 EX_OK 64 EX_USAGE 65 EX_DATAERR 66 EX_NOINPUT 67 EX_NOUSER 68 EX_NOHOST 69 EX_UNAVAILABLE \
            70 EX_SOFTWARE 71 EX_OSERR 72 EX_OSFILE 73 EX_CANTCREAT 74 EX_IOERR 75 EX_TEMPFAIL 76 EX_PROTOCOL \
            77 EX_NOPERM 78 EX_CONFIG";
        let ours: Vec<String> = Exit::ALL.iter().map(|e| format!("{} {}", e.number(), e.name())).collect();
        assert_eq!(ours.join(" "), table.split_whitespace().collect::<Vec<_>>().join(" "));
    }

    #[test]
    fn permanent_beats_temporary_and_the_first_permanent_stays() {
        use Exit::*;
        for (outcomes, one) in [
            (vec![], Ok),
            (vec![Ok, Ok], Ok),
            (vec![Ok, TempFail], TempFail),
            (vec![TempFail, NoUser, Ok], NoUser),
            (vec![NoUser, TempFail], NoUser),
            (vec![NoHost, NoUser], NoHost),
        ] {
            assert_eq!(Exit::over(outcomes.clone()), one, "{outcomes:?}");
        }
    }

    #[test]
    fn a_verdict_has_the_status_that_senders_know() {
        let never = |subject, detail| Exit::from(&Verdict::Never(Why::new(subject, detail, "")));
        assert_eq!(Exit::from(&Verdict::Done), Exit::Ok);
        assert_eq!(Exit::from(&Verdict::Later(Why::new(1, 1, ""))), Exit::TempFail);
        assert_eq!(never(1, 1), Exit::NoUser);
        assert_eq!(never(1, 2), Exit::NoHost);
        assert_eq!(never(3, 4), Exit::DataErr);
        assert_eq!(never(7, 1), Exit::NoPerm);
        assert_eq!(never(0, 0), Exit::Unavailable);
    }

    #[test]
    fn only_a_broken_pipe_of_stdout_is_success() {
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        assert_eq!(Failure::stdout(broken()).exit(), Exit::Ok);
        assert_eq!(Failure::stdout(broken()).text(), "");
        assert_eq!(Exit::from(&broken()), Exit::TempFail);
        assert_eq!(Failure::stdout(io::ErrorKind::StorageFull.into()).exit(), Exit::IoErr);
    }

    #[test]
    fn unknown_trouble_is_temporary() {
        assert_eq!(Exit::of_input(&io::Error::other("odd")), Exit::TempFail);
        assert_eq!(Exit::of_input(&io::ErrorKind::NotFound.into()), Exit::NoInput);
    }
}
