//! Changes the file of accounts: whole, durably, and one change at a time.

use crate::{
    account::{
        edit::{self, Refused},
        passwd::{Accounts, Fault, Setting},
    },
    sys::{disk::Disk, lock::Dotlock},
};
use rustix::fs::{Gid, Mode, Uid, fchmod, fchown};
use std::{
    fs,
    io::{self, Read as _, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

/// How long another change is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest file, in octets.
const LARGEST: u64 = 64 << 20;

/// What goes wrong.
#[derive(Debug)]
pub enum Trouble {
    /// The file, or the folder it stands in.
    File(io::Error),
    /// A line that stood there before. The file was not changed.
    Broken(Fault),
    /// The change itself.
    Refused(Refused),
}

impl From<io::Error> for Trouble {
    fn from(fault: io::Error) -> Trouble {
        Trouble::File(fault)
    }
}

/// Who gets a file that is made: nobody else, or a group that may read it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Readers {
    /// Its number.
    pub group: Option<u32>,
}

/// Changes the file at `path` (made when it is missing) by `edit`, which gets the text and gives the new one. The file is
/// replaced at once and durably; its mode, owner and group stay. A file with a broken line is left alone.
pub fn change(
    path: &Path,
    readers: Readers,
    setting: &Setting,
    edit: impl FnOnce(&str) -> Result<String, Refused>,
) -> Result<(), Trouble> {
    let path = real(path)?;
    let (folder, name) = match (path.parent(), path.file_name().and_then(|name| name.to_str())) {
        (Some(folder), Some(name)) => (folder, name),
        _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "this is no file's name").into()),
    };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let folder = Disk::inline().open(folder)?;
    let _lock = Dotlock::take(&folder, name, PATIENCE)?;
    let before = text(folder.read(name, LARGEST)?.unwrap_or_default())?;
    Accounts::parse(&before, setting).map_err(Trouble::Broken)?;
    let after = edit(&before).map_err(Trouble::Refused)?;
    // What we write must be readable, or the daemon would keep the old accounts and nobody could log in with the new.
    Accounts::parse(&after, setting).map_err(|fault| Trouble::Refused(Refused::Unfit(fault.text)))?;
    let mut file = folder.create(format!(".{name}.new-{}", std::process::id()))?;
    file.write_all(after.as_bytes())?;
    match fs::metadata(&path) {
        Ok(old) => own(file.file()?, Some(old.uid()), Some(old.gid()), old.mode() & 0o777)?,
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
            let mode = if readers.group.is_some() { 0o640 } else { 0o600 };
            own(file.file()?, None, readers.group, mode)?;
        }
        Err(fault) => return Err(fault.into()),
    }
    file.sync()?;
    file.replace(&folder, name)?;
    folder.sync()?;
    Ok(())
}

/// The accounts in the file, and what is doubtful about them.
pub fn read(path: &Path, setting: &Setting) -> Result<(Accounts, Vec<Fault>), Trouble> {
    let path = real(path)?;
    let mut octets = Vec::new();
    fs::File::open(&path)?.take(LARGEST.saturating_add(1)).read_to_end(&mut octets)?;
    if octets.len() as u64 > LARGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("over {LARGEST} octets")).into());
    }
    Accounts::parse(&text(octets)?, setting).map_err(Trouble::Broken)
}

/// Where a link leads: the file itself is replaced, not the link.
fn real(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(path.to_path_buf()),
        found => found,
    }
}

fn own(file: &fs::File, uid: Option<u32>, gid: Option<u32>, mode: u32) -> io::Result<()> {
    let now = file.metadata()?;
    let uid = uid.filter(|uid| *uid != now.uid());
    let gid = gid.filter(|gid| *gid != now.gid());
    if uid.is_some() || gid.is_some() {
        fchown(file, uid.map(Uid::from_raw), gid.map(Gid::from_raw)).map_err(|fault| {
            io::Error::new(
                io::Error::from(fault).kind(),
                "can't keep the file's owner; run this as its owner or root",
            )
        })?;
    }
    Ok(fchmod(file, Mode::from_raw_mode(mode))?)
}

