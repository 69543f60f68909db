//! Clients of others read from `mail-serve`, over IMAP and POP3, and have what lies there, octet by octet.

use crate::kit::{self, daemon::Daemon, house::House};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// What lies in INBOX: dots where they matter, eight bits, long lines, no final newline.
fn messages() -> Vec<String> {
    let head = |number| {
        format!(
            "From: Ann <ann@example.net>\nTo: alice@example.org\nSubject: message {number}\n\
             Date: Tue, 24 Nov 2026 10:0{number}:00 +0000\nMessage-ID: <{number}@example.net>\n\n"
        )
    };
    vec![
        head(1) + ".\n..\n.leading\n\nend\n",
        head(2) + "gr\u{fc}n \u{2014} und " + &"lang ".repeat(300) + "\n",
        head(3) + "no final newline",
        head(4) + &"many lines\n".repeat(5000),
    ]
}

struct Peers {
    house: House,
    daemon: Daemon,
}

impl Peers {
    fn new() -> Peers {
        let mut house = House::new();
        house.set("serve.allow_plaintext", r#"["127.0.0.0/8"]"#);
        let new = house.maildir("alice").join("new");
        for part in ["new", "cur", "tmp", ".Work/new", ".Work/cur", ".Work/tmp"] {
            fs::create_dir_all(house.maildir("alice").join(part)).unwrap();
        }
        for (number, text) in messages().iter().enumerate() {
            fs::write(new.join(format!("179554000{number}.M{number}.host")), text).unwrap();
        }
        fs::write(house.maildir("alice").join(".Work/cur/1795540009.M9.host:2,FS"), &messages()[0]).unwrap();
        let daemon = Daemon::start(&house, "mail-serve");
        Peers { house, daemon }
    }

    fn port(&self, key: &str) -> String {
        self.daemon.tcp(key).port().to_string()
    }

    /// Runs a client in the house, which must succeed; its standard output.
    fn run(&self, program: &Path, args: &[&str]) -> Vec<u8> {
        let mut command = Command::new(program);
        command.args(args).current_dir(self.house.path("")).env("HOME", self.house.path(""));
        command.env("SSL_CERT_FILE", self.house.path("cert.pem")).env("LC_ALL", "C.UTF-8");
        let out = command.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        let shown = String::from_utf8_lossy(&out.stdout[..out.stdout.len().min(2000)]).into_owned();
        assert!(out.status.success(), "{program:?} {args:?}: {}\n{said}\n{shown}", out.status);
        out.stdout
    }

    /// The messages of a Maildir that a client made, without the fields that it adds, sorted.
    fn texts(&self, maildir: &str) -> Vec<String> {
        let mut found: Vec<PathBuf> = Vec::new();
        for part in ["new", "cur"] {
            let dir = self.house.path(maildir).join(part);
            found.extend(fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().path()));
        }
        let mut texts: Vec<String> =
            found.iter().map(|path| from_its_head(&fs::read(path).unwrap())).collect();
        texts.sort();
        texts
    }
}

/// A message from its own first field on, with LF line ends.
fn from_its_head(octets: &[u8]) -> String {
    let text = String::from_utf8(octets.to_vec()).unwrap().replace("\r\n", "\n");
    let at = text.find("From: Ann").expect("the first field");
    let (head, body) = text[at..].split_once("\n\n").unwrap();
    // What mbsync, mutt and getmail put behind our fields.
    let theirs = ["X-TUID: ", "Content-Length: ", "Lines: ", "Status: ", "X-getmail-"];
    let head: Vec<&str> =
        head.lines().filter(|line| !theirs.iter().any(|name| line.starts_with(name))).collect();
    format!("{}\n\n{body}", head.join("\n"))
}

fn assert_same(found: &[String], wanted: &[String]) {
    let short = |texts: &[String]| {
        texts.iter().map(|text| text.chars().skip(150).take(80).collect()).collect::<Vec<String>>()
    };
    assert_eq!(found.len(), wanted.len(), "{:?}", short(found));
    for (one, other) in found.iter().zip(wanted) {
        // POP3 has no way to tell that the last line has no end.
        assert!(
            one == other || *one == format!("{other}\n"),
            "{:?} is not {:?}",
            short(found),
            short(wanted)
        );
    }
}

