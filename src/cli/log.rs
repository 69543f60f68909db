//! The log: one line an event on stderr. A `tracing` subscriber of our own, because all we want of one is this line.
//! What it leaves out: spans (every event carries its own fields; `id` is the queue id), files and rotation
//! (whoever keeps our stderr does that).

use super::flags::Loudness;
use std::{
    fmt::{self, Write as _},
    io::{self, Write as _},
};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// `TIME LEVEL message key=value ...`; to the journal without time and level, which it keeps itself.
    Text,
    /// One JSON object: `time`, `level`, `message` and the fields.
    Json,
}

/// The longest value that is written whole, in octets; what a peer said may be longer.
const LONGEST_VALUE: usize = 2048;

/// Begins logging in this process; a second call changes nothing.
pub fn start(form: Form, loudness: Loudness) {
    let level = match (loudness.quiet, loudness.verbose) {
        (true, _) => Level::WARN,
        (_, 0) => Level::INFO,
        (_, 1) => Level::DEBUG,
        _ => Level::TRACE,
    };
    let log = Log { form, level, journal: is_journal() };
    let _ = tracing::subscriber::set_global_default(log);
}

/// True when stderr is the stream that systemd connected to the journal (`JOURNAL_STREAM` in systemd.exec(5)).
fn is_journal() -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else { return false };
    let Ok(stat) = rustix::fs::fstat(io::stderr()) else { return false };
    named == format!("{}:{}", stat.st_dev, stat.st_ino)
}

struct Log {
    form: Form,
    level: Level,
    journal: bool,
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Libraries are heard only when everything is asked for.
        *metadata.level() <= self.level
            && (self.level == Level::TRACE || metadata.target().starts_with("posthaste"))
    }

    fn max_level_hint(&self) -> Option<tracing::level_filters::LevelFilter> {
        Some(self.level.into())
    }

    fn event(&self, event: &Event<'_>) {
        let now = self.time();
        let line = self.line(event.metadata().level(), &now, |visit| event.record(visit));
        // A log that can't be written must not end the work that it tells of.
        let _ = io::stderr().lock().write_all(line.as_bytes());
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

impl Log {
    fn time(&self) -> String {
        format!("{:.3}", jiff::Timestamp::now())
    }

    fn line(&self, level: &Level, time: &str, record: impl FnOnce(&mut dyn Visit)) -> String {
        let mut line = String::with_capacity(256);
        if self.journal {
            let _ = write!(line, "<{}>", priority(level));
        }
        match self.form {
            Form::Text => {
                let mut fields = TextFields::default();
                record(&mut fields);
                if !self.journal {
                    let _ = write!(line, "{time} {level} ");
                }
                line.push_str(&fields.message);
                line.push_str(&fields.rest);
            }
            Form::Json => {
                let mut fields = JsonFields::default();
                fields.put("time", time.into());
                fields.put("level", level.as_str().to_ascii_lowercase().into());
                record(&mut fields);
                line.push_str(&serde_json::Value::Object(fields.object).to_string());
            }
        }
        line.push('\n');
        line
    }
}

/// The syslog priority of a level (sd-daemon(3)).
fn priority(level: &Level) -> u8 {
    match *level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

/// Text that stays on its line and can't drive a terminal: control characters (C0, DEL, C1), line separators and
/// marks that turn the writing direction are shown as `\x1b` or `\u{202e}`, a backslash as itself.
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            c if c.is_control() && c.is_ascii() => {
                let _ = write!(safe, "\\x{:02x}", u32::from(c));
            }
            c if c.is_control() || is_invisible(c) => {
                let _ = write!(safe, "\\u{{{:x}}}", u32::from(c));
            }
            c => safe.push(c),
        }
    }
    safe
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Cuts at a character's edge, saying so.
fn shortened(text: String) -> String {
    if text.len() <= LONGEST_VALUE {
        return text;
    }
    let mut end = LONGEST_VALUE;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}...", text.get(..end).unwrap_or_default())
}

#[derive(Default)]
struct TextFields {
    message: String,
    rest: String,
}

impl TextFields {
    fn put(&mut self, field: &Field, value: String) {
        let value = shortened(value);
        if field.name() == "message" {
            self.message = escaped(&value);
            return;
        }
        let _ = write!(self.rest, " {}=", field.name());
        if value.is_empty() || value.contains([' ', '"', '=']) {
            let _ = write!(self.rest, "\"{}\"", escaped(&value).replace('"', "\\\""));
        } else {
            self.rest.push_str(&escaped(&value));
        }
    }
}

impl Visit for TextFields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.to_string());
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}

#[derive(Default)]
struct JsonFields {
    object: serde_json::Map<String, serde_json::Value>,
}

impl JsonFields {
    fn put(&mut self, name: &str, value: serde_json::Value) {
        self.object.insert(name.to_string(), value);
    }
}

impl Visit for JsonFields {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value.into());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value.into());
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), value.into());
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), shortened(value.to_string()).into());
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), shortened(format!("{value:?}")).into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    struct Kept(Log, Arc<Mutex<String>>);

    impl Subscriber for Kept {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            self.0.enabled(metadata)
        }
        fn event(&self, event: &Event<'_>) {
            let line = self.0.line(event.metadata().level(), "T", |visit| event.record(visit));
            self.1.lock().unwrap().push_str(&line);
        }
        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }
        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
        fn enter(&self, _: &span::Id) {}
        fn exit(&self, _: &span::Id) {}
    }

    fn lines(form: Form, journal: bool, work: impl FnOnce()) -> String {
        let kept = Arc::new(Mutex::new(String::new()));
        let log = Kept(Log { form, level: Level::INFO, journal }, kept.clone());
        tracing::subscriber::with_default(log, work);
        let lines = kept.lock().unwrap();
        lines.clone()
    }

    #[test]
    fn an_event_is_one_line_and_a_peer_can_not_forge_another() {
        let said = "no\r\nT INFO forged \u{1b}[2J\u{85}\u{202e}";
        let text = lines(Form::Text, false, || {
            tracing::info!(id = "0abc", reply = said, tries = 3, "put off: {}", "a\nb");
            tracing::debug!("not asked for");
            tracing::warn!(target: "hickory", "a library");
        });
        assert_eq!(
            text,
            "T INFO put off: a\\nb id=0abc reply=\"no\\r\\nT INFO forged \\x1b[2J\\u{85}\\u{202e}\" tries=3\n"
        );
    }

    #[test]
    fn the_journal_gets_priorities_and_keeps_time_itself() {
        let work = || {
            tracing::error!("worse");
            tracing::warn!(why = "", "bad");
            tracing::info!("well");
        };
        assert_eq!(lines(Form::Text, true, work), "<3>worse\n<4>bad why=\"\"\n<6>well\n");
    }

    #[test]
    fn json_keeps_types_and_escapes() {
        let line =
            lines(Form::Json, false, || tracing::info!(id = "0abc", size = 7u64, ok = true, "x\n\"y\""));
        let value: serde_json::Value = serde_json::from_str(line.trim_end()).unwrap();
        assert_eq!(value["message"], "x\n\"y\"");
        assert_eq!(value["size"], 7);
        assert_eq!(value["ok"], true);
        assert_eq!(value["level"], "info");
        assert_eq!(line.matches('\n').count(), 1);
    }

    #[test]
    fn a_long_value_is_cut_at_a_character() {
        let line = lines(Form::Text, false, || tracing::info!(reply = "é".repeat(4000), "x"));
        assert!(line.len() < LONGEST_VALUE + 40 && line.ends_with("é...\n"), "{}", line.len());
    }
}
