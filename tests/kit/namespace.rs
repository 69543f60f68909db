//! A network of its own: loopback, and cables to others.

use super::missing;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::{
    fs::File,
    io::{BufRead, BufReader},
    os::fd::AsFd,
    process::{Child, Command, Stdio},
    thread,
};

/// A network namespace with loopback. Nobody but its cables reaches it; every port of it is free. It goes when dropped,
/// and also when the test is killed: who holds it ends with the pipe from here.
pub struct Network {
    holder: Child,
}

impl Network {
    /// Makes one. Needs root; where that is missing this says so and answers `None`, and with `CI=true` it is a failure
    /// instead.
    pub fn new() -> Option<Network> {
        if !rustix::process::geteuid().is_root() {
            return missing("a network of one's own needs root");
        }
        for name in ["unshare", "nsenter", "ip"] {
            super::peer(name)?;
        }
        let mut holder = Command::new("unshare")
            .args(["--net", "sh", "-c", "ip link set lo up && echo up && exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
        if said != "up\n" {
            let why = holder.wait_with_output().unwrap().stderr;
            return missing(&format!("no network of one's own: {}", String::from_utf8_lossy(&why)));
        }
        Some(Network { holder })
    }

    /// Lays a cable between two, whose ends get these addresses (`192.0.2.1/24`).
    pub fn cable(&self, own: &[&str], other: &Network, others: &[&str]) {
        let pid = other.holder.id().to_string();
        self.run(&["ip", "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", &pid]);
        for (network, addresses) in [(self, own), (other, others)] {
            for address in addresses {
                // Without the wait for a twin that another address family has.
                let nodad: &[&str] = if address.contains(':') { &["nodad"] } else { &[] };
                network.run(&[&["ip", "address", "add", address, "dev", "cable"], nodad].concat());
            }
            network.run(&["ip", "link", "set", "cable", "up"]);
        }
    }

    /// A command within it. The process is the command's own, whatever brings it there.
    pub fn enter(&self, command: &Command) -> Command {
        let mut entered = Command::new("nsenter");
        entered.arg(format!("--net=/proc/{}/ns/net", self.holder.id())).arg("--");
        entered.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => entered.env(name, value),
                None => entered.env_remove(name),
            };
        }
        if let Some(dir) = command.get_current_dir() {
            entered.current_dir(dir);
        }
        entered
    }

    /// Does something within it: a socket that is made there belongs there.
    pub fn within<T: Send>(&self, deed: impl FnOnce() -> T + Send) -> T {
        let network = File::open(format!("/proc/{}/ns/net", self.holder.id())).unwrap();
        thread::scope(|scope| {
            let deed = || {
                move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                deed()
            };
            scope.spawn(deed).join().unwrap()
        })
    }

    fn run(&self, words: &[&str]) {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        let output = self.enter(&command).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
