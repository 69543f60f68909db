//! Folder names: levels in UTF-8, as IMAP spells them and as Maildir++ names their directories.

mod utf7;

use std::fmt;

/// Reads IMAP's modified UTF-7 strictly (RFC 3501 section 5.1.3), of what need not be a folder's name: a pattern, say.
pub fn decode_utf7(text: &str) -> Option<String> {
    utf7::decode(text)
}

/// The most octets of a folder's directory name, which is what file systems allow.
pub const NAME_MAX: usize = 255;

/// A folder's name as a list of levels in UTF-8; `INBOX` is the single level `INBOX`, in any case. No level is
/// empty, `.` or `..`, or holds `/` or a control character; the whole fits a directory name of Maildir++.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FolderName(Vec<String>);

/// Why a text names no folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// No name at all, or nothing between two separators.
    EmptyLevel,
    /// A level is `.` or `..`.
    Dots,
    /// A level holds `/` or a control character.
    BadCharacter,
    /// The directory name would be over [`NAME_MAX`] octets.
    TooLong,
    /// The text is not the modified UTF-7 of RFC 3501 section 5.1.3.
    BadUtf7,
    /// A directory that is not named as Maildir++ names a folder.
    NotFolder,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::EmptyLevel => "a folder name has no empty levels",
            Fault::Dots => "a level of a folder name can't be '.' or '..'",
            Fault::BadCharacter => "a folder name holds no '/' and no control characters",
            Fault::TooLong => "the folder name is longer than 255 octets",
            Fault::BadUtf7 => "the folder name is not modified UTF-7",
            Fault::NotFolder => "the directory is no Maildir++ folder",
        })
    }
}

impl std::error::Error for Fault {}

impl FolderName {
    /// `INBOX`.
    pub fn inbox() -> FolderName {
        FolderName(vec!["INBOX".to_owned()])
    }

    /// A name of the given levels.
    pub fn new(levels: Vec<String>) -> Result<FolderName, Fault> {
        match levels.as_slice() {
            [] => return Err(Fault::EmptyLevel),
            [only] if only.eq_ignore_ascii_case("INBOX") => return Ok(FolderName::inbox()),
            _ => {}
        }
        for level in &levels {
            match level.as_str() {
                "" => return Err(Fault::EmptyLevel),
                "." | ".." => return Err(Fault::Dots),
                _ if level.contains(|letter: char| letter == '/' || letter.is_control()) => {
                    return Err(Fault::BadCharacter);
                }
                _ => {}
            }
        }
        let name = FolderName(levels);
        if name.directory().len() > NAME_MAX {
            return Err(Fault::TooLong);
        }
        Ok(name)
    }

    /// Reads a name in UTF-8 whose levels are parted by `separator`. With `.` as separator a `\2e` is a dot
    /// within a level, as [`FolderName::text`] writes it.
    pub fn parse(text: &str, separator: char) -> Result<FolderName, Fault> {
        let unescape = |level: &str| if separator == '.' { unescaped(level) } else { level.to_owned() };
        FolderName::new(text.split(separator).map(unescape).collect())
    }

    /// The name in UTF-8. A separator within a level can only be a dot, written `\2e`.
    pub fn text(&self, separator: char) -> String {
        let escape = |level: &String| if separator == '.' { escaped(level) } else { level.clone() };
        let levels: Vec<String> = self.0.iter().map(escape).collect();
        levels.join(separator.encode_utf8(&mut [0; 4]))
    }

    /// Reads a name in IMAP's modified UTF-7, strictly (RFC 3501 section 5.1.3).
    pub fn from_utf7(text: &str, separator: char) -> Result<FolderName, Fault> {
        FolderName::parse(&utf7::decode(text).ok_or(Fault::BadUtf7)?, separator)
    }

    /// The name in IMAP's modified UTF-7.
    pub fn utf7(&self, separator: char) -> String {
        utf7::encode(&self.text(separator))
    }

    /// The folder's directory below the account's Maildir: empty for `INBOX`, else `.level.level` in modified UTF-7
    /// with a literal dot as `\2e`, as Dovecot writes it.
    pub fn directory(&self) -> String {
        if self.is_inbox() {
            return String::new();
        }
        self.0.iter().fold(String::new(), |name, level| name + "." + &escaped(&utf7::encode(level)))
    }

