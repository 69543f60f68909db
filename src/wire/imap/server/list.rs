//! Which folders LIST and LSUB name, and what they say of them (RFC 3501 section 6.3.8, RFC 3348, RFC 6154).

use super::Listed;
use crate::{
    mail::folder::{FolderName, decode_utf7},
    wire::imap::print as words,
};
use std::collections::BTreeMap;

/// A pattern in UTF-8. What is no modified UTF-7 becomes what no folder is called.
pub(super) fn decoded(pattern: &[u8]) -> String {
    std::str::from_utf8(pattern).ok().and_then(decode_utf7).unwrap_or_else(|| "\u{0}".to_owned())
}

/// The usual names of folders with a use (RFC 6154 section 2), the first that there is being meant.
const USES: [(&str, &[&str]); 5] = [
    ("\\Drafts", &["Drafts", "Draft"]),
    ("\\Sent", &["Sent", "Sent Messages", "Sent Items", "Sent Mail"]),
    ("\\Junk", &["Junk", "Spam", "Junk E-mail", "Junk Email"]),
    ("\\Trash", &["Trash", "Deleted Messages", "Deleted Items", "Deleted"]),
    ("\\Archive", &["Archive", "Archives"]),
];

/// The use that a folder's name stands for, if any.
pub fn special_use(folder: &FolderName) -> Option<&'static str> {
    let [only] = folder.levels() else { return None };
    let is_usual = |usual: &&[&str]| usual.iter().any(|name| name.eq_ignore_ascii_case(only));
    USES.iter().find(|(_, usual)| is_usual(usual)).map(|(attribute, _)| *attribute)
}

/// What a name stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A folder, or a name that is subscribed to and a folder.
    Folder,
    /// A name that is subscribed to.
    Name,
    /// Only something in it is one of these.
    Parent,
}

/// Prints a line for each name that matches.
///
/// ```abnf
/// mailbox-list = "(" [mbx-list-flags] ")" SP (DQUOTE QUOTED-CHAR DQUOTE / nil) SP mailbox
/// ```
pub(super) fn print(listed: &[Listed], pattern: &str, separator: char, subscribed: bool, out: &mut Vec<u8>) {
    let mut names: BTreeMap<FolderName, Kind> = BTreeMap::new();
    for one in listed.iter().filter(|one| if subscribed { one.subscribed } else { one.exists }) {
        names.insert(one.name.clone(), if one.exists { Kind::Folder } else { Kind::Name });
        let mut parent = one.name.parent();
        while let Some(name) = parent.filter(|name| !names.contains_key(name)) {
            parent = name.parent();
            names.insert(name, Kind::Parent);
        }
    }
    // A subscribed child is named by itself where `*` finds it (RFC 3501 section 6.3.9).
    let parents = !subscribed || !pattern.contains('*');
    let uses = if subscribed { Vec::new() } else { uses(&names) };
    let mut following = names.iter().peekable();
    while let Some((name, kind)) = following.next() {
        if !is_match(pattern, name, separator) || (*kind == Kind::Parent && !parents) {
            continue;
        }
        let mut attributes = Vec::new();
        if *kind != Kind::Folder {
            attributes.push("\\Noselect");
        }
        if !subscribed {
            // What is in a folder stands right behind it.
            let within = following.peek().is_some_and(|(next, _)| next.is_within(name));
            attributes.push(if within { "\\HasChildren" } else { "\\HasNoChildren" });
            attributes
                .extend(uses.iter().filter(|(_, known)| *known == name).map(|(attribute, _)| *attribute));
        }
        out.extend_from_slice(if subscribed { b"* LSUB (" } else { b"* LIST (" });
        out.extend_from_slice(attributes.join(" ").as_bytes());
        out.extend_from_slice(b") ");
        words::string(separator.encode_utf8(&mut [0; 4]).as_bytes(), out);
        out.push(b' ');
        words::astring(name.utf7(separator).as_bytes(), out);
        out.extend_from_slice(b"\r\n");
    }
}

/// The folders with a use.
fn uses(names: &BTreeMap<FolderName, Kind>) -> Vec<(&'static str, &FolderName)> {
    let folder = |wanted: &str| {
        names.iter().find_map(|(name, kind)| match name.levels() {
            [only] if only.eq_ignore_ascii_case(wanted) && *kind == Kind::Folder => Some(name),
            _ => None,
        })
    };
    let first = |usual: &[&str]| usual.iter().find_map(|wanted| folder(wanted));
    USES.iter().filter_map(|(attribute, usual)| Some((*attribute, first(usual)?))).collect()
}

/// INBOX is met in any case.
fn is_match(pattern: &str, name: &FolderName, separator: char) -> bool {
    matches(pattern, &name.text(separator), separator)
        || (name.is_inbox() && matches(&pattern.to_ascii_uppercase(), "INBOX", separator))
}

