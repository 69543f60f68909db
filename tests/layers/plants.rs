//! Planted lines: each rule must bite, and must bite nothing else.

use super::rules::judge;

#[test]
fn each_rule_bites_a_planted_line() {
    let long = "\n".repeat(601);
    let later = format!("// {}: later", "TO\u{44}O");
    let plants = [
        ("src/mail/x.rs", "use crate::wire::session::Step;", "not below"),
        ("src/mail/x.rs", "use crate::sys::disk;", "not below"),
        ("src/wire/smtp/x.rs", "use crate::{mail::flags, store::{Home, Store}};", "not below"),
        ("src/store/x.rs", "fn f() { crate::wire::session::go() }", "not below"),
        ("src/store/x.rs", "fn f() { super::super::wire::session::go() }", "not below"),
        ("src/spool/x.rs", "use crate::account::Directory;", "not below"),
        ("src/net/x.rs", "fn f() -> crate::agent::Send {}", "not below"),
        ("src/agent/x.rs", "use crate::cli::exit;", "not below"),
        ("src/agent/x.rs", "#[cfg(test)] mod tests { use crate::cli::exit; }", "not below"),
        ("src/mail/x.rs", "mod inner { use super::super::super::net::dial; }", "not below"),
        ("bin/mail-x.rs", "fn main() { posthaste::agent::x::go() }", "only calls its file"),
        ("src/attic/x.rs", "", "no floor"),
        ("src/agent/x.rs", "use std::net::{IpAddr, TcpStream};", "socket"),
        ("src/agent/x.rs", "use tokio::net::TcpListener;", "socket"),
        ("src/cli/x.rs", "fn f() { rustix::net::socket() }", "socket"),
        ("src/cli/x.rs", "use std::os::unix::net as u; fn f() { u::UnixStream::connect() }", "socket"),
        ("src/agent/x.rs", "fn f() { std::env::var() }", "environment"),
        ("src/net/x.rs", "use std::env; fn f() { env::var() }", "environment"),
        ("src/agent/x.rs", "#[derive(clap::Parser)] struct Flags;", "flags and configuration"),
        ("src/wire/x.rs", "fn f() { std::time::Instant::now() }", "clock"),
        ("src/mail/x.rs", "use std::time::SystemTime; fn f() { SystemTime::now() }", "clock"),
        ("src/policy/x.rs", "fn f(t: Instant) { t.elapsed() }", "clock"),
        ("src/wire/x.rs", "use std::fs::File;", "operating system"),
        ("src/mail/x.rs", "fn f() { std::process::exit() }", "operating system"),
        ("src/wire/x.rs", "use tokio::time;", "operating system"),
        ("src/agent/x.rs", "use crate::store::maildir::Maildir;", "backend"),
        ("src/cli/x.rs", "fn f() { crate::spool::disk::Disk::open() }", "backend"),
        ("src/agent/x.rs", "fn f() { Command::new(\"sh\") }", "no shell"),
        ("src/cli/x.rs", "fn f() { Command::new(r\"/bin/sh\") }", "no shell"),
        ("src/store/x.rs", "fn f() { unsafe { g() } }", "unsafe"),
        ("tests/x.rs", "#![allow(unsafe_code)]", "unsafe"),
        ("src/agent/relay/x.rs", "fn f() { body.read_to_end(&mut all) }", "streams"),
        ("src/agent/x.rs", "fn f() { todo!() }", "calls todo"),
        ("src/agent/x.rs", later.as_str(), "do it"),
        ("src/agent/x.rs", long.as_str(), "601 lines"),
    ];
    for (name, text, word) in plants {
        let faults = judge(name, text, false);
        assert!(faults.iter().any(|fault| fault.contains(word)), "{name}: {text}: {faults:?}");
    }
}

#[test]
fn innocent_lines_are_left_alone() {
    for (name, text) in [
        ("src/mail/x.rs", "use super::flags::Flags; use crate::mail::id; use std::net::IpAddr;"),
        ("src/store/maildir/x.rs", "use crate::{mail::id::QueueId, sys::disk}; use super::memory;"),
        ("src/sys/x.rs", "use crate::mail::id::QueueId;"),
        ("src/store/x.rs", "mod tests { use super::super::sys::disk; }"),
        (
            "src/agent/x.rs",
            "use crate::{store::{Store, Home}, spool::Spool, wire::session::Session, net::dial};",
        ),
        (
            "src/agent/x.rs",
            "#[cfg(test)] mod tests { use crate::store::memory::Memory; fn f() { Instant::now() } }",
        ),
        ("src/agent/x.rs", "#[test] fn f() { std::env::var() }"),
        ("src/cli/open.rs", "use crate::store::maildir::Maildir;"),
        ("src/cli/x.rs", "fn f() { std::env::args_os() }"),
        ("src/net/x.rs", "use tokio::net::TcpStream;"),
        ("src/sys/x.rs", "#![allow(unsafe_code)] fn f() { unsafe { g() } }"),
        (
            "src/wire/x.rs",
            "/// Not `std::fs::File`, unsafe or a `TcpStream`.\nfn f() { g(\"std::env::var unsafe\") }",
        ),
        ("src/wire/x.rs", "fn f() -> &'static str { env!(\"CARGO_PKG_VERSION\") }"),
        ("src/agent/x.rs", "fn f() { say(\"show\") }"),
        ("bin/mail-x.rs", "fn main() -> std::process::ExitCode { posthaste::cli::x::main() }"),
    ] {
        assert_eq!(judge(name, text, false), [""; 0], "{name}: {text}");
    }
}

#[test]
fn a_test_item_ends_where_it_ends() {
    let text = "#[cfg(test)] mod tests { fn f() {} }\nfn g() { std::env::var() }";
    assert_eq!(judge("src/net/x.rs", text, false).len(), 1);
    let text = "#[cfg(test)] use a::b;\nfn g() { std::env::var() }";
    assert_eq!(judge("src/net/x.rs", text, false).len(), 1);
}
