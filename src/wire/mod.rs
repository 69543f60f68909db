//! Conversations. They own no socket, read no clock and know no disk.

pub mod session;
