//! The accounts of a passwd-file, and the aliases of an aliases file.

use super::{
    Account, Directory, Resolved, ScramKeys,
    aliases::Aliases,
    checks::Checks,
    fresh::Fresh,
    passwd::{Accounts, Entry, Fault, Setting},
    password::Password,
    scram::{self, hmac},
};
use crate::mail::{
    address::{Domain, Mailbox},
    verdict::Why,
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// The largest file of accounts, in octets.
const ACCOUNTS_LARGEST: u64 = 64 << 20;
/// The largest file of aliases, in octets.
const ALIASES_LARGEST: u64 = 16 << 20;
/// The longest login that is looked for, in octets: that of an address, 255 on either side of the `@`.
const LOGIN_LONGEST: usize = 511;
/// Names that a catch-all does not catch, since there is always somebody to read them.
const ALWAYS_READ: [&str; 2] = ["postmaster", "abuse"];

/// Where the files are, and what stands around them.
#[derive(Clone, Debug)]
pub struct Files {
    /// Our domains, where mail lies, and the quota.
    pub setting: Setting,
    /// The passwd-file; without it there are no accounts.
    pub accounts: Option<PathBuf>,
    /// The aliases file.
    pub aliases: Option<PathBuf>,
    /// Who gets the mail for unknown users of our domains.
    pub catch_all: Option<Mailbox>,
    /// What fake salts are made from: secret, and the same after a restart.
    pub fake: [u8; 32],
}

/// The directory over these files.
pub struct File {
    setting: Setting,
    accounts: Option<Fresh<Accounts>>,
    aliases: Option<Fresh<Aliases>>,
    catch_all: Option<Mailbox>,
    fake: [u8; 32],
    checks: Checks,
}

impl File {
    /// Reads both files, which must be good now; later a bad one keeps its old meaning. The error names file and line.
    pub fn open(files: Files) -> Result<File, String> {
        let setting = files.setting;
        let accounts = files.accounts.as_deref().map(|path| accounts(path, &setting)).transpose()?;
        let aliases = files.aliases.as_deref().map(aliases).transpose()?;
        let checks = Checks::new().map_err(|fault| fault.to_string())?;
        Ok(File { setting, accounts, aliases, catch_all: files.catch_all, fake: files.fake, checks })
    }

    /// The first account in the file: it reads what nobody else is there to read.
    pub fn first(&self) -> Option<Account> {
        self.accounts.as_ref()?.now().first()?.account.clone().ok()
    }

    fn accounts(&self) -> Arc<Accounts> {
        self.accounts.as_ref().map_or_else(Arc::default, Fresh::now)
    }

    fn is_ours(&self, domain: &str) -> bool {
        self.setting.domains.iter().any(|ours| ours == domain)
    }

    /// The entry of `user` at `domain`, both in lower case; a name without a domain is at home in all of ours.
    fn find<'a>(&self, accounts: &'a Accounts, user: &str, domain: &str) -> Option<&'a Entry> {
        let full = accounts.named(&format!("{user}@{domain}"));
        // A quoted local part can look like a full name.
        full.or_else(|| (self.is_ours(domain) && !user.contains('@')).then(|| accounts.named(user)).flatten())
    }

    /// The entry that `login` means.
    fn of_login<'a>(&self, accounts: &'a Accounts, login: &str) -> Option<&'a Entry> {
        let login = login.to_ascii_lowercase();
        match login.rsplit_once('@') {
            Some((user, domain)) => self.find(accounts, user, domain),
            None => self.setting.domains.first().and_then(|domain| self.find(accounts, &login, domain)),
        }
    }

    /// A salt for a name that has none: the same each time, and like a random one to all who don't have our key.
    fn fake_salt(&self, login: &str) -> Result<[u8; 32], Why> {
        hmac(&self.fake, &[login.to_ascii_lowercase().as_bytes()])
            .map_err(|fault| Why::local("making a salt", &fault.into()))
    }

    /// For a login that opens nothing, the password of an account that is picked by the login, always the same:
    /// its check takes as long as those of real accounts do.
    fn decoy(&self, accounts: &Accounts, login: &str) -> Result<Option<Password>, Why> {
        let [a, b, c, d, ..] = self.fake_salt(login)?;
        let number = u64::from(u32::from_le_bytes([a, b, c, d]));
        let picked = accounts.any(number).and_then(|entry| entry.password.clone());
        Ok(picked.or_else(|| accounts.first_password()))
    }
}

