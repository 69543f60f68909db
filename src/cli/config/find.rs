//! Which files are read, and what is said when they are wrong.

use super::{
    Config,
    read::{self, Notes, Source},
};
use crate::cli::{
    exit::{Exit, Failure},
    flags::Configuration,
    open,
};
use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

/// The file that daemons read.
pub const SYSTEM: &str = "/etc/posthaste/posthaste.toml";
/// The largest file, in octets.
const LARGEST: u64 = 1 << 20;

/// Who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// A daemon, or a tool that acts for it: `-C FILE`, else the file in /etc, which must be there.
    Daemon,
    /// A user's tool: `-C FILE`, else the user's own file over the one in /etc, both of which may be missing.
    User,
}

/// The configuration for `reader`, or all that is wrong with it.
pub fn load(flags: &Configuration, reader: Reader) -> Result<Config, Failure> {
    load_files(&files(flags, reader), flags.config.is_some() || reader == Reader::Daemon)
        .map(|(config, _)| config)
}

/// What `--check-config` does: prints a line for each file that was read, or says what is wrong.
pub fn check(flags: &Configuration, reader: Reader) -> Result<Exit, Failure> {
    let said = report(flags, reader)?;
    io::stdout().lock().write_all(said.as_bytes()).map_err(Failure::stdout)?;
    Ok(Exit::Ok)
}

fn report(flags: &Configuration, reader: Reader) -> Result<String, Failure> {
    let must = flags.config.is_some() || reader == Reader::Daemon;
    let (config, read) = load_files(&files(flags, reader), must)?;
    if reader == Reader::Daemon {
        // The files of accounts and aliases are part of what a daemon starts with.
        open::directory(&config)?;
    }
    Ok(match read.is_empty() {
        true => "no configuration file, and none is needed\n".into(),
        false => read.iter().map(|name| format!("{}: no faults\n", name.display())).collect(),
    })
}

/// The files for `reader`, the one with precedence first.
fn files(flags: &Configuration, reader: Reader) -> Vec<PathBuf> {
    if let Some(file) = &flags.config {
        return vec![file.clone()];
    }
    let mut files = Vec::new();
    if reader == Reader::User {
        let absolute =
            |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let folder = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")));
        files.extend(folder.map(|folder| folder.join("posthaste/posthaste.toml")));
    }
    files.push(SYSTEM.into());
    files
}

fn load_files(names: &[PathBuf], must: bool) -> Result<(Config, Vec<PathBuf>), Failure> {
    let mut sources = Vec::new();
    for name in names {
        match text(name) {
            Ok(text) => sources.push(Source { name: name.clone(), text }),
            Err(fault) if fault.kind() == io::ErrorKind::NotFound && !must => {}
            Err(fault) => {
                let help = match fault.kind() {
                    io::ErrorKind::NotFound => "; write one (posthaste.toml(5)) or name another with -C",
                    _ => "",
                };
                return Err(Failure::new(
                    Exit::Config,
                    format!("configuration {}: {fault}{help}", name.display()),
                ));
            }
        }
    }
    let read = sources.iter().map(|source| source.name.clone()).collect();
    Ok((from_sources(&sources)?, read))
}

/// The configuration in these files, the first of which has precedence.
pub(super) fn from_sources(sources: &[Source]) -> Result<Config, Failure> {
    let notes = Notes::default();
    let mut files = Vec::new();
    for source in sources {
        if let Some(table) = read::parse(source, &notes) {
            files.push((source, table));
        }
    }
    let config = Config::read(&files, &notes);
    match notes.faults() {
        None => Ok(config),
        Some(faults) => Err(Failure::new(Exit::Config, faults)),
    }
}

fn text(name: &Path) -> io::Result<String> {
    let mut octets = Vec::new();
    File::open(name)?.take(LARGEST.saturating_add(1)).read_to_end(&mut octets)?;
    if octets.len() as u64 > LARGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "over 1 MiB: this is no configuration"));
    }
    String::from_utf8(octets).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the file is not UTF-8"))
}
