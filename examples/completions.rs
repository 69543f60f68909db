//! Writes `completions/` from the flag tables of all programs: `make completions`.

use clap_complete::Shell;
use std::{fs, io, path::Path};

/// The files, by their names in `completions/`.
pub fn files() -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for command in posthaste::cli::commands() {
        let name = command.get_name().to_owned();
        for (shell, file) in [
            (Shell::Bash, format!("{name}.bash")),
            (Shell::Zsh, format!("_{name}")),
            (Shell::Fish, format!("{name}.fish")),
        ] {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut command.clone(), &name, &mut text);
            files.push((file, text));
        }
    }
    files
}

fn main() -> io::Result<()> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("completions");
    fs::create_dir_all(&dir)?;
    for (name, text) in files() {
        fs::write(dir.join(name), text)?;
    }
    Ok(())
}
