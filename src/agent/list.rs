//! mail-list: finds messages and prints a line a message for people, a path a line for programs, or JSON.
//! Of a message no more than its header is read, and that only where something of it is asked for.

mod print;

use super::message;
use crate::mail::{
    flags::Flags,
    query::{self, Key},
};
use jiff::tz::TimeZone;
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

/// A message that may be listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its file.
    pub path: PathBuf,
    /// Its flags.
    pub flags: Flags,
    /// True in new/.
    pub new: bool,
    /// The file's octets, where its name says them.
    pub size: Option<u64>,
    /// True when the user named the file itself: then its absence is a fault. One that a folder held may be
    /// renamed or removed by another program at any time.
    pub named: bool,
}

/// Which messages are listed: those for which all of this holds.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Not yet seen.
    pub unseen: bool,
    /// Keys that a header decides.
    pub header: Vec<Key>,
    /// Arrived at this second since 1970 or later.
    pub since: Option<i64>,
}

/// How messages are printed.
#[derive(Clone, Debug)]
pub enum Form {
    /// The path, and this octet behind it.
    Paths(u8),
    /// Flags, date, sender and subject in one line of so many columns, with dates in this zone.
    Lines(usize, TimeZone),
    /// A JSON object.
    Json,
}

/// What became of one message that could not be listed.
#[derive(Debug)]
pub struct Fault {
    /// Its file.
    pub path: PathBuf,
    /// Why.
    pub why: io::Error,
}

/// Lists candidates as they come. Only a fault of `out` ends it; those of messages are handed to `on_fault`.
pub fn run(
    candidates: impl IntoIterator<Item = Candidate>,
    filter: &Filter,
    form: &Form,
    out: &mut dyn Write,
    on_fault: &mut dyn FnMut(Fault),
) -> io::Result<()> {
    let mut buffer = message::Head::default();
    let needs_header = !filter.header.is_empty() || !matches!(form, Form::Paths(_));
    for candidate in candidates {
        if filter.unseen && candidate.flags.seen {
            continue;
        }
        match judge(&candidate, filter, needs_header, &mut buffer) {
            Ok(true) => print::message(&candidate, &buffer, form, out)?,
            Ok(false) => {}
            Err(why) if why.kind() == io::ErrorKind::NotFound && !candidate.named => {}
            Err(why) => on_fault(Fault { path: candidate.path, why }),
        }
    }
    Ok(())
}

/// Reads what is needed of a message, and says whether it is one of those looked for.
fn judge(candidate: &Candidate, filter: &Filter, header: bool, head: &mut message::Head) -> io::Result<bool> {
    if let Some(since) = filter.since
        && arrived(&candidate.path)? < since
    {
        return Ok(false);
    }
    if header {
        head.read(&candidate.path)?;
    } else if candidate.named {
        candidate.path.metadata()?;
    }
    Ok(filter.header.iter().all(|key| query::header_decides(key, head.octets()) == Some(true)))
}

