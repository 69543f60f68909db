//! mail-fetch from Courier and from Cyrus. Debian lets only one IMAP server be installed, so these are unpacked over the
//! machine's own files where only the test sees it: in a mount namespace with an overlay, and with a network of its own.
//! .ci/run downloads their packages.

use crate::kit::{self, house::House};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What is mounted: everything that is written goes into memory, except below /tmp.
const ROOT: &str = r#"set -e
mkdir -p "$HOUSE/over"; mount -t tmpfs tmpfs "$HOUSE/over"; cd "$HOUSE/over"; mkdir up work root
mount -t overlay overlay -o lowerdir=/,upperdir=up,workdir=work root
cd root; mount --rbind /proc proc; mount --rbind /dev dev; mount --bind /tmp tmp
exec chroot . unshare -n sh "$HOUSE/inside""#;

const INSIDE: &str = r#"ip link set lo up
printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d
export DEBIAN_FRONTEND=noninteractive
dpkg -i --force-all "$DEBS"/*.deb </dev/null >/dev/null 2>&1
"#;

const COURIER: &str = r#"useradd -m -u 1777 me
su me -c 'maildirmake ~/Maildir; maildirmake -f Lists ~/Maildir'
for n in $(seq 1 200); do printf 'Subject: m %d\n\n.body %d\n' $n $n > /home/me/Maildir/new/17000$n.M.h; done
printf 'Subject: seen\n\n' > /home/me/Maildir/cur/1800.M.h:2,FRS
printf 'Subject: list\n\n' > /home/me/Maildir/.Lists/cur/1801.M.h:2,S
chown -R me:me /home/me
sed -i 's/^authmodulelist=.*/authmodulelist="authuserdb"/' /etc/courier/authdaemonrc
userdb me set uid=1777 gid=1777 home=/home/me mail=/home/me/Maildir
echo secret | userdbpw -md5 | userdb me set systempw
chmod 600 /etc/courier/userdb; makeuserdb
mkdir -p /run/courier/authdaemon; chown courier:courier /run/courier/authdaemon
sed -i 's/^ADDRESS=.*/ADDRESS=127.0.0.1/' /etc/courier/imapd /etc/courier/pop3d
authdaemond start; imapd start; pop3d start
end() { imapd stop; pop3d stop; authdaemond stop; }
"#;

const CYRUS: &str = r#"cat > /etc/imapd.conf <<'END'
configdirectory: /var/lib/cyrus
defaultpartition: default
partition-default: /var/spool/cyrus/mail
admins: cyrus
allowplaintext: yes
altnamespace: no
unixhierarchysep: no
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_mech_list: PLAIN LOGIN
virtdomains: off
servername: localhost
popminpoll: 0
END
cat > /etc/cyrus.conf <<'END'
START { recover cmd="/usr/sbin/cyrus ctl_cyrusdb -r" }
SERVICES {
 imap cmd="imapd -U 30" listen="127.0.0.1:143" prefork=0
 pop3 cmd="pop3d -U 30" listen="127.0.0.1:110" prefork=0
}
EVENTS { }
END
mkdir -p /run/cyrus/socket /run/cyrus/proc /run/cyrus/lock /var/lib/cyrus /var/spool/cyrus/mail
chown -R cyrus:mail /run/cyrus /var/lib/cyrus /var/spool/cyrus
for user in cyrus me; do echo secret | saslpasswd2 -p -c -u localhost $user; echo secret | saslpasswd2 -p -c $user; done
chown cyrus /etc/sasldb2
/usr/sbin/cyrmaster -p /run/cyrus/master.pid >/dev/null 2>&1 &
master=$!
end() { kill $master; wait $master; }
for try in $(seq 1 3000); do python3 -c 'import socket; socket.create_connection(("127.0.0.1", 143))' 2>/dev/null && break; done
python3 - <<'END'
import imaplib
admin = imaplib.IMAP4("127.0.0.1")
admin.login("cyrus", "secret")
assert admin.create("user.me")[0] == admin.create("user.me.Lists")[0] == "OK"
admin.logout()
me = imaplib.IMAP4("127.0.0.1")
me.login("me", "secret")
for n in range(1, 201):
    me.append("INBOX", None, None, ("Subject: m %d\r\n\r\n.body %d\r\n" % (n, n)).encode())
