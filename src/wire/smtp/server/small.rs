//! Commands that do little.

use super::{Cx, hello, state::Next, state::State, waiting::Waiting};
use crate::wire::smtp::{command, reply::Reply};

/// Gives the reply to a command that brings no message forward.
fn idle(cx: &mut Cx, reply: &Reply, then: State, out: &mut Vec<u8>) -> Next {
    cx.idles();
    cx.refuse(reply, then, out)
}

/// RFC 5321 section 4.1.1.9: whatever stands behind it does not matter.
pub(super) fn noop(waiting: Waiting, cx: &mut Cx, _: &str, out: &mut Vec<u8>) -> Next {
    idle(cx, &Reply::fixed(250, 0, 0, "Ok"), waiting.into(), out)
}

/// RFC 5321 section 4.1.1.8.
pub(super) fn help(waiting: Waiting, cx: &mut Cx, _: &str, out: &mut Vec<u8>) -> Next {
    idle(cx, &Reply::fixed(214, 0, 0, "See RFC 5321, and postmaster for the rest"), waiting.into(), out)
}

/// RFC 5321 section 3.5.3: who exists is not told.
pub(super) fn vrfy(waiting: Waiting, cx: &mut Cx, arguments: &str, out: &mut Vec<u8>) -> Next {
    let reply = match arguments {
        "" => Reply::fixed(501, 5, 4, "Whom?"),
        _ => Reply::fixed(252, 0, 0, "Try RCPT to find out"),
    };
    idle(cx, &reply, waiting.into(), out)
}

/// RFC 5321 section 3.5.2: lists are not told.
pub(super) fn expn(waiting: Waiting, cx: &mut Cx, _: &str, out: &mut Vec<u8>) -> Next {
    cx.refuse(&Reply::fixed(502, 5, 1, "Not here"), waiting.into(), out)
}

/// RFC 5321 section 4.1.1.5.
pub(super) fn rset(waiting: Waiting, cx: &mut Cx, arguments: &str, out: &mut Vec<u8>) -> Next {
    if let Err(reply) = command::nothing(arguments) {
        return cx.refuse(&reply, waiting.into(), out);
    }
    match idle(cx, &Reply::fixed(250, 0, 0, "Ok"), waiting.idle(), out) {
        Next::On(then) => waiting.leave(cx, then),
        closing => closing,
    }
}

/// RFC 5321 section 4.1.1.10.
pub(super) fn quit(waiting: Waiting, cx: &mut Cx, arguments: &str, out: &mut Vec<u8>) -> Next {
    match command::nothing(arguments) {
        Ok(()) => cx.close(&Reply::fixed(221, 0, 0, "Bye"), out),
        Err(reply) => cx.refuse(&reply, waiting.into(), out),
    }
}

/// RFC 3207 section 4.
pub(super) fn starttls(waiting: Waiting, cx: &mut Cx, arguments: &str, out: &mut Vec<u8>) -> Next {
    match command::nothing(arguments).and_then(|()| hello::secure(cx, out)) {
        Ok(next) => next,
        Err(reply) => cx.refuse(&reply, waiting.into(), out),
    }
}

/// A web browser was told to come here. What follows is not for us.
pub(super) fn http(_: Waiting, cx: &mut Cx, _: &str, out: &mut Vec<u8>) -> Next {
    cx.close(&Reply::fixed(421, 7, 0, "This is not HTTP"), out)
}
