//! Dovecot works on our Maildirs and we on its: the same folders, UIDs, flags and subscriptions, back and forth.

use crate::kit::{self, house::House};
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
use std::{fs, os::unix::process::CommandExt as _, path::PathBuf, process};

/// A Maildir with doveadm, which opens it as Dovecot's servers do; none of them runs. Dovecot does not work for root, so
/// it is `mail`.
struct Peer {
    house: House,
    doveadm: PathBuf,
    store: Maildir,
}

impl Peer {
    fn new() -> Option<Peer> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root can start Dovecot as another user");
            return None;
        }
        let doveadm = kit::peer("doveadm")?;
        let house = House::new();
        let at = |name: &str| house.path(name).display().to_string();
        let text = format!(
            "base_dir = {run}\nstate_dir = {run}\nlog_path = {log}\nmail_location = maildir:{maildir}\n\
             mail_home = {home}\nfirst_valid_uid = 1\nfirst_valid_gid = 1\nssl = no\nstats_writer_socket_path =\n\
             namespace inbox {{\n  inbox = yes\n}}\n",
            run = at("run"),
            log = at("dovecot.log"),
            maildir = at("Maildir"),
            home = at(""),
        );
        house.write("dovecot.conf", text);
        Some(Peer { house, doveadm, store: Maildir::new(Disk::inline(), Clock::system()) })
    }

    fn home(&self) -> Home {
        let location = self.house.path("Maildir").to_str().unwrap().to_owned();
        Home { account: "ann@example.org".into(), location }
    }

    fn deliver(&self, flags: &[&str], subject: &str) {
        let mut command = Command::from(self.house.bare("mail-deliver"));
        let message = format!("Subject: {subject}\r\n\r\nbody of {subject}\r\n");
        command.args(["--maildir", "Maildir"]).args(flags).write_stdin(message).assert().success();
    }

    /// What doveadm says, line by line, sorted. Everything in the house becomes its own first.
    fn doveadm(&self, words: &[&str]) -> Vec<String> {
        let user = nix::unistd::User::from_name("mail").unwrap().unwrap();
        let chown = process::Command::new("chown")
            .args(["-R", "mail:mail", self.house.path("").to_str().unwrap()])
            .status()
            .unwrap();
        assert!(chown.success());
        let output = process::Command::new(&self.doveadm)
            .arg("-c")
            .arg(self.house.path("dovecot.conf"))
            .args(words)
            .env("USER", "mail")
            .env("HOME", self.house.path(""))
            .uid(user.uid.as_raw())
            .gid(user.gid.as_raw())
            .output()
            .unwrap();
        let log = fs::read_to_string(self.house.path("dovecot.log")).unwrap_or_default();
        assert!(output.status.success(), "{words:?}: {}{log}", String::from_utf8_lossy(&output.stderr));
        assert!(
            !log.contains("Warning") && !log.contains("Error") && !log.contains("Panic"),
            "{words:?}: {log}"
        );
        let mut lines: Vec<String> =
            String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// Folder, UID, flags and subject of every message, as Dovecot has them.
    fn theirs(&self) -> Vec<String> {
        let lines = self.doveadm(&["-f", "tab", "fetch", "mailbox uid flags hdr.subject", "ALL"]);
        let rows = lines.into_iter().filter(|line| !line.starts_with("mailbox\t"));
        let rows = rows.map(|row| {
            let mut cells: Vec<String> = row.split('\t').map(str::to_owned).collect();
            let mut flags: Vec<&str> =
                cells[2].split(' ').filter(|flag| !["", "\\Recent"].contains(flag)).collect();
            flags.sort_unstable();
            cells[2] = flags.join(" ");
            cells.join("|")
        });
        let mut rows: Vec<String> = rows.collect();
        rows.sort();
        rows
    }

    /// The same as we have them.
    fn ours(&self) -> Vec<String> {
        let (home, mut rows) = (self.home(), Vec::new());
        for listed in self.store.folders(&home).unwrap().into_iter().filter(|listed| listed.exists) {
            self.store.open(&home, &listed.name, false).unwrap();
            for row in self.store.rows(&home, &listed.name, &all(), usize::MAX).unwrap() {
                let mut octets = Vec::new();
                let mut read = self.store.read(&home, &listed.name, row.uid, 0..u64::MAX).unwrap();
                std::io::Read::read_to_end(&mut read, &mut octets).unwrap();
                let text = String::from_utf8(octets).unwrap();
                let subject = text.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap();
                let mut flags: Vec<&str> = row.flags.names().collect();
                flags.sort_unstable();
                rows.push(format!("{}|{}|{}|{subject}", listed.name, row.uid, flags.join(" ")));
            }
        }
        rows.sort();
        rows
    }

    fn act(&self, act: Act<<Maildir as Store>::Draft>) -> Done {
        self.store.apply(&self.home(), vec![act]).outcomes.remove(0).unwrap()
    }

    fn flag(&self, folder: &str, uid: Uid, change: FlagChange, names: &[&str]) {
        let mut flags = Flags::default();
        names.iter().for_each(|name| flags.insert(name).unwrap());
        let uids = UidSet::new([uid..=uid]);
        self.act(Act::Flag { folder: name(folder), uids, change, flags, unchanged_since: None });
    }

    fn agree(&self, wanted: &[&str]) {
        assert_eq!(self.ours(), wanted);
        assert_eq!(self.theirs(), wanted);
        // Nobody gave another UID because the other had looked.
        assert_eq!(self.ours(), wanted);
    }
}

