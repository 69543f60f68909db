//! mail-fetch from a real Dovecot: IMAP and POP3, in the clear, by STARTTLS and STLS, and within TLS.

use crate::kit::{self, house::House};
use assert_cmd::Command;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    collections::BTreeMap,
    fs,
    io::ErrorKind,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Output, Stdio},
    time::Instant,
};

/// A Dovecot of its own, with one user `me` (password `secret`), ended when dropped.
struct Dovecot {
    house: House,
    child: Child,
    ports: [u16; 4],
}

impl Dovecot {
    fn new() -> Option<Dovecot> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root can start Dovecot");
            return None;
        }
        let program = kit::peer("dovecot")?;
        let house = House::new();
        // Nobody else takes them in the moment between.
        let free: Vec<TcpListener> = (0..4).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports = [0, 1, 2, 3].map(|at: usize| free[at].local_addr().unwrap().port());
        let [imap, imaps, pop3, pop3s] = ports;
        let base = house.path("");
        let base = base.display();
        let text = format!(
            "protocols = imap pop3\nlisten = 127.0.0.1\nbase_dir = {base}/dovecot\nstate_dir = {base}/dovecot\nlog_path = {base}/dovecot.log\n\
             mail_location = maildir:{base}/theirs\nmail_home = {base}\nfirst_valid_uid = 1\nfirst_valid_gid = 1\n\
             disable_plaintext_auth = no\nauth_mechanisms = plain login\nssl = yes\nssl_cert = <{base}/cert.pem\nssl_key = <{base}/key.pem\n\
             passdb {{\n driver = static\n args = password=secret\n}}\n\
             userdb {{\n driver = static\n args = uid=mail gid=mail home={base}\n}}\n\
             namespace inbox {{\n inbox = yes\n separator = /\n mailbox Everything {{\n  special_use = \\All\n  auto = create\n }}\n}}\n\
             service imap-login {{\n inet_listener imap {{\n  port = {imap}\n }}\n inet_listener imaps {{\n  port = {imaps}\n  ssl = yes\n }}\n}}\n\
             service pop3-login {{\n inet_listener pop3 {{\n  port = {pop3}\n }}\n inet_listener pop3s {{\n  port = {pop3s}\n  ssl = yes\n }}\n}}\n"
        );
        house.write("dovecot.conf", text);
        for made in [
            "theirs/new",
            "theirs/cur",
            "theirs/tmp",
            "theirs/.Lists.r&APw-st/cur",
            "theirs/.Lists.r&APw-st/new",
        ] {
            fs::create_dir_all(house.path(made)).unwrap();
        }
        fs::create_dir_all(house.path("theirs/.Lists.r&APw-st/tmp")).unwrap();
        drop(free);
        let mut command = std::process::Command::new(program);
        command.arg("-F").arg("-c").arg(house.path("dovecot.conf"));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let dovecot = Dovecot { house, child, ports };
        let begun = Instant::now();
        while let Err(fault) = TcpStream::connect(("127.0.0.1", imap)) {
            assert_eq!(fault.kind(), ErrorKind::ConnectionRefused);
            let log = fs::read_to_string(dovecot.house.path("dovecot.log")).unwrap_or_default();
            assert!(begun.elapsed() < kit::PATIENCE, "Dovecot does not start: {log}");
            std::thread::yield_now();
        }
        Some(dovecot)
    }

    /// Puts a file into its Maildir.
    fn put(&self, name: &str, octets: &[u8]) {
        fs::write(self.house.path("theirs").join(name), octets).unwrap();
    }

    /// All that is there becomes the server's user's.
    fn own(&self) {
        let chown = std::process::Command::new("chown")
            .args(["-R", "mail:mail"])
            .arg(self.house.path("theirs"))
            .status();
        assert!(chown.unwrap().success());
        let open = std::process::Command::new("chmod").arg("711").arg(self.house.path("")).status();
        assert!(open.unwrap().success());
    }

    fn fetch(&self, into: &str, source: &str, flags: &[&str]) -> Output {
        self.house.write("password", "secret\n");
        let mut command = Command::from(self.house.bare("mail-fetch"));
        command.args([
            source,
            "--state",
            &format!("state-{into}"),
            "--into",
            into,
            "--password-file",
            "password",
        ]);
        command.args(flags).output().unwrap()
    }

    fn urls(&self) -> [(&'static str, String, &'static [&'static str]); 6] {
        let [imap, imaps, pop3, pop3s] = self.ports;
        let url = |scheme: &str, port: u16| format!("{scheme}://me@127.0.0.1:{port}");
        let trusted: &[&str] = &["--tls-ca", "cert.pem"];
        [
            ("imap", url("imap", imap), &[]),
            ("starttls", url("imap", imap), trusted),
            ("imaps", url("imaps", imaps), trusted),
            ("pop3", url("pop3", pop3), &[]),
            ("stls", url("pop3", pop3), trusted),
            ("pop3s", url("pop3s", pop3s), trusted),
        ]
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

/// The messages in a folder's new/ and cur/: their octets and the flags of their names.
fn kept(folder: &Path) -> BTreeMap<Vec<u8>, Vec<String>> {
    let mut kept: BTreeMap<Vec<u8>, Vec<String>> = BTreeMap::new();
    for part in ["new", "cur"] {
        for entry in fs::read_dir(folder.join(part)).into_iter().flatten() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let flags = name.split_once(":2,").map_or("", |(_, flags)| flags).to_owned();
            kept.entry(fs::read(&path).unwrap()).or_default().push(flags);
        }
    }
    kept
}

/// The corpus as files with LF, as far as IMAP and POP3 can carry it unchanged: no NUL, no other CR than that before LF, and (for
/// POP3) a line end at the end.
fn corpus(pop3: bool) -> Vec<Vec<u8>> {
    let dir = kit::root().join("tests/corpus/messages");
    let mut paths: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "eml"));
    let texts =
        paths.iter().map(|path| String::from_utf8_lossy(&fs::read(path).unwrap()).replace("\r\n", "\n"));
    let mut texts: Vec<Vec<u8>> = texts.map(String::into_bytes).collect();
    texts.retain(|text| !text.contains(&0) && !text.contains(&b'\r') && !text.is_empty());
    texts.retain(|text| !pop3 || text.ends_with(b"\n"));
    texts.push([b"Subject: long\n\n".to_vec(), vec![b'y'; 3_000_000], b"\n".to_vec()].concat());
    texts.sort();
    texts.dedup();
    assert!(texts.len() > 30);
    texts
}

