//! The daemon's life: it starts, reloads, is bounded, ends in good order, and goes on where it stopped.

use crate::kit::{
    daemon::Daemon,
    house::House,
    sink::{Act, Sink, Stage},
    smtp::Speaker,
    zone::Zone,
};
use rustix::process::Signal;
use std::{fs, io::Write, process::Stdio};

const TEXT: &str = "Subject: hello\n\nbody\n";

fn smarthost(house: &mut House, sink: &Sink) {
    house.set("relayd.smarthost", format!("\"smtp://{}\"", sink.address()));
    house.set("relayd.relay_from", "[\"127.0.0.1\"]");
}

#[test]
fn what_is_spooled_waits_for_the_next_start() {
    let mut house = House::new();
    let sink = Sink::start();
    sink.always(Stage::Rcpt, "", Act::Say("451 4.7.1 later".into()));
    smarthost(&mut house, &sink);
    let daemon = Daemon::start(&house, "mail-relayd");
    Speaker::tcp(daemon.tcp("smtp")).hello().deliver("alice@example.org", &["x@example.com"], TEXT);
    daemon.logged("put off");
    assert!(daemon.stop().success());
    sink.relent();
    house.set("relayd.retry", "[\"1s\"]");
    let daemon = Daemon::start(&house, "mail-relayd");
    let id = fs::read_dir(house.path("state/spool/queue")).unwrap().next().unwrap().unwrap().file_name();
    let id = id.to_str().unwrap().split('.').nth(1).unwrap().to_owned();
    let retried = house.command("mail-queue").args(["retry", &id]).status().unwrap();
    assert!(retried.success());
    assert_eq!(sink.wait(1)[0].rcpts, ["TO:<x@example.com>"]);
    assert!(daemon.logged("sent").contains(&id));
}

#[test]
fn a_drain_finishes_what_is_being_received_and_takes_nothing_new() {
    let house = House::new();
    let mut daemon = Daemon::start(&house, "mail-relayd");
    let address = daemon.tcp("smtp");
    let mut idle = Speaker::tcp(address).hello();
    let mut busy = Speaker::tcp(address).hello();
    busy.say("MAIL FROM:<a@example.net>");
    busy.say("RCPT TO:<alice@example.org>");
    assert!(busy.say("DATA").starts_with("354"));
    busy.write(b"Subject: x\r\n").unwrap();
    daemon.signal(Signal::TERM);
    assert!(idle.reply().starts_with("421 4.3.2"));
    assert_eq!(idle.reply(), "");
    assert!(busy.say("\r\nbody\r\n.").starts_with("250"));
    assert!(busy.reply().starts_with("421 4.3.2"));
    assert!(std::net::TcpStream::connect(address).is_err());
    assert!(daemon.wait().success());
    assert_eq!(house.messages("alice", "").len(), 1);
}

#[test]
fn a_reload_reads_configuration_and_certificate_and_refuses_a_wrong_one() {
    let mut house = House::new();
    let (first, second) = (Sink::start(), Sink::start());
    smarthost(&mut house, &first);
    let daemon = Daemon::start(&house, "mail-relayd");
    let mut open = Speaker::tcp(daemon.tcp("smtp")).hello();
    let other = House::new();
    for file in ["cert.pem", "key.pem"] {
        fs::copy(other.path(file), house.path(file)).unwrap();
    }
    smarthost(&mut house, &second);
    daemon.signal(Signal::HUP);
    daemon.logged("reloaded");
    open.deliver("alice@example.org", &["x@example.com"], TEXT);
    assert_eq!(second.wait(1).len(), 1);
    assert!(first.got().is_empty());
    let certificate = {
        use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};
        let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
        connector.set_verify(SslVerifyMode::NONE);
        let stream = std::net::TcpStream::connect(daemon.tcp("submissions")).unwrap();
        let stream = connector.build().connect("localhost", stream).unwrap();
        stream.ssl().peer_certificate().unwrap().to_pem().unwrap()
    };
    assert_eq!(certificate, fs::read(other.path("cert.pem")).unwrap());
    house.set("relayd.smtq", "1");
    daemon.signal(Signal::HUP);
    assert!(daemon.logged("not reloaded").contains("smtq"));
    open.deliver("alice@example.org", &["y@example.com"], TEXT);
    assert_eq!(second.wait(2).len(), 2);
}

