use super::{
    expand::{Leaf, expand, resume},
    hosts::{Own, null, null_sender, order},
    may::{Origin, admit, send_as},
    *,
};
use crate::{
    account::ScramKeys,
    mail::verdict::{EnhancedCode, Verdict},
    net::dns::Exchange,
};
use std::collections::HashMap;

fn mailbox(text: &str) -> Mailbox {
    let (local, domain) = text.rsplit_once('@').unwrap();
    let domain = match domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(literal) => Domain::Literal(literal.parse().unwrap()),
        None => Domain::Name(domain.to_owned()),
    };
    Mailbox { local: local.to_owned(), domain }
}

fn account(id: &str) -> Account {
    Account { id: id.to_owned(), location: String::new(), quota: None, send_as: vec![] }
}

/// One domain, `example.org`, with accounts and aliases.
struct Table {
    accounts: Vec<Account>,
    aliases: HashMap<&'static str, Vec<&'static str>>,
}

impl Directory for Table {
    fn resolve(&self, address: &Mailbox) -> Result<Resolved, Why> {
        if address.domain != Domain::Name("example.org".into()) {
            return Ok(Resolved::Foreign);
        }
        let local = address.local.to_ascii_lowercase();
        let (user, detail) = match local.split_once('+') {
            Some((user, detail)) => (user, Some(detail.to_owned())),
            None => (local.as_str(), None),
        };
        if let Some(to) = self.aliases.get(local.as_str()).or(self.aliases.get(user)) {
            return Ok(Resolved::Alias(to.iter().map(|to| mailbox(to)).collect()));
        }
        Ok(match self.account(&format!("{user}@example.org"))? {
            Some(account) => Resolved::Account { account, detail },
            None => Resolved::Unknown,
        })
    }
    fn account(&self, id: &str) -> Result<Option<Account>, Why> {
        Ok(self.accounts.iter().find(|account| account.id == id).cloned())
    }
    fn verify(&self, _: &str, _: &[u8]) -> Result<Option<Account>, Why> {
        Ok(None)
    }
    fn keys(&self, _: &str) -> Result<Option<ScramKeys>, Why> {
        Ok(None)
    }
}

fn house() -> (Table, Rules) {
    let mut alice = account("alice@example.org");
    alice.send_as = vec![mailbox("Sales@example.com")];
    let table = Table {
        accounts: vec![alice, account("bob@example.org"), account("carol@example.org")],
        aliases: HashMap::from([
            ("team", vec!["alice@example.org", "bob@example.org", "team2@example.org"]),
            ("team2", vec!["BOB@example.org", "carol@example.org"]),
            ("bob2", vec!["bob+lists@example.org", "bob@example.org"]),
            ("carol", vec!["carol@example.org", "c@example.net"]),
            ("away", vec!["a@example.net"]),
            ("ring", vec!["ring2@example.org"]),
            ("ring2", vec!["ring@example.org"]),
            ("half", vec!["nobody@example.org", "alice@example.org"]),
            ("lost", vec!["nobody@example.org"]),
            ("root", vec!["alice@example.org"]),
        ]),
    };
    let rules = Rules {
        hostname: "mx.example.org".into(),
        addresses: vec!["192.0.2.7".parse().unwrap()],
        home: Some("example.org".into()),
        relay_domains: vec!["backup.example".into()],
        smarthost: false,
        postmaster: Some(mailbox("bob@example.org")),
    };
    (table, rules)
}

/// A leaf as a word: `alice@example.org`, `bob@example.org+lists`, `mx example.net`, `no 1.1`.
fn word(leaf: &Leaf) -> String {
    match &leaf.fate {
        Fate::Local { account, detail: Some(detail) } => format!("{}+{detail}", account.id),
        Fate::Local { account, detail: None } => account.id.clone(),
        Fate::Smarthost => "smarthost".into(),
        Fate::Mx(Domain::Name(name)) => format!("mx {name}"),
        Fate::Mx(Domain::Literal(address)) => format!("mx [{address}]"),
        Fate::Refused(why) => format!("no {}.{}", why.subject, why.detail),
        Fate::Alias(_) => "alias".into(),
    }
}

