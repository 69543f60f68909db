//! Changes one line of a passwd-file's text; comments, order and all other lines stay as they are.

use super::passwd::{Fields, LINE_LONGEST, name};

/// A line to be added.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// The name, as [`name`] gives it.
    pub name: String,
    /// The password field; empty or `!` opens nothing.
    pub password: String,
    /// What it may keep, in octets.
    pub quota: Option<u64>,
    /// Addresses besides its own that it may send as.
    pub send_as: Vec<String>,
}

/// Why nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The name has a line already.
    There,
    /// It has none.
    Missing,
    /// The line would not be read back as what was meant.
    Unfit(String),
}

/// Adds a line at the end.
pub fn add(text: &str, line: &Line) -> Result<String, Refused> {
    if at(text, &line.name).is_some() {
        return Err(Refused::There);
    }
    let mut extra = Vec::new();
    extra.extend(line.quota.map(|octets| format!("userdb_quota_rule=*:bytes={octets}")));
    if !line.send_as.is_empty() {
        extra.push(format!("send_as={}", line.send_as.join(",")));
    }
    let mut new = format!("{}:{}::::::{}", line.name, line.password, extra.join(" "));
    check(&new, &line.name, &line.password)?;
    new.push('\n');
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    Ok(format!("{text}{end}{new}"))
}

/// Takes a line away.
pub fn remove(text: &str, name: &str) -> Result<String, Refused> {
    let at = at(text, name).ok_or(Refused::Missing)?;
    Ok(lines(text).enumerate().filter(|(number, _)| *number != at).map(|(_, line)| line).collect())
}

/// Puts another password field into a line.
pub fn set_password(text: &str, name: &str, password: &str) -> Result<String, Refused> {
    let at = at(text, name).ok_or(Refused::Missing)?;
    let mut changed = String::with_capacity(text.len().saturating_add(password.len()));
    for (number, line) in lines(text).enumerate() {
        if number != at {
            changed.push_str(line);
            continue;
        }
        let (user, rest) = line.split_once(':').unwrap_or((line.trim_end_matches(['\r', '\n']), ""));
        let tail = match rest.find(':') {
            Some(colon) => rest.get(colon..).unwrap_or_default(),
            None if line.ends_with('\n') => "\n",
            None => "",
        };
        let new = format!("{user}:{password}{tail}");
        check(new.trim_end_matches(['\r', '\n']), name, password)?;
        changed.push_str(&new);
    }
    Ok(changed)
}

/// The lines with their ends.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive('\n')
}

fn at(text: &str, wanted: &str) -> Option<usize> {
    text.lines()
        .position(|line| Fields::of(line).is_some_and(|fields| name(fields.user).as_deref() == Ok(wanted)))
}

/// Reads a line back: a colon or a line's end in a field would have made it another.
fn check(line: &str, wanted: &str, password: &str) -> Result<(), Refused> {
    if line.len() > LINE_LONGEST {
        return Err(Refused::Unfit(format!("the line would be over {LINE_LONGEST} octets")));
    }
    let good = !line.contains(['\n', '\r', '\0'])
        && Fields::of(line)
            .is_some_and(|fields| name(fields.user).as_deref() == Ok(wanted) && fields.password == password);
    if good { Ok(()) } else { Err(Refused::Unfit("a field holds what a line of the file can't".into())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "# ours\nann:{PLAIN}x:1000:1000:Ann:/home/ann:/bin/sh:a=b\n\n  # odd\r\nBob@example.org:y\ncarl";

    fn line(name: &str, password: &str) -> Line {
        Line { name: name.into(), password: password.into(), ..Line::default() }
    }

    #[test]
    fn all_other_lines_stay() {
        let added = add(TEXT, &line("dora", "{X}z")).unwrap();
        assert_eq!(added, format!("{TEXT}\ndora:{{X}}z::::::\n"));
        assert_eq!(remove(&added, "dora").unwrap(), format!("{TEXT}\n"));
        assert_eq!(remove(TEXT, "bob@example.org").unwrap(), TEXT.replace("Bob@example.org:y\n", ""));
        assert_eq!(add("", &line("dora", "!")).unwrap(), "dora:!::::::\n");
    }

    #[test]
    fn a_password_changes_in_its_place() {
        assert_eq!(
            set_password(TEXT, "ann", "{NEW}").unwrap(),
            TEXT.replace("ann:{PLAIN}x:", "ann:{NEW}:"),
            "the other fields stay"
        );
        assert_eq!(set_password(TEXT, "bob@example.org", "{N}").unwrap(), TEXT.replace(":y\n", ":{N}\n"));
        assert_eq!(set_password(TEXT, "carl", "{N}").unwrap(), TEXT.replace("carl", "carl:{N}"));
        assert_eq!(set_password("carl\nx", "carl", "{N}").unwrap(), "carl:{N}\nx");
    }

    #[test]
    fn what_the_file_can_not_hold_is_refused() {
        assert_eq!(add(TEXT, &line("ann", "x")), Err(Refused::There));
        assert_eq!(add(TEXT, &line("bob@example.org", "x")), Err(Refused::There));
        assert_eq!(remove(TEXT, "dora"), Err(Refused::Missing));
        assert_eq!(remove(TEXT, "bob"), Err(Refused::Missing));
        assert_eq!(set_password(TEXT, "odd", "x"), Err(Refused::Missing));
        for (name, password) in
            [("a:b", "x"), ("a", "x:y"), ("a", "x\ny"), ("#a", "x"), ("A", "x"), ("a\nb", "x")]
        {
            assert!(matches!(add(TEXT, &line(name, password)), Err(Refused::Unfit(_))), "{name} {password}");
        }
        let mut long = line("a", "x");
        long.send_as = vec!["x@example.org".into(); 1000];
        assert!(matches!(add(TEXT, &long), Err(Refused::Unfit(_))));
    }

    #[test]
    fn quota_and_addresses_become_extra_fields() {
        let mut dora = line("dora", "!");
        dora.quota = Some(1000);
        dora.send_as = vec!["a@b".into(), "c@d".into()];
        assert_eq!(add("", &dora).unwrap(), "dora:!::::::userdb_quota_rule=*:bytes=1000 send_as=a@b,c@d\n");
    }
}
