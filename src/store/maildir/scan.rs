//! What stands in a folder's new/ and cur/: base names with their flag letters, and how a moving target is read.

use super::name;
use crate::sys::{
    clock::Clock,
    disk::{Dir, Stat},
    random,
};
use std::{
    collections::HashMap,
    io,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// How often a folder that changes while it is read is read again.
const TRIES: usize = 5;
/// What stands so long in tmp/ nobody is writing any more.
const ABANDONED: Duration = Duration::from_secs(36 * 3600);
/// A directory that changed less than so long before it was read may have changed again since, under the same time:
/// file systems count in steps of up to two seconds.
const STEP: Duration = Duration::from_secs(2);

/// Where a message's file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// In new/: no reader took it.
    pub(super) new: bool,
    /// Its name there.
    pub(super) name: Box<str>,
}

impl Found {
    /// The letters of its flags.
    pub(super) fn letters(&self) -> &str {
        name::parted(&self.name).1
    }
}

/// The messages of a folder by base name.
pub(super) type Files = HashMap<Arc<str>, Found>;

/// A folder's directories, and when they were read.
#[derive(Debug)]
pub(super) struct Scanner {
    pub(super) new: Dir,
    pub(super) cur: Dir,
    /// The times of both directories at the last read, and the hour of that.
    seen: Option<([SystemTime; 2], SystemTime)>,
    /// How many messages there were then.
    count: usize,
}

impl Scanner {
    pub(super) fn open(folder: &Dir) -> io::Result<Scanner> {
        Ok(Scanner { new: folder.open("new")?, cur: folder.open("cur")?, seen: None, count: 0 })
    }

    pub(super) fn part(&self, new: bool) -> &Dir {
        if new { &self.new } else { &self.cur }
    }

    /// new/ and cur/.
    pub(super) fn parts(&self) -> [Dir; 2] {
        [self.new.clone(), self.cur.clone()]
    }

    /// Reads both directories; `None` when nothing changed since the last time. Unless it is
    /// `complete` the folder is read twice: a file that is renamed meanwhile may show up in neither of its places.
    pub(super) fn scan(
        &mut self,
        clock: &Clock,
        complete: impl Fn(&Files) -> bool,
    ) -> io::Result<Option<Files>> {
        let (mut before, mut began) = (self.times()?, clock.now());
        if let Some((times, then)) = self.seen
            && times == before
            && times.iter().all(|time| then.duration_since(*time).is_ok_and(|past| past > STEP))
        {
            return Ok(None);
        }
        let mut files = self.list(self.count)?;
        for _ in 0..TRIES {
            let after = self.times()?;
            if after == before && complete(&files) {
                break;
            }
            // What the first read saw and the second did not was renamed or removed meanwhile; the later read
            // knows better. What only the first missed is back.
            let quiet = after == before;
            (before, began) = (after, clock.now());
            files = self.list(files.len())?;
            if quiet && self.times()? == before {
                break;
            }
        }
        self.seen = Some((before, began));
        self.count = files.len();
        Ok(Some(files))
    }

    /// False before the first scan, and when the next one reads whatever the times say.
    pub(super) fn is_read(&self) -> bool {
        self.seen.is_some()
    }

    /// Makes the next scan read.
    pub(super) fn forget(&mut self) {
        self.seen = None;
    }

    fn times(&self) -> io::Result<[SystemTime; 2]> {
        let time = |dir: &Dir| dir.stat_self().map(|stat: Stat| stat.modified);
        Ok([time(&self.new)?, time(&self.cur)?])
    }

    fn list(&self, about: usize) -> io::Result<Files> {
        let mut files = Files::with_capacity(about);
        // cur/ last: a file that moves there meanwhile is seen twice rather than never.
        for new in [true, false] {
            let dir = self.part(new);
            for file in dir.files()? {
                let file = file?;
                let Some(file) = file.to_str().filter(|file| name::is_message(file)) else { continue };
                let (base, _) = name::parted(file);
                let found = Found { new, name: file.into() };
                match files.get(base) {
                    None => {
                        files.insert(base.into(), found);
                    }
                    Some(first) => {
                        if let Some((base, found)) = self.settle(base, first, found)? {
                            files.insert(base, found);
                        }
                    }
                }
            }
        }
        Ok(files)
    }

    /// Two files of one base name, as Dovecot deals with them: of a move that stopped half way (two names of one file)
    /// the one in new/ goes, and another message gets another name. What is to be kept of the second, if anything.
    fn settle(&self, base: &str, first: &Found, second: Found) -> io::Result<Option<(Arc<str>, Found)>> {
        let stat = |found: &Found| self.part(found.new).stat(&*found.name);
        match (stat(first)?, stat(&second)?) {
            (Some(one), Some(two)) if one.identity == two.identity => {
                let (goes, stays) = if second.new { (&second, first) } else { (first, &second) };
                self.part(goes.new).remove(&*goes.name)?;
                Ok(Some((base.into(), stays.clone())))
            }
            (Some(_), Some(_)) => {
                let (part, letters) = (self.part(second.new), second.letters());
                let base = format!("{base}-{:08x}", random::u32());
                let name = match second.new {
                    true => base.clone(),
                    false => name::with_letters(&base, letters),
                };
                part.rename_new(&*second.name, part, &name)?;
                Ok(Some((base.into(), Found { new: second.new, name: name.into() })))
            }
            // It was renamed while we read: the name that is there is the one that counts.
            (None, Some(_)) => Ok(Some((base.into(), second))),
            (_, None) => Ok(None),
        }
    }
}

