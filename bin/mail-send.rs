//! Manage the mail accounts of this machine.

fn main() -> std::process::ExitCode {
    posthaste::cli::send::main()
}
