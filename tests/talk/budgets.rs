//! How much is taken from whom: each budget of the servers and of the clients, reached and passed by one.
//!
//! What several connections share (of one address, of one user, in all; failed logins) stands in `chain::serve`, `chain::net` and beside
//! `agent/daemon/limits.rs`; that one turn never says too much is held in every dialogue.

use super::{imap, imap_client, pop3, pop3_client};
use crate::kit::talk::{Pace, Side, Talk};
use posthaste::wire::{
    imap::server as imap_server,
    pop3::server as pop3_server,
    session::{Input, Session, Step},
};
use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

/// IMAP, behind the greeting: what is one of them before the login, what is within it, and what is one too much.
const IMAP_STRANGER: &[(&str, &str, &str)] = &[
    (
        "8 KiB of a command without literals",
        "C: a NOOP \\*8183(x)\nS: a BAD ...",
        "C: a NOOP \\*8184(x)\nS: * BYE That is too much\n! close",
    ),
    (
        "4 KiB of literals",
        "C: a LOGIN {4090+}\nC: \\*4090(x) {6+}\nC: 123456\nS: a BAD ...",
        "C: a LOGIN {4090+}\nC: \\*4090(x) {7+}\nS: * BYE That is too much\n! close",
    ),
    (
        "5 errors",
        "C: \\*5(a X\\r\\n)b NOOP\nS+ a BAD ...\nS: b OK ...",
        "C: \\*5(a X\\r\\n)b X\nS+ a BAD ...\nS: b BAD ...\nS: * BYE Too many errors\n! close",
    ),
    (
        "5 refused logins",
        "C: \\*5(a LOGIN x y\\r\\n)b NOOP\nS+ a NO ...\nS: b OK ...",
        "C: \\*5(a LOGIN x y\\r\\n)b LOGIN x y\nS+ a NO ...\nS: b NO ...\nS: * BYE Too many errors\n! close",
    ),
    (
        "255 octets of a tag",
        "C: \\*255(a) NOOP\nS: \\*255(a) OK ...",
        "C: \\*256(a) NOOP\nS: * BAD A command begins with a tag",
    ),
    (
        "30 pairs of ID",
        "C: a ID (\"f\" \"v\"\\*29( \"f\" \"v\"))\nS: * ID ...\nS: a OK ...",
        "C: a ID (\"f\" \"v\"\\*30( \"f\" \"v\"))\nS: a BAD expected no more than 30 pairs",
    ),
    (
        "255 octets of a login",
        "C: a LOGIN \\*255(x) y\nS: a NO [AUTHENTICATIONFAILED] ...",
        "C: a LOGIN \\*256(x) y\nS: a ...\nC: b AUTHENTICATE PLAIN \\b(\\0\\*256(x)\\0y)\nS: b BAD ...",
    ),
    (
        "1024 octets of a password",
        "C: a LOGIN x \\*1024(y)\nS: a NO [AUTHENTICATIONFAILED] ...",
        "C: a AUTHENTICATE PLAIN \\b(\\0x\\0\\*1025(y))\nS: a BAD ...",
    ),
    (
        "8 KiB of a response to a challenge",
        "C: a AUTHENTICATE PLAIN\nS: + ...\nC: \\*8000(A)\nS: a BAD ...",
        "C: a AUTHENTICATE PLAIN\nS: + ...\nC: \\*8193(A)\nS: * BYE ...\n! close",
    ),
];

