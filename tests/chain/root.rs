//! Started as root: a low port is bound, and then the daemon is its user and nobody else.

use crate::kit::{daemon::Daemon, house::House, namespace::Network, smtp::Speaker};
use nix::unistd::User;
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::Path,
    process::{Command, Output},
};

/// A user that every Debian has, without a shell, and not that of our tests.
const USER: &str = "mail";

struct Started {
    network: Network,
    house: House,
    user: User,
}

/// A house for `USER`: of what lies in it, that user may read and write what the daemon has to, and no more.
fn prepare() -> Option<Started> {
    let network = Network::new()?;
    let user = User::from_name(USER).unwrap().unwrap();
    let mut house = House::new();
    house.set("user", format!("{USER:?}")).set("relayd.smtp", "[\"127.0.0.1:26\"]");
    // Mail for elsewhere has to wait: nobody listens there.
    house.set("relayd.smarthost", "\"smtp://127.0.0.1:9\"").set("relayd.retry", "[\"1h\"]");
    fs::set_permissions(&house, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(house.config(), fs::Permissions::from_mode(0o644)).unwrap();
    let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
    for owned in ["accounts", "aliases", "mail"] {
        chown(house.path(owned), Some(uid), Some(gid)).unwrap();
    }
    chown(house.path("key.pem"), None, Some(gid)).unwrap();
    fs::set_permissions(house.path("key.pem"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::set_permissions(house.path("cert.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::remove_dir(house.path("state")).unwrap();
    Some(Started { network, house, user })
}

/// A line of /proc/PID/status, as its words.
fn status(pid: u32, name: &str) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let start = format!("{name}:");
    let line = text.lines().find_map(|line| line.strip_prefix(&start)).unwrap();
    line.split_whitespace().map(str::to_owned).collect()
}

/// Everything below a directory, itself too, with its owner.
fn owners(path: &Path) -> Vec<(String, u32)> {
    let mut found = vec![(path.display().to_string(), path.symlink_metadata().unwrap().uid())];
    if path.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| found.extend(owners(&entry.unwrap().path())));
    }
    found
}

#[test]
fn it_binds_a_low_port_and_then_has_no_powers_left() {
    let Some(Started { network, house, user }) = prepare() else { return };
    let daemon = Daemon::spawn("mail-relayd", network.enter(&house.command("mail-relayd")));
    assert_eq!(daemon.address("smtp"), "127.0.0.1:26");

    let (uid, gid) = (user.uid.to_string(), user.gid.to_string());
    // Every thread has its own: real, effective, saved and file system's.
    let tasks: Vec<u32> = fs::read_dir(format!("/proc/{}/task", daemon.pid()))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap())
        .collect();
    assert!(tasks.len() > 1, "{tasks:?}");
    let mut groups: Vec<String> = nix::unistd::getgrouplist(&std::ffi::CString::new(USER).unwrap(), user.gid)
        .unwrap()
        .into_iter()
        .map(|gid| gid.to_string())
        .collect();
    groups.sort();
    for task in tasks {
        assert_eq!(status(task, "Uid"), vec![uid.clone(); 4], "thread {task}");
        assert_eq!(status(task, "Gid"), vec![gid.clone(); 4], "thread {task}");
        let mut own = status(task, "Groups");
        own.sort();
        assert_eq!(own, groups, "thread {task}");
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(status(task, set), ["0000000000000000"], "{set} of thread {task}");
        }
    }

    // What it makes from then on is that user's: spool, Maildir, and what root had to make before.
    let mut command = house.bare("mail-send");
    command.args(["--server", "smtp://127.0.0.1:26", "-f", "a@example.net", "alice@example.org"]);
    let sent = sent(&network, command);
    assert!(sent.status.success(), "{sent:?}");
    Speaker::unix(house.path("run/submit")).hello().deliver("root", &["x@example.com"], "Subject: x\n\n");
    daemon.logged("put off");
    assert_eq!(fs::read_dir(house.path("state/spool/queue")).unwrap().count(), 1);
    for made in ["state", "mail/example.org/alice"] {
        for (path, owner) in owners(&house.path(made)) {
            assert_eq!(owner, user.uid.as_raw(), "{path}");
        }
    }
    assert_eq!(fs::metadata(house.path("state")).unwrap().mode() & 0o7777, 0o750);

    // As that user it still reads all of it again.
    daemon.signal(rustix::process::Signal::HUP);
    daemon.logged("reloaded");
    assert!(daemon.stop().success());
}

fn sent(network: &Network, command: Command) -> Output {
    let mut command = network.enter(&command);
    command.stdin(fs::File::open("/dev/null").unwrap()).output().unwrap()
}

#[test]
fn a_key_that_its_user_may_not_read_is_told_at_the_start() {
    let Some(Started { network, house, .. }) = prepare() else { return };
    chown(house.path("key.pem"), None, Some(0)).unwrap();
    let (status, stderr) = Daemon::refused("mail-relayd", network.enter(&house.command("mail-relayd")));
    assert_eq!(status, Some(78), "{stderr}");
    let key = house.path("key.pem").display().to_string();
    assert!(stderr.contains(&key) && stderr.contains("Permission denied"), "{stderr}");
    assert!(stderr.contains("the user \"mail\" must be able to read it"), "{stderr}");
}

#[test]
fn a_user_that_is_not_there_is_told_and_nothing_is_served_as_root() {
    let Some(Started { network, mut house, .. }) = prepare() else { return };
    house.set("user", "\"nobody-of-that-name\"");
    let (status, stderr) = Daemon::refused("mail-relayd", network.enter(&house.command("mail-relayd")));
    assert_eq!(status, Some(78), "{stderr}");
    assert!(stderr.contains("there is no user \"nobody-of-that-name\""), "{stderr}");
    assert!(!house.path("state").exists());
}
