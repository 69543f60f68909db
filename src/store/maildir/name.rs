//! The names of message files: `SECONDS.ID[-COPY].HOST,S=SIZE,W=WIRESIZE` and, in cur/, `:2,` and flags
//! (ARCHITECTURE.md, section 10). Those of other programs are read as they are: all that counts of them is what
//! stands before `:2,`, the letters behind it, and `,S=` `,W=` where they are.

use crate::mail::id::{DeliveryKey, QueueId};

/// What parts the base name from the flags.
const INFO: &str = ":2,";

/// `gethostname()` as it may stand in a base name.
pub(super) fn host(name: &str) -> String {
    let name: String = name
        .chars()
        .map(|letter| match letter {
            '/' => "\\057".to_owned(),
            ':' => "\\072".to_owned(),
            ',' => "\\054".to_owned(),
            // A space or line end would end the name in a UID list.
            letter if letter.is_whitespace() || letter.is_control() => "_".to_owned(),
            letter => letter.to_string(),
        })
        .collect();
    // The rest of a name takes up to 87 octets of the 255 that a file system gives.
    let name: String = name.chars().take(32).collect();
    if name.is_empty() { "localhost".to_owned() } else { name }
}

/// What all copies of one key have in common, on whatever host they were made: `SECONDS.ID[-COPY].`
pub(super) fn stem(key: &DeliveryKey) -> String {
    let seconds = key.id.micros() / 1_000_000;
    match key.copy {
        0 => format!("{seconds}.{}.", key.id),
        copy => format!("{seconds}.{}-{copy:08x}.", key.id),
    }
}

/// The base name of a copy.
pub(super) fn base(key: &DeliveryKey, host: &str, size: u64, wire_size: u64) -> String {
    format!("{}{host},S={size},W={wire_size}", stem(key))
}

/// The name in cur/ of a base with flag letters.
pub(super) fn with_letters(base: &str, letters: &str) -> String {
    format!("{base}{INFO}{letters}")
}

/// Parts a name into its base and the letters of its flags; a name without `:2,` has none. The base ends at the first
/// colon, whatever follows: it stands so in a UID list, and a change of what follows is not another message. What some
/// programs put behind the letters after a further comma is left out.
pub fn parted(name: &str) -> (&str, &str) {
    let (base, info) = name.split_at(name.find(':').unwrap_or(name.len()));
    let letters = info.strip_prefix(INFO).and_then(|info| info.split(',').next());
    (base, letters.unwrap_or_default())
}

/// True for names that are messages: not hidden, and of characters that fit a line of a UID list.
pub(super) fn is_message(name: &str) -> bool {
    !name.starts_with('.') && !name.is_empty() && !name.contains(['\n', '\r'])
}

/// Names the content of a message: for names of ours what the commit made (queue id and copy), else a hash of the
/// base without sizes (FNV-1a of 128 bits: the same on every machine), so that it survives a move or copy.
pub(super) fn email_id(base: &str) -> String {
    let unique = base.split_once(",S=").map_or(base, |(unique, _)| unique);
    if let Some(id) = unique.split('.').nth(1) {
        let (own, copy) = id.split_once('-').unwrap_or((id, ""));
        let is_copy =
            copy.is_empty() || (copy.len() == 8 && copy.bytes().all(|octet| octet.is_ascii_hexdigit()));
        if QueueId::parse(own).is_some() && is_copy {
            return id.to_owned();
        }
    }
    let hash = unique.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128, |hash, octet| {
        (hash ^ u128::from(octet)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    });
    format!("{hash:032x}")
}

/// The file's octets by `,S=`; `None` where the name does not say.
pub fn size(base: &str) -> Option<u64> {
    field(base, ",S=")
}

/// The octets with CR LF line ends by `,W=`; `None` where the name does not say.
pub fn wire_size(base: &str) -> Option<u64> {
    field(base, ",W=")
}

fn field(base: &str, key: &str) -> Option<u64> {
    let (_, behind) = base.split_once(key)?;
    let digits = behind.split(|letter: char| !letter.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::id::QueueId;

    #[test]
    fn a_base_name_follows_the_grammar_and_is_the_same_at_each_try() {
        let id = QueueId::new(1_795_000_000_123_456, 9);
        let key = DeliveryKey::first(id.clone());
        let name = base(&key, &host("mx/1:a,b c"), 120, 125);
        assert_eq!(name, format!("1795000000.{id}.mx\\0571\\072a\\054b_c,S=120,W=125"));
        assert_eq!((size(&name), wire_size(&name)), (Some(120), Some(125)));
        let copy = DeliveryKey { id: id.clone(), copy: 0xab, again: true };
        assert_eq!(base(&copy, "h", 1, 1), format!("1795000000.{id}-000000ab.h,S=1,W=1"));
        assert!(!base(&copy, "h", 1, 1).starts_with(&stem(&key)));
        assert_eq!(with_letters("b", "FS"), "b:2,FS");
        assert!(base(&copy, &host(&"h".repeat(300)), u64::MAX, u64::MAX).len() < 200);
    }

    #[test]
    fn an_email_id_outlives_the_name_and_holds_only_what_it_may() {
        let key = DeliveryKey { id: QueueId::new(1_795_000_000_123_456, 9), copy: 0xab, again: false };
        assert_eq!(email_id(&base(&key, "h", 1, 2)), format!("{}-000000ab", key.id));
        // FNV-1a's published value of "foobar", 128 bits.
        assert_eq!(email_id("foobar,S=1"), "343e1662793c64bf6f0d3597ba446f18");
        for odd in ["1.\u{e9} /(", "1.M1P2.h,S=1", ""] {
            let id = email_id(odd);
            assert!(id.bytes().all(|octet| octet.is_ascii_alphanumeric()), "{id}");
        }
    }

    #[test]
    fn names_of_others_are_parted_at_the_colon() {
        for (name, parts) in [
            ("1.a.h", ("1.a.h", "")),
            ("1.a.h:2,", ("1.a.h", "")),
            ("1.a.h,S=3:2,FSa", ("1.a.h,S=3", "FSa")),
            ("1.a.h:2,S,x=1", ("1.a.h", "S")),
            ("1.a.h:1,foo", ("1.a.h", "")),
            ("1.a.h:", ("1.a.h", "")),
            ("1.a:b:2,S", ("1.a", "")),
            (":2,S", ("", "S")),
        ] {
            assert_eq!(parted(name), parts, "{name}");
        }
        for base in ["1.a.h", "1,S=", "1,S=x", "1,S=99999999999999999999999"] {
            assert_eq!(size(base), None, "{base}");
        }
        assert_eq!(wire_size("1.M2P3.h,S=4,W=5,F=6"), Some(5));
        assert!(!is_message(".hidden") && !is_message("") && !is_message("a\nb") && is_message("1.a"));
    }
}
