//! `mail-serve`: lets people read their mail over IMAP and POP3.
//!
//! ```text
//! daemon -+-> imap -+-> heads    reads messages, several at once
//!         \-> pop3 -/
//!              \-> maildrops     one session has a maildrop at a time
//! ```
//! What it leaves out: what a reply looks like (wire/imap, wire/pop3), how a connection is driven (net/converse), where messages lie (store),
//! and every name of a configuration key (cli/serve).

mod client;
mod daemon;
mod heads;
mod imap;
mod maildrops;
mod pop3;
mod settings;

pub use daemon::{Order, run, run_stdio};
pub use settings::{Settings, door};

use crate::{
    agent::daemon::{limits, usage::Usage},
    store::{Home, Store},
};
use arc_swap::ArcSwap;
use std::{io, sync::Arc, time::Instant};
use tokio::sync::Semaphore;

/// What all parts of the daemon share.
pub(crate) struct Serve<S: Store> {
    store: S,
    settings: ArcSwap<Settings>,
    limits: limits::Limits,
    maildrops: maildrops::Maildrops,
    usage: Usage,
    /// Turns of searches, which are given in order: others have threads and cores, however many search.
    searches: Semaphore,
}

/// Searches that work at once.
const SEARCHES: usize = 2;

impl<S: Store + 'static> Serve<S> {
    /// True where an account may keep so many octets more.
    fn has_room(&self, home: &Home, quota: Option<u64>, size: u64) -> io::Result<bool> {
        let Some(quota) = quota else { return Ok(true) };
        let used = self.usage.of(&home.account, Instant::now(), || self.store.usage(home))?;
        Ok(used.saturating_add(size) <= quota)
    }

    fn new(store: S, settings: Settings) -> Arc<Serve<S>> {
        Arc::new(Serve {
            store,
            settings: ArcSwap::from_pointee(settings),
            limits: limits::Limits::default(),
            maildrops: maildrops::Maildrops::default(),
            usage: Usage::default(),
            searches: Semaphore::new(SEARCHES),
        })
    }

    /// The settings of now. Whoever needs several that fit together keeps the answer.
    fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }
}
