//! Mail to an address instead of a domain goes straight to that address (RFC 5321 section 4.1.3), IPv4 and IPv6: from one
//! network over a cable to another.

use crate::kit::{daemon::Daemon, house::House, namespace::Network, sink::Sink, smtp::Speaker};

const TEXT: &str = "Subject: hello\n\nbody\n";

#[test]
fn an_address_literal_is_dialled_and_nobody_is_asked_for_it() {
    let Some(here) = Network::new() else { return };
    let Some(there) = Network::new() else { return };
    here.cable(&["192.0.2.1/24", "2001:db8::1/64"], &there, &["192.0.2.7/24", "2001:db8::7/64"]);
    let four = there.within(|| Sink::on("192.0.2.7:0"));
    let port = four.address().port();
    let six = there.within(|| Sink::on(&format!("[2001:db8::7]:{port}")));
    let mut house = House::new();
    // No name server listens there: a literal needs none.
    house.set("relayd.dns", "[\"127.0.0.1:9\"]").set("relayd.mx_port", port.to_string());
    house.set("relayd.smtp", "[\"[::]:0\"]");
    let daemon = Daemon::spawn("mail-relayd", here.enter(&house.command("mail-relayd")));
    let mut client = Speaker::unix(house.path("run/submit")).hello();
    let to = ["user@[192.0.2.7]", "User@[IPv6:2001:DB8::7]", "other@[IPv6:2001:db8:0:0::0:7]"];
    client.deliver("alice@example.org", &to, TEXT);
    let mut got = [four.wait(1), six.wait(1)].concat();
    // Two spellings of one address are one destination.
    assert_eq!(got.len(), 2, "{got:?}");
    got.iter_mut().for_each(|got| got.rcpts.sort());
    assert_eq!(got[0].rcpts, ["TO:<user@[192.0.2.7]>"]);
    assert_eq!(got[1].rcpts, ["TO:<User@[IPv6:2001:db8::7]>", "TO:<other@[IPv6:2001:db8::7]>"]);
    for got in got {
        assert_eq!(got.mail.split(' ').next(), Some("FROM:<alice@example.org>"));
        assert!(String::from_utf8(got.text).unwrap().ends_with("\r\nSubject: hello\r\n\r\nbody\r\n"));
    }
    assert!(daemon.logged("to=user@[192.0.2.7] host=[192.0.2.7]").contains(" sent "));

    // Our own address is this machine: its postmaster is ours, and nobody else lives there.
    client.deliver("alice@example.org", &["postmaster@[192.0.2.1]"], TEXT);
    house.wait_messages("alice", 1);
    for own in ["user@[192.0.2.1]", "user@[IPv6:2001:db8::1]"] {
        let replies = client.send("alice@example.org", &[own], TEXT);
        assert!(replies[1].starts_with("550 5.1.1"), "{replies:?}");
        client.say("RSET");
    }
    // Where nobody is at home it is tried again; a stranger may not ask for it at all.
    client.deliver("alice@example.org", &["user@[192.0.2.99]"], TEXT);
    assert!(daemon.logged("put off").contains("user@[192.0.2.99]"), "{}", daemon.log());
    let port = daemon.tcp("smtp").port();
    let replies = there.within(|| {
        Speaker::tcp(format!("192.0.2.1:{port}").parse().unwrap()).hello().send(
            "x@example.net",
            &["user@[192.0.2.7]"],
            TEXT,
        )
    });
    assert!(replies[1].starts_with("550 5.7.1"), "{replies:?}");
}
