//! mail-send against Postfix.

use crate::kit::{self, PATIENCE, house::House};
use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A Postfix of its own on loopback: `u1@example.test` and `u2@example.test` have Maildirs, at most 2 recipients a
/// transaction, 10 MB a message, STARTTLS with the house's certificate.
struct Postfix {
    house: House,
    port: u16,
    master: Child,
}

impl Postfix {
    /// `None` where it is not installed or we are not root, which it must be.
    fn start() -> Option<Postfix> {
        kit::peer("postfix")?;
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: postfix must be started as root");
            return None;
        }
        let house = House::new();
        fs::set_permissions(&house, fs::Permissions::from_mode(0o755)).unwrap();
        let own = nix::unistd::User::from_name("postfix").unwrap().unwrap();
        let drop = nix::unistd::Group::from_name("postdrop").unwrap().unwrap();
        let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
        let make = |name: &str, uid: u32, gid: Option<u32>, mode: u32| {
            let path = house.path(name);
            fs::create_dir(&path).unwrap();
            chown(&path, Some(uid), gid).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        make("etc", 0, None, 0o755);
        make("queue", 0, None, 0o755);
        make("data", own.uid.as_raw(), None, 0o700);
        make("in", nobody.uid.as_raw(), Some(nobody.gid.as_raw()), 0o700);
        for name in "active bounce corrupt defer deferred flush hold incoming private saved trace".split(' ')
        {
            make(&format!("queue/{name}"), own.uid.as_raw(), None, 0o700);
        }
        make("queue/pid", 0, None, 0o755);
        make("queue/maildrop", own.uid.as_raw(), Some(drop.gid.as_raw()), 0o1730);
        make("queue/public", own.uid.as_raw(), Some(drop.gid.as_raw()), 0o2710);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let dir = house.as_ref().display();
        house.write(
            "etc/boxes",
            "u1@example.test u1/\nu2@example.test u2/\npostmaster@example.test postmaster/\n",
        );
        house.write(
            "etc/main.cf",
            format!(
                "compatibility_level = 3.6\nqueue_directory = {dir}/queue\ndata_directory = {dir}/data\n\
                 maillog_file = {dir}/log\nmaillog_file_prefixes = {dir}\nmyhostname = mx.example.test\n\
                 inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmydestination =\nalias_maps =\nlocal_recipient_maps =\n\
                 mynetworks = 127.0.0.0/8\nvirtual_mailbox_domains = example.test\n\
                 virtual_mailbox_maps = texthash:{dir}/etc/boxes\nvirtual_mailbox_base = {dir}/in\n\
                 virtual_uid_maps = static:{}\nvirtual_gid_maps = static:{}\nsmtpd_peername_lookup = no\n\
                 smtpd_tls_cert_file = {dir}/cert.pem\nsmtpd_tls_key_file = {dir}/key.pem\n\
                 smtpd_tls_security_level = may\nsmtpd_tls_received_header = yes\nsmtpd_forbid_bare_newline = yes\n\
                 smtpd_forbid_bare_newline_exclusions =\nsmtpd_forbid_unauth_pipelining = yes\n\
                 smtpd_recipient_limit = 2\nmessage_size_limit = 10240000\n",
                nobody.uid, nobody.gid
            ),
        );
        let mut services = format!("127.0.0.1:{port} inet n - n - - smtpd\n");
        for line in
            "cleanup unix n - n - 0 cleanup|qmgr unix n - n 300 1 qmgr|tlsmgr unix - - n 1000? 1 tlsmgr|\
            rewrite unix - - n - - trivial-rewrite|bounce unix - - n - 0 bounce|defer unix - - n - 0 bounce|\
            trace unix - - n - 0 bounce|verify unix - - n - 1 verify|proxymap unix - - n - - proxymap|\
            error unix - - n - - error|retry unix - - n - - error|virtual unix - n n - - virtual|\
            anvil unix - - n - 1 anvil|postlog unix-dgram n - n - 1 postlogd"
                .split('|')
        {
            services += line.trim();
            services.push('\n');
        }
        house.write("etc/master.cf", services);
        for name in ["etc/main.cf", "etc/master.cf", "etc/boxes"] {
            fs::set_permissions(house.path(name), fs::Permissions::from_mode(0o644)).unwrap();
        }
        let master = ["/usr/lib/postfix/sbin/master", "/usr/libexec/postfix/master"];
        let master =
            master.iter().map(Path::new).find(|path| path.exists()).expect("postfix without its master");
        let mut command = Command::new(master);
        // A process group of its own: at its end the master signals all of it.
        command.arg("-c").arg(house.path("etc")).arg("-d").process_group(0);
        let out = || fs::File::create(house.path("said")).unwrap();
        let master = command.stdin(Stdio::null()).stdout(out()).stderr(out()).spawn().unwrap();
        let postfix = Postfix { house, port, master };
        postfix.wait();
        Some(postfix)
    }