fn name(text: &str) -> FolderName {
    FolderName::parse(text, '/').unwrap()
}

fn all() -> UidSet {
    UidSet::new([1..=Uid::MAX])
}

#[test]
fn dovecot_reads_what_we_deliver_and_gives_uids_that_we_keep() {
    let Some(peer) = Peer::new() else { return };
    peer.deliver(&[], "one");
    peer.deliver(&["--folder", "Lists/r\u{fc}st"], "two");
    peer.deliver(&[], "three");
    let wanted = ["INBOX|1||one", "INBOX|2||three", "Lists.r\u{fc}st|1||two"];
    assert_eq!(peer.theirs(), wanted);
    peer.agree(&wanted);
    assert_eq!(peer.doveadm(&["mailbox", "list", "-s"]), ["Lists.r\u{fc}st"]);
    let sizes =
        peer.doveadm(&["-f", "tab", "fetch", "size.physical size.virtual", "mailbox", "INBOX", "uid", "1"]);
    assert_eq!(sizes[0], "26\t29");
    peer.doveadm(&["flags", "add", "\\Seen work $Junk", "mailbox", "INBOX", "uid", "2"]);
    peer.agree(&["INBOX|1||one", "INBOX|2|$Junk \\Seen work|three", "Lists.r\u{fc}st|1||two"]);
}

