//! `dovecot-uidlist`: which UID a message of a folder has.
//!
//! ```text
//! 3 V1795000000 N5 G0123456789abcdef0123456789abcdef     version, UIDVALIDITY, UIDNEXT, the folder's GUID
//! 1 :1794999999.1k0hc0nyc0000005.mx,S=120,W=125          UID, fields of one letter and a value, colon, base name
//! 4 P0123 W800 :1794999998.M1P2.mx                       P: a saved POP3 UIDL; W: wire octets
//! ```
//! Lines are appended under the folder's lock, so UIDs ascend, and UIDNEXT is past the last of them if the header lags.
//! Fields that we do not know are kept as they are. Version 1 (`1 UIDVALIDITY UIDNEXT`, `UID NAME`) is read as well.

use super::name;
use crate::{
    mail::query::Uid,
    sys::{disk::Dir, lock::Dotlock, random},
};
use std::{
    collections::{BTreeMap, HashMap},
    io,
    sync::Arc,
    time::Duration,
};

pub(super) const FILE: &str = "dovecot-uidlist";
/// Four million messages.
const CAP: u64 = 512 * 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(60);

/// The list of one folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UidList {
    /// UIDVALIDITY, never 0.
    pub uid_validity: u32,
    /// Greater than every UID of the list.
    pub next: Uid,
    /// Fields of the header besides V and N, each with the space before it.
    rest: String,
    /// The messages, whether or not their files are still there.
    records: BTreeMap<Uid, Record>,
    by_base: HashMap<Arc<str>, Uid>,
    /// Something in the file made no sense, and should not stay.
    pub damaged: bool,
}

/// A line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The base name.
    pub base: Arc<str>,
    /// Its fields, parted by spaces.
    pub fields: Box<str>,
}

impl Record {
    /// The value of a field.
    pub fn field(&self, letter: char) -> Option<&str> {
        self.fields.split(' ').find_map(|field| field.strip_prefix(letter))
    }
}

impl UidList {
    /// An empty list.
    pub fn new(uid_validity: u32) -> UidList {
        let guid: String = (0..4).map(|_| format!("{:08x}", random::u32())).collect();
        UidList::with(uid_validity, 1, format!(" G{guid}"))
    }

    fn with(uid_validity: u32, next: Uid, rest: String) -> UidList {
        UidList {
            uid_validity,
            next,
            rest,
            records: BTreeMap::new(),
            by_base: HashMap::new(),
            damaged: false,
        }
    }

    /// Reads a file's octets; `None` when its header can't be read, so that no UID in it means anything. A line that
    /// makes no sense is left out: its message will get a new UID.
    pub fn parse(octets: &[u8]) -> Option<UidList> {
        let mut lines = octets.split(|&octet| octet == b'\n');
        let header = std::str::from_utf8(lines.next()?).ok()?;
        let (mut list, version) = match header.split_once(' ')? {
            ("3", fields) => {
                let (mut validity, mut next, mut rest) = (None, None, String::new());
                for field in fields.split(' ') {
                    match field.split_at_checked(1) {
                        Some(("V", value)) => validity = value.parse().ok(),
                        Some(("N", value)) => next = value.parse().ok(),
                        Some(_) => rest.extend([" ", field]),
                        None => {}
                    }
                }
                (UidList::with(validity?, next?, rest), 3)
            }
            ("1", fields) => {
                let (validity, next) = fields.split_once(' ')?;
                (UidList::with(validity.parse().ok()?, next.trim().parse().ok()?, String::new()), 1)
            }
            _ => return None,
        };
        if list.uid_validity == 0 {
            return None;
        }
        list.next = list.next.max(1);
        let mut last = 0;
        for line in lines.filter(|line| !line.is_empty()) {
            let read = std::str::from_utf8(line).ok().and_then(|line| record(line, version));
            match read {
                // The greatest number is left free: UIDNEXT must stay above it.
                Some((uid, record)) if uid > last && uid < Uid::MAX => {
                    last = uid;
                    list.put(uid, record);
                }
                _ => list.damaged = true,
            }
        }
        Some(list)
    }

