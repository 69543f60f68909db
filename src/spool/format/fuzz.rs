//! The entry of the fuzz target: any octets as a spool file, with what must hold whatever they are.

use super::{Header, print_envelope, read};

/// Reads `octets` as a spool file. False when something that must hold did not: an entry whose lengths do not add up,
/// or one that would be read differently when it is printed again.
pub fn fuzz(octets: &[u8]) -> bool {
    let (header, tail) = match read(octets) {
        Ok(found) => found,
        Err(fault) => return !fault.to_string().is_empty(),
    };
    let end = header.tail().saturating_add(tail.whole);
    let length = octets.len() as u64;
    let fits = if tail.torn { end < length } else { end == length };
    if !fits || tail.standing.len() != tail.envelope.recipients.len() {
        return false;
    }
    let empty = Header { id: header.id.clone(), length: 0 };
    let Ok(printed) = print_envelope(&header.id, &tail.envelope) else {
        // Only the budget can refuse what was read: escapes may make it longer.
        return length > (super::ENVELOPE_MAX / 8) as u64;
    };
    let again = [&empty.print()[..], &printed].concat();
    read(&again).is_ok_and(|(_, again)| again.envelope == tail.envelope && !again.torn)
}
