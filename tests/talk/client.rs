//! The client's side of SMTP, submission and LMTP.
//!
//! Settings: `dialect`, `tls`, `login NAME SECRET`, `message FROM TO...` (`<>` is the null sender; the last one is announced
//! as the last), `text` and `size` and `body 8` and `utf8`, `ret`, `envid` and `wish NOTIFY ORCPT` (one a recipient) of every message, and `then`, one for each thing that the agent is told: `outcome CODE... [lost STAGE] [elsewhere]`,
//! `failed STAGE CODE`, or `nothing` at all.

use crate::kit::{
    house::House,
    talk::{Conn, Scripted, Side, Talk, folder},
};
use posthaste::{
    mail::{
        address::Mailbox,
        envelope::{Body, Notify, Ret, Wish},
    },
    wire::{
        sasl::Credentials,
        smtp::{
            Dialect,
            client::{Answer, Ask, Client, Message, Order, Patience, Tls},
        },
    },
};
use std::{
    cell::RefCell,
    fs::File,
    net::TcpListener,
    process::{Child, Stdio},
    rc::Rc,
};

fn order(talk: &Talk) -> Order {
    Order {
        dialect: match talk.setting("dialect") {
            None | Some("smtp") => Dialect::Smtp,
            Some("submission") => Dialect::Submission,
            Some("lmtp") => Dialect::Lmtp,
            Some(other) => panic!("{}: no dialect {other:?}", talk.name),
        },
        name: "me.example".to_owned(),
        server: "mx".to_owned(),
        tls: match talk.setting("tls") {
            None | Some("as-it-is") => Tls::AsItIs,
            Some("if-offered") => Tls::IfOffered,
            Some("demanded") => Tls::Demanded,
            Some(other) => panic!("{}: no TLS {other:?}", talk.name),
        },
        login: talk.setting("login").map(|words| {
            let (login, secret) = words.split_once(' ').unwrap();
            Credentials { login: login.to_owned(), secret: secret.as_bytes().to_vec().into() }
        }),
        patience: Patience::default(),
    }
}

fn messages(talk: &Talk) -> Vec<Message> {
    let mailbox = |word: &str| Mailbox::parse_utf8(word.as_bytes()).unwrap();
    let lines: Vec<&str> = talk.settings().filter(|it| it.0 == "message").map(|it| it.1).collect();
    lines
        .iter()
        .enumerate()
        .map(|(at, line)| {
            let mut words = line.split(' ');
            Message {
                sender: Some(words.next().unwrap()).filter(|word| *word != "<>").map(mailbox),
                recipients: words.map(mailbox).collect(),
                size: talk.setting("size").map(|digits| digits.parse().unwrap()),
                body: if talk.setting("body") == Some("8") { Body::EightBitMime } else { Body::SevenBit },
                utf8: talk.setting("utf8").is_some(),
                ret: talk.setting("ret").and_then(Ret::parse),
                envid: talk.setting("envid").map(str::to_owned),
                wishes: talk.settings().filter(|it| it.0 == "wish").map(|it| wish(it.1)).collect(),
                last: at + 1 == lines.len(),
            }
        })
        .collect()
}

/// `NOTIFY` and the decoded ORCPT, `-` for none.
fn wish(words: &str) -> Wish {
    let (notify, orcpt) = words.split_once(' ').unwrap();
    Wish { notify: Notify::parse(notify), orcpt: Some(orcpt.to_owned()).filter(|word| word != "-") }
}

fn text(talk: &Talk) -> Vec<u8> {
    let written = talk.setting("text").unwrap_or("");
    let written = written.replace("\\n", "\n").replace("\\r", "\r");
    match written.split_once("\\xe9") {
        Some((before, after)) => [before.as_bytes(), b"\xe9", after.as_bytes()].concat(),
        None => written.into_bytes(),
    }
}

/// A session, and a note of what its agent is told.
fn scripted<'a>(talk: &Talk, told: Rc<RefCell<Vec<String>>>) -> Scripted<'a, Client> {
    let mut waiting = messages(talk).into_iter();
    let whole = text(talk);
    let mut pieces = None;
    Scripted::new(Client::new(order(talk)), move |ask| match ask {
        Ask::Message(_) => {
            pieces = None;
            waiting.next().map_or(Answer::Quit, Answer::Message)
        }
        Ask::Text => {
            // Two octets at a time: where a piece ends must not matter.
            let rest = pieces.get_or_insert_with(|| whole.clone().into_iter());
            match rest.by_ref().take(2).collect::<Vec<u8>>() {
                piece if piece.is_empty() => Answer::TextEnd,
                piece => Answer::Text(piece),
            }
        }
        Ask::Outcome(outcome) => {
            let codes: Vec<String> = outcome.verdicts.iter().map(|it| it.code().to_string()).collect();
            let lost = outcome.lost.map(|stage| format!(" lost {stage:?}")).unwrap_or_default();
            let elsewhere = if outcome.elsewhere { " elsewhere" } else { "" };
            told.borrow_mut().push(format!("outcome {}{lost}{elsewhere}", codes.join(" ")));
            Answer::Noted
        }
        Ask::Failed(failure) => {
            told.borrow_mut().push(format!("failed {:?} {}", failure.stage, failure.verdict.code()));
            Answer::Noted
        }
    })
}

