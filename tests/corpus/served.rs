//! What has arrived is served by mail-serve and fetched by mail-fetch, by IMAP and by POP3, octet for octet; and each section
//! that FETCH gives of it is what the email package of Python finds in the file (`sections.py`).

use super::walk::{Chain, given};
use crate::kit::{self, daemon::Daemon, lines::Lines};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Serves what was taken off the chain, and demands it back.
pub fn all(chain: &Chain) {
    let names: BTreeMap<String, String> = chain.taken.borrow().iter().cloned().collect();
    if names.is_empty() {
        // None of the programs that compose is installed; each was named as missing.
        return;
    }
    let before = files(&chain.house.maildir("bob"), &names);
    assert_eq!(before.len(), names.len());
    let daemon = Daemon::start(&chain.house, "mail-serve");
    for scheme in ["pop3", "imap"] {
        let into = fetched(chain, &daemon, scheme);
        let wanted = before.iter().map(|(name, octets)| (stored(octets, scheme), name.as_str())).collect();
        let got = files(&into, &BTreeMap::new());
        same(scheme, wanted, got.iter().map(|(name, octets)| (octets.clone(), name.as_str())).collect());
    }
    sections(chain, &daemon);
    // Who is served reads only.
    assert!(files(&chain.house.maildir("bob"), &names) == before);
}

/// The octets of every message in a Maildir with its name: what the base of its file stands for, or that itself.
fn files(maildir: &Path, names: &BTreeMap<String, String>) -> Vec<(String, Vec<u8>)> {
    let parts = ["new", "cur"].map(|part| fs::read_dir(maildir.join(part)).unwrap());
    let mut all: Vec<_> = parts
        .into_iter()
        .flatten()
        .map(|entry| {
            let path = entry.unwrap().path();
            let base = path.file_name().unwrap().to_str().unwrap().split(':').next().unwrap();
            (names.get(base).map_or(base, String::as_str).to_owned(), fs::read(&path).unwrap())
        })
        .collect();
    all.sort();
    all
}

/// Runs mail-fetch into a Maildir of its own.
fn fetched(chain: &Chain, daemon: &Daemon, scheme: &str) -> PathBuf {
    let into = chain.house.path(&format!("fetched-{scheme}"));
    chain.house.write("password", "builder\n");
    let mut command = chain.house.bare("mail-fetch");
    command.arg(format!("{scheme}://bob@{}", daemon.address(scheme)));
    command.args(["-q", "--tls-ca", "cert.pem", "--password-file", "password", "--state", "state"]);
    let done = command.arg("--into").arg(&into).output().unwrap();
    assert!(done.status.success(), "{scheme}: {}", String::from_utf8_lossy(&done.stderr));
    into
}

/// A file as it is on the wire: a LF without CR is CR LF, and NUL is 0x80.
fn wire(octets: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(octets.len());
    for &octet in octets {
        if octet == b'\n' && out.last() != Some(&b'\r') {
            out.push(b'\r');
        }
        out.push(if octet == 0 { 0x80 } else { octet });
    }
    out
}

/// The file that is made of a file's wire octets: its own octets, unless some can't be told from others there.
fn stored(octets: &[u8], scheme: &str) -> Vec<u8> {
    let mut wire = wire(octets);
    // A text ends with a line end in POP3 (RFC 1939 section 3).
    if scheme == "pop3" && !wire.is_empty() && !wire.ends_with(b"\r\n") {
        wire.extend_from_slice(b"\r\n");
    }
    let mut out: Vec<u8> = Vec::with_capacity(wire.len());
    for (at, &octet) in wire.iter().enumerate() {
        // What LF alone would stand for is CR LF, but behind a CR.
        if octet == b'\r' && wire.get(at + 1) == Some(&b'\n') && out.last() != Some(&b'\r') {
            continue;
        }
        out.push(octet);
    }
    // For most files that is nothing: they come back as they are.
    let odd = octets.contains(&0) || octets.contains(&b'\r') || !octets.ends_with(b"\n");
    assert!(odd || out == octets);
    out
}

/// The same octets, in any order.
fn same(scheme: &str, mut wanted: Vec<(Vec<u8>, &str)>, mut got: Vec<(Vec<u8>, &str)>) {
    wanted.sort();
    got.sort();
    for ((octets, name), (other, file)) in wanted.iter().zip(&got) {
        let at = octets.iter().zip(other).take_while(|(one, two)| one == two).count();
        let near = |octets: &[u8]| {
            octets[at.saturating_sub(40)..(at + 40).min(octets.len())].escape_ascii().to_string()
        };
        assert!(
            octets == other,
            "{scheme}: {name} is not {file}: {} at {at} is {}",
            near(octets),
            near(other)
        );
    }
    assert_eq!(wanted.len(), got.len(), "{scheme}");
}

