//! Spool files: any octets are read or refused, and what is read is written the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use posthaste::spool::format;

fuzz_target!(|octets: &[u8]| {
    let Ok((header, tail)) = format::read(octets) else { return };
    assert_eq!(format::Header::parse(&header.print()).ok(), Some(header.clone()));
    assert_eq!(tail.standing.len(), tail.envelope.recipients.len());
    let written =
        format::print_envelope(&header.id, &tail.envelope).expect("an envelope that was read can be written");
    let again =
        format::read_tail(&header, [b"\n".as_slice(), &written].concat().as_slice()).expect("and read again");
    assert_eq!(again.envelope, tail.envelope);
});
