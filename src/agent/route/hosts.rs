//! Which hosts to try for a domain, in which order (RFC 5321 section 5.1, RFC 7505), and never ourselves.

use crate::{
    mail::verdict::{Verdict, Why},
    net::dns::Exchange,
};
use std::net::{IpAddr, SocketAddr};

/// The most hosts that are tried for one domain.
const MOST: usize = 20;

/// How we are known.
#[derive(Clone, Debug, Default)]
pub struct Own {
    /// Our host name and the other names that lead to us, in lower case.
    pub names: Vec<String>,
    /// Where we listen. An unspecified address stands for all of `addresses`.
    pub listeners: Vec<SocketAddr>,
    /// The addresses of this machine.
    pub addresses: Vec<IpAddr>,
}

impl Own {
    /// True when a connection to `to` would reach ourselves.
    pub fn is_us(&self, to: SocketAddr) -> bool {
        let ip = to.ip().to_canonical();
        self.listeners.iter().filter(|at| at.port() == to.port()).any(|at| {
            let own = at.ip().to_canonical();
            own == ip
                || (own.is_unspecified() && (ip.is_loopback() || self.addresses.contains(&ip)))
                || ip.is_unspecified()
        })
    }
}

/// The hosts of `domain` in groups of equal preference, best first, shuffled within a group as section 5.1 demands:
/// `random` gives a number for each host. Without records the domain itself is the host. Hosts at and below our own
/// preference are left out.
pub fn order(
    domain: &str,
    records: &[Exchange],
    own: &Own,
    mut random: impl FnMut() -> u32,
) -> Result<Vec<Vec<String>>, Verdict> {
    let ours = |host: &str| own.names.iter().any(|name| name == host);
    if records.is_empty() {
        return match ours(domain) {
            true => Err(to_ourselves(domain)),
            false => Ok(vec![vec![domain.to_owned()]]),
        };
    }
    let limit = records.iter().filter(|mx| ours(&mx.host)).map(|mx| mx.preference).min();
    let mut rest: Vec<_> = records
        .iter()
        .filter(|mx| limit.is_none_or(|limit| mx.preference < limit))
        .map(|mx| (mx.preference, random(), &mx.host))
        .collect();
    rest.sort();
    rest.dedup_by(|one, other| one.2 == other.2);
    let groups: Vec<Vec<String>> = rest
        .get(..rest.len().min(MOST))
        .unwrap_or_default()
        .chunk_by(|one, other| one.0 == other.0)
        .map(|group| group.iter().map(|(_, _, host)| (*host).clone()).collect())
        .collect();
    if groups.is_empty() { Err(to_ourselves(domain)) } else { Ok(groups) }
}

/// The verdict on a recipient whose domain has a null MX (RFC 7505 section 4.1).
pub fn null(domain: &str) -> Verdict {
    Verdict::Never(Why::new(1, 10, format!("{domain} does not accept mail (null MX)")))
}

/// The verdict on a sender whose domain has a null MX, so that it could not be told of a failure (section 4.2).
pub fn null_sender(domain: &str) -> Verdict {
    Verdict::Never(Why::new(7, 27, format!("the sender's domain {domain} does not accept mail (null MX)")))
}

/// The verdict when the only host left is this one.
pub fn to_ourselves(domain: &str) -> Verdict {
    Verdict::Never(Why::new(4, 6, format!("the mail hosts of {domain} lead back to this one")))
}
