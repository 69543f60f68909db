//! Every command of IMAP in every state, good and bad: dialogues that are made of a table, against the session and against
//! `mail-serve`.
//!
//! What is allowed where is RFC 3501 section 3's. Behind each command the connection is of use and knows no more and no less than
//! before.

use super::{imap::scripted, imap_daemon::Town};
use crate::kit::talk::{Pace, Side, Talk};
use std::collections::BTreeSet;

/// The states of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    /// Nobody has logged in, and TLS is offered.
    Clear,
    /// Nobody has logged in, and TLS stands.
    Stranger,
    /// Not in a mailbox.
    Known,
    /// In INBOX.
    Selected,
    /// In INBOX, to read only.
    Examined,
    /// LOGOUT was said.
    Logout,
}
use State::{Clear, Examined, Known, Logout, Selected, Stranger};

const STATES: [State; 6] = [Clear, Stranger, Known, Selected, Examined, Logout];

impl State {
    fn so_far(self) -> &'static str {
        match self {
            Clear => "@ tls offered\nS: * OK ...\n",
            Stranger => "@ tls standing\nS: * OK ...\n",
            Known | Logout => "@ tls standing\nS: * OK ...\nC: l LOGIN alice wonderland\nS: l OK ...\n",
            Selected => {
                "@ tls standing\nS: * OK ...\nC: l LOGIN alice wonderland\nC: s SELECT INBOX\nS: l OK ...\nS+ * ...\nS: s OK [READ-WRITE] ...\n"
            }
            Examined => {
                "@ tls standing\nS: * OK ...\nC: l LOGIN alice wonderland\nC: s EXAMINE INBOX\nS: l OK ...\nS+ * ...\nS: s OK [READ-ONLY] ...\n"
            }
        }
    }
}

/// Where a command is allowed (RFC 3501 sections 6.1 to 6.4).
#[derive(Clone, Copy, Debug, PartialEq)]
enum Where {
    Any,
    NotAuthenticated,
    Authenticated,
    InMailbox,
    /// In a mailbox that may be changed.
    InMailboxToWrite,
}
use Where::{Any, Authenticated, InMailbox, InMailboxToWrite, NotAuthenticated};

/// What is said behind the tag, what follows it where it is allowed, and what is no such command.
type Row = (&'static str, Where, &'static str, &'static str, &'static str);

const ROWS: &[Row] = &[
    ("CAPABILITY", Any, "", "S: * CAPABILITY IMAP4rev1 ...\nS: t OK ...", " x"),
    ("NOOP", Any, "", "S: t OK ...", " x"),
    ("LOGOUT", Any, "", "S: * BYE ...\nS: t OK ...\n! close", " x"),
    ("ID", Any, " (\"name\" \"x\")", "S: * ID (\"name\" ...\nS: t OK ...", " name"),
    ("STARTTLS", NotAuthenticated, "", "S: t OK ...\n! tls", " x"),
    ("AUTHENTICATE", NotAuthenticated, " PLAIN \\b(\\0alice\\0wonderland)", "S: t OK ...", ""),
    ("LOGIN", NotAuthenticated, " alice wonderland", "S: t OK ...", " alice"),
    ("ENABLE", Authenticated, " X-NOTHING", "S: * ENABLED\nS: t OK ...", ""),
    ("NAMESPACE", Authenticated, "", "S: * NAMESPACE ((\"\" \"/\")) NIL NIL\nS: t OK ...", " x"),
    ("SELECT", Authenticated, " Archive", "S+ * ...\nS: t OK [READ-WRITE] ...", ""),
    ("EXAMINE", Authenticated, " Archive", "S+ * ...\nS: t OK [READ-ONLY] ...", ""),
    ("CREATE", Authenticated, " New", "S: t OK ...", ""),
    ("DELETE", Authenticated, " Archive", "S: t OK ...", ""),
    ("RENAME", Authenticated, " Archive Old", "S: t OK ...", " Archive"),
    ("SUBSCRIBE", Authenticated, " Archive", "S: t OK ...", ""),
    ("UNSUBSCRIBE", Authenticated, " Lists/rust", "S: t OK ...", ""),
    ("LIST", Authenticated, " \"\" full", "S: * LIST (...) \"/\" full\nS: t OK ...", " \"\""),
    ("LSUB", Authenticated, " \"\" *", "S: * LSUB () \"/\" Lists/rust\nS: t OK ...", " \"\""),
    (
        "STATUS",
        Authenticated,
        " Archive (MESSAGES)",
        "S: * STATUS Archive (MESSAGES 0)\nS: t OK ...",
        " Archive",
    ),
    ("APPEND", Authenticated, " Archive {1+}\nC: x", "S: t OK [APPENDUID 4 1] ...", " Archive x"),
    ("IDLE", Authenticated, "", "S: + ...\nC: DONE\nS: t OK ...", " x"),
    ("CHECK", InMailbox, "", "S: t OK ...", " x"),
    ("CLOSE", InMailbox, "", "S: t OK ...", " x"),
    ("UNSELECT", InMailbox, "", "S: t OK ...", " x"),
    ("EXPUNGE", InMailboxToWrite, "", "S: t OK ...", " x"),
    ("UID EXPUNGE", InMailboxToWrite, " 1", "S: t OK ...", ""),
    ("SEARCH", InMailbox, " ALL", "S: * SEARCH 1 2 3 4\nS: t OK ...", ""),
    ("UID SEARCH", InMailbox, " 2:3", "S: * SEARCH 2 3\nS: t OK ...", " 9"),
    ("FETCH", InMailbox, " 4 UID", "S: * 4 FETCH (UID 4)\nS: t OK ...", " 5 UID"),
    ("UID FETCH", InMailbox, " 4 UID", "S: * 4 FETCH (UID 4)\nS: t OK ...", " 4"),
    (
        "STORE",
        InMailboxToWrite,
        " 2 +FLAGS (\\\\Draft)",
        "S: * 2 FETCH (FLAGS (\\\\Draft))\nS: t OK ...",
        " 2 (\\\\Draft)",
    ),
    (
        "UID STORE",
        InMailboxToWrite,
        " 2 +FLAGS (\\\\Draft)",
        "S: * 2 FETCH (UID 2 FLAGS (\\\\Draft))\nS: t OK ...",
        " 2",
    ),
    ("COPY", InMailbox, " 2 Archive", "S: t OK [COPYUID 4 2 1] ...", " 2"),
    ("UID COPY", InMailbox, " 2 Archive", "S: t OK [COPYUID 4 2 1] ...", " Archive"),
    (
        "MOVE",
        InMailboxToWrite,
        " 2 Archive",
        "S: * OK [COPYUID 4 2 1] ...\nS: * 2 EXPUNGE\nS: t OK ...",
        " 2",
    ),
    (
        "UID MOVE",
        InMailboxToWrite,
        " 2 Archive",
        "S: * OK [COPYUID 4 2 1] ...\nS: * 2 EXPUNGE\nS: t OK ...",
        " Archive",
    ),
];

