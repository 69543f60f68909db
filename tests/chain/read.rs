//! mail-list and mail-show on what the chain delivered: found, piped from one to the other, taken apart.

use crate::kit::{daemon::Daemon, house::House, smtp::Speaker};
use serde_json::Value;
use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, SystemTime},
};

/// What four senders send alice.
const MESSAGES: [(&str, &str, &str); 4] = [
    ("joe@example.net", "Joe <joe@example.net>", "=?utf-8?q?Gr=C3=BC=C3=9Fe?= one"),
    ("ann@example.net", "\"Ann, B.\" <ann@example.net>", "two"),
    ("joe@example.net", "joe@example.net (Joe)", "three"),
    ("eve@example.com", "=?utf-8?q?J=C3=B6rg?= <eve@example.com>", "a\n b=?utf-8?q?=1B[2J?="),
];

/// A house in which they were delivered; the second was read, the third came two days ago.
fn house() -> House {
    let house = House::new();
    let daemon = Daemon::start(&house, "mail-relayd");
    let mut client = Speaker::tcp(daemon.tcp("smtp")).hello();
    for (sender, from, subject) in MESSAGES {
        let text = format!(
            "Date: Tue, 24 Nov 2026 15:20:28 +0100\nFrom: {from}\nTo: alice@example.org\nSubject: {subject}\n\nbody\n"
        );
        client.deliver(sender, &["alice@example.org"], &text);
    }
    let files = house.messages("alice", "");
    let moved = house.maildir("alice").join("cur");
    let seen = moved.join(format!("{}:2,S", files[1].file_name().unwrap().to_str().unwrap()));
    fs::rename(&files[1], seen).unwrap();
    let past = SystemTime::now() - Duration::from_secs(48 * 3600);
    File::options().write(true).open(&files[2]).unwrap().set_modified(past).unwrap();
    house
}