#[test]
fn dovecot_gives_every_message_as_it_is_and_each_once() {
    let Some(dovecot) = Dovecot::new() else { return };
    let texts = corpus(true);
    for (number, text) in texts.iter().enumerate() {
        dovecot.put(&format!("new/170000{number:04}.M{number}.mx"), text);
    }
    dovecot.own();
    for (into, url, flags) in dovecot.urls() {
        let first = dovecot.fetch(into, &url, flags);
        assert!(first.status.success(), "{into}: {first:?}");
        let here = kept(&dovecot.house.path(into));
        assert_eq!(here.len(), texts.len(), "{into}");
        for text in &texts {
            let copies = here.get(text).map(Vec::len);
            assert_eq!(copies, Some(1), "{into}: {}", String::from_utf8_lossy(&text[..text.len().min(200)]));
        }
        let again = dovecot.fetch(into, &url, flags);
        assert!(again.status.success() && again.stderr.is_empty(), "{into}: {again:?}");
    }
    // One more comes, and only it.
    dovecot.put("new/1800000000.M1.mx", b"Subject: late\n\nx");
    dovecot.own();
    for (into, url, flags) in dovecot.urls() {
        let late = dovecot.fetch(into, &url, flags);
        assert!(String::from_utf8_lossy(&late.stderr).contains("1 messages"), "{late:?}");
        assert_eq!(kept(&dovecot.house.path(into)).len(), texts.len() + 1);
    }
    let certificate = dovecot.fetch("imaps", &dovecot.urls()[2].1, &[]);
    assert_eq!(certificate.status.code(), Some(75), "an unknown authority: {certificate:?}");
}