/// Takes away what deliveries that were cut off left in tmp/ more than 36 hours ago, as Maildir asks of its readers.
pub(super) fn clean(folder: &Dir, clock: &Clock) -> io::Result<()> {
    let tmp = match folder.open("tmp") {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    for name in tmp.names()? {
        let name = name?;
        let Some(stat) = tmp.stat(&name)?.filter(|stat| stat.is_file) else { continue };
        let last = stat.modified.max(stat.changed);
        if clock.now().duration_since(last).is_ok_and(|age| age > ABANDONED) {
            tmp.remove(&name)?;
        }
    }
    Ok(())
}

/// Orders base names by the time in them, so that UIDs follow arrival.
pub(super) fn by_arrival(base: &str) -> (u64, &str) {
    let seconds = base.split('.').next().and_then(|seconds| seconds.parse().ok());
    (seconds.unwrap_or(u64::MAX), base)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::disk::{Disk, tests::Scratch};
    use std::{collections::BTreeMap, fs, path::Path};

    fn folder(files: &[&str]) -> (Scratch, Scanner) {
        let scratch = Scratch::new("scan");
        for part in ["new", "cur"] {
            fs::create_dir(scratch.path().join(part)).unwrap();
        }
        for file in files {
            fs::write(scratch.path().join(file), file).unwrap();
        }
        let dir = Disk::inline().open(scratch.path()).unwrap();
        (scratch, Scanner::open(&dir).unwrap())
    }

    fn names(files: &Files) -> BTreeMap<String, (bool, String)> {
        files.iter().map(|(base, found)| (base.to_string(), (found.new, found.name.to_string()))).collect()
    }

    #[test]
    fn files_are_found_in_both_places_and_hidden_ones_are_not() {
        let (_scratch, mut scanner) =
            folder(&["new/1.a:2,S", "new/2.b", "cur/3.c:2,RS", "cur/4.d", "cur/.nfs"]);
        let files = scanner.scan(&Clock::system(), |_| true).unwrap().unwrap();
        let names = names(&files);
        assert_eq!(names.keys().collect::<Vec<_>>(), ["1.a", "2.b", "3.c", "4.d"]);
        assert_eq!(names["1.a"], (true, "1.a:2,S".to_owned()));
        assert_eq!(files["3.c"].letters(), "RS");
    }

    #[test]
    fn an_unchanged_folder_is_not_read_again_but_a_just_changed_one_is() {
        let (scratch, mut scanner) = folder(&["cur/1.a:2,"]);
        let clock = Clock::standing(Clock::system().micros());
        assert!(scanner.scan(&clock, |_| true).unwrap().is_some());
        assert!(scanner.scan(&clock, |_| true).unwrap().is_some(), "it changed within the same step");
        clock.advance(Duration::from_secs(3));
        assert!(scanner.scan(&clock, |_| true).unwrap().is_some());
        assert!(scanner.scan(&clock, |_| true).unwrap().is_none());
        fs::write(scratch.path().join("new/2.b"), "").unwrap();
        assert_eq!(scanner.scan(&clock, |_| true).unwrap().unwrap().len(), 2);
    }

    #[test]
    fn a_half_done_move_ends_and_a_double_name_is_parted() {
        let (scratch, mut scanner) = folder(&["new/1.a", "new/2.b", "cur/2.b:2,F"]);
        let at = |file: &str| scratch.path().join(file);
        fs::hard_link(at("new/1.a"), at("cur/1.a:2,S")).unwrap();
        let files = scanner.scan(&Clock::system(), |_| true).unwrap().unwrap();
        assert_eq!(names(&files)["1.a"], (false, "1.a:2,S".to_owned()));
        assert!(!at("new/1.a").exists());
        assert_eq!(files.len(), 3);
        let read = |found: &Found| {
            let dir = if found.new { "new" } else { "cur" };
            fs::read_to_string(scratch.path().join(Path::new(dir).join(&*found.name))).unwrap()
        };
        assert_eq!(read(&files["2.b"]), "new/2.b");
        let other = files.iter().find(|(base, _)| base.starts_with("2.b-")).unwrap().1;
        assert_eq!((read(other).as_str(), other.letters()), ("cur/2.b:2,F", "F"));
        let again = scanner.scan(&Clock::system(), |_| true).unwrap().unwrap();
        assert_eq!(names(&again), names(&files));
    }

    #[test]
    fn a_name_that_one_read_missed_is_looked_for_again() {
        let (_scratch, mut scanner) = folder(&["cur/1.a:2,"]);
        let asked = std::cell::Cell::new(0);
        let known = |_: &Files| {
            asked.set(asked.get() + 1);
            false
        };
        assert_eq!(scanner.scan(&Clock::system(), known).unwrap().unwrap().len(), 1);
        assert_eq!(asked.get(), 1);
    }

    #[test]
    fn what_was_left_in_tmp_goes_after_36_hours() {
        let (scratch, _) = folder(&["cur/1.a:2,"]);
        fs::create_dir_all(scratch.path().join("tmp/dir")).unwrap();
        fs::write(scratch.path().join("tmp/left"), "x").unwrap();
        let dir = Disk::inline().open(scratch.path()).unwrap();
        let clock = Clock::standing(Clock::system().micros());
        for (hours, there) in [(35, true), (2, false)] {
            clock.advance(Duration::from_secs(hours * 3600));
            clean(&dir, &clock).unwrap();
            assert_eq!(scratch.path().join("tmp/left").exists(), there);
        }
        assert!(scratch.path().join("tmp/dir").exists() && scratch.path().join("cur/1.a:2,").exists());
    }

    #[test]
    fn bases_are_ordered_by_their_seconds() {
        let mut bases = ["999.z", "1000.a", "x.y", "1000.B"];
        bases.sort_by(|one, two| by_arrival(one).cmp(&by_arrival(two)));
        assert_eq!(bases, ["999.z", "1000.B", "1000.a", "x.y"]);
    }
}