fn run(house: &House, program: &str, words: &[&str], input: &[u8]) -> Output {
    let mut command = house.bare(program);
    command.env("MAILDIR", house.maildir("alice")).args(words);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

/// The same, which must succeed and say nothing of faults.
fn said(house: &House, program: &str, words: &[&str], input: &[u8]) -> Vec<u8> {
    let output = run(house, program, words, input);
    assert!(output.status.success() && output.stderr.is_empty(), "{program} {words:?}: {output:?}");
    output.stdout
}

/// The subjects of what mail-list finds: its paths go to mail-show in a pipe.
fn subjects(house: &House, words: &[&str]) -> Vec<String> {
    let paths = said(house, "mail-list", words, b"");
    let shown = said(house, "mail-show", &["-h", "subject"], &paths);
    String::from_utf8(shown).unwrap().lines().map(str::to_owned).collect()
}

const HELLO: &str = "Gr\u{fc}\u{df}e one";
/// What an encoded word smuggles in does not reach a terminal.
const EVIL: &str = "a b\u{fffd}[2J";

#[test]
fn filters_find_what_holds_and_paths_go_on_in_pipes() {
    let house = house();
    for (words, found) in [
        (&[][..], &[HELLO, "two", "three", EVIL][..]),
        (&["--unseen"], &[HELLO, "three", EVIL]),
        (&["--from", "JOE"], &[HELLO, "three"]),
        (&["--from", "j\u{f6}rg"], &[EVIL]),
        (&["--subject", "gr\u{fc}\u{df}"], &[HELLO]),
        (&["--subject", "t", "--from", "ann"], &["two"]),
        (&["--from", "joe", "--from", "ann"], &[]),
        (&["--since", "1d"], &[HELLO, "two", EVIL]),
        (&["--since", "3d", "--from", "joe"], &[HELLO, "three"]),
        (&["--since", "2999-01-01"], &[]),
        (&["-u", "-f", "joe", "-s", "e", "INBOX"], &[HELLO, "three"]),
    ] {
        assert_eq!(subjects(&house, words), found, "{words:?}");
    }
    for wrong in ["soon", "1y", ""] {
        assert_eq!(run(&house, "mail-list", &["--since", wrong], b"").status.code(), Some(64), "{wrong}");
    }
}

#[test]
fn paths_end_in_nul_for_names_with_any_octet_and_are_taken_back_so() {
    let house = house();
    // A Maildir whose path no list by lines can hold.
    let odd = house.path("odd\nplace");
    std::os::unix::fs::symlink(house.maildir("alice"), &odd).unwrap();
    let odd = odd.to_str().unwrap();
    let paths = said(&house, "mail-list", &["-0", "--maildir", odd], b"");
    let each: Vec<&[u8]> = paths.strip_suffix(b"\0").unwrap().split(|&octet| octet == 0).collect();
    assert_eq!(each.len(), 4);
    assert!(each.iter().all(|path| path.starts_with(odd.as_bytes())), "{paths:?}");
    let shown = String::from_utf8(said(&house, "mail-show", &["-0", "-h", "Subject"], &paths)).unwrap();
    assert_eq!(shown.lines().collect::<Vec<_>>(), [HELLO, "two", "three", EVIL]);
    // mail-list filters paths that come in a pipe, in the same form.
    let again = said(&house, "mail-list", &["-0", "--subject", "three", "-"], &paths);
    assert_eq!(again, [each[2], b"\0"].concat());
    // By lines it does not work, which is said of each.
    let lines = said(&house, "mail-list", &["--maildir", odd], b"");
    let output = run(&house, "mail-show", &["-h", "Subject"], &lines);
    assert_eq!(output.status.code(), Some(66), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 8, "{output:?}");
}

#[test]
fn json_says_the_same_as_the_message() {
    let house = house();
    let text = String::from_utf8(said(&house, "mail-list", &["--json"], b"")).unwrap();
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 4);
    assert_eq!((&rows[0]["subject"], &rows[0]["new"]), (&HELLO.into(), &true.into()));
    assert_eq!((&rows[1]["flags"], &rows[1]["new"]), (&serde_json::json!(["\\Seen"]), &false.into()));
    let ann = serde_json::json!([{"name": "Ann, B.", "address": "ann@example.net"}]);
    assert_eq!((&rows[1]["from"], &rows[1]["date"]), (&ann, &"2026-11-24T15:20:28+01:00".into()));
    for row in &rows {
        let path = row["path"].as_str().unwrap();
        assert_eq!(row["size"], fs::metadata(path).unwrap().len());
        let outline = said(&house, "mail-show", &["--json", path], b"");
        let outline: Value = serde_json::from_slice(&outline).unwrap();
        assert_eq!((&outline["path"], &outline["size"]), (&row["path"], &row["size"]));
        assert_eq!(outline["parts"][0]["type"], "text/plain");
    }
}

#[test]
fn several_messages_are_headed_and_one_that_went_is_named() {
    let house = house();
    let paths = String::from_utf8(said(&house, "mail-list", &[], b"")).unwrap();
    let all: Vec<&str> = paths.lines().collect();
    let gone = format!("{}x", all[0]);
    let output = run(&house, "mail-show", &[&gone, all[1]], b"");
    assert_eq!(output.status.code(), Some(66));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with(&format!("mail-show: {gone}: ")));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(&format!("==> {} <==\n", all[1])) && text.contains("\n\nbody\n"), "{text}");
}

/// Files whose names are wishes of a stranger, and what is made of them.
const NAMES: [(&str, &str); 9] = [
    ("filename=\"../../x\"", "x"),
    ("filename=\"/etc/passwd\"", "passwd"),
    ("filename=\"x\"", "x-1"),
    ("filename=\"x\"", "x-2"),
    ("filename=\"\"", "part-6.bin"),
    ("foo=bar", "part-7.bin"),
    ("filename=\"..\"", "part-8.bin"),
    ("filename=\"-rf\"", "_rf"),
    ("filename*=utf-8''gr%C3%BCn%2F..%2Fy.txt", "y.txt"),
];

