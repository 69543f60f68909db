//! A Maildir folder as programs without a server look at it: the paths of its messages, with what their names say.

use super::{keywords::Known, name};
use crate::{mail::flags::Flags, sys::disk::Disk};
use std::{
    io,
    path::{Path, PathBuf},
};

/// A message in a folder, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its file.
    pub path: PathBuf,
    /// Its flags.
    pub flags: Flags,
    /// True in new/: no reader has seen it there.
    pub new: bool,
    /// The file's octets, where the name says them.
    pub size: Option<u64>,
}

/// The messages of the folder in directory `folder`, oldest name first. `NotADirectory` when it has no cur/.
pub fn browse(disk: &Disk, folder: &Path) -> io::Result<Vec<Found>> {
    let dir = disk.open(folder)?;
    let mut names = Vec::new();
    for (part, new) in [("cur", false), ("new", true)] {
        let part = match dir.open(part) {
            // A folder that nobody delivered to yet may lack new/.
            Err(fault) if fault.kind() == io::ErrorKind::NotFound && new => continue,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
                let text = format!("{}: not a Maildir folder (it has no cur/)", folder.display());
                return Err(io::Error::new(io::ErrorKind::NotADirectory, text));
            }
            opened => opened?,
        };
        for name in part.names()? {
            let name = name?;
            if name.to_str().is_none_or(name::is_message) {
                names.push((seconds(name.as_encoded_bytes()), name, new));
            }
        }
    }
    names.sort_unstable();
    let known = Known::read(&dir)?;
    let found = |(_, name, new): (u64, std::ffi::OsString, bool)| {
        let (base, letters) = name::parted(name.to_str().unwrap_or_default());
        Found {
            flags: known.flags(base, letters),
            size: name::size(base),
            path: folder.join(if new { "new" } else { "cur" }).join(&name),
            new,
        }
    };
    Ok(names.into_iter().map(found).collect())
}

/// A message file that is named by itself: its flags as far as the name alone says them.
pub fn alone(path: PathBuf) -> Found {
    let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let (base, letters) = name::parted(file);
    let new = path.parent().and_then(Path::file_name).is_some_and(|part| part == "new");
    Found { flags: Flags::from_letters(letters, |_| None), size: name::size(base), new, path }
}

/// The number that a name begins with, by which names sort as they came.
fn seconds(name: &[u8]) -> u64 {
    let digits = name.iter().take_while(|octet| octet.is_ascii_digit());
    digits.fold(0, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_folder_is_listed_in_the_order_of_arrival() {
        let root = std::env::temp_dir().join(format!("posthaste-browse-{}", std::process::id()));
        for part in ["cur", "new", "tmp"] {
            fs::create_dir_all(root.join(part)).unwrap();
        }
        for name in ["cur/10.b.h,S=5:2,FSa", "cur/9.a.h:2,", "new/11.c.h", "new/.hidden", "tmp/1.x.h"] {
            fs::write(root.join(name), "").unwrap();
        }
        fs::write(root.join("dovecot-keywords"), "0 work\n").unwrap();
        let found = browse(&Disk::inline(), &root).unwrap();
        let names: Vec<_> =
            found.iter().map(|found| found.path.strip_prefix(&root).unwrap().to_owned()).collect();
        assert_eq!(names, ["cur/9.a.h:2,", "cur/10.b.h,S=5:2,FSa", "new/11.c.h"].map(PathBuf::from));
        assert_eq!(found[1].flags.names().collect::<Vec<_>>(), ["\\Flagged", "\\Seen", "work"]);
        assert_eq!((found[1].size, found[1].new, found[2].new), (Some(5), false, true));
        fs::remove_dir_all(root.join("cur")).unwrap();
        assert_eq!(browse(&Disk::inline(), &root).unwrap_err().kind(), io::ErrorKind::NotADirectory);
        fs::remove_dir_all(&root).unwrap();
        let one = alone("/x/new/1.a.h,S=3:2,Sa".into());
        assert_eq!((one.flags.names().count(), one.new, one.size), (1, true, Some(3)));
    }
}
