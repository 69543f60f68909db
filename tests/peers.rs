//! The same with real peers. .ci/run installs them; where one is missing its tests say so and pass, except with CI=true.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod kit;

mod peers {
    mod accounts;
    mod clients;
    mod dovecot;
    mod dovecot_imapd;
    mod fetch;
    mod fetch_others;
    mod mblaze;
    mod postfix;
    mod postfix_pipe;
    mod send_postfix;
    mod sendmail;
    mod serve;
    mod takeover;
}

#[test]
fn no_file_is_forgotten() {
    kit::none_forgotten("peers", include_str!("peers.rs"));
}
