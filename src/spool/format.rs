//! A spool file, printed and read (ARCHITECTURE.md, section 10): a header of 64 octets, the body, the envelope as
//! one line of JSON, an END mark, and a journal of outcomes, one line of JSON each.
//!
//! Nothing here opens a file. What is read is not trusted: every length is checked, every budget is counted, and
//! what is wrong is named.

mod fuzz;

pub use fuzz::fuzz;

use super::Standing;
use crate::mail::{
    address::Mailbox,
    envelope::{Body, Envelope, Notify, Recipient, Ret, Wish},
    id::QueueId,
    verdict::{Verdict, Why},
};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    io::{self, BufRead, Read},
};

/// The octets of the header.
pub const HEADER: usize = 64;
/// The most octets of a body: what 64 bits of file offset leave, with room for the rest.
pub const BODY_MAX: u64 = 1 << 60;
/// The most recipients of one message.
pub const RECIPIENTS_MAX: usize = 10_000;
/// The most octets of the envelope's line.
pub const ENVELOPE_MAX: usize = 8 << 20;
/// The most octets of one journal line.
pub const LINE_MAX: usize = 4096;
/// The most octets of a reason that are kept.
pub const TEXT_MAX: usize = 512;
/// How many delays of one recipient are written down. Later ones change nothing that a retry depends on, and so
/// the journal stays bounded however long a message waits.
pub const TRIES_MAX: u32 = 100;
/// The most journal lines, for each recipient.
const LINES_EACH: usize = 2 * TRIES_MAX as usize;

const MAGIC: &str = "posthaste-spool 1 ";

/// What is wrong with a spool file.
#[derive(Debug)]
pub enum Fault {
    /// It ends inside its header.
    Short,
    /// It does not begin as a spool file does, or is of a later version.
    Magic,
    /// Its header names no queue id.
    Id,
    /// Its header gives no length, or one beyond the budget.
    Length,
    /// Its header is not as we print it.
    Header,
    /// The body does not end where the header says.
    BodyEnd,
    /// The envelope is missing or longer than [`ENVELOPE_MAX`].
    EnvelopeLength,
    /// The envelope can't be read.
    Envelope(String),
    /// The envelope has no recipient.
    NoRecipient,
    /// The envelope has more than [`RECIPIENTS_MAX`] recipients.
    Recipients,
    /// The END mark is missing: the file is torn, and was never acknowledged.
    Torn,
    /// The END mark or the file's name is another message's.
    OtherId,
    /// This journal line, counted from 1, can't be read.
    Journal(usize),
    /// The journal has more lines than its recipients can have made.
    JournalLength,
    /// The file can't be read just now; it may be sound.
    Read(io::Error),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Short => f.write_str("it ends inside its header"),
            Fault::Magic => f.write_str("it is no spool file of version 1"),
            Fault::Id => f.write_str("its header names no queue id"),
            Fault::Length => f.write_str("its header gives no usable length"),
            Fault::Header => f.write_str("its header is damaged"),
            Fault::BodyEnd => f.write_str("its body does not end where the header says"),
            Fault::EnvelopeLength => write!(f, "its envelope is missing or over {ENVELOPE_MAX} octets"),
            Fault::Envelope(why) => write!(f, "its envelope can't be read: {why}"),
            Fault::NoRecipient => f.write_str("its envelope has no recipient"),
            Fault::Recipients => write!(f, "its envelope has more than {RECIPIENTS_MAX} recipients"),
            Fault::Torn => f.write_str("it has no END mark"),
            Fault::OtherId => f.write_str("its name and its END mark do not agree with its header"),
            Fault::Journal(line) => write!(f, "line {line} of its journal can't be read"),
            Fault::JournalLength => f.write_str("its journal is too long"),
            Fault::Read(fault) => write!(f, "it can't be read: {fault}"),
        }
    }
}

impl std::error::Error for Fault {}

impl From<io::Error> for Fault {
    fn from(fault: io::Error) -> Fault {
        Fault::Read(fault)
    }
}

/// The first 64 octets of a spool file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The message.
    pub id: QueueId,
    /// The octets of its body.
    pub length: u64,
}

impl Header {
    /// The header's octets.
    pub fn print(&self) -> [u8; HEADER] {
        let mut octets = [b' '; HEADER];
        let text = format!("{MAGIC}{} {:020}", self.id, self.length);
        for (place, octet) in octets.iter_mut().zip(text.bytes()) {
            *place = octet;
        }
        octets[HEADER - 1] = b'\n';
        octets
    }

    /// Reads the header at the start of `octets`.
    pub fn parse(octets: &[u8]) -> Result<Header, Fault> {
        let octets: &[u8; HEADER] = octets.first_chunk().ok_or(Fault::Short)?;
        let rest = octets.strip_prefix(MAGIC.as_bytes()).ok_or(Fault::Magic)?;
        let text = std::str::from_utf8(rest).map_err(|_| Fault::Header)?;
        let mut words = text.split(' ');
        let id = words.next().and_then(QueueId::parse).ok_or(Fault::Id)?;
        let length: u64 = words.next().and_then(|word| word.parse().ok()).ok_or(Fault::Length)?;
        if length > BODY_MAX {
            return Err(Fault::Length);
        }
        let header = Header { id, length };
        if header.print() == *octets { Ok(header) } else { Err(Fault::Header) }
    }

