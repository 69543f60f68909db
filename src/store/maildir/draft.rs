//! A message on its way into one account's folders: one file, linked wherever it is kept.

use super::{Inner, ends::Stored, folders, keywords, name};
use crate::{
    mail::{
        draft::{Draft, Receipt},
        folder::FolderName,
        id::DeliveryKey,
        verdict::Why,
    },
    store::{Home, Kept, LineEnds, Place},
    sys::{disk::Dir, random},
};
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    path::PathBuf,
    sync::Arc,
    time::SystemTime,
};

/// Below this the final sync is as quick as its start.
const WORTH_STARTING: u64 = 64 * 1024;

/// A message being written to tmp/.
#[derive(Debug)]
pub struct MaildirDraft {
    store: Arc<Inner>,
    root: Dir,
    stored: Stored,
    sizes: Option<(u64, u64)>,
}

impl MaildirDraft {
    pub(super) fn new(store: &Arc<Inner>, home: &Home, ends: LineEnds) -> io::Result<MaildirDraft> {
        // Nobody but a cleaner reads this name; the message's own is made of its key, at commit.
        let host = &store.host;
        let name = PathBuf::from(format!("tmp/{}.{host}", random::queue_id(&store.clock)));
        let opened = store.disk.open(home.location.as_ref()).and_then(|root| {
            let stored = Stored::new(&root, name.clone(), ends)?;
            Ok((root, stored))
        });
        let (root, stored) = match opened {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
                let root = store.disk.make_all(home.location.as_ref(), 0o700)?;
                folders::make(&root, &FolderName::inbox())?;
                let stored = Stored::new(&root, name, ends)?;
                (root, stored)
            }
            opened => opened?,
        };
        Ok(MaildirDraft { store: Arc::clone(store), root, stored, sizes: None })
    }

    /// Ends the writing.
    fn end(&mut self) -> io::Result<(u64, u64)> {
        if self.sizes.is_none() {
            self.sizes = Some(self.stored.finish()?);
        }
        self.sizes.ok_or_else(|| io::Error::other("not finished"))
    }

    /// Makes the octets durable, with the date of the message.
    pub(super) fn finish(&mut self, date: Option<SystemTime>) -> io::Result<()> {
        self.end()?;
        if let Some(date) = date {
            self.stored.file().set_modified(date)?;
        }
        self.stored.file().sync()
    }

    /// Puts one copy durably into its folder. After [`MaildirDraft::finish`]; the `last` place takes the file away.
    pub(super) fn place(&mut self, place: &Place, key: &DeliveryKey, last: bool) -> io::Result<Placed> {
        let placed = self.put(place, key, last)?;
        // Also where it stood already: that it was seen does not mean that it was synced.
        placed.dir.sync()?;
        Ok(placed)
    }

    /// The same, but for the sync of the directory.
    pub(super) fn put(&mut self, place: &Place, key: &DeliveryKey, last: bool) -> io::Result<Placed> {
        let (size, wire_size) = self.end()?;
        let base = name::base(key, &self.store.host, size, wire_size);
        let (part, name) = if place.flags.is_empty() {
            ("new", base.clone())
        } else {
            let letters = keywords::letters_for(&self.root, &place.folder, &base, &place.flags)?;
            ("cur", name::with_letters(&base, &letters))
        };
        let dir = folders::open_for_delivery(&self.root, &place.folder, part)?;
        let standing = if key.again { stands_in(&self.root, &place.folder, key)? } else { None };
        let file = self.stored.file();
        Ok(match standing {
            Some(base) => Placed { base, already: true, dir, name },
            None => {
                let put = if last { file.place(&dir, &name) } else { file.link(&dir, &name) };
                let already = match put {
                    Ok(()) => false,
                    Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => true,
                    Err(fault) if needs_a_file_of_its_own(&fault) => {
                        let folder = folders::open(&self.root, &place.folder)?;
                        copy_file(file.file()?.try_clone()?, &folder, &dir, &name)?
                    }
                    Err(fault) => return Err(fault),
                };
                Placed { base, already, dir, name }
            }
        })
    }
}

/// A copy that stands in its folder.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) base: String,
    /// It stood there before.
    pub(super) already: bool,
    /// Where it is to stand.
    pub(super) dir: Dir,
    name: String,
}

