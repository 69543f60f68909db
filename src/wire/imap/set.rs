//! Sets of messages as a client names them (RFC 3501 section 9, `sequence-set`).

use super::token::{Bad, Tokens};
use std::ops::RangeInclusive;

/// The most ranges of a set that are taken.
pub const RANGES_MAX: usize = 20_000;

/// A set as it stands there: each range with its ends as given, `None` being `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequenceSet(Vec<(Option<u32>, Option<u32>)>);

impl SequenceSet {
    /// ```abnf
    /// sequence-set = (seq-number / seq-range) *("," sequence-set)
    /// seq-range    = seq-number ":" seq-number
    /// seq-number   = nz-number / "*"
    /// ```
    pub fn read(tokens: &mut Tokens) -> Result<SequenceSet, Bad> {
        let mut ranges = Vec::new();
        loop {
            let low = end(tokens)?;
            let high = if tokens.take(b':') { end(tokens)? } else { low };
            if ranges.len() >= RANGES_MAX {
                return Err(Bad("fewer ranges in a set"));
            }
            ranges.push((low, high));
            if !tokens.take(b',') {
                return Ok(SequenceSet(ranges));
            }
        }
    }

    /// The ranges, each with its lower end first; `last` is what `*` stands for, 0 where there is nothing.
    pub fn ranges(&self, last: u32) -> impl Iterator<Item = RangeInclusive<u32>> + '_ {
        self.0.iter().map(move |(one, other)| {
            let (one, other) = (one.unwrap_or(last), other.unwrap_or(last));
            one.min(other)..=one.max(other)
        })
    }
}

/// `seq-number`
fn end(tokens: &mut Tokens) -> Result<Option<u32>, Bad> {
    match tokens.take(b'*') {
        true => Ok(None),
        false => tokens.nz_number().map(Some).map_err(|_| Bad("a message number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Vec<RangeInclusive<u32>>> {
        let mut tokens = Tokens::new(text.as_bytes());
        let set = SequenceSet::read(&mut tokens).ok()?;
        tokens.end().ok()?;
        Some(set.ranges(10).collect())
    }

    #[test]
    fn sets_of_the_rfc_are_read() {
        // The examples of RFC 3501 section 9.
        assert_eq!(read("2,4:7,9,12:*"), Some(vec![2..=2, 4..=7, 9..=9, 10..=12]));
        assert_eq!(read("*:4,5:7"), Some(vec![4..=10, 5..=7]));
        assert_eq!(read("*"), Some(vec![10..=10]));
        assert_eq!(read("4294967295:1"), Some(vec![1..=u32::MAX]));
        for bad in ["", "0", "1:", ":1", "1,", ",1", "1:2:3", "a", "1 2", "4294967296", "1,,2", "-1", "**"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_set_without_end_is_refused() {
        let most = vec!["1"; RANGES_MAX].join(",");
        assert!(read(&most).is_some());
        assert!(read(&(most + ",1")).is_none());
    }
}
