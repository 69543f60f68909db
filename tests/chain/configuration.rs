//! Which configuration a program of a user reads, and where its passwords come from.

use crate::kit::{house::House, sink::Sink};
use std::{
    fs,
    process::{Command, Output},
};

fn output(command: &mut Command) -> (i32, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (
        status.code().unwrap(),
        [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat(),
    )
}

#[test]
fn a_users_own_file_is_found_by_xdg_or_home_and_c_goes_before() {
    let house = House::new();
    for (folder, text) in [(".config", "hostname = 1\n"), ("xdg", "hostname = 2\n")] {
        fs::create_dir_all(house.path(folder).join("posthaste")).unwrap();
        house.write(&format!("{folder}/posthaste/posthaste.toml"), text);
    }
    let check = |command: &mut Command| output(command.arg("--check-config"));
    let (status, said) = check(&mut house.bare("mail-send"));
    assert_eq!(status, 78, "{said}");
    assert!(said.contains("/.config/posthaste/posthaste.toml:1:12: hostname: expected a string"), "{said}");
    let (status, said) = check(house.bare("mail-send").env("XDG_CONFIG_HOME", house.path("xdg")));
    assert_eq!(status, 78, "{said}");
    assert!(said.contains("/xdg/posthaste/posthaste.toml:1:12: "), "{said}");
    // A relative one is to be ignored (XDG Base Directory Specification).
    let (_, said) = check(house.bare("mail-send").env("XDG_CONFIG_HOME", "xdg"));
    assert!(said.contains("/.config/"), "{said}");
    let (status, said) = check(&mut house.command("mail-send"));
    assert_eq!((status, said), (0, format!("{}: no faults\n", house.config().display())));
}

#[test]
fn a_password_comes_from_a_credential_that_systemd_passes() {
    let (house, sink) = (House::new(), Sink::start());
    sink.offer(&["AUTH PLAIN"]);
    fs::create_dir(house.path("credentials")).unwrap();
    fs::write(house.path("credentials/mail"), "hush\n").unwrap();
    let server = format!("smtp://me@{}", sink.address());
    let text = format!("[send.work]\nserver = \"{server}\"\npassword_credential = \"mail\"\n");
    house.write("send.toml", text);
    let run = |credentials: Option<&str>| {
        let mut command = house.bare("mail-send");
        command.args(["-C", "send.toml", "-a", "work", "--from", "me@example.org", "--to", "a@example.org"]);
        command.args(["--body", "x"]).env_remove("CREDENTIALS_DIRECTORY");
        credentials.map(|folder| command.env("CREDENTIALS_DIRECTORY", house.path(folder)));
        output(&mut command)
    };
    let (status, said) = run(None);
    assert_eq!(status, 78, "{said}");
    assert!(said.contains("LoadCredential=mail:FILE"), "{said}");
    run(Some("credentials"));
    let lines = sink.lines();
    // The sink does not know AUTH; what it was given is in its lines: \0me\0hush.
    assert!(lines.iter().any(|line| line == "AUTH PLAIN AG1lAGh1c2g="), "{lines:?}");
}
