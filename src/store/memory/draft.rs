//! A message on its way into memory.

use super::{Memory, Message};
use crate::{
    mail::{
        draft::{Draft, Receipt},
        id::DeliveryKey,
        verdict::Why,
    },
    store::{Home, Kept, LineEnds, Place},
};
use std::{
    io::{self, Write},
    time::SystemTime,
};

/// A message being written.
#[derive(Debug)]
pub struct MemoryDraft {
    pub(super) memory: Memory,
    pub(super) home: Home,
    pub(super) ends: LineEnds,
    pub(super) octets: Vec<u8>,
    pub(super) sealed: bool,
}

impl MemoryDraft {
    /// The message for one place, as a file would have it.
    pub(super) fn message(&self, place: &Place, date: Option<SystemTime>, key: &DeliveryKey) -> Message {
        let octets = match self.ends {
            LineEnds::AsGiven => self.octets.clone(),
            LineEnds::Unknown if has_bare_lf(&self.octets) => self.octets.clone(),
            LineEnds::Unknown | LineEnds::Wire => stored(&self.octets),
        };
        Message {
            key: (key.id.clone(), key.copy),
            octets,
            flags: place.flags.clone(),
            date: date.unwrap_or_else(|| self.memory.0.clock.now()),
            recent: place.flags.is_empty(),
        }
    }
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
        let date = places.iter().find_map(|place| place.date);
        let kept = places.iter().map(|place| {
            let message = self.message(place, date, key);
            let (_, already) = self.memory.put(&self.home, &place.folder, message);
            Ok(Kept { id: key.id.clone(), already })
        });
        MemoryReceipt(kept.collect())
    }
}

/// Every LF without CR, which wire octets do not have.
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

/// The octets with CR LF line ends.
pub(super) fn wire(octets: &[u8]) -> Vec<u8> {
    let lines = octets.split_inclusive(|&octet| octet == b'\n');
    let lines = lines.map(|line| match line.strip_suffix(b"\n") {
        Some(content) if !content.ends_with(b"\r") => [content, b"\r\n"].concat(),
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
