//! The terminal on stdout.

/// Its columns: what the terminal says, else `COLUMNS`, else 80.
pub fn columns() -> usize {
    let said = rustix::termios::tcgetwinsize(std::io::stdout()).ok().map(|size| usize::from(size.ws_col));
    let set = || std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    said.filter(|&columns| columns > 0).or_else(set).unwrap_or(80)
}
