//! mail-list(1).

use super::{
    exit::{Exit, Failure, run},
    flags, open, place,
};
use crate::{
    agent::list::{self, Candidate, Filter, Form},
    mail::query::Key,
    sys::clock::Clock,
};
use clap::{CommandFactory as _, Parser};
use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};
use std::{
    io::{self, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Find messages in Maildir folders
#[derive(Parser, Debug)]
#[command(name = "mail-list", version)]
struct Flags {
    /// Folders by name or path, or message files; - reads paths from stdin. Default: INBOX
    #[arg(value_name = "FOLDER")]
    places: Vec<PathBuf>,
    /// The Maildir whose folders can be named; default: $MAILDIR, or Maildir in the home directory
    #[arg(long, value_name = "DIR")]
    maildir: Option<PathBuf>,
    /// Only messages not yet seen
    #[arg(short, long)]
    unseen: bool,
    /// Only messages whose From field holds this text
    #[arg(short, long, value_name = "TEXT")]
    from: Vec<String>,
    /// Only messages whose Subject field holds this text
    #[arg(short, long, value_name = "TEXT")]
    subject: Vec<String>,
    /// Only messages that arrived on this day or later: 2026-11-24, today, yesterday; or so long ago: 7d, 12h
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Print a line a message for people also when stdout is no terminal
    #[arg(short, long, conflicts_with_all = ["null", "json"])]
    long: bool,
    /// Print paths, each ended by a NUL
    #[arg(short = '0', long, conflicts_with = "json")]
    null: bool,
    #[command(flatten)]
    json: flags::Json,
}

/// The flag table.
pub fn command() -> clap::Command {
    Flags::command()
}

/// The program.
pub fn main() -> ExitCode {
    run("mail-list", || listed(flags::parse()?))
}

fn listed(flags: Flags) -> Result<Exit, Failure> {
    let zone = TimeZone::system();
    let since = match &flags.since {
        Some(text) => Some(since(text, &zone, &Clock::system()).ok_or_else(|| {
            Failure::usage(format!(
                "--since {text}: expected a day (2026-11-24, today, yesterday) or a span (7d, 12h)"
            ))
        })?),
        None => None,
    };
    let holds = |name: &str, texts: &[String]| -> Vec<Key> {
        texts.iter().map(|text| Key::Header(name.to_owned(), text.clone())).collect()
    };
    let header = [holds("From", &flags.from), holds("Subject", &flags.subject)].concat();
    let filter = Filter { unseen: flags.unseen, header, since };
    let form = match (flags.json.json, flags.null) {
        (true, _) => Form::Json,
        (_, true) => Form::Paths(0),
        _ if flags.long || io::stdout().is_terminal() => {
            Form::Lines(super::terminal::columns(io::stdout()), zone)
        }
        _ => Form::Paths(b'\n'),
    };
    let mut exit = Exit::Ok;
    let mut fault = |text: String, status: Exit| {
        // With stderr gone there is nobody left to tell; the status still says it.
        let _ = writeln!(io::stderr(), "mail-list: {text}");
        exit = Exit::over([exit, status]);
    };
    let mut candidates: Vec<Candidate> = Vec::new();
    let inbox = [PathBuf::from("INBOX")];
    let places = if flags.places.is_empty() { &inbox[..] } else { &flags.places };
    let end = if flags.null { 0 } else { b'\n' };
    for place in places {
        match found(place, flags.maildir.as_deref(), end) {
            Ok(found) => candidates.extend(found),
            Err(failure) => fault(failure.text().to_owned(), failure.exit()),
        }
    }
    let mut out = io::BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    list::run(candidates, &filter, &form, &mut out, &mut |one| {
        fault(format!("{}: {}", one.path.display(), one.why), Exit::of_input(&one.why));
    })
    .and_then(|()| out.flush())
    .map_err(Failure::stdout)?;
    Ok(exit)
}

/// The messages in one place of the command line; paths on stdin end in `end`.
fn found(place: &Path, maildir: Option<&Path>, end: u8) -> Result<Vec<Candidate>, Failure> {
    if place.as_os_str() == "-" {
        return Ok(place::on_stdin(end)?.into_iter().map(open::message_file).collect());
    }
    let path = place::find(place, maildir)?;
    if path.is_dir() {
        return open::browse(&path).map_err(|fault| Failure::new(Exit::of_input(&fault), fault.to_string()));
    }
    Ok(vec![open::message_file(path)])
}

/// The second since 1970 that `text` means.
fn since(text: &str, zone: &TimeZone, clock: &Clock) -> Option<i64> {
    let now = Timestamp::try_from(clock.now()).ok()?.to_zoned(zone.clone());
    let day = match text {
        "today" => now.date(),
        "yesterday" => now.date().yesterday().ok()?,
        _ => match text.parse::<Date>() {
            Ok(day) if text.len() == "2026-11-24".len() => day,
            _ => {
                let (count, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
                let count: i32 = count.parse().ok().filter(|count| (0..=100_000).contains(count))?;
                let span = match unit {
                    "h" => count.hours(),
                    "d" => count.days(),
                    "w" => count.weeks(),
                    _ => return None,
                };
                return Some(now.checked_sub(span).ok()?.timestamp().as_second());
            }
        },
    };
    Some(day.to_zoned(zone.clone()).ok()?.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_day_or_a_span() {
        let clock = Clock::standing(1_795_533_628_000_000);
        let at = |text: &str| since(text, &TimeZone::UTC, &clock);
        assert_eq!(at("2026-11-24"), Some(1_795_478_400));
        assert_eq!(at("today"), Some(1_795_478_400));
        assert_eq!(at("yesterday"), Some(1_795_392_000));
        assert_eq!(at("12h"), Some(1_795_490_428));
        assert_eq!(at("7d"), Some(1_794_928_828));
        assert_eq!(at("1w"), at("7d"));
        for bad in ["", "d", "7", "-1d", "7x", "2026-13-01", "tomorrow", "99999999999d", "\u{e9}"] {
            assert_eq!(at(bad), None, "{bad}");
        }
    }
}
