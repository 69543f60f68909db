//! Reads TOML tables key by key. Every key that is asked for becomes known; what nobody asked for is refused with
//! the nearest known one. Faults are gathered, each with its file, line and column, and told together.
//! What it leaves out: what the keys mean.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    path::{Path, PathBuf},
};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// The most faults that are told at once.
const MOST_FAULTS: usize = 20;

/// One file's text, and where it came from.
pub struct Source {
    /// The name it is called by in faults.
    pub name: PathBuf,
    /// Its text.
    pub text: String,
}

impl Source {
    /// Relative paths in the file start here.
    fn folder(&self) -> &Path {
        self.name.parent().unwrap_or(Path::new(""))
    }

    fn fault(&self, at: usize, text: &str) -> String {
        let before = self.text.get(..at).unwrap_or(&self.text);
        let line = before.matches('\n').count().saturating_add(1);
        let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()).saturating_add(1);
        format!("{}:{line}:{column}: {text}", self.name.display())
    }
}

/// What was found while reading: faults, and the keys that were asked for.
#[derive(Default)]
pub struct Notes {
    faults: RefCell<Vec<String>>,
    known: RefCell<BTreeSet<String>>,
}

impl Notes {
    /// Notes a fault that has no single place.
    pub fn fault(&self, text: String) {
        self.faults.borrow_mut().push(text);
    }

    /// The faults, one a line, or `None`.
    pub fn faults(&self) -> Option<String> {
        let faults = self.faults.borrow();
        let mut lines: Vec<String> = faults.iter().take(MOST_FAULTS).cloned().collect();
        if faults.len() > MOST_FAULTS {
            lines.push(format!("and {} more", faults.len().saturating_sub(MOST_FAULTS)));
        }
        (!lines.is_empty()).then(|| lines.join("\n"))
    }

    /// The full names of all keys asked for so far, with `NAME` for a name that the user gives.
    pub fn known(&self) -> Vec<String> {
        self.known.borrow().iter().cloned().collect()
    }
}

struct Layer<'a> {
    source: &'a Source,
    table: &'a DeTable<'a>,
}

/// A table, seen through one or more files of which the first that has a key gives it.
pub struct Table<'a> {
    name: String,
    generic: String,
    layers: Vec<Layer<'a>>,
    asked: RefCell<BTreeSet<&'static str>>,
    notes: &'a Notes,
}

/// A value, and what it stands in.
pub struct Item<'a> {
    value: &'a DeValue<'a>,
    source: &'a Source,
}

/// Parses a file; a fault in its grammar is noted.
pub fn parse<'a>(source: &'a Source, notes: &Notes) -> Option<DeTable<'a>> {
    match DeTable::parse(&source.text) {
        Ok(table) => Some(table.into_inner()),
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            notes.fault(source.fault(at, error.message().lines().next().unwrap_or_default()));
            None
        }
    }
}

