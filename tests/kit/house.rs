//! A temporary house: a directory with two accounts, a configuration and a certificate.

use super::program;
use std::{
    collections::BTreeMap,
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{self, Command},
    sync::atomic::{AtomicU32, Ordering},
};

#[path = "../../examples/certificate.rs"]
mod certificate;

/// A directory of its own, with everything in it that a daemon needs:
/// `posthaste.toml`, `accounts`, `aliases`, `cert.pem`, `key.pem`, `state/`, `mail/{domain}/{user}`, `run/`.
///
/// Accounts: `alice@example.org` (password `wonderland`) and `bob@example.org` (`builder`). The host is
/// `mx.example.org`. Every listener is on loopback with port 0, so [`super::daemon::Daemon`] says where it is.
pub struct House {
    dir: PathBuf,
    settings: BTreeMap<String, BTreeMap<String, String>>,
}

impl House {
    /// Makes the directory and writes everything.
    pub fn new() -> House {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("posthaste-{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = env::temp_dir().join(name);
        fs::create_dir(&dir).unwrap();
        let mut house = House { dir, settings: BTreeMap::new() };
        for made in ["state", "mail", "run"] {
            fs::create_dir(house.path(made)).unwrap();
        }
        let user = rustix::process::getuid();
        let user = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(user.as_raw())).unwrap().unwrap();
        let at = |name: &str| format!("{:?}", house.path(name).to_str().unwrap());
        let settings = [
            ("hostname", r#""mx.example.org""#.to_owned()),
            ("state", at("state")),
            ("user", format!("{:?}", user.name)),
            ("accounts.domains", r#"["example.org"]"#.to_owned()),
            ("accounts.file", at("accounts")),
            ("accounts.aliases", at("aliases")),
            ("accounts.maildir", at("mail/{domain}/{user}")),
            ("tls.certificate", at("cert.pem")),
            ("tls.key", at("key.pem")),
            ("serve.imap", r#"["127.0.0.1:0"]"#.to_owned()),
            ("serve.imaps", r#"["127.0.0.1:0"]"#.to_owned()),
            ("serve.pop3", r#"["127.0.0.1:0"]"#.to_owned()),
            ("serve.pop3s", r#"["127.0.0.1:0"]"#.to_owned()),
            ("relayd.smtp", r#"["127.0.0.1:0"]"#.to_owned()),
            ("relayd.submission", r#"["127.0.0.1:0"]"#.to_owned()),
            ("relayd.submissions", r#"["127.0.0.1:0"]"#.to_owned()),
            ("relayd.lmtp", format!("[\"unix:{}\"]", house.path("run/lmtp").display())),
            ("relayd.local", format!("\"unix:{}\"", house.path("run/submit").display())),
            ("relayd.control", format!("\"unix:{}\"", house.path("run/control").display())),
        ];
        for (key, value) in settings {
            house.put(key, value);
        }
        house.write(
            "accounts",
            "alice@example.org:{PLAIN}wonderland::::::\nbob@example.org:{PLAIN}builder::::::\n",
        );
        house.write("aliases", "");
        house.certify();
        house.save();
        house
    }

    /// Sets one configuration key, `section.key` or `key`, to a TOML value as it is written in the file, and
    /// writes the file: `house.set("relayd.smarthost", "\"smtp://127.0.0.1:25\"")`.
    pub fn set(&mut self, key: &str, value: impl Into<String>) -> &mut House {
        self.put(key, value.into());
        self.save();
        self
    }

    /// Takes keys away again, so that they have their defaults.
    pub fn unset(&mut self, keys: &[&str]) -> &mut House {
        for key in keys {
            let (section, key) = key.rsplit_once('.').unwrap_or(("", key));
            self.settings.get_mut(section).and_then(|keys| keys.remove(key)).unwrap();
        }
        self.save();
        self
    }

    /// A path in the house.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.path("posthaste.toml")
    }

    /// The Maildir of a user of example.org.
    pub fn maildir(&self, user: &str) -> PathBuf {
        self.path("mail/example.org").join(user)
    }

    /// The messages in a Maildir's folder (`""` is INBOX, `.Junk` a folder), new and seen, sorted by name.
    pub fn messages(&self, user: &str, folder: &str) -> Vec<PathBuf> {
        let folder = self.maildir(user).join(folder);
        let mut found: Vec<PathBuf> = ["new", "cur"]
            .iter()
            .filter_map(|part| fs::read_dir(folder.join(part)).ok())
            .flatten()
            .map(|entry| entry.unwrap().path())
            .collect();
        found.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
        found
    }

    /// Waits until a user has so many messages in INBOX.
    pub fn wait_messages(&self, user: &str, count: usize) {
        let begun = std::time::Instant::now();
        loop {
            let found = self.messages(user, "").len();
            if found >= count {
                return;
            }
            assert!(begun.elapsed() < super::PATIENCE, "{user} has {found} of {count} messages");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// Writes a file of the house, readable by its owner only.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// A command of ours that knows the house's configuration (`-C`), with nobody's environment.
    pub fn command(&self, name: &str) -> Command {
        let mut command = self.bare(name);
        command.arg("-C").arg(self.config());
        command
    }

    /// A command of ours without a configuration file; HOME is the house.
    pub fn bare(&self, name: &str) -> Command {
        let mut command = Command::new(program(name));
        command
            .env_remove("XDG_CONFIG_HOME")
            .env("HOME", &self.dir)
            .env("TZ", "UTC")
            .env("LC_ALL", "C.UTF-8");
        command.current_dir(&self.dir);
        command
    }

    fn put(&mut self, key: &str, value: String) {
        let (section, key) = key.rsplit_once('.').unwrap_or(("", key));
        self.settings.entry(section.to_owned()).or_default().insert(key.to_owned(), value);
    }

    fn save(&self) {
        let mut text = String::new();
        // "" sorts first: the keys without a section.
        for (section, keys) in &self.settings {
            if !section.is_empty() {
                text += &format!("\n[{section}]\n");
            }
            for (key, value) in keys {
                text += &format!("{key} = {value}\n");
            }
        }
        self.write("posthaste.toml", text);
    }

    /// A self-signed certificate for localhost, 127.0.0.1, ::1 and mx.example.org: its own authority, so that
    /// `cert.pem` is also what a client trusts.
    fn certify(&self) {
        let (certificate, key) =
            certificate::make(&["mx.example.org", "localhost", "127.0.0.1", "::1"]).unwrap();
        self.write("cert.pem", certificate);
        self.write("key.pem", key);
    }
}

impl Default for House {
    fn default() -> House {
        House::new()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

impl AsRef<Path> for House {
    fn as_ref(&self) -> &Path {
        &self.dir
    }
}
