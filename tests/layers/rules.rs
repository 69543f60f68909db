//! The rules.

use super::source::{Found, Source};

/// The most lines of a file.
const LINES: usize = 600;

/// The floors of ARCHITECTURE.md section 2. A file may import from lower floors and from its own room.
const FLOORS: [(&str, u8); 12] = [
    ("mail", 1),
    ("sys", 1),
    ("wire", 2),
    ("sieve", 2),
    ("store", 2),
    ("spool", 2),
    ("account", 2),
    ("net", 3),
    ("policy", 4),
    ("backend", 4),
    ("agent", 5),
    ("cli", 6),
];

/// Rooms that have no operating system under them.
const PURE: [&str; 3] = ["mail", "wire", "sieve"];

/// Rooms that are told the time.
const TIMELESS: [&str; 4] = ["mail", "wire", "sieve", "policy"];

/// What only an operating system has.
const SYSTEM: [&str; 9] = [
    "std::fs",
    "std::os",
    "std::process",
    "std::thread",
    "tokio",
    "rustix",
    "nix",
    "openssl::ssl",
    "crate::sys",
];

/// The backends behind each seam.
const BACKENDS: [(&str, &[&str]); 3] = [
    ("store", &["maildir", "memory"]),
    ("spool", &["disk", "memory"]),
    ("account", &["file", "exec", "memory"]),
];

const SOCKETS: [&str; 8] = [
    "TcpStream",
    "TcpListener",
    "TcpSocket",
    "UdpSocket",
    "UnixStream",
    "UnixListener",
    "UnixDatagram",
    "hickory_resolver",
];

const SHELLS: [&str; 8] =
    ["sh", "/bin/sh", "bash", "/bin/bash", "dash", "/usr/bin/sh", "/usr/bin/env", "SHELL"];

/// What is wrong with a file; `test` says that it is a test as a whole.
pub fn judge(name: &str, text: &str, test: bool) -> Vec<String> {
    let mut faults = Vec::new();
    let lines = text.lines().count();
    if lines > LINES {
        faults.push(format!("{lines} lines: cut it by idea, {LINES} is the most"));
    }
    for word in ["TO\u{44}O", "FIX\u{4d}E", "XX\u{58}"] {
        if text.contains(word) {
            faults.push(format!("holds {word}: do it, or file it"));
        }
    }
    let source = Source::read(name, text);
    for found in &source.words {
        match found.name.as_str() {
            word @ ("todo" | "unimplemented" | "dbg") => faults.push(format!("calls {word}!")),
            "unsafe" | "unsafe_code" if !name.starts_with("src/sys/") => {
                faults.push("holds unsafe code: only src/sys may".to_owned());
            }
            _ => {}
        }
    }
    if let Some(rest) = name.strip_prefix("src/") {
        let room = rest.split('/').next().unwrap().trim_end_matches(".rs");
        if room != "lib" {
            house(name, room, &source, test, &mut faults);
        }
    }
    if name.starts_with("bin/") {
        for path in &source.paths {
            if path.name.starts_with("crate::") && !path.name.starts_with("crate::cli::") {
                faults.push(format!("names {}: a program's main only calls its file in cli", path.name));
            }
        }
    }
    faults.sort();
    faults.dedup();
    faults
}

/// The rules for the library.
fn house(name: &str, room: &str, source: &Source, test: bool, faults: &mut Vec<String>) {
    let Some(own) = floor(room) else {
        faults.push(format!("{room} stands on no floor: give it one in ARCHITECTURE.md and here"));
        return;
    };
    for path in &source.paths {
        let mut words = path.name.split("::");
        if words.next() == Some("crate")
            && let Some(other) = words.next()
            && other != room
            && let Some(floor) = floor(other)
            && floor >= own
            // The machine makes queue ids; the nouns know nothing of the machine.
            && (room, other) != ("sys", "mail")
        {
            faults.push(format!("{} is imported, but {other} is not below {room}", path.name));
        }
    }
    let real = |found: &&Found| !found.test && !test;
    for path in source.paths.iter().filter(real) {
        let it = path.name.as_str();
        let is = |start: &str| it == start || it.starts_with(&format!("{start}::"));
        if !matches!(room, "net" | "backend") {
            let socket = it.split("::").any(|word| SOCKETS.contains(&word));
            if socket || is("tokio::net") || is("rustix::net") || is("nix::sys::socket") || is("listenfd") {
                faults.push(format!("{it}: a socket outside net"));
            }
        }
        if own < 6 && (is("std::env") || is("env")) {
            faults.push(format!("{it}: the environment is read in cli only"));
        }
        if own < 6 && (is("clap") || is("toml")) {
            faults.push(format!("{it}: flags and configuration belong to cli"));
        }
        if TIMELESS.contains(&room) && (it.ends_with("::now") || is("crate::sys::clock")) {
            faults.push(format!("{it}: {room} is told the time, it reads no clock"));
        }
        if PURE.contains(&room) && SYSTEM.iter().any(|start| is(start)) {
            faults.push(format!("{it}: {room} has no operating system under it"));
        }
        if name != "src/cli/open.rs"
            && let Some(backend) = backend(it, room)
        {
            faults.push(format!("{it}: the backend {backend} is named in cli/open.rs only"));
        }
    }
    for word in source.words.iter().filter(real) {
        match word.name.as_str() {
            "elapsed" if TIMELESS.contains(&room) => {
                faults.push(format!("elapsed: {room} is told the time, it reads no clock"));
            }
            it @ ("read_to_end" | "read_to_string")
                if room == "net" || name.starts_with("src/agent/relay") =>
            {
                faults.push(format!("{it}: a daemon streams, it never holds a whole message"));
            }
            it if room != "net" && room != "backend" && SOCKETS.contains(&it) => {
                faults.push(format!("{it}: a socket outside net"));
            }
            _ => {}
        }
    }
    for text in source.texts.iter().filter(real) {
        if SHELLS.contains(&text.name.as_str()) {
            faults.push(format!("{:?}: no shell of ours; commands are arrays of words", text.name));
        }
    }
}

fn floor(room: &str) -> Option<u8> {
    FLOORS.iter().find(|floor| floor.0 == room).map(|floor| floor.1)
}

/// The backend that a path from another room names.
fn backend(path: &str, room: &str) -> Option<String> {
    let mut words = path.split("::");
    let (Some("crate"), Some(seam), Some(module)) = (words.next(), words.next(), words.next()) else {
        return None;
    };
    let known = BACKENDS.iter().find(|known| known.0 == seam)?.1;
    (seam != room && known.contains(&module)).then(|| format!("{seam}::{module}"))
}
