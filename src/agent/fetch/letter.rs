//! A message on its way to a program or to stdout: it is whole on disk before anybody gets an octet of it, so that a lost
//! connection never makes half a message.

use crate::{
    mail::{date::Date, header},
    sys::disk::{Dir, NewFile},
};
use jiff::tz::TimeZone;
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek as _, SeekFrom, Write},
};

/// How much of the head is looked at for the sender.
const HEAD: u64 = 64 * 1024;
/// The longest sender that a postmark shows.
const SENDER_MAX: usize = 320;

/// A message being written, with LF line ends.
#[derive(Debug)]
pub(super) struct Letter {
    file: NewFile,
    /// A CR at the end of what came, kept back until the next octet tells what it is.
    held: bool,
}

impl Letter {
    /// Begins one. The file's name must be nobody else's: what an earlier run left under it goes.
    pub(super) fn new(dir: &Dir, name: &str) -> io::Result<Letter> {
        dir.remove(name)?;
        Ok(Letter { file: dir.create(name)?, held: false })
    }

    /// Takes octets; CR LF becomes LF.
    pub(super) fn piece(&mut self, octets: &[u8]) -> io::Result<()> {
        let mut rest = octets;
        if self.held && !rest.is_empty() {
            self.held = false;
            if rest.first() != Some(&b'\n') {
                self.file.write_all(b"\r")?;
            }
        }
        while let Some(at) = memchr::memchr(b'\r', rest) {
            let (before, behind) = rest.split_at_checked(at).unwrap_or((rest, &[]));
            self.file.write_all(before)?;
            match behind {
                [b'\r'] => {
                    self.held = true;
                    return Ok(());
                }
                [b'\r', b'\n', ..] => rest = behind.get(1..).unwrap_or_default(),
                _ => {
                    self.file.write_all(b"\r")?;
                    rest = behind.get(1..).unwrap_or_default();
                }
            }
        }
        self.file.write_all(rest)
    }

    /// The whole message, to be read from its start. The name stays until the letter is dropped.
    pub(super) fn end(&mut self) -> io::Result<File> {
        if std::mem::take(&mut self.held) {
            self.file.write_all(b"\r")?;
        }
        let mut file = self.file.file()?.try_clone()?;
        file.seek(SeekFrom::Start(0))?;
        Ok(file)
    }
}

/// Writes a message to an mbox in the mboxrd form (mbox(5)): a postmark, the lines with `>` before each that is `From ` behind
/// any number of `>`, and an empty line. What has no line end at its end gets one.
pub(super) fn to_mbox(message: &mut File, date: i64, out: &mut impl Write) -> io::Result<()> {
    let mut head = Vec::new();
    Read::by_ref(message).take(HEAD).read_to_end(&mut head)?;
    message.seek(SeekFrom::Start(0))?;
    out.write_all(postmark(&head, date).as_bytes())?;
    let mut message = BufReader::with_capacity(64 * 1024, message);
    // Within a line, or at its start behind so many `>`.
    let (mut within, mut marks) = (false, 0_u64);
    let mut last = b'\n';
    loop {
        let octets = message.fill_buf()?;
        let Some(&first) = octets.first() else { break };
        let used = if within {
            let length = memchr::memchr(b'\n', octets).map_or(octets.len(), |at| at.saturating_add(1));
            let part = octets.get(..length).unwrap_or_default();
            out.write_all(part)?;
            last = part.last().copied().unwrap_or(last);
            within = last != b'\n';
            length
        } else if first == b'>' {
            marks = marks.saturating_add(1);
            1
        } else {
            // `From ` may stand across the end of the buffer.
            let is_from = starts_with_from(&mut message)?;
            write_marks(out, marks.saturating_add(u64::from(is_from)))?;
            (within, marks) = (true, 0);
            0
        };
        message.consume(used);
    }
    if marks > 0 {
        write_marks(out, marks)?;
        last = b'>';
    }
    out.write_all(if last == b'\n' { b"\n" } else { b"\n\n" })
}

fn write_marks(out: &mut impl Write, marks: u64) -> io::Result<()> {
    for _ in 0..marks {
        out.write_all(b">")?;
    }
    Ok(())
}

