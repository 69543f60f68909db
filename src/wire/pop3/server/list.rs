//! LIST and UIDL: of one message, or of all in as many turns as it takes.

use super::{
    Answer, Ask, Cx, Server,
    state::{Next, State, gone},
    waiting::{ExpectCommand, Waiting},
};
use crate::wire::{
    pop3::{UIDL_MAX, command, reply::Reply},
    session::Step,
};

/// Lines that a turn says; none has more than 33 octets.
const LINES: usize = 1000;

/// Waits for the peer to read; then the sizes go on.
pub(super) struct AwaitRoom {
    /// From this message.
    next: u32,
}

/// Waits for unique ids.
pub(super) struct AwaitNames {
    /// Of this message and those behind it.
    next: u32,
    /// Of this one alone.
    one: bool,
}

fn ready() -> State {
    Waiting::Command(ExpectCommand).into()
}

fn line(number: u32, what: impl std::fmt::Display) -> String {
    format!("{number} {what}")
}

/// RFC 1939 section 5.
pub(super) fn list(waiting: Waiting, cx: &mut Cx, arguments: &str, out: &mut Vec<u8>) -> Next {
    let Some(maildrop) = &cx.maildrop else { return gone() };
    let wanted = command::maybe_number(arguments)
        .and_then(|number| number.map(|number| Ok((number, maildrop.size(number)?))).transpose());
    match wanted {
        Ok(Some((number, octets))) => {
            let text = line(number, octets).into();
            cx.say(&Reply { text, ..Reply::ok("") }, waiting.into(), out)
        }
        Ok(None) => {
            let (messages, octets) = maildrop.stat();
            let text = format!("{messages} messages, {octets} octets").into();
            cx.idles();
            match cx.say(&Reply { text, ..Reply::ok("") }, waiting.into(), out) {
                Next::On(_) => AwaitRoom { next: 1 }.go_on(cx, out),
                closing => closing,
            }
        }
        Err(reply) => cx.refuse(&reply, waiting.into(), out),
    }
}

impl AwaitRoom {
    pub(super) fn go_on(self, cx: &Cx, out: &mut Vec<u8>) -> Next {
        let Some(maildrop) = &cx.maildrop else { return gone() };
        let mut lines = maildrop.from(self.next);
        for (number, octets) in lines.by_ref().take(LINES) {
            out.extend_from_slice(line(number, octets).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        match lines.next() {
            Some((next, _)) => Next::Turn(State::Sizes(AwaitRoom { next }), Step::Ask(Ask::Room)),
            None => {
                out.extend_from_slice(b".\r\n");
                Next::On(ready())
            }
        }
    }
}

/// RFC 1939 section 7.
pub(super) fn uidl(waiting: Waiting, cx: &mut Cx, arguments: &str, out: &mut Vec<u8>) -> Next {
    let Some(maildrop) = &cx.maildrop else { return gone() };
    let wanted = command::maybe_number(arguments)
        .and_then(|number| number.map(|number| maildrop.size(number).map(|_| number)).transpose());
    match wanted {
        Ok(Some(number)) => AwaitNames { next: number, one: true }.ask(1),
        Ok(None) => {
            let first = maildrop.from(1).next();
            cx.idles();
            match cx.say(&Reply::ok("These"), waiting.into(), out) {
                Next::On(state) => match first {
                    Some((next, _)) => AwaitNames { next, one: false }.ask(Server::NAMES),
                    None => {
                        out.extend_from_slice(b".\r\n");
                        Next::On(state)
                    }
                },
                closing => closing,
            }
        }
        Err(reply) => cx.refuse(&reply, waiting.into(), out),
    }
}

impl AwaitNames {
    fn ask(self, most: u32) -> Next {
        let from = self.next;
        Next::Turn(State::Names(self), Step::Ask(Ask::Names { from, most }))
    }

    pub(super) fn answer(self, cx: &mut Cx, answer: Answer, out: &mut Vec<u8>) -> Option<Next> {
        let maildrop = cx.maildrop.as_ref()?;
        let names = match answer {
            Answer::Names(names) => names,
            // Within a listing nothing can be said any more.
            Answer::Refuse(reply) if self.one && !reply.is_ok() => {
                return Some(cx.pass_on(&reply, ready(), out));
            }
            _ => return None,
        };
        if names.is_empty() || !names.iter().all(|name| is_name(name)) {
            return None;
        }
        if self.one {
            let text = line(self.next, names.first()?).into();
            return Some(cx.say(&Reply { text, ..Reply::ok("") }, ready(), out));
        }
        let mut next = self.next;
        for name in names.iter().take(usize::try_from(Server::NAMES).unwrap_or(usize::MAX)) {
            if maildrop.size(next).is_ok() {
                out.extend_from_slice(line(next, name).as_bytes());
                out.extend_from_slice(b"\r\n");
            }
            next = next.saturating_add(1);
        }
        match maildrop.from(next).next() {
            Some((next, _)) if next <= maildrop.last() => {
                Some(AwaitNames { next, one: false }.ask(Server::NAMES))
            }
            _ => {
                out.extend_from_slice(b".\r\n");
                Some(Next::On(ready()))
            }
        }
    }
}

/// RFC 1939 section 7.
fn is_name(name: &str) -> bool {
    (1..=UIDL_MAX).contains(&name.len()) && name.bytes().all(|octet| octet.is_ascii_graphic())
}
