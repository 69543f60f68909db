//! FETCH of every section of the messages in tests/corpus, judged by mail-parser, and by what sections are of each other.

use super::imap::{Keeper, settings};
use crate::kit;
use mail_parser::{MessageParser, PartType};
use posthaste::{
    mail::flags::Flags,
    wire::{
        imap::{
            server::{Known, Server},
            token::Tokens,
        },
        session::{Input, Session, Step},
    },
};
use std::{fs, sync::Arc};

/// A client that asks and hears the whole answer.
struct Client {
    server: Server,
    keeper: Keeper,
}

impl Client {
    fn new(keeper: Keeper) -> Client {
        let mut server = Server::new(Arc::new(settings()), Known { login: true, plaintext_login: true });
        server.turn(Input::Begin, &mut Vec::new());
        Client { server, keeper }
    }

    fn say(&mut self, command: &str) -> Vec<u8> {
        let (mut all, mut out) = (Vec::new(), Vec::new());
        let line = format!("a {command}\r\n");
        let mut turn = self.server.turn(Input::Octets(line.as_bytes()), &mut out);
        loop {
            assert!(out.len() <= Server::OUT_MAX);
            all.append(&mut out);
            match turn.step {
                Step::Ask(ask) => {
                    let answer = self.keeper.answer(ask);
                    turn = self.server.turn(Input::Answer(answer), &mut out);
                }
                Step::Read(_) | Step::More => return all,
                other => panic!("{command}: {other:?}"),
            }
        }
    }

    /// One item of one message; `None` for NIL.
    fn fetch(&mut self, number: usize, item: &str, label: &str) -> Option<Vec<u8>> {
        let said = self.say(&format!("FETCH {number} {item}"));
        let start = format!("* {number} FETCH ({label} ");
        let rest = said.strip_prefix(start.as_bytes());
        let mut tokens = Tokens::new(rest.unwrap_or_else(|| panic!("{item}: {}", said.escape_ascii())));
        let octets = tokens.nstring().unwrap().map(|octets| octets.into_owned());
        assert_eq!(tokens.rest(), b")\r\na OK FETCH completed\r\n", "{item}");
        octets
    }

    fn section(&mut self, number: usize, section: &str) -> Option<Vec<u8>> {
        self.fetch(number, &format!("BODY.PEEK[{section}]"), &format!("BODY[{section}]"))
    }
}

/// What goes over the wire.
fn wire(octets: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for &octet in octets {
        if octet == b'\n' && out.last() != Some(&b'\r') {
            out.push(b'\r');
        }
        out.push(octet);
    }
    out.iter().map(|&octet| if octet == 0 { 0x80 } else { octet }).collect()
}

fn corpus() -> Vec<(String, Vec<u8>)> {
    let dir = kit::root().join("tests/corpus/messages");
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|end| end == "eml"))
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap()))
        .collect();
    all.sort();
    // Those that do not lie in one piece: a large part, and a header that is longer than what is read of it at once.
    let part = |text: &str| format!("--b\n\n{text}\n").into_bytes();
    let large = [
        b"Subject: large\nContent-Type: multipart/mixed; boundary=b\n\n".to_vec(),
        part(&"x".repeat(100_000)),
        part("small"),
        b"--b\nContent-Type: message/rfc822\n\nSubject: inner\n\n".to_vec(),
        "lines of text\n".repeat(10_000).into_bytes(),
        b"--b--\n".to_vec(),
    ];
    all.push(("(large)".into(), large.concat()));
    let fields = format!("{}Subject: far\n\nbody\n", "X-Field: value\n".repeat(5000));
    all.push(("(far)".into(), fields.into_bytes()));
    all
}

/// A section by its numbers, with what mail-parser says is in it: header and body.
type Judged = (String, Vec<u8>, Vec<u8>);

