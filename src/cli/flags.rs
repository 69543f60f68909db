//! Flag groups that mean the same in every program, and how a command line is read.

use super::exit::{Exit, Failure};
use clap::{ArgAction, Args, Parser};
use std::{
    ffi::OsString,
    io::{self, Write as _},
    path::PathBuf,
};

/// `-C`, for programs that read the configuration.
#[derive(Args, Clone, Debug, Default)]
pub struct Configuration {
    /// Read this configuration file and no other
    #[arg(short = 'C', long = "config", value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Check the configuration, say what is wrong with it, and do nothing else
    #[arg(long, global = true)]
    pub check_config: bool,
}

/// `-v` and `-q`: how much is said on stderr.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Loudness {
    /// Say more on stderr; twice: everything
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,
    /// Say only what is wrong
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
}

/// `--json`, for programs that print data.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Json {
    /// Print JSON, one object a line
    #[arg(long, global = true)]
    pub json: bool,
}

/// `--dry-run`, for programs that change something.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct DryRun {
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `-a`, for programs that act for one account of the configuration.
#[derive(Args, Clone, Debug, Default)]
pub struct AccountName {
    /// The account to use, by its name in the configuration
    #[arg(short, long, value_name = "NAME")]
    pub account: Option<String>,
}

/// `--log`, for daemons.
#[derive(Args, Clone, Copy, Debug)]
pub struct Log {
    /// The form of the log on stderr
    #[arg(long, value_name = "FORM", value_enum, default_value = "text")]
    pub log: super::log::Form,
}

/// Reads the command line of this process. A wrong one ends with 64, `--help` and `--version` with 0.
pub fn parse<F: Parser>() -> Result<F, Failure> {
    parse_from(std::env::args_os())
}

/// The same for given words, the first of which is the program's name.
pub fn parse_from<F: Parser>(words: impl IntoIterator<Item = OsString>) -> Result<F, Failure> {
    F::try_parse_from(words).map_err(|error| {
        if error.use_stderr() {
            let program = F::command().get_name().to_string();
            let text = error.render().to_string();
            let text = text.strip_prefix("error: ").unwrap_or(&text);
            Failure::whole(Exit::Usage, format!("{program}: {text}"))
        } else {
            let page = error.render().to_string();
            match io::stdout().lock().write_all(page.as_bytes()) {
                Ok(()) => Failure::silent(Exit::Ok),
                Err(fault) => Failure::stdout(fault),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Does x
    #[derive(Parser, Debug)]
    #[command(name = "mail-x", version)]
    struct Flags {
        #[command(flatten)]
        configuration: Configuration,
        #[command(flatten)]
        loudness: Loudness,
        #[command(flatten)]
        json: Json,
        #[command(flatten)]
        dry_run: DryRun,
        #[command(flatten)]
        account: AccountName,
        #[command(flatten)]
        log: Log,
    }

    fn read(line: &str) -> Result<Flags, Failure> {
        parse_from(line.split(' ').map(OsString::from))
    }

    #[test]
    fn the_groups_live_in_one_program() {
        let flags = read("mail-x -C /f -vv --json --dry-run -a work --log json").unwrap();
        assert_eq!(flags.configuration.config, Some("/f".into()));
        assert_eq!(flags.loudness.verbose, 2);
        assert!(flags.json.json && flags.dry_run.dry_run);
        assert_eq!(flags.account.account.as_deref(), Some("work"));
        assert_eq!(flags.log.log, super::super::log::Form::Json);
    }

    #[test]
    fn a_wrong_line_is_64_and_names_the_program() {
        let failure = read("mail-x --jsn").unwrap_err();
        assert_eq!(failure.exit(), Exit::Usage);
        assert!(failure.text().starts_with("mail-x: unexpected argument '--jsn'"), "{}", failure.text());
        assert_eq!(read("mail-x -q -v").unwrap_err().exit(), Exit::Usage);
    }

    #[test]
    fn a_group_does_not_speak_for_the_program() {
        let about = <Flags as clap::CommandFactory>::command().get_about().map(ToString::to_string);
        assert_eq!(about.as_deref(), Some("Does x"));
    }

    #[test]
    fn help_and_version_are_success() {
        assert_eq!(read("mail-x --version").unwrap_err().exit(), Exit::Ok);
        assert_eq!(read("mail-x --help").unwrap_err().exit(), Exit::Ok);
    }
}