#[test]
fn accounts_and_aliases_are_seen_without_a_signal() {
    let house = House::new();
    let daemon = Daemon::start(&house, "mail-relayd");
    let mut client = Speaker::tcp(daemon.tcp("smtp")).hello();
    client.say("MAIL FROM:<a@example.net>");
    assert!(client.say("RCPT TO:<sales@example.org>").starts_with("550 5.1.1"));
    house.write("aliases", "sales: alice\n");
    assert!(client.say("RCPT TO:<sales@example.org>").starts_with("250"));
}

#[test]
fn a_failed_login_is_answered_late_and_a_right_one_at_once() {
    let house = House::new();
    let daemon = Daemon::start(&house, "mail-relayd");
    let mut client = Speaker::tcp(daemon.tcp("submission")).hello().secure();
    let mut times = Vec::new();
    for _ in 0..3 {
        let begun = std::time::Instant::now();
        assert!(client.login("alice", "wrong").starts_with("535 5.7.8"));
        times.push(begun.elapsed().as_millis());
    }
    // Only that they are not sooner: a machine may be slow.
    assert!(times[0] >= 500 && times[1] >= 1000 && times[2] >= 2000, "{times:?}");
    assert!(daemon.logged("login failed").contains("login=alice client=127.0.0.1"));
    assert!(client.login("alice", "wonderland").starts_with("235"));
    assert!(!daemon.log().contains("wonderland"));
}

#[test]
fn connections_of_one_address_and_of_one_user_have_a_bound() {
    let mut house = House::new();
    house.set("relayd.per_address", "3").set("relayd.per_user", "1");
    let daemon = Daemon::start(&house, "mail-relayd");
    let mut first = Speaker::tcp(daemon.tcp("submission")).hello().secure();
    assert!(first.login("alice", "wonderland").starts_with("235"));
    let mut second = Speaker::tcp(daemon.tcp("submission")).hello().secure();
    assert!(second.login("alice@example.org", "wonderland").starts_with("421 4.7.0"));
    assert_eq!(second.reply(), "");
    let more: Vec<Speaker> = (0..3).map(|_| Speaker::tcp(daemon.tcp("smtp"))).collect();
    let greetings: Vec<&str> = more.iter().map(|speaker| &speaker.greeting[..9]).collect();
    // The second may still count while its end is on its way.
    assert_eq!(greetings[2], "421 4.7.0", "{greetings:?}");
}

#[test]
fn a_full_disk_is_a_temporary_refusal_and_loses_nothing() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can mount a small file system");
        return;
    }
    let mut house = House::new();
    house.set("relayd.relay_from", "[\"127.0.0.1\"]");
    let mounted: Vec<_> = ["mail", "state"].map(|name| Mounted::on(&house.path(name))).into();
    let sink = Sink::start();
    smarthost(&mut house, &sink);
    let daemon = Daemon::start(&house, "mail-relayd");
    let mut client = Speaker::tcp(daemon.tcp("smtp")).hello();
    let large = format!("Subject: large\n\n{}", "0123456789\n".repeat(40_000));
    for to in ["alice@example.org", "x@example.com"] {
        let replies = client.send("a@example.net", &[to], &large);
        assert!(replies[2].starts_with("452 4.3.1"), "{replies:?}");
    }
    let small = format!("Subject: small\n\n{}", "0123456789\n".repeat(3_000));
    let mut kept = 0;
    let full = loop {
        let replies = client.send("a@example.net", &["alice@example.org"], &small);
        if !replies[2].starts_with("250") {
            break replies;
        }
        kept += 1;
    };
    assert!(full[2].starts_with("452 4.3.1"), "{full:?}");
    assert_eq!(house.messages("alice", "").len(), kept);
    assert!(kept > 0);
    for message in house.messages("alice", "") {
        assert!(fs::read_to_string(message).unwrap().ends_with("0123456789\n"));
    }
    assert_eq!(fs::read_dir(house.maildir("alice").join("tmp")).unwrap().count(), 0);
    drop(daemon);
    drop(mounted);
}