impl<'a> Table<'a> {
    /// The top of one or more parsed files; the first has precedence.
    pub fn top(files: &'a [(&'a Source, DeTable<'a>)], notes: &'a Notes) -> Table<'a> {
        let layers = files.iter().map(|(source, table)| Layer { source, table }).collect();
        Table { name: String::new(), generic: String::new(), layers, asked: RefCell::default(), notes }
    }

    /// True when no file has the table or it is empty.
    pub fn is_empty(&self) -> bool {
        self.layers.iter().all(|layer| layer.table.is_empty())
    }

    /// True when a file has `key`.
    pub fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// The full name of a key in this table.
    pub fn name_of(&self, key: &str) -> String {
        join(&self.name, key)
    }

    /// Notes a fault of the table as a whole, at the place of `key` where that is present.
    pub fn fault(&self, key: &str, text: &str) {
        let place = self.layers.iter().find_map(|layer| {
            let (key, _) = layer.table.get_key_value(key)?;
            Some(layer.source.fault(key.span().start, text))
        });
        self.notes.fault(place.unwrap_or_else(|| match self.layers.first() {
            Some(layer) => format!("{}: {text}", layer.source.name.display()),
            None => text.to_string(),
        }));
    }

    /// The value of `key` through `read`, which says what is wrong with it; `None` when the key is missing or wrong.
    pub fn value<T>(&self, key: &'static str, read: impl FnOnce(Item<'a>) -> Result<T, String>) -> Option<T> {
        self.ask(key);
        let (source, value) = self.find(key)?;
        match read(Item { value: value.get_ref(), source }) {
            Ok(value) => Some(value),
            Err(text) => {
                self.notes.fault(source.fault(value.span().start, &format!("{}: {text}", self.name_of(key))));
                None
            }
        }
    }

    /// Like [`Table::value`] for an array: each element through `read`, a wrong one noted at its own place.
    pub fn list<T>(
        &self,
        key: &'static str,
        mut read: impl FnMut(Item<'a>) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        self.ask(key);
        let (source, value) = self.find(key)?;
        let DeValue::Array(elements) = value.get_ref() else {
            let text = format!("{}: expected an array `[...]`", self.name_of(key));
            self.notes.fault(source.fault(value.span().start, &text));
            return None;
        };
        let mut list = Vec::new();
        for element in elements.iter() {
            match read(Item { value: element.get_ref(), source }) {
                Ok(one) => list.push(one),
                Err(text) => {
                    let text = format!("{}: {text}", self.name_of(key));
                    self.notes.fault(source.fault(element.span().start, &text));
                }
            }
        }
        Some(list)
    }

    /// The table `key` within this one, seen through all files that have it; empty when none has.
    pub fn table(&self, key: &'static str) -> Table<'a> {
        self.asked.borrow_mut().insert(key);
        let mut layers = Vec::new();
        for layer in &self.layers {
            let Some(value) = layer.table.get(key) else { continue };
            match value.get_ref() {
                DeValue::Table(table) => layers.push(Layer { source: layer.source, table }),
                _ => self.notes.fault(
                    layer
                        .source
                        .fault(value.span().start, &format!("expected a table: [{}]", self.name_of(key))),
                ),
            }
        }
        Table {
            name: join(&self.name, key),
            generic: join(&self.generic, key),
            layers,
            asked: RefCell::default(),
            notes: self.notes,
        }
    }

    /// The tables in this one by the names that the user gave them. A name that several files have is taken whole from
    /// the first, so that a password is never sent to another file's server.
    pub fn named(&self) -> Vec<(String, Table<'a>)> {
        let mut found: Vec<(String, Table<'a>)> = Vec::new();
        for layer in &self.layers {
            for (key, value) in layer.table.iter() {
                let name = key.get_ref().to_string();
                if found.iter().any(|(known, _)| *known == name) {
                    continue;
                }
                let DeValue::Table(table) = value.get_ref() else {
                    let text = format!("expected a table: [{}]", self.name_of(&name));
                    self.notes.fault(layer.source.fault(key.span().start, &text));
                    continue;
                };
                let table = Table {
                    name: join(&self.name, &name),
                    generic: join(&self.generic, "NAME"),
                    layers: vec![Layer { source: layer.source, table }],
                    asked: RefCell::default(),
                    notes: self.notes,
                };
                found.push((name, table));
            }
        }
        found
    }

    /// Ends the reading of this table: what was not asked for is refused.
    pub fn done(self) {
        let asked = self.asked.borrow();
        for layer in &self.layers {
            for key in layer.table.keys() {
                let name = key.get_ref().as_ref();
                if asked.contains(name) {
                    continue;
                }
                let place = if self.name.is_empty() { String::new() } else { format!(" in [{}]", self.name) };
                let help = match nearest(name, asked.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("known here: {}", asked.iter().copied().collect::<Vec<_>>().join(", ")),
                };
                let text = format!("unknown key `{name}`{place}; {help}");
                self.notes.fault(layer.source.fault(key.span().start, &text));
            }
        }
    }

    fn ask(&self, key: &'static str) {
        self.asked.borrow_mut().insert(key);
        self.notes.known.borrow_mut().insert(join(&self.generic, key));
    }

    fn find(&self, key: &str) -> Option<(&'a Source, &'a Spanned<DeValue<'a>>)> {
        self.layers.iter().find_map(|layer| Some((layer.source, layer.table.get(key)?)))
    }
}

impl<'a> Item<'a> {
    /// A string.
    pub fn string(&self) -> Result<&'a str, String> {
        self.value.as_str().ok_or_else(|| self.instead("a string in quotes"))
    }

    /// `true` or `false`.
    pub fn boolean(&self) -> Result<bool, String> {
        self.value.as_bool().ok_or_else(|| self.instead("true or false"))
    }

    /// A whole number that is not negative.
    pub fn number(&self) -> Result<u64, String> {
        let digits = self.value.as_integer().ok_or_else(|| self.instead("a whole number"))?;
        u64::from_str_radix(digits.as_str(), digits.radix())
            .map_err(|_| format!("{} is not between 0 and {}", digits.as_str(), u64::MAX))
    }

    /// The strings of an array, where that may stand for one string.
    pub fn strings(&self) -> Option<Result<Vec<&'a str>, String>> {
        let array = self.value.as_array()?;
        Some(
            array
                .iter()
                .map(|one| one.get_ref().as_str().ok_or_else(|| "expected strings in quotes".to_string()))
                .collect(),
        )
    }

    /// A string that is a path; a relative one starts where the file is.
    pub fn path(&self) -> Result<PathBuf, String> {
        let text = self.string()?;
        if text.is_empty() || text.contains('\0') {
            return Err("expected a path".into());
        }
        Ok(self.from_here(text))
    }

    /// A path seen from the folder of the file.
    pub fn from_here(&self, path: &str) -> PathBuf {
        self.source.folder().join(path)
    }

    fn instead(&self, wanted: &str) -> String {
        format!("expected {wanted}, not {} {}", article(self.value.type_str()), self.value.type_str())
    }
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

fn join(table: &str, key: &str) -> String {
    if table.is_empty() { key.to_string() } else { format!("{table}.{key}") }
}

/// The word that is written almost like `word`: at most a third of its letters differ.
pub fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    // Longer words than any key have no near one, and cost nothing.
    if word.len() > 64 {
        return None;
    }
    let most = word.len().div_ceil(3);
    known.map(|key| (distance(word, key), key)).filter(|(far, _)| *far <= most).min().map(|(_, key)| key)
}

/// Letters to add, leave out, change or swap with their neighbour.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut next = vec![i.saturating_add(1)];
        for (j, b) in other.iter().enumerate() {
            let cell = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX);
            let changed = cell(&row, j).saturating_add(usize::from(a != b));
            let left_out = cell(&row, j.saturating_add(1)).saturating_add(1);
            let added = cell(&next, j).saturating_add(1);
            let mut least = changed.min(left_out).min(added);
            if let (Some(i), Some(j)) = (i.checked_sub(1), j.checked_sub(1))
                && one.get(i) == Some(b)
                && other.get(j) == Some(a)
            {
                least = least.min(cell(&before, j).saturating_add(1));
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_the_one_meant() {
        let known = ["hostname", "state", "user", "size_limit", "smtp", "submission", "submissions"];
        for (word, near) in [
            ("hostnmae", Some("hostname")),
            ("host_name", Some("hostname")),
            ("size-limit", Some("size_limit")),
            ("submision", Some("submission")),
            ("sumbissions", Some("submissions")),
            ("stmp", Some("smtp")),
            ("milter", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known.into_iter()), near, "{word}");
        }
    }
}
