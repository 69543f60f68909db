//! What changes messages: STORE, COPY, MOVE and EXPUNGE (RFC 3501 section 6.4, RFC 4315, RFC 6851).

use super::{
    Answer, Ask, Code, Cx,
    folders::mailbox,
    respond::{Command, Outcome},
    state::{Next, State},
    sync::{self, Told},
};
use crate::{
    mail::{
        flags::{FlagChange, Flags},
        query::{Uid, UidSet},
    },
    wire::imap::{
        print,
        set::SequenceSet,
        token::{Bad, Tokens},
    },
};

/// A STORE that can begin.
pub(super) struct Storing {
    pub(super) command: Command,
    uids: UidSet,
    change: FlagChange,
    flags: Flags,
    silent: bool,
}

/// Waits for flags to be changed.
pub(super) struct AwaitFlagged {
    command: Command,
    uids: UidSet,
    silent: bool,
}

/// Waits for copies.
pub(super) struct AwaitCopied {
    command: Command,
    moved: bool,
}

/// Waits for messages to be gone.
pub(super) struct AwaitExpunged {
    command: Command,
}

/// The most keywords that one command names.
const KEYWORDS_MAX: usize = 100;

const READ_ONLY: &str = "The mailbox was opened to read only";

/// The messages that a command is about.
fn picked(cx: &Cx, command: &Command, arguments: &mut Tokens) -> Result<UidSet, Bad> {
    let set = SequenceSet::read(arguments)?;
    let view = cx.view.as_ref().ok_or(Bad("a selected mailbox"))?;
    if command.uid { Ok(view.among(&set)) } else { view.numbered(&set) }
}

fn is_read_only(cx: &Cx) -> bool {
    cx.view.as_ref().is_none_or(|view| view.read_only)
}

/// ```abnf
/// flag-list = "(" [flag *(SP flag)] ")"
/// ```
pub(super) fn flag_list(tokens: &mut Tokens) -> Result<Flags, Bad> {
    tokens.expect(b'(', "a list of flags")?;
    if tokens.take(b')') {
        return Ok(Flags::default());
    }
    let flags = flags(tokens)?;
    tokens.expect(b')', "the end of the flags")?;
    Ok(flags)
}

/// One or more flags. `\Recent` can't be set, but is often copied from what was fetched; it is passed over.
fn flags(tokens: &mut Tokens) -> Result<Flags, Bad> {
    let mut flags = Flags::default();
    loop {
        let name = tokens.flag()?;
        if !name.eq_ignore_ascii_case("\\Recent") {
            flags.insert(name).map_err(|_| Bad("a flag that can be set"))?;
        }
        if flags.keywords.len() > KEYWORDS_MAX {
            return Err(Bad("fewer keywords"));
        }
        if !tokens.take(b' ') {
            return Ok(flags);
        }
    }
}

/// ```abnf
/// store           = "STORE" SP sequence-set SP store-att-flags
/// store-att-flags = (["+" / "-"] "FLAGS" [".SILENT"]) SP (flag-list / (flag *(SP flag)))
/// ```
pub(super) fn store(
    cx: &mut Cx,
    command: &Command,
    mut arguments: Tokens,
    out: &mut Vec<u8>,
) -> Result<Next, Bad> {
    arguments.space()?;
    let uids = picked(cx, command, &mut arguments)?;
    arguments.space()?;
    let change = match arguments.peek() {
        Some(b'+') => FlagChange::Add,
        Some(b'-') => FlagChange::Remove,
        _ => FlagChange::Set,
    };
    let _ = arguments.take(b'+') || arguments.take(b'-');
    let silent = match arguments.atom()?.to_ascii_uppercase().as_str() {
        "FLAGS" => false,
        "FLAGS.SILENT" => true,
        _ => return Err(Bad("FLAGS or FLAGS.SILENT")),
    };
    arguments.space()?;
    let flags =
        if arguments.peek() == Some(b'(') { flag_list(&mut arguments)? } else { flags(&mut arguments)? };
    arguments.end()?;
    if is_read_only(cx) {
        return Ok(cx.finish(command.clone(), Outcome::no(Code::Cannot, READ_ONLY), out));
    }
    if uids.is_empty() {
        return Ok(cx.finish(command.clone(), Outcome::OK, out));
    }
    let storing = Storing { command: command.clone(), uids, change, flags, silent };
    Ok(match silent {
        // What others changed must be told; it could not be told apart later.
        true => sync::begin(cx, sync::Then::Store(storing)),
        false => storing.begin(),
    })
}

impl Storing {
    /// Asks for it.
    pub(super) fn begin(self) -> Next {
        let Storing { command, uids, change, flags, silent } = self;
        let state = AwaitFlagged { command, uids: uids.clone(), silent };
        Next::ask(State::Flagged(state), Ask::Flag { uids, change, flags })
    }
}

impl AwaitFlagged {
    pub(super) fn answer(self, cx: &mut Cx, answer: Answer, out: &mut Vec<u8>) -> Option<Next> {
        match answer {
            Answer::Done => {
                let mut told = Told::default();
                *(if self.silent { &mut told.silent } else { &mut told.wanted }) = self.uids;
                let then = sync::Then::Finish(self.command, Outcome::OK);
                Some(sync::begin_after(cx, then, told))
            }
            Answer::No(refusal) => Some(cx.finish(self.command, Outcome::No(refusal), out)),
            _ => None,
        }
    }
}

/// ```abnf
/// copy = "COPY" SP sequence-set SP mailbox
/// ```
pub(super) fn copy(
    cx: &mut Cx,
    command: &Command,
    arguments: Tokens,
    out: &mut Vec<u8>,
) -> Result<Next, Bad> {
    transfer(cx, command, arguments, false, out)
}

