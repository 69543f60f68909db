//! A private Dovecot with its real imapd and pop3d, on the house's accounts and Maildirs.

use super::{PATIENCE, house::House, missing, peer};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Whose the mail is: Dovecot does not work for root.
pub const OWNER: &str = "mail";

/// The running program; it ends when dropped. Accounts are those of the house with their passwords, mail is in the house's
/// `mail/DOMAIN/USER`.
pub struct Dovecot {
    child: Child,
    imap: SocketAddr,
    pop3: SocketAddr,
    dir: PathBuf,
}

impl Dovecot {
    /// Starts it. `None` where it is not installed or we are not root, which it must be; with `CI=true` that is a
    /// failure.
    pub fn start(house: &House) -> Option<Dovecot> {
        let program = peer("dovecot")?;
        if !rustix::process::geteuid().is_root() {
            return missing("Dovecot must be started as root");
        }
        // Its processes are others', and must reach the accounts and the mail.
        fs::set_permissions(house, fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(house.path("accounts"), fs::Permissions::from_mode(0o644)).unwrap();
        let [imap, pop3] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
        let dir = house.as_ref().to_owned();
        let text = format!(
            "protocols = imap pop3\nlisten = 127.0.0.1\nbase_dir = {dir}/dovecot\nstate_dir = {dir}/dovecot-state\n\
             log_path = {dir}/dovecot.log\nssl = no\ndisable_plaintext_auth = no\nauth_mechanisms = plain\n\
             auth_failure_delay = 0\nfirst_valid_uid = 1\nfirst_valid_gid = 1\nmail_max_userip_connections = 0\n\
             mail_location = maildir:{dir}/mail/%Ld/%Ln\nnamespace inbox {{\n  inbox = yes\n}}\n\
             passdb {{\n  driver = passwd-file\n  args = username_format=%Lu {dir}/accounts\n}}\n\
             userdb {{\n  driver = static\n  args = uid={OWNER} gid={OWNER} home={dir}/mail/%Ld/%Ln\n}}\n\
             service imap-login {{\n  inet_listener imap {{\n    port = {imap}\n  }}\n  inet_listener imaps {{\n    port = 0\n  }}\n}}\n\
             service pop3-login {{\n  inet_listener pop3 {{\n    port = {pop3}\n  }}\n  inet_listener pop3s {{\n    port = 0\n  }}\n}}\n",
            dir = dir.display(),
            imap = imap.port(),
            pop3 = pop3.port(),
        );
        let config = house.write("dovecot-imapd.conf", text);
        let child = Command::new(program)
            .arg("-F")
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut dovecot = Dovecot { child, imap, pop3, dir };
        let begun = Instant::now();
        while TcpStream::connect(imap).is_err() || TcpStream::connect(pop3).is_err() {
            let ended = dovecot.child.try_wait().unwrap();
            assert!(
                ended.is_none() && begun.elapsed() < PATIENCE,
                "Dovecot did not start: {}",
                dovecot.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(dovecot)
    }

    /// Where its imapd listens, in the clear.
    pub fn imap(&self) -> SocketAddr {
        self.imap
    }

    /// Where its pop3d listens, in the clear.
    pub fn pop3(&self) -> SocketAddr {
        self.pop3
    }

    /// A session of this user of example.org.
    pub fn login(&self, user: &str, password: &str) -> Imap {
        Imap::login(self.imap, user, password)
    }

    /// Gives it all files in the Maildirs that we, as root, made.
    pub fn own(&self) {
        let owner = format!("{OWNER}:{OWNER}");
        let chown = Command::new("chown").args(["-R", &owner]).arg(self.dir.join("mail")).status().unwrap();
        assert!(chown.success());
    }

    /// What it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("dovecot.log")).unwrap_or_default()
    }

    /// Fails when it has complained of anything: of what we left, most likely.
    pub fn content(&self) {
        let log = self.log();
        let bad = ["Warning", "Error", "Panic", "Fatal"].iter().any(|word| log.contains(&format!("{word}:")));
        assert!(!bad, "{log}");
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        // It takes its own processes with it. Not by doveadm, which needs a house that still stands.
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- Dovecot wrote:\n{}---", self.log());
        }
    }
}

/// A client that says a command and hears what comes; it judges nothing.
pub struct Imap {
    input: BufReader<TcpStream>,
    output: TcpStream,
    count: u32,
}

impl Imap {
    /// A session of this user of example.org with whatever server stands there, in the clear.
    pub fn login(address: SocketAddr, user: &str, password: &str) -> Imap {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut imap = Imap { input: BufReader::new(stream.try_clone().unwrap()), output: stream, count: 0 };
        let greeting = imap.line();
        assert!(greeting.starts_with("* OK"), "{greeting}");
        imap.say(&format!("LOGIN {user}@example.org {password}"));
        imap
    }

    /// Says a command, which must be answered with OK: the untagged responses, each in one piece with its literals.
    pub fn say(&mut self, command: &str) -> Vec<String> {
        let (said, end) = self.ask(command);
        assert!(end.starts_with("OK"), "{command}: {end}");
        said
    }

    /// Says a command: the untagged responses, and the rest of the tagged one.
    pub fn ask(&mut self, command: &str) -> (Vec<String>, String) {
        self.count += 1;
        let tag = format!("a{}", self.count);
        self.output.write_all(format!("{tag} {command}\r\n").as_bytes()).unwrap();
        let mut said = Vec::new();
        loop {
            let line = self.line();
            match line.strip_prefix(&format!("{tag} ")) {
                Some(end) => return (said, end.to_owned()),
                None => said.push(line),
            }
        }
    }

    /// APPEND of a message with these flags.
    pub fn append(&mut self, folder: &str, flags: &str, text: &str) {
        self.count += 1;
        let tag = format!("a{}", self.count);
        let command = format!("{tag} APPEND {folder} ({flags}) {{{}}}\r\n", text.len());
        self.output.write_all(command.as_bytes()).unwrap();
        let go = self.line();
        assert!(go.starts_with('+'), "{go}");
        self.output.write_all(format!("{text}\r\n").as_bytes()).unwrap();
        loop {
            let line = self.line();
            if let Some(end) = line.strip_prefix(&format!("{tag} ")) {
                assert!(end.starts_with("OK"), "{end}");
                return;
            }
        }
    }

    /// The next line without its end; literals in it stand where they came, behind their length.
    fn line(&mut self) -> String {
        let mut octets = Vec::new();
        loop {
            let count = self.input.read_until(b'\n', &mut octets).unwrap();
            assert!(count > 0, "Dovecot closed after {:?}", String::from_utf8_lossy(&octets));
            let text = String::from_utf8_lossy(&octets).into_owned();
            let text = text.trim_end_matches("\r\n");
            let literal =
                text.strip_suffix('}').and_then(|text| text.rsplit_once('{')?.1.parse::<usize>().ok());
            let Some(length) = literal else { return text.to_owned() };
            let mut more = vec![0; length];
            self.input.read_exact(&mut more).unwrap();
            octets.extend_from_slice(&more);
        }
    }
}
