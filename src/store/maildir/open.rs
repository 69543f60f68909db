//! What a reader asks of a folder: snapshot, status, rows, sizes, changes, octets, searches.

use super::{
    Inner,
    account::{Opened, held},
    name,
    read::{self, Hints, Measured, Octets},
};
use crate::{
    mail::{
        folder::FolderName,
        header::{Gather, Progress},
        query::{Key, ModSeq, Uid, UidSet},
    },
    store::{Changes, Fault, Home, Measure, Row, Snapshot, Status, search},
};
use std::{
    io::{self, Read},
    ops::Range,
};

/// How often a message that is renamed just when it is looked at is looked for again.
const TRIES: usize = 4;

impl Inner {
    pub(super) fn snapshot(&self, home: &Home, folder: &FolderName, take: bool) -> Result<Snapshot, Fault> {
        let opened = Opened::open(self, home, folder)?;
        let mut view = opened.fresh(self)?;
        let snapshot = view.snapshot(opened.account.modseq());
        if take {
            view.take_recent()?;
        }
        Ok(snapshot)
    }

    pub(super) fn status(&self, home: &Home, folder: &FolderName) -> Result<Status, Fault> {
        let opened = Opened::open(self, home, folder)?;
        let view = opened.fresh(self)?;
        Ok(view.status(opened.account.modseq()))
    }

    pub(super) fn rows(
        &self,
        home: &Home,
        folder: &FolderName,
        uids: &UidSet,
        most: usize,
    ) -> Result<Vec<Row>, Fault> {
        let opened = Opened::open(self, home, folder)?;
        let view = opened.known(self)?;
        let rows = view.among(uids).filter_map(|(uid, message)| view.row(uid, message));
        Ok(rows.take(most).collect())
    }

    pub(super) fn email_ids(
        &self,
        home: &Home,
        folder: &FolderName,
        uids: &UidSet,
        most: usize,
    ) -> Result<Vec<(Uid, String)>, Fault> {
        let opened = Opened::open(self, home, folder)?;
        let view = opened.known(self)?;
        let ids = view.among(uids).filter_map(|(uid, _)| Some((uid, name::email_id(view.base(uid)?))));
        Ok(ids.take(most).collect())
    }

    pub(super) fn changes(
        &self,
        home: &Home,
        folder: &FolderName,
        since: ModSeq,
        take: bool,
    ) -> Result<Changes, Fault> {
        let opened = Opened::open(self, home, folder)?;
        let mut view = opened.fresh(self)?;
        let changes = view.changes(since, opened.account.modseq());
        if take {
            view.take_recent()?;
        }
        Ok(changes)
    }

    pub(super) fn measures(
        &self,
        home: &Home,
        folder: &FolderName,
        uids: &UidSet,
        most: usize,
    ) -> Result<Vec<Measure>, Fault> {
        let opened = Opened::open(self, home, folder)?;
        let there: Vec<Uid> = opened.known(self)?.among(uids).map(|(uid, _)| uid).take(most).collect();
        let mut measures = Vec::with_capacity(there.len());
        for uid in there {
            if let Some(measured) = self.measured(&opened, uid, false)? {
                measures.push(Measure { uid, octets: measured.wire, date: measured.date });
            }
        }
        Ok(measures)
    }

    pub(super) fn counted(
        &self,
        home: &Home,
        folder: &FolderName,
        uid: Uid,
    ) -> Result<Option<Measure>, Fault> {
        let opened = Opened::open(self, home, folder)?;
        if !opened.known(self)?.messages.contains_key(&uid) {
            return Ok(None);
        }
        let measured = self.measured(&opened, uid, true)?;
        Ok(measured.map(|measured| Measure { uid, octets: measured.wire, date: measured.date }))
    }

    pub(super) fn octets(
        &self,
        home: &Home,
        folder: &FolderName,
        uid: Uid,
        range: Range<u64>,
    ) -> Result<Octets, Fault> {
        let opened = Opened::open(self, home, folder)?;
        drop(opened.known(self)?);
        self.octets_of(&opened, uid, range)?.ok_or(Fault::NoMessage)
    }

    /// Reads messages one after the other, the folder being looked at once.
    pub(super) fn each(
        &self,
        home: &Home,
        folder: &FolderName,
        uids: &[Uid],
        take: &mut dyn FnMut(Uid, io::Result<Option<Octets>>) -> Result<bool, Fault>,
    ) -> Result<(), Fault> {
        let opened = Opened::open(self, home, folder)?;
        drop(opened.known(self)?);
        for &uid in uids {
            if !take(uid, self.octets_of(&opened, uid, 0..u64::MAX))? {
                break;
            }
        }
        Ok(())
    }

