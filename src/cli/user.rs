//! mail-user: adds, lists and removes accounts, and sets passwords.

use super::{
    config::{self, Accounts as Section, Reader, value},
    exit::{self, Exit, Failure},
    flags::{self, Configuration, Json},
    prompt,
};
use crate::{
    account::{
        edit::{self, Refused},
        location::Location,
        passwd::{self, Accounts, Entry, Fault, Setting},
        password::{Password, Scheme},
    },
    agent::user::{self, Readers, Trouble},
    mail::address::Mailbox,
};
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use serde_json::json;
use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Manage the mail accounts of this machine
#[derive(Parser, Debug)]
#[command(name = "mail-user", version)]
struct Flags {
    #[command(flatten)]
    configuration: Configuration,
    /// The file of accounts, instead of the configuration's
    #[arg(long, value_name = "FILE", global = true)]
    file: Option<PathBuf>,
    #[command(flatten)]
    json: Json,
    /// Say only what is wrong
    #[arg(short, long, global = true)]
    quiet: bool,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Add an account; its password is asked for, or read from stdin
    Add(Add),
    /// List the accounts
    List,
    /// Remove an account; its mail stays
    Remove {
        /// The account: user or user@domain
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Set a password; it is asked for, or read from stdin
    Passwd {
        /// The account: user or user@domain
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        scheme: SchemeFlag,
    },
}

#[derive(Args, Debug)]
struct Add {
    /// The account: user or user@domain
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    scheme: SchemeFlag,
    /// No password: it gets mail, and nobody logs in
    #[arg(long, conflicts_with = "scheme")]
    no_login: bool,
    /// What it may keep: "500M", "2G"
    #[arg(long, value_name = "SIZE", value_parser = value::size)]
    quota: Option<u64>,
    /// An address besides its own that it may send as; may be given again
    #[arg(long, value_name = "ADDRESS")]
    send_as: Vec<String>,
}

#[derive(Args, Debug, Clone, Copy)]
struct SchemeFlag {
    /// How the password is stored
    #[arg(long, value_name = "SCHEME", value_enum, default_value = "scram-sha-256")]
    scheme: Stored,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Stored {
    /// Serves SCRAM and plain logins
    #[value(name = "scram-sha-256")]
    Scram,
    /// Serves plain logins only; harder to guess from a stolen file
    #[value(name = "argon2id")]
    Argon2id,
}

/// Runs mail-user.
pub fn main() -> ExitCode {
    exit::run("mail-user", run)
}

/// The table of its flags.
pub fn command() -> clap::Command {
    Flags::command()
}

/// The file, and what its lines mean.
struct Place {
    file: PathBuf,
    setting: Setting,
    readers: Readers,
}

fn run() -> Result<Exit, Failure> {
    let flags: Flags = flags::parse()?;
    if flags.configuration.check_config {
        return config::check(&flags.configuration, Reader::Daemon);
    }
    let Some(verb) = &flags.verb else {
        return Err(Failure::usage("say what to do: add, list, remove or passwd (mail-user --help)"));
    };
    let place = place(&flags)?;
    let done = |name: &str, verb: &str, more: &str| match (flags.json.json, flags.quiet) {
        (true, _) => print(&format!("{}\n", json!({ "name": name, "done": verb }))),
        (false, true) => Ok(()),
        (false, false) => print(&format!("{name}: {verb}{more}\n")),
    };
    match verb {
        Verb::List => list(&place, flags.json.json)?,
        Verb::Add(add) => done(&add_one(&place, add)?, "added", "")?,
        Verb::Remove { name } => {
            let (name, location) = existing(&place, name)?;
            user::remove(&place.file, &place.setting, &name)
                .map_err(|trouble| told(&place.file, &name, trouble))?;
            let stays =
                location.map(|location| format!("; its mail stays in {location}")).unwrap_or_default();
            done(&name, "removed", &stays)?;
        }
        Verb::Passwd { name, scheme } => {
            let (name, _) = existing(&place, name)?;
            let field = stored(&name, *scheme)?;
            user::change(&place.file, place.readers, &place.setting, |text| {
                edit::set_password(text, &name, &field)
            })
            .map_err(|trouble| told(&place.file, &name, trouble))?;
            done(&name, "password set", "")?;
        }
    }
    Ok(Exit::Ok)
}

fn place(flags: &Flags) -> Result<Place, Failure> {
    // With --file no configuration is needed, but one that is named is heeded.
    let heeded = flags.file.is_none() || flags.configuration.config.is_some();
    let config = if heeded { Some(config::load(&flags.configuration, Reader::Daemon)?) } else { None };
    let section = config.as_ref().map(|config| &config.accounts);
    let file = flags.file.clone().or_else(|| section.and_then(|section| section.file.clone()));
    let file = file.ok_or_else(|| {
        Failure::new(Exit::Config, "the configuration names no accounts.file; set it or give --file")
    })?;
    // Root makes files that the daemon, which is not root, must be able to read.
    let group = match (&config, rustix::process::geteuid().is_root()) {
        (Some(config), true) => {
            nix::unistd::User::from_name(&config.user).ok().flatten().map(|user| user.gid.as_raw())
        }
        _ => None,
    };
    Ok(Place { file, setting: setting(section)?, readers: Readers { group } })
}

fn setting(section: Option<&Section>) -> Result<Setting, Failure> {
    let anywhere = || Location::parse("{domain}/{user}").map_err(|text| Failure::new(Exit::Software, text));
    Ok(Setting {
        domains: section.map(|section| section.domains.clone()).unwrap_or_default(),
        location: section.and_then(|section| section.maildir.clone()).map_or_else(anywhere, Ok)?,
        quota: section.and_then(|section| section.quota),
    })
}

fn add_one(place: &Place, add: &Add) -> Result<String, Failure> {
    let mut name = passwd::name(&add.name).map_err(Failure::usage)?;
    let domains = &place.setting.domains;
    match (name.rsplit_once('@'), domains.first()) {
        (None, Some(home)) => name = format!("{name}@{home}"),
        (Some((_, domain)), Some(_)) if !domains.iter().any(|ours| ours == domain) => {
            let text = format!("{name}: {domain} is none of accounts.domains ({})", domains.join(", "));
            return Err(Failure::new(Exit::DataErr, text));
        }
        _ => {}
    }
    if let Some((user, domain)) = name.split_once('@')
        && place.setting.location.of(user, domain).is_none()
    {
        return Err(Failure::new(
            Exit::DataErr,
            format!("{name}: its mail would have no folder; choose another name"),
        ));
    }
    for address in &add.send_as {
        Mailbox::parse(address.as_bytes())
            .map_err(|fault| Failure::usage(format!("--send-as {}: {fault}", address.escape_debug())))?;
    }
    // Before a password is asked for.
    if read_or_none(place)?.is_some_and(|accounts| user::name_in(&accounts, &name, &place.setting).is_some())
    {
        return Err(told(&place.file, &name, Trouble::Refused(Refused::There)));
    }
    let password = if add.no_login { "!".into() } else { stored(&name, add.scheme)? };
    let line = edit::Line { name, password, quota: add.quota, send_as: add.send_as.clone() };
    user::change(&place.file, place.readers, &place.setting, |text| edit::add(text, &line))
        .map_err(|trouble| told(&place.file, &line.name, trouble))?;
    Ok(line.name)
}

/// The name of an account that there is, in the file's own spelling, and where its mail lies.
fn existing(place: &Place, name: &str) -> Result<(String, Option<String>), Failure> {
    let name = passwd::name(name).map_err(Failure::usage)?;
    let (accounts, _) =
        user::read(&place.file, &place.setting).map_err(|trouble| told(&place.file, &name, trouble))?;
    let name = user::name_in(&accounts, &name, &place.setting)
        .ok_or_else(|| told(&place.file, &name, Trouble::Refused(Refused::Missing)))?;
    let location = accounts
        .named(&name)
        .and_then(|entry| entry.account.as_ref().ok())
        .map(|account| account.location.clone());
    Ok((name, location))
}

fn read_or_none(place: &Place) -> Result<Option<Accounts>, Failure> {
    match user::read(&place.file, &place.setting) {
        Ok((accounts, _)) => Ok(Some(accounts)),
        Err(Trouble::File(fault)) if fault.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(trouble) => Err(told(&place.file, "", trouble)),
    }
}

fn stored(name: &str, scheme: SchemeFlag) -> Result<String, Failure> {
    let password = prompt::new_password(name)?;
    let scheme = match scheme.scheme {
        Stored::Scram => Scheme::ScramSha256,
        Stored::Argon2id => Scheme::Argon2id,
    };
    Password::write(scheme, &password)
        .map_err(|fault| Failure::new(Exit::OsErr, format!("storing a password: {fault}")))
}

fn list(place: &Place, json: bool) -> Result<(), Failure> {
    let (accounts, doubts) =
        user::read(&place.file, &place.setting).map_err(|trouble| told(&place.file, "", trouble))?;
    for doubt in &doubts {
        let _ = writeln!(io::stderr(), "mail-user: {}", at(&place.file, doubt));
    }
    let lines: String = accounts.in_order().map(|(name, entry)| line(name, entry, json)).collect();
    print(&lines)
}

fn line(name: &str, entry: &Entry, json: bool) -> String {
    let account = entry.account.as_ref().ok();
    let scheme = entry.password.as_ref().map(Password::scheme);
    let quota = account.and_then(|account| account.quota);
    let location = account.map(|account| account.location.as_str());
    if json {
        let send_as: Vec<String> = account
            .map(|account| account.send_as.iter().map(ToString::to_string).collect())
            .unwrap_or_default();
        let value = json!({
            "name": name, "id": account.map(|account| &account.id), "scheme": scheme, "quota": quota,
            "maildir": location, "send_as": send_as,
        });
        return format!("{value}\n");
    }
    let quota = quota.map_or("-".to_string(), |octets| octets.to_string());
    format!("{name}\t{}\t{quota}\t{}\n", scheme.unwrap_or("-"), location.unwrap_or("-"))
}

fn print(text: &str) -> Result<(), Failure> {
    io::stdout().lock().write_all(text.as_bytes()).map_err(Failure::stdout)
}

fn at(file: &Path, fault: &Fault) -> String {
    format!("{}:{}: {}", file.display(), fault.line, fault.text)
}

fn told(file: &Path, name: &str, trouble: Trouble) -> Failure {
    let place = file.display();
    match trouble {
        Trouble::Broken(fault) => {
            Failure::new(Exit::DataErr, format!("{}; nothing was changed", at(file, &fault)))
        }
        Trouble::Refused(Refused::There) => Failure::new(
            Exit::CantCreat,
            format!("{name}: there is such an account in {place}; mail-user passwd sets its password"),
        ),
        Trouble::Refused(Refused::Missing) => Failure::new(
            Exit::NoUser,
            format!("{name}: there is no such account in {place}; mail-user list names all"),
        ),
        Trouble::Refused(Refused::Unfit(text)) => Failure::new(Exit::DataErr, format!("{name}: {text}")),
        Trouble::File(fault) => match fault.kind() {
            io::ErrorKind::TimedOut => Failure::new(Exit::TempFail, fault.to_string()),
            _ => Failure::input(place, &fault),
        },
    }
}
