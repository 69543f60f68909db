//! Line ends on the way into a file: CR LF becomes LF where that can be undone exactly, and is undone where it was
//! a wrong guess.

use crate::{
    store::LineEnds,
    sys::disk::{Dir, NewFile},
};
use memchr::{memchr, memchr_iter};
use std::{
    io::{self, BufRead, BufReader, Seek, SeekFrom, Write},
    path::PathBuf,
};

/// Writes into a file of `dir`, with the line ends that a Maildir has.
#[derive(Debug)]
pub(super) struct Stored {
    file: NewFile,
    dir: Dir,
    name: PathBuf,
    ends: LineEnds,
    /// The last octet that went into the file.
    last: u8,
    /// A CR at the end of what came, kept back until the next octet tells what it is.
    held: bool,
    /// Lines in the file that end in LF without CR before it.
    bare: u64,
}

impl Stored {
    pub(super) fn new(dir: &Dir, name: PathBuf, ends: LineEnds) -> io::Result<Stored> {
        let file = dir.create(&name)?;
        Ok(Stored { file, dir: dir.clone(), name, ends, last: 0, held: false, bare: 0 })
    }

    /// Ends the writing. Octets of the file, and of the message with CR LF line ends.
    pub(super) fn finish(&mut self) -> io::Result<(u64, u64)> {
        if std::mem::take(&mut self.held) {
            self.put(b"\r")?;
        }
        let size = self.file.len();
        Ok((size, size.saturating_add(self.bare)))
    }

    pub(super) fn file(&mut self) -> &mut NewFile {
        &mut self.file
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(&last) = bytes.last() {
            self.last = last;
        }
        self.file.write_all(bytes)
    }

    /// Octets as given; only counted.
    fn put_counted(&mut self, bytes: &[u8]) -> io::Result<()> {
        for at in memchr_iter(b'\n', bytes) {
            let before = at.checked_sub(1).map_or(Some(&self.last), |at| bytes.get(at));
            if before != Some(&b'\r') {
                self.bare = self.bare.saturating_add(1);
            }
        }
        self.put(bytes)
    }

    /// Ends a line that came with CR LF. CR CR LF is stored as it is: an LF there would read as CR LF again.
    fn end_line(&mut self) -> io::Result<()> {
        if self.last == b'\r' {
            return self.put(b"\r\n");
        }
        self.bare = self.bare.saturating_add(1);
        self.put(b"\n")
    }

    /// What has come without its LF: a CR at its end is kept back.
    fn put_part(&mut self, part: &[u8]) -> io::Result<()> {
        let Some((&last, most)) = part.split_last() else { return Ok(()) };
        if std::mem::take(&mut self.held) {
            self.put(b"\r")?;
        }
        if last == b'\r' {
            self.held = true;
            return self.put(most);
        }
        self.put(part)
    }

    /// An LF without CR came after lines with CR LF: gives those their CR back, and takes the rest as it comes.
    fn restore(&mut self) -> io::Result<()> {
        self.ends = LineEnds::AsGiven;
        if self.bare == 0 {
            return Ok(());
        }
        let mut name = self.name.clone().into_os_string();
        name.push(".given");
        let name = PathBuf::from(name);
        let mut given = Stored::new(&self.dir, name, LineEnds::AsGiven)?;
        let mut stored = self.file.file()?;
        stored.seek(SeekFrom::Start(0))?;
        let mut stored = BufReader::with_capacity(32 * 1024, stored);
        loop {
            let chunk = stored.fill_buf()?;
            if chunk.is_empty() {
                break;
            }
            let mut rest = chunk;
            while let Some((line, after)) = memchr(b'\n', rest).and_then(|at| rest.split_at_checked(at)) {
                given.put(line)?;
                given.put(if given.last == b'\r' { b"\n" } else { b"\r\n" })?;
                rest = after.get(1..).unwrap_or_default();
            }
            given.put(rest)?;
            let used = chunk.len();
            stored.consume(used);
        }
        *self = given;
        Ok(())
    }
}

