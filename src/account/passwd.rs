//! Dovecot's passwd-file: `user:password:uid:gid:gecos:home:shell:extra`, one account a line.
//! What it leaves out: uid and gid are ignored; extra fields other than those below are Dovecot's own affair.

use super::{
    Account,
    location::Location,
    password::{Password, Unusable},
};
use crate::mail::address::{Domain, Mailbox};
use std::collections::HashMap;

/// The longest line, in octets.
pub const LINE_LONGEST: usize = 8192;

/// A fault in a file of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it, and what to do.
    pub text: String,
}

/// One account, and what opens it.
#[derive(Clone)]
pub struct Entry {
    /// The account; its mail's place is known, or why it is not.
    pub account: Result<Account, String>,
    /// What opens it; `None` where nothing does.
    pub password: Option<Password>,
}

/// The accounts of one file, by the names in it.
#[derive(Default)]
pub struct Accounts {
    entries: Vec<Entry>,
    names: HashMap<String, usize>,
}

/// What a name needs to become an account.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Our domains in lower case. A name without a domain lives in the first and has its address in all of them.
    pub domains: Vec<String>,
    /// Where mail lies.
    pub location: Location,
    /// What an account may keep where its line does not say it.
    pub quota: Option<u64>,
}

impl Accounts {
    /// The account with exactly this name in the file.
    pub fn named(&self, name: &str) -> Option<&Entry> {
        self.names.get(name).and_then(|at| self.entries.get(*at))
    }

    /// The account at this place in the file, counting round.
    pub fn any(&self, number: u64) -> Option<&Entry> {
        let at = number.checked_rem(self.entries.len() as u64)?;
        self.entries.get(usize::try_from(at).ok()?)
    }

    /// The first account in the file.
    pub fn first(&self) -> Option<&Entry> {
        self.entries.first()
    }

    /// All of them with their names, in the order of the file.
    pub fn in_order(&self) -> impl Iterator<Item = (&str, &Entry)> {
        let mut names: Vec<(usize, &str)> =
            self.names.iter().map(|(name, at)| (*at, name.as_str())).collect();
        names.sort_unstable();
        names.into_iter().map(|(_, name)| name).zip(&self.entries)
    }

    /// The first password in the file.
    pub fn first_password(&self) -> Option<Password> {
        self.entries.iter().find_map(|entry| entry.password.clone())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Reads a whole file. The second list names what was read but can't be used (a scheme that we don't have,
    /// say); such an account still gets mail.
    pub fn parse(text: &str, setting: &Setting) -> Result<(Accounts, Vec<Fault>), Fault> {
        let mut accounts = Accounts::default();
        let mut doubts = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line_number = at.saturating_add(1);
            let fault = |text: String| Fault { line: line_number, text };
            if line.len() > LINE_LONGEST {
                return Err(fault(format!("the line is over {LINE_LONGEST} octets")));
            }
            let Some(fields) = Fields::of(line) else { continue };
            let name = name(fields.user).map_err(fault)?;
            let mut doubt =
                |text: String| doubts.push(Fault { line: line_number, text: format!("{name}: {text}") });
            let entry = entry(&name, &fields, setting, &mut doubt).map_err(fault)?;
            if accounts.names.insert(name.clone(), accounts.entries.len()).is_some() {
                return Err(fault(format!("{name} stands here a second time; remove one of the lines")));
            }
            accounts.entries.push(entry);
        }
        Ok((accounts, doubts))
    }
}

/// A line in its fields.
pub struct Fields<'a> {
    /// The name.
    pub user: &'a str,
    /// The password, with its scheme.
    pub password: &'a str,
    home: &'a str,
    extra: &'a str,
}

impl<'a> Fields<'a> {
    /// `None` for a comment and an empty line.
    pub fn of(line: &'a str) -> Option<Fields<'a>> {
        if line.trim().is_empty() || line.starts_with('#') {
            return None;
        }
        let mut fields = line.splitn(8, ':');
        let mut next = || fields.next().unwrap_or_default();
        let (user, password) = (next(), next());
        let (_uid, _gid, _gecos, home, _shell, extra) = (next(), next(), next(), next(), next(), next());
        Some(Fields { user, password, home, extra })
    }

    fn extra(&self, key: &str) -> Option<&'a str> {
        self.extra.split_ascii_whitespace().find_map(|field| match field.split_once('=') {
            Some((name, value)) => (name == key).then_some(value),
            None => (field == key).then_some(""),
        })
    }
}

/// A name as it stands in the file, in lower case: `user` or `user@domain`.
pub fn name(text: &str) -> Result<String, String> {
    let nowhere = Domain::Name("localhost".into());
    let good = match text.contains('@') {
        true => Mailbox::parse(text.as_bytes()),
        false => Mailbox::lenient(text, &nowhere),
    };
    let plain =
        !text.is_empty() && text.bytes().all(|c| c.is_ascii_graphic() && !b"\"\\/:<>()[],;#|".contains(&c));
    match good {
        Ok(Mailbox { domain: Domain::Name(_), .. }) if plain => Ok(text.to_ascii_lowercase()),
        _ => Err(format!("`{}` is no account's name: write user or user@domain", text.escape_debug())),
    }
}