/// Every numbered section as mail-parser sees it.
fn judged(octets: &[u8]) -> Vec<Judged> {
    let Some(message) = MessageParser::default().parse(octets) else { return Vec::new() };
    let mut all = Vec::new();
    // A message, a part of it, and its number; none where a number is still to be given.
    let mut next = vec![(&message, 0_usize, String::new())];
    while let Some((message, at, prefix)) = next.pop() {
        let Some(part) = message.parts.get(at) else { continue };
        let is_root = at == 0;
        let dot = if prefix.is_empty() { "" } else { "." };
        let number = match (&part.body, is_root) {
            (PartType::Multipart(_), true) => prefix.clone(),
            (_, true) => format!("{prefix}{dot}1"),
            _ => prefix.clone(),
        };
        let range = |from: u32, to: u32| octets[from as usize..(to as usize).min(octets.len())].to_vec();
        if !(is_root && matches!(part.body, PartType::Multipart(_))) {
            let header = range(part.offset_header, part.offset_body);
            all.push((number.clone(), header, range(part.offset_body, part.offset_end)));
        }
        match &part.body {
            PartType::Multipart(parts) => {
                let dot = if number.is_empty() { "" } else { "." };
                for (place, &child) in (1..).zip(parts) {
                    next.push((message, child as usize, format!("{number}{dot}{place}")));
                }
            }
            PartType::Message(inner) => next.push((inner, 0, number)),
            _ => {}
        }
    }
    all
}

/// Where mail-parser sees other parts; tests/corpus/outlines.rs says why.
const DIFFERS: [&str; 8] = [
    "bad-type",
    "dashes-in-text",
    "empty-parts",
    "encoded-message",
    "leading-space",
    "no-blank-line",
    "outer-ends-inner",
    "two-types",
];

fn mailbox() -> (Client, Vec<(String, Vec<u8>)>) {
    let mut keeper = Keeper::empty();
    let messages = corpus();
    for (_, octets) in &messages {
        keeper.put("INBOX", octets, Flags::default());
    }
    let mut client = Client::new(keeper);
    assert!(client.say("SELECT INBOX").ends_with(b"a OK [READ-WRITE] SELECT completed\r\n"));
    (client, messages)
}

#[test]
fn every_numbered_section_is_what_mail_parser_sees() {
    let (mut client, messages) = mailbox();
    let mut compared = 0;
    for (number, (name, octets)) in (1..).zip(&messages) {
        if DIFFERS.contains(&name.as_str()) {
            continue;
        }
        for (section, header, body) in judged(&wire(octets)) {
            let got = client.section(number, &section);
            let got = got.unwrap_or_else(|| panic!("{name}: no section {section}"));
            // To which part line ends at its edges belong is told apart by RFC 2046 only, not by it.
            assert_eq!(
                got.trim_ascii().escape_ascii().to_string(),
                body.trim_ascii().escape_ascii().to_string(),
                "{name}: {section}"
            );
            // It counts an mbox's first line to the header.
            let mbox = header.split_inclusive(|&octet| octet == b'\n').next();
            let mbox = mbox.filter(|line| line.starts_with(b"From ")).map_or(0, <[u8]>::len);
            let header = &header[mbox..];
            let got = client.section(number, &format!("{section}.MIME")).unwrap();
            assert_eq!(
                got.trim_ascii().escape_ascii().to_string(),
                header.trim_ascii().escape_ascii().to_string(),
                "{name}: {section}.MIME"
            );
            compared += 1;
        }
    }
    assert!(compared >= 60, "only {compared} sections");
}

#[test]
fn sections_put_together_are_the_message() {
    let (mut client, messages) = mailbox();
    for (number, (name, octets)) in (1..).zip(&messages) {
        let whole = client.section(number, "").unwrap();
        assert!(whole == wire(octets), "{name}");
        let said = client.say(&format!("FETCH {number} RFC822.SIZE"));
        assert_eq!(
            String::from_utf8(said).unwrap(),
            format!("* {number} FETCH (RFC822.SIZE {})\r\na OK FETCH completed\r\n", whole.len()),
            "{name}"
        );
        let header = client.section(number, "HEADER").unwrap();
        let text = client.section(number, "TEXT").unwrap();
        // An mbox's first line belongs to neither.
        assert!(whole.ends_with(&[header.clone(), text].concat()), "{name}");
        let fields = client.section(number, "HEADER.FIELDS.NOT (X-None)").unwrap();
        assert_eq!(fields.trim_ascii_end().len(), header.trim_ascii_end().len(), "{name}");
        let (mut pieces, mut at) = (Vec::new(), 0);
        // A size that meets no other bound.
        while at < whole.len() + 7_001 {
            let piece =
                client.fetch(number, &format!("BODY.PEEK[]<{at}.7001>"), &format!("BODY[]<{at}>")).unwrap();
            pieces.extend_from_slice(&piece);
            at += 7_001;
        }
        assert!(pieces == whole, "{name}");
        let structure = client.say(&format!("FETCH {number} (BODYSTRUCTURE ENVELOPE)"));
        assert!(structure.ends_with(b"a OK FETCH completed\r\n"), "{name}");
    }
}

