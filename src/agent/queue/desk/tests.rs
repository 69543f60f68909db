use super::*;
use crate::{
    mail::{
        address::Mailbox,
        draft::{Draft, Receipt},
        envelope::{Envelope, Recipient as To},
        id::DeliveryKey,
        verdict::Why,
    },
    spool::{Next, memory::Memory},
    wire::{control::Of, session::Session},
};
use std::io::Write;

const NOW: Duration = Duration::from_secs(1_795_001_000);

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + NOW
}

fn id(n: u64) -> QueueId {
    QueueId::new((1_795_000_000 + n) * 1_000_000, 0)
}

fn put(spool: &Memory, n: u64, recipients: usize, body: &[u8]) {
    let mut draft = spool.draft().unwrap();
    draft.write_all(body).unwrap();
    let to = |n| To {
        original: Some(Mailbox::parse(b"all@example.org").unwrap()),
        ..To::to(Mailbox::parse(format!("r{n}@example.net").as_bytes()).unwrap())
    };
    let envelope = Envelope {
        sender: None,
        recipients: (0..recipients).map(to).collect(),
        login: Some("me".to_owned()),
        ..Envelope::default()
    };
    assert!(draft.commit(vec![envelope], &DeliveryKey::first(id(n))).wait()[0].is_ok());
}

fn of(n: u64) -> Of {
    Of { id: id(n).to_string() }
}

/// The whole answer to one request, as responses; each part of it keeps to the budget.
fn ask(spool: &Memory, desk: &mut Desk<Memory>, request: Request) -> Vec<Response> {
    let mut octets = Vec::new();
    let mut question = Question::Begin(request);
    loop {
        let answer = desk.answer(spool, question, now());
        assert!(answer.octets.len() <= <control::server::Server as Session>::OUT_MAX);
        octets.extend(answer.octets);
        if !answer.more {
            break;
        }
        question = Question::More;
    }
    let lines = octets.split_inclusive(|&octet| octet == b'\n');
    lines.map(|line| Response::parse(line.trim_ascii_end()).unwrap()).collect()
}

fn refusal(responses: &[Response]) -> Refusal {
    match responses {
        [Response::Refused { why, .. }] => *why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_list_shows_every_entry_in_parts() {
    let spool = Memory::new();
    for n in 0..100 {
        put(&spool, n, if n == 50 { 3000 } else { 1 }, b"x");
    }
    let mut rows = ask(&spool, &mut Desk::new(), Request::List);
    assert_eq!(rows.pop(), Some(Response::Done));
    let ids: Vec<String> = rows
        .iter()
        .map(|row| if let Response::Entry(row) = row { row.id.clone() } else { panic!("{row:?}") })
        .collect();
    assert_eq!(ids, (0..100).map(|n| id(n).to_string()).collect::<Vec<_>>());
    assert!(matches!(&rows[50], Response::Entry(row) if row.recipients.len() == 3000));
    assert_eq!(ask(&Memory::new(), &mut Desk::new(), Request::List), [Response::Done]);
}

#[test]
fn an_entry_is_shown_with_all_that_is_known_of_it() {
    let spool = Memory::new();
    put(&spool, 1, 3, b"x\r\n");
    let lease = spool.claim(now(), NOW, 1).unwrap().remove(0);
    let verdicts = [
        (0, Verdict::Done),
        (1, Verdict::Later(Why::new(4, 1, "mx: refused"))),
        (2, Verdict::Never(Why::new(1, 1, "unknown"))),
    ];
    spool.settle(lease, &verdicts, Next::At(now())).unwrap();
    let shown = ask(&spool, &mut Desk::new(), Request::Show(of(1)));
    let text = String::from_utf8(shown[0].print()).unwrap();
    let to = |n: u32, rest: &str| {
        format!("{{\"mailbox\":\"r{n}@example.net\",\"original\":\"all@example.org\",\"standing\":{rest}}}")
    };
    let recipients = [
        to(0, "\"done\""),
        to(1, "\"waiting\",\"tries\":1,\"status\":\"4.4.1\",\"text\":\"mx: refused\""),
        to(2, "\"failed\",\"status\":\"5.1.1\",\"text\":\"unknown\""),
    ];
    assert_eq!(
        text,
        format!(
            "{{\"entry\":{{\"id\":\"{}\",\"state\":\"waiting\",\"arrived\":1795000001,\"due\":1795001000,\"size\":3,\
             \"sender\":null,\"login\":\"me\",\"recipients\":[{}]}}}}\n",
            id(1),
            recipients.join(",")
        )
    );
    assert_eq!(shown[1..], [Response::Done]);
}

#[test]
fn the_octets_of_a_message_come_in_pieces() {
    let spool = Memory::new();
    let body: Vec<u8> = (0..200_003u32).map(|n| n as u8).collect();
    put(&spool, 1, 1, &body);
    put(&spool, 2, 1, b"");
    let mut pieces = ask(&spool, &mut Desk::new(), Request::Read(of(1)));
    assert_eq!(pieces.pop(), Some(Response::Done));
    let got: Vec<u8> =
        pieces
            .iter()
            .flat_map(|piece| {
                if let Response::Octets(text) = piece { Response::decode(text).unwrap() } else { panic!() }
            })
            .collect();
    assert!(got == body);
    assert_eq!(ask(&spool, &mut Desk::new(), Request::Read(of(2))), [Response::Done]);
}

#[test]
fn a_change_is_made_or_refused_by_name() {
    let spool = Memory::new();
    put(&spool, 1, 1, b"x");
    let mut desk = Desk::new();
    assert_eq!(refusal(&ask(&spool, &mut desk, Request::Release(of(1)))), Refusal::State);
    assert_eq!(ask(&spool, &mut desk, Request::Hold(of(1))), [Response::Done]);
    assert_eq!(spool.next_due(), None);
    assert_eq!(refusal(&ask(&spool, &mut desk, Request::Retry(of(1)))), Refusal::State);
    assert!(!desk.take_changed());
    assert_eq!(ask(&spool, &mut desk, Request::Release(of(1))), [Response::Done]);
    assert!(desk.take_changed() && !desk.take_changed());
    assert_eq!(spool.next_due(), Some(now()));
    let lease = spool.claim(now(), NOW, 1).unwrap().remove(0);
    assert_eq!(refusal(&ask(&spool, &mut desk, Request::Remove(of(1)))), Refusal::Busy);
    spool.settle(lease, &[], Next::At(now() + NOW)).unwrap();
    assert_eq!(ask(&spool, &mut desk, Request::Retry(of(1))), [Response::Done]);
    assert_eq!(spool.next_due(), Some(now()));
    assert_eq!(ask(&spool, &mut desk, Request::Remove(of(1))), [Response::Done]);
    let odd = Of { id: "../../etc/passwd".to_owned() };
    for request in [
        Request::Show(of(1)),
        Request::Read(of(1)),
        Request::Hold(of(1)),
        Request::Remove(of(1)),
        Request::Hold(odd),
    ] {
        assert_eq!(refusal(&ask(&spool, &mut desk, request)), Refusal::Missing);
    }
}

#[test]
fn who_can_only_look_changes_nothing() {
    let spool = Memory::new();
    put(&spool, 1, 1, b"x");
    for request in [Request::Retry(of(1)), Request::Hold(of(1)), Request::Remove(of(1))] {
        let answer = Desk::new().look(&spool, Question::Begin(request), "the daemon is down");
        let text = String::from_utf8(answer.octets).unwrap();
        assert!(text.contains("temporary") && text.contains("the daemon is down"), "{text}");
    }
    assert!(spool.entry(&id(1)).unwrap().due.is_some());
}
