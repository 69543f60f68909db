//! Dovecot's imapd serves what we deliver, in open sessions while we change it and after.

use crate::kit::{
    self,
    dovecot::{Dovecot, Imap},
    house::House,
};
use assert_cmd::Command;
use posthaste::{
    mail::{
        flags::Flags,
        folder::FolderName,
        query::{Uid, UidSet},
    },
    store::{Act, Done, FlagChange, Home, Store, maildir::Maildir},
    sys::{clock::Clock, disk::Disk},
};
use std::{collections::BTreeMap, time::UNIX_EPOCH};

/// Alice's account, as both have it.
struct Both {
    dovecot: Dovecot,
    house: House,
    store: Maildir,
}

/// UID, flags and subject of a message.
type Row = (Uid, String, String);

impl Both {
    fn start() -> Option<Both> {
        let house = House::new();
        let dovecot = Dovecot::start(&house)?;
        Some(Both { house, dovecot, store: Maildir::new(Disk::inline(), Clock::system()) })
    }

    fn home(&self) -> Home {
        let location = self.house.maildir("alice").to_str().unwrap().to_owned();
        Home { account: "alice@example.org".into(), location }
    }

    fn session(&self) -> Imap {
        self.dovecot.own();
        self.dovecot.login("alice", "wonderland")
    }

    fn deliver(&self, flags: &[&str], subject: &str) {
        let mut command = Command::from(self.house.command("mail-deliver"));
        let message = format!("Subject: {subject}\r\n\r\n.body of {subject}\r\ngr\u{fc}n");
        command.args(["-d", "alice"]).args(flags).write_stdin(message).assert().success();
        self.dovecot.own();
    }

    fn act(&self, act: Act<<Maildir as Store>::Draft>) -> Done {
        let done = self.store.apply(&self.home(), vec![act]).outcomes.remove(0).unwrap();
        self.dovecot.own();
        done
    }

    fn flag(&self, folder: &str, uid: Uid, change: FlagChange, names: &[&str]) {
        let mut flags = Flags::default();
        names.iter().for_each(|name| flags.insert(name).unwrap());
        let uids = UidSet::new([uid..=uid]);
        self.act(Act::Flag { folder: name(folder), uids, change, flags, unchanged_since: None });
    }

    /// What we have in a folder.
    fn ours(&self, folder: &str) -> Vec<Row> {
        let (home, folder) = (self.home(), name(folder));
        self.store.open(&home, &folder, false).unwrap();
        let rows = self.store.rows(&home, &folder, &all(), usize::MAX).unwrap();
        let row = |row: posthaste::store::Row| {
            let subject = self.text(&folder, row.uid);
            let subject = subject.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap();
            (row.uid, sorted(row.flags.names()), subject.to_owned())
        };
        let rows = rows.into_iter().map(row).collect();
        self.dovecot.own();
        rows
    }

    fn text(&self, folder: &FolderName, uid: Uid) -> String {
        let mut octets = Vec::new();
        let mut read = self.store.read(&self.home(), folder, uid, 0..u64::MAX).unwrap();
        std::io::Read::read_to_end(&mut read, &mut octets).unwrap();
        String::from_utf8(octets).unwrap()
    }

    /// Both see this in a folder, and see it again: nobody gives another UID because the other had looked.
    fn agree(&self, imap: &mut Imap, folder: &str, wanted: &[(Uid, &str, &str)]) {
        let wanted: Vec<Row> = wanted.iter().map(|row| (row.0, row.1.to_owned(), row.2.to_owned())).collect();
        for _ in 0..2 {
            assert_eq!(self.ours(folder), wanted, "ours, {folder}");
            assert_eq!(theirs(imap, folder), wanted, "theirs, {folder}");
        }
    }
}

fn name(text: &str) -> FolderName {
    FolderName::parse(text, '/').unwrap()
}

fn all() -> UidSet {
    UidSet::new([1..=Uid::MAX])
}

