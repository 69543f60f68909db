//! mail-deliver as its callers see it: what lies in the Maildir, and the exit status.

use crate::kit::{self, house::House};
use assert_cmd::Command;
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::PathBuf,
    process::{Output, Stdio},
};

/// Delivers into `Maildir` of the house.
fn deliver(house: &House, flags: &[&str], message: &[u8]) -> Output {
    let mut command = Command::from(house.bare("mail-deliver"));
    command.args(["--maildir", "Maildir"]).args(flags).write_stdin(message).output().unwrap()
}

/// The files in a folder's new/ and cur/.
fn kept(house: &House, folder: &str) -> Vec<PathBuf> {
    let folder = house.path("Maildir").join(folder);
    let parts = ["new", "cur"].iter().filter_map(|part| fs::read_dir(folder.join(part)).ok());
    parts.flatten().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn any_octets_are_delivered_and_come_back_as_they_were() {
    let long_line = [&b"Subject: x\n\n"[..], &vec![b'a'; 10_000_000], b"\n"].concat();
    let words = b"Subject: ".iter().copied().chain(b"=?utf-8?q?=C3=A9?= ".repeat(12_000)).collect::<Vec<_>>();
    let deep = "Content-Type: multipart/mixed; boundary=b\n\n--b\n".repeat(10_000).into_bytes();
    for message in [
        &b""[..],
        b"no header at all",
        b"\0",
        b"Subject: nul\0\n\n\0\0\n",
        b"lone cr: \r\n\rx\r\r\nbare\n",
        b"From joe Tue Nov 24 15:00:00 2026\nSubject: mbox\n\n.\n..\n",
        b"Subject: no final newline\n\nend",
        b"\n\n\n",
        &long_line,
        &words,
        &deep,
    ] {
        let house = House::new();
        let output = deliver(&house, &[], message);
        assert!(output.status.success(), "{output:?}");
        assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
        let files = kept(&house, "");
        assert_eq!(files.len(), 1);
        assert!(fs::read(&files[0]).unwrap() == message, "{} octets", message.len());
        let name = files[0].file_name().unwrap().to_str().unwrap();
        assert!(name.contains(&format!(",S={},W=", message.len())), "{name}");
        assert_eq!(files[0].metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(house.path("Maildir/tmp")).unwrap().count(), 0);
    }
}

#[test]
fn wire_octets_are_stored_with_lf_and_mixed_ones_as_they_are() {
    let house = House::new();
    let wire = b"Subject: x\r\n\r\n".iter().copied().chain(b"line\r\n".repeat(50_000)).collect::<Vec<_>>();
    let mixed = [&wire[..], b"bare\n"].concat();
    let trace = "Return-Path: <s@example.net>\nDelivered-To: me@example.org\n";
    for (message, stored) in [
        (&wire, [trace.as_bytes(), &String::from_utf8_lossy(&wire).replace('\r', "").into_bytes()].concat()),
        (&mixed, [trace.replace('\n', "\r\n").as_bytes(), &mixed].concat()),
    ] {
        let output = deliver(&house, &["-f", "s@example.net", "-r", "me@example.org"], message);
        assert!(output.status.success(), "{output:?}");
        let files = kept(&house, "");
        assert!(fs::read(&files[0]).unwrap() == stored);
        fs::remove_file(&files[0]).unwrap();
    }
}

#[test]
fn a_folder_is_made_subscribed_and_then_found_by_a_subaddress() {
    let house = House::new();
    let to_detail = ["-r", "me+lists.rust@example.org"];
    assert!(deliver(&house, &to_detail, b"A: 1\n\n").status.success());
    assert!(deliver(&house, &["--folder", "Lists/rust"], b"A: 2\n\n").status.success());
    assert!(deliver(&house, &to_detail, b"A: 3\n\n").status.success());
    assert_eq!((kept(&house, "").len(), kept(&house, ".Lists.rust").len()), (1, 2));
    for made in ["cur", "new", "tmp", "maildirfolder"] {
        assert!(house.path("Maildir/.Lists.rust").join(made).exists(), "{made}");
    }
    let subscribed = fs::read_to_string(house.path("Maildir/subscriptions")).unwrap();
    assert_eq!(subscribed, "V\t2\n\nLists\trust\n");
}

#[test]
fn faults_have_the_statuses_of_sysexits_and_deliver_nothing() {
    let house = House::new();
    let loops = b"Delivered-To: me@example.org\n\n";
    for (flags, message, status, said) in [
        (&["--length", "7"][..], &b"A: 1\n\n"[..], 75, "stdin ended after 6 octets"),
        (&["--length", "5"], b"A: 1\n\n", 75, "stdin has more octets"),
        (&["-r", "me@example.org"], loops, 69, "mail loop"),
        (&["--folder", "../up"], b"", 64, "../up"),
        (&["-f", "a\nb"], b"", 64, "control"),
        (&["--unknown"], b"", 64, "--unknown"),
    ] {
        let output = deliver(&house, flags, message);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{flags:?}: {stderr}");
        assert!(stderr.starts_with("mail-deliver: ") && stderr.contains(said), "{stderr}");
    }
    assert!(deliver(&house, &["--length", "6"], b"A: 1\n\n").status.success());
    assert_eq!(kept(&house, "").len(), 1);
    fs::remove_dir_all(house.path("Maildir")).unwrap();
    fs::write(house.path("Maildir"), "in the way").unwrap();
    let output = deliver(&house, &[], b"A: 1\n\n");
    assert_eq!(output.status.code(), Some(75));
    assert!(String::from_utf8_lossy(&output.stderr).contains("Maildir"), "{output:?}");
}

/// Runs `script` with a file system of its own, of so many octets, at `Maildir`; `None` (and says so) when that can't be.
fn on_small_disk(house: &House, octets: usize, script: &str) -> Option<Output> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can mount a small file system");
        return None;
    }
    kit::peer("unshare")?;
    fs::create_dir_all(house.path("Maildir")).unwrap();
    let script = format!("mount -t tmpfs -o size={octets} small Maildir || exit 99\n{script}");
    let mut command = house.bare("mail-deliver");
    let program = command.get_program().to_owned();
    command = std::process::Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script]).current_dir(house.path("")).env("DELIVER", program);
    let output = command.stdin(Stdio::null()).output().unwrap();
    if output.status.code() == Some(99) {
        eprintln!("skipped: {}", String::from_utf8_lossy(&output.stderr));
        return None;
    }
    Some(output)
}

