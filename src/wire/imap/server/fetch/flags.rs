//! Flags as they are told.

use super::super::{ask::Row, view::View};
use crate::{mail::flags::Flags, wire::imap::print};

/// `* 7 FETCH (FLAGS (\Seen))`, with the UID where the command that it answers has one (RFC 3501 section 6.4.8).
pub(in super::super) fn tell(view: &View, row: &Row, uid: bool, out: &mut Vec<u8>) {
    let Some(number) = view.number(row.uid) else { return };
    out.extend_from_slice(b"* ");
    print::number(u64::from(number), out);
    out.extend_from_slice(b" FETCH (");
    if uid {
        out.extend_from_slice(b"UID ");
        print::number(u64::from(row.uid), out);
        out.push(b' ');
    }
    list(&row.flags, view.is_recent(row.uid), out);
    out.extend_from_slice(b")\r\n");
}

/// `FLAGS (\Seen)`
pub(super) fn list(flags: &Flags, recent: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(b"FLAGS (");
    let recent = recent.then_some("\\Recent");
    for (at, name) in flags.names().chain(recent).enumerate() {
        out.extend_from_slice(if at == 0 { b"" } else { b" " });
        out.extend_from_slice(name.as_bytes());
    }
    out.push(b')');
}
