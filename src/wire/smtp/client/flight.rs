//! One message on its way: RSET where the last one left something behind, MAIL, every RCPT, DATA; then the text and its end.
//! Commands leave in flights (one at a time where the server does not take more); replies come back in the same order.

use super::{Dialect, Message, Offer, Order, Outcome, Stage, judged, stuff::Stuffer};
use crate::{
    mail::{
        address::Mailbox,
        envelope::{Body, Wish},
        verdict::{Verdict, Why},
    },
    wire::smtp::{params::to_xtext, reply::Reply},
};
use std::{collections::VecDeque, io::Write as _};

/// The most commands that wait for their replies: what both directions' buffers hold without anybody reading.
const WINDOW: usize = 100;
/// Once so many octets are to be sent, the rest of a flight waits for replies.
const FLIGHT_MAX: usize = 32 * 1024;

/// Subject and detail of "too many recipients" (RFC 3463 section 3.6): those left can go in another message.
pub const TOO_MANY: (u16, u16) = (5, 3);

/// What follows a reply.
pub(super) enum Next {
    /// Other replies.
    Replies(Flight),
    /// The text.
    Text(Ending),
    /// The reply to the text's end.
    End(Ending),
    /// The message is done with.
    Over {
        outcome: Outcome,
        /// No other message was announced.
        last: bool,
        /// The server holds on to an envelope, which RSET must end.
        reset: bool,
        /// QUIT was sent.
        bye: bool,
    },
}

/// A command of the envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    Rset,
    Mail,
    /// By its place among the recipients.
    Rcpt(usize),
    Data,
}

/// How a recipient stands.
#[derive(Clone, Debug)]
enum Standing {
    Unasked,
    Accepted,
    Settled(Verdict),
}

/// The envelope on its way.
#[derive(Debug)]
pub(super) struct Flight {
    message: Message,
    dialect: Dialect,
    pipelining: bool,
    eight_bit: bool,
    dsn: bool,
    declare: bool,
    utf8: bool,
    /// The next command to be written; `None` when all are.
    next: Option<Command>,
    /// Commands written and not replied to, in their order; at most [`WINDOW`].
    under_way: VecDeque<Command>,
    standing: Vec<Standing>,
    /// The server took MAIL.
    begun: bool,
    /// The server wants no message now.
    put_off: bool,
}

/// The text and its end on their way.
#[derive(Debug)]
pub(super) struct Ending {
    dialect: Dialect,
    standing: Vec<Standing>,
    stuffer: Stuffer,
    /// No recipient was taken: the empty text is refused whatever the server says of it.
    hollow: bool,
    last: bool,
    bye: bool,
    said: Option<String>,
}

impl Flight {
    pub(super) fn begin(
        order: &Order,
        offer: &Offer,
        message: Message,
        stale: bool,
        out: &mut Vec<u8>,
    ) -> Next {
        let refusal = refusal(order, offer, &message);
        let standing: Vec<Standing> = message
            .recipients
            .iter()
            .map(|recipient| match &refusal {
                Some(why) => Standing::Settled(Verdict::Never(why.clone())),
                None if !offer.utf8 && !recipient.is_ascii() => {
                    Standing::Settled(Verdict::Never(no_utf8(order, "the recipient's address")))
                }
                None if !is_sendable(recipient) => {
                    let text = "the address holds a control character".to_owned();
                    Standing::Settled(Verdict::Never(Why::new(1, 3, text)))
                }
                None => Standing::Unasked,
            })
            .collect();
        let first = if stale { Command::Rset } else { Command::Mail };
        let flight = Flight {
            dialect: order.dialect,
            pipelining: offer.pipelining,
            eight_bit: offer.eight_bit && message.body == Body::EightBitMime,
            dsn: offer.dsn,
            declare: offer.size.is_some(),
            utf8: offer.utf8
                && (message.utf8
                    || message.sender.iter().chain(&message.recipients).any(|it| !it.is_ascii())),
            next: Some(first),
            under_way: VecDeque::new(),
            begun: false,
            put_off: false,
            standing,
            message,
        };
        if !flight.standing.iter().any(|it| matches!(it, Standing::Unasked)) {
            let last = flight.message.last;
            let outcome = outcome(flight.standing, None, None, Stage::Envelope, false);
            return Next::Over { outcome, last, reset: stale, bye: false };
        }
        flight.send(out)
    }

