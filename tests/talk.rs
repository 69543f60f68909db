//! Dialogues, played whole and octet by octet; `kit/talk` says how they are written. A folder `talk/NAME/` of
//! dialogues is played by `talk/NAME.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod kit;

mod talk {
    mod budgets;
    mod client;
    mod imap;
    mod imap_client;
    mod imap_daemon;
    mod imap_sections;
    mod imap_states;
    mod player;
    mod pop3;
    mod pop3_client;
    mod refusals;
    mod relayd;
    mod smtp;
}

#[test]
fn no_file_is_forgotten() {
    kit::none_forgotten("talk", include_str!("talk.rs"));
    for entry in std::fs::read_dir(kit::root().join("tests/talk")).unwrap() {
        let path = entry.unwrap().path();
        let player = path.with_extension("rs");
        assert!(!path.is_dir() || player.exists(), "{}: nobody plays its dialogues", path.display());
    }
}
