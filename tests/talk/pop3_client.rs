//! The client's side of POP3.
//!
//! Settings: `tls`, `login NAME SECRET`, `fetch N...` (else all that is listed; each line is a wave), `delete N...`, and `then`, one
//! for each thing that the agent is told: `listed N:UIDL:SIZE...`, `N TEXT` (a whole message, escaped), `refused N CODE`,
//! `over`, `over CODE`, `failed STAGE CODE`.

use super::imap_client::{numbers, order};
use crate::kit::talk::{Scripted, Side, Talk, folder};
use posthaste::wire::pop3::client::{Answer, Ask, Client};
use std::{cell::RefCell, collections::VecDeque, rc::Rc};

pub fn scripted<'a>(talk: &Talk, told: Rc<RefCell<Vec<String>>>) -> Scripted<'a, Client> {
    let waves = talk.settings().filter(|it| it.0 == "fetch").map(|it| numbers(it.1));
    let mut waves: VecDeque<Vec<u32>> = waves.collect();
    let all = waves.is_empty();
    let deletions = numbers(talk.setting("delete").unwrap_or(""));
    let mut message = Vec::new();
    Scripted::new(Client::new(order(talk, "pop")), move |ask| {
        let tell = |line: String| told.borrow_mut().push(line);
        match ask {
            Ask::Listed(listed) => {
                let one = |size: Option<u64>| size.map_or_else(|| "?".to_owned(), |size| size.to_string());
                let words: Vec<String> =
                    listed.iter().map(|it| format!("{}:{}:{}", it.number, it.uidl, one(it.size))).collect();
                tell(format!("listed {}", words.join(" ")).trim_end().to_owned());
                if all {
                    waves.push_back(listed.iter().map(|it| it.number).collect());
                }
            }
            Ask::Wave => return Answer::Numbers(waves.pop_front().unwrap_or_default()),
            Ask::Begin(_) => message.clear(),
            Ask::Piece(piece) => message.extend(piece),
            Ask::End(number) => tell(format!("{number} {}", message.escape_ascii())),
            Ask::Refused(number, why) => tell(format!("refused {number} {}.{}", why.subject, why.detail)),
            Ask::Deletions => return Answer::Numbers(deletions.clone()),
            Ask::Over(Ok(())) => tell("over".to_owned()),
            Ask::Over(Err(why)) => tell(format!("over {}.{}", why.subject, why.detail)),
            Ask::Failed(failure) => tell(format!("failed {:?} {}", failure.stage, failure.verdict.code())),
        }
        Answer::Noted
    })
}

#[test]
fn the_pop3_client_keeps_to_its_dialogues_and_tells_what_came_of_them() {
    for talk in folder("pop3_client", Side::Client) {
        for (key, _) in talk.settings() {
            let known = ["tls", "login", "fetch", "delete", "then"];
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
