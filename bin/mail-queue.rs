//! Questions to mail-relayd about its spool: see mail-queue(1).

fn main() -> std::process::ExitCode {
    posthaste::cli::queue::main()
}
