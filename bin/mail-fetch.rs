//! Fetches what is new from mailboxes elsewhere: see mail-fetch(1).

fn main() -> std::process::ExitCode {
    posthaste::cli::fetch::main()
}
