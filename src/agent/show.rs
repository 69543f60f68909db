//! mail-show: a message as text for people, one of its parts, fields of its header, or its outline as JSON; and its
//! attachments as files. A message is never in memory whole, only what is shown of it.

mod html;
mod json;
mod letter;
mod render;
mod save;

use super::message::Head;
use crate::mail::{harmless, header, outline::Shape};
use letter::{Letter, TEXT_MAX};
use std::{
    fmt,
    io::{self, Write},
    path::{Path, PathBuf},
};

/// What is shown of a message.
#[derive(Clone, Debug)]
pub enum Order {
    /// All of it, as text of so many columns.
    Text(usize),
    /// The values of the fields of these names, decoded, one a line.
    Fields(Vec<String>),
    /// One part by its IMAP number, decoded: its octets as they are, or (for a terminal) as harmless text.
    Part {
        /// The number.
        number: String,
        /// As text.
        harmless: bool,
    },
    /// The attachments, or the one part of this number, made files in a directory; their paths are printed.
    Save {
        /// The directory.
        into: PathBuf,
        /// The part.
        number: Option<String>,
    },
    /// The outline as a JSON object.
    Json,
}

/// Why a message was not shown.
#[derive(Debug)]
pub enum Fault {
    /// It can't be read.
    Input(io::Error),
    /// It has no part of this number; and the numbers that it has.
    NoPart(String, String),
    /// The part is no text, and the output is a terminal.
    NotText(String),
    /// A file can't be made or written.
    File(PathBuf, io::Error),
    /// The output can't be written.
    Output(io::Error),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Input(why) | Fault::Output(why) => why.fmt(f),
            Fault::NoPart(number, there) => write!(f, "no part {number}; its parts are {there}"),
            Fault::NotText(name) => {
                write!(f, "the part is {name}, not text: redirect the output, or use --save")
            }
            Fault::File(path, why) => write!(f, "{}: {why}", path.display()),
        }
    }
}

impl std::error::Error for Fault {}

/// Shows the message in a file.
pub fn run(path: &Path, order: &Order, out: &mut dyn Write) -> Result<(), Fault> {
    if let Order::Fields(names) = order {
        let mut head = Head::default();
        head.read(path).map_err(Fault::Input)?;
        return fields(head.octets(), names, out).map_err(Fault::Output);
    }
    let mut letter = Letter::open(path).map_err(Fault::Input)?;
    match order {
        Order::Fields(_) => Ok(()),
        Order::Text(width) => render::text(&mut letter, *width, out),
        Order::Part { number, harmless } => part(&mut letter, number, *harmless, out),
        Order::Save { into, number } => {
            let at = number.as_deref().map(|number| numbered(&letter, number)).transpose()?;
            save::save(&mut letter, into, at, out)
        }
        Order::Json => {
            let text = json::object(path, &letter).map_err(|why| Fault::Output(why.into()))?;
            writeln!(out, "{}", harmless::json(&text)).map_err(Fault::Output)
        }
    }
}

fn fields(head: &[u8], names: &[String], out: &mut dyn Write) -> io::Result<()> {
    for name in names {
        for field in header::fields(head).filter(|field| field.is(name)) {
            writeln!(out, "{}", harmless::line(&field.text()))?;
        }
    }
    Ok(())
}

/// The place of the part of this number.
fn numbered(letter: &Letter, number: &str) -> Result<usize, Fault> {
    letter.outline.numbered(number).map(|(at, _)| at).ok_or_else(|| {
        let mut there = letter.outline.numbers();
        there.retain(|known| !known.is_empty());
        there.dedup();
        Fault::NoPart(number.to_owned(), there.join(", "))
    })
}

fn part(letter: &mut Letter, number: &str, as_text: bool, out: &mut dyn Write) -> Result<(), Fault> {
    let at = numbered(letter, number)?;
    let Some(part) = letter.outline.parts.get(at).cloned() else { return Ok(()) };
    if !as_text {
        return letter.decode(&part, &mut |octets| out.write_all(octets).map_err(Fault::Output));
    }
    if part.shape == Shape::Leaf && part.media.kind != "text" {
        return Err(Fault::NotText(harmless::line(&part.media.name()).into_owned()));
    }
    let (text, _) = letter.text(&part, TEXT_MAX)?;
    out.write_all(harmless::text(&text).as_bytes()).map_err(Fault::Output)
}

#[cfg(test)]
mod tests;
