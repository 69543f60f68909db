//! Follows aliases to their ends.

use super::{Fate, Rules, fate, same};
use crate::{
    account::Directory,
    mail::{address::Mailbox, verdict::Why},
};

/// The longest chain of aliases that is followed.
const DEPTH: usize = 10;
/// The most addresses that one recipient may lead to, those on the way included.
const FAN_OUT: usize = 200;

/// One end of an expansion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The address that mail is routed by.
    pub mailbox: Mailbox,
    /// The address as the sender gave it, where an alias led to this one.
    pub original: Option<Mailbox>,
    /// Never [`Fate::Alias`].
    pub fate: Fate,
}

impl Leaf {
    /// True when both lead to the same mailbox, so that one copy serves them.
    pub fn same_end(&self, other: &Leaf) -> bool {
        match (&self.fate, &other.fate) {
            (
                Fate::Local { account, detail },
                Fate::Local { account: other_account, detail: other_detail },
            ) => account.id == other_account.id && detail == other_detail,
            _ => self.mailbox == other.mailbox,
        }
    }
}

/// One address met on the way, and which of the others led to it.
struct Step {
    address: Mailbox,
    from: Option<usize>,
}

/// Every end that `address` leads to, each once. Circles, chains over 10 and more than 200 addresses are faults of
/// our configuration and therefore temporary (4.3.5); an address within its own alias is the account of that name,
/// so that `bob: bob, carol@example.net` keeps a copy.
pub fn expand(address: &Mailbox, directory: &dyn Directory, rules: &Rules) -> Result<Vec<Leaf>, Why> {
    let mut steps = vec![Step { address: address.clone(), from: None }];
    let mut leaves: Vec<Leaf> = Vec::new();
    let mut circular = false;
    let mut at = 0;
    while let Some(step) = steps.get(at) {
        let (depth, own) = ancestry(&steps, at);
        if depth > DEPTH {
            return Err(trouble(address, "goes too deep"));
        }
        let here = step.address.clone();
        let fate = match own {
            false => fate(&here, directory, rules)?,
            true => match account(&here, directory)? {
                Some(fate) => fate,
                None => {
                    circular = true;
                    at += 1;
                    continue;
                }
            },
        };
        match fate {
            Fate::Alias(to) => {
                let fresh: Vec<_> = to.into_iter().map(|address| Step { address, from: Some(at) }).collect();
                steps.extend(fresh);
                if steps.len() > FAN_OUT {
                    return Err(trouble(address, "has too many addresses"));
                }
            }
            fate => {
                let original = step.from.map(|_| address.clone());
                let leaf = Leaf { mailbox: here, original, fate };
                if !leaves.iter().any(|known| known.same_end(&leaf)) {
                    leaves.push(leaf);
                }
            }
        }
        at += 1;
    }
    match leaves.is_empty() {
        true if circular => Err(trouble(address, "leads back to itself")),
        true => Err(trouble(address, "leads nowhere")),
        false => Ok(leaves),
    }
}

/// The fate of a recipient whose aliases were already followed, when it was spooled. An address within its own
/// alias is then the account, and only what became an alias meanwhile is followed.
pub fn resume(
    mailbox: &Mailbox,
    original: Option<&Mailbox>,
    directory: &dyn Directory,
    rules: &Rules,
) -> Result<Vec<Leaf>, Why> {
    if original.is_some()
        && let Some(fate) = account(mailbox, directory)?
    {
        return Ok(vec![Leaf { mailbox: mailbox.clone(), original: original.cloned(), fate }]);
    }
    expand(mailbox, directory, rules)
}

/// How many aliases led to a step, and whether the same address is among them.
fn ancestry(steps: &[Step], at: usize) -> (usize, bool) {
    let (mut depth, mut own) = (0, false);
    let mut next = steps.get(at).and_then(|step| step.from);
    while let Some(parent) = next.and_then(|index| steps.get(index)) {
        depth += 1;
        own |= steps.get(at).is_some_and(|step| same(&step.address, &parent.address));
        next = parent.from;
    }
    (depth, own)
}

/// The account of exactly this name, past any alias.
fn account(address: &Mailbox, directory: &dyn Directory) -> Result<Option<Fate>, Why> {
    let crate::mail::address::Domain::Name(domain) = &address.domain else { return Ok(None) };
    let id = format!("{}@{domain}", address.local.to_ascii_lowercase());
    Ok(directory.account(&id)?.map(|account| Fate::Local { account, detail: None }))
}

fn trouble(address: &Mailbox, what: &str) -> Why {
    Why::new(3, 5, format!("the alias {} {what}", address.local))
}
