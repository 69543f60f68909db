//! The view against a model: a mailbox that changes, and a client that believes only what it is told.

use super::*;
use crate::wire::imap::token::Tokens;
use proptest::prelude::*;

/// What happens.
#[derive(Clone, Debug)]
enum Move {
    /// So many messages come.
    Come(u8),
    /// The message at this place goes, of those that are there.
    Go(u8),
    /// The message at this place has other flags.
    Change(u8),
    /// The session looks; in the middle of a command that names numbers, or not.
    Look { holds: bool },
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        2 => (1_u8..4).prop_map(Move::Come),
        3 => any::<u8>().prop_map(Move::Go),
        2 => any::<u8>().prop_map(Move::Change),
        2 => any::<bool>().prop_map(|holds| Move::Look { holds }),
    ];
    proptest::collection::vec(one, 0..60)
}

/// The mailbox itself.
struct Truth {
    uids: Vec<Uid>,
    next: Uid,
    /// Since the last look.
    changed: UidSet,
    vanished: UidSet,
    came: UidSet,
}

/// A client that keeps its list as RFC 3501 section 7.4.1 and 7.3.1 say.
struct Client {
    /// The UIDs as it would know them; one that came and was not asked for is told by the test.
    list: Vec<Uid>,
}

impl Client {
    /// Reads what it is told. `fresh` are the UIDs of what came, in their order.
    fn hear(&mut self, said: &[u8], holds: bool, fresh: &[Uid]) {
        for line in std::str::from_utf8(said).unwrap().lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let number: usize = words[1].parse().unwrap();
            match words[2] {
                "EXPUNGE" => {
                    assert!(!holds, "told of an EXPUNGE within a command that names numbers");
                    assert!((1..=self.list.len()).contains(&number), "EXPUNGE of {number}");
                    self.list.remove(number - 1);
                }
                "EXISTS" => {
                    assert!(number > self.list.len(), "EXISTS shrank the mailbox");
                    let came = number - self.list.len();
                    self.list.extend(&fresh[..came]);
                }
                "RECENT" => assert!(number <= self.list.len()),
                other => panic!("{other}"),
            }
        }
    }
}

fn set(text: &str) -> SequenceSet {
    SequenceSet::read(&mut Tokens::new(text.as_bytes())).unwrap()
}

fn look(view: &mut View, truth: &mut Truth, holds: bool) -> (UidSet, Vec<u8>) {
    let changes = Changes {
        modseq: ModSeq(view.modseq.0 + 1),
        uid_validity: 1,
        uid_next: truth.next,
        changed: std::mem::take(&mut truth.changed),
        recent: std::mem::take(&mut truth.came),
        vanished: std::mem::take(&mut truth.vanished),
    };
    let mut out = Vec::new();
    let touched = view.take(&changes);
    if !holds {
        view.tell_gone(&mut out);
    }
    view.tell_came(&mut out);
    (touched, out)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 3000, ..ProptestConfig::default() })]
    #[test]
    fn client_and_view_never_disagree(first in 0_u32..6, moves in moves()) {
        let snapshot = Snapshot {
            uid_validity: 1,
            uid_next: first + 1,
            modseq: ModSeq(1),
            uids: UidSet::new([1..=first]),
            recent: UidSet::default(),
            unseen: None,
            keywords: Vec::new(),
        };
        let mut view = View::new(&snapshot, false);
        let mut truth = Truth {
            uids: (1..=first).collect(),
            next: first + 1,
            changed: UidSet::default(),
            vanished: UidSet::default(),
            came: UidSet::default(),
        };
        let mut client = Client { list: truth.uids.clone() };
        let all = moves.into_iter().chain([Move::Look { holds: false }]);
        for one in all {
            match one {
                Move::Come(count) => {
                    for _ in 0..count {
                        truth.uids.push(truth.next);
                        truth.changed.insert(truth.next);
                        truth.came.insert(truth.next);
                        truth.next += 1;
                    }
                }
                Move::Go(at) if !truth.uids.is_empty() => {
                    let uid = truth.uids.remove(usize::from(at) % truth.uids.len());
                    truth.vanished.insert(uid);
                    truth.changed = truth.changed.iter().filter(|&one| one != uid).collect();
                }
                Move::Change(at) if !truth.uids.is_empty() => {
                    truth.changed.insert(truth.uids[usize::from(at) % truth.uids.len()]);
                }
                Move::Go(_) | Move::Change(_) => {}
                Move::Look { holds } => {
                    let known = client.list.clone();
                    let changed = truth.changed.clone();
                    let fresh: Vec<Uid> =
                        truth.changed.iter().filter(|uid| known.last().is_none_or(|last| uid > last)).collect();
                    // Messages that were there when the client last heard, or are known to be gone by the session alone.
                    let fresh: Vec<Uid> = fresh.into_iter().filter(|uid| !known.contains(uid)).collect();
                    let (touched, said) = look(&mut view, &mut truth, holds);
                    client.hear(&said, holds, &fresh);
                    // Every change of a message that the client knows is found.
                    for uid in changed.iter().filter(|uid| known.contains(uid)) {
                        prop_assert!(touched.contains(uid));
                    }
                    prop_assert!(touched.iter().all(|uid| known.contains(&uid)));
                    // Both mean the same message by a number, always.
                    prop_assert_eq!(view.exists(), client.list.len());
                    for (at, uid) in client.list.iter().enumerate() {
                        let number = u32::try_from(at + 1).unwrap();
                        prop_assert_eq!(view.number(*uid), Some(number));
                        let picked = view.numbered(&set(&number.to_string())).unwrap();
                        prop_assert_eq!(picked.iter().collect::<Vec<_>>(), vec![*uid]);
                    }
                    prop_assert!(view.numbered(&set(&(client.list.len() + 1).to_string())).is_err());
                    if !holds {
                        // After an open look the client knows the mailbox as it is.
                        prop_assert_eq!(&client.list, &truth.uids);
                    }
                }
            }
        }
    }
}

