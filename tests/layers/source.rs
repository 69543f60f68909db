//! What a Rust file names: its paths, words and texts, with those of test items apart.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A file, read.
#[derive(Default)]
pub struct Source {
    /// Every path of two or more segments (single names are in `words`), `use` groups written out, and `crate`, `self`, `super` and our
    /// own crate's name resolved to `crate`.
    pub paths: Vec<Found>,
    /// Every identifier.
    pub words: Vec<Found>,
    /// Every string literal's text.
    pub texts: Vec<Found>,
    /// Files that are declared as test modules here.
    pub test_files: Vec<String>,
}

/// Something named.
pub struct Found {
    /// The path (`a::b`), word or text.
    pub name: String,
    /// Whether it stands in an item under `#[cfg(test)]` or `#[test]`.
    pub test: bool,
}

impl Source {
    /// Reads a file; `name` is its path from the root.
    pub fn read(name: &str, text: &str) -> Source {
        let mut source = Source::default();
        let tokens: TokenStream = text.parse().unwrap_or_else(|fault| panic!("{name}: {fault}"));
        let module: Vec<String> = match name.strip_prefix("src/").and_then(|rest| rest.strip_suffix(".rs")) {
            Some("lib") | None => Vec::new(),
            Some(rest) => rest.trim_end_matches("/mod").split('/').map(str::to_owned).collect(),
        };
        let dir = name.strip_suffix("mod.rs").or_else(|| name.strip_suffix("lib.rs"));
        let dir = dir.map_or_else(|| name.trim_end_matches(".rs").to_owned() + "/", str::to_owned);
        source.walk(tokens, &module, &dir, false);
        source
    }

    fn walk(&mut self, tokens: TokenStream, module: &[String], dir: &str, test: bool) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        let mut item_test = test;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Punct(mark) if mark.as_char() == '#' => {
                    let group = tokens.get(at + 1);
                    if let Some(TokenTree::Group(group)) = group {
                        let text = group.stream().to_string().replace(' ', "");
                        if text.starts_with("doc=") {
                            at += 2;
                            continue;
                        }
                        item_test |= text == "test"
                            || text.starts_with("cfg(test")
                            || text.starts_with("cfg(all(test");
                    }
                }
                TokenTree::Punct(mark) if mark.as_char() == ';' => item_test = test,
                TokenTree::Group(group) => {
                    let named = match (
                        at.checked_sub(2).map(|at| &tokens[at]),
                        at.checked_sub(1).map(|at| &tokens[at]),
                    ) {
                        (Some(TokenTree::Ident(word)), Some(TokenTree::Ident(name))) if word == "mod" => {
                            Some(name.to_string())
                        }
                        _ => None,
                    };
                    let inner: Vec<String> = module.iter().cloned().chain(named).collect();
                    self.walk(group.stream(), &inner, dir, item_test);
                    if group.delimiter() == Delimiter::Brace {
                        item_test = test;
                    }
                }
                TokenTree::Ident(word) => {
                    self.words.push(Found { name: word.to_string(), test: item_test });
                    if let (true, Some(TokenTree::Ident(name)), Some(TokenTree::Punct(_))) =
                        (word == "mod" && item_test, tokens.get(at + 1), tokens.get(at + 2))
                    {
                        self.test_files.extend([format!("{dir}{name}.rs"), format!("{dir}{name}/mod.rs")]);
                    }
                    let used = self.path(&tokens[at..], &[], module, item_test);
                    // The words of a path still count as words.
                    for token in &tokens[at + 1..at + used] {
                        if let TokenTree::Ident(word) = token {
                            self.words.push(Found { name: word.to_string(), test: item_test });
                        }
                    }
                    at += used - 1;
                }
                TokenTree::Literal(literal) => {
                    let text = literal.to_string();
                    if text.contains('"') {
                        let name = text
                            .trim_start_matches(['b', 'c', 'r', '#'])
                            .trim_end_matches('#')
                            .trim_matches('"');
                        self.texts.push(Found { name: name.to_owned(), test: item_test });
                    }
                }
                TokenTree::Punct(_) => {}
            }
            at += 1;
        }
    }

    /// Reads the path that begins at the first token; answers with the tokens that belong to it (a group at its end
    /// included), at least one.
    fn path(&mut self, tokens: &[TokenTree], prefix: &[String], module: &[String], test: bool) -> usize {
        let mut path = prefix.to_vec();
        let mut at = 0;
        while let Some(TokenTree::Ident(word)) = tokens.get(at) {
            path.push(word.to_string());
            at += 1;
            let colon =
                |at: usize| matches!(tokens.get(at), Some(TokenTree::Punct(mark)) if mark.as_char() == ':');
            if !(colon(at) && colon(at + 1)) {
                break;
            }
            match tokens.get(at + 2) {
                Some(TokenTree::Ident(_)) => at += 2,
                Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                    self.group(group.stream(), &path, module, test);
                    return at + 3;
                }
                // `::*`, `::<T>`: the path ends here.
                _ => break,
            }
        }
        if path.len() > 1 || !prefix.is_empty() {
            self.paths.push(Found { name: resolve(&path, module), test });
        }
        at.max(1)
    }

    /// The branches of a `use` group.
    fn group(&mut self, tokens: TokenStream, prefix: &[String], module: &[String], test: bool) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for branch in tokens.split(|token| matches!(token, TokenTree::Punct(mark) if mark.as_char() == ',')) {
            if !branch.is_empty() {
                self.path(branch, prefix, module, test);
            }
        }
    }
}

/// Writes out where a path leads.
fn resolve(path: &[String], module: &[String]) -> String {
    let mut place = module.to_vec();
    let mut rest = path;
    match path[0].as_str() {
        "crate" | "posthaste" => {
            place.clear();
            rest = &path[1..];
        }
        "self" => rest = &path[1..],
        "super" => {
            while rest.first().is_some_and(|word| word == "super") {
                place.pop();
                rest = &rest[1..];
            }
        }
        _ => return path.join("::"),
    }
    ["crate".to_owned()].into_iter().chain(place).chain(rest.iter().cloned()).collect::<Vec<_>>().join("::")
}
