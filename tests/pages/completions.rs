//! `completions/` holds what the flag tables give.

use crate::kit;
use std::{collections::BTreeSet, fs};

#[path = "../../examples/completions.rs"]
#[allow(dead_code)]
mod make;

#[test]
fn completions_are_up_to_date() {
    let dir = kit::root().join("completions");
    let made = make::files();
    for (name, text) in &made {
        let kept = fs::read(dir.join(name)).unwrap_or_default();
        assert!(kept == *text, "completions/{name} is old: run `make completions` and commit it");
    }
    let made: BTreeSet<String> = made.into_iter().map(|file| file.0).collect();
    for entry in fs::read_dir(&dir).into_iter().flatten() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(made.contains(&name), "completions/{name} belongs to no program");
    }
}
