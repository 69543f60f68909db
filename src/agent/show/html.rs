//! HTML made text. The library that lays it out takes time that grows with the square of how deep elements nest and how
//! many attributes they have, so it is given a tame copy: the few elements that mean something in text, nested by our
//! own stack, without attributes but for where a link leads. What is no element of these is passed over, its text kept.

/// How deep elements nest in the copy; deeper ones are left out, their text is kept.
const DEPTH_MAX: usize = 64;
/// Text is never laid out for fewer columns.
const NARROW: usize = 20;

const INLINE: [&str; 7] = ["a", "b", "i", "u", "em", "strong", "code"];
const BLOCK: [&str; 20] = [
    "p",
    "div",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "pre",
    "blockquote",
    "ul",
    "ol",
    "li",
    "dl",
    "dt",
    "dd",
    "table",
    "tr",
    "td",
    "th",
];
/// Elements that are a block and no more.
const LIKE_DIV: [&str; 10] =
    ["section", "article", "header", "footer", "main", "center", "address", "form", "fieldset", "caption"];
/// Elements whose content is no text of the page.
const HIDDEN: [&str; 8] = ["script", "style", "title", "textarea", "iframe", "noembed", "noframes", "xmp"];

/// The text of a page in so many columns.
pub(super) fn text(html: &str, width: usize) -> String {
    let lay_out = |elements| html2text::from_read(tame(html, elements).as_bytes(), width.max(NARROW));
    // What is nested too deep for so few columns comes without any layout.
    lay_out(true).or_else(|_| lay_out(false)).unwrap_or_default()
}

/// The copy, with or without any elements.
fn tame(html: &str, elements: bool) -> String {
    let mut copy = Copy { out: String::with_capacity(html.len()), open: Vec::new(), elements };
    let mut rest = html;
    while let Some((before, behind)) = rest.split_once('<') {
        copy.out.push_str(before);
        rest = match behind.as_bytes() {
            [b'!', b'-', b'-', ..] => behind.split_once("-->").map_or("", |(_, tail)| tail),
            [b'!' | b'?', ..] => behind.split_once('>').map_or("", |(_, tail)| tail),
            [b'/', first, ..] if first.is_ascii_alphabetic() => {
                let tag = Tag::read(behind.get(1..).unwrap_or_default());
                copy.close(&tag.name);
                tag.rest
            }
            [first, ..] if first.is_ascii_alphabetic() => {
                let tag = Tag::read(behind);
                if HIDDEN.contains(&tag.name.as_str()) {
                    behind_hidden(tag.rest, &tag.name)
                } else {
                    copy.open(&tag);
                    tag.rest
                }
            }
            _ => {
                copy.out.push_str("&lt;");
                behind
            }
        };
    }
    copy.out.push_str(rest);
    copy.close_down_to(0);
    copy.out
}

/// What follows the end of an element whose content is hidden.
fn behind_hidden<'a>(content: &'a str, name: &str) -> &'a str {
    let mut rest = content;
    while let Some((_, behind)) = rest.split_once("</") {
        if behind.get(..name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name)) {
            return Tag::read(behind).rest;
        }
        rest = behind;
    }
    ""
}

struct Tag<'a> {
    name: String,
    href: Option<&'a str>,
    alt: Option<&'a str>,
    /// What follows the tag; nothing when it does not end.
    rest: &'a str,
}

impl Tag<'_> {
    /// Reads a tag whose name is next.
    fn read(input: &str) -> Tag<'_> {
        let (name, mut rest) =
            upto(input, |letter| letter.is_ascii_whitespace() || matches!(letter, '/' | '>'));
        // No name that is looked for is longer.
        let name = name.get(..16).unwrap_or(name).to_ascii_lowercase();
        let mut tag = Tag { name, href: None, alt: None, rest: "" };
        loop {
            rest = rest.trim_start_matches(|letter: char| letter.is_ascii_whitespace() || letter == '/');
            if rest.is_empty() {
                return tag;
            }
            if let Some(tail) = rest.strip_prefix('>') {
                tag.rest = tail;
                return tag;
            }
            // A name may begin with `=`.
            let skip = rest.chars().next().map_or(0, char::len_utf8);
            let ends = |letter: char| letter.is_ascii_whitespace() || matches!(letter, '/' | '>' | '=');
            let (more, tail) = upto(rest.get(skip..).unwrap_or_default(), ends);
            let attribute = rest.get(..skip.saturating_add(more.len())).unwrap_or_default();
            let mut value = "";
            rest = tail.trim_ascii_start();
            if let Some(tail) = rest.strip_prefix('=') {
                let tail = tail.trim_ascii_start();
                (value, rest) = match tail.as_bytes().first() {
                    Some(quote @ (b'"' | b'\'')) => {
                        tail.get(1..).unwrap_or_default().split_once(char::from(*quote)).unwrap_or_default()
                    }
                    _ => upto(tail, |letter| letter.is_ascii_whitespace() || letter == '>'),
                };
            }
            match attribute {
                _ if attribute.eq_ignore_ascii_case("href") => tag.href = tag.href.or(Some(value)),
                _ if attribute.eq_ignore_ascii_case("alt") => tag.alt = tag.alt.or(Some(value)),
                _ => {}
            }
        }
    }
}

fn upto(input: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    input.split_at_checked(input.find(ends).unwrap_or(input.len())).unwrap_or((input, ""))
}

struct Copy {
    out: String,
    open: Vec<&'static str>,
    elements: bool,
}

