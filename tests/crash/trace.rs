//! What strace wrote, read again: calls with their beginning and end, and whether an acknowledgement came last.

use std::{collections::HashMap, fs, path::Path};

/// One system call.
#[derive(Clone, Debug)]
pub struct Call {
    pub name: String,
    /// Its arguments as strace prints them with `-y`: descriptors with their paths.
    pub args: String,
    pub result: String,
    /// The lines of the trace where it began and ended.
    pub began: usize,
    pub ended: usize,
}

impl Call {
    fn is(&self, names: &[&str]) -> bool {
        names.contains(&self.name.as_str())
    }

    fn done(&self) -> bool {
        self.result.starts_with('0')
    }

    /// The paths that stand behind descriptors, in order.
    fn paths(&self) -> Vec<&str> {
        let parts = self.args.split('<').skip(1);
        parts.filter_map(|part| part.split_once('>').map(|(path, _)| path)).collect()
    }
}

/// The options of strace that make a trace which [`read`] can read.
pub fn options(out: &Path) -> [String; 7] {
    let calls = "trace=write,writev,sendto,sendmsg,fsync,fdatasync,renameat2,renameat,rename,linkat,link";
    let out = out.to_str().unwrap();
    ["-y", "-s", "400", "-o", out, "-e", calls].map(str::to_owned)
}

/// Reads a trace.
pub fn read(path: &Path) -> Vec<Call> {
    let text = String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
    let mut open: HashMap<&str, Call> = HashMap::new();
    let mut calls = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        if let Some(resumed) = rest.strip_prefix("<... ") {
            let Some(mut call) = open.remove(thread) else { continue };
            let more = resumed.split_once(" resumed>").map_or("", |(_, more)| more);
            let (args, result) = more.rsplit_once(" = ").unwrap_or((more, ""));
            call.args += args;
            call.result = result.to_owned();
            call.ended = at;
            calls.push(call);
        } else if let Some((name, rest)) = rest.split_once('(') {
            let unfinished = rest.strip_suffix(" <unfinished ...>");
            let (args, result) = match unfinished {
                Some(args) => (args, ""),
                None => rest.rsplit_once(" = ").unwrap_or((rest, "")),
            };
            let call = Call {
                name: name.to_owned(),
                args: args.to_owned(),
                result: result.to_owned(),
                began: at,
                ended: at,
            };
            match unfinished {
                Some(_) => drop(open.insert(thread, call)),
                None => calls.push(call),
            }
        }
    }
    calls
}

/// Checks every acknowledgement: `acknowledged` finds the queue id in the call that sends one. Before it began, a file of
/// that id was synced, then linked or renamed, then the directory of its new name was synced; each of these began when the
/// one before had ended. Answers with how many there were.
pub fn acknowledged_last(
    calls: &[Call],
    acknowledged: impl Fn(&Call) -> Option<String>,
) -> Result<usize, String> {
    let mut count = 0;
    for ack in calls {
        let Some(id) = acknowledged(ack) else { continue };
        count += 1;
        let links: Vec<&Call> = calls
            .iter()
            .filter(|call| call.is(&["renameat2", "renameat", "rename", "linkat", "link"]) && call.done())
            .filter(|call| call.args.contains(&id) && call.ended < ack.began)
            // Within one directory it is put off: another thread may do that before the acknowledgement is written.
            .filter(|call| call.paths().first() != call.paths().get(1))
            .collect();
        if links.is_empty() {
            return Err(format!("{id}: acknowledged on line {} without a file in place", ack.began));
        }
        for link in links {
            let (Some(&from), Some(&to)) = (link.paths().first(), link.paths().get(1)) else {
                return Err(format!("{id}: no directories in {}", link.args));
            };
            let name = link.args.split('"').nth(1).unwrap_or_default();
            let file = format!("{from}/{name}");
            let synced = |path: &str, after: usize, before: usize| {
                calls.iter().any(|call| {
                    call.is(&["fsync", "fdatasync"])
                        && call.done()
                        && call.paths().first() == Some(&path)
                        && call.began >= after
                        && call.ended < before
                })
            };
            if !synced(&file, 0, link.began) {
                return Err(format!("{id}: {file} was not synced before it was put in place"));
            }
            if !synced(to, link.ended, ack.began) {
                return Err(format!("{id}: {to} was not synced between link and acknowledgement"));
            }
        }
    }
    Ok(count)
}
