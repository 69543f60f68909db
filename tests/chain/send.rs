//! mail-send and sendmail from the outside, with a server that does what the test says.

use crate::kit::{
    house::House,
    sink::{Act, Sink, Stage},
};
use posthaste::net::tls::Acceptor;
use std::{
    fs,
    io::{Read, Write},
    net::SocketAddr,
    os::unix::{
        fs::{PermissionsExt, symlink},
        net::UnixListener,
        process::CommandExt,
    },
    process::{Command, Output, Stdio},
    thread,
};
use tokio::net::TcpStream;

const MESSAGE: &str = "From: Me <me@example.com>\nTo: a@example.org\nSubject: x\n\nhello\n.dot\n";

/// Runs a command with `stdin`.
fn run(command: &mut Command, stdin: impl AsRef<[u8]>) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A program that refuses its arguments does not read.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_ref());
    child.wait_with_output().unwrap()
}

/// Runs mail-send by `server` with more arguments.
fn send(house: &House, server: &str, more: &[&str], stdin: impl AsRef<[u8]>) -> Output {
    run(house.bare("mail-send").args(["--server", server]).args(more), stdin)
}

fn url(sink: &Sink) -> String {
    format!("smtp://{}", sink.address())
}

#[track_caller]
fn ended(output: &Output, status: i32, said: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{stderr}");
    assert!(stderr.contains(said), "{stderr:?} does not say {said:?}");
    assert!(
        said.is_empty() || stderr.starts_with("mail-send: ") || stderr.starts_with("sendmail: "),
        "{stderr:?}"
    );
}

fn crlf(text: &str) -> String {
    text.replace('\n', "\r\n")
}

#[test]
fn a_message_on_stdin_goes_as_it_is_to_who_is_named() {
    let (house, sink) = (House::new(), Sink::start());
    let output = send(&house, &url(&sink), &["a@example.org", "b@example.org"], MESSAGE);
    ended(&output, 0, "");
    assert!(output.stdout.is_empty() && output.stderr.is_empty());
    let got = sink.wait(1);
    assert_eq!(got[0].rcpts, ["TO:<a@example.org>", "TO:<b@example.org>"]);
    assert_eq!(String::from_utf8(got[0].text.clone()).unwrap(), crlf(MESSAGE));
    // SIZE is offered, the body is 7-bit, and the sender is the author.
    assert_eq!(got[0].mail, format!("FROM:<me@example.com> SIZE={}", crlf(MESSAGE).len()));
}

#[test]
fn recipients_of_the_header_get_it_and_bcc_is_not_shown() {
    let (house, sink) = (House::new(), Sink::start());
    let text = "Bcc: hid@example.org,\n also@example.org\nFrom: me@example.com\nTo: A <a@example.org>\nCc: a@example.org\n\nBcc: stays\n";
    ended(&send(&house, &url(&sink), &["-t", "more@example.org"], text), 0, "");
    let got = &sink.wait(1)[0];
    let to = ["more", "hid", "also", "a"].map(|name| format!("TO:<{name}@example.org>"));
    assert_eq!(got.rcpts, to);
    let shown = "From: me@example.com\nTo: A <a@example.org>\nCc: a@example.org\n\nBcc: stays\n";
    assert_eq!(String::from_utf8(got.text.clone()).unwrap(), crlf(shown));
}

#[test]
fn who_is_refused_is_named_and_the_others_are_sent() {
    let (house, sink) = (House::new(), Sink::start());
    sink.always(Stage::Rcpt, "<no@", Act::Say("550 5.1.1 nobody here".into()));
    sink.always(Stage::Rcpt, "<busy@", Act::Say("450 4.2.1 busy".into()));
    let all = ["busy@example.org", "no@example.org", "a@example.org"];
    let output = send(&house, &url(&sink), &[&["--json"][..], &all].concat(), MESSAGE);
    ended(&output, 67, "no@example.org: refused: ");
    let stderr = String::from_utf8_lossy(&output.stderr);
    for said in [
        "busy@example.org: not now: ",
        "550 5.1.1 nobody here",
        "450 4.2.1 busy",
        "sent to 1 of 3 recipients",
    ] {
        assert!(stderr.contains(said), "{stderr}");
    }
    assert_eq!(sink.wait(1)[0].rcpts, ["TO:<a@example.org>"]);
    let lines: Vec<serde_json::Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let seen: Vec<_> = lines
        .iter()
        .map(|it| (it["recipient"].as_str(), it["verdict"].as_str(), it["code"].as_str()))
        .collect();
    assert_eq!(
        seen,
        [
            (Some(all[0]), Some("later"), Some("4.2.1")),
            (Some(all[1]), Some("never"), Some("5.1.1")),
            (Some(all[2]), Some("done"), Some("2.0.0")),
        ]
    );
    ended(&send(&house, &url(&sink), &["busy@example.org", "a@example.org"], MESSAGE), 75, "busy");
}

