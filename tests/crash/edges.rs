//! A kill at every system call that changes the spool.

use super::{
    child::{Life, traced},
    ledger::{Death, judge},
};
use crate::kit::{self, scratch::Scratch};
use std::os::unix::process::ExitStatusExt;

/// The calls of the table at the head of `spool/mod.rs` (a kill before a call leaves what the one before it made), and
/// the writes. Each with the fewest kills that the table alone asks for.
const CALLS: [(&str, usize); 6] =
    [("write", 12), ("pwrite64", 1), ("fsync", 10), ("fdatasync", 2), ("renameat2", 7), ("unlinkat", 3)];

/// No call is made so often in one life.
const MOST: usize = 200;

#[test]
fn a_kill_at_every_edge_loses_nothing() {
    let Some(strace) = kit::peer("strace") else { return };
    for (call, fewest) in CALLS {
        let mut kills = 0;
        for nth in 1..=MOST {
            let scratch = Scratch::new("edge");
            let inject = format!("inject={call}:signal=KILL:when={nth}");
            let trace = format!("trace={call}");
            let options = ["-o", "/dev/null", "-e", &trace, "-e", &inject];
            let output = traced(&strace, &options, Life::Table, scratch.path()).output().unwrap();
            let said = String::from_utf8(output.stdout).unwrap();
            if let Err(fault) = judge(&said.as_str().into(), scratch.path(), Death::Kill) {
                panic!("killed before {call} number {nth}: {fault}\n{said}");
            }
            if output.status.signal() != Some(9) {
                assert!(output.status.success(), "{call} {nth}: {:?}\n{said}", output.status);
                break;
            }
            kills += 1;
        }
        assert!((fewest..MOST).contains(&kills), "{kills} kills at {call}");
        println!("{kills} kills at {call}");
    }
}

/// The judge is no rubber stamp: a lost message, a torn one and a forgotten outcome are seen.
#[test]
fn the_judge_sees_what_is_planted() {
    let scratch = Scratch::new("judge");
    let output = super::child::command(Life::Table, scratch.path()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(judge(&said.as_str().into(), scratch.path(), Death::Kill), Ok(4), "{said}");
    let file = std::fs::read_dir(scratch.path().join("queue")).unwrap().next().unwrap().unwrap().path();
    let name = file.file_name().unwrap().to_str().unwrap().to_owned();
    let id = name.split_once('.').unwrap().1.to_owned();
    let whole = std::fs::read(&file).unwrap();
    let is = |said: &str, sign: &str| {
        let fault = judge(&said.into(), scratch.path(), Death::Kill).unwrap_err();
        assert!(fault.contains(sign), "{fault}, not {sign}");
    };
    is(&format!("{said}out {id} 1 done\n"), "the outcome for 1 is lost");
    is(&format!("{said}held {id}\n"), "held is not true");
    is(&format!("{said}going {id}\ngone {id}\n"), "is back");
    let mut turned = whole.clone();
    turned[200] ^= 1;
    std::fs::write(&file, &turned).unwrap();
    is(&said, "not whole");
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    is(&said, "can be read");
    std::fs::remove_file(&file).unwrap();
    is(&said, "is lost");
    std::fs::write(scratch.path().join("corrupt/x"), "").unwrap();
    is(&said, "set aside");
}
