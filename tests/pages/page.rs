//! A manual page, read as mdoc's lines; and what every page must be.

use crate::kit;
use std::{collections::BTreeSet, fs, path::PathBuf, process::Command};

/// The sections that the page of a program has, in this order; others may stand between them.
const SECTIONS: [&str; 6] = ["NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "EXAMPLES", "SEE ALSO"];

/// A page.
pub struct Page {
    /// `mail-send.1`.
    pub name: String,
    /// Its text.
    pub text: String,
}

impl Page {
    /// The page of a program, in section 1 or 8.
    pub fn of(program: &str) -> Page {
        let name = ["1", "8"].map(|section| format!("{program}.{section}"));
        let name = name.into_iter().find(|name| dir().join(name).exists());
        let name = name.unwrap_or_else(|| panic!("{program} has no page in man/"));
        let text = fs::read_to_string(dir().join(&name)).unwrap();
        Page { name, text }
    }

    /// All pages.
    pub fn all() -> Vec<Page> {
        let mut pages: Vec<Page> = fs::read_dir(dir())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| Page {
                name: path.file_name().unwrap().to_str().unwrap().to_owned(),
                text: fs::read_to_string(path).unwrap(),
            })
            .collect();
        pages.sort_by(|a, b| a.name.cmp(&b.name));
        pages
    }

    /// The lines of one section, without its heading.
    pub fn section(&self, name: &str) -> Vec<&str> {
        let heading = format!(".Sh {name}");
        let lines = self.text.lines().skip_while(|line| *line != heading).skip(1);
        lines.take_while(|line| !line.starts_with(".Sh ")).collect()
    }

    /// What follows each call of a macro (`Fl`, `Cm`), wherever on a macro line it stands.
    pub fn called(&self, called: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for line in self.text.lines().filter(|line| line.starts_with('.')) {
            let words: Vec<&str> = line[1..].split_whitespace().collect();
            let mut on = false;
            for word in words {
                let is_macro = word.len() == 2
                    && word.starts_with(char::is_uppercase)
                    && word.ends_with(char::is_lowercase);
                let is_mark = matches!(word, "," | "." | "|" | ";" | ":" | "(" | ")" | "[" | "]");
                if is_macro {
                    on = word == called;
                } else if on && !is_mark {
                    found.insert(word.replace("\\-", "-"));
                }
            }
        }
        found
    }
}

fn dir() -> PathBuf {
    kit::root().join("man")
}

#[test]
fn every_page_has_its_sections_in_order() {
    for page in Page::all().iter().filter(|page| page.name.starts_with("mail-")) {
        let mut lines = page.text.lines().filter_map(|line| line.strip_prefix(".Sh "));
        for section in SECTIONS {
            assert!(
                lines.any(|heading| heading == section),
                "{}: no section {section} in its place",
                page.name
            );
        }
    }
}

#[test]
fn mandoc_has_nothing_to_say() {
    let Some(mandoc) = kit::peer("mandoc") else { return };
    for page in Page::all() {
        let out =
            Command::new(&mandoc).args(["-Tlint", "-Wall"]).arg(dir().join(&page.name)).output().unwrap();
        let said = String::from_utf8(out.stdout).unwrap();
        // Pages of ours that are not installed where this runs, and pages of others.
        let said: Vec<&str> = said
            .lines()
            .filter(|line| {
                !line.contains("referenced manual not found") && !line.contains("longer than 80 bytes")
            })
            .collect();
        assert!(said.is_empty(), "{}", said.join("\n"));
    }
}

#[test]
fn pages_refer_to_pages_that_exist() {
    let pages = Page::all();
    for page in &pages {
        // `.Xr` alone or after `.It`.
        for line in page.text.lines().filter_map(|line| {
            line.strip_prefix(".It ").unwrap_or(line).trim_start_matches('.').strip_prefix("Xr ")
        }) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (name, section) = (words[0], words[1]);
            let ours = name.starts_with("mail-") || name.starts_with("posthaste") || name == "sendmail";
            let there = pages.iter().any(|page| page.name == format!("{name}.{section}"));
            assert!(!ours || there, "{}: {name}({section}) is no page of ours", page.name);
        }
    }
}
