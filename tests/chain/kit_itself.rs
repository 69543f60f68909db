//! The kit's servers do what their pages say, judged by those who will ask them.

use crate::kit::{
    daemon::Daemon,
    house::House,
    sink::{Act, Sink, Stage},
    zone::Zone,
};
use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolverConfig},
    net::runtime::TokioRuntimeProvider,
    proto::rr::RecordType,
};
use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    panic,
    process::Command,
};

#[test]
fn a_house_has_a_certificate_that_its_clients_can_trust_and_goes_when_dropped() {
    let house = House::new();
    let text = std::fs::read(house.path("cert.pem")).unwrap();
    let certificate = openssl::x509::X509::from_pem(&text).unwrap();
    let key =
        openssl::pkey::PKey::private_key_from_pem(&std::fs::read(house.path("key.pem")).unwrap()).unwrap();
    assert!(certificate.verify(&key).unwrap());
    let text = std::fs::read_to_string(house.config()).unwrap();
    assert!(text.starts_with("hostname = \"mx.example.org\"\n") && text.contains("\n[accounts]\n"), "{text}");
    let dir = house.path("");
    drop(house);
    assert!(!dir.exists());
}

#[test]
fn a_zone_answers_the_resolver() {
    let zone = Zone::start();
    zone.mx("example.net", 10, "a.example.net").mx("example.net", 20, "b.example.net");
    zone.host("a.example.net", "127.0.0.2")
        .host("a.example.net", "::1")
        .cname("c.example.net", "a.example.net");
    zone.null_mx("none.example").txt("example.net", &["v=spf1 ", "-all"]).servfail("broken.example");
    let mut connection = ConnectionConfig::udp();
    connection.port = zone.address().port();
    let server = NameServerConfig::new(zone.address().ip(), true, vec![connection]);
    let config = ResolverConfig::from_parts(None, vec![], vec![server]);
    let resolver =
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ask = |name: &str, kind| {
        let found = runtime.block_on(resolver.lookup(name, kind))?;
        let mut said: Vec<String> = found.answers().iter().map(|record| record.data.to_string()).collect();
        said.sort();
        Ok::<_, hickory_resolver::net::NetError>(said)
    };
    assert_eq!(ask("example.net.", RecordType::MX).unwrap(), ["10 a.example.net.", "20 b.example.net."]);
    assert_eq!(ask("none.example.", RecordType::MX).unwrap(), ["0 ."]);
    assert_eq!(ask("a.example.net.", RecordType::AAAA).unwrap(), ["::1"]);
    assert_eq!(ask("c.example.net.", RecordType::A).unwrap(), ["127.0.0.2", "a.example.net."]);
    assert!(ask("missing.example.", RecordType::MX).unwrap_err().is_nx_domain());
    assert!(ask("a.example.net.", RecordType::MX).unwrap_err().is_no_records_found());
    let broken = ask("broken.example.", RecordType::MX).unwrap_err();
    assert!(!broken.is_nx_domain() && !broken.is_no_records_found(), "{broken}");
    assert!(zone.asked().contains(&"MX example.net.".to_owned()));
}

#[test]
fn a_sink_keeps_what_it_gets_and_refuses_as_planned() {
    let sink = Sink::start();
    sink.always(Stage::Rcpt, "<bad@", Act::Say("550 5.1.1 no such user".into()));
    sink.once(Stage::Mail, "", Act::Say("451 4.3.0 later".into())).once(Stage::Greeting, "", Act::HangUp);
    let mut gone = String::new();
    BufReader::new(TcpStream::connect(sink.address()).unwrap()).read_line(&mut gone).unwrap();
    assert_eq!(gone, "");
    let mut stream = TcpStream::connect(sink.address()).unwrap();
    let script = "HELO me\r\nMAIL FROM:<a@b>\r\nMAIL FROM:<a@b>\r\nRCPT TO:<bad@c>\r\nRCPT TO:<d@c>\r\nDATA\r\n..dot\r\nx\ny\r\n.\r\nQUIT\r\n";
    stream.write_all(script.as_bytes()).unwrap();
    let codes: Vec<String> =
        BufReader::new(stream).lines().map(|line| line.unwrap()[..3].to_owned()).collect();
    assert_eq!(codes, ["220", "250", "451", "250", "550", "250", "354", "250", "221"]);
    let got = sink.wait(1);
    assert_eq!((got[0].mail.as_str(), &got[0].rcpts[..]), ("FROM:<a@b>", &["TO:<d@c>".to_owned()][..]));
    assert_eq!(got[0].text, b".dot\r\nx\ny\r\n");
}

/// Says that it is ready, tells of a signal, and ends at SIGTERM with a status of its own. It naps: a shell that waits for a file
/// to open may miss a signal that comes just before.
const DAEMON: &str = r#"
    trap 'echo reloaded >&2' HUP; trap 'echo ending >&2; exit 7' TERM
    echo '{"smtp":["127.0.0.1:40123"],"control":["unix:/run/x"]}'; echo started >&2
    while :; do sleep 0.05; done"#;

#[test]
fn a_daemon_is_waited_for_asked_and_ended() {
    let start = || {
        let mut command = Command::new("sh");
        command.args(["-c", DAEMON]);
        Daemon::spawn("a shell", command)
    };
    let daemon = start();
    assert_eq!(daemon.tcp("smtp"), "127.0.0.1:40123".parse().unwrap());
    assert_eq!(daemon.address("control"), "unix:/run/x");
    daemon.logged("started");
    daemon.signal(rustix::process::Signal::HUP);
    daemon.logged("reloaded");
    assert_eq!(daemon.stop().code(), Some(7));
    // One that is dropped is gone; one that dies before it is ready fails the test with what it said.
    let daemon = start();
    let proc = std::path::PathBuf::from(format!("/proc/{}", daemon.pid()));
    assert!(proc.exists());
    drop(daemon);
    assert!(!proc.exists());
    // With a wrapper goes what it wraps.
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP TERM; sh -c \"$0\" & wait", DAEMON]);
    let daemon = Daemon::spawn("a shell in a shell", command);
    daemon.logged("started");
    let children = format!("/proc/{pid}/task/{pid}/children", pid = daemon.pid());
    let inner = std::fs::read_to_string(children).unwrap().trim().to_owned();
    let inner = std::path::PathBuf::from(format!("/proc/{inner}/stat"));
    assert!(inner.exists());
    drop(daemon);
    let begun = std::time::Instant::now();
    // Somebody else waits for it, when they like; that it is a corpse is enough.
    while std::fs::read_to_string(&inner).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(begun.elapsed() < crate::kit::PATIENCE, "it lives on");
        std::thread::yield_now();
    }
    let dead = panic::catch_unwind(|| {
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such port >&2; exit 78"]);
        Daemon::spawn("a shell", command)
    });
    let said = dead.err().unwrap().downcast::<String>().unwrap();
    assert!(said.contains("did not become ready") && said.contains("no such port"), "{said}");
}
