//! Names that follow a message from SMTP to Maildir.

use std::fmt;

/// The alphabet of ids: digits and lower-case letters without i, l, o, u (they are misread), in ASCII
/// order, so that ids of the same length sort by time as text.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Names one message in the spool, in logs and in Received fields: 16 characters of [`ALPHABET`],
/// 11 of time (microseconds since 1970) and 5 of randomness. Ids sort by time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueId(String);

impl QueueId {
    /// The id of a message that arrived `micros` microseconds after 1970; `salt` tells apart those of one
    /// microsecond (its low 25 bits count).
    pub fn new(micros: u64, salt: u32) -> QueueId {
        let digit = |value: u64, place: u32| {
            let at = (value >> (5 * place)) & 31;
            ALPHABET.get(at as usize).map_or('0', |&octet| octet as char)
        };
        let time = (0..11).rev().map(|place| digit(micros, place));
        let tail = (0..5).rev().map(|place| digit(u64::from(salt), place));
        QueueId(time.chain(tail).collect())
    }

    /// Takes an id from untrusted text; `None` unless it is 16 characters of the alphabet.
    pub fn parse(text: &str) -> Option<QueueId> {
        (text.len() == 16 && text.bytes().all(|octet| ALPHABET.contains(&octet)))
            .then(|| QueueId(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id in 10 octets that sort as the ids do: for tables that hold a million of them.
    pub fn packed(&self) -> [u8; 10] {
        let value = self.0.bytes().fold(0u128, |sum, octet| {
            (sum << 5) | ALPHABET.iter().position(|&known| known == octet).unwrap_or(0) as u128
        });
        let [_, _, _, _, _, _, packed @ ..] = value.to_be_bytes();
        packed
    }

    /// The id that was packed so.
    pub fn unpacked(packed: [u8; 10]) -> QueueId {
        let [a, b, c, d, e, f, g, h, i, j] = packed;
        let value = u128::from_be_bytes([0, 0, 0, 0, 0, 0, a, b, c, d, e, f, g, h, i, j]);
        QueueId::new((value >> 25) as u64, (value & 0x1ff_ffff) as u32)
    }

    /// When the message arrived, in microseconds since 1970.
    pub fn micros(&self) -> u64 {
        self.0.bytes().take(11).fold(0, |sum, octet| {
            (sum << 5) | ALPHABET.iter().position(|&known| known == octet).unwrap_or(0) as u64
        })
    }
}

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Makes a commit safe to repeat: the queue id and a short hash of the recipient. On Maildir it is the
/// base name's middle, in a database a unique column.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DeliveryKey {
    /// The message.
    pub id: QueueId,
    /// Which of its copies: a hash of the recipient; 0 where there is only one.
    pub copy: u32,
    /// True when an earlier commit with this key may have succeeded, so that the store must look for its
    /// copy (a listing) before it makes another.
    pub again: bool,
}

impl DeliveryKey {
    /// The only copy of a message that was never tried before.
    pub fn first(id: QueueId) -> DeliveryKey {
        DeliveryKey { id, copy: 0, again: false }
    }

    /// The copy for `recipient` (any spelling that is the same at each try).
    pub fn copy_for(id: QueueId, recipient: &str, again: bool) -> DeliveryKey {
        // FNV-1a: stable across versions and machines, which a std hasher does not promise.
        let copy = recipient
            .bytes()
            .fold(0x811c_9dc5_u32, |hash, octet| (hash ^ u32::from(octet)).wrapping_mul(0x0100_0193));
        DeliveryKey { id, copy, again }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_keep_their_time_and_sort_by_it() {
        let early = QueueId::new(1_795_000_000_000_000, 7);
        let late = QueueId::new(1_795_000_000_000_001, 0);
        assert!(early < late);
        assert_eq!(early.micros(), 1_795_000_000_000_000);
        assert!(early.packed() < late.packed());
        assert_eq!(QueueId::unpacked(early.packed()), early);
        assert_eq!(QueueId::parse(early.as_str()), Some(early));
        for bad in ["", "0123456789abcdeu", "0123456789abcdef0", "../../etc/passwd"] {
            assert_eq!(QueueId::parse(bad), None, "{bad}");
        }
    }
}
