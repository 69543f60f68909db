//! A page's flags are its program's flags.

use super::page::Page;
use clap::{Arg, Command};
use posthaste::cli;
use std::collections::BTreeSet;

/// A command's flags as mdoc writes them behind `Fl`: `-json`, `C`; those of its subcommands too.
fn flags(command: &Command, wanted: &dyn Fn(&Arg) -> bool) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for arg in command.get_arguments().filter(|arg| !arg.is_positional() && wanted(arg)) {
        found.extend(arg.get_long().map(|long| format!("-{long}")));
        found.extend(arg.get_short().map(String::from));
    }
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        found.extend(flags(inner, wanted));
    }
    found
}

#[test]
fn pages_and_flag_tables_agree() {
    for mut command in cli::commands() {
        command.build();
        let page = Page::of(command.get_name());
        let written = page.called("Fl");
        let real = flags(&command, &|_| true);
        // --help and --version need no words.
        let told = |arg: &Arg| !arg.is_hide_set() && arg.get_id() != "help" && arg.get_id() != "version";
        for flag in flags(&command, &told) {
            assert!(written.contains(&flag), "{}: the flag -{flag} is not written about", page.name);
        }
        for flag in &written {
            // `Fl vv` is -v twice, `Fl qv` is both.
            let group =
                !flag.starts_with('-') && flag.chars().all(|letter| real.contains(&letter.to_string()));
            assert!(group || real.contains(flag), "{}: -{flag} is no flag of the program", page.name);
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

#[test]
fn help_and_page_say_the_same_of_a_program() {
    for command in cli::commands() {
        let page = Page::of(command.get_name());
        let told = page.text.lines().find_map(|line| line.strip_prefix(".Nd ")).unwrap();
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        assert_eq!(about.to_lowercase(), told.to_lowercase(), "{}", page.name);
    }
}
