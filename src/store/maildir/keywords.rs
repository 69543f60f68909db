//! The letters of keywords: `dovecot-keywords` in each folder, a line `NUMBER NAME` for each of the letters `a` to
//! `z`. What has no letter any more stands in `posthaste-keywords`, a line `BASE NAME...` for each message. Both
//! are written under the lock of the folder's UID list, as Dovecot does it.

use super::{folders, name, uidlist};
use crate::{
    mail::{
        flags::{Flags, is_keyword},
        folder::FolderName,
    },
    sys::{
        disk::{Dir, Stat},
        lock::Dotlock,
    },
};
use std::{collections::BTreeMap, io};

const LETTERS: &str = "dovecot-keywords";
const OVERFLOW: &str = "posthaste-keywords";
/// Maildir's `P` says the same, but Dovecot knows only the keyword: both are written.
const FORWARDED: &str = "$Forwarded";
const CAP: u64 = 64 * 1024;
const OVERFLOW_CAP: u64 = 16 * 1024 * 1024;

/// The keywords of a folder's letters.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Keywords([Option<String>; 26]);

impl Keywords {
    /// Reads `dovecot-keywords`. Lines that make no sense are passed over.
    pub fn parse(octets: &[u8]) -> Keywords {
        let mut keywords = Keywords::default();
        for line in String::from_utf8_lossy(octets).lines() {
            let Some((number, name)) = line.split_once(' ') else { continue };
            let place = number.parse().ok().and_then(|number: usize| keywords.0.get_mut(number));
            if let Some(place) = place
                && is_keyword(name)
            {
                *place = Some(name.to_owned());
            }
        }
        keywords
    }

    /// The file's octets.
    pub fn octets(&self) -> Vec<u8> {
        let known = self.0.iter().enumerate();
        let lines = known.filter_map(|(number, name)| Some(format!("{number} {}\n", name.as_ref()?)));
        lines.collect::<String>().into_bytes()
    }

    /// The keyword of a letter.
    pub fn name_of(&self, letter: u8) -> Option<&str> {
        self.0.get(usize::from(letter.checked_sub(b'a')?))?.as_deref()
    }

    /// The letter of a keyword.
    pub fn letter_of(&self, keyword: &str) -> Option<u8> {
        (b'a'..=b'z')
            .find(|&letter| self.name_of(letter).is_some_and(|name| name.eq_ignore_ascii_case(keyword)))
    }

    /// The letters of flags, and the keywords that should have one and have not.
    fn of<'f>(&self, flags: &'f Flags) -> (String, Vec<&'f str>) {
        let (mut letters, mut left) = flags.letters(|keyword| self.letter_of(keyword));
        if flags.passed {
            match self.letter_of(FORWARDED) {
                Some(letter) => {
                    let at = letters.find(|other: char| other > letter as char).unwrap_or(letters.len());
                    letters.insert(at, letter as char);
                }
                None => left.push(FORWARDED),
            }
        }
        (letters, left)
    }

    /// Gives a letter to a keyword; false when all are taken.
    fn give(&mut self, keyword: &str) -> bool {
        match self.0.iter_mut().find(|place| place.is_none()) {
            Some(free) => {
                *free = Some(keyword.to_owned());
                true
            }
            None => false,
        }
    }
}

/// The keywords of messages for which there was no letter, by base name.
pub(super) type Overflow = BTreeMap<String, Vec<String>>;

/// Both files of a folder.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    pub(super) letters: Keywords,
    pub(super) overflow: Overflow,
}

impl Known {
    /// What tells whether either file changed.
    pub(super) fn stats(folder: &Dir) -> io::Result<[Option<Stat>; 2]> {
        Ok([folder.stat(LETTERS)?, folder.stat(OVERFLOW)?])
    }

    pub(super) fn read(folder: &Dir) -> io::Result<Known> {
        let letters = Keywords::parse(&folder.read(LETTERS, CAP)?.unwrap_or_default());
        let overflow = parse_overflow(&folder.read(OVERFLOW, OVERFLOW_CAP)?.unwrap_or_default());
        Ok(Known { letters, overflow })
    }

