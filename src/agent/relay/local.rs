//! Programs on this machine, and mailboxes of ours.

use super::{Relay, text::Source};
use crate::{
    account::Account,
    agent::deliver::folder_of_detail,
    mail::{
        address::Mailbox,
        draft::{Draft, Receipt},
        flags::Flags,
        folder::FolderName,
        id::DeliveryKey,
        trace::{self, Told},
        verdict::{Verdict, Why},
    },
    spool::Spool,
    store::{Home, LineEnds, Place, Store},
};
use std::{
    io::{self, Write},
    time::Instant,
};

/// Where an account's mail lies.
pub(super) fn home(account: &Account) -> Home {
    Home { account: account.id.clone(), location: account.location.clone() }
}

/// Who a local program's user is, as a sender of mail: `name@hostname`, or the number where it has no name.
pub(super) fn identity(uid: u32, hostname: &str) -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid));
    let name = user.ok().flatten().map_or_else(|| uid.to_string(), |user| user.name);
    format!("{name}@{hostname}")
}

/// One copy of a message for one mailbox of ours.
pub(super) struct Copy {
    /// Whose.
    pub(super) account: Account,
    /// The subaddress's detail.
    pub(super) detail: Option<String>,
    /// The address that led here.
    pub(super) mailbox: Mailbox,
    /// The reverse-path.
    pub(super) sender: Option<Mailbox>,
    /// Makes a repeated delivery safe.
    pub(super) key: DeliveryKey,
}

impl Copy {
    /// What final delivery writes on top.
    pub(super) fn trace(&self) -> String {
        trace::return_path(self.sender.as_ref()) + &trace::delivered_to(&self.mailbox)
    }

    /// True when the message was here before.
    pub(super) fn loops(&self, told: &Told) -> bool {
        told.was_delivered_to(&self.mailbox)
    }

    /// The verdict on a message that was here before.
    pub(super) fn looping(&self) -> Verdict {
        Verdict::Never(Why::new(4, 6, format!("mail loop: it was delivered to {} before", self.mailbox)))
    }
}

impl<S: Store + 'static, Q: Spool + 'static> Relay<S, Q> {
    /// Puts one copy durably into its mailbox. Blocking. The text is `top`, then what `source` gives.
    pub(super) fn put(&self, copy: &Copy, top: &[u8], source: &mut impl Source) -> Verdict {
        match self.try_put(copy, top, source) {
            Ok(()) => Verdict::Done,
            Err(why) => Verdict::Later(why),
        }
    }

    fn try_put(&self, copy: &Copy, top: &[u8], source: &mut impl Source) -> Result<(), Why> {
        let mut draft = self.begin(copy, top)?;
        let mut size = 0_u64;
        while let Some(octets) = source.next().map_err(|fault| Why::local("reading the message", &fault))? {
            draft.write_all(octets).map_err(|fault| unstored(&fault))?;
            size = size.saturating_add(octets.len() as u64);
        }
        self.finish(copy, draft, size)
    }

    /// Begins a copy. Blocking.
    pub(super) fn begin(&self, copy: &Copy, top: &[u8]) -> Result<S::Draft, Why> {
        let begun = self.store.draft(&home(&copy.account), LineEnds::Wire).and_then(|mut draft| {
            draft.write_all(copy.trace().as_bytes())?;
            draft.write_all(top)?;
            Ok(draft)
        });
        begun.map_err(|fault| unstored(&fault))
    }

    /// Commits a copy that is written, of some `size`. Blocking.
    pub(super) fn finish(&self, copy: &Copy, mut draft: S::Draft, size: u64) -> Result<(), Why> {
        draft.seal().map_err(|fault| unstored(&fault))?;
        let folder = self.folder(copy).map_err(|fault| unstored(&fault))?;
        let place = Place { folder, flags: Flags::default(), date: None };
        match draft.commit(vec![place], &copy.key).wait().into_iter().next() {
            Some(Ok(_)) => {
                self.usage.add(&copy.account.id, size);
                Ok(())
            }
            Some(Err(why)) => Err(why),
            None => Err(Why::new(3, 0, "the store gave no answer")),
        }
    }

    /// The folder that the subaddress names, or INBOX.
    fn folder(&self, copy: &Copy) -> io::Result<FolderName> {
        match &copy.detail {
            Some(detail) => folder_of_detail(&self.store, &home(&copy.account), detail),
            None => Ok(FolderName::inbox()),
        }
    }

    /// Refuses mail for an account that is over its quota, or would be. Blocking.
    pub(super) fn check_quota(&self, account: &Account, more: u64) -> Result<(), Why> {
        let Some(quota) = account.quota else { return Ok(()) };
        let used = self
            .usage
            .of(&account.id, Instant::now(), || self.store.usage(&home(account)))
            .map_err(|fault| Why::local("reading the quota", &fault))?;
        match used.saturating_add(more) > quota || used >= quota {
            true => Err(Why::new(2, 2, format!("{} is over its quota", account.id))),
            false => Ok(()),
        }
    }
}

pub(super) fn unstored(fault: &io::Error) -> Why {
    Why::local("the message could not be stored", fault)
}
