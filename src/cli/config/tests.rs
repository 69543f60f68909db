//! The configuration as a person writes it, and what it says of mistakes.

use super::{find::from_sources, *};
use crate::cli::{exit::Exit, secret::Secret};
use std::time::Duration;

fn read(text: &str) -> Result<Config, String> {
    read_files(&[("/etc/posthaste/posthaste.toml", text)])
}

fn read_files(files: &[(&str, &str)]) -> Result<Config, String> {
    let sources: Vec<Source> =
        files.iter().map(|(name, text)| Source { name: name.into(), text: text.to_string() }).collect();
    from_sources(&sources).map_err(|failure| {
        assert_eq!(failure.exit(), Exit::Config);
        failure.text().to_string()
    })
}

#[test]
fn the_shape_of_architecture_section_7_is_read() {
    let config = read(
        r#"
        hostname = "mx.example.org"
        state    = "/var/lib/posthaste"
        user     = "posthaste"
        size_limit = "50M"
        [accounts]
        domains  = ["Example.ORG"]
        file     = "accounts"
        maildir  = "/var/mail/{domain}/{user}"
        aliases  = "aliases"
        postmaster = "ann@example.org"
        [tls]
        certificate = "fullchain.pem"
        key         = "privkey.pem"
        [relayd]
        smtp        = ["[::]:25"]
        submission  = ["[::]:587"]
        submissions = ["[::]:465"]
        lmtp        = ["unix:/run/posthaste/lmtp"]
        local       = "unix:/run/posthaste/submit"
        control     = "unix:run/control"
        relay_from  = ["192.0.2.0/24"]
        relay_domains = ["example.net"]
        smarthost   = ""
        mx_port     = 25
        dns         = ["127.0.0.1:5353", "::1"]
        allow_plaintext = []
        per_address = 50
        retry = ["1s", "2m"]
        expire = "5d"
        [send.work]
        from = "me@example.org"
        server = "smtps://me@smtp.example.org"
        password_command = "pass mail/work"
        "#,
    )
    .unwrap();
    assert_eq!(config.size_limit, 50 << 20);
    assert_eq!(config.accounts.domains, ["example.org"]);
    assert_eq!(config.accounts.file, Some("/etc/posthaste/accounts".into()));
    assert_eq!(config.tls.unwrap().key, PathBuf::from("/etc/posthaste/privkey.pem"));
    assert_eq!(config.relayd.control, Some(value::Place::Unix("/etc/posthaste/run/control".into())));
    assert_eq!(config.relayd.smarthost, None);
    assert_eq!(config.relayd.dns, ["127.0.0.1:5353".parse().unwrap(), "[::1]:53".parse().unwrap()]);
    assert_eq!(config.relayd.retry, [Duration::from_secs(1), Duration::from_secs(120)]);
    assert_eq!(config.send[0].password, Some(Secret::Command(vec!["pass".into(), "mail/work".into()])));
}

#[test]
fn nothing_at_all_is_a_configuration_that_relays_for_nobody() {
    let config = read("").unwrap();
    assert!(config.relayd.relay_from.is_empty() && config.relayd.allow_plaintext.is_empty());
    assert!(config.relayd.smtp.is_empty() && config.accounts.domains.is_empty() && config.tls.is_none());
    assert!(!config.hostname.is_empty());
}

#[test]
fn every_fault_is_told_with_its_place() {
    for (text, said) in [
        ("hostnmae = \"x\"", "1:1: unknown key `hostnmae`; did you mean `hostname`?"),
        ("[relayd]\n\n  stmp = []", "3:3: unknown key `stmp` in [relayd]; did you mean `smtp`?"),
        ("[relayd]\nqqqqqqqq = 1", "2:1: unknown key `qqqqqqqq` in [relayd]; known here: allow_plaintext, "),
        ("[filter]\nimap = []", "1:2: unknown key `filter`; known here: accounts, "),
        ("user = 5", "1:8: user: expected a string in quotes, not an integer"),
        ("é = 1\n", "1:1: "),
        ("user = 'é' x", "1:12: "),
        ("hostname = \"a b\"", "1:12: hostname: `a b` is no host name: "),
        ("hostname = \"[192.0.2.1]\"", "1:12: hostname: `[192.0.2.1]` is an address, not a name"),
        ("size_limit = \"50Q\"", "1:14: size_limit: `50Q` is no size; write"),
        ("size_limit = -1", "1:14: size_limit: -1 is not between 0 and"),
        (
            "[relayd]\nrelay_from = [\"192.0.2.0/24\",\n \"192.0.2.1/24\"]",
            "3:2: relayd.relay_from: `192.0.2.1/24`",
        ),
        ("[relayd]\nsmtp = \"[::]:25\"", "2:8: relayd.smtp: expected an array"),
        ("[relayd]\nsmtp = [\"mx:25\"]", "2:9: relayd.smtp: `mx:25`: write"),
        ("[relayd]\nlocal = \"127.0.0.1:25\"", "2:9: relayd.local: expected a unix socket"),
        ("[relayd]\nper_address = 0", "2:15: relayd.per_address: expected a number from 1"),
        ("[relayd]\nmx_port = 65536", "2:11: relayd.mx_port: a port is between 1 and 65535"),
        ("[relayd]\nsmarthost = \"smtps://me@x\"", "2:1: relayd.smarthost names a user"),
        ("[relayd]\nsmarthost = \"smtp://a:b@x\"", "2:13: relayd.smarthost: a password does not belong"),
        ("relayd = 1", "1:10: expected a table: [relayd]"),
        (
            "[accounts]\nmaildir = \"/m/{home}\"",
            "2:11: accounts.maildir: `/m/{home}`: only {user} and {domain}",
        ),
        ("[accounts]\nmaildir = \"/m/../{user}\"", "2:11: accounts.maildir: `/m/../{user}` is no place"),
        ("[accounts]\nfile = \"a\"\nmaildir = \"/m\"", "2:1: accounts.file needs accounts.domains"),
        ("[accounts]\npostmaster = \"root\"", "2:14: accounts.postmaster: `root` is no address"),
        ("[tls]\nkey = \"k\"", "2:1: tls.key needs tls.certificate"),
        ("[send.x]\nfrom = \"a@b\"", "2:1: [send.x] needs a server"),
        ("[send]\nserver = \"smtp://x\"", "2:1: expected a table: [send.server]"),
        (
            "[send.x]\nserver = \"smtp://x\"\npasword_file = \"p\"",
            "3:1: unknown key `pasword_file` in [send.x]; did you mean `password_file`?",
        ),
        (
            "[send.x]\nserver = \"smtp://u@x\"\npassword_command = \"'\"",
            "3:20: send.x.password_command: a ' is not closed",
        ),
        ("a = 1\na = 2", "2:1: "),
        ("[[relayd]]", ": expected a table: [relayd]"),
        ("[relayd", "1:8: "),
    ] {
        let faults = read(text).unwrap_err();
        assert!(
            faults.contains(&format!("posthaste.toml{}{said}", if said.starts_with(':') { "" } else { ":" }))
                || (said.starts_with(':') && faults.contains(said)),
            "{text}\n  {faults}\n  {said}"
        );
    }
}

