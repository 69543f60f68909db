//! What every directory must do, run on each.

use super::{Account, Directory, Resolved};
use crate::mail::address::{Domain, Mailbox};

/// What the directory under test holds.
///
/// Domains example.org and example.net. Accounts: `ann@example.org` (password `pencil`, location `/m/ann`, quota 1000,
/// may send as `office@example.org`), `bob@example.net` (password `paper`, location `/m/bob`) and
/// `locked@example.org` (no login). Aliases: `office@example.org` to `ann@example.org` and `x@elsewhere.example`;
/// `a+b@example.org` to `bob@example.net`.
pub(super) fn contract(directory: &dyn Directory) {
    let resolve = |address: &str| directory.resolve(&mailbox(address)).unwrap();
    let ann = Account {
        id: "ann@example.org".into(),
        location: "/m/ann".into(),
        quota: Some(1000),
        send_as: vec![mailbox("office@example.org")],
    };
    let account =
        |detail: Option<&str>| Resolved::Account { account: ann.clone(), detail: detail.map(Into::into) };

    assert_eq!(resolve("ann@example.org"), account(None));
    assert_eq!(resolve("ANN@example.org"), account(None), "local parts are compared without case");
    assert_eq!(resolve("ann+Lists+x@example.org"), account(Some("Lists+x")), "the detail keeps its case");
    assert_eq!(resolve("ann+@example.org"), account(Some("")));
    assert_eq!(
        resolve("Office@example.org"),
        Resolved::Alias(vec![mailbox("ann@example.org"), mailbox("x@elsewhere.example")])
    );
    assert_eq!(
        resolve("a+b@example.org"),
        Resolved::Alias(vec![mailbox("bob@example.net")]),
        "the whole name first"
    );
    for unknown in [
        "nobody@example.org",
        "ann@example.net",
        "+ann@example.org",
        "a@example.org",
        "ann%x@example.org",
        "ann!x@example.org",
        "\"ann@elsewhere.example\"@example.org",
        "\"ann \"@example.org",
        "\"\"@example.org",
        "\"ann@example.org\"@example.net",
        "\"office@example.org\"@example.org",
    ] {
        assert_eq!(resolve(unknown), Resolved::Unknown, "{unknown}");
    }
    for foreign in ["ann@example.com", "ann@sub.example.org", "ann@xexample.org", "ann@[192.0.2.1]", "x@org"]
    {
        assert_eq!(resolve(foreign), Resolved::Foreign, "{foreign}");
    }

    assert_eq!(directory.account("ann@example.org").unwrap(), Some(ann.clone()));
    for none in [
        "ann",
        "ann@example.net",
        "office@example.org",
        "ann+x@example.org",
        "",
        "@",
        "ann@example.org@example.org",
    ] {
        assert_eq!(directory.account(none).unwrap(), None, "{none}");
    }

    let opens = |login: &str, secret: &str| directory.verify(login, secret.as_bytes()).unwrap().map(|a| a.id);
    for _ in 0..2 {
        assert_eq!(opens("ann@example.org", "pencil").as_deref(), Some("ann@example.org"));
        assert_eq!(
            opens("Ann", "pencil").as_deref(),
            Some("ann@example.org"),
            "a bare login is of the first domain"
        );
        assert_eq!(opens("bob@example.net", "paper").as_deref(), Some("bob@example.net"));
        for (login, secret) in [
            ("ann@example.org", "Pencil"),
            ("ann@example.org", ""),
            ("ann@example.org", "paper"),
            ("bob", "paper"),
            ("ann@example.net", "pencil"),
            ("locked@example.org", ""),
            ("locked@example.org", "pencil"),
            ("nobody@example.org", "pencil"),
            ("office@example.org", "pencil"),
            ("ann+x@example.org", "pencil"),
            ("", ""),
            ("", "pencil"),
            ("@", "pencil"),
            ("ann@example.org\0", "pencil"),
        ] {
            assert_eq!(opens(login, secret), None, "{login:?} {secret:?}");
        }
        assert_eq!(opens(&"x".repeat(100_000), "pencil"), None);
    }

    let keys = |login: &str| directory.keys(login).unwrap().expect("SCRAM works here");
    assert!(keys("ann").are_of(b"pencil").unwrap());
    assert!(keys("ann") == keys("ANN@example.org"));
    let real = keys("bob@example.net");
    for login in ["nobody", "nobody@example.org", "x@elsewhere.example", "locked@example.org", ""] {
        let fake = keys(login);
        assert!(fake == keys(login), "{login:?}: a fake is the same each time");
        assert_eq!((fake.salt.len(), fake.iterations), (real.salt.len(), real.iterations), "{login:?}");
        assert!(!fake.are_of(b"pencil").unwrap() && !fake.are_of(b"").unwrap(), "{login:?}");
    }
    assert!(keys("nobody").salt != keys("nobody2").salt);
}

