//! mail-queue: against a control socket whose daemon is played here, and against a spool without a daemon.

use crate::kit::{
    daemon::Daemon,
    house::House,
    sink::{Act, Sink, Stage},
    smtp::Speaker,
};
use posthaste::{
    agent::queue::Desk,
    mail::{
        address::Mailbox,
        draft::{Draft, Receipt},
        envelope::{Envelope, Recipient},
        id::{DeliveryKey, QueueId},
        verdict::{Verdict, Why},
    },
    net::{
        accept::{Closing, Door, Limits, serve},
        converse::{Agent, Manners, converse},
        link::Link,
        listen::{self, Place},
        tls::Role,
    },
    spool::{Look, Next, Spool, disk::DiskSpool},
    sys::disk::Disk,
    wire::control::server::{Answer, Question, Server},
};
use std::{
    io::Write,
    os::unix::process::CommandExt,
    process::{Command, Output, Stdio},
    time::{Duration, SystemTime},
};

const BODY: &[u8] = b"Subject: hello\r\n\r\nbare bones\r\n";

fn now() -> SystemTime {
    SystemTime::now()
}

fn id(n: u64) -> QueueId {
    QueueId::new((1_700_000_000 + n) * 1_000_000, 0)
}

fn put(spool: &DiskSpool, n: u64) {
    let mailbox = |text: &str| Mailbox::parse(text.as_bytes()).unwrap();
    let to = |text| Recipient::to(mailbox(text));
    let envelope = Envelope {
        sender: Some(mailbox("alice@example.org")),
        recipients: vec![to("you@example.net"), to("them@example.com")],
        ..Envelope::default()
    };
    let mut draft = spool.draft().unwrap();
    draft.write_all(BODY).unwrap();
    assert!(draft.commit(vec![envelope], &DeliveryKey::first(id(n))).wait()[0].is_ok());
}

/// Three messages; the first was tried, and waits a day.
fn spool(house: &House) -> DiskSpool {
    let spool = DiskSpool::open(&Disk::inline(), &house.path("state/spool")).unwrap();
    for n in 1..=3 {
        put(&spool, n);
    }
    let lease = spool.claim(now(), Duration::from_secs(60), 1).unwrap().remove(0);
    let said = Why::new(4, 1, "mx.example.net: \u{1b}[31mno");
    let next = Next::At(now() + Duration::from_secs(86_400));
    spool.settle(lease, &[(0, Verdict::Later(said)), (1, Verdict::Done)], next).unwrap();
    spool
}

fn run(mut command: Command, stdin: &str) -> (i32, String, String) {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn ask(house: &House, line: &str) -> (i32, String, String) {
    let mut command = house.command("mail-queue");
    command.args(line.split(' ').filter(|word| !word.is_empty()));
    run(command, "")
}

#[test]
fn without_a_daemon_the_spool_can_be_looked_at_but_not_changed() {
    let house = House::new();
    let (status, out, err) = ask(&house, "list");
    assert_eq!((status, out.as_str()), (75, ""), "{err}");
    assert!(err.contains("run/control") && err.contains("is mail-relayd running?"), "{err}");
    drop(spool(&house));
    let (status, out, err) = ask(&house, "");
    assert_eq!((status, err.as_str()), (0, ""));
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 1 + 2 + 3 + 3 + 1, "{out}");
    assert!(lines[1].starts_with(id(1).as_str()) && lines[1].ends_with("alice@example.org"), "{out}");
    assert!(lines[2].ends_with("  you@example.net: 4.4.1 mx.example.net: ?[31mno"), "{out}");
    assert_eq!(lines[9], "3 messages, 90");
    let (status, out, _) = ask(&house, "--json list");
    let rows: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((status, rows.len()), (0, 3));
    assert_eq!(rows[0]["recipients"][0]["status"], "4.4.1");
    assert_eq!(rows[1]["recipients"][1]["standing"], "waiting");
    let (status, out, _) = ask(&house, &format!("show --message {}", id(2)));
    assert_eq!((status, out.as_bytes()), (0, BODY));
    let (status, out, err) = ask(&house, &format!("show {} 0000000000000000", id(1)));
    assert_eq!(status, 66);
    assert!(
        out.contains("waiting, tried once: 4.4.1") && out.contains("them@example.com: delivered"),
        "{out}"
    );
    assert_eq!(err, "mail-queue: 0000000000000000: not in the spool\n");
    for change in ["retry", "hold", "release", "remove"] {
        for which in [id(1).to_string(), "--all".to_owned()] {
            let (status, out, err) = ask(&house, &format!("{change} {which}"));
            assert_eq!((status, out.as_str()), (75, ""), "{change} {which}");
            assert!(err.contains("is mail-relayd running?"), "{err}");
        }
    }
}

