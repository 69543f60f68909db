//! IMAP4rev1 (RFC 3501, where RFC 9051 is clearer, that). Both sides share the words; each has its own conversation.

pub mod client;
pub mod date;
pub mod print;
pub mod server;
pub mod set;
pub mod token;
