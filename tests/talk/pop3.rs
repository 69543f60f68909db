//! The POP3 server: dialogues, and every command in each state, good and bad, a row a case; against the session with a
//! scripted maildrop, and against `mail-serve`, whose store holds the same messages.
//!
//! `@` lines of a dialogue: `tls none|offered|standing`, `plaintext` (may log in without TLS), and `town` where what is said is the
//! scripted agent's own, so that `mail-serve` itself would say something else.
//!
//! alice (password wonderland) has the [`MESSAGES`]; the maildrop of `busy` is in use, that of `stuck` can't be changed.

use crate::kit::{
    daemon::Daemon,
    house::House,
    talk::{self, Conn, Pace, Scripted, Side, Talk},
};
use posthaste::wire::pop3::{
    reply::{Code, Reply},
    server::{Answer, Ask, Event, Known, Limits, Server, Settings, Tls},
};
use std::{fs, net::TcpStream, panic, sync::Arc};

/// What alice has, as on the wire.
const MESSAGES: [&str; 3] = [
    "Subject: one\r\n\r\n.\r\n..two dots\r\nend\r\n",
    "Subject: two\r\n\r\nno end",
    "Subject: three\r\n\r\na\0b\r\n",
];

#[test]
fn every_dialogue_is_kept_to() {
    for talk in talk::folder("pop3", Side::Server) {
        talk.play_session(scripted);
    }
}

/// Where in a conversation a row's input is given.
#[derive(Clone, Copy)]
enum When {
    /// Nobody has logged in, TLS stands.
    Stranger,
    /// USER was said.
    Named,
    /// alice has logged in.
    Alice,
    /// Nobody has logged in, TLS is offered and does not stand.
    Clear,
}
use When::{Alice, Clear, Named, Stranger};

