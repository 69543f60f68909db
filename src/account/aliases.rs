//! The aliases file: `name: address, address`, as in /etc/aliases, with addresses only. A line that begins with a
//! space continues the one before.
//! What it leaves out, and refuses by line: commands (`|`), files (`/`), lists from files (`:include:`).

use super::passwd::Fault;
use crate::mail::address::{Domain, Mailbox};
use std::collections::HashMap;

/// The longest alias with its continuation lines, in octets.
const LONGEST: usize = 64 * 1024;

/// The aliases, by name or address in lower case.
#[derive(Default)]
pub struct Aliases {
    names: HashMap<String, Vec<Target>>,
}

/// Where an alias leads.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    /// A full address.
    Full(Mailbox),
    /// A name, in the domain that was asked for.
    Bare(String),
}

impl Aliases {
    /// Where `user` (in lower case) at `domain` leads: an alias for the full address counts before one for the name.
    pub fn of(&self, user: &str, domain: &str) -> Option<Vec<Mailbox>> {
        let full = self.names.get(&format!("{user}@{domain}"));
        // A quoted local part can look like a full address.
        let targets = full.or_else(|| self.names.get(user).filter(|_| !user.contains('@')))?;
        let here = Domain::Name(domain.to_string());
        Some(
            targets
                .iter()
                .map(|target| match target {
                    Target::Full(mailbox) => mailbox.clone(),
                    Target::Bare(name) => Mailbox { local: name.clone(), domain: here.clone() },
                })
                .collect(),
        )
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Reads a whole file.
    pub fn parse(text: &str) -> Result<Aliases, Fault> {
        let mut aliases = Aliases::default();
        let mut entry: Option<(usize, String)> = None;
        for (at, line) in text.lines().enumerate() {
            let number = at.saturating_add(1);
            if line.trim().is_empty() || line.trim_start().starts_with('#') {
                continue;
            }
            if !line.starts_with([' ', '\t']) {
                aliases.add(entry.replace((number, line.to_string())))?;
                continue;
            }
            match &mut entry {
                None => {
                    return Err(Fault {
                        line: number,
                        text: "this continues nothing; begin with a name".into(),
                    });
                }
                Some((begun, whole)) => {
                    whole.push_str(line);
                    if whole.len() > LONGEST {
                        return Err(Fault {
                            line: *begun,
                            text: format!("the alias is over {LONGEST} octets"),
                        });
                    }
                }
            }
        }
        aliases.add(entry)?;
        Ok(aliases)
    }

    fn add(&mut self, entry: Option<(usize, String)>) -> Result<(), Fault> {
        let Some((line, text)) = entry else { return Ok(()) };
        let fault = |text: String| Fault { line, text };
        let (name, targets) = alias(&text).map_err(fault)?;
        match self.names.insert(name.clone(), targets) {
            None => Ok(()),
            Some(_) => Err(fault(format!("{name} stands here a second time; join the two"))),
        }
    }
}

fn alias(text: &str) -> Result<(String, Vec<Target>), String> {
    let (name, rest) = word(text.trim_start())?;
    let rest = rest.trim_start().strip_prefix(':').ok_or("write `name: address, address`")?;
    let name = match target(&name)? {
        Target::Bare(name) if name.contains('@') => return Err("write the address in full".into()),
        Target::Bare(name) => name.to_ascii_lowercase(),
        Target::Full(mailbox) => format!("{}@{}", mailbox.local.to_ascii_lowercase(), mailbox.domain),
    };
    let mut targets = Vec::new();
    let mut rest = rest.trim();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(',') {
            rest = after.trim_start();
            continue;
        }
        let quoted = rest.trim_start_matches('"');
        for (mark, what) in [("|", "commands"), ("/", "files"), (":include:", "lists from files")] {
            if quoted.get(..mark.len()).is_some_and(|head| head.eq_ignore_ascii_case(mark)) {
                return Err(format!("{what} (`{mark}`) are not supported in aliases: name addresses"));
            }
        }
        let (one, after) = word(rest)?;
        let after = after.trim_start();
        if !after.is_empty() && !after.starts_with(',') {
            return Err(format!("a comma belongs behind `{}`", one.escape_debug()));
        }
        targets.push(target(&one)?);
        rest = after;
    }
    if targets.is_empty() {
        return Err(format!("{name} leads nowhere; name an address behind the colon"));
    }
    Ok((name, targets))
}

/// The next name or address, up to a space, comma or colon outside of quotes, and what follows.
fn word(text: &str) -> Result<(String, &str), String> {
    let mut quoted = false;
    let mut escaped = false;
    let mut bracket = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '[' if !quoted => bracket = true,
            ']' if !quoted => bracket = false,
            ':' if bracket => {}
            ' ' | '\t' | ',' | ':' if !quoted => {
                let (word, rest) = text.split_at(at);
                return Ok((word.to_string(), rest));
            }
            _ => {}
        }
    }
    if quoted { Err("a \" is not closed".into()) } else { Ok((text.to_string(), "")) }
}

