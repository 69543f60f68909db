//! `dovecot-uidlist`, version 3.

use crate::sys::{disk::Dir, lock::Dotlock};
use std::{io, time::Duration};

pub(super) const FILE: &str = "dovecot-uidlist";
const PATIENCE: Duration = Duration::from_secs(60);

/// Takes the folder's lock: it guards the list and the keywords.
pub(super) fn lock(folder: &Dir) -> io::Result<Dotlock> {
    Dotlock::take(folder, FILE, PATIENCE)
}
