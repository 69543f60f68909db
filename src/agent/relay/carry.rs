//! One claimed message: every waiting recipient is routed, grouped by where it goes, and tried; the outcomes are
//! recorded as they come, and settled at the end.

use super::{
    Relay, blocking, direct,
    intake::not_local,
    lane::{Carried, Job, Via},
    next_hop::NextHop,
    settle::{SOON, Success},
    text::{PIECE, Reading, fill},
};
use crate::{
    agent::route::{
        Fate,
        expand::{Leaf, resume},
    },
    mail::{
        address::{Domain, Mailbox},
        envelope::Wish,
        trace::Told,
        verdict::{Verdict, Why},
    },
    net::accept::Closing,
    spool::{Entry, Lease, Spool, Standing},
    store::Store,
    sys::random,
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::oneshot, task::JoinSet};

/// How long a claim holds unless it is renewed.
pub(super) const LEASE: Duration = Duration::from_secs(3600);
/// Recipients in one transaction: every server takes so many (RFC 5321 section 4.5.3.1.8).
const RECIPIENTS: usize = 100;
/// Mailboxes of one message that are written side by side.
const SIDE_BY_SIDE: usize = 8;

/// A recipient's number, and one of its ends.
type End = (usize, Leaf);

/// What came of one group of ends.
enum Came {
    /// A verdict for each, and how those were served whose senders wish to be told by us.
    Tried(Vec<(usize, Verdict)>, Vec<(usize, Success)>),
    /// They have to wait: too much waits for their destination, or the daemon goes down.
    Untried,
}

impl<S: Store + 'static, Q: Spool + 'static> Relay<S, Q> {
    /// Carries one message as far as it goes now.
    pub(super) async fn carry(self: Arc<Self>, mut lease: Lease, closing: Closing) {
        let ends = match self.route(&lease.entry).await {
            Ok(ends) => ends,
            Err(why) => {
                let all = waiting(&lease.entry).map(|number| (number, Verdict::Later(why.clone())));
                let verdicts = all.collect();
                return self.settle(lease, verdicts, Vec::new(), None).await;
            }
        };
        let mut tally = Tally::of(&ends);
        // The groups share what they are told of the message: there may be as many as recipients.
        let entry = Arc::new(lease.entry.clone());
        let mut groups = self.start(&entry, ends, &mut tally, &closing);
        let mut untried = None;
        let mut successes = Vec::new();
        let mut renewal = tokio::time::interval(LEASE / 2);
        renewal.tick().await;
        loop {
            tokio::select! {
                came = groups.join_next() => match came {
                    Some(Ok(Came::Tried(verdicts, told))) => {
                        successes.extend(told);
                        let done = tally.add(verdicts);
                        if !groups.is_empty() && !done.is_empty() {
                            lease = self.record(lease, done).await;
                        }
                    }
                    Some(Ok(Came::Untried)) if closing.is_wanted() => untried = Some(Duration::ZERO),
                    Some(Ok(Came::Untried)) => untried = Some(crowded(random::u32())),
                    Some(Err(fault)) => tracing::error!(id = %lease.entry.id, %fault, "a fault in the program"),
                    None => break,
                },
                _ = renewal.tick() => {
                    if let Err(fault) = self.spool.renew(&mut lease, self.clock.now(), LEASE) {
                        tracing::error!(id = %lease.entry.id, %fault, "a message under way was taken by another");
                        return;
                    }
                }
            }
        }
        let missing = untried.is_none().then(not_local);
        self.settle(lease, tally.verdicts(missing), successes, untried).await;
    }

    /// Where each waiting recipient leads.
    async fn route(&self, entry: &Entry) -> Result<Vec<End>, Why> {
        let settings = self.settings();
        let recipients: Vec<_> = waiting(entry)
            .filter_map(|number| Some((number, entry.envelope.recipients.get(number)?.clone())))
            .collect();
        blocking(move || {
            let mut ends = Vec::new();
            for (number, recipient) in recipients {
                let leaves = resume(
                    &recipient.mailbox,
                    recipient.original.as_ref(),
                    settings.directory.as_ref(),
                    &settings.rules,
                )?;
                ends.extend(leaves.into_iter().map(|leaf| (number, leaf)));
            }
            Ok(ends)
        })
        .await?
    }

