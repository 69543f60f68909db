//! A transaction: who sends, and where each accepted recipient leads.

use crate::{
    agent::route::{Fate, expand::Leaf, may::Origin},
    mail::{
        address::Mailbox,
        envelope::{Body, Envelope, Recipient, Ret, Wish},
        header,
        verdict::Verdict,
    },
    wire::smtp::server::Peer,
};
use std::sync::Arc;

/// More ends than this of all recipients together are not taken in one transaction.
pub(super) const ENDS_MAX: usize = 5000;
/// With more ends than this a message goes through the spool.
pub(super) const DIRECT_MAX: usize = 8;

/// An open transaction.
#[derive(Debug)]
pub(super) struct Transaction {
    /// Who may do what here.
    pub(super) origin: Origin,
    /// The client.
    pub(super) peer: Arc<Peer>,
    /// The reverse-path.
    pub(super) sender: Option<Mailbox>,
    /// The declared size.
    pub(super) size: Option<u64>,
    /// The declared body type.
    pub(super) body: Body,
    /// SMTPUTF8 was declared; once the text has begun: and is needed for the sender or the header.
    pub(super) utf8: bool,
    /// What a report is to bring back.
    pub(super) ret: Option<Ret>,
    /// The message's name for its sender.
    pub(super) envid: Option<String>,
    /// The accepted recipients as the client gave them, each with the numbers of its ends.
    pub(super) recipients: Vec<(Mailbox, Vec<usize>)>,
    /// Where they lead, each end once.
    pub(super) ends: Vec<Leaf>,
    /// Of what the sender wants to hear about each end, in their order.
    pub(super) wishes: Vec<Wish>,
}

impl Transaction {
    /// Adds an accepted recipient; an end that another led to already is not made twice. False when there are too
    /// many ends.
    pub(super) fn add(&mut self, recipient: Mailbox, leaves: Vec<Leaf>, wish: &Wish) -> bool {
        if self.ends.len().saturating_add(leaves.len()) > ENDS_MAX {
            return false;
        }
        let mut numbers = Vec::with_capacity(leaves.len());
        for leaf in leaves {
            let known = self.ends.iter().position(|end| end.same_end(&leaf));
            numbers.push(known.unwrap_or(self.ends.len()));
            if known.is_none() {
                self.ends.push(leaf);
                self.wishes.push(wish.clone());
            }
        }
        self.recipients.push((recipient, numbers));
        true
    }

    /// The text begins so: a header in ASCII, of an author in ASCII, needs no SMTPUTF8 on its further way, whatever was
    /// declared. (A recipient may need it for itself.) A header of more than the first octets is taken to go on so.
    pub(super) fn settle_utf8(&mut self, head: &[u8]) {
        self.utf8 = self.utf8
            && (self.sender.as_ref().is_some_and(|sender| !sender.is_ascii()) || !header::is_ascii(head));
    }

    /// True when somebody wants to hear of a delivery. Reports are made of what is in the spool.
    pub(super) fn wants_reports(&self) -> bool {
        self.wishes.iter().any(Wish::success)
    }

    /// True when the message can be committed to mailboxes at once, without the spool.
    pub(super) fn is_direct(&self) -> bool {
        (1..=DIRECT_MAX).contains(&self.ends.len())
            && !self.wants_reports()
            && self.ends.iter().all(|end| matches!(end.fate, Fate::Local { .. }))
    }

    /// The recipient, where there is only one and so nobody else's is told to it.
    pub(super) fn only_recipient(&self) -> Option<&Mailbox> {
        match self.recipients.as_slice() {
            [(recipient, _)] => Some(recipient),
            _ => None,
        }
    }

    /// The envelope of the ends with these numbers, for the spool.
    pub(super) fn envelope(&self, numbers: impl Iterator<Item = usize>) -> Envelope {
        let ends = numbers.filter_map(|number| Some((self.ends.get(number)?, self.wishes.get(number)?)));
        Envelope {
            sender: self.sender.clone(),
            recipients: ends
                .map(|(end, wish)| Recipient {
                    mailbox: end.mailbox.clone(),
                    original: end.original.clone(),
                    wish: wish.clone(),
                })
                .collect(),
            body: self.body,
            login: self.peer.login.clone(),
            utf8: self.utf8,
            ret: self.ret,
            envid: self.envid.clone(),
        }
    }

    /// The verdict on each recipient, from one on each end: the worst of its ends'.
    pub(super) fn verdicts(&self, of_ends: &[Verdict]) -> Vec<Verdict> {
        let worst = |numbers: &Vec<usize>| {
            numbers.iter().filter_map(|&number| of_ends.get(number)).fold(Verdict::Done, |so_far, next| {
                match (&so_far, next) {
                    // Later beats Never: the other ends may still be reached.
                    (Verdict::Later(_), _) | (_, Verdict::Done) => so_far,
                    _ => next.clone(),
                }
            })
        };
        self.recipients.iter().map(|(_, numbers)| worst(numbers)).collect()
    }
}
