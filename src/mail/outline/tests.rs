//! The outline's shape for named messages, and what holds for any sequence of octets.

use super::*;
use crate::mail::header;
use proptest::prelude::*;

/// One line a part: number, type, shape, and its body with line ends shown.
fn shown(octets: &[u8]) -> Vec<String> {
    let outline = Outline::of(octets);
    let numbers = outline.numbers();
    let show = |(part, number): (&Part, &String)| {
        let shape = match part.shape {
            Shape::Leaf => "",
            Shape::Multipart => " *",
            Shape::Message => " @",
        };
        let range = part.body.range();
        let body = &octets[range.start as usize..range.end as usize];
        let body = if part.shape == Shape::Leaf {
            format!(" {:?}", String::from_utf8_lossy(body))
        } else {
            String::new()
        };
        format!("{number} {}{shape}{body}", part.media.name())
    };
    outline.parts.iter().zip(&numbers).map(show).collect()
}

const MIXED: &str = "Content-Type: multipart/mixed; boundary=a\n\n";

#[test]
fn messages_are_parted_as_rfc_2046_says() {
    for (message, parts) in [
        ("", &["1 text/plain \"\""][..]),
        ("no header", &["1 text/plain \"no header\""]),
        ("A: 1\n\nbody\n", &["1 text/plain \"body\\n\""]),
        ("A: 1\r\n\r\n", &["1 text/plain \"\""]),
        ("Content-Type: text/html\n\n<p>", &["1 text/html \"<p>\""]),
        ("Content-Type: nonsense\n\nx", &["1 text/plain \"x\""]),
        (
            "$preamble\n--a\n\none\n--a\nContent-Type: text/html\n\ntwo\r\n\r\n--a--\nepilogue\n--a\n\nno part",
            &[" multipart/mixed *", "1 text/plain \"one\"", "2 text/html \"two\\r\\n\""],
        ),
        // A delimiter may be padded, but not go on.
        (
            "$--a \t\n\none\n--ab\n--a--x\n--a--  ",
            &[" multipart/mixed *", "1 text/plain \"one\\n--ab\\n--a--x\""],
        ),
        // Never closed.
        ("$--a\n\none\n", &[" multipart/mixed *", "1 text/plain \"one\\n\""]),
        // Empty parts: no body, no header, nothing.
        (
            "$--a\nA: 1\n\n--a\n\n--a\n--a\nA: 1\n--a--",
            &[
                " multipart/mixed *",
                "1 text/plain \"\"",
                "2 text/plain \"\"",
                "3 text/plain \"\"",
                "4 text/plain \"\"",
            ],
        ),
        // No part at all.
        ("$text\n--a--\n", &["1 multipart/mixed \"text\\n--a--\\n\""]),
        ("Content-Type: multipart/mixed\n\n--a\n\none\n", &["1 multipart/mixed \"--a\\n\\none\\n\""]),
        // No empty line in front of the first delimiter.
        (
            "Content-Type: multipart/mixed; boundary=a\n--a\n\none\n--a--",
            &[" multipart/mixed *", "1 text/plain \"one\""],
        ),
        // The outer delimiter ends the inner multipart, which was never closed.
        (
            "$--a\nContent-Type: multipart/alternative; boundary=ab\n\n--ab\n\nin\n--a\n\nout\n--a--\n",
            &[
                " multipart/mixed *",
                "1 multipart/alternative *",
                "1.1 text/plain \"in\"",
                "2 text/plain \"out\"",
            ],
        ),
        // One boundary for both: the inner one is meant first.
        (
            "$--a\nContent-Type: multipart/mixed; boundary=a\n\n--a\n\nin\n--a--\n--a\n\nout\n--a--\n",
            &[" multipart/mixed *", "1 multipart/mixed *", "1.1 text/plain \"in\"", "2 text/plain \"out\""],
        ),
        // A boundary that ends in dashes.
        (
            "Content-Type: multipart/mixed; boundary=\"a--\"\n\n--a--\n\none\n--a----\n",
            &[" multipart/mixed *", "1 text/plain \"one\""],
        ),
        (
            "Content-Type: multipart/digest; boundary=a\n\n--a\n\nA: 1\n\none\n--a\nContent-Type: text/plain\n\ntwo\n--a--",
            &[" multipart/digest *", "1 message/rfc822 @", "1.1 text/plain \"one\"", "2 text/plain \"two\""],
        ),
        (
            "$--a\nContent-Type: message/rfc822\n\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nin\n--b--\n--a--",
            &[" multipart/mixed *", "1 message/rfc822 @", "1 multipart/mixed *", "1.1 text/plain \"in\""],
        ),
        (
            "Content-Type: message/rfc822\n\nContent-Type: message/rfc822\n\nA: 1\n\nx",
            &["1 message/rfc822 @", "1.1 message/rfc822 @", "1.1.1 text/plain \"x\""],
        ),
        // An encoded message can't be looked into.
        (
            "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nQTogMQ==",
            &["1 message/rfc822 \"QTogMQ==\""],
        ),
        (
            "From joe Tue Nov 24 15:20:28 2026\nContent-Type: text/html\n\nFrom x\n",
            &["1 text/html \"From x\\n\""],
        ),
        ("$--a\nFrom x\n--a--\n", &[" multipart/mixed *", "1 text/plain \"From x\""]),
        ("$--a\n: no field\n\nx\n--a--\n", &[" multipart/mixed *", "1 text/plain \": no field\\n\\nx\""]),
    ] {
        let message = message.replace('$', MIXED);
        assert_eq!(shown(message.as_bytes()), parts, "{message:?}");
        // The same with the other line end, where that changes nothing else.
        if !message.contains('\r') {
            let parts: Vec<_> = parts.iter().map(|part| part.replace("\\n", "\\r\\n")).collect();
            assert_eq!(shown(message.replace('\n', "\r\n").as_bytes()), parts);
        }
    }
}

