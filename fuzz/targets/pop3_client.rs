//! POP3, the client's side, against a hostile server.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    assert!(posthaste::wire::pop3::client::fuzz(octets));
});