#[test]
fn all_faults_are_told_at_once_but_not_too_many() {
    let faults = read("hostname = 1\nuser = 2\n[tls]\nkey = 3").unwrap_err();
    assert_eq!(faults.lines().count(), 3, "{faults}");
    let many: String = (0..50).map(|n| format!("nonsense{n} = 1\n")).collect();
    let faults = read(&many).unwrap_err();
    assert_eq!(faults.lines().count(), 21, "{faults}");
}

#[test]
fn a_users_file_stands_over_the_systems_key_by_key_and_paths_stay_where_they_were_written() {
    let config = read_files(&[
        ("/home/me/.config/posthaste/posthaste.toml", "hostname = \"laptop\"\n[send.work]\nserver = \"unix:/mine\""),
        (
            "/etc/posthaste/posthaste.toml",
            "hostname = \"mx\"\nstate = \"state\"\n[send.work]\nserver = \"smtps://u@theirs\"\npassword_file = \"p\"\n\
             [send.home]\nserver = \"smtp://home\"\ntls_ca = \"ca.pem\"",
        ),
    ])
    .unwrap();
    assert_eq!(config.hostname, "laptop");
    assert_eq!(config.state, PathBuf::from("/etc/posthaste/state"));
    let [work, home] = &config.send[..] else { panic!("{:?}", config.send) };
    assert_eq!(work.server.to_string(), "unix:/mine");
    assert_eq!(work.password, None, "a password never goes to another file's server");
    assert_eq!(home.tls_ca, Some("/etc/posthaste/ca.pem".into()));
}

#[test]
fn a_deep_or_huge_file_ends_in_a_fault() {
    assert!(read(&format!("a = {}", "[".repeat(100_000))).is_err());
    assert!(read(&format!("{} = 1", vec!["a"; 100_000].join("."))).is_err());
}

mod hostile {
    use super::read;
    use crate::cli::{config::value, server::Server};
    use proptest::prelude::*;

    /// Text with much of what means something in a configuration.
    fn text() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("hostname"),
            Just("[relayd]\n"),
            Just("[send.x]\n"),
            Just("[accounts]\n"),
            Just("smtp"),
            Just("maildir"),
            Just("size_limit"),
            Just("retry"),
            Just("server"),
            Just(" = "),
            Just("\n"),
            Just("["),
            Just("]"),
            Just("{"),
            Just("}"),
            Just("\""),
            Just("'"),
            Just(","),
            Just("."),
            Just("#"),
            Just("\\"),
            Just("99999999999999999999"),
            Just("-1"),
            Just("1e9"),
            Just("true"),
            Just("1979-05-27"),
            Just("5d"),
            Just("[::]:25"),
            Just("unix:"),
            Just("smtps://u@h"),
            Just("{user}"),
            Just("é"),
            Just("\0"),
            Just("[["),
        ];
        let pieces = proptest::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat());
        prop_oneof![pieces, any::<String>()]
    }

    proptest! {
        #[test]
        fn any_text_is_a_configuration_or_a_list_of_faults(text in text()) {
            if let Err(faults) = read(&text) {
                prop_assert!(faults.lines().count() <= 21 && !faults.is_empty());
                prop_assert!(!faults.contains('\0') && !faults.contains('\u{1b}'), "{}", faults);
            }
        }

        #[test]
        fn any_text_is_a_value_or_none(text in text()) {
            let _ = (value::size(&text), value::duration(&text), value::place(&text), text.parse::<Server>());
            if let Ok(words) = value::command(&text) {
                prop_assert!(!words[0].is_empty());
            }
        }
    }
}
