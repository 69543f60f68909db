//! A spool in memory: for tests and trials. It keeps every promise but durability.

use super::{
    Entry, Lease, Look, Next, Spool, Standing,
    claims::{self, Claims, Due, Key},
    format::RECIPIENTS_MAX,
};
use crate::mail::{
    draft::{Draft, Receipt},
    envelope::Envelope,
    id::{DeliveryKey, QueueId},
    verdict::{Verdict, Why},
};
use std::{
    collections::HashMap,
    io::{self, Write},
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

/// A spool that ends with its process.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    claims: Claims,
    messages: HashMap<Key, Message>,
}

#[derive(Debug)]
struct Message {
    envelope: Envelope,
    standing: Vec<Standing>,
    octets: Arc<Vec<u8>>,
}

impl Memory {
    /// An empty spool.
    pub fn new() -> Memory {
        Memory::default()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn entry(&self, key: &Key) -> io::Result<Entry> {
        let message = self.messages.get(key).ok_or_else(|| claims::missing(key))?;
        let id = QueueId::unpacked(*key);
        Ok(Entry {
            arrived: claims::after(SystemTime::UNIX_EPOCH, Duration::from_micros(id.micros()))?,
            id,
            envelope: message.envelope.clone(),
            standing: message.standing.clone(),
            size: message.octets.len() as u64,
            due: self.claims.due(key)?.time(),
        })
    }

    fn record(&mut self, key: &Key, fence: u64, verdicts: &[(usize, Verdict)]) -> io::Result<bool> {
        self.claims.check(key, fence)?;
        let message = self.messages.get_mut(key).ok_or_else(|| claims::missing(key))?;
        if verdicts.iter().any(|(to, _)| *to >= message.standing.len()) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "an outcome for no recipient"));
        }
        for (to, verdict) in verdicts {
            if let Some(standing) = message.standing.get_mut(*to) {
                standing.apply(verdict);
            }
        }
        Ok(message.standing.iter().any(Standing::is_waiting))
    }

    fn remove(&mut self, key: &Key) {
        self.claims.remove(key);
        self.messages.remove(key);
    }
}

impl Look for Memory {
    type Octets = Octets;

    fn read(&self, id: &QueueId, range: Range<u64>) -> io::Result<Octets> {
        let key = id.packed();
        let octets = self.table().messages.get(&key).ok_or_else(|| claims::missing(&key))?.octets.clone();
        let within = |place: u64| usize::try_from(place).unwrap_or(usize::MAX).min(octets.len());
        Ok(Octets { at: within(range.start), end: within(range.end), octets })
    }

    fn entry(&self, id: &QueueId) -> io::Result<Entry> {
        self.table().entry(&id.packed())
    }

    fn list(&self, after: Option<&QueueId>, most: usize) -> io::Result<Vec<Entry>> {
        let table = self.table();
        let page = table.claims.page(after.map(QueueId::packed), most);
        page.iter().map(|(key, _)| table.entry(key)).collect()
    }
}

impl Spool for Memory {
    type Draft = MemoryDraft;

    fn draft(&self) -> io::Result<MemoryDraft> {
        Ok(MemoryDraft { spool: self.clone(), octets: Vec::new() })
    }

    fn claim(&self, now: SystemTime, lease: Duration, most: usize) -> io::Result<Vec<Lease>> {
        let mut table = self.table();
        let until = claims::after(now, lease)?;
        let mut leases = Vec::new();
        while leases.len() < most {
            let Some((key, fence)) = table.claims.take(now, until) else { break };
            leases.push(Lease { entry: table.entry(&key)?, fence, until });
        }
        Ok(leases)
    }

    fn next_due(&self) -> Option<SystemTime> {
        self.table().claims.next()
    }

    fn renew(&self, lease: &mut Lease, now: SystemTime, by: Duration) -> io::Result<()> {
        let until = claims::after(now, by)?;
        self.table().claims.renew(&lease.entry.id.packed(), lease.fence, until)?;
        lease.until = until;
        Ok(())
    }

    fn record(&self, lease: &Lease, verdicts: &[(usize, Verdict)]) -> io::Result<()> {
        self.table().record(&lease.entry.id.packed(), lease.fence, verdicts).map(|_| ())
    }

    fn settle(&self, lease: Lease, verdicts: &[(usize, Verdict)], next: Next) -> io::Result<()> {
        let mut table = self.table();
        let key = lease.entry.id.packed();
        if !table.record(&key, lease.fence, verdicts)? {
            table.remove(&key);
            return Ok(());
        }
        if table.claims.due(&key)? != Due::HELD {
            let due = match next {
                Next::At(time) => Due::not_before(time),
                Next::Hold => Due::HELD,
            };
            table.claims.set_due(&key, due)?;
        }
        table.claims.give_back(&key);
        Ok(())
    }

    fn hold(&self, id: &QueueId) -> io::Result<()> {
        self.table().claims.set_due(&id.packed(), Due::HELD)
    }

    fn release(&self, id: &QueueId, now: SystemTime) -> io::Result<()> {
        self.table().claims.set_due(&id.packed(), Due::by(now))
    }

    fn remove(&self, id: &QueueId) -> io::Result<()> {
        let mut table = self.table();
        let key = id.packed();
        table.claims.due(&key)?;
        if table.claims.is_claimed(&key) {
            return Err(claims::busy(&key));
        }
        table.remove(&key);
        Ok(())
    }
}

/// The octets of a message in memory.
#[derive(Debug)]
pub struct Octets {
    octets: Arc<Vec<u8>>,
    at: usize,
    end: usize,
}

impl io::Read for Octets {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut rest = self.octets.get(self.at..self.end).unwrap_or_default();
        let read = io::Read::read(&mut rest, into)?;
        self.at = self.at.saturating_add(read);
        Ok(read)
    }
}

/// A message being written into memory.
#[derive(Debug)]
pub struct MemoryDraft {
    spool: Memory,
    octets: Vec<u8>,
}

impl Write for MemoryDraft {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.octets.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Draft for MemoryDraft {
    type Place = Envelope;
    type Receipt = MemoryReceipt;

    fn seal(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn commit(self, places: Vec<Envelope>, key: &DeliveryKey) -> MemoryReceipt {
        let octets = Arc::new(self.octets);
        let mut table = self.spool.table();
        let keep = |(place, envelope): (usize, Envelope)| {
            let fault = match envelope.recipients.len() {
                _ if place > 0 => Some(Why::new(3, 0, super::ONE_PLACE)),
                0 => Some(Why::new(3, 0, "a message without recipients")),
                many if many > RECIPIENTS_MAX => Some(Why::new(5, 3, "too many recipients")),
                _ if key.again && table.messages.contains_key(&key.id.packed()) => return Ok(key.id.clone()),
                _ => None,
            };
            let packed = key.id.packed();
            match fault {
                Some(fault) => return Err(fault),
                None if table.claims.insert(packed, Due::of(&key.id)) => {}
                None => return Err(Why::new(3, 0, super::TAKEN)),
            }
            let standing = vec![Standing::Waiting { tries: 0, why: None }; envelope.recipients.len()];
            table.messages.insert(packed, Message { envelope, standing, octets: octets.clone() });
            Ok(key.id.clone())
        };
        MemoryReceipt(places.into_iter().enumerate().map(keep).collect())
    }
}

/// What became of a commit.
#[derive(Debug)]
pub struct MemoryReceipt(Vec<Result<QueueId, Why>>);

impl Receipt for MemoryReceipt {
    type Kept = QueueId;

    fn wait(self) -> Vec<Result<QueueId, Why>> {
        self.0
    }
}