impl Write for Stored {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while self.ends != LineEnds::AsGiven {
            let Some((line, after)) = memchr(b'\n', rest).and_then(|at| rest.split_at_checked(at)) else {
                return self.put_part(rest);
            };
            self.put_part(line)?;
            if std::mem::take(&mut self.held) {
                self.end_line()?;
            } else if self.ends == LineEnds::Unknown {
                self.restore()?;
                rest = after;
                break;
            } else {
                // Wire octets have no such line; kept, since nothing may be lost.
                self.put_counted(b"\n")?;
            }
            rest = after.get(1..).unwrap_or_default();
        }
        if rest.is_empty() { Ok(()) } else { self.put_counted(rest) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::sys::disk::{Disk, tests::Scratch};
    use proptest::prelude::*;

    /// Writes the pieces; gives the file and both sizes.
    fn stored<'a>(ends: LineEnds, pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<u8>, u64, u64) {
        let scratch = Scratch::new("ends");
        let dir = Disk::inline().open(scratch.path()).unwrap();
        let mut stored = Stored::new(&dir, "x".into(), ends).unwrap();
        for piece in pieces {
            stored.write_all(piece).unwrap();
        }
        let (size, wire) = stored.finish().unwrap();
        stored.file().sync().unwrap();
        stored.file().place(&dir, "done").unwrap();
        let bytes = std::fs::read(scratch.path().join("done")).unwrap();
        drop(stored);
        assert_eq!(dir.names().unwrap().count(), 1);
        (bytes, size, wire)
    }

    /// Every LF without CR gets one: what a server sends of the file.
    pub(in crate::store::maildir) fn wire(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for &octet in bytes {
            if octet == b'\n' && out.last() != Some(&b'\r') {
                out.push(b'\r');
            }
            out.push(octet);
        }
        out
    }

    #[test]
    fn crlf_is_stored_as_lf_when_every_line_end_is_one() {
        let cases: [(&[u8], &[u8]); 12] = [
            (b"a\r\nb\r\n", b"a\nb\n"),
            (b"a\r\nb", b"a\nb"),
            (b"a\r\nb\n", b"a\r\nb\n"),
            (b"a\nb\r\n", b"a\nb\r\n"),
            (b"a\r\n\nb\r\n", b"a\r\n\nb\r\n"),
            (b"a\rb\r\n", b"a\rb\n"),
            (b"a\r\r\nb\r\n", b"a\r\r\nb\n"),
            (b"a\r\r\nb\r\nc\n", b"a\r\r\nb\r\nc\n"),
            (b"\r\n\r\n\r", b"\n\n\r"),
            (b"\n", b"\n"),
            (b"", b""),
            (b"\0\r\n\xff", b"\0\n\xff"),
        ];
        for (given, kept) in cases {
            let whole = stored(LineEnds::Unknown, [given]);
            assert_eq!(whole.0, kept, "{given:?}");
            assert_eq!(stored(LineEnds::Unknown, given.chunks(1)), whole, "{given:?}");
            assert_eq!(whole.1, kept.len() as u64);
            assert_eq!(whole.2, wire(kept).len() as u64, "{given:?}");
            assert_eq!(stored(LineEnds::AsGiven, given.chunks(1)).0, given);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn nothing_is_lost_however_octets_come(
            given in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'a')], 0..40),
            cut in 1usize..9,
        ) {
            let (kept, size, wire_size) = stored(LineEnds::Unknown, given.chunks(cut));
            let only_crlf = given.iter().enumerate().all(|(at, &octet)| octet != b'\n' || (at > 0 && given[at - 1] == b'\r'));
            if only_crlf {
                prop_assert_eq!(wire(&kept), given);
            } else {
                prop_assert_eq!(&kept, &given);
            }
            prop_assert_eq!(size, kept.len() as u64);
            prop_assert_eq!(wire_size, wire(&kept).len() as u64);
        }

        #[test]
        fn wire_octets_come_back_exactly(
            lines in proptest::collection::vec("[a\r]{0,3}", 0..8),
            cut in 1usize..9,
        ) {
            let given = lines.join("\r\n").into_bytes();
            prop_assert_eq!(wire(&stored(LineEnds::Wire, given.chunks(cut)).0), given);
        }
    }
}
