//! What every spool promises, whatever it is made of (`spool/mod.rs`).

use crate::kit::scratch::Scratch;
use posthaste::{
    mail::{
        address::Mailbox,
        draft::{Draft, Receipt},
        envelope::{Body, Envelope, Recipient},
        id::{DeliveryKey, QueueId},
        verdict::{Verdict, Why},
    },
    spool::{Lease, Next, Spool, Standing, disk::DiskSpool, memory::Memory},
    sys::disk::Disk,
};
use std::{
    io::{ErrorKind, Read, Write},
    time::{Duration, SystemTime},
};

pub const MINUTE: Duration = Duration::from_secs(60);
pub const LEASE: Duration = Duration::from_secs(600);

/// The tests' time: messages of `id(n)` come n seconds behind it.
pub fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000)
}

pub fn open(scratch: &Scratch) -> DiskSpool {
    DiskSpool::open(&Disk::shared(8), scratch.path()).unwrap()
}

pub fn id(n: u64) -> QueueId {
    QueueId::new((1_795_000_000 + n) * 1_000_000, n as u32)
}

pub fn envelope(recipients: usize) -> Envelope {
    let recipient = |n| Recipient::to(Mailbox::parse(format!("r{n}@example.net").as_bytes()).unwrap());
    Envelope {
        sender: Some(Mailbox::parse(b"me@example.org").unwrap()),
        recipients: (0..recipients).map(recipient).collect(),
        body: Body::EightBitMime,
        login: Some("me".to_owned()),
        ..Envelope::default()
    }
}

pub fn body(n: u64) -> Vec<u8> {
    format!("Subject: {n}\r\n\r\nEND {}\r\n", id(n)).into_bytes()
}

pub fn put<S: Spool>(spool: &S, n: u64, recipients: usize) {
    let mut draft = spool.draft().unwrap();
    draft.write_all(&body(n)).unwrap();
    let kept = draft.commit(vec![envelope(recipients)], &DeliveryKey::first(id(n))).wait();
    assert_eq!(kept, [Ok(id(n))]);
}

pub fn take<S: Spool>(spool: &S, now: SystemTime) -> Lease {
    let mut leases = spool.claim(now, LEASE, 1).unwrap();
    assert_eq!(leases.len(), 1);
    leases.remove(0)
}

pub fn ids<S: Spool>(spool: &S) -> Vec<QueueId> {
    spool.list(None, 1000).unwrap().into_iter().map(|entry| entry.id).collect()
}

pub fn octets<S: Spool>(spool: &S, id: &QueueId) -> Vec<u8> {
    let mut octets = Vec::new();
    spool.read(id, 0..u64::MAX).unwrap().read_to_end(&mut octets).unwrap();
    octets
}

pub fn later(text: &str) -> Verdict {
    Verdict::Later(Why::new(4, 1, text))
}

pub fn never(text: &str) -> Verdict {
    Verdict::Never(Why::new(1, 1, text))
}

fn a_committed_message_is_claimed_and_read_whole<S: Spool>(spool: S) {
    put(&spool, 1, 2);
    let lease = take(&spool, start() + MINUTE);
    let entry = &lease.entry;
    assert_eq!((&entry.id, &entry.envelope), (&id(1), &envelope(2)));
    assert_eq!(entry.standing, vec![Standing::Waiting { tries: 0, why: None }; 2]);
    assert_eq!(entry.size, body(1).len() as u64);
    assert_eq!(entry.arrived, start() + Duration::from_secs(1));
    assert_eq!(entry.due, Some(start() + Duration::from_secs(1)));
    assert_eq!(lease.until, start() + MINUTE + LEASE);
    assert_eq!(octets(&spool, &id(1)), body(1));
    let mut part = String::new();
    spool.read(&id(1), 9..13).unwrap().read_to_string(&mut part).unwrap();
    assert_eq!(part, "1\r\n\r");
    spool.read(&id(1), 1000..2000).unwrap().read_to_string(&mut part).unwrap();
    assert_eq!(part, "1\r\n\r");
}

