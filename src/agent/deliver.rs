//! Final delivery of one message from a stream into one account's folders.

use crate::{
    mail::{
        draft::{Draft, Receipt},
        flags::Flags,
        folder::FolderName,
        header::{self, Extent, Scan},
        id::{DeliveryKey, QueueId},
        verdict::{Verdict, Why},
    },
    store::{Home, LineEnds, Place, Store},
    sys::{clock::Clock, random},
};
use std::io::{self, Read, Write};

/// What is read at once; also how much of the head is looked at before anything is written.
const CHUNK: usize = 64 * 1024;

/// What is to be delivered where. The texts hold no control characters.
#[derive(Clone, Debug)]
pub struct Order {
    /// The account.
    pub home: Home,
    /// The most octets that the account may keep.
    pub quota: Option<u64>,
    /// The folder.
    pub target: Target,
    /// The envelope sender for a Return-Path field, empty for the null sender.
    pub return_path: Option<String>,
    /// The recipient for a Delivered-To field. A message that has this very field is in a loop.
    pub delivered_to: Option<String>,
    /// How long the message is: another length is a broken pipe and no message.
    pub length: Option<u64>,
}

/// Where in the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// This folder; made and subscribed when it is missing.
    Folder(FolderName),
    /// The folder that a subaddress names, where it exists (strangers can't make folders); otherwise INBOX.
    Detail(String),
}

/// A message that stands durably in its folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Its name in logs.
    pub id: QueueId,
    /// Its folder.
    pub folder: FolderName,
    /// Octets that came.
    pub size: u64,
}

/// Delivers what `input` gives. The error is never [`Verdict::Done`].
pub fn deliver<S: Store>(
    store: &S,
    clock: &Clock,
    order: &Order,
    input: &mut impl Read,
) -> Result<Delivered, Verdict> {
    let used = match order.quota {
        Some(_) => store.usage(&order.home).map_err(|fault| later("the account can't be read", &fault))?,
        None => 0,
    };
    check_quota(order, used)?;
    let mut head = Head::read(input).map_err(|fault| later("stdin", &fault))?;
    if loops(&head, order.delivered_to.as_deref()) {
        let text = format!(
            "mail loop: the message was delivered to {} before",
            order.delivered_to.as_deref().unwrap_or_default()
        );
        return Err(Verdict::Never(Why::new(4, 6, text)));
    }
    let (ends, line_end) = head.line_ends();
    let unstored = |fault: io::Error| later("the message could not be stored", &fault);
    let mut draft = store.draft(&order.home, ends).map_err(unstored)?;
    let (postmark, message) = head.parts();
    draft.write_all(postmark).map_err(unstored)?;
    if head.has_header() {
        draft.write_all(trace(order, line_end).as_bytes()).map_err(unstored)?;
    }
    draft.write_all(message).map_err(unstored)?;
    let mut size = head.filled as u64;
    while !head.ended {
        match input.read(&mut head.octets) {
            Ok(0) => break,
            Ok(got) => {
                size = size.saturating_add(got as u64);
                if order.length.is_some_and(|length| size > length) {
                    break;
                }
                draft.write_all(head.octets.get(..got).unwrap_or_default()).map_err(unstored)?;
            }
            Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
            Err(fault) => return Err(later("stdin", &fault)),
        }
    }
    if let Some(length) = order.length.filter(|&length| length != size) {
        let found = if size < length { format!("ended after {size}") } else { "has more".to_owned() };
        let text = format!("stdin {found} octets, not {length} as --length says; nothing was delivered");
        return Err(Verdict::Later(Why::new(3, 0, text)));
    }
    check_quota(order, used.saturating_add(size))?;
    let folder = find(store, order)?;
    let key = DeliveryKey::first(random::queue_id(clock));
    let place = Place { folder: folder.clone(), flags: Flags::default(), date: None };
    match draft.commit(vec![place], &key).wait().into_iter().next() {
        Some(Ok(kept)) => Ok(Delivered { id: kept.id, folder, size }),
        Some(Err(why)) => Err(Verdict::Later(why)),
        None => Err(Verdict::Later(Why::new(3, 0, "the store gave no answer"))),
    }
}

fn later(doing: &str, fault: &io::Error) -> Verdict {
    Verdict::Later(Why::local(doing, fault))
}

