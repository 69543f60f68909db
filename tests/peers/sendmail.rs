//! Programs that know nothing of us call `/usr/sbin/sendmail`: cron, mail readers, languages, git. Each runs where that
//! name is ours, in a mount namespace of its own, with no flag or variable that leads to our configuration.

use crate::kit::{self, daemon::Daemon, house::House};
use std::{
    env, fs,
    io::Write,
    os::unix::{
        fs::{PermissionsExt, symlink},
        process::CommandExt as _,
    },
    path::PathBuf,
    process::{Command, Output, Stdio},
    thread,
};

/// A machine whose /etc and sendmail are ours for those who are started in it.
struct Machine {
    house: House,
    daemon: Option<Daemon>,
}

impl Machine {
    fn start() -> Option<Machine> {
        if !rustix::process::geteuid().is_root() {
            let said = "only root can put a sendmail in the place of another";
            assert!(env::var("CI").as_deref() != Ok("true"), "{said}");
            eprintln!("skipped: {said}");
            return None;
        }
        // Somebody's must be there to be hidden: Postfix's, where .ci/run was.
        for name in ["unshare", "sendmail"] {
            kit::peer(name)?;
        }
        let house = House::new();
        let copied = Command::new("cp").args(["-a", "/etc"]).arg(house.path("etc")).status().unwrap();
        assert!(copied.success());
        fs::create_dir_all(house.path("etc/posthaste")).unwrap();
        let machine = Machine { daemon: Some(Daemon::start(&house, "mail-relayd")), house };
        machine.configure();
        Some(machine)
    }

    /// Puts the configuration where every program finds it.
    fn configure(&self) {
        let config = self.house.path("etc/posthaste/posthaste.toml");
        fs::copy(self.house.config(), &config).unwrap();
        fs::set_permissions(config, fs::Permissions::from_mode(0o644)).unwrap();
    }

    /// A command of this machine, with cron's environment; `more` are lines of shell that come first.
    fn command(&self, namespaces: &[&str], more: &str, words: &[&str]) -> Command {
        let script = format!(
            "set -e; umask 077; mount --bind {} /etc; mount --bind {} /usr/sbin/sendmail\n{more}\nexec \"$@\"",
            self.house.path("etc").display(),
            kit::program("mail-send").display()
        );
        let mut command = Command::new("unshare");
        command.arg("--mount").args(namespaces).args(["--", "sh", "-c", &script, "machine"]).args(words);
        command.env_clear().envs([
            ("HOME", "/root"),
            ("LOGNAME", "root"),
            ("SHELL", "/bin/sh"),
            ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
            ("LANG", "C"),
        ]);
        command.current_dir("/");
        command
    }

    fn run(&self, words: &[&str], input: &[u8]) -> Output {
        fed(self.command(&[], "", words), input)
    }

    /// The only message that alice has; it is taken away.
    fn take(&self, of: &str) -> String {
        self.house.wait_messages("alice", 1);
        let mut found = self.house.messages("alice", "");
        assert_eq!(found.len(), 1, "{of}");
        let text = String::from_utf8_lossy(&fs::read(&found[0]).unwrap()).into_owned();
        fs::remove_file(found.remove(0)).unwrap();
        text
    }
}

