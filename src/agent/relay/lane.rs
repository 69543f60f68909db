//! One destination: the messages that wait for it, the connections that carry them, and how it fares.
//!
//! A worker opens a connection, takes one message after another from the queue, waits a moment for more, and goes.
//! There are more workers the longer the queue, up to a bound that grows while all goes well. When no host of
//! the destination can be reached, all that waits is put off and nothing is tried for a while.

use super::{
    Relay, Settings,
    carrier::{Aside, Carrier, Load},
    next_hop::{NextHop, Walk},
};
use crate::{
    mail::{
        address::Mailbox,
        envelope::{Body, Ret, Wish},
        id::QueueId,
        verdict::{Verdict, Why},
    },
    net::accept::Closing,
    spool::Spool,
    store::Store,
};
use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::{Notify, Semaphore, oneshot};

/// Connections to one destination at first, and at most.
const WORKERS_FIRST: usize = 5;
const WORKERS_MAX: usize = 20;
/// Messages that wait for one destination in memory; the others stay in the spool.
const QUEUE_MAX: usize = 200;
/// How long a destination that can't be reached is left alone, at first and at most.
const REST_FIRST: Duration = Duration::from_secs(1);
const REST_MAX: Duration = Duration::from_secs(600);
/// Destinations that are remembered without having anything to do.
const REMEMBERED: usize = 10_000;

/// One message for some recipients of one destination.
pub(super) struct Job {
    /// The message.
    pub(super) id: QueueId,
    /// The reverse-path.
    pub(super) sender: Option<Mailbox>,
    /// Whom it is for there.
    pub(super) recipients: Vec<Mailbox>,
    /// The declared body type.
    pub(super) body: Body,
    /// What a report is to bring back.
    pub(super) ret: Option<Ret>,
    /// The message's name for its sender.
    pub(super) envid: Option<String>,
    /// Of what the sender wants to hear, a recipient each.
    pub(super) wishes: Vec<Wish>,
    /// It needs SMTPUTF8, whoever it is for.
    pub(super) utf8: bool,
    /// Its octets.
    pub(super) size: u64,
    /// It was given to a connection that turned out to be gone.
    pub(super) again: bool,
    /// Who waits.
    pub(super) answer: oneshot::Sender<Carried>,
}

/// What became of a [`Job`].
#[derive(Debug)]
pub(super) enum Carried {
    /// One verdict a recipient.
    Tried(Vec<Verdict>, Via),
    /// Too much waits for this destination: it was not tried.
    Crowded,
}

/// Which way a message went.
#[derive(Debug, Default)]
pub(super) struct Via {
    /// The host.
    pub(super) host: String,
    /// What was agreed on, under TLS.
    pub(super) tls: Option<String>,
    /// What it said when it took the message.
    pub(super) said: Option<String>,
    /// It knows of what the sender wants to hear (DSN), and tells from here on.
    pub(super) tells: bool,
}

impl Job {
    /// Answers with the same verdict for all.
    pub(super) fn give_up(self, verdict: &Verdict) {
        let verdicts = vec![verdict.clone(); self.recipients.len()];
        // Nobody waits when the daemon goes down.
        let _ = self.answer.send(Carried::Tried(verdicts, Via::default()));
    }
}

/// All destinations.
pub(super) struct Lanes {
    known: Mutex<HashMap<NextHop, Arc<Lane>>>,
    /// Connections that may yet be made: descriptors are needed for other things, too.
    free: Semaphore,
    /// Messages that may yet be taken up.
    room: AtomicUsize,
}

impl Lanes {
    /// At most so many connections at once, to all destinations.
    pub(super) fn new(most: usize) -> Lanes {
        Lanes {
            known: Mutex::default(),
            free: Semaphore::new(most.clamp(1, Semaphore::MAX_PERMITS)),
            room: AtomicUsize::new(usize::MAX),
        }
    }

    /// Says how many messages may yet be taken up. Each destination may keep a quarter of them waiting, so that a few
    /// which take their time leave room for all others.
    pub(super) fn leave_room(&self, room: usize) {
        self.room.store(room, Ordering::Relaxed);
    }

    fn share(&self) -> usize {
        (self.room.load(Ordering::Relaxed) / 4).clamp(1, QUEUE_MAX)
    }

    /// True when others wait for a connection of their own.
    pub(super) fn are_crowded(&self) -> bool {
        self.free.available_permits() == 0
    }