    /// The flags of a message by its name.
    pub(super) fn flags(&self, base: &str, letters: &str) -> Flags {
        let mut flags = Flags::from_letters(letters, |letter| self.letters.name_of(letter));
        for keyword in self.overflow.get(base).into_iter().flatten() {
            // Only keywords stand in the file; one that does not is not one.
            let _ = flags.insert(keyword);
        }
        flags
    }

    /// The letters for a message's flags, where nothing has to be written for them.
    pub(super) fn letters_at_hand(&self, base: &str, flags: &Flags) -> Option<String> {
        let (letters, left) = self.letters.of(flags);
        (left.is_empty() && !self.overflow.contains_key(base)).then_some(letters)
    }

    /// The letters for a message's flags. Keywords that have no letter get one, durably, or stand in the overflow,
    /// durably; so this is called before the message gets its name. The folder's lock must be held.
    pub(super) fn letters_for(
        &mut self,
        folder: &Dir,
        base: &str,
        flags: &Flags,
        _lock: &Dotlock,
    ) -> io::Result<String> {
        let (_, new) = self.letters.of(flags);
        let mut given = false;
        for keyword in new {
            given |= self.letters.give(keyword);
        }
        if given {
            folder.replace(LETTERS, &self.letters.octets())?;
        }
        let (letters, left) = self.letters.of(flags);
        let left = left.into_iter().filter(|keyword| *keyword != FORWARDED).map(str::to_owned);
        let left: Vec<String> = left.collect();
        if self.overflow.get(base).map_or(&[][..], Vec::as_slice) != left {
            let before = match left.is_empty() {
                true => self.overflow.remove(base),
                false => self.overflow.insert(base.to_owned(), left),
            };
            let octets = overflow_octets(&self.overflow);
            // What could not be read again would close the folder for good.
            if octets.len() as u64 > OVERFLOW_CAP {
                self.overflow.remove(base);
                self.overflow.extend(before.map(|names| (base.to_owned(), names)));
                let text =
                    format!("{}: the folder has too many keywords", folder.path().join(OVERFLOW).display());
                return Err(io::Error::new(io::ErrorKind::QuotaExceeded, text));
            }
            folder.replace(OVERFLOW, &octets)?;
        }
        Ok(letters)
    }

    /// Forgets the overflow of messages that are gone.
    pub(super) fn forget(
        &mut self,
        folder: &Dir,
        gone: impl Fn(&str) -> bool,
        _lock: &Dotlock,
    ) -> io::Result<()> {
        let before = self.overflow.len();
        self.overflow.retain(|base, _| !gone(base));
        if self.overflow.len() < before {
            folder.replace(OVERFLOW, &overflow_octets(&self.overflow))?;
        }
        Ok(())
    }
}

fn parse_overflow(octets: &[u8]) -> Overflow {
    let text = String::from_utf8_lossy(octets);
    let lines = text.lines().filter_map(|line| {
        let (base, names) = line.split_once(' ')?;
        let names = names.split(' ').filter(|name| is_keyword(name)).map(str::to_owned);
        Some((base.to_owned(), names.collect()))
    });
    lines.collect()
}

fn overflow_octets(overflow: &Overflow) -> Vec<u8> {
    let lines = overflow.iter().map(|(base, names)| format!("{base} {}\n", names.join(" ")));
    lines.collect::<String>().into_bytes()
}

