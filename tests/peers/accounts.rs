//! One file of accounts for Dovecot and us.

use crate::kit::{self, house::House};
use assert_cmd::Command;
use posthaste::account::password::{LONGEST, Password};
use std::{
    cell::Cell,
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Stdio},
    time::Instant,
};

/// Passwords that a person may have.
const PASSWORDS: [&str; 4] = ["pencil", "two words", "tëst ✓", "%u $x `y` \\ \" '"];

/// A Dovecot that only authenticates, against one passwd-file.
struct Dovecot {
    house: House,
    child: Child,
    asked: Cell<u8>,
}

impl Dovecot {
    /// `None` where it is not installed, or where we are not root, which it must be.
    fn start(house: House) -> Option<Dovecot> {
        let program = kit::peer("dovecot")?;
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: dovecot must be started as root");
            return None;
        }
        // Its processes are nobody's, and must reach the file.
        fs::set_permissions(&house, fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(house.path("accounts"), fs::Permissions::from_mode(0o644)).unwrap();
        let dir = house.as_ref().display();
        let config = format!(
            "base_dir = {dir}/dovecot\nlog_path = {dir}/dovecot.log\nssl = no\nprotocols =\n\
             default_login_user = nobody\ndefault_internal_user = nobody\ndefault_internal_group = nogroup\n\
             auth_mechanisms = plain\nauth_failure_delay = 0\n\
             passdb {{\n driver = passwd-file\n args = username_format=%Lu {dir}/accounts\n}}\n\
             userdb {{\n driver = static\n args = uid=65534 gid=65534 home=/nonexistent\n}}\n"
        );
        let config = house.write("dovecot.conf", config);
        let child = std::process::Command::new(program)
            .arg("-F")
            .arg("-c")
            .arg(config)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let dovecot = Dovecot { house, child, asked: Cell::new(0) };
        let begun = Instant::now();
        while !dovecot.house.path("dovecot/auth-client").exists() {
            assert!(begun.elapsed() < kit::PATIENCE, "{}", dovecot.log());
            std::thread::yield_now();
        }
        Some(dovecot)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.house.path("dovecot.log")).unwrap_or_default()
    }

    fn opens(&self, login: &str, password: &str) -> bool {
        // Each from an address of its own, since failures slow the next of an address down.
        self.asked.set(self.asked.get() + 1);
        let from = format!("rip=192.0.2.{}", self.asked.get());
        let output = doveadm(&self.house.path("dovecot.conf"))
            .args(["auth", "test", "-x", "service=smtp", "-x", &from, login])
            .write_stdin(format!("{password}\n"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("auth succeeded") || said.contains("auth failed"), "{output:?} {}", self.log());
        said.contains("auth succeeded")
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        let _ = doveadm(&self.house.path("dovecot.conf")).arg("stop").output();
        let _ = self.child.wait();
    }
}

fn doveadm(config: &Path) -> Command {
    let mut command = Command::new("doveadm");
    command.arg("-c").arg(config);
    command
}

#[test]
fn dovecot_authenticates_against_a_file_that_mail_user_wrote() {
    let house = House::new();
    house.write("accounts", "");
    let schemes = ["scram-sha-256", "argon2id"];
    let accounts: Vec<(String, &str, &str)> = (PASSWORDS.iter().enumerate())
        .flat_map(|(n, password)| {
            schemes.map(|scheme| (format!("u{n}-{scheme}@example.org"), *password, scheme))
        })
        .collect();
    for (name, password, scheme) in &accounts {
        let line = ["add", name, "--scheme", scheme, "--quota", "1G"];
        let mut command = Command::from(house.command("mail-user"));
        command.args(line).write_stdin(format!("{password}\n")).assert().success();
    }
    Command::from(house.command("mail-user")).args(["add", "shut", "--no-login"]).assert().success();
    let Some(dovecot) = Dovecot::start(house) else { return };
    for (name, password, _) in &accounts {
        assert!(dovecot.opens(name, password), "{name} {password}");
        assert!(!dovecot.opens(name, "other"), "{name}");
    }
    assert!(!dovecot.opens("shut@example.org", "!"));
    assert!(!dovecot.opens("nobody@example.org", "x"));
}

#[test]
fn we_verify_what_doveadm_wrote() {
    if kit::peer("doveadm").is_none() {
        return;
    }
    let house = House::new();
    let config = house.write("dovecot.conf", "ssl = no\n");
    for scheme in
        ["SCRAM-SHA-256", "ARGON2ID", "ARGON2I", "SHA512-CRYPT", "SHA256-CRYPT", "BLF-CRYPT", "PLAIN"]
    {
        for password in PASSWORDS {
            let output = doveadm(&config).args(["pw", "-s", scheme, "-p", password]).output().unwrap();
            let field = String::from_utf8(output.stdout).unwrap();
            let stored = Password::parse(field.trim_end_matches('\n'))
                .unwrap_or_else(|unusable| panic!("{field}: {unusable:?}"));
            assert_eq!(stored.scheme(), scheme);
            assert!(stored.is(password.as_bytes()), "{field} {password}");
            assert!(!stored.is(b"other") && !stored.is(b""), "{field}");
            assert!(!stored.is(&vec![b'x'; LONGEST + 1]));
        }
    }
}
