//! The nouns of mail. No operating system under them: no file, clock or socket.

pub mod address;
pub mod bounce;
pub mod date;
pub mod draft;
pub mod envelope;
pub mod flags;
pub mod folder;
pub mod harmless;
pub mod header;
pub mod id;
pub mod mime;
pub mod outline;
pub mod query;
pub mod trace;
pub mod transfer;
pub mod verdict;
pub mod words;
