//! Conversations. They own no socket, read no clock and know no disk.

pub mod control;
pub mod dots;
pub mod imap;
pub mod line;
pub mod mailbox;
pub mod pop3;
pub mod sasl;
pub mod session;
pub mod smtp;