#[test]
fn each_recipient_has_one_fate_for_each_kind_of_sender() {
    let (table, rules) = house();
    let stranger = Origin::Stranger;
    let login = Origin::Login(account("alice@example.org"));
    let rows: &[(&Origin, &str, &str)] = &[
        (&stranger, "alice@example.org", "alice@example.org"),
        (&stranger, "Alice@example.org", "alice@example.org"),
        (&stranger, "bob+x@example.org", "bob@example.org+x"),
        (&stranger, "nobody@example.org", "550 5.1.1"),
        (&stranger, "x@example.net", "550 5.7.1"),
        (&stranger, "x@[192.0.2.1]", "550 5.7.1"),
        (&stranger, "x@sub.example.org", "550 5.7.1"),
        (&stranger, "x%example.net@example.org", "550 5.1.1"),
        (&stranger, "example.net!x@example.org", "550 5.1.1"),
        (&stranger, "x@backup.example", "mx backup.example"),
        (&stranger, "x@sub.backup.example", "550 5.7.1"),
        (&stranger, "away@example.org", "mx example.net"),
        (&stranger, "half@example.org", "no 1.1, alice@example.org"),
        (&stranger, "lost@example.org", "550 5.1.1"),
        (&stranger, "ring@example.org", "451 4.3.5"),
        (&login, "x@example.net", "mx example.net"),
        (&login, "x@[192.0.2.1]", "mx [192.0.2.1]"),
        (&login, "nobody@example.org", "550 5.1.1"),
        (&Origin::Trusted, "x@example.net", "mx example.net"),
        (&Origin::Lmtp, "alice@example.org", "alice@example.org"),
        (&Origin::Lmtp, "x@example.net", "550 5.7.1"),
        (&Origin::Lmtp, "x@backup.example", "550 5.7.1"),
        (&Origin::Lmtp, "away@example.org", "mx example.net"),
        (&stranger, "root@mx.example.org", "alice@example.org"),
        (&stranger, "root@localhost", "alice@example.org"),
        (&stranger, "Postmaster@mx.example.org", "bob@example.org"),
        (&stranger, "MAILER-DAEMON@mx.example.org", "bob@example.org"),
        (&stranger, "abuse@localhost", "bob@example.org"),
        (&stranger, "postmaster@[192.0.2.7]", "bob@example.org"),
        (&stranger, "postmaster@example.org", "bob@example.org"),
        (&stranger, "mailer-daemon@example.org", "550 5.1.1"),
        (&stranger, "alice@mx.example.org", "550 5.1.1"),
        (&login, "alice@mx.example.org", "550 5.1.1"),
    ];
    for (origin, address, expected) in rows {
        let got = match admit(origin, &mailbox(address), &table, &rules) {
            Ok(leaves) => leaves.iter().map(word).collect::<Vec<_>>().join(", "),
            Err(verdict) => format!("{} {}", verdict.reply_code(), verdict.code()),
        };
        assert_eq!(got, *expected, "{address} from {origin:?}");
    }
}

#[test]
fn what_is_not_ours_goes_to_the_smarthost_where_there_is_one() {
    let (table, mut rules) = house();
    rules.smarthost = true;
    for address in ["x@example.net", "x@[192.0.2.1]"] {
        let leaves = admit(&Origin::Trusted, &mailbox(address), &table, &rules).unwrap();
        assert_eq!(leaves.iter().map(word).collect::<Vec<_>>(), ["smarthost"], "{address}");
    }
}

#[test]
fn aliases_lead_to_each_end_once() {
    let (table, rules) = house();
    let rows: &[(&str, &[&str])] = &[
        ("team", &["alice@example.org", "bob@example.org", "carol@example.org", "mx example.net"]),
        ("bob2", &["bob@example.org+lists", "bob@example.org"]),
        ("carol", &["carol@example.org", "mx example.net"]),
        ("carol+x", &["carol@example.org", "mx example.net"]),
    ];
    for (local, expected) in rows {
        let address = mailbox(&format!("{local}@example.org"));
        let mut got: Vec<_> = expand(&address, &table, &rules).unwrap().iter().map(word).collect();
        let mut expected = expected.to_vec();
        got.sort();
        expected.sort();
        assert_eq!(got, expected, "{local}");
    }
}

#[test]
fn a_spooled_end_is_not_expanded_again() {
    let (table, rules) = house();
    let carol = mailbox("carol@example.org");
    let again = resume(&carol, Some(&carol), &table, &rules).unwrap();
    assert_eq!(again.iter().map(word).collect::<Vec<_>>(), ["carol@example.org"]);
}

#[test]
fn alias_chains_and_crowds_have_ends() {
    let (mut table, rules) = house();
    let names: Vec<&'static str> = (0..300).map(|n| &*format!("x{n}@example.net").leak()).collect();
    table.aliases.insert("crowd", names);
    for n in 0..12 {
        let name: &'static str = format!("c{n}").leak();
        let next: &'static str = format!("c{}@example.org", n + 1).leak();
        table.aliases.insert(name, vec![next]);
    }
    for local in ["crowd", "c0"] {
        let why = expand(&mailbox(&format!("{local}@example.org")), &table, &rules).unwrap_err();
        assert_eq!((why.subject, why.detail), (3, 5), "{local}");
    }
}