/// The same in INBOX, where a message may have 100 octets.
const IMAP_SELECTED: &[(&str, &str, &str)] = &[
    (
        "64 KiB of a command without literals",
        "C: a NOOP \\*65527(x)\nS: a BAD ...",
        "C: a NOOP \\*65528(x)\nS: a NO [TOOBIG] The command is too long",
    ),
    (
        "64 KiB of literals",
        "C: a CREATE {65536+}\nC: \\*65536(x)\nS: a NO [...",
        "C: a CREATE {65537+}\nC: \\*65537(x)\nS: a NO [TOOBIG] The command is too long",
    ),
    (
        "1 MiB and a message of a refused command",
        "C: a CREATE {1048600+}\nC: \\*1048600(x)\nS: a NO [TOOBIG] The command is too long",
        "C: a CREATE {1048677+}\nS: * BYE That is too much\n! close",
    ),
    (
        "50 errors",
        "C: \\*50(a X\\r\\n)b NOOP\nS+ a BAD ...\nS: b OK ...",
        "C: \\*50(a X\\r\\n)b X\nS+ a BAD ...\nS: b BAD ...\nS: * BYE Too many errors\n! close",
    ),
    (
        "100 octets of a message",
        "C: a APPEND Archive {100+}\nC: \\*100(x)\nS: a OK [APPENDUID ...",
        "C: a APPEND Archive {101+}\nC: \\*101(x)\nS: a NO [TOOBIG] ...",
    ),
    (
        "50 search keys in each other",
        "C: a SEARCH \\*49(NOT )ALL\nS: * SEARCH\nS: a OK ...",
        "C: a SEARCH \\*50(NOT )ALL\nS: a BAD expected a search that is not so deep",
    ),
    (
        "50 parentheses in each other",
        "C: a SEARCH \\*49(()ALL\\*49(\\))\nS: * SEARCH 1 2 3 4\nS: a OK ...",
        "C: a SEARCH \\*50(()ALL\\*50(\\))\nS: a BAD expected a search that is not so deep",
    ),
    (
        "1000 search keys",
        "C: a SEARCH \\*999(ALL )ALL\nS: * SEARCH 1 2 3 4\nS: a OK ...",
        "C: a SEARCH \\*1000(ALL )ALL\nS: a BAD expected fewer search keys",
    ),
    (
        "20,000 ranges in a set",
        "C: a FETCH \\*19999(1,)1 UID\nS: * 1 FETCH (UID 1)\nS: a OK ...",
        "C: a FETCH \\*20000(1,)1 UID\nS: a BAD ...",
    ),
    (
        "100 things to fetch",
        "C: a FETCH 1 (\\*99(UID )UID)\nS: * 1 FETCH (UID 1...)\nS: a OK ...",
        "C: a FETCH 1 (\\*100(UID )UID)\nS: a BAD expected fewer things to fetch",
    ),
    (
        "1000 octets of a pattern",
        "C: a LIST \"\" \\*1000(x)\nS: a OK ...",
        "C: a LIST \"\" \\*1001(x)\nS: a BAD expected a shorter pattern",
    ),
    (
        "255 octets of a level of a folder's name",
        "C: a STATUS \\*200(x) (MESSAGES)\nS: a NO [NONEXISTENT] ...",
        "C: a STATUS \\*1000(x) (MESSAGES)\nS: a NO [CANNOT] ...",
    ),
];

/// POP3 before the login.
const POP3_STRANGER: &[(&str, &str, &str)] = &[
    (
        "255 octets of a command",
        "C: USER \\*248(a)\nS: +OK ...",
        "C: USER \\*249(a)\nS: -ERR The line is too long",
    ),
    (
        "16 KiB without the end of a line",
        "C: \\*16000(a)\nS: -ERR The line is too long",
        "C: \\*16500(a)\\\nS: -ERR The line is too long\n! close",
    ),
    (
        "12 KiB of a response",
        "C: AUTH PLAIN\nS: + \nC: \\*12284(A)\nS: -ERR ...\nC: AUTH PLAIN\nS: + \nC: *\nS: -ERR Cancelled",
        "C: AUTH PLAIN\nS: + \nC: \\*12288(A)\nS: -ERR The line is too long",
    ),
    (
        "48 KiB of a response without its end",
        "C: AUTH PLAIN\nS: + \nC: \\*49000(A)\nS: -ERR The line is too long",
        "C: AUTH PLAIN\nS: + \nC: \\*49200(A)\\\nS: -ERR The line is too long\n! close",
    ),
    (
        "5 errors",
        "C: \\*5(X\\r\\n)USER a\nS+ -ERR ...\nS: +OK ...",
        "C: \\*6(X\\r\\n)\\\nS+ -ERR Unknown command\nS: -ERR Too many errors\n! close",
    ),
    (
        "20 commands that lead nowhere, then 5 errors",
        "C: \\*24(USER a\\r\\n)PASS x\nS+ +OK ...\nS: -ERR [AUTH] ...",
        "C: \\*26(USER a\\r\\n)\\\nS+ +OK ...\nS: -ERR Too many errors\n! close",
    ),
];