/// Place, what is said and answered.
const ROWS: &[(When, &str)] = &[
    // Before the login.
    (Stranger, "C: USER alice\nS: +OK ...\nC: PASS wonderland\nS: +OK 3 messages, 81 octets"),
    (Stranger, "C: user alice\nC: pass wonderland\nS: +OK ...\nS: +OK 3 ..."),
    (
        Stranger,
        "C: USER alice\nC: PASS looking glass\nC: STAT\nS: +OK ...\nS: -ERR [AUTH] ...\nS: -ERR Log in first",
    ),
    (Stranger, "C: USER nobody\nC: PASS wonderland\nS: +OK ...\nS: -ERR [AUTH] ..."),
    (Stranger, "C: USER\nS: -ERR ..."),
    (Stranger, "C: USER \nS: -ERR ..."),
    (Stranger, "C: PASS wonderland\nS: -ERR Say USER first"),
    (Stranger, "C: AUTH PLAIN \\b(\\0alice\\0wonderland)\nS: +OK 3 ..."),
    (Stranger, "C: AUTH PLAIN\nS: + \nC: \\b(\\0alice\\0wonderland)\nS: +OK 3 ..."),
    (Stranger, "C: auth plain \\b(alice\\0alice\\0wonderland)\nS: +OK 3 ..."),
    (Stranger, "C: AUTH PLAIN\nS: + \nC: *\nS: -ERR Cancelled"),
    (Stranger, "C: AUTH PLAIN =\nS: -ERR ..."),
    (Stranger, "C: AUTH PLAIN !!\nS: -ERR That is not base64"),
    (Stranger, "C: AUTH PLAIN \\b(bob\\0alice\\0wonderland)\nS: -ERR [AUTH] ..."),
    (Stranger, "C: AUTH PLAIN \\b(\\0alice\\0queen)\nS: -ERR [AUTH] ..."),
    (Stranger, "C: AUTH PLAIN\nS: + \nC: \\*12300(A)\nS: -ERR The line is too long"),
    (Stranger, "C: AUTH CRAM-MD5\nS: -ERR Unknown mechanism"),
    (Stranger, "C: AUTH LOGIN\nS: -ERR Unknown mechanism"),
    (Stranger, "C: AUTH\nS: +OK ...\nS: PLAIN\nS: \\."),
    (Stranger, "C: APOP alice c4c9334bac560ecc979e58001b3e22fb\nS: -ERR APOP ..."),
    (Stranger, "C: STLS\nS: -ERR TLS stands already"),
    (Stranger, "C: CAPA 1\nS: -ERR ..."),
    (
        Stranger,
        "C: CAPA \nS: +OK ...\nS: TOP\nS: UIDL\nS: RESP-CODES\nS: AUTH-RESP-CODE\nS: PIPELINING\nS: USER\nS: SASL PLAIN\nS: EXPIRE NEVER\nS: IMPLEMENTATION posthaste\nS: \\.",
    ),
    (Stranger, "C: STAT\nS: -ERR Log in first"),
    (Stranger, "C: LIST\nS: -ERR Log in first"),
    (Stranger, "C: UIDL\nS: -ERR Log in first"),
    (Stranger, "C: RETR 1\nS: -ERR Log in first"),
    (Stranger, "C: TOP 1 1\nS: -ERR Log in first"),
    (Stranger, "C: DELE 1\nS: -ERR Log in first"),
    (Stranger, "C: NOOP\nS: -ERR Log in first"),
    (Stranger, "C: RSET\nS: -ERR Log in first"),
    (Stranger, "C: QUIT\nS: +OK Bye\n! close"),
    (Stranger, "C: QUIT now\nS: -ERR ..."),
    (Stranger, "C: HELO client.example\nS: -ERR Unknown command"),
    (Stranger, "C:\nS: -ERR Unknown command"),
    (Stranger, "C: USER al\\0ice\nS: -ERR ..."),
    (Stranger, "C: USER al\\xffice\nS: -ERR ..."),
    (Stranger, "C: USER alice\\nPASS wonderland\nS: -ERR ..."),
    (Stranger, "C: USER alice\\rPASS wonderland\nS: -ERR ..."),
    // 255 octets with CR LF are a line, one more is none (RFC 2449 section 4).
    (Stranger, "C: USER \\*248(a)\nS: +OK ..."),
    (Stranger, "C: USER \\*249(a)\nS: -ERR The line is too long"),
    (Stranger, "C: USER \\*1000(a)\nC: QUIT\nS: -ERR The line is too long\nS: +OK Bye\n! close"),
    (Stranger, "C: \\*17000(a)\\\nS: -ERR The line is too long\n! close"),
    (Clear, "C: \\x16\\x03\\x01\\\nS: -ERR TLS does not stand here...\n! close"),
    // Six bad commands are one too many, and so are idle ones.
    (
        Stranger,
        "C: X\nC: X\nC: X\nC: X\nC: X\nC: X\nC: QUIT\nS+ -ERR Unknown command\nS: -ERR Too many errors\n! close",
    ),
    (Stranger, "C: \\*26(USER a\\r\\n)\\\nS+ +OK ...\nS: -ERR Too many errors\n! close"),
    // Between USER and PASS.
    (Named, "C: PASS\nS: -ERR [AUTH] ...\nC: PASS wonderland\nS: -ERR Say USER first"),
    (Named, "C: PASS wonderland \nS: -ERR [AUTH] ..."),
    (Named, "C: USER bob\nC: PASS wonderland\nS: +OK ...\nS: -ERR [AUTH] ..."),
    (Named, "C: AUTH PLAIN \\b(\\0alice\\0wonderland)\nS: +OK 3 ..."),
    (
        Named,
        "C: CAPA\nC: PASS wonderland\nS: +OK ...\nS: TOP\nS: UIDL\nS: RESP-CODES\nS: AUTH-RESP-CODE\nS: PIPELINING\nS: USER\nS: SASL PLAIN\nS: EXPIRE NEVER\nS: IMPLEMENTATION posthaste\nS: \\.\nS: +OK 3 ...",
    ),
    (Named, "C: STAT\nS: -ERR Log in first"),
    (Named, "C: NOOP\nC: PASS wonderland\nS: -ERR Log in first\nS: +OK 3 ..."),
    (Named, "C: STLS\nS: -ERR TLS stands already"),
    (Named, "C: QUIT\nS: +OK Bye\n! close"),
    // TLS is begun first.
    (Clear, "C: USER alice\nS: -ERR Begin TLS first"),
    (Clear, "C: PASS wonderland\nS: -ERR Say USER first"),
    (Clear, "C: AUTH\nS: -ERR Begin TLS first"),
    (Clear, "C: AUTH PLAIN \\b(\\0alice\\0wonderland)\nS: -ERR Begin TLS first"),
    (Clear, "C: STLS 1\nS: -ERR ..."),
    (
        Clear,
        "C: CAPA\nS: +OK ...\nS: TOP\nS: UIDL\nS: RESP-CODES\nS: AUTH-RESP-CODE\nS: PIPELINING\nS: STLS\nS: EXPIRE NEVER\nS: IMPLEMENTATION posthaste\nS: \\.",
    ),
    (
        Clear,
        "C: STLS\nC: QUIT\nS: +OK Begin\n! tls\nC: USER alice\nC: PASS wonderland\nS: +OK ...\nS: +OK 3 ...",
    ),
    (
        Clear,
        "C: STLS\nS: +OK Begin\n! tls\nC: STLS\nS: -ERR TLS stands already\nC: CAPA\nS: +OK ...\nS: TOP\nS: UIDL\nS: RESP-CODES\nS: AUTH-RESP-CODE\nS: PIPELINING\nS: USER\nS: SASL PLAIN\nS: EXPIRE NEVER\nS: IMPLEMENTATION posthaste\nS: \\.",
    ),
    // After it.
    (Alice, "C: STAT\nS: +OK 3 81"),
    (Alice, "C: STAT 1\nS: -ERR ..."),
    (Alice, "C: LIST\nS: +OK 3 messages, 81 octets\nS: 1 36\nS: 2 22\nS: 3 23\nS: \\."),
    (Alice, "C: LIST 2\nS: +OK 2 22"),
    (Alice, "C: LIST 4\nS: -ERR There is no such message"),
    (Alice, "C: LIST 0\nS: -ERR ..."),
    (Alice, "C: LIST two\nS: -ERR That is no number"),
    (Alice, "C: LIST -1\nS: -ERR ..."),
    (Alice, "C: LIST 1 2\nS: -ERR ..."),
    (Alice, "C: LIST 99999999999\nS: -ERR There is no such message"),
    (Alice, "C: LIST \nS: +OK 3 messages, 81 octets\nS: 1 36\nS: 2 22\nS: 3 23\nS: \\."),
    (Alice, "C: UIDL\nS: +OK ...\nS: 1 00000001...\nS: 2 00000002...\nS: 3 00000003...\nS: \\."),
    (Alice, "C: UIDL 3\nS: +OK 3 00000003..."),
    (Alice, "C: UIDL 4\nS: -ERR There is no such message"),
    (Alice, "C: UIDL x\nS: -ERR ..."),
    (
        Alice,
        "C: RETR 1\nS: +OK 36 octets\nS: Subject: one\nS:\nS: \\.\\.\nS: \\.\\.\\.two dots\nS: end\nS: \\.",
    ),
    (Alice, "C: RETR 2\nS: +OK 22 octets\nS: Subject: two\nS:\nS: no end\nS: \\."),
    (Alice, "C: RETR 3\nS: +OK 23 octets\nS: Subject: three\nS:\nS: a\\x80b\nS: \\."),
    (Alice, "C: RETR\nS: -ERR ..."),
    (Alice, "C: RETR 4\nS: -ERR There is no such message"),
    (Alice, "C: RETR 1 2\nS: -ERR ..."),
    (Alice, "C: TOP 1 0\nS: +OK ...\nS: Subject: one\nS:\nS: \\."),
    (Alice, "C: TOP 1 2\nS: +OK ...\nS: Subject: one\nS:\nS: \\.\\.\nS: \\.\\.\\.two dots\nS: \\."),
    (Alice, "C: TOP 2 99999999999\nS: +OK ...\nS: Subject: two\nS:\nS: no end\nS: \\."),
    (Alice, "C: TOP 1\nS: -ERR ..."),
    (Alice, "C: TOP 1 -1\nS: -ERR ..."),
    (Alice, "C: TOP 4 1\nS: -ERR There is no such message"),
    (
        Alice,
        "C: DELE 1\nC: STAT\nC: LIST\nC: LIST 1\nC: UIDL\nC: UIDL 1\nC: RETR 1\nC: TOP 1 1\nC: DELE 1\nC: RSET\nC: STAT\nS: +OK Marked\nS: +OK 2 45\nS: +OK 2 messages, 45 octets\nS: 2 22\nS: 3 23\nS: \\.\nS: -ERR ...\nS: +OK ...\nS: 2 00000002...\nS: 3 00000003...\nS: \\.\nS: -ERR ...\nS: -ERR ...\nS: -ERR ...\nS: -ERR That message is marked as deleted\nS: +OK ...\nS: +OK 3 81",
    ),
    (Alice, "C: DELE\nS: -ERR ..."),
    (Alice, "C: DELE 0\nS: -ERR ..."),
    (Alice, "C: DELE 4\nS: -ERR There is no such message"),
    (Alice, "C: RSET 1\nS: -ERR ..."),
    (Alice, "C: NOOP\nS: +OK"),
    (Alice, "C: NOOP 1\nS: -ERR ..."),
    (
        Alice,
        "C: CAPA\nS: +OK ...\nS: TOP\nS: UIDL\nS: RESP-CODES\nS: AUTH-RESP-CODE\nS: PIPELINING\nS: USER\nS: SASL PLAIN\nS: EXPIRE NEVER\nS: IMPLEMENTATION posthaste\nS: \\.",
    ),
    (Alice, "C: USER alice\nS: -ERR You are logged in"),
    (Alice, "C: PASS wonderland\nS: -ERR You are logged in"),
    (Alice, "C: AUTH PLAIN\nS: -ERR You are logged in"),
    (Alice, "C: APOP a b\nS: -ERR You are logged in"),
    (Alice, "C: STLS\nS: -ERR You are logged in"),
    (Alice, "C: LAST\nS: -ERR Unknown command"),
    (Alice, "C: QUIT\nS: +OK Bye\n! close"),
    (Alice, "C: DELE 2\nS: +OK Marked\n! eof\n! close"),
    (Alice, "C: DELE 2\nC: QUIT\nS: +OK Marked\nS: +OK Bye\n! close"),
    (Alice, "C: \\*51(X\\r\\n)\\\nS+ -ERR Unknown command\nS: -ERR Too many errors\n! close"),
    (
        Alice,
        "C: \\*50(X\\r\\n)RETR 2\nC: X\nS+ -ERR Unknown command\nS: +OK 22 octets\nS: Subject: two\nS:\nS: no end\nS: \\.\nS: -ERR Unknown command",
    ),
];

