//! What dialogues can't show: bounds, deadlines, and what no input may bring about. The dialogues are in tests/talk/smtp.

use super::*;
use crate::mail::address::Domain;
use proptest::prelude::*;
use std::time::Duration;

fn server(dialect: Dialect, size: u64) -> Server {
    let settings = Settings {
        dialect,
        hostname: Domain::Name("mx.example.org".to_owned()),
        tls: Tls::None,
        logins: Logins::None,
        login_required: false,
        bare_names: false,
        limits: Limits::of(dialect, size),
    };
    Server::new(Arc::new(settings), Known::default())
}

/// A server that waits for the text of a message.
fn in_text(size: u64) -> Server {
    let (mut server, mut out) = (server(Dialect::Smtp, size), Vec::new());
    server.turn(Input::Begin, &mut out);
    server.turn(Input::Deadline, &mut out);
    for line in ["EHLO c\r\n", "MAIL FROM:<>\r\n", "RCPT TO:<a@b.example>\r\n", "DATA\r\n"] {
        let turn = server.turn(Input::Octets(line.as_bytes()), &mut out);
        if matches!(turn.step, Step::Ask(_)) {
            server.turn(Input::Answer(Answer::Yes), &mut out);
        }
    }
    assert!(out.ends_with(b"dot on a line alone\r\n"));
    server
}

#[test]
fn what_stands_within_a_long_line_begins_no_tls() {
    let (mut server, mut out) = (server(Dialect::Smtp, 1000), Vec::new());
    server.turn(Input::Begin, &mut out);
    server.turn(Input::Deadline, &mut out);
    out.clear();
    for piece in [[b'x'; 3000].as_slice(), b"\x16\x03\x01", b"\r\n"] {
        assert!(!matches!(server.turn(Input::Octets(piece), &mut out).step, Step::Close));
    }
    let said = String::from_utf8(out).unwrap();
    assert!(said.starts_with("500 5.5.") && said.lines().count() == 1, "{said}");
}

#[test]
fn a_small_message_costs_one_question() {
    let mut server = in_text(1000);
    let input = b"Subject: x\r\n\r\n..\r\n.\r\nQUIT\r\n";
    let turn = server.turn(Input::Octets(input), &mut Vec::new());
    assert_eq!(turn.used, input.len() - 6);
    assert!(matches!(turn.step, Step::Ask(Ask::End(text)) if text == b"Subject: x\r\n\r\n.\r\n"));
}

#[test]
fn a_large_message_goes_in_chunks_from_one_buffer() {
    let mut server = in_text(10_000_000);
    let line = [b'x'; 1000];
    let (mut chunks, mut octets, mut home) = (0, 0, None);
    for _ in 0..1000 {
        let mut used = 0;
        while used < line.len() {
            let turn = server.turn(Input::Octets(&line[used..]), &mut Vec::new());
            used += turn.used;
            if let Step::Ask(Ask::Chunk(chunk)) = turn.step {
                assert_eq!(chunk.len(), Server::CHUNK);
                assert!(chunk.capacity() <= 2 * Server::CHUNK);
                chunks += 1;
                octets += chunk.len();
                assert_eq!(*home.get_or_insert(chunk.as_ptr()), chunk.as_ptr(), "another buffer");
                server.turn(Input::Answer(Answer::Taken(chunk)), &mut Vec::new());
            }
        }
    }
    assert_eq!((chunks, octets), (15, 15 * Server::CHUNK));
}

#[test]
fn a_command_has_one_deadline_however_many_octets_it_comes_in() {
    let mut server = server(Dialect::Smtp, 1000);
    let mut out = Vec::new();
    let turn = server.turn(Input::Begin, &mut out);
    assert!(matches!(turn.step, Step::Read(Duration::ZERO)));
    let turn = server.turn(Input::Deadline, &mut out);
    assert!(matches!(turn.step, Step::Read(wait) if wait == Duration::from_secs(300)));
    let line = b"NOOP\r\n";
    for end in 1..line.len() {
        let turn = server.turn(Input::Octets(&line[..end]), &mut out);
        assert!(matches!(turn, Turn { used: 0, step: Step::More }), "{end}");
    }
    let turn = server.turn(Input::Octets(line), &mut out);
    assert!(matches!(turn, Turn { used: 6, step: Step::Read(_) }));
    // Nor does an over-long line get more time.
    for _ in 0..30 {
        let turn = server.turn(Input::Octets(&[b'x'; 600]), &mut out);
        assert!(matches!(turn, Turn { used: 600, step: Step::More }));
    }
    let turn = server.turn(Input::Octets(b"\r\n"), &mut out);
    assert!(matches!(turn, Turn { used: 2, step: Step::Read(_) }));
}

