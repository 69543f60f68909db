//! Addresses and folder names: what is read is written, and reads back as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use posthaste::mail::{
    address::{self, Domain, Forward, Mailbox},
    flags::Flags,
    folder::FolderName,
};

fuzz_target!(|octets: &[u8]| {
    if let Ok(mailbox) = Mailbox::parse(octets) {
        assert_eq!(mailbox.to_string().parse(), Ok(mailbox));
    }
    if let Ok(domain) = Domain::parse(octets) {
        assert_eq!(domain.to_string().parse(), Ok(domain));
    }
    if let Ok(mailbox) = Mailbox::parse_utf8(octets) {
        assert_eq!(Mailbox::parse_utf8(mailbox.to_string().as_bytes()), Ok(mailbox));
    }
    for utf8 in [false, true] {
        if let Ok((Some(mailbox), rest)) = address::reverse_path(octets, utf8) {
            assert!(rest.len() < octets.len());
            let same = address::forward_path(octets, utf8).expect("a sender is a recipient");
            assert_eq!(same, (Forward::Mailbox(mailbox), rest));
        }
    }
    let Ok(text) = std::str::from_utf8(octets) else { return };
    if let Ok(mailbox) = Mailbox::lenient(text, &Domain::Name("host.example".to_owned())) {
        assert_eq!(mailbox.to_string().parse(), Ok(mailbox));
    }
    for separator in ['.', '/'] {
        if let Ok(folder) = FolderName::parse(text, separator) {
            assert_eq!(FolderName::from_directory(&folder.directory()), Ok(folder.clone()));
            assert_eq!(FolderName::parse(&folder.text(separator), separator), Ok(folder.clone()));
            assert_eq!(FolderName::from_utf7(&folder.utf7(separator), separator), Ok(folder));
        }
    }
    if let Ok(folder) = FolderName::from_directory(text) {
        assert_eq!(folder.directory(), text);
        assert!(!text.contains('/') && text != "." && text != "..");
    }
    let flags = Flags::from_letters(text, |_| None);
    assert_eq!(Flags::from_letters(&flags.letters(|_| None).0, |_| None), flags);
});
