//! Every program's page carries the exit table.

use super::{page::Page, programs};
use posthaste::cli::exit::Exit;

/// The table as mdoc: what every page holds under EXIT STATUS.
fn table() -> String {
    let rows = Exit::ALL.map(|exit| format!(".It {}\n{}\n", exit.number(), exit.meaning()));
    format!(".Bl -tag -width Ds -compact\n{}.El", rows.concat())
}

#[test]
fn every_page_has_the_exit_table() {
    for name in programs::names().into_iter().chain(["sendmail".to_owned()]) {
        let page = Page::of(&name);
        let written = page.section("EXIT STATUS").join("\n");
        assert!(written.contains(&table()), "{}: EXIT STATUS must hold this table:\n{}", page.name, table());
    }
}