    /// Starts everything that can be tried side by side. Ends that lead nowhere have their verdict at once.
    fn start(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        ends: Vec<End>,
        tally: &mut Tally,
        closing: &Closing,
    ) -> JoinSet<Came> {
        let mut local = Vec::new();
        let mut remote: HashMap<NextHop, Vec<(usize, Mailbox)>> = HashMap::new();
        for (number, leaf) in ends {
            let hop = match &leaf.fate {
                Fate::Smarthost => NextHop::Smarthost,
                Fate::Mx(Domain::Name(domain)) => NextHop::Domain(domain.clone()),
                Fate::Mx(Domain::Literal(address)) => NextHop::Literal(*address),
                Fate::Local { .. } => {
                    local.push((number, leaf));
                    continue;
                }
                Fate::Refused(why) => {
                    tally.add(vec![(number, Verdict::Never(why.clone()))]);
                    continue;
                }
                // An expansion has no aliases left.
                Fate::Alias(_) => continue,
            };
            remote.entry(hop).or_default().push((number, leaf.mailbox));
        }
        let mut groups = JoinSet::new();
        if !local.is_empty() {
            groups.spawn(Arc::clone(self).deliver(Arc::clone(entry), local));
        }
        for (hop, recipients) in remote {
            for some in recipients.chunks(RECIPIENTS) {
                let (relay, some) = (Arc::clone(self), some.to_vec());
                groups.spawn(relay.send(Arc::clone(entry), hop.clone(), some, closing.clone()));
            }
        }
        groups
    }

    /// Recipients of one destination.
    async fn send(
        self: Arc<Self>,
        entry: Arc<Entry>,
        hop: NextHop,
        recipients: Vec<(usize, Mailbox)>,
        closing: Closing,
    ) -> Came {
        let (answer, carried) = oneshot::channel();
        let job = Job {
            id: entry.id.clone(),
            sender: entry.envelope.sender.clone(),
            recipients: recipients.iter().map(|(_, mailbox)| mailbox.clone()).collect(),
            body: entry.envelope.body,
            ret: entry.envelope.ret,
            envid: entry.envelope.envid.clone(),
            wishes: wishes(&entry, &recipients),
            utf8: entry.envelope.utf8,
            size: entry.size,
            again: false,
            answer,
        };
        self.hand_over(&hop, job, &closing);
        match carried.await {
            Ok(Carried::Tried(verdicts, Via { host, tls, said, tells })) => {
                let mut successes = Vec::new();
                for ((number, mailbox), verdict) in recipients.iter().zip(&verdicts) {
                    if verdict.is_done() {
                        if !tells && wants_report(&entry, *number) {
                            successes.push((*number, Success::Relayed(host.clone())));
                        }
                        tracing::info!(id = %entry.id, to = %mailbox, host, tls, said, "sent");
                    }
                }
                let numbers = recipients.into_iter().map(|(number, _)| number);
                Came::Tried(numbers.zip(verdicts).collect(), successes)
            }
            Ok(Carried::Crowded) => Came::Untried,
            Err(_) if closing.is_wanted() => Came::Untried,
            // Whoever had the job is gone. It counts as an attempt, so that this does not go on for ever.
            Err(_) => {
                let fault = |(number, _)| (number, Verdict::Later(not_local()));
                Came::Tried(recipients.into_iter().map(fault).collect(), Vec::new())
            }
        }
    }