/// Without a desk it is one that broke down.
struct Clerk(DiskSpool, Option<Desk<DiskSpool>>);

impl Agent<Server> for Clerk {
    async fn answer(&mut self, question: Question) -> Option<Answer> {
        self.1.as_mut().map(|desk| desk.answer(&self.0, question, now()))
    }
}

/// Serves the control socket of a house while `test` runs.
fn with_daemon(house: &House, spool: &DiskSpool, test: impl FnOnce()) {
    with_clerk(house, spool, || Some(Desk::new()), test);
}

fn with_clerk(house: &House, spool: &DiskSpool, desk: fn() -> Option<Desk<DiskSpool>>, test: impl FnOnce()) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let place = Place::Unix { path: house.path("run/control"), mode: 0o600, group: None };
    let (end, closing) = Closing::switch();
    let spool = spool.clone();
    let serving = runtime.spawn(async move {
        let door = Door { name: "control", sockets: vec![listen::open(&place).unwrap()], refusal: b"" };
        let limits = Limits { total: 10, per_address: 10 };
        serve(vec![door], limits, closing, move |caller| {
            let mut clerk = Clerk(spool.clone(), desk());
            async move {
                let link = Link::Plain(caller.wire);
                let _ = converse(&mut Server::new(), &mut clerk, link, &Role::None, &Manners::SERVER).await;
            }
        })
        .await
    });
    while std::os::unix::net::UnixStream::connect(house.path("run/control")).is_err() {
        std::thread::yield_now();
    }
    test();
    end.send(true).unwrap();
    runtime.block_on(serving).unwrap();
}

#[test]
fn a_desk_that_broke_down_keeps_nobody_waiting() {
    let house = House::new();
    let spool = DiskSpool::open(&Disk::inline(), &house.path("state/spool")).unwrap();
    with_clerk(
        &house,
        &spool,
        || None,
        || {
            let (status, out, err) = ask(&house, "list");
            assert_eq!((status, out.as_str()), (75, ""));
            assert!(err.contains("the daemon went"), "{err}");
        },
    );
}

