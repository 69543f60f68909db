//! How messages are read: an open one is kept, since a session asks from front to back; and so are outlines, since clients look at one
//! part after the other.

use crate::{
    agent::serve::heads,
    mail::{
        folder::FolderName,
        outline::Outline,
        query::{Uid, UidSet},
    },
    store::{Fault, Home, Measure, Store},
    wire::imap::server::{HEAD, HEADS, Head},
};
use std::{collections::VecDeque, ops::Range};

/// Outlines that are kept,
const OUTLINES: usize = 16;
/// of no more parts than this.
const PARTS: usize = 64;

/// A message that is open.
pub(super) struct Opened<S: Store> {
    uid: Uid,
    /// Its next octet.
    at: u64,
    octets: S::Octets,
}

/// The message, where more of it may follow; and the octets, where it is there.
type Piece<S> = (Option<Opened<S>>, Option<Vec<u8>>);

/// Reads octets of a message, which stays open behind them; `None` when it is gone.
pub(super) fn read<S: Store>(
    (store, home, folder): (&S, &Home, &FolderName),
    kept: Option<Opened<S>>,
    uid: Uid,
    range: Range<u64>,
) -> Result<Piece<S>, Fault> {
    let kept = kept.filter(|kept| kept.uid == uid && kept.at == range.start);
    let mut opened = match kept {
        Some(kept) => kept,
        None => match store.read(home, folder, uid, range.start..u64::MAX) {
            Ok(octets) => Opened { uid, at: range.start, octets },
            Err(Fault::NoMessage) => return Ok((None, None)),
            Err(fault) => return Err(fault),
        },
    };
    let most = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(HEAD).min(HEAD);
    let mut octets = Vec::new();
    heads::fill(&mut opened.octets, most, &mut octets)?;
    opened.at = opened.at.saturating_add(octets.len() as u64);
    let more = octets.len() == most;
    Ok((more.then_some(opened), Some(octets)))
}

/// The beginnings of messages; the last one, open where there is more of it; and why one could not be read.
type Heads<S> = (Vec<Head>, Option<Opened<S>>, Option<Fault>);

/// Reads the beginnings of messages, until there are [`HEADS`] octets of them.
pub(super) fn heads<S: Store>(
    at: (&S, &Home, &FolderName),
    uids: &[Uid],
    most: usize,
) -> Result<Heads<S>, Fault> {
    let read = heads::heads(at, uids, most, HEADS)?;
    let head = |heads::Head { uid, octets, whole }| Head { uid, octets, whole };
    let opened = read.heads.back().and_then(|last| {
        let at = last.octets.as_ref()?.len() as u64;
        Some((last.uid, at))
    });
    let opened = opened.zip(read.rest).map(|((uid, at), octets)| Opened { uid, at, octets });
    Ok((read.heads.into_iter().map(head).collect(), opened, read.fault))
}

/// An outline, and what the message measured when it was read.
#[derive(Clone)]
pub(super) struct Outlined {
    measure: Measure,
    pub(super) outline: Outline,
}

/// Reads the parts of a message, unless they are `known` and it did not change since; `None` when it is gone.
pub(super) fn outline<S: Store>(
    (store, home, folder): (&S, &Home, &FolderName),
    known: Option<Outlined>,
    uid: Uid,
) -> Result<Option<Outlined>, Fault> {
    let measures = store.measures(home, folder, &UidSet::new([uid..=uid]), 1)?;
    let Some(measure) = measures.into_iter().next() else { return Ok(None) };
    if let Some(known) = known.filter(|known| known.measure == measure) {
        return Ok(Some(known));
    }
    match store.read(home, folder, uid, 0..u64::MAX) {
        Ok(octets) => Ok(Some(Outlined { measure, outline: Outline::read(octets)? })),
        Err(Fault::NoMessage) => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// The outlines that were asked for last.
#[derive(Default)]
pub(super) struct Outlines(VecDeque<Outlined>);

impl Outlines {
    /// One that is kept.
    pub(super) fn get(&self, uid: Uid) -> Option<Outlined> {
        self.0.iter().find(|known| known.measure.uid == uid).cloned()
    }

    /// Keeps one, if it is not too large.
    pub(super) fn keep(&mut self, outlined: &Outlined) {
        if outlined.outline.parts.len() > PARTS {
            return;
        }
        self.0.retain(|known| known.measure.uid != outlined.measure.uid);
        if self.0.len() >= OUTLINES {
            self.0.pop_front();
        }
        self.0.push_back(outlined.clone());
    }
}
