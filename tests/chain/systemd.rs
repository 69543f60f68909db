//! mail-relayd under systemd: sockets come named by their configuration keys, and it says when it is ready.

use crate::kit::{self, PATIENCE, daemon::Daemon, house::House};
use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::{UnixDatagram, UnixStream},
    path::Path,
    process::{Child, Command, Stdio},
};

/// A line that a server says on a unix socket, once the socket is there.
fn greeted(path: &Path, mut child: Option<&mut Child>) -> (BufReader<UnixStream>, String) {
    let until = std::time::Instant::now() + PATIENCE;
    let stream = loop {
        match UnixStream::connect(path) {
            Ok(stream) => break stream,
            Err(fault) => {
                let ended = child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_some());
                assert!(!ended && std::time::Instant::now() < until, "{}: {fault}", path.display());
                std::thread::yield_now();
            }
        }
    };
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut lines = BufReader::new(stream);
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    (lines, line)
}

#[test]
fn sockets_are_taken_by_their_names() {
    let Some(activate) = kit::peer("systemd-socket-activate") else { return };
    let house = House::new();
    let (smtp, lmtp) = (house.path("run/one"), house.path("run/two"));
    let mut child = Command::new(activate)
        .arg("-l")
        .arg(&smtp)
        .arg("-l")
        .arg(&lmtp)
        .arg("--fdname=smtp:lmtp")
        .arg(kit::program("mail-relayd"))
        .arg("-C")
        .arg(house.config())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut first, greeting) = greeted(&smtp, Some(&mut child));
    assert!(greeting.starts_with("220 mx.example.org ESMTP"), "{greeting}");
    // Each name has its own rules: LHLO is no command of SMTP.
    first.get_mut().write_all(b"LHLO me\r\n").unwrap();
    let mut line = String::new();
    first.read_line(&mut line).unwrap();
    assert!(line.starts_with("500 ") || line.starts_with("502 "), "{line}");
    let (mut second, greeting) = greeted(&lmtp, Some(&mut child));
    assert!(greeting.starts_with("220 mx.example.org LMTP"), "{greeting}");
    second.get_mut().write_all(b"LHLO me\r\n").unwrap();
    line.clear();
    second.read_line(&mut line).unwrap();
    assert!(line.starts_with("250-"), "{line}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn systemd_is_told_when_everything_is_served() {
    let house = House::new();
    let told = UnixDatagram::bind(house.path("run/notify")).unwrap();
    told.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = house.command("mail-relayd");
    command.env("NOTIFY_SOCKET", house.path("run/notify"));
    let daemon = Daemon::spawn("mail-relayd", command);
    let mut octets = [0; 512];
    let count = told.recv(&mut octets).unwrap();
    let said = String::from_utf8_lossy(&octets[..count]);
    assert!(said.lines().any(|line| line == "READY=1"), "{said}");
    assert!(daemon.stop().success());
}
