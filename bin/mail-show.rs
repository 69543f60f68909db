//! Shows messages: see mail-show(1).

fn main() -> std::process::ExitCode {
    posthaste::cli::show::main()
}
