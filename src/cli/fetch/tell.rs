//! What people and programs are told of a fetch: progress on a terminal, lines with -v, JSON with --json, one line at the
//! end; nothing where nothing happened.

use crate::{
    agent::fetch::{Fetched, News},
    cli::{flags::Loudness, terminal},
    mail::{
        harmless,
        verdict::{Verdict, Why},
    },
};
use serde::Serialize;
use std::{
    io::{self, IsTerminal as _, Write as _},
    time::{Duration, Instant},
};
use unicode_width::UnicodeWidthChar as _;

/// Progress is drawn this often at most.
const REDRAW: Duration = Duration::from_millis(100);

/// Tells what happens at one source.
pub(super) struct Teller<'a> {
    source: &'a str,
    verbose: bool,
    quiet: bool,
    json: bool,
    dry_run: bool,
    /// Where there is a terminal to draw on.
    progress: Option<Progress>,
    octets: u64,
    would: u64,
    broken: bool,
    /// Reasons that were told, so that the last word does not say them again.
    told: Vec<String>,
}

/// Whether it was said why it ended as it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// No.
    NotYet,
    /// Yes.
    Already,
    /// Stdout's reader went away, which is nothing to speak of.
    Gone,
}

struct Progress {
    folder: String,
    new: u64,
    done: u64,
    octets: u64,
    all: u64,
    drawn: Option<Instant>,
}

/// One message, for programs.
#[derive(Serialize)]
struct Line<'a> {
    source: &'a str,
    folder: &'a str,
    message: &'a str,
    octets: Option<u64>,
    verdict: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
}

impl<'a> Teller<'a> {
    pub(super) fn new(source: &'a str, loudness: Loudness, json: bool, dry_run: bool) -> Teller<'a> {
        let draws = !loudness.quiet && loudness.verbose == 0 && !dry_run && io::stderr().is_terminal();
        let progress = Progress { folder: String::new(), new: 0, done: 0, octets: 0, all: 0, drawn: None };
        Teller {
            source,
            verbose: loudness.verbose > 0,
            quiet: loudness.quiet,
            json,
            dry_run,
            progress: draws.then_some(progress),
            octets: 0,
            would: 0,
            broken: false,
            told: Vec::new(),
        }
    }

    pub(super) fn tell(&mut self, news: News<'_>) {
        match news {
            News::Renewed { folder } => self.say(&format!(
                "{folder}: the server has renumbered it (another UIDVALIDITY): all of it is fetched anew"
            )),
            News::NoFolder { folder, why } => self.say_why(&format!("{folder}: not fetched"), why),
            News::Unlisted { folder, why } => self.say_why(&format!("{folder}: not all of it is seen"), why),
            News::Folder { folder, new, octets } => {
                if self.verbose {
                    self.say(&format!("{folder}: {new} new, {octets} octets"));
                }
                if let Some(progress) = &mut self.progress {
                    *progress = Progress {
                        folder: folder.to_owned(),
                        new,
                        done: 0,
                        octets: 0,
                        all: octets,
                        drawn: progress.drawn,
                    };
                }
            }
            News::Would { folder, name, octets } => {
                self.would = self.would.saturating_add(1);
                let name = name.to_string();
                match (self.json, octets) {
                    (true, _) => self.json(folder, &name, octets, "new", None),
                    (false, Some(octets)) => self.print(&format!("{folder} {name} {octets}\n")),
                    (false, None) => self.print(&format!("{folder} {name}\n")),
                }
            }
            News::Octets(octets) => {
                if let Some(progress) = &mut self.progress {
                    progress.octets = progress.octets.saturating_add(octets);
                    progress.draw();
                }
            }
            News::Taken { folder, name, octets, already } => {
                self.octets = self.octets.saturating_add(octets);
                if let Some(progress) = &mut self.progress {
                    progress.done = progress.done.saturating_add(1);
                    progress.draw();
                }
                if self.json {
                    self.json(folder, &name.to_string(), Some(octets), "done", None);
                }
                if self.verbose {
                    let was = if already { ", which was here already" } else { "" };
                    self.say(&format!("{folder} {name}: {octets} octets{was}"));
                }
            }
            News::Left { folder, name, why } => {
                if self.json {
                    self.json(folder, &name.to_string(), None, "later", Some(&why.text));
                }
                self.say_why(&format!("{folder} {name}"), why);
            }
            News::Deleted { folder, count } => {
                if self.verbose {
                    self.say(&format!("{folder}: {count} deleted at the source"));
                }
            }
            News::Undeleted { folder, why } => self.say_why(&format!("{folder}: not deleted"), why),
            News::Stdout(fault) => self.broken = fault.kind() == io::ErrorKind::BrokenPipe,
        }
    }

    /// The last word, and whether the reason for how it ended was told with it.
    pub(super) fn ended(mut self, fetched: &Fetched, to: &str) -> Said {
        self.clear();
        let happened = fetched.taken > 0 || fetched.left > 0 || self.would > 0;
        if happened && !self.quiet && !self.broken {
            let Fetched { taken, left, .. } = fetched;
            let text = match (self.dry_run, *left) {
                (true, _) => format!("{} messages would be fetched {to}", self.would),
                (false, 0) => format!("{taken} messages ({} octets) {to}", self.octets),
                (false, left) => {
                    format!("{taken} messages ({} octets) {to}, {left} left for the next time", self.octets)
                }
            };
            self.say(&text);
        }
        match &fetched.verdict {
            _ if self.broken => Said::Gone,
            Verdict::Later(why) | Verdict::Never(why) if self.told.contains(&why.text) => Said::Already,
            _ => Said::NotYet,
        }
    }

    fn say_why(&mut self, what: &str, why: &Why) {
        self.say(&format!("{what}: {}", why.text));
        if !self.told.contains(&why.text) && self.told.len() < 100 {
            self.told.push(why.text.clone());
        }
    }

    fn say(&mut self, text: &str) {
        self.clear();
        // With stderr gone there is nobody left to tell; the status still says it.
        let _ = writeln!(io::stderr().lock(), "mail-fetch: {}: {}", self.source, harmless::line(text));
    }

    fn print(&mut self, text: &str) {
        let text = harmless::text(text);
        if let Err(fault) = io::stdout().lock().write_all(text.as_bytes()) {
            self.broken = fault.kind() == io::ErrorKind::BrokenPipe;
        }
    }

    fn json(&mut self, folder: &str, message: &str, octets: Option<u64>, verdict: &str, text: Option<&str>) {
        let line = Line { source: self.source, folder, message, octets, verdict, text };
        if let Ok(line) = serde_json::to_string(&line) {
            // What was fetched is fetched, whoever reads of it.
            let _ = io::stdout().lock().write_all(format!("{}\n", harmless::json(&line)).as_bytes());
        }
    }

    fn clear(&mut self) {
        if let Some(progress) = &mut self.progress
            && progress.drawn.take().is_some()
        {
            let _ = io::stderr().lock().write_all(b"\r\x1b[K");
        }
    }
}

impl Progress {
    fn draw(&mut self) {
        if self.drawn.is_some_and(|drawn| drawn.elapsed() < REDRAW) {
            return;
        }
        self.drawn = Some(Instant::now());
        let line = self.line(terminal::columns(io::stderr()));
        let _ = io::stderr().lock().write_all(format!("\r{line}\x1b[K").as_bytes());
    }