impl When {
    fn so_far(self) -> &'static str {
        match self {
            Stranger => "@ tls standing\nS: +OK ...\n",
            Clear => "@ tls offered\nS: +OK ...\n",
            Named => "@ tls standing\nS: +OK ...\nC: USER alice\nS: +OK ...\n",
            Alice => {
                "@ tls standing\nS: +OK ...\nC: USER alice\nC: PASS wonderland\nS: +OK ...\nS: +OK ...\n"
            }
        }
    }
}

/// A row as a dialogue; the connection is of use behind it, unless it says otherwise.
fn dialogue((when, said): &(When, &str)) -> String {
    let after = match said.ends_with("! close") {
        true => "",
        false => "C: QUIT\nS: +OK Bye\n! close\n",
    };
    format!("{}{said}\n{after}", when.so_far())
}

/// Every command where it is not allowed, and behind QUIT. What it is answered where it is, the rows above say.
#[test]
fn no_command_is_answered_out_of_its_state() {
    let table = include_str!("../../src/wire/pop3/server/table.rs");
    let rows = table.lines().filter_map(|line| line.trim().strip_prefix("command(\""));
    let (mut count, mut quit) = (0, String::new());
    for (verb, states) in rows.filter_map(|line| line.split_once("\", ")) {
        let (places, refusal): (&[When], &str) = match states.split(',').next().unwrap() {
            "LOGIN" => (&[Alice], "-ERR You are logged in"),
            "PASS" => (&[Clear, Stranger], "-ERR Say USER first"),
            "DROP" => (&[Clear, Stranger, Named], "-ERR Log in first"),
            "ANY" => (&[], ""),
            other => panic!("{other}"),
        };
        for place in places {
            for arguments in ["", " 1", " 1 1", " 1 1 1"] {
                let said = format!("C: {verb}{arguments}\nS: {refusal}");
                let text = dialogue(&(*place, &said));
                Talk::parse(&said, &text, Side::Server).play_session(scripted);
                count += 1;
            }
        }
        quit += &format!("C: {verb} 1\n");
    }
    assert!(count > 100, "{count}");
    for place in [Clear, Stranger, Named, Alice] {
        let text = format!("{}C: QUIT\n{quit}S: +OK Bye\n! close\n", place.so_far());
        Talk::parse("behind QUIT", &text, Side::Server).play_session(scripted);
    }
}

