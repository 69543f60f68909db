//! An SMTP server that takes what it is told to take and keeps it: the other end of what we relay.

use super::PATIENCE;
use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Instant,
};

/// A stage of the dialogue at which a [`Sink`] can do something else than say yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The greeting.
    Greeting,
    /// EHLO or LHLO (HELO is always taken).
    Ehlo,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// The DATA command.
    Data,
    /// The end of the message: the reply after the final dot.
    Dot,
}

/// What to do at a stage instead of saying yes.
#[derive(Clone, Debug)]
pub enum Act {
    /// This reply, as it is written, without its last CR LF.
    Say(String),
    /// Close without a word.
    HangUp,
    /// Say nothing, and wait until the client goes.
    Stall,
}

/// One message as it came.
#[derive(Clone, Debug, Default)]
pub struct Got {
    /// MAIL's argument, `FROM:<...> ...`.
    pub mail: String,
    /// Each accepted RCPT's argument, `TO:<...> ...`.
    pub rcpts: Vec<String>,
    /// The text, dot stuffing undone, CR LF line ends.
    pub text: Vec<u8>,
}

/// The server. Ends with the test.
pub struct Sink {
    address: SocketAddr,
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Default)]
struct State {
    /// Acts that are used up one by one, then the standing ones.
    once: VecDeque<(Stage, String, Act)>,
    always: Vec<(Stage, String, Act)>,
    extensions: Vec<String>,
    got: Vec<Got>,
    lines: Vec<String>,
    connections: usize,
}

impl Sink {
    /// A server on a free port of 127.0.0.1 that takes everything and offers PIPELINING, 8BITMIME, SIZE and
    /// ENHANCEDSTATUSCODES.
    pub fn start() -> Sink {
        Sink::on("127.0.0.1:0")
    }

    /// The same on this address (to stand where an MX record points, say 127.0.0.2).
    pub fn on(address: &str) -> Sink {
        let listener = TcpListener::bind(address).unwrap();
        let extensions =
            ["PIPELINING", "8BITMIME", "SIZE 0", "ENHANCEDSTATUSCODES"].map(str::to_owned).into();
        let state = State { extensions, ..State::default() };
        let sink = Sink {
            address: listener.local_addr().unwrap(),
            state: Arc::new((Mutex::new(state), Condvar::new())),
        };
        let state = Arc::clone(&sink.state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&state);
                thread::spawn(move || serve(stream, &state));
            }
        });
        sink
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The extensions of the EHLO reply, one a line.
    pub fn offer(&self, extensions: &[&str]) -> &Sink {
        self.state.0.lock().unwrap().extensions = extensions.iter().map(|&line| line.to_owned()).collect();
        self
    }

    /// Whenever `stage` is reached with `text` in the command (all of them with `""`).
    pub fn always(&self, stage: Stage, text: &str, act: Act) -> &Sink {
        self.state.0.lock().unwrap().always.push((stage, text.to_owned(), act));
        self
    }

    /// The next time only; several are used up in order.
    pub fn once(&self, stage: Stage, text: &str, act: Act) -> &Sink {
        self.state.0.lock().unwrap().once.push_back((stage, text.to_owned(), act));
        self
    }

    /// Forgets all acts: from here on everything is taken.
    pub fn relent(&self) -> &Sink {
        let mut state = self.state.0.lock().unwrap();
        state.once.clear();
        state.always.clear();
        drop(state);
        self
    }

    /// Waits until `count` messages have come and answers with all that came so far.
    pub fn wait(&self, count: usize) -> Vec<Got> {
        self.until(|state| state.got.len() >= count, &format!("{count} messages")).got.clone()
    }

    /// Waits until `count` connections were made.
    pub fn wait_connections(&self, count: usize) {
        drop(self.until(|state| state.connections >= count, &format!("{count} connections")));
    }

    /// Waits until a command line that contains `text` was received.
    pub fn wait_line(&self, text: &str) {
        drop(
            self.until(
                |state| state.lines.iter().any(|line| line.contains(text)),
                &format!("a line {text:?}"),
            ),
        );
    }

    /// What came so far.
    pub fn got(&self) -> Vec<Got> {
        self.state.0.lock().unwrap().got.clone()
    }

    /// Every command line so far, without line ends, over all connections.
    pub fn lines(&self) -> Vec<String> {
        self.state.0.lock().unwrap().lines.clone()
    }

    fn until(&self, met: impl Fn(&State) -> bool, what: &str) -> std::sync::MutexGuard<'_, State> {
        let until = Instant::now() + PATIENCE;
        let (state, changed) = &*self.state;
        let mut held = state.lock().unwrap();
        while !met(&held) {
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the sink waited in vain for {what}; it was told {:#?}", held.lines);
            held = changed.wait_timeout(held, left).unwrap().0;
        }
        held
    }
}

