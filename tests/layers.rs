//! The floors and the NEVER lines of ARCHITECTURE.md, held: what a file may import, name or hold. Each rule is shown
//! to bite by a planted line.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod kit;

mod layers {
    mod plants;
    pub mod rules;
    pub mod source;
}

use layers::{rules, source::Source};
use std::{fs, path::Path};

/// Every Rust file of the project, by its path from the root.
fn files() -> Vec<(String, String)> {
    fn walk(dir: &Path, found: &mut Vec<(String, String)>) {
        let Ok(entries) = fs::read_dir(dir) else { return };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() && !path.ends_with("target") {
                walk(&path, found);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let name = path.strip_prefix(kit::root()).unwrap().to_str().unwrap().to_owned();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut found = Vec::new();
    for dir in ["src", "bin", "tests", "benches", "fuzz", "examples"] {
        walk(&kit::root().join(dir), &mut found);
    }
    found.sort();
    found
}

#[test]
fn every_file_keeps_to_its_floor_and_to_the_never_lines() {
    let files = files();
    assert!(files.len() > 40, "only {} files were found", files.len());
    // A file that a parent declares under #[cfg(test)] is a test as a whole.
    let tests: Vec<String> =
        files.iter().flat_map(|(name, text)| Source::read(name, text).test_files).collect();
    let mut faults = Vec::new();
    for (name, text) in &files {
        let test = tests.iter().any(|path| path == name);
        faults.extend(rules::judge(name, text, test).into_iter().map(|fault| format!("{name}: {fault}")));
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn no_file_is_forgotten() {
    kit::none_forgotten("layers", include_str!("layers.rs"));
}