    /// Reads the name of a directory below the account's Maildir. Exactly those names are taken that
    /// [`FolderName::directory`] gives, so that no two directories are one folder.
    pub fn from_directory(name: &str) -> Result<FolderName, Fault> {
        if name.is_empty() {
            return Ok(FolderName::inbox());
        }
        let levels = name.strip_prefix('.').ok_or(Fault::NotFolder)?;
        let decode = |level| utf7::decode(&unescaped(level)).ok_or(Fault::BadUtf7);
        let folder = FolderName::new(levels.split('.').map(decode).collect::<Result<_, _>>()?)?;
        if folder.directory() != name { Err(Fault::NotFolder) } else { Ok(folder) }
    }

    /// The levels, outermost first; at least one.
    pub fn levels(&self) -> &[String] {
        &self.0
    }

    /// The last level.
    pub fn leaf(&self) -> &str {
        self.0.last().map_or("", String::as_str)
    }

    /// True for `INBOX`.
    pub fn is_inbox(&self) -> bool {
        matches!(self.0.as_slice(), [only] if only == "INBOX")
    }

    /// The folder that this one stands in.
    pub fn parent(&self) -> Option<FolderName> {
        match self.0.split_last() {
            Some((_, [])) | None => None,
            Some((_, outer)) => FolderName::new(outer.to_vec()).ok(),
        }
    }

    /// The folder `level` within this one.
    pub fn child(&self, level: &str) -> Result<FolderName, Fault> {
        FolderName::new(self.0.iter().cloned().chain([level.to_owned()]).collect())
    }

    /// True when this folder stands in `other`, at any depth. A folder is not in itself.
    pub fn is_within(&self, other: &FolderName) -> bool {
        self.0.len() > other.0.len() && self.0.starts_with(&other.0)
    }
}

/// With `.` as separator, and thereby in plain words for people.
impl fmt::Display for FolderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text('.'))
    }
}

/// A level with its dots as `\2e`. A backslash stays as it is (Dovecot's own folders have such), unless it would
/// be misread: then it is `\5c`.
fn escaped(level: &str) -> String {
    let mut out = String::with_capacity(level.len());
    let mut rest = level.chars();
    while let Some(letter) = rest.next() {
        match letter {
            '.' => out.push_str("\\2e"),
            '\\' if rest.as_str().starts_with("2e") || is_escaped_tail(rest.as_str()) => out.push_str("\\5c"),
            other => out.push(other),
        }
    }
    out
}

/// Undoes [`escaped`].
fn unescaped(level: &str) -> String {
    let mut out = String::with_capacity(level.len());
    let mut rest = level;
    while let Some((before, behind)) = rest.split_once('\\') {
        out.push_str(before);
        rest = if let Some(tail) = behind.strip_prefix("2e") {
            out.push('.');
            tail
        } else {
            out.push('\\');
            if is_escaped_tail(behind) { behind.strip_prefix("5c").unwrap_or(behind) } else { behind }
        };
    }
    out + rest
}