#[test]
fn curl_reads_each_message() {
    let Some(curl) = kit::peer("curl") else { return };
    let peers = Peers::new();
    for (number, text) in messages().iter().enumerate() {
        let number = number + 1;
        for (scheme, key, path) in [
            ("imaps", "imaps", format!("INBOX;UID={number}")),
            ("imap", "imap", format!("INBOX;UID={number}")),
            ("pop3s", "pop3s", number.to_string()),
            ("pop3", "pop3", number.to_string()),
        ] {
            let url = format!("{scheme}://127.0.0.1:{}/{path}", peers.port(key));
            let mut args = vec!["-sS", "--cacert", "cert.pem", "-u", "alice:wonderland", &url];
            if key == scheme && !scheme.ends_with('s') {
                args.push("--ssl-reqd");
            }
            let got = String::from_utf8(peers.run(&curl, &args)).unwrap();
            let wanted = text.replace('\n', "\r\n");
            assert!(got == wanted || got == format!("{wanted}\r\n"), "{url}: {got:.200}");
        }
    }
    let url = format!("imaps://127.0.0.1:{}/", peers.port("imaps"));
    let list = peers.run(&curl, &["-sS", "--cacert", "cert.pem", "-u", "alice:wonderland", &url]);
    assert!(String::from_utf8(list).unwrap().contains("Work"));
}

/// What Python's own clients make of it; it asserts by itself.
const PYTHON: &str = r#"
import imaplib, poplib, ssl, sys, glob, time
imap, imaps, pop3, pop3s = map(int, sys.argv[1:5])
texts = [open(name, 'rb').read().replace(b'\n', b'\r\n') for name in sorted(glob.glob('texts/*'))]
trust = ssl.create_default_context(cafile='cert.pem')

def ok(answer):
    assert answer[0] == 'OK', answer
    return answer[1]

for begin in ('tls', 'starttls'):
    if begin == 'tls':
        m = imaplib.IMAP4_SSL('127.0.0.1', imaps, ssl_context=trust)
    else:
        m = imaplib.IMAP4('127.0.0.1', imap)
        ok(m.starttls(trust))
    try:
        m.login('alice', 'wrong')
        raise AssertionError('a wrong password was taken')
    except imaplib.IMAP4.error:
        pass
    ok(m.login('alice@example.org', 'wonderland'))
    assert int(ok(m.select('INBOX'))[0]) == len(texts)
    for number, text in enumerate(texts, 1):
        data = ok(m.fetch(str(number), '(RFC822.SIZE BODY.PEEK[])'))
        assert data[0][1] == text, number
        assert b'RFC822.SIZE %d ' % len(text) in data[0][0], data[0][0]
        head, body = text.split(b'\r\n\r\n', 1)
        assert ok(m.fetch(str(number), '(BODY.PEEK[HEADER])'))[0][1] == head + b'\r\n\r\n'
        assert ok(m.fetch(str(number), '(BODY.PEEK[TEXT])'))[0][1] == body
        assert ok(m.fetch(str(number), '(BODY.PEEK[TEXT]<3.7>)'))[0][1] == body[3:10]
        assert ok(m.fetch(str(number), '(BODY.PEEK[1])'))[0][1] == body
    assert ok(m.search(None, 'SUBJECT', '"message 2"')) == [b'2']
    assert ok(m.search(None, 'LARGER', '20000')) == [b'4']
    assert ok(m.search(None, 'BODY', '"Many Lines"')) == [b'4']
    assert ok(m.search(None, 'TEXT', '"message 3"', 'NOT', 'BODY', 'end')) == [b'3']
    m.literal = 'GR\u00dcN'.encode()
    assert ok(m.search('UTF-8', 'BODY')) == [b'2']
    m.logout()

m = imaplib.IMAP4_SSL('127.0.0.1', imaps, ssl_context=trust)
n = imaplib.IMAP4_SSL('127.0.0.1', imaps, ssl_context=trust)
for who in (m, n):
    who.authenticate('PLAIN', lambda _: b'\0alice\0wonderland')
    ok(who.select('INBOX'))