/// And after it.
const POP3_KNOWN: &[(&str, &str, &str)] = &[
    (
        "50 errors",
        "C: \\*50(X\\r\\n)STAT\nS+ -ERR ...\nS: +OK 3 81",
        "C: \\*51(X\\r\\n)\\\nS+ -ERR Unknown command\nS: -ERR Too many errors\n! close",
    ),
    (
        "1000 commands that lead nowhere, then 50 errors",
        "C: \\*1050(NOOP\\r\\n)RETR 2\nS+ +OK\nS: +OK 22 octets\nS: Subject: two\nS:\nS: no end\nS: \\.",
        "C: \\*1051(NOOP\\r\\n)\\\nS+ +OK\nS: -ERR Too many errors\n! close",
    ),
    (
        "16 KiB without the end of a line",
        "C: \\*16000(a)\nS: -ERR The line is too long",
        "C: \\*16500(a)\\\nS: -ERR The line is too long\n! close",
    ),
];

/// A dialogue that begins so, goes on so, and is of use behind that unless it says otherwise.
fn play(before: &str, title: &str, said: &str, after: &str, play: impl Fn(&Talk)) {
    let after = if said.ends_with("! close") { "" } else { after };
    play(&Talk::parse(title, &format!("{before}{said}\n{after}"), Side::Server));
}

#[test]
fn the_budgets_of_imaps_server_are_reached() {
    let stranger = "S: * OK ...\n";
    let selected = "@ preauth\n@ size 100\nS: * PREAUTH ...\nC: s SELECT INBOX\nS+ * ...\nS: s OK ...\n";
    for (before, rows) in [(stranger, IMAP_STRANGER), (selected, IMAP_SELECTED)] {
        for (title, within, beyond) in rows {
            for said in [within, beyond] {
                play(before, title, said, "C: z NOOP\nS: z OK ...\n", |talk| {
                    talk.play_session_at(Pace::Whole, imap::scripted);
                });
            }
        }
    }
    // 100 keywords of a message.
    for (count, answer) in [(100, "S+ * ...\nS: a OK ..."), (101, "S: a BAD expected fewer keywords")] {
        let flags: Vec<String> = (0..count).map(|number| format!("k{number}")).collect();
        let said = format!("C: a STORE 1 FLAGS ({})\n{answer}", flags.join(" "));
        play(selected, "keywords", &said, "C: z NOOP\nS: z OK ...\n", |talk| {
            talk.play_session_at(Pace::Whole, imap::scripted);
        });
    }
}

#[test]
fn the_budgets_of_pop3s_server_are_reached() {
    let stranger = "@ tls standing\nS: +OK ...\n";
    let known = "@ tls standing\nS: +OK ...\nC: USER alice\nC: PASS wonderland\nS: +OK ...\nS: +OK ...\n";
    for (before, rows) in [(stranger, POP3_STRANGER), (known, POP3_KNOWN)] {
        for (title, within, beyond) in rows {
            for said in [within, beyond] {
                play(before, title, said, "C: QUIT\nS: +OK ...\n! close\n", |talk| {
                    talk.play_session_at(Pace::Whole, pop3::scripted);
                });
            }
        }
    }
}

/// How long a session waits, and that octets which end nothing give it no more time.
fn waits<S: Session>(session: &mut S, greeting: Input<'_, S::Answer, S::Event>) -> Duration {
    let mut out = Vec::new();
    let Step::Read(wait) = session.turn(greeting, &mut out).step else { panic!("it does not wait") };
    for octet in [b"N", b"O", b"O"] {
        assert!(matches!(session.turn(Input::Octets(octet), &mut out).step, Step::More));
    }
    assert!(matches!(session.turn(Input::Deadline, &mut out).step, Step::Close));
    wait
}