    /// Until it greets.
    fn wait(&self) {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) {
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                let mut seen = [0; 3];
                if stream.read_exact(&mut seen).is_ok() && &seen == b"220" {
                    return;
                }
            }
            assert!(Instant::now() < until, "postfix does not greet: {}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn log(&self) -> String {
        ["said", "log"].map(|name| fs::read_to_string(self.house.path(name)).unwrap_or_default()).concat()
    }

    fn send(&self, more: &[&str], stdin: impl AsRef<[u8]>) -> Output {
        let server = format!("smtp://localhost:{}", self.port);
        let mut command = self.house.bare("mail-send");
        command.args(["--server", &server]).args(more);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_ref()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// The messages of a user, when there are `count`.
    fn got(&self, user: &str, count: usize) -> Vec<Vec<u8>> {
        let until = Instant::now() + PATIENCE;
        let new = self.house.path("in").join(user).join("new");
        loop {
            let found: Vec<PathBuf> =
                fs::read_dir(&new).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
            if found.len() >= count {
                return found.iter().map(|path| fs::read(path).unwrap()).collect();
            }
            assert!(Instant::now() < until, "{user} has {} of {count}: {}", found.len(), self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.master), Signal::TERM);
        let _ = self.master.wait();
    }
}

#[track_caller]
fn ended(output: &Output, status: i32, said: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{stderr}");
    assert!(stderr.contains(said), "{stderr:?} does not say {said:?}");
}

#[test]
fn postfix_takes_what_mail_send_gives_and_refuses_as_it_does_with_anybody() {
    let Some(postfix) = Postfix::start() else { return };
    // In the clear, pipelined, QUIT behind the end; dots and octets over 127, no final line end.
    let text = b"From: me@example.test\nTo: u1@example.test\nSubject: \xe9\n\n.\n..a\n.b\n\xe9\nlast";
    ended(&postfix.send(&["u1@example.test"], text), 0, "");
    let got = postfix.got("u1", 1).pop().unwrap();
    // Postfix puts Date and Message-ID behind the fields of its own clients.
    let at = got.windows(5).position(|five| five == b"From:").unwrap();
    let (header, body) = text.split_at(text.windows(2).position(|two| two == b"\n\n").unwrap() + 1);
    assert!(got[at..].starts_with(header), "{}", got.escape_ascii());
    assert!(got.ends_with(&[body, b"\n"].concat()), "{}", got.escape_ascii());

    // TLS, with the certificate judged.
    let tls = ["--tls-ca", "cert.pem", "-v", "u2@example.test"];
    ended(&postfix.send(&tls, text), 0, "TLSv1.3");
    assert!(String::from_utf8_lossy(&postfix.got("u2", 1)[0]).contains("TLSv1.3"));

    // Who is unknown is refused, and the others get it.
    let output = postfix.send(&["nobody@example.test", "u1@example.test"], text);
    ended(&output, 67, "nobody@example.test: refused: ");
    ended(&output, 67, "sent to 1 of 2 recipients");
    postfix.got("u1", 2);

    // More recipients than a transaction takes: the third goes in another.
    let three = ["-f", "<>", "u1@example.test", "u2@example.test", "postmaster@example.test"];
    ended(&postfix.send(&three, text), 0, "");
    postfix.got("u1", 3);
    postfix.got("postmaster", 1);

    // A message that can't be held is streamed; one that is too large is refused when its size is not known before, too.
    let body = "0123456789abcde\n".repeat(560_000);
    ended(&postfix.send(&["u2@example.test"], format!("From: me@example.test\n\n{body}")), 0, "");
    let longest = postfix.got("u2", 3).into_iter().max_by_key(Vec::len).unwrap();
    assert!(longest.ends_with(body.as_bytes()));
    let larger = format!("From: me@example.test\n\n{body}{body}");
    ended(&postfix.send(&["u2@example.test"], larger), 65, "in answer to the end of the message");
}
