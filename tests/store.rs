//! The contract of the store seam, run on every sibling; and what is a Maildir's own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod kit;

mod store {
    mod contract;
    mod elsewhere;
    mod foreign;
    mod full;
    mod property;
    pub mod scene;
}

#[test]
fn no_file_is_forgotten() {
    kit::none_forgotten("store", include_str!("store.rs"));
}
