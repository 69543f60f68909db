//! A DNS server on loopback that answers from a small table.

use hickory_proto::{
    op::{Message, MessageType, OpCode, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, AAAA, CNAME, MX, TXT},
    },
};
use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, UdpSocket},
    sync::{Arc, Mutex},
    thread,
};

/// The server, over UDP and TCP on one port. A name that is not in its table does not exist (NXDOMAIN). Ends with
/// the test.
pub struct Zone {
    address: SocketAddr,
    table: Arc<Mutex<Table>>,
}

#[derive(Default)]
struct Table {
    names: BTreeMap<Name, Vec<RData>>,
    broken: Vec<Name>,
    asked: Vec<String>,
}

impl Zone {
    /// A server with an empty table.
    pub fn start() -> Zone {
        // The same port is wanted for both; another test may take it in between.
        let (udp, tcp) = (0..50)
            .find_map(|_| {
                let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
                let tcp = TcpListener::bind(udp.local_addr().unwrap()).ok()?;
                Some((udp, tcp))
            })
            .expect("a port that is free for UDP and TCP");
        let zone = Zone { address: udp.local_addr().unwrap(), table: Arc::default() };
        let table = Arc::clone(&zone.table);
        thread::spawn(move || {
            let mut octets = [0; 4096];
            while let Ok((count, from)) = udp.recv_from(&mut octets) {
                if let Some(reply) = answer(&octets[..count], &table) {
                    let _ = udp.send_to(&reply, from);
                }
            }
        });
        let table = Arc::clone(&zone.table);
        thread::spawn(move || {
            for mut stream in tcp.incoming().flatten() {
                let table = Arc::clone(&table);
                thread::spawn(move || {
                    let mut length = [0; 2];
                    while stream.read_exact(&mut length).is_ok() {
                        let mut octets = vec![0; u16::from_be_bytes(length).into()];
                        stream.read_exact(&mut octets).ok()?;
                        let reply = answer(&octets, &table)?;
                        stream.write_all(&u16::try_from(reply.len()).ok()?.to_be_bytes()).ok()?;
                        stream.write_all(&reply).ok()?;
                    }
                    Some(())
                });
            }
        });
        zone
    }

    /// Where it listens; `relayd.dns` takes it as `"127.0.0.1:PORT"`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Adds an MX record.
    pub fn mx(&self, name: &str, preference: u16, host: &str) -> &Zone {
        self.add(name, RData::MX(MX::new(preference, full(host))))
    }

    /// Adds a null MX record (RFC 7505): the domain takes no mail.
    pub fn null_mx(&self, name: &str) -> &Zone {
        self.add(name, RData::MX(MX::new(0, Name::root())))
    }

    /// Adds an address, A or AAAA as it is.
    pub fn host(&self, name: &str, address: &str) -> &Zone {
        match address.parse().expect("an IP address") {
            std::net::IpAddr::V4(address) => self.add(name, RData::A(A(address))),
            std::net::IpAddr::V6(address) => self.add(name, RData::AAAA(AAAA(address))),
        }
    }

    /// Adds an alias.
    pub fn cname(&self, name: &str, real: &str) -> &Zone {
        self.add(name, RData::CNAME(CNAME(full(real))))
    }

    /// Adds a TXT record of one or more strings of up to 255 octets.
    pub fn txt(&self, name: &str, strings: &[&str]) -> &Zone {
        self.add(name, RData::TXT(TXT::new(strings.iter().map(|&text| text.to_owned()).collect())))
    }

    /// Every question about this name gets SERVFAIL.
    pub fn servfail(&self, name: &str) -> &Zone {
        self.table.lock().unwrap().broken.push(full(name));
        self
    }

    /// Forgets a name, its faults too.
    pub fn forget(&self, name: &str) -> &Zone {
        let mut table = self.table.lock().unwrap();
        table.names.remove(&full(name));
        table.broken.retain(|broken| *broken != full(name));
        drop(table);
        self
    }

    /// The questions so far, as `MX example.net.`.
    pub fn asked(&self) -> Vec<String> {
        self.table.lock().unwrap().asked.clone()
    }

    fn add(&self, name: &str, data: RData) -> &Zone {
        self.table.lock().unwrap().names.entry(full(name)).or_default().push(data);
        self
    }
}

/// A full name in lower case.
fn full(name: &str) -> Name {
    let mut name = Name::from_ascii(name.to_ascii_lowercase()).unwrap();
    name.set_fqdn(true);
    name
}

fn answer(octets: &[u8], table: &Mutex<Table>) -> Option<Vec<u8>> {
    let question = Message::from_vec(octets).ok()?;
    let query = question.queries.first()?.clone();
    let mut reply = Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
    reply.metadata.recursion_desired = question.metadata.recursion_desired;
    reply.metadata.recursion_available = true;
    reply.metadata.authoritative = true;
    reply.add_query(query.clone());
    let mut table = table.lock().unwrap();
    table.asked.push(format!("{} {}", query.query_type(), query.name().to_lowercase()));
    let mut name = query.name().to_lowercase();
    name.set_fqdn(true);
    for _ in 0..8 {
        if table.broken.contains(&name) {
            reply.metadata.response_code = ResponseCode::ServFail;
            break;
        }
        let Some(found) = table.names.get(&name) else {
            reply.metadata.response_code = ResponseCode::NXDomain;
            break;
        };
        let wanted =
            |data: &&RData| data.record_type() == query.query_type() || query.query_type() == RecordType::ANY;
        let alias = found.iter().find_map(|data| match data {
            RData::CNAME(alias) => Some(alias.0.clone()),
            _ => None,
        });
        let records: Vec<&RData> =
            if alias.is_some() { found.iter().collect() } else { found.iter().filter(wanted).collect() };
        for data in records {
            reply.add_answer(Record::from_rdata(name.clone(), 1, data.clone()));
        }
        match alias {
            Some(real) if query.query_type() != RecordType::CNAME => name = real,
            _ => break,
        }
    }
    reply.to_vec().ok()
}