ok(m.store('1', '+FLAGS', r'(\Flagged work)'))
ok(n.noop())
news = n.response('FETCH')[1]
assert len(news) == 1 and news[0].startswith(b'1 (FLAGS (\\Flagged work'), news
ok(m.create('Archive.2026'))
ok(m.subscribe('Archive.2026'))
assert any(b'Archive.2026' in line for line in ok(m.lsub()))
ok(m.copy('1:2', 'Archive.2026'))
assert b'MESSAGES 2' in ok(m.status('Archive.2026', '(MESSAGES)'))[0]
ok(m.uid('MOVE', '3', 'Archive.2026'))
ok(m.append('Archive.2026', r'(\Seen)', imaplib.Time2Internaldate(1795540000), texts[1]))
ok(n.noop())
assert int(n.response('EXPUNGE')[1][0]) == 3
ok(m.store('1', '+FLAGS.SILENT', r'(\Deleted)'))
ok(m.expunge())
ok(m.rename('Archive.2026', 'Old'))
ok(m.select('Old'))
data = ok(m.fetch('1:*', '(UID FLAGS INTERNALDATE BODY.PEEK[])'))
assert [part[1] for part in data if isinstance(part, tuple)] == [texts[0], texts[1], texts[2], texts[1]]
assert b'\\Flagged work' in data[0][0], data[0]
assert b'24-Nov-2026' in data[-2][0] and b'\\Seen' in data[-2][0], data[-2]
ok(m.close())
ok(m.delete('Old'))
m.logout(), n.logout()

rest = [texts[1], texts[3]]
for begin in ('tls', 'stls'):
    if begin == 'tls':
        p = poplib.POP3_SSL('127.0.0.1', pop3s, context=trust)
    else:
        p = poplib.POP3('127.0.0.1', pop3)
        p.stls(trust)
    capa = p.capa()
    assert 'UIDL' in capa and capa['EXPIRE'] == ['NEVER'], capa
    p.user('alice'), p.pass_('wonderland')
    assert p.stat() == (2, sum(map(len, rest)))
    assert p.list()[1] == [b'%d %d' % (number, len(text)) for number, text in enumerate(rest, 1)]
    uids = [line.split()[1] for line in p.uidl()[1]]
    assert len(set(uids)) == 2 and uids[0].startswith(b'00000002'), uids
    for number, text in enumerate(rest, 1):
        assert b'\r\n'.join(p.retr(number)[1]) + b'\r\n' == text
    top = p.top(2, 3)[1]
    assert top[-3:] == [b'many lines'] * 3 and top[-4] == b'', top
    p.dele(1)
    p.rset()
    if begin == 'stls':
        p.dele(2)
    p.quit()
p = poplib.POP3_SSL('127.0.0.1', pop3s, context=trust)
p.user('alice'), p.pass_('wonderland')
assert p.stat()[0] == 1
q = poplib.POP3_SSL('127.0.0.1', pop3s, context=trust)
q.user('alice')
try:
    q.pass_('wonderland')
    raise AssertionError('two sessions had one maildrop')
except poplib.error_proto as said:
    assert b'[IN-USE]' in said.args[0], said
p.quit()
"#;

#[test]
fn python_reads_and_changes_mail() {
    let Some(python) = kit::peer("python3") else { return };
    let peers = Peers::new();
    fs::create_dir(peers.house.path("texts")).unwrap();
    for (number, text) in messages().iter().enumerate() {
        peers.house.write(&format!("texts/{number}"), text);
    }
    let ports = ["imap", "imaps", "pop3", "pop3s"].map(|key| peers.port(key));
    let mut args = vec!["-c", PYTHON];
    args.extend(ports.iter().map(String::as_str));
    peers.run(&python, &args);
}

#[test]
fn fetchmail_fetches() {
    let Some(fetchmail) = kit::peer("fetchmail") else { return };
    for (protocol, key) in [("pop3", "pop3s"), ("imap", "imaps")] {
        let peers = Peers::new();
        let deliver = kit::program("mail-deliver").display().to_string();
        let text = format!(
            "poll localhost protocol {protocol} port {port} timeout 20 no envelope\n  \
             user \"alice\" password \"wonderland\" is \"{user}\" here\n  \
             ssl sslcertck sslcertfile \"{cert}\" nokeep fetchall norewrite\n  \
             mda \"{deliver} --maildir {into}\"\n",
            port = peers.port(key),
            user = nix::unistd::User::from_uid(nix::unistd::getuid()).unwrap().unwrap().name,
            cert = peers.house.path("cert.pem").display(),
            into = peers.house.path("got").display(),
        );
        peers.house.write("fetchmailrc", text);
        peers.run(&fetchmail, &["-f", "fetchmailrc", "--pidfile", "fetchmail.pid", "-i", "fetchids"]);
        let got = peers.texts("got");
        assert_same(&got, &messages());
        assert!(peers.house.messages("alice", "").is_empty(), "{protocol}: they were to be removed");
    }
}

