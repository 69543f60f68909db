//! The file `subscriptions` in a Maildir's root, in both of Dovecot's layouts: a name a line with `.` between the
//! levels, or `V<TAB>2`, a blank line, then TAB between the levels (and a TAB-escape within them). Names are in
//! modified UTF-7. Lines that we can't read stay as they are.

use crate::{
    mail::folder::FolderName,
    sys::{disk::Dir, lock::Dotlock},
};
use std::{io, time::Duration};

const FILE: &str = "subscriptions";
const HEADER: &[u8] = b"V\t2\n\n";
/// More than any person subscribes to; a larger file is a mistake or an attack.
const CAP: u64 = 16 * 1024 * 1024;
/// A file that is so large takes no more names, so that it can always be read.
const FULL: usize = 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(30);

/// The file's lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscriptions {
    tabbed: bool,
    lines: Vec<Vec<u8>>,
}

impl Subscriptions {
    /// Reads a file's octets. Never fails.
    pub fn parse(octets: &[u8]) -> Subscriptions {
        // An empty or missing file becomes the newer layout, as with Dovecot.
        let (tabbed, lines) = match octets.strip_prefix(HEADER) {
            Some(lines) => (true, lines),
            None => (octets.is_empty(), octets),
        };
        let lines = lines.split(|&octet| octet == b'\n').filter(|line| !line.is_empty());
        Subscriptions { tabbed, lines: lines.map(<[u8]>::to_vec).collect() }
    }

    /// The file's octets.
    pub fn octets(&self) -> Vec<u8> {
        let mut octets = if self.tabbed { HEADER.to_vec() } else { Vec::new() };
        for line in &self.lines {
            octets.extend_from_slice(line);
            octets.push(b'\n');
        }
        octets
    }

    /// The names that can be read, in the file's order.
    pub fn names(&self) -> impl Iterator<Item = FolderName> {
        self.lines.iter().filter_map(|line| self.name(line))
    }

    /// True when there is no room for more names.
    pub fn is_full(&self) -> bool {
        self.lines.iter().map(|line| line.len().saturating_add(1)).sum::<usize>() >= FULL
    }

    /// Adds a name; false when it is there, or there is no room.
    pub fn add(&mut self, folder: &FolderName) -> bool {
        if self.is_full() || self.names().any(|name| name == *folder) {
            return false;
        }
        let directory = folder.directory();
        let levels = directory.strip_prefix('.').unwrap_or("INBOX");
        let line = if self.tabbed { escaped(levels).replace('.', "\t") } else { levels.to_owned() };
        self.lines.push(line.into_bytes());
        true
    }

    /// Takes a name away; false when it is not there.
    pub fn remove(&mut self, folder: &FolderName) -> bool {
        let before = self.lines.len();
        let kept = self.lines.iter().filter(|line| self.name(line).as_ref() != Some(folder)).cloned();
        self.lines = kept.collect();
        self.lines.len() < before
    }

    fn name(&self, line: &[u8]) -> Option<FolderName> {
        let line = std::str::from_utf8(line).ok()?;
        if line.eq_ignore_ascii_case("INBOX") {
            return Some(FolderName::inbox());
        }
        let levels = if self.tabbed { unescaped(&line.replace('\t', ".")) } else { line.to_owned() };
        FolderName::from_directory(&format!(".{levels}")).ok()
    }
}

/// Dovecot's TAB-escape: `\001` stands before `1` for itself, `t` for TAB, `r` for CR, `n` for LF. Folder names of
/// ours hold none of those but the first can't be told from an escape otherwise.
fn escaped(text: &str) -> String {
    text.replace('\u{1}', "\u{1}1")
}

fn unescaped(text: &str) -> String {
    text.replace("\u{1}1", "\u{1}")
}

/// What `root` is subscribed to.
pub(super) fn read(root: &Dir) -> io::Result<Subscriptions> {
    Ok(Subscriptions::parse(&root.read(FILE, CAP)?.unwrap_or_default()))
}

/// Changes the file under its lock, durably; not written when `change` says that nothing changed.
pub(super) fn change(root: &Dir, change: impl FnOnce(&mut Subscriptions) -> bool) -> io::Result<()> {
    let _lock = Dotlock::take(root, FILE, PATIENCE)?;
    let mut subscriptions = read(root)?;
    if change(&mut subscriptions) {
        let octets = subscriptions.octets();
        // What could not be read again would close the account for good.
        if octets.len() as u64 > CAP {
            let text = format!("{}: too many subscriptions", root.path().join(FILE).display());
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, text));
        }
        root.replace(FILE, &octets)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(text: &str) -> FolderName {
        FolderName::parse(text, '/').unwrap()
    }

    #[test]
    fn both_layouts_are_read_and_kept() {
        let plain = b"INBOX\nLists.rust\nEntw&APw-rfe\n../x\n";
        let tabbed = b"V\t2\n\nINBOX\nLists\trust\nEntw&APw-rfe\n../x\n";
        for (octets, added) in [(&plain[..], &b"a.b\n"[..]), (tabbed, b"a\tb\n")] {
            let mut read = Subscriptions::parse(octets);
            let names: Vec<_> = read.names().map(|name| name.text('/')).collect();
            assert_eq!(names, ["INBOX", "Lists/rust", "Entw\u{fc}rfe"]);
            assert_eq!(read.octets(), octets);
            assert!(!read.add(&folder("Lists/rust")));
            assert!(read.add(&folder("a/b")));
            assert_eq!(read.octets(), [octets, added].concat());
            assert!(read.remove(&folder("a/b")) && !read.remove(&folder("a/b")));
            assert_eq!(read.octets(), octets);
        }
    }

    #[test]
    fn a_file_that_is_full_takes_no_more_and_gives_them_up() {
        let line = format!("{}\n", "x".repeat(200));
        let octets = line.repeat(FULL / line.len() + 1);
        let mut full = Subscriptions::parse(octets.as_bytes());
        assert!(full.is_full() && !full.add(&folder("a")));
        assert_eq!(full.octets(), octets.as_bytes());
        assert!(full.remove(&folder(&"x".repeat(200))) && full.add(&folder("a")));
    }

    #[test]
    fn a_new_file_is_of_version_2() {
        let mut new = Subscriptions::parse(b"");
        assert!(new.add(&FolderName::inbox()) && new.add(&folder("Sent")));
        assert_eq!(new.octets(), b"V\t2\n\nINBOX\nSent\n");
    }
}