#[test]
fn the_fields_of_a_part_are_kept() {
    let outline = Outline::of(
        b"Content-Type: image/png;\r\n name=\"a b.png\"\r\nContent-Transfer-Encoding: BASE64\r\n\
          CONTENT-DISPOSITION : Attachment; filename*=utf-8''%C3%A9.png\r\nContent-ID: <1@x>\r\n\
          Content-Description: a\r\n picture\r\nContent-Language: de\r\nContent-Location: here\r\nContent-MD5: x\r\n\
          Content-Type: text/plain\r\n\r\n",
    );
    let part = &outline.parts[0];
    assert_eq!(part.file_name().as_deref(), Some("\u{e9}.png"));
    assert!(part.is_attachment());
    assert_eq!(part.transfer(), Encoding::Base64);
    assert_eq!(part.encoding, b"BASE64");
    assert_eq!(part.id.as_deref(), Some(&b"<1@x>"[..]));
    assert_eq!(part.description.as_deref(), Some(&b"a picture"[..]));
    assert_eq!(part.language.as_deref(), Some(&b"de"[..]));
    assert_eq!(part.location.as_deref(), Some(&b"here"[..]));
    assert_eq!(part.md5.as_deref(), Some(&b"x"[..]));
    // Of two Content-Type fields, which RFC 2045 does not allow, the first counts.
    assert!(part.media.is("image", "png"));
}

#[test]
fn sizes_are_those_of_the_wire() {
    let message = b"A: 1\n\r\none\r\ntwo\nlast\r";
    let outline = Outline::of(message);
    let part = &outline.parts[0];
    assert_eq!((part.header.range(), part.header.wire(), part.header.lines()), (0..7, 8, 2));
    assert_eq!((part.body.range(), part.body.wire(), part.body.lines()), (7..21, 15, 2));
    assert_eq!(outline.end, Place { at: 21, wire: 23, lines: 4 });
}

#[test]
fn nesting_beyond_the_bound_is_a_leaf() {
    let mut message = String::new();
    for depth in 0..10_000 {
        message += &format!("Content-Type: multipart/mixed; boundary=b{depth}\n\n--b{depth}\n");
    }
    let outline = Outline::of(message.as_bytes());
    assert!(outline.cut);
    assert_eq!(outline.parts.len(), DEPTH_MAX + 1);
    assert_eq!(outline.parts.last().unwrap().shape, Shape::Leaf);
    let message = "Content-Type: message/rfc822\n\n".repeat(10_000);
    let outline = Outline::of(message.as_bytes());
    assert_eq!((outline.cut, outline.parts.len()), (true, DEPTH_MAX + 1));
}

#[test]
fn parts_beyond_the_bound_belong_to_the_part_around_them() {
    let message = format!("{MIXED}{}", "--a\n\nx\n".repeat(PARTS_MAX + 10));
    let outline = Outline::of(message.as_bytes());
    assert!(outline.cut);
    assert_eq!(outline.parts.len(), PARTS_MAX);
    assert_eq!(outline.parts[0].body.end, outline.end);
    assert_eq!(outline.parts.last().unwrap().body.lines(), 0);
}

#[test]
fn fields_beyond_the_bound_are_cut_in_any_chunks() {
    let message = format!("Content-Description: {}\nContent-ID: x\n\n", "d".repeat(3 * FIELD_MAX));
    let whole = Outline::of(message.as_bytes());
    assert!(whole.cut);
    assert!(whole.parts[0].description.as_ref().unwrap().len() < FIELD_MAX);
    assert_eq!(whole.parts[0].id.as_deref(), Some(&b"x"[..]));
    assert_eq!(in_chunks(message.as_bytes(), 1000).0, whole);
    let field = format!("Content-Description: {}\n\n", "d".repeat(10_000));
    let message = format!("{MIXED}{}", format!("--a\n{field}").repeat(100));
    let kept: usize = Outline::of(message.as_bytes())
        .parts
        .iter()
        .filter_map(|part| part.description.as_ref())
        .map(Vec::len)
        .sum();
    assert!((TEXT_MAX - 20_000..=TEXT_MAX).contains(&kept));
}

