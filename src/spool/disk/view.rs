//! A look at a spool from outside, for when its daemon is down. It takes no lock and changes nothing.

use super::{
    super::{Entry, Look, claims::Claims},
    entry::{self, Octets},
    places::{Place, Places},
};
use crate::mail::id::QueueId;
use std::{io, ops::Range, path::Path};

/// What stood in a spool when it was looked at.
#[derive(Debug)]
pub struct View {
    places: Places,
    claims: Claims,
}

impl View {
    /// Looks at the spool in the directory `path`.
    pub fn open(path: &Path) -> io::Result<View> {
        let places = Places::look(path)?;
        let mut claims = Claims::default();
        for name in places.held.names()? {
            if let Some(place) = Place::held(&name?) {
                claims.insert(place.key, place.due);
            }
        }
        for name in places.queue.names()? {
            if let Some(place) = Place::waiting(&name?) {
                claims.insert(place.key, place.due);
            }
        }
        Ok(View { places, claims })
    }

    fn place(&self, id: &QueueId) -> io::Result<Place> {
        let key = id.packed();
        self.claims.due(&key).map(|due| Place::new(key, due))
    }
}

impl Look for View {
    type Octets = Octets;

    fn read(&self, id: &QueueId, range: Range<u64>) -> io::Result<Octets> {
        Octets::open(&self.places, &self.place(id)?, range)
    }

    fn entry(&self, id: &QueueId) -> io::Result<Entry> {
        let found = entry::read(&self.places, &self.place(id)?).map_err(entry::unreadable)?;
        Ok(found.entry)
    }

    fn list(&self, after: Option<&QueueId>, most: usize) -> io::Result<Vec<Entry>> {
        let mut after = after.map(QueueId::packed);
        let mut entries = Vec::new();
        while entries.len() < most {
            let page = self.claims.page(after, most.saturating_sub(entries.len()));
            let Some((last, _)) = page.last() else { break };
            after = Some(*last);
            let read = |(key, due)| entry::read(&self.places, &Place::new(key, due)).ok();
            entries.extend(page.into_iter().filter_map(read).map(|found| found.entry));
        }
        Ok(entries)
    }
}
