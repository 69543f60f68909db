//! What is sent on: to which hosts, in which order, how often, and what the sender hears of failures.

use crate::kit::{
    daemon::Daemon,
    house::House,
    sink::{Act, Sink, Stage},
    smtp::Speaker,
    zone::Zone,
};
use std::fs;

const TEXT: &str = "Message-ID: <1@example.org>\nSubject: hello\n\nbody\n";

/// A house that asks `zone`, finds mail hosts at the port of `sink`, and trusts everybody here.
fn house(zone: &Zone, sink: &Sink) -> House {
    let mut house = House::new();
    house.set("relayd.dns", format!("[\"{}\"]", zone.address()));
    house.set("relayd.mx_port", sink.address().port().to_string());
    house.set("relayd.relay_from", "[\"127.0.0.1\"]");
    house.set("relayd.retry", "[\"1s\"]");
    house
}

fn send(daemon: &Daemon, from: &str, to: &[&str]) {
    Speaker::tcp(daemon.tcp("smtp")).hello().deliver(from, to, TEXT);
}

#[test]
fn mail_hosts_are_tried_in_order_until_one_takes_the_message() {
    let zone = Zone::start();
    let (first, port) = {
        let first = Sink::on("127.0.0.2:0");
        let port = first.address().port();
        (first, port)
    };
    let second = Sink::on(&format!("127.0.0.3:{port}"));
    first.always(Stage::Greeting, "", Act::Say("554 5.3.2 not for you".into()));
    zone.mx("example.com", 30, "second.example.com").mx("example.com", 20, "first.example.com");
    zone.mx("example.com", 10, "nobody.example.com").mx("example.com", 5, "missing.example.com");
    zone.host("nobody.example.com", "127.0.0.4").host("first.example.com", "127.0.0.2");
    zone.host("second.example.com", "127.0.0.3");
    let house = house(&zone, &first);
    let daemon = Daemon::start(&house, "mail-relayd");
    send(&daemon, "alice@example.org", &["x@example.com"]);
    assert_eq!(second.wait(1)[0].rcpts, ["TO:<x@example.com>"]);
    assert!(daemon.logged("sent").contains("host=second.example.com"));
    first.wait_connections(1);
    let log = daemon.log();
    let order: Vec<_> = ["nobody.example.com", "first.example.com", "second.example.com"]
        .iter()
        .map(|host| log.find(&format!("host={host}")).unwrap_or_else(|| panic!("{host}: {log}")))
        .collect();
    assert!(order.is_sorted(), "{log}");
}

#[test]
fn a_domain_without_mx_records_is_its_own_mail_host() {
    let (zone, sink) = (Zone::start(), Sink::on("127.0.0.2:0"));
    zone.host("example.com", "127.0.0.2");
    let house = house(&zone, &sink);
    let daemon = Daemon::start(&house, "mail-relayd");
    send(&daemon, "alice@example.org", &["x@example.com"]);
    assert_eq!(sink.wait(1)[0].rcpts, ["TO:<x@example.com>"]);
    // A literal of the loopback network is this machine, whatever listens there.
    let mut client = Speaker::tcp(daemon.tcp("smtp")).hello();
    let replies = client.send("alice@example.org", &["y@[127.0.0.2]"], TEXT);
    assert!(replies[1].starts_with("550 5.1.1"), "{replies:?}");
}

#[test]
fn mail_that_would_come_back_to_us_is_bounced() {
    let zone = Zone::start();
    zone.mx("ours.example", 10, "mx.example.org").mx("ours.example", 20, "other.example");
    zone.mx("alias.example", 10, "other.example").host("other.example", "127.0.0.1");
    let mut house = House::new();
    house.set("relayd.dns", format!("[\"{}\"]", zone.address()));
    house.set("relayd.relay_from", "[\"127.0.0.1\"]");
    // A port that is free now and ours later.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    house.set("relayd.smtp", format!("[\"127.0.0.1:{port}\"]")).set("relayd.mx_port", port.to_string());
    let daemon = Daemon::start(&house, "mail-relayd");
    send(&daemon, "alice@example.org", &["x@ours.example", "x@alias.example"]);
    daemon.logged("to=alice@example.org account=");
    let bounce = fs::read_to_string(&house.messages("alice", "")[0]).unwrap();
    assert_eq!(bounce.matches("\nStatus: 5.4.6\n").count(), 2, "{bounce}");
}