#[test]
fn a_full_disk_is_75_and_leaves_nothing_behind() {
    let house = House::new();
    let message =
        house.write("message", [&b"Subject: big\r\n\r\n"[..], &b"line\r\n".repeat(30_000)].concat());
    let script = format!(
        "\"$DELIVER\" --maildir Maildir <{message}; echo status $?
         find Maildir -type f
         mount -o remount,size=10M Maildir
         \"$DELIVER\" --maildir Maildir <{message}; echo status $?
         find Maildir -type f | wc -l",
        message = message.display()
    );
    let Some(output) = on_small_disk(&house, 100_000, &script) else { return };
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(stdout, "status 75\nstatus 0\n1\n", "{output:?}");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("No space left on device") && stderr.lines().count() == 1, "{stderr}");
}

#[test]
fn root_delivers_as_the_owner_of_the_maildir() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: not root");
        return;
    }
    let house = House::new();
    fs::create_dir(house.path("Maildir")).unwrap();
    std::os::unix::fs::chown(house.path("Maildir"), Some(65534), Some(65534)).unwrap();
    fs::set_permissions(house.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let output = deliver(&house, &["--folder", "x"], b"A: 1\n\n");
    assert!(output.status.success(), "{output:?}");
    let file = kept(&house, ".x").remove(0).metadata().unwrap();
    assert_eq!((file.uid(), file.gid()), (65534, 65534));
}

#[test]
fn the_maildir_crate_reads_what_we_deliver_and_we_need_nothing_of_its_own() {
    let house = House::new();
    for number in 0..3 {
        let message = format!("Subject: number {number}\r\n\r\nbody\r\n");
        assert!(deliver(&house, &[], message.as_bytes()).status.success());
    }
    let reader = maildir::Maildir::from(house.path("Maildir"));
    assert_eq!((reader.count_new(), reader.count_cur()), (3, 0));
    let mut subjects: Vec<String> = reader
        .list_new()
        .map(|entry| {
            let mut entry = entry.unwrap();
            let headers = entry.headers().unwrap();
            headers.iter().find(|field| field.get_key() == "Subject").unwrap().get_value()
        })
        .collect();
    subjects.sort();
    assert_eq!(subjects, ["number 0", "number 1", "number 2"]);
}

