//! The beginnings of messages, several at once: most are small, and read together they cost little.

use crate::{
    mail::{folder::FolderName, query::Uid},
    store::{Fault, Home, Store},
};
use std::io::{self, BufRead};

/// The beginning of a message.
pub(super) struct Head {
    pub(super) uid: Uid,
    /// `None` when it is gone.
    pub(super) octets: Option<Vec<u8>>,
    /// There is no more of it.
    pub(super) whole: bool,
}

/// Reads the beginnings of messages, `most` octets of each, until there are `total` octets of them or more.
pub(super) fn heads<S: Store>(
    (store, home, folder): (&S, &Home, &FolderName),
    uids: &[Uid],
    most: usize,
    total: usize,
) -> Result<Vec<Head>, Fault> {
    let (mut heads, mut sum) = (Vec::new(), 0_usize);
    // One octet more tells whether it is all of a message.
    let range = 0..(most as u64).saturating_add(1);
    store.read_each(home, folder, uids, range, &mut |uid, from| {
        let (mut octets, mut whole) = (None, true);
        if let Some(mut from) = from {
            let mut head = Vec::new();
            fill(&mut from, most, &mut head)?;
            whole = head.len() < most || from.fill_buf()?.is_empty();
            sum = sum.saturating_add(head.len());
            octets = Some(head);
        }
        heads.push(Head { uid, octets, whole });
        Ok(sum < total)
    })?;
    Ok(heads)
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
