//! The directories of an account: INBOX in the root, every other folder as `.level.level` beside its cur, new and
//! tmp (Maildir++). All that is made here is durable before it is used.

use super::{name, subscriptions};
use crate::{
    mail::folder::FolderName,
    store::{Fault, Home, Listed},
    sys::disk::{Dir, Disk},
};
use std::{collections::BTreeMap, io};

/// What only its owner reads.
const MODE: u32 = 0o700;
/// Marks a directory as a folder of a Maildir for other programs (Maildir++).
const MARK: &str = "maildirfolder";

/// A folder's directory.
pub(super) fn open(root: &Dir, folder: &FolderName) -> io::Result<Dir> {
    let directory = folder.directory();
    if directory.is_empty() { Ok(root.clone()) } else { root.open(directory) }
}

/// A folder's `new` or `cur`. A folder that is missing is made and subscribed.
pub(super) fn open_for_delivery(root: &Dir, folder: &FolderName, part: &str) -> io::Result<Dir> {
    let directory = folder.directory();
    let path = if directory.is_empty() { part.to_owned() } else { format!("{directory}/{part}") };
    match root.open(&path) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
            // Subscribed first: after a fault in between, the next try finds the folder missing and does both.
            if !folder.is_inbox() {
                subscriptions::change(root, |known| known.add(folder))?;
            }
            make(root, folder)?;
            root.open(&path)
        }
        done => done,
    }
}

/// Makes what is missing of a folder's directories; false when nothing was.
pub(super) fn make(root: &Dir, folder: &FolderName) -> io::Result<bool> {
    let directory = folder.directory();
    if directory.is_empty() {
        return make_parts(root);
    }
    let made = root.make(&directory, MODE)?;
    let dir = root.open(&directory)?;
    // The mark comes first: without it Dovecot and we take the directory for a folder all the same.
    if dir.stat(MARK)?.is_none() {
        dir.grow(MARK)?;
    }
    // Also a directory that an interrupted try left half made may not be durable yet.
    let made = made | make_parts(&dir)?;
    if made {
        root.sync()?;
    }
    Ok(made)
}

fn make_parts(dir: &Dir) -> io::Result<bool> {
    let mut made = false;
    for part in ["cur", "new", "tmp"] {
        made |= dir.make(part, MODE)?;
    }
    if made {
        dir.sync()?;
    }
    Ok(made)
}

/// The folders that stand in a Maildir, INBOX first, the others in the order of their names. A directory whose name
/// no folder can have, or that holds no `cur`, is none.
pub(super) fn list(root: &Dir) -> io::Result<Vec<FolderName>> {
    let mut found = Vec::new();
    for name in root.names()? {
        let name = name?;
        let Some(folder) = name.to_str().and_then(|name| FolderName::from_directory(name).ok()) else {
            continue;
        };
        if root.stat(std::path::Path::new(&name).join("cur"))?.is_some_and(|stat| stat.is_dir) {
            found.push(folder);
        }
    }
    found.sort();
    found.insert(0, FolderName::inbox());
    Ok(found)
}

/// What exists and what is subscribed to.
pub(super) fn listed(disk: &Disk, home: &Home) -> io::Result<Vec<Listed>> {
    let mut found = BTreeMap::from([(FolderName::inbox(), (true, false))]);
    match disk.open(home.location.as_ref()) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => {}
        Err(fault) => return Err(fault),
        Ok(root) => {
            found.extend(list(&root)?.into_iter().map(|name| (name, (true, false))));
            for name in subscriptions::read(&root)?.names() {
                found.entry(name).or_insert((false, true)).1 = true;
            }
        }
    }
    let listed = |(name, (exists, subscribed))| Listed { name, exists, subscribed };
    Ok(found.into_iter().map(listed).collect())
}

/// Where a folder's messages stand: its new/ and cur/, as far as they exist. A message moves only that way, so who reads
/// them in this order misses none.
pub(super) fn parts(folder: &Dir) -> impl Iterator<Item = io::Result<Dir>> + '_ {
    ["new", "cur"].into_iter().filter_map(|part| match folder.open(part) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => None,
        opened => Some(opened),
    })
}

