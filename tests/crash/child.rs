//! The child: this test binary again, living with a spool and saying on stdout what it was promised. It is killed.

use super::ledger::{body, envelope};
use posthaste::{
    mail::{
        draft::{Draft, Receipt},
        id::{DeliveryKey, QueueId},
        verdict::{Verdict, Why},
    },
    spool::{Lease, Next, Spool, disk::DiskSpool},
    sys::{clock::Clock, disk::Disk, random},
};
use std::{
    env,
    io::Write,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, SystemTime},
};

const LEASE: Duration = Duration::from_secs(600);

/// What the child does.
#[derive(Clone, Copy)]
pub enum Life {
    /// Once through every transition of the spool's table, in one thread.
    Table,
    /// Twenty threads that spool and settle, for ever.
    Load,
}

/// The command that lives so with the spool in `dir`.
pub fn command(life: Life, dir: &Path) -> Command {
    wrapped(Command::new(env::current_exe().unwrap()), life, dir)
}

/// The same under strace with these options.
pub fn traced(strace: &Path, options: &[&str], life: Life, dir: &Path) -> Command {
    let mut command = Command::new(strace);
    command.args(["-f", "-qq"]).args(options).arg(env::current_exe().unwrap());
    wrapped(command, life, dir)
}

fn wrapped(mut command: Command, life: Life, dir: &Path) -> Command {
    let name = match life {
        Life::Table => "crash::child::lives_the_table",
        Life::Load => "crash::child::lives_under_load",
    };
    command.args([name, "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    command
        .env("POSTHASTE_CRASH_SPOOL", dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

/// The spool that the parent named; none when somebody runs all ignored tests.
fn spool() -> Option<DiskSpool> {
    let dir = env::var_os("POSTHASTE_CRASH_SPOOL")?;
    // Behind what the test harness has written without a line end.
    println!("\npid {}", std::process::id());
    Some(DiskSpool::open(&Disk::shared(16), Path::new(&dir)).unwrap())
}

/// One line in one write, so that a kill leaves no half of it.
fn say(word: &str, id: &QueueId, rest: &str) {
    let line = format!("{word} {id}{rest}\n");
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

fn put(spool: &DiskSpool, id: &QueueId) {
    let mut draft = spool.draft().unwrap();
    let body = body(id);
    for part in body.chunks(10_000) {
        draft.write_all(part).unwrap();
    }
    draft.seal().unwrap();
    // After a power cut nothing can be kept any more, and the child waits for its end.
    if draft.commit(vec![envelope(id)], &DeliveryKey::first(id.clone())).wait()[0].is_ok() {
        say("kept", id, "");
    }
}

fn later() -> Verdict {
    Verdict::Later(Why::new(4, 1, "busy"))
}

fn never() -> Verdict {
    Verdict::Never(Why::new(1, 1, "unknown"))
}

/// Records or settles, and says what is certain before and behind it.
fn settle(spool: &DiskSpool, lease: Lease, verdicts: &[(usize, Verdict)], last: bool) -> bool {
    let id = lease.entry.id.clone();
    if last {
        say("going", &id, "");
    }
    if spool.settle(lease, verdicts, Next::At(SystemTime::now())).is_err() {
        return false;
    }
    if last {
        say("gone", &id, "");
    } else {
        outcomes(&id, verdicts);
    }
    true
}

fn outcomes(id: &QueueId, verdicts: &[(usize, Verdict)]) {
    for (to, verdict) in verdicts.iter().filter(|(_, verdict)| !matches!(verdict, Verdict::Later(_))) {
        say("out", id, &format!(" {to} {}", if verdict.is_done() { "done" } else { "never" }));
    }
}

#[test]
#[ignore = "the child of the others"]
fn lives_the_table() {
    let Some(spool) = spool() else { return };
    let clock = Clock::system();
    // Small ones, which are written at once, and a large one, whose header is written last.
    let sized = |large| loop {
        let id = random::queue_id(&clock);
        if (body(&id).len() >= 40_000) == large {
            break id;
        }
    };
    let ids = [false, false, true, false].map(sized);
    for id in &ids {
        put(&spool, id);
    }
    let now = SystemTime::now();
    for lease in spool.claim(now, LEASE, 2).unwrap() {
        if lease.entry.id == ids[0] {
            spool.record(&lease, &[(0, Verdict::Done)]).unwrap();
            outcomes(&ids[0], &[(0, Verdict::Done)]);
            assert!(settle(&spool, lease, &[(1, never()), (2, later())], false));
        } else {
            assert!(settle(&spool, lease, &[(0, Verdict::Done), (1, Verdict::Done), (2, never())], true));
        }
    }
    say("holding", &ids[2], "");
    spool.hold(&ids[2]).unwrap();
    say("held", &ids[2], "");
    spool.hold(&ids[3]).unwrap();
    say("going", &ids[3], "");
    spool.remove(&ids[3]).unwrap();
    say("gone", &ids[3], "");
    let mut lease = None;
    while lease.is_none() {
        lease = spool.claim(SystemTime::now(), LEASE, 1).unwrap().pop();
    }
    assert!(settle(&spool, lease.unwrap(), &[(2, Verdict::Done)], true));
    say("freeing", &ids[2], "");
    spool.release(&ids[2], now).unwrap();
    say("free", &ids[2], "");
    let lease = spool.claim(now, LEASE, 1).unwrap().pop().unwrap();
    assert!(settle(&spool, lease, &[(0, later()), (1, later()), (2, later())], false));
    // A start finds what is left.
    drop(spool);
    self::spool().unwrap();
}

#[test]
#[ignore = "the child of the others"]
fn lives_under_load() {
    let Some(spool) = spool() else { return };
    let spool = Arc::new(spool);
    std::thread::scope(|scope| {
        for thread in 0..20 {
            let spool = Arc::clone(&spool);
            scope.spawn(move || {
                let clock = Clock::system();
                for round in 0u64.. {
                    put(&spool, &random::queue_id(&clock));
                    // Half of what comes goes on.
                    if round % 2 == thread % 2 {
                        continue;
                    }
                    for lease in spool.claim(SystemTime::now(), LEASE, 1).unwrap_or_default() {
                        let id = lease.entry.id.clone();
                        let fine = if round % 3 == 0 {
                            spool.record(&lease, &[(0, Verdict::Done)]).is_ok_and(|()| {
                                outcomes(&id, &[(0, Verdict::Done)]);
                                settle(&spool, lease, &[(1, never()), (2, later())], false)
                            })
                        } else {
                            settle(
                                &spool,
                                lease,
                                &[(0, Verdict::Done), (1, never()), (2, Verdict::Done)],
                                true,
                            )
                        };
                        if !fine {
                            return;
                        }
                    }
                }
            });
        }
    });
}
