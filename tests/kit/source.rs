//! A mailbox on a server of its own, by POP3 and by IMAP: what `mail-fetch` fetches from where no real server is wanted. It
//! keeps what was said to it, and can hang up in the middle of a message.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// A message.
#[derive(Clone, Debug)]
pub struct Message {
    /// IMAP's UID; POP3's UIDL is `u` and it.
    pub uid: u32,
    /// Its octets, with CR LF.
    pub octets: Vec<u8>,
    /// Its flags as IMAP writes them.
    pub flags: String,
}

/// A mailbox with one folder, served until the process ends.
#[derive(Clone)]
pub struct Source {
    shared: Arc<Mutex<Shared>>,
    /// Where POP3 is spoken.
    pub pop3: u16,
    /// Where IMAP is spoken.
    pub imap: u16,
}

struct Shared {
    messages: Vec<Message>,
    validity: u32,
    /// Hang up in the middle of this message.
    trap: Option<u32>,
    /// Left out of IMAP's listings; and counted in EXISTS all the same.
    hidden: (BTreeSet<u32>, bool),
    /// What a listing says of a message's size, where that is not true.
    claimed: Option<(u32, u64)>,
    said: Vec<String>,
    /// Conversations of an earlier age are over.
    age: u32,
}

impl Shared {
    fn size(&self, message: &Message) -> u64 {
        let claimed = self.claimed.filter(|claimed| claimed.0 == message.uid);
        claimed.map_or(message.octets.len() as u64, |claimed| claimed.1)
    }

    /// What IMAP's numbers count.
    fn seen(&self) -> impl Iterator<Item = &Message> {
        let (hidden, counted) = &self.hidden;
        self.messages.iter().filter(move |message| *counted || !hidden.contains(&message.uid))
    }
}

impl Source {
    /// An empty one. The user is `me` and the password `secret`.
    pub fn new() -> Source {
        let shared = Shared {
            messages: Vec::new(),
            validity: 17,
            trap: None,
            hidden: Default::default(),
            claimed: None,
            said: Vec::new(),
            age: 0,
        };
        let shared = Arc::new(Mutex::new(shared));
        let serve = |session: fn(&Mutex<Shared>, TcpStream)| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                for stream in listener.incoming() {
                    let shared = Arc::clone(&shared);
                    // A client that is killed is the point of many a test.
                    thread::spawn(move || session(&shared, stream.unwrap()));
                }
            });
            port
        };
        Source { pop3: serve(pop3), imap: serve(imap), shared }
    }

    /// Puts a message there.
    pub fn put(&self, uid: u32, octets: impl AsRef<[u8]>, flags: &str) -> &Source {
        let octets = octets.as_ref().to_vec();
        self.shared.lock().unwrap().messages.push(Message { uid, octets, flags: flags.to_owned() });
        self
    }

    /// `count` messages, each with a body of its own.
    pub fn fill(&self, count: u32) -> &Source {
        for uid in 1..=count {
            let body = "x".repeat(uid as usize * 97 % 3000);
            self.put(uid, format!("Subject: message {uid}\r\n\r\n.{uid}\r\n{body}\r\n"), "");
        }
        self
    }

    /// The UIDs that are there.
    pub fn uids(&self) -> Vec<u32> {
        self.shared.lock().unwrap().messages.iter().map(|message| message.uid).collect()
    }

    /// Removes all messages.
    pub fn clear(&self) {
        self.shared.lock().unwrap().messages.clear();
    }

    /// Gives all UIDs another meaning.
    pub fn renumber(&self, validity: u32) {
        self.shared.lock().unwrap().validity = validity;
    }

    /// Hangs up in the middle of this message; `None` does not any more.
    pub fn trap(&self, uid: Option<u32>) {
        self.shared.lock().unwrap().trap = uid;
    }

    /// Hears no more of what is said in the conversations of now.
    pub fn hang_up(&self) {
        self.shared.lock().unwrap().age += 1;
    }

    /// Leaves these out of what IMAP lists of the folder, though it says OK. It counts them all the same, or is as if they
    /// were not there.
    pub fn hide(&self, uids: impl IntoIterator<Item = u32>, counted: bool) {
        self.shared.lock().unwrap().hidden = (uids.into_iter().collect(), counted);
    }

    /// Lists this message as one of so many octets.
    pub fn claim(&self, uid: u32, octets: u64) {
        self.shared.lock().unwrap().claimed = Some((uid, octets));
    }

    /// What was said since the last time: commands without tags.
    pub fn said(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.lock().unwrap().said)
    }

    /// The URL for a scheme, `pop3` or `imap`.
    pub fn url(&self, scheme: &str) -> String {
        let port = if scheme == "pop3" { self.pop3 } else { self.imap };
        format!("{scheme}://me@127.0.0.1:{port}")
    }
}

impl Default for Source {
    fn default() -> Source {
        Source::new()
    }
}

fn lines(stream: &TcpStream) -> impl Iterator<Item = String> + use<> {
    BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok)
}