/// The octets of all messages by `,S=`, or by their size where the name does not say.
pub(super) fn usage(disk: &Disk, home: &Home) -> io::Result<u64> {
    let root = match disk.open(home.location.as_ref()) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(0),
        opened => opened?,
    };
    let mut sum = 0_u64;
    for folder in list(&root)? {
        let folder = open(&root, &folder)?;
        for dir in parts(&folder) {
            let dir = dir?;
            for name in dir.names()? {
                let name = name?;
                let octets = match name.to_str().and_then(|name| name::size(name::parted(name).0)) {
                    Some(octets) => octets,
                    None => dir.stat(&name)?.filter(|stat| stat.is_file).map_or(0, |stat| stat.size),
                };
                sum = sum.saturating_add(octets);
            }
        }
    }
    Ok(sum)
}

/// Where a directory is put that is being deleted: Dovecot's place for it, so that either program clears up what the
/// other left.
const TRASH: &str = "..DOVECOT-TRASHED";

/// Makes a folder.
pub(super) fn create(root: &Dir, folder: &FolderName) -> Result<(), Fault> {
    if folder.is_inbox() || !make(root, folder)? {
        return Err(Fault::Exists);
    }
    Ok(())
}

/// Removes a folder with its messages: at once for everybody, then file by file.
pub(super) fn delete(root: &Dir, folder: &FolderName) -> Result<(), Fault> {
    if folder.is_inbox() {
        return Err(Fault::Cannot("INBOX can't be deleted"));
    }
    for _ in 0..2 {
        match root.rename(folder.directory(), root, TRASH) {
            Ok(()) => {
                root.sync()?;
                clear_trash(root)?;
                return Ok(());
            }
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Err(Fault::NoFolder),
            // What an earlier deletion left.
            Err(fault)
                if matches!(
                    fault.kind(),
                    io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists
                ) =>
            {
                clear_trash(root)?;
            }
            Err(fault) => return Err(fault.into()),
        }
    }
    Err(Fault::Local(io::Error::other(format!("{TRASH} can't be cleared"))))
}

fn clear_trash(root: &Dir) -> io::Result<()> {
    let trash = match root.open(TRASH) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    for name in trash.names()? {
        let name = name?;
        if trash.stat(&name)?.is_some_and(|stat| stat.is_dir) {
            let dir = trash.open(&name)?;
            // A Maildir's directories hold files only; what else is there stays, and the trash with it.
            for file in dir.names()? {
                dir.remove(file?)?;
            }
            trash.remove_dir(&name)?;
        } else {
            trash.remove(&name)?;
        }
    }
    root.remove_dir(TRASH).map(drop)
}

/// Renames a folder and all in it. Whoever is told of a fault finds some renamed and some not, and can go on.
pub(super) fn rename(root: &Dir, from: &FolderName, to: &FolderName) -> Result<Vec<FolderName>, Fault> {
    if to.is_inbox() {
        return Err(Fault::Exists);
    }
    if to.is_within(from) {
        return Err(Fault::Cannot("a folder can't be moved into itself"));
    }
    let all = list(root)?;
    let moving = all.iter().filter(|name| *name == from || name.is_within(from));
    let levels = from.levels().len();
    let mut pairs = Vec::new();
    for name in moving {
        let below = name.levels().get(levels..).unwrap_or_default();
        let levels = to.levels().iter().chain(below).cloned().collect();
        let target = FolderName::new(levels).map_err(|_| Fault::Cannot("the new name is too long"))?;
        if all.contains(&target) {
            return Err(Fault::Exists);
        }
        pairs.push((name.clone(), target));
    }
    if pairs.is_empty() {
        return Err(Fault::NoFolder);
    }
    for (name, target) in &pairs {
        root.rename_new(name.directory(), root, target.directory())?;
    }
    root.sync()?;
    Ok(pairs.into_iter().flat_map(|(name, target)| [name, target]).collect())
}
