//! mail-fetch as its users see it: what lies in the Maildir, what the server has left, and the exit status.

use crate::kit::{house::House, source::Source};
use assert_cmd::Command;
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    process::Output,
    time::{Duration, Instant},
};

const SCHEMES: [&str; 2] = ["pop3", "imap"];

fn command(house: &House, source: &str, flags: &[&str]) -> Command {
    house.write("password", "secret\n");
    let mut command = Command::from(house.bare("mail-fetch"));
    command.args([source, "--state", "state", "--password-file", "password"]).args(flags);
    command
}

fn fetch(house: &House, source: &str, flags: &[&str]) -> Output {
    command(house, source, flags).output().unwrap()
}

fn into(house: &House, source: &str, flags: &[&str]) -> Output {
    fetch(house, source, &[&["--into", "Maildir"], flags].concat())
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn done(output: &Output) {
    assert!(output.status.success(), "{output:?}");
}

/// Every message in a folder of the Maildir as it was sent, sorted.
fn kept(house: &House, folder: &str) -> Vec<String> {
    let folder = house.path("Maildir").join(folder);
    let parts = ["new", "cur"].iter().filter_map(|part| fs::read_dir(folder.join(part)).ok());
    let mut kept: Vec<String> =
        parts.flatten().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).collect();
    kept.sort();
    kept
}

/// The same as the server has them.
fn sent(uids: std::ops::RangeInclusive<u32>) -> Vec<String> {
    let one = |uid: u32| {
        let body = "x".repeat(uid as usize * 97 % 3000);
        format!("Subject: message {uid}\n\n.{uid}\n{body}\n")
    };
    let mut sent: Vec<String> = uids.map(one).collect();
    sent.sort();
    sent
}

#[test]
fn what_is_new_comes_once_and_nothing_new_is_silence() {
    for scheme in SCHEMES {
        let (house, source) = (House::new(), Source::new());
        source.fill(300);
        let url = source.url(scheme);
        let first = into(&house, &url, &[]);
        done(&first);
        assert!(said(&first).contains("300 messages"), "{first:?}");
        assert_eq!(kept(&house, ""), sent(1..=300));
        assert_eq!(fs::read_dir(house.path("Maildir/tmp")).unwrap().count(), 0);
        let again = into(&house, &url, &[]);
        done(&again);
        assert_eq!((said(&again).as_str(), again.stdout.len()), ("", 0), "{scheme}");
        source.put(301, "Subject: late\r\n\r\n", "");
        done(&into(&house, &url, &["-q"]));
        assert_eq!(kept(&house, "").len(), 301);
        assert_eq!(source.uids().len(), 301, "kept at the source");
        let commands = source.said();
        // Courier forgets the UIDs of a folder that is only looked at.
        assert!(scheme == "pop3" || commands.contains(&"SELECT INBOX".to_owned()), "{commands:?}");
        assert!(
            !commands.iter().any(|line| line.starts_with("DELE") || line.contains("STORE")),
            "{commands:?}"
        );
    }
}

#[test]
fn flags_keywords_and_dates_come_along() {
    let (house, source) = (House::new(), Source::new());
    source.put(5, "Subject: x\r\n\r\n", "\\Seen \\Flagged \\Recent $Forwarded work");
    done(&into(&house, &source.url("imap"), &[]));
    let path = fs::read_dir(house.path("Maildir/cur")).unwrap().next().unwrap().unwrap().path();
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(name.contains(":2,FPS"), "{name}");
    assert_eq!(path.metadata().unwrap().mtime(), 880_127_706);
    let keywords = fs::read_to_string(house.path("Maildir/dovecot-keywords")).unwrap();
    assert!(keywords.contains("work"), "{keywords}");
}

