//! The client's side of IMAP.
//!
//! Settings: `tls`, `login NAME SECRET`, `list all` or `list separator`, `folder NAME` and `write NAME` (read-write) in their order
//! (without any: INBOX), `from UID` (1), `fetch UID...` (each line a wave; without any: all that is listed), `delete UID...`, and `then`, one
//! for each thing that the agent is told: `folders NAME:SEPARATOR:HOLDS...`, `opened VALIDITY NEXT EXISTS`, `rows UID:FLAGS:DATE:SIZE ...`, `unlisted CODE`,
//! `UID SIZE TEXT` (a whole message, escaped), `gone UID...`, `refused UID...`, `deleted`, `deleted CODE`, `no folder CODE`, `over`,
//! `failed STAGE CODE`.

use crate::kit::talk::{Scripted, Side, Talk, folder};
use posthaste::wire::{
    imap::client::{Answer, Ask, Client},
    mailbox::{Order, Tls},
    sasl::Credentials,
};
use std::{
    cell::RefCell,
    collections::VecDeque,
    rc::Rc,
    time::{Duration, UNIX_EPOCH},
};

/// How a server called `server` is spoken to, as the settings `tls` and `login` say.
pub(super) fn order(talk: &Talk, server: &str) -> Order {
    Order {
        server: server.to_owned(),
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
        patience: Duration::from_secs(300),
    }
}

/// Numbers with a space between.
pub(super) fn numbers(words: &str) -> Vec<u32> {
    words.split(' ').filter(|word| !word.is_empty()).map(|word| word.parse().unwrap()).collect()
}

fn joined(uids: &[u32]) -> String {
    uids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

pub fn scripted<'a>(talk: &Talk, told: Rc<RefCell<Vec<String>>>) -> Scripted<'a, Client> {
    let folders = talk.settings().filter(|it| ["folder", "write"].contains(&it.0));
    let mut folders: VecDeque<(bool, String)> =
        folders.map(|(key, name)| (key == "write", name.to_owned())).collect();
    if folders.is_empty() {
        folders.push_back((false, "INBOX".to_owned()));
    }
    let waves = talk.settings().filter(|it| it.0 == "fetch").map(|it| numbers(it.1));
    let mut waves: VecDeque<Vec<u32>> = waves.collect();
    let all = waves.is_empty();
    let list = talk.setting("list").map(|how| how == "all");
    let from = talk.setting("from").map_or(1, |uid| uid.parse().unwrap());
    let deletions = numbers(talk.setting("delete").unwrap_or(""));
    let (mut size, mut message) = (0, Vec::new());
    Scripted::new(Client::new(order(talk, "imap")), move |ask| {
        let tell = |line: String| told.borrow_mut().push(line.trim_end().to_owned());
        match ask {
            Ask::Start => return list.map_or(Answer::Noted, Answer::List),
            Ask::Folders(listed) => {
                let word = |it: &posthaste::wire::imap::client::Listed| {
                    let separator = it.separator.map_or_else(|| "-".to_owned(), String::from);
                    format!(
                        "{}:{separator}:{}",
                        it.name,
                        if it.view {
                            "view"
                        } else if it.holds {
                            "holds"
                        } else {
                            "no"
                        }
                    )
                };
                tell(format!("folders {}", listed.iter().map(word).collect::<Vec<_>>().join(" ")));
            }
            Ask::Folder => {
                return folders
                    .pop_front()
                    .map_or(Answer::Quit, |(write, name)| Answer::Folder { name, write });
            }
            Ask::NoFolder(why) => tell(format!("no folder {}.{}", why.subject, why.detail)),
            Ask::Opened { validity, next, exists } => {
                tell(format!("opened {validity} {} {exists}", next.unwrap_or(0)));
                return if from == 0 { Answer::Quit } else { Answer::From(from) };
            }
            Ask::Rows(rows) => {
                let word = |row: &posthaste::wire::imap::client::Row| {
                    let flags: Vec<&str> = row.flags.names().collect();
                    let date = row.date.map_or(0, |date| date.duration_since(UNIX_EPOCH).unwrap().as_secs());
                    format!("{}:{}:{date}:{}", row.uid, flags.join(","), row.size)
                };
                tell(format!("rows {}", rows.iter().map(word).collect::<Vec<_>>().join(" ")));
                if all {
                    waves.push_back(rows.iter().map(|row| row.uid).collect());
                }
            }
            Ask::Unlisted(why) => tell(format!("unlisted {}.{}", why.subject, why.detail)),
            Ask::Wave => return Answer::Uids(waves.pop_front().unwrap_or_default()),
            Ask::Begin(octets) => {
                size = octets;
                message.clear();
            }
            Ask::Piece(piece) => message.extend(piece),
            Ask::End(uid) => tell(format!("{uid} {size} {}", message.escape_ascii())),
            Ask::Gone(uids) => tell(format!("gone {}", joined(&uids))),
            Ask::Refused(uids, _) => tell(format!("refused {}", joined(&uids))),
            Ask::Deletions => return Answer::Uids(deletions.clone()),
            Ask::Deleted(Ok(())) => tell("deleted".to_owned()),
            Ask::Deleted(Err(why)) => tell(format!("deleted {}.{}", why.subject, why.detail)),
            Ask::Over => tell("over".to_owned()),
            Ask::Failed(failure) => tell(format!("failed {:?} {}", failure.stage, failure.verdict.code())),
        }
        Answer::Noted
    })
}

#[test]
fn the_imap_client_keeps_to_its_dialogues_and_tells_what_came_of_them() {
    for talk in folder("imap_client", Side::Client) {
        for (key, _) in talk.settings() {
            let known = ["tls", "login", "list", "folder", "write", "from", "fetch", "delete", "then"];
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
        for told in notes.borrow().iter() {
            assert_eq!(*told.borrow(), then, "{}", talk.name);
        }
    }
}
