//! What dialogues can't show: bounds, and what a fuzzer found. The dialogues are in tests/talk/client.

use super::*;
use crate::mail::address::Domain;
use proptest::prelude::*;

fn mailbox(local: &str) -> Mailbox {
    Mailbox { local: local.to_owned(), domain: Domain::Name("example.org".to_owned()) }
}

fn order() -> Order {
    Order {
        dialect: Dialect::Smtp,
        name: "me".to_owned(),
        server: "mx".to_owned(),
        tls: Tls::AsItIs,
        login: None,
        patience: Patience::default(),
    }
}

/// A session that was greeted and waits for a message.
fn ready(ehlo: &str) -> Client {
    let mut client = Client::new(order());
    let mut out = Vec::new();
    client.turn(Input::Begin, &mut out);
    client.turn(Input::Octets(b"220 mx\r\n"), &mut out);
    let turn = client.turn(Input::Octets(ehlo.as_bytes()), &mut out);
    assert!(matches!(turn.step, Step::Ask(Ask::Message(_))));
    client
}

fn to(recipients: Vec<Mailbox>) -> Answer {
    Answer::Message(Message { recipients, last: true, ..Message::default() })
}

#[test]
fn a_flight_is_bounded_and_the_rest_follows_its_replies() {
    let mut client = ready("250-mx\r\n250 PIPELINING\r\n");
    let everybody: Vec<Mailbox> = (0..1000).map(|it| mailbox(&format!("r{it}"))).collect();
    let mut out = Vec::new();
    let mut written = 0;
    let mut turn = client.turn(Input::Answer(to(everybody)), &mut out);
    let mut under_way = 0;
    while let Step::Read(_) | Step::More = turn.step {
        let lines = out.iter().filter(|octet| **octet == b'\n').count();
        written += lines;
        under_way += lines;
        assert!(under_way <= 100, "{under_way} commands wait for replies");
        assert!(out.len() <= Client::OUT_MAX);
        under_way -= 1;
        let reply: &[u8] = if out.ends_with(b"DATA\r\n") || written == 1002 && under_way == 0 {
            b"354 go\r\n"
        } else {
            b"250 ok\r\n"
        };
        let reply = if under_way > 0 { b"250 ok\r\n" } else { reply };
        out.clear();
        turn = client.turn(Input::Octets(reply), &mut out);
    }
    assert_eq!(written, 1002, "MAIL, every RCPT and DATA");
    assert!(matches!(turn.step, Step::Ask(Ask::Text)));
}

#[test]
fn an_address_can_never_end_its_command() {
    let mut client = ready("250 mx\r\n");
    let mut out = Vec::new();
    let turn = client.turn(Input::Answer(to(vec![mailbox("a\r\nRCPT TO:<b"), mailbox("c\0")])), &mut out);
    let Step::Ask(Ask::Outcome(outcome)) = turn.step else { panic!("{:?}", turn.step) };
    assert!(
        outcome.verdicts.iter().all(|verdict| matches!(verdict, Verdict::Never(why) if why.subject == 1))
    );
    assert_eq!(out, b"QUIT\r\n");
}

#[test]
fn a_message_that_is_too_large_is_not_sent() {
    let mut client = ready("250-mx\r\n250 SIZE 1000\r\n");
    let mut out = Vec::new();
    let message = Message {
        sender: None,
        recipients: vec![mailbox("a")],
        size: Some(1001),
        last: false,
        ..Message::default()
    };
    let turn = client.turn(Input::Answer(Answer::Message(message)), &mut out);
    let Step::Ask(Ask::Outcome(outcome)) = turn.step else { panic!("{:?}", turn.step) };
    assert!(matches!(&outcome.verdicts[..], [Verdict::Never(why)] if (why.subject, why.detail) == (3, 4)));
    assert!(out.is_empty() && outcome.lost.is_none());
}

#[test]
fn a_fault_of_the_text_never_sends_its_end() {
    let mut client = ready("250-mx\r\n250 PIPELINING\r\n");
    let mut out = Vec::new();
    client.turn(Input::Answer(to(vec![mailbox("a")])), &mut out);
    client.turn(Input::Octets(b"250 ok\r\n250 ok\r\n354 go\r\n"), &mut out);
    out.clear();
    client.turn(Input::Answer(Answer::Text(b"half\r\n".to_vec())), &mut out);
    let turn = client.turn(Input::Answer(Answer::TextFault(Why::new(3, 0, "gone"))), &mut out);
    let Step::Ask(Ask::Outcome(outcome)) = turn.step else { panic!("{:?}", turn.step) };
    assert_eq!(outcome.verdicts, [Verdict::Later(Why::new(3, 0, "gone"))]);
    assert!(matches!(client.turn(Input::Answer(Answer::Noted), &mut out).step, Step::Close));
    assert_eq!(out, b"half\r\n");
}

#[test]
fn a_long_login_waits_for_its_challenge() {
    let login = Credentials { login: "me".to_owned(), secret: vec![b'x'; 700].into() };
    let mut client = Client::new(Order { login: Some(login), ..order() });
    let mut out = Vec::new();
    client.turn(Input::Begin, &mut out);
    client.turn(Input::Octets(b"220 mx\r\n"), &mut out);
    out.clear();
    client.turn(Input::Octets(b"250-mx\r\n250 AUTH PLAIN\r\n"), &mut out);
    assert_eq!(out, b"AUTH PLAIN\r\n");
    out.clear();
    client.turn(Input::Octets(b"334 \r\n"), &mut out);
    assert!(out.len() > 900 && out.ends_with(b"\r\n"));
}

#[test]
fn replies_behind_starttls_are_thrown_away() {
    let mut client = Client::new(Order { tls: Tls::Demanded, ..order() });
    let mut out = Vec::new();
    client.turn(Input::Begin, &mut out);
    client.turn(Input::Octets(b"220 mx\r\n"), &mut out);
    client.turn(Input::Octets(b"250-mx\r\n250 STARTTLS\r\n"), &mut out);
    let said = b"220 go\r\n250-evil\r\n250 AUTH PLAIN\r\n";
    let turn = client.turn(Input::Octets(said), &mut out);
    assert!(matches!(turn.step, Step::StartTls));
    assert_eq!(turn.used, said.len());
    out.clear();
    let turn = client.turn(Input::Secured, &mut out);
    assert!(matches!(turn.step, Step::Read(_)));
    assert_eq!(out, b"EHLO me\r\n");
}

proptest! {
    #[test]
    fn no_server_breaks_the_session(said in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(fuzz(&said));
    }

    #[test]
    fn no_dialogue_of_replies_breaks_the_session(
        head in any::<[u8; 2]>(),
        replies in proptest::collection::vec(
            prop_oneof!["220 x\r\n", "250 x\r\n", "250-x\r\n250-PIPELINING\r\n250 STARTTLS\r\n", "354 x\r\n", "421 x\r\n", "[2-5][0-5]0 x\r\n", "550-x\r\n"],
            0..20,
        ),
    ) {
        let mut octets = head.to_vec();
        octets.extend(replies.concat().bytes());
        prop_assert!(fuzz(&octets));
    }
}
