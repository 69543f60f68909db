//! A load of messages over SMTP, with a ledger of what was acknowledged. Threads and plain sockets: whoever is killed at
//! the other end, what was heard is known.

use super::PATIENCE;
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// A message by its number: who it is for and what it holds follow from that.
pub struct Letter {
    pub number: u64,
    /// Envelope recipients.
    pub to: Vec<String>,
}

impl Letter {
    /// Every fourth is for a user of ours, for two of them, for a stranger, for one of each.
    pub fn new(number: u64) -> Letter {
        let (alice, bob) = ("alice@example.org", "bob@example.org");
        let stranger = format!("s{number}@example.net");
        let to = match number % 4 {
            0 => vec![alice.to_owned()],
            1 => vec![alice.to_owned(), bob.to_owned()],
            2 => vec![stranger],
            _ => vec![bob.to_owned(), stranger],
        };
        Letter { number, to }
    }

    /// Its text with CR LF, from its first original header field on: a few hundred octets, or some tens of thousands.
    pub fn text(&self) -> Vec<u8> {
        let mut state = self.number.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(3_037_000_493);
        let length = if state.is_multiple_of(16) { 50_000 } else { 300 + state as usize % 6_000 };
        let mut text =
            format!("X-Ledger: {}\r\nSubject: a letter\r\n\r\n.a dot first\r\n", self.number).into_bytes();
        while text.len() < length {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            text.extend_from_slice(format!("{state:016x} {state:016x} {state:016x}\r\n").as_bytes());
        }
        text
    }

    /// The number in a received text (CR LF), if the letter is whole.
    pub fn recognise(received: &[u8]) -> Result<u64, String> {
        let mark = b"X-Ledger: ";
        let at = received.windows(mark.len()).position(|window| window == mark);
        let at =
            at.ok_or_else(|| format!("no X-Ledger field: {:.600}", String::from_utf8_lossy(received)))?;
        let digits: String = received[at + mark.len()..]
            .iter()
            .map(|&octet| octet as char)
            .take_while(char::is_ascii_digit)
            .collect();
        let number = digits.parse().map_err(|_| "no number in X-Ledger")?;
        if received[at..] == Letter::new(number).text() {
            Ok(number)
        } else {
            Err(format!("letter {number} is not whole"))
        }
    }
}

/// What the senders heard.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Letters whose end was answered with 250.
    pub kept: BTreeSet<u64>,
    /// Letters whose end was sent and never answered.
    pub open: BTreeSet<u64>,
    /// Replies that were neither 2xx nor 3xx, and how often each came.
    pub refusals: BTreeMap<String, usize>,
}

/// Senders at work.
pub struct Load {
    shared: Arc<Shared>,
    threads: Vec<thread::JoinHandle<()>>,
}

struct Shared {
    address: SocketAddr,
    next: AtomicU64,
    end: AtomicBool,
    ledger: Mutex<Ledger>,
    changed: Condvar,
}

