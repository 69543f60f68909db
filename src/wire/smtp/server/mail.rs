//! MAIL and RCPT: a transaction begins and gathers recipients.

use super::{
    Answer, Ask, Cx,
    state::{Next, State},
    waiting::{ExpectMail, ExpectRcpt, Waiting},
};
use crate::wire::{
    session::Step,
    smtp::{
        command::{self, Grammar},
        reply::Reply,
    },
};

/// Waits for the agent's word on a sender.
pub(super) struct AwaitMail;

/// Waits for the agent's word on a recipient.
pub(super) struct AwaitRcpt {
    recipients: usize,
}

fn grammar(cx: &Cx) -> Grammar<'_> {
    let bare = cx.settings.bare_names.then_some(&cx.settings.hostname);
    Grammar { auth: cx.offers_login(), bare, utf8: cx.utf8 }
}

/// RFC 5321 section 4.1.1.2; the order of refusals: who, how, how much.
pub(super) fn mail(waiting: Waiting, cx: &mut Cx, arguments: &str, out: &mut Vec<u8>) -> Next {
    let mail = if cx.settings.login_required && cx.peer.login.is_none() {
        Err(match cx.offers_tls() && !cx.offers_login() {
            true => Reply::fixed(530, 7, 0, "Begin TLS and log in first"),
            false => Reply::fixed(530, 7, 0, "Log in first"),
        })
    } else {
        command::mail(arguments, grammar(cx))
    };
    match mail {
        Ok(mail) if mail.size.is_some_and(|size| size > cx.settings.limits.size) => {
            cx.refuse(&super::body::too_big(cx), waiting.into(), out)
        }
        Ok(mail) => {
            cx.utf8 = mail.utf8;
            let ask = Ask::Mail { mail, peer: cx.peer.clone() };
            Next::Turn(State::Mail(AwaitMail), Step::Ask(ask))
        }
        Err(reply) => cx.refuse(&reply, waiting.into(), out),
    }
}

impl AwaitMail {
    pub(super) fn answer(self, cx: &mut Cx, answer: Answer, out: &mut Vec<u8>) -> Option<Next> {
        let reply = accepted(answer, Reply::fixed(250, 1, 0, "Ok"))?;
        let then = match reply.is_positive() {
            true => Waiting::Rcpt(ExpectRcpt { recipients: 0 }),
            false => Waiting::Mail(ExpectMail),
        };
        Some(cx.pass_on(&reply, then.into(), out))
    }
}

/// RFC 5321 section 4.1.1.3.
pub(super) fn rcpt(waiting: Waiting, cx: &mut Cx, arguments: &str, out: &mut Vec<u8>) -> Next {
    let Waiting::Rcpt(ExpectRcpt { recipients }) = waiting else {
        return cx.refuse(&waiting.out_of_place(cx), waiting.into(), out);
    };
    match command::rcpt(arguments, grammar(cx)) {
        Ok(_) if recipients >= cx.settings.limits.recipients => {
            cx.refuse(&super::TOO_MANY_RECIPIENTS, waiting.into(), out)
        }
        Ok(rcpt) => Next::Turn(State::Rcpt(AwaitRcpt { recipients }), Step::Ask(Ask::Rcpt(rcpt))),
        Err(reply) => cx.refuse(&reply, waiting.into(), out),
    }
}

impl AwaitRcpt {
    pub(super) fn answer(self, cx: &mut Cx, answer: Answer, out: &mut Vec<u8>) -> Option<Next> {
        let reply = accepted(answer, Reply::fixed(250, 1, 5, "Ok"))?;
        let recipients = self.recipients + usize::from(reply.is_positive());
        Some(cx.pass_on(&reply, Waiting::Rcpt(ExpectRcpt { recipients }).into(), out))
    }
}

/// The reply that an answer stands for.
pub(super) fn accepted(answer: Answer, words: Reply) -> Option<Reply> {
    match answer {
        Answer::Yes => Some(words),
        Answer::Say(reply) => Some(reply),
        _ => None,
    }
}
