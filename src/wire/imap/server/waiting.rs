//! Waiting for a command: it is framed, split, looked up and run.

use super::{
    Cx, append,
    ask::Code,
    reader::Taken,
    respond::{self, Command, Outcome},
    state::{Next, State},
    table,
};
use crate::wire::imap::token::{Announced, Bad, Tokens};

/// The longest tag that is given back.
const TAG_MAX: usize = 255;

/// Takes at most one command.
pub(super) fn octets(cx: &mut Cx, octets: &[u8], out: &mut Vec<u8>) -> (usize, Next) {
    // A TLS record of a handshake begins so (RFC 8446 section 5.1): its client waits for a server that is not here.
    if cx.reader.is_empty() && !cx.logged_in && octets.first() == Some(&0x16) {
        return (octets.len(), cx.close("TLS does not stand here from the start", out));
    }
    let (used, taken) = cx.reader.take(octets, cx.room());
    let next = match taken {
        Taken::More => Next::Turn(State::Command, cx.read()),
        Taken::Literal(announced) => literal(cx, announced, out),
        Taken::Whole => whole(cx, out),
        Taken::Refused => refused(cx, out),
        Taken::Flood => cx.close("That is too much", out),
    };
    (used, next)
}

/// A literal comes: that of APPEND's message, or one that is kept.
fn literal(cx: &mut Cx, announced: Announced, out: &mut Vec<u8>) -> Next {
    if let Some(next) = append::begun(cx, announced, out) {
        return next;
    }
    let room = cx.room();
    if cx.reader.accept(announced, room) {
        if announced.waits {
            out.extend_from_slice(b"+ Go ahead\r\n");
            // The wait for it is ours.
            cx.fresh = true;
        }
        return Next::On(State::Command);
    }
    if announced.waits {
        return refused(cx, out);
    }
    cx.reader.refuse(announced.octets);
    Next::On(State::Command)
}

/// The tag at the front of a command.
fn tag(text: &[u8]) -> Option<(String, Tokens<'_>)> {
    let mut tokens = Tokens::new(text);
    let tag = tokens.tag().ok().filter(|tag| tag.len() <= TAG_MAX)?.to_owned();
    Some((tag, tokens))
}

/// A command that was too long, or that was refused before its end.
fn refused(cx: &mut Cx, out: &mut Vec<u8>) -> Next {
    if let Some((command, outcome)) = cx.verdict.take() {
        cx.reader.clear();
        return cx.answer(&command, &outcome, out);
    }
    let tag = tag(cx.reader.text()).map(|(tag, _)| tag);
    cx.reader.clear();
    match tag {
        Some(tag) => {
            let command = Command { tag, name: "", uid: false, holds: false };
            // It is not told with BAD, which has no codes for it (RFC 7888 section 4 leaves both).
            respond::tagged(&command, &Outcome::no(Code::TooBig, "The command is too long"), out);
        }
        None => respond::bad("The command is too long", out),
    }
    cx.fresh = true;
    cx.blame(out)
}

fn whole(cx: &mut Cx, out: &mut Vec<u8>) -> Next {
    let text = cx.reader.take_text();
    let next = run(cx, &text, out);
    cx.reader.put_back(text);
    next
}

/// ```abnf
/// command = tag SP (command-any / command-auth / command-nonauth / command-select) CRLF
/// ```
fn run(cx: &mut Cx, text: &[u8], out: &mut Vec<u8>) -> Next {
    let Some((tag, mut tokens)) = tag(text) else {
        respond::bad("A command begins with a tag", out);
        cx.fresh = true;
        return cx.blame(out);
    };
    let mut command = Command { tag, name: "", uid: false, holds: false };
    let row = match named(&mut tokens) {
        Ok((row, uid)) => {
            command.name = row.name;
            command.uid = uid;
            command.holds = row.holds && !uid;
            row
        }
        Err(bad) => return cx.bad(&command, bad, out),
    };
    if let Err(why) = row.allowed(cx) {
        return cx.answer(&command, &Outcome::Bad(why.into()), out);
    }
    (row.run)(cx, &command, tokens, out).unwrap_or_else(|bad| cx.bad(&command, bad, out))
}

/// The command's name, perhaps behind UID.
fn named(tokens: &mut Tokens) -> Result<(&'static table::Row, bool), Bad> {
    const UNKNOWN: Bad = Bad("a command of IMAP4rev1 or one of the capabilities");
    tokens.space()?;
    let mut name = tokens.atom().map_err(|_| UNKNOWN)?;
    let uid = name.eq_ignore_ascii_case("UID");
    if uid {
        tokens.space()?;
        name = tokens.atom().map_err(|_| UNKNOWN)?;
    }
    let row = table::row(name).filter(|row| !uid || row.uid).ok_or(UNKNOWN)?;
    Ok((row, uid))
}