#[test]
fn success_is_said_only_when_the_server_took_it() {
    let house = House::new();
    for (stage, act, status) in [
        (Stage::Greeting, Act::Say("554 5.7.1 no mail".into()), 77),
        (Stage::Greeting, Act::Say("421 4.3.2 closing".into()), 75),
        (Stage::Greeting, Act::HangUp, 75),
        (Stage::Ehlo, Act::HangUp, 75),
        (Stage::Mail, Act::HangUp, 75),
        (Stage::Rcpt, Act::HangUp, 75),
        (Stage::Data, Act::HangUp, 75),
        (Stage::Dot, Act::HangUp, 75),
        (Stage::Mail, Act::Say("550 5.7.1 not you".into()), 77),
        (Stage::Data, Act::Say("451 4.3.0 later".into()), 75),
        (Stage::Dot, Act::Say("452 4.3.1 disk full".into()), 75),
        (Stage::Dot, Act::Say("554 5.6.0 odd".into()), 65),
        (Stage::Dot, Act::Say("354 go on".into()), 75),
    ] {
        let sink = Sink::start();
        sink.always(stage, "", act.clone());
        let output = send(&house, &url(&sink), &["a@example.org"], MESSAGE);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{stage:?} {act:?}: {stderr}");
        assert!(stderr.contains(&sink.address().to_string()), "the server is not named: {stderr}");
    }
}

#[test]
fn a_server_that_is_not_there_is_75() {
    let house = House::new();
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    ended(&send(&house, &format!("smtp://{gone}"), &["a@example.org"], MESSAGE), 75, "cannot connect to");
    let socket = format!("unix:{}", house.path("nobody").display());
    ended(&send(&house, &socket, &["a@example.org"], MESSAGE), 75, "nobody");
}

#[test]
fn more_recipients_than_the_server_takes_go_in_another_transaction() {
    let (house, sink) = (House::new(), Sink::start());
    sink.once(Stage::Rcpt, "<b@", Act::Say("452 too many recipients".into()));
    sink.once(Stage::Rcpt, "<c@", Act::Say("452 4.5.3 too many recipients".into()));
    ended(&send(&house, &url(&sink), &["a@example.org", "b@example.org", "c@example.org"], MESSAGE), 0, "");
    let got = sink.wait(2);
    assert_eq!(got[0].rcpts, ["TO:<a@example.org>"]);
    assert_eq!(got[1].rcpts, ["TO:<b@example.org>", "TO:<c@example.org>"]);
    assert_eq!(got[0].text, got[1].text);
}

#[test]
fn a_message_larger_than_memory_is_kept_for_is_streamed() {
    let (house, sink) = (House::new(), Sink::start());
    let line = "0123456789abcdef".repeat(4) + "\n";
    let text =
        format!("From: me@example.com\nTo: a@example.org\nBcc: b@example.org\n\n{}", line.repeat(200_000));
    ended(&send(&house, &url(&sink), &["-t"], &text), 0, "");
    let got = &sink.wait(1)[0];
    assert_eq!(got.rcpts.len(), 2);
    assert!(got.text == crlf(&text.replace("Bcc: b@example.org\n", "")).into_bytes());
    assert_eq!(got.mail, "FROM:<me@example.com> BODY=8BITMIME", "neither size nor octets are known yet");
}

#[test]
fn an_address_that_begins_with_a_hyphen_is_an_address() {
    let (house, sink) = (House::new(), Sink::start());
    ended(&send(&house, &url(&sink), &["-f", "-f@example.com", "--", "-t@example.org"], MESSAGE), 0, "");
    let text = "From: me@example.com\nTo: -oQ/tmp@example.org, \"-bs\"@example.org\n\nx\n";
    ended(&send(&house, &url(&sink), &["-t"], text), 0, "");
    let got = sink.wait(2);
    assert!(got[0].mail.starts_with("FROM:<-f@example.com>"));
    assert_eq!(got[0].rcpts, ["TO:<-t@example.org>"]);
    assert_eq!(got[1].rcpts, ["TO:<-oQ/tmp@example.org>", "TO:<-bs@example.org>"]);
}