impl Placed {
    /// Takes away again what was put. Nobody knows of it; what can't be removed now is a new message for the next reader.
    pub(super) fn take_back(&self) {
        if !self.already {
            let _ = self.dir.remove(&self.name);
        }
    }
}

impl Write for MaildirDraft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.sizes.is_some() {
            return Err(io::Error::other("the draft is sealed"));
        }
        self.stored.write_all(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stored.flush()
    }
}

impl Draft for MaildirDraft {
    type Place = Place;
    type Receipt = MaildirReceipt;

    fn seal(&mut self) -> io::Result<()> {
        let (size, _) = self.end()?;
        if size > WORTH_STARTING { self.stored.file().start() } else { Ok(()) }
    }

    fn commit(self, places: Vec<Place>, key: &DeliveryKey) -> MaildirReceipt {
        MaildirReceipt(Some((self, places, key.clone())))
    }
}

/// The work of a commit. It is done by who waits, so that a daemon's many waiting threads share their syncs; who
/// drops a receipt does it, too.
#[derive(Debug)]
pub struct MaildirReceipt(Option<(MaildirDraft, Vec<Place>, DeliveryKey)>);

impl Receipt for MaildirReceipt {
    type Kept = Kept;

    fn wait(mut self) -> Vec<Result<Kept, Why>> {
        self.0.take().map(|(draft, places, key)| place_all(draft, places, &key)).unwrap_or_default()
    }
}

impl Drop for MaildirReceipt {
    fn drop(&mut self) {
        if let Some((draft, places, key)) = self.0.take() {
            place_all(draft, places, &key);
        }
    }
}

fn place_all(mut draft: MaildirDraft, places: Vec<Place>, key: &DeliveryKey) -> Vec<Result<Kept, Why>> {
    let date = places.iter().find_map(|place| place.date);
    if let Err(fault) = draft.finish(date) {
        let why = Why::local("the message could not be stored", &fault);
        return places.iter().map(|_| Err(why.clone())).collect();
    }
    let mut outcomes: Vec<Result<Kept, Why>> = Vec::with_capacity(places.len());
    for (at, place) in places.iter().enumerate() {
        // A folder named twice gets one copy: the key is the same.
        let before = places.iter().take(at).position(|other| other.folder == place.folder);
        let outcome = match before.and_then(|at| outcomes.get(at)) {
            Some(Ok(kept)) => Ok(Kept { already: true, ..kept.clone() }),
            _ => {
                let last = at.saturating_add(1) == places.len();
                let placed = draft.place(place, key, last);
                placed.map(|placed| Kept { id: key.id.clone(), already: placed.already }).map_err(|fault| {
                    Why::local(
                        &format!("the message could not be put into the folder {}", place.folder),
                        &fault,
                    )
                })
            }
        };
        outcomes.push(outcome);
    }
    outcomes
}

/// The base of a copy of `key` that stands in the folder, by whatever host it was made and wherever it was moved within.
/// Its directory is synced.
fn stands_in(root: &Dir, folder: &FolderName, key: &DeliveryKey) -> io::Result<Option<String>> {
    let stem = name::stem(key);
    let folder = folders::open(root, folder)?;
    for dir in folders::parts(&folder) {
        let dir = dir?;
        for name in dir.names()? {
            let name = name?;
            if let Some(name) = name.to_str().filter(|name| name.starts_with(&stem)) {
                dir.sync()?;
                return Ok(Some(name::parted(name).0.to_owned()));
            }
        }
    }
    Ok(None)
}

/// True when a message can't have one more name there: the folder lies on another file system, or the file has as many
/// names as its file system allows (65,000 on ext4).
pub(super) fn needs_a_file_of_its_own(fault: &io::Error) -> bool {
    matches!(fault.kind(), io::ErrorKind::CrossesDevices | io::ErrorKind::TooManyLinks)
}

