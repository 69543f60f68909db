//! The DNS and dialling, against servers on loopback.

use crate::kit::zone::Zone;
use posthaste::net::{
    dial,
    dns::{Dns, Exchange, Fault, Mx},
};
use std::{
    net::{IpAddr, SocketAddr, TcpListener},
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(5);

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn exchange(preference: u16, host: &str) -> Exchange {
    Exchange { preference, host: host.to_owned() }
}

#[test]
fn mail_exchangers_come_by_preference_and_a_null_mx_is_told() {
    let zone = Zone::start();
    zone.mx("example.org", 20, "B.example.org").mx("example.org", 10, "a.example.org");
    zone.mx("null.example", 0, ".");
    zone.mx("odd.example", 0, ".").mx("odd.example", 5, "mx.odd.example");
    zone.host("plain.example", "192.0.2.1");
    run(async {
        let dns = Dns::at(&[zone.address()], PATIENCE).unwrap();
        let hosts = vec![exchange(10, "a.example.org"), exchange(20, "b.example.org")];
        assert_eq!(dns.mx("example.org").await, Ok(Mx::Hosts(hosts)));
        assert_eq!(dns.mx("null.example").await, Ok(Mx::Null));
        assert_eq!(dns.mx("odd.example").await, Ok(Mx::Hosts(vec![exchange(5, "mx.odd.example")])));
        assert_eq!(dns.mx("plain.example").await, Err(Fault::NoData));
        assert_eq!(dns.mx("missing.example").await, Err(Fault::NoName));
        assert_eq!(dns.mx(&"x".repeat(70)).await, Err(Fault::NoName));
        assert_eq!(dns.mx("a..b").await, Err(Fault::NoName));
    });
}

#[test]
fn addresses_of_both_kinds_are_found_and_a_broken_server_is_no_answer() {
    let zone = Zone::start();
    zone.host("both.example", "192.0.2.1").host("both.example", "2001:db8::1");
    zone.cname("alias.example", "both.example");
    zone.mx("only.example", 1, "both.example");
    zone.servfail("broken.example");
    run(async {
        let dns = Dns::at(&[zone.address()], PATIENCE).unwrap();
        let both: Vec<IpAddr> = vec!["2001:db8::1".parse().unwrap(), "192.0.2.1".parse().unwrap()];
        assert_eq!(dns.addresses("both.example").await, Ok(both.clone()));
        assert_eq!(dns.addresses("alias.example.").await, Ok(both));
        assert_eq!(dns.addresses("only.example").await, Err(Fault::NoData));
        assert_eq!(dns.addresses("missing.example").await, Err(Fault::NoName));
        assert!(matches!(dns.addresses("broken.example").await, Err(Fault::Trouble(_))));
        assert!(matches!(dns.mx("broken.example").await, Err(Fault::Trouble(_))));
    });
}

#[test]
fn a_server_that_is_not_there_is_trouble_and_not_an_answer() {
    // A port that nobody serves: the one of a listener that is gone.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    run(async {
        let dns = Dns::at(&[address], Duration::from_millis(200)).unwrap();
        assert!(matches!(dns.mx("example.org").await, Err(Fault::Trouble(_))));
    });
}

#[test]
fn the_next_address_is_tried_when_one_refuses() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let live = listener.local_addr().unwrap();
    let dead = TcpListener::bind("127.0.0.2:0").unwrap().local_addr().unwrap();
    run(async {
        let stream = dial::tcp(&[dead, live], None, PATIENCE).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), live);
        assert!(stream.nodelay().unwrap());
        assert!(dial::tcp(&[dead], None, PATIENCE).await.is_err());
        assert!(dial::tcp(&[], None, PATIENCE).await.is_err());
        let from: IpAddr = "127.0.0.9".parse().unwrap();
        let stream = dial::tcp(&[live], Some(from), PATIENCE).await.unwrap();
        assert_eq!(stream.local_addr().unwrap().ip(), from);
        assert_eq!(
            dial::resolve("127.0.0.1", 25, PATIENCE).await.unwrap(),
            ["127.0.0.1:25".parse().unwrap()]
        );
        assert!(!dial::resolve("localhost", 25, PATIENCE).await.unwrap().is_empty());
    });
}

#[test]
fn families_take_turns() {
    let all = |text: &str| -> Vec<SocketAddr> { text.split(' ').map(|it| it.parse().unwrap()).collect() };
    let mixed = dial::interleave(all("[::1]:1 [::2]:1 [::3]:1 1.1.1.1:1 2.2.2.2:1"));
    assert_eq!(mixed, all("[::1]:1 1.1.1.1:1 [::2]:1 2.2.2.2:1 [::3]:1"));
}
