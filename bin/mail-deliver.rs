//! Final delivery: see mail-deliver(1).

fn main() -> std::process::ExitCode {
    posthaste::cli::deliver::main()
}