/// Delivers a message with a text and these attachments, number N holding "file N".
fn attached(house: &House) -> PathBuf {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let daemon = Daemon::start(house, "mail-relayd");
    let mut text = "Subject: files\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n\
                    --b\nContent-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\ngr=FCn\n"
        .to_owned();
    for (at, (wish, _)) in NAMES.iter().enumerate() {
        let content = STANDARD.encode(format!("file {}\n", at + 2));
        text += &format!(
            "--b\nContent-Type: application/octet-stream\nContent-Disposition: attachment; {wish}\n\
             Content-Transfer-Encoding: base64\n\n{content}\n"
        );
    }
    text += "--b--\n";
    Speaker::tcp(daemon.tcp("smtp")).hello().deliver("a@example.net", &["bob@example.org"], &text);
    house.messages("bob", "").remove(0)
}

#[test]
fn parts_come_decoded_and_files_stay_where_they_are_told_to() {
    let house = House::new();
    let path = attached(&house);
    let path = path.to_str().unwrap();
    // A part as it is: its octets, of whatever charset.
    assert_eq!(said(&house, "mail-show", &["--part", "1", path], b""), b"gr\xfcn");
    assert_eq!(said(&house, "mail-show", &["-p", "2", path], b""), b"file 2\n");
    let output = run(&house, "mail-show", &["-p", "77", path], b"");
    assert_eq!(output.status.code(), Some(65));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no part 77"), "{output:?}");

    let into = house.path("files/deep");
    fs::create_dir_all(&into).unwrap();
    let wanted: Vec<PathBuf> = NAMES.iter().map(|(_, name)| into.join(name)).collect();
    let printed =
        said(&house, "mail-show", &["--save", into.to_str().unwrap()], format!("{path}\n").as_bytes());
    let printed: Vec<PathBuf> = String::from_utf8(printed).unwrap().lines().map(PathBuf::from).collect();
    assert_eq!(printed, wanted);
    for (at, file) in wanted.iter().enumerate() {
        assert_eq!(fs::read_to_string(file).unwrap(), format!("file {}\n", at + 2), "{}", file.display());
    }
    assert_eq!(names(&into).len(), NAMES.len());
    assert_eq!(names(&house.path("files")), ["deep"]);
    // Once more: nothing is replaced. What stands in the way, be it a link, is not followed.
    fs::remove_file(into.join("y.txt")).unwrap();
    std::os::unix::fs::symlink(house.path("victim"), into.join("y.txt")).unwrap();
    said(&house, "mail-show", &["-s", into.to_str().unwrap(), path], b"");
    assert_eq!(names(&into).len(), 2 * NAMES.len());
    assert!(!house.path("victim").exists() && into.join("y-1.txt").exists());
    // One part of its number, also a text.
    let one = said(&house, "mail-show", &["-s", into.to_str().unwrap(), "-p", "1", path], b"");
    assert_eq!(String::from_utf8(one).unwrap().trim_end(), into.join("part-1.txt").to_str().unwrap());
    // Where nothing can be made that is told.
    let output = run(&house, "mail-show", &["-s", "nowhere", path], b"");
    assert_eq!(output.status.code(), Some(73), "{output:?}");
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_reader_that_goes_has_what_it_wanted() {
    let house = house();
    let path = house.messages("alice", "").remove(0);
    let path = path.to_str().unwrap();
    for (program, words) in [
        ("mail-list", &[][..]),
        ("mail-list", &["-0"]),
        ("mail-list", &["--json"]),
        ("mail-list", &["--long"]),
        ("mail-show", &[path]),
        ("mail-show", &["--json", path]),
        ("mail-show", &["-h", "Subject", path]),
        ("mail-show", &["-p", "1", path]),
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command: Command = house.bare(program);
        command.env("MAILDIR", house.maildir("alice")).args(words).stdin(Stdio::null()).stdout(writer);
        let output = command.stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{program} {words:?}: {output:?}");
    }
}