/// One connection. `None` is its end.
fn serve(mut stream: TcpStream, shared: &(Mutex<State>, Condvar)) -> Option<()> {
    let mut input = BufReader::new(stream.try_clone().ok()?);
    shared.0.lock().unwrap().connections += 1;
    shared.1.notify_all();
    reply(&mut stream, shared, Stage::Greeting, "", "220 sink.example ESMTP")?;
    let mut got = Got::default();
    loop {
        let line = line(&mut input)?;
        let text = String::from_utf8_lossy(&line).into_owned();
        shared.0.lock().unwrap().lines.push(text.clone());
        shared.1.notify_all();
        let upper = text.to_ascii_uppercase();
        if upper.starts_with("EHLO") || upper.starts_with("LHLO") {
            let names = shared.0.lock().unwrap().extensions.clone();
            let mut lines = vec!["sink.example".to_owned()];
            lines.extend(names);
            let last = lines.len() - 1;
            let lines: Vec<String> = lines
                .iter()
                .enumerate()
                .map(|(at, it)| format!("250{}{it}", if at == last { ' ' } else { '-' }))
                .collect();
            reply(&mut stream, shared, Stage::Ehlo, &text, &lines.join("\r\n"))?;
        } else if upper.starts_with("MAIL ") {
            let taken = reply(&mut stream, shared, Stage::Mail, &text, "250 2.1.0 sender taken")?;
            got = Got { mail: if taken { text[5..].to_owned() } else { String::new() }, ..Got::default() };
        } else if upper.starts_with("RCPT ") && got.mail.is_empty() {
            say(&mut stream, "503 5.5.1 MAIL first")?;
        } else if upper.starts_with("RCPT ") {
            if reply(&mut stream, shared, Stage::Rcpt, &text, "250 2.1.5 recipient taken")? {
                got.rcpts.push(text[5..].to_owned());
            }
        } else if upper == "DATA" && got.rcpts.is_empty() {
            say(&mut stream, "554 5.5.1 no valid recipients")?;
        } else if upper == "DATA" {
            if reply(&mut stream, shared, Stage::Data, &text, "354 go on")? {
                got.text = body(&mut input)?;
                let done = std::mem::take(&mut got);
                if reply(&mut stream, shared, Stage::Dot, "", "250 2.0.0 kept")? {
                    shared.0.lock().unwrap().got.push(done);
                    shared.1.notify_all();
                }
            }
        } else if upper == "QUIT" {
            say(&mut stream, "221 2.0.0 bye")?;
            return None;
        } else if upper == "RSET" {
            got = Got::default();
            say(&mut stream, "250 2.0.0 reset")?;
        } else if upper.starts_with("HELO") || upper.starts_with("NOOP") {
            say(&mut stream, "250 sink.example")?;
        } else {
            say(&mut stream, "502 5.5.1 not here")?;
        }
    }
}

/// Says `yes` or does what was planned; true when the reply was a 2xx or 3xx.
fn reply(
    stream: &mut TcpStream,
    shared: &(Mutex<State>, Condvar),
    stage: Stage,
    line: &str,
    yes: &str,
) -> Option<bool> {
    let act = {
        let mut state = shared.0.lock().unwrap();
        let met = |planned: &(Stage, String, Act)| planned.0 == stage && line.contains(&planned.1);
        match state.once.iter().position(met) {
            Some(at) => state.once.remove(at).map(|planned| planned.2),
            None => state.always.iter().find(|planned| met(planned)).map(|planned| planned.2.clone()),
        }
    };
    match act {
        None => say(stream, yes).map(|()| true),
        Some(Act::Say(text)) => {
            say(stream, &text)?;
            Some(text.starts_with('2') || text.starts_with('3'))
        }
        Some(Act::HangUp) => None,
        Some(Act::Stall) => {
            let _ = std::io::copy(stream, &mut std::io::sink());
            None
        }
    }
}

fn say(stream: &mut TcpStream, text: &str) -> Option<()> {
    stream.write_all(format!("{text}\r\n").as_bytes()).ok()
}

/// A line without its CR LF. A line that does not end with CR LF is kept with what it ends with, so that a bare LF
/// shows in what was received.
fn line(input: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        if input.read_until(b'\n', &mut line).ok()? == 0 {
            return None;
        }
    }
    line.truncate(line.len() - 2);
    Some(line)
}

fn body(input: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    loop {
        let line = line(input)?;
        if line == b"." {
            return Some(text);
        }
        text.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        text.extend_from_slice(b"\r\n");
    }
}
