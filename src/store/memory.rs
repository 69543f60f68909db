//! What is kept, in memory: for tests, and as the plain statement of what the seam means.

use super::{Home, Kept, LineEnds, Listed, Place, Store};
use crate::{
    mail::{
        draft::{Draft, Receipt},
        flags::Flags,
        folder::FolderName,
        id::{DeliveryKey, QueueId},
        verdict::Why,
    },
    sys::clock::Clock,
};
use std::{
    collections::BTreeMap,
    io::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

/// Accounts and their folders. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    clock: Clock,
    homes: Mutex<BTreeMap<String, Folders>>,
}

type Folders = BTreeMap<FolderName, Vec<Message>>;

/// A message as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its key.
    pub key: (QueueId, u32),
    /// Its octets as a file has them.
    pub octets: Vec<u8>,
    /// Its flags.
    pub flags: Flags,
    /// INTERNALDATE.
    pub date: SystemTime,
}

impl Memory {
    /// Nothing yet.
    pub fn new(clock: Clock) -> Memory {
        Memory(Arc::new(Inner { clock, homes: Mutex::default() }))
    }

    /// The messages of a folder; `None` when there is no such folder.
    pub fn messages(&self, home: &Home, folder: &FolderName) -> Option<Vec<Message>> {
        self.homes().get(&home.location)?.get(folder).cloned()
    }

    fn homes(&self) -> MutexGuard<'_, BTreeMap<String, Folders>> {
        self.0.homes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Memory {
    type Draft = MemoryDraft;

    fn draft(&self, home: &Home, ends: LineEnds) -> io::Result<MemoryDraft> {
        Ok(MemoryDraft { memory: self.clone(), home: home.clone(), ends, octets: Vec::new(), sealed: false })
    }

    fn usage(&self, home: &Home) -> io::Result<u64> {
        let homes = self.homes();
        let messages = homes.get(&home.location).into_iter().flat_map(BTreeMap::values).flatten();
        Ok(messages.map(|message| message.octets.len() as u64).sum())
    }

    fn folders(&self, home: &Home) -> io::Result<Vec<Listed>> {
        let mut names = std::collections::BTreeSet::from([FolderName::inbox()]);
        names.extend(self.homes().get(&home.location).into_iter().flat_map(BTreeMap::keys).cloned());
        let listed = |name: FolderName| Listed { exists: true, subscribed: !name.is_inbox(), name };
        Ok(names.into_iter().map(listed).collect())
    }
}

/// A message being written.
#[derive(Debug)]
pub struct MemoryDraft {
    memory: Memory,
    home: Home,
    ends: LineEnds,
    octets: Vec<u8>,
    sealed: bool,
}

impl Write for MemoryDraft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.sealed {
            return Err(io::Error::other("the draft is sealed"));
        }
        self.octets.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Draft for MemoryDraft {
    type Place = Place;
    type Receipt = MemoryReceipt;

    fn seal(&mut self) -> io::Result<()> {
        self.sealed = true;
        Ok(())
    }

    fn commit(self, places: Vec<Place>, key: &DeliveryKey) -> MemoryReceipt {
        let date = places.iter().find_map(|place| place.date).unwrap_or_else(|| self.memory.0.clock.now());
        let octets = match self.ends {
            LineEnds::AsGiven => self.octets,
            LineEnds::Unknown if has_bare_lf(&self.octets) => self.octets,
            LineEnds::Unknown | LineEnds::Wire => stored(&self.octets),
        };
        let mut homes = self.memory.homes();
        let folders = homes.entry(self.home.location).or_default();
        let mut kept = Vec::with_capacity(places.len());
        for place in places {
            let messages = folders.entry(place.folder).or_default();
            let name = (key.id.clone(), key.copy);
            let already = messages.iter().any(|message| message.key == name);
            if !already {
                messages.push(Message { key: name, octets: octets.clone(), flags: place.flags, date });
            }
            kept.push(Ok(Kept { id: key.id.clone(), already }));
        }
        MemoryReceipt(kept)
    }
}

fn has_bare_lf(octets: &[u8]) -> bool {
    let lines = octets.split_inclusive(|&octet| octet == b'\n');
    lines.filter(|line| line.ends_with(b"\n")).any(|line| !line.ends_with(b"\r\n"))
}

/// CR LF as LF, but CR CR LF as it is: its LF would read as CR LF.
fn stored(octets: &[u8]) -> Vec<u8> {
    let lines = octets.split_inclusive(|&octet| octet == b'\n');
    let lines = lines.map(|line| match line.strip_suffix(b"\r\n") {
        Some(content) if !content.ends_with(b"\r") => [content, b"\n"].concat(),
        _ => line.to_vec(),
    });
    lines.collect::<Vec<_>>().concat()
}

/// The answer, which was known at once.
#[derive(Debug)]
pub struct MemoryReceipt(Vec<Result<Kept, Why>>);

impl Receipt for MemoryReceipt {
    type Kept = Kept;

    fn wait(self) -> Vec<Result<Kept, Why>> {
        self.0
    }
}