fn an_empty_and_a_big_message_are_kept_as_they_are<S: Spool>(spool: S) {
    let big: Vec<u8> = (0..3_000_017u32).map(|n| (n / 7) as u8).collect();
    for (n, text) in [(1, &[][..]), (2, &big[..])] {
        let mut draft = spool.draft().unwrap();
        for part in text.chunks(70_001) {
            draft.write_all(part).unwrap();
        }
        draft.seal().unwrap();
        assert_eq!(draft.commit(vec![envelope(1)], &DeliveryKey::first(id(n))).wait(), [Ok(id(n))]);
        assert!(octets(&spool, &id(n)) == text);
    }
}

fn nothing_is_seen_of_a_draft_that_was_dropped<S: Spool>(spool: S) {
    let mut draft = spool.draft().unwrap();
    draft.write_all(b"x\r\n").unwrap();
    draft.seal().unwrap();
    assert!(ids(&spool).is_empty());
    drop(draft);
    assert!(ids(&spool).is_empty());
    assert_eq!(spool.next_due(), None);
}

fn a_commit_needs_one_envelope_with_recipients_within_the_budget<S: Spool>(spool: S) {
    for (places, fine) in [
        (vec![envelope(0)], vec![false]),
        (vec![envelope(10_001)], vec![false]),
        (vec![envelope(10_000)], vec![true]),
        (vec![], vec![]),
    ] {
        let kept = spool.draft().unwrap().commit(places, &DeliveryKey::first(id(1))).wait();
        assert_eq!(kept.iter().map(Result::is_ok).collect::<Vec<_>>(), fine);
    }
    let two = vec![envelope(1), envelope(1)];
    let kept = spool.draft().unwrap().commit(two, &DeliveryKey::first(id(2))).wait();
    assert!(kept[0].is_ok() && kept[1].is_err());
    assert_eq!(ids(&spool), [id(1), id(2)]);
}

fn an_id_names_one_message_and_a_repeated_commit_finds_it<S: Spool>(spool: S) {
    put(&spool, 1, 1);
    let commit = |again| {
        let mut draft = spool.draft().unwrap();
        draft.write_all(b"another\r\n").unwrap();
        draft.commit(vec![envelope(1)], &DeliveryKey { id: id(1), copy: 0, again }).wait().remove(0)
    };
    assert!(commit(false).is_err());
    assert_eq!(commit(true), Ok(id(1)));
    assert_eq!(octets(&spool, &id(1)), body(1));
    assert_eq!(ids(&spool), [id(1)]);
}

fn the_longest_due_is_claimed_first_and_nothing_before_its_time<S: Spool>(spool: S) {
    for n in [3, 1, 2, 9] {
        put(&spool, n, 1);
    }
    assert_eq!(spool.next_due(), Some(start() + Duration::from_secs(1)));
    assert!(spool.claim(start(), LEASE, 10).unwrap().is_empty());
    let first = spool.claim(start() + Duration::from_secs(3), LEASE, 2).unwrap();
    let rest = spool.claim(start() + Duration::from_secs(3), LEASE, 10).unwrap();
    let claimed = |leases: &[Lease]| leases.iter().map(|lease| lease.entry.id.clone()).collect::<Vec<_>>();
    assert_eq!(claimed(&first), [id(1), id(2)]);
    assert_eq!(claimed(&rest), [id(3)]);
    assert_eq!(spool.next_due(), Some(start() + Duration::from_secs(9)));
}

