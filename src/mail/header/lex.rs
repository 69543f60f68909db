//! What structured fields are made of: quoted strings, comments and white space (RFC 5322 section 3.2).
//! Comments nest by counting, so that no depth of them needs a stack.

/// The content of a quoted string whose opening quote was just read, and what follows it. One that never ends goes
/// on to the end of the field.
pub(crate) fn quoted(input: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut out = Vec::new();
    let mut octets = input.iter().enumerate();
    while let Some((at, &octet)) = octets.next() {
        match octet {
            b'"' => return (out, input.get(at.saturating_add(1)..).unwrap_or_default()),
            b'\\' => out.extend(octets.next().map(|(_, &next)| next)),
            b'\r' | b'\n' => {}
            other => out.push(other),
        }
    }
    (out, &[])
}

#[cfg(test)]
thread_local! {
    /// The octets that were looked at as comments.
    pub(crate) static LOOKED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// The content of a comment whose opening parenthesis was just read, and what follows it.
pub(crate) fn comment(input: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut out = Vec::new();
    let mut depth = 1_usize;
    let mut octets = input.iter().enumerate();
    while let Some((at, &octet)) = octets.next() {
        #[cfg(test)]
        LOOKED.set(LOOKED.get() + 1);
        match octet {
            b'(' => depth = depth.saturating_add(1),
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        match octet {
            _ if depth == 0 => return (out, input.get(at.saturating_add(1)..).unwrap_or_default()),
            b'\\' => out.extend(octets.next().map(|(_, &next)| next)),
            b'\r' | b'\n' => {}
            other => out.push(other),
        }
    }
    (out, &[])
}

/// What follows white space and comments.
pub(crate) fn skip_space(mut input: &[u8]) -> &[u8] {
    loop {
        input = input.trim_ascii_start();
        match input.strip_prefix(b"(") {
            Some(inner) => input = comment(inner).1,
            None => return input,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_comments_end_where_they_should() {
        assert_eq!(quoted(br#"a\"b\\" rest"#), (br#"a"b\"#.to_vec(), b" rest".as_slice()));
        assert_eq!(quoted(b"never"), (b"never".to_vec(), b"".as_slice()));
        assert_eq!(comment(br"a (b \) c) d) rest"), (b"a (b ) c) d".to_vec(), b" rest".as_slice()));
        assert_eq!(comment(b"(("), (b"((".to_vec(), b"".as_slice()));
        assert_eq!(skip_space(b" (a) \t(b(c)) d"), b"d");
        let deep = "(".repeat(1_000_000);
        assert_eq!(skip_space(deep.as_bytes()), b"");
    }
}