fn text(octets: Vec<u8>) -> io::Result<String> {
    String::from_utf8(octets).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the file is not UTF-8"))
}

/// The name that `named` has in the file: itself, or at the first of our domains.
pub fn name_in(accounts: &Accounts, named: &str, setting: &Setting) -> Option<String> {
    if accounts.named(named).is_some() {
        return Some(named.to_string());
    }
    let full = format!("{named}@{}", setting.domains.first()?);
    (!named.contains('@') && accounts.named(&full).is_some()).then_some(full)
}

/// Removes `name`.
pub fn remove(path: &Path, setting: &Setting, name: &str) -> Result<(), Trouble> {
    change(path, Readers::default(), setting, |text| edit::remove(text, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::location::Location;
    use std::{os::unix::fs::PermissionsExt, thread};

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("posthaste-user-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Folder(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn setting() -> Setting {
        Setting {
            domains: vec!["example.org".into()],
            location: Location::parse("/m/{user}").unwrap(),
            quota: None,
        }
    }

    fn add(path: &Path, name: &str) -> Result<(), Trouble> {
        let line = edit::Line { name: name.into(), password: "!".into(), ..edit::Line::default() };
        change(path, Readers::default(), &setting(), |text| edit::add(text, &line))
    }

    #[test]
    fn a_new_file_is_for_its_owner_only_and_mode_and_links_stay() {
        let folder = Folder::new("mode");
        let path = folder.0.join("accounts");
        add(&path, "ann").unwrap();
        let mode = |path: &Path| fs::symlink_metadata(path).unwrap().mode() & 0o7777;
        assert_eq!(mode(&path), 0o600);
        fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        let link = folder.0.join("link");
        std::os::unix::fs::symlink("accounts", &link).unwrap();
        add(&link, "bob").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(mode(&path), 0o640);
        assert_eq!(fs::read_to_string(&path).unwrap(), "ann:!::::::\nbob:!::::::\n");
        let left: Vec<_> = fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "no lock and no draft is left: {left:?}");
    }

    #[test]
    fn a_broken_file_is_left_alone() {
        let folder = Folder::new("broken");
        let path = folder.0.join("accounts");
        fs::write(&path, "ann:\nann:\n").unwrap();
        assert!(matches!(add(&path, "bob"), Err(Trouble::Broken(Fault { line: 2, .. }))));
        assert!(matches!(remove(&path, &setting(), "ann"), Err(Trouble::Broken(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "ann:\nann:\n");
        fs::write(&path, b"\xff").unwrap();
        assert!(matches!(add(&path, "bob"), Err(Trouble::File(_))));
    }

    #[test]
    fn changes_at_the_same_time_are_all_kept() {
        let folder = Folder::new("race");
        let path = folder.0.join("accounts");
        thread::scope(|scope| {
            for n in 0..8 {
                let path = &path;
                scope.spawn(move || add(path, &format!("u{n}")).unwrap());
            }
        });
        assert_eq!(read(&path, &setting()).map_err(|_| ()).unwrap().0.len(), 8);
    }

    #[test]
    fn a_bare_name_finds_the_full_one() {
        let (accounts, _) = Accounts::parse("ann@example.org:\nbob:\nbob@example.org:\n", &setting())
            .map_err(|_| ())
            .unwrap();
        let named = |name: &str| name_in(&accounts, name, &setting());
        assert_eq!(named("ann").as_deref(), Some("ann@example.org"));
        assert_eq!(named("bob").as_deref(), Some("bob"));
        assert_eq!(named("bob@example.org").as_deref(), Some("bob@example.org"));
        assert_eq!(named("carl"), None);
    }
}
