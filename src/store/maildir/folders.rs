//! The directories of an account: INBOX in the root, every other folder as `.level.level` beside its cur, new and
//! tmp (Maildir++). All that is made here is durable before it is used.

use super::{name, subscriptions};
use crate::{
    mail::folder::FolderName,
    store::{Home, Listed},
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

/// The octets of all messages by `,S=`, or by their size where the name does not say.
pub(super) fn usage(disk: &Disk, home: &Home) -> io::Result<u64> {
    let root = match disk.open(home.location.as_ref()) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(0),
        opened => opened?,
    };
    let mut sum = 0_u64;
    for folder in list(&root)? {
        let folder = open(&root, &folder)?;
        for part in ["new", "cur"] {
            let dir = match folder.open(part) {
                Err(fault) if fault.kind() == io::ErrorKind::NotFound => continue,
                opened => opened?,
            };
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
