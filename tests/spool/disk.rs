//! What only the spool on disk promises: it is there again after a start, takes no more syncs than it says, and
//! neither a damaged file nor a full disk loses or stops anything.

use super::contract::{LEASE, MINUTE, body, envelope, id, ids, later, never, octets, open, put, start, take};
use crate::kit::{scratch::Scratch, soak};
use posthaste::{
    mail::{
        draft::{Draft, Receipt},
        id::{DeliveryKey, QueueId},
        verdict::{Verdict, Why},
    },
    spool::{
        Look, Next, Spool, Standing,
        disk::{DiskSpool, View},
        format,
    },
    sys::disk::{Disk, Faults, Step},
};
use std::{
    fs,
    io::{ErrorKind, Write},
    path::PathBuf,
};

const NO_SPACE: i32 = 28;

fn names(scratch: &Scratch, dir: &str) -> Vec<String> {
    let read = fs::read_dir(scratch.path().join(dir)).unwrap();
    let mut names: Vec<String> =
        read.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn queued(scratch: &Scratch, n: u64) -> PathBuf {
    let name = names(scratch, "queue").into_iter().find(|name| name.ends_with(id(n).as_str()));
    scratch.path().join("queue").join(name.unwrap())
}

#[test]
fn a_file_is_named_by_its_due_time_and_reads_as_the_format_says() {
    let scratch = Scratch::new("spool");
    let spool = open(&scratch);
    put(&spool, 1, 2);
    assert_eq!(names(&scratch, "queue"), [format!("1795000001.{}", id(1))]);
    let (header, tail) = format::read(&fs::read(queued(&scratch, 1)).unwrap()).unwrap();
    assert_eq!((header.id, header.length), (id(1), body(1).len() as u64));
    assert_eq!(tail.envelope, envelope(2));
    let lease = take(&spool, start() + MINUTE);
    spool.settle(lease, &[(0, never("no"))], Next::At(start() + 5 * MINUTE)).unwrap();
    assert_eq!(names(&scratch, "queue"), [format!("1795000300.{}", id(1))]);
    spool.hold(&id(1)).unwrap();
    assert_eq!((names(&scratch, "queue").len(), names(&scratch, "held")), (0, vec![id(1).to_string()]));
    spool.release(&id(1), start() + MINUTE).unwrap();
    assert_eq!(names(&scratch, "queue"), [format!("1795000060.{}", id(1))]);
    assert!(names(&scratch, "tmp").is_empty());
}

#[test]
fn a_start_finds_every_entry_as_it_was_and_no_claim() {
    let scratch = Scratch::new("spool");
    let spool = open(&scratch);
    for n in 1..=4 {
        put(&spool, n, 2);
    }
    let lease = take(&spool, start() + MINUTE);
    spool.settle(lease, &[(0, Verdict::Done), (1, later("busy"))], Next::At(start() + 9 * MINUTE)).unwrap();
    spool.hold(&id(2)).unwrap();
    let lease = take(&spool, start() + MINUTE);
    spool.record(&lease, &[(1, never("no"))]).unwrap();
    fs::write(scratch.path().join("tmp/anything"), "half a mess").unwrap();
    let before: Vec<_> = spool.list(None, 10).unwrap();
    assert_eq!(before.len(), 4);
    drop(spool);
    let spool = open(&scratch);
    let after = spool.list(None, 10).unwrap();
    assert_eq!(format!("{after:?}"), format!("{before:?}"));
    assert_eq!(after[0].standing[1], Standing::Waiting { tries: 1, why: Some(Why::new(4, 1, "busy")) });
    assert_eq!(after[2].standing[1], Standing::Failed(Why::new(1, 1, "no")));
    assert!(names(&scratch, "tmp").is_empty());
    let claimed = spool.claim(start() + MINUTE, LEASE, 10).unwrap();
    assert_eq!(claimed.iter().map(|lease| lease.entry.id.clone()).collect::<Vec<_>>(), [id(3), id(4)]);
    for n in 1..=4 {
        assert_eq!(octets(&spool, &id(n)), body(n));
    }
}

#[test]
fn a_second_daemon_is_refused_and_told_whose_the_spool_is() {
    let scratch = Scratch::new("spool");
    let spool = open(&scratch);
    let fault = DiskSpool::open(&Disk::inline(), scratch.path()).unwrap_err();
    assert_eq!(fault.kind(), ErrorKind::ResourceBusy);
    assert!(fault.to_string().contains(&std::process::id().to_string()), "{fault}");
    drop(spool);
    open(&scratch);
}

#[test]
fn a_look_from_outside_sees_what_the_daemon_sees_and_changes_nothing() {
    let scratch = Scratch::new("spool");
    let spool = open(&scratch);
    for n in 1..=3 {
        put(&spool, n, 2);
    }
    spool.hold(&id(2)).unwrap();
    fs::write(queued(&scratch, 3), "damaged").unwrap();
    let view = View::open(scratch.path()).unwrap();
    assert_eq!(format!("{:?}", view.list(None, 10).unwrap()), format!("{:?}", spool.list(None, 10).unwrap()));
    assert_eq!(view.list(Some(&id(1)), 1).unwrap()[0].id, id(2));
    assert_eq!(view.entry(&id(1)).unwrap().envelope, envelope(2));
    assert_eq!(view.entry(&id(3)).unwrap_err().kind(), ErrorKind::InvalidData);
    assert_eq!(view.entry(&id(9)).unwrap_err().kind(), ErrorKind::NotFound);
    let mut text = Vec::new();
    std::io::Read::read_to_end(&mut view.read(&id(1), 0..u64::MAX).unwrap(), &mut text).unwrap();
    assert_eq!(text, body(1));
    assert_eq!(names(&scratch, "queue").len(), 2);
}

/// The promise "no fsync more than needed", counted.
#[test]
fn each_change_takes_the_steps_of_the_table_and_no_more() {
    let scratch = Scratch::new("spool");
    let faults = Faults::none();
    let spool = DiskSpool::open(&Disk::failing(faults.clone()), scratch.path()).unwrap();
    let mut seen = faults.trace().len();
    let mut steps = || {
        let trace = faults.trace();
        let new = trace[seen..].to_vec();
        seen = trace.len();
        new
    };
    use Step::{Create, Link, Remove, SyncDir, SyncFile, Write};
    put(&spool, 1, 3);
    assert_eq!(steps(), [Create, Write, SyncFile, Link, SyncDir]);
    let lease = take(&spool, start() + MINUTE);
    assert_eq!(steps(), []);
    let next = || Next::At(start() + MINUTE);
    spool.settle(lease, &[(0, later("x"))], next()).unwrap();
    assert_eq!(steps(), [Write, Link]);
    let lease = take(&spool, start() + MINUTE);
    spool.record(&lease, &[(0, Verdict::Done)]).unwrap();
    assert_eq!(steps(), [Write, SyncFile]);
    spool.settle(lease, &[(1, never("x")), (2, later("x"))], next()).unwrap();
    assert_eq!(steps(), [Write, SyncFile]);
    let lease = take(&spool, start() + MINUTE);
    spool.settle(lease, &[(2, Verdict::Done)], next()).unwrap();
    assert_eq!(steps(), [Remove]);
    put(&spool, 3, 1);
    let lease = take(&spool, start() + MINUTE);
    steps();
    spool.settle(lease, &[(0, later("x"))], Next::Hold).unwrap();
    assert_eq!(steps(), [Write, Link, SyncDir, SyncDir]);
    put(&spool, 2, 1);
    steps();
    spool.hold(&id(2)).unwrap();
    assert_eq!(steps(), [Link, SyncDir, SyncDir]);
    spool.release(&id(2), start()).unwrap();
    assert_eq!(steps(), [Link, SyncDir, SyncDir]);
    spool.release(&id(2), start() + MINUTE).unwrap();
    assert_eq!(steps(), [Link]);
    spool.remove(&id(2)).unwrap();
    assert_eq!(steps(), [Remove, SyncDir]);
}

#[test]
fn what_cannot_be_read_is_set_aside_and_the_rest_goes_on() {
    let scratch = Scratch::new("spool");
    let spool = open(&scratch);
    for n in 1..=8 {
        put(&spool, n, 1);
    }
    let whole = fs::read(queued(&scratch, 1)).unwrap();
    fs::write(queued(&scratch, 1), &whole[..whole.len() - 3]).unwrap();
    fs::write(queued(&scratch, 2), "").unwrap();
    fs::write(queued(&scratch, 3), &whole).unwrap();
    let path = queued(&scratch, 4);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let path = queued(&scratch, 5);
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
    fs::remove_file(queued(&scratch, 6)).unwrap();
    fs::OpenOptions::new().append(true).open(queued(&scratch, 7)).unwrap().write_all(b"{}\n").unwrap();
    let claimed = spool.claim(start() + MINUTE, LEASE, 10).unwrap();
    assert_eq!(claimed.iter().map(|lease| lease.entry.id.clone()).collect::<Vec<_>>(), [id(8)]);
    assert_eq!(ids(&spool), [id(8)]);
    assert_eq!(names(&scratch, "corrupt").len(), 6);
    assert_eq!(names(&scratch, "queue").len(), 1);
    assert_eq!(octets(&spool, &id(8)), body(8));
    drop(claimed);
    drop(spool);
    fs::write(scratch.path().join("queue/README"), "not ours").unwrap();
    fs::create_dir_all(scratch.path().join("tmp/odd/deep")).unwrap();
    fs::write(scratch.path().join("held/1795000001.0123456789abcdef"), "nor this").unwrap();
    fs::write(scratch.path().join("corrupt/README"), "an older one").unwrap();
    fs::copy(queued(&scratch, 8), scratch.path().join(format!("queue/0000000001.{}", id(8)))).unwrap();
    let spool = open(&scratch);
    assert_eq!(ids(&spool), [id(8)]);
    assert_eq!(names(&scratch, "corrupt").len(), 11);
    assert_eq!(fs::read(scratch.path().join("corrupt/README.1")).unwrap(), b"not ours");
    assert_eq!(take(&spool, start() + MINUTE).entry.id, id(8));
}

#[test]
fn a_message_that_only_lacked_its_removal_goes_at_the_next_claim() {
    let scratch = Scratch::new("spool");
    let spool = open(&scratch);
    put(&spool, 1, 2);
    let lease = take(&spool, start() + MINUTE);
    spool.record(&lease, &[(0, Verdict::Done), (1, Verdict::Done)]).unwrap();
    drop(spool);
    let spool = open(&scratch);
    assert_eq!(ids(&spool), [id(1)]);
    assert!(spool.claim(start() + MINUTE, LEASE, 1).unwrap().is_empty());
    assert!(ids(&spool).is_empty() && names(&scratch, "queue").is_empty());
}

#[test]
fn a_torn_outcome_is_cut_off_before_the_next_is_appended() {
    let scratch = Scratch::new("spool");
    let spool = open(&scratch);
    put(&spool, 1, 3);
    let lease = take(&spool, start() + MINUTE);
    spool.settle(lease, &[(0, Verdict::Done)], Next::At(start() + MINUTE)).unwrap();
    drop(spool);
    let mut file = fs::OpenOptions::new().append(true).open(queued(&scratch, 1)).unwrap();
    file.write_all(b"{\"to\":1,\"verdict\":\"do").unwrap();
    let spool = open(&scratch);
    let lease = take(&spool, start() + MINUTE);
    assert_eq!(lease.entry.standing[1], Standing::Waiting { tries: 0, why: None });
    spool.settle(lease, &[(2, Verdict::Done)], Next::At(start() + MINUTE)).unwrap();
    drop(spool);
    let lease = take(&open(&scratch), start() + MINUTE);
    let waiting: Vec<bool> = lease.entry.standing.iter().map(Standing::is_waiting).collect();
    assert_eq!(waiting, [false, true, false]);
}

/// However long a message waits, its file stays bounded.
#[test]
fn only_so_many_delays_are_written_down() {
    let scratch = Scratch::new("spool");
    let spool = open(&scratch);
    put(&spool, 1, 1);
    let mut sizes = Vec::new();
    for _ in 0..format::TRIES_MAX + 5 {
        let lease = take(&spool, start() + MINUTE);
        spool.settle(lease, &[(0, later("busy"))], Next::At(start() + MINUTE)).unwrap();
        sizes.push(fs::metadata(queued(&scratch, 1)).unwrap().len());
    }
    assert_eq!(sizes[format::TRIES_MAX as usize - 1], *sizes.last().unwrap());
    let lease = take(&spool, start() + MINUTE);
    assert_eq!(
        lease.entry.standing[0],
        Standing::Waiting { tries: format::TRIES_MAX, why: Some(Why::new(4, 1, "busy")) }
    );
    spool.settle(lease, &[(0, Verdict::Done)], Next::At(start())).unwrap();
    assert!(ids(&spool).is_empty());
}

/// The disk is full from the nth step on, for every n that a small life takes; then it has room again. What was
/// acknowledged is whole, what was recorded holds in this process, and a refusal says 4.3.1.
#[test]
fn a_full_disk_at_every_step_loses_nothing() {
    for n in 0..10_000 {
        let scratch = Scratch::new("spool");
        drop(open(&scratch));
        let faults = Faults::from(n, NO_SPACE);
        let spool = DiskSpool::open(&Disk::failing(faults.clone()), scratch.path()).unwrap();
        let kept = live(&spool);
        let refused: Vec<&Why> = kept.iter().filter_map(|kept| kept.as_ref().err()).collect();
        for why in &refused {
            assert_eq!(Verdict::Later((*why).clone()).code().to_string(), "4.3.1", "step {n}: {why}");
        }
        let mut acknowledged: Vec<QueueId> = kept.iter().filter_map(|kept| kept.clone().ok()).collect();
        // Number 2's one recipient had it: it may be gone.
        if !ids(&spool).contains(&id(2)) {
            acknowledged.retain(|kept| *kept != id(2));
        }
        assert_eq!(ids(&spool), acknowledged, "step {n}");
        if acknowledged.first() == Some(&id(1)) {
            let held = spool.entry(&id(1)).unwrap().standing;
            assert_eq!(held[0], Standing::Done, "step {n}");
            assert_eq!(held[1], Standing::Failed(Why::new(1, 1, "no such user")), "step {n}");
        }
        let struck = faults.struck();
        drop(spool);
        let spool = open(&scratch);
        // One that was refused may be back where even the removal failed: the sender's next try makes it the
        // permitted duplicate.
        let back = ids(&spool).iter().filter(|id| !acknowledged.contains(id)).count();
        assert!(back <= refused.len().min(1), "step {n}");
        assert_eq!(ids(&spool).len(), acknowledged.len() + back, "step {n}");
        assert!(names(&scratch, "tmp").is_empty() && names(&scratch, "corrupt").is_empty());
        for id in &acknowledged {
            assert_eq!(octets(&spool, id), text(id), "step {n}");
        }
        // Everybody who is not known to have it gets it now.
        for lease in spool.claim(start() + 99 * MINUTE, LEASE, 9).unwrap() {
            let all: Vec<_> = (0..lease.entry.standing.len()).map(|to| (to, Verdict::Done)).collect();
            spool.settle(lease, &all, Next::At(start())).unwrap();
        }
        assert!(ids(&spool).is_empty());
        if !struck {
            assert!(n > 15);
            return;
        }
    }
    panic!("there is no end of steps");
}

fn text(of: &QueueId) -> Vec<u8> {
    if *of == id(3) { vec![b'x'; 100_000] } else { body((1..9).find(|n| id(*n) == *of).unwrap()) }
}

/// A small life of a spool: three messages, two of them tried, outcomes recorded and settled.
fn live(spool: &DiskSpool) -> Vec<Result<QueueId, Why>> {
    let mut kept = Vec::new();
    for (n, recipients) in [(1, 3), (2, 1), (3, 1)] {
        let mut draft = spool.draft().unwrap();
        let written = draft.write_all(&text(&id(n)));
        kept.push(match written.and_then(|()| draft.seal()) {
            Ok(()) => draft.commit(vec![envelope(recipients)], &DeliveryKey::first(id(n))).wait().remove(0),
            Err(fault) => Err(Why::local("writing", &fault)),
        });
    }
    for lease in spool.claim(start() + MINUTE, LEASE, 2).unwrap() {
        let one = lease.entry.id == id(1);
        if one {
            let _ = spool.record(&lease, &[(0, Verdict::Done)]);
        }
        let rest =
            if one { vec![(1, never("no such user")), (2, later("busy"))] } else { vec![(0, Verdict::Done)] };
        let _ = spool.settle(lease, &rest, Next::At(start() + 5 * MINUTE));
    }
    kept
}

/// A failed sync of the directory: the sender is refused, so nothing may be delivered.
#[test]
fn what_was_refused_is_not_kept() {
    for step in [Step::SyncDir, Step::SyncFile, Step::Link, Step::Write, Step::Create] {
        let scratch = Scratch::new("spool");
        drop(open(&scratch));
        let spool = DiskSpool::open(&Disk::failing(Faults::each(step, 5)), scratch.path()).unwrap();
        let mut draft = spool.draft().unwrap();
        draft.write_all(b"x\r\n").unwrap();
        let kept = draft.commit(vec![envelope(1)], &DeliveryKey::first(id(1))).wait();
        assert_eq!(Verdict::Later(kept[0].clone().unwrap_err()).code().to_string(), "4.3.0");
        assert!(ids(&spool).is_empty());
        assert!(names(&scratch, "queue").is_empty() && names(&scratch, "tmp").is_empty(), "{step:?}");
    }
}

/// Outcomes that could not be written hold in memory, and are written as soon as that works again.
#[test]
fn an_unwritten_outcome_is_written_with_the_next() {
    // Steps 0-4 are the commit; 5 is the journal's write.
    for (broken, errno) in [(5, NO_SPACE), (6, 5)] {
        let scratch = Scratch::new("spool");
        drop(open(&scratch));
        let disk = Disk::failing(Faults::once(broken, errno));
        let spool = DiskSpool::open(&disk, scratch.path()).unwrap();
        put(&spool, 1, 3);
        let lease = take(&spool, start() + MINUTE);
        spool.record(&lease, &[(0, Verdict::Done)]).unwrap_err();
        spool.settle(lease, &[(1, later("x"))], Next::At(start() + MINUTE)).unwrap();
        assert!(take(&spool, start() + MINUTE).entry.standing[0] == Standing::Done);
        drop(spool);
        let lease = take(&open(&scratch), start() + MINUTE);
        let waiting: Vec<bool> = lease.entry.standing.iter().map(Standing::is_waiting).collect();
        assert_eq!(waiting, [false, true, true], "step {broken}");
    }
}

/// What stays in memory for each entry of a long queue, and that a start reads names only: the files are empty, and
/// would all be set aside if one looked into them. A million in the long run, in a bound of 100 octets each.
#[test]
fn a_long_queue_starts_from_its_names_and_stays_small() {
    let many: u64 = if soak() { 1_000_000 } else { 20_000 };
    let scratch = Scratch::new("spool");
    drop(open(&scratch));
    let queue = scratch.path().join("queue");
    for n in 0..many {
        let name =
            format!("{:010}.{}", 1_795_000_000 + n, QueueId::new((1_795_000_000 + n) * 1_000_000, n as u32));
        fs::File::create(queue.join(name)).unwrap();
    }
    let before = resident();
    let begun = std::time::Instant::now();
    let spool = open(&scratch);
    let (grown, took) = (resident().saturating_sub(before), begun.elapsed());
    println!("{many} entries: started in {took:?}, {grown} octets");
    assert_eq!(spool.len() as u64, many);
    if soak() {
        assert!(grown < many * 100, "{grown} octets");
    }
    assert_eq!(spool.next_due(), Some(start()));
    assert!(names(&scratch, "corrupt").is_empty());
}

fn resident() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}