#[test]
fn a_line_end_in_a_flag_is_refused_and_nothing_is_sent() {
    let (house, sink) = (House::new(), Sink::start());
    let bad = "a@example.org\r\nRCPT TO:<evil@example.org>";
    for line in [
        &[bad][..],
        &["-f", bad, "a@example.org"],
        &["--from", bad, "--to", "a@example.org", "--body", "x"],
        &["--from", "a@example.org", "--to", bad, "--body", "x"],
        &[
            "--from",
            "a@example.org",
            "--to",
            "a@example.org",
            "--body",
            "x",
            "--subject",
            "x\nBcc: evil@example.org",
        ],
        &["--from", "a@example.org", "--to", "a@example.org", "--body", "x", "--cc", "\"a\nb\"@example.org"],
    ] {
        ended(&send(&house, &url(&sink), line, MESSAGE), 64, "");
    }
    let text = "From: me@example.com\nTo: \"a\r\n\tb\" <a@example.org>, <b\x01@example.org>\n\n";
    ended(&send(&house, &url(&sink), &["-t"], text), 65, "To: ");
    assert!(sink.lines().is_empty());
}

#[test]
fn a_message_is_composed_from_flags_and_files() {
    let (house, sink) = (House::new(), Sink::start());
    house.write("report.txt", "42\n");
    let flags = [
        "--from",
        "J\u{fc}rgen <j@example.com>",
        "--to",
        "a@example.org",
        "--cc",
        "B <b@example.org>",
        "--bcc",
        "c@example.org",
        "--subject",
        "Gr\u{fc}\u{df}e",
        "--attach",
        "report.txt",
        "--body",
        "-",
    ];
    ended(&send(&house, &url(&sink), &flags, "H\u{e4}llo\n"), 0, "");
    let got = &sink.wait(1)[0];
    assert_eq!(got.rcpts, ["TO:<a@example.org>", "TO:<b@example.org>", "TO:<c@example.org>"]);
    assert!(got.mail.starts_with("FROM:<j@example.com> SIZE="));
    let message = mail_parser::MessageParser::new().parse(&got.text).unwrap();
    assert_eq!(message.subject(), Some("Gr\u{fc}\u{df}e"));
    assert_eq!(message.body_text(0).unwrap().trim_end(), "H\u{e4}llo");
    assert_eq!(message.attachments().next().unwrap().contents(), b"42\n");
    assert!(message.date().is_some() && message.message_id().is_some());
    assert!(!String::from_utf8_lossy(&got.text).contains("c@example.org"));
    ended(&send(&house, &url(&sink), &["--to", "a@example.org", "--attach", "missing"], ""), 66, "missing");
}

#[test]
fn a_dry_run_connects_nowhere() {
    let house = House::new();
    let output = send(&house, "smtps://mx.invalid", &["--dry-run", "a@example.org"], MESSAGE);
    ended(&output, 0, "");
    let said = String::from_utf8(output.stdout).unwrap();
    for word in [
        "me@example.com",
        "a@example.org",
        "mx.invalid:465",
        "TLS: from the start",
        &crlf(MESSAGE).len().to_string(),
    ] {
        assert!(said.contains(word), "{said}");
    }
}

#[test]
fn an_account_is_picked_by_its_name_or_by_the_author() {
    let (house, work, home) = (House::new(), Sink::start(), Sink::start());
    let config = format!(
        "hostname = \"host.example\"\n\
         [send.work]\nserver = \"{}\"\nfrom = [\"Me@work.example\", \"us@work.example\"]\n\
         [send.home]\nserver = \"{}\"\nfrom = \"me@home.example\"\n",
        url(&work),
        url(&home)
    );
    house.write("send.toml", config);
    let run =
        |more: &[&str], text: &str| run(house.bare("mail-send").args(["-C", "send.toml"]).args(more), text);
    ended(&run(&["a@example.org"], "From: US@work.example\n\n"), 0, "");
    ended(&run(&["a@example.org"], "From: me@home.example\n\n"), 0, "");
    ended(&run(&["-a", "home", "root"], "From: me@work.example\n\n"), 0, "");
    ended(&run(&["-a", "work", "--to", "a@example.org", "--body", "x"], ""), 0, "");
    ended(&run(&["a@example.org"], "From: me@elsewhere.example\n\n"), 64, "pick one with -a: home, work");
    ended(&run(&["-a", "play", "a@example.org"], "From: me@work.example\n\n"), 64, "known: home, work");
    assert_eq!(work.wait(2)[1].mail.split(' ').next(), Some("FROM:<Me@work.example>"));
    let got = home.wait(2);
    assert_eq!(got[1].rcpts, ["TO:<root@host.example>"], "a bare name is one of this machine");
    assert!(got[1].mail.starts_with("FROM:<me@work.example>"));
}

