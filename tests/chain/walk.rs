//! One message's walk: in by every door, to a Maildir here, to a smarthost, to another host of ours.

use crate::kit::{daemon::Daemon, house::House, sink::Sink, smtp::Speaker, zone::Zone};
use std::{fs, path::Path};

const TEXT: &str = "Subject: hello\n\nbody\n";

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

/// A field's body, unfolded; empty where there is none.
fn field(text: &str, name: &str) -> String {
    let header = text.split("\n\n").next().unwrap().replace("\n\t", " ");
    let start = format!("{name}: ");
    header.lines().find_map(|line| line.strip_prefix(&start)).unwrap_or_default().to_owned()
}

#[test]
fn a_strangers_message_stands_in_the_maildir_when_it_is_acknowledged() {
    let house = House::new();
    let daemon = Daemon::start(&house, "mail-relayd");
    let mut client = Speaker::tcp(daemon.tcp("smtp")).hello();
    let reply = client.deliver("a@example.net", &["Alice@Example.ORG"], TEXT);
    let messages = house.messages("alice", "");
    assert_eq!(messages.len(), 1);
    let got = text(&messages[0]);
    let id = reply.strip_prefix("250 2.0.0 Ok, ").unwrap();
    assert!(messages[0].to_str().unwrap().contains(id), "{reply}");
    let top = format!(
        "Return-Path: <a@example.net>\nDelivered-To: Alice@example.org\nReceived: from client.example ([127.0.0.1])\n\
         \tby mx.example.org (posthaste) with ESMTP\n\tid {id}\n\tfor <Alice@example.org>; "
    );
    assert!(got.starts_with(&top), "{got}");
    assert!(got.ends_with("\nSubject: hello\n\nbody\n"), "{got}");
    assert_eq!(field(&got, "Message-ID"), "", "a relayed message is not touched");
    assert!(daemon.logged("delivered").contains(id));
}

#[test]
fn submission_goes_through_another_server_of_ours_to_its_maildir() {
    let (mut here, mut there) = (House::new(), House::new());
    there.set("hostname", "\"mx.example.com\"").set("accounts.domains", "[\"example.com\"]");
    there.write("accounts", "carol@example.com:{PLAIN}x::::::\n");
    let second = Daemon::start(&there, "mail-relayd");
    let zone = Zone::start();
    zone.mx("example.com", 10, "mx.example.com").host("mx.example.com", "127.0.0.1");
    here.set("relayd.dns", format!("[\"{}\"]", zone.address()));
    here.set("relayd.mx_port", second.tcp("smtp").port().to_string());
    let first = Daemon::start(&here, "mail-relayd");
    let mut client = Speaker::tcp(first.tcp("submission")).hello().secure();
    assert!(client.say("MAIL FROM:<alice@example.org>").starts_with("530 5.7.0"));
    assert!(client.login("alice", "wonderland").starts_with("235 2.7.0"));
    client.deliver("alice@example.org", &["carol@example.com"], TEXT);
    second.logged("delivered");
    let messages: Vec<_> = fs::read_dir(there.path("mail/example.com/carol/new")).unwrap().collect();
    let got = text(&messages[0].as_ref().unwrap().path());
    assert!(got.contains("with ESMTPSA"), "{got}");
    assert!(
        got.contains("Received: by mx.example.org (posthaste) with ESMTPSA\n\t(using TLSv1.3 with "),
        "{got}"
    );
    assert!(
        got.contains(
            "Received: from mx.example.org ([127.0.0.1])\n\tby mx.example.com (posthaste) with ESMTPS\n"
        ),
        "opportunistic TLS: {got}"
    );
    assert_ne!(field(&got, "Date"), "");
    assert!(field(&got, "Message-ID").ends_with("@mx.example.org>"), "{got}");
    first.logged("sent");
}

