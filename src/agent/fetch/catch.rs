//! What has come, on its way to where it belongs: begun, written, durable, noted, in this order; whatever the protocol was.

use super::{
    Folders, News, Order, Target,
    letter::{self, Letter},
    name::{self, Name},
    program,
    state::{Change, Known, State},
};
use crate::{
    mail::{
        draft::{Draft as _, Receipt as _},
        flags::Flags,
        folder::FolderName,
        query::{Uid, UidSet},
        verdict::Why,
    },
    store::{Kept, LineEnds, Place, Store},
};
use rustix::io::Errno;
use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    io::{self, Write as _},
    time::{SystemTime, UNIX_EPOCH},
};
use tokio::task::JoinHandle;

/// How many messages are asked for, begun and noted together.
pub(super) const WAVE: usize = 200;
/// How many copies may be on their way to the disk: each has its file open, and up to 32 KiB of it in memory.
const SETTLING: usize = 64;
/// So many messages to stdout are noted together.
const NOTED: usize = 64;
/// A larger message is not taken: no mail is, and a server could fill the disk with it.
const LARGEST: u64 = 1 << 30;

/// A message that waits at the source.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) name: Name,
    pub(super) flags: Flags,
    /// When it arrived there, where the source tells.
    pub(super) date: Option<SystemTime>,
    /// Its octets, as the source says.
    pub(super) size: Option<u64>,
}

/// A folder of the source that is being fetched.
#[derive(Clone, Debug)]
pub(super) struct From {
    /// Its name in the state: as the server spells it; empty for POP3, which has no folders.
    pub(super) key: String,
    /// Its name for people.
    pub(super) shown: String,
    /// Where its messages go.
    pub(super) local: FolderName,
    /// Its UIDVALIDITY; 0 for POP3.
    pub(super) validity: u32,
}

impl From {
    /// INBOX, whose UIDVALIDITY is not known yet.
    pub(super) fn inbox(key: &str) -> From {
        From { key: key.to_owned(), shown: "INBOX".to_owned(), local: FolderName::inbox(), validity: 0 }
    }
}

/// A message that was asked for.
struct Coming {
    waiting: Waiting,
    micros: u64,
    /// An earlier run began it.
    again: bool,
}

/// Where octets go that are coming now.
enum Sink<S: Store> {
    Draft(S::Draft),
    Letter(Letter),
}

/// A copy that is becoming durable.
struct Settling {
    name: Name,
    octets: u64,
    outcome: JoinHandle<Option<Result<Kept, Why>>>,
}

/// All that is under way.
pub(super) struct Catch<'a, S: Store> {
    order: &'a Order<S>,
    pub(super) state: State,
    tell: &'a mut (dyn FnMut(News<'_>) + Send),
    from: From,
    coming: HashMap<Name, Coming>,
    sink: Option<Sink<S>>,
    /// Octets of the message that is coming now.
    octets: u64,
    settling: VecDeque<Settling>,
    /// Taken, and not yet noted.
    unnoted: Vec<Name>,
    /// Taken, and noted: they may be deleted at the source.
    deletable: Vec<Name>,
    /// What went wrong first. After a fault of ours nothing more is asked for.
    trouble: Option<Why>,
    stopped: bool,
    /// Messages taken and left.
    pub(super) taken: u64,
    pub(super) left: u64,
}

