//! What dialogues can't show: bounds, deadlines, and what no input may bring about. The dialogues are in tests/talk/imap.

use super::*;
use crate::mail::query::{ModSeq, Uid, UidSet};
use proptest::prelude::*;
use std::time::Duration;

fn server(size: u64) -> Server {
    let limits = Limits::of(size);
    let settings = Settings { hostname: "mail.example.org".into(), tls: Tls::None, separator: '/', limits };
    let mut server = Server::new(Arc::new(settings), Known { login: true, plaintext_login: true });
    server.turn(Input::Begin, &mut Vec::new());
    server
}

/// A server with a selected mailbox of so many messages.
fn selected(count: Uid) -> Server {
    selected_of(UidSet::new([1..=count]), count + 1)
}

fn selected_of(uids: UidSet, uid_next: Uid) -> Server {
    let mut server = server(1_000_000);
    let mut out = Vec::new();
    let turn = server.turn(Input::Octets(b"a SELECT INBOX\r\n"), &mut out);
    assert!(matches!(turn.step, Step::Ask(Ask::Select { read_only: false, .. })));
    let snapshot = Snapshot {
        uid_validity: 1,
        uid_next,
        modseq: ModSeq(1),
        uids,
        recent: UidSet::default(),
        unseen: None,
        keywords: Vec::new(),
    };
    server.turn(Input::Answer(Answer::Selected(snapshot)), &mut out);
    assert!(out.ends_with(b"a OK [READ-WRITE] SELECT completed\r\n"));
    server
}

/// Answers with what `agent` says until the server waits for its client: what it said, and the questions.
fn run(server: &mut Server, said: &[u8], mut agent: impl FnMut(&Ask) -> Answer) -> (Vec<u8>, Vec<Ask>) {
    let (mut all, mut asked) = (Vec::new(), Vec::new());
    let mut out = Vec::new();
    let mut turn = server.turn(Input::Octets(said), &mut out);
    assert_eq!(turn.used, said.len());
    loop {
        assert!(out.len() <= Server::OUT_MAX, "{} octets in one turn", out.len());
        all.append(&mut out);
        match turn.step {
            Step::Ask(ask) => {
                let answer = agent(&ask);
                asked.push(ask);
                turn = server.turn(Input::Answer(answer), &mut out);
            }
            _ => return (all, asked),
        }
    }
}

fn rows(uids: &UidSet, most: usize) -> Answer {
    let row = |uid| Row { uid, flags: Default::default(), modseq: ModSeq(1) };
    Answer::Rows(uids.iter().take(most).map(row).collect())
}

#[test]
fn many_messages_cost_few_questions_and_no_turn_says_too_much() {
    let mut server = selected(10_000);
    let (said, asked) = run(&mut server, b"b UID FETCH 1:* FLAGS\r\n", |ask| match ask {
        Ask::Rows { uids, most } => rows(uids, *most),
        Ask::Pause => Answer::Done,
        other => panic!("{other:?}"),
    });
    assert_eq!(said.iter().filter(|octet| **octet == b'\n').count(), 10_001);
    assert!(said.ends_with(b"* 10000 FETCH (UID 10000 FLAGS ())\r\nb OK UID FETCH completed\r\n"));
    assert!(asked.len() <= 60, "{} questions", asked.len());
}

#[test]
fn a_search_names_no_more_ranges_than_it_may() {
    // Every other UID: 501 ranges, whatever set means all of them.
    let uids: UidSet = (0..501).map(|n| 2 * n + 1).collect();
    assert_eq!(uids.ranges().count(), 501);
    for (keys, taken) in [(998, true), (999, false)] {
        let mut server = selected_of(uids.clone(), 2000);
        let command = format!("b SEARCH{}\r\n", " 1:*".repeat(keys));
        let (said, asked) = run(&mut server, command.as_bytes(), |ask| match ask {
            Ask::Search(_) => Answer::Found(UidSet::default()),
            other => panic!("{other:?}"),
        });
        let said = String::from_utf8(said).unwrap();
        assert_eq!((asked.len(), said.contains("b BAD ")), (usize::from(taken), !taken), "{keys}: {said}");
    }
}

