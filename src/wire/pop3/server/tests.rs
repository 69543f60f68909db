//! What dialogues can't show: bounds, deadlines, and what no input may bring about. The dialogues are in tests/talk/pop3.

use super::*;
use crate::wire::pop3::reply::Code;
use proptest::prelude::*;
use std::time::Duration;

fn server() -> Server {
    let settings =
        Settings { hostname: "mx.example.org".to_owned(), tls: Tls::Standing, limits: Limits::default() };
    let mut server = Server::new(Arc::new(settings), Known::default());
    let turn = server.turn(Input::Begin, &mut Vec::new());
    assert!(matches!(turn.step, Step::Read(wait) if wait == Duration::from_secs(60)));
    server
}

/// A server with a maildrop of so many messages of 100 octets.
fn open(messages: usize) -> Server {
    let (mut server, mut out) = (server(), Vec::new());
    let turn = server.turn(Input::Octets(b"USER a\r\nPASS b\r\n"), &mut out);
    assert!(matches!(turn.step, Step::Ask(Ask::Login { failures: 0, .. })));
    let turn = server.turn(Input::Answer(Answer::Open(vec![100; messages])), &mut out);
    // RFC 1939 section 3: at least ten minutes.
    assert!(matches!(turn.step, Step::Read(wait) if wait >= Duration::from_secs(600)));
    server
}

#[test]
fn a_large_maildrop_is_listed_in_bounded_turns_and_the_peer_is_waited_for() {
    let mut server = open(5000);
    let (mut all, mut turns) = (Vec::new(), 0);
    let mut step = server.turn(Input::Octets(b"LIST\r\n"), &mut all).step;
    while let Step::Ask(Ask::Room) = step {
        let mut out = Vec::new();
        step = server.turn(Input::Answer(Answer::Yes), &mut out).step;
        assert!(out.len() <= Server::OUT_MAX);
        all.extend(out);
        turns += 1;
    }
    assert!(turns >= 4 && matches!(step, Step::Read(_)));
    let text = String::from_utf8(all).unwrap();
    assert!(text.starts_with("+OK 5000 messages, 500000 octets\r\n1 100\r\n2 100\r\n"));
    assert!(text.ends_with("\r\n5000 100\r\n.\r\n"));
    assert_eq!(text.lines().count(), 5002);
}

#[test]
fn what_stands_within_a_long_line_begins_no_tls() {
    let (mut server, mut out) = (server(), Vec::new());
    for piece in [[b'x'; 300].as_slice(), b"\x16\x03\x01", b"\r\n"] {
        assert!(!matches!(server.turn(Input::Octets(piece), &mut out).step, Step::Close));
    }
    assert_eq!(out, b"-ERR The line is too long\r\n");
}

#[test]
fn unique_ids_are_asked_for_in_batches_without_those_that_are_marked() {
    let mut server = open(1200);
    let mut all = Vec::new();
    server.turn(Input::Octets(b"DELE 1\r\nDELE 501\r\nDELE 1200\r\n"), &mut all);
    all.clear();
    let mut step = server.turn(Input::Octets(b"UIDL\r\n"), &mut all).step;
    let mut asked = Vec::new();
    while let Step::Ask(Ask::Names { from, most }) = step {
        asked.push((from, most));
        let names = (from..=1200).take(most as usize).map(|number| format!("id{number}")).collect();
        let mut out = Vec::new();
        step = server.turn(Input::Answer(Answer::Names(names)), &mut out).step;
        assert!(out.len() <= Server::OUT_MAX);
        all.extend(out);
    }
    assert_eq!(asked, [(2, 500), (502, 500), (1002, 500)]);
    let text = String::from_utf8(all).unwrap();
    assert_eq!(text.lines().count(), 1199);
    assert!(text.contains("\r\n500 id500\r\n502 id502\r\n") && text.ends_with("\r\n1199 id1199\r\n.\r\n"));
}

#[test]
fn a_message_goes_through_in_chunks_from_one_buffer() {
    let mut server = open(1);
    let (mut out, mut total) = (Vec::new(), 0);
    assert!(matches!(server.turn(Input::Octets(b"RETR 1\r\n"), &mut out).step, Step::Ask(Ask::Text(1))));
    let mut buffer = b".\n".repeat(Server::CHUNK / 2);
    let home = buffer.as_ptr();
    for last in [false, false, true] {
        let answer = Answer::Text { octets: buffer, last };
        out.clear();
        let step = server.turn(Input::Answer(answer), &mut out).step;
        assert!(out.len() <= Server::OUT_MAX, "the worst case fits");
        total += out.len();
        match step {
            Step::Ask(Ask::More(back)) => buffer = back,
            _ => break,
        }
        assert_eq!(buffer.as_ptr(), home);
    }
    assert_eq!(total, "+OK 100 octets\r\n".len() + 3 * Server::CHUNK / 2 * 3 + "\r\n.\r\n".len());
}

