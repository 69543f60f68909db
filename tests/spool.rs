//! The spool: the contract of the seam, run on every sibling, and what only the one on disk promises.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod kit;
mod spool {
    mod contract;
    mod disk;
}

#[test]
fn no_file_is_forgotten() {
    kit::none_forgotten("spool", include_str!("spool.rs"));
}
