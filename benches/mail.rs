//! What the programs spend their time on, measured: the scanners over the corpus, a delivery with its syncs, a
//! listing of a large folder. Run by `make bench`; compare two commits on one machine, never two machines.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use divan::{Bencher, counter::BytesCount, counter::ItemsCount};
use posthaste::{
    agent::{
        deliver::{self, Order, Target},
        list::{self, Candidate, Filter, Form},
    },
    mail::{
        flags::Flags,
        folder::FolderName,
        header::{self, addresses},
        outline::Outline,
        words,
    },
    store::{Home, maildir::Maildir},
    sys::{clock::Clock, disk::Disk},
};
use std::{
    io::sink,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

fn main() {
    divan::main();
}

/// All messages of the corpus.
fn corpus() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/messages");
    let mut paths: Vec<PathBuf> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "eml"));
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn octets(messages: &[Vec<u8>]) -> BytesCount {
    BytesCount::new(messages.iter().map(Vec::len).sum::<usize>())
}

#[divan::bench]
fn outline_of_the_corpus(bencher: Bencher<'_, '_>) {
    let messages = corpus();
    bencher
        .counter(octets(&messages))
        .bench(|| messages.iter().map(|message| Outline::of(message).parts.len()).sum::<usize>());
}

#[divan::bench]
fn outline_of_one_large_attachment(bencher: Bencher<'_, '_>) {
    let mut message =
        b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\ntext\n--b\nContent-Type: application/pdf\n\
        Content-Transfer-Encoding: base64\n\n"
            .to_vec();
    for _ in 0..100_000 {
        message.extend_from_slice(&[b'A'; 76]);
        message.push(b'\n');
    }
    message.extend_from_slice(b"--b--\n");
    bencher.counter(BytesCount::new(message.len())).bench(|| Outline::of(&message).parts.len());
}

#[divan::bench]
fn fields_addresses_and_words_of_the_corpus(bencher: Bencher<'_, '_>) {
    let messages = corpus();
    bencher.counter(octets(&messages)).bench(|| {
        let mut found = 0;
        for message in &messages {
            for field in header::fields(message) {
                found += words::decode(&field.unfolded()).len();
                if field.is("to") || field.is("from") {
                    found += addresses::addresses(field.body, 100).0.len();
                }
            }
        }
        found
    });
}

/// A folder of its own, gone with the value.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("posthaste-bench-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    fn order(&self) -> Order {
        Order {
            home: Home {
                account: "ann@example.org".into(),
                location: self.0.join("Maildir").to_str().unwrap().into(),
            },
            quota: None,
            target: Target::Folder(FolderName::inbox()),
            return_path: Some("bob@example.net".into()),
            delivered_to: Some("ann@example.org".into()),
            length: None,
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A message of 4 KiB.
fn message() -> Vec<u8> {
    let mut message = b"From: bob@example.net\nTo: ann@example.org\nSubject: tea\n\n".to_vec();
    message.resize(4096, b'x');
    message
}

/// One after the other in one thread, and side by side in a daemon's manner; with all syncs.
#[divan::bench(threads = [1, 8], sample_count = 50, sample_size = 10)]
fn deliver_to_a_maildir(bencher: Bencher<'_, '_>) {
    let (scratch, message, clock) = (Scratch::new(), message(), Clock::system());
    let (order, store) = (scratch.order(), Maildir::new(Disk::shared(16), Clock::system()));
    bencher
        .counter(ItemsCount::new(1_usize))
        .bench(|| deliver::deliver(&store, &clock, &order, &mut message.as_slice()).unwrap());
}

#[divan::bench(args = [false, true])]
fn list_10_000_messages(bencher: Bencher<'_, '_>, subjects: bool) {
    let scratch = Scratch::new();
    let candidates: Vec<Candidate> = (0..10_000)
        .map(|number| {
            let path = scratch.0.join(format!("{number}:2,S"));
            std::fs::write(&path, message()).unwrap();
            Candidate { path, flags: Flags::default(), new: false, size: Some(4096), named: false }
        })
        .collect();
    let form = if subjects { Form::Json } else { Form::Paths(b'\n') };
    bencher.counter(ItemsCount::new(candidates.len())).bench(|| {
        list::run(candidates.clone(), &Filter::default(), &form, &mut sink(), &mut |fault| {
            panic!("{fault:?}");
        })
        .unwrap();
    });
}