/// A file system of 256 KiB.
struct Mounted(std::path::PathBuf);

impl Mounted {
    fn on(path: &std::path::Path) -> Mounted {
        let mount =
            |args: &[&str]| std::process::Command::new(args[0]).args(&args[1..]).arg(path).status().unwrap();
        assert!(mount(&["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs"]).success());
        Mounted(path.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn one_session_runs_on_stdin_and_stdout() {
    let mut house = House::new();
    let zone = Zone::start();
    house.set("relayd.dns", format!("[\"{}\"]", zone.address()));
    let mut command = house.command("mail-relayd");
    command.args(["--stdio", "-q"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let script =
        "MAIL FROM:<a@example.net>\r\nRCPT TO:<alice@example.org>\r\nRCPT TO:<x@example.com>\r\nDATA\r\n";
    let mut stdin = child.stdin.take().unwrap();
    let mut said = String::new();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut read_to = |end: &str, said: &mut String| {
        while !said.lines().any(|line| line.starts_with(end)) {
            assert!(std::io::BufRead::read_line(&mut out, said).unwrap() > 0, "{said}");
        }
    };
    read_to("220", &mut said);
    stdin.write_all(b"EHLO client.example\r\n").unwrap();
    read_to("250 ", &mut said);
    stdin.write_all(script.as_bytes()).unwrap();
    read_to("354", &mut said);
    stdin.write_all(b"Subject: x\r\n\r\n.\r\nQUIT\r\n").unwrap();
    read_to("221", &mut said);
    assert!(said.contains("550 5.7.1") && said.contains("250 2.0.0"), "{said}");
    assert!(child.wait().unwrap().success());
    assert_eq!(house.messages("alice", "").len(), 1);
}

#[test]
fn a_second_daemon_on_one_spool_and_a_wrong_configuration_do_not_start() {
    let mut house = House::new();
    let _daemon = Daemon::start(&house, "mail-relayd");
    for key in ["lmtp", "local", "control"] {
        let other = format!("unix:{}", house.path(&format!("run/{key}2")).display());
        let value = if key == "lmtp" { format!("[{other:?}]") } else { format!("{other:?}") };
        house.set(&format!("relayd.{key}"), value);
    }
    let second = house.command("mail-relayd").output().unwrap();
    assert_eq!(second.status.code(), Some(75), "{}", String::from_utf8_lossy(&second.stderr));
    assert!(String::from_utf8_lossy(&second.stderr).contains("spool"));
    house.set("tls.key", format!("{:?}", house.path("no.pem")));
    let third = house.command("mail-relayd").output().unwrap();
    assert_eq!(third.status.code(), Some(75), "the spool is looked at first");
    house.set("relayd.smtp", "[\"127.0.0.1\"]");
    let fourth = house.command("mail-relayd").output().unwrap();
    let said = String::from_utf8_lossy(&fourth.stderr);
    assert_eq!(fourth.status.code(), Some(78), "{said}");
    assert!(said.contains("posthaste.toml:") && said.contains("smtp"), "{said}");
}

#[test]
fn who_is_too_slow_is_cut_off_however_the_octets_trickle() {
    let mut house = House::new();
    house.set("relayd.patience", "\"1s\"");
    let daemon = Daemon::start(&house, "mail-relayd");
    let open: [&[&str]; 3] =
        [&[], &["EHLO x"], &["EHLO x", "MAIL FROM:<a@example.net>", "RCPT TO:<alice@example.org>", "DATA"]];
    let slow = |door: &'static str, said: &'static [&'static str], octet: &'static [u8]| {
        let address = daemon.tcp(door);
        std::thread::spawn(move || {
            let mut client = Speaker::tcp(address);
            for line in said {
                client.say(line);
            }
            // Never a line's end: without a deadline this would go on.
            let begun = std::time::Instant::now();
            while client.write(octet).is_ok() {
                assert!(begun.elapsed() < crate::kit::PATIENCE, "{door} {said:?} goes on");
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
            client.reply()
        })
    };
    let mut clients: Vec<_> = open.iter().map(|said| slow("smtp", said, b"x")).collect();
    clients.push(slow("submission", open[0], b"x"));
    clients.push(slow("submission", open[1], b"x"));
    for client in clients {
        let said = client.join().unwrap();
        // The kernel may throw the last words away together with what we said behind them.
        assert!(said.is_empty() || said.starts_with("421 4.4.2"), "{said}");
    }
    // Silence, in the clear, in a handshake, and behind questions whose answers are not read.
    let mut mute = Speaker::tcp(daemon.tcp("smtp"));
    assert!(mute.reply().starts_with("421 4.4.2"));
    let mut stalled = Speaker::tcp(daemon.tcp("submission")).hello();
    assert!(stalled.say("STARTTLS").starts_with("220"));
    assert_eq!(stalled.reply(), "");
    let mut implicit = std::net::TcpStream::connect(daemon.tcp("submissions")).unwrap();
    assert_eq!(std::io::Read::read(&mut implicit, &mut [0]).unwrap(), 0);
    let mut deaf = Speaker::tcp(daemon.tcp("smtp"));
    deaf.write("NOOP\r\n".repeat(90).as_bytes()).unwrap();
    daemon.logged("no TLS with a client");
    let last = std::iter::from_fn(|| Some(deaf.reply()).filter(|said| !said.is_empty())).last();
    assert!(last.unwrap().starts_with("421 4.4.2"));
}

#[test]
fn guesses_at_recipients_are_answered_late_and_then_not_at_all() {
    let house = House::new();
    let daemon = Daemon::start(&house, "mail-relayd");
    let mut client = Speaker::tcp(daemon.tcp("smtp")).hello();
    client.say("MAIL FROM:<a@example.net>");
    let mut guess = |count: usize| {
        let begun = std::time::Instant::now();
        let said: Vec<String> =
            (0..count).map(|at| client.say(&format!("RCPT TO:<x{at}@example.org>"))).collect();
        (said, begun.elapsed().as_millis())
    };
    let (said, _) = guess(10);
    assert!(said.iter().all(|said| said.starts_with("550 5.1.1")), "{said:?}");
    // Only that they are not sooner: a machine may be slow.
    let (said, late) = guess(11);
    assert!(said[..10].iter().all(|said| said.starts_with("550 5.1.1")), "{said:?}");
    assert!(said[10].starts_with("421 4.7.0"), "{said:?}");
    assert!(late >= 10_000, "{late}");
}

#[test]
fn a_reload_says_what_only_a_restart_changes_and_keeps_nobody_from_ending_the_daemon() {
    let mut house = House::new();
    let mut daemon = Daemon::start(&house, "mail-relayd");
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    house.set("relayd.smtp", format!("[\"{other}\"]")).set("relayd.per_address", "3");
    daemon.signal(Signal::HUP);
    for key in ["relayd.smtp", "relayd.per_address"] {
        assert!(daemon.logged(&format!("key={key}")).contains("at a restart"), "{}", daemon.log());
    }
    daemon.logged(" reloaded");
    assert!(Speaker::tcp(daemon.tcp("smtp")).greeting.starts_with("220"));
    assert!(std::net::TcpStream::connect(other).is_err());
    // A password's command that hangs.
    let begun = house.path("asked");
    // It ends with the house, and holds nothing of the daemon's open.
    let loops = format!("exec 2>&-; touch {0}; while test -e {0}; do sleep 0.1; done", begun.display());
    let command = format!("sh -c '{loops}'");
    house.set("relayd.smarthost", "\"smtp://me@127.0.0.1:1\"");
    house.set("relayd.smarthost_password_command", format!("{command:?}"));
    daemon.signal(Signal::HUP);
    while !begun.exists() {
        std::thread::yield_now();
    }
    daemon.signal(Signal::TERM);
    assert!(daemon.wait().success());
}