/// Every command of the table stands in a row where it is allowed, good and bad.
#[test]
fn no_command_is_forgotten() {
    let table = include_str!("../../src/wire/pop3/server/table.rs");
    for line in table.lines() {
        let Some((verb, states)) =
            line.trim().strip_prefix("command(\"").and_then(|line| line.split_once("\", "))
        else {
            continue;
        };
        let places: &[When] = match states.split(',').next().unwrap() {
            "LOGIN" => &[Clear, Stranger],
            "PASS" => &[Named],
            "DROP" => &[Alice],
            _ => &[Clear, Stranger, Alice],
        };
        let rows = |good: &str| {
            let verbs = |said: &'static str| {
                said.split('\n').filter_map(|line| line.strip_prefix("C: ")?.split(' ').next())
            };
            let says = |said| verbs(said).any(|said| said.eq_ignore_ascii_case(verb)) && said.contains(good);
            let here = |when: When| places.iter().any(|place| *place as u8 == when as u8);
            ROWS.iter().filter(|(when, said)| here(*when) && says(said)).count()
        };
        assert!(rows("S: +OK") > 0 || verb == "APOP", "{verb} is never good");
        assert!(rows("S: -ERR") > 0, "{verb} is never bad");
    }
}

/// Runs all rows, and says which failed.
fn all(play: impl Fn(&Talk, &str) + panic::RefUnwindSafe) {
    let mut failed = Vec::new();
    for row in ROWS {
        let talk = Talk::parse("row", &dialogue(row), Side::Server);
        if panic::catch_unwind(|| play(&talk, row.1)).is_err() {
            failed.push(row.1);
        }
    }
    assert!(failed.is_empty(), "{} rows failed:\n{}", failed.len(), failed.join("\n\n"));
}