#[test]
fn what_a_host_refuses_for_good_is_reported_and_the_others_get_it() {
    let (zone, sink) = (Zone::start(), Sink::start());
    zone.mx("example.com", 10, "mx.example.com").host("mx.example.com", "127.0.0.1");
    zone.null_mx("null.example");
    sink.always(Stage::Rcpt, "<bad@", Act::Say("550 5.1.1 no such user".into()));
    let mut house = house(&zone, &sink);
    house.set("relayd.relay_from", "[]");
    house.write("aliases", "list: good@example.com, bad@example.com, x@null.example, x@missing.example\n");
    let daemon = Daemon::start(&house, "mail-relayd");
    send(&daemon, "alice@example.org", &["list@example.org"]);
    assert_eq!(sink.wait(1)[0].rcpts, ["TO:<good@example.com>"]);
    daemon.logged("to=alice@example.org account=");
    let messages = house.messages("alice", "");
    assert_eq!(messages.len(), 1, "one report for all: {}", daemon.log());
    let bounce = fs::read_to_string(&messages[0]).unwrap();
    assert!(bounce.starts_with("Return-Path: <>\nDelivered-To: alice@example.org\nFrom: "), "{bounce}");
    for part in [
        "\nAuto-Submitted: auto-replied\n",
        "\nIn-Reply-To: <1@example.org>\n",
        "\n\nOriginal-Recipient: rfc822; list@example.org\nFinal-Recipient: rfc822; bad@example.com\nAction: failed\n\
         Status: 5.1.1\nRemote-MTA: dns; mx.example.com\nDiagnostic-Code: smtp; 550 5.1.1 no such user",
        "Final-Recipient: rfc822; x@null.example\nAction: failed\nStatus: 5.1.10\n",
        "Final-Recipient: rfc822; x@missing.example\nAction: failed\nStatus: 5.1.2\n",
        "\nSubject: hello\n",
    ] {
        assert!(bounce.contains(part), "{part:?} in {bounce}");
    }
    assert!(!bounce.contains("good@example.com") && !bounce.contains("\nbody\n"), "{bounce}");
    assert_eq!(sink.got().len(), 1);
}

#[test]
fn the_null_sender_hears_nothing() {
    let (zone, sink) = (Zone::start(), Sink::start());
    zone.host("example.com", "127.0.0.1");
    sink.always(Stage::Mail, "", Act::Say("550 5.7.1 go away".into()));
    let house = house(&zone, &sink);
    let daemon = Daemon::start(&house, "mail-relayd");
    send(&daemon, "", &["x@example.com"]);
    daemon.logged("the null sender is not told of failures");
    assert!(daemon.stop().success());
    assert_eq!(fs::read_dir(house.path("state/spool/queue")).unwrap().count(), 0);
}

#[test]
fn what_is_put_off_is_tried_again_and_given_up_in_the_end() {
    let (zone, sink) = (Zone::start(), Sink::start());
    zone.host("example.com", "127.0.0.1");
    let mut house = house(&zone, &sink);
    house.set("relayd.expire", "\"3s\"");
    let daemon = Daemon::start(&house, "mail-relayd");
    sink.once(Stage::Rcpt, "", Act::Say("451 4.7.1 greylisted".into()));
    sink.once(Stage::Dot, "", Act::Say("452 4.3.1 full".into()));
    send(&daemon, "alice@example.org", &["x@example.com"]);
    assert_eq!(sink.wait(1).len(), 1);
    assert!(daemon.logged("sent").contains("to=x@example.com"));
    assert!(daemon.logged("tries=1").contains("greylisted"));
    assert!(daemon.logged("tries=2").contains("full"));
    sink.always(Stage::Rcpt, "<never@", Act::Say("451 4.7.1 never".into()));
    send(&daemon, "alice@example.org", &["never@example.com"]);
    daemon.logged("to=alice@example.org account=");
    let bounce = fs::read_to_string(&house.messages("alice", "")[0]).unwrap();
    assert!(bounce.contains("\nStatus: 5.4.7\n") && bounce.contains("451 4.7.1 never"), "{bounce}");
}

#[test]
fn the_dns_out_of_order_puts_mail_off() {
    let (zone, sink) = (Zone::start(), Sink::start());
    zone.servfail("example.com");
    let house = house(&zone, &sink);
    let daemon = Daemon::start(&house, "mail-relayd");
    send(&daemon, "alice@example.org", &["x@example.com"]);
    assert!(daemon.logged("put off").contains("the DNS does not answer"));
    zone.forget("example.com").host("example.com", "127.0.0.1");
    sink.wait(1);
}