#[test]
fn what_is_not_ours_goes_to_the_smarthost_in_one_transaction() {
    let mut house = House::new();
    let sink = Sink::start();
    house.set("relayd.smarthost", format!("\"smtp://{}\"", sink.address()));
    let daemon = Daemon::start(&house, "mail-relayd");
    let mut client = Speaker::tls(daemon.tcp("submissions")).hello();
    client.login("alice@example.org", "wonderland");
    let text = "Date: x\nMessage-ID: <1@a>\nSubject: hello\n\n..dots\nbody\n";
    client.deliver("alice@example.org", &["x@example.com", "y@example.net", "bob@example.org"], text);
    let got = sink.wait(1).remove(0);
    let mut rcpts = got.rcpts.clone();
    rcpts.sort();
    assert_eq!(rcpts, ["TO:<x@example.com>", "TO:<y@example.net>"]);
    assert!(got.mail.starts_with("FROM:<alice@example.org>"), "{}", got.mail);
    let received = String::from_utf8(got.text).unwrap();
    assert!(
        received.ends_with("\r\nDate: x\r\nMessage-ID: <1@a>\r\nSubject: hello\r\n\r\n.dots\r\nbody\r\n"),
        "{received}"
    );
    assert!(!received.contains("127.0.0.1") && !received.contains("for <"), "{received}");
    daemon.logged("account=bob@example.org");
    assert_eq!(house.messages("bob", "").len(), 1);
}

#[test]
fn a_local_program_needs_no_login_and_is_known_by_its_user() {
    let mut house = House::new();
    let sink = Sink::start();
    house.set("relayd.smarthost", format!("\"smtp://{}\"", sink.address()));
    house.write("aliases", "root: alice\n");
    let daemon = Daemon::start(&house, "mail-relayd");
    let mut client = Speaker::unix(house.path("run/submit")).hello();
    client.deliver("root", &["x@example.com"], TEXT);
    let got = sink.wait(1).remove(0);
    assert!(got.mail.starts_with("FROM:<root@mx.example.org>"), "{}", got.mail);
    let uid = rustix::process::getuid().as_raw();
    let received = String::from_utf8(got.text).unwrap();
    assert!(
        received.starts_with(&format!("Received: by mx.example.org (posthaste, from user id {uid})")),
        "{received}"
    );
    client.deliver("root", &["root"], TEXT);
    assert_eq!(house.messages("alice", "").len(), 1, "{}", daemon.log());
}

#[test]
fn lmtp_takes_local_recipients_and_answers_for_each() {
    let house = House::new();
    let _daemon = Daemon::start(&house, "mail-relayd");
    let mut client = Speaker::unix(house.path("run/lmtp"));
    assert!(client.say("LHLO client.example").starts_with("250"));
    client.say("MAIL FROM:<>");
    assert!(client.say("RCPT TO:<alice@example.org>").starts_with("250"));
    assert!(client.say("RCPT TO:<x@example.com>").starts_with("550 5.7.1"));
    assert!(client.say("RCPT TO:<nobody@example.org>").starts_with("550 5.1.1"));
    assert!(client.say("RCPT TO:<bob@example.org>").starts_with("250"));
    assert!(client.say("DATA").starts_with("354"));
    assert!(client.say("Subject: x\r\n\r\nbody\r\n.").starts_with("250 2.0.0"));
    assert!(client.reply().starts_with("250 2.0.0"));
    assert_eq!((house.messages("alice", "").len(), house.messages("bob", "").len()), (1, 1));
}

#[test]
fn eight_local_recipients_are_served_before_the_reply_and_nine_by_the_spool() {
    let house = House::new();
    let users: Vec<String> = (0..9).map(|n| format!("u{n}")).collect();
    let accounts: String =
        users.iter().map(|user| format!("{user}@example.org:{{PLAIN}}x::::::\n")).collect();
    house.write("accounts", accounts);
    let daemon = Daemon::start(&house, "mail-relayd");
    let addresses: Vec<String> = users.iter().map(|user| format!("{user}@example.org")).collect();
    let all: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let mut client = Speaker::tcp(daemon.tcp("smtp")).hello();
    client.deliver("a@example.net", &all[..8], TEXT);
    let kept: Vec<usize> = users.iter().map(|user| house.messages(user, "").len()).collect();
    assert_eq!(kept, [1, 1, 1, 1, 1, 1, 1, 1, 0]);
    client.deliver("a@example.net", &all, TEXT);
    for user in &users {
        daemon.logged(&format!("delivered id={} to={user}@example.org account=", queued(&daemon)));
    }
    let kept: Vec<usize> = users.iter().map(|user| house.messages(user, "").len()).collect();
    assert_eq!(kept, [2, 2, 2, 2, 2, 2, 2, 2, 1]);
}