#[test]
fn every_command_is_answered_as_its_state_wants() {
    all(|talk, _| talk.play_session(scripted));
}

/// A house where alice has the messages; and a way to give them back.
fn house() -> House {
    let house = House::new();
    refill(&house);
    house
}

fn refill(house: &House) {
    let maildir = house.maildir("alice");
    let _ = fs::remove_dir_all(&maildir);
    for part in ["cur", "new", "tmp"] {
        fs::create_dir_all(maildir.join(part)).unwrap();
    }
    for (number, text) in MESSAGES.iter().enumerate() {
        fs::write(maildir.join(format!("new/{number}.a.host")), text.replace("\r\n", "\n")).unwrap();
    }
}

#[test]
fn every_command_is_answered_so_by_the_daemon() {
    let house = house();
    let daemon = Daemon::start(&house, "mail-serve");
    all(|talk, said| {
        for pace in [Pace::Whole, Pace::Octets] {
            // Failed logins are answered late, long lines take long octet by octet, and what comes behind STLS would be
            // the beginning of a handshake there.
            if said.contains("[AUTH]")
                || said.contains("STLS\nC: QUIT")
                || (pace == Pace::Octets && said.contains("00("))
            {
                continue;
            }
            refill(&house);
            talk.play_conn_at(pace, |talk| connect(&daemon, talk));
        }
    });
}

#[test]
fn every_dialogue_is_kept_to_by_the_daemon() {
    let house = house();
    let daemon = Daemon::start(&house, "mail-serve");
    let mut played = 0;
    for talk in talk::folder("pop3", Side::Server) {
        if talk.setting("town").is_some() || talk.needs_session() {
            continue;
        }
        refill(&house);
        talk.play_conn_at(Pace::Whole, |talk| connect(&daemon, talk));
        played += 1;
    }
    assert!(played > 0);
}

