//! `mail-relayd`: takes messages over SMTP, submission, LMTP and a local socket, delivers what is ours, spools the
//! rest and sends it on.
//!
//! ```text
//! accept ---> transaction ---> message ---> direct    every recipient is local and few: committed, then 250
//!                                      \--> intake    spooled, then 250
//! outbound (claims what is due) --> carry --> local   a local recipient of a spooled message
//!                                         \-> lane    a next hop: its connections, its queue
//!                                         \-> settle  outcomes into the spool, bounces to senders
//! ```
//! What it leaves out: what a reply looks like (wire/smtp), how a connection is driven (net/converse), and every name
//! of a configuration key (cli/relayd).

mod accept;
mod carrier;
mod carry;
mod control;
mod daemon;
mod direct;
mod intake;
mod lane;
mod local;
mod message;
mod names;
mod next_hop;
mod outbound;
mod settings;
mod settle;
mod text;
mod transaction;

pub use daemon::{Order, run, run_stdio};
pub use names::Names;
pub use settings::{Security, Settings, Smarthost, Target, door};

use crate::{
    agent::daemon::{blocking, limits, usage},
    mail::date::Date,
    spool::Spool,
    store::Store,
    sys::clock::Clock,
};
use arc_swap::ArcSwap;
use std::{sync::Arc, time::SystemTime};

/// What all parts of the daemon share.
pub(crate) struct Relay<S: Store, Q: Spool> {
    store: S,
    spool: Q,
    settings: ArcSwap<Settings>,
    clock: Clock,
    limits: limits::Limits,
    lanes: lane::Lanes,
    usage: usage::Usage,
    /// Something in the spool may be due.
    due: tokio::sync::Notify,
}

impl<S: Store + 'static, Q: Spool + 'static> Relay<S, Q> {
    /// `outgoing` is how many connections to other servers there may be at once.
    fn new(store: S, spool: Q, settings: Settings, clock: Clock, outgoing: usize) -> Arc<Relay<S, Q>> {
        Arc::new(Relay {
            store,
            spool,
            settings: ArcSwap::from_pointee(settings),
            clock,
            limits: limits::Limits::default(),
            lanes: lane::Lanes::new(outgoing),
            usage: usage::Usage::default(),
            due: tokio::sync::Notify::new(),
        })
    }

    /// The settings of now. Whoever needs several that fit together keeps the answer.
    fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }
}

/// A moment as a header field writes it.
fn date(at: SystemTime, settings: &Settings) -> Date {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Date::at(i64::try_from(since.as_secs()).unwrap_or(0), &settings.zone)
}
