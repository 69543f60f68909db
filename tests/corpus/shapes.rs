//! Messages by shape, made here: ten or more different ones of each. Lines end with LF.

use encoding_rs::Encoding;

/// A message and what to call it when it fails.
pub struct Message {
    /// Shape and number.
    pub name: String,
    /// The whole message.
    pub octets: Vec<u8>,
}

/// All ordinary shapes: every one is legal in SMTP.
pub fn ordinary() -> Vec<Message> {
    let mut all = Vec::new();
    for (shape, make) in [
        ("list", list as fn(usize) -> Vec<u8>),
        ("html", html),
        ("pgp", pgp),
        ("eight-bit-header", eight_bit_header),
        ("digest", digest),
        ("report", report),
        ("dots", dots),
        ("folding", folding),
        ("long-lines", long_lines),
        ("nested", nested),
    ] {
        all.extend((0..12).map(|n| Message { name: format!("{shape}-{n}"), octets: make(n) }));
    }
    all.extend(charsets());
    all
}

fn head(n: usize, subject: &str) -> String {
    format!(
        "From: Sender {n} <sender{n}@example.net>\nTo: alice@example.org\nSubject: {subject}\n\
         Date: Tue, {:02} Nov 2026 09:{n:02}:00 +0100\nMessage-ID: <{n}.{}@example.net>\n",
        n % 27 + 1,
        subject.len()
    )
}

fn list(n: usize) -> Vec<u8> {
    let mut text = format!(
        "Received: from list{n}.example ([192.0.2.{n}])\n\tby relay.example; Tue, 3 Nov 2026 08:00:00 +0000\n"
    );
    text += &head(n, &format!("[devel-{n}] Re: Re: threads, and how to \"quote\" them"));
    text += &format!(
        "Sender: devel-{n}-bounces@lists.example\nList-Id: The list number {n} <devel-{n}.lists.example>\n"
    );
    for (field, path) in [("Unsubscribe", "leave"), ("Archive", "all"), ("Post", "post"), ("Help", "help")]
        .iter()
        .take(n % 4 + 1)
    {
        text += &format!(
            "List-{field}: <https://lists.example/{path}/{n}>,\n  <mailto:devel-{n}-{path}@lists.example>\n"
        );
    }
    text += "Precedence: list\nReferences: ";
    for parent in 0..=n {
        text += &format!("<{parent}.p@example.net>\n\t");
    }
    text += "<last@example.net>\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8; format=flowed\nContent-Transfer-Encoding: 8bit\n\n";
    for level in 0..=n {
        text += &format!("{} quoted at level {level} – with a dash \n", ">".repeat(level));
    }
    text += &format!("-- \n_______________________________________________\nlist {n}\n");
    text.into_bytes()
}

fn html(n: usize) -> Vec<u8> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let mut text = head(n, "=?UTF-8?Q?Gr=C3=BC=C3=9Fe_mit_Anhang?=");
    text += &format!(
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"==mixed {n}==\"\n\nThis is MIME.\n"
    );
    text += &format!(
        "--==mixed {n}==\nContent-Type: multipart/alternative;\n boundary=alt{n}\n\n--alt{n}\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\nHallo =E2=82=AC {n}=20\nweiter=\n\n--alt{n}\nContent-Type: text/html; charset=\"utf-8\"\n\n<p>Hallo <b>{n}</b>&euro;</p>\n--alt{n}--\n\n"
    );
    for part in 0..=n % 5 {
        let octets: Vec<u8> = (0..500 * (n + 1)).map(|at| (at * 31 + part) as u8).collect();
        text += &format!(
            "--==mixed {n}==\nContent-Type: application/octet-stream\nContent-Disposition: attachment;\n filename*0*=UTF-8''d%C3%A4ta;\n filename*1=\"-{part}.bin\"\nContent-Transfer-Encoding: base64\n\n"
        );
        for line in STANDARD.encode(octets).as_bytes().chunks(76) {
            text.push_str(std::str::from_utf8(line).unwrap());
            text.push('\n');
        }
    }
    text += &format!("--==mixed {n}==--\nepilogue\n");
    text.into_bytes()
}

