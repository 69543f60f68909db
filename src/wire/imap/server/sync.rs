//! Brings the view up to date and tells the client.

use super::{
    Answer, Ask, Code, Cx, Row,
    fetch::flags,
    idle::ExpectDone,
    respond::{Command, Outcome},
    state::{Next, State},
    store::Storing,
};
use crate::mail::{
    flags::Flags,
    query::{Uid, UidSet},
};
use std::collections::BTreeMap;

/// How many rows are asked for at once.
pub(super) const ROWS: usize = 500;

/// What follows when all is told.
pub(super) enum Then {
    /// The end of a command.
    Finish(Command, Outcome),
    /// More of IDLE.
    Idle(ExpectDone),
    /// A STORE.
    Store(Storing),
}

/// Flags that need not be told.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The client knows these.
    pub(super) flags: BTreeMap<Uid, Flags>,
    /// The client said itself what these should be, and that it wants to hear nothing (RFC 3501 section 6.4.6, `.SILENT`).
    pub(super) silent: UidSet,
    /// It wants to hear of these, changed or not.
    pub(super) wanted: UidSet,
}

/// Waits for what happened.
pub(super) struct Syncing {
    then: Then,
    told: Told,
    /// The messages whose flags are to be told; `None` before the changes came.
    left: Option<UidSet>,
}

/// Asks what happened, tells it, and goes on.
pub(super) fn begin(cx: &mut Cx, then: Then) -> Next {
    begin_after(cx, then, Told::default())
}

/// The same, given what the client knows already.
pub(super) fn begin_after(cx: &mut Cx, then: Then, told: Told) -> Next {
    cx.stirred = false;
    let since = cx.view.as_ref().map(|view| view.modseq).unwrap_or_default();
    Next::ask(State::Sync(Syncing { then, told, left: None }), Ask::Changes { since })
}

impl Then {
    /// The command that is being run.
    fn command(&self) -> Option<&Command> {
        match self {
            Then::Finish(command, _) => Some(command),
            Then::Store(storing) => Some(&storing.command),
            Then::Idle(_) => None,
        }
    }

    fn holds(&self) -> bool {
        self.command().is_some_and(|command| command.holds)
    }

    fn go_on(self, cx: &mut Cx, out: &mut Vec<u8>) -> Next {
        match self {
            Then::Finish(command, outcome) => cx.answer(&command, &outcome, out),
            Then::Idle(state) => Next::On(State::Idle(state)),
            Then::Store(storing) => storing.begin(),
        }
    }
}

impl Syncing {
    pub(super) fn answer(mut self, cx: &mut Cx, answer: Answer, out: &mut Vec<u8>) -> Option<Next> {
        let Some(view) = cx.view.as_mut() else { return Some(self.then.go_on(cx, out)) };
        match (answer, self.left.take()) {
            (Answer::Changes(changes), None) => {
                if changes.uid_validity != view.uid_validity {
                    return Some(cx.close("The mailbox was made anew", out));
                }
                let touched = view.take(&changes);
                if !self.then.holds() {
                    view.tell_gone(out);
                }
                view.tell_came(out);
                let mut left: Vec<_> = touched.ranges().collect();
                left.extend(self.told.wanted.ranges());
                let left = UidSet::new(left);
                let silent = &self.told.silent;
                let left = if silent.is_empty() {
                    left
                } else {
                    left.iter().filter(|uid| !silent.contains(*uid)).collect()
                };
                self.left = Some(view.only(&left));
                Some(self.rows(cx, out))
            }
            (Answer::Rows(rows), Some(left)) => {
                view.learn_keywords(&rows, out);
                self.print(cx, &rows, out);
                // Those without a row are gone.
                let last = rows.last().map_or(Uid::MAX, |row| row.uid);
                let full = rows.len() >= ROWS;
                self.left = Some(left.iter().filter(|&uid| full && uid > last).collect());
                Some(self.rows(cx, out))
            }
            (Answer::No(refusal), _) if refusal.code == Some(Code::NonExistent) => {
                Some(cx.close("The mailbox is gone", out))
            }
            (Answer::No(_), _) => {
                // It is looked at again at the next occasion.
                cx.stirred = true;
                Some(self.then.go_on(cx, out))
            }
            _ => None,
        }
    }

    fn rows(self, cx: &mut Cx, out: &mut Vec<u8>) -> Next {
        match &self.left {
            Some(left) if !left.is_empty() => {
                let ask = Ask::Rows { uids: left.clone(), most: ROWS };
                Next::ask(State::Sync(self), ask)
            }
            _ => self.then.go_on(cx, out),
        }
    }

    fn print(&self, cx: &Cx, rows: &[Row], out: &mut Vec<u8>) {
        let Some(view) = cx.view.as_ref() else { return };
        let uid = self.then.command().is_some_and(|command| command.uid);
        for row in rows {
            if self.told.flags.get(&row.uid) == Some(&row.flags) {
                continue;
            }
            flags::tell(view, row, uid, out);
        }
    }
}
