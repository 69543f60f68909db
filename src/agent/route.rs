//! Where a recipient goes: a pure table. It looks into the accounts and aliases and nowhere else; no socket, no
//! disk of its own, no clock.
//!
//! What it leaves out: DNS answers are judged in [`hosts`], but asked for by whoever delivers.

pub mod expand;
pub mod hosts;
pub mod may;

use crate::{
    account::{Account, Directory, Resolved},
    mail::{
        address::{Domain, Mailbox},
        verdict::Why,
    },
};
use std::net::IpAddr;

/// What one step makes of one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// An account of ours, and the detail of a subaddress.
    Local {
        /// The account.
        account: Account,
        /// What stood behind the `+`.
        detail: Option<String>,
    },
    /// Other addresses, each with a fate of its own.
    Alias(Vec<Mailbox>),
    /// The host that takes everything which is not ours.
    Smarthost,
    /// The mail exchangers of a domain, or an address literal.
    Mx(Domain),
    /// Nowhere, for good.
    Refused(Why),
}

/// What the table knows besides accounts and aliases.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Our host name, in lower case.
    pub hostname: String,
    /// Addresses of this machine: `postmaster@[192.0.2.1]` is ours (RFC 5321 section 4.5.1).
    pub addresses: Vec<IpAddr>,
    /// The domain that names without one belong to, where there are accounts.
    pub home: Option<String>,
    /// Domains for which we are a backup, in lower case.
    pub relay_domains: Vec<String>,
    /// True when mail that is not ours goes to a smarthost.
    pub smarthost: bool,
    /// Who gets the mail of the system's names that have no account or alias.
    pub postmaster: Option<Mailbox>,
}

/// The names that every machine answers for.
const OF_THE_MACHINE: [&str; 4] = ["root", "postmaster", "abuse", "mailer-daemon"];
/// The names that every domain answers for (RFC 2142).
const OF_A_DOMAIN: [&str; 2] = ["postmaster", "abuse"];

impl Rules {
    /// True for the names and addresses of this machine itself, in whatever form.
    pub fn is_this_machine(&self, domain: &Domain) -> bool {
        match domain {
            Domain::Name(name) => *name == self.hostname || name == "localhost",
            Domain::Literal(address) => {
                let address = address.to_canonical();
                address.is_loopback() || address.is_unspecified() || self.addresses.contains(&address)
            }
        }
    }

    /// True for the domains that we are a backup of.
    pub fn is_relay_domain(&self, domain: &Domain) -> bool {
        matches!(domain, Domain::Name(name) if self.relay_domains.contains(name))
    }
}

/// One step of the table. An `Err` is a fault of ours and temporary.
pub fn fate(address: &Mailbox, directory: &dyn Directory, rules: &Rules) -> Result<Fate, Why> {
    let machine = rules.is_this_machine(&address.domain);
    match directory.resolve(address)? {
        Resolved::Account { account, detail } => return Ok(Fate::Local { account, detail }),
        Resolved::Alias(to) => return Ok(Fate::Alias(to)),
        Resolved::Foreign if !machine && rules.smarthost => return Ok(Fate::Smarthost),
        Resolved::Foreign if !machine => return Ok(Fate::Mx(address.domain.clone())),
        Resolved::Foreign | Resolved::Unknown => {}
    }
    let local = address.local.to_ascii_lowercase();
    let answered: &[&str] = if machine { &OF_THE_MACHINE } else { &OF_A_DOMAIN };
    if !answered.contains(&local.as_str()) {
        return Ok(unknown());
    }
    if let Some(home) = rules.home.as_ref().filter(|_| machine) {
        let at_home = Mailbox { local, domain: Domain::Name(home.clone()) };
        match directory.resolve(&at_home)? {
            Resolved::Account { account, detail } => return Ok(Fate::Local { account, detail }),
            Resolved::Alias(to) => return Ok(Fate::Alias(to)),
            Resolved::Foreign | Resolved::Unknown => {}
        }
    }
    Ok(match &rules.postmaster {
        Some(postmaster) if !same(postmaster, address) => Fate::Alias(vec![postmaster.clone()]),
        _ => unknown(),
    })
}

/// True when two addresses of ours are the same: local parts are compared without case.
pub(crate) fn same(one: &Mailbox, other: &Mailbox) -> bool {
    one.domain == other.domain && one.local.eq_ignore_ascii_case(&other.local)
}

fn unknown() -> Fate {
    Fate::Refused(Why::new(1, 1, "no such user here"))
}

#[cfg(test)]
mod tests;
