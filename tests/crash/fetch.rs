//! mail-fetch is killed, at random moments and at every call that changes the disk, and its power is cut. Whatever it had come to, nothing is lost, what the
//! server has no more is here, and in the end each message is in the Maildir once.

use super::trace::{self, Call, acknowledged_last};
use crate::kit::{self, power::Disk, scratch::Scratch, soak, source::Source};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    panic::{self, AssertUnwindSafe},
    path::Path,
    process::{Child, Command, Stdio},
};

const CALLS: [&str; 6] = ["write", "fsync", "fdatasync", "renameat2", "renameat", "unlinkat"];

/// No call is made so often in one run.
const MOST: usize = 300;

/// Fetches into `Maildir`, under `wrapper` where there is one.
fn command(dir: &Path, wrapper: &[&str], source: &str, flags: &[&str]) -> Command {
    let password = dir.join("password");
    fs::write(&password, "secret").unwrap();
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
    let program = kit::program("mail-fetch");
    let mut words: Vec<&str> = wrapper.to_vec();
    words.push(program.to_str().unwrap());
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).args([source, "--state", "state", "--password-file", "password"]).args(flags);
    command.current_dir(dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// How often each message is in the Maildir; panics at one that is not whole.
fn kept(dir: &Path) -> BTreeMap<u32, usize> {
    let mut kept = BTreeMap::new();
    for part in ["new", "cur"] {
        for entry in fs::read_dir(dir.join("Maildir").join(part)).into_iter().flatten() {
            let text = fs::read_to_string(entry.unwrap().path()).unwrap();
            let uid: u32 =
                text.lines().next().unwrap().strip_prefix("Subject: message ").unwrap().parse().unwrap();
            let body = "x".repeat(uid as usize * 97 % 3000);
            assert_eq!(text, format!("Subject: message {uid}\n\n.{uid}\n{body}\n"), "half a message");
            *kept.entry(uid).or_default() += 1;
        }
    }
    kept
}

/// What must hold at any moment.
fn judge(dir: &Path, source: &Source, count: u32, at: &str) {
    let kept = kept(dir);
    let there = source.uids();
    for uid in 1..=count {
        let copies = kept.get(&uid).copied().unwrap_or(0);
        assert!(copies <= 1, "{at}: message {uid} is there {copies} times");
        assert!(copies == 1 || there.contains(&uid), "{at}: message {uid} is lost");
    }
}

/// Somebody reads their mail: all that is new goes to cur/.
fn read(dir: &Path) {
    for entry in fs::read_dir(dir.join("Maildir/new")).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        fs::rename(&path, dir.join("Maildir/cur").join(name + ":2,S")).unwrap();
    }
}

/// How many messages the Maildir has, whole or half.
fn progress(dir: &Path) -> usize {
    let count = |part: &str| fs::read_dir(dir.join("Maildir").join(part)).map_or(0, Iterator::count);
    count("new") + count("cur")
}

#[test]
fn a_kill_at_a_random_moment_loses_nothing_and_doubles_nothing() {
    let (kills, count) = if soak() { (100, 2000) } else { (8, 400) };
    let mut killed = 0;
    for round in 0.. {
        let (scheme, flags) =
            [("imap", ""), ("pop3", ""), ("imap", "--delete"), ("pop3", "--delete")][round % 4];
        let (scratch, source) = (Scratch::new("fetch-kill"), Source::new());
        source.fill(count);
        let url = source.url(scheme);
        let flags: Vec<&str> =
            ["--into", "Maildir", flags].into_iter().filter(|flag| !flag.is_empty()).collect();
        for turn in 1.. {
            let from = progress(scratch.path());
            let mut child = command(scratch.path(), &[], &url, &flags).spawn().unwrap();
            // As good as random: how far its threads have come when so many messages are seen differs each time.
            let until = from + 1 + (turn * 37 + round * 11) % 90;
            let ended = loop {
                if let Some(status) = child.try_wait().unwrap() {
                    break status;
                }
                if progress(scratch.path()) >= until {
                    child.kill().unwrap();
                    break child.wait().unwrap();
                }
            };
            judge(scratch.path(), &source, count, &format!("round {round}, turn {turn}"));
            if ended.signal() != Some(9) {
                assert!(ended.success(), "{ended:?}");
                break;
            }
            killed += 1;
            if turn % 2 == 0 {
                read(scratch.path());
            }
        }
        assert_eq!(kept(scratch.path()).len(), count as usize);
        assert_eq!(source.uids().is_empty(), flags.contains(&"--delete"));
        if killed >= kills && round >= 1 {
            break;
        }
    }
    println!("{killed} kills");
}

