//! The systemd units: one socket unit a listener, named by its configuration key; and systemd takes them.

use crate::kit;
use posthaste::cli::config::Config;
use std::{collections::BTreeSet, fs, path::Path, process::Command};

/// The tables of the daemons, and their keys that are listeners.
const LISTENERS: [(&str, &str, &[&str]); 2] = [
    ("mail-relayd", "relayd", &["smtp", "submission", "submissions", "lmtp", "local", "control"]),
    ("mail-serve", "serve", &["imap", "imaps", "pop3", "pop3s"]),
];

#[test]
fn every_listener_has_a_socket_unit_named_by_its_key() {
    let keys = Config::keys();
    let mut wanted = BTreeSet::new();
    for (program, table, listeners) in LISTENERS {
        for key in listeners {
            assert!(keys.contains(&format!("{table}.{key}")), "{table}.{key} is no configuration key");
            let name = format!("{program}-{key}.socket");
            let path = kit::root().join("contrib/systemd").join(&name);
            let text =
                fs::read_to_string(&path).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()));
            assert!(text.contains(&format!("\nFileDescriptorName={key}\n")), "{name}");
            assert!(text.contains(&format!("\nService={program}.service\n")), "{name}");
            wanted.insert(name);
        }
    }
    let sockets: BTreeSet<String> = fs::read_dir(kit::root().join("contrib/systemd"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".socket"))
        .collect();
    assert_eq!(sockets, wanted);
}

#[test]
fn systemd_has_nothing_to_say_about_the_units() {
    let Some(analyze) = kit::peer("systemd-analyze") else { return };
    let house = kit::house::House::new();
    let mut units = Vec::new();
    for entry in fs::read_dir(kit::root().join("contrib/systemd")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "service" || end == "socket") {
            // The programs must exist for systemd to be content; they need not be installed for that.
            let mut text = fs::read_to_string(&path).unwrap().replace("/bin/kill", "/bin/true");
            for (program, ..) in LISTENERS {
                text = text.replace(&format!("/usr/bin/{program}"), "/bin/true");
            }
            units.push(house.write(Path::new(path.file_name().unwrap()).to_str().unwrap(), text));
        }
    }
    let out = Command::new(analyze).args(["verify", "--man=no"]).args(&units).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    // What it says of other units of the machine is not ours.
    let ours: Vec<&str> =
        said.lines().filter(|line| LISTENERS.iter().any(|(program, ..)| line.contains(program))).collect();
    assert!(ours.is_empty() && out.status.success(), "{said}");
}
