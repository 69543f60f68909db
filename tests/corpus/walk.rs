//! One message at a time: handed in, acknowledged, found in the Maildir, compared octet by octet, listed and shown, and put
//! by, to be served and fetched with the others.

use crate::kit::{daemon::Daemon, house::House};
use std::{
    cell::RefCell,
    fs,
    io::Write,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

/// The fields that may stand before a message's own first octet.
const TRACE: [&str; 6] = ["Return-Path", "Delivered-To", "Received", "Date", "Message-ID", "From"];

/// A house with a running daemon.
pub struct Chain {
    pub house: House,
    pub daemon: Daemon,
    /// What was taken, each by the base name of its file and what it is called.
    pub taken: RefCell<Vec<(String, String)>>,
}

impl Chain {
    pub fn start() -> Chain {
        let mut house = House::new();
        house.set("size_limit", "\"20M\"").set("serve.allow_plaintext", r#"["127.0.0.0/8"]"#);
        for part in ["tmp", "new", "cur"] {
            fs::create_dir_all(house.maildir("bob").join(part)).unwrap();
        }
        let daemon = Daemon::start(&house, "mail-relayd");
        Chain { house, daemon, taken: RefCell::default() }
    }

    /// Gives `octets` to mail-send, for alice by SMTP as from another server.
    pub fn send(&self, octets: &[u8]) -> Output {
        let mut command = self.house.bare("mail-send");
        command.arg("--server").arg(format!("smtp://{}", self.daemon.address("smtp")));
        command.args(["-f", "sender@example.net", "alice@example.org"]);
        given(command, octets)
    }

    /// The only message that alice has, once it is listed and shown. Its file goes to bob, whose mail is served.
    pub fn take(&self, name: &str) -> Vec<u8> {
        let mut found = self.house.messages("alice", "");
        assert_eq!(found.len(), 1, "{name}: {}", self.daemon.log());
        let path = found.remove(0);
        self.read_by_us(name, &path);
        let octets = fs::read(&path).unwrap();
        let base = path.file_name().unwrap().to_str().unwrap();
        fs::rename(&path, self.house.maildir("bob").join("new").join(base)).unwrap();
        self.taken.borrow_mut().push((base.to_owned(), name.to_owned()));
        octets
    }

    fn read_by_us(&self, name: &str, path: &PathBuf) {
        let listed = self.house.bare("mail-list").arg(self.house.maildir("alice")).output().unwrap();
        let said = String::from_utf8(listed.stdout).unwrap();
        assert_eq!(said.trim_end(), path.to_str().unwrap(), "{name}");
        for how in [&[][..], &["--json"]] {
            let shown = self.house.bare("mail-show").args(how).arg(path).output().unwrap();
            assert!(shown.status.success(), "{name}: {}", String::from_utf8_lossy(&shown.stderr));
            let said = String::from_utf8(shown.stdout).unwrap_or_else(|_| panic!("{name}: not UTF-8"));
            // What a message holds can't steer a terminal.
            assert!(!said.contains('\u{1b}') && !said.contains('\u{7}'), "{name}: {said:?}");
            if !how.is_empty() {
                serde_json::from_str::<serde_json::Value>(&said).unwrap();
            }
        }
    }

    /// Sends, and demands the same octets behind our trace fields.
    pub fn arrives(&self, name: &str, octets: &[u8]) {
        let sent = self.send(octets);
        assert!(sent.status.success(), "{name}: {}", String::from_utf8_lossy(&sent.stderr));
        self.matches(name, octets, &self.take(name));
    }

    /// `got` is `octets` behind trace fields.
    pub fn matches(&self, name: &str, octets: &[u8], got: &[u8]) {
        // An mbox's first line stays the first.
        let mbox =
            octets.starts_with(b"From ").then(|| octets.split_inclusive(|&octet| octet == b'\n').next());
        let mbox = mbox.flatten().unwrap_or_default();
        let rest = got.strip_prefix(mbox).unwrap_or(got);
        let trace = rest.strip_suffix(octets.strip_prefix(mbox).unwrap_or(octets)).unwrap_or_else(|| {
            let _ = fs::write(std::env::temp_dir().join("posthaste-corpus-expected"), octets);
            let _ = fs::write(std::env::temp_dir().join("posthaste-corpus-got"), got);
            panic!(
                "{name}: other octets; both are in posthaste-corpus-* of the directory for temporary files"
            )
        });
        for line in std::str::from_utf8(trace).unwrap().lines() {
            let known = TRACE.iter().any(|field| line.starts_with(&format!("{field}: ")));
            assert!(known || line.starts_with([' ', '\t']), "{name}: {line:?} before the message");
        }
    }
}

/// Runs a command with `octets` as its standard input.
pub fn given(mut command: Command, octets: &[u8]) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let octets = octets.to_owned();
    let feeder = std::thread::spawn(move || {
        // A program that refuses early closes its input.
        let _ = input.write_all(&octets);
    });
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    output
}
