//! Extensions of SMTP through the whole chain: counted parts, letters beyond ASCII, and reports that a sender wishes for.

use crate::kit::{
    daemon::Daemon,
    house::House,
    sink::{Act, Sink, Stage},
    smtp::Speaker,
};
use std::fs;

/// A house that trusts everybody here and sends what is not its own to `sink`.
fn house(sink: &Sink) -> House {
    let mut house = House::new();
    house.set("relayd.smarthost", format!("\"smtp://{}\"", sink.address()));
    house.set("relayd.relay_from", "[\"127.0.0.1\"]");
    house
}

/// One message: the replies to MAIL, RCPT and the end of the text.
fn send(client: &mut Speaker, mail: &str, rcpt: &str, text: &str) -> [String; 3] {
    let replies = [client.say(&format!("MAIL FROM:{mail}")), client.say(&format!("RCPT TO:{rcpt}"))];
    assert!(client.say("DATA").starts_with("354"), "{replies:?}");
    let [mail, rcpt] = replies;
    [mail, rcpt, client.say(&format!("{}\r\n.", text.replace('\n', "\r\n")))]
}

#[test]
fn a_large_message_in_parts_arrives_as_it_was_in_maildirs_and_over_the_spool() {
    let sink = Sink::start();
    let house = house(&sink);
    let daemon = Daemon::start(&house, "mail-relayd");
    let text: String = (0..5000).map(|n| format!(".line {n} of a message that comes in parts\r\n")).collect();
    let text = format!("Subject: parts\r\n\r\n{text}");
    // An odd number, so that parts end anywhere.
    let parts: Vec<&[u8]> = text.as_bytes().chunks(9973).collect();
    for to in [["alice", "alice"], ["alice", "bob"]] {
        let mut client = Speaker::tcp(daemon.tcp("smtp")).hello();
        let mut said = b"MAIL FROM:<a@example.net>\r\n".to_vec();
        for to in to {
            said.extend_from_slice(format!("RCPT TO:<{to}@example.org>\r\n").as_bytes());
        }
        for part in &parts {
            said.extend_from_slice(format!("BDAT {}\r\n", part.len()).as_bytes());
            said.extend_from_slice(part);
        }
        said.extend_from_slice(b"BDAT 0 LAST\r\n");
        client.write(&said).unwrap();
        for _ in 0..parts.len() + 4 {
            let reply = client.reply();
            assert!(reply.starts_with("250 "), "{reply}");
        }
    }
    house.wait_messages("alice", 2);
    house.wait_messages("bob", 1);
    let wanted = text.replace("\r\n", "\n");
    for path in [house.messages("alice", ""), house.messages("bob", "")].concat() {
        let got = fs::read_to_string(&path).unwrap();
        assert!(got.ends_with(&wanted), "{}", path.display());
    }
}

#[test]
fn a_message_that_was_begun_in_parts_and_left_leaves_nothing() {
    let sink = Sink::start();
    let house = house(&sink);
    let daemon = Daemon::start(&house, "mail-relayd");
    let part = "x".repeat(998) + "\r\n";
    let part = part.repeat(100);
    for end in ["RSET", "EHLO again.example"] {
        let mut client = Speaker::tcp(daemon.tcp("smtp")).hello();
        client.say("MAIL FROM:<a@example.net>");
        client.say("RCPT TO:<alice@example.org>");
        client.write(format!("BDAT {}\r\n{part}{end}\r\n", part.len()).as_bytes()).unwrap();
        assert!(client.reply().starts_with("250 2.0.0 Go on"));
        assert!(client.reply().starts_with("250"));
        assert!(client.say("BDAT 0 LAST").starts_with("503 5.5.1"));
        client.deliver("a@example.net", &["bob@example.org"], "Subject: after\n\n");
    }
    assert!(house.messages("alice", "").is_empty());
    assert_eq!(house.messages("bob", "").len(), 2);
    let left = fs::read_dir(house.maildir("alice").join("tmp")).map_or(0, Iterator::count);
    assert_eq!(left, 0);
}

/// MAIL's argument without SIZE.
fn words(mail: &str) -> String {
    mail.split(' ').filter(|word| !word.starts_with("SIZE=")).collect::<Vec<_>>().join(" ")
}

const PLAIN: &str = "Subject: hello\n\nbody\n";

