//! Who may send what to whom.

use super::{
    Fate, Rules,
    expand::{Leaf, expand},
    fate, same,
};
use crate::{
    account::{Account, Directory},
    mail::{
        address::Mailbox,
        verdict::{Verdict, Why},
    },
};

/// Who is at the other end of a connection, as far as rights go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Anybody.
    Stranger,
    /// An address in `relay_from`, or a program on the local socket.
    Trusted,
    /// Somebody who logged in.
    Login(Account),
    /// A program on the lmtp socket.
    Lmtp,
}

/// The ends of a recipient, or why `origin` may not send there: local recipients from anyone; anything from a login,
/// `relay_from` or the local socket; `relay_domains` from anyone but lmtp; nothing else. What an alias of ours leads
/// to is our own affair. Refused as a whole only when no end is left.
pub fn admit(
    origin: &Origin,
    address: &Mailbox,
    directory: &dyn Directory,
    rules: &Rules,
) -> Result<Vec<Leaf>, Verdict> {
    let leaves = expand(address, directory, rules).map_err(Verdict::Later)?;
    let abroad = leaves
        .iter()
        .any(|leaf| leaf.original.is_none() && matches!(leaf.fate, Fate::Smarthost | Fate::Mx(_)));
    let allowed = match origin {
        Origin::Trusted | Origin::Login(_) => true,
        Origin::Stranger => rules.is_relay_domain(&address.domain),
        Origin::Lmtp => false,
    };
    if abroad && !allowed {
        return Err(Verdict::Never(Why::new(7, 1, "relaying denied")));
    }
    let mut refusals = leaves.iter().filter_map(|leaf| match &leaf.fate {
        Fate::Refused(why) => Some(why),
        _ => None,
    });
    match (refusals.next(), refusals.count() + 1 == leaves.len()) {
        (Some(why), true) => Err(Verdict::Never(why.clone())),
        _ => Ok(leaves),
    }
}

/// True when a login may send as `sender`: its own address with any detail, an alias that leads to it, what stands
/// in its `send_as`, and the null sender, which read receipts need (RFC 8098 section 3).
pub fn send_as(
    account: &Account,
    sender: Option<&Mailbox>,
    directory: &dyn Directory,
    rules: &Rules,
) -> Result<bool, Why> {
    let Some(sender) = sender else { return Ok(true) };
    if account.send_as.iter().any(|own| same(own, sender)) {
        return Ok(true);
    }
    let leads_here = |fate: &Fate| matches!(fate, Fate::Local { account: end, .. } if end.id == account.id);
    Ok(match fate(sender, directory, rules)? {
        Fate::Alias(_) => expand(sender, directory, rules)?.iter().any(|leaf| leads_here(&leaf.fate)),
        end => leads_here(&end),
    })
}
