//! What is kept: the seam to every kind of mailbox storage.

pub mod maildir;
pub mod memory;

use crate::mail::{
    draft::{Draft, Receipt},
    flags::Flags,
    folder::FolderName,
    id::QueueId,
};
use std::{io, time::SystemTime};

/// An account as a store knows it. `location` is in the store's own words (a directory for Maildir) and comes from
/// the account's record; nobody else looks into it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Home {
    /// The account's id: its full address in lower case.
    pub account: String,
    /// Where its mail lies, in the store's own words.
    pub location: String,
}

/// The line ends of what is written into a draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineEnds {
    /// Wire octets: every line ends with CR LF. The store may keep them as it likes, since that can be undone exactly.
    Wire,
    /// A file's octets: kept as given.
    AsGiven,
    /// Not known yet: when every line ends with CR LF they are [`LineEnds::Wire`], otherwise [`LineEnds::AsGiven`].
    Unknown,
}

/// Where one copy of a draft goes.
#[derive(Clone, Debug)]
pub struct Place {
    /// The folder; made and subscribed when it is missing.
    pub folder: FolderName,
    /// Flags from the start. A copy without any is new to its reader.
    pub flags: Flags,
    /// INTERNALDATE; `None` is now. All places of one commit have the same: the first that is given counts.
    pub date: Option<SystemTime>,
}

/// A copy that stands durably in its folder. Its UID is assigned by the reader, later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The message's name in logs.
    pub id: QueueId,
    /// True when an earlier commit with the same key had already made it.
    pub already: bool,
}

/// A folder as an account lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: FolderName,
    /// False for a name that is only subscribed to.
    pub exists: bool,
    /// The account wants to see it by default (IMAP's SUBSCRIBE).
    pub subscribed: bool,
}

/// What is kept, by account and folder.
pub trait Store: Send + Sync {
    /// A message being written.
    type Draft: Draft<Place = Place, Receipt: Receipt<Kept = Kept>>;

    /// Begins a message in `home`. Fails when the account's place can't be written.
    fn draft(&self, home: &Home, ends: LineEnds) -> io::Result<Self::Draft>;
    /// The octets that `home` keeps, which a quota is compared with; 0 where nothing was ever kept.
    fn usage(&self, home: &Home) -> io::Result<u64>;
    /// The folders of `home` and the names it is subscribed to, in the order of their names. INBOX is always there.
    fn folders(&self, home: &Home) -> io::Result<Vec<Listed>>;
}
