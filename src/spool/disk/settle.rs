//! Outcomes, written down. The journal is synced only for an outcome that a second attempt would repeat; the last
//! one is the file's removal and needs no line.

use super::{
    super::{
        Lease, Next,
        claims::{self, Due},
        format::{self, TRIES_MAX},
    },
    Grasp, PAUSE, entry,
};
use crate::mail::verdict::Verdict;
use std::io;

type Outcome = (usize, Verdict);

pub(super) fn record(grasp: Grasp<'_>, lease: &Lease, verdicts: &[Outcome]) -> io::Result<()> {
    let (news, _) = apply(&grasp, lease, verdicts)?;
    write(&grasp, news)
}

pub(super) fn settle(
    mut grasp: Grasp<'_>,
    lease: &Lease,
    verdicts: &[Outcome],
    next: Next,
) -> io::Result<()> {
    let (news, waiting) = apply(&grasp, lease, verdicts)?;
    let due = match next {
        Next::At(time) => Due::not_before(time),
        Next::Hold => Due::HELD,
    };
    let outcome = if waiting {
        write(&grasp, news)
    } else {
        match grasp.remove() {
            Ok(()) => return Ok(()),
            Err(fault) => {
                keep_unwritten(&grasp, &news);
                Err(fault)
            }
        }
    };
    // What a person held meanwhile stays held.
    let moved = match grasp.place.due {
        Due::HELD => Ok(()),
        _ if due == Due::HELD => grasp.hold(),
        _ => grasp.set_due(due),
    };
    if let Err(fault) = moved {
        // The name says that it is due now, but it must rest: the lease goes on until then.
        let until = due.time().or(claims::after(lease.until, PAUSE).ok()).unwrap_or(lease.until);
        grasp.spool.table().claims.renew(&grasp.key, lease.fence, until)?;
        return outcome.and(Err(fault));
    }
    grasp.spool.table().claims.give_back(&grasp.key);
    outcome
}

/// Checks the lease, and counts the outcomes: those that are new, and whether anybody still waits.
fn apply(grasp: &Grasp<'_>, lease: &Lease, verdicts: &[Outcome]) -> io::Result<(Vec<Outcome>, bool)> {
    let mut table = grasp.spool.table();
    table.claims.check(&grasp.key, lease.fence)?;
    let tries = table.tries.get_mut(&grasp.key).ok_or_else(|| claims::missing(&grasp.key))?;
    if verdicts.iter().any(|(to, _)| *to >= tries.len()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "an outcome for no recipient"));
    }
    let mut news = Vec::new();
    for (to, verdict) in verdicts {
        let Some(slot) = tries.get_mut(*to) else { continue };
        match (*slot, verdict) {
            (None, _) => continue,
            (Some(tried), Verdict::Later(_)) => {
                *slot = Some(tried.saturating_add(1));
                if tried >= TRIES_MAX {
                    continue;
                }
            }
            (Some(_), _) => *slot = None,
        }
        news.push((*to, verdict.clone()));
    }
    Ok((news, tries.iter().any(Option::is_some)))
}

/// Appends outcomes to the journal, those before them that could not be written first.
fn write(grasp: &Grasp<'_>, news: Vec<Outcome>) -> io::Result<()> {
    let mut lines = Vec::new();
    let (before, doubtful) = {
        let mut table = grasp.spool.table();
        (table.unwritten.remove(&grasp.key).unwrap_or_default(), table.doubtful.contains(&grasp.key))
    };
    let news: Vec<Outcome> = before.into_iter().chain(news).collect();
    for (to, verdict) in &news {
        format::print_outcome(*to, verdict, &mut lines).map_err(entry::unreadable)?;
    }
    if lines.is_empty() {
        return Ok(());
    }
    let lasting = news.iter().any(|(_, verdict)| !matches!(verdict, Verdict::Later(_)));
    let appended = append(grasp, &lines, doubtful, lasting);
    if appended.is_err() {
        keep_unwritten(grasp, &news);
    }
    appended
}

fn append(grasp: &Grasp<'_>, lines: &[u8], doubtful: bool, lasting: bool) -> io::Result<()> {
    let places = &grasp.spool.0.places;
    let journal = grasp.place.dir(places).grow_on(grasp.place.name())?;
    if doubtful {
        let found = entry::read(places, &grasp.place).map_err(entry::unreadable)?;
        if found.torn {
            journal.cut(found.whole)?;
        }
        grasp.spool.table().doubtful.remove(&grasp.key);
    }
    journal.append(lines).and_then(|()| if lasting { journal.sync() } else { Ok(()) })
}

/// Lets outcomes hold in memory, and lets nobody append to a line that may be torn.
fn keep_unwritten(grasp: &Grasp<'_>, news: &[Outcome]) {
    let mut table = grasp.spool.table();
    table.unwritten.entry(grasp.key).or_default().extend_from_slice(news);
    table.doubtful.insert(grasp.key);
}
