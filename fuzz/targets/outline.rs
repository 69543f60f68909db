//! Outlines: any octets have a sound one, in any chunks, for work in proportion.
#![no_main]

use libfuzzer_sys::fuzz_target;
use posthaste::mail::{
    header,
    outline::{Outline, Scanner, Shape},
    transfer::{Decoder, Encoding},
};

fuzz_target!(|octets: &[u8]| {
    let outline = Outline::of(octets);
    let step = octets.first().map_or(1, |&first| usize::from(first % 32) + 1);
    let mut scanner = Scanner::new();
    octets.chunks(step).for_each(|chunk| scanner.push(chunk));
    assert!(scanner.work() <= 6 * octets.len() as u64);
    assert_eq!(scanner.finish(), outline);

    assert_eq!(outline.end.at, octets.len() as u64);
    assert_eq!(outline.numbers().len(), outline.parts.len());
    let extent = header::extent(octets);
    assert_eq!(outline.parts[0].header.start.at, extent.start as u64);
    assert_eq!(outline.parts[0].body.end, outline.end);
    let mut children = vec![0_usize; outline.parts.len()];
    let mut behind = vec![0_u64; outline.parts.len()];
    for (at, part) in outline.parts.iter().enumerate() {
        let (head, body) = (part.header, part.body);
        assert!(head.start <= head.end && head.end <= body.start && body.start <= body.end);
        if let Some(parent) = part.parent {
            assert!(parent < at);
            let around = outline.parts[parent].body;
            assert!(around.start <= head.start && body.end <= around.end);
            assert!(behind[parent] <= head.start.at);
            behind[parent] = body.end.at;
            children[parent] += 1;
        }
        let piece = &octets[body.start.at as usize..body.end.at as usize];
        assert_eq!(body.lines(), piece.iter().filter(|&&octet| octet == b'\n').count() as u64);
        let _ = part.file_name();
        for encoding in [part.transfer(), Encoding::Base64, Encoding::QuotedPrintable] {
            let (mut decoder, mut decoded) = (Decoder::new(encoding), Vec::new());
            decoder.push(piece, &mut decoded);
            decoder.finish(&mut decoded);
            assert!(decoded.len() <= piece.len());
        }
    }
    for (part, children) in outline.parts.iter().zip(children) {
        match part.shape {
            Shape::Leaf => assert_eq!(children, 0),
            Shape::Multipart => assert!(children > 0),
            Shape::Message => assert_eq!(children, 1),
        }
    }
});