#[test]
fn what_is_safe_is_deleted_where_it_came_from_and_nothing_else() {
    for scheme in SCHEMES {
        let (house, source) = (House::new(), Source::new());
        source.fill(100);
        let url = source.url(scheme);
        done(&into(&house, &url, &[]));
        source.put(101, "Subject: late\r\n\r\n", "");
        // The connection is lost in the last message: by IMAP nothing was deleted before it, by POP3 nothing is without QUIT.
        source.trap(Some(101));
        let lost = into(&house, &url, &["--delete"]);
        assert_eq!(lost.status.code(), Some(75), "{lost:?}");
        assert_eq!(source.uids().len(), 101);
        source.trap(None);
        done(&into(&house, &url, &["--delete"]));
        assert_eq!(source.uids(), [0; 0], "{scheme}: those of the earlier run, too");
        assert_eq!(kept(&house, "").len(), 101);
    }
}

#[test]
fn a_lost_connection_leaves_whole_messages_only_and_the_next_run_goes_on() {
    for scheme in SCHEMES {
        let (house, source) = (House::new(), Source::new());
        source.fill(200);
        source.trap(Some(150));
        let url = source.url(scheme);
        let lost = into(&house, &url, &[]);
        assert_eq!(lost.status.code(), Some(75), "{lost:?}");
        assert!(said(&lost).contains("149 messages") && said(&lost).lines().count() == 2, "{lost:?}");
        assert_eq!(kept(&house, ""), sent(1..=149));
        assert_eq!(fs::read_dir(house.path("Maildir/tmp")).unwrap().count(), 0);
        source.trap(None);
        source.said();
        done(&into(&house, &url, &[]));
        assert_eq!(kept(&house, ""), sent(1..=200));
        let commands = source.said();
        assert!(!commands.contains(&"RETR 149".to_owned()), "fetched twice: {commands:?}");
    }
}

#[test]
fn a_folder_that_was_renumbered_is_fetched_anew_and_that_is_said() {
    let (house, source) = (House::new(), Source::new());
    source.fill(10);
    let url = source.url("imap");
    done(&into(&house, &url, &[]));
    source.renumber(18);
    let anew = into(&house, &url, &[]);
    done(&anew);
    assert!(said(&anew).contains("UIDVALIDITY"), "{anew:?}");
    assert_eq!(kept(&house, "").len(), 20);
    let state = fs::read_to_string(state_file(&house)).unwrap();
    assert!(state.contains("\nvalidity 18\n") && state.contains("\ntaken 1:10\n"), "{state}");
}

#[test]
fn what_a_server_left_out_of_its_listing_is_never_taken_for_fetched() {
    // A server for which the first half is not there for once, and one that counts all and lists only half.
    for (hidden, counted) in [(1..=5, false), (1..=5, true), (6..=10, true), (4..=6, true)] {
        let (house, source) = (House::new(), Source::new());
        source.fill(10);
        let url = source.url("imap");
        source.hide(hidden.clone(), counted);
        let half = into(&house, &url, &["--delete"]);
        assert_eq!(half.status.code(), Some(if counted { 75 } else { 0 }), "{half:?}");
        assert_eq!(said(&half).contains("leaves some out of its listing"), counted, "{half:?}");
        assert_eq!(source.uids(), hidden.clone().collect::<Vec<_>>(), "what was not listed is not deleted");
        source.hide([], false);
        done(&into(&house, &url, &["--delete"]));
        assert_eq!(kept(&house, ""), sent(1..=10), "{hidden:?}");
        assert_eq!(source.uids(), [0; 0]);
    }
    // Without --delete only what may be new is listed: a listing that was not whole is no reason to begin behind it.
    let (house, source) = (House::new(), Source::new());
    source.fill(10);
    source.hide(3..=4, true);
    assert_eq!(into(&house, &source.url("imap"), &[]).status.code(), Some(75));
    source.hide([], false);
    done(&into(&house, &source.url("imap"), &[]));
    assert_eq!(kept(&house, ""), sent(1..=10));
}

fn state_file(house: &House) -> std::path::PathBuf {
    let is_state = |path: &Path| {
        path.file_name().unwrap().to_str().unwrap().contains(":me@")
            && path.extension().is_none_or(|it| it != "lock")
    };
    let mut files = fs::read_dir(house.path("state")).unwrap().map(|entry| entry.unwrap().path());
    files.find(|path| is_state(path)).unwrap()
}