#[test]
fn time_is_bounded_before_and_after_the_login() {
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    for (login, wait) in [(false, minutes(1)), (true, minutes(30))] {
        let known = imap_server::Known { login, plaintext_login: true };
        let mut server = imap_server::Server::new(Arc::new(imap::settings()), known);
        assert_eq!(waits(&mut server, Input::Begin), wait);
    }
    let settings = pop3_server::Settings {
        hostname: "mx.example.org".into(),
        tls: pop3_server::Tls::None,
        limits: pop3_server::Limits::default(),
    };
    let new =
        || pop3_server::Server::new(Arc::new(settings.clone()), pop3_server::Known { plaintext_login: true });
    assert_eq!(waits(&mut new(), Input::Begin), minutes(1));
    let mut server = new();
    server.turn(Input::Begin, &mut Vec::new());
    let said = b"USER alice\r\nPASS wonderland\r\n";
    let mut used = server.turn(Input::Octets(said), &mut Vec::new()).used;
    while used < said.len() {
        used += server.turn(Input::Octets(&said[used..]), &mut Vec::new()).used;
    }
    assert_eq!(waits(&mut server, Input::Answer(pop3_server::Answer::Open(vec![1]))), minutes(10));
}

/// A client's budget, and a conversation within it and beyond it; behind the latter the client goes, and says where it stood.
type Row = (&'static str, &'static str, &'static str);

const IMAP_GREETED: &str = "@ login me secret\nS: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] ready\nC: p1 AUTHENTICATE PLAIN \\b(\\0me\\0secret)\nS: p1 OK [CAPABILITY IMAP4rev1] in\n";
const IMAP_OPENED: &str = "C: p2 EXAMINE INBOX\nS: * OK [UIDVALIDITY 1]\nS: * 1 EXISTS\nS: p2 OK\nC: p3 UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)\n";
const IMAP_FETCHED: &str = "C: p4 UID FETCH 7 (UID BODY.PEEK[])\nS: p4 OK\nC: p5 LOGOUT\nS: * BYE\n! close\n";

const IMAP_FOLDERS: &[Row] = &[
    (
        "10,000 folders",
        "S: \\*10000(* LIST (\\) NIL x\\r\\n)p2 OK\n",
        "S: \\*10001(* LIST (\\) NIL x\\r\\n)p2 OK\n",
    ),
    (
        "64 KiB of a literal",
        "S: * LIST () NIL {65536}\nS: \\*65536(x)\nS: p2 OK\n",
        "S: * LIST () NIL {65537}\nS: \\*65537(x)\nS: p2 OK\n",
    ),
    (
        "1 MiB of a response",
        "S: * LIST (\\*1048000(x)) NIL x\nS: p2 OK\n",
        "S: * LIST (\\*1048600(x)) NIL x\nS: p2 OK\n",
    ),
    (
        "1 MiB of a response with its literals",
        "S: * LIST (\\*980000(x)) NIL {65000}\nS: \\*65000(x)\nS: p2 OK\n",
        "S: * LIST (\\*990000(x)) NIL {65000}\nS: \\*65000(x)\nS: p2 OK\n",
    ),
];

/// What is told of the one message.
const IMAP_ROWS: &[Row] = &[
    (
        "32 lists in each other",
        "S: * 1 FETCH (X \\*32(()a\\*32(\\)) UID 7 FLAGS () RFC822.SIZE 1)\nS: p3 OK\n",
        "S: * 1 FETCH (X \\*33(()a\\*33(\\)) UID 7 FLAGS () RFC822.SIZE 1)\nS: p3 OK\n",
    ),
    (
        "20,000 responses that lead nowhere",
        "S: \\*19999(* 1 EXISTS\\r\\n)* 1 FETCH (UID 7 FLAGS () RFC822.SIZE 1)\nS: p3 OK\n",
        "S: \\*20001(* 1 EXISTS\\r\\n)* 1 FETCH (UID 7 FLAGS () RFC822.SIZE 1)\nS: p3 OK\n",
    ),
];

/// Plays it against the client of IMAP; what its agent was told last.
fn imap_hears(title: &str, text: &str) -> String {
    let told = Rc::new(RefCell::new(Vec::new()));
    let talk = Talk::parse(title, text, Side::Client);
    talk.play_session_at(Pace::Whole, |talk| imap_client::scripted(talk, Rc::clone(&told)));
    told.take().pop().unwrap_or_default()
}

#[test]
fn the_budgets_of_imaps_client_are_reached() {
    for (title, within, beyond) in IMAP_FOLDERS {
        let before = format!("@ list all\n{IMAP_GREETED}C: p2 LIST \"\" \"*\"\n");
        let after = "C: p3 EXAMINE INBOX\nS: p3 NO none\nC: p4 LOGOUT\nS: * BYE\n! close\n";
        assert_eq!(imap_hears(title, &format!("{before}{within}{after}")), "over", "{title}");
        let told = imap_hears(title, &format!("{before}{beyond}! close\n"));
        assert_eq!(told, "failed Listing 4.5.0", "{title}");
    }
    for (title, within, beyond) in IMAP_ROWS {
        let before = format!("{IMAP_GREETED}{IMAP_OPENED}");
        assert_eq!(imap_hears(title, &format!("{before}{within}{IMAP_FETCHED}")), "over", "{title}");
        let told = imap_hears(title, &format!("{before}{beyond}! close\n"));
        assert_eq!(told, "failed Listing 4.5.0", "{title}");
    }
}

const POP3_UIDL: &str = "C: USER me\nS: +OK\nC: PASS secret\nS: +OK\nC: UIDL\n";

/// From the greeting on.
const POP3_CLIENT: &[Row] = &[
    ("2 KiB of a line", "S: +OK \\*2000(x)\nC: CAPA\nS: -ERR\n", "S: +OK \\*2100(x)\n"),
    ("64 KiB without the end of a line", "S: +OK\nC: CAPA\nS: -ERR\n", "S: +OK \\*70000(x)\\\n"),
    (
        "200 capabilities",
        "S: +OK\nC: CAPA\nS: +OK\nS: \\*200(X\\r\\n).\n",
        "S: +OK\nC: CAPA\nS: +OK\nS: \\*201(X\\r\\n).\n",
    ),
];

/// Plays it against the client of POP3; what its agent was told last.
fn pop3_hears(title: &str, text: &str) -> String {
    let told = Rc::new(RefCell::new(Vec::new()));
    let talk = Talk::parse(title, text, Side::Client);
    talk.play_session_at(Pace::Whole, |talk| pop3_client::scripted(talk, Rc::clone(&told)));
    told.take().pop().unwrap_or_default()
}

#[test]
fn the_budgets_of_pop3s_client_are_reached() {
    let end = "C: QUIT\nS: +OK\n! close\n";
    for (title, within, beyond) in POP3_CLIENT {
        let before = "@ login me secret\n";
        let text = format!("{before}{within}{POP3_UIDL}S: +OK\nS: .\nC: LIST\nS: +OK\nS: .\n{end}");
        assert_eq!(pop3_hears(title, &text), "over", "{title}");
        let told = pop3_hears(title, &format!("{before}{beyond}! close\n"));
        assert!(told.starts_with("failed ") && told.ends_with(" 4.5.0"), "{title}: {told}");
    }
    // A line of AUTH has 255 octets (RFC 5034 section 4), so that a long secret waits to be asked for.
    for (length, initial) in [(100, true), (300, false)] {
        let secret = "s".repeat(length);
        let asked = match initial {
            true => format!("C: AUTH PLAIN \\b(\\0me\\0{secret})\n"),
            false => format!("C: AUTH PLAIN\nS: + \nC: \\b(\\0me\\0{secret})\n"),
        };
        let text = format!(
            "@ login me {secret}\nS: +OK\nC: CAPA\nS: +OK\nS: SASL PLAIN\nS: .\n{asked}S: +OK\nC: UIDL\nS: +OK\nS: .\nC: LIST\nS: +OK\nS: .\n{end}"
        );
        assert_eq!(pop3_hears("a secret", &text), "over", "{length}");
    }
}
