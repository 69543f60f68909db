//! The end of an attempt: when to try again, what to give up, whom to tell.

use super::{
    Relay, Settings, blocking, date,
    text::{PIECE, Whole},
};
use crate::{
    mail::{
        bounce::{Action, Bounce, Fate},
        envelope::{Body, Envelope, Recipient, Ret},
        verdict::{Verdict, Why},
    },
    spool::{Entry, Lease, Next, Spool, Standing},
    store::Store,
    sys::random,
};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

/// A message of at most so many octets goes back whole to who wished for that; of a larger one the header does.
const FULL_MAX: u64 = 256 * 1024;

/// How a recipient was served whose sender wishes to be told of it by us.
#[derive(Clone, Debug)]
pub(super) enum Success {
    /// In a mailbox of ours.
    Delivered,
    /// By this host, which does not tell.
    Relayed(String),
}

/// When a message is looked at again whose destination had too much to do, or whose bounce could not be written.
pub(super) const SOON: Duration = Duration::from_secs(10);

impl<S: Store + 'static, Q: Spool + 'static> Relay<S, Q> {
    /// Settles a lease with what came of the attempt; `untried` says when those are looked at again who had to wait.
    pub(super) async fn settle(
        self: &Arc<Self>,
        lease: Lease,
        verdicts: Vec<(usize, Verdict)>,
        successes: Vec<(usize, Success)>,
        untried: Option<Duration>,
    ) {
        let relay = Arc::clone(self);
        let settled = blocking(move || relay.settle_now(lease, verdicts, &successes, untried)).await;
        if settled.is_ok() {
            self.due.notify_one();
        }
    }

    fn settle_now(
        &self,
        lease: Lease,
        mut verdicts: Vec<(usize, Verdict)>,
        successes: &[(usize, Success)],
        untried: Option<Duration>,
    ) {
        let settings = self.settings();
        let now = self.clock.now();
        let entry = &lease.entry;
        let mut due: Option<SystemTime> = None;
        for (number, verdict) in &mut verdicts {
            let Verdict::Later(why) = verdict else { continue };
            match settings.schedule.next(entry.arrived, tries(entry, *number).saturating_add(1), now) {
                Some(next) => due = Some(due.map_or(next, |due| due.min(next))),
                None => *verdict = Verdict::Never(expired(entry, why, now)),
            }
        }
        log(entry, &verdicts);
        if let Err(why) = self.tell(entry, &verdicts, &settings, now) {
            tracing::error!(id = %entry.id, why = why.text, "a bounce could not be spooled");
            // Nobody was told: they have not failed yet.
            verdicts.retain(|(_, verdict)| !matches!(verdict, Verdict::Never(_)));
            due = None;
        }
        // They are served all the same.
        if let Err(why) = self.tell_of_success(entry, &verdicts, successes, &settings, now) {
            tracing::error!(id = %entry.id, why = why.text, "a report of delivery could not be spooled");
        }
        let soon = now.checked_add(SOON).unwrap_or(now);
        let again = untried.and_then(|wait| now.checked_add(wait));
        let due = due.into_iter().chain(again).min();
        let id = entry.id.clone();
        if let Err(fault) = self.spool.settle(lease, &verdicts, Next::At(due.unwrap_or(soon))) {
            tracing::error!(%id, %fault, "an outcome could not be written");
        }
    }

    /// Spools a bounce for those who were given up, unless their sender does not wish for it. The null sender is told
    /// nothing.
    fn tell(
        &self,
        entry: &Entry,
        verdicts: &[(usize, Verdict)],
        settings: &Settings,
        now: SystemTime,
    ) -> Result<(), Why> {
        let fates: Vec<Fate<'_>> = verdicts
            .iter()
            .filter_map(|(number, verdict)| match (verdict, entry.envelope.recipients.get(*number)?) {
                (Verdict::Never(why), recipient) if recipient.wish.failure() => {
                    Some(fate(recipient, Action::Failed(why)))
                }
                _ => None,
            })
            .collect();
        if !fates.is_empty() && entry.envelope.sender.is_none() {
            // Most often a report itself: who could not be told the first time is not told of that either.
            tracing::warn!(id = %entry.id, "dropped; the null sender is not told of failures");
        }
        let full = entry.envelope.ret == Some(Ret::Full) && entry.size <= FULL_MAX;
        self.report(entry, &fates, full, settings, now)
    }