fn entry(
    name: &str,
    fields: &Fields<'_>,
    setting: &Setting,
    doubt: &mut dyn FnMut(String),
) -> Result<Entry, String> {
    let (user, domain) = match name.split_once('@') {
        Some(both) => both,
        None => (name, setting.domains.first().map_or("localhost", String::as_str)),
    };
    let password = match Password::parse(fields.password) {
        Ok(password) => Some(password),
        Err(Unusable::Locked) => None,
        Err(Unusable::Scheme(scheme)) => {
            doubt(format!(
                "passwords in {{{scheme}}} are not supported: no login; set a new one with mail-user"
            ));
            None
        }
        Err(Unusable::Malformed(scheme)) => {
            doubt(format!("what follows {{{scheme}}} is no such password, or takes too long: no login"));
            None
        }
    };
    // These narrow a login down in ways that we can't, so nobody gets in where they stand.
    let narrowed = ["nologin", "deny", "expired", "allow_nets", "nopassword", "proxy"]
        .into_iter()
        .find(|key| fields.extra(key).is_some_and(|value| !matches!(value, "no" | "n" | "0")));
    if let (Some(key), Some(_)) = (narrowed, &password) {
        doubt(format!("the field {key} is not supported: no login"));
    }
    let quota = match fields.extra("userdb_quota_rule") {
        None => setting.quota,
        Some(rule) => match quota(rule) {
            Some(limit) => (limit != 0).then_some(limit),
            None => {
                doubt(format!("userdb_quota_rule={rule} is not supported: the default holds"));
                setting.quota
            }
        },
    };
    let mut send_as = Vec::new();
    for text in fields.extra("send_as").unwrap_or_default().split(',').filter(|text| !text.is_empty()) {
        send_as.push(Mailbox::parse(text.as_bytes()).map_err(|fault| format!("send_as: `{text}`: {fault}"))?);
    }
    let account = match location(user, domain, fields, setting) {
        Ok(location) => Ok(Account { id: format!("{user}@{domain}"), location, quota, send_as }),
        Err(text) => {
            doubt(format!("{text}: no mail is taken for it"));
            Err(format!("the account {user}@{domain}: {text}"))
        }
    };
    Ok(Entry { account, password: password.filter(|_| narrowed.is_none()) })
}

/// `userdb_mail=maildir:PATH[:...]`, where PATH may begin with `~/` (the home field) and hold `%u`, `%n` and `%d`;
/// else the template.
fn location(user: &str, domain: &str, fields: &Fields<'_>, setting: &Setting) -> Result<String, String> {
    let Some(mail) = fields.extra("userdb_mail") else {
        return setting.location.of(user, domain).ok_or_else(|| "its name can't be a folder's".to_string());
    };
    let odd = || format!("userdb_mail={mail} is not supported");
    let (path, options) =
        mail.strip_prefix("maildir:").map_or((mail, ""), |rest| rest.split_once(':').unwrap_or((rest, "")));
    // Other layouts put folders, indexes or control files elsewhere: mail would lie where nobody looks.
    if !options.is_empty() {
        return Err(odd());
    }
    let home = fields.home.trim_end_matches('/');
    let path = match path.strip_prefix('~') {
        Some(rest) if (rest.is_empty() || rest.starts_with('/')) && home.starts_with('/') => {
            format!("{home}{rest}")
        }
        Some(_) => return Err(odd()),
        None => path.to_string(),
    };
    let template = path.replace("%u", "{user}@{domain}").replace("%n", "{user}").replace("%d", "{domain}");
    if !template.starts_with('/') || template.contains('%') {
        return Err(odd());
    }
    Location::parse(&template).ok().and_then(|template| template.of(user, domain)).ok_or_else(odd)
}

