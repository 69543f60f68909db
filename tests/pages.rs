//! What is written about the programs is true: pages, flags, completions, exit table, configuration keys and README
//! agree.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod kit;

mod pages {
    mod completions;
    mod configuration;
    mod exits;
    mod flags;
    mod install;
    mod page;
    mod programs;
    mod readme;
    mod sample;
    mod units;
}

#[test]
fn no_file_is_forgotten() {
    kit::none_forgotten("pages", include_str!("pages.rs"));
}