/// Stands before `to` and ends the TLS of a port where it is spoken from the first octet.
fn tls_before(house: &House, to: SocketAddr) -> u16 {
    let acceptor = Acceptor::open(&house.path("cert.pem"), &house.path("key.pem")).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for stream in listener.incoming().flatten() {
            stream.set_nonblocking(true).unwrap();
            let acceptor = acceptor.clone();
            runtime.block_on(async move {
                let Ok(mut client) = acceptor.accept(TcpStream::from_std(stream).unwrap()).await else {
                    return;
                };
                let mut server = TcpStream::connect(to).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    port
}

#[test]
fn implicit_tls_trusts_who_it_is_told_to_trust() {
    let (house, sink) = (House::new(), Sink::start());
    let port = tls_before(&house, sink.address());
    let at = |host: &str| format!("smtps://{host}:{port}");
    ended(&send(&house, &at("localhost"), &["--tls-ca", "cert.pem", "a@example.org"], MESSAGE), 0, "");
    ended(
        &send(&house, &at("127.0.0.1"), &["--tls-ca", "cert.pem", "-v", "a@example.org"], MESSAGE),
        0,
        "TLSv1.3",
    );
    ended(&send(&house, &at("127.0.0.2"), &["--tls-ca", "cert.pem", "a@example.org"], MESSAGE), 75, "");
    ended(&send(&house, &at("localhost"), &["a@example.org"], MESSAGE), 75, "not trusted");
    ended(
        &send(&house, &at("localhost"), &["--tls-ca", "missing.pem", "a@example.org"], MESSAGE),
        66,
        "missing.pem",
    );
    assert_eq!(sink.got().len(), 2);
}

#[test]
fn without_tls_nothing_goes_to_another_machine() {
    // 0.0.0.0 is this machine, but does not say so: it counts as another.
    let (house, sink) = (House::new(), Sink::on("0.0.0.0:0"));
    let server = format!("smtp://0.0.0.0:{}", sink.address().port());
    ended(&send(&house, &server, &["a@example.org"], MESSAGE), 75, "does not offer STARTTLS");
    let lines = sink.lines();
    assert!(!lines.iter().any(|line| line.starts_with("MAIL")), "{lines:?}");
}

#[test]
fn a_password_comes_from_a_command_or_a_private_file_and_is_never_seen() {
    let (house, sink) = (House::new(), Sink::start());
    sink.offer(&["AUTH PLAIN"]);
    let server = format!("smtp://me@{}", sink.address());
    // The sink knows no AUTH and says 502: what was given is in its lines.
    let given = base64("\0me\0p w");
    house.write("secret", "p w\n");
    for how in [["--password-command", "printf 'p w'"], ["--password-file", "secret"]] {
        let output = send(&house, &server, &[&how[..], &["a@example.org"]].concat(), MESSAGE);
        ended(&output, 76, "in answer to AUTH");
        assert!(!String::from_utf8_lossy(&output.stderr).contains(&given));
    }
    let auth: Vec<String> = sink.lines().into_iter().filter(|line| line.starts_with("AUTH")).collect();
    assert_eq!(auth, [format!("AUTH PLAIN {given}"), format!("AUTH PLAIN {given}")]);
    fs::set_permissions(house.path("secret"), fs::Permissions::from_mode(0o644)).unwrap();
    ended(&send(&house, &server, &["--password-file", "secret", "a@example.org"], MESSAGE), 77, "chmod 600");
    ended(&send(&house, &server, &["--password-command", "false", "a@example.org"], MESSAGE), 75, "false");
    ended(&send(&house, &server, &["a@example.org"], MESSAGE), 64, "--password-command");
    // What the command reads is not the message.
    let how = ["--password-command", "sh -c 'cat; echo x'"];
    ended(&send(&house, &server, &[&how[..], &["a@example.org"]].concat(), MESSAGE), 76, "AUTH");
    assert!(sink.lines().contains(&format!("AUTH PLAIN {}", base64("\0me\0x"))));
}

fn base64(text: &str) -> String {
    openssl::base64::encode_block(text.as_bytes())
}

/// Copies between a unix socket and the sink, as mail-relayd's local socket would stand there.
fn unix_before(house: &House, sink: &Sink) {
    let listener = UnixListener::bind(house.path("run/submit")).unwrap();
    let to = sink.address();
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut server = std::net::TcpStream::connect(to).unwrap();
            let (mut client_in, mut server_out) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut client_in, &mut server_out));
            let _ = std::io::copy(&mut server, &mut client);
            let _ = client.shutdown(std::net::Shutdown::Both);
        }
    });
}

