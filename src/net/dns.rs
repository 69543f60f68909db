//! Asks the DNS, through hickory-resolver: mail exchangers and addresses, as plain types. What is not there, what
//! has no such record and what could not be found out are kept apart, since mail is refused for the one and waits for the other.

use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    net::{DnsError, NetError, runtime::TokioRuntimeProvider},
    proto::{
        op::ResponseCode,
        rr::{Name, RData, RecordType},
    },
};
use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// More records of one answer are not looked at.
const RECORDS_MAX: usize = 64;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The name does not exist (NXDOMAIN), or can't exist.
    NoName,
    /// The name exists, but has no record of the wanted type.
    NoData,
    /// It could not be found out: SERVFAIL, REFUSED, a timeout, a bogus answer. Temporary.
    Trouble(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::NoName => f.write_str("the domain does not exist"),
            Fault::NoData => f.write_str("the domain has no such record"),
            Fault::Trouble(what) => write!(f, "the DNS does not answer: {what}"),
        }
    }
}

impl std::error::Error for Fault {}

/// One mail exchanger (RFC 5321 section 5.1).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exchange {
    /// Lower ones are tried first.
    pub preference: u16,
    /// Its name in lower case, without a final dot.
    pub host: String,
}

/// What a domain says of its mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mx {
    /// A null MX: the domain takes no mail (RFC 7505).
    Null,
    /// By preference; equal ones are in the order of their answer. Never empty.
    Hosts(Vec<Exchange>),
}

/// A resolver with its cache. Clones share it.
#[derive(Clone)]
pub struct Dns {
    resolver: TokioResolver,
}

impl fmt::Debug for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dns")
    }
}

impl Dns {
    /// Asks the system's name servers (/etc/resolv.conf).
    pub fn system(patience: Duration) -> io::Result<Dns> {
        let mut builder = TokioResolver::builder_tokio().map_err(io::Error::other)?;
        settle(builder.options_mut(), patience);
        Ok(Dns { resolver: builder.build().map_err(io::Error::other)? })
    }

    /// Asks these name servers, in this order.
    pub fn at(servers: &[SocketAddr], patience: Duration) -> io::Result<Dns> {
        let mut config = ResolverConfig::default();
        for server in servers {
            let connection = |mut connection: ConnectionConfig| {
                connection.port = server.port();
                connection
            };
            let connections = vec![connection(ConnectionConfig::udp()), connection(ConnectionConfig::tcp())];
            config.add_name_server(NameServerConfig::new(server.ip(), true, connections));
        }
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        settle(builder.options_mut(), patience);
        Ok(Dns { resolver: builder.build().map_err(io::Error::other)? })
    }

    /// The mail exchangers of `domain`. `NoData` means that the domain itself is to be tried (RFC 5321 section 5.1).
    pub async fn mx(&self, domain: &str) -> Result<Mx, Fault> {
        let mut hosts: Vec<Exchange> = Vec::new();
        let mut null = false;
        self.ask(domain, RecordType::MX, |data| {
            if let RData::MX(mx) = data {
                let host = mx.exchange.to_ascii();
                let host = host.strip_suffix('.').unwrap_or(&host).to_ascii_lowercase();
                if host.is_empty() {
                    null = true;
                } else {
                    hosts.push(Exchange { preference: mx.preference, host });
                }
            }
        })
        .await?;
        hosts.sort_by_key(|exchange| exchange.preference);
        match (hosts.is_empty(), null) {
            (true, true) => Ok(Mx::Null),
            (true, false) => Err(Fault::NoData),
            // A null MX beside others means nothing (RFC 7505 section 3).
            (false, _) => Ok(Mx::Hosts(hosts)),
        }
    }

    /// The addresses of `host`, IPv6 before IPv4. What is known is given even when one of the two could not be found out.
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, Fault> {
        let mut six = Vec::new();
        let mut four = Vec::new();
        let (aaaa, a) = tokio::join!(
            self.ask(host, RecordType::AAAA, |data| {
                if let RData::AAAA(address) = data {
                    six.push(IpAddr::V6(address.0));
                }
            }),
            self.ask(host, RecordType::A, |data| {
                if let RData::A(address) = data {
                    four.push(IpAddr::V4(address.0));
                }
            })
        );
        six.append(&mut four);
        if !six.is_empty() {
            return Ok(six);
        }
        match (aaaa, a) {
            (Err(trouble @ Fault::Trouble(_)), _) | (_, Err(trouble @ Fault::Trouble(_))) => Err(trouble),
            (Err(Fault::NoName), _) | (_, Err(Fault::NoName)) => Err(Fault::NoName),
            _ => Err(Fault::NoData),
        }
    }

    /// Asks for the records of one type and gives each to `take`.
    async fn ask(&self, name: &str, kind: RecordType, mut take: impl FnMut(&RData)) -> Result<(), Fault> {
        let mut name = Name::from_ascii(name).map_err(|_| Fault::NoName)?;
        name.set_fqdn(true);
        let lookup = self.resolver.lookup(name, kind).await.map_err(fault)?;
        for record in lookup.answers().iter().filter(|record| record.record_type() == kind).take(RECORDS_MAX)
        {
            take(&record.data);
        }
        Ok(())
    }
}

fn settle(options: &mut ResolverOpts, patience: Duration) {
    options.timeout = patience;
    options.attempts = 2;
    options.use_hosts_file = ResolveHosts::Never;
    options.try_tcp_on_error = true;
    options.case_randomization = false;
}

fn fault(fault: NetError) -> Fault {
    match fault {
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain => Fault::NoName,
            ResponseCode::NoError => Fault::NoData,
            code => Fault::Trouble(code.to_string()),
        },
        other => Fault::Trouble(other.to_string()),
    }
}
