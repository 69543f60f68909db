//! Send a message to a mail server.

fn main() -> std::process::ExitCode {
    posthaste::cli::send::main()
}