/// sendmail, as it is installed.
fn sendmail(house: &House) -> Command {
    let link = house.path("sendmail");
    if !link.exists() {
        symlink(crate::kit::program("mail-send"), &link).unwrap();
    }
    let mut command = house.bare("mail-send");
    let mut called = Command::new(&link);
    called.current_dir(house.path("")).env("HOME", house.path("")).env_remove("XDG_CONFIG_HOME");
    command.arg0("sendmail");
    called.arg("-C").arg(house.config());
    called
}

#[test]
fn sendmail_hands_to_the_local_socket_what_cron_and_scripts_give_it() {
    let (house, sink) = (House::new(), Sink::start());
    unix_before(&house, &sink);
    let cron = "From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@mx> date\n\n.\nnot the end\n";
    ended(&run(sendmail(&house).args(["-FCronDaemon", "-i", "-B8BITMIME", "-oem", "root"]), cron), 0, "");
    ended(&run(sendmail(&house).args(["-t", "-f", "<>"]), "To: a@example.org\n\none\n.\ntwo\n"), 0, "");
    ended(
        &run(sendmail(&house).args(["-F", "A B", "-f", "me@example.com", "a@example.org"]), "just text\n"),
        0,
        "",
    );
    let got = sink.wait(3);
    let login = nix::unistd::User::from_uid(nix::unistd::Uid::current()).unwrap().unwrap().name;
    assert!(got[0].mail.starts_with(&format!("FROM:<{login}@mx.example.org>")), "{}", got[0].mail);
    assert!(got[0].mail.ends_with("BODY=8BITMIME"));
    assert_eq!(got[0].rcpts, ["TO:<root@mx.example.org>"]);
    assert_eq!(String::from_utf8(got[0].text.clone()).unwrap(), crlf(cron));
    assert!(got[1].mail.starts_with("FROM:<> "));
    let text = String::from_utf8(got[1].text.clone()).unwrap();
    assert!(text.starts_with("From: ") && text.ends_with("\r\nTo: a@example.org\r\n\r\none\r\n"), "{text}");
    assert_eq!(got[2].text, b"From: \"A B\" <me@example.com>\r\n\r\njust text\r\n");
}

#[test]
fn sendmail_speaks_smtp_on_stdin_when_asked() {
    let (house, sink) = (House::new(), Sink::start());
    unix_before(&house, &sink);
    let output = run(sendmail(&house).arg("-bs"), "EHLO x\r\nQUIT\r\n");
    ended(&output, 0, "");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with("220 ") && said.ends_with("221 2.0.0 bye\r\n"), "{said}");
}

#[test]
fn sendmail_without_a_daemon_is_75_and_says_so() {
    let house = House::new();
    ended(&run(sendmail(&house).arg("root"), "x"), 75, "run/submit");
    ended(&run(sendmail(&house).arg("-bs"), ""), 75, "run/submit");
    ended(&run(sendmail(&house).arg("-bd"), ""), 64, "-bd");
    ended(&run(&mut sendmail(&house), "x"), 64, "no recipients");
}

#[test]
fn what_reads_our_output_may_go_away() {
    let (house, sink) = (House::new(), Sink::start());
    let mut command = house.bare("mail-send");
    command.args(["--server", &url(&sink), "--json", "a@example.org"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    child.stdin.take().unwrap().write_all(MESSAGE.as_bytes()).unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
    sink.wait(1);
}

#[test]
fn who_looked_for_recipients_in_vain_is_told_where() {
    let house = House::new();
    let nobody = "Subject: x\n\nbody\n";
    let cases: [(&[&str], &str); 3] = [
        (&[], "-t"),
        (&["-t"], "no recipients in To, Cc, Bcc"),
        (&["--subject", "x", "--body", "y"], "--to, --cc or --bcc"),
    ];
    for (flags, advice) in cases {
        let mut command = house.bare("mail-send");
        command.args(["--server", "smtp://127.0.0.1:1"]).args(flags);
        ended(&run(&mut command, nobody), 64, advice);
    }
    ended(&run(sendmail(&house).arg("-t"), nobody), 64, "no recipients in To, Cc, Bcc");
}