#[test]
fn a_large_message_is_streamed_in_pieces() {
    let size = 1_000_000_u64;
    let head = |range: std::ops::Range<u64>| vec![b'x'; (range.end.min(size) - range.start) as usize];
    let mut server = selected(1);
    let (said, asked) = run(&mut server, b"b FETCH 1 BODY.PEEK[]\r\n", |ask| match ask {
        Ask::Heads { uids, .. } => {
            let octets = Some(head(0..HEAD as u64));
            Answer::Heads(vec![Head { uid: uids[0], octets, whole: false }])
        }
        Ask::Size(_) => Answer::Measures(vec![Measure { uid: 1, octets: size, date: std::time::UNIX_EPOCH }]),
        Ask::Read { range, .. } => Answer::Octets(Some(head(range.clone()))),
        Ask::Pause => Answer::Done,
        other => panic!("{other:?}"),
    });
    assert!(said.starts_with(b"* 1 FETCH (BODY[] {1000000}\r\nxxx"));
    assert!(said.ends_with(b"xxx)\r\nb OK FETCH completed\r\n"));
    assert_eq!(said.iter().filter(|octet| **octet == b'x').count(), 1_000_000);
    // It goes from front to back, each octet once.
    let mut at = HEAD as u64;
    for ask in &asked {
        if let Ask::Read { range, .. } = ask {
            assert_eq!(range.start, at);
            assert!(range.end - range.start <= HEAD as u64);
            at = range.end;
        }
    }
    assert_eq!(at, size);
}

#[test]
fn a_message_that_ends_too_soon_ends_the_connection() {
    let mut server = selected(1);
    let mut out = Vec::new();
    server.turn(Input::Octets(b"b FETCH 1 BODY.PEEK[]\r\n"), &mut out);
    let head = Head { uid: 1, octets: Some(vec![b'x'; HEAD]), whole: false };
    server.turn(Input::Answer(Answer::Heads(vec![head])), &mut out);
    let measure = Measure { uid: 1, octets: HEAD as u64 + 5, date: std::time::UNIX_EPOCH };
    server.turn(Input::Answer(Answer::Measures(vec![measure])), &mut out);
    let length = out.len();
    let turn = server.turn(Input::Answer(Answer::Octets(Some(Vec::new()))), &mut out);
    assert!(matches!(turn.step, Step::Close));
    // No word may follow, since it would be taken for the message's.
    assert_eq!(out.len(), length);
}

#[test]
fn a_far_header_is_looked_up_and_its_fields_told() {
    let header = [b"X-Long: y\r\n".repeat(10_000), b"Subject: late\r\n\r\n".to_vec()].concat();
    let message = [header.as_slice(), b"body\r\n"].concat();
    let piece = |range: &std::ops::Range<u64>| {
        message[range.start as usize..(range.end as usize).min(message.len())].to_vec()
    };
    let mut server = selected(1);
    let command = b"b FETCH 1 (BODY.PEEK[HEADER.FIELDS (Subject)] ENVELOPE BODY.PEEK[TEXT])\r\n";
    let (said, _) = run(&mut server, command, |ask| match ask {
        Ask::Heads { uids, .. } => {
            let octets = Some(piece(&(0..HEAD as u64)));
            Answer::Heads(vec![Head { uid: uids[0], octets, whole: false }])
        }
        Ask::Outline(_) => Answer::Outline(Some(Box::new(crate::mail::outline::Outline::of(&message)))),
        Ask::Read { range, .. } => Answer::Octets(Some(piece(range))),
        Ask::Pause => Answer::Done,
        other => panic!("{other:?}"),
    });
    assert_eq!(
        String::from_utf8(said).unwrap(),
        "* 1 FETCH (BODY[HEADER.FIELDS (Subject)] {17}\r\nSubject: late\r\n\r\n ENVELOPE (NIL \"late\" NIL NIL NIL NIL NIL NIL NIL NIL) \
         BODY[TEXT] {6}\r\nbody\r\n)\r\nb OK FETCH completed\r\n"
    );
}