/// The limit in `*:storage=100M` (without a unit KiB) or `*:bytes=100M`; 0 is none.
fn quota(rule: &str) -> Option<u64> {
    let rule = rule.strip_prefix("*:")?;
    let (number, unit): (&str, u64) = match (rule.strip_prefix("storage="), rule.strip_prefix("bytes=")) {
        (Some(number), _) => (number, 1 << 10),
        (_, Some(number)) => (number, 1),
        _ => return None,
    };
    let digits = number.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match number.get(digits.len()..)? {
        "" => unit,
        "b" | "B" => 1,
        "k" | "K" => 1 << 10,
        "m" | "M" => 1 << 20,
        "g" | "G" => 1 << 30,
        "t" | "T" => 1 << 40,
        _ => return None,
    };
    let good = !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit());
    good.then(|| digits.parse::<u64>().ok()?.checked_mul(unit)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting() -> Setting {
        Setting {
            domains: vec!["example.org".into(), "example.net".into()],
            location: Location::parse("/m/{domain}/{user}").unwrap(),
            quota: Some(1000),
        }
    }

    fn read(text: &str) -> Result<(Accounts, Vec<Fault>), Fault> {
        Accounts::parse(text, &setting())
    }

    fn one(line: &str) -> (Entry, Vec<Fault>) {
        let (accounts, doubts) = read(line).unwrap();
        (accounts.first().unwrap().clone(), doubts)
    }

    #[test]
    fn comments_empty_lines_and_missing_fields_are_fine() {
        let (accounts, doubts) =
            read("# a comment\n\n  \nAnn:{PLAIN}x\nbob@Example.NET:{PLAIN}y:1:1::/home/bob::\ncarl\n")
                .unwrap();
        assert_eq!((accounts.len(), doubts.len()), (3, 0));
        let account = |name: &str| accounts.named(name).unwrap().account.clone().unwrap();
        assert_eq!(account("ann").id, "ann@example.org");
        assert_eq!(account("ann").location, "/m/example.org/ann");
        assert_eq!(account("bob@example.net").location, "/m/example.net/bob");
        assert!(accounts.named("carl").unwrap().password.is_none());
        assert!(accounts.named("Ann").is_none());
    }

    #[test]
    fn a_broken_line_is_named() {
        for (text, line, said) in [
            ("a:{PLAIN}x\na:{PLAIN}y", 2, "second time"),
            ("a:\nA:", 2, "second time"),
            ("\n:{PLAIN}x", 2, "no account's name"),
            ("../x:{PLAIN}y", 1, "no account's name"),
            ("a b:", 1, "no account's name"),
            ("a@b@c:", 1, "no account's name"),
            ("a@[192.0.2.1]:", 1, "no account's name"),
            ("é:", 1, "no account's name"),
            ("a\u{1b}:", 1, "no account's name"),
            ("a:x::::::send_as=b", 1, "send_as: `b`"),
        ] {
            let fault = read(text).err().unwrap();
            assert_eq!(fault.line, line, "{text}");
            assert!(fault.text.contains(said) && !fault.text.contains('\u{1b}'), "{text}: {}", fault.text);
        }
        assert!(read(&format!("a:{}", "x".repeat(LINE_LONGEST))).err().unwrap().text.contains("over 8192"));
    }

    #[test]
    fn dovecots_extra_fields() {
        let place = |line: &str| one(line).0.account.map(|account| account.location);
        assert_eq!(place("a:::::::userdb_mail=maildir:/x/%d/%n"), Ok("/x/example.org/a".into()));
        assert_eq!(place("a:::::::userdb_mail=maildir:/x/%u"), Ok("/x/a@example.org".into()));
        assert_eq!(place("a:::::/home/a/::userdb_mail=maildir:~/Maildir"), Ok("/home/a/Maildir".into()));
        for odd in [
            "mbox:~/mail",
            "maildir:/x:LAYOUT=fs",
            "maildir:/x:INDEX=MEMORY",
            "maildir:~b/x",
            "maildir:~/x",
            "maildir:x",
            "mdbox:/x",
            "maildir:/x/%h",
            "maildir:/x/../y",
            "",
        ] {
            let (entry, doubts) = one(&format!("a:::::::userdb_mail={odd}"));
            assert!(entry.account.is_err() && doubts.len() == 1, "{odd}");
        }
        for (rule, limit) in [
            ("*:storage=1G", Some(1 << 30)),
            ("*:storage=100", Some(100 << 10)),
            ("*:bytes=100", Some(100)),
            ("*:bytes=5M", Some(5 << 20)),
            ("*:storage=0", None),
            ("Trash:storage=+10M", Some(1000)),
            ("*:storage=90%", Some(1000)),
            ("*:storage=99999999999T", Some(1000)),
        ] {
            let entry = one(&format!("a:::::::userdb_quota_rule={rule}")).0;
            assert_eq!(entry.account.unwrap().quota, limit, "{rule}");
        }
        let send_as = one("a:::::::x=y send_as=b@example.org,c@other").0.account.unwrap().send_as;
        assert_eq!(send_as.iter().map(ToString::to_string).collect::<Vec<_>>(), ["b@example.org", "c@other"]);
    }

    #[test]
    fn what_narrows_a_login_down_shuts_it() {
        for extra in
            ["nologin", "nologin=y", "allow_nets=192.0.2.0/24", "nopassword", "deny=yes", "expired=yes"]
        {
            let (entry, doubts) = one(&format!("a:{{PLAIN}}x::::::{extra}"));
            assert!(entry.password.is_none() && doubts.len() == 1, "{extra}");
            assert!(entry.account.is_ok(), "mail still comes");
        }
        assert!(one("a:{PLAIN}x::::::nologin=no userdb_home=/x").0.password.is_some());
        let (entry, doubts) = one("a:{MD5}x");
        assert!(entry.password.is_none() && doubts[0].text.contains("{MD5}"));
        assert_eq!(one("a:!").1, []);
    }
}
