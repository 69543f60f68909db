//! Finds messages: see mail-list(1).

fn main() -> std::process::ExitCode {
    posthaste::cli::list::main()
}