    fn of(&self, hop: &NextHop) -> Arc<Lane> {
        let mut lanes = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if lanes.len() >= REMEMBERED && !lanes.contains_key(hop) {
            lanes.retain(|_, lane| lane.is_busy());
        }
        Arc::clone(lanes.entry(hop.clone()).or_default())
    }
}

/// One destination.
#[derive(Default)]
pub(super) struct Lane {
    state: Mutex<State>,
    more: Notify,
}

struct State {
    queue: VecDeque<Job>,
    workers: usize,
    /// Workers that wait for a message with an open connection.
    idle: usize,
    /// Workers that have an open connection.
    connected: usize,
    most: usize,
    /// Attempts to reach it that failed since one did not.
    failures: u32,
    rests: Option<(Instant, Why)>,
}

impl Default for State {
    fn default() -> State {
        State {
            queue: VecDeque::new(),
            workers: 0,
            idle: 0,
            connected: 0,
            most: WORKERS_FIRST,
            failures: 0,
            rests: None,
        }
    }
}

impl Lane {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_busy(&self) -> bool {
        let state = self.state();
        state.workers > 0 || !state.queue.is_empty()
    }

    /// Puts a job into the queue, where at most so many may wait; true when a worker is to be started for it.
    fn push(&self, job: Job, most: usize) -> bool {
        let mut state = self.state();
        match &state.rests {
            Some((until, why)) if Instant::now() < *until => {
                let verdict = Verdict::Later(why.clone());
                drop(state);
                job.give_up(&verdict);
                return false;
            }
            _ => state.rests = None,
        }
        if state.queue.len() >= most {
            drop(state);
            let _ = job.answer.send(Carried::Crowded);
            return false;
        }
        state.queue.push_back(job);
        let start = state.queue.len() > state.idle && state.workers < state.most;
        if start {
            state.workers = state.workers.saturating_add(1);
        }
        drop(state);
        self.more.notify_one();
        start
    }

    /// The next job, at once.
    pub(super) fn pop(&self) -> Option<Job> {
        self.state().queue.pop_front()
    }

    /// The next job, waited for. `None` after `patience`.
    pub(super) async fn wait(&self, patience: Duration) -> Option<Job> {
        let deadline = tokio::time::Instant::now() + patience;
        let _idle = Count::of(self, |state| &mut state.idle);
        loop {
            let mut more = std::pin::pin!(self.more.notified());
            // From here on a push wakes this worker, and another one wakes another.
            more.as_mut().enable();
            if let Some(job) = self.pop() {
                return Some(job);
            }
            if tokio::time::timeout_at(deadline, more).await.is_err() {
                return self.pop();
            }
        }
    }

    /// Puts a job back that could not be tried.
    pub(super) fn put_back(&self, job: Job) {
        self.state().queue.push_front(job);
        self.more.notify_one();
    }

    /// A message went through.
    pub(super) fn went_well(&self) {
        let mut state = self.state();
        state.failures = 0;
        state.most = state.most.saturating_add(1).min(WORKERS_MAX);
    }

    /// Counts a connection while the answer lives.
    pub(super) fn connected(&self) -> Count<'_> {
        Count::of(self, |state| &mut state.connected)
    }

    /// No host could be reached. Where another connection stands, the hosts only want no more of them; otherwise all
    /// that waits is put off.
    fn unreachable(&self, verdict: Verdict) {
        let mut state = self.state();
        if state.connected > 0 && matches!(verdict, Verdict::Later(_)) {
            state.most = state.connected;
            return;
        }
        if let Verdict::Later(why) = &verdict {
            state.failures = state.failures.saturating_add(1);
            let doublings = state.failures.saturating_sub(1).min(16);
            let rest = REST_FIRST.saturating_mul(1 << doublings).min(REST_MAX);
            state.rests = Instant::now().checked_add(rest).map(|until| (until, why.clone()));
        }
        state.most = WORKERS_FIRST;
        let waiting = std::mem::take(&mut state.queue);
        drop(state);
        for job in waiting {
            job.give_up(&verdict);
        }
    }

    /// The daemon goes down: who waits is not answered any more.
    fn abandon(&self) {
        let waiting = std::mem::take(&mut self.state().queue);
        drop(waiting);
    }

    /// A worker ends; false when there is work for it after all.
    fn leave(&self) -> bool {
        let mut state = self.state();
        if !state.queue.is_empty() && state.workers <= state.most {
            return false;
        }
        state.workers = state.workers.saturating_sub(1);
        true
    }
}