fn what_is_settled_as_later_is_due_then_and_remembers_why<S: Spool>(spool: S) {
    put(&spool, 1, 3);
    let lease = take(&spool, start() + MINUTE);
    let next = start() + 5 * MINUTE + Duration::from_millis(1);
    let verdicts = [(0, Verdict::Done), (1, later("busy")), (2, never("no such user"))];
    spool.settle(lease, &verdicts, Next::At(next)).unwrap();
    let due = spool.next_due().unwrap();
    assert!(due >= next && due < next + Duration::from_secs(1));
    assert!(spool.claim(start() + 5 * MINUTE, LEASE, 1).unwrap().is_empty());
    let lease = take(&spool, due);
    assert_eq!(
        lease.entry.standing,
        [
            Standing::Done,
            Standing::Waiting { tries: 1, why: Some(Why::new(4, 1, "busy")) },
            Standing::Failed(Why::new(1, 1, "no such user")),
        ]
    );
    let wrong = spool.record(&lease, &[(1, Verdict::Done), (3, Verdict::Done)]);
    assert!(wrong.is_err_and(|fault| fault.kind() == ErrorKind::InvalidInput));
    spool.settle(lease, &[(0, later("x")), (1, later("again")), (2, Verdict::Done)], Next::At(due)).unwrap();
    let lease = take(&spool, due);
    assert_eq!(lease.entry.standing[0], Standing::Done);
    assert_eq!(lease.entry.standing[1], Standing::Waiting { tries: 2, why: Some(Why::new(4, 1, "again")) });
    assert_eq!(lease.entry.standing[2], Standing::Failed(Why::new(1, 1, "no such user")));
    assert_eq!(octets(&spool, &id(1)), body(1));
}

fn an_entry_goes_when_nobody_waits_any_more<S: Spool>(spool: S) {
    put(&spool, 1, 2);
    let lease = take(&spool, start() + MINUTE);
    spool.record(&lease, &[(0, never("no"))]).unwrap();
    assert_eq!(ids(&spool), [id(1)]);
    spool.settle(lease, &[(1, Verdict::Done)], Next::At(start())).unwrap();
    assert!(ids(&spool).is_empty());
    assert_eq!(spool.next_due(), None);
    assert!(spool.read(&id(1), 0..10).is_err_and(|fault| fault.kind() == ErrorKind::NotFound));
}

fn what_was_recorded_holds_when_the_lease_runs_out<S: Spool>(spool: S) {
    put(&spool, 1, 2);
    let lease = take(&spool, start() + MINUTE);
    spool.record(&lease, &[(0, Verdict::Done)]).unwrap();
    assert!(spool.claim(start() + MINUTE, LEASE, 1).unwrap().is_empty());
    let second = take(&spool, lease.until);
    assert_eq!(second.entry.standing, [Standing::Done, Standing::Waiting { tries: 0, why: None }]);
}

fn a_lease_that_was_overtaken_can_change_nothing<S: Spool>(spool: S) {
    put(&spool, 1, 1);
    let mut first = take(&spool, start() + MINUTE);
    let end = first.until;
    assert_eq!(spool.next_due(), Some(end));
    let second = take(&spool, end);
    assert!(second.fence > first.fence);
    let busy = |fault: std::io::Error| fault.kind() == ErrorKind::ResourceBusy;
    assert!(spool.record(&first, &[(0, Verdict::Done)]).is_err_and(busy));
    assert!(spool.renew(&mut first, end, LEASE).is_err_and(busy));
    assert_eq!(first.until, end);
    assert!(spool.settle(first, &[(0, Verdict::Done)], Next::At(start())).is_err_and(busy));
    assert_eq!(spool.list(None, 1).unwrap()[0].standing, [Standing::Waiting { tries: 0, why: None }]);
    spool.settle(second, &[(0, Verdict::Done)], Next::At(start())).unwrap();
    assert!(ids(&spool).is_empty());
}

fn a_lease_that_ran_out_but_was_not_overtaken_still_counts<S: Spool>(spool: S) {
    put(&spool, 1, 1);
    put(&spool, 2, 1);
    let mut first = take(&spool, start() + MINUTE);
    let after = first.until + MINUTE;
    // The other one, due later, is taken when the first one's lease has ended: fence and lease of the first stay.
    spool.hold(&id(1)).unwrap();
    let other = take(&spool, after);
    assert_eq!(other.entry.id, id(2));
    spool.renew(&mut first, after, LEASE).unwrap();
    assert_eq!(first.until, after + LEASE);
    spool.release(&id(1), after).unwrap();
    assert!(spool.claim(after, LEASE, 1).unwrap().is_empty());
    spool.settle(first, &[(0, Verdict::Done)], Next::At(start())).unwrap();
    assert_eq!(ids(&spool), [id(2)]);
}

