//! What is kept: the seam to every kind of mailbox storage.
//!
//! The walk of a reader: [`Store::open`] a folder and keep its [`Snapshot`]; ask for [`Store::rows`] in batches; be
//! told by [`Store::watch`] that there is something new; ask for the [`Store::changes`] since the snapshot's modseq.
//! Whatever changes messages goes through [`Store::apply`].

pub mod maildir;
pub mod memory;
pub mod search;

pub use crate::mail::flags::FlagChange;

use crate::mail::{
    draft::{Draft, Receipt},
    flags::Flags,
    folder::FolderName,
    id::{DeliveryKey, QueueId},
    query::{Key, ModSeq, Uid, UidSet},
    verdict::Why,
};
use std::{fmt, io, ops::Range, time::SystemTime};

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

/// A folder at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// UIDs are good only together with this (RFC 9051 section 2.3.1.1). Never 0.
    pub uid_validity: u32,
    /// Greater than every UID ever given.
    pub uid_next: Uid,
    /// The greatest of the messages' modification sequences, or more; [`Store::changes`] goes on from here.
    pub modseq: ModSeq,
    /// The messages.
    pub uids: UidSet,
    /// Those that no reader took before ([`Store::open`] with `take`).
    pub recent: UidSet,
}

/// What is told of a folder that is not opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// As in [`Snapshot`].
    pub uid_validity: u32,
    /// As in [`Snapshot`].
    pub uid_next: Uid,
    /// As in [`Snapshot`].
    pub modseq: ModSeq,
    /// How many messages there are.
    pub messages: u64,
    /// How many are not `\Seen`.
    pub unseen: u64,
    /// How many are `\Deleted`.
    pub deleted: u64,
    /// How many no reader took before.
    pub recent: u64,
}

/// What a folder knows of a message without looking at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its number.
    pub uid: Uid,
    /// Its flags.
    pub flags: Flags,
    /// When it changed.
    pub modseq: ModSeq,
    /// A POP3 UIDL that another server gave it; `None` where the default is to be used.
    pub uidl: Option<String>,
}

/// What must be looked up for each message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measure {
    /// Its number.
    pub uid: Uid,
    /// Its octets with CR LF line ends: what [`Store::read`] gives in all.
    pub octets: u64,
    /// INTERNALDATE.
    pub date: SystemTime,
}

/// What happened in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// Up to here all is told.
    pub modseq: ModSeq,
    /// As in [`Snapshot`]; another than before means that nothing known of the folder is true any more.
    pub uid_validity: u32,
    /// As in [`Snapshot`].
    pub uid_next: Uid,
    /// Messages that came or whose flags changed; their rows say how.
    pub changed: UidSet,
    /// Messages that no reader took before.
    pub recent: UidSet,
    /// UIDs that are gone. It may name some that were gone before (RFC 7162 section 3.2.10 permits it).
    pub vanished: UidSet,
}

/// One change. UIDs that are not in the folder are passed over.
#[derive(Debug)]
pub enum Act<D> {
    /// Keeps a draft and gives it its UID at once. The folder must exist.
    Append {
        /// The message.
        draft: D,
        /// Where it goes.
        place: Place,
        /// Makes the act safe to repeat.
        key: DeliveryKey,
    },
    /// Changes flags, but not of messages that changed after `unchanged_since`.
    Flag {
        /// The folder.
        folder: FolderName,
        /// The messages.
        uids: UidSet,
        /// How.
        change: FlagChange,
        /// Which.
        flags: Flags,
        /// RFC 7162 section 3.1.3; `None` changes whatever there is.
        unchanged_since: Option<ModSeq>,
    },
    /// Copies messages with flags and date, all or none.
    Copy {
        /// From this folder
        from: FolderName,
        /// these messages
        uids: UidSet,
        /// to that folder, which must exist.
        to: FolderName,
    },
    /// Moves messages with flags and date. After a fault some may have been moved, but none is lost or in both.
    Move {
        /// From this folder
        from: FolderName,
        /// these messages
        uids: UidSet,
        /// to that folder, which must exist.
        to: FolderName,
    },
    /// Removes messages, only those that are `\Deleted` where `deleted_only`.
    Expunge {
        /// The folder.
        folder: FolderName,
        /// The messages; `None` for all.
        uids: Option<UidSet>,
        /// Whether others are spared.
        deleted_only: bool,
    },
}