    /// The file's octets, with the records for which `keep` says so.
    pub fn octets(&self, keep: impl Fn(Uid) -> bool) -> Vec<u8> {
        let mut text = format!("3 V{} N{}{}\n", self.uid_validity, self.next, self.rest);
        for (uid, record) in &self.records {
            if keep(*uid) {
                text += &line(*uid, record);
            }
        }
        text.into_bytes()
    }

    /// The record of a UID.
    pub fn record(&self, uid: Uid) -> Option<&Record> {
        self.records.get(&uid)
    }

    /// The UID of a base name.
    pub fn uid(&self, base: &str) -> Option<Uid> {
        self.by_base.get(base).copied()
    }

    /// The records, in the order of UIDs.
    pub fn records(&self) -> impl Iterator<Item = (Uid, &Record)> {
        self.records.iter().map(|(uid, record)| (*uid, record))
    }

    /// Lines in the file.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// True when the list names no message.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// A base that comes again under a greater UID was moved away and back: the greater is the true one.
    fn put(&mut self, uid: Uid, record: Record) {
        if let Some(old) = self.by_base.insert(Arc::clone(&record.base), uid) {
            self.records.remove(&old);
            self.damaged = true;
        }
        self.records.insert(uid, record);
        self.next = self.next.max(uid.saturating_add(1));
    }

    fn keep(&mut self, keep: impl Fn(Uid) -> bool) {
        self.records.retain(|uid, _| keep(*uid));
        let records = &self.records;
        self.by_base.retain(|_, uid| records.contains_key(uid));
    }
}

fn record(line: &str, version: u32) -> Option<(Uid, Record)> {
    let (uid, mut rest) = line.split_once(' ')?;
    let uid = uid.parse().ok()?;
    let mut fields = String::new();
    if version == 3 {
        loop {
            if let Some(base) = rest.strip_prefix(':') {
                rest = base;
                break;
            }
            let (field, behind) = rest.split_once(' ')?;
            if !fields.is_empty() {
                fields.push(' ');
            }
            fields.push_str(field);
            rest = behind;
        }
    }
    let (base, _) = name::parted(rest);
    if !name::is_message(base) || base.contains('/') {
        return None;
    }
    Some((uid, Record { base: base.into(), fields: fields.into() }))
}

fn line(uid: Uid, record: &Record) -> String {
    match record.fields.is_empty() {
        true => format!("{uid} :{}\n", record.base),
        false => format!("{uid} {} :{}\n", record.fields, record.base),
    }
}

/// Takes the folder's lock: it guards the list and the keywords.
pub(super) fn lock(folder: &Dir) -> io::Result<Dotlock> {
    Dotlock::take(folder, FILE, PATIENCE)
}

/// The list of a folder; `None` when there is none or it can't be read.
pub(super) fn read(folder: &Dir) -> io::Result<Option<UidList>> {
    Ok(folder.read(FILE, CAP)?.and_then(|octets| UidList::parse(&octets)))
}

/// Gives UIDs to base names, durably: they are in the file before anybody is told.
pub(super) fn append(
    folder: &Dir,
    list: &mut UidList,
    bases: &[Arc<str>],
    _lock: &Dotlock,
) -> io::Result<Vec<Uid>> {
    let last = u32::try_from(bases.len()).ok().and_then(|many| list.next.checked_add(many));
    if last.is_none_or(|last| last == Uid::MAX) {
        return Err(io::Error::other("the folder has used up all UIDs"));
    }
    let uids: Vec<Uid> = (list.next..).take(bases.len()).collect();
    let records = bases.iter().map(|base| Record { base: Arc::clone(base), fields: "".into() });
    let records: Vec<(Uid, Record)> = uids.iter().copied().zip(records).collect();
    let text: String = records.iter().map(|(uid, record)| line(*uid, record)).collect();
    let file = folder.grow(FILE)?;
    file.append(text.as_bytes())?;
    file.sync()?;
    for (uid, record) in records {
        list.put(uid, record);
    }
    Ok(uids)
}