/// True for what makes a backslash before it mean a literal one.
fn is_escaped_tail(behind: &str) -> bool {
    behind.strip_prefix("5c").is_some_and(|tail| tail.starts_with("2e") || tail.starts_with("5c"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(levels: &[&str]) -> FolderName {
        FolderName::new(levels.iter().map(|&level| level.to_owned()).collect()).unwrap()
    }

    #[test]
    fn directories_are_named_as_dovecot_names_them() {
        for (levels, directory) in [
            (&["inbox"][..], ""),
            (&["Sent"], ".Sent"),
            (&["Lists", "rust", "users"], ".Lists.rust.users"),
            (&["Entw\u{fc}rfe"], ".Entw&APw-rfe"),
            (&["a&b"], ".a&-b"),
            (&["v1.2", "x"], r".v1\2e2.x"),
            (&[r"a\b"], r".a\b"),
            (&[r"a\2eb"], r".a\5c2eb"),
            (&[r"a\5cb"], r".a\5cb"),
            (&[r"a\5c2eb"], r".a\5c5c2eb"),
            (&[r"a\\2e"], r".a\\5c2e"),
            (&["\u{1f4e7}"], ".&2D3c5w-"),
            (&["INBOX", "sub"], ".INBOX.sub"),
            (&["cur"], ".cur"),
        ] {
            assert_eq!(name(levels).directory(), directory);
            assert_eq!(FolderName::from_directory(directory), Ok(name(levels)), "{directory}");
        }
    }

    #[test]
    fn other_directories_are_no_folders() {
        for (directory, fault) in [
            ("cur", Fault::NotFolder),
            (".", Fault::EmptyLevel),
            ("..", Fault::EmptyLevel),
            (".a..b", Fault::EmptyLevel),
            (".a.", Fault::EmptyLevel),
            (".inbox", Fault::NotFolder),
            (".INBOX", Fault::NotFolder),
            (".Entw\u{fc}rfe", Fault::BadUtf7),
            (".&AGE-", Fault::BadUtf7),
            (r".a\5c5cb", Fault::NotFolder),
            (r".\2e\2e", Fault::Dots),
            (".a/b", Fault::BadCharacter),
            (".&AAA-", Fault::BadCharacter),
        ] {
            assert_eq!(FolderName::from_directory(directory), Err(fault), "{directory}");
        }
    }

    #[test]
    fn names_that_could_leave_the_maildir_are_refused() {
        for (text, fault) in [
            ("", Fault::EmptyLevel),
            ("/", Fault::EmptyLevel),
            ("/etc", Fault::EmptyLevel),
            ("a//b", Fault::EmptyLevel),
            ("a/", Fault::EmptyLevel),
            ("..", Fault::Dots),
            ("a/../b", Fault::Dots),
            ("./a", Fault::Dots),
            ("a\0b", Fault::BadCharacter),
            ("a\nb", Fault::BadCharacter),
            ("a\u{7f}", Fault::BadCharacter),
            ("a\u{85}", Fault::BadCharacter),
        ] {
            assert_eq!(FolderName::parse(text, '/'), Err(fault), "{text:?}");
        }
        assert_eq!(FolderName::parse("a/b", '.'), Err(Fault::BadCharacter));
        assert_eq!(FolderName::parse("a..b", '.'), Err(Fault::EmptyLevel));
        assert_eq!(FolderName::parse(&"a".repeat(255), '/'), Err(Fault::TooLong));
        assert!(FolderName::parse(&"a".repeat(254), '/').is_ok());
        // 100 letters of two octets in UTF-8, but far more in the directory name.
        assert_eq!(FolderName::parse(&"\u{fc}".repeat(100), '/'), Err(Fault::TooLong));
    }

    #[test]
    fn a_dot_in_a_level_survives_both_separators() {
        let dotted = name(&["v1.2", "x"]);
        assert_eq!(dotted.text('/'), "v1.2/x");
        assert_eq!(dotted.text('.'), r"v1\2e2.x");
        assert_eq!(FolderName::parse("v1.2/x", '/'), Ok(dotted.clone()));
        assert_eq!(FolderName::parse(r"v1\2e2.x", '.'), Ok(dotted.clone()));
        assert_eq!(FolderName::from_utf7(&dotted.utf7('.'), '.'), Ok(dotted));
    }

    #[test]
    fn inbox_is_inbox_in_any_case_but_only_alone() {
        assert!(FolderName::parse("iNbOx", '.').unwrap().is_inbox());
        assert_eq!(FolderName::parse("inbox.a", '.').unwrap().text('.'), "inbox.a");
    }

    #[test]
    fn the_hierarchy_is_one_of_levels() {
        let (lists, rust) = (name(&["Lists"]), name(&["Lists", "rust"]));
        assert_eq!(rust.parent(), Some(lists.clone()));
        assert_eq!(lists.parent(), None);
        assert_eq!(lists.child("rust"), Ok(rust.clone()));
        assert_eq!(lists.child(".."), Err(Fault::Dots));
        assert!(
            rust.is_within(&lists) && !lists.is_within(&lists) && !name(&["Listsrust"]).is_within(&lists)
        );
        assert_eq!(rust.leaf(), "rust");
    }
}