/// True when `From ` comes next. Nothing is used up.
fn starts_with_from(message: &mut BufReader<&mut File>) -> io::Result<bool> {
    const FROM: &[u8] = b"From ";
    let buffer = message.buffer();
    if buffer.len() >= FROM.len() {
        return Ok(buffer.starts_with(FROM));
    }
    let at = message.stream_position()?;
    let mut next = Vec::new();
    message.by_ref().take(FROM.len() as u64).read_to_end(&mut next)?;
    message.seek(SeekFrom::Start(at))?;
    Ok(next == FROM)
}

/// `From SENDER DATE`, the date as asctime(3) writes it, in UTC.
fn postmark(head: &[u8], date: i64) -> String {
    let sender = header::first(head, "Return-Path").map(|field| field.text()).unwrap_or_default();
    let sender = sender.trim().trim_start_matches('<').trim_end_matches('>');
    let fits = !sender.is_empty()
        && sender.len() <= SENDER_MAX
        && sender.bytes().all(|octet| octet.is_ascii_graphic());
    let date = Date { seconds: date, offset: 0 };
    let date = date.civil(&TimeZone::UTC).map(|civil| civil.strftime("%a %b %e %H:%M:%S %Y").to_string());
    let date = date.unwrap_or_else(|| "Thu Jan  1 00:00:00 1970".to_owned());
    format!("From {} {date}\n", if fits { sender } else { "MAILER-DAEMON" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::disk::{Disk, tests::Scratch};

    fn letter(scratch: &Scratch, pieces: &[&[u8]]) -> Vec<u8> {
        let dir = Disk::inline().open(scratch.path()).unwrap();
        let mut letter = Letter::new(&dir, "letter").unwrap();
        pieces.iter().for_each(|piece| letter.piece(piece).unwrap());
        let mut whole = Vec::new();
        letter.end().unwrap().read_to_end(&mut whole).unwrap();
        whole
    }

    #[test]
    fn cr_lf_becomes_lf_however_it_is_cut() {
        let scratch = Scratch::new("letter");
        for (wire, kept) in [
            (&b"a\r\nb\r\n"[..], &b"a\nb\n"[..]),
            (b"a\rb\r\r\nc\r", b"a\rb\r\nc\r"),
            (b"\r\n\r\n", b"\n\n"),
            (b"a\nb", b"a\nb"),
            (b"", b""),
        ] {
            assert_eq!(letter(&scratch, &[wire]), kept);
            assert_eq!(letter(&scratch, &wire.chunks(1).collect::<Vec<_>>()), kept, "{wire:?}");
        }
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
    }

    fn mbox(message: &[u8]) -> Vec<u8> {
        let scratch = Scratch::new("mbox");
        let path = scratch.path().join("m");
        std::fs::write(&path, message).unwrap();
        let mut out = Vec::new();
        to_mbox(&mut File::open(path).unwrap(), 880_127_706, &mut out).unwrap();
        out
    }

    #[test]
    fn lines_that_look_like_postmarks_are_quoted_and_can_be_unquoted() {
        for (message, quoted) in [
            ("a\nFrom b\n", "a\n>From b\n\n"),
            ("From a\n>From b\n>>>From c\n> From\nFrom\n", ">From a\n>>From b\n>>>>From c\n> From\nFrom\n\n"),
            ("a", "a\n\n"),
            (">", ">\n\n"),
            (">>\n>x", ">>\n>x\n\n"),
            ("", "\n"),
            ("\n\n", "\n\n\n"),
        ] {
            let postmark = "From MAILER-DAEMON Fri Nov 21 15:55:06 1997\n";
            assert_eq!(String::from_utf8(mbox(message.as_bytes())).unwrap(), format!("{postmark}{quoted}"));
        }
        // At every place of a buffer's end.
        for before in 65_520..65_545 {
            let message = format!("{}\n>From x\n", "y".repeat(before));
            let quoted = mbox(message.as_bytes());
            assert!(quoted.ends_with(b"\n>>From x\n\n"), "{before}");
        }
    }

    #[test]
    fn a_postmark_names_the_sender_and_nothing_else() {
        for (head, sender) in [
            ("Return-Path: <a@b>\n\n", "a@b"),
            ("Return-Path: <>\n\n", "MAILER-DAEMON"),
            ("Return-Path: <a b@c>\n\n", "MAILER-DAEMON"),
            ("Subject: x\n\nReturn-Path: <a@b>\n", "MAILER-DAEMON"),
        ] {
            assert_eq!(postmark(head.as_bytes(), 0), format!("From {sender} Thu Jan  1 00:00:00 1970\n"));
        }
        assert!(postmark(b"", i64::MAX).ends_with("1970\n"));
    }
}
