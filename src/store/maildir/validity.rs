//! UIDVALIDITY of new folders: `dovecot-uidvalidity.6afd86c0` in the Maildir's root carries the last one given (hexadecimal), in its
//! name, and `dovecot-uidvalidity` repeats it. A folder that is deleted and made again so never gets the same.

use crate::sys::{clock::Clock, disk::Dir, random};
use std::io;

const FILE: &str = "dovecot-uidvalidity";
/// Others may take numbers at the same time, but not so many.
const TRIES: usize = 100;

/// A number that no folder of this Maildir had.
pub(super) fn next(root: &Dir, clock: &Clock) -> io::Result<u32> {
    for _ in 0..TRIES {
        let last = last(root)?;
        let now = u32::try_from(clock.micros() / 1_000_000).unwrap_or(u32::MAX);
        let next = match last {
            None => now.max(1),
            Some(last) => last.checked_add(1).ok_or_else(|| io::Error::other("UIDVALIDITY is used up"))?,
        };
        let named = |number: u32| format!("{FILE}.{number:08x}");
        let taken = match last {
            Some(last) => root.rename_new(named(last), root, named(next)),
            None => root.create(format!("{FILE}.{:08x}.tmp", random::u32())).and_then(|mut file| {
                file.sync()?;
                file.place(root, named(next))
            }),
        };
        match taken {
            Ok(()) => {
                root.replace(FILE, format!("{next:08x}").as_bytes())?;
                return Ok(next);
            }
            // Somebody was quicker.
            Err(fault) if matches!(fault.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound) => {}
            Err(fault) => return Err(fault),
        }
    }
    Err(io::Error::other("no UIDVALIDITY could be had: too many others want one"))
}

/// The greatest number that was given.
fn last(root: &Dir) -> io::Result<Option<u32>> {
    let mut last = None;
    for name in root.names()? {
        let name = name?;
        let Some(digits) = name.to_str().and_then(|name| name.strip_prefix(FILE)?.strip_prefix('.')) else {
            continue;
        };
        if digits.len() == 8
            && let Ok(number) = u32::from_str_radix(digits, 16)
        {
            last = last.max(Some(number));
        }
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::disk::{Disk, tests::Scratch};

    #[test]
    fn each_number_is_given_once_and_dovecots_are_counted_on() {
        let scratch = Scratch::new("validity");
        let root = Disk::inline().open(scratch.path()).unwrap();
        let clock = Clock::standing(1_795_000_000_000_000);
        assert_eq!(next(&root, &clock).unwrap(), 1_795_000_000);
        assert_eq!(next(&root, &clock).unwrap(), 1_795_000_001);
        assert_eq!(root.read(FILE, 100).unwrap().unwrap(), b"6afd86c1");
        std::fs::write(scratch.path().join("dovecot-uidvalidity.7fffffff"), "").unwrap();
        assert_eq!(next(&root, &clock).unwrap(), 0x8000_0000);
        std::fs::write(scratch.path().join("dovecot-uidvalidity.ffffffff"), "").unwrap();
        assert!(next(&root, &clock).is_err());
    }
}