/// What became of an act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// The UID of an appended message.
    Appended {
        /// The folder's.
        uid_validity: u32,
        /// The message's.
        uid: Uid,
    },
    /// The messages that had changed after `unchanged_since` and were not touched.
    Flagged {
        /// RFC 7162 section 3.1.3, `MODIFIED`.
        modified: UidSet,
    },
    /// Old and new UIDs of copied or moved messages, in the order of the old.
    Copied {
        /// The target folder's.
        uid_validity: u32,
        /// Old and new.
        pairs: Vec<(Uid, Uid)>,
    },
    /// The messages that are gone.
    Expunged {
        /// Their UIDs.
        uids: UidSet,
    },
}

/// What became of several acts.
#[derive(Debug)]
pub struct Applied {
    /// The account's modseq after the last of them.
    pub modseq: ModSeq,
    /// One an act. Acts behind one that failed were still tried.
    pub outcomes: Vec<Result<Done, Fault>>,
}

/// Why something about a folder could not be done.
#[derive(Debug)]
pub enum Fault {
    /// There is no such folder.
    NoFolder,
    /// There is such a folder already.
    Exists,
    /// There is no such message (any more).
    NoMessage,
    /// INBOX can't be deleted, a folder can't move into itself, and the like.
    Cannot(&'static str),
    /// The machine failed. Always temporary.
    Local(io::Error),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::NoFolder => f.write_str("there is no such folder"),
            Fault::Exists => f.write_str("there is such a folder already"),
            Fault::NoMessage => f.write_str("there is no such message"),
            Fault::Cannot(why) => f.write_str(why),
            Fault::Local(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for Fault {}

impl From<io::Error> for Fault {
    fn from(fault: io::Error) -> Fault {
        Fault::Local(fault)
    }
}

impl From<Fault> for Why {
    /// A refusal of a store, for who answers with a verdict.
    fn from(fault: Fault) -> Why {
        match fault {
            Fault::Local(fault) => Why::local("the mail store", &fault),
            other => Why::new(2, 0, other.to_string()),
        }
    }
}

/// What is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A folder's messages and flags.
    Folder(FolderName),
    /// Which folders there are, and the subscriptions.
    Folders,
}

/// Ends a watch when dropped.
pub type Watching = Box<dyn Send>;

/// What is kept, by account and folder.
///
/// [`Store::open`], [`Store::status`], [`Store::changes`], [`Store::search`] and [`Store::apply`] look what other programs did.
/// What else is asked about messages is answered as the folder was when one of them looked last, but for those that are gone since:
/// who wants to know whether there is news asks for it.
pub trait Store: Send + Sync {
    /// A message being written.
    type Draft: Draft<Place = Place, Receipt: Receipt<Kept = Kept>>;
    /// The octets of a message.
    type Octets: io::BufRead + Send;

    /// Begins a message in `home`. Fails when the account's place can't be written.
    fn draft(&self, home: &Home, ends: LineEnds) -> io::Result<Self::Draft>;
    /// The octets that `home` keeps, which a quota is compared with; 0 where nothing was ever kept.
    fn usage(&self, home: &Home) -> io::Result<u64>;

    /// The folders of `home` and the names it is subscribed to, in the order of their names. INBOX is always there.
    fn folders(&self, home: &Home) -> io::Result<Vec<Listed>>;
    /// Makes a folder; its subscription stays as it is.
    fn create(&self, home: &Home, folder: &FolderName) -> Result<(), Fault>;
    /// Removes a folder with its messages. Folders in it and its subscription stay.
    fn delete(&self, home: &Home, folder: &FolderName) -> Result<(), Fault>;
    /// Renames a folder with all folders in it; subscriptions stay. Of INBOX the messages are moved into a new folder.
    fn rename(&self, home: &Home, from: &FolderName, to: &FolderName) -> Result<(), Fault>;
    /// Subscribes to a name, whether or not it exists, or ends that.
    fn subscribe(&self, home: &Home, folder: &FolderName, subscribed: bool) -> Result<(), Fault>;

    /// A folder as it is now; what is new in it gets its UIDs. With `take` the recent messages are so for nobody after.
    fn open(&self, home: &Home, folder: &FolderName, take: bool) -> Result<Snapshot, Fault>;
    /// Counts of a folder as it is now.
    fn status(&self, home: &Home, folder: &FolderName) -> Result<Status, Fault>;
    /// Rows of those of `uids` that exist, the first `most` in the order of UIDs.
    fn rows(&self, home: &Home, folder: &FolderName, uids: &UidSet, most: usize) -> Result<Vec<Row>, Fault>;
    /// What names the content of those of `uids` that exist in the account, the first `most` in the order of UIDs: 1 to 255
    /// letters, digits, `_` and `-` (RFC 8474 section 5.1). Few ask for it, and so it is no part of a row.
    fn email_ids(
        &self,
        home: &Home,
        folder: &FolderName,
        uids: &UidSet,
        most: usize,
    ) -> Result<Vec<(Uid, String)>, Fault>;
    /// Sizes and dates of those of `uids` that exist, the first `most` in the order of UIDs.
    fn measures(
        &self,
        home: &Home,
        folder: &FolderName,
        uids: &UidSet,
        most: usize,
    ) -> Result<Vec<Measure>, Fault>;
    /// The measure of one message, its size as [`Store::read`] gives it, whatever else may say otherwise; `None` when it is not
    /// there.
    fn counted(&self, home: &Home, folder: &FolderName, uid: Uid) -> Result<Option<Measure>, Fault> {
        Ok(self.measures(home, folder, &UidSet::new([uid..=uid]), 1)?.pop())
    }
    /// What changed after `since`, a modseq of this folder. All of it, where that is too long ago to be known. With `take` the
    /// recent messages are so for nobody after.
    fn changes(&self, home: &Home, folder: &FolderName, since: ModSeq, take: bool) -> Result<Changes, Fault>;
    /// The octets of a message in `range`, counted with CR LF line ends.
    fn read(
        &self,
        home: &Home,
        folder: &FolderName,
        uid: Uid,
        range: Range<u64>,
    ) -> Result<Self::Octets, Fault>;
    /// Gives `take` messages with their octets, in the order of `uids`, `None` where one is gone and an error where one
    /// can't be read, as long as it says `true`.
    /// The folder is looked at once: who wants many of them had better not [`Store::read`] each.
    fn read_each(
        &self,
        home: &Home,
        folder: &FolderName,
        uids: &[Uid],
        take: &mut dyn FnMut(Uid, io::Result<Option<Self::Octets>>) -> Result<bool, Fault>,
    ) -> Result<(), Fault> {
        for &uid in uids {
            let octets = match self.read(home, folder, uid, 0..u64::MAX) {
                Ok(octets) => Ok(Some(octets)),
                Err(Fault::NoMessage) => Ok(None),
                Err(Fault::Local(fault)) => Err(fault),
                Err(fault) => return Err(fault),
            };
            if !take(uid, octets)? {
                break;
            }
        }
        Ok(())
    }
    /// The messages that `key` describes. Dates are compared in UTC. The text of bodies can't be searched yet.
    fn search(&self, home: &Home, folder: &FolderName, key: &Key) -> Result<UidSet, Fault>;
    /// Calls `tell` soon after something in `scope` changed, by whomever; it may call for nothing. It is called from
    /// a thread of the store's and must be quick.
    fn watch(&self, home: &Home, scope: &Scope, tell: Box<dyn Fn() + Send + Sync>)
    -> Result<Watching, Fault>;
    /// Changes messages, one act after the other.
    fn apply(&self, home: &Home, acts: Vec<Act<Self::Draft>>) -> Applied;
}
