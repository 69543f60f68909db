//! Headers: the stream and the slice see the same fields, what is cut out is gone, and no reader stumbles.
#![no_main]

use libfuzzer_sys::fuzz_target;
use posthaste::mail::{
    address::Domain,
    date::Date,
    harmless,
    header::{self, Gather, Progress, addresses},
    mime::{Media, Valued},
    words,
};

fuzz_target!(|octets: &[u8]| {
    let extent = header::extent(octets);
    assert!(extent.start <= extent.end && extent.end <= extent.body && extent.body <= octets.len());
    let step = octets.first().map_or(1, |&first| usize::from(first % 16) + 1);
    let mut gather = Gather::new(usize::MAX);
    for chunk in octets.chunks(step) {
        let (taken, progress) = gather.push(chunk);
        assert!(taken == chunk.len() || progress == Progress::Ended);
    }
    assert_eq!(gather.extent(), extent);
    assert!(octets.starts_with(gather.octets()));
    let kept: Vec<u8> =
        header::without(octets, &["Bcc", "A"]).into_iter().flat_map(|range| octets[range].to_vec()).collect();
    // Where all fields are cut from a header that no empty line ends, a body's `From ` line comes to stand first, and
    // what follows it looks like a header; it was not one.
    let uncovered = extent.start == 0 && kept.starts_with(b"From ");
    assert!(
        uncovered
            || header::fields(&kept)
                .take_while(|field| field.range.end <= extent.end)
                .all(|field| !field.is("bcc") && !field.is("a"))
    );

    let here = Domain::Name("host.example".to_owned());
    for field in header::fields(octets) {
        let text = field.text();
        let line = harmless::line(&text);
        assert!(!line.contains(char::is_control));
        assert!(
            !harmless::text(&text)
                .contains(|letter: char| letter.is_control() && !matches!(letter, '\n' | '\t'))
        );
        let (list, _) = addresses::addresses(field.body, 100);
        for address in list {
            let _ = address.display_name();
            if let Ok(mailbox) = address.mailbox(&here) {
                assert_eq!(mailbox.to_string().parse(), Ok(mailbox));
            }
        }
        if let Some(date) = Date::parse(field.body) {
            assert_eq!(Date::parse(date.to_string().as_bytes()).map(|date| date.seconds), Some(date.seconds));
        }
        let unfolded = field.unfolded();
        for params in [
            Media::parse(&unfolded).map(|media| media.params),
            Valued::parse(&unfolded).map(|valued| valued.params),
        ] {
            let _ = params.and_then(|params| params.text("filename"));
        }
        let coded = words::encode(&text);
        assert!(coded.is_ascii() && !coded.contains(['\r', '\n']));
        assert_eq!(words::decode(coded.as_bytes()), text);
    }
});