/// Writes the whole list anew, with the records for which `keep` says so.
pub(super) fn write(
    folder: &Dir,
    list: &mut UidList,
    keep: impl Fn(Uid) -> bool,
    _lock: &Dotlock,
) -> io::Result<()> {
    folder.replace(FILE, &list.octets(&keep))?;
    list.keep(keep);
    list.damaged = false;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::disk::{Disk, tests::Scratch};

    const DOVECOTS: &str = "3 V1795000000 N7 Gdeadbeefdeadbeefdeadbeefdeadbeef Xnew\n\
        1 W1240 S1200 :1.M1P1.h,S=1200:2,S\n\
        3 Pold-uidl Gabc :2.M2P1.h\n\
        6 :3.M3P1.h,S=1,W=2\n";

    fn bases(list: &UidList) -> Vec<(Uid, String)> {
        list.records().map(|(uid, record)| (uid, record.base.to_string())).collect()
    }

    #[test]
    fn dovecots_list_is_read_and_every_field_kept() {
        let list = UidList::parse(DOVECOTS.as_bytes()).unwrap();
        assert_eq!((list.uid_validity, list.next, list.damaged), (1_795_000_000, 7, false));
        let named = ["1.M1P1.h,S=1200", "2.M2P1.h", "3.M3P1.h,S=1,W=2"].map(str::to_owned);
        assert_eq!(bases(&list), [1, 3, 6].into_iter().zip(named).collect::<Vec<_>>());
        assert_eq!(list.record(3).unwrap().field('P'), Some("old-uidl"));
        assert_eq!(list.record(1).unwrap().field('W'), Some("1240"));
        assert_eq!(list.uid("2.M2P1.h"), Some(3));
        // Flags have no place in the list; all else comes back as it was.
        assert_eq!(String::from_utf8(list.octets(|_| true)).unwrap(), DOVECOTS.replace(":2,S", ""));
        assert_eq!(UidList::parse(&list.octets(|uid| uid != 3)).unwrap().len(), 2);
    }

    #[test]
    fn version_1_becomes_3() {
        let list = UidList::parse(b"1 1000 5\n2 1.a:2,S\n4 2.b\n").unwrap();
        assert_eq!(String::from_utf8(list.octets(|_| true)).unwrap(), "3 V1000 N5\n2 :1.a\n4 :2.b\n");
    }

    #[test]
    fn a_base_name_ends_at_its_first_colon_and_so_comes_back_the_same() {
        let list = UidList::parse(b"3 V1 N9\n4 :1.a:b:2,S\n").unwrap();
        assert_eq!(bases(&list), [(4, "1.a".to_owned())]);
        assert_eq!(UidList::parse(&list.octets(|_| true)), Some(list));
    }

    #[test]
    fn the_next_uid_is_past_the_last_line_and_a_name_keeps_its_greatest_uid() {
        let list = UidList::parse(b"3 V1 N2\n1 :a\n2 :b\n9 :a\n").unwrap();
        assert_eq!(bases(&list), [(2, "b".to_owned()), (9, "a".to_owned())]);
        assert_eq!((list.next, list.damaged), (10, true));
    }

    #[test]
    fn nonsense_costs_a_line_its_uid_and_a_bad_header_all() {
        for line in
            ["x :c", "1 :c", "2 :c", "4294967295 :c", "4294967296 :c", "7", "7 :", "7 W1", "7 :.x", "7 :a/b"]
        {
            let list = UidList::parse(format!("3 V1 N5\n1 :a\n2 :b\n{line}\n4 :d\n").as_bytes()).unwrap();
            assert_eq!(bases(&list).len(), 3, "{line}");
            assert!(list.damaged, "{line}");
        }
        for header in ["", "3", "3 V1", "3 N1", "3 V0 N1", "3 Vx N1", "2 V1 N1", "1 5", "\u{0}"] {
            assert_eq!(UidList::parse(format!("{header}\n1 :a\n").as_bytes()), None, "{header}");
        }
    }

    #[test]
    fn appended_uids_ascend_and_never_pass_the_end() {
        let scratch = Scratch::new("uidlist");
        let dir = Disk::inline().open(scratch.path()).unwrap();
        let lock = lock(&dir).unwrap();
        let mut list = UidList::new(5);
        write(&dir, &mut list, |_| true, &lock).unwrap();
        assert_eq!(append(&dir, &mut list, &["a".into(), "b".into()], &lock).unwrap(), [1, 2]);
        assert_eq!(append(&dir, &mut list, &["c".into()], &lock).unwrap(), [3]);
        assert_eq!(read(&dir).unwrap(), Some(list.clone()));
        list.next = Uid::MAX - 1;
        assert!(append(&dir, &mut list, &["d".into()], &lock).is_err());
    }
}