#[test]
fn a_text_that_breaks_off_never_looks_as_if_it_had_ended() {
    for answer in [
        Answer::Broken,
        Answer::Refuse(Reply::refused(Code::SysTemp, "The disk")),
        Answer::Text { octets: vec![b'x'; Server::CHUNK + 1], last: true },
    ] {
        let (mut server, mut out) = (open(1), Vec::new());
        server.turn(Input::Octets(b"RETR 1\r\n"), &mut out);
        server.turn(Input::Answer(Answer::Text { octets: b"A: b\r\n".to_vec(), last: false }), &mut out);
        let turn = server.turn(Input::Answer(answer), &mut out);
        assert!(matches!(turn.step, Step::Close));
        assert_eq!(out.escape_ascii().to_string(), "+OK 100 octets\\r\\nA: b\\r\\n");
    }
}

#[test]
fn nothing_is_removed_but_at_quit() {
    for input in [Input::Eof, Input::Deadline, Input::Event(Event::Drain)] {
        let (mut server, mut out) = (open(2), Vec::new());
        server.turn(Input::Octets(b"DELE 1\r\n"), &mut out);
        out.clear();
        assert!(matches!(server.turn(input, &mut out).step, Step::Close));
        // RFC 1939 section 3: no response either.
        assert!(out.is_empty());
    }
}

#[test]
fn a_command_has_one_deadline_however_many_octets_it_comes_in() {
    let (mut server, mut out) = (server(), Vec::new());
    for end in 1..6 {
        let turn = server.turn(Input::Octets(&b"CAPA\r\n"[..end]), &mut out);
        assert!(matches!(turn, Turn { used: 0, step: Step::More }), "{end}");
    }
    assert!(matches!(
        server.turn(Input::Octets(b"CAPA\r\n"), &mut out),
        Turn { used: 6, step: Step::Read(_) }
    ));
    let turn = server.turn(Input::Octets(&[b'x'; 400]), &mut out);
    assert!(matches!(turn, Turn { used: 400, step: Step::More }));
}

#[test]
fn pipelined_commands_stop_while_the_peer_does_not_read() {
    let (mut server, mut out) = (open(1), Vec::new());
    let many = b"STAT\r\n".repeat(2700);
    let turn = server.turn(Input::Octets(&many), &mut out);
    assert!(out.len() <= Server::OUT_MAX && turn.used < many.len());
    assert!(matches!(turn.step, Step::Ask(Ask::Room) | Step::Close));
}

#[test]
fn an_agent_that_answers_something_else_ends_it_and_nothing_is_acknowledged() {
    let (mut server, mut out) = (open(1), Vec::new());
    server.turn(Input::Octets(b"DELE 1\r\nQUIT\r\n"), &mut out);
    out.clear();
    let turn = server.turn(Input::Answer(Answer::Broken), &mut out);
    assert!(matches!(turn.step, Step::Close) && out.starts_with(b"-ERR [SYS/TEMP] "));
    let (mut server, mut out) = (open(1), Vec::new());
    server.turn(Input::Octets(b"UIDL\r\n"), &mut out);
    let turn = server.turn(Input::Answer(Answer::Names(vec!["two words".to_owned()])), &mut out);
    assert!(matches!(turn.step, Step::Close));
}

proptest! {
    #[test]
    fn no_client_breaks_the_session(said in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(fuzz(&said));
    }

    #[test]
    fn no_dialogue_breaks_the_session_and_no_cut_changes_a_reply(
        head in any::<[u8; 2]>(),
        commands in proptest::collection::vec(
            prop_oneof![
                6 => "(USER a|PASS b|PASS bc)\r\n",
                2 => "AUTH( PLAIN( =| AGEAYg==| AGEAYmM=|)|)\r\n",
                1 => "(AGEAYg==|[*]|AGE)\r\n",
                1 => "(STLS|CAPA|APOP a b)\r\n",
                6 => "(RETR|DELE|LIST|UIDL) [0-7]{1,2}\r\n",
                3 => "(LIST|UIDL|STAT|RSET|NOOP)\r\n",
                3 => "TOP [1-6] [0-4]\r\n",
                1 => "QUIT\r\n",
                1 => "[a .\r\n\0]{1,6}",
                1 => "[x ]{250,300}(\r\n|)",
                1 => "[x]{17000,17001}\r\n",
            ],
            0..30,
        ),
    ) {
        let mut octets = head.to_vec();
        octets.extend(b"USER a\r\nPASS b\r\n".iter().filter(|_| head[0] & 32 != 0));
        octets.extend(commands.concat().bytes());
        prop_assert!(fuzz(&octets));
    }
}
