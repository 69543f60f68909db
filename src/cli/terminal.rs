//! The terminal that a program writes to.

use std::os::fd::AsFd;

/// Its columns: what the terminal says, else `COLUMNS`, else 80.
pub fn columns(terminal: impl AsFd) -> usize {
    let said = rustix::termios::tcgetwinsize(terminal).ok().map(|size| usize::from(size.ws_col));
    let set = || std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    said.filter(|&columns| columns > 0).or_else(set).unwrap_or(80)
}
