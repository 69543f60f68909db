//! An entry as a person reads it, and as a program does.

use crate::wire::control::{Recipient, Row, Standing, State};
use jiff::{Timestamp, tz::TimeZone};
use std::{
    fmt::Write,
    time::{Duration, SystemTime},
};

/// Recipients that a list shows of one message.
const SHOWN: usize = 8;

/// One object on a line.
pub(super) fn json(row: &Row) -> String {
    let mut line = serde_json::to_string(row).unwrap_or_default();
    line.push('\n');
    line
}

/// A list's entry: a line, and one for each recipient who has not got it; the first entry stands under a head.
pub(super) fn line(row: &Row, first: bool) -> String {
    let mut text = String::new();
    if first {
        text += "ID                  SIZE  ARRIVED           NEXT              SENDER, RECIPIENTS\n";
    }
    let _ = writeln!(
        text,
        "{:16}  {:>6}  {}  {}  {}",
        row.id,
        size(row.size),
        minute(row.arrived),
        row.due.map_or_else(|| format!("{:16}", "held"), minute),
        sender(row),
    );
    let left = |recipient: &&Recipient| recipient.standing != Standing::Done;
    for recipient in row.recipients.iter().filter(left).take(SHOWN) {
        let _ = writeln!(text, "{:62}{}{}", "", clean(&recipient.mailbox), reason(recipient));
    }
    let more = row.recipients.iter().filter(left).count().saturating_sub(SHOWN);
    if more > 0 {
        let _ = writeln!(text, "{:62}and {more} more", "");
    }
    text
}

/// A list's end.
pub(super) fn total(count: usize, octets: u64) -> String {
    match count {
        0 => "Mail queue is empty\n".to_owned(),
        1 => format!("1 message, {}\n", size(octets)),
        _ => format!("{count} messages, {}\n", size(octets)),
    }
}

/// All that is known of an entry.
pub(super) fn whole(row: &Row, now: SystemTime) -> String {
    let now = now.duration_since(SystemTime::UNIX_EPOCH).as_ref().map_or(0, Duration::as_secs);
    let mut text = format!("{}\n", row.id);
    let mut field = |name: &str, value: String| {
        let _ = writeln!(text, "  {name:9} {value}");
    };
    field("sender", sender(row));
    if let Some(login) = &row.login {
        field("login", clean(login));
    }
    field("size", format!("{} octets", row.size));
    field("arrived", second(row.arrived));
    match (row.state, row.due) {
        (State::Waiting, Some(due)) if due > now => {
            field("next", format!("{}, in {}", second(due), span(due.saturating_sub(now))));
        }
        (State::Waiting, _) => field("next", "now".to_owned()),
        (State::Held, _) => field("next", "held".to_owned()),
    }
    for recipient in &row.recipients {
        let original = recipient.original.as_ref();
        let original = original.map_or_else(String::new, |original| format!(" (for {})", clean(original)));
        let word = match (recipient.standing, recipient.tries.unwrap_or(0)) {
            (Standing::Waiting, 0) => " waiting".to_owned(),
            (Standing::Waiting, 1) => " waiting, tried once".to_owned(),
            (Standing::Waiting, tries) => format!(" waiting, tried {tries} times"),
            (Standing::Done, _) => " delivered".to_owned(),
            (Standing::Failed, _) => " failed".to_owned(),
        };
        field("to", format!("{}{original}:{word}{}", clean(&recipient.mailbox), reason(recipient)));
    }
    text
}

/// Text that stays on its line and drives no terminal, whatever a peer said.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}

fn sender(row: &Row) -> String {
    row.sender.as_ref().map_or_else(|| "<>".to_owned(), |sender| clean(sender))
}

fn reason(recipient: &Recipient) -> String {
    let words = [recipient.status.as_deref(), recipient.text.as_deref()];
    let words: Vec<String> = words.into_iter().flatten().map(clean).collect();
    if words.is_empty() { String::new() } else { format!(": {}", words.join(" ")) }
}

/// `417`, `4.2K`, `17M`.
fn size(octets: u64) -> String {
    let mut octets = octets as f64;
    for unit in ["", "K", "M", "G"] {
        if octets < 1000.0 {
            return if octets < 10.0 && !unit.is_empty() {
                format!("{octets:.1}{unit}")
            } else {
                format!("{octets:.0}{unit}")
            };
        }
        octets /= 1024.0;
    }
    format!("{octets:.1}T")
}

/// `5 min`, `3 h 20 min`, `2 d 1 h`.
fn span(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

fn minute(seconds: u64) -> String {
    time(seconds, "%Y-%m-%d %H:%M")
}

fn second(seconds: u64) -> String {
    time(seconds, "%Y-%m-%d %H:%M:%S")
}

/// A time in the zone of whoever looks.
fn time(seconds: u64, form: &str) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map_or_else(|| "?".to_owned(), |time| time.to_zoned(TimeZone::system()).strftime(form).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_spans_are_short() {
        let sizes = [0, 999, 1000, 4300, 10_240, 5 << 20, 3 << 40].map(size);
        assert_eq!(sizes, ["0", "999", "1.0K", "4.2K", "10K", "5.0M", "3.0T"]);
        let spans = [5, 300, 12_000, 180_000].map(span);
        assert_eq!(spans, ["5 s", "5 min", "3 h 20 min", "2 d 2 h"]);
    }

    #[test]
    fn what_a_peer_said_drives_no_terminal() {
        assert_eq!(clean("a\u{1b}[2J\r\nb\u{9b}"), "a?[2J??b?");
    }
}
