//! The order of the syncs, as the kernel sees it: the file's and the directory's come before the acknowledgement.

use super::{
    child::{Life, traced},
    random::live_until,
    trace::{self, Call, acknowledged_last},
};
use crate::kit::{self, scratch::Scratch};

fn kept(call: &Call) -> Option<String> {
    let text = call.args.split_once("\"kept ")?.1;
    (call.name == "write").then(|| text.get(..16).map(str::to_owned))?
}

#[test]
fn file_and_directory_are_synced_before_the_spool_says_that_it_has_a_message() {
    let Some(strace) = kit::peer("strace") else { return };
    for life in [Life::Table, Life::Load] {
        let scratch = Scratch::new("order");
        let out = scratch.path().join("trace");
        let options = trace::options(&out);
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let child = traced(&strace, &options, life, &scratch.path().join("spool")).spawn().unwrap();
        match life {
            Life::Table => drop(child.wait_with_output().unwrap()),
            Life::Load => drop(live_until(child, 60, || {})),
        }
        let calls = trace::read(&out);
        let count = acknowledged_last(&calls, kept).unwrap();
        assert!(count >= if matches!(life, Life::Table) { 4 } else { 60 }, "{count}");
        // The check is no rubber stamp: without any one sort of sync it fails.
        for missing in ["/queue", "/tmp/"] {
            let fewer: Vec<Call> = calls
                .iter()
                .filter(|call| !(call.name == "fsync" && call.args.contains(missing)))
                .cloned()
                .collect();
            assert!(acknowledged_last(&fewer, kept).is_err(), "{missing}");
        }
    }
}