#[test]
fn a_recipient_beyond_ascii_is_found_here_and_the_trace_says_how_it_came() {
    let sink = Sink::start();
    let house = house(&sink);
    house.write("aliases", "j\u{f6}rg: alice\n");
    let daemon = Daemon::start(&house, "mail-relayd");
    let mut client = Speaker::tcp(daemon.tcp("smtp")).hello();
    let replies = send(
        &mut client,
        "<\u{7528}@example.net> SMTPUTF8",
        "<j\u{f6}rg@example.org>",
        "Subject: gr\u{fc}n\n",
    );
    assert!(replies.iter().all(|reply| reply.starts_with("250")), "{replies:?}");
    let text = fs::read_to_string(&house.messages("alice", "")[0]).unwrap();
    for line in [
        "Return-Path: <\u{7528}@example.net>\n",
        "Delivered-To: alice@example.org\n",
        " with UTF8SMTP\n",
        "\tfor <j\u{f6}rg@example.org>; ",
        "\nSubject: gr\u{fc}n\n",
    ] {
        assert!(text.contains(line), "{line:?} in {text}");
    }
    // Our own field brings no letter beyond ASCII into a header that has none.
    send(&mut client, "<a@example.net> SMTPUTF8", "<j\u{f6}rg@example.org>", PLAIN);
    let texts = house.messages("alice", "").into_iter().map(|path| fs::read_to_string(path).unwrap());
    assert_eq!(texts.filter(|text| text.is_ascii() && text.contains(" with ESMTP\n")).count(), 1);
    // Not so without the parameter.
    assert!(client.say("MAIL FROM:<a@example.net>").starts_with("250"));
    assert!(client.say("RCPT TO:<j\u{f6}rg@example.org>").starts_with("553 5.6.7"));
}

#[test]
fn what_needs_smtputf8_goes_only_where_it_is_offered_and_what_does_not_goes_anywhere() {
    for offered in [true, false] {
        let sink = Sink::start();
        if offered {
            sink.offer(&["8BITMIME", "SMTPUTF8"]);
        }
        let house = house(&sink);
        let daemon = Daemon::start(&house, "mail-relayd");
        let mut client = Speaker::tcp(daemon.tcp("smtp")).hello();
        // In truth ASCII; a recipient; a header.
        let cases = [
            ("<x@example.com>", PLAIN, false),
            ("<j\u{f6}@example.com>", PLAIN, true),
            ("<x@example.com>", "Subject: gr\u{fc}n\n\nbody\n", true),
        ];
        let mut went = Vec::new();
        for (to, text, needs) in cases {
            let replies = send(&mut client, "<alice@example.org> SMTPUTF8", to, text);
            assert!(replies.iter().all(|reply| reply.starts_with("250")), "{replies:?}");
            went.extend((offered || !needs).then_some((to, needs)));
        }
        let mut got: Vec<_> =
            sink.wait(went.len()).iter().map(|got| (words(&got.mail), got.rcpts[0].clone())).collect();
        let mut wanted: Vec<_> = went
            .into_iter()
            .map(|(to, needs)| {
                let word = if needs { " SMTPUTF8" } else { "" };
                (format!("FROM:<alice@example.org>{word}"), format!("TO:{to}"))
            })
            .collect();
        got.sort();
        wanted.sort();
        assert_eq!(got, wanted);
        if !offered {
            house.wait_messages("alice", 2);
            let bounces: Vec<_> =
                house.messages("alice", "").iter().map(|path| fs::read_to_string(path).unwrap()).collect();
            assert!(bounces.iter().all(|text| text.contains("\nStatus: 5.6.7\n")), "{bounces:?}");
            let found = |text: &String| text.contains("\nFinal-Recipient: utf-8; j\\x{F6}@example.com\n");
            assert!(bounces.iter().any(found), "{bounces:?}");
        }
    }
}

