//! Ordinary shapes arrive as they were sent; nasty ones arrive, are refused for what they are, or are delivered unharmed by
//! `mail-deliver`.

use super::{
    served,
    shapes::ordinary,
    walk::{Chain, given},
};
use crate::kit::smtp::Speaker;

#[test]
fn every_ordinary_shape_arrives_octet_for_octet() {
    let chain = Chain::start();
    let messages = ordinary();
    assert!(messages.len() >= 180, "{}", messages.len());
    for message in &messages {
        chain.arrives(&message.name, &message.octets);
    }
    served::all(&chain);
}

fn nasty() -> Vec<(&'static str, Vec<u8>)> {
    let mut deep = b"Subject: deep\nMIME-Version: 1.0\n".to_vec();
    for depth in 0..10_000 {
        deep.extend_from_slice(
            format!("Content-Type: multipart/mixed; boundary=b{depth}\n\n--b{depth}\n").as_bytes(),
        );
    }
    let mut line = b"Subject: one line\n\n".to_vec();
    line.resize(10 << 20, b'x');
    line.push(b'\n');
    let words = format!("Subject: {}\n\nbody\n", "=?utf-8?Q?=C3=BC?= ".repeat(240_000 / 19));
    let many = format!("{}\nbody\n", "X-Field: value\n".repeat(5_000));
    vec![
        ("ten thousand deep", deep),
        ("a line of 10 MB", line),
        ("240 KB of encoded words", words.into_bytes()),
        ("five thousand fields", many.into_bytes()),
        ("only dots", b"Subject: dots\n\n.\n..\n...\n.\n".to_vec()),
        (
            "escape sequences",
            b"Subject: \x1b]0;owned\x07\x1b[2J\nFrom: \x1b[31mred <a@b.example>\n\n\x1b[2Jbody\x07\n"
                .to_vec(),
        ),
        (
            "half a boundary",
            b"Subject: x\nContent-Type: multipart/mixed; boundary=\n\n--\n--\n----\n".to_vec(),
        ),
        ("bad base64", b"Subject: x\nContent-Transfer-Encoding: base64\n\n!!!!====%%%\n".to_vec()),
        ("no header", b"\njust a body\n".to_vec()),
        (
            "a thousand recipients shown",
            format!("To: {}\n\nbody\n", "a@example.net, ".repeat(1_000)).into_bytes(),
        ),
        ("control characters", b"Subject: a\x01\x02\x7f\n\n\x08\x0b\x0c\x1f\n".to_vec()),
    ]
}

#[test]
fn nasty_messages_that_are_legal_arrive_octet_for_octet() {
    let chain = Chain::start();
    for (name, octets) in nasty() {
        chain.arrives(name, &octets);
    }
    served::all(&chain);
}

#[test]
fn what_smtp_forbids_is_refused_with_its_code_and_the_chain_goes_on() {
    let chain = Chain::start();
    for (name, text) in [
        ("NUL", &b"Subject: x\r\n\r\na\0b\r\n.\r\n"[..]),
        ("lone CR", b"Subject: x\r\n\r\na\rb\r\n.\r\n"),
        ("lone LF", b"Subject: x\r\n\r\na\nb\r\n.\r\n"),
        ("lone LF around a dot", b"Subject: x\r\n\r\na\n.\nMAIL FROM:<smuggled@example.net>\r\n.\r\n"),
        ("CR LF dot CR", b"Subject: x\r\n\r\na\r\n.\rb\r\n.\r\n"),
    ] {
        let mut client = Speaker::tcp(chain.daemon.tcp("smtp")).hello();
        assert!(client.say("MAIL FROM:<a@example.net>").starts_with("250"));
        assert!(client.say("RCPT TO:<alice@example.org>").starts_with("250"));
        assert!(client.say("DATA").starts_with("354"));
        client.write(text).unwrap();
        let reply = client.reply();
        assert!(reply.starts_with("550 5.5.2"), "{name}: {reply}");
        assert_eq!(client.reply(), "", "{name}: closed");
        assert_eq!(chain.house.messages("alice", "").len(), 0, "{name}");
    }
    chain.arrives("afterwards", b"Subject: still here\n\nbody\n");
}

#[test]
fn mail_deliver_keeps_any_octets_as_they_are() {
    let chain = Chain::start();
    let mut all = nasty();
    all.extend([
        ("empty", Vec::new()),
        ("colon first", b": value\nSubject: x\n\nbody\n".to_vec()),
        ("NUL", b"Subject: x\n\na\0b\n".to_vec()),
        ("lone CR", b"Subject: x\n\na\rb\n".to_vec()),
        ("mixed line ends", b"Subject: x\r\n\na\r\nb\n".to_vec()),
        ("From line", b"From alice Tue Nov 24 09:00:00 2026\nSubject: x\n\nbody\n".to_vec()),
        ("no final newline", b"Subject: x\n\nbody".to_vec()),
        ("only CR", b"\r\r\r".to_vec()),
        ("all octets", (0..=255).collect()),
    ]);
    for (name, octets) in all {
        let mut command = chain.house.bare("mail-deliver");
        command.arg("--maildir").arg(chain.house.maildir("alice")).args([
            "-f",
            "a@example.net",
            "-r",
            "alice@example.org",
        ]);
        let done = given(command, &octets);
        assert!(done.status.success(), "{name}: {}", String::from_utf8_lossy(&done.stderr));
        chain.matches(name, &octets, &chain.take(name));
    }
    served::all(&chain);
}