/// Counts something of a lane while it lives.
pub(super) struct Count<'a>(&'a Lane, fn(&mut State) -> &mut usize);

impl<'a> Count<'a> {
    fn of(lane: &'a Lane, which: fn(&mut State) -> &mut usize) -> Count<'a> {
        let mut state = lane.state();
        let count = which(&mut state);
        *count = count.saturating_add(1);
        drop(state);
        Count(lane, which)
    }
}

impl Drop for Count<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        let count = (self.1)(&mut state);
        *count = count.saturating_sub(1);
    }
}

impl<S: Store + 'static, Q: Spool + 'static> Relay<S, Q> {
    /// Hands a job to its destination.
    pub(super) fn hand_over(self: &Arc<Self>, hop: &NextHop, job: Job, closing: &Closing) {
        let lane = self.lanes.of(hop);
        if closing.is_wanted() {
            return;
        }
        if lane.push(job, self.lanes.share()) {
            tokio::spawn(work(Arc::clone(self), hop.clone(), lane, closing.clone()));
        }
    }
}

/// A worker's place in its lane. When the worker panics, others can work on: what waits is looked at again soon.
struct Place<'a>(&'a Lane);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let mut state = self.0.state();
        state.workers = state.workers.saturating_sub(1);
        let waiting = std::mem::take(&mut state.queue);
        drop(state);
        for job in waiting {
            let _ = job.answer.send(Carried::Crowded);
        }
    }
}

/// One worker: connections, one after another, as long as there is work.
async fn work<S: Store + 'static, Q: Spool + 'static>(
    relay: Arc<Relay<S, Q>>,
    hop: NextHop,
    lane: Arc<Lane>,
    mut closing: Closing,
) {
    let _place = Place(&lane);
    loop {
        let settings = relay.settings();
        let _free = tokio::select! {
            free = relay.lanes.free.acquire() => free,
            () = closing.wanted() => return lane.abandon(),
        };
        if let Err(verdict) = once(&relay, &hop, &lane, &settings, &closing).await {
            if let Verdict::Later(why) | Verdict::Never(why) = &verdict {
                tracing::warn!(to = %hop, why = why.text, "unreachable");
            }
            lane.unreachable(verdict);
        }
        if closing.is_wanted() {
            return lane.abandon();
        }
        if lane.leave() {
            return;
        }
    }
}

