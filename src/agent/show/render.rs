//! A message as text: some fields, then its texts in order, other parts by a line each.

use super::{
    Fault, html,
    letter::{Letter, TEXT_MAX},
};
use crate::mail::{
    harmless, header,
    outline::{Outline, Part, Shape},
    transfer::Encoding,
};
use std::io::{self, Write};

/// The fields that are shown, in this order.
const FIELDS: [&str; 6] = ["Date", "From", "Reply-To", "To", "Cc", "Subject"];
/// Of HTML so many octets are made text, which takes several times their size in memory.
const HTML_MAX: usize = 1024 * 1024;

/// What is next to be shown, last first.
enum Next {
    /// A message's fields, then its body.
    Message(usize),
    /// A part as the media type around it wants it.
    Part(usize),
    /// A line that names the part.
    Named(usize),
}

pub(super) fn text(letter: &mut Letter, width: usize, out: &mut dyn Write) -> Result<(), Fault> {
    let numbers = letter.outline.numbers();
    let mut next = vec![Next::Message(0)];
    while let Some(step) = next.pop() {
        let (Next::Message(at) | Next::Part(at) | Next::Named(at)) = step;
        let Some(part) = letter.outline.parts.get(at).cloned() else { continue };
        let number = numbers.get(at).map_or("", String::as_str);
        match (step, part.shape) {
            (Next::Message(_), _) => {
                let head = letter.header(&part)?;
                fields(&head, out).map_err(Fault::Output)?;
                next.push(Next::Part(at));
            }
            (Next::Named(_), _) => writeln!(out, "\n{}", named(&part, number)).map_err(Fault::Output)?,
            (Next::Part(_), Shape::Leaf) if is_text(&part) => leaf(letter, &part, number, width, out)?,
            (Next::Part(_), Shape::Leaf) => next.push(Next::Named(at)),
            (Next::Part(_), Shape::Message) => {
                writeln!(out, "\n{}\n", named(&part, number)).map_err(Fault::Output)?;
                next.extend(letter.outline.children(at).map(Next::Message));
            }
            (Next::Part(_), Shape::Multipart) => {
                let mut steps = steps(&letter.outline, at, &part.media.subtype);
                steps.reverse();
                next.append(&mut steps);
            }
        }
    }
    Ok(())
}

/// True for what is read in place.
pub(super) fn is_text(part: &Part) -> bool {
    part.shape == Shape::Leaf
        && part.media.kind == "text"
        && !part.is_attachment()
        && part.transfer() != Encoding::Unknown
}

/// How the parts of a multipart are shown.
fn steps(outline: &Outline, at: usize, subtype: &str) -> Vec<Next> {
    let children: Vec<usize> = outline.children(at).collect();
    let is = |at: usize, subtype: &str| {
        outline.parts.get(at).is_some_and(|part| is_text(part) && part.media.subtype == subtype)
    };
    match subtype {
        "alternative" => {
            let plain = children.iter().find(|&&at| is(at, "plain"));
            let html = children.iter().find(|&&at| is(at, "html"));
            plain.or(html).or(children.first()).map(|&at| Next::Part(at)).into_iter().collect()
        }
        "related" => match children.split_first() {
            Some((&root, rest)) => {
                [Next::Part(root)].into_iter().chain(rest.iter().map(|&at| Next::Named(at))).collect()
            }
            None => Vec::new(),
        },
        _ => children.into_iter().map(Next::Part).collect(),
    }
}

fn fields(head: &[u8], out: &mut dyn Write) -> io::Result<()> {
    for name in FIELDS {
        for field in header::fields(head).filter(|field| field.is(name)) {
            writeln!(out, "{name}: {}", harmless::line(&field.text()))?;
        }
    }
    Ok(())
}

/// `[2 application/pdf "report.pdf", 12 KB]`
fn named(part: &Part, number: &str) -> String {
    let name = part.file_name().map(|name| format!(" {:?}", harmless::line(&name))).unwrap_or_default();
    let octets = match part.transfer() {
        Encoding::Base64 => part.body.wire() / 4 * 3,
        _ => part.body.wire(),
    };
    let size = match octets {
        0..1024 => format!("{octets} octets"),
        1024..1_048_576 => format!("{} KB", octets / 1024),
        _ => format!("{} MB", octets / 1_048_576),
    };
    format!("[{number} {}{name}, {size}]", harmless::line(&part.media.name()))
}

fn leaf(
    letter: &mut Letter,
    part: &Part,
    number: &str,
    width: usize,
    out: &mut dyn Write,
) -> Result<(), Fault> {
    let is_html = part.media.subtype == "html";
    let most = if is_html { HTML_MAX } else { TEXT_MAX };
    let (mut text, cut) = letter.text(part, most)?;
    if is_html {
        text = html::text(&text, width);
    }
    let text = harmless::text(&text);
    let end = if text.ends_with('\n') || text.is_empty() { "" } else { "\n" };
    write!(out, "\n{text}{end}").map_err(Fault::Output)?;
    if cut {
        writeln!(out, "\n[{number}: only the first {} MB are shown]", most / 1_048_576)
            .map_err(Fault::Output)?;
    }
    Ok(())
}
