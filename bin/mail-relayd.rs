//! See mail-relayd(8).

fn main() -> std::process::ExitCode {
    posthaste::cli::relayd::main()
}
