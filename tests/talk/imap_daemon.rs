//! The dialogues of IMAP again, against `mail-serve` on a socket, whose Maildir holds the same messages; whole and octet by octet.
//!
//! Not those that need a clock or an event (`! deadline`, `! event`), nor those whose agent has troubles of its own (`@ town`).
//! Where a dialogue begins with PREAUTH, which no listener says, alice logs in before it.

use super::imap::{MESSAGES, NOON};
use crate::kit::{
    daemon::Daemon,
    house::House,
    talk::{self, Conn, Pace, Side, Talk},
};
use std::{
    collections::BTreeMap,
    fs,
    net::TcpStream,
    time::{Duration, UNIX_EPOCH},
};

/// A house for one sort of dialogue, and the daemon in it.
pub struct Town {
    house: House,
    daemon: Daemon,
}

impl Town {
    /// One whose settings are those of the dialogue.
    pub fn new(talk: &Talk) -> Town {
        let mut house = House::new();
        house.set("hostname", r#""mail.example.org""#);
        house.set("serve.separator", format!("\"{}\"", talk.setting("separator").unwrap_or("/")));
        if let Some(size) = talk.setting("size") {
            house.set("size_limit", size);
        }
        if talk.setting("tls").is_none() {
            house.unset(&["tls.certificate", "tls.key", "serve.imaps", "serve.pop3s", "relayd.submissions"]);
            house.set("serve.allow_plaintext", r#"["127.0.0.0/8"]"#);
        }
        let daemon = Daemon::start(&house, "mail-serve");
        Town { house, daemon }
    }

    /// Gives alice what the scripted agent has: the same messages, UIDs, flags, dates and folders.
    pub fn refill(&self) {
        let maildir = self.house.maildir("alice");
        let _ = fs::remove_dir_all(&maildir);
        for (number, folder) in ["", ".Drafts", ".Lists.rust", ".Archive", ".full"].into_iter().enumerate() {
            let dir = maildir.join(folder);
            for part in ["cur", "new", "tmp"] {
                fs::create_dir_all(dir.join(part)).unwrap();
            }
            let validity = number + 1;
            fs::write(dir.join("dovecot-uidlist"), format!("3 V{validity} N1 G0123456789abcdef\n")).unwrap();
        }
        fs::write(maildir.join("subscriptions"), "Lists.rust\n").unwrap();
        for (number, text) in (1..).zip(MESSAGES) {
            let path = match number {
                1 => "cur/1.a.host:2,S".to_owned(),
                2 => "cur/2.a.host:2,".to_owned(),
                number => format!("new/{number}.a.host"),
            };
            fs::write(maildir.join(&path), text).unwrap();
            let file = fs::File::options().write(true).open(maildir.join(&path)).unwrap();
            file.set_modified(UNIX_EPOCH + Duration::from_secs(NOON + number)).unwrap();
        }
    }

    /// A connection as the dialogue wants it.
    pub fn connect(&self, talk: &Talk) -> Conn {
        let to = |key| Conn::tcp(TcpStream::connect(self.daemon.tcp(key)).unwrap());
        let mut conn = match talk.setting("tls") {
            Some("standing") => to("imaps").secured(),
            _ => to("imap"),
        };
        if talk.setting("preauth").is_none() {
            return conn;
        }
        conn.ask("", "* OK");
        let said = conn.ask("0 LOGIN alice wonderland", "0 ").pop().unwrap();
        let told = said.strip_prefix("0 OK ").expect("a login");
        conn.greeted(&format!("* PREAUTH {told}"))
    }
}

/// What makes a dialogue need a house of its own.
fn sort(talk: &Talk) -> String {
    format!("{:?}", ["tls", "separator", "size"].map(|key| talk.setting(key)))
}

#[test]
fn every_dialogue_is_kept_to_by_the_daemon() {
    let mut towns: BTreeMap<String, Town> = BTreeMap::new();
    let mut left_out = Vec::new();
    for talk in talk::folder("imap", Side::Server) {
        if talk.setting("town").is_some() || talk.needs_session() {
            left_out.push(talk.name);
            continue;
        }
        // Failed logins are answered ever later, and so have a daemon of their own.
        let failing = talk.expects("AUTHENTICATIONFAILED");
        let name = if failing { talk.name.clone() } else { sort(&talk) };
        let town = towns.entry(name).or_insert_with(|| Town::new(&talk));
        for pace in [Pace::Whole, Pace::Octets] {
            // What comes behind STARTTLS would be the beginning of a handshake, and long lines take long.
            let long = talk.name.contains("starttls") || talk.name.contains("too_") || failing;
            if pace == Pace::Octets && long {
                continue;
            }
            town.refill();
            talk.play_conn_at(pace, |talk| town.connect(talk));
        }
    }
    println!("not played: {left_out:?}");
}
