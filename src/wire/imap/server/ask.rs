//! What a session asks its agent, what the agent answers, and what happens elsewhere.
//!
//! The agent keeps two things between questions: the folder that is selected (from [`Ask::Select`] to [`Ask::Unselect`],
//! the next `Select`, or the end of the connection) and a message that is being appended (from [`Ask::Append`] to
//! [`Ask::End`], [`Ask::Abort`], or the end of the connection, which aborts it). Every question can be answered with
//! [`Answer::No`] or [`Answer::Bye`].

use crate::{
    mail::{
        flags::{FlagChange, Flags},
        folder::FolderName,
        outline::Outline,
        query::{Key, ModSeq, Uid, UidSet},
    },
    wire::sasl::Credentials,
};
use std::{borrow::Cow, ops::Range, time::SystemTime};

/// A question to the agent.
#[derive(Debug)]
pub enum Ask {
    /// Do these open an account? The agent's answer may be as late as it likes: it is there that failures of one
    /// address or login are slowed down. Answer: `Done`; or `No`, with [`Code::AuthenticationFailed`] for a wrong login or
    /// password.
    Login {
        /// What the peer gave.
        credentials: Credentials,
        /// Logins that failed on this connection before.
        failures: u32,
    },
    /// What the peer says of itself (RFC 2971), for the log: at most 30 pairs, made of whatever the peer likes. Answer: `Done`.
    Identify(Vec<(String, Option<String>)>),
    /// All folders and all names subscribed to, in the order of their names. Answer: `Folders`.
    Folders,
    /// Counts of a folder, selected or not. Answer: `Status`.
    Status(FolderName),
    /// A new folder. Answer: `Done`.
    Create(FolderName),
    /// A folder with its messages goes. Answer: `Done`.
    Delete(FolderName),
    /// A folder gets a new name, together with those in it. Answer: `Done`.
    Rename {
        /// The old name.
        from: FolderName,
        /// The new one.
        to: FolderName,
    },
    /// A name is subscribed to, or no more. Answer: `Done`.
    Subscribe {
        /// The name, whether or not there is such a folder.
        folder: FolderName,
        /// SUBSCRIBE or UNSUBSCRIBE.
        subscribed: bool,
    },
    /// Selects a folder: from here on it is watched, and [`Event::Changed`] says so. One that was selected before is not any
    /// more, whatever the answer. Answer: `Selected`.
    Select {
        /// The folder.
        folder: FolderName,
        /// EXAMINE: nothing is changed, recent messages stay so for others.
        read_only: bool,
    },
    /// Nothing is selected any more. Answer: `Done`.
    Unselect,
    /// Flags of those of `uids` that are in the selected folder, the first `most` in the order of UIDs. Answer: `Rows`.
    Rows {
        /// The messages.
        uids: UidSet,
        /// How many rows at most.
        most: usize,
    },
    /// Sizes and dates of those of `uids` that are in the selected folder, the first `most` in the order of UIDs. Answer:
    /// `Measures`.
    Measures {
        /// The messages.
        uids: UidSet,
        /// How many at most.
        most: usize,
    },
    /// The measure of a message of the selected folder, its size as [`Ask::Read`] will give it: a literal is announced by it.
    /// Answer: `Measures`, empty when it is not there.
    Size(Uid),
    /// The beginnings of messages of the selected folder. The answer ends as soon as it holds [`HEADS`] octets or more, or
    /// all of `uids`; it is never empty. Answer: `Heads`.
    Heads {
        /// The messages, in this order.
        uids: Vec<Uid>,
        /// Octets of each, at most; [`HEAD`] or fewer.
        most: usize,
    },
    /// The parts of a message of the selected folder, as [`Outline::read`] finds them in its wire octets. Answer: `Outline`.
    Outline(Uid),
    /// Octets of a message of the selected folder: all of `range`, which has at most [`HEAD`] octets, as far as the message has
    /// them. A message is asked for from front to back, mostly, so that an open file is worth keeping until another is
    /// asked for. Answer: `Octets`.
    Read {
        /// The message.
        uid: Uid,
        /// Octets, counted with CR LF line ends.
        range: Range<u64>,
    },
    /// The messages of the selected folder that a key describes. Answer: `Found`; or `Searching`, after which [`Ask::GoOn`] comes.
    Search(Key),
    /// More of the search that was answered with `Searching`. Answer: as for `Search`.
    GoOn,
    /// What changed in the selected folder after `since`. Answer: `Changes`.
    Changes {
        /// A modseq out of an earlier answer about this folder.
        since: ModSeq,
    },
    /// A message begins, for a folder selected or not; that it exists is checked now. Answer: `Done`; or `No`, after which no
    /// chunk comes.
    Append {
        /// Where it goes.
        folder: FolderName,
        /// Its flags.
        flags: Flags,
        /// INTERNALDATE; `None` is now.
        date: Option<SystemTime>,
        /// How many octets will come.
        size: u64,
    },
    /// The next octets of the message, [`HEAD`] of them or, at its end, fewer. Line ends are as the peer has them. Answer: `Taken` with the
    /// buffer, whose memory is used again; or `No`, after which nothing more comes of this message, nor `Abort`.
    Chunk(Vec<u8>),
    /// That was all of the message: make it durable and give it its UID. Answer: `Appended`.
    End,
    /// The message is not wanted after all. Answer: `Done`.
    Abort,
    /// Changes flags of messages of the selected folder. Answer: `Done`; that some messages are gone is no error.
    Flag {
        /// The messages.
        uids: UidSet,
        /// How.
        change: FlagChange,
        /// Which.
        flags: Flags,
    },
    /// Copies messages of the selected folder, all or none. Answer: `Copied`; or `No`, with [`Code::TryCreate`] when there is no
    /// folder `to`.
    Copy {
        /// The messages.
        uids: UidSet,
        /// Where to.
        to: FolderName,
    },
    /// Moves messages of the selected folder. Answer: as for `Copy`.
    Move {
        /// The messages.
        uids: UidSet,
        /// Where to.
        to: FolderName,
    },
    /// Removes the messages of the selected folder that are `\Deleted`. Answer: `Done`.
    Expunge {
        /// Only among these; `None` is all.
        uids: Option<UidSet>,
    },
    /// Nothing: the session has more to say than one turn may, and comes back for the rest. Answer: `Done`.
    Pause,
}