/// What stands in bob's mailbox.
fn of_bob(house: &House) -> Vec<String> {
    house.messages("bob", "").iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn who_wishes_to_be_told_of_delivery_is_told_and_nobody_else() {
    let sink = Sink::start();
    let house = house(&sink);
    house.write("aliases", "staff: alice\n");
    let daemon = Daemon::start(&house, "mail-relayd");
    let mut client = Speaker::tcp(daemon.tcp("smtp")).hello();
    client.say("MAIL FROM:<bob@example.org> ENVID=QQ+20314 RET=FULL");
    for rcpt in [
        "<staff@example.org> NOTIFY=SUCCESS ORCPT=rfc822;team+2Bx@example.org",
        "<x@example.com> NOTIFY=SUCCESS,FAILURE",
        "<y@example.com> NOTIFY=FAILURE",
        "<z@example.com>",
    ] {
        let reply = client.say(&format!("RCPT TO:{rcpt}"));
        assert!(reply.starts_with("250"), "{rcpt}: {reply}");
    }
    assert!(client.say("DATA").starts_with("354"));
    assert!(client.say("Subject: hello\r\n\r\nbody\r\n.").starts_with("250"));
    // The sink does not offer DSN: nothing of it is said there.
    let got = &sink.wait(1)[0];
    assert_eq!(words(&got.mail), "FROM:<bob@example.org>");
    assert_eq!(got.rcpts, ["TO:<x@example.com>", "TO:<y@example.com>", "TO:<z@example.com>"]);
    house.wait_messages("bob", 1);
    assert_eq!(house.messages("alice", "").len(), 1);
    let report = of_bob(&house).pop().unwrap();
    for part in [
        "\nSubject: Your message was delivered\n",
        "\nOriginal-Envelope-Id: QQ 314\n",
        "\nOriginal-Recipient: rfc822; team+x@example.org\nFinal-Recipient: rfc822; alice@example.org\nAction: delivered\nStatus: 2.0.0\n",
        "\nFinal-Recipient: rfc822; x@example.com\nAction: relayed\nStatus: 2.0.0\nRemote-MTA: dns; ",
        "\nContent-Type: text/rfc822-headers\n",
    ] {
        assert!(report.contains(part), "{part:?} in {report}");
    }
    assert!(!report.contains("y@example.com") && !report.contains("\nbody\n"), "{report}");
}

#[test]
fn what_a_sender_wishes_goes_on_to_who_offers_dsn_and_is_then_told_there() {
    let sink = Sink::start();
    sink.offer(&["DSN"]);
    let house = house(&sink);
    let daemon = Daemon::start(&house, "mail-relayd");
    let mut client = Speaker::tcp(daemon.tcp("smtp")).hello();
    client.say("MAIL FROM:<bob@example.org> ENVID=a+2Bb RET=HDRS");
    client.say("RCPT TO:<x@example.com> NOTIFY=SUCCESS ORCPT=rfc822;x+2By@example.org");
    client.say("RCPT TO:<y@example.com> NOTIFY=NEVER");
    assert!(client.say("DATA").starts_with("354"));
    assert!(client.say("Subject: hello\r\n\r\nbody\r\n.").starts_with("250"));
    let got = &sink.wait(1)[0];
    assert_eq!(got.mail, "FROM:<bob@example.org> RET=HDRS ENVID=a+2Bb");
    assert_eq!(
        got.rcpts,
        [
            "TO:<x@example.com> NOTIFY=SUCCESS ORCPT=rfc822;x+2By@example.org",
            "TO:<y@example.com> NOTIFY=NEVER"
        ]
    );
    // A message sent behind it is delivered, and no report came before.
    client.deliver("a@example.net", &["bob@example.org", "z@example.com"], "Subject: behind\n\n");
    sink.wait(2);
    house.wait_messages("bob", 1);
    assert!(of_bob(&house)[0].contains("\nSubject: behind\n"));
}

#[test]
fn failures_are_told_to_who_wishes_and_bring_back_as_much_as_was_wished_for() {
    let sink = Sink::start();
    sink.always(Stage::Rcpt, "", Act::Say("550 5.1.1 nobody".into()));
    let house = house(&sink);
    let daemon = Daemon::start(&house, "mail-relayd");
    let mut client = Speaker::tcp(daemon.tcp("smtp")).hello();
    let large = "0123456789abcdef\r\n".repeat(20_000);
    let cases = [
        ("", "", "body\r\n", Some("text/rfc822-headers")),
        (" RET=HDRS", " NOTIFY=FAILURE", "body\r\n", Some("text/rfc822-headers")),
        (" RET=FULL", " NOTIFY=FAILURE,DELAY", "body\r\n", Some("message/rfc822")),
        (" RET=FULL", "", large.as_str(), Some("text/rfc822-headers")),
        (" RET=FULL", " NOTIFY=NEVER", "body\r\n", None),
        ("", " NOTIFY=SUCCESS,DELAY", "body\r\n", None),
    ];
    let mut told = 0;
    for (case, (mail, rcpt, body, kind)) in cases.into_iter().enumerate() {
        client.say(&format!("MAIL FROM:<bob@example.org>{mail}"));
        client.say(&format!("RCPT TO:<x{case}@example.com>{rcpt}"));
        assert!(client.say("DATA").starts_with("354"));
        assert!(client.say(&format!("Subject: case {case}\r\n\r\n{body}.")).starts_with("250"));
        daemon.logged(&format!("to=x{case}@example.com why="));
        let Some(kind) = kind else { continue };
        told += 1;
        house.wait_messages("bob", told);
        let reports = of_bob(&house);
        let report = reports.iter().find(|text| text.contains(&format!("Subject: case {case}\n"))).unwrap();
        assert!(report.contains(&format!("\nContent-Type: {kind}\n")), "{report}");
        assert_eq!(report.contains("\nbody\n"), kind == "message/rfc822", "{report}");
    }
    // One more that is told comes behind what was not.
    client.deliver("bob@example.org", &["last@example.com"], "Subject: last\n\n");
    let line = daemon.logged("to=last@example.com why=");
    let id = line.split(' ').find_map(|word| word.strip_prefix("id=")).unwrap();
    daemon.logged(&format!(" of={id}"));
    let log = daemon.log();
    assert_eq!(log.lines().filter(|line| line.contains(" bounced ")).count(), told + 1, "{log}");
}
