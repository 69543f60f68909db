//! The end of an attempt: when to try again, what to give up, whom to tell.

use super::{Relay, Settings, blocking, date, text::Whole};
use crate::{
    mail::{
        bounce::{Bounce, Failure},
        envelope::{Body, Envelope, Recipient},
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

/// When a message is looked at again whose destination had too much to do, or whose bounce could not be written.
pub(super) const SOON: Duration = Duration::from_secs(10);

impl<S: Store + 'static, Q: Spool + 'static> Relay<S, Q> {
    /// Settles a lease with what came of the attempt; `untried` says when those are looked at again who had to wait.
    pub(super) async fn settle(
        self: &Arc<Self>,
        lease: Lease,
        verdicts: Vec<(usize, Verdict)>,
        untried: Option<Duration>,
    ) {
        let relay = Arc::clone(self);
        let settled = blocking(move || relay.settle_now(lease, verdicts, untried)).await;
        if settled.is_ok() {
            self.due.notify_one();
        }
    }

    fn settle_now(&self, lease: Lease, mut verdicts: Vec<(usize, Verdict)>, untried: Option<Duration>) {
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
        let soon = now.checked_add(SOON).unwrap_or(now);
        let again = untried.and_then(|wait| now.checked_add(wait));
        let due = due.into_iter().chain(again).min();
        let id = entry.id.clone();
        if let Err(fault) = self.spool.settle(lease, &verdicts, Next::At(due.unwrap_or(soon))) {
            tracing::error!(%id, %fault, "an outcome could not be written");
        }
    }

    /// Spools a bounce for those who were given up. The null sender is told nothing.
    fn tell(
        &self,
        entry: &Entry,
        verdicts: &[(usize, Verdict)],
        settings: &Settings,
        now: SystemTime,
    ) -> Result<(), Why> {
        let failures: Vec<Failure<'_>> = verdicts
            .iter()
            .filter_map(|(number, verdict)| match (verdict, entry.envelope.recipients.get(*number)?) {
                (Verdict::Never(why), Recipient { mailbox, original }) => {
                    Some(Failure { recipient: mailbox, original: original.as_ref(), why })
                }
                _ => None,
            })
            .collect();
        if failures.is_empty() {
            return Ok(());
        }
        let Some(sender) = &entry.envelope.sender else {
            // Most often a report itself: who could not be told the first time is not told of that either.
            tracing::warn!(id = %entry.id, "dropped; the null sender is not told of failures");
            return Ok(());
        };
        let id = random::queue_id(&self.clock);
        // Where the message can't be read any more, its sender hears of the failure all the same.
        let head = self.head(entry).unwrap_or_else(|why| {
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
            failures: &failures,
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
        tracing::info!(id = %id, of = %entry.id, to = %sender, "bounced");
        Ok(())
    }
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