#[test]
fn a_program_gets_each_message_whole_and_what_it_does_not_take_comes_again() {
    for scheme in SCHEMES {
        let (house, source) = (House::new(), Source::new());
        source.fill(5);
        let url = source.url(scheme);
        // It takes all but the third, which it takes the second time.
        let program = "cat > m; n=$(sed -n 's/^Subject: message //p' m); echo $n >> seen; [ $n != 3 ] || [ $(grep -c 3 seen) -gt 1 ]";
        let with = ["--", "sh", "-c", program];
        let first = fetch(&house, &url, &with);
        assert_eq!(first.status.code(), Some(75), "{first:?}");
        assert!(said(&first).contains("4 messages") && said(&first).contains("1 left"), "{first:?}");
        done(&fetch(&house, &url, &with));
        assert_eq!(fs::read_to_string(house.path("seen")).unwrap(), "1\n2\n3\n4\n5\n3\n");
        let again = fetch(&house, &url, &with);
        done(&again);
        assert_eq!(said(&again), "");
        // Its standard input is a whole message, with LF.
        assert_eq!(fs::read_to_string(house.path("m")).unwrap(), sent(3..=3)[0]);
        let missing = fetch(&house, &url, &["--into", "Maildir", "--", "/no/such"]);
        assert_eq!(missing.status.code(), Some(64));
    }
}

#[test]
fn a_program_that_takes_too_long_is_ended_with_all_it_started() {
    let (house, source) = (House::new(), Source::new());
    source.fill(3);
    // The second message's ends when it is told to; the third's and what it starts do not hear of it.
    let program = r#"cat > m; n=$(sed -n "s/^Subject: message //p" m); echo $n >> seen
        case $n in 2) trap "echo told > told; kill $!; exit 0" TERM;; 3) trap "" TERM;; *) exit 0;; esac
        sleep 1000 > m 2>&1 & echo $! > sleeper$n; wait; wait"#;
    let with = ["--exec-timeout", "500ms", "--delete", "--", "sh", "-c", program];
    let late = fetch(&house, &source.url("imap"), &with);
    assert_eq!(late.status.code(), Some(75), "{late:?}");
    assert_eq!(said(&late).matches("was not done in 0.5 s").count(), 2, "{late:?}");
    assert_eq!(fs::read_to_string(house.path("seen")).unwrap(), "1\n2\n3\n");
    assert_eq!(fs::read_to_string(house.path("told")).unwrap(), "told\n");
    assert_eq!(source.uids(), [2, 3], "what was not taken stays");
    for sleeper in ["sleeper2", "sleeper3"] {
        let pid = fs::read_to_string(house.path(sleeper)).unwrap();
        let stat = format!("/proc/{}/stat", pid.trim());
        // What nobody waited for may stay as a zombie.
        let lives = || fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
        let until = Instant::now() + Duration::from_secs(20);
        while lives() {
            assert!(Instant::now() < until, "{sleeper} lives on");
            std::thread::yield_now();
        }
    }
    done(&fetch(&house, &source.url("imap"), &["--delete", "--", "true"]));
    assert_eq!(source.uids(), [0; 0]);
}

#[test]
fn a_lost_connection_starts_no_program() {
    for scheme in SCHEMES {
        let (house, source) = (House::new(), Source::new());
        source.fill(3).trap(Some(2));
        let lost = fetch(&house, &source.url(scheme), &["--", "sh", "-c", "cat > m; wc -l < m >> seen"]);
        assert_eq!(lost.status.code(), Some(75), "{lost:?}");
        assert_eq!(fs::read_to_string(house.path("seen")).unwrap().trim(), "4");
    }
}