/// Runs a command with `input` on its stdin.
fn fed(mut command: Command, input: &[u8]) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let feeder = thread::spawn(move || {
        // Who refuses early closes its input.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    output
}

/// The message of cron's two ways below: a dot alone does not end it, octets over 127 stay.
const SAID: &str = "gr\u{fc}n\nFrom the job\n.\nafter\n";

#[test]
fn cron_itself_mails_what_a_job_says_to_whoever_reads_roots_mail() {
    if kit::peer("cron").is_none() {
        return;
    }
    let Some(machine) = Machine::start() else { return };
    let house = machine.house.path("");
    let at = |name: &str| house.join(name);
    for empty in ["etc/cron.d", "etc/crontab"] {
        let _ = fs::remove_dir_all(at(empty));
        let _ = fs::remove_file(at(empty));
    }
    fs::create_dir(at("etc/cron.d")).unwrap();
    fs::write(at("etc/crontab"), "").unwrap();
    machine.house.write("said", SAID);
    // At the start, so that nobody waits for a full minute.
    machine.house.write("root", format!("@reboot cat {}\n", at("said").display()));
    let more = format!(
        "mount -t tmpfs tmpfs /run; mount -t tmpfs tmpfs /var/spool/cron; mkdir /var/spool/cron/crontabs\n\
         cp {root} /var/spool/cron/crontabs/root; chmod 600 /var/spool/cron/crontabs/root",
        root = at("root").display()
    );
    let mut command = machine.command(
        &["--pid", "--fork", "--kill-child", "--mount-proc"],
        &more,
        &["cron", "-f", "-L", "0"],
    );
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(at("cron.log")).unwrap());
    let cron = Ending(command.process_group(0).spawn().unwrap());
    let got = machine.take("cron");
    drop(cron);
    assert!(got.starts_with("Return-Path: <root@mx.example.org>\n"), "{got}");
    assert!(got.contains("\nFrom: root (Cron Daemon)\nTo: root\nSubject: Cron <root@"), "{got}");
    assert!(got.ends_with(&format!("\n\n{SAID}")), "{got}");
}

/// A process that goes with the test.
struct Ending(std::process::Child);

impl Drop for Ending {
    fn drop(&mut self) {
        // With it goes all that its pid namespace holds.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// As cron(8) of Debian has it: do_command.c, MAILFMT.
const CRON: [&str; 6] = ["/usr/sbin/sendmail", "-i", "-FCronDaemon", "-B8BITMIME", "-oem", "root"];

#[test]
fn crons_command_line_is_75_while_the_daemon_is_down_and_loses_nothing_after() {
    let Some(mut machine) = Machine::start() else { return };
    let message = format!("From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@mx> job\n\n{SAID}");
    assert!(machine.daemon.take().unwrap().stop().success());
    let output = machine.run(&CRON, message.as_bytes());
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(75), "{stderr}");
    let socket = machine.house.path("run/submit").display().to_string();
    assert!(stderr.starts_with("sendmail: ") && stderr.contains(&socket), "{stderr}");
    // A caller that keeps it and comes again is served.
    machine.daemon = Some(Daemon::start(&machine.house, "mail-relayd"));
    let output = machine.run(&CRON, message.as_bytes());
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let got = machine.take("cron's line");
    assert!(
        got.contains("\nDelivered-To: ") && got.ends_with(&format!("Subject: Cron <root@mx> job\n\n{SAID}"))
    );
    // An alias goes before the postmaster.
    machine.house.write("aliases", "root: bob\n");
    assert!(machine.run(&CRON, message.as_bytes()).status.success());
    machine.house.wait_messages("bob", 1);
}

const PHP: &str = "mail('alice@example.org', 'from php', stream_get_contents(STDIN), ['From' => 'bob@example.org']) or exit(1);";
const PYTHON: &str = r#"
import subprocess, sys
from email.message import EmailMessage
message = EmailMessage()
message["To"], message["From"], message["Subject"] = "alice@example.org", "bob@example.org", "from python3"
message.set_content(sys.stdin.read())
subprocess.run(["/usr/sbin/sendmail", "-t", "-oi"], input=message.as_bytes(), check=True)
"#;

#[test]
fn mail_programs_and_languages_send_by_the_sendmail_that_they_were_built_for() {
    let Some(machine) = Machine::start() else { return };
    let body = "plain\n.dot\nlast\n";
    let callers: [&[&str]; 6] = [
        &["bsd-mailx", "-s", "from bsd-mailx", "-r", "bob@example.org", "alice@example.org"],
        &[
            "s-nail",
            "-:/",
            "-Sv15-compat",
            "-Ssendwait",
            "-Sfrom=bob@example.org",
            "-s",
            "from s-nail",
            "alice@example.org",
        ],
        &[
            "mutt",
            "-F",
            "/dev/null",
            "-e",
            "set from=bob@example.org copy=no use_envelope_from=yes",
            "-s",
            "from mutt",
            "--",
            "alice@example.org",
        ],
        &["php", "-n", "-r", PHP],
        &["python3", "-c", PYTHON],
        &[
            "sh",
            "-c",
            "(echo Subject: from sh; echo To: alice@example.org; echo; cat) | sendmail -t -f bob@example.org -i",
        ],
    ];
    for words in callers {
        let Some(program) = kit::peer(words[0]) else { continue };
        let mut line = vec![program.to_str().unwrap()];
        line.extend(&words[1..]);
        let output = machine.run(&line, body.as_bytes());
        assert!(output.status.success(), "{words:?}: {output:?}");
        let got = machine.take(words[0]);
        assert!(got.contains(&format!("\nSubject: from {}\n", words[0])), "{got}");
        // PHP gives one more line end.
        let (head, text) = got.split_once("\n\n").unwrap();
        assert!(head.contains("\nFrom: ") && head.contains("bob@example.org"), "{got}");
        assert_eq!(text.trim_end(), body.trim_end(), "{got}");
    }
}

#[test]
fn git_sends_patches_by_it() {
    let Some(git) = kit::peer("git") else { return };
    let Some(machine) = Machine::start() else { return };
    let libexec = Command::new(&git).arg("--exec-path").output().unwrap().stdout;
    let libexec = PathBuf::from(String::from_utf8(libexec).unwrap().trim());
    if !libexec.join("git-send-email").exists() {
        kit::peer("git-send-email");
        return;
    }
    let dir = machine.house.path("repository");
    fs::create_dir(&dir).unwrap();
    let run = |words: &[&str]| {
        let mut line = vec![git.to_str().unwrap(), "-C", dir.to_str().unwrap()];
        line.extend(["-c", "user.name=Bob B\u{fc}ro", "-c", "user.email=bob@example.org"]);
        line.extend(words);
        let output = machine.run(&line, b"");
        assert!(output.status.success(), "{words:?}: {output:?}");
    };
    run(&["init", "-q"]);
    fs::write(dir.join("file"), "gr\u{fc}n\n.\n").unwrap();
    run(&["add", "file"]);
    run(&["commit", "-q", "-m", "From here on: gr\u{fc}n"]);
    run(&["format-patch", "-q", "-1"]);
    let sendmail = "--smtp-server=/usr/sbin/sendmail";
    let patch = fs::read_dir(&dir).unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        (path.extension()? == "patch").then_some(path)
    });
    let patch = patch.unwrap();
    run(&[
        "send-email",
        "-q",
        sendmail,
        "--to=alice@example.org",
        "--confirm=never",
        "--envelope-sender=auto",
        patch.to_str().unwrap(),
    ]);
    let got = machine.take("git");
    assert!(got.starts_with("Return-Path: <bob@example.org>\n"), "{got}");
    assert!(got.contains("\n+gr\u{fc}n\n+.\n") && got.contains("X-Mailer: git-send-email"), "{got}");
}