/// ```abnf
/// move = "MOVE" SP sequence-set SP mailbox
/// ```
/// RFC 6851 section 3.
pub(super) fn relocate(
    cx: &mut Cx,
    command: &Command,
    arguments: Tokens,
    out: &mut Vec<u8>,
) -> Result<Next, Bad> {
    transfer(cx, command, arguments, true, out)
}

fn transfer(
    cx: &mut Cx,
    command: &Command,
    mut arguments: Tokens,
    moved: bool,
    out: &mut Vec<u8>,
) -> Result<Next, Bad> {
    arguments.space()?;
    let uids = picked(cx, command, &mut arguments)?;
    arguments.space()?;
    let folder = mailbox(cx, &mut arguments)?;
    arguments.end()?;
    let outcome = match folder {
        Err(outcome) => outcome,
        Ok(_) if moved && is_read_only(cx) => Outcome::no(Code::Cannot, READ_ONLY),
        Ok(_) if uids.is_empty() => Outcome::OK,
        Ok(to) => {
            let state = AwaitCopied { command: command.clone(), moved };
            let ask = if moved { Ask::Move { uids, to } } else { Ask::Copy { uids, to } };
            return Ok(Next::ask(State::Copied(state), ask));
        }
    };
    Ok(cx.finish(command.clone(), outcome, out))
}

/// A folder that is not there can be made for what comes into it.
pub(super) fn try_create(mut refusal: super::Refusal) -> Outcome {
    if refusal.code == Some(Code::NonExistent) {
        refusal.code = Some(Code::TryCreate);
    }
    Outcome::No(refusal)
}

impl AwaitCopied {
    pub(super) fn answer(self, cx: &mut Cx, answer: Answer, out: &mut Vec<u8>) -> Option<Next> {
        let outcome = match answer {
            Answer::Copied { pairs, .. } if pairs.is_empty() => Outcome::OK,
            Answer::Copied { uid_validity, pairs } => {
                let code = copied(uid_validity, &pairs);
                if self.moved {
                    // Before the EXPUNGEs (RFC 6851 section 4.3).
                    out.extend_from_slice(b"* OK [");
                    out.extend_from_slice(&code);
                    out.extend_from_slice(b"] Moved\r\n");
                }
                Outcome::Ok { code: Some(code).filter(|_| !self.moved), text: None }
            }
            Answer::No(refusal) => try_create(refusal),
            _ => return None,
        };
        // Also after a fault some may be elsewhere.
        cx.stirred |= self.moved;
        Some(cx.finish(self.command, outcome, out))
    }
}

/// ```abnf
/// resp-code-copy = "COPYUID" SP nz-number SP uid-set SP uid-set
/// ```
/// RFC 4315 section 4. The n-th of the old is the n-th of the new, so that neither is sorted.
fn copied(uid_validity: u32, pairs: &[(Uid, Uid)]) -> Vec<u8> {
    let mut code = b"COPYUID ".to_vec();
    print::number(u64::from(uid_validity), &mut code);
    code.push(b' ');
    runs(pairs.iter().map(|pair| pair.0), &mut code);
    code.push(b' ');
    runs(pairs.iter().map(|pair| pair.1), &mut code);
    code
}

/// Numbers in their order, those that follow each other as a range.
fn runs(uids: impl Iterator<Item = Uid>, out: &mut Vec<u8>) {
    let mut print = |run: (Uid, Uid), first: bool| {
        out.extend_from_slice(if first { b"" } else { b"," });
        print::number(u64::from(run.0), out);
        if run.1 != run.0 {
            out.push(b':');
            print::number(u64::from(run.1), out);
        }
    };
    let (mut run, mut first): (Option<(Uid, Uid)>, bool) = (None, true);
    for uid in uids {
        run = match run {
            Some((low, high)) if high.checked_add(1) == Some(uid) => Some((low, uid)),
            Some(done) => {
                print(done, first);
                first = false;
                Some((uid, uid))
            }
            None => Some((uid, uid)),
        };
    }
    if let Some(run) = run {
        print(run, first);
    }
}

/// EXPUNGE and UID EXPUNGE (RFC 4315 section 2.1).
pub(super) fn expunge(
    cx: &mut Cx,
    command: &Command,
    mut arguments: Tokens,
    out: &mut Vec<u8>,
) -> Result<Next, Bad> {
    let uids = match command.uid {
        true => {
            arguments.space()?;
            Some(picked(cx, command, &mut arguments)?)
        }
        false => None,
    };
    arguments.end()?;
    if is_read_only(cx) {
        return Ok(cx.finish(command.clone(), Outcome::no(Code::Cannot, READ_ONLY), out));
    }
    let state = AwaitExpunged { command: command.clone() };
    Ok(Next::ask(State::Expunged(state), Ask::Expunge { uids }))
}

impl AwaitExpunged {
    pub(super) fn answer(self, cx: &mut Cx, answer: Answer, out: &mut Vec<u8>) -> Option<Next> {
        let outcome = match answer {
            Answer::Done => Outcome::OK,
            Answer::No(refusal) => Outcome::No(refusal),
            _ => return None,
        };
        cx.stirred = true;
        Some(cx.finish(self.command, outcome, out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copied_uids_keep_their_order() {
        for (pairs, code) in [
            (&[(1, 10), (2, 11), (3, 12)][..], "COPYUID 7 1:3 10:12"),
            (&[(1, 12), (2, 11), (9, 13)], "COPYUID 7 1:2,9 12,11,13"),
            (&[(5, 1)], "COPYUID 7 5 1"),
        ] {
            assert_eq!(String::from_utf8(copied(7, pairs)).unwrap(), code);
        }
    }
}