#[test]
fn a_program_that_can_not_be_started_takes_nothing() {
    let (house, source) = (House::new(), Source::new());
    source.fill(3);
    let output = fetch(&house, &source.url("pop3"), &["--delete", "--", "/no/such/program"]);
    assert_eq!(output.status.code(), Some(75), "{output:?}");
    assert!(said(&output).contains("/no/such/program"), "{output:?}");
    assert_eq!(source.uids().len(), 3);
}

#[test]
fn stdout_is_an_mbox() {
    for scheme in SCHEMES {
        let (house, source) = (House::new(), Source::new());
        source.put(1, "Return-Path: <a@b>\r\n\r\nFrom here\r\n>From there\r\n", "");
        source.put(2, "Subject: two\r\n\r\nno end", "");
        let output = fetch(&house, &source.url(scheme), &["--into", "-"]);
        done(&output);
        let text = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("From ")).collect();
        assert_eq!(
            lines,
            ["Return-Path: <a@b>", "", ">From here", ">>From there", "", "Subject: two", "", "no end", ""],
        );
        assert!(text.starts_with("From a@b ") && text.contains("\n\nFrom MAILER-DAEMON "), "{text}");
        assert!(fetch(&house, &source.url(scheme), &["--into", "-"]).stdout.is_empty());
    }
}

#[test]
fn of_a_pipe_nobody_knows_so_nothing_is_deleted_for_it() {
    let (house, source) = (House::new(), Source::new());
    source.fill(2);
    let refused = fetch(&house, &source.url("pop3"), &["--into", "-", "--delete"]);
    assert_eq!(refused.status.code(), Some(64), "{refused:?}");
    let file = fs::File::create(house.path("mbox")).unwrap();
    let mut command = house.bare("mail-fetch");
    house.write("password", "secret");
    command.args([
        &source.url("pop3"),
        "--state",
        "state",
        "--password-file",
        "password",
        "--into",
        "-",
        "--delete",
    ]);
    assert!(command.stdout(file).status().unwrap().success());
    assert_eq!(source.uids(), [0; 0]);
    assert_eq!(fs::read_to_string(house.path("mbox")).unwrap().matches("Subject:").count(), 2);
}

#[test]
fn a_dry_run_only_says_what_would_come() {
    for scheme in SCHEMES {
        let (house, source) = (House::new(), Source::new());
        source.fill(2);
        let dry = into(&house, &source.url(scheme), &["--dry-run", "--delete"]);
        done(&dry);
        assert_eq!(String::from_utf8(dry.stdout).unwrap().lines().count(), 2);
        let json = into(&house, &source.url(scheme), &["--dry-run", "--json"]);
        let line: serde_json::Value =
            serde_json::from_slice(json.stdout.split(|it| *it == b'\n').next().unwrap()).unwrap();
        assert_eq!((line["folder"].as_str(), line["verdict"].as_str()), (Some("INBOX"), Some("new")));
        assert!(!house.path("Maildir").exists() && fs::read_dir(house.path("state")).unwrap().count() == 0);
        assert_eq!(source.uids().len(), 2);
    }
}

#[test]
fn a_message_that_is_too_large_is_left_and_the_others_come() {
    for scheme in SCHEMES {
        let (house, source) = (House::new(), Source::new());
        source.fill(3).claim(2, (1 << 30) + 1);
        for flags in [&[][..], &["--delete"]] {
            let output = into(&house, &source.url(scheme), flags);
            assert_eq!(output.status.code(), Some(75), "{output:?}");
            assert!(said(&output).contains("1073741824 octets"), "{output:?}");
            assert_eq!(kept(&house, ""), [sent(1..=1), sent(3..=3)].concat());
        }
        assert_eq!(source.uids(), [2], "{scheme}");
        source.claim(2, 1 << 30);
        done(&into(&house, &source.url(scheme), &[]));
        assert_eq!(kept(&house, ""), sent(1..=3));
    }
}