fn check_quota(order: &Order, would: u64) -> Result<(), Verdict> {
    match order.quota {
        Some(quota) if would > quota => {
            let text = format!("{} is over its quota of {quota} octets", order.home.account);
            Err(Verdict::Later(Why::new(2, 2, text)))
        }
        _ => Ok(()),
    }
}

fn find<S: Store>(store: &S, order: &Order) -> Result<FolderName, Verdict> {
    match &order.target {
        Target::Folder(folder) => Ok(folder.clone()),
        Target::Detail(detail) => folder_of_detail(store, &order.home, detail)
            .map_err(|fault| later("the account's folders can't be read", &fault)),
    }
}

/// The folder that a subaddress's detail names, where it exists (strangers can't make folders); otherwise INBOX.
pub(super) fn folder_of_detail<S: Store>(store: &S, home: &Home, detail: &str) -> io::Result<FolderName> {
    let mut exist = store.folders(home)?.into_iter().filter(|listed| listed.exists).map(|listed| listed.name);
    let named = |folder: &FolderName| folder.text('.').eq_ignore_ascii_case(detail);
    Ok(exist.find(named).unwrap_or_else(FolderName::inbox))
}

fn trace(order: &Order, line_end: &str) -> String {
    let mut trace = String::new();
    if let Some(sender) = &order.return_path {
        trace += &format!("Return-Path: <{sender}>{line_end}");
    }
    if let Some(recipient) = &order.delivered_to {
        trace += &format!("Delivered-To: {recipient}{line_end}");
    }
    trace
}

fn loops(head: &Head, recipient: Option<&str>) -> bool {
    let Some(recipient) = recipient else { return false };
    let mut fields = header::fields(head.octets.get(..head.filled).unwrap_or_default());
    fields
        .any(|field| field.is("Delivered-To") && field.unfolded().eq_ignore_ascii_case(recipient.as_bytes()))
}

/// The head of a message: its header, or the first [`CHUNK`] octets of it.
struct Head {
    octets: Vec<u8>,
    filled: usize,
    extent: Extent,
    /// True when nothing follows.
    ended: bool,
}

