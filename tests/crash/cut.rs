//! Power cuts: a loop-mounted ext4 whose journal stops without a last flush, as if the machine had gone.

use super::{
    child::{Life, command, traced},
    ledger::{Death, judge},
    random::live_until,
};
use crate::kit::{self, power::Disk, soak};

#[test]
fn a_power_cut_loses_nothing_that_was_acknowledged() {
    let cuts = if soak() { 20 } else { 2 };
    for round in 0..cuts {
        let Some(disk) = Disk::make("cut") else { return };
        let spool = disk.path().join("spool");
        let acks = 40 + round * 61 % 300;
        let child = command(Life::Load, &spool).spawn().unwrap();
        let said = live_until(child, acks, || disk.cut());
        disk.restore();
        match judge(&said, &spool, Death::PowerCut) {
            Ok(kept) => assert!(kept >= acks),
            Err(fault) => panic!("round {round}, cut behind {acks} acknowledgements: {fault}"),
        }
    }
}

/// The test itself, proved: without the syncs the cut takes messages away, and it is seen.
#[test]
fn a_power_cut_without_syncs_is_seen() {
    let Some(strace) = kit::peer("strace") else { return };
    let Some(disk) = Disk::make("nosync") else { return };
    let spool = disk.path().join("spool");
    let lie = ["-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:retval=0"];
    let child = traced(&strace, &lie, Life::Load, &spool).spawn().unwrap();
    let said = live_until(child, 40, || disk.cut());
    disk.restore();
    let fault = judge(&said, &spool, Death::PowerCut).unwrap_err();
    assert!(fault.contains("lost") || fault.contains("not whole") || fault.contains("be read"), "{fault}");
}
