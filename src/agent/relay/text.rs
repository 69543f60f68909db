//! The octets of a message, piece by piece.

use std::io::{self, Read};

/// The most octets of one piece.
pub(super) const PIECE: usize = 64 * 1024;

/// Gives a message's octets once, in pieces.
pub(super) trait Source {
    /// The next piece; `None` at the end.
    fn next(&mut self) -> io::Result<Option<&[u8]>>;
}

/// A message that is in memory.
pub(super) struct Whole<'a>(pub(super) Option<&'a [u8]>);

impl Source for Whole<'_> {
    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        Ok(self.0.take().filter(|octets| !octets.is_empty()))
    }
}

/// A message that is read.
pub(super) struct Reading<R> {
    reader: R,
    piece: Vec<u8>,
}

impl<R: Read> Reading<R> {
    /// `size` is what is expected; a small message needs no large buffer.
    pub(super) fn new(reader: R, size: u64) -> Reading<R> {
        let room = usize::try_from(size).unwrap_or(PIECE).saturating_add(1).min(PIECE);
        Reading { reader, piece: vec![0; room] }
    }
}

impl<R: Read> Source for Reading<R> {
    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        let got = fill(&mut self.reader, &mut self.piece)?;
        Ok(self.piece.get(..got).filter(|octets| !octets.is_empty()))
    }
}

/// Reads until the buffer is full or nothing more comes.
pub(super) fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
        match reader.read(room) {
            Ok(0) => break,
            Ok(got) => filled = filled.saturating_add(got),
            Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(filled)
}
