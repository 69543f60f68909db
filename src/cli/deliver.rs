//! mail-deliver: flags to an order for [`crate::agent::deliver`].

use super::{
    exit::{self, Exit, Failure},
    flags::{self, Loudness},
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
use std::{io, os::unix::fs::MetadataExt as _, path::PathBuf, process::ExitCode};

/// Deliver the message on stdin into a Maildir
#[derive(Parser, Debug)]
#[command(name = "mail-deliver", version, about)]
struct Flags {
    /// Deliver into this Maildir; made when it is missing
    #[arg(long, value_name = "DIR")]
    maildir: PathBuf,
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
    let order = order(&flags)?;
    become_owner(&flags.maildir)?;
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

fn order(flags: &Flags) -> Result<Order, Failure> {
    let location = flags.maildir.to_str().ok_or_else(|| Failure::usage("--maildir is not UTF-8"))?;
    let return_path = flags.sender.as_deref().map(|text| address("-f", text)).transpose()?;
    let delivered_to = flags.recipient.as_deref().map(|text| address("-r", text)).transpose()?;
    let target = match (&flags.folder, &delivered_to) {
        (Some(name), _) => Target::Folder(folder(name)?),
        (None, Some(recipient)) => Target::Detail(detail(recipient)),
        (None, None) => Target::Folder(FolderName::inbox()),
    };
    let account = delivered_to.clone().unwrap_or_else(|| location.to_owned());
    let home = Home { account, location: location.to_owned() };
    Ok(Order { home, quota: None, target, return_path, delivered_to, length: flags.length })
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
fn become_owner(maildir: &std::path::Path) -> Result<(), Failure> {
    if !confine::is_root() {
        return Ok(());
    }
    let Ok(stat) = maildir.metadata() else { return Ok(()) };
    if stat.uid() == 0 {
        return Ok(());
    }
    confine::become_number(stat.uid(), stat.gid()).map_err(|fault| {
        Failure::new(Exit::TempFail, format!("can't become the owner of {}: {fault}", maildir.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &[&str]) -> Result<Order, Failure> {
        let words = ["mail-deliver", "--maildir", "/m"].iter().chain(line).map(|word| (*word).into());
        order(&flags::parse_from(words)?)
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
