//! Giving up powers: a process started as root becomes the user whose files it works on.

use nix::unistd::{Gid, Uid, User, initgroups, setgid, setgroups, setuid};
use std::{ffi::CString, io};

/// True for root, who can become anybody.
pub fn is_root() -> bool {
    Uid::effective().is_root()
}

/// Becomes `user` with all its groups, for good. All threads of the process do (glibc and musl see to that). Fails
/// when there is no such user or we may not.
pub fn become_named(user: &str) -> io::Result<()> {
    let found = User::from_name(user)?
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("there is no user {user:?}")))?;
    if found.uid == Uid::effective() {
        return Ok(());
    }
    let name = CString::new(found.name).map_err(|_| io::ErrorKind::InvalidInput)?;
    initgroups(&name, found.gid)?;
    setgid(found.gid)?;
    setuid(found.uid)?;
    Ok(())
}

/// Becomes the user and group with these numbers and no other group, for good; as [`become_named`].
pub fn become_number(uid: u32, gid: u32) -> io::Result<()> {
    let gid = Gid::from_raw(gid);
    setgroups(&[gid])?;
    setgid(gid)?;
    setuid(Uid::from_raw(uid))?;
    Ok(())
}
