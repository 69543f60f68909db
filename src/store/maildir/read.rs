//! The octets of a message as a server sends them: every line end is CR LF, whatever the file has.

use super::name;
use crate::sys::disk::{Dir, read_once};
use memchr::memchr_iter;
use std::{
    fs::File,
    io::{self, BufRead, Read, Seek, SeekFrom},
    ops::Range,
    time::SystemTime,
};

/// What is read from the file at once,
const CHUNK: usize = 64 * 1024;
/// and at first: often no more than the header is wanted.
const FIRST: usize = 16 * 1024;

/// A message's octets in a range; LF without CR before it counts as CR LF.
#[derive(Debug)]
pub struct Octets {
    file: File,
    /// The file's octets are the wire's: nothing is put between them.
    plain: bool,
    begun: bool,
    /// Octets of the file that are still to be read.
    unread: u64,
    /// Octets of the file,
    raw: Vec<u8>,
    /// and what becomes of them on the wire,
    ready: Vec<u8>,
    /// of which so many were given or passed over.
    at: usize,
    /// The last octet of the file that was read.
    last: u8,
    skip: u64,
    left: u64,
}

impl Octets {
    /// Of a file of `size` octets; what it grows by meanwhile is not read.
    pub(super) fn new(mut file: File, size: u64, range: Range<u64>, plain: bool) -> io::Result<Octets> {
        let left = range.end.saturating_sub(range.start);
        let (mut skip, mut unread) = (range.start, size);
        if plain {
            unread = size.saturating_sub(skip);
            file.seek(SeekFrom::Start(std::mem::take(&mut skip)))?;
        }
        let (raw, ready) = (Vec::new(), Vec::new());
        Ok(Octets { file, plain, begun: false, unread, raw, ready, at: 0, last: 0, skip, left })
    }

    /// Reads on; the octets that stand ready are used up. None stand ready at the end.
    fn read_on(&mut self) -> io::Result<()> {
        self.ready.clear();
        self.at = 0;
        while self.ready.is_empty() && self.unread > 0 {
            let wanted = self.unread.min(self.skip.saturating_add(self.left));
            let most = if std::mem::replace(&mut self.begun, true) { CHUNK } else { FIRST };
            let room = usize::try_from(wanted).unwrap_or(most).min(most);
            self.raw.clear();
            self.raw.reserve_exact(room);
            if read_once(&self.file, &mut self.raw)? == 0 {
                self.unread = 0;
            }
            self.raw.truncate(room);
            self.unread = self.unread.saturating_sub(self.raw.len() as u64);
            match self.plain {
                true => std::mem::swap(&mut self.raw, &mut self.ready),
                false => line_ends(&self.raw, &mut self.last, &mut self.ready),
            }
        }
        Ok(())
    }
}

/// Puts octets behind `wire`, each line end as CR LF; `last` is the octet before them.
fn line_ends(octets: &[u8], last: &mut u8, wire: &mut Vec<u8>) {
    // A line has forty octets or so.
    wire.reserve(octets.len().saturating_add(octets.len() / 32));
    let (mut before, mut from) = (*last, 0);
    for end in memchr_iter(b'\n', octets) {
        before = end.checked_sub(1).and_then(|at| octets.get(at).copied()).unwrap_or(before);
        if before != b'\r' {
            wire.extend_from_slice(octets.get(from..end).unwrap_or_default());
            wire.push(b'\r');
            from = end;
        }
    }
    wire.extend_from_slice(octets.get(from..).unwrap_or_default());
    *last = octets.last().copied().unwrap_or(*last);
}

impl BufRead for Octets {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.left > 0 && self.at >= self.ready.len() {
            self.read_on()?;
            if self.ready.is_empty() {
                break;
            }
            self.at = usize::try_from(self.skip).unwrap_or(usize::MAX).min(self.ready.len());
            self.skip = self.skip.saturating_sub(self.at as u64);
        }
        let rest = self.ready.get(self.at..).unwrap_or_default();
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(rest.len());
        Ok(rest.get(..most).unwrap_or_default())
    }

    fn consume(&mut self, used: usize) {
        self.at = self.at.saturating_add(used);
        self.left = self.left.saturating_sub(used as u64);
    }
}

