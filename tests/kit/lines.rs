//! A client that says lines and hears lines; it judges nothing.

use super::PATIENCE;
use std::{
    io::{BufRead, BufReader, Write},
    net::{Shutdown, SocketAddr, TcpStream},
};

/// A connection in the clear.
pub struct Lines {
    input: BufReader<TcpStream>,
    output: TcpStream,
}

impl Lines {
    /// Connects; the greeting is the first line to be heard.
    pub fn connect(address: SocketAddr) -> Lines {
        Lines::try_connect(address).unwrap()
    }

    /// The same where nobody may be there any more.
    pub fn try_connect(address: SocketAddr) -> Option<Lines> {
        let output = TcpStream::connect(address).ok()?;
        output.set_nodelay(true).unwrap();
        output.set_read_timeout(Some(PATIENCE)).unwrap();
        Some(Lines { input: BufReader::new(output.try_clone().unwrap()), output })
    }

    /// Says a line; that the other side is gone shows when it is listened to.
    pub fn say(&mut self, line: &str) {
        let _ = self.output.write_all(format!("{line}\r\n").as_bytes());
    }

    /// Says nothing more, and goes on listening; or the reverse.
    pub fn shutdown(&self, how: Shutdown) {
        self.output.shutdown(how).unwrap();
    }

    /// The next line without its end; `None` when the other side closed.
    pub fn hear(&mut self) -> Option<String> {
        let mut line = Vec::new();
        match self.input.read_until(b'\n', &mut line) {
            Ok(count) if count > 0 => {
                Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
            }
            _ => None,
        }
    }

    /// Hears lines up to one that begins so, which is the last of the answer.
    pub fn until(&mut self, start: &str) -> Vec<String> {
        let mut heard = Vec::new();
        loop {
            let line = self.hear().unwrap_or_else(|| panic!("closed before {start:?}, after {heard:?}"));
            let found = line.starts_with(start);
            heard.push(line);
            if found {
                return heard;
            }
        }
    }

    /// Says an IMAP command and hears its answer; `None` when the other side is gone before that.
    pub fn ask(&mut self, command: &str) -> Option<Vec<String>> {
        self.say(&format!("t {command}"));
        let mut heard = Vec::new();
        loop {
            heard.push(self.hear()?);
            if heard.last().is_some_and(|line| line.starts_with("t ")) {
                return Some(heard);
            }
        }
    }

    /// The same for one whose answer must be OK.
    pub fn imap(&mut self, command: &str) -> Vec<String> {
        self.say(&format!("t {command}"));
        let heard = self.until("t ");
        assert!(heard.last().is_some_and(|line| line.starts_with("t OK")), "{command}: {heard:?}");
        heard
    }
}
