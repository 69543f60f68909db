//! The first walk: a message from a stranger to a Maildir, and through a smarthost.

use crate::kit::{daemon::Daemon, house::House, sink::Sink};
use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
};

fn smtp(daemon: &Daemon, door: &str, script: &[&str]) -> Vec<String> {
    let mut stream = TcpStream::connect(daemon.tcp(door)).unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    let mut replies = Vec::new();
    let mut read = || {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(lines.read_line(&mut line).unwrap() > 0, "closed");
            if line.as_bytes()[3] == b' ' {
                return line.trim_end().to_owned();
            }
        }
    };
    replies.push(read());
    for line in script {
        stream.write_all(format!("{line}\r\n").as_bytes()).unwrap();
        replies.push(read());
    }
    replies
}

#[test]
fn a_message_from_a_stranger_stands_in_the_maildir_when_it_is_acknowledged() {
    let house = House::new();
    let daemon = Daemon::start(&house, "mail-relayd");
    let replies = smtp(
        &daemon,
        "smtp",
        &[
            "EHLO client.example",
            "MAIL FROM:<a@example.net>",
            "RCPT TO:<alice@example.org>",
            "DATA",
            "Subject: hello\r\n\r\nbody\r\n.",
            "QUIT",
        ],
    );
    assert!(replies[5].starts_with("250 2.0.0"), "{replies:?}");
    let messages = house.messages("alice", "");
    assert_eq!(messages.len(), 1);
    let text = std::fs::read_to_string(&messages[0]).unwrap();
    assert!(text.starts_with("Return-Path: <a@example.net>\nDelivered-To: alice@example.org\nReceived: from client.example ([127.0.0.1])\n"), "{text}");
    assert!(text.ends_with("\nSubject: hello\n\nbody\n"), "{text}");
    assert!(daemon.stop().success());
}

#[test]
fn a_local_program_sends_through_the_smarthost() {
    let mut house = House::new();
    let sink = Sink::start();
    house.set("relayd.smarthost", format!("\"smtp://{}\"", sink.address()));
    house.set("relayd.relay_from", "[\"127.0.0.1\"]");
    let daemon = Daemon::start(&house, "mail-relayd");
    let replies = smtp(
        &daemon,
        "smtp",
        &[
            "EHLO client.example",
            "MAIL FROM:<a@example.net>",
            "RCPT TO:<x@example.com>",
            "DATA",
            "Subject: hello\r\n\r\nbody\r\n.",
            "QUIT",
        ],
    );
    assert!(replies[5].starts_with("250 2.0.0"), "{replies:?}");
    let got = sink.wait(1);
    assert_eq!(got[0].rcpts, ["TO:<x@example.com>"]);
}
