//! mblaze reads what we deliver, and we deliver beside it.

use crate::kit::{self, house::House};
use assert_cmd::Command;
use std::process;

fn lines(house: &House, program: &str, words: &[&str]) -> Vec<String> {
    let output = process::Command::new(program).args(words).current_dir(house.path("")).output().unwrap();
    assert!(output.status.success(), "{program} {words:?}: {output:?}");
    let mut lines: Vec<String> =
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn mlist_finds_and_mhdr_reads_our_messages() {
    for program in ["mlist", "mhdr", "mdeliver", "minc", "mflag"] {
        if kit::peer(program).is_none() {
            return;
        }
    }
    let house = House::new();
    for subject in ["=?utf-8?q?gr=C3=BC=C3=9Fe?=", "two"] {
        let mut command = Command::from(house.bare("mail-deliver"));
        let message = format!("Subject: {subject}\r\nFrom: a@example.org\r\n\r\nbody\r\n");
        command.args(["--maildir", "Maildir", "-f", "s@example.net"]).write_stdin(message).assert().success();
    }
    let mut deliver = Command::new("mdeliver");
    deliver.arg("Maildir").current_dir(house.path("")).write_stdin("Subject: theirs\n\n").assert().success();
    let found = lines(&house, "mlist", &["Maildir"]);
    assert_eq!(found.len(), 3, "{found:?}");
    let files: Vec<&str> = found.iter().map(String::as_str).collect();
    let subjects = lines(&house, "mhdr", &[&["-d", "-h", "Subject"], &files[..]].concat());
    assert_eq!(subjects, ["gr\u{fc}\u{df}e", "theirs", "two"]);
    let paths = lines(&house, "mhdr", &[&["-h", "Return-Path"], &files[..]].concat());
    assert_eq!(paths, ["<s@example.net>", "<s@example.net>"]);
    let taken = lines(&house, "minc", &["Maildir"]);
    let files: Vec<&str> = taken.iter().map(String::as_str).collect();
    lines(&house, "mflag", &[&["-S"], &files[..]].concat());
    assert_eq!(lines(&house, "mlist", &["-S", "Maildir"]).len(), 3);
}
