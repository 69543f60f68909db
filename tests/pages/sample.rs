//! contrib/posthaste.toml and the examples of posthaste.toml(5) are configurations, and the sample has every key.

use super::page::Page;
use crate::kit;
use posthaste::cli::{
    config::{self, Config, Reader},
    flags::Configuration,
};
use std::{collections::BTreeSet, env, fs, path::PathBuf, process};

/// Reads a text as a configuration; what is wrong with it, or nothing.
fn faults(name: &str, text: &str) -> String {
    let file: PathBuf = env::temp_dir().join(format!("posthaste-sample-{name}-{}.toml", process::id()));
    fs::write(&file, text).unwrap();
    let flags = Configuration { config: Some(file.clone()), check_config: false };
    let said = config::load(&flags, Reader::Daemon).err().map(|failure| failure.text().to_owned());
    fs::remove_file(file).unwrap();
    said.unwrap_or_default()
}

#[test]
fn the_sample_is_a_configuration_as_it_stands_and_with_each_comment_taken_away() {
    let sample = fs::read_to_string(kit::root().join("contrib/posthaste.toml")).unwrap();
    assert_eq!(faults("whole", &sample), "");
    // Of each group of places for a password only one may be named, so they are uncommented one at a time; so are the two
    // ways of fetched messages.
    let places = ["password_file", "password_command", "password_credential"];
    let mut keys = BTreeSet::new();
    for place in places {
        let mut section = String::new();
        let mut text = String::new();
        for line in sample.lines() {
            let line = line.strip_prefix("#: ").unwrap_or(line);
            if let Some(name) = line.strip_prefix('[') {
                section = name.trim_end_matches(']').replace(".work", ".NAME") + ".";
            }
            let key = line.split_once('=').map(|(key, _)| key.trim()).filter(|key| !key.starts_with('#'));
            if places.iter().any(|other| *other != place && key.is_some_and(|key| key.ends_with(other))) {
                continue;
            }
            let other_way = if place == "password_command" { "into" } else { "exec" };
            if section == "fetch.NAME." && key == Some(other_way) {
                continue;
            }
            keys.extend(key.map(|key| format!("{section}{key}")));
            text += &format!("{line}\n");
        }
        assert_eq!(faults(place, &text), "", "{text}");
    }
    assert_eq!(keys, Config::keys().into_iter().collect());
}

#[test]
fn the_examples_of_the_page_are_configurations() {
    let page = Page::all().into_iter().find(|page| page.name == "posthaste.toml.5").unwrap();
    let lines = page.section("EXAMPLES").join("\n");
    let examples: Vec<&str> = lines.split(".Bd -literal -offset indent\n").skip(1).collect();
    assert_eq!(examples.len(), 3);
    for (n, example) in examples.iter().enumerate() {
        let example = example.split(".Ed").next().unwrap();
        assert_eq!(faults(&n.to_string(), example), "", "{example}");
    }
}