/// INTERNALDATE: the file's time of modification, in seconds since 1970.
fn arrived(path: &Path) -> io::Result<i64> {
    use std::os::unix::fs::MetadataExt as _;
    Ok(path.metadata()?.mtime())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    struct Mail(PathBuf);

    impl Mail {
        fn new(name: &str) -> Mail {
            let root = std::env::temp_dir().join(format!("posthaste-list-{name}-{}", std::process::id()));
            fs::create_dir_all(&root).unwrap();
            Mail(root)
        }

        fn add(&self, name: &str, octets: &str) -> Candidate {
            let path = self.0.join(name);
            fs::write(&path, octets).unwrap();
            let flags = Flags::from_letters(name.rsplit(',').next().unwrap(), |_| None);
            Candidate { path, flags, new: false, size: None, named: false }
        }
    }

    impl Drop for Mail {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn list(candidates: &[Candidate], filter: &Filter, form: &Form) -> (String, usize) {
        let (mut out, mut faults) = (Vec::new(), 0);
        run(candidates.to_vec(), filter, form, &mut out, &mut |_| faults += 1).unwrap();
        (String::from_utf8(out).unwrap(), faults)
    }

    #[test]
    fn filters_hold_together() {
        let mail = Mail::new("filters");
        let all = [
            mail.add("a:2,S", "From: Joe <joe@example.org>\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\n\n"),
            mail.add("b:2,", "From: Joe <joe@example.org>\nSubject: other\n\n"),
            mail.add("c:2,", "From: Ann <ann@example.org>\nSubject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\n\n"),
        ];
        let key = |name: &str, text: &str| Key::Header(name.into(), text.into());
        let names = |filter: Filter| {
            let (out, _) = list(&all, &filter, &Form::Paths(b'\n'));
            out.lines().map(|path| path.rsplit('/').next().unwrap()[..1].to_owned()).collect::<String>()
        };
        assert_eq!(names(Filter::default()), "abc");
        assert_eq!(names(Filter { unseen: true, ..Filter::default() }), "bc");
        assert_eq!(names(Filter { header: vec![key("From", "JOE")], ..Filter::default() }), "ab");
        let both = vec![key("From", "joe"), key("Subject", "GR\u{dc}SSE".to_lowercase().as_str())];
        assert_eq!(names(Filter { header: both, ..Filter::default() }), "");
        let both = vec![key("From", "joe"), key("Subject", "gr\u{fc}")];
        assert_eq!(names(Filter { header: both, ..Filter::default() }), "a");
        assert_eq!(names(Filter { since: Some(i64::MAX), ..Filter::default() }), "");
        assert_eq!(names(Filter { since: Some(0), ..Filter::default() }), "abc");
    }

    #[test]
    fn paths_can_end_in_nul() {
        let mail = Mail::new("nul");
        let one = mail.add("a", "");
        assert_eq!(
            list(std::slice::from_ref(&one), &Filter::default(), &Form::Paths(0)).0,
            format!("{}\0", one.path.display())
        );
    }

    #[test]
    fn a_message_that_went_is_a_fault_only_when_it_was_named() {
        let mail = Mail::new("gone");
        let mut gone = mail.add("a", "");
        fs::remove_file(&gone.path).unwrap();
        assert_eq!(list(std::slice::from_ref(&gone), &Filter::default(), &Form::Json), (String::new(), 0));
        gone.named = true;
        assert_eq!(list(std::slice::from_ref(&gone), &Filter::default(), &Form::Json), (String::new(), 1));
        assert_eq!(list(&[gone], &Filter::default(), &Form::Paths(b'\n')), (String::new(), 1));
    }

    #[test]
    fn a_line_is_for_people_and_harmless() {
        let mail = Mail::new("lines");
        let one = mail.add(
            "a:2,FR",
            "Date: Tue, 24 Nov 2026 15:20:28 +0100\nFrom: =?utf-8?q?J=C3=B6rg_=1B[2J?= <j@example.org>\n\
             Subject: =?utf-8?q?a=0D=0Ab=E2=80=AE?=\n\tc \u{65e5}\u{672c}\u{8a9e}\n\n",
        );
        let two = mail.add("b:2,S", "no header");
        let (out, _) = list(&[one, two], &Filter::default(), &Form::Lines(60, TimeZone::UTC));
        assert_eq!(
            out,
            format!(
                ".*r 2026-11-24 14:20 J\u{f6}rg \u{fffd}[2J{:12}a  b\u{fffd} c \u{65e5}\u{672c}\u{8a9e}\n\
                 {:21}(no sender){:10}(no subject)\n",
                "", "", ""
            )
        );
    }

    #[test]
    fn json_holds_what_a_program_wants() {
        let mail = Mail::new("json");
        let one = mail.add(
            "a:2,S",
            "Date: Tue, 24 Nov 2026 15:20:28 +0100\nFrom: Joe <joe@example.org>\nTo: a@example.org, G: b@example.org;\n\
             Subject: x\nMessage-ID: <1@example.org>\n\nbody",
        );
        let (out, _) = list(&[one], &Filter::default(), &Form::Json);
        let value: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(value["date"], "2026-11-24T15:20:28+01:00");
        assert_eq!(value["from"], serde_json::json!([{"name": "Joe", "address": "joe@example.org"}]));
        assert_eq!(value["to"][1]["address"], "b@example.org");
        assert_eq!(value["flags"], serde_json::json!(["\\Seen"]));
        assert_eq!(value["message_id"], "<1@example.org>");
        assert_eq!(value["size"], 147);
        assert!(value["path"].as_str().unwrap().ends_with("a:2,S"));
    }
}