#[test]
fn a_message_comes_in_chunks_from_one_buffer() {
    let mut server = server(1_000_000);
    let mut out = Vec::new();
    let turn = server.turn(Input::Octets(b"a APPEND INBOX {100000+}\r\n"), &mut out);
    assert!(matches!(turn.step, Step::Ask(Ask::Append { size: 100_000, .. })));
    server.turn(Input::Answer(Answer::Done), &mut out);
    let (mut given, mut chunks, mut home) = (0, Vec::new(), None);
    while given < 100_000 {
        let piece = vec![b'x'; 1000.min(100_000 - given)];
        let mut turn = server.turn(Input::Octets(&piece), &mut out);
        loop {
            given += turn.used;
            match turn.step {
                Step::Ask(Ask::Chunk(chunk)) => {
                    assert!(chunk.capacity() <= 2 * HEAD);
                    assert_eq!(*home.get_or_insert(chunk.as_ptr()), chunk.as_ptr(), "another buffer");
                    chunks.push(chunk.len());
                    turn = server.turn(Input::Answer(Answer::Taken(chunk)), &mut out);
                }
                _ => break,
            }
        }
    }
    assert_eq!(chunks, [HEAD, 100_000 - HEAD]);
    let turn = server.turn(Input::Octets(b"\r\n"), &mut out);
    assert!(matches!(turn.step, Step::Ask(Ask::End)));
}

#[test]
fn a_command_has_one_deadline_however_many_octets_it_comes_in() {
    let mut server = server(1000);
    let mut out = Vec::new();
    let turn = server.turn(Input::Octets(b"a NOOP\r\n"), &mut out);
    assert!(matches!(turn.step, Step::Read(wait) if wait == Duration::from_secs(30 * 60)));
    let line = b"b NOOP\r\n";
    for (at, octet) in line.iter().enumerate() {
        let turn = server.turn(Input::Octets(&[*octet]), &mut out);
        match at + 1 == line.len() {
            false => assert!(matches!(turn, Turn { used: 1, step: Step::More }), "{at}"),
            true => assert!(matches!(turn, Turn { used: 1, step: Step::Read(_) })),
        }
    }
    // Events give no more time.
    server.turn(Input::Octets(b"c IDLE\r\n"), &mut out);
    let turn = server.turn(Input::Event(Event::Changed), &mut out);
    assert!(matches!(turn.step, Step::More));
}

#[test]
fn a_stranger_has_a_minute() {
    let settings = Settings {
        hostname: "mail.example.org".into(),
        tls: Tls::None,
        separator: '/',
        limits: Limits::of(1000),
    };
    let mut server = Server::new(Arc::new(settings), Known::default());
    let turn = server.turn(Input::Begin, &mut Vec::new());
    assert!(matches!(turn.step, Step::Read(wait) if wait == Duration::from_secs(60)));
}

#[test]
fn a_stranger_has_so_many_errors_whatever_stands_between_them() {
    let limits = Limits::of(1000);
    let most = limits.stranger.errors;
    let settings = Settings { hostname: "mail.example.org".into(), tls: Tls::None, separator: '/', limits };
    let mut server = Server::new(Arc::new(settings), Known { login: false, plaintext_login: true });
    server.turn(Input::Begin, &mut Vec::new());
    for round in 0..=most {
        let (said, _) = run(&mut server, b"a NOOP\r\nb LOGIN a b\r\n", |_| {
            Answer::No(Refusal::new(Code::AuthenticationFailed, "Wrong"))
        });
        let said = String::from_utf8(said).unwrap();
        assert!(said.starts_with("a OK "), "{said}");
        assert_eq!(said.contains("* BYE"), round == most, "after {round}: {said}");
    }
}

