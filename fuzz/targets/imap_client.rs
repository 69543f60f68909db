//! IMAP, the client's side, against a hostile server.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    assert!(posthaste::wire::imap::client::fuzz(octets));
});