    /// Local recipients, some side by side.
    async fn deliver(self: Arc<Self>, entry: Arc<Entry>, ends: Vec<End>) -> Came {
        let (relay, of) = (Arc::clone(&self), Arc::clone(&entry));
        let told = match blocking(move || relay.head(&of)).await.and_then(|head| head) {
            Ok(head) => Arc::new(Told::of(&head)),
            Err(why) => {
                let later = |(number, _): &End| (*number, Verdict::Later(why.clone()));
                return Came::Tried(ends.iter().map(later).collect(), Vec::new());
            }
        };
        let mut verdicts = Vec::with_capacity(ends.len());
        let mut under_way = JoinSet::new();
        for (number, leaf) in ends {
            if under_way.len() >= SIDE_BY_SIDE
                && let Some(Ok(done)) = under_way.join_next().await
            {
                verdicts.push(done);
            }
            let (relay, entry, told) = (Arc::clone(&self), Arc::clone(&entry), Arc::clone(&told));
            under_way.spawn(async move {
                let put = blocking(move || relay.put_spooled(&entry, number, &leaf, &told)).await;
                (number, put.unwrap_or_else(Verdict::Later))
            });
        }
        while let Some(done) = under_way.join_next().await {
            verdicts.extend(done.ok());
        }
        let served = |(number, verdict): &(usize, Verdict)| {
            let told = verdict.is_done() && wants_report(&entry, *number);
            told.then_some((*number, Success::Delivered))
        };
        let successes = verdicts.iter().filter_map(served).collect();
        Came::Tried(verdicts, successes)
    }

    /// One copy for a local recipient of a spooled message. Blocking.
    fn put_spooled(&self, entry: &Entry, number: usize, leaf: &Leaf, told: &Told) -> Verdict {
        let tried = matches!(entry.standing.get(number), Some(Standing::Waiting { tries, .. }) if *tries > 0);
        let sender = entry.envelope.sender.as_ref();
        let Some(copy) = direct::copy(&entry.id, leaf, sender, tried) else {
            return Verdict::Later(not_local());
        };
        if copy.loops(told) {
            return copy.looping();
        }
        let verdict = match self.spool.read(&entry.id, 0..entry.size) {
            Ok(octets) => self.put(&copy, &[], &mut Reading::new(octets, entry.size)),
            Err(fault) => Verdict::Later(Why::local("reading the spool", &fault)),
        };
        if verdict.is_done() {
            tracing::info!(id = %entry.id, to = %leaf.mailbox, account = copy.account.id, "delivered");
        }
        verdict
    }

    /// The first octets of a spooled message, its header among them. Blocking.
    fn head(&self, entry: &Entry) -> Result<Vec<u8>, Why> {
        self.beginning(entry, PIECE as u64)
    }

    /// At most so many of its first octets. Blocking.
    pub(super) fn beginning(&self, entry: &Entry, most: u64) -> Result<Vec<u8>, Why> {
        let length = entry.size.min(most);
        let read = self.spool.read(&entry.id, 0..length).and_then(|mut octets| {
            let mut head = vec![0; usize::try_from(length).unwrap_or_default()];
            let got = fill(&mut octets, &mut head)?;
            head.truncate(got);
            Ok(head)
        });
        read.map_err(|fault| Why::local("reading the spool", &fault))
    }

    /// Notes what is done while the rest is under way. A fault costs at most a duplicate after a crash.
    async fn record(self: &Arc<Self>, lease: Lease, done: Vec<usize>) -> Lease {
        let relay = Arc::clone(self);
        let lease = Arc::new(lease);
        let of = Arc::clone(&lease);
        let noted = blocking(move || {
            let verdicts: Vec<_> = done.into_iter().map(|number| (number, Verdict::Done)).collect();
            if let Err(fault) = relay.spool.record(&of, &verdicts) {
                tracing::error!(id = %of.entry.id, %fault, "an outcome could not be written");
            }
        });
        let _ = noted.await;
        match Arc::try_unwrap(lease) {
            Ok(lease) => lease,
            Err(shared) => Lease { entry: shared.entry.clone(), fence: shared.fence, until: shared.until },
        }
    }
}

/// True where the sender wishes to be told that this recipient was served.
fn wants_report(entry: &Entry, number: usize) -> bool {
    entry.envelope.recipients.get(number).is_some_and(|recipient| recipient.wish.success())
}

/// Of what the sender wishes to hear, a recipient each; empty where that is nothing special.
fn wishes(entry: &Entry, recipients: &[(usize, Mailbox)]) -> Vec<Wish> {
    let of =
        |(number, _): &(usize, Mailbox)| entry.envelope.recipients.get(*number).map(|to| to.wish.clone());
    let wishes: Vec<Wish> = recipients.iter().map(|to| of(to).unwrap_or_default()).collect();
    if wishes.iter().all(|wish| *wish == Wish::default()) { Vec::new() } else { wishes }
}