/// A message whose header has so many octets before its subject.
fn far(octets: usize) -> String {
    let lines = "X-Field: 0123456789012345678901234567890123456789012345\n";
    format!("{}Subject: far\n\nbody\n", lines.repeat(octets / lines.len()))
}

/// How much of a message is kept to answer with: what lies behind is not told, and nothing goes wrong.
#[test]
fn the_budgets_of_headers_are_reached() {
    let mut keeper = Keeper::empty();
    let put = |keeper: &mut Keeper, text: &str| keeper.put("INBOX", text.as_bytes(), Flags::default());
    // 256 KiB of a header, with its line ends as on the wire.
    put(&mut keeper, &far(230 << 10));
    put(&mut keeper, &far(256 << 10));
    // 1000 addresses of a field.
    for count in [1000, 1001] {
        let list = vec!["a@b"; count].join(",\n ");
        put(&mut keeper, &format!("To: {list}\nSubject: many\n\nbody\n"));
    }
    // 1 MiB of headers in all.
    let part = |inner: &str| format!("--b\nContent-Type: message/rfc822\n\n{inner}");
    let inner = part(&far(240 << 10));
    put(&mut keeper, &format!("Content-Type: multipart/mixed; boundary=b\n\n{}--b--\n", inner.repeat(6)));
    let mut client = Client::new(keeper);
    client.say("SELECT INBOX");
    let subject = |client: &mut Client, number| {
        let label = "BODY[HEADER.FIELDS (SUBJECT)]";
        client.fetch(number, "BODY.PEEK[HEADER.FIELDS (SUBJECT)]", label).unwrap()
    };
    assert_eq!(subject(&mut client, 1), b"Subject: far\r\n\r\n");
    assert_eq!(subject(&mut client, 2), b"\r\n");
    let count = |said: Vec<u8>, what: &str| String::from_utf8(said).unwrap().matches(what).count();
    for number in [3, 4] {
        assert_eq!(count(client.say(&format!("FETCH {number} ENVELOPE")), r#"(NIL NIL "a" "b")"#), 1000);
    }
    let told = count(client.say("FETCH 5 BODYSTRUCTURE"), r#""far""#);
    assert_eq!(told, (1 << 20) / (far(240 << 10).replace('\n', "\r\n").len() - 8));
}

/// The keywords of a mailbox that a session tells of, 1000 of them; flags of messages are told all the same.
#[test]
fn the_budget_of_keywords_is_reached() {
    let mut keeper = Keeper::empty();
    for message in 0..12 {
        let mut flags = Flags::default();
        (0..100).for_each(|number| flags.insert(&format!("k{message}-{number}")).unwrap());
        keeper.put("INBOX", b"Subject: x\n\n", flags);
    }
    let mut client = Client::new(keeper);
    client.say("SELECT INBOX");
    let said = String::from_utf8(client.say("FETCH 1:* FLAGS")).unwrap();
    let told = said.lines().rfind(|line| line.starts_with("* FLAGS (")).unwrap();
    assert_eq!(
        told.split(' ').filter(|word| !word.contains('\\') && *word != "*" && *word != "FLAGS").count(),
        1000
    );
    assert!(said.contains("k11-99"), "its flags are told");
    assert!(said.ends_with("a OK FETCH completed\r\n"));
}