fn a_renewed_lease_lasts_longer<S: Spool>(spool: S) {
    put(&spool, 1, 1);
    let mut lease = take(&spool, start() + MINUTE);
    let old = lease.until;
    spool.renew(&mut lease, old - MINUTE, LEASE).unwrap();
    assert_eq!(lease.until, old - MINUTE + LEASE);
    assert!(spool.claim(old, LEASE, 1).unwrap().is_empty());
    assert_eq!(spool.claim(lease.until, LEASE, 1).unwrap().len(), 1);
}

fn held_entries_wait_for_a_person<S: Spool>(spool: S) {
    put(&spool, 1, 1);
    put(&spool, 2, 1);
    let now = start() + MINUTE;
    spool.hold(&id(1)).unwrap();
    spool.hold(&id(1)).unwrap();
    assert_eq!(spool.list(None, 1).unwrap()[0].due, None);
    let lease = take(&spool, now);
    assert_eq!(lease.entry.id, id(2));
    spool.settle(lease, &[(0, later("x"))], Next::Hold).unwrap();
    assert_eq!(spool.next_due(), None);
    assert!(spool.claim(now + 1000 * MINUTE, LEASE, 5).unwrap().is_empty());
    assert_eq!(ids(&spool), [id(1), id(2)]);
    assert_eq!(octets(&spool, &id(1)), body(1));
    spool.release(&id(2), now).unwrap();
    let lease = take(&spool, now);
    assert_eq!(lease.entry.id, id(2));
    assert_eq!(lease.entry.standing, [Standing::Waiting { tries: 1, why: Some(Why::new(4, 1, "x")) }]);
    spool.release(&id(1), now).unwrap();
    assert_eq!(take(&spool, now).entry.id, id(1));
}

fn what_is_held_during_an_attempt_stays_held_after_it<S: Spool>(spool: S) {
    put(&spool, 1, 2);
    let lease = take(&spool, start() + MINUTE);
    spool.hold(&id(1)).unwrap();
    spool.record(&lease, &[(0, Verdict::Done)]).unwrap();
    spool.settle(lease, &[(1, later("x"))], Next::At(start())).unwrap();
    let entry = spool.list(None, 1).unwrap().remove(0);
    assert_eq!(entry.due, None);
    assert_eq!(entry.standing[0], Standing::Done);
    assert!(spool.claim(start() + 1000 * MINUTE, LEASE, 1).unwrap().is_empty());
    spool.release(&id(1), start() + MINUTE).unwrap();
    let lease = take(&spool, start() + MINUTE);
    spool.hold(&id(1)).unwrap();
    spool.settle(lease, &[(1, Verdict::Done)], Next::At(start())).unwrap();
    assert!(ids(&spool).is_empty());
}

fn a_waiting_entry_can_be_made_due_at_once<S: Spool>(spool: S) {
    put(&spool, 1, 1);
    let now = start() + MINUTE;
    let lease = take(&spool, now);
    spool.settle(lease, &[(0, later("x"))], Next::At(now + 1000 * MINUTE)).unwrap();
    assert!(spool.claim(now, LEASE, 1).unwrap().is_empty());
    spool.release(&id(1), now).unwrap();
    assert_eq!(take(&spool, now).entry.id, id(1));
}

fn an_entry_is_removed_unless_it_is_claimed<S: Spool>(spool: S) {
    put(&spool, 1, 1);
    put(&spool, 2, 1);
    let lease = take(&spool, start() + MINUTE);
    spool.hold(&id(2)).unwrap();
    let busy = |fault: std::io::Error| fault.kind() == ErrorKind::ResourceBusy;
    assert!(spool.remove(&id(1)).is_err_and(busy));
    spool.remove(&id(2)).unwrap();
    spool.settle(lease, &[(0, later("x"))], Next::At(start())).unwrap();
    spool.remove(&id(1)).unwrap();
    assert!(ids(&spool).is_empty());
    assert_eq!(spool.next_due(), None);
}

