//! A foreign recipient in every spelling that was ever used to talk a server into relaying: refused from outside, and after a
//! login routed to exactly the mailbox that RFC 5321 says it is, or refused as what it is.

use crate::kit::{
    daemon::Daemon,
    house::House,
    sink::Sink,
    smtp::Speaker,
    talk::{Conn, Side, Talk},
};
use std::net::TcpStream;

/// What becomes of a spelling after a login.
enum Then {
    /// It goes out to this path.
    To(&'static str),
    /// It is refused as it is from outside.
    Same,
}
use Then::{Same, To};

/// What stands behind `RCPT TO:` (written as in a dialogue), the refusal from outside, and what a login gets.
const SPELLINGS: &[(&str, &str, Then)] = &[
    // As it should be.
    ("<joe@elsewhere.example>", "550 5.7.1", To("<joe@elsewhere.example>")),
    ("<JOE@ELSEWHERE.EXAMPLE>", "550 5.7.1", To("<JOE@elsewhere.example>")),
    ("<postmaster@elsewhere.example>", "550 5.7.1", To("<postmaster@elsewhere.example>")),
    ("<joe+alice@elsewhere.example>", "550 5.7.1", To("<joe+alice@elsewhere.example>")),
    // Percent and bang are letters (RFC 5321 appendix F.4): of unknown users here, of others elsewhere.
    ("<joe%elsewhere.example@example.org>", "550 5.1.1", Same),
    ("<joe%elsewhere.example@mx.example.org>", "550 5.1.1", Same),
    ("<joe%elsewhere.example@[127.0.0.1]>", "550 5.1.1", Same),
    ("<joe%elsewhere.example@localhost>", "550 5.1.1", Same),
    ("<joe%elsewhere.example>", "501 5.1.3", Same),
    ("<joe%a.example%b.example@example.org>", "550 5.1.1", Same),
    ("<joe%example.org@elsewhere.example>", "550 5.7.1", To("<joe%example.org@elsewhere.example>")),
    ("<elsewhere.example!joe@example.org>", "550 5.1.1", Same),
    ("<elsewhere.example!joe@mx.example.org>", "550 5.1.1", Same),
    ("<elsewhere.example!joe>", "501 5.1.3", Same),
    ("<example.org!joe@elsewhere.example>", "550 5.7.1", To("<example.org!joe@elsewhere.example>")),
    // Source routes (RFC 5321 appendix C).
    ("<@example.org:joe@elsewhere.example>", "501 5.1.3", Same),
    ("<@mx.example.org,@a.example:joe@elsewhere.example>", "501 5.1.3", Same),
    ("<@elsewhere.example:alice@example.org>", "501 5.1.3", Same),
    // Quotes and backslashes.
    ("<\"joe\"@elsewhere.example>", "550 5.7.1", To("<joe@elsewhere.example>")),
    ("<\"j\\\\oe\"@elsewhere.example>", "550 5.7.1", To("<joe@elsewhere.example>")),
    ("<\"joe smith\"@elsewhere.example>", "550 5.7.1", To("<\"joe smith\"@elsewhere.example>")),
    (
        "<\"alice@example.org\"@elsewhere.example>",
        "550 5.7.1",
        To("<\"alice@example.org\"@elsewhere.example>"),
    ),
    ("<\"joe@elsewhere.example\"@example.org>", "550 5.1.1", Same),
    ("<\"joe\\\\@elsewhere.example\"@example.org>", "550 5.1.1", Same),
    ("<\"joe%elsewhere.example\"@example.org>", "550 5.1.1", Same),
    ("<\"joe@elsewhere.example\">", "501 5.1.3", Same),
    ("<\"joe@elsewhere.example>\"@example.org>", "550 5.1.1", Same),
    ("<\"@a.example:joe\"@elsewhere.example>", "550 5.7.1", To("<\"@a.example:joe\"@elsewhere.example>")),
    ("<joe\\\\@elsewhere.example@example.org>", "501 5.1.3", Same),
    ("<\"joe@elsewhere.example>", "501 5.1.3", Same),
    ("<\"joe\"smith@elsewhere.example>", "501 5.1.3", Same),
    ("<\"\"@elsewhere.example>", "550 5.7.1", To("<\"\"@elsewhere.example>")),
    // Address literals: of others, and ours.
    ("<joe@[192.0.2.1]>", "550 5.7.1", To("<joe@[192.0.2.1]>")),
    ("<joe@[192.000.002.001]>", "550 5.7.1", To("<joe@[192.0.2.1]>")),
    ("<joe@[IPv6:2001:db8::1]>", "550 5.7.1", To("<joe@[IPv6:2001:db8::1]>")),
    ("<joe@[127.0.0.1]>", "550 5.1.1", Same),
    ("<joe@[127.1.2.3]>", "550 5.1.1", Same),
    ("<joe@[0.0.0.0]>", "550 5.1.1", Same),
    ("<joe@[IPv6:::1]>", "550 5.1.1", Same),
    ("<joe@[IPv6:::]>", "550 5.1.1", Same),
    ("<joe@[IPv6:::ffff:127.0.0.1]>", "550 5.1.1", Same),
    ("<joe@[192.0.2.1>", "501 5.1.3", Same),
    ("<joe@[2001:db8::1]>", "501 5.1.3", Same),
    ("<joe@[elsewhere.example]>", "501 5.1.3", Same),
    ("<joe@[192.0.2.1]elsewhere.example>", "501 5.1.3", Same),
    // Domains that only look like ours.
    ("<joe@sub.example.org>", "550 5.7.1", To("<joe@sub.example.org>")),
    ("<alice@example.org.elsewhere.example>", "550 5.7.1", To("<alice@example.org.elsewhere.example>")),
    ("<alice@elsewhereexample.org>", "550 5.7.1", To("<alice@elsewhereexample.org>")),
    ("<joe@localhost.localdomain>", "550 5.7.1", To("<joe@localhost.localdomain>")),
    ("<joe@elsewhere.example.>", "501 5.1.3", Same),
    ("<joe@example.org.>", "501 5.1.3", Same),
    ("<joe@.elsewhere.example>", "501 5.1.3", Same),
    ("<joe@elsewhere..example>", "501 5.1.3", Same),
    ("<joe@-elsewhere.example>", "501 5.1.3", Same),
    ("<joe@elsewhere_example>", "501 5.1.3", Same),
    // Beyond ASCII.
    ("<jo\\xc3\\xa9@elsewhere.example>", "553 5.6.7", Same),
    ("<joe@b\\xc3\\xbccher.example>", "553 5.6.7", Same),
    ("<joe@elsewhere\\xe3\\x80\\x82example>", "553 5.6.7", Same),
    ("<joe\\xef\\xbc\\xa0elsewhere.example@example.org>", "553 5.6.7", Same),
    ("<joe@\\xc3\\x28.example>", "500 5.5.2", Same),
    ("<joe@xn--bcher-kva.example>", "550 5.7.1", To("<joe@xn--bcher-kva.example>")),
    // Too many or too few parts.
    ("<joe@elsewhere.example@example.org>", "501 5.1.3", Same),
    ("<joe@example.org@elsewhere.example>", "501 5.1.3", Same),
    ("<joe@@elsewhere.example>", "501 5.1.3", Same),
    ("<@elsewhere.example>", "501 5.1.3", Same),
    ("<joe@>", "501 5.1.3", Same),
    ("<@>", "501 5.1.3", Same),
    ("<alice@example.org,joe@elsewhere.example>", "501 5.1.3", Same),
    ("<alice@example.org;joe@elsewhere.example>", "501 5.1.3", Same),
    ("<alice@example.org><joe@elsewhere.example>", "501 5.5.4", Same),
    ("<alice@example.org> <joe@elsewhere.example>", "501 5.5.4", Same),
    ("<alice@example.org> ROUTE=rfc822;joe@elsewhere.example", "555 5.5.4", Same),
    ("<joe@elsewhere.example> ORCPT=rfc822;alice@example.org", "550 5.7.1", To("<joe@elsewhere.example>")),
    ("<<joe@elsewhere.example>>", "501 5.1.3", Same),
    ("joe@elsewhere.example", "501 5.1.3", Same),
    ("<joe@elsewhere.example", "501 5.1.3", Same),
    // Spaces, comments and control octets.
    ("<joe @elsewhere.example>", "501 5.1.3", Same),
    ("<joe@ elsewhere.example>", "501 5.1.3", Same),
    ("< joe@elsewhere.example>", "501 5.1.3", Same),
    ("<joe@elsewhere.example >", "501 5.1.3", Same),
    ("<joe smith@elsewhere.example>", "501 5.1.3", Same),
    ("<joe(alice@example.org)@elsewhere.example>", "501 5.1.3", Same),
    ("<joe@elsewhere.example(example.org)>", "501 5.1.3", Same),
    ("<joe@elsewhere.example\\0@example.org>", "500 5.5.2", Same),
    ("<joe@elsewhere.example\\t>", "500 5.5.2", Same),
    ("<joe@elsewhere.example\\n>", "500 5.5.2", Same),
    ("<joe@elsewhere.example\\r>", "500 5.5.2", Same),
    // Programs and files.
    ("<|joe@example.org>", "550 5.1.1", Same),
    ("<\"|mail joe@elsewhere.example\"@example.org>", "550 5.1.1", Same),
    ("</var/mail/joe@example.org>", "550 5.1.1", Same),
    ("<../joe@example.org>", "501 5.1.3", Same),
    ("<\"../../joe\"@example.org>", "550 5.1.1", Same),
];

/// So few a connection that errors do not end it.
const BATCH: usize = 10;

#[test]
fn no_spelling_of_a_foreign_recipient_is_relayed_from_outside() {
    assert!(SPELLINGS.len() >= 25);
    let house = House::new();
    let daemon = Daemon::start(&house, "mail-relayd");
    for batch in SPELLINGS.chunks(BATCH) {
        let mut text = String::from(
            "S: 220 ...\nC: EHLO client.example\nS+ 250-...\nS: 250 ...\nC: MAIL FROM:<a@client.example>\nS: 250 ...\n",
        );
        for (spelling, refusal, _) in batch {
            text += &format!("C: RCPT TO:{spelling}\nS: {refusal} ...\n");
        }
        text += "C: DATA\nS: 554 5.5.1 ...\nC: QUIT\nS: 221 ...\n! close\n";
        let talk = Talk::parse("outside", &text, Side::Server);
        talk.play_conn(|_| Conn::tcp(TcpStream::connect(daemon.tcp("smtp")).unwrap()));
    }
    // Who was meant first (RFC 3461 section 4.2) is told in reports and gets nothing.
    let mut client = Speaker::tcp(daemon.tcp("smtp")).hello();
    client.say("MAIL FROM:<a@client.example>");
    let reply = client.say("RCPT TO:<alice@example.org> ORCPT=rfc822;joe@elsewhere.example");
    assert!(reply.starts_with("250"), "{reply}");
    assert!(client.say("DATA").starts_with("354"));
    assert!(client.say("Subject: x\r\n\r\nx\r\n.").starts_with("250"));
    assert_eq!(house.messages("alice", "").len(), 1);
    let queue = house.command("mail-queue").args(["--json", "list"]).output().unwrap();
    assert!(queue.status.success() && queue.stdout.is_empty(), "{queue:?}");
}

#[test]
fn after_a_login_each_goes_to_exactly_its_mailbox_or_is_refused_as_what_it_is() {
    let mut house = House::new();
    let sink = Sink::start();
    house.set("relayd.smarthost", format!("\"smtp://{}\"", sink.address()));
    let daemon = Daemon::start(&house, "mail-relayd");
    let mut wanted = Vec::new();
    for batch in SPELLINGS.chunks(BATCH) {
        let mut text = String::from("S: 220 ...\nC: EHLO client.example\nS+ 250-...\nS: 250 ...\n");
        text += "C: AUTH PLAIN \\b(\\0alice\\0wonderland)\nS: 235 ...\n";
        for (spelling, refusal, then) in batch {
            text += &format!("C: MAIL FROM:<alice@example.org>\nS: 250 ...\nC: RCPT TO:{spelling}\n");
            text += &match then {
                To(path) => {
                    wanted.push(format!("TO:{path}"));
                    format!(
                        "S: 250 2.1.5 Ok\nC: DATA\nS: 354 ...\nC: Subject: {}\nC:\nC: x\nC: .\nS: 250 2.0.0 ...\n",
                        wanted.len()
                    )
                }
                Same => format!("S: {refusal} ...\nC: RSET\nS: 250 ...\n"),
            };
        }
        text += "C: QUIT\nS: 221 ...\n! close\n";
        let talk = Talk::parse("after a login", &text, Side::Server);
        let connect = |_: &Talk| Conn::tcp(TcpStream::connect(daemon.tcp("submissions")).unwrap()).secured();
        talk.play_conn(connect);
    }
    // Each dialogue is played twice.
    let mut gone: Vec<String> =
        sink.wait(2 * wanted.len()).into_iter().map(|got| got.rcpts.join(" ")).collect();
    let mut wanted: Vec<String> = wanted.iter().chain(&wanted).cloned().collect();
    gone.sort();
    wanted.sort();
    assert_eq!(gone, wanted);
    assert!(house.messages("alice", "").is_empty(), "something foreign was delivered here");
}

#[test]
fn the_lmtp_door_takes_nothing_foreign() {
    let mut house = House::new();
    // A refused recipient costs nothing there but its reply.
    house.set("relayd.smarthost", "\"smtp://127.0.0.1:9\"");
    let daemon = Daemon::start(&house, "mail-relayd");
    let path = daemon.address("lmtp");
    let path = path.strip_prefix("unix:").unwrap().to_owned();
    let mut text = String::from(
        "S: 220 ...\nC: LHLO client.example\nS+ 250-...\nS: 250 ...\nC: MAIL FROM:<>\nS: 250 ...\n",
    );
    for (spelling, refusal, _) in SPELLINGS.iter().take(40) {
        text += &format!("C: RCPT TO:{spelling}\nS: {refusal} ...\n");
    }
    text += "C: DATA\nS: 503 5.5.1 ...\nC: QUIT\nS: 221 ...\n! close\n";
    Talk::parse("lmtp", &text, Side::Server)
        .play_conn(|_| Conn::unix(std::os::unix::net::UnixStream::connect(&path).unwrap()));
}
