//! A look at a spool from outside, for when its daemon is down. It takes no lock and changes nothing.

use super::{
    super::{
        Entry,
        claims::{Claims, missing},
    },
    entry::{self, Octets},
    places::{Place, Places},
};
use crate::mail::id::QueueId;
use std::{io, path::Path};

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

    /// As [`super::super::Spool::list`].
    pub fn list(&self, after: Option<&QueueId>, most: usize) -> io::Result<Vec<Entry>> {
        let page = self.claims.page(after.map(QueueId::packed), most);
        let read = |(key, due)| entry::read(&self.places, &Place::new(key, due)).ok();
        Ok(page.into_iter().filter_map(read).map(|found| found.entry).collect())
    }

    /// As [`super::super::Spool::entry`].
    pub fn entry(&self, id: &QueueId) -> io::Result<Entry> {
        let found = entry::read(&self.places, &self.place(id)?).map_err(entry::unreadable)?;
        Ok(found.entry)
    }

    /// As [`super::super::Spool::read`], the whole message.
    pub fn read(&self, id: &QueueId) -> io::Result<Octets> {
        Octets::open(&self.places, &self.place(id)?, 0..u64::MAX)
    }

    fn place(&self, id: &QueueId) -> io::Result<Place> {
        let key = id.packed();
        self.claims.due(&key).map(|due| Place::new(key, due)).map_err(|_| missing(&key))
    }
}
