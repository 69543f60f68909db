//! `make demo` shows what it promises, and leaves nothing behind.

use crate::kit::{self, house::House};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
};

fn demo(house: &House) -> Command {
    let bin = kit::program("mail-send").parent().unwrap().to_owned();
    assert!(bin.join("examples/certificate").exists(), "run `cargo build --examples` first");
    let mut command = Command::new("sh");
    command.arg(kit::root().join("contrib/demo.sh")).current_dir(kit::root());
    command.env("BIN", bin).env("TMPDIR", house.path("run")).env("HOME", house.path("")).env_remove("KEEP");
    command.stdin(Stdio::null());
    command
}

fn left(house: &House) -> usize {
    fs::read_dir(house.path("run")).unwrap().count()
}

#[test]
fn the_demo_shows_a_message_all_the_way() {
    let house = House::new();
    let out = demo(&house).output().unwrap();
    let said = String::from_utf8(out.stdout).unwrap();
    assert!(out.status.success(), "{said}\n{}", String::from_utf8_lossy(&out.stderr));
    for text in [
        "$ mail-user -C posthaste.toml add alice@example.org",
        "Subject: Grüße aus dem Garten\n",
        "Was wir säen wollen, steht im Anhang.\n\n[2 text/plain \"beet.txt\"",
        "(exit status 77)\n",
        "Kohlrabi\nPastinaken\nRote Bete\n",
        "login=alice@example.org",
        // mail-serve, read by its own --stdio.
        "b OK [READ-WRITE] SELECT completed",
        "* 2 FETCH (UID 2 FLAGS (",
    ] {
        assert!(said.contains(text), "no {text:?} in:\n{said}");
    }
    let said = String::from_utf8(out.stderr).unwrap();
    // Refused; and fetched over both protocols.
    for text in ["550 5.7.1", " octets) into fetched\n", " octets) into popped\n"] {
        assert!(said.contains(text), "no {text:?} in:\n{said}");
    }
    assert_eq!(left(&house), 0);
}

#[test]
fn the_demo_cleans_up_when_it_is_interrupted() {
    let house = House::new();
    let mut child =
        demo(&house).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.find(|line| line.as_ref().unwrap().starts_with("{\"control\"")).unwrap().unwrap();
    kill_process_group(Pid::from_child(&child), Signal::INT).unwrap();
    // Its stdout ends when it and its server are gone.
    lines.for_each(drop);
    let status = child.wait().unwrap();
    // 130; where SIGINT was ignored from the start a shell cannot trap it, and fails by the command that lost its server.
    assert!(!status.success(), "{status}");
    assert_eq!(left(&house), 0);
}

#[test]
fn the_demo_leaves_the_house_standing_on_demand() {
    let house = House::new();
    let mut child =
        demo(&house).env("KEEP", "1").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success(), "{said}");
    let end = said.lines().find(|line| line.trim().starts_with("kill ")).unwrap();
    let (pids, dir) = end.trim()[5..].split_once("; rm -rf ").unwrap();
    assert!(Path::new(dir).join("posthaste.toml").exists());
    // What it says to type works.
    let typed: Vec<&str> = said.lines().skip_while(|line| !line.starts_with("    cd ")).take(3).collect();
    let out = Command::new("sh").arg("-ec").arg(typed.join("\n")).output().unwrap();
    for pid in pids.split(' ') {
        kill_process(Pid::from_raw(pid.parse().unwrap()).unwrap(), Signal::TERM).unwrap();
    }
    let paths = String::from_utf8(out.stdout).unwrap();
    assert!(
        out.status.success() && paths.starts_with("mail/example.org/alice/new/"),
        "{paths} {:?}",
        out.stderr
    );
}