fn view(uids: &[Uid]) -> View {
    View::new(
        &Snapshot {
            uid_validity: 1,
            uid_next: 100,
            modseq: ModSeq(1),
            uids: uids.iter().copied().collect(),
            recent: UidSet::default(),
            unseen: None,
            keywords: Vec::new(),
        },
        false,
    )
}

#[test]
fn sets_pick_messages_as_the_rfc_says() {
    let four = view(&[10, 20, 30, 40]);
    for (text, numbered, among) in [
        ("1", Some("10"), ""),
        ("*", Some("40"), "40"),
        ("2:*", Some("20,30,40"), "10,20,30,40"),
        ("*:3", Some("30,40"), "10,20,30,40"),
        ("4:2,1", Some("10,20,30,40"), ""),
        ("5", None, ""),
        ("3:5", None, ""),
        ("20,10", None, "10,20"),
        // Beyond the last there is the last (RFC 3501 section 6.4.8).
        ("100:*", None, "40"),
        ("15:35", None, "20,30"),
    ] {
        let picked = four.numbered(&set(text)).ok().map(|uids| uids.to_string());
        assert_eq!(picked.as_deref(), numbered, "{text}");
        assert_eq!(four.among(&set(text)).to_string(), among, "{text}");
    }
    let none = view(&[]);
    assert_eq!(none.numbered(&set("*")).map(|uids| uids.len()), Ok(0));
    assert_eq!(none.numbered(&set("1:*")).map(|uids| uids.len()), Ok(0));
    assert!(none.numbered(&set("1")).is_err());
    assert!(none.among(&set("1:*")).is_empty());
}

#[test]
fn a_message_that_is_gone_keeps_its_number_until_it_is_told() {
    let mut view = view(&[10, 20, 30]);
    let gone = Changes {
        modseq: ModSeq(2),
        uid_validity: 1,
        uid_next: 100,
        changed: UidSet::new([30..=30, 100..=101]),
        recent: UidSet::new([101..=101]),
        // One that nobody knows is passed over.
        vanished: UidSet::new([5..=20]),
    };
    assert_eq!(view.take(&gone).to_string(), "30");
    let mut out = Vec::new();
    view.tell_came(&mut out);
    assert_eq!(out, b"* 5 EXISTS\r\n* 1 RECENT\r\n");
    assert_eq!((view.number(30), view.number(101)), (Some(3), Some(5)));
    out.clear();
    view.tell_gone(&mut out);
    assert_eq!(out, b"* 2 EXPUNGE\r\n* 1 EXPUNGE\r\n");
    assert_eq!((view.exists(), view.number(30), view.number(101)), (3, Some(1), Some(3)));
}