    /// Spools a report for those who were served and whose sender wishes to be told.
    fn tell_of_success(
        &self,
        entry: &Entry,
        verdicts: &[(usize, Verdict)],
        successes: &[(usize, Success)],
        settings: &Settings,
        now: SystemTime,
    ) -> Result<(), Why> {
        let mut fates = Vec::new();
        for (number, _) in verdicts.iter().filter(|(_, verdict)| verdict.is_done()) {
            // Of several ends the first speaks for all.
            let success = successes.iter().find(|(of, _)| of == number).map(|(_, success)| success);
            if let (Some(success), Some(recipient)) = (success, entry.envelope.recipients.get(*number)) {
                fates.push(fate(
                    recipient,
                    match success {
                        Success::Delivered => Action::Delivered,
                        Success::Relayed(host) => Action::Relayed(host),
                    },
                ));
            }
        }
        self.report(entry, &fates, false, settings, now)
    }

    /// Spools a report, where there is something to tell and somebody to be told.
    fn report(
        &self,
        entry: &Entry,
        fates: &[Fate<'_>],
        full: bool,
        settings: &Settings,
        now: SystemTime,
    ) -> Result<(), Why> {
        let Some(sender) = entry.envelope.sender.as_ref().filter(|_| !fates.is_empty()) else {
            return Ok(());
        };
        let id = random::queue_id(&self.clock);
        // Where the message can't be read any more, its sender hears of its fate all the same.
        let head = self.beginning(entry, if full { FULL_MAX } else { PIECE as u64 }).unwrap_or_else(|why| {
            tracing::error!(id = %entry.id, why = why.text, "a bounce goes without the message's header");
            Vec::new()
        });
        let bounce = Bounce {
            hostname: &settings.hostname,
            to: sender,
            id: &id,
            of: &entry.id,
            arrived: date(entry.arrived, settings),
            now: date(now, settings),
            fates,
            envid: entry.envelope.envid.as_deref(),
            full: full && head.len() as u64 == entry.size,
            head: &head,
        };
        let mut text = Vec::with_capacity(head.len().saturating_add(4096));
        bounce.write(&mut text).map_err(|fault| Why::local("the bounce could not be written", &fault))?;
        let body = if bounce.is_eight_bit() { Body::EightBitMime } else { Body::SevenBit };
        let envelope = Envelope {
            sender: None,
            recipients: vec![Recipient::to(sender.clone())],
            body,
            utf8: !sender.is_ascii(),
            ..Envelope::default()
        };
        self.spool(&id, envelope, &[], &mut Whole(Some(&text)))?;
        let what = match fates.first().map(|fate| fate.action) {
            Some(Action::Failed(_)) => "bounced",
            _ => "told of delivery",
        };
        tracing::info!(id = %id, of = %entry.id, to = %sender, "{what}");
        Ok(())
    }
}

/// What a report says of a recipient.
fn fate<'a>(recipient: &'a Recipient, action: Action<'a>) -> Fate<'a> {
    let Recipient { mailbox, original, wish } = recipient;
    Fate { recipient: mailbox, original: original.as_ref(), orcpt: wish.orcpt.as_deref(), action }
}

/// How often a recipient was tried.
fn tries(entry: &Entry, number: usize) -> u32 {
    match entry.standing.get(number) {
        Some(Standing::Waiting { tries, .. }) => *tries,
        _ => 0,
    }
}

/// The reason of a message that is too old.
fn expired(entry: &Entry, last: &Why, now: SystemTime) -> Why {
    let age = now.duration_since(entry.arrived).unwrap_or_default().as_secs();
    let for_long = match age {
        0..7200 => format!("{} minutes", age / 60),
        7200..172_800 => format!("{} hours", age / 3600),
        _ => format!("{} days", age / 86_400),
    };
    Why::new(4, 7, format!("given up after {for_long}; at last: {}", last.text))
}

fn log(entry: &Entry, verdicts: &[(usize, Verdict)]) {
    for (number, verdict) in verdicts {
        let to = entry.envelope.recipients.get(*number).map(|to| to.mailbox.to_string()).unwrap_or_default();
        match verdict {
            Verdict::Done => {}
            Verdict::Later(why) => {
                let tries = tries(entry, *number).saturating_add(1);
                tracing::info!(id = %entry.id, to, tries, why = why.text, "put off");
            }
            Verdict::Never(why) => tracing::info!(id = %entry.id, to, why = why.text, "failed"),
        }
    }
}