#[test]
fn a_login_sends_as_itself_its_aliases_and_its_send_as_addresses() {
    let (table, rules) = house();
    let alice = table.accounts[0].clone();
    let rows = [
        ("alice@example.org", true),
        ("ALICE@example.org", true),
        ("alice+shop@example.org", true),
        ("team@example.org", true),
        ("root@mx.example.org", true),
        ("sales@example.com", true),
        ("bob@example.org", false),
        ("team2@example.org", false),
        ("alice@example.net", false),
        ("nobody@example.org", false),
        ("other@example.com", false),
    ];
    for (sender, expected) in rows {
        assert_eq!(send_as(&alice, Some(&mailbox(sender)), &table, &rules), Ok(expected), "{sender}");
    }
    assert_eq!(send_as(&alice, None, &table, &rules), Ok(true));
}

/// MX records, and the hosts tried at each preference or the refusal.
type Row<'a> = (&'a [(u16, &'a str)], Result<&'a [&'a [&'a str]], &'a str>);

#[test]
fn mail_hosts_are_tried_in_order_and_never_ourselves() {
    let own = Own { names: vec!["us.example".into()], ..Own::default() };
    let rows: &[Row<'_>] = &[
        (&[], Ok(&[&["d.example"]])),
        (&[(20, "b"), (10, "a")], Ok(&[&["a"], &["b"]])),
        (&[(10, "b"), (10, "a"), (5, "c")], Ok(&[&["c"], &["a", "b"]])),
        (&[(10, "a"), (20, "us.example"), (20, "b"), (30, "c")], Ok(&[&["a"]])),
        (&[(10, "us.example"), (20, "b")], Err("554 5.4.6")),
        (&[(10, "a"), (10, "a")], Ok(&[&["a"]])),
    ];
    for (records, expected) in rows {
        let records: Vec<_> = records
            .iter()
            .map(|(preference, host)| Exchange { preference: *preference, host: (*host).into() })
            .collect();
        let got = order("d.example", &records, &own, || 0);
        match expected {
            Ok(groups) => assert_eq!(got.unwrap(), *groups, "{records:?}"),
            Err(reply) => {
                let verdict = got.unwrap_err();
                assert_eq!(format!("{} {}", verdict.reply_code(), verdict.code()), *reply, "{records:?}");
            }
        }
    }
    assert!(matches!(order("us.example", &[], &own, || 0), Err(Verdict::Never(_))));
    let code = order("us.example", &[], &own, || 0).unwrap_err().code();
    assert_eq!(code, EnhancedCode { class: 5, subject: 4, detail: 6 });
}

#[test]
fn a_null_mx_refuses_by_the_codes_of_rfc_7505() {
    let reply = |verdict: Verdict| format!("{} {}", verdict.reply_code(), verdict.code());
    assert_eq!(reply(null("d.example")), "556 5.1.10");
    assert_eq!(reply(null_sender("d.example")), "550 5.7.27");
}

#[test]
fn hosts_of_equal_preference_are_shuffled() {
    let records: Vec<_> =
        ["a", "b"].iter().map(|host| Exchange { preference: 1, host: (*host).into() }).collect();
    let mut down = [2, 1].into_iter();
    let groups = order("d.example", &records, &Own::default(), || down.next().unwrap()).unwrap();
    assert_eq!(groups, [["b", "a"]]);
}

#[test]
fn our_listeners_are_known_by_every_address_of_the_machine() {
    let own = Own {
        names: vec![],
        listeners: vec!["[::]:25".parse().unwrap(), "127.0.0.1:2525".parse().unwrap()],
        addresses: vec!["192.0.2.7".parse().unwrap()],
    };
    let rows = [
        ("192.0.2.7:25", true),
        ("127.0.0.1:25", true),
        ("127.0.0.9:25", true),
        ("[::1]:25", true),
        ("[::ffff:192.0.2.7]:25", true),
        ("0.0.0.0:25", true),
        ("192.0.2.8:25", false),
        ("192.0.2.7:2525", false),
        ("127.0.0.1:2525", true),
        ("127.0.0.2:2525", false),
    ];
    for (to, expected) in rows {
        assert_eq!(own.is_us(to.parse().unwrap()), expected, "{to}");
    }
}
