//! The grammar, judged by another reader of it where that one agrees with the RFC.

use super::*;
use proptest::prelude::*;
use smtp_proto::{MAIL_BODY_8BITMIME, Request};

/// How smtp-proto reads a line; `None` where it refuses.
fn judged(line: &str) -> Option<Request<String>> {
    let wire = format!("{line}\r\n");
    Request::parse(&mut wire.as_bytes().iter()).ok().map(Request::into_owned)
}

fn read_mail(line: &str) -> Result<Mail, Reply> {
    let (verb, arguments) = split(line.as_bytes())?;
    assert!(verb.eq_ignore_ascii_case("MAIL"), "{line}");
    mail(arguments, Grammar::default())
}

fn read_rcpt(line: &str) -> Result<Forward, Reply> {
    let (verb, arguments) = split(line.as_bytes())?;
    assert!(verb.eq_ignore_ascii_case("RCPT"), "{line}");
    rcpt(arguments, Grammar::default()).map(|rcpt| rcpt.to)
}

/// An address as smtp-proto gives it: without quotes.
fn flat(mailbox: &Mailbox) -> String {
    format!("{}@{}", mailbox.local, mailbox.domain)
}

proptest! {
    /// Addresses of atoms and of simple quoted strings; smtp-proto knows no literals and no empty local part, and
    /// reads some backslashes otherwise.
    #[test]
    fn what_the_judge_reads_we_read_alike(
        local in "([a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]{1,8}([.][a-z0-9]{1,4}){0,2}|\"[a-z @>:,<;]{1,8}\")",
        domain in "[a-z0-9]{1,5}(-[a-z0-9]{1,3})?([.][a-z]{1,6}){1,2}",
        size in proptest::option::of(0_u64..1 << 40),
        eight in any::<bool>(),
    ) {
        let size_text = size.map(|size| format!(" SIZE={size}")).unwrap_or_default();
        let body = if eight { " BODY=8BITMIME" } else { "" };
        let line = format!("MAIL FROM:<{local}@{domain}>{size_text}{body}");
        let ours = read_mail(&line).expect("well formed");
        let Some(Request::Mail { from }) = judged(&line) else { panic!("the judge refuses {line}") };
        prop_assert_eq!(ours.sender.as_ref().map(flat), Some(from.address));
        prop_assert_eq!(ours.size.unwrap_or(0), from.size as u64);
        prop_assert_eq!(ours.body == Body::EightBitMime, from.flags & MAIL_BODY_8BITMIME != 0);

        let line = format!("RCPT TO:<{local}@{domain}>");
        let Some(Request::Rcpt { to }) = judged(&line) else { panic!("the judge refuses {line}") };
        match read_rcpt(&line) {
            Ok(Forward::Mailbox(mailbox)) => prop_assert_eq!(flat(&mailbox), to.address),
            other => prop_assert!(false, "{other:?}"),
        }
    }

    /// Whatever stands in the brackets: we never read an address where the judge, who is more generous, reads none or another.
    #[test]
    fn what_we_read_the_judge_does_not_refuse(inside in "[a-z@.\"\\\\> :,!%<-]{0,12}") {
        let line = format!("RCPT TO:<{inside}>");
        // Not where its reading is not the RFC's.
        let judge_agrees = !inside.contains('\\') && !inside.contains("\"\"");
        if let (Ok(Forward::Mailbox(mailbox)), true) = (read_rcpt(&line), judge_agrees) {
            let Some(Request::Rcpt { to }) = judged(&line) else { panic!("the judge refuses {line}") };
            prop_assert_eq!(flat(&mailbox), to.address);
        }
    }
}

#[test]
fn the_null_sender_and_postmaster_need_no_domain() {
    assert_eq!(read_mail("MAIL FROM:<>").unwrap().sender, None);
    assert_eq!(read_mail("mail from: <> ").unwrap().sender, None);
    assert_eq!(read_rcpt("RCPT TO:<PostMaster>"), Ok(Forward::Postmaster));
}

#[test]
fn names_alone_are_of_this_host_only_where_that_is_wanted() {
    let here = Domain::Name("host.example".to_owned());
    let bare = Grammar { bare: Some(&here), ..Grammar::default() };
    let root = |local: &str| Mailbox { local: local.to_owned(), domain: here.clone() };
    assert_eq!(rcpt("TO:<root>", bare).map(|rcpt| rcpt.to), Ok(Forward::Mailbox(root("root"))));
    assert_eq!(rcpt("TO:<Postmaster>", bare).map(|rcpt| rcpt.to), Ok(Forward::Postmaster));
    assert_eq!(mail("FROM:<www-data> SIZE=5", bare).unwrap().sender, Some(root("www-data")));
    for bad in ["TO:<>", "TO:<a b>", "TO:<a", "TO:<a>>", "TO:<@a:b>", "TO:<root\u{e9}>"] {
        assert!(rcpt(bad, bare).is_err(), "{bad}");
    }
    assert_eq!(rcpt("TO:<root>", Grammar::default()).unwrap_err().code, 501);
}

#[test]
fn sizes_that_do_not_fit_are_the_greatest_that_do() {
    let size = |text: &str| mail(&format!("FROM:<> SIZE={text}"), Grammar::default()).map(|mail| mail.size);
    assert_eq!(size("00000000000000000001"), Ok(Some(1)));
    assert_eq!(size("18446744073709551615"), Ok(Some(u64::MAX)));
    assert_eq!(size("99999999999999999999"), Ok(Some(u64::MAX)));
    assert!(size("999999999999999999999").is_err());
}