#[test]
fn one_connection_carries_what_waits_for_one_destination() {
    let (zone, sink) = (Zone::start(), Sink::start());
    zone.host("example.com", "127.0.0.1");
    let house = house(&zone, &sink);
    let daemon = Daemon::start(&house, "mail-relayd");
    for n in 0..5 {
        send(&daemon, "alice@example.org", &[&format!("x{n}@example.com"), &format!("y{n}@example.com")]);
        assert_eq!(sink.wait(n + 1)[n].rcpts.len(), 2);
    }
    let hellos = sink.lines().iter().filter(|line| line.starts_with("EHLO")).count();
    assert_eq!(hellos, 1, "{:?}", sink.lines());
    assert_eq!(sink.lines()[0], "EHLO mx.example.org");
}

#[test]
fn a_connection_that_was_closed_meanwhile_costs_no_attempt() {
    let (zone, sink) = (Zone::start(), Sink::start());
    zone.host("example.com", "127.0.0.1");
    let mut house = house(&zone, &sink);
    house.set("relayd.retry", "[\"1h\"]");
    let daemon = Daemon::start(&house, "mail-relayd");
    send(&daemon, "alice@example.org", &["x@example.com"]);
    sink.wait(1);
    sink.once(Stage::Mail, "", Act::HangUp);
    send(&daemon, "alice@example.org", &["y@example.com"]);
    sink.wait(2);
    assert!(!daemon.log().contains("put off"), "{}", daemon.log());
}

#[test]
fn loops_are_cut() {
    let (zone, sink) = (Zone::start(), Sink::start());
    let house = house(&zone, &sink);
    let daemon = Daemon::start(&house, "mail-relayd");
    let mut client = Speaker::tcp(daemon.tcp("smtp")).hello();
    let hops = "Received: from a by b; x\n".repeat(51);
    let replies = client.send("a@example.net", &["alice@example.org"], &format!("{hops}{TEXT}"));
    assert!(replies[2].starts_with("554 5.4.6"), "{replies:?}");
    let been = format!("Delivered-To: Alice@example.org\n{TEXT}");
    let replies = client.send("a@example.net", &["alice@example.org"], &been);
    assert!(replies[2].starts_with("554 5.4.6"), "{replies:?}");
    client.deliver("a@example.net", &["bob@example.org"], &been);
    // Of two recipients only one is in a loop: the other gets it, and the sender hears of the first.
    client.deliver("bob@example.org", &["alice@example.org", "bob@example.org"], &been);
    daemon.logged("bounced");
    daemon.logged("to=bob@example.org account=");
    assert_eq!(house.messages("alice", "").len(), 0);
}

#[test]
fn a_smarthost_is_logged_in_to_under_tls_that_is_verified() {
    let mut there = House::new();
    let sink = Sink::start();
    there.set("relayd.smarthost", format!("\"smtp://{}\"", sink.address()));
    let second = Daemon::start(&there, "mail-relayd");
    let mut here = House::new();
    here.set("relayd.relay_from", "[\"127.0.0.1\"]").set("relayd.retry", "[\"1s\"]");
    here.set("relayd.smarthost_password_file", format!("{:?}", here.write("password", "wonderland\n")));
    let cert = format!("{:?}", there.path("cert.pem"));
    for (count, (scheme, door)) in [("smtps", "submissions"), ("smtp", "submission")].into_iter().enumerate()
    {
        let smarthost = format!("\"{scheme}://alice@localhost:{}\"", second.tcp(door).port());
        here.set("relayd.smarthost", smarthost).set("relayd.smarthost_tls_ca", &*cert);
        let first = Daemon::start(&here, "mail-relayd");
        send(&first, "alice@example.org", &["x@example.com"]);
        assert_eq!(sink.wait(count + 1)[count].rcpts, ["TO:<x@example.com>"]);
        assert!(first.logged("sent").contains("host=localhost tls=\"TLSv1.3 TLS_"), "{}", first.log());
        assert!(first.stop().success());
    }
    // Nobody knows this certificate: nothing is sent, the password least of all.
    let other = House::new();
    here.set("relayd.smarthost_tls_ca", format!("{:?}", other.path("cert.pem")));
    let first = Daemon::start(&here, "mail-relayd");
    send(&first, "alice@example.org", &["x@example.com"]);
    assert!(first.logged("put off").contains("is not trusted"), "{}", first.log());
    assert_eq!(sink.got().len(), 2);
}

