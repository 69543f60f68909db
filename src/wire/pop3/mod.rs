//! POP3 (RFC 1939) with RFC 2449 (CAPA), RFC 2595 (STLS), RFC 5034 (AUTH) and RFC 3206 (response codes).

pub mod client;
pub mod command;
pub mod reply;
pub mod server;
pub mod stuff;

/// The most octets of a command with its CR LF (RFC 2449 section 4). AUTH's lines may be longer (RFC 5034 section 4).
pub const COMMAND_MAX: usize = 255;
/// The most octets of the line that a reply begins with (RFC 2449 section 4).
pub const REPLY_MAX: usize = 512;
/// The most octets of a unique id (RFC 1939 section 7).
pub const UIDL_MAX: usize = 70;
