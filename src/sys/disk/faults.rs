//! A disk that fails on command, for tests: "a full disk at every write loses nothing" is a loop over the steps.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

/// A step that changes the disk and can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// A file is made in the place for the unfinished.
    Create,
    /// Octets are written.
    Write,
    /// A file's fsync.
    SyncFile,
    /// A link or rename.
    Link,
    /// A name is taken away.
    Remove,
    /// A directory is made.
    MakeDir,
    /// A directory's fsync.
    SyncDir,
}

/// Which steps fail, and with what. Clones share their count and trace.
#[derive(Clone, Debug)]
pub struct Faults(Arc<Mutex<Plan>>);

#[derive(Debug)]
struct Plan {
    from: usize,
    to: usize,
    only: Option<Step>,
    errno: i32,
    trace: Vec<Step>,
}

impl Faults {
    /// The `n`-th step (from 0) fails with this errno, and only it.
    pub fn once(n: usize, errno: i32) -> Faults {
        Faults::plan(n, n, None, errno)
    }

    /// The `n`-th step (from 0) and all after it fail: a disk that stays full.
    pub fn from(n: usize, errno: i32) -> Faults {
        Faults::plan(n, usize::MAX, None, errno)
    }

    /// Every step of this kind fails.
    pub fn each(step: Step, errno: i32) -> Faults {
        Faults::plan(0, usize::MAX, Some(step), errno)
    }

    /// Nothing fails; the steps are only noted.
    pub fn none() -> Faults {
        Faults::plan(usize::MAX, 0, None, 0)
    }

    fn plan(from: usize, to: usize, only: Option<Step>, errno: i32) -> Faults {
        Faults(Arc::new(Mutex::new(Plan { from, to, only, errno, trace: Vec::new() })))
    }

    /// The steps so far, those that failed included.
    pub fn trace(&self) -> Vec<Step> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).trace.clone()
    }

    /// True when a step has failed.
    pub fn struck(&self) -> bool {
        let plan = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        plan.trace.iter().enumerate().any(|(at, &step)| plan.strikes(at, step))
    }

    pub(super) fn meet(&self, step: Step) -> io::Result<()> {
        let mut plan = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = plan.trace.len();
        plan.trace.push(step);
        if plan.strikes(at, step) { Err(io::Error::from_raw_os_error(plan.errno)) } else { Ok(()) }
    }
}

impl Plan {
    fn strikes(&self, at: usize, step: Step) -> bool {
        (self.from..=self.to).contains(&at) && self.only.is_none_or(|only| only == step)
    }
}
