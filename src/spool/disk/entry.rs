//! A spool file, read: its entry without its body, or octets of its body.

use super::{
    super::{
        Entry,
        format::{self, Fault, HEADER, Header},
    },
    places::{Place, Places},
};
use crate::sys::disk;
use rustix::io::Errno;
use std::{
    fs::File,
    io::{self, BufReader, Read},
    ops::Range,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::FileExt,
    },
    time::{Duration, SystemTime},
};

/// One read of so much has the whole of an ordinary message.
const FIRST: usize = 8 * 1024;

pub(super) struct Found {
    pub(super) entry: Entry,
    /// Octets of the file up to the end of the last whole line.
    pub(super) whole: u64,
    /// A torn line follows them.
    pub(super) torn: bool,
}

pub(super) fn read(places: &Places, place: &Place) -> Result<Found, Fault> {
    let file = place.dir(places).open_file(place.name())?;
    let mut first = [0; FIRST];
    let got = fill(&file, &mut first)?;
    let first = first.get(..got).unwrap_or_default();
    let header = Header::parse(first)?;
    if header.id != place.id() {
        return Err(Fault::OtherId);
    }
    // What stands behind the body may begin in what was read.
    let start = usize::try_from(header.tail()).unwrap_or(usize::MAX);
    let near = first.get(start..).unwrap_or_default();
    let far = Octets { file, at: header.tail().max(got as u64), end: u64::MAX };
    let tail = if got < FIRST {
        format::read_tail(&header, near)?
    } else {
        format::read_tail(&header, near.chain(BufReader::new(far)))?
    };
    let arrived = Duration::from_micros(header.id.micros());
    let entry = Entry {
        envelope: tail.envelope,
        standing: tail.standing,
        size: header.length,
        arrived: SystemTime::UNIX_EPOCH.checked_add(arrived).unwrap_or(SystemTime::UNIX_EPOCH),
        due: place.due.time(),
        id: header.id,
    };
    Ok(Found { entry, whole: header_and(tail.whole, header.length), torn: tail.torn })
}

fn header_and(tail: u64, length: u64) -> u64 {
    (HEADER as u64).saturating_add(length).saturating_add(tail)
}

/// Reads from the file's start until the buffer is full or the file ends.
fn fill(file: &File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut got = 0usize;
    while let Some(room) = buffer.get_mut(got..).filter(|room| !room.is_empty()) {
        match file.read_at(room, got as u64) {
            Ok(0) => break,
            Ok(more) => got = got.saturating_add(more),
            Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(got)
}

/// True for a fault that says nothing of the file: the process or the machine is short of something.
pub(super) fn may_pass(fault: &io::Error) -> bool {
    let short =
        [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::INTR, Errno::AGAIN, Errno::NOSPC, Errno::ROFS];
    let errno = disk::errno(fault);
    short.iter().any(|short| errno == Some(short.raw_os_error()))
}

/// A fault of an entry as the seam gives it.
pub(super) fn unreadable(fault: Fault) -> io::Error {
    match fault {
        Fault::Read(fault) => fault,
        fault => io::Error::new(io::ErrorKind::InvalidData, fault),
    }
}

/// Octets of a spooled message. The file is read where it stands: nothing is kept in memory.
#[derive(Debug)]
pub struct Octets {
    file: File,
    at: u64,
    end: u64,
}

impl Octets {
    pub(super) fn open(places: &Places, place: &Place, range: Range<u64>) -> io::Result<Octets> {
        let file = place.dir(places).open_file(place.name())?;
        let mut first = [0; HEADER];
        let got = fill(&file, &mut first)?;
        let header = Header::parse(first.get(..got).unwrap_or_default()).map_err(unreadable)?;
        let within = |place: u64| place.min(header.length).saturating_add(HEADER as u64);
        Ok(Octets { at: within(range.start), end: within(range.end), file })
    }

    /// Octets that are left.
    pub fn left(&self) -> u64 {
        self.end.saturating_sub(self.at)
    }
}

impl Read for Octets {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left()).unwrap_or(usize::MAX).min(into.len());
        let got = self.file.read_at(into.get_mut(..most).unwrap_or_default(), self.at)?;
        self.at = self.at.saturating_add(got as u64);
        Ok(got)
    }
}

impl AsFd for Octets {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
