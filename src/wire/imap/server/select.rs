//! SELECT, EXAMINE, CLOSE and UNSELECT (RFC 3501 sections 6.3.1, 6.3.2 and 6.4.2; RFC 3691).

use super::{
    Answer, Ask, Cx, Snapshot,
    folders::mailbox,
    respond::{self, Command, Outcome},
    small,
    state::{Next, State},
    view::View,
};
use crate::wire::imap::{
    print,
    token::{Bad, Tokens},
};

/// Waits for a folder's messages.
pub(super) struct AwaitSelected {
    command: Command,
    read_only: bool,
}

/// Waits for deleted messages to be gone; then nothing is selected any more.
pub(super) struct AwaitClosing {
    command: Command,
}

/// RFC 3501 section 6.3.1.
pub(super) fn select(
    cx: &mut Cx,
    command: &Command,
    arguments: Tokens,
    out: &mut Vec<u8>,
) -> Result<Next, Bad> {
    open(cx, command, arguments, false, out)
}

/// RFC 3501 section 6.3.2.
pub(super) fn examine(
    cx: &mut Cx,
    command: &Command,
    arguments: Tokens,
    out: &mut Vec<u8>,
) -> Result<Next, Bad> {
    open(cx, command, arguments, true, out)
}

fn open(
    cx: &mut Cx,
    command: &Command,
    mut arguments: Tokens,
    read_only: bool,
    out: &mut Vec<u8>,
) -> Result<Next, Bad> {
    arguments.space()?;
    let folder = mailbox(cx, &mut arguments)?;
    arguments.end()?;
    // Whatever comes of it, the mailbox before is not selected any more.
    let selected = cx.view.take().is_some();
    if selected {
        // RFC 7162 section 3.2.11 made this; who does not know it reads over it.
        out.extend_from_slice(b"* OK [CLOSED] Closed\r\n");
    }
    cx.stirred = false;
    Ok(match folder {
        Ok(folder) => {
            let state = AwaitSelected { command: command.clone(), read_only };
            Next::ask(State::Selected(state), Ask::Select { folder, read_only })
        }
        // The agent forgets it, too.
        Err(outcome) if selected => small::ask_then(command, Ask::Unselect, outcome),
        Err(outcome) => cx.answer(command, &outcome, out),
    })
}

impl AwaitSelected {
    pub(super) fn answer(self, cx: &mut Cx, answer: Answer, out: &mut Vec<u8>) -> Option<Next> {
        let outcome = match answer {
            Answer::Selected(snapshot) => {
                let view = View::new(&snapshot, self.read_only);
                tell(&view, &snapshot, out);
                cx.view = Some(view);
                let code = if self.read_only { b"READ-ONLY".to_vec() } else { b"READ-WRITE".to_vec() };
                Outcome::Ok { code: Some(code), text: None }
            }
            Answer::No(refusal) => Outcome::No(refusal),
            _ => return None,
        };
        Some(cx.answer(&self.command, &outcome, out))
    }
}

/// What is told of a mailbox when it is selected.
fn tell(view: &View, snapshot: &Snapshot, out: &mut Vec<u8>) {
    view.tell_keywords(out);
    respond::counted(view.exists() as u64, "EXISTS", out);
    respond::counted(view.count_recent() as u64, "RECENT", out);
    if let Some(number) = snapshot.unseen.and_then(|uid| view.number(uid)) {
        numbered("UNSEEN", number, "First unseen", out);
    }
    numbered("UIDVALIDITY", view.uid_validity, "Valid", out);
    numbered("UIDNEXT", view.uid_next, "Next", out);
}

/// `* OK [CODE 7] text`
fn numbered(code: &str, number: u32, text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"* OK [");
    out.extend_from_slice(code.as_bytes());
    out.push(b' ');
    print::number(u64::from(number), out);
    out.extend_from_slice(b"] ");
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// RFC 3501 section 6.4.2: deleted messages go, and are not told of.
pub(super) fn close(cx: &mut Cx, command: &Command, arguments: Tokens, _: &mut Vec<u8>) -> Result<Next, Bad> {
    arguments.end()?;
    let read_only = cx.view.take().is_none_or(|view| view.read_only);
    Ok(match read_only {
        true => small::ask(command, Ask::Unselect),
        false => {
            let state = AwaitClosing { command: command.clone() };
            Next::ask(State::Closing(state), Ask::Expunge { uids: None })
        }
    })
}

/// RFC 3691 section 2.
pub(super) fn unselect(
    cx: &mut Cx,
    command: &Command,
    arguments: Tokens,
    _: &mut Vec<u8>,
) -> Result<Next, Bad> {
    arguments.end()?;
    cx.view = None;
    Ok(small::ask(command, Ask::Unselect))
}

impl AwaitClosing {
    pub(super) fn answer(self, _: &mut Cx, answer: Answer, out: &mut Vec<u8>) -> Option<Next> {
        match answer {
            Answer::Done => {}
            // The mailbox is closed all the same; the command knows no NO.
            Answer::No(refusal) => respond::warn(&refusal, out),
            _ => return None,
        }
        Some(small::ask(&self.command, Ask::Unselect))
    }
}
