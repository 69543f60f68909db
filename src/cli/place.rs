//! Where messages are that a command line names.

use super::exit::{Exit, Failure};
use crate::mail::folder::FolderName;
use std::{
    env,
    ffi::OsString,
    io::{self, BufRead as _},
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
};

/// The path of what a command line calls `place`: what has a `/` is a path; anything else the folder of that name in
/// `maildir` (default: `$MAILDIR`, or Maildir in the home directory), or else a file in the current directory.
pub fn find(place: &Path, maildir: Option<&Path>) -> Result<PathBuf, Failure> {
    let name = place.to_str().filter(|name| !name.contains('/'));
    let Some(folder) = name.and_then(|name| FolderName::parse(name, '.').ok()) else {
        return Ok(place.to_owned());
    };
    let default = || {
        let set = env::var_os("MAILDIR").filter(|path| !path.is_empty()).map(PathBuf::from);
        set.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join("Maildir")))
    };
    let root = maildir.map(Path::to_owned).or_else(default);
    let path = root.as_ref().map(|root| match folder.is_inbox() {
        true => root.clone(),
        false => root.join(folder.directory()),
    });
    match (path, root) {
        (Some(path), _) if path.is_dir() => Ok(path),
        _ if place.exists() => Ok(place.to_owned()),
        (Some(path), Some(_)) if folder.is_inbox() => {
            let text = format!("{}: no Maildir there; name one by --maildir or $MAILDIR", path.display());
            Err(Failure::new(Exit::NoInput, text))
        }
        (_, Some(root)) => {
            let text = format!("{}: no folder {folder} there, and no file of that name here", root.display());
            Err(Failure::new(Exit::NoInput, text))
        }
        (_, None) => Err(Failure::usage("no Maildir: name one by --maildir or $MAILDIR")),
    }
}

/// The paths on stdin, each ended by `end`: how commands that act on messages take them in a pipe.
pub fn on_stdin(end: u8) -> Result<Vec<PathBuf>, Failure> {
    let lines = io::stdin().lock().split(end).collect::<io::Result<Vec<_>>>();
    let lines = lines.map_err(|fault| Failure::input("stdin", &fault))?;
    Ok(lines
        .into_iter()
        .filter(|line| !line.is_empty())
        .map(|line| OsString::from_vec(line).into())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_name_is_a_folder_and_a_path_a_path() {
        let root = env::temp_dir().join(format!("posthaste-place-{}", std::process::id()));
        fs::create_dir_all(root.join(r".v1\2e2")).unwrap();
        let at = |name: &str| find(Path::new(name), Some(&root)).map_err(|failure| failure.exit());
        assert_eq!(at("inbox"), Ok(root.clone()));
        assert_eq!(at(r"v1\2e2"), Ok(root.join(r".v1\2e2")));
        assert_eq!(at("/a/b"), Ok("/a/b".into()));
        assert_eq!(at("./Sent"), Ok("./Sent".into()));
        assert_eq!(at("Cargo.toml"), Ok("Cargo.toml".into()));
        assert_eq!(at("Sent"), Err(Exit::NoInput));
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(at("INBOX"), Err(Exit::NoInput));
    }
}
