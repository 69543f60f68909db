//! Claims what is due in the spool and has it carried, so many messages at a time.

use super::{Relay, blocking, carry::LEASE};
use crate::{
    net::accept::{Closing, DRAIN},
    spool::{Lease, Spool},
    store::Store,
};
use std::{sync::Arc, time::Duration};
use tokio::{task::JoinSet, time::timeout};

/// Messages under way at once.
const UNDER_WAY: usize = 1000;
/// Messages claimed at once.
const BATCH: usize = 50;
/// The longest sleep: the clock may be set meanwhile.
const SLEEP_MAX: Duration = Duration::from_secs(60);
/// The pause after a fault, or when what is due can't be had.
const PAUSE: Duration = Duration::from_secs(1);

impl<S: Store + 'static, Q: Spool + 'static> Relay<S, Q> {
    /// Runs until `closing`, and then until what is under way has ended, but no longer than sessions may take. What
    /// has not ended stays in the spool.
    pub(super) async fn outbound(self: Arc<Self>, mut closing: Closing) {
        let mut under_way = JoinSet::new();
        while !closing.is_wanted() {
            while under_way.try_join_next().is_some() {}
            let room = UNDER_WAY.saturating_sub(under_way.len());
            self.lanes.leave_room(room);
            let room = room.min(BATCH);
            let mut wait = self.until_due();
            if room > 0 && wait.is_zero() {
                let leases = self.claim(room).await;
                // None where some were due: they can't be read now.
                wait = if leases.is_empty() { PAUSE } else { self.until_due() };
                for lease in leases {
                    under_way.spawn(Arc::clone(&self).carry(lease, closing.clone()));
                }
            }
            let full = under_way.len() >= UNDER_WAY;
            if !full && wait.is_zero() {
                continue;
            }
            tokio::select! {
                biased;
                () = closing.wanted() => break,
                Some(_) = under_way.join_next(), if full => {}
                () = self.due.notified(), if !full => {}
                () = tokio::time::sleep(wait), if !full => {}
            }
        }
        let _ = timeout(DRAIN, async { while under_way.join_next().await.is_some() {} }).await;
    }

    async fn claim(self: &Arc<Self>, most: usize) -> Vec<Lease> {
        let relay = Arc::clone(self);
        match blocking(move || relay.spool.claim(relay.clock.now(), LEASE, most)).await {
            Ok(Ok(leases)) => leases,
            Ok(Err(fault)) => {
                tracing::error!(%fault, "the spool could not be read");
                Vec::new()
            }
            Err(_) => Vec::new(),
        }
    }

    /// How long nothing is due.
    fn until_due(&self) -> Duration {
        let due = self.spool.next_due();
        due.map_or(SLEEP_MAX, |due| due.duration_since(self.clock.now()).unwrap_or_default().min(SLEEP_MAX))
    }
}