fn sorted<'a>(flags: impl Iterator<Item = &'a str>) -> String {
    let mut flags: Vec<&str> = flags.filter(|&flag| flag != "\\Recent").collect();
    flags.sort_unstable();
    flags.join(" ")
}

/// The text between two others.
fn between<'a>(line: &'a str, start: &str, end: &str) -> &'a str {
    let rest = line.split_once(start).unwrap_or_else(|| panic!("no {start:?} in {line:?}")).1;
    rest.split_once(end).unwrap_or_else(|| panic!("no {end:?} in {line:?}")).0
}

/// A number behind a word.
fn number(line: &str, word: &str) -> u64 {
    let rest = line.split_once(word).unwrap_or_else(|| panic!("no {word:?} in {line:?}")).1;
    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

/// A folder's name on the wire (modified UTF-7), as the directories have it.
fn wire(folder: &str) -> String {
    match name(folder).directory() {
        directory if directory.is_empty() => "INBOX".to_owned(),
        directory => directory[1..].to_owned(),
    }
}

/// What the session sees in a folder when it selects it.
fn theirs(imap: &mut Imap, folder: &str) -> Vec<Row> {
    imap.say(&format!("SELECT \"{}\"", wire(folder)));
    let rows = imap.say("UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])");
    let row = |line: &String| {
        let subject = between(line, "Subject: ", "\r\n").to_owned();
        let flags = sorted(between(line, "FLAGS (", ")").split(' ').filter(|flag| !flag.is_empty()));
        (Uid::try_from(number(line, "UID ")).unwrap(), flags, subject)
    };
    rows.iter().filter(|line| line.contains(" FETCH (")).map(row).collect()
}

#[test]
fn folders_messages_sizes_and_dates_are_what_imapd_serves() {
    let Some(both) = Both::start() else { return };
    let folders = [
        "Sent",
        "Lists/r\u{fc}st",
        "Lists/\u{65e5}\u{672c}\u{8a9e}",
        "A & B",
        "with \"quotes\" and space",
        "\u{1f600}/deep/er",
    ];
    both.deliver(&[], "one");
    for folder in folders {
        both.deliver(&["--folder", folder], folder);
    }
    let mut imap = both.session();
    let quoted = |line: &String| {
        let text = line.rsplit_once(" \".\" ").unwrap().1;
        let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
        text.replace("\\\"", "\"")
    };
    // Levels that exist only above others are listed as \NoSelect by both.
    let list = imap.say("LIST \"\" *");
    let mut listed: Vec<String> =
        list.iter().filter(|line| !line.contains("\\Noselect")).map(quoted).collect();
    listed.sort();
    let mut wanted: Vec<String> =
        folders.iter().map(|folder| wire(folder)).chain(["INBOX".to_owned()]).collect();
    wanted.sort();
    assert_eq!(listed, wanted);
    let mut subscribed: Vec<String> = imap.say("LSUB \"\" *").iter().map(quoted).collect();
    subscribed.sort();
    assert_eq!(subscribed, wanted.iter().filter(|name| *name != "INBOX").cloned().collect::<Vec<_>>());
    for folder in folders.iter().chain(&["INBOX"]) {
        // Dovecot looks first, and gives the UIDs.
        let selected = imap.say(&format!("SELECT \"{}\"", wire(folder).replace('"', "\\\"")));
        let rows = imap.say("UID FETCH 1:* (RFC822.SIZE INTERNALDATE FLAGS BODY.PEEK[])");
        both.dovecot.own();
        let snapshot = both.store.open(&both.home(), &name(folder), true).unwrap();
        let selected = selected.join("\n");
        assert_eq!(number(&selected, "UIDVALIDITY "), u64::from(snapshot.uid_validity), "{selected}");
        assert_eq!(number(&selected, "UIDNEXT "), u64::from(snapshot.uid_next), "{selected}");
        let measures = both.store.measures(&both.home(), &name(folder), &all(), 9).unwrap();
        let (rows, measure) = (rows.join("\n"), &measures[0]);
        assert_eq!(
            (number(&rows, "UID "), number(&rows, "RFC822.SIZE ")),
            (measure.uid.into(), measure.octets)
        );
        let text = both.text(&name(folder), measure.uid);
        assert!(rows.contains(&format!("BODY[] {{{}}}\r\n{text})", text.len())), "{rows}");
        assert!(text.ends_with(&format!(
            "\r\n\r\n.body of {}\r\ngr\u{fc}n",
            if *folder == "INBOX" { "one" } else { folder }
        )));
        let date =
            jiff::fmt::strtime::parse("%d-%b-%Y %H:%M:%S %z", between(&rows, "INTERNALDATE \"", "\"").trim());
        let date = date.unwrap().to_timestamp().unwrap().as_second();
        assert_eq!(u64::try_from(date).unwrap(), measure.date.duration_since(UNIX_EPOCH).unwrap().as_secs());
    }
    both.dovecot.content();
}

#[test]
fn an_open_session_sees_what_we_change_and_we_what_it_changes() {
    let Some(both) = Both::start() else { return };
    for subject in ["one", "two", "three"] {
        both.deliver(&[], subject);
    }
    both.store.create(&both.home(), &name("Work")).unwrap();
    let before = both.ours("INBOX");
    let mut imap = both.session();
    let selected = imap.say("SELECT INBOX").join("\n");

    // Flags and keywords of ours, in both directions.
    both.flag("INBOX", 1, FlagChange::Add, &["\\Flagged", "\\Seen", "$Forwarded", "mine"]);
    both.flag("INBOX", 2, FlagChange::Set, &["\\Draft", "\\Deleted", "\\Answered"]);
    let told = imap.say("NOOP").join("\n");
    assert_eq!(
        sorted(between(&told, "* 1 FETCH (FLAGS (", ")").split(' ')),
        "$Forwarded \\Flagged \\Seen mine"
    );
    assert_eq!(sorted(between(&told, "* 2 FETCH (FLAGS (", ")").split(' ')), "\\Answered \\Deleted \\Draft");
    imap.say("STORE 3 +FLAGS (\\Seen theirs mine)");
    imap.say("STORE 1 -FLAGS (\\Flagged mine)");
    both.agree(
        &mut both.session(),
        "INBOX",
        &[
            (1, "$Forwarded \\Seen", "one"),
            (2, "\\Answered \\Deleted \\Draft", "two"),
            (3, "\\Seen mine theirs", "three"),
        ],
    );

    // Deliveries, moves and expunges of ours.
    both.deliver(&[], "four");
    assert!(imap.say("NOOP").iter().any(|line| line == "* 4 EXISTS"));
    both.act(Act::Move { from: FolderName::inbox(), uids: UidSet::new([3..=3]), to: name("Work") });
    both.act(Act::Expunge { folder: FolderName::inbox(), uids: None, deleted_only: true });
    let mut told = imap.say("NOOP");
    told.retain(|line| line.ends_with("EXPUNGE"));
    told.sort();
    assert!(told == ["* 2 EXPUNGE", "* 2 EXPUNGE"] || told == ["* 2 EXPUNGE", "* 3 EXPUNGE"], "{told:?}");
    assert_eq!(imap.say("UID SEARCH ALL"), ["* SEARCH 1 4"]);

    // Moves, copies and messages of its own.
    imap.say("UID MOVE 1 Work");
    imap.say("UID COPY 4 Work");
    imap.append("INBOX", "\\Flagged own", "Subject: five\r\n\r\nx\r\n");
    both.agree(&mut imap, "INBOX", &[(4, "", "four"), (5, "\\Flagged own", "five")]);
    let work = [(1, "\\Seen mine theirs", "three"), (2, "$Forwarded \\Seen", "one"), (3, "", "four")];
    both.agree(&mut imap, "Work", &work);

    // Folders.
    imap.say("CREATE \"Archive.&ZeVnLIqe-\"");
    imap.say("SUBSCRIBE \"Archive.&ZeVnLIqe-\"");
    both.dovecot.own();
    let listed = both.store.folders(&both.home()).unwrap();
    let made = listed.iter().find(|listed| listed.name == name("Archive/\u{65e5}\u{672c}\u{8a9e}")).unwrap();
    assert!(made.exists && made.subscribed);
    both.store.rename(&both.home(), &name("Work"), &name("W\u{f6}rk/2026")).unwrap();
    both.dovecot.own();
    both.agree(&mut both.session(), "W\u{f6}rk/2026", &work);
    imap.say("RENAME \"W&APY-rk.2026\" Back");
    both.agree(&mut both.session(), "Back", &work);

    // What never was touched is what it was.
    let again = both.session().say("SELECT INBOX").join("\n");
    assert_eq!(number(&again, "UIDVALIDITY "), number(&selected, "UIDVALIDITY "));
    assert_eq!(before.iter().map(|row| row.0).collect::<Vec<_>>(), [1, 2, 3]);
    both.dovecot.content();
}

#[test]
fn many_changes_by_both_in_turn_never_give_a_uid_to_another_message() {
    let Some(both) = Both::start() else { return };
    both.deliver(&[], "0");
    both.store.create(&both.home(), &name("Work")).unwrap();
    let mut imap = both.session();
    // Which message a UID of a folder named, for ever.
    let mut known: BTreeMap<(&str, Uid), String> = BTreeMap::new();
    let mut state = 20_261_124_u64;
    let mut next = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % bound
    };
    for round in 1..=if kit::soak() { 300 } else { 60 } {
        let (from, to) = if next(2) == 0 { ("INBOX", "Work") } else { ("Work", "INBOX") };
        let rows = both.ours(from);
        let uid = if rows.is_empty() { 0 } else { rows[next(rows.len())].0 };
        let word = ["one", "two", "$Junk"][next(3)];
        let uids = UidSet::new([uid..=uid]);
        imap.say(&format!("SELECT {from}"));
        match next(10) {
            _ if uid == 0 => both.deliver(&["--folder", from], &round.to_string()),
            0 => both.deliver(&["--folder", from], &round.to_string()),
            1 => imap.append(from, word, &format!("Subject: {round}\r\n\r\nx\r\n")),
            2 => both.flag(from, uid, FlagChange::Set, &["\\Seen", word]),
            3 => drop(imap.say(&format!("UID STORE {uid} +FLAGS (\\Answered {word})"))),
            4 => drop(imap.say(&format!("UID STORE {uid} -FLAGS (\\Seen {word})"))),
            5 => drop(both.act(Act::Move { from: name(from), uids, to: name(to) })),
            6 => drop(imap.say(&format!("UID MOVE {uid} {to}"))),
            7 => drop(both.act(Act::Copy { from: name(from), uids, to: name(to) })),
            8 => drop(imap.say(&format!("UID COPY {uid} {to}"))),
            _ if rows.len() < 4 => both.deliver(&["--folder", to], &round.to_string()),
            _ => {
                imap.say(&format!("UID STORE {uid} +FLAGS (\\Deleted)"));
                imap.say("EXPUNGE");
            }
        }
        both.dovecot.own();
        for folder in ["INBOX", "Work"] {
            let ours = both.ours(folder);
            assert_eq!(theirs(&mut imap, folder), ours, "round {round}, {folder}");
            for (uid, _, subject) in ours {
                let first = known.entry((folder, uid)).or_insert_with(|| subject.clone());
                assert_eq!(*first, subject, "round {round}: {uid} of {folder} is another message");
            }
        }
    }
    assert!(known.len() > 20, "{known:?}");
    both.dovecot.content();
}
