//! The entry of the fuzz target: a hostile server against the session, with what must hold whatever it says.

use super::{Answer, Ask, Client, Uid};
use crate::wire::{
    mailbox::{Order, Tls},
    sasl::Credentials,
    session::{Input, Session, Step},
};
use std::{collections::BTreeSet, time::Duration};

/// Plays a session against `octets`: the first ones choose what is ordered and how the rest, the server's side, is cut.
/// False when something that must hold did not: a line of ours that is none, a message that was not asked for or that
/// comes in another order than begin, pieces, end, or with another length than was announced; a row below the UID that
/// was named; too much left unused; or no end.
pub fn fuzz(octets: &[u8]) -> bool {
    let Some(([choice, cut], said)) = octets.split_first_chunk::<2>() else { return true };
    let credentials = Credentials { login: "me".to_owned(), secret: b"sec\"ret".to_vec().into() };
    let mut client = Client::new(Order {
        server: "server".to_owned(),
        tls: match choice & 3 {
            0 => Tls::Demanded,
            1 => Tls::IfOffered,
            _ => Tls::AsItIs,
        },
        login: (choice & 4 == 0).then_some(credentials),
        patience: Duration::from_secs(1),
    });
    let (mut out, mut unread) = (Vec::new(), Vec::new());
    let mut server = said.chunks(usize::from(*cut).max(1));
    let mut folders = 0;
    let mut rows: Vec<Uid> = Vec::new();
    let mut wanted: BTreeSet<Uid> = BTreeSet::new();
    let mut left = None;
    let mut turn = client.turn(Input::Begin, &mut out);
    for _ in 0..said.len().saturating_mul(4).saturating_add(2000) {
        unread.drain(..turn.used.min(unread.len()));
        let text = String::from_utf8_lossy(&out).into_owned();
        if out.len() > Client::OUT_MAX || !(text.is_empty() || text.ends_with("\r\n")) {
            return false;
        }
        for line in text.split_terminator("\r\n") {
            let tagged = line.strip_prefix('p').and_then(|line| line.split_once(' '));
            let tagged = tagged.is_some_and(|(digits, _)| digits.parse::<u32>().is_ok());
            let sasl = line.len() < 100
                && line.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"=+/*".contains(&octet));
            if !tagged && !sasl || line.contains(['\r', '\n']) {
                return false;
            }
        }
        out.clear();
        turn = match turn.step {
            Step::Close => return true,
            Step::StartTls => {
                unread.clear();
                client.turn(Input::Secured, &mut out)
            }
            Step::Read(_) | Step::More => match server.next() {
                _ if unread.len() > Client::IN_MAX => return false,
                Some(more) => {
                    unread.extend_from_slice(more);
                    client.turn(Input::Octets(&unread), &mut out)
                }
                None => client.turn(Input::Eof, &mut out),
            },
            Step::Ask(ask) => {
                let answer = match ask {
                    Ask::Start => Answer::List(choice & 8 == 0),
                    Ask::Folder if folders < 2 => {
                        folders += 1;
                        Answer::Folder { name: "a b".to_owned(), write: true }
                    }
                    Ask::Folder => Answer::Quit,
                    Ask::Opened { validity: 0, .. } => return false,
                    Ask::Opened { .. } => Answer::From(2),
                    Ask::Rows(some) => {
                        if some.iter().any(|row| row.uid < 2) || some.is_empty() {
                            return false;
                        }
                        rows.extend(some.iter().map(|row| row.uid));
                        Answer::Noted
                    }
                    Ask::Wave => {
                        let most = rows.len().min(3);
                        let wave: Vec<Uid> = rows.drain(..most).collect();
                        wanted.extend(&wave);
                        Answer::Uids(wave)
                    }
                    Ask::Begin(size) if left.is_none() && !wanted.is_empty() => {
                        left = Some(size);
                        Answer::Noted
                    }
                    Ask::Piece(piece) if !piece.is_empty() => {
                        match left.and_then(|left: u64| left.checked_sub(piece.len() as u64)) {
                            Some(rest) => {
                                left = Some(rest);
                                Answer::Noted
                            }
                            None => return false,
                        }
                    }
                    Ask::End(uid) if left == Some(0) && wanted.remove(&uid) => {
                        left = None;
                        Answer::Noted
                    }
                    Ask::Gone(uids) | Ask::Refused(uids, _) => {
                        if left.is_some() || !uids.iter().all(|uid| wanted.remove(uid)) {
                            return false;
                        }
                        Answer::Noted
                    }
                    Ask::Deletions if left.is_none() && wanted.is_empty() => Answer::Uids(vec![2, 3]),
                    Ask::Folders(_)
                    | Ask::NoFolder(_)
                    | Ask::Unlisted(_)
                    | Ask::Deleted(_)
                    | Ask::Over
                    | Ask::Failed(_) => Answer::Noted,
                    _ => return false,
                };
                client.turn(Input::Answer(answer), &mut out)
            }
        };
    }
    false
}