    /// Where the part behind the body begins.
    pub fn tail(&self) -> u64 {
        self.length.saturating_add(HEADER as u64)
    }
}

/// What stands behind the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    /// Sender and recipients.
    pub envelope: Envelope,
    /// One a recipient, as the journal leaves them.
    pub standing: Vec<Standing>,
    /// Octets from the body's end to the end of the last whole line: where the journal goes on.
    pub whole: u64,
    /// True when a torn line follows, which must be cut off before anything is appended.
    pub torn: bool,
}

/// The octets between the body and the journal: the envelope and the END mark.
pub fn print_envelope(id: &QueueId, envelope: &Envelope) -> Result<Vec<u8>, Fault> {
    match envelope.recipients.len() {
        0 => return Err(Fault::NoRecipient),
        many if many > RECIPIENTS_MAX => return Err(Fault::Recipients),
        _ => {}
    }
    let recipient = |recipient: &Recipient| RecipientLine {
        mailbox: recipient.mailbox.to_string(),
        original: recipient.original.as_ref().map(Mailbox::to_string),
        notify: recipient.wish.notify.map(|notify| notify.to_string()),
        orcpt: recipient.wish.orcpt.clone(),
    };
    let line = EnvelopeLine {
        sender: envelope.sender.as_ref().map(Mailbox::to_string),
        recipients: envelope.recipients.iter().map(recipient).collect(),
        body: match envelope.body {
            Body::SevenBit => BodyWord::SevenBit,
            Body::EightBitMime => BodyWord::EightBitMime,
        },
        login: envelope.login.clone(),
        utf8: envelope.utf8,
        ret: envelope.ret.map(|ret| ret.word().to_owned()),
        envid: envelope.envid.clone(),
    };
    let mut octets = vec![b'\n'];
    serde_json::to_writer(&mut octets, &line).map_err(|fault| Fault::Envelope(fault.to_string()))?;
    if octets.len() > ENVELOPE_MAX {
        return Err(Fault::EnvelopeLength);
    }
    octets.extend_from_slice(format!("\nEND {id}\n").as_bytes());
    Ok(octets)
}

/// One journal line, with its line end.
pub fn print_outcome(to: usize, verdict: &Verdict, octets: &mut Vec<u8>) -> Result<(), Fault> {
    let (word, why) = match verdict {
        Verdict::Done => (Word::Done, None),
        Verdict::Later(why) => (Word::Later, Some(why)),
        Verdict::Never(why) => (Word::Never, Some(why)),
    };
    let line = OutcomeLine {
        to,
        verdict: word,
        status: why.map(|_| verdict.code().to_string()),
        text: why.map(|why| why.text.chars().scan(0, within_text).collect()),
    };
    serde_json::to_writer(&mut *octets, &line).map_err(|_| Fault::Journal(0))?;
    octets.push(b'\n');
    Ok(())
}

/// Lets characters through until they make [`TEXT_MAX`] octets.
fn within_text(octets: &mut usize, letter: char) -> Option<char> {
    *octets = octets.saturating_add(letter.len_utf8());
    (*octets <= TEXT_MAX).then_some(letter)
}

/// Reads what stands behind the body, up to the end of the file.
pub fn read_tail(header: &Header, input: impl BufRead) -> Result<Tail, Fault> {
    let mut lines = Lines { input, line: Vec::new(), whole: 0 };
    if lines.next(1)? != Found::Line || lines.line != b"\n" {
        return Err(Fault::BodyEnd);
    }
    match lines.next(ENVELOPE_MAX)? {
        Found::Line => {}
        Found::Torn => return Err(Fault::Torn),
        Found::End | Found::Long => return Err(Fault::EnvelopeLength),
    }
    let envelope = read_envelope(&lines.line)?;
    let mark = format!("END {}\n", header.id);
    if lines.next(mark.len())? != Found::Line || !lines.line.starts_with(b"END ") {
        return Err(Fault::Torn);
    }
    if lines.line != mark.as_bytes() {
        return Err(Fault::OtherId);
    }
    let mut standing = vec![Standing::Waiting { tries: 0, why: None }; envelope.recipients.len()];
    let most = standing.len().saturating_mul(LINES_EACH);
    let mut count = 0usize;
    loop {
        count = count.saturating_add(1);
        match lines.next(LINE_MAX)? {
            Found::Line if count > most => return Err(Fault::JournalLength),
            Found::Line => {
                let (to, verdict) = read_outcome(&lines.line).ok_or(Fault::Journal(count))?;
                standing.get_mut(to).ok_or(Fault::Journal(count))?.apply(&verdict);
            }
            Found::Long => return Err(Fault::Journal(count)),
            found @ (Found::Torn | Found::End) => {
                let torn = found == Found::Torn;
                return Ok(Tail { envelope, standing, whole: lines.whole, torn });
            }
        }
    }
}

