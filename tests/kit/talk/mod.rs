//! Dialogues: `tests/talk/FOLDER/NAME.talk`, played whole and octet by octet, against a [`Session`] with a scripted
//! agent and against a program on a socket or on stdin and stdout.
//!
//! A dialogue is lines of text:
//!
//! | line | meaning |
//! | --- | --- |
//! | `# ...`, an empty line | for the reader |
//! | `@ key value` | a setting that the test's own code understands ([`Talk::setting`]) |
//! | `C: text` | the client sends this line, CR LF at its end |
//! | `S: text` | the server sends this line, CR LF at its end |
//! | `S+ text`, `C+ text` | one or more lines that all match `text`: as many as come |
//! | `! tls` | TLS begins: who is tested asked for it, and nothing was left over before it |
//! | `! close` | who is tested closes the connection |
//! | `! eof` | the other one closes its sending side |
//! | `! deadline` | the time that a session gave to the other one runs out (sessions only) |
//! | `! event NAME` | an outside event, made by the test's own code (sessions only) |
//!
//! Of the side that is tested every line is compared whole, and none may be left over; `...` in it matches any run
//! of octets. Of the other side lines are sent as they stand, all those that follow one another at once. In both:
//!
//! | written | means |
//! | --- | --- |
//! | `\r \n \t \0 \\ \xHH` | that octet |
//! | `\.` | a dot (so that `\...` is three dots) |
//! | `\b(text)` | text in base64; escapes in it are undone first: `AUTH PLAIN \b(\0alice\0wonderland)` |
//! | `\*N(text)` | text, N times |
//! | `\` at the end of the line | no CR LF here |
//!
//! In parentheses, `\)` is a closing one.
//!
//! [`Session`]: posthaste::wire::session::Session

mod parse;
mod session;
mod socket;

pub use parse::Talk;
pub use session::Scripted;
pub use socket::Conn;

use parse::Move;
use std::{fs, path::PathBuf};

/// Who is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// `C:` lines are compared.
    Client,
    /// `S:` lines are compared.
    Server,
}

/// How the other side's octets arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// All lines up to the next expected one at once, as a pipelining peer sends them.
    Whole,
    /// One octet a read.
    Octets,
}

/// Whatever is tested.
trait End {
    /// Hands it octets.
    fn give(&mut self, octets: &[u8]) -> Result<(), String>;
    /// Its next line with its line end, or what stands there when it waits or is gone.
    fn hear(&mut self) -> Result<Vec<u8>, String>;
    /// Puts a line back.
    fn unhear(&mut self, line: &[u8]);
    /// What it said too much, as far as that can be known without waiting.
    fn rest(&mut self) -> Vec<u8>;
    /// The other moves.
    fn act(&mut self, what: &Move) -> Result<(), String>;
}

/// All dialogues of `tests/talk/FOLDER`, in the order of their names.
pub fn folder(name: &str, side: Side) -> Vec<Talk> {
    let dir = super::root().join("tests/talk").join(name);
    let entries = fs::read_dir(&dir).unwrap_or_else(|fault| panic!("{}: {fault}", dir.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "talk"));
    paths.sort();
    assert!(!paths.is_empty(), "{}: no dialogue", dir.display());
    paths.iter().map(|path| Talk::read(path, side)).collect()
}

/// Plays a dialogue without its first `given` moves against something; the error says where it left the script.
fn play(talk: &Talk, pace: Pace, end: &mut dyn End, given: usize) -> Result<(), String> {
    let at = |number: usize, said: String| format!("{}:{number}: ({pace:?}) {said}", talk.name);
    let mut moves = talk.moves.iter().skip(given).peekable();
    while let Some((number, what)) = moves.next() {
        let step = match what {
            Move::Say(octets) => {
                let extra = end.rest();
                if !extra.is_empty() {
                    return Err(at(
                        *number,
                        format!("it had already said {:?}", extra.escape_ascii().to_string()),
                    ));
                }
                let mut group = octets.clone();
                while let Some((_, Move::Say(more))) = moves.peek() {
                    group.extend_from_slice(more);
                    moves.next();
                }
                match pace {
                    Pace::Whole => end.give(&group),
                    Pace::Octets => group.chunks(1).try_for_each(|octet| end.give(octet)),
                }
            }
            Move::Hear { pattern, many } => hear(end, pattern, *many),
            other => end.act(other),
        };
        step.map_err(|said| at(*number, said))?;
    }
    match end.rest() {
        extra if extra.is_empty() => Ok(()),
        extra => Err(at(0, format!("at the end it said {:?}", extra.escape_ascii().to_string()))),
    }
}

fn hear(end: &mut dyn End, pattern: &parse::Pattern, many: bool) -> Result<(), String> {
    let line = end.hear()?;
    if !pattern.matches(&line) {
        return Err(format!("expected {pattern}\n  but it said {:?}", line.escape_ascii().to_string()));
    }
    if many {
        let after = loop {
            let line = end.hear()?;
            if !pattern.matches(&line) {
                break line;
            }
        };
        end.unhear(&after);
    }
    Ok(())
}
