//! A program of ours kept running while a test talks to it.

use super::{PATIENCE, house::House};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

/// A running daemon. It was started with `--ready-fd 1` and wrote one line of JSON to that descriptor when its
/// listeners stood: `{"smtp":["127.0.0.1:40123"],"control":["unix:/..."]}`, the configuration keys of the
/// listeners with the addresses really bound. It is killed when dropped, with whatever it was wrapped in; what it wrote
/// to stderr is printed when the test fails.
pub struct Daemon {
    name: String,
    child: Child,
    ready: serde_json::Value,
    log: Arc<(Mutex<Log>, Condvar)>,
}

#[derive(Default)]
struct Log {
    text: String,
    ended: bool,
}

impl Daemon {
    /// Starts `name` with the house's configuration and waits until it is ready.
    pub fn start(house: &House, name: &str) -> Daemon {
        Daemon::spawn(name, house.command(name))
    }

    /// Starts a prepared command (which may be a wrapper such as strace) and waits until it is ready.
    /// `--ready-fd 1` is appended to its arguments.
    pub fn spawn(name: &str, command: Command) -> Daemon {
        Daemon::try_spawn(name, command).unwrap_or_else(|said| panic!("{name} did not become ready; {said}"))
    }

    /// The same for one that may be killed on its way; then what it said.
    pub fn try_spawn(name: &str, command: Command) -> Result<Daemon, String> {
        Daemon::launch(name, command).map_err(|(_, said)| said)
    }

    /// The status and the words of one that must not become ready.
    pub fn refused(name: &str, command: Command) -> (Option<i32>, String) {
        let Err((status, said)) = Daemon::launch(name, command) else { panic!("{name} became ready") };
        (status.code(), said)
    }

    fn launch(name: &str, mut command: Command) -> Result<Daemon, (ExitStatus, String)> {
        command.args(["--ready-fd", "1"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|fault| panic!("{name}: {fault}"));
        let log = Arc::new((Mutex::new(Log::default()), Condvar::new()));
        follow(child.stderr.take().unwrap(), Arc::clone(&log));
        let (say, hear) = mpsc::channel();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || {
            let mut line = String::new();
            let _ = out.read_line(&mut line);
            let _ = say.send(line);
            // Drained, so that a daemon that writes more is never blocked by its test.
            let _ = std::io::copy(&mut out, &mut std::io::sink());
        });
        let mut daemon = Daemon { name: name.to_owned(), child, ready: serde_json::Value::Null, log };
        let line = hear.recv_timeout(PATIENCE).unwrap_or_default();
        match serde_json::from_str(&line) {
            Ok(ready) => daemon.ready = ready,
            Err(_) => {
                // What it said last is why.
                daemon.kill_all();
                let status = daemon.wait();
                return Err((status, format!("it said: {line:?}\n{}", daemon.log())));
            }
        }
        Ok(daemon)
    }

    /// Where a listener stands, by its configuration key; the first one where there are several.
    pub fn address(&self, key: &str) -> String {
        let bound = &self.ready[key];
        let first = bound.get(0).unwrap_or(bound);
        first
            .as_str()
            .unwrap_or_else(|| panic!("{} has no listener {key:?}: {}", self.name, self.ready))
            .to_owned()
    }

    /// The same as a TCP address.
    pub fn tcp(&self, key: &str) -> SocketAddr {
        self.address(key).parse().unwrap()
    }

    /// The process id, for those who send signals or read /proc.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Kills it as a power cut would end it, and waits.
    pub fn kill(mut self) {
        self.kill_all();
        self.wait();
    }

    /// Kills it and what it started: a tracer that is killed lets go of what it traces, which would live on. Not by a
    /// process group of their own, which a person's Ctrl-C would not reach.
    fn kill_all(&self) {
        let mut found = vec![self.child.id()];
        let mut at = 0;
        while let Some(pid) = found.get(at) {
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
            at += 1;
        }
        for pid in found.into_iter().rev().filter_map(|pid| Pid::from_raw(pid.try_into().ok()?)) {
            // One that has ended meanwhile is no fault.
            let _ = kill_process(pid, Signal::KILL);
        }
    }

    /// Asks it to end (SIGTERM) and waits.
    pub fn stop(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        // The end of stderr is the event; the status follows at once.
        let (log, changed) = &*self.log;
        let mut held = log.lock().unwrap();
        while !held.ended && Instant::now() < until {
            held = changed.wait_timeout(held, until - Instant::now()).unwrap().0;
        }
        let ended = held.ended;
        // Not while it is held: the panic would spread to whoever writes it.
        drop(held);
        assert!(ended, "{} does not end", self.name);
        self.child.wait().unwrap()
    }

    /// What it wrote to stderr so far.
    pub fn log(&self) -> String {
        self.log.0.lock().unwrap().text.clone()
    }

    /// Waits until a line of its log contains `text`, and answers with the line.
    pub fn logged(&self, text: &str) -> String {
        let until = Instant::now() + PATIENCE;
        let (log, changed) = &*self.log;
        let mut held = log.lock().unwrap();
        loop {
            if let Some(line) = held.text.lines().find(|line| line.contains(text)) {
                return line.to_owned();
            }
            let left = until.saturating_duration_since(Instant::now());
            if held.ended || left == Duration::ZERO {
                let text_so_far = held.text.clone();
                // Not while it is held: the panic would spread to whoever writes it.
                drop(held);
                panic!("{} logged no line with {text:?}:\n{text_so_far}", self.name);
            }
            held = changed.wait_timeout(held, left).unwrap().0;
        }
    }
}

fn follow(stderr: impl Read + Send + 'static, log: Arc<(Mutex<Log>, Condvar)>) {
    thread::spawn(move || {
        let mut lines = BufReader::new(stderr);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            log.0.lock().unwrap().text += &String::from_utf8_lossy(&line);
            log.1.notify_all();
            line.clear();
        }
        log.0.lock().unwrap().ended = true;
        log.1.notify_all();
    });
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // One that has ended and was waited for may have left its number to others.
        if matches!(self.child.try_wait(), Ok(None)) {
            self.kill_all();
        }
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- {} wrote:\n{}---", self.name, self.log());
        }
    }
}