/// Tries the hosts in order until one takes what waits. A message that a host puts off goes on to the next ones.
async fn once<S: Store + 'static, Q: Spool + 'static>(
    relay: &Arc<Relay<S, Q>>,
    hop: &NextHop,
    lane: &Arc<Lane>,
    settings: &Arc<Settings>,
    closing: &Closing,
) -> Result<(), Verdict> {
    let mut walk = Walk::to(hop, settings).await?;
    let mut last = Verdict::Later(Why::new(4, 4, format!("{hop} has no usable mail host")));
    let mut tried = false;
    let mut served = false;
    let mut connected = false;
    let mut aside: Option<Aside> = None;
    while let Some(host) = walk.next(settings).await {
        let host = match host {
            Ok(host) => host,
            // A host without an address ends nothing while there are others; but of several faults one that may
            // pass counts.
            Err(verdict) if tried && matches!(last, Verdict::Later(_)) => {
                drop(verdict);
                continue;
            }
            Err(verdict) => {
                (last, tried) = (verdict, true);
                continue;
            }
        };
        if host.again && !connected {
            continue;
        }
        let load = Load { aside: aside.take(), only: served, more_hosts: !walk.is_over() };
        let carrier =
            Carrier::new(Arc::clone(relay), Arc::clone(lane), Arc::clone(settings), closing.clone(), load);
        let ended = carrier.go(hop, &host).await;
        aside = ended.aside;
        connected = ended.connected;
        match ended.unreachable {
            None => served = true,
            // What the host said by its first address tells more.
            Some(_) if host.again && !connected => {}
            Some(why) => {
                tracing::info!(to = %hop, host = host.name, why = why.text, "a host could not be used");
                // Whatever a host says to us before it heard of a message, says nothing of the message.
                (last, tried) = (Verdict::Later(why), true);
            }
        }
        if (served && aside.is_none()) || closing.is_wanted() {
            break;
        }
    }
    if let Some(aside) = aside.filter(|_| !closing.is_wanted()) {
        aside.settle();
    }
    if served { Ok(()) } else { Err(last) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> (Job, oneshot::Receiver<Carried>) {
        let (answer, waiting) = oneshot::channel();
        let job = Job {
            utf8: false,
            ret: None,
            envid: None,
            wishes: Vec::new(),
            id: QueueId::new(1, 1),
            sender: None,
            recipients: vec!["a@example.net".parse().unwrap()],
            body: Body::default(),
            size: 0,
            again: false,
            answer,
        };
        (job, waiting)
    }

    fn text(carried: Result<Carried, oneshot::error::TryRecvError>) -> String {
        match carried {
            Ok(Carried::Tried(verdicts, ..)) => format!("{:?}", verdicts[0].code().class),
            Ok(Carried::Crowded) => "crowded".into(),
            Err(_) => "waiting".into(),
        }
    }

    #[test]
    fn workers_are_started_up_to_a_bound_and_the_queue_has_one() {
        let lane = Lane::default();
        let mut waiting = Vec::new();
        let started = (0..QUEUE_MAX + 1)
            .filter(|_| {
                let (job, answer) = job();
                waiting.push(answer);
                lane.push(job, QUEUE_MAX)
            })
            .count();
        assert_eq!(started, WORKERS_FIRST);
        assert_eq!(text(waiting[QUEUE_MAX].try_recv()), "crowded");
        assert_eq!(text(waiting[0].try_recv()), "waiting");
    }

    #[test]
    fn a_destination_that_can_not_be_reached_is_left_alone() {
        let lane = Lane::default();
        let (first, mut answer) = job();
        assert!(lane.push(first, QUEUE_MAX));
        lane.unreachable(Verdict::Later(Why::new(4, 1, "refused")));
        assert_eq!(text(answer.try_recv()), "4");
        let (second, mut answer) = job();
        assert!(!lane.push(second, QUEUE_MAX));
        assert_eq!(text(answer.try_recv()), "4");
        assert!(lane.leave());
        assert!(!lane.is_busy());
    }

    #[test]
    fn destinations_that_take_their_time_leave_room_for_the_others() {
        let lanes = Lanes::new(1);
        let (mut room, mut kept) = (1000, Vec::new());
        for destination in 0..10 {
            let lane = lanes.of(&NextHop::Domain(format!("slow{destination}.example")));
            loop {
                lanes.leave_room(room);
                let (job, mut answer) = job();
                lane.push(job, lanes.share());
                if text(answer.try_recv()) == "crowded" {
                    break;
                }
                kept.push(answer);
                room -= 1;
            }
        }
        assert!(room > 50, "{room}");
        let (job, mut answer) = job();
        lanes.leave_room(0);
        lanes.of(&NextHop::Domain("quick.example".into())).push(job, lanes.share());
        assert_eq!(text(answer.try_recv()), "waiting");
    }

    #[tokio::test]
    async fn a_worker_that_panics_frees_its_place_and_those_who_wait() {
        let lane = Arc::new(Lane::default());
        let (first, mut answer) = job();
        assert!(lane.push(first, QUEUE_MAX));
        let of = Arc::clone(&lane);
        let broken = tokio::spawn(async move {
            let _place = Place(&of);
            tokio::task::yield_now().await;
            panic!("planted");
        });
        assert!(broken.await.is_err());
        assert_eq!(text(answer.try_recv()), "crowded");
        assert!(!lane.is_busy());
    }

    #[test]
    fn a_domain_that_takes_no_mail_fails_those_that_wait_and_no_others() {
        let lane = Lane::default();
        let (first, mut answer) = job();
        lane.push(first, QUEUE_MAX);
        lane.unreachable(Verdict::Never(Why::new(1, 10, "null MX")));
        assert_eq!(text(answer.try_recv()), "5");
        let (second, mut answer) = job();
        assert!(lane.push(second, QUEUE_MAX));
        assert_eq!(text(answer.try_recv()), "waiting");
    }

    #[test]
    fn a_host_that_wants_no_more_connections_keeps_those_it_has() {
        let lane = Lane::default();
        let open = lane.connected();
        let (first, mut answer) = job();
        lane.push(first, QUEUE_MAX);
        lane.unreachable(Verdict::Later(Why::new(4, 1, "421 too many")));
        assert_eq!(text(answer.try_recv()), "waiting");
        assert_eq!(lane.state().most, 1);
        drop(open);
        assert_eq!(lane.state().connected, 0);
    }
}
