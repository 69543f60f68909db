//! What dialogues can't show: bounds, and what a fuzzer found. The dialogues are in tests/talk/pop3-client.

use super::*;
use crate::wire::sasl::Credentials;
use proptest::prelude::*;
use std::time::Duration;

fn order() -> Order {
    Order {
        server: "pop".to_owned(),
        tls: Tls::AsItIs,
        login: Some(Credentials { login: "me".to_owned(), secret: b"secret".to_vec().into() }),
        patience: Duration::from_secs(60),
    }
}

/// A session at the listing, and what it sent last.
fn listing(capa: &str) -> (Client, Vec<u8>) {
    let mut client = Client::new(order());
    let mut out = Vec::new();
    client.turn(Input::Begin, &mut out);
    client.turn(Input::Octets(b"+OK\r\n"), &mut out);
    client.turn(Input::Octets(format!("+OK\r\n{capa}.\r\n").as_bytes()), &mut out);
    client.turn(Input::Octets(b"+OK\r\n"), &mut out);
    out.clear();
    client.turn(Input::Octets(b"+OK\r\n"), &mut out);
    (client, out)
}

#[test]
fn no_more_than_a_window_of_commands_is_under_way() {
    let (mut client, mut out) = listing("PIPELINING\r\n");
    assert_eq!(out, b"UIDL\r\nLIST\r\n");
    let lines: String = (1..=1000).map(|number| format!("{number} u{number}\r\n")).collect();
    let turn = client.turn(Input::Octets(format!("+OK\r\n{lines}.\r\n-ERR\r\n").as_bytes()), &mut out);
    assert!(matches!(turn.step, Step::Ask(Ask::Listed(all)) if all.len() == 1000));
    let turn = client.turn(Input::Answer(Answer::Noted), &mut out);
    assert!(matches!(turn.step, Step::Ask(Ask::Wave)));
    out.clear();
    client.turn(Input::Answer(Answer::Numbers((1..=1000).collect())), &mut out);
    assert_eq!(out.iter().filter(|octet| **octet == b'\n').count(), WINDOW);
    assert!(out.len() <= Client::OUT_MAX);
}

#[test]
fn a_listing_has_a_most() {
    let (mut client, mut out) = listing("");
    client.turn(Input::Octets(b"+OK\r\n"), &mut out);
    for number in 1..=MESSAGES_MAX {
        let turn = client.turn(Input::Octets(format!("{number} u\r\n").as_bytes()), &mut out);
        assert!(matches!(turn.step, Step::Read(_)));
    }
    let turn = client.turn(Input::Octets(b"4000000 u\r\n"), &mut out);
    assert!(matches!(turn.step, Step::Ask(Ask::Failed(_))));
}

#[test]
fn a_long_password_waits_for_its_challenge() {
    let secret = vec![b'x'; 300].into();
    let login = Some(Credentials { login: "me".to_owned(), secret });
    let mut client = Client::new(Order { login, ..order() });
    let mut out = Vec::new();
    client.turn(Input::Begin, &mut out);
    client.turn(Input::Octets(b"+OK\r\n"), &mut out);
    out.clear();
    client.turn(Input::Octets(b"+OK\r\nSASL PLAIN\r\n.\r\n"), &mut out);
    assert_eq!(out, b"AUTH PLAIN\r\n");
    out.clear();
    client.turn(Input::Octets(b"+ \r\n"), &mut out);
    assert!(out.len() > 400 && out.ends_with(b"\r\n"));
}

#[test]
fn a_login_that_would_be_more_than_one_line_is_not_sent() {
    let login = Some(Credentials { login: "me\r\nDELE 1".to_owned(), secret: b"x".to_vec().into() });
    let mut client = Client::new(Order { login, ..order() });
    let mut out = Vec::new();
    client.turn(Input::Begin, &mut out);
    client.turn(Input::Octets(b"+OK\r\n"), &mut out);
    out.clear();
    let turn = client.turn(Input::Octets(b"-ERR\r\n"), &mut out);
    assert!(out.is_empty() && matches!(turn.step, Step::Ask(Ask::Failed(_))));
}

proptest! {
    #[test]
    fn no_server_breaks_the_session(said in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(fuzz(&said));
    }

    #[test]
    fn no_dialogue_breaks_the_session(
        head in any::<[u8; 2]>(),
        lines in proptest::collection::vec(
            prop_oneof![
                Just("+OK\r\n"), Just("+OK\r\n"), Just("+OK\r\n"), Just("-ERR x\r\n"), Just("+ \r\n"), Just(".\r\n"), Just(".\r\n"),
                Just("PIPELINING\r\n"), Just("SASL PLAIN\r\n"), Just("STLS\r\n"), Just("1 a\r\n"), Just("2 b\r\n"), Just("3 c\r\n"),
                Just("..x\r\n"), Just("text\r\n"),
            ],
            0..60,
        ),
    ) {
        let mut octets = head.to_vec();
        octets.extend(lines.concat().bytes());
        prop_assert!(fuzz(&octets));
    }
}