#[test]
fn folders_flags_and_dates_come_from_dovecot_and_what_is_safe_is_deleted_there() {
    let Some(dovecot) = Dovecot::new() else { return };
    dovecot.put("cur/1700000001.M1.mx:2,FRS", b"Subject: one\n\n");
    dovecot.put("new/1700000002.M2.mx", b"Subject: two\n\n");
    dovecot.put(".Lists.r&APw-st/cur/1700000003.M3.mx:2,Sa", b"Subject: three\n\n");
    dovecot.put(".Lists.r&APw-st/dovecot-keywords", b"0 work\n");
    fs::File::open(dovecot.house.path("theirs/new/1700000002.M2.mx"))
        .unwrap()
        .set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(880_127_706))
        .unwrap();
    dovecot.own();
    let url = &dovecot.urls()[0].1;
    let all = dovecot.fetch("all", url, &["--all-folders"]);
    assert!(all.status.success(), "{all:?}");
    let root = dovecot.house.path("all");
    let inbox = kept(&root);
    assert_eq!(inbox.get(&b"Subject: one\n\n"[..]), Some(&vec!["FRS".to_owned()]));
    assert_eq!(inbox.get(&b"Subject: two\n\n"[..]), Some(&vec![String::new()]));
    let two = fs::read_dir(root.join("new")).unwrap().next().unwrap().unwrap();
    let date = std::os::unix::fs::MetadataExt::mtime(&two.metadata().unwrap());
    assert_eq!(date, 880_127_706);
    let list = root.join(".Lists.r&APw-st");
    assert_eq!(kept(&list).get(&b"Subject: three\n\n"[..]), Some(&vec!["Sa".to_owned()]));
    assert_eq!(fs::read_to_string(list.join("dovecot-keywords")).unwrap(), "0 work\n");
    assert!(!root.join(".Everything").exists(), "a view of other folders");
    // Nothing was marked as read there.
    assert!(dovecot.house.path("theirs").join("new").read_dir().unwrap().count() + 1 >= 1);
    assert_eq!(kept(&dovecot.house.path("theirs")).get(&b"Subject: two\n\n"[..]), Some(&vec![String::new()]));

    // One folder, by its name there, and deleted.
    let one = dovecot.fetch("one", url, &["--folder", "Lists/r\u{fc}st", "--delete"]);
    assert!(one.status.success(), "{one:?}");
    assert_eq!(kept(&dovecot.house.path("one/.Lists.r&APw-st")).len(), 1);
    assert_eq!(kept(&dovecot.house.path("theirs/.Lists.r&APw-st")).len(), 0);
    assert_eq!(kept(&dovecot.house.path("theirs")).len(), 2);
    let pop3 = dovecot.fetch("pop3", &dovecot.urls()[3].1, &["--delete"]);
    assert!(pop3.status.success(), "{pop3:?}");
    assert_eq!((kept(&dovecot.house.path("theirs")).len(), kept(&dovecot.house.path("pop3")).len()), (0, 2));
    let missing = dovecot.fetch("none", url, &["--folder", "Nowhere"]);
    assert_eq!(missing.status.code(), Some(75), "{missing:?}");
    assert!(String::from_utf8_lossy(&missing.stderr).contains("Nowhere"), "{missing:?}");
    let refused = {
        dovecot.house.write("password", "wrong\n");
        let mut command = Command::from(dovecot.house.bare("mail-fetch"));
        command.args([url, "--state", "s", "--into", "m", "--password-file", "password"]).output().unwrap()
    };
    assert_eq!(refused.status.code(), Some(77), "{refused:?}");
}