impl<'a, S: Store<Draft: 'static> + 'static> Catch<'a, S> {
    pub(super) fn new(
        order: &'a Order<S>,
        state: State,
        tell: &'a mut (dyn FnMut(News<'_>) + Send),
    ) -> Catch<'a, S> {
        Catch {
            order,
            state,
            tell,
            from: From::inbox(""),
            coming: HashMap::new(),
            sink: None,
            octets: 0,
            settling: VecDeque::new(),
            unnoted: Vec::new(),
            deletable: Vec::new(),
            trouble: None,
            stopped: false,
            taken: 0,
            left: 0,
        }
    }

    /// Goes to another folder of the source. The last one must be finished.
    pub(super) fn enter(&mut self, from: From) -> Result<(), Why> {
        self.deletable.clear();
        if self.order.dry_run {
            let other = self.state.known(&from.key).is_some_and(|known| known.validity != from.validity);
            if other {
                self.state.suppose_new(&from.key);
            }
        } else if from.validity != 0 {
            let renewed =
                self.state.validate(&from.key, from.validity).map_err(|fault| state_fault(&fault))?;
            if renewed {
                (self.tell)(News::Renewed { folder: &from.shown });
            }
        }
        self.from = from;
        Ok(())
    }

    /// True when the message needs not be fetched. Where it is to be deleted, that is noted.
    pub(super) fn is_taken(&mut self, name: &Name) -> bool {
        let taken = self.state.known(&self.from.key).is_some_and(|known| known.is_taken(name));
        if taken && self.order.delete {
            self.deletable.push(name.clone());
        }
        taken
    }

    /// The lowest UID that may be new.
    pub(super) fn first_left(&self) -> Option<Uid> {
        match self.state.known(&self.from.key) {
            Some(known) => known.first_left(),
            None => Some(1),
        }
    }

    /// A folder can't be fetched.
    pub(super) fn no_folder(&mut self, shown: &str, why: Why) {
        (self.tell)(News::NoFolder { folder: shown, why: &why });
        self.trouble.get_or_insert(why);
    }

    /// What was to be deleted was not.
    pub(super) fn undeleted(&mut self, why: Why) {
        (self.tell)(News::Undeleted { folder: &self.from.shown, why: &why });
        self.trouble.get_or_insert(why);
    }

    /// So many messages were deleted.
    pub(super) fn deleted(&mut self, count: u64) {
        (self.tell)(News::Deleted { folder: &self.from.shown, count });
    }

    /// True where it matters how a folder is called here.
    pub(super) fn keeps_folders(&self) -> bool {
        matches!(self.order.target, Target::Store(..))
    }

    /// Which folders are wanted.
    pub(super) fn folders(&self) -> &'a Folders {
        &self.order.folders
    }

    /// The server has more than it lists.
    pub(super) fn unlisted(&mut self, why: Why) {
        (self.tell)(News::Unlisted { folder: &self.from.shown, why: &why });
        self.trouble.get_or_insert(why);
    }

    /// Says what is new, before it is fetched.
    pub(super) fn announce(&mut self, waiting: &[&Waiting]) {
        let folder = &self.from.shown;
        let octets = waiting.iter().filter_map(|one| one.size).fold(0, u64::saturating_add);
        (self.tell)(News::Folder { folder, new: waiting.len() as u64, octets });
        if self.order.dry_run {
            for one in waiting {
                (self.tell)(News::Would { folder, name: &one.name, octets: one.size });
            }
        }
    }

    /// True for a message that is left because of its size. The others are fetched all the same.
    pub(super) fn is_too_large(&mut self, waiting: &Waiting) -> bool {
        match waiting.size.map_or(Ok(()), |octets| self.check(octets)) {
            Ok(()) => false,
            Err(why) => {
                self.leave(&waiting.name, why);
                true
            }
        }
    }

    /// True when nothing more is to be asked for.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Begins a wave: what was taken meanwhile is noted, and what now may become visible.
    pub(super) async fn wave(&mut self, wave: Vec<Waiting>) -> Result<(), Why> {
        let noting = matches!(self.order.target, Target::Store(..));
        let mut begun = Vec::new();
        let now = self.order.clock.micros();
        for (waiting, at) in wave.into_iter().zip(0_u64..) {
            let earlier = self.state.known(&self.from.key).and_then(|known| known.begun(&waiting.name));
            let micros = earlier.unwrap_or(now.saturating_add(at));
            if earlier.is_none() && noting {
                begun.push((waiting.name.clone(), micros));
            }
            self.coming.insert(waiting.name.clone(), Coming { waiting, micros, again: earlier.is_some() });
        }
        self.note(Change { begun, ..Change::default() })
    }

    /// A message begins; its octets where they are known.
    pub(super) fn begin(&mut self, size: Option<u64>) -> Result<(), Why> {
        self.octets = 0;
        self.check(size.unwrap_or(0))?;
        let order = self.order;
        let sink = match &order.target {
            Target::Store(store, home) => store.draft(home, LineEnds::Unknown).map(Sink::Draft),
            Target::Program(_) | Target::Mbox => self.state.letter().map(Sink::Letter),
        };
        self.sink = Some(sink.map_err(|fault| self.unwritten(&fault))?);
        Ok(())
    }

    fn check(&self, octets: u64) -> Result<(), Why> {
        if octets > LARGEST {
            let text =
                format!("{}: a message of more than {LARGEST} octets; it was left there", self.order.source);
            return Err(Why::new(3, 4, text));
        }
        Ok(())
    }

    /// Octets of it.
    pub(super) fn piece(&mut self, octets: &[u8]) -> Result<(), Why> {
        self.octets = self.octets.saturating_add(octets.len() as u64);
        self.check(self.octets)?;
        (self.tell)(News::Octets(octets.len() as u64));
        let put = match &mut self.sink {
            Some(Sink::Draft(draft)) => draft.write_all(octets),
            Some(Sink::Letter(letter)) => letter.piece(octets),
            None => Err(io::Error::other("no message was begun")),
        };
        put.map_err(|fault| self.unwritten(&fault))
    }

    /// It is whole.
    pub(super) async fn end(&mut self, name: &Name) -> Result<(), Why> {
        let (Some(coming), Some(sink)) = (self.coming.remove(name), self.sink.take()) else {
            return Err(Why::new(
                5,
                0,
                format!("{}: gave a message that was not asked for", self.order.source),
            ));
        };
        let octets = self.octets;
        match sink {
            Sink::Draft(mut draft) => {
                draft.seal().map_err(|fault| self.unwritten(&fault))?;
                let from = &self.from;
                let key = name::key(
                    &self.order.source,
                    &from.key,
                    from.validity,
                    name,
                    coming.micros,
                    coming.again,
                );
                let Waiting { flags, date, .. } = coming.waiting;
                let receipt = draft.commit(vec![Place { folder: from.local.clone(), flags, date }], &key);
                let outcome = tokio::task::spawn_blocking(move || receipt.wait().into_iter().next());
                self.settling.push_back(Settling { name: name.clone(), octets, outcome });
                self.settle(SETTLING).await;
                Ok(())
            }
            Sink::Letter(mut letter) => self.hand_over(name, octets, &coming.waiting, &mut letter).await,
        }
    }

    /// The source has it, and does not give it.
    pub(super) fn refused(&mut self, name: &Name, why: &Why) {
        if self.coming.contains_key(name) {
            self.leave(name, why.clone());
        }
    }

    /// The source has it no more.
    pub(super) fn gone(&mut self, names: &[Name]) -> Result<(), Why> {
        let back = names.iter().filter(|name| self.coming.remove(*name).is_some()).cloned().collect();
        self.note(Change { back, ..Change::default() })
    }

    async fn hand_over(
        &mut self,
        name: &Name,
        octets: u64,
        waiting: &Waiting,
        letter: &mut Letter,
    ) -> Result<(), Why> {
        let mut file = letter.end().map_err(|fault| self.unwritten(&fault))?;
        if let Target::Program(words) = &self.order.target {
            let (program, arguments) = words.split_first().ok_or_else(|| Why::new(3, 5, "no program"))?;
            let called = program.to_string_lossy();
            let ended = program::run(program, arguments, file, self.order.limit).await;
            let unkept = match ended.map_err(|fault| self.stop(Why::local(&called, &fault)))? {
                Some(status) if status.success() => None,
                Some(status) => Some(format!("ended with {status}")),
                None => Some(format!("was not done in {} s and was ended", self.order.limit.as_secs_f64())),
            };
            if let Some(unkept) = unkept {
                let text = format!("{called} {unkept}; the message is left for the next time");
                self.leave(name, Why::new(3, 0, text));
                return Ok(());
            }
            self.take(name, octets, false);
            return self.note(Change::default());
        }
        let date = waiting.date.unwrap_or_else(|| self.order.clock.now());
        let date = date
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
        let mut out = io::BufWriter::with_capacity(64 * 1024, io::stdout().lock());
        let put = letter::to_mbox(&mut file, date, &mut out).and_then(|()| out.flush());
        drop(out);
        put.map_err(|fault| {
            self.stop(Why::local("stdout", &fault));
            (self.tell)(News::Stdout(&fault));
            Why::local("stdout", &fault)
        })?;
        self.take(name, octets, false);
        if self.unnoted.len() >= NOTED {
            self.note(Change::default())?;
        }
        Ok(())
    }

    /// Takes copies that have arrived, and waits for others until only so many are still on their way.
    async fn settle(&mut self, keep: usize) {
        while self.settling.len() > keep || self.settling.front().is_some_and(|one| one.outcome.is_finished())
        {
            let Some(Settling { name, octets, outcome }) = self.settling.pop_front() else { return };
            let outcome = match outcome.await {
                Ok(Some(outcome)) => outcome,
                Ok(None) => Err(Why::new(3, 0, "the store gave no answer")),
                Err(fault) => Err(Why::new(3, 0, format!("a thread of ours ended badly: {fault}"))),
            };
            match outcome {
                Ok(kept) => self.take(&name, octets, kept.already),
                // Whether the copy is there is not known: it stays begun.
                Err(why) => {
                    self.left = self.left.saturating_add(1);
                    (self.tell)(News::Left { folder: &self.from.shown, name: &name, why: &why });
                    self.stop(why);
                }
            }
        }
    }

    fn take(&mut self, name: &Name, octets: u64, already: bool) {
        self.taken = self.taken.saturating_add(1);
        (self.tell)(News::Taken { folder: &self.from.shown, name, octets, already });
        self.unnoted.push(name.clone());
    }

    fn leave(&mut self, name: &Name, why: Why) {
        self.left = self.left.saturating_add(1);
        (self.tell)(News::Left { folder: &self.from.shown, name, why: &why });
        self.trouble.get_or_insert(why);
    }

    /// Notes a change, and what was taken since the last.
    fn note(&mut self, mut change: Change) -> Result<(), Why> {
        change.taken = std::mem::take(&mut self.unnoted);
        if self.order.dry_run {
            return Ok(());
        }
        if matches!(self.order.target, Target::Mbox) && !change.taken.is_empty() {
            // Where stdout is a file, it is to be durable; a pipe or terminal can't be.
            match rustix::fs::fsync(rustix::stdio::stdout()) {
                Ok(()) | Err(Errno::INVAL | Errno::ROFS | Errno::OPNOTSUPP) => {}
                Err(fault) => return Err(self.stop(Why::local("stdout", &fault.into()))),
            }
        }
        if let Err(fault) = self.state.note(&self.from.key, &change) {
            return Err(self.stop(state_fault(&fault)));
        }
        if self.order.delete {
            self.deletable.append(&mut change.taken);
        }
        Ok(())
    }

    /// Ends a folder, or the session, however it ended: waits for all copies and notes what became of everything. What was
    /// begun and never came has certainly no copy.
    pub(super) async fn finish(&mut self) -> Result<(), Why> {
        self.sink = None;
        self.settle(0).await;
        let mut back = Vec::new();
        for (name, coming) in self.coming.drain() {
            if !coming.again && matches!(self.order.target, Target::Store(..)) {
                back.push(name);
            }
        }
        self.note(Change { back, ..Change::default() })
    }

    /// No message has a UID up to the last of `listed` that is not among them.
    pub(super) fn pass(&mut self, listed: &BTreeSet<Uid>) -> Result<(), Why> {
        let known = self.state.known(&self.from.key).map(Known::looked_through).unwrap_or_default();
        let mut passed = Vec::new();
        let mut low = 1;
        // What was taken once is no gap, whether it is listed or not.
        for range in UidSet::new(known.ranges().chain(listed.iter().map(|uid| *uid..=*uid))).ranges() {
            match range.start().checked_sub(1) {
                Some(high) if high >= low && listed.last().is_some_and(|last| high < *last) => {
                    passed.push(low..=high)
                }
                _ => {}
            }
            low = range.end().saturating_add(1);
        }
        match passed.is_empty() {
            true => Ok(()),
            false => self.note(Change { passed: UidSet::new(passed), ..Change::default() }),
        }
    }

    /// Forgets names that a maildrop has no more.
    pub(super) fn forget(&mut self, present: &HashSet<&str>) -> Result<(), Why> {
        if self.order.dry_run {
            return Ok(());
        }
        self.state.forget(present).map_err(|fault| self.stop(state_fault(&fault)))
    }

    /// Makes the state small again, where that is worth it.
    pub(super) fn tidy(&mut self) -> Result<(), Why> {
        if self.order.dry_run {
            return Ok(());
        }
        self.state.tidy().map_err(|fault| self.stop(state_fault(&fault)))
    }

    /// True when messages are to be deleted at the source.
    pub(super) fn deletes(&self) -> bool {
        self.order.delete
    }

    /// True when nothing is to be changed.
    pub(super) fn is_dry(&self) -> bool {
        self.order.dry_run
    }

    /// What may be deleted at the source: all of it is durable and noted.
    pub(super) fn deletable(&mut self) -> Vec<Name> {
        std::mem::take(&mut self.deletable)
    }

    /// Nothing more is asked for, for this reason.
    pub(super) fn stop(&mut self, why: Why) -> Why {
        self.stopped = true;
        self.trouble.get_or_insert(why.clone());
        why
    }

    /// What went wrong first.
    pub(super) fn trouble(&self) -> Option<&Why> {
        self.trouble.as_ref()
    }

    fn unwritten(&mut self, fault: &io::Error) -> Why {
        self.stop(Why::local("the message could not be stored", fault))
    }
}

pub(super) fn state_fault(fault: &io::Error) -> Why {
    Why::local("the state could not be written", fault)
}
