//! The flags of a stored message, by IMAP's names and by Maildir's letters.

use std::{collections::BTreeSet, fmt};

/// The system flags (RFC 9051 section 2.3.2) and keywords. `\Recent` is not kept: a reader derives it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Flags {
    /// `\Answered`, Maildir `R`.
    pub answered: bool,
    /// `\Flagged`, Maildir `F`.
    pub flagged: bool,
    /// `\Deleted`, Maildir `T`.
    pub deleted: bool,
    /// `\Seen`, Maildir `S`.
    pub seen: bool,
    /// `\Draft`, Maildir `D`.
    pub draft: bool,
    /// Passed on (Maildir `P`); IMAP shows it as the keyword `$Forwarded`.
    pub passed: bool,
    /// Keywords, as first written; compared without case.
    pub keywords: BTreeSet<String>,
}

/// How flags are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagChange {
    /// These and no others.
    Set,
    /// These as well.
    Add,
    /// Not these.
    Remove,
}

/// The most octets of a keyword.
pub const KEYWORD_MAX: usize = 255;

/// A name that can't be set: an unknown `\flag`, or a keyword that is no IMAP atom of at most [`KEYWORD_MAX`] octets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadFlag(pub String);

impl fmt::Display for BadFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no flag that can be set", self.0)
    }
}

impl std::error::Error for BadFlag {}

impl Flags {
    /// True when nothing is set.
    pub fn is_empty(&self) -> bool {
        *self == Flags::default()
    }

    /// The names in IMAP's spelling: system flags first, then keywords.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let fixed = [
            (self.answered, "\\Answered"),
            (self.flagged, "\\Flagged"),
            (self.deleted, "\\Deleted"),
            (self.seen, "\\Seen"),
            (self.draft, "\\Draft"),
            (self.passed, "$Forwarded"),
        ];
        let fixed = fixed.into_iter().filter_map(|(set, name)| set.then_some(name));
        fixed.chain(self.keywords.iter().map(String::as_str))
    }

    /// True when `name` (`\Seen`, `$Forwarded`, a keyword; in any case) is set.
    pub fn contains(&self, name: &str) -> bool {
        self.names().any(|set| set.eq_ignore_ascii_case(name))
    }

    /// Sets `name`. A keyword that is there already keeps its first spelling.
    pub fn insert(&mut self, name: &str) -> Result<(), BadFlag> {
        if let Some(fixed) = self.fixed(name) {
            *fixed = true;
        } else if !is_keyword(name) {
            return Err(BadFlag(name.to_owned()));
        } else if !self.contains(name) {
            self.keywords.insert(name.to_owned());
        }
        Ok(())
    }

    /// Clears `name`; one that is not set is no error.
    pub fn remove(&mut self, name: &str) {
        match self.fixed(name) {
            Some(fixed) => *fixed = false,
            None => self.keywords.retain(|keyword| !keyword.eq_ignore_ascii_case(name)),
        }
    }

    fn fixed(&mut self, name: &str) -> Option<&mut bool> {
        Some(match name.to_ascii_lowercase().as_str() {
            "\\answered" => &mut self.answered,
            "\\flagged" => &mut self.flagged,
            "\\deleted" => &mut self.deleted,
            "\\seen" => &mut self.seen,
            "\\draft" => &mut self.draft,
            "$forwarded" => &mut self.passed,
            _ => return None,
        })
    }

    /// Reads the letters behind `:2,` of a Maildir name. `name_of` gives the keyword of a letter `a`-`z`;
    /// letters that nobody knows are passed over (see [`unknown_letters`]).
    pub fn from_letters<'k>(letters: &str, name_of: impl Fn(u8) -> Option<&'k str>) -> Flags {
        let mut flags = Flags::default();
        for letter in letters.bytes() {
            match letter {
                b'D' => flags.draft = true,
                b'F' => flags.flagged = true,
                b'P' => flags.passed = true,
                b'R' => flags.answered = true,
                b'S' => flags.seen = true,
                b'T' => flags.deleted = true,
                b'a'..=b'z' => {
                    if let Some(name) = name_of(letter) {
                        // A list that names no keyword for the letter says nothing, and is no error.
                        let _ = flags.insert(name);
                    }
                }
                _ => {}
            }
        }
        flags
    }

    /// The letters for a Maildir name, in ASCII order, and the keywords for which `letter_of` has no letter.
    pub fn letters(&self, letter_of: impl Fn(&str) -> Option<u8>) -> (String, Vec<&str>) {
        let fixed = [
            (self.draft, 'D'),
            (self.flagged, 'F'),
            (self.passed, 'P'),
            (self.answered, 'R'),
            (self.seen, 'S'),
            (self.deleted, 'T'),
        ];
        let mut letters: BTreeSet<char> =
            fixed.into_iter().filter_map(|(set, letter)| set.then_some(letter)).collect();
        let mut left = Vec::new();
        for keyword in &self.keywords {
            match letter_of(keyword).filter(u8::is_ascii_lowercase) {
                Some(letter) => {
                    letters.insert(letter as char);
                }
                None => left.push(keyword.as_str()),
            }
        }
        (letters.into_iter().collect(), left)
    }
}