#[test]
fn getmail_fetches() {
    let Some(getmail) = kit::peer("getmail") else { return };
    for (kind, key) in [("SimplePOP3SSLRetriever", "pop3s"), ("SimpleIMAPSSLRetriever", "imaps")] {
        let peers = Peers::new();
        let text = format!(
            "[retriever]\ntype = {kind}\nserver = 127.0.0.1\nport = {port}\nusername = alice\n\
             password = wonderland\nca_certs = {cert}\n[destination]\ntype = MDA_external\npath = {deliver}\n\
             arguments = (\"--maildir\", \"{into}\")\nallow_root_commands = true\nunixfrom = false\n[options]\ndelete = true\ndelivered_to = false\nreceived = false\n",
            port = peers.port(key),
            cert = peers.house.path("cert.pem").display(),
            deliver = kit::program("mail-deliver").display(),
            into = peers.house.path("got").display(),
        );
        peers.house.write("getmailrc", text);
        let dir = peers.house.path("").display().to_string();
        peers.run(&getmail, &["--getmaildir", &dir, "--rcfile", "getmailrc"]);
        assert_same(&peers.texts("got"), &messages());
        assert!(peers.house.messages("alice", "").is_empty(), "{kind}: they were to be removed");
    }
}

#[test]
fn mbsync_syncs_both_ways() {
    let Some(mbsync) = kit::peer("mbsync") else { return };
    let peers = Peers::new();
    let text = format!(
        "IMAPAccount us\nHost 127.0.0.1\nPort {port}\nUser alice\nPass wonderland\nSSLType IMAPS\n\
         CertificateFile {cert}\n\nIMAPStore far\nAccount us\n\n\
         MaildirStore near\nPath {near}/\nInbox {near}/INBOX\nSubFolders Verbatim\n\n\
         Channel all\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nExpunge Both\nSyncState *\n",
        port = peers.port("imaps"),
        cert = peers.house.path("cert.pem").display(),
        near = peers.house.path("near").display(),
    );
    fs::create_dir(peers.house.path("near")).unwrap();
    peers.house.write("mbsyncrc", text);
    let sync = || peers.run(&mbsync, &["-c", "mbsyncrc", "-a"]);
    sync();
    assert_same(&peers.texts("near/INBOX"), &messages());
    assert_same(&peers.texts("near/Work"), &messages()[..1]);
    // A flag, a removal and a message go up; they and what happened here come together.
    let find = |part: &str, text: &str| {
        let dir = peers.house.path("near/INBOX").join(part);
        fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| fs::read_to_string(path).unwrap().contains(text))
    };
    let seen = find("new", "message 1").or_else(|| find("cur", "message 1")).unwrap();
    let name = seen.file_name().unwrap().to_str().unwrap().split(":2,").next().unwrap().to_owned();
    fs::rename(&seen, peers.house.path("near/INBOX/cur").join(format!("{name}:2,FS"))).unwrap();
    let gone = find("new", "message 2").or_else(|| find("cur", "message 2")).unwrap();
    let name = gone.file_name().unwrap().to_str().unwrap().split(":2,").next().unwrap().to_owned();
    fs::rename(&gone, peers.house.path("near/INBOX/cur").join(format!("{name}:2,T"))).unwrap();
    peers.house.write("near/INBOX/new/1795541111.x.host", messages()[1].replace("message 2", "message 5"));
    sync();
    sync();
    let ours: Vec<(String, String)> = peers
        .house
        .messages("alice", "")
        .iter()
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            let flags = name.split_once(":2,").map(|(_, flags)| flags).unwrap_or_default().to_owned();
            (from_its_head(&fs::read(path).unwrap()), flags)
        })
        .collect();
    let of =
        |subject: &str| ours.iter().find(|(text, _)| text.contains(subject)).map(|(_, flags)| flags.clone());
    assert_eq!(of("message 1"), Some("FS".to_owned()));
    assert_eq!(of("message 2"), None);
    assert!(of("message 5").is_some() && ours.len() == 4, "{ours:?}");
}

