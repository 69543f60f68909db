//! The entry of the fuzz target: a hostile server against the session, with what must hold whatever it says.

use super::{Answer, Ask, Client, WINDOW};
use crate::wire::{
    mailbox::{Order, Tls},
    sasl::Credentials,
    session::{Input, Session, Step},
};
use std::{collections::BTreeSet, time::Duration};

/// Plays a session against `octets`: the first ones choose what is ordered and how the rest, the server's side, is cut.
/// False when something that must hold did not: a line of ours that is none, a message that was not asked for or that
/// comes in another order than begin, pieces, end; a deletion that was not ordered; too much left unused; or no end.
pub fn fuzz(octets: &[u8]) -> bool {
    let Some(([choice, cut], said)) = octets.split_first_chunk::<2>() else { return true };
    let credentials = Credentials { login: "me".to_owned(), secret: b"secret".to_vec().into() };
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
    let mut listed: Vec<u32> = Vec::new();
    let mut wanted: BTreeSet<u32> = BTreeSet::new();
    let mut reading = None;
    let mut retrieved = 0_usize;
    let mut turn = client.turn(Input::Begin, &mut out);
    for _ in 0..said.len().saturating_mul(4).saturating_add(2000) {
        unread.drain(..turn.used.min(unread.len()));
        let text = String::from_utf8_lossy(&out).into_owned();
        if out.len() > Client::OUT_MAX || !(text.is_empty() || text.ends_with("\r\n")) {
            return false;
        }
        for line in text.split_terminator("\r\n") {
            retrieved = retrieved.saturating_add(usize::from(line.starts_with("RETR ")));
            let known = [
                "CAPA",
                "STLS",
                "AUTH ",
                "USER me",
                "PASS secret",
                "UIDL",
                "LIST",
                "RETR ",
                "DELE ",
                "QUIT",
                "*",
            ];
            let sasl =
                line.len() < 100 && line.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'=');
            if !known.iter().any(|known| line.starts_with(known)) && !sasl {
                return false;
            }
        }
        if retrieved > WINDOW.saturating_add(said.len()) {
            return false;
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
                    Ask::Listed(all) => {
                        listed = all.iter().map(|one| one.number).collect();
                        let sorted = listed.iter().zip(listed.iter().skip(1)).all(|(one, other)| one < other);
                        if !sorted {
                            return false;
                        }
                        listed.reverse();
                        if choice & 8 == 0 { Answer::Noted } else { Answer::Quit }
                    }
                    Ask::Wave => {
                        let wave: Vec<u32> = (0..3).filter_map(|_| listed.pop()).collect();
                        wanted.extend(&wave);
                        Answer::Numbers(wave)
                    }
                    Ask::Begin(number) if reading.is_none() && wanted.contains(&number) => {
                        reading = Some(number);
                        Answer::Noted
                    }
                    Ask::Piece(piece) if reading.is_some() && !piece.is_empty() => Answer::Noted,
                    Ask::End(number) if reading == Some(number) && wanted.remove(&number) => {
                        reading = None;
                        Answer::Noted
                    }
                    Ask::Refused(number, _) if reading.is_none() && wanted.remove(&number) => Answer::Noted,
                    Ask::Deletions if reading.is_none() && wanted.is_empty() => Answer::Numbers(vec![1, 2]),
                    Ask::Over(_) | Ask::Failed(_) => Answer::Noted,
                    _ => return false,
                };
                client.turn(Input::Answer(answer), &mut out)
            }
        };
    }
    false
}