#[test]
fn who_answers_something_else_loses_the_connection() {
    let mut server = selected(3);
    let mut out = Vec::new();
    server.turn(Input::Octets(b"b UID FETCH 1:* FLAGS\r\n"), &mut out);
    out.clear();
    let turn = server.turn(Input::Answer(Answer::Found(UidSet::default())), &mut out);
    assert!(matches!(turn.step, Step::Close));
    assert!(out.is_empty());
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
                6 => "a LOGIN (alice|\"a b\"|[{]3[+][}]\r\nbob) (abc|abcd)\r\n",
                8 => "b (SELECT|EXAMINE) (INBOX|a/b|\"\"|[.][.])\r\n",
                8 => "c (UID |)FETCH (1:[*]|2|1,3:4|[*]) (FLAGS|FULL|[(]UID BODY[.]PEEK\\[\\][)]|BODY\\[(TEXT|1|2[.]HEADER|HEADER[.]FIELDS [(]Subject[)]|)\\](<[0-9]{1,5}[.][1-9][0-9]{0,5}>|)|BODYSTRUCTURE)\r\n",
                4 => "d (UID |)STORE (1:[*]|2) [+]FLAGS([.]SILENT|) [(](\\\\Seen|\\$x|)[)]\r\n",
                3 => "e (UID |)(COPY|MOVE) (1:[*]|2) (INBOX|x)\r\n",
                2 => "f (UID |)EXPUNGE( 1:3|)\r\n",
                4 => "g (UID |)SEARCH (ALL|NOT 1|OR SEEN [(]FROM x[)]|TEXT [{]2[+][}]\r\nab)\r\n",
                6 => "h APPEND (INBOX|[{]1[+][}]\r\nx) ([(]\\\\Seen[)] |)[{](3[+]|3|0|99999999[+])[}]\r\n",
                6 => "(abc|a\0c|abcd)(\r\n|)",
                2 => "i (IDLE|NOOP|CLOSE|UNSELECT|CHECK|NAMESPACE|LOGOUT)\r\n",
                2 => "DONE\r\n",
                1 => "j (LIST|LSUB) \"\" ([*]|%|a%|\"\")\r\n",
                1 => "k STATUS INBOX [(](MESSAGES|UNSEEN UIDNEXT)[)]\r\n",
                1 => "l (STARTTLS|AUTHENTICATE PLAIN( =| AGEAYg==|))\r\n",
                1 => "m (CREATE|DELETE|SUBSCRIBE) [a-z/.\"{}0-9]{0,6}\r\n",
                1 => "[a-z(){}\" \r\n+0-9]{0,30}",
                1 => "[x]{9000,9001}(\r\n|)",
            ],
            0..30,
        ),
    ) {
        let mut octets = head.to_vec();
        octets.extend(commands.concat().bytes());
        prop_assert!(fuzz(&octets));
    }
}

#[test]
fn a_long_search_looks_between_its_slices_whether_somebody_is_there() {
    let mut server = selected(3);
    let mut out = Vec::new();
    let asks = |turn: Turn<Ask>| assert!(matches!(turn.step, Step::Ask(Ask::GoOn)) && turn.used == 0);
    let looks = |turn: Turn<Ask>| {
        assert!(matches!(turn.step, Step::Read(Duration::ZERO)) && turn.used == 0);
    };
    let turn = server.turn(Input::Octets(b"b SEARCH SUBJECT x\r\n"), &mut out);
    assert!(matches!(turn.step, Step::Ask(Ask::Search(_))));
    looks(server.turn(Input::Answer(Answer::Searching), &mut out));
    asks(server.turn(Input::Deadline, &mut out));
    // A command that came meanwhile is not looked at, but behind it.
    looks(server.turn(Input::Answer(Answer::Searching), &mut out));
    looks(server.turn(Input::Octets(b"c NOOP\r\n"), &mut out));
    asks(server.turn(Input::Octets(b"c NOOP\r\nd NO"), &mut out));
    // No more is read than a driver may be left with.
    looks(server.turn(Input::Answer(Answer::Searching), &mut out));
    asks(server.turn(Input::Octets(&[b'x'; Server::IN_MAX + 1]), &mut out));
    assert_eq!(out, b"");
    // One that has nothing more to say hears something, which fails where it is gone.
    looks(server.turn(Input::Answer(Answer::Searching), &mut out));
    asks(server.turn(Input::Eof, &mut out));
    assert_eq!(out, b"");
    for _ in 0..2 {
        looks(server.turn(Input::Answer(Answer::Searching), &mut out));
        assert_eq!(std::mem::take(&mut out), b"* OK Searching\r\n");
        asks(server.turn(Input::Deadline, &mut out));
    }
    server.turn(Input::Answer(Answer::Found(UidSet::new([2..=2]))), &mut out);
    assert_eq!(out, b"* SEARCH 2\r\nb OK SEARCH completed\r\n");
}

#[test]
fn who_waits_long_for_a_search_hears_of_it_now_and_then() {
    let mut server = selected(3);
    let mut out = Vec::new();
    server.turn(Input::Octets(b"b SEARCH SUBJECT x\r\n"), &mut out);
    for _ in 0..250 {
        server.turn(Input::Answer(Answer::Searching), &mut out);
        server.turn(Input::Deadline, &mut out);
    }
    assert_eq!(out, b"* OK Searching\r\n".repeat(2));
}