#[test]
fn a_smarthost_that_refuses_the_login_puts_mail_off() {
    let there = House::new();
    let second = Daemon::start(&there, "mail-relayd");
    let mut here = House::new();
    here.set("relayd.relay_from", "[\"127.0.0.1\"]");
    here.set("relayd.smarthost_password_file", format!("{:?}", here.write("password", "wrong\n")));
    here.set("relayd.smarthost", format!("\"smtp://alice@localhost:{}\"", second.tcp("submission").port()));
    let first = Daemon::start(&here, "mail-relayd");
    send(&first, "alice@example.org", &["x@example.com"]);
    assert!(first.logged("put off").contains("535"), "{}", first.log());
    second.logged("login failed");
}

/// Two mail hosts of example.com, the better one first, and a house that asks for them and does not try twice.
fn two_hosts() -> (Zone, Sink, Sink, House) {
    let zone = Zone::start();
    let first = Sink::on("127.0.0.2:0");
    let second = Sink::on(&format!("127.0.0.3:{}", first.address().port()));
    zone.mx("example.com", 10, "first.example.com").mx("example.com", 20, "second.example.com");
    zone.host("first.example.com", "127.0.0.2").host("second.example.com", "127.0.0.3");
    let mut house = house(&zone, &first);
    house.set("relayd.retry", "[\"1h\"]");
    (zone, first, second, house)
}

#[test]
fn what_one_host_puts_off_as_a_whole_the_next_one_gets() {
    let (zone, first, second, house) = two_hosts();
    let daemon = Daemon::start(&house, "mail-relayd");
    let put_off = [
        (Stage::Greeting, Act::Say("421 4.3.2 no".into())),
        (Stage::Greeting, Act::HangUp),
        (Stage::Ehlo, Act::Say("451 4.3.0 no".into())),
        (Stage::Mail, Act::Say("452 4.3.1 full".into())),
        (Stage::Mail, Act::Say("421 4.3.2 no".into())),
        (Stage::Mail, Act::HangUp),
        (Stage::Rcpt, Act::Say("421 4.3.2 no".into())),
        (Stage::Data, Act::Say("451 4.3.0 no".into())),
        (Stage::Data, Act::HangUp),
    ];
    for (count, (stage, act)) in put_off.into_iter().enumerate() {
        // Another destination each, since the last one's connection may still stand.
        let domain = format!("example{count}.com");
        zone.mx(&domain, 10, "first.example.com").mx(&domain, 20, "second.example.com");
        let to = format!("x@{domain}");
        first.relent().always(stage, "", act.clone());
        send(&daemon, "alice@example.org", &[&to]);
        assert_eq!(second.wait(count + 1)[count].rcpts, [format!("TO:<{to}>")], "{stage:?} {act:?}");
        assert!(daemon.logged(&format!("to={to} host=second.example.com")).contains(" sent "));
    }
    assert!(first.got().is_empty());
    assert!(!daemon.log().contains(" put off "), "{}", daemon.log());
    // The better host is asked first again.
    first.relent();
    send(&daemon, "alice@example.org", &["last@example.com"]);
    assert_eq!(first.wait(1)[0].rcpts, ["TO:<last@example.com>"]);
}

#[test]
fn a_host_that_wants_nothing_at_one_address_is_asked_at_another() {
    let (zone, first, second, house) = two_hosts();
    let daemon = Daemon::start(&house, "mail-relayd");
    for (name, busy, other) in [("one", &first, &second), ("two", &second, &first)] {
        for stage in [Stage::Greeting, Stage::Mail] {
            let domain = format!("{name}{stage:?}.example").to_lowercase();
            let host = format!("mx.{domain}");
            zone.mx(&domain, 10, &host).host(&host, "127.0.0.2").host(&host, "127.0.0.3");
            other.relent();
            busy.relent().always(stage, "", Act::Say("421 4.3.2 busy".into()));
            let before = other.got().len();
            send(&daemon, "alice@example.org", &[&format!("x@{domain}")]);
            assert_eq!(other.wait(before + 1)[before].rcpts, [format!("TO:<x@{domain}>")]);
        }
    }
    assert!(!daemon.log().contains(" put off "), "{}", daemon.log());
}

#[test]
fn what_all_hosts_put_off_waits_with_the_last_ones_word() {
    let (_zone, first, second, house) = two_hosts();
    first.always(Stage::Mail, "", Act::Say("452 4.3.1 full".into()));
    second.always(Stage::Mail, "", Act::Say("451 4.7.1 not now".into()));
    let daemon = Daemon::start(&house, "mail-relayd");
    send(&daemon, "alice@example.org", &["x@example.com"]);
    assert!(daemon.logged(" put off ").contains("451 4.7.1 not now"));
}

