//! Who may send what: no spelling of a foreign recipient relays for a stranger, and each is routed to exactly its
//! mailbox for somebody who may.

use crate::kit::{daemon::Daemon, house::House, sink::Sink, smtp::Speaker, zone::Zone};

/// What is said in RCPT; the reply to a stranger; the reply to somebody who logged in; and for a 250 what the next host is told.
const SPELLINGS: [(&str, &str, &str, &str); 34] = [
    ("<x@example.com>", "550 5.7.1", "250", "<x@example.com>"),
    ("<X@EXAMPLE.com>", "550 5.7.1", "250", "<X@example.com>"),
    ("<x@sub.example.org>", "550 5.7.1", "250", "<x@sub.example.org>"),
    ("<x@example.org.evil.example>", "550 5.7.1", "250", "<x@example.org.evil.example>"),
    ("<\"x\"@example.com>", "550 5.7.1", "250", "<x@example.com>"),
    ("<\"x y\"@example.com>", "550 5.7.1", "250", "<\"x y\"@example.com>"),
    ("<\"x@example.org\"@example.com>", "550 5.7.1", "250", "<\"x@example.org\"@example.com>"),
    ("<\"x\\\"\"@example.com>", "550 5.7.1", "250", "<\"x\\\"\"@example.com>"),
    ("<x%example.com@example.net>", "550 5.7.1", "250", "<x%example.com@example.net>"),
    ("<example.org!x@example.com>", "550 5.7.1", "250", "<example.org!x@example.com>"),
    ("<x@[192.0.2.1]>", "550 5.7.1", "250", "<x@[192.0.2.1]>"),
    ("<x@[IPv6:2001:db8::1]>", "550 5.7.1", "250", "<x@[IPv6:2001:db8::1]>"),
    ("<x@192.0.2.1>", "550 5.7.1", "250", "<x@192.0.2.1>"),
    ("<x@localhost.example.com>", "550 5.7.1", "250", "<x@localhost.example.com>"),
    ("<x+alice@example.com>", "550 5.7.1", "250", "<x+alice@example.com>"),
    ("< x@example.com>", "501 5.1.3", "501 5.1.3", ""),
    ("<x@example.com.>", "501 5.1.3", "501 5.1.3", ""),
    ("<x@example..com>", "501 5.1.3", "501 5.1.3", ""),
    ("<x@-example.com>", "501 5.1.3", "501 5.1.3", ""),
    ("<x@example_com>", "501 5.1.3", "501 5.1.3", ""),
    ("<x@@example.com>", "501 5.1.3", "501 5.1.3", ""),
    ("<@example.org:x@example.com>", "501 5.1.3", "501 5.1.3", ""),
    ("<@example.org,@mx.example.org:x@example.com>", "501 5.1.3", "501 5.1.3", ""),
    ("<x@example.com@example.org>", "501 5.1.3", "501 5.1.3", ""),
    ("<x@[192.0.2.256]>", "501 5.1.3", "501 5.1.3", ""),
    ("<x@[example.com]>", "501 5.1.3", "501 5.1.3", ""),
    ("<x@ex\u{e4}mple.com>", "553 5.6.7", "553 5.6.7", ""),
    ("<\u{fc}@example.com>", "553 5.6.7", "553 5.6.7", ""),
    ("<x>", "501 5.1.3", "501 5.1.3", ""),
    ("<>", "501 5.1.3", "501 5.1.3", ""),
    ("x@example.com", "501 5.1.3", "501 5.1.3", ""),
    ("<x%example.com@example.org>", "550 5.1.1", "550 5.1.1", ""),
    ("<example.com!x@example.org>", "550 5.1.1", "550 5.1.1", ""),
    ("<\"x@example.com\"@example.org>", "550 5.1.1", "550 5.1.1", ""),
];

#[test]
fn no_spelling_of_a_foreign_recipient_relays_and_each_means_one_mailbox() {
    let mut house = House::new();
    let sink = Sink::start();
    house.set("relayd.smarthost", format!("\"smtp://{}\"", sink.address()));
    let daemon = Daemon::start(&house, "mail-relayd");
    for (spelling, refusal, answer, mailbox) in SPELLINGS {
        let mut stranger = Speaker::tcp(daemon.tcp("smtp")).hello();
        stranger.say("MAIL FROM:<a@example.net>");
        let reply = stranger.say(&format!("RCPT TO:{spelling}"));
        assert!(reply.starts_with(refusal), "{spelling}: {reply}");
        let mut user = Speaker::tcp(daemon.tcp("submission")).hello().secure();
        assert!(user.login("alice", "wonderland").starts_with("235"));
        user.say("MAIL FROM:<alice@example.org>");
        let reply = user.say(&format!("RCPT TO:{spelling}"));
        assert!(reply.starts_with(answer), "{spelling}: {reply}");
        if answer == "250" {
            user.say("DATA");
            assert!(user.say("Subject: x\r\n\r\n.").starts_with("250"));
            sink.wait_line(&format!("RCPT TO:{mailbox}"));
        }
    }
    let asked: Vec<String> = sink.lines().into_iter().filter(|line| line.starts_with("RCPT")).collect();
    let meant = SPELLINGS.iter().filter(|row| row.2 == "250").count();
    assert_eq!(asked.len(), meant, "{asked:?}");
}

