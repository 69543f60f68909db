//! Opens what the configuration names. The only place that names concrete backends: everything else speaks to the
//! seams.

use super::{
    config::Config,
    exit::{Exit, Failure},
};
use crate::{
    account::{
        Account, Directory, Resolved,
        file::{File, Files},
        location::Location,
        memory::Memory,
        passwd::Setting,
    },
    agent::list::Candidate,
    mail::address::{Domain, Mailbox},
    spool::disk::{DiskSpool, View},
    store::maildir::{self, Found, Maildir},
    sys::{clock::Clock, disk::Disk, random},
};
use std::{
    io,
    path::{Path, PathBuf},
};

/// The file in the state directory that fake salts are made from.
const FAKE_KEY: &str = "salt.key";

/// The mailboxes of this machine.
pub fn store(disk: Disk, clock: Clock) -> Maildir {
    Maildir::new(disk, clock)
}

/// The messages of the Maildir folder in a directory, in the order of their arrival; no server is asked.
pub fn browse(folder: &Path) -> io::Result<Vec<Candidate>> {
    let found = maildir::browse(&Disk::inline(), folder)?;
    Ok(found.into_iter().map(|found| candidate(found, false)).collect())
}

/// A message file that the user named.
pub fn message_file(path: PathBuf) -> Candidate {
    candidate(maildir::alone(path), true)
}

fn candidate(found: Found, named: bool) -> Candidate {
    Candidate { path: found.path, flags: found.flags, new: found.new, size: found.size, named }
}

/// The spool in the state directory, which is made when it is missing. One process at a time has it.
pub fn spool(config: &Config, disk: &Disk) -> Result<DiskSpool, Failure> {
    let path = config.state.join("spool");
    disk.make_all(&config.state, 0o750)
        .and_then(|_| DiskSpool::open(disk, &path))
        .map_err(|fault| Failure::new(Exit::TempFail, format!("the spool {}: {fault}", path.display())))
}

/// A look at the spool while no daemon has it.
pub fn view(config: &Config) -> io::Result<View> {
    View::open(&config.state.join("spool"))
}

/// The accounts and aliases, for programs that ask where mail goes.
pub fn directory(config: &Config) -> Result<File, Failure> {
    // Nobody logs in here: any key will do.
    open_directory(config, [0; 32])
}

/// The accounts and aliases, for programs that take logins.
pub fn directory_for_logins(config: &Config, disk: &Disk) -> Result<File, Failure> {
    let wrong = |fault| {
        let path = config.state.join(FAKE_KEY);
        Failure::new(Exit::TempFail, format!("{}: {fault}", path.display()))
    };
    open_directory(config, fake_key(&config.state, disk).map_err(wrong)?)
}

/// An account of the configuration, by the name that a command line gives it; that name in full, and its detail where it is a subaddress.
pub fn account(config: &Config, user: &str) -> Result<(Account, Mailbox, Option<String>), Failure> {
    let nobody = || Failure::new(Exit::NoUser, format!("{}: there is no such account", user.escape_debug()));
    let domain = config.accounts.domains.first().cloned().ok_or_else(|| {
        let text = "the configuration has no accounts.domains; set them or give --maildir";
        Failure::new(Exit::TempFail, text)
    })?;
    let mailbox = Mailbox::lenient(user, &Domain::Name(domain)).map_err(|_| nobody())?;
    match directory(config).map_err(Failure::temporary)?.resolve(&mailbox)? {
        Resolved::Account { account, detail } => Ok((account, mailbox, detail)),
        Resolved::Alias(_) | Resolved::Unknown | Resolved::Foreign => Err(nobody()),
    }
}

/// No accounts.
pub fn nobody() -> impl Directory {
    Memory::default()
}

fn open_directory(config: &Config, fake: [u8; 32]) -> Result<File, Failure> {
    let accounts = &config.accounts;
    let nowhere = || Location::parse("/nonexistent/{domain}/{user}");
    let location = match &accounts.maildir {
        Some(location) => location.clone(),
        None => nowhere().map_err(|text| Failure::new(Exit::Software, text))?,
    };
    File::open(Files {
        setting: Setting { domains: accounts.domains.clone(), location, quota: accounts.quota },
        accounts: accounts.file.clone(),
        aliases: accounts.aliases.clone(),
        catch_all: accounts.catch_all.clone(),
        fake,
    })
    .map_err(|text| Failure::new(Exit::Config, text))
}

/// The key of fake salts: kept, since a salt that changes with a restart would show that it is a fake.
fn fake_key(state: &Path, disk: &Disk) -> std::io::Result<[u8; 32]> {
    let folder = disk.make_all(state, 0o750)?;
    let kept = folder.read(FAKE_KEY, 32)?;
    if let Some(key) = kept.and_then(|octets| octets.try_into().ok()) {
        return Ok(key);
    }
    let mut key = [0; 32];
    random::fill(&mut key)?;
    folder.replace(FAKE_KEY, &key)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_fake_salts_is_kept() {
        let folder = std::env::temp_dir().join(format!("posthaste-open-{}", std::process::id()));
        let key = fake_key(&folder.join("state"), &Disk::inline()).unwrap();
        assert_ne!(key, [0; 32]);
        assert_eq!(fake_key(&folder.join("state"), &Disk::inline()).unwrap(), key);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