/// The most octets of a message that come in one piece, whichever way.
pub const HEAD: usize = 64 * 1024;
/// Octets of several messages in one answer; the last of them may go beyond it.
pub const HEADS: usize = 128 * 1024;

/// An answer of the agent. One that does not fit the question ends the connection.
#[derive(Debug)]
pub enum Answer {
    /// It is done.
    Done,
    /// It is refused, or failed. The command then fails with these words.
    No(Refusal),
    /// The connection ends, with these words.
    Bye(Cow<'static, str>),
    /// All folders.
    Folders(Vec<Listed>),
    /// Counts.
    Status(Status),
    /// A folder is selected.
    Selected(Snapshot),
    /// In the order of UIDs.
    Rows(Vec<Row>),
    /// In the order of UIDs.
    Measures(Vec<Measure>),
    /// In the order that was asked for.
    Heads(Vec<Head>),
    /// The parts of a message; `None` when it is gone.
    Outline(Option<Box<Outline>>),
    /// Octets of a message; `None` when it is gone.
    Octets(Option<Vec<u8>>),
    /// The messages found.
    Found(UidSet),
    /// The search is not at its end, but has taken a while: the session looks whether its peer is still there.
    Searching,
    /// What changed.
    Changes(Changes),
    /// A chunk is taken; here is its buffer.
    Taken(Vec<u8>),
    /// A message is durable.
    Appended {
        /// The folder's.
        uid_validity: u32,
        /// The message's.
        uid: Uid,
    },
    /// Messages were copied or moved.
    Copied {
        /// The target folder's.
        uid_validity: u32,
        /// Old and new UIDs, in the order of the old.
        pairs: Vec<(Uid, Uid)>,
    },
}

/// What happens elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Something may have changed in the selected folder. May come for nothing, and late, but not never.
    Changed,
    /// The daemon goes down: a command that runs is finished, nothing new begins.
    Drain,
}

/// Why a command fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// For programs.
    pub code: Option<Code>,
    /// For people: one line. What may not stand in a response is replaced.
    pub text: Cow<'static, str>,
}

impl Refusal {
    /// One that programs understand, too.
    pub fn new(code: Code, text: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal { code: Some(code), text: text.into() }
    }

    /// One for people only.
    pub fn plain(text: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal { code: None, text: text.into() }
    }
}