/// The id in the first line that says that a message was queued.
fn queued(daemon: &Daemon) -> String {
    let line = daemon.logged(" queued ");
    line.split(" id=").nth(1).unwrap().split(' ').next().unwrap().to_owned()
}

#[test]
fn a_large_message_streams_to_one_recipient_and_by_the_spool_to_several() {
    let house = House::new();
    let daemon = Daemon::start(&house, "mail-relayd");
    let body = "0123456789 0123456789 0123456789 0123456789\n".repeat(20_000);
    let text = format!("Subject: large\n\n{body}");
    let mut client = Speaker::tcp(daemon.tcp("smtp")).hello();
    client.deliver("a@example.net", &["alice@example.org"], &text);
    let messages = house.messages("alice", "");
    assert!(fs::read_to_string(&messages[0]).unwrap().ends_with(&format!("\nSubject: large\n\n{body}")));
    client.deliver("a@example.net", &["alice@example.org", "bob@example.org"], &text);
    daemon.logged("to=bob@example.org account=");
    daemon.logged(&format!("id={} to=alice@example.org account=", queued(&daemon)));
    for user in ["alice", "bob"] {
        let last = house.messages(user, "").pop().unwrap();
        assert!(fs::read_to_string(last).unwrap().ends_with(&format!("\nSubject: large\n\n{body}")));
    }
}

#[test]
fn aliases_lead_to_each_mailbox_once_and_a_subaddress_into_its_folder() {
    let mut house = House::new();
    let sink = Sink::start();
    house.set("relayd.smarthost", format!("\"smtp://{}\"", sink.address()));
    house.write("aliases", "team: alice, bob, x@example.com\nsales: team, bob\n");
    fs::create_dir_all(house.maildir("bob").join(".Lists/new")).unwrap();
    for part in ["cur", "tmp", "../new", "../cur", "../tmp"] {
        fs::create_dir_all(house.maildir("bob").join(".Lists").join(part)).unwrap();
    }
    let daemon = Daemon::start(&house, "mail-relayd");
    let mut client = Speaker::tcp(daemon.tcp("smtp")).hello();
    client.deliver("a@example.net", &["sales@example.org", "team@example.org", "alice@example.org"], TEXT);
    assert_eq!(sink.wait(1)[0].rcpts, ["TO:<x@example.com>"]);
    daemon.logged("to=alice@example.org account=");
    daemon.logged("to=bob@example.org account=");
    assert_eq!((house.messages("alice", "").len(), house.messages("bob", "").len()), (1, 1));
    client.deliver("a@example.net", &["bob+lists@example.org"], TEXT);
    client.deliver("a@example.net", &["bob+nowhere@example.org"], TEXT);
    assert_eq!((house.messages("bob", ".Lists").len(), house.messages("bob", "").len()), (1, 2));
}

#[test]
fn a_mailbox_that_can_not_be_written_gets_its_copy_later_and_the_others_at_once() {
    let mut house = House::new();
    house.set("relayd.retry", "[\"1s\"]");
    fs::create_dir_all(house.path("mail/example.org")).unwrap();
    fs::write(house.maildir("bob"), "in the way").unwrap();
    let daemon = Daemon::start(&house, "mail-relayd");
    let mut client = Speaker::tcp(daemon.tcp("smtp")).hello();
    client.deliver("a@example.net", &["alice@example.org", "bob@example.org"], TEXT);
    assert_eq!(house.messages("alice", "").len(), 1);
    daemon.logged("put off");
    fs::remove_file(house.maildir("bob")).unwrap();
    house.wait_messages("bob", 1);
    assert_eq!(house.messages("alice", "").len(), 1);
    fs::remove_dir_all(house.maildir("bob")).unwrap();
    fs::write(house.maildir("bob"), "in the way").unwrap();
    let replies = client.send("a@example.net", &["bob@example.org"], TEXT);
    assert!(replies[2].starts_with("451 4.3.0"), "{replies:?}");
}