/// Lets Python's imaplib fetch every section, and its email package judge them.
fn sections(chain: &Chain, daemon: &Daemon) {
    let Some(python) = kit::peer("python3") else { return };
    let lines: Vec<String> =
        chain.taken.borrow().iter().map(|(base, name)| format!("{base}\t{name}\n")).collect();
    let names = chain.house.write("names", lines.concat());
    let address = daemon.tcp("imap");
    let mut command = Command::new(python);
    command.arg(kit::root().join("tests/corpus/sections.py"));
    command.args([address.ip().to_string(), address.port().to_string()]);
    let done = command.arg(chain.house.maildir("bob")).arg(names).output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
    let judged: usize = said.split_whitespace().next().unwrap().parse().unwrap();
    assert!(judged >= lines.len(), "{said}");
}

/// The messages that lie in `messages/`.
fn lying() -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(kit::root().join("tests/corpus/messages")).unwrap();
    let mut all: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "eml"))
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap()))
        .collect();
    all.sort();
    all
}

#[test]
fn what_mail_deliver_keeps_is_served_and_fetched() {
    let chain = Chain::start();
    for (name, octets) in lying() {
        let mut command = chain.house.bare("mail-deliver");
        command.arg("--maildir").arg(chain.house.maildir("alice"));
        let done = given(command, &octets);
        assert!(done.status.success(), "{name}: {}", String::from_utf8_lossy(&done.stderr));
        chain.take(&name);
    }
    all(&chain);
}

#[test]
fn what_other_programs_put_there_is_served_and_fetched_as_it_is() {
    let chain = Chain::start();
    for (number, (name, octets)) in (1000..).zip(lying()) {
        put(&chain, &format!("{number}.M1P1.h"), &name, &octets);
    }
    all(&chain);
}

/// Puts a file of bob's as another program does.
fn put(chain: &Chain, base: &str, name: &str, octets: &[u8]) {
    fs::write(chain.house.maildir("bob").join("new").join(base), octets).unwrap();
    chain.taken.borrow_mut().push((base.to_owned(), name.to_owned()));
}

#[test]
fn a_name_that_is_wrong_about_its_size_cuts_no_message() {
    let chain = Chain::start();
    // One that is told at once, and one that is told piece by piece.
    for (number, lines) in [(1, 9_usize), (2, 9_000)] {
        for (kind, end) in [("lf", "\n"), ("crlf", "\r\n")] {
            let text =
                format!("Subject: {kind} {lines}{end}{end}{}", format!(".some text{end}").repeat(lines));
            let size = text.len();
            let wire = wire(text.as_bytes()).len();
            for (case, (said, wired)) in [
                (size, wire),
                (size, wire + 1000),
                (size, wire - 1),
                (size, size),
                (size, 0),
                (size, 3 * size),
                (size - 1, wire),
                (size - 1, wire - 1),
                (size + 5, wire + 5),
                (0, 0),
            ]
            .into_iter()
            .enumerate()
            {
                let base = format!("100{number}.{kind}{case}.h,S={said},W={wired}");
                put(&chain, &base, &format!("wrong {base} of {size}, {wire}"), text.as_bytes());
            }
        }
    }
    all(&chain);
}

#[test]
fn a_message_that_is_edited_in_place_closes_no_session() {
    let chain = Chain::start();
    let text = |lines: usize| format!("Subject: edited\n\n{}", "some text\n".repeat(lines));
    put(&chain, "1000.a.h,S=90017,W=99019", "edited", text(9_000).as_bytes());
    let daemon = Daemon::start(&chain.house, "mail-serve");
    let mut client = Lines::connect(daemon.tcp("imap"));
    client.hear();
    client.imap("LOGIN bob builder");
    client.imap("SELECT INBOX");
    let path = chain.house.messages("bob", "").remove(0);
    for lines in [9_000, 5_000, 8_000, 1] {
        fs::write(&path, text(lines)).unwrap();
        let size = 19 + 11 * lines;
        let heard = client.imap("FETCH 1 (RFC822.SIZE)");
        assert_eq!(heard[0], format!("* 1 FETCH (RFC822.SIZE {size})"));
        for section in ["", "TEXT", "1"] {
            let heard = client.imap(&format!("FETCH 1 BODY.PEEK[{section}]"));
            assert_eq!(heard.iter().filter(|line| *line == "some text").count(), lines, "BODY[{section}]");
        }
        client.imap("FETCH 1 (BODYSTRUCTURE ENVELOPE)");
    }
}
