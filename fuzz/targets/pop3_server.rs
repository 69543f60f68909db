//! POP3, the server's side, against a hostile peer.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    assert!(posthaste::wire::pop3::server::fuzz(octets));
});
