//! The contract on files, and what only files do.

use super::*;
use crate::account::{
    contract::{contract, mailbox},
    location::Location,
    password::Scheme,
};
use std::fs;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("posthaste-file-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn write(&self, accounts: &str, aliases: &str) -> Files {
        fs::write(self.0.join("accounts"), accounts).unwrap();
        fs::write(self.0.join("aliases"), aliases).unwrap();
        Files {
            setting: Setting {
                domains: vec!["example.org".into(), "example.net".into()],
                location: Location::parse("/m/{user}").unwrap(),
                quota: None,
            },
            accounts: Some(self.0.join("accounts")),
            aliases: Some(self.0.join("aliases")),
            catch_all: None,
            fake: [7; 32],
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn scram(password: &str) -> String {
    Password::write(Scheme::ScramSha256, password).unwrap()
}

#[test]
fn the_contract_holds_on_files() {
    for paper in ["{PLAIN}paper".to_string(), scram("paper")] {
        let folder = Folder::new("contract");
        let accounts = format!(
            "ann@example.org:{}::::::userdb_quota_rule=*:bytes=1000 send_as=office@example.org\n\
             bob@example.net:{paper}\n\
             locked@example.org:!\n",
            scram("pencil")
        );
        let aliases = "office@example.org: ann, x@elsewhere.example\na+b@example.org: bob@example.net\n";
        contract(&File::open(folder.write(&accounts, aliases)).unwrap());
    }
}

#[test]
fn a_bare_name_lives_in_all_domains_and_a_full_one_counts_before_it() {
    let folder = Folder::new("bare");
    let files =
        folder.write("ann:{PLAIN}x\nann@example.net:{PLAIN}y\nbob:{PLAIN}z\n", "bob@example.net: ann\n");
    let directory = File::open(files).unwrap();
    let id = |address: &str| match directory.resolve(&mailbox(address)).unwrap() {
        Resolved::Account { account, .. } => account.id,
        other => format!("{other:?}"),
    };
    assert_eq!(id("ann@example.org"), "ann@example.org");
    assert_eq!(id("ann@example.net"), "ann@example.net");
    assert_eq!(id("bob@example.org"), "bob@example.org");
    assert_eq!(
        directory.resolve(&mailbox("bob@example.net")).unwrap(),
        Resolved::Alias(vec![mailbox("ann@example.net")]),
        "a bare name behind the colon is in the domain that was asked for"
    );
    let opens = |login: &str, secret: &str| directory.verify(login, secret.as_bytes()).unwrap().map(|a| a.id);
    assert_eq!(
        opens("bob@example.net", "z").as_deref(),
        Some("bob@example.org"),
        "one account, whatever the domain"
    );
    assert_eq!(opens("ann@example.net", "x"), None);
    assert_eq!(opens("ann@elsewhere.example", "x"), None);
    assert_eq!(directory.first().unwrap().id, "ann@example.org");
}

#[test]
fn accounts_and_aliases_change_without_a_signal() {
    let folder = Folder::new("change");
    let directory = File::open(folder.write("ann:{PLAIN}x\n", "")).unwrap();
    assert!(directory.verify("ann", b"x").unwrap().is_some());
    folder.write("ann:{PLAIN}y\nbob:{PLAIN}z\n", "sales: bob\n");
    assert!(directory.verify("ann", b"x").unwrap().is_none(), "what was remembered is of the old password");
    assert!(directory.verify("ann", b"y").unwrap().is_some());
    assert_eq!(
        directory.resolve(&mailbox("sales@example.org")).unwrap(),
        Resolved::Alias(vec![mailbox("bob@example.org")])
    );
    folder.write("bob\0:", "sales: |x\n");
    assert!(directory.verify("ann", b"y").unwrap().is_some(), "a broken file keeps the old accounts");
    folder.write("bob:{PLAIN}z\n", "");
    assert_eq!(directory.resolve(&mailbox("ann@example.org")).unwrap(), Resolved::Unknown);
}

#[test]
fn a_start_with_a_broken_file_says_where() {
    let folder = Folder::new("start");
    let said = |accounts: &str, aliases: &str| File::open(folder.write(accounts, aliases)).err().unwrap();
    assert!(said("a:\na:\n", "").contains("accounts:2: a stands here a second time"));
    assert!(said("a:\n", "\nx: |y\n").contains("aliases:2: commands"));
}

#[test]
fn a_catch_all_catches_what_nobody_has_but_not_postmaster_and_not_itself() {
    let folder = Folder::new("catch");
    let mut files = folder.write("ann:{PLAIN}x\n", "sales: ann\n");
    files.catch_all = Some(mailbox("rest@example.org"));
    let directory = File::open(files).unwrap();
    let resolve = |address: &str| directory.resolve(&mailbox(address)).unwrap();
    assert_eq!(resolve("anybody@example.net"), Resolved::Alias(vec![mailbox("rest@example.org")]));
    assert!(matches!(resolve("ann+x@example.org"), Resolved::Account { .. }));
    assert_eq!(resolve("Postmaster@example.org"), Resolved::Unknown);
    assert_eq!(resolve("rest@example.org"), Resolved::Unknown);
    assert_eq!(resolve("x@elsewhere.example"), Resolved::Foreign);
}

#[test]
fn an_account_whose_mail_lies_where_we_can_not_look_is_a_temporary_fault() {
    let folder = Folder::new("place");
    let directory = File::open(folder.write("ann:{PLAIN}x::::::userdb_mail=mbox:/x\n", "")).unwrap();
    assert!(directory.resolve(&mailbox("ann@example.org")).unwrap_err().text.contains("userdb_mail=mbox:/x"));
    assert!(directory.verify("ann", b"x").is_err());
    assert_eq!(directory.verify("ann", b"y").unwrap(), None);
}

#[test]
fn where_a_scheme_has_no_keys_unknown_logins_have_none_either() {
    let folder = Folder::new("keys");
    let argon2 = "{ARGON2ID}$argon2id$v=19$m=64,t=2,p=1$c29tZXNhbHQxNmJ5dGVzIQ$YEgrPSTe0Z10W8hLktSkExuOZn2VbJkt8+mbPrCMi1s";
    let directory = File::open(folder.write(&format!("ann:{argon2}\n"), "")).unwrap();
    assert!(directory.keys("ann").unwrap().is_none() && directory.keys("nobody").unwrap().is_none());
    let empty = File::open(folder.write("", "")).unwrap();
    assert!(empty.keys("nobody").unwrap().is_some());
    assert_eq!(empty.verify("nobody", b"x").unwrap(), None);
}

#[test]
fn a_login_that_opens_nothing_is_checked_like_any_other() {
    let folder = Folder::new("decoy");
    let directory = File::open(folder.write("ann:{PLAIN}x\nlocked:!\n", "")).unwrap();
    assert!(directory.verify("ann", b"x").unwrap().is_some());
    directory.checks.crowded(|| {
        assert!(directory.verify("ann", b"x").unwrap().is_some(), "remembered");
        for login in ["ann", "locked", "nobody", "nobody@elsewhere.example", ""] {
            assert!(
                directory.verify(login, b"y").is_err(),
                "{login:?} waits for a turn: temporary when there is none"
            );
        }
    });
    assert_eq!(directory.verify("nobody", b"y").unwrap(), None);
}

#[test]
fn fakes_of_another_installation_are_others() {
    let folder = Folder::new("fakes");
    let mut files = folder.write("ann:{PLAIN}x\n", "");
    let one = File::open(files.clone()).unwrap().keys("nobody").unwrap().unwrap().salt;
    assert_eq!(
        File::open(files.clone()).unwrap().keys("nobody").unwrap().unwrap().salt,
        one,
        "also after a restart"
    );
    files.fake = [8; 32];
    assert_ne!(File::open(files).unwrap().keys("nobody").unwrap().unwrap().salt, one);
}
