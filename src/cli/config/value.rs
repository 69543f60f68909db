//! Values as people write them: sizes, times, addresses, commands.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// Where to listen or connect on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// An address and a port: `192.0.2.1:25`, `[::]:25`.
    Tcp(SocketAddr),
    /// A unix socket: `unix:/run/posthaste/submit`.
    Unix(PathBuf),
}

/// Octets: digits, and K, M or G for 1024, 1024^2 or 1024^3.
pub fn size(text: &str) -> Result<u64, String> {
    let split = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match text.get(split.len()..).unwrap_or_default() {
        "" => 1,
        "K" | "k" => 1 << 10,
        "M" | "m" => 1 << 20,
        "G" | "g" => 1 << 30,
        _ => return Err(format!("`{text}` is no size; write \"500K\", \"50M\" or \"2G\"")),
    };
    digits(split)
        .ok_or_else(|| format!("`{text}` is no size; write \"500K\", \"50M\" or \"2G\""))?
        .checked_mul(unit)
        .ok_or_else(|| format!("`{text}` is too large"))
}

/// A time: digits and `ms`, `s`, `m`, `h`, `d` or `w`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let split = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match text.get(split.len()..).unwrap_or_default() {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "w" => 604_800_000,
        _ => return Err(format!("`{text}` is no time; write \"30s\", \"5m\", \"4h\" or \"5d\"")),
    };
    digits(split)
        .and_then(|number| number.checked_mul(unit))
        // Far beyond any use, and any sum of clock and wait stays in range.
        .filter(|milliseconds| *milliseconds <= 520 * 604_800_000)
        .map(Duration::from_millis)
        .ok_or_else(|| format!("`{text}` is no time up to ten years"))
}

fn digits(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// An address and port, or `unix:` and a path. A path is given as it is written.
pub fn place(text: &str) -> Result<Place, String> {
    match text.strip_prefix("unix:") {
        // sun_path holds 108 octets with the final NUL (unix(7)).
        Some(path) if path.is_empty() || path.contains('\0') || path.len() > 107 => {
            Err(format!("`{text}`: a socket's path has 1 to 107 octets"))
        }
        Some(path) => Ok(Place::Unix(path.into())),
        None => text
            .parse()
            .map(Place::Tcp)
            .map_err(|_| format!("`{text}`: write \"192.0.2.1:25\", \"[::]:25\" or \"unix:/path\"")),
    }
}

/// A command in words. Quotes and backslashes keep spaces as in a shell; nothing is expanded, no shell runs it.
pub fn command(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = text.chars();
    while let Some(c) = letters.next() {
        match c {
            ' ' | '\t' | '\n' => words.extend(word.take()),
            '\'' => {
                word.get_or_insert_default();
                loop {
                    match letters.next().ok_or("a ' is not closed")? {
                        '\'' => break,
                        c => word.get_or_insert_default().push(c),
                    }
                }
            }
            '"' => {
                word.get_or_insert_default();
                loop {
                    let c = match letters.next() {
                        Some('"') => break,
                        Some('\\') => letters.next(),
                        other => other,
                    };
                    word.get_or_insert_default().push(c.ok_or("a \" is not closed")?);
                }
            }
            '\\' => word.get_or_insert_default().push(letters.next().ok_or("a \\ stands at the end")?),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    check_command(words)
}

/// A command given as an array.
pub fn check_command(words: Vec<String>) -> Result<Vec<String>, String> {
    match words.first() {
        None => Err("expected a command".into()),
        Some(program) if program.is_empty() => Err("the program's name is empty".into()),
        _ if words.iter().any(|word| word.contains('\0')) => Err("a command holds no NUL".into()),
        _ => Ok(words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, octets) in [
            ("0", Some(0)),
            ("500K", Some(500 << 10)),
            ("50M", Some(50 << 20)),
            ("2g", Some(2 << 30)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("17179869184G", None),
            ("", None),
            ("M", None),
            ("-1", None),
            ("+1", None),
            ("1.5M", None),
            ("50 M", None),
            ("50MB", None),
        ] {
            assert_eq!(size(text).ok(), octets, "{text}");
        }
    }

    #[test]
    fn times() {
        for (text, seconds) in [
            ("250ms", Some(0.25)),
            ("30s", Some(30.0)),
            ("5m", Some(300.0)),
            ("4h", Some(14_400.0)),
            ("5d", Some(432_000.0)),
            ("2w", Some(1_209_600.0)),
            ("30", None),
            ("s", None),
            ("1y", None),
            ("99999999999999999999d", None),
            ("30000000w", None),
        ] {
            assert_eq!(duration(text).ok().map(|d| d.as_secs_f64()), seconds, "{text}");
        }
    }

    #[test]
    fn places() {
        assert_eq!(place("[::]:25"), Ok(Place::Tcp("[::]:25".parse().unwrap())));
        assert_eq!(place("unix:/run/x"), Ok(Place::Unix("/run/x".into())));
        for wrong in ["", "25", ":25", "localhost:25", "unix:", "::1:25", "127.0.0.1:65536"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
        assert!(place(&format!("unix:/{}", "x".repeat(107))).is_err());
    }

    #[test]
    fn commands_are_split_as_a_shell_would_and_nothing_is_expanded() {
        for (text, words) in [
            ("pass mail/work", &["pass", "mail/work"][..]),
            ("  a\tb\n", &["a", "b"]),
            ("sh -c 'pass \"x\" | head -1'", &["sh", "-c", "pass \"x\" | head -1"]),
            (r#"a "b \" $c" d\ e ''"#, &["a", "b \" $c", "d e", ""]),
            ("x'y'\"z\"", &["xyz"]),
            ("echo ~ *.txt $HOME `id`", &["echo", "~", "*.txt", "$HOME", "`id`"]),
        ] {
            assert_eq!(command(text).unwrap(), words, "{text}");
        }
        for wrong in ["", "  ", "'a", "\"a", "a\\", "'' a"] {
            assert!(command(wrong).is_err(), "{wrong}");
        }
    }
}
