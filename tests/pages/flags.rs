//! A page's flags are its program's flags.

use super::page::Page;
use clap::{Arg, Command};
use posthaste::cli::{
    self,
    sendmail::{FLAGS, MODES},
};
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

/// sendmail has a table of its own, and its page is no `mail-*`.
#[test]
fn the_page_of_sendmail_and_its_flag_table_agree() {
    let page = Page::of("sendmail");
    let written = page.called("Fl");
    let known = |letter: char| FLAGS.iter().find(|&&(known, _)| known == letter).map(|&(_, valued)| valued);
    let known_valued = |letter: char| known(letter) == Some(true);
    for flag in &written {
        let first = flag.chars().next().unwrap();
        let value = &flag[1..];
        // `Fl itv` is three flags; in `Fl bm` and `Fl oi` a value is joined to its flag.
        let fits = match known(first) {
            Some(true) => value.is_empty() || first != 'b' || MODES.contains(&value),
            Some(false) => value.chars().all(|letter| known(letter) == Some(false)),
            None => false,
        };
        assert!(fits, "{}: -{flag} is no flag of the program", page.name);
    }
    // Each stands in the list with what it does, and in the synopsis.
    let part = |lines: Vec<&str>| Page { name: page.name.clone(), text: lines.join("\n") }.called("Fl");
    let items = part(page.text.lines().filter(|line| line.starts_with(".It ")).collect());
    let synopsis = part(page.section("SYNOPSIS"));
    for (letter, valued) in FLAGS {
        let of_it = |flag: &String| {
            flag.starts_with(letter) || (!valued && !flag.starts_with(known_valued) && flag.contains(letter))
        };
        assert!(items.iter().any(of_it), "{}: -{letter} is not written about", page.name);
        assert!(synopsis.iter().any(of_it), "{}: -{letter} is missing in the synopsis", page.name);
    }
    for mode in MODES {
        assert!(written.contains(&format!("b{mode}")), "{}: -b{mode} is not written about", page.name);
    }
}
