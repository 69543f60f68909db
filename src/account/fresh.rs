//! A file that is read again when it has changed: looked at with one stat(2) a use, no signal needed.

use super::passwd::Fault;
use std::{
    fs::{File, Metadata},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

/// A file changed less than this before it was read may change once more without another time stamp: the kernel's
/// clock ticks every 1 to 10 ms, and some file systems keep whole seconds.
const SETTLED: Duration = Duration::from_secs(2);

/// Size, times, inode and device, and whether they can be trusted to tell of the next change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stamp {
    facts: [i128; 4],
    settled: bool,
}

impl Stamp {
    fn of(metadata: &Metadata, now: SystemTime) -> Stamp {
        let time = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        let changed = time(metadata.ctime(), metadata.ctime_nsec());
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let before = i128::try_from(now.saturating_sub(SETTLED).as_nanos()).unwrap_or(0);
        Stamp {
            facts: [
                i128::from(metadata.size()),
                time(metadata.mtime(), metadata.mtime_nsec()),
                changed,
                (i128::from(metadata.dev()) << 64) | i128::from(metadata.ino()),
            ],
            settled: changed < before,
        }
    }
}

/// What a reader makes of a text: the value, and doubts about single lines.
pub type Read<T> = Result<(T, Vec<Fault>), Fault>;

type Reading<T> = Box<dyn Fn(&str) -> Read<T> + Send + Sync>;

/// A file, and what it says.
pub struct Fresh<T> {
    path: PathBuf,
    largest: u64,
    read: Reading<T>,
    state: Mutex<State<T>>,
}

struct State<T> {
    value: Arc<T>,
    /// The file as it was when last read, good or bad; `None` when it was missing.
    seen: Option<Stamp>,
}

impl<T> Fresh<T> {
    /// Reads the file for the first time; it must be good. `largest` in octets.
    pub fn open(
        path: &Path,
        largest: u64,
        read: impl Fn(&str) -> Read<T> + Send + Sync + 'static,
    ) -> Result<Fresh<T>, String> {
        let (stamp, text) = text(path, largest).map_err(|fault| match fault.kind() {
            io::ErrorKind::NotFound => {
                format!("{}: there is no such file; make it (it may be empty)", path.display())
            }
            _ => format!("{}: {fault}", path.display()),
        })?;
        let (value, doubts) = read(&text).map_err(|fault| told(path, &fault))?;
        doubts.iter().for_each(|doubt| tracing::warn!("{}", told(path, doubt)));
        Ok(Fresh {
            path: path.to_path_buf(),
            largest,
            read: Box::new(read),
            state: Mutex::new(State { value: Arc::new(value), seen: Some(stamp) }),
        })
    }

    /// What the file says now. A file that became unreadable or wrong keeps its old meaning, and is told of once.
    pub fn now(&self) -> Arc<T> {
        let metadata = std::fs::metadata(&self.path);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = metadata.ok().map(|metadata| Stamp::of(&metadata, SystemTime::now()));
        let facts = |stamp: Option<Stamp>| stamp.map(|stamp| stamp.facts);
        let settled = state.seen.is_none_or(|seen| seen.settled);
        if facts(stamp) == facts(state.seen) && settled {
            return state.value.clone();
        }
        match text(&self.path, self.largest) {
            Err(fault) => {
                if stamp.is_none() != state.seen.is_none() || facts(stamp) != facts(state.seen) {
                    tracing::error!("{}: {fault}: what it said before still holds", self.path.display());
                }
                state.seen = stamp;
            }
            Ok((stamp, text)) => {
                let changed = facts(Some(stamp)) != facts(state.seen);
                match (self.read)(&text) {
                    Ok((value, doubts)) => {
                        if changed {
                            doubts.iter().for_each(|doubt| tracing::warn!("{}", told(&self.path, doubt)));
                        }
                        state.value = Arc::new(value);
                    }
                    Err(fault) if changed => {
                        tracing::error!("{}: what it said before still holds", told(&self.path, &fault));
                    }
                    Err(_) => {}
                }
                state.seen = Some(stamp);
            }
        }
        state.value.clone()
    }
}

