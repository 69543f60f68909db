//! Input that ends at a line with nothing but a dot, as sendmail(1) has it without `-i`.

use std::io::{self, Read};

/// Reads from `inner` up to such a line.
#[derive(Debug)]
pub struct UntilDot<R> {
    inner: R,
    /// Read and not yet given.
    held: Vec<u8>,
    /// `held` begins at the start of a line.
    fresh: bool,
    /// What is held is all.
    over: bool,
}

impl<R: Read> UntilDot<R> {
    /// From the start of a line.
    pub fn new(inner: R) -> UntilDot<R> {
        UntilDot { inner, held: Vec::new(), fresh: true, over: false }
    }

    /// How much of `held` can be given: all of it, but what may be the last line; or up to that line.
    fn ready(&mut self) -> usize {
        let mut at = 0;
        let mut start = self.fresh;
        loop {
            let rest = self.held.get(at..).unwrap_or_default();
            if start {
                match rest {
                    [b'.', b'\n', ..] | [b'.', b'\r', b'\n', ..] => {
                        self.over = true;
                        return at;
                    }
                    // At the end of the input a dot alone is that line, too.
                    b"." | b".\r" => return at,
                    _ => {}
                }
            }
            match memchr::memchr(b'\n', rest) {
                Some(end) => (at, start) = (at + end + 1, true),
                None => return self.held.len(),
            }
        }
    }
}

impl<R: Read> Read for UntilDot<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut ready = self.ready();
        while ready == 0 && !self.over {
            let had = self.held.len();
            self.held.resize(had + buf.len().max(4096), 0);
            let read = self.inner.read(self.held.get_mut(had..).unwrap_or_default());
            self.held.truncate(had + read.as_ref().copied().unwrap_or(0));
            if read? == 0 {
                self.over = true;
                ready = if self.fresh && matches!(self.held.as_slice(), b"." | b".\r") {
                    0
                } else {
                    self.held.len()
                };
                break;
            }
            ready = self.ready();
        }
        let count = ready.min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..count), self.held.get(..count)) {
            to.copy_from_slice(from);
            if let Some(last) = from.last() {
                self.fresh = *last == b'\n';
            }
        }
        self.held.drain(..count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its octets `piece` at a time.
    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(buf.len());
            let (now, rest) = self.0.split_at(count);
            buf[..count].copy_from_slice(now);
            self.0 = rest;
            Ok(count)
        }
    }

    #[test]
    fn a_line_with_nothing_but_a_dot_ends_the_input_and_nothing_else_does() {
        let cases: [(&[u8], &[u8]); 12] = [
            (b"a\n.\nb\n", b"a\n"),
            (b"a\r\n.\r\nb", b"a\r\n"),
            (b".\nb", b""),
            (b"a\n.", b"a\n"),
            (b".", b""),
            (b".\r", b""),
            (b"a\n..\nb\n", b"a\n..\nb\n"),
            (b"a\n.b\n", b"a\n.b\n"),
            (b"a.\nb", b"a.\nb"),
            (b"a\n.\rb\n", b"a\n.\rb\n"),
            (b"a\n \n.", b"a\n \n"),
            (b"", b""),
        ];
        for (input, wanted) in cases {
            for piece in 1..=input.len().max(1) {
                for room in [1, 2, 3, 100] {
                    let mut reader = UntilDot::new(Drip(input, piece));
                    let (mut all, mut buf) = (Vec::new(), vec![0; room]);
                    while let count @ 1.. = reader.read(&mut buf).unwrap() {
                        all.extend_from_slice(&buf[..count]);
                    }
                    assert_eq!(all, wanted, "{:?} by {piece} into {room}", input.escape_ascii().to_string());
                }
            }
        }
    }
}