#[test]
fn recipients_put_off_one_by_one_wait_and_the_others_are_not_sent_twice() {
    let (_zone, first, second, house) = two_hosts();
    first.always(Stage::Rcpt, "<later@", Act::Say("450 4.2.1 busy".into()));
    first.always(Stage::Rcpt, "<never@", Act::Say("550 5.1.1 nobody".into()));
    let daemon = Daemon::start(&house, "mail-relayd");
    send(&daemon, "alice@example.org", &["good@example.com", "later@example.com", "never@example.com"]);
    assert_eq!(first.wait(1)[0].rcpts, ["TO:<good@example.com>"]);
    assert!(daemon.logged(" put off ").contains("to=later@example.com"));
    let bounce = daemon.logged(" bounced ");
    assert!(bounce.contains("to=alice@example.org"));
    // The end of a message that was sent is not known when its reply is lost or a 4xx: it may not go elsewhere.
    first.relent().always(Stage::Dot, "", Act::HangUp);
    send(&daemon, "alice@example.org", &["y@example.com"]);
    assert!(daemon.logged("to=y@example.com tries=1").contains(" put off "));
    assert!(second.got().is_empty() && second.lines().is_empty(), "{:?}", second.lines());
}

#[test]
fn a_report_that_can_not_be_delivered_is_dropped_and_the_log_names_it() {
    let (zone, sink) = (Zone::start(), Sink::start());
    zone.host("example.com", "127.0.0.1").host("example.net", "127.0.0.1");
    sink.always(Stage::Rcpt, "<nobody@", Act::Say("550 5.1.1 no such user".into()));
    let house = house(&zone, &sink);
    let daemon = Daemon::start(&house, "mail-relayd");
    send(&daemon, "nobody@example.net", &["nobody@example.com"]);
    let bounced = daemon.logged(" bounced ");
    let id = bounced.split("id=").nth(1).unwrap().split(' ').next().unwrap();
    assert!(daemon.logged(" dropped; ").ends_with(&format!(" id={id}")), "{}", daemon.log());
    assert!(daemon.logged(&format!(" failed id={id} to=nobody@example.net ")).contains("550 5.1.1"));
    assert!(daemon.stop().success());
    assert_eq!(fs::read_dir(house.path("state/spool/queue")).unwrap().count(), 0);
}

#[test]
fn whatever_hosts_do_each_recipient_gets_it_once() {
    let (zone, first, second, mut house) = two_hosts();
    house.set("relayd.retry", "[\"1s\"]");
    let stages = [Stage::Greeting, Stage::Ehlo, Stage::Mail, Stage::Rcpt, Stage::Data, Stage::Dot];
    for (at, stage) in stages.into_iter().cycle().take(30).enumerate() {
        let act = match at % 4 {
            0 => Act::HangUp,
            1 => Act::Say("421 4.3.2 no".into()),
            2 => Act::Say("no reply at all".into()),
            _ => Act::Say("451 4.3.0 no".into()),
        };
        let host = if at % 3 == 0 { &second } else { &first };
        host.once(stage, "", act);
    }
    for n in 0..5 {
        let domain = format!("domain{n}.example");
        zone.mx(&domain, 10, "first.example.com").mx(&domain, 20, "second.example.com");
    }
    let daemon = Daemon::start(&house, "mail-relayd");
    let mut wanted = Vec::new();
    for n in 0..40 {
        let to: Vec<String> = ["a", "b"].map(|name| format!("{name}{n}@domain{}.example", n % 5)).into();
        send(&daemon, "alice@example.org", &to.iter().map(String::as_str).collect::<Vec<_>>());
        wanted.extend(to.into_iter().map(|to| format!("TO:<{to}>")));
    }
    let begun = std::time::Instant::now();
    while fs::read_dir(house.path("state/spool/queue")).unwrap().count() > 0 {
        assert!(begun.elapsed() < 2 * crate::kit::PATIENCE, "{}", daemon.log());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let got = [first.got(), second.got()].concat();
    let mut got: Vec<String> = got.into_iter().flat_map(|got| got.rcpts).collect();
    got.sort();
    wanted.sort();
    assert_eq!(got, wanted, "{}", daemon.log());
    assert!(daemon.log().contains("a host put a message off"), "{}", daemon.log());
}