fn told(path: &Path, fault: &Fault) -> String {
    format!("{}:{}: {}", path.display(), fault.line, fault.text)
}

/// The text, and the file as it was before the first octet was read: a change meanwhile is seen the next time.
fn text(path: &Path, largest: u64) -> io::Result<(Stamp, String)> {
    let file = File::open(path)?;
    let stamp = Stamp::of(&file.metadata()?, SystemTime::now());
    let mut octets = Vec::new();
    file.take(largest.saturating_add(1)).read_to_end(&mut octets)?;
    if octets.len() as u64 > largest {
        let text = format!("over {largest} octets");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    match String::from_utf8(octets) {
        Ok(text) => Ok((stamp, text)),
        Err(fault) => {
            let before = fault.as_bytes().get(..fault.utf8_error().valid_up_to()).unwrap_or_default();
            let line = before.iter().filter(|c| **c == b'\n').count().saturating_add(1);
            Err(io::Error::new(io::ErrorKind::InvalidData, format!("line {line} is not UTF-8")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn number(text: &str) -> Read<u32> {
        let number = text.trim().parse().map_err(|_| Fault { line: 1, text: "no number".into() })?;
        Ok((number, Vec::new()))
    }

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("posthaste-fresh-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Folder(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_change_is_seen_at_the_next_use_even_one_of_equal_size_at_once() {
        let folder = Folder::new("change");
        let path = folder.0.join("f");
        fs::write(&path, "1").unwrap();
        let fresh = Fresh::open(&path, 100, number).unwrap();
        for n in 2..9 {
            fs::write(&path, n.to_string()).unwrap();
            assert_eq!(*fresh.now(), n);
        }
        fs::write(folder.0.join("g"), "10").unwrap();
        fs::rename(folder.0.join("g"), &path).unwrap();
        assert_eq!(*fresh.now(), 10);
    }

    #[test]
    fn a_broken_or_missing_file_keeps_the_old_meaning_and_a_good_one_comes_back() {
        let folder = Folder::new("broken");
        let path = folder.0.join("f");
        fs::write(&path, "1").unwrap();
        let fresh = Fresh::open(&path, 5, number).unwrap();
        for broken in ["x", "123456789", "\n\n\u{e9}"] {
            fs::write(&path, broken).unwrap();
            assert_eq!(*fresh.now(), 1, "{broken}");
        }
        fs::write(&path, b"\xff").unwrap();
        assert_eq!(*fresh.now(), 1);
        fs::remove_file(&path).unwrap();
        assert_eq!(*fresh.now(), 1);
        assert_eq!(*fresh.now(), 1);
        fs::write(&path, "2").unwrap();
        assert_eq!(*fresh.now(), 2);
    }

    #[test]
    fn the_first_reading_says_file_and_line() {
        let folder = Folder::new("first");
        let path = folder.0.join("f");
        assert!(Fresh::open(&path, 5, number).err().unwrap().contains("f: there is no such file"));
        fs::write(&path, "x").unwrap();
        assert!(Fresh::open(&path, 5, number).err().unwrap().contains("f:1: no number"));
        fs::write(&path, b"a\nb\xff").unwrap();
        assert!(Fresh::open(&path, 5, number).err().unwrap().contains("line 2 is not UTF-8"));
    }

    #[test]
    fn an_old_file_that_did_not_change_is_not_read_again() {
        let folder = Folder::new("same");
        let path = folder.0.join("f");
        fs::write(&path, "1").unwrap();
        let now = SystemTime::now();
        let metadata = fs::metadata(&path).unwrap();
        assert!(!Stamp::of(&metadata, now).settled);
        assert!(Stamp::of(&metadata, now + Duration::from_secs(5)).settled);
        let fresh = Fresh::open(&path, 5, |_: &str| Ok(((), Vec::new()))).unwrap();
        fresh.state.lock().unwrap().seen.as_mut().unwrap().settled = true;
        let before = fresh.now();
        assert!(Arc::ptr_eq(&before, &fresh.now()));
    }
}
