//! What dialogues can't show: bounds, and what a fuzzer found. The dialogues are in tests/talk/imap_client.

use super::*;
use crate::wire::{mailbox::Tls, sasl::Credentials};
use proptest::prelude::*;
use std::time::Duration;

fn order() -> Order {
    Order {
        server: "imap".to_owned(),
        tls: Tls::AsItIs,
        login: Some(Credentials { login: "me".to_owned(), secret: b"secret".to_vec().into() }),
        patience: Duration::from_secs(60),
    }
}

/// A session that waits for the listing of a folder.
fn listing() -> Client {
    let mut client = Client::new(order());
    let mut out = Vec::new();
    client.turn(Input::Begin, &mut out);
    client.turn(Input::Octets(b"* OK [CAPABILITY IMAP4rev1] hi\r\n"), &mut out);
    client.turn(Input::Octets(b"p1 OK [CAPABILITY IMAP4rev1] in\r\n"), &mut out);
    client.turn(Input::Answer(Answer::Noted), &mut out);
    client.turn(Input::Answer(Answer::Folder { name: "INBOX".to_owned(), write: false }), &mut out);
    client.turn(Input::Octets(b"* OK [UIDVALIDITY 1] x\r\np2 OK\r\n"), &mut out);
    client.turn(Input::Answer(Answer::From(1)), &mut out);
    assert!(out.ends_with(b"p3 UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)\r\n"));
    client
}

/// What comes of a response that is said over and over.
fn flood(mut client: Client, response: impl Fn(usize) -> String, most: usize) -> usize {
    let mut out = Vec::new();
    for round in 0..most {
        let mut turn = client.turn(Input::Octets(response(round).as_bytes()), &mut out);
        while let Step::Ask(ask) = turn.step {
            if matches!(ask, Ask::Failed(_)) {
                return round;
            }
            turn = client.turn(Input::Answer(Answer::Noted), &mut out);
        }
    }
    most
}

#[test]
fn a_server_that_never_comes_to_the_point_is_left() {
    assert_eq!(flood(listing(), |_| "* 7 EXISTS\r\n".to_owned(), 30_000), NOISE_MAX as usize);
    assert_eq!(flood(Client::new(order()), |_| "* FLAGS ()\r\n".to_owned(), 10), 0);
    let row = |round: usize| format!("* 1 FETCH (UID {} FLAGS () RFC822.SIZE 1)\r\n", round + 1);
    assert_eq!(flood(listing(), row, MESSAGES_MAX + 10), MESSAGES_MAX);
}

#[test]
fn rows_come_in_parts_and_the_last_message_below_the_first_is_none() {
    let mut client = listing();
    let mut out = Vec::new();
    let rows: String =
        (1..=1500).map(|uid| format!("* {uid} FETCH (UID {uid} FLAGS () RFC822.SIZE 1)\r\n")).collect();
    let mut turn = client.turn(Input::Octets(rows.as_bytes()), &mut out);
    assert!(matches!(&turn.step, Step::Ask(Ask::Rows(rows)) if rows.len() == ROWS));
    let rest = rows[turn.used..].to_owned() + "p3 OK\r\n";
    client.turn(Input::Answer(Answer::Noted), &mut out);
    turn = client.turn(Input::Octets(rest.as_bytes()), &mut out);
    assert!(matches!(&turn.step, Step::Ask(Ask::Rows(rows)) if rows.len() == 500));
    turn = client.turn(Input::Answer(Answer::Noted), &mut out);
    assert!(matches!(turn.step, Step::Ask(Ask::Wave)));
}

#[test]
fn a_message_of_which_not_all_is_told_is_there_all_the_same() {
    let mut client = listing();
    let mut out = Vec::new();
    let said = b"* 1 FETCH (UID 4 FLAGS ())\r\n* 2 FETCH (UID 5 RFC822.SIZE 9)\r\n\
        * 1 FETCH (UID 4 FLAGS (\\Seen) RFC822.SIZE 7)\r\np3 OK\r\n";
    let turn = client.turn(Input::Octets(said), &mut out);
    let Step::Ask(Ask::Rows(rows)) = turn.step else { panic!("{:?}", turn.step) };
    // What is not told here the agent notes as UIDs that nobody will ever have.
    let told: Vec<(Uid, bool, u64)> = rows.iter().map(|row| (row.uid, row.flags.seen, row.size)).collect();
    assert_eq!(told, [(4, true, 7), (4, false, 0), (5, false, 9)]);
}

proptest! {
    #[test]
    fn no_server_breaks_the_session(said in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(fuzz(&said));
    }

    #[test]
    fn no_dialogue_breaks_the_session(
        head in any::<[u8; 2]>(),
        tail in proptest::collection::vec(
            prop_oneof![
                Just("* OK [UIDVALIDITY 7] x\r\n"), Just("* 3 EXISTS\r\n"), Just("p1 OK\r\n"), Just("p2 OK\r\n"), Just("p3 OK\r\n"),
                Just("p4 OK\r\n"), Just("p5 OK\r\n"), Just("p6 NO\r\n"), Just("p6 OK\r\n"), Just("p7 OK\r\n"), Just("p8 OK\r\n"),
                Just("* 1 FETCH (UID 2 FLAGS (\\Seen) RFC822.SIZE 3)\r\n"), Just("* 2 FETCH (UID 3 FLAGS () RFC822.SIZE 3)\r\n"),
                Just("* 1 FETCH (UID 2 BODY[] {3}\r\nabc)\r\n"), Just("* 2 FETCH (BODY[] {3}\r\nabc UID 3)\r\n"),
                Just("* 2 FETCH (UID 3 BODY[] \"xy\")\r\n"), Just("* 2 FETCH (UID 3 BODY[] NIL)\r\n"), Just("* SEARCH 2\r\n"),
                Just("+ \r\n"), Just("* BYE\r\n"), Just("* LIST () \"/\" x\r\n"), Just("* CAPABILITY IMAP4rev1 UIDPLUS\r\n"),
            ],
            0..60,
        ),
        starts in any::<bool>(),
    ) {
        let mut octets = head.to_vec();
        if starts {
            octets.extend(b"* OK [CAPABILITY IMAP4rev1 UIDPLUS] hi\r\np1 OK [CAPABILITY IMAP4rev1] in\r\np2 OK\r\n* OK [UIDVALIDITY 7]\r\np3 OK\r\n");
        }
        octets.extend(tail.concat().bytes());
        prop_assert!(fuzz(&octets));
    }
}
