//! Text out of messages, made harmless for a terminal: no control characters (an escape sequence could rewrite the
//! screen or type for the user), nothing that turns the direction of writing for what follows, no line ends where a
//! line is meant.

use std::borrow::Cow;
use unicode_width::UnicodeWidthChar as _;

/// What stands for a character that is not shown.
const GONE: char = '\u{fffd}';

/// True for characters that can do something other than show themselves: controls, overrides of the writing
/// direction (Unicode's TR 36), line separators, and tags.
fn is_active(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}' | '\u{e0000}'..='\u{e007f}')
}

/// One line for people: white space of any kind is a space, other active characters are U+FFFD.
pub fn line(text: &str) -> Cow<'_, str> {
    if !text.contains(is_active) {
        return Cow::Borrowed(text);
    }
    let plain = |letter| match letter {
        '\t' | '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => ' ',
        letter if is_active(letter) => GONE,
        letter => letter,
    };
    Cow::Owned(text.chars().map(plain).collect())
}

/// Appends as much of a text as fits into so many columns of a terminal, as one harmless line; filled up with spaces if it is
/// to be.
pub fn fit(text: &str, room: usize, fill: bool, out: &mut String) {
    let mut used = 0_usize;
    for letter in line(text).trim().chars() {
        let next = used.saturating_add(letter.width().unwrap_or(0));
        if next > room {
            break;
        }
        used = next;
        out.push(letter);
    }
    if fill {
        out.extend(std::iter::repeat_n(' ', room.saturating_sub(used)));
    }
}

/// Text of many lines for people: LF and tabs stay, CR LF and lone CR become LF, other active characters U+FFFD.
pub fn text(text: &str) -> Cow<'_, str> {
    if !text.contains(|letter| is_active(letter) && !matches!(letter, '\n' | '\t')) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\r' if letters.peek() == Some(&'\n') => {}
            '\r' | '\u{2028}' | '\u{2029}' => out.push('\n'),
            '\n' | '\t' => out.push(letter),
            letter if is_active(letter) => out.push(GONE),
            letter => out.push(letter),
        }
    }
    Cow::Owned(out)
}

/// JSON text, in which active characters can only stand within strings, with these escaped: it means the same, and a
/// terminal that it is printed on stays as it is.
pub fn json(text: &str) -> Cow<'_, str> {
    if !text.contains(is_active) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_active(letter) {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(letter);
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_active_gets_through() {
        let evil = "a\u{1b}[2Jb\u{9b}2Jc\u{7}\u{202e}d\u{2066}e\u{7f}f\0g\u{e0041}h";
        let shown = "a\u{fffd}[2Jb\u{fffd}2Jc\u{fffd}\u{fffd}d\u{fffd}e\u{fffd}f\u{fffd}g\u{fffd}h";
        assert_eq!(line(evil), shown);
        assert_eq!(text(evil), shown);
        assert_eq!(line("a\r\n\tb\u{2028}c"), "a   b c");
        assert_eq!(text("a\r\n\tb\rc\r\r\nd"), "a\n\tb\nc\n\nd");
        for plain in ["", "plain", "gr\u{fc}\u{df}e \u{65e5}\u{672c} \u{5e9}\u{5dc}\u{5d5}\u{5dd}"] {
            assert!(matches!(line(plain), Cow::Borrowed(same) if same == plain));
            assert!(matches!(text(plain), Cow::Borrowed(same) if same == plain));
        }
    }

    #[test]
    fn json_still_means_the_same() {
        let evil = "a\u{9b}\u{202e}\u{7f}\u{e0041}\n\"";
        let coded = serde_json::to_string(evil).unwrap();
        let harmless = json(&coded);
        assert!(harmless.is_ascii());
        assert_eq!(serde_json::from_str::<String>(&harmless).unwrap(), evil);
    }
}
