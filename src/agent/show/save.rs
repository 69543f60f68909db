//! Parts made files. A name out of a message is only a wish: it can't leave the directory, hide a file, replace one or
//! look like an option.

use super::{Fault, letter::Letter, render};
use crate::mail::{
    harmless,
    mime::Media,
    outline::{Outline, Shape},
};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

/// The most octets of a name.
const NAME_MAX: usize = 200;
/// How many files of one name there may be.
const SAME_MAX: u32 = 10_000;

/// Saves one part, or every attachment, and prints the paths.
pub(super) fn save(
    letter: &mut Letter,
    into: &Path,
    one: Option<usize>,
    out: &mut dyn Write,
) -> Result<(), Fault> {
    let numbers = letter.outline.numbers();
    let places = one.map_or_else(|| attachments(&letter.outline), |at| vec![at]);
    for at in places {
        let Some(part) = letter.outline.parts.get(at).cloned() else { continue };
        let number = numbers.get(at).map_or("", String::as_str);
        let name = clean(&part.file_name().unwrap_or_default(), number, &part.media);
        let (path, mut file) = create(into, &name).map_err(|why| Fault::File(into.join(&name), why))?;
        let written = letter.decode(&part, &mut |octets| {
            file.write_all(octets).map_err(|why| Fault::File(path.clone(), why))
        });
        if written.is_err() {
            // Half a file is worse than none; that it can't be removed is said by the fault at hand.
            let _ = fs::remove_file(&path);
        }
        written?;
        out.write_all(path.as_os_str().as_bytes())
            .and_then(|()| out.write_all(b"\n"))
            .map_err(Fault::Output)?;
    }
    Ok(())
}

/// What is no text to read in place; an attached message is one file, and what is in it stays there.
fn attachments(outline: &Outline) -> Vec<usize> {
    let mut wanted = Vec::new();
    // Whether a part stands within one that is saved whole.
    let mut within = vec![false; outline.parts.len()];
    for (at, part) in outline.parts.iter().enumerate() {
        let saved = part.parent.is_some_and(|parent| within.get(parent) == Some(&true));
        let whole = part.shape == Shape::Message && part.is_attachment();
        if let Some(within) = within.get_mut(at) {
            *within = saved || whole;
        }
        let file = part.shape == Shape::Leaf && (!render::is_text(part) || part.file_name().is_some());
        if !saved && (whole || file) {
            wanted.push(at);
        }
    }
    wanted
}

/// A new file of this name in the directory, or of one like it when that is taken.
fn create(into: &Path, name: &str) -> io::Result<(PathBuf, File)> {
    let (stem, end) = parted(name);
    for again in 0..SAME_MAX {
        let path = into.join(if again == 0 { name.to_owned() } else { format!("{stem}-{again}{end}") });
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Err(why) if why.kind() == io::ErrorKind::AlreadyExists => {}
            opened => return opened.map(|file| (path, file)),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// A name and its ending: `("report", ".pdf")`.
fn parted(name: &str) -> (&str, &str) {
    match name.rfind('.').filter(|&at| at > 0 && name.len().saturating_sub(at) <= 16) {
        Some(at) => name.split_at_checked(at).unwrap_or((name, "")),
        None => (name, ""),
    }
}

/// A file name that is harmless, out of the one that a composer gave.
fn clean(given: &str, number: &str, media: &Media) -> String {
    let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let shown = harmless::line(last).replace('\u{fffd}', "_");
    let shown = shown.trim();
    let first = |letter| matches!(letter, '.' | '-' | '~');
    let mut name = match shown.strip_prefix(first) {
        Some(rest) => format!("_{rest}"),
        None => shown.to_owned(),
    };
    if name.chars().all(|letter| matches!(letter, '_' | '.' | ' ')) {
        name = format!("part-{}{}", if number.is_empty() { "0" } else { number }, ending(media));
    }
    if name.len() > NAME_MAX {
        let (stem, end) = parted(&name);
        let most = NAME_MAX.saturating_sub(end.len());
        let cut = stem.char_indices().map(|(at, _)| at).take_while(|&at| at <= most).last().unwrap_or(0);
        name = format!("{}{end}", stem.get(..cut).unwrap_or_default());
    }
    name
}

/// The ending of a file of this type.
fn ending(media: &Media) -> &'static str {
    match (media.kind.as_str(), media.subtype.as_str()) {
        ("text", "html") => ".html",
        ("text", "calendar") => ".ics",
        ("text", _) => ".txt",
        ("image", "jpeg") => ".jpg",
        ("image", "png") => ".png",
        ("image", "gif") => ".gif",
        ("application", "pdf") => ".pdf",
        ("application", "zip") => ".zip",
        ("application", "pgp-signature" | "pgp-keys") => ".asc",
        ("message", _) => ".eml",
        _ => ".bin",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wished_name_can_do_no_harm() {
        for (given, name) in [
            ("report.pdf", "report.pdf"),
            ("gr\u{fc}\u{df}e.txt", "gr\u{fc}\u{df}e.txt"),
            ("../../etc/passwd", "passwd"),
            ("..\\..\\x.exe", "x.exe"),
            ("/etc/passwd", "passwd"),
            ("..", "part-2.pdf"),
            (".", "part-2.pdf"),
            ("", "part-2.pdf"),
            ("a/", "part-2.pdf"),
            (".bashrc", "_bashrc"),
            ("-rf", "_rf"),
            ("~root", "_root"),
            ("a\0b\nc\u{1b}[2J", "a_b c_[2J"),
            ("\u{202e}fdp.exe", "_fdp.exe"),
            ("  a  ", "a"),
        ] {
            assert_eq!(clean(given, "2", &Media::new("application", "pdf")), name, "{given:?}");
        }
        let long = clean(&format!("{}.pdf", "\u{fc}".repeat(300)), "2", &Media::default_text());
        assert!(long.len() <= NAME_MAX && long.ends_with("\u{fc}.pdf"));
        let long = clean(&"x".repeat(300), "2", &Media::default_text());
        assert_eq!(long.len(), NAME_MAX);
    }
}
