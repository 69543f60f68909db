//! A private Postfix: its own configuration, queue and port.

use super::{PATIENCE, house::House};
use nix::unistd::{Group, User};
use std::{
    env, fs,
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// The running program; it ends when dropped. Its own accounts are `joe@example.com` and `ann@example.com`, whose mail lies in
/// `postfix/mail/USER/` of the house.
pub struct Postfix {
    child: Child,
    address: SocketAddr,
    dir: PathBuf,
    sbin: PathBuf,
}

impl Postfix {
    /// Starts it in the directory `postfix/` of a house, with these lines at the end of its main.cf. `None` where it
    /// is not installed or we are not root. `POSTFIX_ROOT` names a place where its package was only unpacked.
    pub fn start(house: &House, settings: &str) -> Option<Postfix> {
        Postfix::with(house, settings, "")
    }

    /// The same with more services, lines of master.cf.
    pub fn with(house: &House, settings: &str, services: &str) -> Option<Postfix> {
        let root = env::var_os("POSTFIX_ROOT").map_or_else(|| PathBuf::from("/"), PathBuf::from);
        let lib = root.join("usr/lib/postfix");
        if !lib.join("sbin/master").exists() {
            super::peer("postfix");
            return None;
        }
        if !rustix::process::geteuid().is_root() {
            return super::missing("Postfix must be started as root");
        }
        let dir = house.path("postfix");
        lay_out(house.as_ref(), &dir);
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let maps = root.join("usr/share/postfix/dynamicmaps.cf");
        let maps = if maps.exists() { maps } else { "/etc/postfix/dynamicmaps.cf".into() };
        fs::write(dir.join("conf/dynamicmaps.cf"), fs::read(maps).unwrap_or_default()).unwrap();
        fs::write(dir.join("conf/main.cf"), main_cf(&dir, &root, settings)).unwrap();
        fs::write(dir.join("conf/master.cf"), master_cf(address) + services).unwrap();
        let child = Command::new(lib.join("sbin/master"))
            .arg("-c")
            .arg(dir.join("conf"))
            .env("LD_LIBRARY_PATH", &lib)
            .env("MAIL_CONFIG", dir.join("conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut postfix = Postfix { child, address, dir, sbin: root.join("usr/sbin") };
        postfix.wait_ready();
        Some(postfix)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until a user of its own has so many messages.
    pub fn wait_mail(&self, user: &str, count: usize) -> Vec<PathBuf> {
        let new = self.dir.join("mail").join(user).join("new");
        let begun = Instant::now();
        loop {
            let entries = fs::read_dir(&new).into_iter().flatten();
            let found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
            if found.len() >= count {
                return found;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{} of {count} messages for {user}: {}",
                found.len(),
                self.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("maillog")).unwrap_or_default()
    }

    /// Waits until a line of its log contains all of `texts`, and answers with the line.
    pub fn logged(&self, texts: &[&str]) -> String {
        let begun = Instant::now();
        loop {
            let log = self.log();
            if let Some(line) = log.lines().find(|line| texts.iter().all(|text| line.contains(text))) {
                return line.to_owned();
            }
            assert!(begun.elapsed() < PATIENCE, "no line with {texts:?}: {log}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Has it try again, at once, what it put off.
    pub fn flush(&self) {
        let deferred = self.dir.join("queue/deferred");
        let begun = Instant::now();
        let mut found = Vec::new();
        while found.is_empty() {
            assert!(begun.elapsed() < PATIENCE, "nothing is deferred: {}", self.log());
            let dirs = fs::read_dir(&deferred).into_iter().flatten().flatten();
            let files = dirs.filter_map(|dir| fs::read_dir(dir.path()).ok()).flatten().flatten();
            found = files.map(|file| file.path()).collect();
            std::thread::sleep(Duration::from_millis(10));
        }
        for file in found {
            // Who tried it may hold it for a moment longer. A queue manager that meets it so leaves it lying until it
            // is started again.
            if let Ok(file) = fs::File::open(file) {
                rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
            }
        }
        let mut command = Command::new(self.sbin.join("postqueue"));
        command.arg("-c").arg(self.dir.join("conf")).arg("-f").env("MAIL_CONFIG", self.dir.join("conf"));
        assert!(command.status().unwrap().success());
    }

    fn wait_ready(&mut self) {
        let begun = Instant::now();
        loop {
            if let Ok(stream) = TcpStream::connect(self.address) {
                let mut line = String::new();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                if BufReader::new(stream).read_line(&mut line).is_ok() && line.starts_with("220") {
                    return;
                }
            }
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && begun.elapsed() < PATIENCE,
                "Postfix did not start: {ended:?} {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        // It takes its own processes with it.
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.child),
            rustix::process::Signal::TERM,
        );
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- Postfix wrote:\n{}---", self.log());
        }
    }
}

fn lay_out(house: &Path, dir: &Path) {
    let postfix = User::from_name("postfix").unwrap().expect("the user postfix");
    let postdrop = Group::from_name("postdrop").unwrap().expect("the group postdrop");
    for made in ["conf", "data", "mail", "queue/maildrop", "queue/public", "queue/pid"] {
        fs::create_dir_all(dir.join(made)).unwrap();
    }
    fs::set_permissions(house, fs::Permissions::from_mode(0o755)).unwrap();
    for name in "active bounce corrupt defer deferred flush hold incoming private saved trace".split(' ') {
        let made = dir.join("queue").join(name);
        fs::create_dir_all(&made).unwrap();
        chown(&made, Some(postfix.uid.as_raw()), None).unwrap();
        fs::set_permissions(&made, fs::Permissions::from_mode(0o700)).unwrap();
    }
    chown(dir.join("data"), Some(postfix.uid.as_raw()), None).unwrap();
    for (name, mode) in [("maildrop", 0o1730), ("public", 0o2710)] {
        let made = dir.join("queue").join(name);
        chown(&made, Some(postfix.uid.as_raw()), Some(postdrop.gid.as_raw())).unwrap();
        fs::set_permissions(&made, fs::Permissions::from_mode(mode)).unwrap();
    }
    let nobody = User::from_name("nobody").unwrap().unwrap();
    chown(dir.join("mail"), Some(nobody.uid.as_raw()), None).unwrap();
    fs::write(dir.join("conf/mailboxes"), "joe@example.com joe/\nann@example.com ann/\n").unwrap();
}

fn main_cf(dir: &Path, root: &Path, settings: &str) -> String {
    let nobody = User::from_name("nobody").unwrap().unwrap();
    let (uid, gid) = (nobody.uid, nobody.gid);
    let lib = root.join("usr/lib/postfix");
    let (lib, sbin, dir) = (lib.display(), root.join("usr/sbin"), dir.display());
    let sbin = sbin.display();
    format!(
        "compatibility_level = 3.6\nqueue_directory = {dir}/queue\ndata_directory = {dir}/data\n\
         command_directory = {sbin}\ndaemon_directory = {lib}/sbin\nshlib_directory = {lib}\n\
         meta_directory = {dir}/conf\nmail_owner = postfix\nsetgid_group = postdrop\n\
         import_environment = MAIL_CONFIG LD_LIBRARY_PATH LANG=C\n\
         export_environment = MAIL_CONFIG LD_LIBRARY_PATH LANG\n\
         maillog_file = {dir}/maillog\nmaillog_file_prefixes = {dir}\nmyhostname = postfix.example.com\n\
         mydomain = example.com\nmyorigin = example.com\ninet_interfaces = 127.0.0.1\ninet_protocols = ipv4\n\
         mydestination =\nalias_maps =\nmynetworks = 127.0.0.0/8\nvirtual_mailbox_domains = example.com\n\
         virtual_mailbox_maps = texthash:{dir}/conf/mailboxes\nvirtual_mailbox_base = {dir}/mail\n\
         virtual_uid_maps = static:{uid}\nvirtual_gid_maps = static:{gid}\nsmtpd_peername_lookup = no\n\
         smtp_host_lookup = native\nsmtpd_relay_restrictions = permit_mynetworks, reject\n{settings}\n"
    )
}

fn master_cf(address: SocketAddr) -> String {
    format!(
        "{address} inet n - n - - smtpd\n\
         pickup unix n - n 60 1 pickup\ncleanup unix n - n - 0 cleanup\nqmgr unix n - n 300 1 qmgr\n\
         tlsmgr unix - - n 1000? 1 tlsmgr\nrewrite unix - - n - - trivial-rewrite\nbounce unix - - n - 0 bounce\n\
         defer unix - - n - 0 bounce\ntrace unix - - n - 0 bounce\nverify unix - - n - 1 verify\n\
         flush unix n - n 1000? 0 flush\nproxymap unix - - n - - proxymap\nsmtp unix - - n - - smtp\n\
         relay unix - - n - - smtp\nshowq unix n - n - - showq\nerror unix - - n - - error\n\
         retry unix - - n - - error\ndiscard unix - - n - - discard\nvirtual unix - n n - - virtual\n\
         lmtp unix - - n - - lmtp\nanvil unix - - n - 1 anvil\nscache unix - - n - 1 scache\n\
         postlog unix-dgram n - n - 1 postlogd\n"
    )
}
