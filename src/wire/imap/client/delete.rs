//! Deletion: `\Deleted` is stored, then those messages are expunged and no others. Without UIDPLUS there is only EXPUNGE,
//! which removes whatever is marked: then it is looked first whether others have marked anything.

use super::{Ask, Client, MESSAGES_MAX, Move, Said, State, Step, parse::Word};
use crate::{
    mail::{
        query::{Uid, UidSet},
        verdict::Why,
    },
    wire::mailbox::Stage,
};
use std::collections::VecDeque;

/// The most octets of a set in one command (RFC 7162 section 4 asks servers to take 8192 in a line).
const SET_MAX: usize = 4000;

/// A deletion under way.
#[derive(Debug)]
pub(super) struct Deleting {
    all: UidSet,
    /// Sets to be named in commands to come.
    left: VecDeque<UidSet>,
    step: At,
    found: Vec<Uid>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Store,
    UidExpunge,
    Search,
    Expunge,
}

impl Client {
    pub(super) fn delete(&mut self, uids: Vec<Uid>, out: &mut Vec<u8>) -> Move {
        let all: UidSet = uids.into_iter().collect();
        if all.is_empty() {
            return Client::next_folder();
        }
        let left = parts(&all);
        self.next_deletion(Deleting { all, left, step: At::Store, found: Vec::new() }, out)
    }

    fn next_deletion(&mut self, mut deleting: Deleting, out: &mut Vec<u8>) -> Move {
        match (deleting.step, deleting.left.pop_front()) {
            (At::Store, Some(set)) => {
                self.say(format!("UID STORE {set} +FLAGS.SILENT (\\Deleted)").as_bytes(), out);
            }
            (At::Store, None) if self.offer.uidplus => {
                deleting.step = At::UidExpunge;
                deleting.left = parts(&deleting.all);
                return self.next_deletion(deleting, out);
            }
            (At::Store, None) => {
                deleting.step = At::Search;
                self.say(b"UID SEARCH DELETED", out);
            }
            (At::UidExpunge, Some(set)) => {
                self.say(format!("UID EXPUNGE {set}").as_bytes(), out);
            }
            (At::Search, _) => {
                let others = deleting.found.iter().filter(|uid| !deleting.all.contains(**uid)).count();
                if deleting.found.is_empty() {
                    // Not even ours, which were marked just now: so it is not known either what others have marked.
                    let text = format!(
                        "{}: they are marked as deleted, but not removed: its search does not find what is marked",
                        self.order.server
                    );
                    return deleted(Err(Why::new(5, 1, text)));
                }
                if others > 0 {
                    let text = format!(
                        "{}: they are marked as deleted, but not removed: the server can't remove single messages (it has no UIDPLUS), and {others} others are marked",
                        self.order.server
                    );
                    return deleted(Err(Why::new(5, 1, text)));
                }
                deleting.step = At::Expunge;
                self.say(b"EXPUNGE", out);
            }
            (At::UidExpunge | At::Expunge, _) => return deleted(Ok(())),
        }
        self.read(State::Deleting(deleting))
    }

    pub(super) fn deleting_said(&mut self, mut deleting: Deleting, said: Said, out: &mut Vec<u8>) -> Move {
        match said {
            Said::Search(found) if deleting.step == At::Search => {
                deleting.found.extend(found);
                if deleting.found.len() > MESSAGES_MAX {
                    return self.odd(Stage::Deleting, &format!("finds more than {MESSAGES_MAX} messages"));
                }
            }
            Said::Tagged(tag, told) if self.is_last(&tag) => {
                self.noise = 0;
                return match told.word {
                    Word::Ok => self.next_deletion(deleting, out),
                    Word::No | Word::Bad => {
                        let text = format!("{} said: {}", self.order.server, told.text);
                        deleted(Err(Why::new(5, 0, text)))
                    }
                };
            }
            Said::Tagged(..) => return self.odd(Stage::Deleting, "answered what was not asked"),
            _ => {}
        }
        self.read(State::Deleting(deleting))
    }
}

fn deleted(outcome: Result<(), Why>) -> Move {
    (State::ExpectNoted, Step::Ask(Ask::Deleted(outcome)))
}

/// The set in parts that fit a command each.
fn parts(all: &UidSet) -> VecDeque<UidSet> {
    let mut parts = VecDeque::new();
    let mut ranges = Vec::new();
    let mut length = 0;
    for range in all.ranges() {
        let written = range.start().to_string().len() + range.end().to_string().len() + 2;
        if length + written > SET_MAX {
            parts.push_back(UidSet::new(std::mem::take(&mut ranges)));
            length = 0;
        }
        length += written;
        ranges.push(range);
    }
    if !ranges.is_empty() {
        parts.push_back(UidSet::new(ranges));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_set_goes_in_parts_that_are_all_of_it() {
        let all: UidSet = (1..=5000).map(|number| number * 100_003).filter(|uid| *uid > 0).collect();
        let parts = parts(&all);
        assert!(parts.len() > 5 && parts.iter().all(|part| part.to_string().len() <= SET_MAX));
        assert_eq!(parts.iter().flat_map(UidSet::iter).collect::<UidSet>(), all);
    }
}