impl Copy {
    fn open(&mut self, tag: &Tag) {
        let name = tag.name.as_str();
        if name == "img" {
            self.quoted(tag.alt.unwrap_or_default());
        }
        if !self.elements {
            self.out.push_str(if INLINE.contains(&name) { "" } else { " " });
            return;
        }
        if matches!(name, "br" | "hr") {
            self.out.push_str(if name == "br" { "<br>" } else { "<hr>" });
        }
        let Some(name) = known(name) else { return };
        // Ends that need not be written.
        match name {
            "li" => self.close_nearest(&["li"], &["ul", "ol"]),
            "dt" | "dd" => self.close_nearest(&["dt", "dd"], &["dl"]),
            "td" | "th" => self.close_nearest(&["td", "th"], &["tr", "table"]),
            "tr" => self.close_nearest(&["tr"], &["table"]),
            "a" => self.close_nearest(&["a"], &["table"]),
            _ if !INLINE.contains(&name) => self.close_nearest(&["p"], &BLOCK),
            _ => {}
        }
        if self.open.len() >= DEPTH_MAX {
            return;
        }
        self.open.push(name);
        match tag.href.filter(|_| name == "a") {
            Some(href) => {
                self.out.push_str("<a href=\"");
                self.quoted(href);
                self.out.push_str("\">");
            }
            None => self.out.extend(["<", name, ">"]),
        }
    }

    fn close(&mut self, name: &str) {
        if let Some(at) = known(name).and_then(|name| self.open.iter().rposition(|open| *open == name)) {
            self.close_down_to(at);
        }
    }

    /// Closes the innermost of `ends`, unless one of `walls` stands further in.
    fn close_nearest(&mut self, ends: &[&str], walls: &[&str]) {
        let nearest = self.open.iter().rposition(|open| ends.contains(open) || walls.contains(open));
        if let Some(at) = nearest.filter(|&at| self.open.get(at).is_some_and(|open| ends.contains(open))) {
            self.close_down_to(at);
        }
    }

    fn close_down_to(&mut self, depth: usize) {
        while self.open.len() > depth {
            let Some(name) = self.open.pop() else { return };
            self.out.extend(["</", name, ">"]);
        }
    }

    fn quoted(&mut self, value: &str) {
        for letter in value.chars() {
            match letter {
                '"' => self.out.push_str("&quot;"),
                '<' => self.out.push_str("&lt;"),
                letter => self.out.push(letter),
            }
        }
    }
}

/// The element that stands for `name` in the copy.
fn known(name: &str) -> Option<&'static str> {
    let same = INLINE.iter().chain(&BLOCK).find(|known| **known == name).copied();
    same.or_else(|| LIKE_DIV.contains(&name).then_some("div"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_page_keeps_what_means_something() {
        for (html, copy) in [
            ("plain &amp; < text", "plain &amp; &lt; text"),
            ("<P class=x>a<p>b", "<p>a</p><p>b</p>"),
            ("<span>a</span><b>c", "a<b>c</b>"),
            ("<a title='>' HREF = \"x\" href=y>z</a>", "<a href=\"x\">z</a>"),
            ("<a href='a\"<b'>z", "<a href=\"a&quot;&lt;b\">z</a>"),
            ("<script>a</scrip></SCRIPT x>b<style>c", "b"),
            ("a<!-- <b> -->b<!doctype html>c<!--", "abc"),
            ("<ul><li>a<li>b<ul><li>c</ul></ul>", "<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul>"),
            (
                "<table><tr><td>a<td>b<tr><td>c",
                "<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>",
            ),
            ("<b><p>a</b>c</p>", "<b><p>a</p></b>c"),
            ("<section>a</section></b></x>", "<div>a</div>"),
            ("<img alt='it is'>x<br/>y", "it isx<br>y"),
            ("<div", "<div></div>"),
            ("<div a='", "<div></div>"),
            ("<a =>x", "<a>x</a>"),
        ] {
            assert_eq!(tame(html, true), copy, "{html}");
        }
        assert_eq!(tame("<p>a<p>b<b>c</b>", false), " a bc");
    }

    #[test]
    fn a_page_is_laid_out() {
        let text = text("<h1>T</h1><p>a <a href='http://x.example/'>l</a></p><ul><li>i</ul>", 40);
        for wanted in ["T", "a [l]", "http://x.example/", "* i"] {
            assert!(text.contains(wanted), "{text}");
        }
    }

    #[test]
    fn no_page_makes_the_copy_deep_or_large() {
        for unit in [
            "<div>",
            "<div></x>",
            "<div><select></div></select>",
            "<div><!--</div>-->",
            "<b a>",
            "<table><td>",
            "<ul><li>",
            "<svg><td>",
            "<p><b>",
            "<a x=",
            "<",
            "<!--",
            "</div>",
            "<script>",
            "<a b c d e f ",
            "&",
            "<blockquote>",
        ] {
            let html = unit.repeat(60_000 / unit.len());
            let copy = tame(&html, true);
            assert!(copy.len() <= 6 * html.len(), "{unit}");
            let _ = text(&html, 80);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn the_copy_is_well_formed(
            html in "(</?(a|b|p|div|ul|li|table|tr|td|x|script)[ >]|<!--|-->|a|\"|'|=|/|>|<|\u{e4}){0,40}",
        ) {
            let copy = tame(&html, true);
            let mut open = Vec::new();
            for piece in copy.split('<').skip(1) {
                let (tag, _) = piece.split_once('>').unwrap();
                match tag.strip_prefix('/') {
                    Some(name) => prop_assert_eq!(open.pop(), Some(name.to_owned())),
                    None if tag == "br" || tag == "hr" => {}
                    None => open.push(tag.split(' ').next().unwrap().to_owned()),
                }
                prop_assert!(open.len() <= DEPTH_MAX);
            }
            prop_assert!(open.is_empty());
            let _ = text(&html, 30);
        }
    }
}
