//! SEARCH for the text of messages, which stores leave to who asks: each message is read in pieces, its parts decoded. What is found
//! stands in the key as UIDs, and the store judges the rest.

use crate::{
    mail::{
        folder::FolderName,
        header,
        outline::{Outline, Part, Shape},
        query::{Key, Uid, UidSet},
        transfer::Decoder,
    },
    store::{Fault, Home, Store},
};
use encoding_rs::{Encoding, UTF_8};
use std::{io::Read, ops::Range};

/// What is read of a part at once.
const PIECE: usize = 32 * 1024;
/// The most octets of a header that are searched.
const HEADER: u64 = 256 * 1024;
/// How deep keys may nest. The session has a bound, too.
const DEPTH: usize = 100;

/// A folder of the store's.
type At<'a, S> = (&'a S, &'a Home, &'a FolderName);

/// The messages that a key describes.
pub(super) fn search<S: Store>(at: At<'_, S>, key: Key) -> Result<UidSet, Fault> {
    let (store, home, folder) = at;
    let key = match has_text(&key, DEPTH) {
        true => {
            let all = store.search(home, folder, &Key::All)?;
            resolve(at, key, &all, DEPTH)?
        }
        false => key,
    };
    store.search(home, folder, &key)
}

fn has_text(key: &Key, depth: usize) -> bool {
    let Some(depth) = depth.checked_sub(1) else { return false };
    match key {
        Key::Body(_) | Key::Text(_) => true,
        Key::And(keys) => keys.iter().any(|key| has_text(key, depth)),
        Key::Or(one, two) => has_text(one, depth) || has_text(two, depth),
        Key::Not(key) => has_text(key, depth),
        _ => false,
    }
}

/// Puts UIDs in the place of texts. Only `among` these messages is looked: those that the rest of the key leaves.
fn resolve<S: Store>(at: At<'_, S>, key: Key, among: &UidSet, depth: usize) -> Result<Key, Fault> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(Fault::Cannot("the search is nested too deeply"));
    };
    Ok(match key {
        Key::Body(text) => Key::Uid(holding(at, &text, false, among)?),
        Key::Text(text) => Key::Uid(holding(at, &text, true, among)?),
        Key::Not(key) => Key::Not(Box::new(resolve(at, *key, among, depth)?)),
        Key::Or(one, two) => {
            Key::Or(Box::new(resolve(at, *one, among, depth)?), Box::new(resolve(at, *two, among, depth)?))
        }
        Key::And(keys) => {
            let (texts, mut plain): (Vec<Key>, Vec<Key>) =
                keys.into_iter().partition(|key| has_text(key, depth));
            let (store, home, folder) = at;
            plain.push(Key::Uid(among.clone()));
            let left = store.search(home, folder, &Key::And(plain))?;
            let mut all = vec![Key::Uid(left.clone())];
            for key in texts {
                all.push(resolve(at, key, &left, depth)?);
            }
            Key::And(all)
        }
        other => other,
    })
}

/// Those of `among` that hold the text in their bodies, or in their headers where that counts.
fn holding<S: Store>(at: At<'_, S>, text: &str, in_header: bool, among: &UidSet) -> Result<UidSet, Fault> {
    let wanted = text.to_lowercase();
    let mut found = UidSet::default();
    for uid in among.iter() {
        match holds(at, uid, &wanted, in_header) {
            Ok(true) => found.insert(uid),
            // One that went meanwhile holds nothing.
            Ok(false) | Err(Fault::NoMessage) => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(found)
}

fn holds<S: Store>(at: At<'_, S>, uid: Uid, wanted: &str, in_header: bool) -> Result<bool, Fault> {
    let (store, home, folder) = at;
    let outline = Outline::read(store.read(home, folder, uid, 0..u64::MAX)?)?;
    if let Some(message) = outline.parts.first().filter(|_| in_header) {
        let mut octets = Vec::new();
        let range = wire(&message.header);
        store.read(home, folder, uid, range)?.take(HEADER).read_to_end(&mut octets)?;
        if header::fields(&octets).any(|field| field.text().to_lowercase().contains(wanted)) {
            return Ok(true);
        }
    }
    let texts = outline.parts.iter().filter(|part| part.shape == Shape::Leaf && part.media.kind == "text");
    for part in texts {
        if part_holds(part, store.read(home, folder, uid, wire(&part.body))?, wanted)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn wire(span: &crate::mail::outline::Span) -> Range<u64> {
    span.start.wire..span.end.wire
}

/// Reads a part's text, decoded, through a window as wide as what is wanted.
fn part_holds(part: &Part, mut from: impl Read, wanted: &str) -> Result<bool, Fault> {
    let charset = part.media.params.raw("charset").unwrap_or_default();
    // What says nothing, or ASCII, and is more than that, is UTF-8 nowadays.
    let plain = charset.is_empty() || charset.eq_ignore_ascii_case(b"us-ascii");
    let charset = Encoding::for_label(charset).filter(|_| !plain).unwrap_or(UTF_8);
    let mut letters = charset.new_decoder();
    let mut decoder = Decoder::new(part.transfer());
    let (mut piece, mut octets, mut window) = (vec![0; PIECE], Vec::new(), String::new());
    loop {
        let read = from.read(&mut piece)?;
        octets.clear();
        match read {
            0 => decoder.finish(&mut octets),
            read => decoder.push(piece.get(..read).unwrap_or_default(), &mut octets),
        }
        let mut text = String::new();
        text.reserve(letters.max_utf8_buffer_length(octets.len()).unwrap_or(0));
        let _ = letters.decode_to_string(&octets, &mut text, read == 0);
        window.push_str(&text.to_lowercase());
        if window.contains(wanted) {
            return Ok(true);
        }
        if read == 0 {
            return Ok(false);
        }
        let mut from = window.len().saturating_sub(wanted.len());
        while !window.is_char_boundary(from) {
            from = from.saturating_sub(1);
        }
        window.drain(..from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_searched_decoded_without_case_and_across_pieces() {
        let far = format!("{}Stra\u{df}e\r\n", "filling ".repeat(PIECE / 8 - 1));
        for (message, wanted, found) in [
            ("\r\nhello World\r\n".to_owned(), "WORLD", true),
            ("\r\nhello World\r\n".to_owned(), "word", false),
            ("Content-Transfer-Encoding: base64\r\n\r\naGVsbG8gV29ybGQ=\r\n".to_owned(), "o world", true),
            (
                "Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=DFe\r\n".to_owned(),
                "gr\u{fc}\u{df}e",
                true,
            ),
            (format!("\r\n{far}"), "filling stra\u{df}e", true),
            ("\r\ngr\u{fc}n\r\n".to_owned(), "GR\u{dc}N", true),
        ] {
            let outline = Outline::of(message.as_bytes());
            let part = &outline.parts[0];
            let body = &message.as_bytes()[usize::try_from(part.body.start.at).unwrap()..];
            assert_eq!(part_holds(part, body, &wanted.to_lowercase()).unwrap(), found, "{wanted} in {message:.60}");
        }
    }
}