#[test]
fn offlineimap_syncs() {
    let Some(offlineimap) = kit::peer("offlineimap") else { return };
    let peers = Peers::new();
    let text = format!(
        "[general]\naccounts = us\nui = quiet\nmetadata = {meta}\n[Account us]\nlocalrepository = near\nremoterepository = far\n\
         [Repository near]\ntype = Maildir\nlocalfolders = {near}\n[Repository far]\ntype = IMAP\nremotehost = localhost\n\
         remoteport = {port}\nremoteuser = alice\nremotepass = wonderland\nssl = yes\nsslcacertfile = {cert}\n",
        meta = peers.house.path("meta").display(),
        near = peers.house.path("near").display(),
        port = peers.port("imaps"),
        cert = peers.house.path("cert.pem").display(),
    );
    peers.house.write("offlineimaprc", text);
    peers.run(&offlineimap, &["-c", "offlineimaprc", "-o", "-u", "quiet"]);
    assert_same(&peers.texts("near/INBOX"), &messages());
    assert_same(&peers.texts("near/Work"), &messages()[..1]);
}

#[test]
fn mutt_copies_a_mailbox() {
    let (Some(mutt), Some(script)) = (kit::peer("mutt"), kit::peer("script")) else { return };
    for (scheme, key) in [("imaps", "imaps"), ("pops", "pop3s")] {
        let peers = Peers::new();
        for part in ["cur", "new", "tmp"] {
            fs::create_dir_all(peers.house.path("got").join(part)).unwrap();
        }
        let settings = format!(
            "set folder={home} ssl_starttls=yes ssl_force_tls=yes certificate_file={cert} ssl_ca_certificates_file={cert}\n\
             set imap_user=alice imap_pass=wonderland pop_user=alice pop_pass=wonderland\n\
             set confirmappend=no confirmcreate=no delete=no quit=yes mbox_type=Maildir sleep_time=0 wait_key=no\n\
             push \"<tag-pattern>~A<enter><tag-prefix><copy-message><kill-line>{got}<enter><quit>\"\n",
            cert = peers.house.path("cert.pem").display(),
            home = peers.house.path("").display(),
            got = peers.house.path("got").display(),
        );
        peers.house.write("muttrc", settings);
        let url = format!("{scheme}://127.0.0.1:{}/", peers.port(key));
        let command =
            format!("TERM=vt100 exec timeout --foreground 60 {} -n -F muttrc -f {url}", mutt.display());
        peers.run(&script, &["-qec", &command, "/dev/null"]);
        assert_same(&peers.texts("got"), &messages());
    }
}

#[test]
fn mbsync_and_mutt_read_through_a_tunnel_without_a_password() {
    let Some(mbsync) = kit::peer("mbsync") else { return };
    let peers = Peers::new();
    let tunnel = format!(
        "{} --stdio --maildir {}",
        kit::program("mail-serve").display(),
        peers.house.maildir("alice").display()
    );
    let near = peers.house.path("near");
    let text = format!(
        "IMAPStore far\nTunnel \"{tunnel}\"\n\n\
         MaildirStore near\nPath {near}/\nInbox {near}/INBOX\nSubFolders Verbatim\n\n\
         Channel all\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nExpunge Both\nSyncState *\n",
        near = near.display(),
    );
    fs::create_dir(&near).unwrap();
    peers.house.write("mbsyncrc", text);
    peers.run(&mbsync, &["-c", "mbsyncrc", "-a"]);
    assert_same(&peers.texts("near/INBOX"), &messages());
    assert_same(&peers.texts("near/Work"), &messages()[..1]);
    // Something goes up, too.
    peers.house.write("near/INBOX/new/1795541111.x.host", messages()[1].replace("message 2", "message 5"));
    peers.run(&mbsync, &["-c", "mbsyncrc", "-a"]);
    assert_eq!(peers.house.messages("alice", "").len(), messages().len() + 1);
    let (Some(mutt), Some(script)) = (kit::peer("mutt"), kit::peer("script")) else { return };
    for part in ["cur", "new", "tmp"] {
        fs::create_dir_all(peers.house.path("got").join(part)).unwrap();
    }
    let settings = format!(
        "set tunnel=\"{tunnel}\"\nset folder={home} ssl_force_tls=yes confirmappend=no confirmcreate=no delete=no\n\
         set quit=yes mbox_type=Maildir sleep_time=0 wait_key=no\n\
         push \"<tag-pattern>~A<enter><tag-prefix><copy-message><kill-line>{got}<enter><quit>\"\n",
        home = peers.house.path("").display(),
        got = peers.house.path("got").display(),
    );
    peers.house.write("muttrc", settings);
    let command = format!(
        "TERM=vt100 exec timeout --foreground 60 {} -n -F muttrc -f imap://mail.example.org/Work",
        mutt.display()
    );
    peers.run(&script, &["-qec", &command, "/dev/null"]);
    assert_same(&peers.texts("got"), &messages()[..1]);
}
