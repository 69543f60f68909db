//! Foreign mail programs submit to mail-relayd: with every login, in the clear, over STARTTLS and within TLS.

use crate::kit::{self, daemon::Daemon, house::House, sink::Sink};
use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    process::{Command, Output, Stdio},
};

/// A house whose daemon relays to a sink for those who may.
fn start() -> (House, Sink, Daemon) {
    let mut house = House::new();
    let sink = Sink::start();
    house.set("relayd.smarthost", format!("\"smtp://{}\"", sink.address()));
    let daemon = Daemon::start(&house, "mail-relayd");
    (house, sink, daemon)
}

fn run(command: &mut Command, input: &str) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn good(command: &mut Command, input: &str) {
    let out = run(command, input);
    let (said, why) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{command:?}: {said}{why}");
}

#[test]
fn swaks_sends_with_every_login_and_kind_of_tls() {
    let Some(swaks) = kit::peer("swaks") else { return };
    let speaks_tls = Command::new("perl").args(["-MNet::SSLeay", "-e1"]).stderr(Stdio::null()).status();
    if !speaks_tls.is_ok_and(|status| status.success()) {
        return kit::missing::<()>("swaks needs Net::SSLeay (libnet-ssleay-perl)").unwrap_or_default();
    }
    let (house, sink, daemon) = start();
    let ways: [(&str, &[&str]); 8] = [
        ("smtp", &["--to", "alice@example.org"]),
        ("smtp", &["--to", "alice@example.org", "--tls", "--pipeline"]),
        ("smtp", &["--to", "alice@example.org", "--protocol", "SMTP"]),
        ("submission", &["--to", "x@example.com", "--tls", "--auth", "PLAIN"]),
        ("submission", &["--to", "x@example.com", "--tls", "--auth", "LOGIN", "--pipeline"]),
        ("submissions", &["--to", "x@example.com", "--tls-on-connect", "--auth", "PLAIN"]),
        ("submissions", &["--to", "x@example.com,bob@example.org", "--tls-on-connect", "--auth", "LOGIN"]),
        ("lmtp", &["--to", "alice@example.org", "--protocol", "LMTP"]),
    ];
    for (door, flags) in ways {
        let mut command = Command::new(&swaks);
        match door {
            "lmtp" => command.arg("--socket").arg(house.path("run/lmtp")),
            _ => command.args(["--server", "127.0.0.1", "--port", &daemon.tcp(door).port().to_string()]),
        };
        let from = if flags.contains(&"--auth") { "alice@example.org" } else { "a@example.net" };
        command.args(["--from", from, "--auth-user", "alice", "--auth-password", "wonderland"]);
        if !flags.contains(&"--auth") {
            command.args(["--auth-optional", "NONE"]);
        }
        good(command.args(flags), "");
    }
    sink.wait(4);
    house.wait_messages("alice", 4);
    house.wait_messages("bob", 1);
    // What may not be is refused to it as well.
    let relay = run(
        Command::new(&swaks).args([
            "--server",
            "127.0.0.1",
            "--port",
            &daemon.tcp("smtp").port().to_string(),
            "--from",
            "a@example.net",
            "--to",
            "x@example.com",
        ]),
        "",
    );
    assert!(!relay.status.success());
    assert!(String::from_utf8_lossy(&relay.stdout).contains("550 5.7.1"));
}

