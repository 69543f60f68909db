//! The commands: who may say them, when, and what they do.

use super::{
    Cx, append, fetch, folders, idle, login, respond::Command, search, select, small, state::Next, store,
};
use crate::wire::imap::token::{Bad, Tokens};

/// What a command does with its arguments, which begin behind its name.
type Method = fn(&mut Cx, &Command, Tokens, &mut Vec<u8>) -> Result<Next, Bad>;

/// Where a command is allowed (RFC 3501 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Where {
    Any,
    /// Before the login.
    Stranger,
    /// After it.
    Known,
    /// In a mailbox.
    Selected,
}

/// A command.
pub(super) struct Row {
    pub(super) name: &'static str,
    place: Where,
    /// It can stand behind UID.
    pub(super) uid: bool,
    /// Without UID it is no time to tell of an EXPUNGE (RFC 3501 section 7.4.1).
    pub(super) holds: bool,
    pub(super) run: Method,
}

const fn command(name: &'static str, place: Where, run: Method) -> Row {
    Row { name, place, uid: false, holds: false, run }
}

const fn numbered(name: &'static str, holds: bool, run: Method) -> Row {
    Row { name, place: Where::Selected, uid: true, holds, run }
}

static TABLE: [Row; 30] = [
    command("CAPABILITY", Where::Any, small::capability),
    command("NOOP", Where::Any, small::noop),
    command("LOGOUT", Where::Any, small::logout),
    command("ID", Where::Any, small::id),
    command("STARTTLS", Where::Stranger, login::starttls),
    command("AUTHENTICATE", Where::Stranger, login::authenticate),
    command("LOGIN", Where::Stranger, login::login),
    command("ENABLE", Where::Known, small::enable),
    command("NAMESPACE", Where::Known, small::namespace),
    command("SELECT", Where::Known, select::select),
    command("EXAMINE", Where::Known, select::examine),
    command("CREATE", Where::Known, folders::create),
    command("DELETE", Where::Known, folders::delete),
    command("RENAME", Where::Known, folders::rename),
    command("SUBSCRIBE", Where::Known, folders::subscribe),
    command("UNSUBSCRIBE", Where::Known, folders::unsubscribe),
    command("LIST", Where::Known, folders::list),
    command("LSUB", Where::Known, folders::lsub),
    command("STATUS", Where::Known, folders::status),
    command("APPEND", Where::Known, append::append),
    command("IDLE", Where::Known, idle::idle),
    command("CHECK", Where::Selected, small::noop),
    command("CLOSE", Where::Selected, select::close),
    command("UNSELECT", Where::Selected, select::unselect),
    numbered("EXPUNGE", false, store::expunge),
    numbered("SEARCH", true, search::search),
    numbered("FETCH", true, fetch::fetch),
    numbered("STORE", true, store::store),
    numbered("COPY", false, store::copy),
    numbered("MOVE", false, store::relocate),
];

/// The command called `name`, in any case.
pub(super) fn row(name: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.name.eq_ignore_ascii_case(name))
}

impl Row {
    /// Why it may not be said now.
    pub(super) fn allowed(&self, cx: &Cx) -> Result<(), &'static str> {
        match self.place {
            Where::Stranger if cx.logged_in => Err("You are logged in"),
            Where::Known | Where::Selected if !cx.logged_in => Err("Log in first"),
            Where::Selected if cx.view.is_none() => Err("Select a mailbox first"),
            _ => Ok(()),
        }
    }
}
