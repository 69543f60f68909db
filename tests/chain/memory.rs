//! What the daemon holds in memory stays small, whatever it is given: messages are streamed, envelopes are not
//! multiplied, and what waits is a name.

use crate::kit::{
    daemon::Daemon,
    house::House,
    sink::{Act, Sink, Stage},
    smtp::Speaker,
    zone::Zone,
};
use std::{fs, thread};

/// What may come on top of an idle daemon, in KiB.
const MORE_MAX: u64 = 64 * 1024;

/// The most memory that the daemon ever had, in KiB (proc_pid_status(5)).
fn peak(daemon: &Daemon) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn assert_small(daemon: &Daemon, idle: u64, what: &str) {
    let more = peak(daemon).saturating_sub(idle);
    eprintln!("{what}: {more} KiB over {idle}");
    assert!(more < MORE_MAX, "{what}: {more} KiB over {idle}");
}

/// Sends one message of `size` octets without ever holding it.
fn pour(mut client: Speaker, to: &str, size: usize) {
    client.say("MAIL FROM:<a@example.net>");
    assert!(client.say(&format!("RCPT TO:<{to}>")).starts_with("250"));
    assert!(client.say("DATA").starts_with("354"));
    client.write(b"Subject: large\r\n\r\n").unwrap();
    let lines = [b"x".repeat(1022).as_slice(), b"\r\n"].concat().repeat(64);
    for _ in 0..size / lines.len() {
        client.write(&lines).unwrap();
    }
    let reply = client.say(".");
    assert!(reply.starts_with("250"), "{reply}");
}

#[test]
fn many_large_messages_at_once_are_streamed_in_and_out() {
    let (zone, sink) = (Zone::start(), Sink::start());
    zone.host("example.com", "127.0.0.1");
    sink.always(Stage::Mail, "", Act::Say("451 4.3.0 not now".into()));
    let mut house = House::new();
    house.set("relayd.dns", format!("[\"{}\"]", zone.address()));
    house.set("relayd.mx_port", sink.address().port().to_string());
    house.set("relayd.relay_from", "[\"127.0.0.1\"]").set("size_limit", "\"50M\"");
    let daemon = Daemon::start(&house, "mail-relayd");
    let address = daemon.tcp("smtp");
    Speaker::tcp(address).hello().deliver("a@example.net", &["alice@example.org"], "Subject: x\n\nx\n");
    let idle = peak(&daemon);
    // Half of them into Maildirs, half into the spool, side by side: together several times what memory may grow by,
    // and little enough for a build machine's disk.
    let clients: Vec<_> = (0..20)
        .map(|n| {
            let to = if n % 2 == 0 { "alice@example.org" } else { "x@example.com" };
            thread::spawn(move || pour(Speaker::tcp(address).hello(), to, 12 << 20))
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    assert_small(&daemon, idle, "20 messages of 12 MiB");
    assert_eq!(house.messages("alice", "").len(), 11);
}

#[test]
fn a_message_for_a_thousand_domains_is_not_multiplied() {
    let zone = Zone::start();
    let mut house = House::new();
    house.set("relayd.dns", format!("[\"{}\"]", zone.address()));
    house.set("relayd.relay_from", "[\"127.0.0.1\"]").set("relayd.retry", "[\"1h\"]");
    let mut names = Vec::new();
    for n in 0..1000 {
        names.push(format!("{}{n}@domain{n}.example", "x".repeat(100)));
        zone.servfail(&format!("domain{n}.example"));
    }
    let daemon = Daemon::start(&house, "mail-relayd");
    Speaker::tcp(daemon.tcp("smtp")).hello().deliver(
        "a@example.net",
        &["alice@example.org"],
        "Subject: x\n\nx\n",
    );
    let idle = peak(&daemon);
    let to: Vec<&str> = names.iter().map(String::as_str).collect();
    for _ in 0..3 {
        Speaker::tcp(daemon.tcp("smtp")).hello().deliver("a@example.net", &to, "Subject: x\n\nx\n");
    }
    let begun = std::time::Instant::now();
    while daemon.log().matches(" put off ").count() < 3000 {
        assert!(begun.elapsed() < 2 * crate::kit::PATIENCE, "{}", daemon.log().matches(" put off ").count());
        thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_small(&daemon, idle, "3 messages for 1,000 domains");
}

#[test]
fn ten_thousand_waiting_messages_cost_little_at_a_start() {
    let (zone, sink) = (Zone::start(), Sink::start());
    zone.host("example.com", "127.0.0.1");
    let mut house = House::new();
    house.set("relayd.dns", format!("[\"{}\"]", zone.address()));
    house.set("relayd.mx_port", sink.address().port().to_string());
    house.set("relayd.relay_from", "[\"127.0.0.1\"]").set("relayd.retry", "[\"1h\"]");
    // One is spooled by the daemon; the others are written after it, all due at once.
    sink.always(Stage::Mail, "", Act::Say("451 4.3.0 not now".into()));
    let daemon = Daemon::start(&house, "mail-relayd");
    Speaker::tcp(daemon.tcp("smtp")).hello().deliver(
        "a@example.net",
        &["x@example.com"],
        "Subject: x\n\nx\n",
    );
    daemon.logged(" put off ");
    let idle = peak(&daemon);
    assert!(daemon.stop().success());
    let queue = house.path("state/spool/queue");
    let first = fs::read_dir(&queue).unwrap().next().unwrap().unwrap().path();
    let name = first.file_name().unwrap().to_str().unwrap().split_once('.').unwrap().1.to_owned();
    let text = fs::read(&first).unwrap();
    let mark = format!("END {name}\n");
    let end = text.windows(mark.len()).position(|octets| octets == mark.as_bytes()).unwrap() + mark.len();
    fs::remove_file(&first).unwrap();
    let text = String::from_utf8(text[..end].to_vec()).unwrap();
    let letters: Vec<char> = "0123456789abcdefghjkmnpqrstvwxyz".chars().collect();
    for n in 0..10_000_usize {
        let tail: String = (0..3).map(|place| letters[(n >> (5 * place)) % 32]).collect();
        let id = format!("{}{tail}", &name[..13]);
        fs::write(queue.join(format!("1700000000.{id}")), text.replace(&name, &id)).unwrap();
    }
    // The daemon is not to be slowed by a log that nobody needs here.
    let mut command = house.command("mail-relayd");
    command.arg("-q");
    sink.relent().always(Stage::Data, "", Act::Stall);
    let daemon = Daemon::spawn("mail-relayd", command);
    sink.wait_connections(6);
    // It takes mail while all that waits.
    Speaker::tcp(daemon.tcp("smtp")).hello().deliver(
        "a@example.net",
        &["alice@example.org"],
        "Subject: x\n\nx\n",
    );
    let listed = house.command("mail-queue").args(["--json", "list"]).output().unwrap();
    assert_eq!(listed.stdout.iter().filter(|octet| **octet == b'\n').count(), 10_000);
    assert_small(&daemon, idle, "10,000 waiting messages");
}
