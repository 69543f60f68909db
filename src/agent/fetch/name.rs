//! What a message is called where it comes from, and the key of its copy that is derived from it.

use crate::mail::{
    id::{DeliveryKey, QueueId},
    query::Uid,
};
use std::{fmt, sync::Arc};

/// A message's name in a folder of the source.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Name {
    /// IMAP's UID, good together with UIDVALIDITY.
    Uid(Uid),
    /// POP3's UIDL: printable ASCII without spaces.
    Uidl(Arc<str>),
}

impl Name {
    /// The UID, where it is one.
    pub fn uid(&self) -> Option<Uid> {
        match self {
            Name::Uid(uid) => Some(*uid),
            Name::Uidl(_) => None,
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Uid(uid) => uid.fmt(f),
            Name::Uidl(name) => name.fmt(f),
        }
    }
}

/// The key of the copy that a fetch makes at `micros`, which was noted before: `again` when an earlier run noted it, so
/// that its copy may be there. No two messages have the same: each has a moment of its own, and what it is called where.
pub fn key(source: &str, folder: &str, validity: u32, name: &Name, micros: u64, again: bool) -> DeliveryKey {
    // FNV-1a of 64 bits: the same on every machine and in every version.
    let text = format!("{source}\n{folder}\n{validity}\n{name}");
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    DeliveryKey { id: QueueId::new(micros, hash as u32), copy: (hash >> 32) as u32, again }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_at_each_try_and_no_other_message_has_it() {
        let one = key("imaps://a", "INBOX", 1, &Name::Uid(7), 1_795_000_000_000_000, false);
        assert_eq!(one, key("imaps://a", "INBOX", 1, &Name::Uid(7), 1_795_000_000_000_000, false));
        for other in [
            key("imaps://b", "INBOX", 1, &Name::Uid(7), 1_795_000_000_000_000, false),
            key("imaps://a", "Sent", 1, &Name::Uid(7), 1_795_000_000_000_000, false),
            key("imaps://a", "INBOX", 2, &Name::Uid(7), 1_795_000_000_000_000, false),
            key("imaps://a", "INBOX", 1, &Name::Uid(8), 1_795_000_000_000_000, false),
            key("imaps://a", "INBOX", 1, &Name::Uid(7), 1_795_000_000_000_001, false),
        ] {
            assert_ne!((&one.id, one.copy), (&other.id, other.copy));
        }
    }
}