#[test]
fn the_daemon_is_asked_and_told() {
    let house = House::new();
    let spool = spool(&house);
    with_daemon(&house, &spool, || {
        let held = || spool.list(None, 9).unwrap().iter().filter(|entry| entry.due.is_none()).count();
        assert_eq!(ask(&house, &format!("hold {}", id(2))), (0, String::new(), String::new()));
        assert_eq!(held(), 1);
        let mut mailq = house.command("mail-queue");
        mailq.arg0("/usr/bin/mailq");
        let (status, out, _) = run(mailq, "");
        assert_eq!(status, 0);
        assert!(out.lines().nth(3).unwrap().contains("  held  "), "{out}");
        let (status, _, err) = ask(&house, &format!("retry {} {}", id(1), id(2)));
        assert_eq!((status, err), (69, format!("mail-queue: {}: it is held; release it\n", id(2))));
        assert!(spool.entry(&id(1)).unwrap().due.unwrap() <= now());
        assert_eq!(ask(&house, "hold --all"), (0, String::new(), "mail-queue: 2 of 2 messages\n".to_owned()));
        let (status, out, _) = ask(&house, "--json");
        let ids: String = out
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .map(|row| format!("{}\n", row["id"].as_str().unwrap()))
            .collect();
        assert_eq!((status, held()), (0, 3));
        let mut release = house.command("mail-queue");
        release.args(["release", "-"]);
        assert_eq!(run(release, &ids), (0, String::new(), String::new()));
        assert_eq!(held(), 0);
        let lease = spool.claim(now(), Duration::from_secs(60), 1).unwrap().remove(0);
        let (status, _, err) = ask(&house, "remove --all");
        assert_eq!(status, 75);
        assert!(err.contains("it is being delivered just now") && err.contains("2 of 3 messages"), "{err}");
        let (status, out, _) = ask(&house, &format!("show --message {}", lease.entry.id));
        assert_eq!((status, out.as_bytes()), (0, BODY));
        spool.settle(lease, &[(0, Verdict::Done), (1, Verdict::Done)], Next::At(now())).unwrap();
        assert_eq!(ask(&house, "list"), (0, "Mail queue is empty\n".to_owned(), String::new()));
        assert_eq!(ask(&house, "list --json"), (0, String::new(), String::new()));
    });
}

/// The real daemon: messages that wait are retried, held, let go and removed by the program that people use.
#[test]
fn a_real_daemon_obeys() {
    let sink = Sink::start();
    sink.always(Stage::Mail, "", Act::Say("451 4.3.0 not now".to_owned()));
    let mut house = House::new();
    house.set("relayd.relay_from", r#"["127.0.0.0/8"]"#);
    house.set("relayd.smarthost", format!("\"smtp://{}\"", sink.address()));
    let daemon = Daemon::start(&house, "mail-relayd");
    let mut client = Speaker::tcp(daemon.tcp("smtp")).hello();
    let put_off = |number: usize| {
        let put_off = |entry: &serde_json::Value| entry["recipients"][0]["tries"] == 1;
        let mut rows = Vec::new();
        // The daemon says so in its log just before it writes it down.
        for _ in 0..500 {
            let (status, out, err) = ask(&house, "list --json");
            assert_eq!(status, 0, "{err}");
            rows = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<_>>();
            if rows.len() == number && rows.iter().all(put_off) {
                return rows;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("not {number} messages were put off: {rows:?}");
    };
    for number in 1..=3 {
        client.deliver("alice@example.org", &[&format!("you{number}@example.net")], "Subject: x\n\nx\n");
    }
    let rows = put_off(3);
    let id = |number: usize| rows[number]["id"].as_str().unwrap();
    assert_eq!(rows[0]["recipients"][0]["status"], "4.3.0");
    sink.relent();
    assert_eq!(ask(&house, &format!("retry {}", id(0))).0, 0);
    assert_eq!(sink.wait(1)[0].rcpts, ["TO:<you1@example.net>"]);
    assert_eq!(ask(&house, &format!("remove {}", id(1))), (0, String::new(), String::new()));
    assert_eq!(ask(&house, &format!("hold {}", id(2))), (0, String::new(), String::new()));
    let (_, out, _) = ask(&house, "");
    assert!(out.contains(id(2)) && out.contains("held") && !out.contains(id(1)), "{out}");
    assert_eq!(ask(&house, &format!("release {}", id(2))).0, 0);
    assert_eq!(sink.wait(2)[1].rcpts, ["TO:<you3@example.net>"]);
    drop(client);
    assert!(daemon.stop().success());
}

/// A reader that has enough ends nothing in disgrace.
#[test]
fn a_reader_that_goes_is_success() {
    let house = House::new();
    let spool = spool(&house);
    for n in 10..60 {
        put(&spool, n);
    }
    drop(spool);
    let mut command = house.command("mail-queue");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}