    /// Writes what may be written now.
    fn send(mut self, out: &mut Vec<u8>) -> Next {
        while let Some(command) = self.next {
            let room = self.under_way.is_empty()
                || (self.pipelining && self.under_way.len() < WINDOW && out.len() < FLIGHT_MAX);
            if !room {
                break;
            }
            self.next = self.after(command);
            if self.is_wanted(command) {
                self.write(command, out);
                self.under_way.push_back(command);
            }
        }
        if !self.under_way.is_empty() {
            return Next::Replies(self);
        }
        let last = self.message.last;
        let outcome = outcome(self.standing, None, None, Stage::Envelope, self.put_off);
        Next::Over { outcome, last, reset: self.begun, bye: false }
    }

    /// False when replies that came meanwhile leave nothing to say it for.
    fn is_wanted(&self, command: Command) -> bool {
        match command {
            Command::Rset | Command::Mail => true,
            Command::Rcpt(place) => matches!(self.standing.get(place), Some(Standing::Unasked)),
            Command::Data => self.standing.iter().any(|it| !matches!(it, Standing::Settled(_))),
        }
    }

    fn write(&self, command: Command, out: &mut Vec<u8>) {
        // Writing to a Vec can't fail.
        let _ = match command {
            Command::Rset => out.write_all(b"RSET\r\n"),
            Command::Data => out.write_all(b"DATA\r\n"),
            Command::Rcpt(place) => match self.message.recipients.get(place) {
                Some(recipient) => {
                    let _ = write!(out, "RCPT TO:<{recipient}>");
                    if let Some(wish) = self.message.wishes.get(place).filter(|_| self.dsn) {
                        wishes(wish, out);
                    }
                    out.write_all(b"\r\n")
                }
                None => Ok(()),
            },
            Command::Mail => {
                let _ = match &self.message.sender {
                    Some(sender) => write!(out, "MAIL FROM:<{sender}>"),
                    None => out.write_all(b"MAIL FROM:<>"),
                };
                if let Some(size) = self.message.size.filter(|_| self.declare) {
                    let _ = write!(out, " SIZE={size}");
                }
                if self.eight_bit {
                    let _ = out.write_all(b" BODY=8BITMIME");
                }
                if self.utf8 {
                    let _ = out.write_all(b" SMTPUTF8");
                }
                if let Some(ret) = self.message.ret.filter(|_| self.dsn) {
                    let _ = write!(out, " RET={}", ret.word());
                }
                if let Some(envid) = self.message.envid.as_ref().filter(|_| self.dsn) {
                    let _ = out.write_all(b" ENVID=");
                    to_xtext(envid, out);
                }
                out.write_all(b"\r\n")
            }
        };
    }

    /// The command behind this one. Recipients that are settled already are passed over.
    fn after(&self, command: Command) -> Option<Command> {
        let from = match command {
            Command::Rset => return Some(Command::Mail),
            Command::Mail => 0,
            Command::Rcpt(place) => place + 1,
            Command::Data => return None,
        };
        let rest = self.standing.iter().enumerate().skip(from);
        let next = rest.filter(|(_, it)| matches!(it, Standing::Unasked)).map(|(place, _)| place).next();
        Some(next.map_or(Command::Data, Command::Rcpt))
    }