fn connect(daemon: &Daemon, talk: &Talk) -> Conn {
    match talk.setting("tls") {
        Some("standing") => Conn::tcp(TcpStream::connect(daemon.tcp("pop3s")).unwrap()).secured(),
        _ => Conn::tcp(TcpStream::connect(daemon.tcp("pop3")).unwrap()),
    }
}

/// The server and the maildrop that a dialogue orders.
pub fn scripted(talk: &Talk) -> Scripted<'static, Server> {
    let mut settings =
        Settings { hostname: "mx.example.org".into(), tls: Tls::None, limits: Limits::default() };
    let mut known = Known::default();
    for (key, value) in talk.settings() {
        match (key, value) {
            ("tls", "none") => settings.tls = Tls::None,
            ("tls", "offered") => settings.tls = Tls::Offered,
            ("tls", "standing") => settings.tls = Tls::Standing,
            ("plaintext", "") => known.plaintext_login = true,
            ("town", "") => {}
            other => panic!("{}: no setting {other:?}", talk.name),
        }
    }
    let mut drop = Maildrop::default();
    Scripted::new(Server::new(Arc::new(settings), known), move |ask| drop.answer(ask)).events(|name| {
        match name {
            "drain" => Event::Drain,
            other => panic!("no event {other}"),
        }
    })
}

/// An agent. It watches that the session keeps to what [`Ask`] promises.
#[derive(Default)]
struct Maildrop {
    login: Option<String>,
    reading: Option<&'static [u8]>,
    failures: u32,
}

impl Maildrop {
    fn answer(&mut self, ask: Ask) -> Answer {
        match ask {
            Ask::Login { credentials, failures } => {
                assert!(self.login.is_none());
                assert_eq!(failures, self.failures);
                self.failures += 1;
                match (credentials.login.as_str(), credentials.secret.as_slice()) {
                    ("alice" | "stuck", b"wonderland") => {
                        self.login = Some(credentials.login);
                        Answer::Open(MESSAGES.iter().map(|text| text.len() as u64).collect())
                    }
                    ("busy", b"wonderland") => Answer::Refuse(Reply::refused(Code::InUse, "Busy")),
                    ("broken", _) => Answer::Refuse(Reply::refused(Code::SysTemp, "No accounts now")),
                    _ => Answer::Refuse(Reply::refused(Code::Auth, "Wrong")),
                }
            }
            Ask::Names { from, most } => {
                assert!(self.login.is_some() && from >= 1 && (1..=Server::NAMES).contains(&most));
                let all = (from..=MESSAGES.len() as u32).take(most as usize);
                Answer::Names(all.map(|number| format!("{number:08x}6b05e3ac")).collect())
            }
            Ask::Room => Answer::Yes,
            Ask::Text(number) => {
                assert!(self.login.is_some() && self.reading.is_none());
                if self.login.as_deref() == Some("stuck") {
                    return Answer::Refuse(Reply::err("Another client has removed that message"));
                }
                self.reading = Some(MESSAGES[number as usize - 1].as_bytes());
                self.next(Vec::new())
            }
            Ask::More(buffer) => self.next(buffer),
            Ask::Stop => {
                assert!(self.reading.take().is_some());
                Answer::Yes
            }
            Ask::Remove(numbers) => {
                assert!(self.login.is_some() && numbers.iter().all(|number| (1..=3).contains(number)));
                match self.login.as_deref() {
                    Some("stuck") if !numbers.is_empty() => Answer::Refuse(Reply::refused(
                        Code::SysTemp,
                        "Some messages may not have been removed",
                    )),
                    _ => Answer::Yes,
                }
            }
        }
    }

    fn next(&mut self, mut buffer: Vec<u8>) -> Answer {
        let text = self.reading.expect("a message");
        let (now, rest) = text.split_at(text.len().min(5));
        buffer.clear();
        buffer.extend_from_slice(now);
        self.reading = Some(rest).filter(|rest| !rest.is_empty());
        Answer::Text { octets: buffer, last: rest.is_empty() }
    }
}