/// True when `*` (any letters) and `%` (any but the separator) in the pattern can be filled in so that it is the name. Two
/// marks suffice for going back, since what stands behind a wildcard is best found where it first comes.
fn matches(pattern: &str, name: &str, separator: char) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0_usize, 0_usize);
    // Where the pattern goes on behind the last wildcard, and what it was tried on.
    let mut star: Option<(usize, usize)> = None;
    let mut percent = star;
    loop {
        match (pattern.get(p), name.get(n)) {
            (Some('*'), _) => {
                p = p.saturating_add(1);
                (star, percent) = (Some((p, n)), None);
                continue;
            }
            (Some('%'), _) => {
                p = p.saturating_add(1);
                percent = Some((p, n));
                continue;
            }
            (Some(wanted), Some(letter)) if wanted == letter => {
                p = p.saturating_add(1);
                n = n.saturating_add(1);
                continue;
            }
            (None, None) => return true,
            _ => {}
        }
        let further = |(behind, at): (usize, usize)| (behind, at.saturating_add(1));
        let fill = |mark: Option<(usize, usize)>, over: bool| {
            let mark = mark?;
            name.get(mark.1).is_some_and(|letter| over || *letter != separator).then(|| further(mark))
        };
        if let Some(mark) = fill(percent, false) {
            percent = Some(mark);
            (p, n) = mark;
        } else if let Some(mark) = fill(star, true) {
            (star, percent) = (Some(mark), None);
            (p, n) = mark;
        } else {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What RFC 3501 says, in so many words.
    fn plainly(pattern: &[char], name: &[char]) -> bool {
        match pattern {
            [] => name.is_empty(),
            ['*', rest @ ..] => (0..=name.len()).any(|at| plainly(rest, &name[at..])),
            ['%', rest @ ..] => (0..=name.len())
                .take_while(|at| !name[..*at].contains(&'/'))
                .any(|at| plainly(rest, &name[at..])),
            [letter, rest @ ..] => name.first() == Some(letter) && plainly(rest, &name[1..]),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 20_000, ..ProptestConfig::default() })]
        #[test]
        fn wildcards_mean_what_the_rfc_says(pattern in "[ab/%*]{0,8}", name in "[ab/]{0,8}") {
            let letters = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(matches(&pattern, &name, '/'), plainly(&letters(&pattern), &letters(&name)));
        }
    }

    #[test]
    fn a_pattern_of_wildcards_takes_no_time() {
        assert!(!matches(&"*a%".repeat(300), &"a".repeat(250), '/'));
    }

    fn listed(name: &str, exists: bool, subscribed: bool) -> Listed {
        Listed { name: FolderName::parse(name, '/').unwrap(), exists, subscribed }
    }

    fn lines(pattern: &str, subscribed: bool) -> Vec<String> {
        let all = [
            listed("INBOX", true, true),
            listed("Lists/rust", true, true),
            listed("Lists/c", true, false),
            listed("Old/b", false, true),
            listed("Sent Items", true, false),
            listed("Sent Messages", true, true),
            listed("spam", true, true),
            listed("\u{e9}t\u{e9}", true, false),
        ];
        let mut out = Vec::new();
        print(&all, &decoded(pattern.as_bytes()), '/', subscribed, &mut out);
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn folders_are_named_with_what_they_are() {
        assert_eq!(
            lines("*", false),
            [
                "* LIST (\\HasNoChildren) \"/\" INBOX",
                "* LIST (\\Noselect \\HasChildren) \"/\" Lists",
                "* LIST (\\HasNoChildren) \"/\" Lists/c",
                "* LIST (\\HasNoChildren) \"/\" Lists/rust",
                "* LIST (\\HasNoChildren) \"/\" \"Sent Items\"",
                "* LIST (\\HasNoChildren \\Sent) \"/\" \"Sent Messages\"",
                "* LIST (\\HasNoChildren \\Junk) \"/\" spam",
                "* LIST (\\HasNoChildren) \"/\" &AOk-t&AOk-",
            ]
        );
        assert_eq!(lines("%/%", false).len(), 2);
        assert_eq!(lines("inb%", false), ["* LIST (\\HasNoChildren) \"/\" INBOX"]);
        assert_eq!(lines("&AOk-*", false), ["* LIST (\\HasNoChildren) \"/\" &AOk-t&AOk-"]);
        assert_eq!(lines("&bad*", false), [""; 0]);
    }

    #[test]
    fn subscriptions_are_named_with_their_parents_only_for_percent() {
        assert_eq!(
            lines("*", true),
            [
                "* LSUB () \"/\" INBOX",
                "* LSUB () \"/\" Lists/rust",
                "* LSUB (\\Noselect) \"/\" Old/b",
                "* LSUB () \"/\" \"Sent Messages\"",
                "* LSUB () \"/\" spam",
            ]
        );
        assert_eq!(lines("L%", true), ["* LSUB (\\Noselect) \"/\" Lists"]);
    }
}
