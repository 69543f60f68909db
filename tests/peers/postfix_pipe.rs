//! Postfix pipes to mail-deliver, by the lines that mail-deliver(1) gives, and does with the exit status what sysexits say.

use crate::kit::{self, house::House, postfix::Postfix, smtp::Speaker};
use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
};

/// Whose mail it is: a user that every Debian has, and that is not root, as pipe(8) demands.
const USER: &str = "mail";

/// The example of the page: the lines for master.cf and those for main.cf.
fn example() -> (String, String) {
    let page = fs::read_to_string(kit::root().join("man/mail-deliver.1")).unwrap();
    let mut blocks = page.split(".Bd -literal -offset indent\n").skip(1).map(|block| {
        let (block, _) = block.split_once(".Ed").unwrap();
        block.to_owned()
    });
    let master = blocks.find(|block| block.starts_with("posthaste unix")).expect("the line for master.cf");
    let main = blocks.find(|block| block.contains("_recipient_limit")).expect("the lines for main.cf");
    (master, main)
}

/// A house whose accounts are reached through Postfix: carol has room for 600 octets, one message.
struct Piped {
    postfix: Postfix,
    house: House,
    owner: (u32, u32),
}

fn start() -> Option<Piped> {
    let house = House::new();
    house.write(
        "accounts",
        "alice@example.org:!::::::\nbob@example.org:!::::::\ncarol@example.org:!::::::userdb_quota_rule=*:bytes=600\n",
    );
    let user = nix::unistd::User::from_name(USER).unwrap().unwrap();
    let owner = (user.uid.as_raw(), user.gid.as_raw());
    if rustix::process::geteuid().is_root() {
        for owned in ["mail", "accounts", "aliases"] {
            chown(house.path(owned), Some(owner.0), Some(owner.1)).unwrap();
        }
    }
    fs::set_permissions(house.config(), fs::Permissions::from_mode(0o644)).unwrap();
    let (master, main) = example();
    let command = format!("{} -C {}", kit::program("mail-deliver").display(), house.config().display());
    let services =
        master.replace("/usr/bin/mail-deliver", &command).replace("user=vmail", &format!("user={USER}"));
    assert!(services.contains(&command) && services.contains(USER), "{services}");
    let settings = format!("virtual_mailbox_domains = example.org\nvirtual_mailbox_maps = static:x\n{main}");
    let postfix = Postfix::with(&house, &settings, &services)?;
    Some(Piped { house, postfix, owner })
}

impl Piped {
    fn send(&self, from: &str, to: &[&str], text: &str) {
        Speaker::tcp(self.postfix.address()).hello().deliver(from, to, text);
    }

    /// The texts of a user, when there are `count`.
    fn texts(&self, user: &str, count: usize) -> Vec<String> {
        self.house.wait_messages(user, count);
        let texts: Vec<String> = self
            .house
            .messages(user, "")
            .iter()
            .map(|path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned())
            .collect();
        assert_eq!(texts.len(), count, "{texts:#?}");
        texts
    }
}

/// With all the fields that Postfix would add.
fn text(number: usize) -> String {
    format!(
        "From: a@example.net\nDate: Tue, 24 Nov 2026 12:00:00 +0000\nMessage-ID: <{number}@example.net>\n\
         Subject: gr\u{fc}n {number}\n\nFrom the start\n..dot\n\u{65e5}\u{672c}\nlast\n"
    )
}

#[test]
fn each_recipient_gets_each_message_once_and_as_it_was() {
    let Some(piped) = start() else { return };
    for number in 0..5 {
        piped.send("joe@example.com", &["alice@example.org", "bob@example.org"], &text(number));
    }
    for user in ["alice", "bob"] {
        for got in piped.texts(user, 5) {
            let head =
                format!("Return-Path: <joe@example.com>\nDelivered-To: {user}@example.org\nReceived: ");
            assert!(got.starts_with(&head), "{got}");
            let own = &got[got.find("From: a@").unwrap()..];
            let number = own.split("<").nth(1).unwrap().split('@').next().unwrap().parse().unwrap();
            // Postfix's server took a dot away, as we told it.
            assert_eq!(own, text(number).replace("\n..", "\n."));
        }
    }
    // The other program's user owns them, as all that it makes.
    use std::os::unix::fs::MetadataExt;
    let stat = fs::metadata(&piped.house.messages("alice", "")[0]).unwrap();
    assert_eq!((stat.uid(), stat.gid(), stat.mode() & 0o777), (piped.owner.0, piped.owner.1, 0o600));
}

#[test]
fn an_unknown_user_is_bounced_and_the_bounce_is_delivered_too() {
    let Some(piped) = start() else { return };
    piped.send("alice@example.org", &["nobody@example.org", "bob@example.org"], &text(1));
    piped.texts("bob", 1);
    // 67 is EX_NOUSER, which Postfix knows as 5.1.1.
    piped.postfix.logged(&["to=<nobody@example.org>", "dsn=5.1.1", "status=bounced", "no such account"]);
    let bounce = piped.texts("alice", 1).remove(0);
    assert!(bounce.starts_with("Return-Path: <>\nDelivered-To: alice@example.org\n"), "{bounce}");
    assert!(bounce.contains("Final-Recipient: rfc822; nobody@example.org"), "{bounce}");
}

#[test]
fn a_mailbox_that_is_full_or_can_not_be_written_is_tried_again_and_then_gets_its_mail() {
    let Some(piped) = start() else { return };
    piped.send("joe@example.com", &["carol@example.org"], &text(1));
    let first = piped.texts("carol", 1).remove(0);
    assert!(first.len() > 150, "{first}");
    piped.send("joe@example.com", &["carol@example.org"], &text(2));
    // 75 is EX_TEMPFAIL.
    piped.postfix.logged(&["to=<carol@example.org>", "dsn=4.3.0", "status=deferred", "over its quota"]);
    fs::remove_file(&piped.house.messages("carol", "")[0]).unwrap();
    piped.postfix.flush();
    assert!(piped.texts("carol", 1)[0].contains("gr\u{fc}n 2"));

    let maildir = piped.house.maildir("bob");
    fs::create_dir_all(&maildir).unwrap();
    fs::set_permissions(&maildir, fs::Permissions::from_mode(0o700)).unwrap();
    piped.send("joe@example.com", &["bob@example.org"], &text(3));
    piped.postfix.logged(&["to=<bob@example.org>", "dsn=4.3.0", "status=deferred", "Permission denied"]);
    assert!(piped.house.messages("bob", "").is_empty());
    chown(&maildir, Some(piped.owner.0), Some(piped.owner.1)).unwrap();
    piped.postfix.flush();
    assert!(piped.texts("bob", 1)[0].contains("gr\u{fc}n 3"));
}
