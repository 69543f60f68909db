//! The outline as JSON.

use super::letter::Letter;
use crate::mail::{
    outline::{Part, Shape},
    words,
};
use serde::Serialize;
use std::path::Path;

#[derive(Serialize)]
struct Message<'a> {
    path: String,
    /// Octets of the file.
    size: u64,
    /// Octets with CR LF line ends.
    wire: u64,
    lines: u64,
    /// True when bounds were met, so that parts are missing.
    cut: bool,
    parts: Vec<Entity<'a>>,
}

#[derive(Serialize)]
struct Entity<'a> {
    /// IMAP's number; empty for the message itself when it is a multipart.
    part: &'a str,
    /// The place of the part around it in this list.
    parent: Option<usize>,
    shape: &'static str,
    #[serde(rename = "type")]
    media: String,
    charset: Option<String>,
    encoding: Option<String>,
    disposition: Option<&'a str>,
    filename: Option<String>,
    id: Option<String>,
    description: Option<String>,
    /// Offsets in the file.
    header: [u64; 2],
    body: [u64; 2],
    /// Octets of the body with CR LF line ends, still encoded, and its line ends.
    wire: u64,
    lines: u64,
}

/// One line, without its end.
pub(super) fn object(path: &Path, letter: &Letter) -> serde_json::Result<String> {
    let outline = &letter.outline;
    let numbers = outline.numbers();
    let parts = outline.parts.iter().zip(&numbers).map(|(part, number)| entity(part, number)).collect();
    serde_json::to_string(&Message {
        path: path.to_string_lossy().into_owned(),
        size: outline.end.at,
        wire: outline.end.wire,
        lines: outline.end.lines,
        cut: outline.cut,
        parts,
    })
}

fn entity<'a>(part: &'a Part, number: &'a str) -> Entity<'a> {
    let decoded = |octets: &Option<Vec<u8>>| octets.as_deref().map(words::decode);
    let (header, body) = (part.header.range(), part.body.range());
    Entity {
        part: number,
        parent: part.parent,
        shape: match part.shape {
            Shape::Leaf => "leaf",
            Shape::Multipart => "multipart",
            Shape::Message => "message",
        },
        media: part.media.name(),
        charset: part.media.params.text("charset"),
        encoding: (!part.encoding.is_empty()).then(|| words::raw(&part.encoding)),
        disposition: part.disposition.as_ref().map(|disposition| disposition.value.as_str()),
        filename: part.file_name(),
        id: decoded(&part.id),
        description: decoded(&part.description),
        header: [header.start, header.end],
        body: [body.start, body.end],
        wire: part.body.wire(),
        lines: part.body.lines(),
    }
}
