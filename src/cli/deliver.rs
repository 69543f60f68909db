//! mail-deliver: flags to an order for [`crate::agent::deliver`].

use super::{
    config::{self, Config, Reader},
    exit::{self, Exit, Failure},
    flags::{self, Configuration, Loudness},
    open,
};
use crate::{
    agent::deliver::{Order, Target, deliver},
    mail::{
        address::{Domain, Mailbox},
        folder::FolderName,
        verdict::Verdict,
    },
    store::Home,
    sys::{clock::Clock, confine, disk::Disk},
};
use clap::{CommandFactory as _, Parser};
use std::{
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Deliver the message on standard input into a Maildir
#[derive(Parser, Debug)]
#[command(name = "mail-deliver", version)]
struct Flags {
    /// Deliver to this account of the configuration: user, user@domain or user+folder@domain
    #[arg(short = 'd', long, value_name = "USER", conflicts_with = "maildir")]
    user: Option<String>,
    /// Deliver into this Maildir; made when it is missing. No configuration is read
    #[arg(long, value_name = "DIR", required_unless_present_any = ["user", "check_config"])]
    maildir: Option<PathBuf>,
    /// The envelope sender, for Return-Path; <> is the null sender
    #[arg(short = 'f', long, value_name = "ADDRESS", allow_hyphen_values = true)]
    sender: Option<String>,
    /// The envelope recipient, for Delivered-To; user+folder@domain delivers into an existing folder
    #[arg(short = 'r', long, value_name = "ADDRESS", allow_hyphen_values = true)]
    recipient: Option<String>,
    /// Deliver into this folder; made when it is missing. Levels are parted by dots, or by slashes where there is one
    #[arg(long, value_name = "NAME")]
    folder: Option<String>,
    /// The message has so many octets; when stdin has not, nothing is delivered
    #[arg(long, value_name = "OCTETS")]
    length: Option<u64>,
    #[command(flatten)]
    configuration: Configuration,
    #[command(flatten)]
    loudness: Loudness,
}

/// Runs mail-deliver.
pub fn main() -> ExitCode {
    exit::run("mail-deliver", run)
}

/// The table of its flags.
pub fn command() -> clap::Command {
    Flags::command()
}

fn run() -> Result<Exit, Failure> {
    let flags: Flags = flags::parse()?;
    if flags.configuration.check_config {
        return config::check(&flags.configuration, Reader::Daemon);
    }
    let owner = Owner::of(&flags)?;
    let order = order(&flags, &owner)?;
    become_owner(Path::new(&owner.home.location), owner.otherwise.as_deref())?;
    let clock = Clock::system();
    let store = open::store(Disk::inline(), clock.clone());
    match deliver(&store, &clock, &order, &mut io::stdin().lock()) {
        Ok(delivered) => {
            if flags.loudness.verbose > 0 {
                let (id, folder, size) = (&delivered.id, &delivered.folder, delivered.size);
                eprintln!("mail-deliver: {id}: {size} octets to {folder} of {}", order.home.account);
            }
            Ok(Exit::Ok)
        }
        Err(verdict) => {
            let text = match &verdict {
                Verdict::Later(why) | Verdict::Never(why) => why.text.clone(),
                Verdict::Done => String::new(),
            };
            Err(Failure::new(Exit::from(&verdict), text))
        }
    }
}

/// Whose mail it is.
struct Owner {
    home: Home,
    quota: Option<u64>,
    /// What Delivered-To says where no recipient was given.
    address: Option<String>,
    /// Where the address that names the account has a detail.
    detail: Option<String>,
    /// Whom root becomes where the Maildir is missing.
    otherwise: Option<String>,
}

impl Owner {
    fn of(flags: &Flags) -> Result<Owner, Failure> {
        if let Some(user) = &flags.user {
            let config = config::load(&flags.configuration, Reader::Daemon).map_err(Failure::temporary)?;
            return Owner::known(user, &config);
        }
        let maildir = flags.maildir.as_deref().and_then(Path::to_str);
        let location = maildir.ok_or_else(|| Failure::usage("--maildir is not UTF-8"))?.to_owned();
        let account = location.clone();
        Ok(Owner {
            home: Home { account, location },
            quota: None,
            address: None,
            detail: None,
            otherwise: None,
        })
    }

    /// An account of the configuration.
    fn known(user: &str, config: &Config) -> Result<Owner, Failure> {
        let (account, mailbox, detail) = open::account(config, user)?;
        Ok(Owner {
            address: Some(match &detail {
                Some(_) => mailbox.to_string(),
                None => account.id.clone(),
            }),
            home: Home { account: account.id, location: account.location },
            quota: account.quota,
            detail,
            otherwise: Some(config.user.clone()),
        })
    }
}

fn order(flags: &Flags, owner: &Owner) -> Result<Order, Failure> {
    let return_path = flags.sender.as_deref().map(|text| address("-f", text)).transpose()?;
    let recipient = flags.recipient.as_deref().map(|text| address("-r", text)).transpose()?;
    let target = match (&flags.folder, &recipient, &owner.detail) {
        (Some(name), ..) => Target::Folder(folder(name)?),
        (None, Some(recipient), _) => Target::Detail(detail(recipient)),
        (None, None, Some(detail)) => Target::Detail(detail.clone()),
        (None, None, None) => Target::Folder(FolderName::inbox()),
    };
    let delivered_to = recipient.or_else(|| owner.address.clone());
    let mut home = owner.home.clone();
    if let (None, Some(recipient)) = (&flags.user, &delivered_to) {
        home.account.clone_from(recipient);
    }
    Ok(Order { home, quota: owner.quota, target, return_path, delivered_to, length: flags.length })
}

/// An address as it is written into a header field. It is not judged further: whoever accepted the message did,
/// and a sender that we could not read must not keep mail from being delivered.
fn address(flag: &str, text: &str) -> Result<String, Failure> {
    let text = text.trim();
    let text = text.strip_prefix('<').and_then(|inner| inner.strip_suffix('>')).unwrap_or(text);
    if text.contains(char::is_control) {
        return Err(Failure::usage(format!("{flag} {text:?}: an address holds no control characters")));
    }
    Ok(text.to_owned())
}

/// What stands behind the `+` of a subaddress (RFC 5233 section 1).
fn detail(recipient: &str) -> String {
    let nowhere = Domain::Name("localhost".into());
    let local = match Mailbox::lenient(recipient, &nowhere) {
        Ok(mailbox) => mailbox.local,
        Err(_) => recipient.rsplit_once('@').map_or(recipient, |(local, _)| local).to_owned(),
    };
    local.split_once('+').map(|(_, detail)| detail.to_owned()).unwrap_or_default()
}

fn folder(name: &str) -> Result<FolderName, Failure> {
    let separator = if name.contains('/') { '/' } else { '.' };
    FolderName::parse(name, separator).map_err(|fault| Failure::usage(format!("--folder {name:?}: {fault}")))
}

/// Root delivers as the owner of the Maildir: its files must be the owner's, and what its owner put there (links,
/// pipes) must not be followed with root's powers.
pub(super) fn become_owner(maildir: &Path, otherwise: Option<&str>) -> Result<(), Failure> {
    if !confine::is_root() {
        return Ok(());
    }
    let became = match (maildir.metadata(), otherwise) {
        (Ok(stat), _) if stat.uid() == 0 => Ok(()),
        (Ok(stat), _) => confine::become_number(stat.uid(), stat.gid()),
        (Err(_), Some(user)) => confine::become_named(user),
        (Err(_), None) => Ok(()),
    };
    became.map_err(|fault| {
        Failure::new(Exit::TempFail, format!("can't become the owner of {}: {fault}", maildir.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &[&str]) -> Result<Order, Failure> {
        let words = ["mail-deliver", "--maildir", "/m"].iter().chain(line).map(|word| (*word).into());
        let flags: Flags = flags::parse_from(words)?;
        order(&flags, &Owner::of(&flags)?)
    }

    #[test]
    fn flags_become_an_order() {
        let order = read(&["-f", "<>", "-r", "me+Lists.rust@example.org", "--length", "7"]).unwrap();
        assert_eq!(order.return_path.as_deref(), Some(""));
        assert_eq!(order.delivered_to.as_deref(), Some("me+Lists.rust@example.org"));
        assert_eq!(order.target, Target::Detail("Lists.rust".into()));
        assert_eq!(order.length, Some(7));
        let order = read(&["-f", "-odd@example.org", "--folder", "a.b/c"]).unwrap();
        assert_eq!(order.return_path.as_deref(), Some("-odd@example.org"));
        assert_eq!(order.target, Target::Folder(FolderName::new(vec!["a.b".into(), "c".into()]).unwrap()));
    }

    #[test]
    fn what_could_forge_a_field_or_leave_the_maildir_is_refused() {
        for line in [["-f", "a@b\nSubject: x"], ["-r", "a\r@b"], ["--folder", "../x"], ["--folder", "a..b"]] {
            assert_eq!(read(&line).unwrap_err().exit(), Exit::Usage, "{line:?}");
        }
    }
}
