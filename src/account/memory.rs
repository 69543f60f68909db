//! Accounts and aliases in memory: the sibling that tests and programs without files use.

use super::{Account, Directory, Resolved, ScramKeys, scram};
use crate::mail::{
    address::{Domain, Mailbox},
    verdict::Why,
};
use openssl::sha::sha256;
use std::collections::BTreeMap;

/// A directory that never changes once it is shared.
#[derive(Default)]
pub struct Memory {
    domains: Vec<String>,
    accounts: BTreeMap<String, (Account, Option<ScramKeys>)>,
    aliases: BTreeMap<String, Vec<Mailbox>>,
}

impl Memory {
    /// Nobody lives in these domains yet (in lower case).
    pub fn new(domains: &[&str]) -> Memory {
        Memory { domains: domains.iter().map(ToString::to_string).collect(), ..Memory::default() }
    }

    /// Adds an account; without a password it has no login. Its id is a full address in lower case.
    pub fn account(mut self, account: Account, password: Option<&str>) -> Memory {
        let keys = password.and_then(|password| {
            let salt = sha256(account.id.as_bytes());
            ScramKeys::derive(password.as_bytes(), salt.get(..16)?, scram::ITERATIONS).ok()
        });
        self.accounts.insert(account.id.clone(), (account, keys));
        self
    }

    /// Adds an alias for a full address in lower case.
    pub fn alias(mut self, of: &str, to: Vec<Mailbox>) -> Memory {
        self.aliases.insert(of.to_string(), to);
        self
    }

    fn of_login(&self, login: &str) -> Option<&(Account, Option<ScramKeys>)> {
        let login = login.to_ascii_lowercase();
        match login.contains('@') {
            true => self.accounts.get(&login),
            false => self.accounts.get(&format!("{login}@{}", self.domains.first()?)),
        }
    }
}

impl Directory for Memory {
    fn resolve(&self, address: &Mailbox) -> Result<Resolved, Why> {
        let Domain::Name(domain) = &address.domain else { return Ok(Resolved::Foreign) };
        if !self.domains.contains(domain) {
            return Ok(Resolved::Foreign);
        }
        let mut names = vec![(address.local.as_str(), None)];
        names.extend(
            address.local.split_once('+').filter(|(user, _)| !user.is_empty()).map(|(u, d)| (u, Some(d))),
        );
        for (user, detail) in names {
            let id = format!("{}@{domain}", user.to_ascii_lowercase());
            if let Some(to) = self.aliases.get(&id) {
                return Ok(Resolved::Alias(to.clone()));
            }
            if let Some((account, _)) = self.accounts.get(&id) {
                return Ok(Resolved::Account {
                    account: account.clone(),
                    detail: detail.map(str::to_string),
                });
            }
        }
        Ok(Resolved::Unknown)
    }

    fn account(&self, id: &str) -> Result<Option<Account>, Why> {
        Ok(self.accounts.get(id).map(|(account, _)| account.clone()))
    }

    fn verify(&self, login: &str, secret: &[u8]) -> Result<Option<Account>, Why> {
        let known = self.of_login(login);
        let keys = match known.and_then(|(_, keys)| keys.clone()) {
            Some(keys) => keys,
            None => fake(login),
        };
        let right = keys.are_of(secret).map_err(|fault| Why::local("checking a password", &fault.into()))?;
        Ok(known.filter(|_| right).map(|(account, _)| account.clone()))
    }

    fn keys(&self, login: &str) -> Result<Option<ScramKeys>, Why> {
        Ok(Some(self.of_login(login).and_then(|(_, keys)| keys.clone()).unwrap_or_else(|| fake(login))))
    }
}

/// Keys that no password leads to.
fn fake(login: &str) -> ScramKeys {
    let login = login.to_ascii_lowercase();
    let of = |what: &str| sha256(format!("{what}\0{login}").as_bytes());
    let salt = of("salt");
    let (salt, _) = salt.split_at(16);
    ScramKeys {
        salt: salt.to_vec(),
        iterations: scram::ITERATIONS,
        stored_key: of("stored"),
        server_key: of("server"),
    }
}