fn pgp(n: usize) -> Vec<u8> {
    let mut text = head(n, "signed or sealed");
    let (kind, protocol) = if n.is_multiple_of(2) {
        ("signed; micalg=pgp-sha512", "application/pgp-signature")
    } else {
        ("encrypted", "application/pgp-encrypted")
    };
    text += &format!(
        "MIME-Version: 1.0\nContent-Type: multipart/{kind};\n\tprotocol=\"{protocol}\"; boundary=\"pgp{n}\"\n\n--pgp{n}\n"
    );
    text += if n.is_multiple_of(2) {
        "Content-Type: text/plain; charset=us-ascii\nContent-Transfer-Encoding: quoted-printable\n\ntrailing space=20\n- -- dash\n"
    } else {
        "Content-Type: application/pgp-encrypted\n\nVersion: 1\n"
    };
    text += &format!(
        "\n--pgp{n}\nContent-Type: {protocol}; name=\"signature.asc\"\n\n-----BEGIN PGP MESSAGE-----\n\n"
    );
    for line in 0..=n {
        text += &format!("iQIzBAEBCgAdFiEE{line:048}=\n");
    }
    text += &format!("=AbCd\n-----END PGP MESSAGE-----\n\n--pgp{n}--\n");
    text.into_bytes()
}

fn eight_bit_header(n: usize) -> Vec<u8> {
    let raw: [&[u8]; 6] = [
        b"Gr\xfc\xdfe", // latin1
        "Grüße aus Köln".as_bytes(),
        b"\xd0\xd2\xc9\xd7\xc5\xd4", // koi8-r
        b"\xa4\xb3\xa4\xf3",         // euc-jp
        b"\xff\xfe\x80",
        "𝓜𝓪𝓲𝓵 \u{202e}".as_bytes(),
    ];
    let mut octets = format!("From: \"raw {n}\" <raw{n}@example.net>\nSubject: ").into_bytes();
    octets.extend_from_slice(raw[n % raw.len()]);
    octets.extend_from_slice(b"\nX-Raw: ");
    octets.extend_from_slice(&raw[(n + 1) % raw.len()].repeat(n + 1));
    octets.extend_from_slice(b"\n\nbody ");
    octets.extend_from_slice(raw[(n + 2) % raw.len()]);
    octets.push(b'\n');
    octets
}

fn digest(n: usize) -> Vec<u8> {
    let mut text = head(n, &format!("Digest, issue {n}"));
    text += &format!("MIME-Version: 1.0\nContent-Type: multipart/digest; boundary=\"--d{n}\"\n\n");
    for issue in 0..=n {
        text +=
            &format!("----d{n}\n\n{}\nmessage {issue}\nof {n}\n\n", head(issue, &format!("inner {issue}")));
    }
    text += &format!("----d{n}--\n");
    text.into_bytes()
}

fn report(n: usize) -> Vec<u8> {
    let mut text = head(n, "Delivery report");
    text += &format!(
        "Auto-Submitted: auto-replied\nMIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status; boundary=r{n}\n\n--r{n}\n\nIt did not go.\n--r{n}\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx{n}.example\n"
    );
    for failed in 0..=n {
        text += &format!(
            "\nFinal-Recipient: rfc822; user{failed}@example.com\nAction: failed\nStatus: 5.1.{}\n",
            failed % 8 + 1
        );
    }
    text += &format!(
        "\n--r{n}\nContent-Type: message/rfc822\n\n{}\nthe original\n--r{n}--\n",
        head(n, "original")
    );
    text.into_bytes()
}

fn dots(n: usize) -> Vec<u8> {
    let mut text = head(n, "dots");
    text.push('\n');
    for count in 0..=n {
        text += &format!("{}\n{} text\n\n.\n..\n", ".".repeat(count), ".".repeat(count + 1));
    }
    text += if n.is_multiple_of(2) { ".\n" } else { "\n\n\n" };
    text.into_bytes()
}