#[test]
fn a_login_sends_as_itself_and_its_aliases_and_as_nobody_else() {
    let house = House::new();
    house.write("aliases", "sales: alice\nteam: bob, alice\n");
    house.write(
        "accounts",
        "alice@example.org:{PLAIN}wonderland::::::send_as=ann@example.com\nbob@example.org:{PLAIN}builder::::::\n",
    );
    let daemon = Daemon::start(&house, "mail-relayd");
    let mut client = Speaker::tcp(daemon.tcp("submission")).hello().secure();
    client.login("alice", "wonderland");
    for (sender, code) in [
        ("alice@example.org", "250"),
        ("ALICE+x@example.org", "250"),
        ("sales@example.org", "250"),
        ("team@example.org", "250"),
        ("ann@example.com", "250"),
        ("", "250"),
        ("bob@example.org", "553 5.7.1"),
        ("nobody@example.org", "553 5.7.1"),
        ("alice@example.com", "553 5.7.1"),
        ("\"alice@example.org\"@example.com", "553 5.7.1"),
    ] {
        let reply = client.say(&format!("MAIL FROM:<{sender}>"));
        assert!(reply.starts_with(code), "{sender}: {reply}");
        client.say("RSET");
    }
}

#[test]
fn trusted_addresses_and_relay_domains_need_no_login() {
    let mut house = House::new();
    let sink = Sink::start();
    house.set("relayd.smarthost", format!("\"smtp://{}\"", sink.address()));
    house.set("relayd.relay_domains", "[\"backup.example\"]");
    let rcpt = |daemon: &Daemon, to: &str| {
        let mut client = Speaker::tcp(daemon.tcp("smtp")).hello();
        client.say("MAIL FROM:<a@example.net>");
        client.say(&format!("RCPT TO:<{to}>"))
    };
    let daemon = Daemon::start(&house, "mail-relayd");
    assert!(rcpt(&daemon, "x@backup.example").starts_with("250"));
    assert!(rcpt(&daemon, "x@sub.backup.example").starts_with("550 5.7.1"));
    assert!(daemon.stop().success());
    house.set("relayd.relay_from", "[\"127.0.0.0/8\"]");
    let daemon = Daemon::start(&house, "mail-relayd");
    assert!(rcpt(&daemon, "x@example.com").starts_with("250"));
    assert!(rcpt(&daemon, "nobody@example.org").starts_with("550 5.1.1"));
}

#[test]
fn names_of_the_machine_have_a_reader_without_an_account() {
    let house = House::new();
    let daemon = Daemon::start(&house, "mail-relayd");
    let mut client = Speaker::tcp(daemon.tcp("smtp")).hello();
    let to = [
        "postmaster",
        "Postmaster@mx.example.org",
        "root@localhost",
        "abuse@example.org",
        "MAILER-DAEMON@mx.example.org",
    ];
    for to in to {
        client.deliver("a@example.net", &[to], "Subject: x\n\n");
    }
    assert_eq!(house.messages("alice", "").len(), to.len());
}

#[test]
fn a_domain_that_takes_no_mail_sends_none_and_gets_none() {
    let mut house = House::new();
    let zone = Zone::start();
    zone.null_mx("null.example").mx("example.net", 10, "mx.example.net");
    house.set("relayd.dns", format!("[\"{}\"]", zone.address()));
    let daemon = Daemon::start(&house, "mail-relayd");
    let mut stranger = Speaker::tcp(daemon.tcp("smtp")).hello();
    assert!(stranger.say("MAIL FROM:<a@null.example>").starts_with("550 5.7.27"));
    assert!(stranger.say("MAIL FROM:<a@example.net>").starts_with("250"));
    stranger.say("RSET");
    assert!(stranger.say("MAIL FROM:<a@missing.example>").starts_with("250"));
    let mut user = Speaker::tcp(daemon.tcp("submission")).hello().secure();
    user.login("alice", "wonderland");
    user.say("MAIL FROM:<alice@example.org>");
    assert!(user.say("RCPT TO:<x@null.example>").starts_with("556 5.1.10"));
    assert!(user.say("RCPT TO:<x@example.net>").starts_with("250"));
}

#[test]
fn a_full_account_is_refused_for_now() {
    let mut house = House::new();
    house.set("accounts.quota", "\"2K\"");
    let daemon = Daemon::start(&house, "mail-relayd");
    let mut client = Speaker::tcp(daemon.tcp("smtp")).hello();
    client.deliver("a@example.net", &["alice@example.org"], &"0123456789\n".repeat(200));
    client.say("MAIL FROM:<a@example.net>");
    assert!(client.say("RCPT TO:<alice@example.org>").starts_with("452 4.2.2"));
    assert!(client.say("RCPT TO:<bob@example.org>").starts_with("250"));
    client.say("RSET");
    client.say("MAIL FROM:<a@example.net> SIZE=4000");
    assert!(client.say("RCPT TO:<bob@example.org>").starts_with("452 4.2.2"));
}

#[test]
fn a_quota_counts_what_was_delivered_a_moment_ago_and_guesses_cost_the_disk_nothing() {
    let house = House::new();
    house.write("accounts", "alice@example.org:{PLAIN}x::::::userdb_quota_rule=*:bytes=2000\n");
    let daemon = Daemon::start(&house, "mail-relayd");
    let mut client = Speaker::tcp(daemon.tcp("smtp")).hello();
    let large = format!("Subject: x\n\n{}", "0123456789\n".repeat(100));
    client.deliver("a@example.net", &["alice@example.org"], &large);
    client.say("MAIL FROM:<a@example.net> SIZE=1200");
    assert!(client.say("RCPT TO:<alice@example.org>").starts_with("452 4.2.2"));
    // The folders are not read anew: were they, the message that is gone would make room.
    std::fs::remove_file(&house.messages("alice", "")[0]).unwrap();
    for _ in 0..5 {
        assert!(client.say("RCPT TO:<alice@example.org>").starts_with("452 4.2.2"));
    }
}
