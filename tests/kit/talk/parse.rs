//! A dialogue's text, read.

use super::Side;
use base64::{Engine, engine::general_purpose::STANDARD};
use std::{fmt, fs, path::Path};

/// A dialogue.
#[derive(Clone, Debug)]
pub struct Talk {
    /// Its path below `tests/talk`, for messages.
    pub name: String,
    pub(super) settings: Vec<(String, String)>,
    pub(super) moves: Vec<(usize, Move)>,
}

/// One line of it, seen by who plays against the tested side.
#[derive(Clone, Debug)]
pub(super) enum Move {
    Say(Vec<u8>),
    Hear { pattern: Pattern, many: bool },
    Tls,
    Close,
    Eof,
    Deadline,
    Event(String),
}

/// What a line of the tested side must be: pieces with any run of octets between them.
#[derive(Clone, Debug)]
pub(super) struct Pattern(Vec<Vec<u8>>);

impl Talk {
    /// Reads a file; a mistake in it fails the test with file and line.
    pub fn read(path: &Path, side: Side) -> Talk {
        let text = fs::read_to_string(path).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()));
        let name = path.strip_prefix(super::super::root().join("tests/talk")).unwrap_or(path);
        Talk::parse(&name.display().to_string(), &text, side)
    }

    /// Reads a dialogue's text.
    pub fn parse(name: &str, text: &str, side: Side) -> Talk {
        let mut talk = Talk { name: name.to_owned(), settings: Vec::new(), moves: Vec::new() };
        for (number, line) in (1..).zip(text.lines()) {
            let bad = |what: &str| -> ! { panic!("{name}:{number}: {what}: {line}") };
            let (mark, rest) = line.split_once(' ').unwrap_or((line, ""));
            let what = match (mark, side) {
                ("", _) if rest.is_empty() => continue,
                ("#", _) => continue,
                ("@", _) => {
                    let (key, value) = rest.split_once(' ').unwrap_or((rest, ""));
                    talk.settings.push((key.to_owned(), value.to_owned()));
                    continue;
                }
                ("C:", Side::Server) | ("S:", Side::Client) => match octets(rest) {
                    Ok(pieces) => Move::Say(pieces.join(&b"..."[..])),
                    Err(what) => bad(what),
                },
                ("S:" | "S+", Side::Server) | ("C:" | "C+", Side::Client) => match octets(rest) {
                    Ok(pieces) => Move::Hear { pattern: Pattern(pieces), many: mark.ends_with('+') },
                    Err(what) => bad(what),
                },
                ("!", _) => match rest.split_once(' ').unwrap_or((rest, "")) {
                    ("tls", "") => Move::Tls,
                    ("close", "") => Move::Close,
                    ("eof", "") => Move::Eof,
                    ("deadline", "") => Move::Deadline,
                    ("event", name) if !name.is_empty() => Move::Event(name.to_owned()),
                    _ => bad("no such move"),
                },
                _ => bad("not a line of a dialogue"),
            };
            talk.moves.push((number, what));
        }
        talk
    }

    /// The value of an `@` line.
    pub fn setting(&self, key: &str) -> Option<&str> {
        self.settings.iter().find(|setting| setting.0 == key).map(|setting| setting.1.as_str())
    }

    /// Every `@` line, so that a test can refuse those that it does not know.
    pub fn settings(&self) -> impl Iterator<Item = (&str, &str)> {
        self.settings.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// What is said before anything is expected.
    pub(super) fn opening(&self) -> Vec<&[u8]> {
        self.moves
            .iter()
            .map_while(|(_, what)| if let Move::Say(octets) = what { Some(&octets[..]) } else { None })
            .collect()
    }

    /// True when a line of the tested side must hold `text`.
    pub fn expects(&self, text: &str) -> bool {
        let holds = |pattern: &Pattern| pattern.to_string().contains(text);
        self.moves.iter().any(|(_, what)| matches!(what, Move::Hear { pattern, .. } if holds(pattern)))
    }

    /// True when only a session can play it: it needs a clock or an event that no peer can give.
    pub fn needs_session(&self) -> bool {
        self.moves.iter().any(|(_, what)| matches!(what, Move::Deadline | Move::Event(_)))
    }
}