fn pop3(shared: &Mutex<Shared>, mut stream: TcpStream) {
    let (drop, age): (Vec<Message>, u32) = {
        let shared = shared.lock().unwrap();
        (shared.messages.clone(), shared.age)
    };
    let mut marked = BTreeSet::new();
    if stream.write_all(b"+OK ready\r\n").is_err() {
        return;
    }
    for line in lines(&stream) {
        let trap = {
            let mut shared = shared.lock().unwrap();
            if shared.age != age {
                return;
            }
            shared.said.push(line.clone());
            shared.trap
        };
        let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let number = rest.parse::<usize>().unwrap_or(0);
        let message = number.checked_sub(1).and_then(|at| drop.get(at));
        let reply: Vec<u8> = match (verb, message) {
            ("CAPA", _) => b"+OK\r\nUIDL\r\nPIPELINING\r\nSASL PLAIN\r\n.\r\n".to_vec(),
            // base64 of NUL me NUL secret
            ("AUTH", _) if rest == "PLAIN AG1lAHNlY3JldA==" => b"+OK\r\n".to_vec(),
            ("AUTH", _) => b"-ERR [AUTH] no\r\n".to_vec(),
            ("UIDL" | "LIST", _) => {
                let mut reply = "+OK\r\n".to_owned();
                for (message, number) in drop.iter().zip(1..) {
                    reply += &match verb {
                        "UIDL" => format!("{number} u{}\r\n", message.uid),
                        _ => format!("{number} {}\r\n", shared.lock().unwrap().size(message)),
                    };
                }
                (reply + ".\r\n").into_bytes()
            }
            ("RETR", Some(message)) if trap == Some(message.uid) => {
                let _ = stream.write_all(b"+OK\r\n");
                let _ = stream.write_all(&message.octets[..message.octets.len() / 2]);
                return;
            }
            ("RETR", Some(message)) => {
                let text = String::from_utf8(message.octets.clone()).unwrap();
                let text = format!("\r\n{text}").replace("\r\n.", "\r\n..");
                let end = if text.ends_with("\r\n") { ".\r\n" } else { "\r\n.\r\n" };
                format!("+OK{text}{end}").into_bytes()
            }
            ("DELE", Some(message)) => {
                marked.insert(message.uid);
                b"+OK\r\n".to_vec()
            }
            ("QUIT", _) => {
                let mut shared = shared.lock().unwrap();
                if shared.age != age {
                    return;
                }
                shared.messages.retain(|message| !marked.contains(&message.uid));
                let _ = stream.write_all(b"+OK\r\n");
                return;
            }
            _ => b"-ERR what?\r\n".to_vec(),
        };
        if stream.write_all(&reply).is_err() {
            return;
        }
    }
}

/// True when `1:3,7` or `5:*` holds the UID.
fn holds(set: &str, uid: u32) -> bool {
    set.split(',').any(|range| {
        let (low, high) = range.split_once(':').unwrap_or((range, range));
        let high = if high == "*" { u32::MAX } else { high.parse().unwrap() };
        (low.parse().unwrap()..=high).contains(&uid)
    })
}

fn imap(shared: &Mutex<Shared>, mut stream: TcpStream) {
    let age = shared.lock().unwrap().age;
    if stream.write_all(b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN UIDPLUS] ready\r\n").is_err() {
        return;
    }
    for line in lines(&stream) {
        let (tag, command) = line.split_once(' ').unwrap();
        let mut shared = shared.lock().unwrap();
        if shared.age != age {
            return;
        }
        shared.said.push(command.to_owned());
        let mut words = command.split(' ');
        let mut reply = Vec::new();
        let mut end = "OK done";
        match (words.next().unwrap(), words.next().unwrap_or(""), words.next().unwrap_or("")) {
            ("AUTHENTICATE", "PLAIN", "AG1lAHNlY3JldA==") => end = "OK [CAPABILITY IMAP4rev1 UIDPLUS] in",
            ("AUTHENTICATE", ..) => end = "NO [AUTHENTICATIONFAILED] no",
            ("SELECT" | "EXAMINE", "INBOX", _) => {
                let (exists, validity) = (shared.seen().count(), shared.validity);
                let next = shared.messages.iter().map(|message| message.uid + 1).max().unwrap_or(1);
                let lines = format!(
                    "* {exists} EXISTS\r\n* OK [UIDVALIDITY {validity}]\r\n* OK [UIDNEXT {next}]\r\n"
                );
                reply.extend(lines.bytes());
            }
            ("SELECT" | "EXAMINE", ..) => end = "NO no such folder",
            ("UID", "FETCH", set) => {
                let trap = shared.trap;
                let seen = shared.seen().zip(1..).filter(|(message, _)| holds(set, message.uid));
                for (message, number) in seen {
                    let listed = !shared.hidden.0.contains(&message.uid);
                    let Message { uid, octets, flags } = message;
                    let size = octets.len();
                    if command.contains("BODY.PEEK[]") {
                        reply.extend(format!("* {number} FETCH (UID {uid} BODY[] {{{size}}}\r\n").bytes());
                        if trap == Some(*uid) {
                            reply.extend(&octets[..size / 2]);
                            let _ = stream.write_all(&reply);
                            return;
                        }
                        reply.extend(octets);
                        reply.extend(b")\r\n");
                    } else if listed {
                        let size = shared.size(message);
                        let row = format!(
                            "* {number} FETCH (UID {uid} FLAGS ({flags}) INTERNALDATE \"21-Nov-1997 09:55:06 -0600\" RFC822.SIZE {size})\r\n"
                        );
                        reply.extend(row.bytes());
                    }
                }
            }
            ("UID", "STORE", set) => {
                let set = set.to_owned();
                for message in shared.messages.iter_mut().filter(|message| holds(&set, message.uid)) {
                    message.flags += " \\Deleted";
                }
            }
            ("UID", "EXPUNGE", set) => {
                let set = set.to_owned();
                shared
                    .messages
                    .retain(|message| !(holds(&set, message.uid) && message.flags.contains("\\Deleted")));
            }
            ("LIST", ..) => reply.extend(b"* LIST (\\Noselect) \"/\" \"\"\r\n"),
            ("LOGOUT", ..) => {
                let _ = stream.write_all(format!("* BYE\r\n{tag} OK\r\n").as_bytes());
                return;
            }
            _ => end = "BAD what?",
        }
        reply.extend(format!("{tag} {end}\r\n").bytes());
        drop(shared);
        if stream.write_all(&reply).is_err() {
            return;
        }
    }
}