#[test]
fn uids_flags_and_folders_go_back_and_forth() {
    let Some(peer) = Peer::new() else { return };
    let home = peer.home();
    for subject in ["one", "two", "three"] {
        peer.deliver(&[], subject);
    }
    // We name first.
    let snapshot = peer.store.open(&home, &FolderName::inbox(), true).unwrap();
    peer.store.create(&home, &name("Work")).unwrap();
    peer.store.subscribe(&home, &name("Work"), true).unwrap();
    peer.flag("INBOX", 1, FlagChange::Add, &["\\Flagged", "$Forwarded", "mine"]);
    peer.act(Act::Move { from: FolderName::inbox(), uids: UidSet::new([2..=2]), to: name("Work") });
    peer.agree(&["INBOX|1|$Forwarded \\Flagged mine|one", "INBOX|3||three", "Work|1||two"]);
    let status = peer.doveadm(&["-f", "tab", "mailbox", "status", "uidvalidity uidnext", "INBOX"]);
    assert_eq!(status[0], format!("INBOX\t4\t{}", snapshot.uid_validity));

    // Then Dovecot moves, copies, expunges and makes folders.
    peer.doveadm(&["mailbox", "create", "-s", "Archive.2026"]);
    peer.doveadm(&["move", "Archive.2026", "mailbox", "INBOX", "uid", "1"]);
    peer.doveadm(&["copy", "Archive.2026", "mailbox", "Work", "uid", "1"]);
    peer.doveadm(&["flags", "add", "\\Answered theirs mine", "mailbox", "Work", "uid", "1"]);
    peer.doveadm(&["expunge", "mailbox", "INBOX", "uid", "3"]);
    let wanted = [
        "Archive.2026|1|$Forwarded \\Flagged mine|one",
        "Archive.2026|2||two",
        "Work|1|\\Answered mine theirs|two",
    ];
    peer.agree(&wanted);
    assert_eq!(peer.doveadm(&["mailbox", "list", "-s"]), ["Archive.2026", "Work"]);

    // And we again: UIDs go on where the other stopped.
    peer.deliver(&[], "four");
    peer.act(Act::Copy { from: name("Work"), uids: all(), to: name("Archive/2026") });
    peer.act(Act::Expunge {
        folder: name("Archive/2026"),
        uids: Some(UidSet::new([2..=2])),
        deleted_only: false,
    });
    peer.store.rename(&home, &name("Archive"), &name("Old")).unwrap();
    let wanted = [
        "INBOX|4||four",
        "Old.2026|1|$Forwarded \\Flagged mine|one",
        "Old.2026|3|\\Answered mine theirs|two",
        "Work|1|\\Answered mine theirs|two",
    ];
    peer.agree(&wanted);
    peer.store.delete(&home, &name("Work")).unwrap();
    peer.agree(&wanted[..3]);
}

#[test]
fn a_deleted_folder_made_again_by_either_has_another_uidvalidity() {
    let Some(peer) = Peer::new() else { return };
    let home = peer.home();
    let mut seen = std::collections::BTreeSet::new();
    for round in 0..4 {
        peer.deliver(&["--folder", "Again"], "x");
        let validity = if round % 2 == 0 {
            let line = peer.doveadm(&["-f", "tab", "mailbox", "status", "uidvalidity", "Again"]).remove(0);
            let validity = line.rsplit('\t').next().unwrap().parse().unwrap();
            assert_eq!(peer.store.open(&home, &name("Again"), false).unwrap().uid_validity, validity);
            peer.store.delete(&home, &name("Again")).unwrap();
            validity
        } else {
            let validity = peer.store.open(&home, &name("Again"), false).unwrap().uid_validity;
            peer.doveadm(&["mailbox", "delete", "Again"]);
            validity
        };
        assert!(seen.insert(validity), "{validity} in round {round}");
    }
}

#[test]
fn both_name_new_messages_at_the_same_time_and_agree() {
    let Some(peer) = Peer::new() else { return };
    peer.deliver(&[], "0");
    peer.agree(&["INBOX|1||0"]);
    for round in 1..=5 {
        std::thread::scope(|scope| {
            let names = scope.spawn(|| {
                for _ in 0..20 {
                    peer.store.open(&peer.home(), &FolderName::inbox(), false).unwrap();
                }
            });
            let delivers = scope.spawn(|| {
                for number in 0..5 {
                    peer.deliver(&[], &format!("{round}.{number}"));
                }
            });
            for _ in 0..5 {
                peer.theirs();
            }
            names.join().unwrap();
            delivers.join().unwrap();
        });
    }
    let ours = peer.ours();
    assert_eq!(peer.theirs(), ours);
    assert_eq!(peer.ours(), ours);
    let list = fs::read_to_string(peer.house.path("Maildir/dovecot-uidlist")).unwrap();
    let mut uids: Vec<Uid> =
        list.lines().skip(1).map(|line| line.split(' ').next().unwrap().parse().unwrap()).collect();
    uids.dedup();
    assert_eq!(uids, (1..=26).collect::<Vec<Uid>>(), "{list}");
}