fn target(text: &str) -> Result<Target, String> {
    let odd = |fault: &dyn std::fmt::Display| format!("`{}` is no address: {fault}", text.escape_debug());
    if text.is_empty() {
        return Err("expected a name or an address".into());
    }
    let nowhere = Domain::Name("localhost".into());
    match Mailbox::parse_utf8(text.as_bytes()) {
        Ok(mailbox) => Ok(Target::Full(mailbox)),
        // A name alone, perhaps in quotes, is one that becomes an address behind which a domain is put.
        Err(_) if !outside_quotes(text, '@') => {
            match Mailbox::parse_utf8(format!("{text}@localhost").as_bytes()) {
                Ok(mailbox) if mailbox.domain == nowhere => Ok(Target::Bare(mailbox.local)),
                Ok(_) => Err(odd(&"write it in full")),
                Err(fault) => Err(odd(&fault)),
            }
        }
        Err(fault) => Err(odd(&fault)),
    }
}

fn outside_quotes(text: &str, wanted: char) -> bool {
    text.split('"').step_by(2).any(|part| part.contains(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leads(aliases: &Aliases, user: &str, domain: &str) -> String {
        let targets = aliases.of(user, domain).unwrap_or_default();
        targets.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_grammar_of_etc_aliases() {
        let aliases = Aliases::parse(
            "# who reads what\n\
             postmaster: root\n\
             ROOT:\tAnn, bob@Elsewhere.example,\n\
             \n\
             # a comment between\n\
             \t carl ,\n\
             \x20dora\n\
             \"first last\": \"first last\"@example.net\n\
             sales@example.net : ann\n\
             six: six@[IPv6:2001:db8::1]\n\
             \"x y\"@example.org: root\n\
             www-data: root",
        )
        .map_err(|fault| fault.text)
        .unwrap();
        assert_eq!(leads(&aliases, "x y", "example.org"), "root@example.org");
        assert_eq!(aliases.len(), 7);
        assert_eq!(leads(&aliases, "postmaster", "example.org"), "root@example.org");
        assert_eq!(
            leads(&aliases, "root", "example.org"),
            "Ann@example.org bob@elsewhere.example carl@example.org dora@example.org"
        );
        assert_eq!(leads(&aliases, "first last", "example.org"), "\"first last\"@example.net");
        assert_eq!(leads(&aliases, "sales", "example.net"), "ann@example.net");
        assert_eq!(leads(&aliases, "sales", "example.org"), "");
        assert_eq!(leads(&aliases, "sales@example.net", "example.org"), "", "a quoted local part");
        assert_eq!(leads(&aliases, "six", "example.org"), "six@[IPv6:2001:db8::1]");
    }

    #[test]
    fn what_is_not_supported_is_refused_by_line() {
        for (text, line, said) in [
            ("a: b\nprog: |/usr/bin/vacation", 2, "commands (`|`)"),
            ("a: b\nprog: \"|/usr/bin/vacation ann\"", 2, "commands (`|`)"),
            ("prog: ann,\n  \"|vacation\"", 1, "commands (`|`)"),
            ("list: :include:/etc/list", 1, "lists from files"),
            ("list: \":Include:/etc/list\"", 1, "lists from files"),
            ("\n\nfile: /var/mail/x", 3, "files (`/`)"),
            ("file: \"/var/mail/x\"", 1, "files (`/`)"),
            ("a: \\b", 1, "is no address"),
            ("a: b c", 1, "a comma belongs behind `b`"),
            ("a: b # not a comment", 1, "a comma belongs behind `b`"),
            ("a:", 1, "leads nowhere"),
            ("a: ,,", 1, "leads nowhere"),
            ("a b", 1, "write `name: address"),
            ("a", 1, "write `name: address"),
            (": b", 1, "expected a name"),
            ("  b", 1, "continues nothing"),
            ("a: b\nA: c", 2, "second time"),
            ("a: \"b", 1, "not closed"),
            ("a: b@", 1, "is no address"),
            ("a: b@c@d", 1, "is no address"),
            ("a: b\u{81}c", 1, "is no address"),
            ("\"a@b\": c", 1, "in full"),
            ("a: <b@c>", 1, "is no address"),
        ] {
            let fault = Aliases::parse(text).err().unwrap();
            assert_eq!(fault.line, line, "{text}");
            assert!(fault.text.contains(said), "{text}: {}", fault.text);
        }
        let long = format!("a: b{}", ",\n  b".repeat(20_000));
        assert!(Aliases::parse(&long).err().unwrap().text.contains("over 65536"));
    }
}
