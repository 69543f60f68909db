//! mail-user as a person uses it: what it says, what it leaves in the file, how it ends.

use crate::kit::{self, daemon::Daemon, house::House, smtp::Speaker};
use assert_cmd::Command;
use posthaste::account::password::Password;
use std::{
    fs,
    io::{Read, Write},
    process::{Output, Stdio},
};

fn user(house: &House, line: &[&str], stdin: &str) -> Output {
    Command::from(house.command("mail-user")).args(line).write_stdin(stdin).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("{output:?}"))
}

/// The password field of a name in the house's file.
fn field(house: &House, name: &str) -> String {
    let text = fs::read_to_string(house.path("accounts")).unwrap();
    let line =
        text.lines().find(|line| line.starts_with(&format!("{name}:"))).unwrap_or_else(|| panic!("{text}"));
    line.split(':').nth(1).unwrap().to_owned()
}

fn opens(house: &House, name: &str, password: &str) -> bool {
    Password::parse(&field(house, name)).is_ok_and(|stored| stored.is(password.as_bytes()))
}

#[test]
fn an_account_is_added_listed_changed_and_removed_and_its_mail_stays() {
    let house = House::new();
    house.write("accounts", "# ours\nalice@example.org:{PLAIN}wonderland::::::a=b\n\n# the end\n");
    let output = user(&house, &["add", "Dora"], "tower of babel\nnot this\n");
    assert_eq!((code(&output), said(&output).as_str()), (0, "dora@example.org: added\n"));
    assert!(opens(&house, "dora@example.org", "tower of babel"));
    assert!(field(&house, "dora@example.org").starts_with("{SCRAM-SHA-256}4096,"));
    assert!(!house.maildir("dora").exists(), "a Maildir comes with the first message");

    let output = user(&house, &["passwd", "dora", "--scheme", "argon2id"], "new\n");
    assert_eq!((code(&output), said(&output).as_str()), (0, "dora@example.org: password set\n"));
    assert!(opens(&house, "dora@example.org", "new") && !opens(&house, "dora@example.org", "tower of babel"));

    let output = user(&house, &["list"], "");
    let maildir = |name: &str| house.maildir(name).display().to_string();
    assert_eq!(
        said(&output),
        format!(
            "alice@example.org\tPLAIN\t-\t{}\ndora@example.org\tARGON2ID\t-\t{}\n",
            maildir("alice"),
            maildir("dora")
        )
    );

    fs::create_dir_all(house.maildir("dora")).unwrap();
    let output = user(&house, &["remove", "dora@example.org"], "");
    let stays = format!("dora@example.org: removed; its mail stays in {}\n", maildir("dora"));
    assert_eq!((code(&output), said(&output)), (0, stays));
    assert!(house.maildir("dora").exists());
    assert_eq!(
        fs::read_to_string(house.path("accounts")).unwrap(),
        "# ours\nalice@example.org:{PLAIN}wonderland::::::a=b\n\n# the end\n"
    );
}

#[test]
fn json_has_a_line_an_account() {
    let house = House::new();
    let output = user(
        &house,
        &["--json", "add", "dora", "--no-login", "--quota", "5M", "--send-as", "office@example.org"],
        "",
    );
    assert_eq!(said(&output), "{\"done\":\"added\",\"name\":\"dora@example.org\"}\n");
    let output = user(&house, &["list", "--json"], "");
    let text = said(&output);
    let dora: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(
        dora,
        serde_json::json!({
            "name": "dora@example.org", "id": "dora@example.org", "scheme": null, "quota": 5_242_880,
            "maildir": house.maildir("dora"), "send_as": ["office@example.org"],
        })
    );
}

