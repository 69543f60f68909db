//! The server's side of IMAP.

mod ask;
mod settings;

pub use ask::{
    Answer, Ask, Changes, Code, Event, FlagChange, HEAD, Head, Listed, Measure, Refusal, Row, Snapshot,
    Status,
};
pub use settings::{Budget, Known, Limits, Settings, Tls};
