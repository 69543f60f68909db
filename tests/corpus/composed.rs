//! Messages that foreign programs compose at test time and hand to us as they hand them to any sendmail.

use super::{
    served,
    walk::{Chain, given},
};
use crate::kit::{peer, program};
use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

const SUBJECTS: [&str; 5] =
    ["plain", "Grüße aus Köln", "日本語の件名", "a \"quoted\" subject, with: signs; and <angles>", "x"];

/// A sendmail of ours that keeps what it was given in `taken`.
fn sendmail(chain: &Chain) -> (PathBuf, PathBuf) {
    let dir = chain.house.path("bin");
    fs::create_dir(&dir).unwrap();
    symlink(program("mail-send"), dir.join("sendmail")).unwrap();
    let (script, taken) = (dir.join("keep"), dir.join("taken"));
    // /bin/sh here plays the user's mail program, not a part of ours.
    let text = format!(
        "#!/bin/sh\ncat > {taken}\nexec {dir}/sendmail -C {config} \"$@\" < {taken}\n",
        taken = taken.display(),
        dir = dir.display(),
        config = chain.house.config().display()
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    (script, taken)
}

/// Runs a composer that calls our sendmail, and compares what it gave with what arrived.
fn composed(chain: &Chain, name: &str, command: Command, input: &str, taken: &Path) {
    let done = given(command, input.as_bytes());
    assert!(
        done.status.success(),
        "{name}: {}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
    // PHP ends the lines of its header with CR LF.
    let mut octets = String::from_utf8(fs::read(taken).unwrap()).unwrap().replace("\r\n", "\n").into_bytes();
    assert!(!octets.is_empty(), "{name}");
    if octets.last() != Some(&b'\n') {
        octets.push(b'\n');
    }
    chain.matches(name, &octets, &chain.take(name));
}

fn body(n: usize) -> String {
    let lines = [
        "plain text",
        "ümläute – and €",
        ".leading dot",
        "From the start",
        "日本語",
        ">quoted",
        "trailing space ",
    ];
    (0..=n).map(|line| format!("{} {line}\n", lines[line % lines.len()])).collect()
}

#[test]
fn mutt_composes() {
    let Some(mutt) = peer("mutt") else { return };
    let chain = Chain::start();
    let (script, taken) = sendmail(&chain);
    for n in 0..25 {
        let mut command = Command::new(&mutt);
        command
            .env("HOME", chain.house.path(""))
            .env("LC_ALL", "C.UTF-8")
            .env("TERM", "dumb")
            .current_dir(&chain.house);
        command.args(["-F", "/dev/null", "-e", &format!("set sendmail=\"{}\"", script.display())]);
        command.args(["-e", "set from=bob@example.org; set copy=no; set charset=utf-8"]);
        for part in 0..n % 3 {
            let name = format!("part {part} ü.txt");
            chain.house.write(&name, body(n * 10));
            command.arg("-a").arg(chain.house.path(&name));
        }
        command.args(["-s", SUBJECTS[n % SUBJECTS.len()], "--", "alice@example.org"]);
        composed(&chain, &format!("mutt {n}"), command, &body(n), &taken);
    }
    served::all(&chain);
}

#[test]
fn s_nail_composes() {
    let Some(s_nail) = peer("s-nail") else { return };
    let chain = Chain::start();
    let (script, taken) = sendmail(&chain);
    for n in 0..20 {
        let mut command = Command::new(&s_nail);
        command.env("HOME", chain.house.path("")).env("LC_ALL", "C.UTF-8").current_dir(&chain.house);
        command.args(["-:/", "-S", "v15-compat", "-S", "from=bob@example.org"]);
        command.arg("-S").arg(format!("mta={}", script.display()));
        if n % 2 == 1 {
            chain.house.write("attached.bin", (0..=255_u8).cycle().take(n * 100).collect::<Vec<_>>());
            command.arg("-a").arg(chain.house.path("attached.bin"));
        }
        command.args(["-s", SUBJECTS[n % SUBJECTS.len()], "alice@example.org"]);
        composed(&chain, &format!("s-nail {n}"), command, &body(n), &taken);
    }
    served::all(&chain);
}

#[test]
fn php_composes() {
    let Some(php) = peer("php") else { return };
    let chain = Chain::start();
    let (script, taken) = sendmail(&chain);
    for n in 0..20 {
        let mut command = Command::new(&php);
        command.args(["-d", &format!("sendmail_path={} -t -i", script.display()), "-r"]);
        command.arg(
            "mail('alice@example.org', $argv[1], stream_get_contents(STDIN), ['From' => 'bob@example.org', \
             'MIME-Version' => '1.0', 'Content-Type' => 'text/plain; charset=utf-8', 'X-Number' => $argv[2]]) or exit(1);",
        );
        command.args(["--", SUBJECTS[n % SUBJECTS.len()], &n.to_string()]);
        composed(&chain, &format!("php {n}"), command, &body(n), &taken);
    }
    served::all(&chain);
}

const PYTHON: &str = r#"
import sys, email.policy
from email.message import EmailMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
n, subject, body = int(sys.argv[1]), sys.argv[2], sys.stdin.read()
if n % 3 == 2:
    m = MIMEMultipart('alternative'); m.attach(MIMEText(body, 'plain', 'utf-8')); m.attach(MIMEText('<p>%d</p>' % n, 'html'))
else:
    m = EmailMessage(policy=email.policy.SMTP if n % 2 else email.policy.default)
    m.set_content(body, cte=['8bit', 'quoted-printable', 'base64'][n % 3])
    for part in range(n % 4):
        m.add_attachment(bytes(range(256)) * part, maintype='application', subtype='x-test', filename='datei-ü-%d.bin' % part)
    if n % 5 == 4:
        o = EmailMessage(); o['Subject'] = 'inner'; o.set_content('inner'); m.add_attachment(o)
m['From'] = 'Bob Büro <bob@example.org>'; m['To'] = 'alice@example.org'; m['Subject'] = subject
sys.stdout.buffer.write(m.as_bytes())
"#;

#[test]
fn python_git_and_swaks_compose() {
    let chain = Chain::start();
    let mut made: Vec<(String, Vec<u8>)> = Vec::new();
    if let Some(python) = peer("python3") {
        for n in 0..30 {
            let mut command = Command::new(&python);
            command.env("PYTHONIOENCODING", "utf-8").args([
                "-c",
                PYTHON,
                &n.to_string(),
                SUBJECTS[n % SUBJECTS.len()],
            ]);
            made.push((format!("python {n}"), output(command, &body(n))));
        }
    }
    if let Some(git) = peer("git") {
        let dir = chain.house.path("repository");
        let run = |words: &[&str]| {
            let mut command = Command::new(&git);
            command.env("HOME", &dir).env("GIT_CONFIG_NOSYSTEM", "1").arg("-C").arg(&dir);
            command.args(["-c", "user.name=Bob Büro", "-c", "user.email=bob@example.org"]).args(words);
            output(command, "")
        };
        fs::create_dir(&dir).unwrap();
        run(&["init", "-q"]);
        for n in 0..12 {
            fs::write(dir.join("file"), body(n)).unwrap();
            run(&["add", "file"]);
            run(&[
                "commit",
                "-q",
                "-m",
                &format!("{} {n}\n\nFrom here on: ümlaut", SUBJECTS[n % SUBJECTS.len()]),
            ]);
            let patch = run(&["format-patch", "-1", "--stdout", "--to=alice@example.org"]);
            // Its first line is mbox's, and no part of the message.
            let start = patch.iter().position(|&octet| octet == b'\n').unwrap() + 1;
            assert!(patch.starts_with(b"From "));
            made.push((format!("git {n}"), patch[start..].to_vec()));
        }
    }
    if let Some(swaks) = peer("swaks") {
        for n in 0..12 {
            let mut command = Command::new(&swaks);
            command.args([
                "--dump-mail",
                "--to",
                "alice@example.org",
                "--from",
                "bob@example.org",
                "--body",
                &body(n),
            ]);
            command.args(["--h-Subject", SUBJECTS[n % SUBJECTS.len()]]);
            if n % 2 == 1 {
                command.args(["--attach-type", "application/x-test", "--attach", &body(n * 5)]);
            }
            let text = output(command, "");
            made.push((format!("swaks {n}"), text.into_iter().filter(|&octet| octet != b'\r').collect()));
        }
    }
    for (name, octets) in made {
        // Programs that write CR LF mean the same lines.
        let mut octets = String::from_utf8(octets).unwrap().replace("\r\n", "\n").into_bytes();
        if octets.last() != Some(&b'\n') {
            octets.push(b'\n');
        }
        chain.arrives(&name, &octets);
    }
    served::all(&chain);
}

fn output(command: Command, input: &str) -> Vec<u8> {
    let words = format!("{command:?}");
    let done = given(command, input.as_bytes());
    assert!(done.status.success(), "{words}: {}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}