    pub(super) fn reply(mut self, server: &str, reply: &Reply, out: &mut Vec<u8>) -> Next {
        let Some(command) = self.under_way.pop_front() else { return Next::Replies(self) };
        if reply.code == 421 {
            let verdict = judged(server, reply, self.name(command).as_str());
            let last = self.message.last;
            return Next::Over {
                outcome: self.lost(Stage::Envelope, verdict),
                last,
                reset: false,
                bye: false,
            };
        }
        let verdict = match reply.code / 100 {
            2 => Verdict::Done,
            _ => judged(server, reply, self.name(command).as_str()),
        };
        match command {
            Command::Rset => {}
            Command::Mail => match verdict {
                Verdict::Done => self.begun = true,
                refused => {
                    self.put_off = true;
                    settle(&mut self.standing, &refused);
                }
            },
            Command::Rcpt(place) => {
                let some = self.standing.iter().any(|it| matches!(it, Standing::Accepted));
                if let Some(standing @ Standing::Unasked) = self.standing.get_mut(place) {
                    *standing = match (reply.code, verdict) {
                        (_, Verdict::Done) => Standing::Accepted,
                        // Too many recipients, as old servers say it (RFC 5321 section 4.5.3.1.10).
                        (452 | 552, Verdict::Later(why) | Verdict::Never(why)) => {
                            let too_many = some && reply.status.is_none();
                            let (subject, detail) =
                                if too_many { TOO_MANY } else { (why.subject, why.detail) };
                            Standing::Settled(Verdict::Later(Why { subject, detail, ..why }))
                        }
                        (_, refused) => Standing::Settled(refused),
                    };
                }
            }
            Command::Data => return self.data(server, reply, out),
        }
        self.send(out)
    }

    fn data(mut self, server: &str, reply: &Reply, out: &mut Vec<u8>) -> Next {
        let hollow = !self.standing.iter().any(|it| matches!(it, Standing::Accepted));
        let last = self.message.last;
        if reply.code / 100 != 3 {
            let verdict = match judged(server, reply, "DATA") {
                Verdict::Done => Verdict::Later(Why::new(
                    5,
                    0,
                    format!("{server} said something odd: {reply} (in answer to DATA)"),
                )),
                refused => refused,
            };
            settle(&mut self.standing, &verdict);
            let outcome = outcome(self.standing, None, None, Stage::Envelope, self.put_off || !hollow);
            return Next::Over { outcome, last, reset: self.begun, bye: false };
        }
        let ending = Ending {
            dialect: self.dialect,
            standing: self.standing,
            stuffer: Stuffer::default(),
            hollow,
            last,
            bye: false,
            said: None,
        };
        if hollow {
            // DATA left before the refusals were known; an empty text ends it (RFC 2920 section 3.1).
            return Next::End(ending.end(false, out));
        }
        Next::Text(ending)
    }

    fn name(&self, command: Command) -> String {
        match command {
            Command::Rset => "RSET".to_owned(),
            Command::Mail => match &self.message.sender {
                Some(sender) => format!("MAIL FROM:<{sender}>"),
                None => "MAIL FROM:<>".to_owned(),
            },
            Command::Rcpt(place) => match self.message.recipients.get(place) {
                Some(recipient) => format!("RCPT TO:<{recipient}>"),
                None => "RCPT".to_owned(),
            },
            Command::Data => "DATA".to_owned(),
        }
    }

    /// The connection is of no more use: who is not settled waits.
    pub(super) fn lost(self, stage: Stage, verdict: Verdict) -> Outcome {
        outcome(self.standing, Some(verdict), None, stage, true)
    }
}

impl Ending {
    pub(super) fn text(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        self.stuffer.piece(piece, out);
    }

    /// Ends the text. Behind the last message QUIT leaves with it, where the server takes that.
    pub(super) fn end(mut self, pipelining: bool, out: &mut Vec<u8>) -> Ending {
        std::mem::take(&mut self.stuffer).end(out);
        if pipelining && self.last {
            out.extend_from_slice(b"QUIT\r\n");
            self.bye = true;
        }
        self
    }

    /// A reply to the text's end: one for all, in LMTP one for each recipient that was taken (RFC 2033 section 4.2).
    pub(super) fn reply(mut self, server: &str, reply: &Reply) -> Next {
        let verdict = judged(server, reply, "the end of the message");
        if reply.code == 421 {
            let last = self.last;
            return Next::Over { outcome: self.lost(Stage::End, verdict), last, reset: false, bye: false };
        }
        if verdict.is_done() && self.said.is_none() && !self.hollow {
            self.said = Some(reply.to_string());
        }
        if self.dialect == Dialect::Lmtp && !self.hollow {
            let mut waiting = self.standing.iter_mut().filter(|it| matches!(it, Standing::Accepted));
            if let Some(first) = waiting.next() {
                *first = Standing::Settled(verdict);
            }
            if waiting.next().is_some() {
                return Next::End(self);
            }
        } else {
            settle(&mut self.standing, &verdict);
        }
        let outcome = outcome(self.standing, None, self.said, Stage::End, false);
        Next::Over { outcome, last: self.last, reset: false, bye: self.bye }
    }