#[test]
fn what_is_refused_changes_nothing_and_says_what_to_do() {
    let house = House::new();
    let before = fs::read_to_string(house.path("accounts")).unwrap();
    for (line, stdin, status, words) in [
        (&["add", "alice"][..], "x\n", 73, "mail-user passwd sets its password"),
        (&["add", "ALICE@example.org"], "x\n", 73, "there is such an account"),
        (&["add", "dora"], "", 65, "there is no password"),
        (&["add", "dora"], "\n", 65, "there is no password"),
        (&["add", "dora"], "a\tb\n", 65, "no control characters"),
        (&["add", "dora@elsewhere.example"], "x\n", 65, "none of accounts.domains (example.org)"),
        (&["add", "../dora"], "x\n", 64, "no account's name"),
        (&["add", "a:b"], "x\n", 64, "no account's name"),
        (&["add", "a b"], "x\n", 64, "no account's name"),
        (&["add", ".."], "x\n", 65, "its mail would have no folder"),
        (&["add", "dora", "--send-as", "nobody"], "x\n", 64, "--send-as nobody"),
        (&["add", "dora", "--quota", "5Q"], "x\n", 64, "is no size"),
        (&["add", "dora", "secret"], "x\n", 64, "unexpected argument"),
        (&["add", "dora", "--scheme", "md5"], "x\n", 64, "scram-sha-256"),
        (&["passwd", "dora"], "x\n", 67, "mail-user list names all"),
        (&["remove", "dora"], "", 67, "no such account"),
        (&[], "", 64, "add, list, remove or passwd"),
        (&["-C", "/no/such/file", "list"], "", 78, "posthaste.toml(5)"),
        (&["--file", "/no/such/file", "list"], "", 66, "/no/such/file"),
    ] {
        let output = match line.contains(&"-C") {
            true => Command::from(house.bare("mail-user")).args(line).output().unwrap(),
            false => user(&house, line, stdin),
        };
        assert_eq!(code(&output), status, "{line:?}: {output:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.starts_with("mail-user: ") && text.contains(words), "{line:?}: {text}");
        assert_eq!(fs::read_to_string(house.path("accounts")).unwrap(), before, "{line:?}");
    }
}

#[test]
fn a_broken_file_is_named_by_line_and_left_alone() {
    let house = House::new();
    house.write("accounts", "alice:{PLAIN}x\n\nalice:{PLAIN}y\n");
    let output = user(&house, &["add", "dora"], "x\n");
    assert_eq!(code(&output), 65);
    assert!(said(&output).contains("accounts:3: alice stands here a second time"), "{}", said(&output));
}

#[test]
fn it_works_on_a_file_alone() {
    let house = House::new();
    let run = |line: &[&str], stdin: &str| {
        Command::from(house.bare("mail-user")).args(line).write_stdin(stdin).output().unwrap()
    };
    assert_eq!(code(&run(&["--file", "users", "add", "dora"], "x\n")), 0);
    assert_eq!(said(&run(&["--file", "users", "list"], "")), "dora\tSCRAM-SHA-256\t-\tlocalhost/dora\n");
}

#[test]
fn the_configuration_can_be_checked() {
    let mut house = House::new();
    let output = user(&house, &["--check-config"], "");
    assert_eq!((code(&output), said(&output)), (0, format!("{}: no faults\n", house.config().display())));
    house.write("aliases", "root: alice\nlist: :include:/x\n");
    let output = user(&house, &["--check-config"], "");
    assert_eq!(code(&output), 78);
    assert!(said(&output).contains("aliases:2: lists from files (`:include:`)"), "{}", said(&output));
    house.set("relayd.stmp", "[]");
    let output = user(&house, &["list"], "");
    assert_eq!(code(&output), 78);
    assert!(
        said(&output).contains("unknown key `stmp` in [relayd]; did you mean `smtp`?"),
        "{}",
        said(&output)
    );
}

/// script(1) gives it a terminal.
#[test]
fn at_a_terminal_it_asks_twice_and_shows_nothing() {
    let Some(script) = kit::peer("script") else { return };
    for (first, second, status) in [("tower", "tower", 0), ("tower", "power", 65), ("tow\x03", "", 75)] {
        let house = House::new();
        let line =
            format!("{} -C {} add dora", kit::program("mail-user").display(), house.config().display());
        let mut child = std::process::Command::new(&script)
            .args(["-qefc", &line, "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut keys, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut shown = String::new();
        let mut wait = |what: &str, shown: &mut String| {
            let mut octet = [0];
            while !shown.ends_with(what) && screen.read(&mut octet).unwrap() == 1 {
                shown.push(octet[0].into());
            }
        };
        wait("New password for dora@example.org: ", &mut shown);
        write!(keys, "{first}\r").unwrap();
        if !second.is_empty() {
            wait("Once more: ", &mut shown);
            write!(keys, "{second}\r").unwrap();
        }
        wait("never shown", &mut shown);
        assert_eq!(child.wait().unwrap().code(), Some(status), "{shown}");
        assert!(!shown.contains("tow") && !shown.contains("pow"), "{shown}");
        assert_eq!(
            fs::read_to_string(house.path("accounts")).unwrap().contains("dora"),
            status == 0,
            "{shown}"
        );
    }
}

#[test]
fn a_running_daemon_heeds_every_change_at_once() {
    let house = House::new();
    let daemon = Daemon::start(&house, "mail-relayd");
    let login = |password: &str| {
        let mut speaker = Speaker::tcp(daemon.tcp("submission")).hello().secure();
        speaker.login("dora", password).get(..3).unwrap_or_default().to_owned()
    };
    let known = || {
        let mut stranger = Speaker::tcp(daemon.tcp("smtp")).hello();
        stranger.say("MAIL FROM:<a@example.net>");
        stranger.say("RCPT TO:<dora@example.org>").get(..9).unwrap_or_default().to_owned()
    };
    let change = |line: &[&str], stdin: &str| assert_eq!(code(&user(&house, line, stdin)), 0, "{line:?}");
    assert_eq!((login("one"), known()), ("535".into(), "550 5.1.1".into()));
    change(&["add", "dora"], "one\n");
    assert_eq!((login("one"), known()), ("235".into(), "250 2.1.5".into()));
    change(&["passwd", "dora"], "two\n");
    assert_eq!((login("one"), login("two")), ("535".into(), "235".into()));
    change(&["remove", "dora"], "");
    assert_eq!((login("two"), known()), ("535".into(), "550 5.1.1".into()));
    // A slip of the pen in the file changes nothing, and the log says where.
    house.write("accounts", "alice:{PLAIN}x\nalice:{PLAIN}y\n");
    let mut stranger = Speaker::tcp(daemon.tcp("smtp")).hello();
    stranger.say("MAIL FROM:<a@example.net>");
    assert!(stranger.say("RCPT TO:<bob@example.org>").starts_with("250"));
    daemon.logged("accounts:2: alice stands here a second time");
}
