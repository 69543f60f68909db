//! BDAT (RFC 3030, CHUNKING without BINARYMIME): the text comes in parts whose octets are counted, to be judged like that of DATA.
//!
//! Whatever is refused, the octets that were announced are taken first: nothing of them is ever read as a command.

use super::{
    Ask, Cx,
    body::{self, AwaitOpen, BARE, ExpectBody, Refused},
    state::{Next, State},
    waiting::{ExpectMore, ExpectRcpt, Waiting},
};
use crate::wire::{
    session::Step,
    smtp::{command, reply::Reply},
};

/// A part with fewer octets than this counts among the commands that bring no message forward, unless it is the last.
const SMALL: u64 = 512;

/// A part of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    /// Octets that are still to come.
    pub(super) left: u64,
    /// No part follows.
    pub(super) last: bool,
}

impl Chunk {
    /// How many octets of it can be taken at once where there is room for `most`.
    pub(super) fn room(&self, most: usize) -> usize {
        usize::try_from(self.left).unwrap_or(most).min(most)
    }
}

/// Where the next command begins can't be known, or it is not worth the wait.
const LOST: Reply =
    Reply::fixed(501, 5, 4, "Say BDAT, how many octets follow, and LAST behind the last part");

/// RFC 3030 section 2.
pub(super) fn bdat(waiting: Waiting, cx: &mut Cx, arguments: &str, out: &mut Vec<u8>) -> Next {
    let most = cx.settings.limits.size.saturating_add(cx.settings.limits.drain);
    let Some((left, last)) = command::bdat(arguments).filter(|(octets, _)| *octets <= most) else {
        return cx.close(&LOST, out);
    };
    if left < SMALL && !last {
        cx.idles();
        if cx.is_tried() {
            return cx.close(&super::TOO_MANY_ERRORS, out);
        }
    }
    let chunk = Chunk { left, last };
    let refusal = match waiting {
        Waiting::Rcpt(ExpectRcpt { recipients: 0 }) => body::nobody(cx),
        Waiting::Rcpt(ExpectRcpt { recipients }) => {
            let open = AwaitOpen { recipients, chunk: Some(chunk) };
            return Next::Turn(State::Open(open), Step::Ask(Ask::Open));
        }
        _ => match cx.chunked.take() {
            Some(mut body) => {
                body.chunk = Some(chunk);
                return Next::On(State::Body(*body));
            }
            None => waiting.out_of_place(cx),
        },
    };
    // One reply, whoever would have got it.
    let mut nothing = ExpectBody::new(1, Some(chunk));
    nothing.refused = Some(Refused { reply: refusal, close: false, drained: 0 });
    nothing.then = waiting;
    Next::On(State::Body(nothing))
}

impl ExpectBody {
    /// A part is whole, and with the last one the message.
    pub(super) fn end_chunk(mut self, cx: &mut Cx, out: &mut Vec<u8>) -> Next {
        if !self.chunk.is_some_and(|chunk| chunk.last) {
            cx.chunked = Some(Box::new(self));
            Reply::fixed(250, 0, 0, "Go on").print(out);
            return Next::On(Waiting::More(ExpectMore).into());
        }
        let ended = self.text.finish();
        if self.text.fault().is_some() {
            return self.refuse(BARE, true, true);
        }
        if !ended {
            // Wherever it goes from here it ends with a line, as behind DATA.
            self.held.extend_from_slice(b"\r\n");
            self.size = self.size.saturating_add(2);
            if self.size > cx.settings.limits.size {
                return self.refuse(body::too_big(cx), false, true);
            }
        }
        self.whole()
    }
}