/// The letters for a message that is delivered with these flags.
pub(super) fn letters_for(root: &Dir, folder: &FolderName, base: &str, flags: &Flags) -> io::Result<String> {
    let (letters, keywords) = Keywords::default().of(flags);
    if keywords.is_empty() {
        return Ok(letters);
    }
    folders::open_for_delivery(root, folder, "cur")?;
    let folder = folders::open(root, folder)?;
    let lock = uidlist::lock(&folder)?;
    Known::read(&folder)?.letters_for(&folder, name::parted(base).0, flags, &lock)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::disk::{Disk, tests::Scratch};

    #[test]
    fn dovecots_lines_give_letters_and_nonsense_is_passed_over() {
        let octets = b"0 $Junk\n1 work\nx y\n26 late\n3 bad\\name\n25 last\n\n7\n";
        let keywords = Keywords::parse(octets);
        assert_eq!(keywords.octets(), b"0 $Junk\n1 work\n25 last\n");
        assert_eq!(keywords.letter_of("$JUNK"), Some(b'a'));
        assert_eq!(keywords.name_of(b'z'), Some("last"));
        assert_eq!(keywords.name_of(b'c'), None);
        assert_eq!(keywords.name_of(b'A'), None);
    }

    #[test]
    fn forwarded_is_written_for_dovecot_as_well_and_either_letter_means_it() {
        let scratch = Scratch::new("forwarded");
        let dir = Disk::inline().open(scratch.path()).unwrap();
        let lock = uidlist::lock(&dir).unwrap();
        let mut known = Known::read(&dir).unwrap();
        let flags = Flags { passed: true, seen: true, ..Flags::default() };
        assert_eq!(known.letters_at_hand("1.a", &flags), None);
        assert_eq!(known.letters_for(&dir, "1.a", &flags, &lock).unwrap(), "PSa");
        assert_eq!(known.letters_at_hand("1.a", &flags).as_deref(), Some("PSa"));
        assert!(known.overflow.is_empty());
        for letters in ["PS", "Sa", "PSa"] {
            assert_eq!(known.flags("1.a", letters), flags, "{letters}");
        }
    }

    #[test]
    fn the_27th_keyword_goes_to_the_overflow_and_back() {
        let scratch = Scratch::new("keywords");
        let dir = Disk::inline().open(scratch.path()).unwrap();
        let lock = uidlist::lock(&dir).unwrap();
        let mut known = Known::read(&dir).unwrap();
        let mut flags = Flags { seen: true, ..Flags::default() };
        for number in 0..30 {
            flags.insert(&format!("key{number:02}")).unwrap();
        }
        let letters = known.letters_for(&dir, "1.a", &flags, &lock).unwrap();
        assert_eq!(letters, "Sabcdefghijklmnopqrstuvwxyz");
        let mut again = Known::read(&dir).unwrap();
        assert_eq!(again.overflow["1.a"], ["key26", "key27", "key28", "key29"]);
        assert_eq!(again.flags("1.a", &letters), flags);
        assert_eq!(again.flags("2.b", "a").names().collect::<Vec<_>>(), ["key00"]);
        again.forget(&dir, |base| base == "1.a", &lock).unwrap();
        assert_eq!(Known::read(&dir).unwrap().overflow.len(), 0);
    }

    #[test]
    fn more_keywords_than_are_read_again_are_not_written() {
        let scratch = Scratch::new("keywords-cap");
        let dir = Disk::inline().open(scratch.path()).unwrap();
        let lock = uidlist::lock(&dir).unwrap();
        let mut known = Known::read(&dir).unwrap();
        let mut flags = Flags::default();
        for number in 0..60 {
            flags.insert(&format!("{number:0255}")).unwrap();
        }
        let full = usize::try_from(OVERFLOW_CAP).unwrap() / 256 - 10;
        known.overflow.insert("0.x".to_owned(), vec!["x".repeat(255); full]);
        assert!(known.letters_for(&dir, "1.a", &flags, &lock).is_err());
        let left = &known.overflow;
        assert!(!left.contains_key("1.a") && left.contains_key("0.x"));
        Known::read(&dir).unwrap();
        known.overflow.clear();
        known.letters_for(&dir, "1.a", &flags, &lock).unwrap();
        assert_eq!(Known::read(&dir).unwrap().overflow["1.a"].len(), 34);
    }
}