/// The letters of a Maildir name that [`Flags::from_letters`] passes over, other programs' own: who renames the
/// file keeps them.
pub fn unknown_letters<'k>(letters: &str, name_of: impl Fn(u8) -> Option<&'k str>) -> String {
    let foreign = |letter: &char| match letter {
        'D' | 'F' | 'P' | 'R' | 'S' | 'T' => false,
        'a'..='z' => u8::try_from(*letter).ok().and_then(&name_of).is_none(),
        _ => letter.is_ascii_alphanumeric(),
    };
    letters.chars().filter(foreign).collect()
}

/// `flag-keyword = atom` (RFC 9051 section 9), of at most [`KEYWORD_MAX`] octets.
pub fn is_keyword(name: &str) -> bool {
    let atom = |octet: u8| octet.is_ascii_graphic() && !b"(){%*\"\\]".contains(&octet);
    !name.is_empty() && name.len() <= KEYWORD_MAX && name.bytes().all(atom)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_of(letter: u8) -> Option<&'static str> {
        match letter {
            b'a' => Some("$Junk"),
            b'b' => Some("work"),
            _ => None,
        }
    }

    fn letter_of(name: &str) -> Option<u8> {
        (b'a'..=b'z').find(|&letter| name_of(letter).is_some_and(|known| known.eq_ignore_ascii_case(name)))
    }

    #[test]
    fn letters_and_flags_say_the_same_in_ascii_order() {
        let flags = Flags::from_letters("TSRbPFDa", name_of);
        assert_eq!(flags.letters(letter_of), ("DFPRSTab".to_owned(), vec![]));
        let names: Vec<_> = flags.names().collect();
        assert_eq!(
            names,
            ["\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft", "$Forwarded", "$Junk", "work"]
        );
    }

    #[test]
    fn letters_of_others_are_passed_over_but_named() {
        assert_eq!(Flags::from_letters("SXz7", name_of), Flags { seen: true, ..Flags::default() });
        assert_eq!(unknown_letters("SXzaT7/", name_of), "Xz7");
    }

    #[test]
    fn keywords_without_a_letter_are_handed_back() {
        let mut flags = Flags::default();
        flags.insert("elsewhere").unwrap();
        flags.insert("\\seen").unwrap();
        assert_eq!(flags.letters(letter_of), ("S".to_owned(), vec!["elsewhere"]));
    }

    #[test]
    fn names_are_compared_without_case_and_keep_their_first_spelling() {
        let mut flags = Flags::default();
        for name in ["Work", "WORK", "$FORWARDED", "\\FLAGGED"] {
            flags.insert(name).unwrap();
        }
        assert_eq!(flags.names().collect::<Vec<_>>(), ["\\Flagged", "$Forwarded", "Work"]);
        assert!(flags.contains("work") && flags.contains("\\flagged") && !flags.contains("\\Seen"));
        flags.remove("wORK");
        flags.remove("\\Flagged");
        flags.remove("$forwarded");
        assert!(flags.is_empty());
    }

    #[test]
    fn what_is_no_atom_is_no_keyword() {
        let long = "a".repeat(256);
        for bad in ["", "\\Recent", "\\Other", "a b", "a(b", "a]", "\u{e9}", "a\n", "*", "%", "a\"", &long] {
            assert_eq!(Flags::default().insert(bad), Err(BadFlag(bad.to_owned())));
        }
        assert!(is_keyword("$MDNSent") && is_keyword("Non-Junk[1"));
    }
}