#[test]
fn what_went_to_stdout_is_noted_in_small_parts() {
    let (house, source) = (House::new(), Source::new());
    source.fill(200);
    done(&fetch(&house, &source.url("imap"), &["--into", "-"]));
    let state = fs::read_to_string(state_file(&house)).unwrap();
    let parts: Vec<&str> = state.lines().filter_map(|line| line.strip_prefix("taken ")).collect();
    let count = |part: &&str| {
        let (low, high) = part.split_once(':').unwrap_or((part, part));
        high.parse::<u32>().unwrap() - low.parse::<u32>().unwrap() + 1
    };
    assert!(parts.iter().map(count).all(|count| count <= 64), "{parts:?}");
    assert_eq!(parts.iter().map(count).sum::<u32>(), 200, "{parts:?}");
}

/// script(1) gives it a terminal.
#[test]
fn on_a_terminal_progress_is_shown_and_gone_at_the_end() {
    let Some(script) = crate::kit::peer("script") else { return };
    let (house, source) = (House::new(), Source::new());
    source.fill(50);
    house.write("password", "secret");
    let evil = "evil\u{1b}[2J\u{202e}";
    let runs = [("", true), ("-q", false), ("-v", false), ("2>&1 | cat", false)];
    for (run, (flags, drawn)) in runs.into_iter().enumerate() {
        let line = format!(
            "{} {} --folder INBOX --folder '{evil}' --into - --state state{run} --password-file password {flags} > /dev/null",
            crate::kit::program("mail-fetch").display(),
            source.url("imap"),
        );
        let line = match line.contains("2>&1") {
            true => line.replace(" > /dev/null", "").replace("--into -", "--into Maildir"),
            false => line,
        };
        let shown = std::process::Command::new(&script)
            .args(["-qec", &format!("stty cols 40; {line}"), "/dev/null"])
            .current_dir(house.path("."))
            .env("HOME", house.path("."))
            .output()
            .unwrap();
        let shown = String::from_utf8(shown.stdout).unwrap();
        let first = shown.find("\rINBOX: ");
        assert_eq!(first.is_some(), drawn, "{flags}: {shown:?}");
        assert!(!shown.contains("evil\u{1b}") && !shown.contains('\u{202e}'), "{shown:?}");
        if drawn {
            // Each is one row, and the last is wiped away before the last word.
            let rows: Vec<&str> = shown.split('\r').filter(|row| row.starts_with("INBOX: ")).collect();
            assert!(
                rows.iter().all(|row| row.len() < 40 + "\x1b[K".len() && row.ends_with("\x1b[K")),
                "{rows:?}"
            );
            let (_, end) = shown.rsplit_once("\rINBOX: ").unwrap();
            let (_, end) = end.split_once("\r\x1b[K").unwrap();
            assert!(end.contains("50 messages"), "{shown:?}");
        } else {
            assert!(!shown.contains("\x1b[K"), "{flags}: {shown:?}");
        }
    }
}

#[test]
fn json_names_each_message() {
    let (house, source) = (House::new(), Source::new());
    source.put(7, "Subject: x\r\n\r\n", "");
    for (scheme, name) in [("imap", "7"), ("pop3", "u7")] {
        let output = into(&house, &source.url(scheme), &["--json"]);
        done(&output);
        let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(line["message"], name);
        assert_eq!((line["octets"].as_u64(), line["verdict"].as_str()), (Some(14), Some("done")));
        assert_eq!(line["source"], source.url(scheme));
    }
}

#[test]
fn two_at_once_do_not_meet() {
    let (house, source) = (House::new(), Source::new());
    source.fill(1);
    let url = source.url("imap");
    // The first one is held up by its program, which starts the second.
    house.write("password", "secret");
    let second = format!(
        "cat >/dev/null; {} {url} --state state --password-file password --into Maildir 2> said; echo $? > status",
        crate::kit::program("mail-fetch").display()
    );
    done(&fetch(&house, &url, &["--", "sh", "-c", &second]));
    assert_eq!(fs::read_to_string(house.path("status")).unwrap(), "75\n");
    assert!(fs::read_to_string(house.path("said")).unwrap().contains("another mail-fetch"));
    assert!(!house.path("Maildir").exists());
}