    /// A reply while the text was still being sent.
    pub(super) fn early(self, server: &str, reply: &Reply) -> Outcome {
        let verdict = match judged(server, reply, "the message") {
            Verdict::Done => Verdict::Later(Why::new(
                5,
                0,
                format!("{server} said {reply} before it had the whole message"),
            )),
            refused => refused,
        };
        self.lost(Stage::Text, verdict)
    }

    /// The connection is of no more use: who is not settled waits.
    pub(super) fn lost(self, stage: Stage, verdict: Verdict) -> Outcome {
        // What was lost behind the end may have arrived.
        outcome(self.standing, Some(verdict), self.said, stage, stage == Stage::Text)
    }
}

fn settle(standing: &mut [Standing], verdict: &Verdict) {
    for one in standing.iter_mut().filter(|one| !matches!(one, Standing::Settled(_))) {
        *one = Standing::Settled(verdict.clone());
    }
}

fn outcome(
    mut standing: Vec<Standing>,
    lost: Option<Verdict>,
    said: Option<String>,
    stage: Stage,
    put_off: bool,
) -> Outcome {
    let is_lost = lost.is_some();
    let rest = lost.unwrap_or_else(|| Verdict::Later(Why::new(5, 0, "the recipient was not asked for")));
    settle(&mut standing, &rest);
    let verdicts: Vec<Verdict> = standing
        .into_iter()
        .map(|one| match one {
            Standing::Settled(verdict) => verdict,
            Standing::Unasked | Standing::Accepted => rest.clone(),
        })
        .collect();
    // Where one is done or refused for good, the others wait for the next attempt.
    let elsewhere = put_off && verdicts.iter().all(|verdict| matches!(verdict, Verdict::Later(_)));
    Outcome { verdicts, said, lost: is_lost.then_some(stage), elsewhere }
}

/// What can be known without asking: a message larger than the server takes (RFC 1870 section 6.2), a sender that can't be written.
fn refusal(order: &Order, offer: &Offer, message: &Message) -> Option<Why> {
    if let (Some(size), Some(most)) = (message.size, offer.size.filter(|most| *most > 0))
        && size > most
    {
        let text =
            format!("{} takes messages of at most {most} octets, and this one has {size}", order.server);
        return Some(Why::new(3, 4, text));
    }
    if !offer.utf8 && (message.utf8 || message.sender.as_ref().is_some_and(|sender| !sender.is_ascii())) {
        return Some(no_utf8(order, "the message"));
    }
    let bad = message.sender.as_ref().is_some_and(|sender| !is_sendable(sender));
    bad.then(|| Why::new(1, 7, "the sender's address holds a control character"))
}

/// RFC 3461 section 5.2.1: what came with a recipient goes on with it.
fn wishes(wish: &Wish, out: &mut Vec<u8>) {
    if let Some(notify) = wish.notify {
        let _ = write!(out, " NOTIFY={notify}");
    }
    if let Some((kind, address)) = wish.orcpt.as_ref().and_then(|orcpt| orcpt.split_once(';')) {
        let _ = write!(out, " ORCPT={kind};");
        to_xtext(address, out);
    }
}

/// True when nothing in the address can end the command that it stands in.
fn is_sendable(mailbox: &Mailbox) -> bool {
    !mailbox.to_string().contains(char::is_control)
}

/// RFC 6531 section 3.5: what needs SMTPUTF8 goes back.
fn no_utf8(order: &Order, what: &str) -> Why {
    Why::new(6, 7, format!("{} does not offer SMTPUTF8, which {what} needs", order.server))
}
