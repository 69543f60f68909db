//! Postfix and mail-relayd send to each other.

use crate::kit::{daemon::Daemon, house::House, postfix::Postfix, smtp::Speaker};
use std::fs;

/// With all the fields that Postfix would add.
const TEXT: &str = "From: a@example.net\nDate: Tue, 24 Nov 2026 12:00:00 +0000\nMessage-ID: <1@example.net>\n\
                    Subject: gr\u{fc}n\n\n..dot\nbody\n";

#[test]
fn postfix_relays_to_us() {
    let house = House::new();
    let daemon = Daemon::start(&house, "mail-relayd");
    let relay =
        format!("relayhost = [127.0.0.1]:{}\nsmtp_tls_security_level = may\n", daemon.tcp("smtp").port());
    let Some(postfix) = Postfix::start(&house, &relay) else { return };
    let mut client = Speaker::tcp(postfix.address()).hello();
    for n in 0..10 {
        let text = format!("X-Number: {n}\n{TEXT}");
        client.deliver(
            "joe@example.com",
            &["alice@example.org", "bob@example.org", "nobody@example.org"],
            &text,
        );
    }
    for user in ["alice", "bob"] {
        house.wait_messages(user, 10);
        for message in house.messages(user, "") {
            let text = fs::read_to_string(message).unwrap();
            assert!(
                text.starts_with(&format!(
                    "Return-Path: <joe@example.com>\nDelivered-To: {user}@example.org\n"
                ))
            );
            assert!(text.contains("by mx.example.org (posthaste) with ESMTPS\n"), "{text}");
            assert!(text.ends_with("Subject: gr\u{fc}n\n\n.dot\nbody\n"), "{text}");
        }
    }
    let bounces = postfix.wait_mail("joe", 10);
    let bounce = fs::read_to_string(&bounces[0]).unwrap();
    assert!(bounce.contains("550 5.1.1"), "{bounce}");
}

#[test]
fn postfix_gives_us_mail_over_lmtp() {
    let mut house = House::new();
    if nix::unistd::Group::from_name("postfix").unwrap().is_none() {
        crate::kit::peer("postfix");
        return;
    }
    if !rustix::process::geteuid().is_root() {
        return crate::kit::missing::<()>("only root can give a socket to Postfix's group")
            .unwrap_or_default();
    }
    house.set("relayd.lmtp_group", "\"postfix\"");
    let _daemon = Daemon::start(&house, "mail-relayd");
    let transport = format!(
        "virtual_mailbox_domains = example.org\nvirtual_mailbox_maps = static:x\nvirtual_transport = lmtp:unix:{}\n",
        house.path("run/lmtp").display()
    );
    let Some(postfix) = Postfix::start(&house, &transport) else { return };
    let mut client = Speaker::tcp(postfix.address()).hello();
    client.deliver("a@example.net", &["alice@example.org", "bob@example.org"], TEXT);
    for user in ["alice", "bob"] {
        house.wait_messages(user, 1);
        let text = fs::read_to_string(&house.messages(user, "")[0]).unwrap();
        assert!(text.contains("(posthaste, from user id ") && text.contains(") with LMTP\n"), "{text}");
    }
}

#[test]
fn we_relay_to_postfix() {
    let mut house = House::new();
    let Some(postfix) = Postfix::start(&house, "") else { return };
    house.set("relayd.smarthost", format!("\"smtp://{}\"", postfix.address()));
    let daemon = Daemon::start(&house, "mail-relayd");
    let mut client = Speaker::tcp(daemon.tcp("submission")).hello().secure();
    client.login("alice", "wonderland");
    for _ in 0..10 {
        client.deliver(
            "alice@example.org",
            &["joe@example.com", "ann@example.com", "nobody@example.com"],
            TEXT,
        );
    }
    for user in ["joe", "ann"] {
        for message in postfix.wait_mail(user, 10) {
            let text = fs::read_to_string(message).unwrap();
            assert!(text.ends_with("Subject: gr\u{fc}n\n\n.dot\nbody\n"), "{text}");
        }
    }
    house.wait_messages("alice", 10);
    let bounce = fs::read_to_string(&house.messages("alice", "")[0]).unwrap();
    let failed = "Final-Recipient: rfc822; nobody@example.com\nAction: failed\nStatus: 5.1.1\n";
    assert!(bounce.contains(failed), "{bounce}");
}
