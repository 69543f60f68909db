//! What a client says: a keyword, a space, what it is about.

use super::reply::Reply;

/// ```abnf
/// command = keyword *(SP param) CRLF
/// keyword = 3*4VCHAR
/// ```
/// RFC 2449 section 4. Gives the keyword and what stands behind its space, untouched, since a password may begin with
/// one. Names and passwords may be UTF-8 (RFC 6856 section 2.2 names it, and everybody types it); a control character is nowhere
/// allowed.
pub fn split(line: &[u8]) -> Result<(&str, &str), Reply> {
    let text = std::str::from_utf8(line).map_err(|_| Reply::err("That is not UTF-8"))?;
    if text.chars().any(char::is_control) {
        return Err(Reply::err("No control characters, please"));
    }
    Ok(text.split_once(' ').unwrap_or((text, "")))
}

/// Nothing stands there. Spaces at the end, which some clients leave, are nothing.
pub fn nothing(arguments: &str) -> Result<(), Reply> {
    match arguments.trim_end_matches(' ') {
        "" => Ok(()),
        _ => Err(Reply::err("Nothing may follow this command")),
    }
}

/// One message number, from 1.
pub fn number(arguments: &str) -> Result<u32, Reply> {
    digits(arguments.trim_end_matches(' ')).and_then(|number| match number {
        0 => Err(Reply::err("Messages are numbered from 1")),
        number => Ok(number),
    })
}

/// A message number, or nothing.
pub fn maybe_number(arguments: &str) -> Result<Option<u32>, Reply> {
    match nothing(arguments) {
        Ok(()) => Ok(None),
        Err(_) => number(arguments).map(Some),
    }
}

/// A message number and how many lines (RFC 1939 section 7, TOP).
pub fn number_and_lines(arguments: &str) -> Result<(u32, u32), Reply> {
    let (message, lines) = arguments.trim_end_matches(' ').split_once(' ').ok_or(TWO)?;
    Ok((number(message)?, digits(lines)?))
}

const TWO: Reply = Reply::err("Say a message number and a number of lines");

/// Digits only; what does not fit is larger than anything here.
fn digits(text: &str) -> Result<u32, Reply> {
    if text.is_empty() || text.len() > 20 || !text.bytes().all(|octet| octet.is_ascii_digit()) {
        return Err(Reply::err("That is no number"));
    }
    Ok(text.parse().unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_keyword_and_the_rest() {
        type Split<'a> = Option<(&'a str, &'a str)>;
        let cases: [(&[u8], Split<'_>); 8] = [
            (b"STAT", Some(("STAT", ""))),
            (b"retr 1", Some(("retr", "1"))),
            (b"PASS  two words ", Some(("PASS", " two words "))),
            ("USER j\u{fc}rgen".as_bytes(), Some(("USER", "j\u{fc}rgen"))),
            (b"", Some(("", ""))),
            (b"LIST\t1", None),
            (b"NOOP\r", None),
            (b"USER \xff", None),
        ];
        for (line, wanted) in cases {
            assert_eq!(split(line).ok(), wanted, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn numbers_are_digits() {
        for (text, wanted) in [
            ("1", Some(1)),
            ("1 ", Some(1)),
            ("007", Some(7)),
            ("4294967296", Some(u32::MAX)),
            ("0", None),
            ("", None),
            ("-1", None),
            ("+1", None),
            (" 1", None),
            ("1 2", None),
            ("1x", None),
            ("999999999999999999999", None),
        ] {
            assert_eq!(number(text).ok(), wanted, "{text:?}");
        }
        assert_eq!(maybe_number(" ").ok(), Some(None));
        assert_eq!(maybe_number("3").ok(), Some(Some(3)));
        assert!(maybe_number("x").is_err() && nothing("1").is_err() && nothing("").is_ok());
        for (text, wanted) in [
            ("1 0", Some((1, 0))),
            ("2 10 ", Some((2, 10))),
            ("1", None),
            ("1  2", None),
            ("1 2 3", None),
            ("0 1", None),
        ] {
            assert_eq!(number_and_lines(text).ok(), wanted, "{text:?}");
        }
    }
}
