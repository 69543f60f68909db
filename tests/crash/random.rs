//! Kills at random moments under load.

use super::{
    child::{Life, command},
    ledger::{Death, Said, judge},
};
use crate::kit::{scratch::Scratch, soak};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::{BufRead, BufReader, Read},
    process::Child,
};

/// Lets a child live until it has acknowledged `acks` messages, then does `end`, kills it, and answers with all that
/// it said. The child may run under strace: it is the one that is killed.
pub fn live_until(mut child: Child, acks: usize, end: impl FnOnce()) -> Said {
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut said = String::new();
    let (mut kept, mut pid) = (0, None);
    while kept < acks {
        let before = said.len();
        assert!(lines.read_line(&mut said).unwrap() > 0, "the child ended by itself:\n{said}");
        let line = said[before..].trim_end();
        kept += usize::from(line.starts_with("kept "));
        pid = line.strip_prefix("pid ").map_or(pid, |pid| Pid::from_raw(pid.parse().unwrap()));
    }
    end();
    kill_process(pid.unwrap(), Signal::KILL).unwrap();
    let mut rest = Vec::new();
    lines.read_to_end(&mut rest).unwrap();
    child.wait().unwrap();
    Said { before: said, dying: String::from_utf8(rest).unwrap() }
}

#[test]
fn a_kill_under_load_loses_nothing() {
    let kills = if soak() { 100 } else { 4 };
    for round in 0..kills {
        let scratch = Scratch::new("kill");
        // As good as random: how far the twenty threads have come when so many lines were read differs each time.
        let acks = 20 + round * 37 % 400;
        let child = command(Life::Load, scratch.path()).spawn().unwrap();
        let said = live_until(child, acks, || {});
        match judge(&said, scratch.path(), Death::Kill) {
            Ok(kept) => assert!(kept >= acks),
            Err(fault) => panic!("round {round}, killed behind {acks} acknowledgements: {fault}"),
        }
    }
}
