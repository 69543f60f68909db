//! The messages as the session sees them: numbered from 1 when the maildrop was opened, each with its size, some marked as deleted.

use super::Reply;

/// An open maildrop. A message marked as deleted keeps its number and is told of no more.
pub(super) struct Maildrop {
    messages: Vec<Message>,
    count: u64,
    octets: u64,
}

#[derive(Clone, Copy)]
struct Message {
    octets: u64,
    deleted: bool,
}

const NO_SUCH: Reply = Reply::err("There is no such message");
const DELETED: Reply = Reply::err("That message is marked as deleted");

impl Maildrop {
    /// Of messages of these sizes.
    pub(super) fn new(sizes: Vec<u64>) -> Maildrop {
        let messages = sizes.into_iter().map(|octets| Message { octets, deleted: false }).collect();
        let mut maildrop = Maildrop { messages, count: 0, octets: 0 };
        maildrop.sum();
        maildrop
    }

    fn sum(&mut self) {
        let there = || self.messages.iter().filter(|message| !message.deleted);
        self.octets = there().fold(0_u64, |sum, message| sum.saturating_add(message.octets));
        self.count = there().count() as u64;
    }

    /// How many messages there are, and how many octets.
    pub(super) fn stat(&self) -> (u64, u64) {
        (self.count, self.octets)
    }

    /// The size of a message, or why there is none.
    pub(super) fn size(&self, number: u32) -> Result<u64, Reply> {
        match at(number).and_then(|at| self.messages.get(at)) {
            None => Err(NO_SUCH),
            Some(message) if message.deleted => Err(DELETED),
            Some(message) => Ok(message.octets),
        }
    }

    /// Marks a message.
    pub(super) fn delete(&mut self, number: u32) -> Result<(), Reply> {
        let octets = self.size(number)?;
        if let Some(message) = at(number).and_then(|at| self.messages.get_mut(at)) {
            message.deleted = true;
            self.count = self.count.saturating_sub(1);
            self.octets = self.octets.saturating_sub(octets);
        }
        Ok(())
    }

    /// Takes all marks away.
    pub(super) fn reset(&mut self) {
        for message in &mut self.messages {
            message.deleted = false;
        }
        self.sum();
    }

    /// The greatest number.
    pub(super) fn last(&self) -> u32 {
        u32::try_from(self.messages.len()).unwrap_or(u32::MAX)
    }

    /// The messages from a number on that are not marked, with their sizes.
    pub(super) fn from(&self, number: u32) -> impl Iterator<Item = (u32, u64)> + '_ {
        let messages = at(number).and_then(|at| self.messages.get(at..)).unwrap_or_default();
        (number..)
            .zip(messages)
            .filter(|(_, message)| !message.deleted)
            .map(|(number, message)| (number, message.octets))
    }

    /// The numbers of the marked ones.
    pub(super) fn deleted(&self) -> Vec<u32> {
        (1..).zip(&self.messages).filter(|(_, message)| message.deleted).map(|(number, _)| number).collect()
    }
}

fn at(number: u32) -> Option<usize> {
    usize::try_from(number.checked_sub(1)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_change_the_sums_and_never_the_numbers() {
        let mut maildrop = Maildrop::new(vec![10, 20, 30]);
        assert_eq!(maildrop.stat(), (3, 60));
        maildrop.delete(2).unwrap();
        assert_eq!(maildrop.delete(2), Err(DELETED));
        assert_eq!((maildrop.delete(0), maildrop.delete(4)), (Err(NO_SUCH), Err(NO_SUCH)));
        assert_eq!((maildrop.stat(), maildrop.last()), ((2, 40), 3));
        assert_eq!(maildrop.from(1).collect::<Vec<_>>(), [(1, 10), (3, 30)]);
        assert_eq!(maildrop.from(2).collect::<Vec<_>>(), [(3, 30)]);
        assert_eq!(maildrop.from(4).count(), 0);
        assert_eq!(maildrop.deleted(), [2]);
        maildrop.reset();
        assert_eq!((maildrop.stat(), maildrop.deleted().len()), ((3, 60), 0));
        assert_eq!(Maildrop::new(vec![u64::MAX, 1]).stat(), (2, u64::MAX));
    }
}
