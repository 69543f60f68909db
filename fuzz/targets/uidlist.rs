//! dovecot-uidlist and dovecot-keywords: any octets are read or refused, and what is read is written the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use posthaste::store::maildir::{Keywords, Subscriptions, UidList, parted, size, wire_size};

fuzz_target!(|octets: &[u8]| {
    if let Some(list) = UidList::parse(octets) {
        let written = list.octets(|_| true);
        let again = UidList::parse(&written).expect("what is written is read");
        assert_eq!(again.octets(|_| true), written);
        assert_eq!(again.len(), list.len());
    }
    let keywords = Keywords::parse(octets);
    assert_eq!(Keywords::parse(&keywords.octets()), keywords);
    let _ = Subscriptions::parse(octets);
    let name = String::from_utf8_lossy(octets);
    let (base, letters) = parted(&name);
    assert!(base.len() + letters.len() <= name.len());
    let _ = (size(base), wire_size(base));
});
