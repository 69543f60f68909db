//! The keywords that a client was told of: one that comes into use is told before the first message that has it is
//! (RFC 3501 section 7.2.6), since programs offer their users what FLAGS and PERMANENTFLAGS name.

use super::ask::Row;
use std::collections::BTreeSet;

/// The most keywords that are told, and the most octets of them together. Others are told with their messages only.
const MOST: usize = 1000;
const OCTETS: usize = 32 * 1024;

/// The flags that every mailbox has.
const SYSTEM: &str = "\\Answered \\Flagged \\Deleted \\Seen \\Draft";

/// What was told.
#[derive(Clone, Debug, Default)]
pub(super) struct Keywords {
    names: BTreeSet<String>,
    octets: usize,
}

impl Keywords {
    /// Those that a mailbox has when it is selected.
    pub(super) fn new(names: &[String]) -> Keywords {
        let mut keywords = Keywords::default();
        names.iter().for_each(|name| keywords.insert(name));
        keywords
    }

    fn insert(&mut self, name: &str) {
        let octets = self.octets.saturating_add(name.len());
        if self.names.contains(name) || self.names.len() >= MOST || octets > OCTETS {
            return;
        }
        self.octets = octets;
        self.names.insert(name.to_owned());
    }

    /// Takes in what messages have; true when something of it is new and to be told.
    pub(super) fn learn(&mut self, rows: &[Row]) -> bool {
        let before = self.names.len();
        for name in rows.iter().flat_map(|row| row.flags.names()).filter(|name| !name.starts_with('\\')) {
            self.insert(name);
        }
        self.names.len() > before
    }

    /// `* FLAGS (...)` and the code PERMANENTFLAGS.
    pub(super) fn tell(&self, read_only: bool, out: &mut Vec<u8>) {
        let mut all = SYSTEM.to_owned();
        for name in &self.names {
            all.push(' ');
            all.push_str(name);
        }
        let permanent = match read_only {
            true => "* OK [PERMANENTFLAGS ()] Read only\r\n".to_owned(),
            false => format!("* OK [PERMANENTFLAGS ({all} \\*)] Kept\r\n"),
        };
        out.extend_from_slice(format!("* FLAGS ({all})\r\n{permanent}").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{flags::Flags, query::ModSeq};

    fn row(names: &[&str]) -> Row {
        let mut flags = Flags::default();
        names.iter().for_each(|name| flags.insert(name).unwrap());
        Row { uid: 1, flags, modseq: ModSeq(1) }
    }

    #[test]
    fn what_is_new_is_told_once_and_with_bounds() {
        let mut keywords = Keywords::new(&["$Junk".into()]);
        assert!(!keywords.learn(&[row(&["\\Seen", "$Junk"])]));
        assert!(keywords.learn(&[row(&["\\Seen"]), row(&["$Forwarded", "work"])]));
        assert!(!keywords.learn(&[row(&["work"])]));
        let mut out = Vec::new();
        keywords.tell(false, &mut out);
        let all = "\\Answered \\Flagged \\Deleted \\Seen \\Draft $Forwarded $Junk work";
        let told = format!("* FLAGS ({all})\r\n* OK [PERMANENTFLAGS ({all} \\*)] Kept\r\n");
        assert_eq!(String::from_utf8(out).unwrap(), told);
        for n in 0..10_000 {
            keywords.learn(&[row(&[&format!("k{n}"), &format!("{n}{}", "x".repeat(200))])]);
        }
        let mut out = Vec::new();
        keywords.tell(false, &mut out);
        assert!(out.len() < 72 * 1024, "{}", out.len());
    }
}