impl Head {
    fn read(input: &mut impl Read) -> io::Result<Head> {
        let mut octets = vec![0; CHUNK];
        let mut scan = Scan::new();
        let (mut filled, mut ended) = (0_usize, false);
        while let Some(room) = octets.get_mut(filled..).filter(|room| !room.is_empty()) {
            match input.read(room) {
                Ok(0) => {
                    ended = true;
                    break;
                }
                Ok(got) => {
                    filled = filled.saturating_add(got);
                    if scan.push(room.get(..got).unwrap_or_default(), |_, _| {}) {
                        break;
                    }
                }
                Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(Head { octets, filled, extent: scan.extent(), ended })
    }

    /// A field, or an empty line that ends a header without fields. Before anything else a field of ours would
    /// become the header, and the text below it part of it.
    fn has_header(&self) -> bool {
        self.extent.end > self.extent.start || self.extent.body > self.extent.end
    }

    /// What stands before our fields (a postmark stays first), and what behind them.
    fn parts(&self) -> (&[u8], &[u8]) {
        let all = self.octets.get(..self.filled).unwrap_or_default();
        let at = if self.has_header() { self.extent.start } else { 0 };
        all.split_at_checked(at).unwrap_or((&[], all))
    }

    /// By the first line end; only the store, which sees all of them, can tell whether they are all CR LF.
    fn line_ends(&self) -> (LineEnds, &'static str) {
        let all = self.octets.get(..self.filled).unwrap_or_default();
        match memchr::memchr(b'\n', all) {
            Some(at) if at.checked_sub(1).and_then(|at| all.get(at)) == Some(&b'\r') => {
                (LineEnds::Unknown, "\r\n")
            }
            None if !self.ended => (LineEnds::Unknown, "\r\n"),
            _ => (LineEnds::AsGiven, "\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::Memory;

    fn order() -> Order {
        Order {
            home: Home { account: "a@example.org".into(), location: "a".into() },
            quota: None,
            target: Target::Folder(FolderName::inbox()),
            return_path: Some("s@example.net".into()),
            delivered_to: Some("a@example.org".into()),
            length: None,
        }
    }

    /// A reader that gives one octet at a time.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let most = buffer.len().min(1);
            self.0.read(&mut buffer[..most])
        }
    }

    fn stored(order: &Order, input: &[u8]) -> Result<Vec<u8>, Verdict> {
        let once = |input: &mut dyn Read| {
            let store = Memory::default();
            let mut input = input;
            let delivered = deliver(&store, &Clock::system(), order, &mut input)?;
            Ok(store.messages(&order.home, &delivered.folder).unwrap().remove(0).octets)
        };
        let whole = once(&mut &*input);
        assert_eq!(once(&mut Slow(input)), whole);
        whole
    }

    const TRACE: &str = "Return-Path: <s@example.net>\nDelivered-To: a@example.org\n";

    #[test]
    fn our_fields_stand_at_the_head_of_a_header_and_nothing_else_changes() {
        for (given, kept) in [
            ("Subject: x\n\nbody", format!("{TRACE}Subject: x\n\nbody")),
            ("Subject: x\r\n\r\nbody\r\n", format!("{TRACE}Subject: x\n\nbody\n")),
            ("Subject: x\r\n\r\nbo\ndy\r\n", {
                format!("{}Subject: x\r\n\r\nbo\ndy\r\n", TRACE.replace('\n', "\r\n"))
            }),
            ("From joe Mon\nSubject: x\n\n", format!("From joe Mon\n{TRACE}Subject: x\n\n")),
            ("Subject: x", format!("{TRACE}Subject: x")),
            ("\nbody\n", format!("{TRACE}\nbody\n")),
            ("From joe Mon\n\nbody", format!("From joe Mon\n{TRACE}\nbody")),
            ("no header\nat all: here\n", "no header\nat all: here\n".into()),
            ("From joe", "From joe".into()),
            ("", String::new()),
            ("\0\u{1}\r\u{fe}", "\0\u{1}\r\u{fe}".into()),
        ] {
            assert_eq!(
                String::from_utf8(stored(&order(), given.as_bytes()).unwrap()).unwrap(),
                kept,
                "{given:?}"
            );
        }
        let null = Order { return_path: Some(String::new()), delivered_to: None, ..order() };
        assert_eq!(stored(&null, b"A: 1\n").unwrap(), b"Return-Path: <>\nA: 1\n");
    }

    #[test]
    fn a_message_that_was_here_before_is_a_loop() {
        for (given, is_loop) in [
            ("Delivered-To: a@example.org\n\n", true),
            ("X: 1\nDELIVERED-TO:\n A@Example.org\n\n", true),
            ("Delivered-To: b@example.org\n\n", false),
            ("X: 1\n\nDelivered-To: a@example.org\n", false),
        ] {
            match stored(&order(), given.as_bytes()) {
                Err(Verdict::Never(why)) => assert_eq!((why.subject, why.detail, is_loop), (4, 6, true)),
                outcome => assert!(outcome.is_ok() && !is_loop, "{given:?}"),
            }
        }
    }

    #[test]
    fn a_message_of_another_length_is_none() {
        for (length, fits) in [(9, true), (8, false), (10, false), (0, false)] {
            let order = Order { length: Some(length), ..order() };
            let outcome = stored(&order, b"A: 1\n\nxy\n");
            assert_eq!(outcome.is_ok(), fits, "{length}");
            assert!(fits || matches!(outcome, Err(Verdict::Later(_))));
        }
        assert!(stored(&Order { length: Some(0), ..order() }, b"").is_ok());
    }

    #[test]
    fn a_quota_is_kept_to_and_never_bounces_mail() {
        let order = Order { quota: Some(100), ..order() };
        assert!(stored(&order, &[b'x'; 100]).is_ok());
        let Err(Verdict::Later(why)) = stored(&order, &[b'x'; 101]) else { panic!("delivered") };
        assert_eq!((why.subject, why.detail), (2, 2));
    }

    #[test]
    fn a_subaddress_finds_a_folder_that_exists_and_makes_none() {
        let store = Memory::default();
        let lists = FolderName::parse("Lists.rust", '.').unwrap();
        let made = Order { target: Target::Folder(lists.clone()), ..order() };
        deliver(&store, &Clock::system(), &made, &mut &b"x"[..]).unwrap();
        for (detail, folder) in
            [("lists.RUST", &lists), ("lists", &FolderName::inbox()), ("", &FolderName::inbox())]
        {
            let order = Order { target: Target::Detail(detail.into()), ..order() };
            let delivered = deliver(&store, &Clock::system(), &order, &mut &b"x"[..]).unwrap();
            assert_eq!(&delivered.folder, folder, "{detail}");
        }
    }
}