fn folding(n: usize) -> Vec<u8> {
    let mut text = head(n, "folding");
    text += "X-Empty:\nX-Space: \nx-lower:value\nX-Tab:\tvalue\n";
    for depth in 0..=n {
        text += &format!("X-Folded-{depth}: one");
        for line in 0..=depth {
            text += &format!("\n{}word{line}", if line.is_multiple_of(2) { " " } else { "\t \t" });
        }
        text.push('\n');
    }
    text += &format!(
        "To: group {n}: a@example.net, \"b, c\" <d@example.net> (comment (nested) \\)), e@example.net;\n\nbody \t \n \n"
    );
    text.into_bytes()
}

fn long_lines(n: usize) -> Vec<u8> {
    let mut text = head(n, "long lines");
    text += &format!("X-Long: {}\n\n", "x".repeat(900 + 300 * n));
    for length in [997, 998, 999, 1000, 2048, 65_536] {
        text += &"0123456789abcdef".repeat((length + n * 7) / 16 + 1)[..length + n * 7];
        text.push('\n');
    }
    text.into_bytes()
}

fn nested(n: usize) -> Vec<u8> {
    let mut text = head(n, "nested");
    text += "MIME-Version: 1.0\n";
    for depth in 0..=n * 3 {
        text += &format!("Content-Type: multipart/mixed; boundary=\"level-{depth}\"\n\n--level-{depth}\n");
    }
    text += "Content-Type: text/plain\n\ninnermost\n";
    for depth in (0..=n * 3).rev() {
        text += &format!("\n--level-{depth}--\n");
    }
    text.into_bytes()
}

/// One text in each of these charsets, its name in encoded words and raw, by each transfer encoding.
fn charsets() -> Vec<Message> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let texts = [
        ("iso-2022-jp", "日本語のメール、こんにちは"),
        ("shift_jis", "日本語のメール"),
        ("euc-jp", "日本語のメール"),
        ("gb18030", "中文邮件，你好𠀀"),
        ("gbk", "中文邮件"),
        ("big5", "中文郵件"),
        ("euc-kr", "한국어 메일"),
        ("koi8-r", "Привет, почта"),
        ("koi8-u", "Привіт, пошта"),
        ("windows-1251", "Привет, почта"),
        ("iso-8859-5", "Привет"),
        ("iso-8859-1", "Grüße à tous"),
        ("iso-8859-2", "Zażółć gęślą jaźń"),
        ("iso-8859-7", "Γειά σου"),
        ("iso-8859-15", "15 € für Œuvres"),
        ("windows-1252", "“quotes” – €"),
        ("windows-1255", "שלום"),
        ("windows-1256", "مرحبا"),
        ("windows-874", "สวัสดี"),
        ("utf-8", "всё сразу 日本語 مرحبا €"),
        ("macintosh", "Grüße"),
        ("iso-8859-13", "Ąžuolas"),
    ];
    let mut all = Vec::new();
    for (charset, text) in texts {
        let raw = Encoding::for_label(charset.as_bytes()).unwrap().encode(text).0.into_owned();
        for way in ["8bit", "base64", "quoted-printable"] {
            let word = format!("=?{charset}?B?{}?=", STANDARD.encode(&raw));
            let mut octets = format!(
                "From: {word} <c@example.net>\nSubject: {word}\n {word}\nMIME-Version: 1.0\n\
                 Content-Type: text/plain; charset={charset}\nContent-Transfer-Encoding: {way}\n\n"
            )
            .into_bytes();
            match way {
                "8bit" => octets.extend_from_slice(&raw),
                "base64" => octets.extend_from_slice(STANDARD.encode(&raw).as_bytes()),
                _ => octets.extend(raw.iter().flat_map(|octet| format!("={octet:02X}").into_bytes())),
            }
            octets.push(b'\n');
            all.push(Message { name: format!("{charset}-{way}"), octets });
        }
    }
    all
}
