//! A message file with its outline, read part by part.

use super::Fault;
use crate::mail::{
    outline::{Outline, Part, Shape, Span},
    transfer::{Decoder, Encoding},
    words,
};
use std::{
    fs::File,
    io::{self, Cursor, Read, Seek, SeekFrom},
    path::Path,
};

/// What is no plain file (a pipe, a terminal) is read into memory, up to so many octets.
const PIPE_MAX: u64 = 256 * 1024 * 1024;
/// The most octets of one text that are shown.
pub(super) const TEXT_MAX: usize = 32 * 1024 * 1024;
/// The most octets of a header that are read.
const HEAD_MAX: u64 = 512 * 1024;
const PIECE: usize = 64 * 1024;

trait Octets: Read + Seek {}
impl<T: Read + Seek> Octets for T {}

pub(super) struct Letter {
    octets: Box<dyn Octets>,
    pub(super) outline: Outline,
}

impl Letter {
    pub(super) fn open(path: &Path) -> io::Result<Letter> {
        let mut file = File::open(path)?;
        let mut octets: Box<dyn Octets> = if file.metadata()?.is_file() {
            Box::new(file)
        } else {
            let mut all = Vec::new();
            file.by_ref().take(PIPE_MAX.saturating_add(1)).read_to_end(&mut all)?;
            if all.len() as u64 > PIPE_MAX {
                return Err(io::Error::other("too large for a pipe: name a file"));
            }
            Box::new(Cursor::new(all))
        };
        let outline = Outline::read(&mut octets)?;
        Ok(Letter { octets, outline })
    }

    /// The header of a part.
    pub(super) fn header(&mut self, part: &Part) -> Result<Vec<u8>, Fault> {
        let mut head = Vec::new();
        self.seek(&part.header, HEAD_MAX)
            .and_then(|mut octets| octets.read_to_end(&mut head))
            .map_err(Fault::Input)?;
        Ok(head)
    }

    /// Hands the octets of a part's body to `sink`, decoded when it is a leaf.
    pub(super) fn decode(
        &mut self,
        part: &Part,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let encoding = if part.shape == Shape::Leaf { part.transfer() } else { Encoding::Identity };
        let mut decoder = Decoder::new(encoding);
        let mut octets = self.seek(&part.body, u64::MAX).map_err(Fault::Input)?;
        let (mut piece, mut decoded) = (vec![0; PIECE], Vec::new());
        loop {
            let length = match octets.read(&mut piece) {
                Err(fault) if fault.kind() == io::ErrorKind::Interrupted => continue,
                read => read.map_err(Fault::Input)?,
            };
            match piece.get(..length) {
                None | Some([]) => decoder.finish(&mut decoded),
                Some(piece) => decoder.push(piece, &mut decoded),
            }
            sink(&decoded)?;
            decoded.clear();
            if length == 0 {
                return Ok(());
            }
        }
    }

    /// The text of a part in its charset, of at most `most` octets of it; `true` when it is cut short.
    pub(super) fn text(&mut self, part: &Part, most: usize) -> Result<(String, bool), Fault> {
        let (mut octets, mut cut) = (Vec::new(), false);
        self.decode(part, &mut |piece| {
            let room = most.saturating_sub(octets.len());
            cut |= piece.len() > room;
            octets.extend_from_slice(piece.get(..room).unwrap_or(piece));
            Ok(())
        })?;
        let charset = part.media.params.raw("charset").unwrap_or_default();
        Ok((words::decode_charset(charset, &octets), cut))
    }

    fn seek(&mut self, span: &Span, most: u64) -> io::Result<impl Read + '_> {
        let range = span.range();
        self.octets.seek(SeekFrom::Start(range.start))?;
        Ok(self.octets.by_ref().take(range.end.saturating_sub(range.start).min(most)))
    }
}
