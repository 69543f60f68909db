//! IDLE (RFC 2177).

use super::{
    Cx,
    reader::Taken,
    respond::{Command, Outcome},
    state::{Next, State},
    sync,
};
use crate::wire::imap::token::{Bad, Tokens};

/// Waits for DONE, and meanwhile for news.
pub(super) struct ExpectDone {
    command: Command,
}

/// ```abnf
/// idle = "IDLE" CRLF "DONE"
/// ```
pub(super) fn idle(
    cx: &mut Cx,
    command: &Command,
    arguments: Tokens,
    out: &mut Vec<u8>,
) -> Result<Next, Bad> {
    arguments.end()?;
    out.extend_from_slice(b"+ Waiting\r\n");
    cx.fresh = true;
    let state = ExpectDone { command: command.clone() };
    Ok(match cx.view.is_some() {
        // What happened before is told now.
        true => sync::begin(cx, sync::Then::Idle(state)),
        false => Next::On(State::Idle(state)),
    })
}

impl ExpectDone {
    pub(super) fn octets(self, cx: &mut Cx, octets: &[u8], out: &mut Vec<u8>) -> (usize, Next) {
        let (used, taken) = cx.reader.take(octets, cx.room());
        let next = match taken {
            Taken::More => Next::Turn(State::Idle(self), cx.read()),
            Taken::Whole => {
                let done = cx.reader.text().eq_ignore_ascii_case(b"DONE");
                cx.reader.clear();
                match done {
                    true => cx.finish(self.command, Outcome::OK, out),
                    false => cx.bad(&self.command, Bad("DONE"), out),
                }
            }
            _ => cx.close("Nothing but DONE ends IDLE", out),
        };
        (used, next)
    }
}
