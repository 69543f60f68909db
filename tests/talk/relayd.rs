//! The SMTP server's dialogues and refusals once more, against `mail-relayd` itself: what its agent, its driver and its sockets
//! make of them.

use super::refusals::{Connected, EARLY, ROWS, Row, SUBMISSION, Text, dialogue};
use crate::kit::{
    daemon::Daemon,
    house::House,
    talk::{self, Conn, Pace, Side, Talk},
};
use std::{
    io::{Read, Write},
    net::TcpStream,
    process::Stdio,
};

/// The listener that is set up as a dialogue wants; `None` where it needs the scripted town or what no listener has.
fn door(talk: &Talk) -> Option<&'static str> {
    let settings: Vec<String> = talk.settings().map(|(key, value)| format!("{key} {value}")).collect();
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    match settings.as_slice() {
        ["tls offered"] => Some("smtp"),
        ["dialect submission", "tls offered", "logins offered"] => Some("submission"),
        ["dialect submission", "tls standing", "logins offered"] => Some("submissions"),
        ["dialect lmtp"] => Some("lmtp"),
        ["dialect submission", "login alice@example.org", "bare "] => Some("local"),
        _ => None,
    }
}

fn house() -> House {
    let mut house = House::new();
    house.set("size_limit", "1000");
    house
}

#[test]
fn every_dialogue_is_kept_to_on_stdin_and_stdout() {
    let house = house();
    let mut played = std::collections::BTreeSet::new();
    for talk in talk::folder("smtp", Side::Server) {
        let Some(door) = door(&talk).filter(|_| !talk.needs_session()) else { continue };
        // Over --stdio TLS that stands at once would have to be made by the player.
        if door == "submissions" {
            continue;
        }
        talk.play_stdio(|_| {
            let mut command = house.command("mail-relayd");
            command.arg(format!("--stdio={door}"));
            command
        });
        played.insert(door);
    }
    assert!(played.into_iter().eq(["lmtp", "local", "smtp", "submission"]));
}

#[test]
fn every_dialogue_is_kept_to_on_a_socket() {
    let house = house();
    let daemon = Daemon::start(&house, "mail-relayd");
    for talk in talk::folder("smtp", Side::Server) {
        if let Some(door) = door(&talk) {
            talk.play_conn(|_| connect(&daemon, door));
        }
    }
}

fn connect(daemon: &Daemon, door: &str) -> Conn {
    let address = daemon.address(door);
    match address.strip_prefix("unix:") {
        Some(path) => Conn::unix(std::os::unix::net::UnixStream::connect(path).unwrap()),
        None => {
            let conn = Conn::tcp(TcpStream::connect(daemon.tcp(door)).unwrap());
            if door == "submissions" { conn.secured() } else { conn }
        }
    }
}

#[test]
fn each_refusal_is_given_on_a_socket() {
    let house = house();
    let daemon = Daemon::start(&house, "mail-relayd");
    // What only the town does, and what listeners are not set up for.
    let towns = ["full@", "slow@", "broken", "disk full", "AUTH=", "STARTTLS"];
    let mut played = 0;
    for row in ROWS.iter().filter(|row| !towns.iter().any(|word| row.2.contains(word))) {
        let door = match row.0 {
            "" => "smtp",
            SUBMISSION => "submissions",
            "@ dialect lmtp\n" => "lmtp",
            _ => continue,
        };
        let talk = Talk::parse(row.2, &dialogue(row), Side::Server);
        if !talk.needs_session() {
            talk.play_conn(|_| connect(&daemon, door));
            played += 1;
        }
    }
    assert!(played > 100, "{played}");
    daemon.logged("reply=\"550 5.5.2 The message holds a bare CR");
    let is_taken = |row: &&Row| match row.1 {
        Text => row.2.ends_with("C: .\nS: 250 ..."),
        _ => row.2.contains(" LAST\n") && row.2.ends_with("\nS: 250 2.0.0 ..."),
    };
    let taken = ROWS.iter().filter(is_taken).count();
    assert_eq!(house.messages("alice", "").len(), 2 * taken, "one that was refused was kept");
}

#[test]
fn who_speaks_before_his_turn_is_sent_away() {
    let house = house();
    let daemon = Daemon::start(&house, "mail-relayd");
    let mut played = 0;
    for row in EARLY.iter().filter(|row: &&Row| !matches!(row.1, Connected)) {
        let door = if row.0 == SUBMISSION { "submissions" } else { "smtp" };
        Talk::parse(row.2, &dialogue(row), Side::Server)
            .play_conn_at(Pace::Whole, |_| connect(&daemon, door));
        played += 1;
    }
    assert_eq!(played, 9);
}

#[test]
fn who_speaks_before_the_greeting_is_sent_away() {
    let house = house();
    let mut played = 0;
    for row in EARLY.iter().filter(|row: &&Row| matches!(row.1, Connected)) {
        Talk::parse("early", &dialogue(row), Side::Server).play_stdio(|_| {
            let mut command = house.command("mail-relayd");
            command.arg("--stdio=smtp");
            command
        });
        played += 1;
    }
    assert_eq!(played, 2);
}

#[test]
fn pipes_are_as_good_as_a_socket() {
    let house = house();
    for (said, heard) in [("EHLO client.example\r\n", "554 5.5.0 "), ("", "220 mx.example.org ESMTP\r\n")] {
        let mut command = house.command("mail-relayd");
        command.arg("--stdio=smtp").stdout(Stdio::piped());
        // What is said is there before the program looks.
        let (read, mut write) = std::io::pipe().unwrap();
        write.write_all(said.as_bytes()).unwrap();
        command.stdin(read);
        let mut child = command.spawn().unwrap();
        drop(command);
        let mut first = [0; 10];
        child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
        assert_eq!(first.as_slice(), &heard.as_bytes()[..10]);
        drop(write);
        assert!(child.wait().unwrap().success());
    }
}
