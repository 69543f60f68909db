//! The README names only what exists: programs, their flags, make targets.

use super::programs;
use crate::kit;
use clap::Command;
use posthaste::cli;
use std::{fs, path::Path};

/// Every word of the documents that looks like a program of ours, `mail-` and letters.
fn named(text: &str) -> Vec<String> {
    let word = |octet: char| octet.is_ascii_alphanumeric() || "-_./".contains(octet);
    text.split(|octet| !word(octet))
        .filter(|word| word.starts_with("mail-"))
        .map(|word| word.trim_end_matches('.').to_owned())
        .collect()
}

#[test]
fn programs_that_the_documents_name_exist() {
    for name in ["README.md", "CONTRIBUTING.md"] {
        let text = fs::read_to_string(kit::root().join(name)).unwrap();
        for word in named(&text) {
            // mail-auth and mail-parser are crates.
            let known = ["mail-auth", "mail-parser", "mail-x"].contains(&word.as_str());
            let file = word.contains(['.', '/']);
            assert!(known || file || programs::names().contains(&word), "{name}: there is no {word}");
        }
    }
}

#[test]
fn flags_in_the_readme_are_flags_of_their_programs() {
    let text = fs::read_to_string(kit::root().join("README.md")).unwrap();
    for line in text.lines() {
        for part in line.split(['|', ';', '`']).map(str::trim) {
            let mut words = part.split_whitespace().skip_while(|word| !word.starts_with("mail-"));
            let Some(program) = words.next() else { continue };
            let Some(command) = cli::commands().into_iter().find(|command| command.get_name() == program)
            else {
                continue;
            };
            for flag in
                words.take_while(|&word| word != "--").filter(|word| word.starts_with('-') && word.len() > 1)
            {
                let flag = flag.split('=').next().unwrap();
                assert!(has(&command, flag), "README.md: {program} has no flag {flag}: {line}");
            }
        }
    }
}

fn has(command: &Command, flag: &str) -> bool {
    let own = command.get_arguments().any(|arg| match flag.strip_prefix("--") {
        Some(long) => arg.get_long() == Some(long),
        None => arg.get_short() == flag.chars().nth(1),
    });
    own || ["--help", "--version"].contains(&flag) || command.get_subcommands().any(|inner| has(inner, flag))
}

#[test]
fn make_targets_in_the_documents_exist() {
    let makefile = fs::read_to_string(kit::root().join("Makefile")).unwrap();
    for name in ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"] {
        let text = fs::read_to_string(kit::root().join(name)).unwrap();
        for part in text.split("`make ").skip(1) {
            let target: String =
                part.chars().take_while(|next| next.is_ascii_lowercase() || *next == '-').collect();
            // `make VARIABLE=value` builds.
            let target = if target.is_empty() { "all".to_owned() } else { target };
            assert!(makefile.contains(&format!("\n{target}:")), "{name}: there is no `make {target}`");
        }
    }
}

#[test]
fn files_that_the_architecture_names_exist() {
    fn walk(dir: &Path, found: &mut Vec<String>) {
        for path in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
            match path.is_dir() {
                true => walk(&path, found),
                false => found.push(path.to_str().unwrap().to_owned()),
            }
        }
    }
    let mut files = Vec::new();
    for dir in ["src", "tests", "bin"] {
        walk(&kit::root().join(dir), &mut files);
    }
    let text = fs::read_to_string(kit::root().join("ARCHITECTURE.md")).unwrap();
    for name in text.split('`').filter(|word| word.ends_with(".rs") && !word.contains(['*', ' '])) {
        assert!(
            files.iter().any(|file| file.ends_with(&format!("/{name}"))),
            "ARCHITECTURE.md: there is no {name}"
        );
    }
}
