//! From a destination to the hosts that are tried for it, in order. Hosts are looked up only when their turn comes.

use super::settings::{Security, Settings, Target};
use crate::{
    agent::route::hosts,
    mail::verdict::{Verdict, Why},
    net::{
        dial,
        dns::{Fault, Mx},
    },
    sys::random,
};
use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

/// How long the system's resolver may take over a named host.
const PATIENCE: Duration = Duration::from_secs(30);

/// What messages have in common that can go over one connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum NextHop {
    /// The server that takes everything.
    Smarthost,
    /// The mail hosts of a domain.
    Domain(String),
    /// An address that a sender named.
    Literal(IpAddr),
}

impl std::fmt::Display for NextHop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NextHop::Smarthost => f.write_str("the smarthost"),
            NextHop::Domain(domain) => f.write_str(domain),
            NextHop::Literal(address) => write!(f, "[{address}]"),
        }
    }
}

/// A host to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Host {
    /// Its name, for TLS and for people.
    pub(super) name: String,
    /// Where it is.
    pub(super) place: Place,
    /// What was decided about TLS; `None` is opportunistic.
    pub(super) security: Option<Security>,
    /// The host before, by its other addresses: of use where that one could be connected to.
    pub(super) again: bool,
}

/// Where a host is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Its addresses, in order.
    Tcp(Vec<SocketAddr>),
    /// A unix socket.
    Unix(PathBuf),
}

/// The hosts of one destination, one after another.
#[derive(Debug)]
pub(super) struct Walk {
    /// Groups of equal preference that are left.
    groups: VecDeque<Vec<String>>,
    /// Hosts that were looked up and not tried yet.
    ready: VecDeque<Host>,
    domain: String,
}

impl Walk {
    /// Asks which hosts there are.
    pub(super) async fn to(hop: &NextHop, settings: &Settings) -> Result<Walk, Verdict> {
        let mut walk = Walk { groups: VecDeque::new(), ready: VecDeque::new(), domain: hop.to_string() };
        match hop {
            NextHop::Smarthost => walk.ready.push_back(smarthost(settings).await?),
            NextHop::Literal(address) => {
                let to = SocketAddr::new(*address, settings.mx_port);
                if settings.own.is_us(to) {
                    return Err(hosts::to_ourselves(&walk.domain));
                }
                let (name, place) = (walk.domain.clone(), Place::Tcp(vec![to]));
                walk.ready.push_back(Host { name, place, security: None, again: false });
            }
            NextHop::Domain(domain) => walk.groups = groups(domain, settings).await?.into(),
        }
        Ok(walk)
    }

    /// True when no host is left.
    pub(super) fn is_over(&self) -> bool {
        self.groups.is_empty() && self.ready.is_empty()
    }

    /// The next host to try; `None` when all were.
    pub(super) async fn next(&mut self, settings: &Settings) -> Option<Result<Host, Verdict>> {
        loop {
            if let Some(host) = self.ready.pop_front() {
                return Some(Ok(host));
            }
            let group = self.groups.pop_front()?;
            if let Err(verdict) = self.look_up(group, settings).await
                && self.ready.is_empty()
            {
                return Some(Err(verdict));
            }
        }
    }

    /// Looks up the hosts of one preference. When one of them turns out to be us, it and all below are left out
    /// (RFC 5321 section 5.1). The verdict is that on the last host that has no address.
    async fn look_up(&mut self, group: Vec<String>, settings: &Settings) -> Result<(), Verdict> {
        let mut outcome = Ok(());
        let mut found = Vec::new();
        for name in group {
            match settings.dns.dns().addresses(&name).await {
                Ok(addresses) => {
                    let to = |address| SocketAddr::new(address, settings.mx_port);
                    let to: Vec<SocketAddr> = addresses.into_iter().map(to).collect();
                    if to.iter().any(|&to| settings.own.is_us(to)) {
                        self.groups.clear();
                        return Err(hosts::to_ourselves(&self.domain));
                    }
                    let rest = to.get(1..).unwrap_or_default().to_vec();
                    let host = Host { name, place: Place::Tcp(to), security: None, again: false };
                    let other = Host { place: Place::Tcp(rest), again: true, ..host.clone() };
                    found.push(host);
                    found.extend(Some(other).filter(|other| other.place != Place::Tcp(Vec::new())));
                }
                Err(fault) => outcome = Err(unknown_host(&self.domain, &name, &fault)),
            }
        }
        self.ready.extend(found);
        outcome
    }
}

/// The names of a domain's mail hosts, best first.
async fn groups(domain: &str, settings: &Settings) -> Result<Vec<Vec<String>>, Verdict> {
    let records = match settings.dns.dns().mx(domain).await {
        Ok(Mx::Null) => return Err(hosts::null(domain)),
        Ok(Mx::Hosts(records)) => records,
        // The domain itself is its mail host.
        Err(Fault::NoData) => Vec::new(),
        Err(Fault::NoName) => {
            let why = Why::new(1, 2, format!("the domain {domain} does not exist"));
            return Err(Verdict::Never(why));
        }
        Err(fault @ Fault::Trouble(_)) => {
            return Err(Verdict::Later(Why::new(4, 3, format!("{domain}: {fault}"))));
        }
    };
    hosts::order(domain, &records, &settings.own, random::u32)
}

/// What a host without an address means: for a domain without MX records that it takes no mail.
fn unknown_host(domain: &str, name: &str, fault: &Fault) -> Verdict {
    match fault {
        Fault::Trouble(_) => Verdict::Later(Why::new(4, 3, format!("{name}: {fault}"))),
        Fault::NoName | Fault::NoData if name == domain => {
            Verdict::Never(Why::new(1, 2, format!("the domain {domain} has no mail host")))
        }
        Fault::NoName | Fault::NoData => {
            let text = format!("the mail host {name} of {domain} has no address");
            Verdict::Never(Why::new(4, 4, text))
        }
    }
}

async fn smarthost(settings: &Settings) -> Result<Host, Verdict> {
    let Some(smarthost) = &settings.smarthost else {
        return Err(Verdict::Later(Why::new(3, 5, "no smarthost is configured any more")));
    };
    let security = smarthost.security;
    match &smarthost.target {
        Target::Unix(path) => {
            let name = path.display().to_string();
            Ok(Host { name, place: Place::Unix(path.clone()), security, again: false })
        }
        Target::Host(name, port) => {
            let found = dial::resolve(name, *port, PATIENCE)
                .await
                .map_err(|fault| Verdict::Later(Why::new(4, 3, format!("the smarthost {name}: {fault}"))))?;
            Ok(Host { name: name.clone(), place: Place::Tcp(found), security, again: false })
        }
    }
}