fn what_is_not_there_is_named_so<S: Spool>(spool: S) {
    put(&spool, 1, 1);
    let gone = |fault: std::io::Error| fault.kind() == ErrorKind::NotFound;
    assert!(spool.hold(&id(7)).is_err_and(gone));
    assert!(spool.release(&id(7), start()).is_err_and(gone));
    assert!(spool.remove(&id(7)).is_err_and(gone));
    assert!(spool.read(&id(7), 0..1).is_err_and(gone));
    assert!(spool.entry(&id(7)).is_err_and(gone));
    // The lease ran out, and a person removed the entry.
    let mut lease = take(&spool, start() + MINUTE);
    let after = lease.until;
    spool.hold(&id(1)).unwrap();
    assert!(spool.claim(after, LEASE, 1).unwrap().is_empty());
    spool.remove(&id(1)).unwrap();
    assert!(spool.renew(&mut lease, after, LEASE).is_err_and(gone));
    assert!(spool.settle(lease, &[(0, Verdict::Done)], Next::At(start())).is_err_and(gone));
}

fn a_list_goes_on_behind_an_id<S: Spool>(spool: S) {
    for n in [5, 3, 4, 1, 2] {
        put(&spool, n, 1);
    }
    let page = |after: Option<u64>, most| {
        let page = spool.list(after.map(id).as_ref(), most).unwrap();
        page.into_iter().map(|entry| entry.id).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 2), [id(1), id(2)]);
    assert_eq!(page(Some(2), 2), [id(3), id(4)]);
    assert_eq!(page(Some(4), 2), [id(5)]);
    assert_eq!(page(Some(5), 2), []);
    assert_eq!(page(Some(0), 1), [id(1)]);
}

fn many_threads_share_a_spool_and_no_message_is_claimed_twice<S: Spool>(spool: S) {
    let claimed = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (spool, claimed) = (&spool, &claimed);
            scope.spawn(move || {
                for n in 0..25 {
                    put(spool, thread * 100 + n, 1);
                    for lease in spool.claim(start() + 60 * MINUTE, LEASE, 2).unwrap() {
                        claimed.lock().unwrap().push(lease.entry.id.clone());
                        spool.settle(lease, &[(0, Verdict::Done)], Next::At(start())).unwrap();
                    }
                }
            });
        }
    });
    for lease in spool.claim(start() + 60 * MINUTE, LEASE, 1000).unwrap() {
        claimed.lock().unwrap().push(lease.entry.id.clone());
        spool.settle(lease, &[(0, Verdict::Done)], Next::At(start())).unwrap();
    }
    let mut claimed = claimed.into_inner().unwrap();
    claimed.sort();
    let all: Vec<QueueId> = (0..4).flat_map(|thread| (0..25).map(move |n| id(thread * 100 + n))).collect();
    assert_eq!(claimed, all);
    assert!(ids(&spool).is_empty());
}

/// Each promise as a test of each sibling.
macro_rules! promises {
    ($($promise:ident)*) => {
        mod memory { $(#[test] fn $promise() { super::$promise(super::Memory::new()) })* }
        mod disk { $(#[test] fn $promise() {
            let scratch = crate::kit::scratch::Scratch::new("spool");
            super::$promise(super::open(&scratch))
        })* }
    };
}

promises! {
    a_committed_message_is_claimed_and_read_whole
    an_empty_and_a_big_message_are_kept_as_they_are
    nothing_is_seen_of_a_draft_that_was_dropped
    a_commit_needs_one_envelope_with_recipients_within_the_budget
    an_id_names_one_message_and_a_repeated_commit_finds_it
    the_longest_due_is_claimed_first_and_nothing_before_its_time
    what_is_settled_as_later_is_due_then_and_remembers_why
    an_entry_goes_when_nobody_waits_any_more
    what_was_recorded_holds_when_the_lease_runs_out
    a_lease_that_was_overtaken_can_change_nothing
    a_lease_that_ran_out_but_was_not_overtaken_still_counts
    a_renewed_lease_lasts_longer
    held_entries_wait_for_a_person
    what_is_held_during_an_attempt_stays_held_after_it
    a_waiting_entry_can_be_made_due_at_once
    an_entry_is_removed_unless_it_is_claimed
    what_is_not_there_is_named_so
    a_list_goes_on_behind_an_id
    many_threads_share_a_spool_and_no_message_is_claimed_twice
}