/// Delivers to an account of the house.
fn deliver_to(house: &House, flags: &[&str], message: &[u8]) -> Output {
    Command::from(house.command("mail-deliver")).args(flags).write_stdin(message).output().unwrap()
}

#[test]
fn an_account_of_the_configuration_gets_its_mail_where_the_configuration_says() {
    let house = House::new();
    for user in ["alice", "Alice@example.org", "<alice@example.org>", "alice+nowhere"] {
        let output = deliver_to(&house, &["-d", user], b"Subject: x\n\ny\n");
        assert!(output.status.success(), "{user}: {output:?}");
    }
    let files = house.messages("alice", "");
    assert_eq!(files.len(), 4);
    let heads: Vec<String> = files
        .iter()
        .map(|file| fs::read_to_string(file).unwrap().lines().next().unwrap().to_owned())
        .collect();
    assert_eq!(heads[0], "Delivered-To: alice@example.org");
    assert_eq!(heads[3], "Delivered-To: alice+nowhere@example.org");
    for user in ["carol", "alice@elsewhere.example", "office", "a b", ""] {
        house.write("aliases", "office: alice\n");
        let output = deliver_to(&house, &["-d", user], b"x\n");
        assert_eq!(output.status.code(), Some(67), "{user}: {output:?}");
    }
    house.write("accounts", "alice:\nalice:\n");
    let output = deliver_to(&house, &["-d", "alice"], b"x\n");
    assert_eq!(
        output.status.code(),
        Some(75),
        "mail is not given back for a slip in a file of ours: {output:?}"
    );
    assert!(String::from_utf8_lossy(&output.stderr).contains("accounts:2: alice stands here a second time"));
    assert_eq!(deliver_to(&house, &[], b"x\n").status.code(), Some(64));
    assert_eq!(deliver_to(&house, &["-d", "alice", "--maildir", "m"], b"x\n").status.code(), Some(64));
}

#[test]
fn an_account_over_its_quota_gets_nothing_until_it_has_room() {
    let house = House::new();
    house.write("accounts", "alice:!::::::userdb_quota_rule=*:bytes=100\n");
    let message = [b'x'; 60];
    assert_eq!(deliver_to(&house, &["-d", "alice"], &message).status.code(), Some(0));
    let output = deliver_to(&house, &["-d", "alice"], &message);
    assert_eq!(output.status.code(), Some(75), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("over its quota of 100 octets"), "{output:?}");
    assert_eq!(house.messages("alice", "").len(), 1);
    fs::remove_file(&house.messages("alice", "")[0]).unwrap();
    assert_eq!(deliver_to(&house, &["-d", "alice"], &message).status.code(), Some(0));
}

#[test]
fn the_message_and_then_its_name_are_synced_before_the_end() {
    let Some(strace) = kit::peer("strace") else { return };
    let house = House::new();
    let program = house.bare("mail-deliver").get_program().to_owned();
    let mut command = std::process::Command::new(strace);
    let calls = "trace=openat,write,fsync,fdatasync,renameat2,linkat,exit_group";
    command.args(["-o", "trace", "-e", calls]).arg(program).args(["--maildir", "Maildir"]);
    let mut command = Command::from(command);
    // The second delivery: the first one makes the Maildir.
    assert!(deliver(&house, &[], b"first").status.success());
    command.current_dir(house.path("")).write_stdin("Subject: x\n\nsecond\n").assert().success();
    let trace = fs::read_to_string(house.path("trace")).unwrap();
    let lines: Vec<&str> = trace.lines().collect();
    let opened = |what: &str| {
        let line = lines.iter().find(|line| line.starts_with("openat(") && line.contains(what)).unwrap();
        line.rsplit("= ").next().unwrap().to_owned()
    };
    let (file, folder) = (opened("\"tmp/"), opened("\"new\""));
    let at = |start: String| {
        let at = lines.iter().position(|line| line.starts_with(&start) && !line.contains("= -1"));
        at.unwrap_or_else(|| panic!("{start} is missing in\n{trace}"))
    };
    let order = [
        at(format!("write({file}, \"Subject")),
        at(format!("fsync({file})")),
        at("renameat2(".into()),
        at(format!("fsync({folder})")),
        at("exit_group(0)".into()),
    ];
    assert!(order.is_sorted(), "{order:?}\n{trace}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("fsync(")).count(), 2, "{trace}");
}
