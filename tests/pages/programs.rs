//! Every program is known everywhere.

use super::page::Page;
use crate::kit;
use posthaste::cli;
use std::{collections::BTreeSet, fs};

/// The programs, by the files in `bin/`.
pub fn names() -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(kit::root().join("bin")) else { return BTreeSet::new() };
    entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn every_program_is_built_has_a_flag_table_and_stands_in_the_map() {
    let names = names();
    let tables: BTreeSet<String> =
        cli::commands().iter().map(|command| command.get_name().to_owned()).collect();
    assert_eq!(names, tables, "bin/ and cli::commands() differ");
    let manifest = fs::read_to_string(kit::root().join("Cargo.toml")).unwrap();
    let built = manifest.lines().filter_map(|line| line.strip_prefix("path = \"bin/")?.strip_suffix(".rs\""));
    assert_eq!(names, built.map(str::to_owned).collect(), "bin/ and Cargo.toml differ");
    let map = Page::all().into_iter().find(|page| page.name == "posthaste.7").unwrap();
    for name in names {
        let page = Page::of(&name).name;
        let (name, section) = page.rsplit_once('.').unwrap();
        assert!(map.text.contains(&format!("Xr {name} {section}")), "posthaste.7 does not name {page}");
    }
}
