//! A page's flags are its program's flags.

use super::page::Page;
use clap::{Arg, Command};
use posthaste::cli;
use std::collections::BTreeSet;

/// `--help` and `--version` need no words.
const EVERYWHERE: [&str; 3] = ["-help", "-version", "V"];

/// A command's flags as mdoc writes them behind `Fl`: `-json`, `C`. Those of its subcommands too.
fn flags(command: &Command) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for arg in command.get_arguments().filter(|arg| !arg.is_hide_set() && !arg.is_positional()) {
        found.extend(arg.get_long().map(|long| format!("-{long}")));
        found.extend(arg.get_short().map(String::from));
        // -h is --help's where no flag took it.
        if arg.get_id() == "help" {
            found.remove("h");
        }
    }
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        found.extend(flags(inner));
    }
    found
}

#[test]
fn pages_and_flag_tables_agree() {
    for mut command in cli::commands() {
        command.build();
        let page = Page::of(command.get_name());
        let written = page.called("Fl");
        let real = flags(&command);
        for flag in &real {
            let known = EVERYWHERE.contains(&flag.as_str()) || written.contains(flag);
            assert!(known, "{}: the flag -{flag} is not written about", page.name);
        }
        for flag in &written {
            // `Fl vv` is -v twice.
            let first = flag.chars().next().unwrap();
            let twice =
                first != '-' && flag.chars().all(|next| next == first) && real.contains(&first.to_string());
            let known = EVERYWHERE.contains(&flag.as_str()) || twice || real.contains(flag);
            assert!(known, "{}: -{flag} is no flag of the program", page.name);
        }
        for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
            let name = inner.get_name();
            assert!(
                page.called("Cm").contains(name),
                "{}: the command {name} is not written about",
                page.name
            );
        }
    }
}

#[test]
fn every_flag_says_what_it_is() {
    fn silent(command: &Command, found: &mut Vec<String>) {
        let says = |arg: &Arg| arg.get_help().is_some() || arg.is_hide_set();
        found.extend(
            command
                .get_arguments()
                .filter(|&arg| !says(arg))
                .map(|arg| format!("{} {arg}", command.get_name())),
        );
        command.get_subcommands().for_each(|inner| silent(inner, found));
    }
    let mut found = Vec::new();
    for command in cli::commands() {
        assert!(command.get_about().is_some(), "{} does not say what it is", command.get_name());
        silent(&command, &mut found);
    }
    assert_eq!(found, [""; 0]);
}
