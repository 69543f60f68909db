//! What is shown of named messages.

use super::*;
use std::fs;

/// A directory with one message in it, gone when dropped.
struct Mail(PathBuf);

impl Mail {
    fn new(name: &str, message: &str) -> Mail {
        let root = std::env::temp_dir().join(format!("posthaste-show-{name}-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        fs::write(root.join("m"), message).unwrap();
        Mail(root)
    }

    fn show(&self, order: &Order) -> Result<String, String> {
        let mut out = Vec::new();
        run(&self.0.join("m"), order, &mut out).map_err(|fault| fault.to_string())?;
        Ok(String::from_utf8(out).unwrap())
    }

    fn text(&self) -> String {
        self.show(&Order::Text(72)).unwrap()
    }
}

impl Drop for Mail {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const MIXED: &str = "From: =?utf-8?q?J=C3=B6rg?= <j@example.org>\nSubject: a\n b=?utf-8?q?=1B[2J?=\nX-Other: 1\n\
    MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=a\n\n\
    --a\nContent-Type: multipart/alternative; boundary=b\n\n\
    --b\nContent-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\ngr=FC=DFe \u{1b}[31m\n\
    --b\nContent-Type: text/html\n\n<p>html</p>\n--b--\n\
    --a\nContent-Type: application/pdf; name=\"../r.pdf\"\nContent-Disposition: attachment\n\
    Content-Transfer-Encoding: base64\n\nJVBERg==\n\
    --a\nContent-Type: message/rfc822\n\nFrom: b@example.org\nSubject: inner\n\nin\n--a--\n";

#[test]
fn a_message_is_shown_as_text() {
    let shown = Mail::new("text", MIXED).text();
    let want = "From: J\u{f6}rg <j@example.org>\nSubject: a b\u{fffd}[2J\n\
        \ngr\u{fc}\u{df}e \u{fffd}[31m\n\
        \n[2 application/pdf \"../r.pdf\", 6 octets]\n\
        \n[3 message/rfc822, 41 octets]\n\nFrom: b@example.org\nSubject: inner\n\nin\n";
    assert_eq!(shown, want);
}

#[test]
fn html_alone_is_made_text() {
    let mail = Mail::new(
        "html",
        "Content-Type: text/html; charset=utf-8\n\n<h1>Gr\u{fc}\u{df}e</h1><script>x()</script><p>a&#27;[2Jb",
    );
    let shown = mail.text();
    assert!(
        shown.contains("Gr\u{fc}\u{df}e") && !shown.contains("x()") && !shown.contains('\u{1b}'),
        "{shown:?}"
    );
}

#[test]
fn deep_html_is_no_deep_stack() {
    let mail = Mail::new("deep", &format!("Content-Type: text/html\n\n{}x", "<div>".repeat(100_000)));
    assert!(mail.text().contains('x'));
}

#[test]
fn fields_are_decoded_one_a_line() {
    let mail = Mail::new("fields", MIXED);
    let order = Order::Fields(vec!["subject".into(), "from".into(), "none".into()]);
    assert_eq!(mail.show(&order).unwrap(), "a b\u{fffd}[2J\nJ\u{f6}rg <j@example.org>\n");
}

#[test]
fn a_part_is_its_decoded_octets() {
    let mail = Mail::new("part", MIXED);
    let part = |number: &str, harmless| mail.show(&Order::Part { number: number.into(), harmless });
    assert_eq!(part("2", false).unwrap(), "%PDF");
    assert_eq!(part("3", false).unwrap(), "From: b@example.org\nSubject: inner\n\nin");
    assert_eq!(part("3.1", false).unwrap(), "in");
    assert_eq!(part("1.1", true).unwrap(), "gr\u{fc}\u{df}e \u{fffd}[31m");
    assert_eq!(
        part("2", true).unwrap_err(),
        "the part is application/pdf, not text: redirect the output, or use --save"
    );
    assert_eq!(part("4", false).unwrap_err(), "no part 4; its parts are 1, 1.1, 1.2, 2, 3, 3.1");
}

#[test]
fn attachments_become_new_files_in_the_directory() {
    let mail = Mail::new("save", MIXED);
    let into = mail.0.join("in");
    fs::create_dir(&into).unwrap();
    let order = Order::Save { into: into.clone(), number: None };
    assert_eq!(mail.show(&order).unwrap(), format!("{}\n", into.join("r.pdf").display()));
    assert_eq!(mail.show(&order).unwrap(), format!("{}\n", into.join("r-1.pdf").display()));
    assert_eq!(fs::read(into.join("r-1.pdf")).unwrap(), b"%PDF");
    let order = Order::Save { into: into.clone(), number: Some("3".into()) };
    assert_eq!(mail.show(&order).unwrap(), format!("{}\n", into.join("part-3.eml").display()));
    // A link in the place of the name is not followed.
    std::os::unix::fs::symlink(into.join("elsewhere"), into.join("part-2")).unwrap();
    assert_eq!(fs::read_dir(&mail.0).unwrap().count(), 2);
    let order = Order::Save { into: mail.0.join("none"), number: None };
    assert!(mail.show(&order).unwrap_err().ends_with("No such file or directory (os error 2)"));
}

#[test]
fn json_is_the_outline() {
    let mail = Mail::new("json", MIXED);
    let value: serde_json::Value = serde_json::from_str(&mail.show(&Order::Json).unwrap()).unwrap();
    assert_eq!(value["size"], MIXED.len());
    let parts = value["parts"].as_array().unwrap();
    let types: Vec<_> = parts.iter().map(|part| part["type"].as_str().unwrap()).collect();
    assert_eq!(types[..4], ["multipart/mixed", "multipart/alternative", "text/plain", "text/html"]);
    assert_eq!(parts[4]["filename"], "../r.pdf");
    assert_eq!(parts[4]["encoding"], "base64");
    let body = parts[4]["body"].as_array().unwrap();
    let range = body[0].as_u64().unwrap() as usize..body[1].as_u64().unwrap() as usize;
    assert_eq!(&MIXED[range], "JVBERg==");
    assert_eq!(parts[6]["parent"], 5);
}

#[test]
fn nothing_is_shown_of_what_is_not_there() {
    let mail = Mail::new("empty", "");
    assert_eq!(mail.text(), "\n");
    fs::remove_file(mail.0.join("m")).unwrap();
    assert!(mail.show(&Order::Text(72)).is_err());
}