pub(super) fn mailbox(text: &str) -> Mailbox {
    Mailbox::parse(text.as_bytes()).unwrap_or_else(|fault| panic!("{text}: {fault}"))
}

mod memory {
    use super::*;
    use crate::account::memory::Memory;

    #[test]
    fn the_contract_holds_in_memory() {
        let account = |id: &str, location: &str, quota, send_as| Account {
            id: id.into(),
            location: location.into(),
            quota,
            send_as,
        };
        contract(
            &Memory::new(&["example.org", "example.net"])
                .account(
                    account("ann@example.org", "/m/ann", Some(1000), vec![mailbox("office@example.org")]),
                    Some("pencil"),
                )
                .account(account("bob@example.net", "/m/bob", None, vec![]), Some("paper"))
                .account(account("locked@example.org", "/m/locked", None, vec![]), None)
                .alias("office@example.org", vec![mailbox("ann@example.org"), mailbox("x@elsewhere.example")])
                .alias("a+b@example.org", vec![mailbox("bob@example.net")]),
        );
    }

    #[test]
    fn a_literal_domain_is_foreign() {
        let literal = Mailbox { local: "ann".into(), domain: Domain::Literal("192.0.2.1".parse().unwrap()) };
        assert_eq!(Memory::new(&["192.0.2.1"]).resolve(&literal).unwrap(), Resolved::Foreign);
    }
}

/// Whatever stands in the files, reading them ends, and with an answer.
mod hostile {
    use crate::account::{
        aliases::Aliases,
        edit,
        location::Location,
        passwd::{Accounts, Setting, name},
        password::Password,
    };
    use proptest::prelude::*;

    fn setting() -> Setting {
        let location = Location::parse("/m/{domain}/{user}").unwrap();
        Setting { domains: vec!["example.org".into()], location, quota: None }
    }

    /// Text with much of what means something in these files.
    fn text() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("ann"),
            Just("@example.org"),
            Just(":"),
            Just(","),
            Just("\n"),
            Just(" "),
            Just("\t"),
            Just("\""),
            Just("\\"),
            Just("#"),
            Just("|"),
            Just(":include:"),
            Just("{PLAIN}"),
            Just("{SCRAM-SHA-256}4096,"),
            Just("$6$"),
            Just("$argon2id$v=19$m=64,t=2,p=1$"),
            Just("$2y$05$"),
            Just("userdb_mail=maildir:"),
            Just("~/"),
            Just("%n"),
            Just(".."),
            Just("/"),
            Just("userdb_quota_rule=*:bytes="),
            Just("9"),
            Just("é"),
            Just("\0"),
            Just("send_as="),
            Just("["),
            Just("]"),
            Just("="),
            Just("\r"),
            Just("+"),
        ];
        let pieces = proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat());
        prop_oneof![pieces, any::<String>()]
    }

    proptest! {
        #[test]
        fn accounts_are_read_or_refused(text in text()) {
            if let Ok((accounts, _)) = Accounts::parse(&text, &setting()) {
                for (known, entry) in accounts.in_order() {
                    let again = name(known);
                    prop_assert_eq!(again.as_deref(), Ok(known), "a name is read back as itself");
                    if let Ok(account) = &entry.account {
                        prop_assert!(account.location.starts_with('/'));
                        prop_assert!(!account.location.split('/').any(|part| part == ".."), "{}", account.location);
                    }
                }
            }
        }

        #[test]
        fn aliases_are_read_or_refused(text in text()) {
            if let Ok(aliases) = Aliases::parse(&text) {
                let _ = aliases.of("ann", "example.org");
            }
        }

        #[test]
        fn passwords_are_read_or_refused(field in text()) {
            let _ = Password::parse(&field);
        }

        #[test]
        fn an_edit_changes_one_line(text in text()) {
            if let Ok(changed) = edit::set_password(&text, "ann", "{NEW}") {
                let differ = text.split('\n').zip(changed.split('\n')).filter(|(a, b)| a != b).count();
                prop_assert!(differ <= 1 && text.split('\n').count() == changed.split('\n').count());
            }
            let line = edit::Line { name: "new".into(), password: "!".into(), ..edit::Line::default() };
            if let Ok(added) = edit::add(&text, &line) {
                prop_assert!(added.starts_with(&text));
                let removed = edit::remove(&added, "new").unwrap();
                prop_assert_eq!(removed.trim_end_matches('\n'), text.trim_end_matches('\n'));
            }
        }
    }
}