fn accounts(path: &Path, setting: &Setting) -> Result<Fresh<Accounts>, String> {
    let setting = setting.clone();
    Fresh::open(path, ACCOUNTS_LARGEST, move |text| Accounts::parse(text, &setting))
}

fn aliases(path: &Path) -> Result<Fresh<Aliases>, String> {
    Fresh::open(path, ALIASES_LARGEST, |text| {
        Aliases::parse(text).map(|aliases| (aliases, Vec::<Fault>::new()))
    })
}

impl Directory for File {
    fn resolve(&self, address: &Mailbox) -> Result<Resolved, Why> {
        let Domain::Name(domain) = &address.domain else { return Ok(Resolved::Foreign) };
        if !self.is_ours(domain) {
            return Ok(Resolved::Foreign);
        }
        let accounts = self.accounts();
        let aliases = self.aliases.as_ref().map(Fresh::now);
        let user = address.local.to_ascii_lowercase();
        // `user+detail` (RFC 5233): the whole name first, since it may be somebody's.
        let plus = address.local.find('+').filter(|at| *at > 0);
        let cut = plus.and_then(|at| Some((user.get(..at)?, address.local.get(at.checked_add(1)?..)?)));
        for (user, detail) in
            std::iter::once((user.as_str(), None)).chain(cut.map(|(user, d)| (user, Some(d))))
        {
            if let Some(to) = aliases.as_ref().and_then(|aliases| aliases.of(user, domain)) {
                return Ok(Resolved::Alias(to));
            }
            if let Some(entry) = self.find(&accounts, user, domain) {
                let account = entry.account.clone().map_err(|text| Why::new(3, 5, text))?;
                return Ok(Resolved::Account { account, detail: detail.map(str::to_string) });
            }
        }
        match &self.catch_all {
            Some(mailbox) if !ALWAYS_READ.contains(&user.as_str()) && mailbox.key() != address.key() => {
                Ok(Resolved::Alias(vec![mailbox.clone()]))
            }
            _ => Ok(Resolved::Unknown),
        }
    }

    fn account(&self, id: &str) -> Result<Option<Account>, Why> {
        let Some((user, domain)) = id.rsplit_once('@') else { return Ok(None) };
        let accounts = self.accounts();
        match self.find(&accounts, user, domain) {
            None => Ok(None),
            Some(entry) => entry.account.clone().map(Some).map_err(|text| Why::new(3, 5, text)),
        }
    }

    fn verify(&self, login: &str, secret: &[u8]) -> Result<Option<Account>, Why> {
        if login.len() > LOGIN_LONGEST {
            return Ok(None);
        }
        let accounts = self.accounts();
        let entry = self.of_login(&accounts, login);
        if let Some(entry) = entry
            && let Some(password) = &entry.password
        {
            let account = entry.account.clone();
            let name = account.as_ref().map_or(login, |account| account.id.as_str());
            return match self.checks.check(name, password, secret, false)? {
                true => account.map(Some).map_err(|text| Why::new(3, 5, text)),
                false => Ok(None),
            };
        }
        if let Some(decoy) = self.decoy(&accounts, login)? {
            self.checks.check(login, &decoy, secret, true)?;
        }
        Ok(None)
    }

    fn keys(&self, login: &str) -> Result<Option<ScramKeys>, Why> {
        let accounts = self.accounts();
        let entry = Some(login).filter(|login| login.len() <= LOGIN_LONGEST);
        let entry = entry.and_then(|login| self.of_login(&accounts, login));
        // Two fakes of one login: a salt, and in the place of keys what no password leads to.
        let salt = self.fake_salt(login)?;
        let (salt, _) = salt.split_at(16);
        if let Some(password) = entry.and_then(|entry| entry.password.as_ref()) {
            return Ok(password.keys(|| salt.to_vec()));
        }
        let nothing = |of: &str| self.fake_salt(&format!("{login}\0{of}"));
        let (stored_key, server_key) = (nothing("stored")?, nothing("server")?);
        let iterations = match self.decoy(&accounts, login)? {
            Some(decoy) => match decoy.keys(|| salt.to_vec()) {
                Some(keys) => keys.iterations,
                None => return Ok(None),
            },
            None => scram::ITERATIONS,
        };
        Ok(Some(ScramKeys { salt: salt.to_vec(), iterations, stored_key, server_key }))
    }
}

#[cfg(test)]
mod tests;