me.append("INBOX", "(\\Seen \\Flagged \\Answered)", None, b"Subject: seen\r\n\r\n")
me.append("INBOX.Lists", "(\\Seen)", None, b"Subject: list\r\n\r\n")
me.logout()
END
"#;

/// Everything in `$HOUSE`: imap and pop3 once and again, then all folders with deletion, then what POP3 has left.
const FETCH: &str = r#"cd "$HOUSE"
fetch() { "$PROGRAM" "$@" --password-file password >>said 2>&1; echo $? >> statuses; }
for turn in 1 2; do
    for scheme in imap pop3; do fetch $scheme://me@127.0.0.1 --into $scheme --state state; done
done
fetch imap://me@127.0.0.1 --all-folders --into all --state state-all --delete
fetch pop3://me@127.0.0.1 --into rest --state state-rest
end
"#;

/// Runs it all with this server; `None` where its packages are not here or nothing can be mounted.
fn fetched(server: &str, start: &str) -> Option<House> {
    let debs = Path::new("/var/cache/posthaste").join(server);
    let missing = |what: &str| {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{what}");
        eprintln!("skipped: {what}");
    };
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can unpack {server} over its own machine");
        return None;
    }
    let any = fs::read_dir(&debs).is_ok_and(|mut found| {
        found.any(|entry| entry.unwrap().path().extension().is_some_and(|end| end == "deb"))
    });
    if !any {
        missing(&format!("the packages of {server} are not in {} (.ci/run downloads them)", debs.display()));
        return None;
    }
    let (unshare, house) = (kit::peer("unshare")?, House::new());
    house.write("password", "secret\n");
    house.write("inside", format!("{INSIDE}{start}{FETCH}"));
    let mut command = Command::new(unshare);
    command.args(["-m", "sh", "-c", ROOT]).env("HOUSE", house.path("")).env("DEBS", debs);
    command.env("PROGRAM", kit::program("mail-fetch"));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if said.contains("mount") && !house.path("statuses").exists() {
        missing(&format!("nothing can be mounted here: {said}"));
        return None;
    }
    let told = fs::read_to_string(house.path("said")).unwrap_or_default();
    let statuses = fs::read_to_string(house.path("statuses")).unwrap_or_default();
    assert_eq!(statuses, "0\n".repeat(6), "{server}: {told}{said}");
    // The second time there was nothing new.
    assert_eq!(told.matches("201 messages").count(), 2, "{server}: {told}");
    Some(house)
}

/// The messages of a folder, sorted, each behind its flags.
fn kept(folder: PathBuf) -> Vec<String> {
    let mut kept = Vec::new();
    for part in ["new", "cur"] {
        for entry in fs::read_dir(folder.join(part)).into_iter().flatten() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let flags = name.split_once(":2,").map_or("", |(_, flags)| flags);
            kept.push(format!("{flags}|{}", fs::read_to_string(&path).unwrap()));
        }
    }
    kept.sort();
    kept
}

fn judge(house: &House) {
    let mut all: Vec<String> = (1..=200).map(|n| format!("|Subject: m {n}\n\n.body {n}\n")).collect();
    all.push("FRS|Subject: seen\n\n".to_owned());
    all.sort();
    assert_eq!(kept(house.path("imap")), all);
    let without_flags = |kept: Vec<String>| {
        let mut texts: Vec<String> = kept.iter().map(|it| it.split_once('|').unwrap().1.to_owned()).collect();
        texts.sort();
        texts
    };
    assert_eq!(without_flags(kept(house.path("pop3"))), without_flags(all.clone()));
    assert_eq!(without_flags(kept(house.path("all"))), without_flags(all));
    assert_eq!(kept(house.path("all/.Lists")), ["S|Subject: list\n\n"]);
    assert_eq!(kept(house.path("rest")), [""; 0], "all was deleted there");
}

#[test]
fn courier_gives_every_message_once() {
    if let Some(house) = fetched("courier", COURIER) {
        judge(&house);
    }
}

#[test]
fn cyrus_gives_every_message_once() {
    if let Some(house) = fetched("cyrus", CYRUS) {
        judge(&house);
    }
}
