//! A program that takes a message: it gets it on stdin, and is ended when it takes too long.

use rustix::process::{Pid, Signal, kill_process_group};
use std::{ffi::OsString, fs::File, io, process::ExitStatus, process::Stdio, time::Duration};
use tokio::{process::Command, time::timeout};

/// How long a program may take to end once it was asked to.
const GRACE: Duration = Duration::from_secs(2);

/// Runs `program` to its end, in a process group of its own. `None` when it was not done in `limit`: then it was asked to end
/// (SIGTERM), it and all that it had started, and what had not ended soon after was killed.
pub(super) async fn run(
    program: &OsString,
    arguments: &[OsString],
    message: File,
    limit: Duration,
) -> io::Result<Option<ExitStatus>> {
    let mut child =
        Command::new(program).args(arguments).stdin(Stdio::from(message)).process_group(0).spawn()?;
    // Until it is waited for, nobody else can have its number.
    let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    if let Ok(ended) = timeout(limit, child.wait()).await {
        return ended.map(Some);
    }
    let tell = |signal| group.map_or(Ok(()), |group| kill_process_group(group, signal));
    // A group that is gone already is what was wanted.
    let _ = tell(Signal::TERM);
    if timeout(GRACE, child.wait()).await.is_err() {
        let _ = tell(Signal::KILL);
        child.wait().await?;
    }
    Ok(None)
}
