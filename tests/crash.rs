//! What was acknowledged survives: kills at every edge, kills at random, power cuts.
//!
//! The programs hold no switch for any of this: strace kills them from outside, and the disk is a loop-mounted file
//! system whose journal stops. `POSTHASTE_SOAK=1` makes the short runs long.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod kit;

mod crash {
    mod child;
    mod cut;
    mod daemon;
    mod edges;
    mod fetch;
    mod ledger;
    mod order;
    mod random;
    mod serve;
    mod trace;
}

#[test]
fn no_file_is_forgotten() {
    kit::none_forgotten("crash", include_str!("crash.rs"));
}