/// Undoes the escapes; cuts at each `...` that was not escaped. The last piece ends with CR LF unless a `\` stood at
/// the end of the line.
fn octets(text: &str) -> Result<Vec<Vec<u8>>, &'static str> {
    let mut pieces = vec![Vec::new()];
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let here = pieces.last_mut().unwrap();
        if let Some(after) = rest.strip_prefix("...") {
            pieces.push(Vec::new());
            rest = after;
        } else if rest == "\\" {
            return Ok(pieces);
        } else if next == '\\' {
            rest = escape(&rest[1..], here)?;
        } else {
            here.extend_from_slice(next.encode_utf8(&mut [0; 4]).as_bytes());
            rest = &rest[next.len_utf8()..];
        }
    }
    pieces.last_mut().unwrap().extend_from_slice(b"\r\n");
    Ok(pieces)
}

/// Undoes the escape that begins behind a backslash and answers with what follows it.
fn escape<'a>(text: &'a str, into: &mut Vec<u8>) -> Result<&'a str, &'static str> {
    let kind = text.chars().next().ok_or("a lone backslash")?;
    let rest = &text[kind.len_utf8()..];
    match kind {
        'r' => into.push(b'\r'),
        'n' => into.push(b'\n'),
        't' => into.push(b'\t'),
        '0' => into.push(0),
        '\\' | '.' | ')' => {
            into.push(kind as u8);
            // `\...` is three dots, of which only the first is escaped.
            if kind == '.' && rest.starts_with("..") {
                into.extend_from_slice(b"..");
                return Ok(&rest[2..]);
            }
        }
        'x' => {
            let digits = rest.get(..2).ok_or("\\x wants two digits")?;
            into.push(u8::from_str_radix(digits, 16).map_err(|_| "\\x wants two digits")?);
            return Ok(&rest[2..]);
        }
        'b' => {
            let (inner, after) = parenthesis(rest)?;
            into.extend_from_slice(STANDARD.encode(inner).as_bytes());
            return Ok(after);
        }
        '*' => {
            let open = rest.find('(').ok_or("\\*N wants parentheses")?;
            let count: usize = rest[..open].parse().map_err(|_| "\\*N wants a number")?;
            let (inner, after) = parenthesis(&rest[open..])?;
            into.extend_from_slice(&inner.repeat(count));
            return Ok(after);
        }
        _ => return Err("no such escape"),
    }
    Ok(rest)
}

/// The octets in parentheses and what follows them.
fn parenthesis(text: &str) -> Result<(Vec<u8>, &str), &'static str> {
    let mut rest = text.strip_prefix('(').ok_or("parentheses are missing")?;
    let mut inner = Vec::new();
    loop {
        let next = rest.chars().next().ok_or("a parenthesis is not closed")?;
        let after = &rest[next.len_utf8()..];
        match next {
            ')' => return Ok((inner, after)),
            '\\' => rest = escape(after, &mut inner)?,
            _ => {
                inner.extend_from_slice(next.encode_utf8(&mut [0; 4]).as_bytes());
                rest = after;
            }
        }
    }
}

impl Pattern {
    /// True when the pieces stand in `line` in their order, the first at its start and the last at its end.
    pub(super) fn matches(&self, line: &[u8]) -> bool {
        let (first, more) = self.0.split_first().unwrap();
        let Some((last, middle)) = more.split_last() else { return line == first };
        let Some(mut rest) = line.strip_prefix(&first[..]).and_then(|rest| rest.strip_suffix(&last[..]))
        else {
            return false;
        };
        for piece in middle.iter().filter(|piece| !piece.is_empty()) {
            match rest.windows(piece.len()).position(|window| window == &piece[..]) {
                Some(at) => rest = &rest[at + piece.len()..],
                None => return false,
            }
        }
        true
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pieces: Vec<String> = self.0.iter().map(|piece| piece.escape_ascii().to_string()).collect();
        write!(f, "{:?}", pieces.join("..."))
    }
}