#[test]
fn the_queue_is_shown_under_its_old_names_and_what_is_not_ours_is_named() {
    let Some(mut machine) = Machine::start() else { return };
    machine.daemon = None;
    // Nobody listens there: it waits.
    machine.house.set("relayd.smarthost", "\"smtp://127.0.0.1:9\"");
    machine.configure();
    machine.daemon = Some(Daemon::start(&machine.house, "mail-relayd"));
    let sent =
        machine.run(&["/usr/sbin/sendmail", "-f", "bob@example.org", "x@example.com"], b"Subject: x\n\n");
    assert!(sent.status.success(), "{sent:?}");
    machine.daemon.as_ref().unwrap().logged("put off");
    // As `make install` has it.
    let mailq = machine.house.path("mailq");
    symlink(kit::program("mail-queue"), &mailq).unwrap();
    for words in [&[mailq.to_str().unwrap()][..], &["sendmail", "-bp"]] {
        let output = machine.run(words, b"");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && said.contains("x@example.com"), "{words:?}: {output:?}");
    }
    assert!(machine.run(&["sendmail", "-q"], b"").status.success());
    // newaliases(1) is this in other systems; our aliases are a text file that needs no making.
    let output = machine.run(&["sendmail", "-bi"], b"");
    assert_eq!(output.status.code(), Some(64), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("-bi"), "{output:?}");
}