/// When those are looked at again who found their destination crowded: spread, so that they do not crowd it at once.
fn crowded(random: u32) -> Duration {
    Duration::from_secs(1 + u64::from(random) % SOON.as_secs())
}

/// The numbers of the recipients that wait.
fn waiting(entry: &Entry) -> impl Iterator<Item = usize> {
    entry.standing.iter().enumerate().filter(|(_, standing)| standing.is_waiting()).map(|(number, _)| number)
}

/// Gathers the verdicts on ends into verdicts on recipients.
struct Tally {
    /// Ends without a verdict, and the worst verdict so far.
    recipients: BTreeMap<usize, (usize, Option<Verdict>)>,
}

impl Tally {
    fn of(ends: &[End]) -> Tally {
        let mut recipients: BTreeMap<usize, (usize, Option<Verdict>)> = BTreeMap::new();
        for (number, _) in ends {
            let open = &mut recipients.entry(*number).or_default().0;
            *open = open.saturating_add(1);
        }
        Tally { recipients }
    }

    /// Adds verdicts; the recipients that are wholly done by them.
    fn add(&mut self, verdicts: Vec<(usize, Verdict)>) -> Vec<usize> {
        let mut done = Vec::new();
        for (number, verdict) in verdicts {
            let Some((open, worst)) = self.recipients.get_mut(&number) else { continue };
            *open = open.saturating_sub(1);
            // What may still go well counts more than what never will.
            let keep = matches!((&*worst, &verdict), (Some(Verdict::Later(_)), _) | (Some(_), Verdict::Done));
            if !keep {
                *worst = Some(verdict);
            }
            if *open == 0 && worst.as_ref().is_some_and(Verdict::is_done) {
                done.push(number);
            }
        }
        done
    }

    /// The verdicts on those all of whose ends were tried. The others get `missing`, where all should have been.
    fn verdicts(self, missing: Option<Why>) -> Vec<(usize, Verdict)> {
        let verdict = |(open, worst): (usize, Option<Verdict>)| match open {
            0 => worst,
            _ => missing.clone().map(Verdict::Later),
        };
        let all = self.recipients.into_iter();
        all.filter_map(|(number, state)| Some((number, verdict(state)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf() -> Leaf {
        let mailbox: Mailbox = "a@example.net".parse().unwrap();
        Leaf { fate: Fate::Mx(mailbox.domain.clone()), mailbox, original: None }
    }

    #[test]
    fn a_recipient_is_done_when_all_its_ends_are_and_waits_for_those_that_may_yet_be() {
        let later = || Verdict::Later(Why::new(4, 1, "later"));
        let never = || Verdict::Never(Why::new(1, 1, "never"));
        let mut tally =
            Tally::of(&[(0, leaf()), (0, leaf()), (1, leaf()), (2, leaf()), (2, leaf()), (3, leaf())]);
        assert_eq!(tally.add(vec![(0, Verdict::Done), (1, Verdict::Done)]), [1]);
        assert_eq!(tally.add(vec![(0, Verdict::Done), (2, never())]), [0]);
        assert_eq!(tally.add(vec![(2, later())]), [0_usize; 0]);
        let verdicts = tally.verdicts(None);
        assert_eq!(verdicts, [(0, Verdict::Done), (1, Verdict::Done), (2, later())]);
        let mut tally = Tally::of(&[(0, leaf()), (0, leaf())]);
        tally.add(vec![(0, never())]);
        tally.add(vec![(0, Verdict::Done)]);
        assert_eq!(tally.verdicts(None), [(0, never())]);
    }

    #[test]
    fn whose_delivery_broke_off_counts_as_tried_so_that_it_does_not_go_on_for_ever() {
        let fault = || Why::new(3, 0, "a fault in the program");
        for (missing, verdicts) in [
            (Some(fault()), vec![(0, Verdict::Done), (1, Verdict::Later(fault()))]),
            (None, vec![(0, Verdict::Done)]),
        ] {
            let mut tally = Tally::of(&[(0, leaf()), (1, leaf()), (1, leaf())]);
            tally.add(vec![(0, Verdict::Done), (1, Verdict::Done)]);
            assert_eq!(tally.verdicts(missing), verdicts);
        }
    }
}
