//! posthaste.toml(5) and the configuration's reader know the same keys.

use super::page::Page;
use posthaste::cli::config::Config;
use std::collections::BTreeSet;

#[test]
fn the_page_of_the_configuration_has_every_key_and_no_other() {
    let pages = Page::all();
    let page = pages.iter().find(|page| page.name == "posthaste.toml.5").expect("man/posthaste.toml.5");
    // `.It Ic key` in `.Ss [section]`; those before the first `.Ss` belong to no section.
    let mut section = String::new();
    let mut written = BTreeSet::new();
    for line in page.text.lines() {
        if let Some(heading) = line.strip_prefix(".Ss ") {
            section = heading.trim_end_matches("\\&").trim_matches(['[', ']']).to_owned();
        } else if let Some(key) = line.strip_prefix(".It Ic ") {
            // `a , b` are two keys.
            for key in key.split(' ').filter(|&key| key != ",") {
                written.insert(if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") });
            }
        }
    }
    let real: BTreeSet<String> = Config::keys().into_iter().collect();
    assert_eq!(written, real);
}
