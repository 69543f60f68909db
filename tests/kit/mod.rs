//! What the tests share. Every test binary says `mod kit;` and takes what it needs.
//!
//! - [`house::House`]: a directory with two accounts, a configuration and a certificate, gone when dropped.
//! - [`daemon::Daemon`]: a program of ours kept running; port 0, a line of bound ports, ended when dropped.
//! - [`talk`]: dialogues (`tests/talk/*/*.talk`), played against a session or a program.
//! - [`zone::Zone`]: a DNS server on loopback that answers from a small table.
//! - [`sink::Sink`]: an SMTP server that keeps what it gets, and can refuse or hang up at any stage.
//! - [`source::Source`]: a mailbox on a POP3 and IMAP server.
//! - [`smtp::Speaker`]: an SMTP client that says one line after another.
//! - [`lines::Lines`]: a client that says and hears lines.
//! - [`load::Load`]: messages from many connections, with a ledger of what was acknowledged.
//! - [`namespace::Network`]: a network of its own, with cables to others.
//! - [`postfix::Postfix`]: a Postfix of its own. [`dovecot::Dovecot`]: a Dovecot, and a client of its imapd.
//! - [`scratch::Scratch`]: an empty directory. [`power::Disk`]: one whose power can be cut.
//! - [`soak`]: whether the long runs are wanted.
//! - [`peer`]: asks for a foreign program.
//! - [`none_forgotten`]: no file in a binary's folder is left out.
#![allow(dead_code, unused_imports)]

pub mod daemon;
pub mod dovecot;
pub mod house;
pub mod lines;
pub mod load;
pub mod namespace;
pub mod postfix;
pub mod power;
pub mod scratch;
pub mod sink;
pub mod smtp;
pub mod source;
pub mod talk;
pub mod zone;

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// How long anything may take before a test gives up. Generous: it only bounds a test that has already failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// True when the long runs are wanted (`make soak`).
pub fn soak() -> bool {
    env::var("POSTHASTE_SOAK").as_deref() == Ok("1")
}

/// The project's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The path of one of our programs, as cargo built it for this test.
pub fn program(name: &str) -> PathBuf {
    if let Some(path) = env::var_os(format!("CARGO_BIN_EXE_{name}")) {
        return path.into();
    }
    // target/debug/deps/chain-0123 -> target/debug/NAME
    let own = env::current_exe().unwrap();
    let path = own.parent().and_then(Path::parent).unwrap().join(name);
    assert!(path.exists(), "{}: not built; run `cargo build --bins` first", path.display());
    path
}

/// A foreign program, by its name in PATH or one of the sbin directories. Where it is missing this says so and
/// answers `None`, and the test returns; with `CI=true` it is a failure instead.
pub fn peer(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = env::split_paths(&path).chain(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from));
    let found = dirs.map(|dir| dir.join(name)).find(|path| path.is_file());
    if found.is_none() {
        let said = format!("{name} is not installed (.ci/run lists the Debian packages)");
        assert!(env::var("CI").as_deref() != Ok("true"), "{said}");
        eprintln!("skipped: {said}");
    }
    found
}

/// Says what a test can't do without, and answers `None`; with `CI=true` it is a failure instead.
pub fn missing<T>(why: &str) -> Option<T> {
    assert!(env::var("CI").as_deref() != Ok("true"), "{why}");
    eprintln!("skipped: {why}");
    None
}

/// Fails when `tests/FOLDER/` holds a `.rs` file that `main` (the text of `tests/FOLDER.rs`) has no `mod` line for.
pub fn none_forgotten(folder: &str, main: &str) {
    let named: BTreeSet<String> = main
        .lines()
        .filter_map(|line| line.trim().trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';'))
        .map(str::to_owned)
        .collect();
    // A folder without a file is none in a fresh clone.
    for entry in fs::read_dir(root().join("tests").join(folder)).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "rs") {
            let name = path.file_stem().unwrap().to_str().unwrap();
            assert!(named.contains(name), "tests/{folder}/{name}.rs is not named in tests/{folder}.rs");
        }
    }
}