impl Read for Octets {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.fill_buf()?.read(buffer)?;
        self.consume(got);
        Ok(got)
    }
}

/// Octets of the wire that a file holds.
fn count(file: &File) -> io::Result<u64> {
    let (mut sum, mut last) = (0_u64, 0);
    let mut octets = Vec::with_capacity(CHUNK);
    loop {
        octets.clear();
        let got = read_once(file, &mut octets)?;
        let Some(&end) = octets.last() else { return Ok(sum) };
        let before = |at: usize| at.checked_sub(1).map_or(Some(&last), |at| octets.get(at));
        let bare = memchr_iter(b'\n', &octets).filter(|&at| before(at) != Some(&b'\r')).count();
        sum = sum.saturating_add(got as u64).saturating_add(bare as u64);
        last = end;
    }
}

/// What a file says of itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    /// Octets in the file.
    pub(super) size: u64,
    /// Octets with CR LF line ends.
    pub(super) wire: u64,
    /// INTERNALDATE.
    pub(super) date: SystemTime,
    /// `wire` was counted, and not only said by a name or a UID list.
    pub(super) counted: bool,
}

/// What is known of a file before it is looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hints {
    /// What it measured before.
    pub(super) before: Option<Measured>,
    /// Its size and its wire size, as the UID list notes them where the name does not.
    pub(super) noted: (Option<u64>, Option<u64>),
    /// Only a counted wire size will do.
    pub(super) counted: bool,
}

/// Measures a file; `None` when it is not there. What a name or a UID list says is believed only when it is right about the
/// size of the file, and not of one that was changed since it was measured.
pub(super) fn measure(part: &Dir, file: &str, base: &str, hints: Hints) -> io::Result<Option<Measured>> {
    let Some(stat) = part.stat(file)? else { return Ok(None) };
    let (size, date) = (stat.size, stat.modified);
    if let Some(before) = hints.before
        && (before.size, before.date) == (size, date)
        && (before.counted || !hints.counted)
    {
        return Ok(Some(before));
    }
    let said = |sizes: (Option<u64>, Option<u64>)| {
        sizes.1.filter(|wire| sizes.0 == Some(size) && (size..=size.saturating_mul(2)).contains(wire))
    };
    let (named, noted) = ((name::size(base), name::wire_size(base)), hints.noted);
    let wire = said(named).or_else(|| said((noted.0.or(named.0), noted.1)));
    let (wire, counted) = match wire.filter(|_| hints.before.is_none() && !hints.counted) {
        Some(wire) => (wire, false),
        None => match part.open_file(file).and_then(|file| count(&file)) {
            Ok(wire) => (wire, true),
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
            // What can't be read is as large as its file, so that the others can be listed; to read it is a fault.
            Err(_) if !hints.counted => (size, false),
            Err(fault) => return Err(fault),
        },
    };
    Ok(Some(Measured { size, wire, date, counted }))
}

#[cfg(test)]
mod tests {
    use super::{super::ends::tests::wire, *};
    use crate::sys::disk::{Disk, tests::Scratch};

