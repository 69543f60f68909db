use super::*;

fn read(line: &str) -> Result<Flags, Failure> {
    flags::parse_from(line.split(' ').map(OsString::from))
}

fn one(line: &str) -> Result<Job, Failure> {
    let flags = read(line)?;
    jobs(&flags, None).map(|mut jobs| jobs.remove(0))
}

#[test]
fn where_messages_go_must_be_said_once() {
    assert_eq!(one("mail-fetch pop3://a@b --into /m").unwrap().to, To::Maildir("/m".into()));
    assert_eq!(one("mail-fetch pop3://a@b --into -").unwrap().to, To::Stdout);
    let program = To::Program(vec!["prog".into(), "--flag".into()]);
    assert_eq!(one("mail-fetch pop3://a@b -- prog --flag").unwrap().to, program);
    for wrong in [
        "mail-fetch pop3://a@b",
        "mail-fetch pop3://a@b --into /m -- prog",
        "mail-fetch pop3://a@b --into - --json",
        "mail-fetch pop3://a@b --into /m --keep --delete",
        "mail-fetch imap://a@b --into /m --folder a --all-folders",
        "mail-fetch pop3://a@b --into /m --folder Spam --delete",
        "mail-fetch pop3://a@b --into /m --folder INBOX --folder Spam",
        "mail-fetch smtp://a@b --into /m",
        "mail-fetch pop3://a:secret@b --into /m",
    ] {
        assert_eq!(one(wrong).unwrap_err().exit(), Exit::Usage, "{wrong}");
    }
}

#[test]
fn pop3_has_inbox_only() {
    for flag in ["--folder inbox", "--all-folders", "--keep"] {
        one(&format!("mail-fetch pop3://a@b --into /m {flag}")).unwrap();
    }
}

#[test]
fn tls_is_demanded_everywhere_but_here() {
    for (source, wanted) in [
        ("imap://a@imap.example.org", "StartTls"),
        ("pop3://a@192.0.2.1", "StartTls"),
        ("pop3://a@localhost.example.org", "StartTls"),
        ("imap://a@localhost", "IfOffered"),
        ("pop3://a@127.9.9.9:1100", "IfOffered"),
        ("pop3s://a@localhost", "Implicit"),
        ("imaps://a@imap.example.org", "Implicit"),
    ] {
        let privacy = one(&format!("mail-fetch {source} --into /m")).unwrap().privacy().unwrap();
        assert!(format!("{privacy:?}").starts_with(wanted), "{source}: {privacy:?}");
    }
}