#[test]
fn msmtp_submits_over_starttls_and_within_tls() {
    let Some(msmtp) = kit::peer("msmtp") else { return };
    let (house, sink, daemon) = start();
    for (count, (door, starttls)) in [("submission", "on"), ("submissions", "off")].into_iter().enumerate() {
        let config = format!(
            "account default\nhost localhost\nport {}\nfrom alice@example.org\nauth on\nuser alice\n\
             password wonderland\ntls on\ntls_starttls {starttls}\ntls_trust_file {}\n",
            daemon.tcp(door).port(),
            house.path("cert.pem").display()
        );
        let config = house.write("msmtprc", config);
        fs::set_permissions(&config, fs::Permissions::from_mode(0o600)).unwrap();
        let text = "From: alice@example.org\nTo: x@example.com\nSubject: gr\u{fc}n\n\n.dot\nbody\n";
        let mut command = Command::new(&msmtp);
        command.arg("-C").arg(&config).args(["x@example.com", "bob@example.org"]);
        good(&mut command, text);
        let got = sink.wait(count + 1).pop().unwrap();
        assert!(String::from_utf8(got.text).unwrap().ends_with("\r\n\r\n.dot\r\nbody\r\n"));
    }
    house.wait_messages("bob", 2);
}

#[test]
fn curl_submits_within_tls() {
    let Some(curl) = kit::peer("curl") else { return };
    let (house, sink, daemon) = start();
    let mail = house.write("mail.eml", "Subject: hello\r\n\r\n.dot\r\nbody\r\n");
    for (scheme, door) in [("smtps", "submissions"), ("smtp", "submission")] {
        let url = format!("{scheme}://localhost:{}/client.example", daemon.tcp(door).port());
        let mut command = Command::new(&curl);
        command.args(["-sS", "--ssl-reqd", "--cacert"]).arg(house.path("cert.pem"));
        command.args(["--user", "alice:wonderland", "--mail-from", "alice@example.org"]);
        command.args(["--mail-rcpt", "x@example.com", "--mail-rcpt", "bob@example.org", "--upload-file"]);
        good(command.arg(&mail).arg(url), "");
    }
    for got in sink.wait(2) {
        assert!(String::from_utf8(got.text).unwrap().ends_with("Subject: hello\r\n\r\n.dot\r\nbody\r\n"));
    }
    house.wait_messages("bob", 2);
}

#[test]
fn pythons_smtplib_submits_and_speaks_lmtp() {
    let Some(python) = kit::peer("python3") else { return };
    let (house, sink, daemon) = start();
    let script = r#"
import smtplib, ssl, sys
from email.message import EmailMessage
cert, submission, submissions, lmtp = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
message = EmailMessage()
message["From"] = "alice@example.org"
message["To"] = "x@example.com"
message["Subject"] = "gr\u00fcn"
message.set_content("body \u20ac\n.dot\n")
trust = ssl.create_default_context(cafile=cert)
with smtplib.SMTP("localhost", submission) as server:
    server.starttls(context=trust)
    server.login("alice", "wonderland")
    refused = server.send_message(message, to_addrs=["x@example.com", "nobody@example.org", "bob@example.org"])
    assert refused == {"nobody@example.org": (550, b"5.1.1 no such user here")}, refused
    server.send_message(message)
with smtplib.SMTP_SSL("localhost", submissions, context=trust) as server:
    try:
        server.login("alice", "wrong")
        raise SystemExit("a wrong password was taken")
    except smtplib.SMTPAuthenticationError as error:
        assert error.smtp_code == 535, error
    server.login("alice@example.org", "wonderland")
    server.sendmail("alice@example.org", ["x@example.com"], b"Subject: raw\r\n\r\n\xfc\r\n", mail_options=["BODY=8BITMIME"])
with smtplib.LMTP(lmtp) as server:
    # Of several recipients it reads only one reply.
    server.sendmail("a@example.net", ["alice@example.org"], "Subject: lmtp\n\nbody\n")
"#;
    let mut command = Command::new(python);
    command.arg("-").arg(house.path("cert.pem"));
    command.args([daemon.tcp("submission").port().to_string(), daemon.tcp("submissions").port().to_string()]);
    good(command.arg(house.path("run/lmtp")), script);
    let got = sink.wait(3);
    assert!(
        got.iter().any(|got| got.mail.ends_with(" BODY=8BITMIME") && got.text.ends_with(b"\r\n\xfc\r\n"))
    );
    house.wait_messages("bob", 1);
    house.wait_messages("alice", 1);
}