    /// One row of so many columns at most: a longer one would scroll, and could not be wiped away again. The last column stays
    /// free, since some terminals begin a new row behind it.
    fn line(&self, columns: usize) -> String {
        let size = |octets: u64| match octets {
            0..10_000 => format!("{octets} B"),
            10_000..10_000_000 => format!("{} kB", octets / 1000),
            _ => format!("{} MB", octets / 1_000_000),
        };
        let counts =
            format!(": {} of {} messages, {} of {}", self.done, self.new, size(self.octets), size(self.all));
        let columns = columns.saturating_sub(1);
        let mut line = String::new();
        harmless::fit(&self.folder, columns.saturating_sub(counts.len()), false, &mut line);
        let used = line.chars().map(|letter| letter.width().unwrap_or(0)).sum();
        harmless::fit(&counts, columns.saturating_sub(used), false, &mut line);
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_one_harmless_row_whatever_the_folder_is_called() {
        for (folder, columns, row) in [
            ("INBOX", 80, "INBOX: 7 of 100 messages, 12 kB of 34 MB"),
            ("INBOX", 30, ": 7 of 100 messages, 12 kB of"),
            ("INBOX", 5, ": 7 "),
            ("INBOX", 0, ""),
            ("a\x1b[2J\r\nb\u{202e}c", 80, "a\u{fffd}[2J  b\u{fffd}c: 7 of 100 messages, 12 kB of 34 MB"),
            // Two columns each.
            ("\u{90f5}\u{4fbf}\u{90f5}\u{4fbf}", 41, "\u{90f5}\u{4fbf}: 7 of 100 messages, 12 kB of 34 MB"),
        ] {
            let folder = folder.to_owned();
            let progress =
                Progress { folder, new: 100, done: 7, octets: 12_345, all: 34_000_000, drawn: None };
            assert_eq!(progress.line(columns), row);
        }
    }
}
