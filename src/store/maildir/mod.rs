//! Mail in Maildirs (Maildir++), with Dovecot's own files beside the messages, so that a Maildir can go back and forth.

mod browse;
mod draft;
mod ends;
mod folders;
mod keywords;
mod name;
mod subscriptions;
mod uidlist;

pub use browse::{Found, alone, browse};
pub use draft::{MaildirDraft, MaildirReceipt};
pub use keywords::Keywords;
pub use name::{parted, size, wire_size};
pub use subscriptions::Subscriptions;

use super::{Home, LineEnds, Listed, Store};
use crate::sys::{clock::Clock, disk::Disk};
use std::{io, sync::Arc};

/// All Maildirs that a program works on. [`Home::location`] is the path of the Maildir. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Maildir(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    disk: Disk,
    clock: Clock,
    host: String,
}

impl Maildir {
    /// Maildirs reached through `disk`.
    pub fn new(disk: Disk, clock: Clock) -> Maildir {
        let host = name::host(&rustix::system::uname().nodename().to_string_lossy());
        Maildir(Arc::new(Inner { disk, clock, host }))
    }
}

impl Store for Maildir {
    type Draft = MaildirDraft;

    fn draft(&self, home: &Home, ends: LineEnds) -> io::Result<MaildirDraft> {
        MaildirDraft::new(&self.0, home, ends)
    }

    fn usage(&self, home: &Home) -> io::Result<u64> {
        folders::usage(&self.0.disk, home)
    }

    fn folders(&self, home: &Home) -> io::Result<Vec<Listed>> {
        folders::listed(&self.0.disk, home)
    }
}