/// Makes a file of its own in a folder, with the date of `source`; true when the name was taken. The directory is the
/// caller's to sync.
pub(super) fn copy_file(mut source: File, folder: &Dir, dir: &Dir, name: &str) -> io::Result<bool> {
    let draft = format!("tmp/{name}");
    let mut copy = match folder.create(&draft) {
        // Other programs make folders that have only what they need.
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
            folder.make("tmp", 0o700)?;
            folder.create(&draft)?
        }
        created => created?,
    };
    source.seek(SeekFrom::Start(0))?;
    // Not io::copy's own ways between files: every octet has to pass the buffer that counts and can fail.
    let mut chunk = vec![0; 32 * 1024];
    loop {
        let got = source.read(&mut chunk)?;
        let Some(octets) = chunk.get(..got).filter(|octets| !octets.is_empty()) else { break };
        copy.write_all(octets)?;
    }
    copy.set_modified(source.metadata()?.modified()?)?;
    copy.sync()?;
    match copy.place(dir, name) {
        Ok(()) => Ok(false),
        Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => Ok(true),
        Err(fault) if fault.kind() == io::ErrorKind::CrossesDevices => {
            let text = format!(
                "{}: tmp/ lies on another file system; within a folder tmp/, new/ and cur/ must share one",
                folder.path().display()
            );
            Err(io::Error::new(io::ErrorKind::CrossesDevices, text))
        }
        Err(fault) => Err(fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        mail::flags::Flags,
        mail::id::QueueId,
        store::{Store, maildir::Maildir},
        sys::{
            clock::Clock,
            disk::{Disk, Faults, tests::Scratch},
        },
    };
    use std::{
        collections::BTreeMap,
        os::unix::fs::MetadataExt,
        path::Path,
        time::{Duration, UNIX_EPOCH},
    };

    fn place(folder: &str, flags: &[&str]) -> Place {
        let mut set = Flags::default();
        for flag in flags {
            set.insert(flag).unwrap();
        }
        Place { folder: FolderName::parse(folder, '/').unwrap(), flags: set, date: None }
    }

    fn deliver(
        disk: Disk,
        path: &Path,
        places: Vec<Place>,
        key: &DeliveryKey,
    ) -> io::Result<Vec<Result<Kept, Why>>> {
        let store = Maildir::new(disk, Clock::system());
        let home = Home { account: "a@example.org".into(), location: path.to_str().unwrap().into() };
        let mut draft = store.draft(&home, LineEnds::Wire)?;
        draft.write_all(b"Subject: x\r\n\r\n")?;
        draft.write_all(&b"line\r\n".repeat(20_000))?;
        draft.seal()?;
        Ok(draft.commit(places, key).wait())
    }

    /// Every file below a directory, by its path there.
    fn files(path: &Path) -> BTreeMap<String, std::fs::Metadata> {
        let mut found = BTreeMap::new();
        let mut dirs = vec![path.to_owned()];
        while let Some(dir) = dirs.pop() {
            for entry in std::fs::read_dir(dir).into_iter().flatten() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_dir() {
                    dirs.push(entry.path());
                } else {
                    let name = entry.path().strip_prefix(path).unwrap().to_str().unwrap().to_owned();
                    found.insert(name, entry.metadata().unwrap());
                }
            }
        }
        found
    }

    fn key() -> DeliveryKey {
        DeliveryKey::first(QueueId::new(1_795_000_000_000_000, 5))
    }

    #[test]
    fn one_file_is_linked_into_all_folders_and_they_are_made_and_subscribed() {
        let scratch = Scratch::new("places");
        let path = scratch.path().join("deep/er");
        let date = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let mut places =
            vec![place("INBOX", &[]), place("Lists/rust", &["\\Seen", "work"]), place("INBOX", &[])];
        places[1].date = Some(date);
        let outcomes = deliver(Disk::inline(), &path, places, &key()).unwrap();
        let already: Vec<_> = outcomes.iter().map(|outcome| outcome.as_ref().unwrap().already).collect();
        assert_eq!(already, [false, false, true]);
        let host = name::host(rustix::system::uname().nodename().to_str().unwrap());
        let base = format!("1795000000.{}.{host},S=100012,W=120014", key().id);
        let files = files(&path);
        let names: Vec<_> = files.keys().map(String::as_str).collect();
        let cur = format!(".Lists.rust/cur/{base}:2,Sa");
        let new = format!("new/{base}");
        assert_eq!(
            names,
            [&cur, ".Lists.rust/dovecot-keywords", ".Lists.rust/maildirfolder", &new, "subscriptions"]
        );
        assert_eq!(files[&cur].ino(), files[&new].ino());
        assert_eq!(files[&new].len(), 100_012);
        assert_eq!(files[&new].mode() & 0o777, 0o600);
        assert_eq!(files[&new].modified().unwrap(), date);
        assert_eq!(std::fs::read_to_string(path.join("subscriptions")).unwrap(), "V\t2\n\nLists\trust\n");
        for part in ["cur", "new", "tmp"] {
            assert_eq!(path.join(".Lists.rust").join(part).metadata().unwrap().mode() & 0o777, 0o700);
        }
    }

    #[test]
    fn a_repeated_commit_finds_its_copy_in_new_and_in_cur() {
        let scratch = Scratch::new("again");
        let tell = |again: bool| {
            let key = DeliveryKey { again, ..key() };
            let outcomes = deliver(Disk::inline(), scratch.path(), vec![place("INBOX", &[])], &key).unwrap();
            outcomes[0].as_ref().unwrap().already
        };
        assert!(!tell(false));
        assert!(tell(false), "the name is taken, which is seen without a look");
        assert!(tell(true));
        let name = files(scratch.path()).into_keys().next().unwrap();
        let moved = format!("{}:2,S", name.replace("new/", "cur/"));
        std::fs::rename(scratch.path().join(&name), scratch.path().join(&moved)).unwrap();
        assert!(tell(true));
        assert_eq!(files(scratch.path()).len(), 1);
        let other = DeliveryKey { copy: 7, again: true, ..key() };
        let outcomes = deliver(Disk::inline(), scratch.path(), vec![place("INBOX", &[])], &other).unwrap();
        assert!(!outcomes[0].as_ref().unwrap().already);
    }

    #[test]
    fn a_disk_that_fills_at_any_step_loses_nothing_that_was_acknowledged_and_leaves_no_part() {
        for stays_full in [true, false] {
            for n in 0.. {
                let scratch = Scratch::new("fills");
                let faults = if stays_full { Faults::from(n, 28) } else { Faults::once(n, 28) };
                let places = vec![place("INBOX", &[]), place("Work", &["\\Flagged", "later"])];
                let outcomes = deliver(Disk::failing(faults.clone()), scratch.path(), places.clone(), &key());
                let kept = |folder: &str| {
                    let whole = |(name, file): (&String, &std::fs::Metadata)| {
                        assert!(file.len() == 100_012 || !name.contains(",S="), "step {n}: {name}");
                        assert!(!name.starts_with("tmp/"), "step {n}: {name} was left");
                        name.contains(",S=") && name.starts_with(folder)
                    };
                    files(scratch.path()).iter().filter(|file| whole(*file)).count()
                };
                match outcomes {
                    Ok(outcomes) => {
                        for (outcome, folder) in outcomes.iter().zip(["new/", ".Work/"]) {
                            match outcome {
                                Ok(_) => assert_eq!(kept(folder), 1, "step {n}: {folder}"),
                                Err(why) => assert_eq!((why.subject, why.detail), (3, 1), "step {n}: {why}"),
                            }
                        }
                    }
                    Err(fault) => assert_eq!(fault.kind(), io::ErrorKind::StorageFull, "step {n}"),
                }
                kept("");
                // With room again the same commit completes, and makes no second copy.
                let key = DeliveryKey { again: true, ..key() };
                let outcomes = deliver(Disk::inline(), scratch.path(), places, &key).unwrap();
                assert!(outcomes.iter().all(Result::is_ok), "step {n}: {outcomes:?}");
                assert_eq!((kept("new/"), kept(".Work/")), (1, 1), "step {n}");
                if !faults.struck() {
                    assert!(n > 20, "{n} steps");
                    break;
                }
            }
        }
    }

    #[test]
    fn a_dropped_draft_leaves_nothing() {
        let scratch = Scratch::new("dropped");
        let store = Maildir::new(Disk::inline(), Clock::system());
        let home = Home { account: "a".into(), location: scratch.path().to_str().unwrap().into() };
        let mut draft = store.draft(&home, LineEnds::AsGiven).unwrap();
        draft.write_all(b"x").unwrap();
        draft.seal().unwrap();
        assert!(draft.write_all(b"y").is_err());
        drop(draft);
        assert_eq!(files(scratch.path()).len(), 0);
        assert_eq!(store.usage(&home).unwrap(), 0);
    }
}