#[test]
fn a_text_gets_more_time_only_by_the_quantum() {
    let mut server = in_text(10_000_000);
    let mut reads = Vec::new();
    for octet in 1..=100_000 {
        match server.turn(Input::Octets(b"x"), &mut Vec::new()).step {
            Step::Read(_) => reads.push(octet),
            Step::More => {}
            // The agent's time is not the peer's, so that a new deadline follows.
            Step::Ask(Ask::Chunk(chunk)) => {
                let turn = server.turn(Input::Answer(Answer::Taken(chunk)), &mut Vec::new());
                assert!(matches!(turn.step, Step::Read(_)));
                reads.push(octet);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(reads, [32_768, 65_536, 98_304]);
}

#[test]
fn who_answers_something_else_loses_the_connection_and_nothing_is_acknowledged() {
    let mut server = in_text(1000);
    let mut out = Vec::new();
    server.turn(Input::Octets(b".\r\n"), &mut out);
    let turn = server.turn(Input::Answer(Answer::Taken(Vec::new())), &mut out);
    assert!(matches!(turn.step, Step::Close));
    assert!(out.starts_with(b"421 4.3.0 "));
}

#[test]
fn what_the_agent_never_hears_of_is_remembered_for_its_log() {
    let mut server = in_text(1000);
    assert!(server.refused().is_none());
    let mut out = Vec::new();
    server.turn(Input::Octets(b"a\nb\r\n.\r\n"), &mut out);
    server.turn(Input::Answer(Answer::Yes), &mut out);
    assert!(matches!(server.refused(), Some((1, last)) if last.code == 550));
}

#[test]
fn the_keyword_of_received_says_what_stood() {
    let peer =
        |extended, secured, authenticated| Peer { extended, secured, authenticated, ..Peer::default() };
    // RFC 3848, and RFC 5321 section 4.4.
    for (dialect, peer, keyword) in [
        (Dialect::Smtp, peer(false, false, false), "SMTP"),
        (Dialect::Smtp, peer(true, false, false), "ESMTP"),
        (Dialect::Smtp, peer(true, true, false), "ESMTPS"),
        (Dialect::Submission, peer(true, false, true), "ESMTPA"),
        (Dialect::Submission, peer(true, true, true), "ESMTPSA"),
        (Dialect::Lmtp, peer(true, false, false), "LMTP"),
        (Dialect::Lmtp, peer(true, true, false), "LMTPS"),
        (Dialect::Lmtp, peer(true, false, true), "LMTPA"),
        (Dialect::Lmtp, peer(true, true, true), "LMTPSA"),
    ] {
        assert_eq!(peer.protocol(dialect, false), keyword);
        // RFC 6531 section 4.3.
        let utf8 = keyword.trim_start_matches("ESM").trim_start_matches("SM").trim_start_matches("LM");
        let lmtp = if dialect == Dialect::Lmtp { "LM" } else { "SM" };
        assert_eq!(peer.protocol(dialect, true), format!("UTF8{lmtp}{utf8}"));
    }
}

proptest! {
    #[test]
    fn no_client_breaks_the_session(said in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(fuzz(&said));
    }

    #[test]
    fn no_dialogue_breaks_the_session_and_no_cut_changes_a_message(
        head in any::<[u8; 2]>(),
        commands in proptest::collection::vec(
            prop_oneof![
                4 => "(EHLO|LHLO) c\r\n",
                6 => "MAIL FROM:<(|a@b[.]c|ö@b[.]c|a@ö[.]c)>( SIZE=[0-9]{1,6}| BODY=8BITMIME| SMTPUTF8| RET=FULL| ENVID=a[+]0[0-9A-F]|)\r\n",
                6 => "RCPT TO:<(a@b[.]c|ö@ö[.]c|postmaster|a|\"[ -~]{1,4}\"@[a-z]{1,3})>( NOTIFY=(NEVER|SUCCESS,DELAY)| ORCPT=rfc822;(a|[+]0[0-9A-F])|)\r\n",
                6 => "DATA\r\n",
                6 => "BDAT [0-9]( LAST|)\r\n(a|.\r\n){0,4}",
                1 => "BDAT ([a-z]|99999999|99999999999999999999)( LAST|)\r\n",
                6 => "([a.]{0,3}\r\n){0,3}[.]\r\n",
                2 => "[a.\r\n\0]{1,6}",
                1 => "RSET\r\n",
                1 => "STARTTLS\r\n",
                1 => "AUTH (PLAIN|LOGIN)( =| AGFsaWNlAGFiYw==| YWxpY2U=|)\r\n",
                1 => "(YWxpY2U=|YWJj|[*])\r\n",
                1 => "(NOOP|HELP|VRFY a|EXPN a|QUIT)\r\n",
                1 => "[x ]{500,600}(\r\n|)",
                1 => "[x]{70000,70001}\r\n",
            ],
            0..30,
        ),
    ) {
        let mut octets = head.to_vec();
        octets.extend(commands.concat().bytes());
        prop_assert!(fuzz(&octets));
    }
}
