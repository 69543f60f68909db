use super::*;
use crate::mail::address::Domain;
use proptest::prelude::*;

const ID: &str = "01jc3q8m7kx5vwz9";

fn mailbox(text: &str) -> Mailbox {
    Mailbox::parse(text.as_bytes()).unwrap()
}

fn envelope() -> Envelope {
    Envelope {
        sender: Some(mailbox("me@example.org")),
        recipients: vec![
            Recipient::to(mailbox("you@example.net")),
            Recipient {
                mailbox: mailbox("\"odd \\\" one\"@[192.0.2.1]"),
                original: Some(mailbox("alias@example.org")),
                wish: Wish::default(),
            },
        ],
        body: Body::EightBitMime,
        login: Some("me".to_owned()),
        ..Envelope::default()
    }
}

fn file(body: &[u8], journal: &[(usize, Verdict)]) -> Vec<u8> {
    let id = QueueId::parse(ID).unwrap();
    let mut octets = Header { id: id.clone(), length: body.len() as u64 }.print().to_vec();
    octets.extend_from_slice(body);
    octets.extend(print_envelope(&id, &envelope()).unwrap());
    for (to, verdict) in journal {
        print_outcome(*to, verdict, &mut octets).unwrap();
    }
    octets
}

fn later(text: &str) -> Verdict {
    Verdict::Later(Why::new(4, 1, text))
}

