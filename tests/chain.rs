//! Our programs together: submitted, queued, routed, delivered, read.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod kit;

mod chain {
    mod configuration;
    mod daemon;
    mod deliver;
    mod demo;
    mod extensions;
    mod fetch;
    mod kit_itself;
    mod literal;
    mod memory;
    mod net;
    mod outbound;
    mod queue;
    mod read;
    mod relay_spellings;
    mod rights;
    mod root;
    mod send;
    mod serve;
    mod serve_account;
    mod serve_large;
    mod serve_search;
    mod serve_unreadable;
    mod sessions;
    mod systemd;
    mod tls;
    mod user;
    mod walk;
}

#[test]
fn no_file_is_forgotten() {
    kit::none_forgotten("chain", include_str!("chain.rs"));
}