#[test]
fn the_work_grows_with_the_message_and_not_faster() {
    let nested: String = (0..200)
        .map(|depth| format!("Content-Type: multipart/mixed; boundary=b{depth}\n\n--b{depth}\n"))
        .collect();
    for unit in [
        "x",
        "\n",
        "\r",
        " ",
        "--a\n",
        "--",
        "--a",
        "a: b\n",
        ":\n",
        "Content-Type: multipart/mixed; boundary=a\n\n--a\n",
        "Content-Type: message/rfc822\n\n",
        "From x\n",
        "--b99\n",
        "--b99--\n",
        "content-description: x\n y\n",
    ] {
        for head in ["", MIXED, &nested] {
            let message = format!("{head}{}", unit.repeat(200_000 / unit.len()));
            for step in [1, 4096, usize::MAX] {
                let (_, work) = in_chunks(message.as_bytes(), step);
                assert!(work <= 5 * message.len() as u64, "{unit:?}: {work} of {}", message.len());
            }
        }
    }
}

#[test]
fn numbers_lead_to_parts() {
    let message = format!("{MIXED}--a\n\none\n--a\nContent-Type: message/rfc822\n\nB: 1\n\nin\n--a--\n");
    let outline = Outline::of(message.as_bytes());
    assert_eq!(outline.numbers(), ["", "1", "2", "2.1"]);
    assert_eq!(outline.numbered("2").unwrap().0, 2);
    assert_eq!(outline.numbered("2.1").unwrap().0, 3);
    for none in ["", "0", "3", "1.1", "2.2", "."] {
        assert_eq!(outline.numbered(none), None, "{none}");
    }
    assert_eq!(outline.children(0).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(outline.children(2).collect::<Vec<_>>(), [3]);
}

fn in_chunks(octets: &[u8], step: usize) -> (Outline, u64) {
    let mut scanner = Scanner::new();
    octets.chunks(step).for_each(|chunk| scanner.push(chunk));
    let work = scanner.work();
    (scanner.finish(), work)
}

#[test]
fn a_line_end_before_a_delimiter_belongs_to_no_part() {
    for message in [
        "Content-Type: multipart/digest; boundary=b\nFrom x\n\n\n--b\n\n\n--b\n",
        "Content-Type: multipart/digest; boundary=b\n\n--b\n\n--b\n",
        "Content-Type: multipart/digest; boundary=b\n\n--b\n--b\n--b--\n",
        "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/mixed; boundary=b\n\n--b\nA: 1\n--a\n",
        "Content-Type: multipart/digest; boundary=b\n\n--b\n\nContent-Type: multipart/mixed; boundary=c\n\n--b--\n",
    ] {
        check(message.as_bytes());
        check(message.replace('\n', "\r\n").as_bytes());
    }
}

/// What holds for every outline.
fn check(octets: &[u8]) {
    let outline = Outline::of(octets);
    assert_eq!(outline.end.at, octets.len() as u64);
    assert_eq!(outline.parts[0].header.range(), {
        let extent = header::extent(octets);
        extent.start as u64..extent.body as u64
    });
    assert_eq!(outline.parts[0].body.end, outline.end);
    let mut behind = vec![Place::default(); outline.parts.len()];
    for (at, part) in outline.parts.iter().enumerate() {
        assert!(part.header.start <= part.header.end && part.header.end == part.body.start);
        assert!(part.body.start <= part.body.end);
        if let Some(parent) = part.parent {
            assert!(parent < at && outline.parts[parent].shape != Shape::Leaf);
            let around = outline.parts[parent].body;
            assert!(around.start <= part.header.start && part.body.end <= around.end);
            // Brothers stand behind each other.
            assert!(behind[parent] <= part.header.start);
            behind[parent] = part.body.end;
        }
        assert_eq!(outline.children(at).next().is_some(), part.shape != Shape::Leaf);
        for span in [part.header, part.body] {
            let piece = &octets[span.start.at as usize..span.end.at as usize];
            let lines = piece.iter().filter(|&&octet| octet == b'\n').count() as u64;
            assert_eq!(span.lines(), lines);
            let ends = span.start.at as usize..span.end.at as usize;
            let bare = ends.filter(|&at| octets[at] == b'\n' && (at == 0 || octets[at - 1] != b'\r')).count();
            assert_eq!(span.wire(), (piece.len() + bare) as u64);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 3000, ..ProptestConfig::default() })]
    #[test]
    fn every_outline_is_sound_and_chunks_do_not_matter(
        message in "(Content-Type: multipart/(mixed|digest); boundary=(a|b|\"a b\")\n|Content-Type: message/rfc822\n|\
                    --a\n|--b\n|--a--\n|--b--|\n\n|\n|\r\n|\r|A: 1\n| x\n|From x\n|:|-|a| ){0,30}",
        step in 1_usize..9,
    ) {
        check(message.as_bytes());
        let whole = Outline::of(message.as_bytes());
        prop_assert_eq!(in_chunks(message.as_bytes(), step).0, whole);
    }
}