/// What a command is answered, good or bad, in a state.
fn answer(row: &Row, good: bool, state: State) -> &'static str {
    let (name, place, _, answer, _) = *row;
    match (place, state) {
        (_, Logout) => "! close",
        (NotAuthenticated, Known | Selected | Examined) => "S: t BAD You are logged in",
        (Authenticated | InMailbox | InMailboxToWrite, Clear | Stranger) => "S: t BAD Log in first",
        (InMailbox | InMailboxToWrite, Known) => "S: t BAD Select a mailbox first",
        (_, Stranger) if name == "STARTTLS" && good => "S: t BAD TLS stands already",
        _ if !good => "S: t BAD ...",
        (InMailboxToWrite, Examined) => "S: t NO [CANNOT] ...",
        (NotAuthenticated, Clear) if name != "STARTTLS" => "S: t NO [PRIVACYREQUIRED] ...",
        _ => answer,
    }
}

/// The dialogue of a row in a state.
fn dialogue(row: &Row, good: bool, state: State) -> Talk {
    let (name, _, arguments, _, bad) = *row;
    let said = if good { arguments } else { bad };
    let answer = answer(row, good, state);
    let (before, told) = match state {
        // It is said at once, and nothing behind the goodbye is heard.
        Logout => ("C: o LOGOUT\n", "S: * BYE ...\nS: o OK ...\n"),
        _ => ("", ""),
    };
    let after = if answer.ends_with("! close") { "" } else { "C: u NOOP\nS: u OK NOOP completed\n" };
    let text = format!("{}{before}C: t {name}{said}\n{told}{answer}\n{after}", state.so_far());
    let title = format!("{name}, {}, {state:?}", if good { "good" } else { "bad" });
    Talk::parse(&title, &text, Side::Server)
}

fn all() -> impl Iterator<Item = (&'static Row, bool, State)> {
    let ways = STATES.into_iter().flat_map(|state| [(state, true), (state, false)]);
    ways.flat_map(|(state, good)| ROWS.iter().map(move |row| (row, good, state)))
}

#[test]
fn no_command_is_forgotten() {
    let table = include_str!("../../src/wire/imap/server/table.rs");
    let names = |start: &str| -> BTreeSet<String> {
        let rows = table.lines().filter_map(|line| line.trim().strip_prefix(start)?.split_once('"'));
        rows.map(|(name, _)| name.to_owned()).collect()
    };
    let (plain, numbered) = (names("command(\""), names("numbered(\""));
    assert!(plain.len() > 20 && numbered.len() > 5);
    let here: BTreeSet<String> = ROWS.iter().map(|row| row.0.to_owned()).collect();
    let with_uid = numbered.iter().flat_map(|name| [name.clone(), format!("UID {name}")]);
    assert_eq!(here, plain.into_iter().chain(with_uid).collect());
}

#[test]
fn every_command_is_answered_as_its_state_wants() {
    for (row, good, state) in all() {
        dialogue(row, good, state).play_session(scripted);
    }
}

/// What the session refuses without asking anybody was played above.
#[test]
fn every_command_is_answered_so_by_the_daemon() {
    let town = Town::new(&Talk::parse("here", Stranger.so_far(), Side::Server));
    for (row, good, state) in all() {
        let refused =
            ["first", "logged in", "close"].iter().any(|end| answer(row, good, state).ends_with(end));
        if refused && row.0 != "LOGOUT" && row.0 != "EXPUNGE" {
            continue;
        }
        let talk = dialogue(row, good, state);
        town.refill();
        talk.play_conn_at(Pace::Whole, |talk| town.connect(talk));
    }
}