    #[test]
    fn any_range_is_the_range_of_the_wire_octets() {
        let scratch = Scratch::new("read");
        let dir = Disk::inline().open(scratch.path()).unwrap();
        for stored in [&b"a\nb\n"[..], b"a\r\nb\n\n\n", b"\n", b"", b"\r\r\n\r", b"end", b"\n\r\n\r\r\n"] {
            std::fs::write(scratch.path().join("m"), stored).unwrap();
            let whole = wire(stored);
            for start in 0..=whole.len() + 1 {
                for end in start..=whole.len() + 2 {
                    for room in [1, 2, 100] {
                        let range = start as u64..end as u64;
                        let (file, stat) = dir.open_known("m").unwrap();
                        let mut octets = Octets::new(file, stat.size, range, false).unwrap();
                        let (mut read, mut buffer) = (Vec::new(), vec![0; room]);
                        loop {
                            match octets.read(&mut buffer).unwrap() {
                                0 => break,
                                got => read.extend_from_slice(&buffer[..got]),
                            }
                        }
                        let wanted = &whole[start.min(whole.len())..end.min(whole.len())];
                        assert_eq!(read, wanted, "{stored:?} {start}..{end} by {room}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_line_end_at_the_edge_of_a_chunk_is_one_line_end() {
        let scratch = Scratch::new("edge");
        let dir = Disk::inline().open(scratch.path()).unwrap();
        for before in CHUNK - 2..=CHUNK + 1 {
            for end in ["\n", "\r\n", "\r"] {
                let stored = ["x".repeat(before).as_bytes(), end.as_bytes(), b"\ntail"].concat();
                std::fs::write(scratch.path().join("m"), &stored).unwrap();
                let mut read = Vec::new();
                let (file, stat) = dir.open_known("m").unwrap();
                Octets::new(file, stat.size, 0..u64::MAX, false).unwrap().read_to_end(&mut read).unwrap();
                assert!(read == wire(&stored), "{before} {end:?}");
                assert_eq!(
                    count(&dir.open_file("m").unwrap()).unwrap(),
                    read.len() as u64,
                    "{before} {end:?}"
                );
            }
        }
    }

    #[test]
    fn a_name_that_lies_about_its_size_is_not_believed() {
        let scratch = Scratch::new("measure");
        let dir = Disk::inline().open(scratch.path()).unwrap();
        std::fs::write(scratch.path().join("m"), "a\nb\n").unwrap();
        for (base, noted, size) in [
            ("1.a,S=4,W=6", (None, None), 6),
            ("1.a,S=4,W=5", (None, None), 5),
            ("1.a,S=4,W=3", (None, None), 6),
            ("1.a,S=4,W=9", (None, None), 6),
            ("1.a,S=5,W=7", (None, None), 6),
            ("1.a", (None, None), 6),
            ("1.a", (Some(4), Some(7)), 7),
            ("1.a,S=4", (None, Some(7)), 7),
            ("1.a", (None, Some(7)), 6),
            ("1.a", (Some(5), Some(7)), 6),
            ("1.a,S=4", (Some(5), Some(7)), 6),
        ] {
            let hints = Hints { noted, ..Hints::default() };
            let measured = measure(&dir, "m", base, hints).unwrap().unwrap();
            assert_eq!((measured.size, measured.wire), (4, size), "{base} {noted:?}");
            let hints = Hints { before: Some(measured), noted, counted: true };
            assert_eq!(measure(&dir, "m", base, hints).unwrap().unwrap().wire, 6, "{base} {noted:?}");
        }
        assert!(measure(&dir, "gone", "1.a", Hints::default()).unwrap().is_none());
    }

    #[test]
    fn what_was_measured_is_measured_again_when_the_file_was_changed() {
        let scratch = Scratch::new("changed");
        let dir = Disk::inline().open(scratch.path()).unwrap();
        let at = scratch.path().join("m");
        std::fs::write(&at, "a\nb\n").unwrap();
        let measured = |before| {
            let hints = Hints { before, ..Hints::default() };
            measure(&dir, "m", "1.a,S=4,W=6", hints).unwrap().unwrap()
        };
        let first = measured(None);
        // As many octets, and fewer lines: the name is as wrong as what was measured.
        let file = std::fs::File::create(&at).unwrap();
        std::io::Write::write_all(&mut &file, b"aab\n").unwrap();
        file.set_modified(first.date + std::time::Duration::from_secs(1)).unwrap();
        let second = measured(Some(first));
        assert_eq!((first.wire, second.wire, second.counted), (6, 5, true));
        // What did not change is not read again.
        let kept = Measured { wire: 77, ..second };
        assert_eq!(measured(Some(kept)).wire, 77);
    }
}
