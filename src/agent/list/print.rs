//! One message, printed.

use super::{Candidate, Form};
use crate::{
    agent::message::{Head, Who},
    mail::{harmless, header},
};
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;
use std::{
    io::{self, Write},
    os::unix::ffi::OsStrExt as _,
};
use unicode_width::UnicodeWidthChar as _;

/// Columns of the sender.
const SENDER: usize = 20;
/// Lines are never narrower, however narrow the terminal says that it is.
const NARROW: usize = 50;

pub(super) fn message(
    candidate: &Candidate,
    head: &Head,
    form: &Form,
    out: &mut dyn Write,
) -> io::Result<()> {
    match form {
        Form::Paths(end) => {
            out.write_all(candidate.path.as_os_str().as_bytes())?;
            out.write_all(&[*end])
        }
        Form::Lines(width, zone) => writeln!(out, "{}", line(candidate, head, *width, zone).trim_end()),
        Form::Json => {
            let text = serde_json::to_string(&Object::of(candidate, head)?)?;
            writeln!(out, "{}", harmless::json(&text))
        }
    }
}

/// Flags, date, sender and subject.
fn line(candidate: &Candidate, head: &Head, width: usize, zone: &TimeZone) -> String {
    let flags = &candidate.flags;
    let mark = |set, mark| if set { mark } else { ' ' };
    let first = match (candidate.new, flags.deleted) {
        (_, true) => 'x',
        (true, _) => 'N',
        _ => mark(!flags.seen, '.'),
    };
    let third = if flags.answered { 'r' } else { mark(flags.passed, 'f') };
    let civil = head.date().and_then(|date| date.civil(zone));
    let date = civil.map(|civil| civil.strftime("%Y-%m-%d %H:%M").to_string()).unwrap_or_default();
    let sender = head.addresses("From").into_iter().next().unwrap_or_default();
    let sender = [sender.name, sender.address].into_iter().find(|text| !text.trim().is_empty());
    let sender = sender.unwrap_or_else(|| "(no sender)".to_owned());
    let subject = head.text("Subject").filter(|text| !text.is_empty());
    let subject = subject.unwrap_or_else(|| "(no subject)".to_owned());
    let mut line = format!("{first}{}{third} {date:16} ", mark(flags.flagged, '*'));
    let used = columns(&line);
    harmless::fit(&sender, SENDER, true, &mut line);
    line.push(' ');
    let room = width.max(NARROW).saturating_sub(used).saturating_sub(SENDER).saturating_sub(1);
    harmless::fit(&subject, room, false, &mut line);
    line
}

fn columns(text: &str) -> usize {
    text.chars().map(|letter| letter.width().unwrap_or(0)).sum()
}

/// A message as JSON.
#[derive(Serialize)]
struct Object<'a> {
    path: String,
    new: bool,
    flags: Vec<&'a str>,
    /// The Date field, with its writer's offset.
    date: Option<String>,
    /// INTERNALDATE.
    arrived: Option<String>,
    from: Vec<Who>,
    to: Vec<Who>,
    cc: Vec<Who>,
    subject: Option<String>,
    message_id: Option<String>,
    /// The file's octets.
    size: u64,
}

impl Object<'_> {
    fn of<'a>(candidate: &'a Candidate, head: &Head) -> io::Result<Object<'a>> {
        let metadata = candidate.path.metadata()?;
        let arrived = metadata.modified().ok().and_then(|time| Timestamp::try_from(time).ok());
        let id = header::first(head.octets(), "Message-ID");
        Ok(Object {
            path: candidate.path.to_string_lossy().into_owned(),
            new: candidate.new,
            flags: candidate.flags.names().collect(),
            date: head.date().and_then(|date| date.rfc3339()),
            arrived: arrived.map(|time| format!("{time:.0}")),
            from: head.addresses("From"),
            to: head.addresses("To"),
            cc: head.addresses("Cc"),
            subject: head.text("Subject"),
            message_id: id.map(|field| String::from_utf8_lossy(&field.unfolded()).into_owned()),
            size: candidate.size.unwrap_or(metadata.len()),
        })
    }
}
