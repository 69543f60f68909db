//! See mail-serve(8).

fn main() -> std::process::ExitCode {
    posthaste::cli::serve::main()
}