#[test]
fn what_a_sender_wishes_to_hear_is_kept() {
    let id = QueueId::parse(ID).unwrap();
    let notify = Some(Notify { success: true, delay: true, ..Notify::default() });
    let wish = Wish { notify, orcpt: Some("rfc822;x y@example.org".to_owned()) };
    let never = Wish { notify: Some(Notify::default()), orcpt: None };
    let wished = Envelope {
        recipients: vec![
            Recipient { wish, ..Recipient::to(mailbox("a@example.net")) },
            Recipient { wish: never, ..Recipient::to(mailbox("b@example.net")) },
            Recipient::to(mailbox("c@example.net")),
        ],
        ret: Some(Ret::Full),
        envid: Some("QQ 1".to_owned()),
        ..Envelope::default()
    };
    let printed = print_envelope(&id, &wished).unwrap();
    let text = String::from_utf8(printed.clone()).unwrap();
    for part in [
        "{\"mailbox\":\"a@example.net\",\"notify\":\"SUCCESS,DELAY\",\"orcpt\":\"rfc822;x y@example.org\"}",
        "{\"mailbox\":\"b@example.net\",\"notify\":\"NEVER\"},{\"mailbox\":\"c@example.net\"}",
        ",\"ret\":\"FULL\",\"envid\":\"QQ 1\"}",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let header = Header { id: id.clone(), length: 0 };
    assert_eq!(read_tail(&header, printed.as_slice()).unwrap().envelope, wished);
    // What would make a command or a field of its own is damage.
    for (sound, damaged) in
        [("QQ 1", "QQ\\r\\n1"), ("x y@", "x\\ny@"), ("NEVER", "NEVER,SUCCESS"), ("FULL", "HALF")]
    {
        let text = text.replace(sound, damaged);
        assert!(matches!(read_tail(&header, text.as_bytes()), Err(Fault::Envelope(_))), "{text}");
    }
}

#[test]
fn what_came_with_smtputf8_is_kept_and_what_did_not_is_as_it_always_was() {
    let id = QueueId::parse(ID).unwrap();
    let utf8 = |text: &str| Mailbox::parse_utf8(text.as_bytes()).unwrap();
    let beyond = Envelope {
        sender: Some(utf8("j\u{f6}@b\u{fc}cher.example")),
        recipients: vec![Recipient::to(utf8("\u{7528}@example.net"))],
        utf8: true,
        ..Envelope::default()
    };
    let printed = print_envelope(&id, &beyond).unwrap();
    let text = String::from_utf8(printed.clone()).unwrap();
    assert!(text.contains("\"sender\":\"j\u{f6}@xn--bcher-kva.example\""), "{text}");
    assert!(text.contains(",\"utf8\":true}"), "{text}");
    let tail = read_tail(&Header { id: id.clone(), length: 0 }, printed.as_slice()).unwrap();
    assert_eq!(tail.envelope, beyond);
    let old = String::from_utf8(print_envelope(&id, &envelope()).unwrap()).unwrap();
    assert!(!old.contains("utf8"), "{old}");
}

#[test]
fn a_file_is_printed_as_the_architecture_says() {
    let text = String::from_utf8(file(
        b"Subject: x\r\n\r\ny\r\n",
        &[(0, Verdict::Done), (1, later("mx.example.net: 451 no\x07"))],
    ))
    .unwrap();
    assert_eq!(
        text,
        format!(
            "posthaste-spool 1 {ID} 00000000000000000017        \nSubject: x\r\n\r\ny\r\n\n\
             {{\"sender\":\"me@example.org\",\"recipients\":[{{\"mailbox\":\"you@example.net\"}},\
             {{\"mailbox\":\"\\\"odd \\\\\\\" one\\\"@[192.0.2.1]\",\"original\":\"alias@example.org\"}}],\
             \"body\":\"8BITMIME\",\"login\":\"me\"}}\nEND {ID}\n\
             {{\"to\":0,\"verdict\":\"done\"}}\n\
             {{\"to\":1,\"verdict\":\"later\",\"status\":\"4.4.1\",\"text\":\"mx.example.net: 451 no\\u0007\"}}\n"
        )
    );
    assert_eq!(text.find('\n'), Some(63));
}

#[test]
fn what_was_printed_is_read_again() {
    let body = b"a\r\nEND 01jc3q8m7kx5vwz9\n\n{}\n";
    let never = Verdict::Never(Why::new(1, 1, "no such user"));
    let octets = file(body, &[(0, later("one")), (0, later("two")), (1, never), (1, Verdict::Done)]);
    let (header, tail) = read(&octets).unwrap();
    assert_eq!((header.id.as_str(), header.length), (ID, body.len() as u64));
    assert_eq!(tail.envelope, envelope());
    assert_eq!(
        tail.standing,
        [
            Standing::Waiting { tries: 2, why: Some(Why::new(4, 1, "two")) },
            Standing::Failed(Why::new(1, 1, "no such user")),
        ]
    );
    assert_eq!((header.tail() + tail.whole, tail.torn), (octets.len() as u64, false));
}

/// Cut anywhere, a file is torn before its END mark and sound behind it, with the outcomes of its whole lines.
#[test]
fn a_file_cut_anywhere_is_torn_or_loses_its_last_line_only() {
    let whole = file(b"body\r\n", &[(0, Verdict::Done), (1, later("wait"))]);
    let end = file(b"body\r\n", &[]).len();
    let first = file(b"body\r\n", &[(0, Verdict::Done)]).len();
    for cut in 0..whole.len() {
        match read(&whole[..cut]) {
            Err(_) if cut < end => {}
            Ok((header, tail)) if cut >= end => {
                let good = if cut >= first { first } else { end };
                assert_eq!(header.tail() + tail.whole, good as u64, "cut at {cut}");
                assert_eq!(tail.torn, cut != good, "cut at {cut}");
                assert_eq!(tail.standing[0] == Standing::Done, cut >= first, "cut at {cut}");
                assert_eq!(tail.standing[1], Standing::Waiting { tries: 0, why: None });
            }
            other => panic!("cut at {cut}: {other:?}"),
        }
    }
}

#[test]
fn every_fault_is_named() {
    let good = String::from_utf8(file(b"body\r\n", &[(0, Verdict::Done)])).unwrap();
    let head = "posthaste-spool 1 01jc3q8m7kx5vwz9 00000000000000000006        \nbody\r\n";
    let with = |tail: &str| format!("{head}{tail}");
    let line = |recipients: &str| {
        with(&format!("\n{{\"sender\":null,\"recipients\":[{recipients}],\"body\":\"7BIT\"}}\n"))
    };
    let many = vec![r#"{"mailbox":"a@b"}"#; RECIPIENTS_MAX + 1].join(",");
    let journal = |text: &str| format!("{}END {ID}\n{text}", line(r#"{"mailbox":"a@b"}"#));
    let done = "{\"to\":0,\"verdict\":\"done\"}\n";
    let cases: Vec<(String, &str)> = vec![
        (String::new(), "Short"),
        (good[..63].to_owned(), "Short"),
        (good.replacen("spool 1", "spool 2", 1), "Magic"),
        (good.replacen("01jc3q8m", "01JC3Q8M", 1), "Id"),
        (good.replacen("01jc3q8m", "../../..", 1), "Id"),
        (good.replacen(" 0000000", " -000000", 1), "Length"),
        (good.replacen("00000000000000000006", "18446744073709551615", 1), "Length"),
        (good.replacen("00000000000000000006", "99446744073709551615", 1), "Length"),
        (good.replacen("00000000000000000006", "+0000000000000000006", 1), "Header"),
        (good.replacen("        \n", "       x\n", 1), "Header"),
        (good.replacen("        \n", "         ", 1), "Header"),
        (good.replacen("0006 ", "0005 ", 1), "Envelope("),
        (good.replacen("0006 ", "0007 ", 1), "BodyEnd"),
        (good.replacen("0006 ", "9006 ", 1), "BodyEnd"),
        (head.to_owned(), "BodyEnd"),
        (with("\n"), "EnvelopeLength"),
        (with(&format!("\n\"{}\"\n", "x".repeat(ENVELOPE_MAX))), "EnvelopeLength"),
        (with("\n{\"sender\":"), "Torn"),
        (with("\n{}\n"), "Envelope("),
        (with("\n\n"), "Envelope("),
        (with(&format!("\n{}\n", "[".repeat(100_000))), "Envelope("),
        (line(r#"{"mailbox":"a b@c"}"#), "Envelope("),
        (line(r#"{"mailbox":"a@b","original":"x@y\r\nz"}"#), "Envelope("),
        (line(""), "NoRecipient"),
        (line(&many), "Recipients"),
        (line(r#"{"mailbox":"a@b"}"#), "Torn"),
        (good.replacen("END", "ENX", 1), "Torn"),
        (good.replacen("END 0", "END 1", 1), "OtherId"),
        (journal("garbage\n"), "Journal(1)"),
        (journal("{\"to\":1,\"verdict\":\"done\"}\n"), "Journal(1)"),
        (journal(&format!("{done}{{\"to\":0,\"verdict\":\"later\"}}\n")), "Journal(2)"),
        (journal("{\"to\":0,\"verdict\":\"later\",\"status\":\"5.1.1\",\"text\":\"\"}\n"), "Journal(1)"),
        (journal("{\"to\":0,\"verdict\":\"never\",\"status\":\"5.1.1.1\",\"text\":\"\"}\n"), "Journal(1)"),
        (journal("{\"to\":-1,\"verdict\":\"done\"}\n"), "Journal(1)"),
        (journal(&format!("{}\n", " ".repeat(LINE_MAX))), "Journal(1)"),
        (journal(&done.repeat(LINES_EACH + 1)), "JournalLength"),
    ];
    assert!(read(journal(&done.repeat(LINES_EACH)).as_bytes()).is_ok());
    for (text, name) in cases {
        let fault = read(text.as_bytes()).unwrap_err();
        assert!(format!("{fault:?}").starts_with(name), "{fault:?}, not {name}: {:.200}", text);
        assert!(!fault.to_string().is_empty());
    }
}

#[test]
fn a_fault_of_the_disk_is_told_from_a_fault_of_the_file() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::from_raw_os_error(5))
        }
    }
    let header = Header { id: QueueId::parse(ID).unwrap(), length: 0 };
    assert!(matches!(read_tail(&header, io::BufReader::new(Broken)), Err(Fault::Read(_))));
}

#[test]
fn what_is_over_the_budget_is_not_printed() {
    let id = QueueId::parse(ID).unwrap();
    let mut wide = envelope();
    wide.recipients.clear();
    assert!(matches!(print_envelope(&id, &wide), Err(Fault::NoRecipient)));
    wide.recipients = vec![envelope().recipients[0].clone(); RECIPIENTS_MAX + 1];
    assert!(matches!(print_envelope(&id, &wide), Err(Fault::Recipients)));
    wide.recipients.truncate(1);
    wide.login = Some("x".repeat(ENVELOPE_MAX));
    assert!(matches!(print_envelope(&id, &wide), Err(Fault::EnvelopeLength)));
    let mut line = Vec::new();
    print_outcome(RECIPIENTS_MAX, &later(&"\u{1}\u{e9}".repeat(5000)), &mut line).unwrap();
    assert!(line.len() <= LINE_MAX, "{}", line.len());
}

proptest! {
    #[test]
    fn any_octets_are_read_or_refused(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(fuzz(&octets));
        let mut long = file(b"x\r\n", &[]);
        long.extend_from_slice(&octets);
        prop_assert!(fuzz(&long));
    }

    #[test]
    fn a_file_with_any_octet_changed_is_read_or_refused(place in any::<prop::sample::Index>(), octet: u8) {
        let mut whole = file(b"x\r\n", &[(0, Verdict::Done), (1, later("wait"))]);
        let place = place.index(whole.len());
        whole[place] = octet;
        prop_assert!(fuzz(&whole));
    }

    #[test]
    fn any_local_part_survives(local in "[ -~]{1,40}", tries in 0usize..5) {
        let id = QueueId::parse(ID).unwrap();
        let mut one = envelope();
        one.recipients[0].mailbox = Mailbox { local, domain: Domain::Name("example.org".to_owned()) };
        // What the address room can't print within its own limits is no address that SMTP could have given.
        prop_assume!(Mailbox::parse(one.recipients[0].mailbox.to_string().as_bytes()).is_ok());
        let mut octets = Header { id: id.clone(), length: 0 }.print().to_vec();
        octets.extend(print_envelope(&id, &one).unwrap());
        for _ in 0..tries {
            print_outcome(0, &later("x"), &mut octets).unwrap();
        }
        let (_, tail) = read(&octets).unwrap();
        prop_assert_eq!(tail.envelope, one);
        let Standing::Waiting { tries: counted, .. } = tail.standing[0] else { panic!("not waiting") };
        prop_assert_eq!(counted as usize, tries);
    }
}
