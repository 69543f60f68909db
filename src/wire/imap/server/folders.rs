//! Folders as such: CREATE to LSUB, and STATUS (RFC 3501 section 6.3).

use super::{
    Answer, Ask, Code, Cx, Status, list,
    respond::{Command, Outcome},
    small,
    state::{Next, State},
};
use crate::{
    mail::folder::FolderName,
    wire::imap::{
        print,
        token::{Bad, Tokens, is_atom_char},
    },
};
use std::borrow::Cow;

/// Waits for the folders.
pub(super) struct AwaitFolders {
    command: Command,
    pattern: String,
    subscribed: bool,
}

/// Waits for counts of a folder.
pub(super) struct AwaitStatus {
    command: Command,
    folder: FolderName,
    items: Vec<Item>,
}

/// ```abnf
/// mailbox = "INBOX" / astring
/// ```
/// In modified UTF-7. A text that names no folder can't be had, which is another fault than bad grammar.
pub(super) fn mailbox(cx: &Cx, arguments: &mut Tokens) -> Result<Result<FolderName, Outcome>, Bad> {
    let text = arguments.astring()?;
    Ok(named(cx, &text))
}

fn named(cx: &Cx, text: &[u8]) -> Result<FolderName, Outcome> {
    let text = std::str::from_utf8(text).unwrap_or("\u{fffd}");
    FolderName::from_utf7(text, cx.settings.separator)
        .map_err(|fault| Outcome::No(super::Refusal::new(Code::Cannot, fault.to_string())))
}

/// A command about one folder.
fn about(
    cx: &mut Cx,
    command: &Command,
    mut arguments: Tokens,
    out: &mut Vec<u8>,
    ask: impl FnOnce(FolderName) -> Ask,
) -> Result<Next, Bad> {
    arguments.space()?;
    let folder = mailbox(cx, &mut arguments)?;
    arguments.end()?;
    Ok(match folder {
        Ok(folder) => small::ask(command, ask(folder)),
        Err(outcome) => cx.answer(command, &outcome, out),
    })
}

/// RFC 3501 section 6.3.3. A separator at the end says only that there will be folders in it.
pub(super) fn create(
    cx: &mut Cx,
    command: &Command,
    mut arguments: Tokens,
    out: &mut Vec<u8>,
) -> Result<Next, Bad> {
    arguments.space()?;
    let text = arguments.astring()?;
    arguments.end()?;
    let separator = u8::try_from(cx.settings.separator).unwrap_or(b'/');
    Ok(match named(cx, text.strip_suffix(&[separator]).unwrap_or(&text)) {
        Ok(folder) => small::ask(command, Ask::Create(folder)),
        Err(outcome) => cx.answer(command, &outcome, out),
    })
}

/// RFC 3501 section 6.3.4.
pub(super) fn delete(
    cx: &mut Cx,
    command: &Command,
    arguments: Tokens,
    out: &mut Vec<u8>,
) -> Result<Next, Bad> {
    about(cx, command, arguments, out, Ask::Delete)
}

/// RFC 3501 section 6.3.6.
pub(super) fn subscribe(
    cx: &mut Cx,
    command: &Command,
    arguments: Tokens,
    out: &mut Vec<u8>,
) -> Result<Next, Bad> {
    about(cx, command, arguments, out, |folder| Ask::Subscribe { folder, subscribed: true })
}

/// RFC 3501 section 6.3.7.
pub(super) fn unsubscribe(
    cx: &mut Cx,
    command: &Command,
    arguments: Tokens,
    out: &mut Vec<u8>,
) -> Result<Next, Bad> {
    about(cx, command, arguments, out, |folder| Ask::Subscribe { folder, subscribed: false })
}

/// RFC 3501 section 6.3.5.
pub(super) fn rename(
    cx: &mut Cx,
    command: &Command,
    mut arguments: Tokens,
    out: &mut Vec<u8>,
) -> Result<Next, Bad> {
    arguments.space()?;
    let from = mailbox(cx, &mut arguments)?;
    arguments.space()?;
    let to = mailbox(cx, &mut arguments)?;
    arguments.end()?;
    Ok(match (from, to) {
        (Ok(from), Ok(to)) => small::ask(command, Ask::Rename { from, to }),
        (Err(outcome), _) | (_, Err(outcome)) => cx.answer(command, &outcome, out),
    })
}

/// The longest pattern that is looked for. No folder's name is as long.
const PATTERN_MAX: usize = 1000;

/// RFC 3501 section 6.3.8.
pub(super) fn list(
    cx: &mut Cx,
    command: &Command,
    arguments: Tokens,
    out: &mut Vec<u8>,
) -> Result<Next, Bad> {
    let pattern = pattern(arguments)?;
    if pattern.is_empty() {
        // What parts levels is asked for.
        out.extend_from_slice(b"* LIST (\\Noselect) ");
        print::string(cx.settings.separator.encode_utf8(&mut [0; 4]).as_bytes(), out);
        out.extend_from_slice(b" \"\"\r\n");
        return Ok(cx.finish(command.clone(), Outcome::OK, out));
    }
    Ok(folders(command, pattern, false))
}