impl Load {
    /// Sends letters from number `first` on over so many connections, until it is told to end or the server goes.
    pub fn start(address: SocketAddr, connections: usize, first: u64) -> Load {
        let shared = Arc::new(Shared {
            address,
            next: AtomicU64::new(first),
            end: AtomicBool::new(false),
            ledger: Mutex::default(),
            changed: Condvar::new(),
        });
        let threads = (0..connections)
            .map(|_| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || shared.work())
            })
            .collect();
        Load { shared, threads }
    }

    /// Waits until so many letters were acknowledged.
    pub fn wait(&self, kept: usize) {
        let mut ledger = self.shared.ledger.lock().unwrap();
        while ledger.kept.len() < kept {
            let before = ledger.kept.len();
            // As long as it goes on, however slowly: under strace it is slow.
            let (now, waited) = self.shared.changed.wait_timeout(ledger, PATIENCE).unwrap();
            ledger = now;
            let stuck = waited.timed_out() && ledger.kept.len() == before;
            let heard = (before, ledger.refusals.clone());
            if stuck {
                drop(ledger);
                panic!("only {} letters were acknowledged: {:?}", heard.0, heard.1);
            }
        }
    }

    /// Waits until the server is gone, or so many letters were acknowledged or a reply with `sign` was given.
    pub fn until(&self, kept: usize, sign: &str) {
        let until = Instant::now() + PATIENCE;
        let mut ledger = self.shared.ledger.lock().unwrap();
        let met = |ledger: &Ledger| {
            ledger.kept.len() >= kept
                || ledger.refusals.keys().any(|reply| reply.starts_with(sign))
                || self.threads.iter().all(thread::JoinHandle::is_finished)
        };
        while !met(&ledger) && Instant::now() < until {
            // The end of a thread wakes nobody, and so is looked for.
            ledger = self.shared.changed.wait_timeout(ledger, Duration::from_millis(50)).unwrap().0;
        }
        assert!(met(&ledger), "{} letters were acknowledged: {:?}", ledger.kept.len(), ledger.refusals);
    }

    /// What was heard up to now.
    pub fn so_far(&self) -> Ledger {
        self.shared.ledger.lock().unwrap().clone()
    }

    /// Lets each sender finish the letter it is at, or notice that the server is gone.
    pub fn end(self) -> Ledger {
        self.shared.end.store(true, Ordering::SeqCst);
        for thread in self.threads {
            thread.join().unwrap();
        }
        self.shared.ledger.lock().unwrap().clone()
    }
}

impl Shared {
    /// One connection behind the other, until the end is wanted or the server is gone.
    fn work(&self) {
        loop {
            if self.end.load(Ordering::SeqCst) || self.connection().is_none() {
                return;
            }
        }
    }

    /// One connection with up to 10 letters; `None` when the server is gone.
    fn connection(&self) -> Option<()> {
        let stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.set_nodelay(true).ok()?;
        let mut talk = Talk { input: BufReader::new(stream.try_clone().ok()?), output: stream };
        talk.hear()?;
        talk.say(b"EHLO load.example\r\n")?;
        for _ in 0..10 {
            if self.end.load(Ordering::SeqCst) {
                break;
            }
            self.letter(&mut talk, &Letter::new(self.next.fetch_add(1, Ordering::SeqCst)))?;
        }
        talk.say(b"QUIT\r\n").map(drop)
    }

    fn letter(&self, talk: &mut Talk, letter: &Letter) -> Option<()> {
        let mut commands = vec!["MAIL FROM:<sender@example.com>\r\n".to_owned()];
        commands.extend(letter.to.iter().map(|to| format!("RCPT TO:<{to}>\r\n")));
        commands.push("DATA\r\n".to_owned());
        for command in commands {
            let reply = talk.say(command.as_bytes())?;
            if !reply.starts_with(['2', '3']) {
                self.refused(reply);
                return talk.say(b"RSET\r\n").map(drop);
            }
        }
        let mut octets = Vec::new();
        for line in letter.text().split_inclusive(|&octet| octet == b'\n') {
            if line.starts_with(b".") {
                octets.push(b'.');
            }
            octets.extend_from_slice(line);
        }
        talk.output.write_all(&octets).ok()?;
        // From here on the server may have it without our hearing of it.
        self.ledger.lock().unwrap().open.insert(letter.number);
        let reply = talk.say(b".\r\n")?;
        let mut ledger = self.ledger.lock().unwrap();
        ledger.open.remove(&letter.number);
        if reply.starts_with("250") {
            ledger.kept.insert(letter.number);
            drop(ledger);
            self.changed.notify_all();
        } else {
            drop(ledger);
            self.refused(reply);
        }
        Some(())
    }

    fn refused(&self, reply: String) {
        *self.ledger.lock().unwrap().refusals.entry(reply).or_default() += 1;
        self.changed.notify_all();
    }
}

struct Talk {
    input: BufReader<TcpStream>,
    output: TcpStream,
}

impl Talk {
    fn say(&mut self, octets: &[u8]) -> Option<String> {
        self.output.write_all(octets).ok()?;
        self.hear()
    }

    /// A whole reply's last line.
    fn hear(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            self.input.read_line(&mut line).ok()?;
            if !line.ends_with('\n') {
                return None;
            }
            if line.as_bytes().get(3) != Some(&b'-') {
                return Some(line.trim_end().to_owned());
            }
        }
    }
}
