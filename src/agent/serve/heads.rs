//! The beginnings of messages, several at once: most are small, and read together they cost little.

use crate::{
    mail::{folder::FolderName, query::Uid},
    store::{Fault, Home, Store},
};
use std::{
    collections::VecDeque,
    io::{self, BufRead},
};

/// The beginning of a message.
pub(super) struct Head {
    pub(super) uid: Uid,
    /// `None` when there is no such message any more, or when it can't be read and thus is not `whole`.
    pub(super) octets: Option<Vec<u8>>,
    /// There is no more of it.
    pub(super) whole: bool,
}

/// What was read of several messages.
pub(super) struct Heads<O> {
    pub(super) heads: VecDeque<Head>,
    /// The octets behind the last of them, where there are any: the file stays open, whatever becomes of its name.
    pub(super) rest: Option<O>,
    /// Why the last of them can't be read.
    pub(super) fault: Option<Fault>,
}

impl<O> Default for Heads<O> {
    fn default() -> Heads<O> {
        Heads { heads: VecDeque::new(), rest: None, fault: None }
    }
}

impl<O> Heads<O> {
    /// The first of them, with what belongs to it.
    pub(super) fn take(&mut self) -> (Option<Head>, Option<O>, Option<Fault>) {
        let head = self.heads.pop_front();
        match self.heads.is_empty() {
            true => (head, self.rest.take(), self.fault.take()),
            false => (head, None, None),
        }
    }
}

/// Reads the beginnings of messages, `most` octets of each, until there are `total` octets of them or more, or one is longer, or
/// can't be read. There is at least one.
pub(super) fn heads<S: Store>(
    (store, home, folder): (&S, &Home, &FolderName),
    uids: &[Uid],
    most: usize,
    total: usize,
) -> Result<Heads<S::Octets>, Fault> {
    let mut read = Heads::default();
    let mut sum = 0_usize;
    store.read_each(home, folder, uids, &mut |uid, from| {
        let (octets, rest) = match from.and_then(|from| from.map(|from| begin(from, most)).transpose()) {
            Ok(Some((octets, rest))) => (Some(octets), rest),
            Ok(None) => (None, None),
            // It will be the first the next time.
            Err(_) if !read.heads.is_empty() => return Ok(false),
            Err(fault) => {
                read.heads.push_back(Head { uid, octets: None, whole: false });
                read.fault = Some(fault.into());
                return Ok(false);
            }
        };
        sum = sum.saturating_add(octets.as_ref().map_or(0, Vec::len));
        let whole = rest.is_none();
        read.heads.push_back(Head { uid, octets, whole });
        read.rest = rest;
        Ok(sum < total && whole)
    })?;
    Ok(read)
}

/// The first octets, and what is behind them.
fn begin<R: BufRead>(mut from: R, most: usize) -> io::Result<(Vec<u8>, Option<R>)> {
    let mut head = Vec::new();
    fill(&mut from, most, &mut head)?;
    let whole = head.len() < most || from.fill_buf()?.is_empty();
    Ok((head, (!whole).then_some(from)))
}

/// Puts octets into a buffer until it holds `most`, or there are no more.
pub(super) fn fill(from: &mut impl BufRead, most: usize, into: &mut Vec<u8>) -> io::Result<()> {
    while let Some(room) = most.checked_sub(into.len()).filter(|room| *room > 0) {
        let ready = from.fill_buf()?;
        let taken = ready.len().min(room);
        if taken == 0 {
            break;
        }
        into.extend_from_slice(ready.get(..taken).unwrap_or_default());
        from.consume(taken);
    }
    Ok(())
}
