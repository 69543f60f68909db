//! Extensions of SMTP through the whole chain: counted parts, and letters beyond ASCII.

use crate::kit::{daemon::Daemon, house::House, sink::Sink, smtp::Speaker};
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
