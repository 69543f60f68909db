//! The real daemon under load, killed at random moments and at every edge; started again, nothing may be missing.

use super::{
    ledger::Death,
    trace::{self, Call, acknowledged_last},
};
use crate::kit::{
    self, PATIENCE,
    daemon::Daemon,
    house::House,
    load::{Ledger, Letter, Load},
    power::{Disk, Small},
    sink::{Act, Sink, Stage},
    soak,
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const CONNECTIONS: usize = 20;

/// A house whose daemon takes our load and sends strangers' mail to the sink.
fn house(sink: &Sink) -> House {
    let mut house = House::new();
    house.set("relayd.relay_from", r#"["127.0.0.0/8"]"#);
    house.set("relayd.smarthost", format!("\"smtp://{}\"", sink.address()));
    house.set("relayd.retry", r#"["1s"]"#);
    house
}

fn start(house: &House) -> Daemon {
    Daemon::start(house, "mail-relayd")
}

/// Every copy that came: the letter's number, or why it is not whole, and its recipient.
fn arrivals(house: &House, sink: &Sink) -> Vec<(Result<u64, String>, String)> {
    let mut arrivals = Vec::new();
    for user in ["alice", "bob"] {
        for path in house.messages(user, "") {
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).replace('\n', "\r\n");
            arrivals.push((Letter::recognise(text.as_bytes()), format!("{user}@example.org")));
        }
    }
    for got in sink.got() {
        for rcpt in &got.rcpts {
            let to = rcpt.split(['<', '>']).nth(1).unwrap().to_owned();
            arrivals.push((Letter::recognise(&got.text), to));
        }
    }
    arrivals
}

/// How often each letter came, by number and recipient; every copy is whole.
fn copies(house: &House, sink: &Sink) -> BTreeMap<(u64, String), usize> {
    let mut copies: BTreeMap<(u64, String), usize> = BTreeMap::new();
    for (number, to) in arrivals(house, sink) {
        let number = number.unwrap_or_else(|fault| panic!("a copy for {to}: {fault}"));
        *copies.entry((number, to)).or_default() += 1;
    }
    copies
}

/// The letters of which a whole copy came, where others may be torn.
fn copies_of_the_whole(house: &House, sink: &Sink) -> BTreeSet<(u64, String)> {
    arrivals(house, sink).into_iter().filter_map(|(number, to)| Some((number.ok()?, to))).collect()
}

/// Waits until the daemon has nothing left to deliver.
fn drained(house: &House) {
    let until = Instant::now() + 4 * PATIENCE;
    loop {
        let output = house.command("mail-queue").arg("--json").stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        if output.stdout.is_empty() {
            return;
        }
        assert!(Instant::now() < until, "still queued: {}", String::from_utf8_lossy(&output.stdout));
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Connections that the daemon has to one host at most: so many transactions can be open at a kill.
const LANES: usize = 20;

/// Every letter that was acknowledged came to each of its recipients. It may have come once more for each kill that it
/// lived through, of which there is one behind each ledger, and in all not more often than transactions can have been
/// open. None came that was refused, unless the disk was taken away in the middle (`Death::PowerCut`): then nobody could
/// take it back.
fn judge(house: &House, sink: &Sink, ledgers: &[Ledger], death: Death) {
    let copies = copies(house, sink);
    let (mut wanted, mut again) = (0, 0);
    for (round, ledger) in ledgers.iter().enumerate() {
        for &number in &ledger.kept {
            for to in Letter::new(number).to {
                let came = copies.get(&(number, to.clone())).copied().unwrap_or(0);
                assert!(came > 0, "letter {number} was acknowledged and did not come to {to}");
                assert!(came <= 1 + ledgers.len() - round, "letter {number} came {came} times to {to}");
                wanted += 1;
                again += came - 1;
            }
        }
    }
    assert!(again <= ledgers.len() * LANES, "{again} came again");
    let known = |number: &u64| {
        ledgers.iter().any(|ledger| ledger.kept.contains(number) || ledger.open.contains(number))
    };
    // On a disk without room for the second copy, nor for the spool, the first may stand already: the sender tries
    // again, and it is the duplicate.
    let full = |ledger: &Ledger| ledger.refusals.keys().any(|reply| reply.starts_with("452 4.3.1"));
    let in_part = |number: &u64| Letter::new(*number).to.len() > 1 && ledgers.iter().any(full);
    for (number, to) in copies.keys().filter(|_| death == Death::Kill) {
        assert!(known(number) || in_part(number), "letter {number} came to {to} and was refused");
    }
    println!("{wanted} wanted, {again} came again");
}

#[test]
fn a_daemon_killed_under_load_loses_nothing() {
    let kills = if soak() { 200 } else { 5 };
    let sink = Sink::start();
    let house = house(&sink);
    let mut ledgers = Vec::new();
    for round in 0..kills {
        let daemon = start(&house);
        let load = Load::start(daemon.tcp("smtp"), CONNECTIONS, round as u64 * 1_000_000);
        // As good as random: what the twenty connections and the relay are at differs each time.
        load.wait(5 + round * 37 % 200);
        daemon.kill();
        ledgers.push(load.end());
    }
    let daemon = start(&house);
    drained(&house);
    daemon.stop();
    judge(&house, &sink, &ledgers, Death::Kill);
    assert!(fs::read_dir(house.path("state/spool/corrupt")).unwrap().next().is_none());
}

/// The calls that change the disk, and those on the way to an acknowledgement.
const CALLS: [&str; 8] =
    ["fsync", "fdatasync", "renameat2", "linkat", "unlinkat", "mkdirat", "pwrite64", "sendto"];

/// The command under strace; its process id stands in the spool's lock.
fn traced(house: &House, strace: &Path, options: &[&str]) -> Command {
    let mut command = Command::new(strace);
    let relayd = house.command("mail-relayd");
    command.args(["-f", "-qq"]).args(options).arg(relayd.get_program()).args(relayd.get_args());
    command
}

/// The process that has the spool: the daemon itself, whatever it runs under.
fn owner(house: &House) -> Pid {
    let pid = fs::read_to_string(house.path("state/spool/lock")).unwrap();
    Pid::from_raw(pid.trim().parse().unwrap()).unwrap()
}

/// Ends a daemon that runs under strace, and waits for both. False when it had gone by itself.
fn end(mut daemon: Daemon, pid: Pid, signal: Signal) -> bool {
    let there = kill_process(pid, signal).is_ok();
    daemon.wait();
    there
}

#[test]
fn a_daemon_killed_at_every_edge_loses_nothing() {
    let Some(strace) = kit::peer("strace") else { return };
    let nths: Vec<usize> = if soak() { (1..=30).collect() } else { vec![1, 4] };
    for call in CALLS {
        for &nth in &nths {
            let sink = Sink::start();
            let house = house(&sink);
            let (trace, inject) = (format!("trace={call}"), format!("inject={call}:signal=KILL:when={nth}"));
            let options = ["-o", "/dev/null", "-e", &trace, "-e", &inject];
            // It may be killed before it is ready: nothing was acknowledged then.
            let Ok(daemon) = Daemon::try_spawn("mail-relayd", traced(&house, &strace, &options)) else {
                continue;
            };
            let pid = owner(&house);
            let load = Load::start(daemon.tcp("smtp"), 4, 0);
            load.until(60, "none");
            let survived = end(daemon, pid, Signal::KILL);
            let ledger = load.end();
            println!("{call} {nth}: {}", if survived { "not reached" } else { "killed" });
            let daemon = start(&house);
            drained(&house);
            daemon.stop();
            judge(&house, &sink, &[ledger], Death::Kill);
            if survived {
                break;
            }
        }
    }
}

/// The final reply to DATA is the last thing of all: file and directory are synced before it leaves.
#[test]
fn file_and_directory_are_synced_before_every_final_250() {
    let Some(strace) = kit::peer("strace") else { return };
    let sink = Sink::start();
    let house = house(&sink);
    let options = trace::options(&house.path("trace"));
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let daemon = Daemon::spawn("mail-relayd", traced(&house, &strace, &options));
    let pid = owner(&house);
    let load = Load::start(daemon.tcp("smtp"), CONNECTIONS, 0);
    load.wait(if soak() { 2000 } else { 100 });
    let ledger = load.end();
    drained(&house);
    assert!(end(daemon, pid, Signal::TERM));
    let calls = trace::read(&house.path("trace"));
    let count = acknowledged_last(&calls, final_250).unwrap();
    assert!(count >= ledger.kept.len(), "{count} of {} acknowledgements were seen", ledger.kept.len());
    for missing in ["state/spool/queue>", "state/spool/tmp/", "mail/example.org/alice/new>"] {
        let synced = |call: &Call| call.name == "fsync" && call.args.contains(missing);
        let fewer: Vec<Call> = calls.iter().filter(|call| !synced(call)).cloned().collect();
        assert!(acknowledged_last(&fewer, final_250).is_err(), "{missing}");
    }
}

/// The queue id in a reply to the end of a message.
fn final_250(call: &Call) -> Option<String> {
    let text = call.args.split_once("250 2.0.0 ")?.1;
    text.split(|letter: char| !letter.is_ascii_alphanumeric())
        .find(|word| word.len() == 16)
        .map(str::to_owned)
}

/// Puts state and mail of a house onto another file system.
pub fn move_onto(house: &House, disk: &Path) {
    for part in ["state", "mail"] {
        fs::create_dir(disk.join(part)).unwrap();
        fs::remove_dir(house.path(part)).unwrap();
        symlink(disk.join(part), house.path(part)).unwrap();
    }
}

#[test]
fn a_daemon_whose_power_is_cut_loses_nothing() {
    let cuts = if soak() { 20 } else { 2 };
    for round in 0..cuts {
        let Some(disk) = Disk::make("daemon") else { return };
        let sink = Sink::start();
        let house = house(&sink);
        move_onto(&house, disk.path());
        let daemon = start(&house);
        let load = Load::start(daemon.tcp("smtp"), CONNECTIONS, 0);
        load.wait(30 + round * 61 % 300);
        // What is said during the cut is no promise; see `ledger::Said`.
        let ledger = load.so_far();
        disk.cut();
        daemon.kill();
        load.end();
        disk.restore();
        let daemon = start(&house);
        drained(&house);
        daemon.stop();
        judge(&house, &sink, &[ledger], Death::PowerCut);
    }
}

/// The test itself, proved: without syncs the cut takes letters away.
#[test]
fn a_daemon_without_syncs_is_caught_by_the_cut() {
    let Some(strace) = kit::peer("strace") else { return };
    let Some(disk) = Disk::make("lying") else { return };
    let sink = Sink::start();
    let house = house(&sink);
    move_onto(&house, disk.path());
    let lie = ["-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:retval=0"];
    let daemon = Daemon::spawn("mail-relayd", traced(&house, &strace, &lie));
    let pid = owner(&house);
    let load = Load::start(daemon.tcp("smtp"), CONNECTIONS, 0);
    load.wait(60);
    let ledger = load.so_far();
    disk.cut();
    end(daemon, pid, Signal::KILL);
    load.end();
    disk.restore();
    let copies = copies_of_the_whole(&house, &sink);
    let lost = ledger.kept.iter().filter(|&&number| {
        Letter::new(number)
            .to
            .iter()
            .any(|to| to.ends_with("example.org") && !copies.contains(&(number, to.clone())))
    });
    assert!(lost.count() > 0, "nothing was lost without syncs: the cut cuts nothing");
}

/// A disk that fills up: refusals say 452 4.3.1, and what was acknowledged comes when there is room again.
#[test]
fn a_full_disk_refuses_and_loses_nothing() {
    let Some(small) = Small::make(4 << 20) else { return };
    let sink = Sink::start();
    let house = house(&sink);
    move_onto(&house, small.path());
    // Nothing leaves before the disk is full.
    sink.always(Stage::Mail, "", Act::Say("451 4.3.0 not now".to_owned()));
    let daemon = start(&house);
    let load = Load::start(daemon.tcp("smtp"), CONNECTIONS, 0);
    load.until(usize::MAX, "452 4.3.1");
    let ledger = load.end();
    let odd: Vec<_> = ledger.refusals.keys().filter(|reply| !reply.starts_with("452 4.3.1")).collect();
    assert!(odd.is_empty(), "{odd:?}");
    assert!(ledger.kept.len() > 10);
    small.grow();
    sink.relent();
    drained(&house);
    daemon.stop();
    judge(&house, &sink, &[ledger], Death::Kill);
}
