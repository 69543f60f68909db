//! The entry of the fuzz target: a hostile server against the session, with what must hold whatever it says.

use super::{Answer, Ask, Client, Dialect, Message, Order, Patience, Tls};
use crate::{
    mail::{
        address::{Domain, Mailbox},
        envelope::{Body, Notify, Ret, Wish},
    },
    wire::session::{Input, Session, Step},
};

/// Plays a session against `octets`: the first ones choose what is ordered and how the rest, the server's side, is cut.
/// False when something that must hold did not: a bare CR or LF or too much left, a recipient without a verdict, or no end.
pub fn fuzz(octets: &[u8]) -> bool {
    let Some(([choice, cut], said)) = octets.split_first_chunk::<2>() else { return true };
    let mailbox =
        |local: &str| Mailbox { local: local.to_owned(), domain: Domain::Name("example.org".to_owned()) };
    let order = Order {
        dialect: if choice & 1 == 0 { Dialect::Smtp } else { Dialect::Lmtp },
        name: "client.example.org".to_owned(),
        server: "server".to_owned(),
        tls: match (choice >> 1) & 3 {
            0 => Tls::Demanded,
            1 => Tls::IfOffered,
            _ => Tls::AsItIs,
        },
        login: None,
        patience: Patience::default(),
    };
    let mut client = Client::new(order);
    let (mut out, mut unread) = (Vec::new(), Vec::new());
    let mut server = said.chunks(usize::from(*cut).max(1));
    let offers = said.windows(8).any(|word| word.eq_ignore_ascii_case(b"SMTPUTF8"));
    let notify = Notify { success: true, ..Notify::default() };
    let wish = Wish { notify: Some(notify), orcpt: Some("rfc822;a+b@example.org".to_owned()) };
    let mut messages = 0;
    let mut pieces = 0;
    let mut turn = client.turn(Input::Begin, &mut out);
    // Each turn uses octets, takes an answer, or ends it.
    for _ in 0..said.len().saturating_mul(4).saturating_add(1000) {
        unread.drain(..turn.used.min(unread.len()));
        let clean = out.iter().zip(out.iter().skip(1)).all(|pair| (*pair.0 == b'\r') == (*pair.1 == b'\n'));
        // Nothing that needs SMTPUTF8 goes to who never offered it.
        if !clean
            || !(offers || out.is_ascii())
            || out.len() > Client::OUT_MAX
            || out.last() == Some(&b'\r')
            || out.first() == Some(&b'\n')
        {
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
                Some(more) => {
                    unread.extend_from_slice(more);
                    client.turn(Input::Octets(&unread), &mut out)
                }
                None => client.turn(Input::Eof, &mut out),
            },
            Step::Ask(ask) => {
                let answer = match ask {
                    Ask::Message(_) if messages < 3 => {
                        messages += 1;
                        Answer::Message(Message {
                            sender: (messages > 1).then(|| mailbox("a b")),
                            recipients: (0..messages)
                                .map(|it| mailbox(if it == 1 { "\u{f6}" } else { "r" }))
                                .collect(),
                            size: Some(3),
                            body: Body::EightBitMime,
                            utf8: messages == 3,
                            ret: Some(Ret::Full),
                            envid: Some("a = b+".to_owned()),
                            wishes: vec![wish.clone()],
                            last: choice & 8 != 0,
                        })
                    }
                    Ask::Message(_) => Answer::Quit,
                    Ask::Text if pieces < 2 => {
                        pieces += 1;
                        Answer::Text(b".\n\r.x".to_vec())
                    }
                    Ask::Text => {
                        pieces = 0;
                        Answer::TextEnd
                    }
                    Ask::Outcome(outcome) if outcome.verdicts.len() != messages => return false,
                    Ask::Outcome(_) | Ask::Failed(_) => Answer::Noted,
                };
                client.turn(Input::Answer(answer), &mut out)
            }
        };
    }
    false
}
