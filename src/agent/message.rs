//! A message file as the reading programs see it: its header, looked at field by field.

use crate::mail::{
    date::Date,
    header::{self, Gather, Progress, addresses},
};
use serde::Serialize;
use std::{fs::File, io, path::Path};

/// The most octets of a header that are read.
const HEAD_MAX: usize = 512 * 1024;
/// The most addresses of a field that are shown.
const ADDRESSES_MAX: usize = 1000;
/// What is read at once: most headers fit.
const PIECE: usize = 8 * 1024;

/// An address for people and for JSON.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize)]
pub struct Who {
    /// The display name, decoded.
    pub name: String,
    /// `local@domain`.
    pub address: String,
}

/// The header of one message after the other, in one buffer.
#[derive(Debug)]
pub struct Head {
    gathered: Gather,
    piece: Vec<u8>,
}

impl Default for Head {
    fn default() -> Head {
        Head { gathered: Gather::new(HEAD_MAX), piece: vec![0; PIECE] }
    }
}

impl Head {
    /// Reads the header of the message in a file.
    pub fn read(&mut self, path: &Path) -> io::Result<()> {
        self.take(&mut File::open(path)?)
    }

    /// Reads the header of a message.
    pub fn take(&mut self, from: &mut impl io::Read) -> io::Result<()> {
        self.gathered.clear();
        loop {
            let length = match from.read(&mut self.piece) {
                Err(fault) if fault.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            let piece = self.piece.get(..length).unwrap_or_default();
            if length == 0 || self.gathered.push(piece).1 != Progress::More {
                return Ok(());
            }
        }
    }

    /// The octets of the header.
    pub fn octets(&self) -> &[u8] {
        self.gathered.octets()
    }

    /// The first field `name`, decoded.
    pub fn text(&self, name: &str) -> Option<String> {
        header::first(self.octets(), name).map(|field| field.text())
    }

    /// The addresses in the first field `name`.
    pub fn addresses(&self, name: &str) -> Vec<Who> {
        let Some(field) = header::first(self.octets(), name) else { return Vec::new() };
        let (list, _) = addresses::addresses(field.body, ADDRESSES_MAX);
        list.iter().map(|one| Who { name: one.display_name(), address: one.text() }).collect()
    }

    /// The Date field.
    pub fn date(&self) -> Option<Date> {
        Date::parse(header::first(self.octets(), "Date")?.body)
    }
}
