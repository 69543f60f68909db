//! Commands that do little, the greeting, and the end.

use super::{
    Answer, Ask, Cx, Tls,
    state::{Next, State, gone},
    waiting::{ExpectUser, Waiting},
};
use crate::wire::{
    pop3::{
        command,
        reply::{Code, Reply},
    },
    session::Step,
};

/// Waits for the handshake.
pub(super) struct ExpectTls;

/// UPDATE: waits for the agent to remove.
pub(super) struct AwaitRemoved;

const BYE: Reply = Reply::ok("Bye");

/// RFC 1939 section 4. Without a timestamp in angle brackets, which would offer APOP.
pub(super) fn greet(cx: &mut Cx, out: &mut Vec<u8>) -> Next {
    let text = format!("{} POP3", cx.settings.hostname);
    Reply { text: text.into(), ..Reply::ok("") }.print(out);
    cx.fresh = true;
    Next::On(Waiting::User(ExpectUser).into())
}

/// Refuses arguments, and counts.
fn alone(waiting: Waiting, cx: &mut Cx, arguments: &str, reply: &Reply, out: &mut Vec<u8>) -> Next {
    match command::nothing(arguments) {
        Ok(()) => {
            cx.idles();
            cx.say(reply, waiting.into(), out)
        }
        Err(reply) => cx.refuse(&reply, waiting.into(), out),
    }
}

/// RFC 2449 section 5.
pub(super) fn capa(waiting: Waiting, cx: &mut Cx, arguments: &str, out: &mut Vec<u8>) -> Next {
    let next = alone(waiting, cx, arguments, &Reply::ok("These"), out);
    if matches!(next, Next::On(_)) && command::nothing(arguments).is_ok() {
        out.extend_from_slice(b"TOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\n");
        if cx.offers_login() {
            out.extend_from_slice(b"USER\r\nSASL PLAIN\r\n");
        }
        if cx.offers_tls() {
            out.extend_from_slice(b"STLS\r\n");
        }
        out.extend_from_slice(b"EXPIRE NEVER\r\nIMPLEMENTATION posthaste\r\n.\r\n");
    }
    next
}

/// RFC 2595 section 4.
pub(super) fn stls(waiting: Waiting, cx: &mut Cx, arguments: &str, out: &mut Vec<u8>) -> Next {
    let refusal = match (command::nothing(arguments), cx.settings.tls) {
        (Err(reply), _) => reply,
        (Ok(()), Tls::None) => Reply::err("There is no TLS here"),
        (Ok(()), Tls::Offered) if !cx.secured => {
            Reply::ok("Begin").print(out);
            return Next::Turn(State::Tls(ExpectTls), Step::StartTls);
        }
        _ => Reply::err("TLS stands already"),
    };
    cx.refuse(&refusal, waiting.into(), out)
}

impl ExpectTls {
    /// What was said before TLS is forgotten, and nobody is greeted again (RFC 2595 section 4).
    pub(super) fn secured(self, cx: &mut Cx) -> Next {
        cx.secured = true;
        cx.fresh = true;
        Next::On(Waiting::User(ExpectUser).into())
    }
}

/// RFC 1939 section 5.
pub(super) fn stat(waiting: Waiting, cx: &mut Cx, arguments: &str, out: &mut Vec<u8>) -> Next {
    let (messages, octets) = cx.maildrop.as_ref().map_or((0, 0), |maildrop| maildrop.stat());
    let text = format!("{messages} {octets}");
    alone(waiting, cx, arguments, &Reply { text: text.into(), ..Reply::ok("") }, out)
}

/// RFC 1939 section 5.
pub(super) fn noop(waiting: Waiting, cx: &mut Cx, arguments: &str, out: &mut Vec<u8>) -> Next {
    alone(waiting, cx, arguments, &Reply::ok(""), out)
}

/// RFC 1939 section 5.
pub(super) fn rset(waiting: Waiting, cx: &mut Cx, arguments: &str, out: &mut Vec<u8>) -> Next {
    if let (Ok(()), Some(maildrop)) = (command::nothing(arguments), &mut cx.maildrop) {
        maildrop.reset();
    }
    alone(waiting, cx, arguments, &Reply::ok("No message is marked"), out)
}

/// RFC 1939 section 5: it only marks.
pub(super) fn dele(waiting: Waiting, cx: &mut Cx, arguments: &str, out: &mut Vec<u8>) -> Next {
    let marked = command::number(arguments).and_then(|number| match &mut cx.maildrop {
        Some(maildrop) => maildrop.delete(number),
        None => Err(Reply::err("Log in first")),
    });
    match marked {
        Ok(()) => cx.say(&Reply::ok("Marked"), waiting.into(), out),
        Err(reply) => cx.refuse(&reply, waiting.into(), out),
    }
}

/// RFC 1939 section 6: only here are messages removed.
pub(super) fn quit(waiting: Waiting, cx: &mut Cx, arguments: &str, out: &mut Vec<u8>) -> Next {
    if let Err(reply) = command::nothing(arguments) {
        return cx.refuse(&reply, waiting.into(), out);
    }
    match &cx.maildrop {
        None => cx.close(&BYE, out),
        Some(maildrop) => {
            Next::Turn(State::Removed(AwaitRemoved), Step::Ask(Ask::Remove(maildrop.deleted())))
        }
    }
}

impl AwaitRemoved {
    /// The client must hear of it when a message may have stayed.
    pub(super) fn answer(self, cx: &mut Cx, answer: Answer, out: &mut Vec<u8>) -> Option<Next> {
        match answer {
            Answer::Yes => Some(cx.close(&BYE, out)),
            Answer::Refuse(reply) if !reply.is_ok() => {
                reply.print(out);
                Some(gone())
            }
            _ => {
                Some(cx.close(&Reply::refused(Code::SysTemp, "Some messages may not have been removed"), out))
            }
        }
    }
}
