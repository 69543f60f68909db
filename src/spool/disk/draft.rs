//! A message on its way into the spool. A small one stays in memory until its envelope is known, and then is written
//! in one call; a large one goes to tmp/ as it comes.

use super::{
    super::{
        ONE_PLACE, TAKEN,
        claims::Due,
        format::{self, Fault, HEADER, Header},
    },
    DiskSpool,
    places::Place,
};
use crate::{
    mail::{
        draft::{Draft, Receipt},
        envelope::Envelope,
        id::{DeliveryKey, QueueId},
        verdict::Why,
    },
    sys::{clock::Clock, disk::NewFile, random},
};
use std::io::{self, Write};

/// Octets of a body that stay in memory.
const SMALL: usize = 32 * 1024;

/// A message being written into the spool.
#[derive(Debug)]
pub struct DiskDraft {
    spool: DiskSpool,
    small: Vec<u8>,
    large: Option<NewFile>,
}

impl DiskDraft {
    pub(super) fn new(spool: DiskSpool) -> DiskDraft {
        DiskDraft { spool, small: Vec::new(), large: None }
    }

    /// Moves a body that has grown large into a file. Its name only must be new: the id comes with the commit.
    fn spill(&mut self) -> io::Result<&mut NewFile> {
        if self.large.is_none() {
            let name = random::queue_id(&Clock::system());
            let mut file = self.spool.0.places.tmp.create(name.as_str())?;
            file.write_all(&[0; HEADER])?;
            file.write_all(&std::mem::take(&mut self.small))?;
            self.large = Some(file);
        }
        self.large.as_mut().ok_or_else(|| io::ErrorKind::Other.into())
    }

    fn keep(self, envelope: &Envelope, key: &DeliveryKey) -> Result<QueueId, Why> {
        let end = format::print_envelope(&key.id, envelope).map_err(|fault| match fault {
            Fault::Recipients => Why::new(5, 3, "too many recipients"),
            fault => Why::new(3, 0, format!("the message can't be spooled: {fault}")),
        })?;
        let packed = key.id.packed();
        let spool = self.spool.clone();
        {
            let mut table = spool.table();
            if table.claims.due(&packed).is_ok() {
                return if key.again { Ok(key.id.clone()) } else { Err(Why::new(3, 0, TAKEN)) };
            }
            if !table.coming.insert(packed) {
                return Err(Why::new(3, 0, TAKEN));
            }
        }
        let place = Place::new(packed, Due::of(&key.id));
        let made = self.write(&key.id, &end, &place);
        let mut table = spool.table();
        table.coming.remove(&packed);
        made.map_err(|fault| Why::local("spooling the message", &fault))?;
        table.claims.insert(packed, place.due);
        Ok(key.id.clone())
    }

    /// The durable sequence: write, sync, move into place, sync the directory.
    fn write(mut self, id: &QueueId, end: &[u8], place: &Place) -> io::Result<()> {
        let places = &self.spool.0.places;
        let mut file = match self.large.take() {
            Some(mut file) => {
                let length = file.len().saturating_sub(HEADER as u64);
                file.write_all(end)?;
                file.write_at(&Header { id: id.clone(), length }.print(), 0)?;
                file
            }
            None => {
                let mut file = places.tmp.create(id.as_str())?;
                file.write_all(&Header { id: id.clone(), length: self.small.len() as u64 }.print())?;
                file.write_all(&self.small)?;
                file.write_all(end)?;
                file
            }
        };
        file.sync()?;
        file.place(&places.queue, place.name())?;
        places.queue.sync().inspect_err(|_| {
            // Not acknowledged, so not to be delivered either. If this fails as well, the sender's next try is
            // the permitted duplicate.
            let _ = places.queue.remove(place.name());
        })
    }
}

impl Write for DiskDraft {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.write_all(octets)?;
        Ok(octets.len())
    }

    fn write_all(&mut self, octets: &[u8]) -> io::Result<()> {
        if self.large.is_none() && self.small.len().saturating_add(octets.len()) <= SMALL {
            self.small.extend_from_slice(octets);
            return Ok(());
        }
        self.spill()?.write_all(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Draft for DiskDraft {
    type Place = Envelope;
    type Receipt = DiskReceipt;

    fn seal(&mut self) -> io::Result<()> {
        // The envelope is not known yet, and shares the body's file and its one sync: only a large body has
        // something to begin with.
        self.large.as_mut().map_or(Ok(()), NewFile::start)
    }

    fn commit(self, places: Vec<Envelope>, key: &DeliveryKey) -> DiskReceipt {
        let mut places = places.into_iter();
        let first = places.next().map(|envelope| self.keep(&envelope, key));
        DiskReceipt(first.into_iter().chain(places.map(|_| Err(Why::new(3, 0, ONE_PLACE)))).collect())
    }
}

/// What became of a commit.
#[derive(Debug)]
pub struct DiskReceipt(Vec<Result<QueueId, Why>>);

impl Receipt for DiskReceipt {
    type Kept = QueueId;

    fn wait(self) -> Vec<Result<QueueId, Why>> {
        self.0
    }
}