/// Response codes of failures (RFC 5530, and where noted).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// A local fault that may pass.
    Unavailable,
    /// A wrong login or password.
    AuthenticationFailed,
    /// A right login, but not now or not here.
    AuthorizationFailed,
    /// TLS first.
    PrivacyRequired,
    /// A person must look at it.
    ContactAdmin,
    /// The rights are missing.
    NoPerm,
    /// Another holds what is needed.
    InUse,
    /// Some of the messages are gone.
    ExpungeIssued,
    /// Something kept is damaged.
    Corruption,
    /// A bug of ours.
    ServerBug,
    /// The peer asks for what it can't have.
    Cannot,
    /// A bound of the server's.
    Limit,
    /// The account is full.
    OverQuota,
    /// The name is taken.
    AlreadyExists,
    /// There is no such folder.
    NonExistent,
    /// There is no such folder, but it can be made (RFC 3501 section 7.1).
    TryCreate,
    /// Too many octets (RFC 7889 section 4.2).
    TooBig,
    /// The charset is not known (RFC 3501 section 7.1).
    BadCharset,
    /// The server can't make this out (RFC 7888 names no other).
    ClientBug,
}

impl Code {
    /// As it stands in brackets.
    pub fn name(self) -> &'static str {
        match self {
            Code::Unavailable => "UNAVAILABLE",
            Code::AuthenticationFailed => "AUTHENTICATIONFAILED",
            Code::AuthorizationFailed => "AUTHORIZATIONFAILED",
            Code::PrivacyRequired => "PRIVACYREQUIRED",
            Code::ContactAdmin => "CONTACTADMIN",
            Code::NoPerm => "NOPERM",
            Code::InUse => "INUSE",
            Code::ExpungeIssued => "EXPUNGEISSUED",
            Code::Corruption => "CORRUPTION",
            Code::ServerBug => "SERVERBUG",
            Code::Cannot => "CANNOT",
            Code::Limit => "LIMIT",
            Code::OverQuota => "OVERQUOTA",
            Code::AlreadyExists => "ALREADYEXISTS",
            Code::NonExistent => "NONEXISTENT",
            Code::TryCreate => "TRYCREATE",
            Code::TooBig => "TOOBIG",
            Code::BadCharset => "BADCHARSET",
            Code::ClientBug => "CLIENTBUG",
        }
    }
}

/// A folder as an account lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: FolderName,
    /// False for a name that is only subscribed to.
    pub exists: bool,
    /// The account wants to see it by default.
    pub subscribed: bool,
}

/// What STATUS tells (RFC 3501 section 6.3.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// UIDs are good only together with this; never 0.
    pub uid_validity: u32,
    /// Greater than every UID ever given.
    pub uid_next: Uid,
    /// How many messages there are.
    pub messages: u64,
    /// How many are not `\Seen`.
    pub unseen: u64,
    /// How many no session took before.
    pub recent: u64,
}

/// A folder at the moment of its selection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// UIDs are good only together with this; never 0.
    pub uid_validity: u32,
    /// Greater than every UID ever given.
    pub uid_next: Uid,
    /// From here on [`Ask::Changes`] goes on.
    pub modseq: ModSeq,
    /// The messages.
    pub uids: UidSet,
    /// Those that no session took before.
    pub recent: UidSet,
    /// The first message that is not `\Seen`, where that was looked for.
    pub unseen: Option<Uid>,
    /// Keywords in use, as the folder knows them; may be empty.
    pub keywords: Vec<String>,
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
}

/// What must be looked up for each message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measure {
    /// Its number.
    pub uid: Uid,
    /// Its octets with CR LF line ends.
    pub octets: u64,
    /// INTERNALDATE.
    pub date: SystemTime,
}

/// The beginning of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its number.
    pub uid: Uid,
    /// Its first octets, with CR LF line ends; `None` when the message is gone, or when it can't be read and thus is not `whole`.
    pub octets: Option<Vec<u8>>,
    /// That is all of it.
    pub whole: bool,
}

/// What happened in the selected folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// Up to here all is told.
    pub modseq: ModSeq,
    /// Another than at the selection means that nothing known of the folder is true any more: the session ends.
    pub uid_validity: u32,
    /// Greater than every UID ever given.
    pub uid_next: Uid,
    /// Messages that came or whose flags changed; their rows say how.
    pub changed: UidSet,
    /// Those that came and that no session took before; where that can't be told, all that came.
    pub recent: UidSet,
    /// UIDs that are gone. It may name some that were gone before.
    pub vanished: UidSet,
}