    /// The octets of a message; `None` when it is gone.
    fn octets_of(&self, opened: &Opened, uid: Uid, range: Range<u64>) -> io::Result<Option<Octets>> {
        let before = held(&opened.view).messages.get(&uid).and_then(|message| message.measured);
        let file = self.with_file(opened, uid, |part, file| part.open_known(file).map(Some))?;
        let Some((file, stat)) = file else { return Ok(None) };
        // A name that says so is not enough: an LF without CR would go out as it is.
        let plain = before.is_some_and(|before| {
            before.counted
                && (before.size, before.date) == (stat.size, stat.modified)
                && before.size == before.wire
        });
        Octets::new(file, stat.size, range, plain).map(Some)
    }

    pub(super) fn search(&self, home: &Home, folder: &FolderName, key: &Key) -> Result<UidSet, Fault> {
        search::check(key)?;
        let opened = Opened::open(self, home, folder)?;
        let all: Vec<Uid> = {
            let view = opened.fresh(self)?;
            match search::within(key) {
                Some(uids) => view.among(uids).map(|(uid, _)| uid).collect(),
                None => view.messages.keys().copied().collect(),
            }
        };
        let mut found = UidSet::default();
        for uid in all {
            let row = {
                let view = held(&opened.view);
                view.messages.get(&uid).and_then(|message| view.row(uid, message))
            };
            let Some(row) = row else { continue };
            let mut lookup = Lookup { inner: self, opened: &opened, uid, measured: None, head: None };
            if search::matches(key, &row, &mut lookup)? {
                found.insert(uid);
            }
        }
        Ok(found)
    }

    /// Size and date of a message, `counted` when nobody is to be believed; `None` when it is gone.
    fn measured(&self, opened: &Opened, uid: Uid, counted: bool) -> io::Result<Option<Measured>> {
        let (base, hints) = {
            let view = held(&opened.view);
            let Some(record) = view.list.record(uid) else { return Ok(None) };
            let before = view.messages.get(&uid).and_then(|message| message.measured);
            let noted = |letter| record.field(letter).and_then(|value| value.parse().ok());
            (record.base.clone(), Hints { before, noted: (noted('S'), noted('W')), counted })
        };
        let measured = self.with_file(opened, uid, |part, file| read::measure(part, file, &base, hints))?;
        if let Some(measured) = &measured
            && let Some(message) = held(&opened.view).messages.get_mut(&uid)
        {
            message.measured = Some(*measured);
        }
        Ok(measured)
    }

    /// Does something with a message's file, by the name that it has now; `None` when it is gone.
    fn with_file<T>(
        &self,
        opened: &Opened,
        uid: Uid,
        act: impl Fn(&crate::sys::disk::Dir, &str) -> io::Result<Option<T>>,
    ) -> io::Result<Option<T>> {
        for _ in 0..TRIES {
            let (part, file) = {
                let view = held(&opened.view);
                let Some(message) = view.messages.get(&uid) else { return Ok(None) };
                (view.scanner.part(message.found.new).clone(), message.found.name.clone())
            };
            match act(&part, &file) {
                Ok(Some(done)) => return Ok(Some(done)),
                Ok(None) => {}
                Err(fault) if fault.kind() == io::ErrorKind::NotFound => {}
                Err(fault) => return Err(fault),
            }
            let mut view = held(&opened.view);
            view.scanner.forget();
            view.refresh(&opened.root, &opened.account, &self.clock)?;
        }
        Ok(None)
    }
}

/// What a search looks up of one message, each thing at most once.
struct Lookup<'a> {
    inner: &'a Inner,
    opened: &'a Opened,
    uid: Uid,
    measured: Option<Option<Measured>>,
    head: Option<Vec<u8>>,
}

impl Lookup<'_> {
    fn measured(&mut self) -> io::Result<Option<Measured>> {
        if self.measured.is_none() {
            self.measured = Some(self.inner.measured(self.opened, self.uid, false)?);
        }
        Ok(self.measured.flatten())
    }
}

impl search::Lookup for Lookup<'_> {
    fn measure(&mut self) -> io::Result<Option<Measure>> {
        let measured = self.measured()?;
        Ok(measured.map(|found| Measure { uid: self.uid, octets: found.wire, date: found.date }))
    }

    fn head(&mut self) -> io::Result<&[u8]> {
        if self.head.is_none() {
            let read = |part: &crate::sys::disk::Dir, file: &str| {
                let mut file = part.open_file(file)?;
                let mut gather = Gather::new(search::HEAD);
                let mut chunk = vec![0; 16 * 1024];
                loop {
                    let got = file.read(&mut chunk)?;
                    let octets = chunk.get(..got).unwrap_or_default();
                    if octets.is_empty() || gather.push(octets).1 != Progress::More {
                        return Ok(Some(gather.octets().to_vec()));
                    }
                }
            };
            self.head = Some(self.inner.with_file(self.opened, self.uid, read)?.unwrap_or_default());
        }
        Ok(self.head.as_deref().unwrap_or_default())
    }
}