/// RFC 3501 section 6.3.9.
pub(super) fn lsub(_: &mut Cx, command: &Command, arguments: Tokens, _: &mut Vec<u8>) -> Result<Next, Bad> {
    Ok(folders(command, pattern(arguments)?, true))
}

fn folders(command: &Command, pattern: String, subscribed: bool) -> Next {
    let state = AwaitFolders { command: command.clone(), pattern, subscribed };
    Next::ask(State::Folders(state), Ask::Folders)
}

/// ```abnf
/// list         = "LIST" SP mailbox SP list-mailbox
/// list-mailbox = 1*list-char / string
/// list-char    = ATOM-CHAR / list-wildcards / resp-specials
/// ```
/// Reference and pattern together, in UTF-8; what is no modified UTF-7 matches nothing.
fn pattern(mut arguments: Tokens) -> Result<String, Bad> {
    arguments.space()?;
    let reference = arguments.astring()?;
    arguments.space()?;
    let pattern = match arguments.peek() {
        Some(b'"' | b'{') => arguments.string()?,
        _ => Cow::Borrowed(arguments.run(|octet| is_atom_char(octet) || b"%*]".contains(&octet))),
    };
    arguments.end()?;
    if reference.len().saturating_add(pattern.len()) > PATTERN_MAX {
        return Err(Bad("a shorter pattern"));
    }
    if pattern.is_empty() {
        return Ok(String::new());
    }
    Ok(list::decoded(&[&*reference, &*pattern].concat()))
}

impl AwaitFolders {
    pub(super) fn answer(self, cx: &mut Cx, answer: Answer, out: &mut Vec<u8>) -> Option<Next> {
        let outcome = match answer {
            Answer::Folders(folders) => {
                list::print(&folders, &self.pattern, cx.settings.separator, self.subscribed, out);
                Outcome::OK
            }
            Answer::No(refusal) => Outcome::No(refusal),
            _ => return None,
        };
        Some(cx.finish(self.command, outcome, out))
    }
}

/// What STATUS can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Item {
    Messages,
    Recent,
    UidNext,
    UidValidity,
    Unseen,
}

const ITEMS: [(&str, Item); 5] = [
    ("MESSAGES", Item::Messages),
    ("RECENT", Item::Recent),
    ("UIDNEXT", Item::UidNext),
    ("UIDVALIDITY", Item::UidValidity),
    ("UNSEEN", Item::Unseen),
];

/// ```abnf
/// status = "STATUS" SP mailbox SP "(" status-att *(SP status-att) ")"
/// ```
/// RFC 3501 section 6.3.10.
pub(super) fn status(
    cx: &mut Cx,
    command: &Command,
    mut arguments: Tokens,
    out: &mut Vec<u8>,
) -> Result<Next, Bad> {
    arguments.space()?;
    let folder = mailbox(cx, &mut arguments)?;
    arguments.space()?;
    arguments.expect(b'(', "a list of what to tell")?;
    let mut items = Vec::new();
    loop {
        let name = arguments.atom()?;
        let item = ITEMS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let item =
            item.map(|(_, item)| *item).ok_or(Bad("MESSAGES, RECENT, UIDNEXT, UIDVALIDITY or UNSEEN"))?;
        if !items.contains(&item) {
            items.push(item);
        }
        if arguments.take(b')') {
            break;
        }
        arguments.space()?;
    }
    arguments.end()?;
    Ok(match folder {
        Ok(folder) => {
            let state = AwaitStatus { command: command.clone(), folder: folder.clone(), items };
            Next::ask(State::Status(state), Ask::Status(folder))
        }
        Err(outcome) => cx.answer(command, &outcome, out),
    })
}

impl AwaitStatus {
    pub(super) fn answer(self, cx: &mut Cx, answer: Answer, out: &mut Vec<u8>) -> Option<Next> {
        let outcome = match answer {
            Answer::Status(status) => {
                out.extend_from_slice(b"* STATUS ");
                print::astring(self.folder.utf7(cx.settings.separator).as_bytes(), out);
                out.extend_from_slice(b" (");
                for (at, item) in self.items.iter().enumerate() {
                    out.extend_from_slice(if at == 0 { b"" } else { b" " });
                    item.print(&status, out);
                }
                out.extend_from_slice(b")\r\n");
                Outcome::OK
            }
            Answer::No(refusal) => Outcome::No(refusal),
            _ => return None,
        };
        Some(cx.finish(self.command, outcome, out))
    }
}

impl Item {
    fn print(self, status: &Status, out: &mut Vec<u8>) {
        let name = ITEMS.iter().find(|(_, item)| *item == self).map_or("", |(name, _)| name);
        out.extend_from_slice(name.as_bytes());
        out.push(b' ');
        let number = match self {
            Item::Messages => status.messages,
            Item::Recent => status.recent,
            Item::UidNext => u64::from(status.uid_next),
            Item::UidValidity => u64::from(status.uid_validity),
            Item::Unseen => status.unseen,
        };
        print::number(number, out);
    }
}