#[test]
fn logins_and_states_that_are_wrong_are_said() {
    for scheme in SCHEMES {
        let (house, source) = (House::new(), Source::new());
        source.fill(1);
        let url = source.url(scheme);
        house.write("wrong", "hush");
        let mut command = Command::from(house.bare("mail-fetch"));
        command.args([&url, "--state", "state", "--password-file", "wrong", "--into", "Maildir"]);
        let refused = command.output().unwrap();
        assert_eq!(refused.status.code(), Some(77), "{refused:?}");
        assert!(
            said(&refused).contains(&source.url(scheme).replace(&format!("{scheme}://me@"), "")),
            "{refused:?}"
        );
        done(&into(&house, &url, &[]));
        fs::write(state_file(&house), "posthaste-fetch 1\nnonsense\n").unwrap();
        let damaged = into(&house, &url, &[]);
        assert_eq!(damaged.status.code(), Some(65), "{damaged:?}");
        assert!(said(&damaged).contains("line 2"), "{damaged:?}");
        let nobody = into(&house, &format!("{scheme}://me@127.0.0.1:1"), &[]);
        assert_eq!(nobody.status.code(), Some(75), "{nobody:?}");
    }
}

#[test]
fn a_source_of_the_configuration_is_fetched_by_name_or_with_all_others() {
    let house = House::new();
    let (one, two) = (Source::new(), Source::new());
    one.fill(3);
    two.put(9, "Subject: two\r\n\r\n", "");
    house.write("password", "secret");
    let table = |name: &str, url: &str, rest: &str| {
        format!(
            "[fetch.{name}]\nsource = \"{url}\"\npassword_file = \"password\"\nstate = \"~/state\"\n{rest}\n"
        )
    };
    let text = table("one", &one.url("imap"), "into = \"~/Maildir\"\ndelete = true")
        + &table("two", &two.url("pop3"), "exec = \"sh -c 'cat > two'\"");
    house.write("client.toml", text);
    let run = |words: &[&str]| {
        let mut command = Command::from(house.bare("mail-fetch"));
        command.args(["-C", "client.toml"]).args(words).output().unwrap()
    };
    done(&run(&["one", "--keep"]));
    assert_eq!((kept(&house, "").len(), one.uids().len()), (3, 3));
    done(&run(&[]));
    assert_eq!(one.uids().len(), 0);
    assert_eq!(fs::read_to_string(house.path("two")).unwrap(), "Subject: two\n\n");
    let unknown = run(&["three"]);
    assert_eq!(unknown.status.code(), Some(78), "{unknown:?}");
}

#[test]
fn a_full_disk_loses_nothing() {
    // The Maildir can't be made: its place is a file.
    let (house, source) = (House::new(), Source::new());
    source.fill(3);
    house.write("Maildir", "in the way");
    let output = into(&house, &source.url("imap"), &["--delete"]);
    assert_eq!(output.status.code(), Some(75), "{output:?}");
    assert_eq!(source.uids().len(), 3);
    fs::remove_file(house.path("Maildir")).unwrap();
    done(&into(&house, &source.url("imap"), &["--delete"]));
    assert_eq!((kept(&house, "").len(), source.uids().len()), (3, 0));
}

#[test]
fn a_name_that_a_pop3_server_uses_again_is_another_message() {
    for flag in ["--delete", "--keep"] {
        let (house, source) = (House::new(), Source::new());
        let url = source.url("pop3");
        source.put(1, "Subject: one\r\n\r\n", "");
        done(&into(&house, &url, &[flag]));
        if flag == "--keep" {
            // Somebody else deletes it, and a run sees that it is gone.
            source.clear();
            done(&into(&house, &url, &[flag]));
        }
        source.put(1, "Subject: other\r\n\r\n", "");
        done(&into(&house, &url, &[flag]));
        assert_eq!(kept(&house, ""), ["Subject: one\n\n", "Subject: other\n\n"], "{flag}");
    }
}