#[test]
fn the_client_keeps_to_its_dialogues_and_tells_what_came_of_them() {
    for talk in folder("client", Side::Client) {
        for (key, _) in talk.settings() {
            let known = [
                "dialect", "tls", "login", "message", "text", "size", "body", "utf8", "ret", "envid", "wish",
                "then",
            ];
            assert!(known.contains(&key), "{}: no setting {key:?}", talk.name);
        }
        let notes = RefCell::new(Vec::new());
        talk.play_session(|talk| {
            let told = Rc::new(RefCell::new(Vec::new()));
            notes.borrow_mut().push(Rc::clone(&told));
            scripted(talk, told)
        });
        let then: Vec<&str> = talk.settings().filter(|it| it.0 == "then").map(|it| it.1).collect();
        assert!(!then.is_empty(), "{}: nothing is expected of it", talk.name);
        let then: Vec<&str> = then.into_iter().filter(|line| *line != "nothing").collect();
        for told in notes.borrow().iter() {
            assert_eq!(*told.borrow(), then, "{}", talk.name);
        }
    }
}

/// What mail-send ends with when its agent was told so: 0, 75, or something permanent.
fn status(then: &str) -> Option<i32> {
    let codes: Vec<&str> = then.split(' ').filter(|word| word.contains('.')).collect();
    let any = |class: char| codes.iter().any(|code| code.starts_with(class));
    match (any('5'), any('4')) {
        (true, _) => None,
        (false, true) => Some(75),
        (false, false) => Some(0),
    }
}

/// True for what mail-send can be asked to do: one message, whole, on this machine.
fn is_for_the_program(talk: &Talk) -> bool {
    let count = talk.settings().filter(|it| it.0 == "message").count();
    let text = talk.setting("text").unwrap_or("From:");
    let tls = talk.setting("tls").unwrap_or("as-it-is");
    // Whom a server had no room for is sent to again, over another connection.
    let again = talk.setting("then").is_some_and(|then| then.contains("4.5.3"));
    // What is injected octet by octet arrives within the handshake and breaks it, which is as good.
    let injected = talk.name.ends_with("starttls-injection.talk");
    // It neither sends to addresses beyond ASCII nor asks for reports.
    let utf8 = talk.name.contains("utf8") || talk.name.contains("dsn");
    let fits = count == 1 && !utf8 && text.starts_with("From:") && tls != "if-offered";
    fits && !again && !injected && !talk.needs_session()
}

fn spawn(house: &House, talk: &Talk, port: u16) -> Child {
    let message = messages(talk).pop().unwrap();
    let scheme = if talk.setting("dialect") == Some("lmtp") { "lmtp" } else { "smtp" };
    let login = talk.setting("login").and_then(|words| words.split_once(' '));
    let mut config = String::from("hostname = \"me.example\"\n[send.t]\n");
    let user = login.map_or_else(String::new, |(name, _)| format!("{name}@"));
    config += &format!("server = \"{scheme}://{user}localhost:{port}\"\n");
    if let Some((_, secret)) = login {
        house.write("secret", secret);
        config += "password_file = \"secret\"\n";
    }
    if talk.setting("tls") == Some("demanded") {
        config += "tls_ca = \"cert.pem\"\n";
    }
    house.write("client.toml", config);
    house.write("message", text(talk));
    let sender = message.sender.map_or_else(|| "<>".to_owned(), |sender| sender.to_string());
    let mut command = house.bare("mail-send");
    command.args(["-C", "client.toml", "-a", "t", "-f", &sender, "--"]);
    command.args(message.recipients.iter().map(ToString::to_string));
    command.stdin(File::open(house.path("message")).unwrap()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

#[test]
fn mail_send_keeps_to_them_too() {
    let house = House::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut played = 0;
    for talk in folder("client", Side::Client).into_iter().filter(is_for_the_program) {
        let mut children = Vec::new();
        talk.play_conn(|talk| {
            children.push(spawn(&house, talk, port));
            let (stream, _) = listener.accept().unwrap();
            Conn::tcp(stream).of_client(&house.path("cert.pem"), &house.path("key.pem"))
        });
        let wanted = status(talk.setting("then").unwrap());
        for child in children {
            let ended = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&ended.stderr);
            match (wanted, ended.status.code().unwrap()) {
                (Some(wanted), code) => assert_eq!(code, wanted, "{}: {said}", talk.name),
                (None, code) => assert!(![0, 75].contains(&code), "{}: {code}: {said}", talk.name),
            }
            assert_eq!(said.is_empty(), wanted == Some(0), "{}: {said}", talk.name);
        }
        played += 1;
    }
    assert!(played > 40, "only {played} dialogues were played");
}