/// Cuts the power of a run in the middle of its work, when `until` messages can be seen; true when it was not at its end yet.
/// What the server is told after that it does not hear: a sync that runs during the cut may answer that all is well (see `ledger::Said`).
fn cut(disk: &Disk, source: &Source, mut child: Child, until: usize) -> bool {
    let ended = loop {
        match child.try_wait().unwrap() {
            None if progress(disk.path()) < until => {}
            ended => break ended,
        }
    };
    source.hang_up();
    disk.cut();
    if ended.is_none() {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    disk.restore();
    assert!(ended.is_none_or(|status| status.success()), "{ended:?}");
    ended.is_none()
}

#[test]
fn a_power_cut_loses_nothing_and_doubles_nothing() {
    let ways = [("imap", "--delete"), ("pop3", "--keep"), ("imap", "--keep"), ("pop3", "--delete")];
    let (ways, cuts, count) = if soak() { (&ways[..], 5, 2000) } else { (&ways[..2], 1, 300) };
    let (mut midway, mut all) = (0, 0);
    for (round, (scheme, flag)) in ways.iter().enumerate() {
        let Some(disk) = Disk::make("fetch-cut") else { return };
        let (dir, source) = (disk.path(), Source::new());
        source.fill(count);
        let (url, flags) = (source.url(scheme), ["--into", "Maildir", flag]);
        for turn in 1.. {
            let until = match turn <= cuts {
                true => progress(dir) + 1 + (turn * 137 + round * 11) % 200,
                false => usize::MAX,
            };
            // Also the run that comes to its end: its status 0 is a promise.
            let child = command(dir, &[], &url, &flags).spawn().unwrap();
            let more = cut(&disk, &source, child, until);
            all += 1;
            judge(dir, &source, count, &format!("{scheme} {flag}, cut {turn}"));
            if !more {
                break;
            }
            midway += 1;
            if turn % 2 == 0 {
                read(dir);
            }
        }
        assert_eq!(kept(dir).len(), count as usize);
        assert_eq!(source.uids().is_empty(), *flag == "--delete");
        assert!(command(dir, &[], &url, &flags).status().unwrap().success());
        judge(dir, &source, count, &format!("{scheme} {flag}, run again"));
    }
    println!("{all} power cuts, {midway} of them midway");
    assert!(midway >= ways.len());
}

/// The test itself, proved: without syncs the cut takes messages away, and it is seen.
#[test]
fn a_fetch_without_syncs_is_caught_by_the_cut() {
    let Some(strace) = kit::peer("strace") else { return };
    let Some(disk) = Disk::make("fetch-lie") else { return };
    let source = Source::new();
    source.fill(3);
    let lie = ["-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e"];
    let mut wrapper = vec![strace.to_str().unwrap()];
    wrapper.extend(lie);
    wrapper.push("inject=fsync,fdatasync:retval=0");
    let flags = ["--into", "Maildir", "--delete"];
    let child = command(disk.path(), &wrapper, &source.url("imap"), &flags).spawn().unwrap();
    assert!(!cut(&disk, &source, child, usize::MAX));
    let fault = panic::catch_unwind(AssertUnwindSafe(|| judge(disk.path(), &source, 3, "without syncs")));
    let fault = *fault.unwrap_err().downcast::<String>().unwrap();
    assert!(fault.contains("lost") || fault.contains("half"), "{fault}");
}

#[test]
fn a_kill_at_every_call_that_changes_the_disk_loses_nothing_and_doubles_nothing() {
    let Some(strace) = kit::peer("strace") else { return };
    let ways: &[(&str, &str)] = if soak() {
        &[("imap", "--delete"), ("pop3", "--delete"), ("imap", "--keep"), ("pop3", "--keep")]
    } else {
        &[("imap", "--delete")]
    };
    for (scheme, flag) in ways {
        let mut all = 0;
        for call in CALLS {
            for nth in 1..=MOST {
                let (scratch, source) = (Scratch::new("fetch-edge"), Source::new());
                source.fill(3);
                let url = source.url(scheme);
                let (traced, inject) =
                    (format!("trace={call}"), format!("inject={call}:signal=KILL:when={nth}"));
                let wrapper =
                    [strace.to_str().unwrap(), "-f", "-qq", "-o", "/dev/null", "-e", &traced, "-e", &inject];
                let flags = ["--into", "Maildir", flag];
                let ended = command(scratch.path(), &wrapper, &url, &flags).status().unwrap();
                let at = format!("{scheme} {flag}: killed before {call} number {nth}");
                judge(scratch.path(), &source, 3, &at);
                if nth % 3 != 0 {
                    read(scratch.path());
                }
                let again = command(scratch.path(), &[], &url, &flags).status().unwrap();
                assert!(again.success(), "{at}: {again:?}");
                judge(scratch.path(), &source, 3, &format!("{at}, and run again"));
                assert_eq!(kept(scratch.path()).len(), 3, "{at}");
                assert_eq!(source.uids().is_empty(), *flag == "--delete", "{at}");
                if ended.signal() != Some(9) {
                    assert!(ended.success(), "{at}: {ended:?}");
                    break;
                }
                all += 1;
                assert!(nth < MOST, "{call} has no end");
            }
        }
        // The state's start, a note of beginnings, three files with their directory, a note of what was taken.
        assert!(all >= 15, "only {all} kills");
        println!("{scheme} {flag}: {all} kills");
    }
}

#[test]
fn a_program_gets_no_more_than_one_message_again() {
    let Some(strace) = kit::peer("strace") else { return };
    for nth in 1..=MOST {
        let (scratch, source) = (Scratch::new("fetch-program"), Source::new());
        source.fill(3);
        let url = source.url("pop3");
        let inject = format!("inject=fdatasync,fsync,write:signal=KILL:when={nth}");
        let wrapper = [
            strace.to_str().unwrap(),
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            "trace=write,fsync,fdatasync",
            "-e",
            &inject,
        ];
        let program = ["--", "sh", "-c", "sed -n 's/^Subject: message //p' >> got"];
        let ended = command(scratch.path(), &wrapper, &url, &program).status().unwrap();
        let again = command(scratch.path(), &[], &url, &program).status().unwrap();
        assert!(again.success());
        let got = fs::read_to_string(scratch.path().join("got")).unwrap();
        let mut got: Vec<&str> = got.lines().collect();
        let all = got.len();
        got.sort_unstable();
        got.dedup();
        assert_eq!(got, ["1", "2", "3"], "killed before call {nth}");
        assert!(all <= 4, "killed before call {nth}: {all} given");
        if ended.signal() != Some(9) {
            assert!(ended.success() && nth > 6, "{nth} {ended:?}");
            return;
        }
    }
    panic!("no end");
}

#[test]
fn what_stdout_can_not_make_durable_is_neither_noted_nor_deleted() {
    let Some(strace) = kit::peer("strace") else { return };
    let (scratch, source) = (Scratch::new("fetch-mbox"), Source::new());
    source.fill(3);
    let mbox = scratch.path().join("mbox");
    let traced = ["-f", "-qq", "-o", "/dev/null", "-P", mbox.to_str().unwrap(), "-e", "trace=fsync"];
    let mut wrapper = vec![strace.to_str().unwrap()];
    wrapper.extend(traced);
    wrapper.extend(["-e", "inject=fsync:error=EIO"]);
    let fetch = |wrapper: &[&str]| {
        let mut command = command(scratch.path(), wrapper, &source.url("imap"), &["--into", "-", "--delete"]);
        command.stdout(fs::File::create(&mbox).unwrap()).status().unwrap()
    };
    assert_eq!(fetch(&wrapper).code(), Some(75));
    assert_eq!(source.uids().len(), 3);
    assert!(fetch(&[]).success());
    assert_eq!(source.uids(), [0; 0]);
    assert_eq!(fs::read_to_string(&mbox).unwrap().matches("Subject:").count(), 3);
}

/// What says that messages are safe: the note in the state, and to the server that they may go.
fn promise(call: &Call) -> bool {
    let note = call.name == "write" && call.args.contains("\"taken ");
    let store = call.args.contains("UID STORE") || call.args.contains("UID EXPUNGE");
    note || store
}

#[test]
fn file_and_directory_are_synced_before_a_message_counts_as_taken_or_is_deleted() {
    let Some(strace) = kit::peer("strace") else { return };
    let (scratch, source) = (Scratch::new("fetch-order"), Source::new());
    source.fill(3);
    let out = scratch.path().join("trace");
    let options = trace::options(&out);
    let mut wrapper = vec![strace.to_str().unwrap(), "-f", "-qq"];
    wrapper.extend(options.iter().map(String::as_str));
    let ended =
        command(scratch.path(), &wrapper, &source.url("imap"), &["--into", "Maildir", "--delete"]).status();
    assert!(ended.unwrap().success());
    let calls = trace::read(&out);
    let ids: Vec<String> = names(&scratch.path().join("Maildir/new"));
    assert_eq!(ids.len(), 3);
    for id in &ids {
        let said = |call: &Call| promise(call).then(|| id.clone());
        let count = acknowledged_last(&calls, said).unwrap();
        assert!(count >= 3, "{count} promises");
        // The beginning was noted, durably, before the file could be seen.
        let seen =
            calls.iter().find(|call| call.name == "renameat2" && call.args.contains(id.as_str())).unwrap();
        let begun = calls.iter().find(|call| call.name == "write" && call.args.contains("begin ")).unwrap();
        let synced = calls.iter().any(|call| {
            call.name == "fdatasync"
                && call.args.contains("/state/")
                && call.began > begun.ended
                && call.ended < seen.began
        });
        assert!(synced, "{id} could be seen before its beginning was noted");
        // The check is no rubber stamp: without any one sort of sync it fails.
        for missing in ["/new>", "/tmp/"] {
            let is_it = |call: &&Call| !(call.name == "fsync" && call.args.contains(missing));
            let fewer: Vec<Call> = calls.iter().filter(is_it).cloned().collect();
            assert!(acknowledged_last(&fewer, said).is_err(), "{missing}");
        }
    }
}

/// The names of the files in a directory.
fn names(dir: &Path) -> Vec<String> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