/// A whole spool file that stands in memory.
pub fn read(octets: &[u8]) -> Result<(Header, Tail), Fault> {
    let header = Header::parse(octets)?;
    let start = usize::try_from(header.tail()).map_err(|_| Fault::BodyEnd)?;
    let tail = read_tail(&header, octets.get(start..).ok_or(Fault::BodyEnd)?)?;
    Ok((header, tail))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    /// A line with its end.
    Line,
    /// The file ended inside a line.
    Torn,
    /// The file ended.
    End,
    /// The budget ended before the line did.
    Long,
}

/// Lines under a budget.
struct Lines<R> {
    input: R,
    line: Vec<u8>,
    /// Octets of whole lines so far.
    whole: u64,
}

impl<R: BufRead> Lines<R> {
    fn next(&mut self, most: usize) -> Result<Found, io::Error> {
        self.line.clear();
        let read = self.input.by_ref().take(most as u64).read_until(b'\n', &mut self.line)?;
        if self.line.last() == Some(&b'\n') {
            self.whole = self.whole.saturating_add(read as u64);
            return Ok(Found::Line);
        }
        Ok(match read {
            0 => Found::End,
            read if read == most => Found::Long,
            _ => Found::Torn,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct EnvelopeLine {
    sender: Option<String>,
    recipients: Vec<RecipientLine>,
    body: BodyWord,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    login: Option<String>,
    /// Not there where it is false, so that what needs none is read by a posthaste that does not know it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    utf8: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ret: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    envid: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct RecipientLine {
    mailbox: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    original: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    notify: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    orcpt: Option<String>,
}

#[derive(Serialize, Deserialize)]
enum BodyWord {
    #[serde(rename = "7BIT")]
    SevenBit,
    #[serde(rename = "8BITMIME")]
    EightBitMime,
}

#[derive(Serialize, Deserialize)]
struct OutcomeLine {
    to: usize,
    verdict: Word,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Done,
    Later,
    Never,
}

fn read_envelope(line: &[u8]) -> Result<Envelope, Fault> {
    let line: EnvelopeLine =
        serde_json::from_slice(line).map_err(|fault| Fault::Envelope(fault.to_string()))?;
    match line.recipients.len() {
        0 => return Err(Fault::NoRecipient),
        many if many > RECIPIENTS_MAX => return Err(Fault::Recipients),
        _ => {}
    }
    let mailbox = |text: String| {
        let fault = |fault| Fault::Envelope(format!("{}: {fault}", text.escape_debug()));
        Mailbox::parse_utf8(text.as_bytes()).map_err(fault)
    };
    let odd = |text: &str| Fault::Envelope(format!("{}: not what belongs there", text.escape_debug()));
    // It goes into commands and fields.
    let printable = |text: String| match text.bytes().all(|octet| matches!(octet, b' '..=b'~')) {
        true => Ok(text),
        false => Err(odd(&text)),
    };
    let recipient = |line: RecipientLine| {
        let notify = line.notify.map(|word| Notify::parse(&word).ok_or_else(|| odd(&word))).transpose()?;
        let wish = Wish { notify, orcpt: line.orcpt.map(printable).transpose()? };
        let original = line.original.map(mailbox).transpose()?;
        Ok(Recipient { mailbox: mailbox(line.mailbox)?, original, wish })
    };
    Ok(Envelope {
        sender: line.sender.map(mailbox).transpose()?,
        recipients: line.recipients.into_iter().map(recipient).collect::<Result<_, Fault>>()?,
        body: match line.body {
            BodyWord::SevenBit => Body::SevenBit,
            BodyWord::EightBitMime => Body::EightBitMime,
        },
        login: line.login,
        utf8: line.utf8,
        ret: line.ret.map(|word| Ret::parse(&word).ok_or_else(|| odd(&word))).transpose()?,
        envid: line.envid.map(printable).transpose()?,
    })
}

fn read_outcome(line: &[u8]) -> Option<(usize, Verdict)> {
    let line: OutcomeLine = serde_json::from_slice(line).ok()?;
    let why = |class: &str| {
        let mut numbers = line.status.as_deref()?.strip_prefix(class)?.split('.');
        let mut number = || numbers.next()?.parse().ok();
        let (subject, detail) = (number()?, number()?);
        numbers.next().is_none().then(|| Why::new(subject, detail, line.text.clone().unwrap_or_default()))
    };
    let verdict = match line.verdict {
        Word::Done => Verdict::Done,
        Word::Later => Verdict::Later(why("4.")?),
        Word::Never => Verdict::Never(why("5.")?),
    };
    Some((line.to, verdict))
}

#[cfg(test)]
mod tests;
