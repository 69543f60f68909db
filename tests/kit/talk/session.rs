//! A dialogue against a session: no socket, no clock, and the contract of the seam is watched.

use super::{End, Move, Pace, Talk, play};
use posthaste::wire::session::{Input, Session, Step};
use std::time::Duration;

type Answers<'a, S> = Box<dyn FnMut(<S as Session>::Ask) -> <S as Session>::Answer + 'a>;
type Events<'a, S> = Box<dyn FnMut(&str) -> <S as Session>::Event + 'a>;

/// A session with a scripted agent.
pub struct Scripted<'a, S: Session> {
    session: S,
    answer: Answers<'a, S>,
    event: Events<'a, S>,
    /// Given and not yet used.
    input: Vec<u8>,
    /// Said and not yet compared.
    out: Vec<u8>,
    wants: Wants,
}

#[derive(Debug, PartialEq)]
enum Wants {
    Octets,
    /// Octets that are there already, else the deadline.
    OctetsNow,
    Tls,
    Nothing,
}

impl<'a, S: Session> Scripted<'a, S> {
    /// A session and what its agent answers to each question.
    pub fn new(session: S, answer: impl FnMut(S::Ask) -> S::Answer + 'a) -> Scripted<'a, S> {
        let event = Box::new(|name: &str| panic!("this test knows no event {name:?}"));
        let (input, out) = (Vec::new(), Vec::new());
        Scripted { session, answer: Box::new(answer), event, input, out, wants: Wants::Octets }
    }

    /// Makes the events of `! event NAME` lines.
    pub fn events(mut self, event: impl FnMut(&str) -> S::Event + 'a) -> Scripted<'a, S> {
        self.event = Box::new(event);
        self
    }

    /// Gives one input, then everything that follows from it without waiting for the peer.
    fn run(&mut self, first: Input<'_, S::Answer, S::Event>) -> Result<(), String> {
        let mut again = !matches!(first, Input::Octets(_));
        let mut step = self.turn(first)?;
        for _ in 0..100_000 {
            step = match step {
                Step::Ask(ask) => {
                    again = true;
                    let answer = (self.answer)(ask);
                    self.turn(Input::Answer(answer))?
                }
                // After anything but octets the session has not yet seen those which were left.
                Step::Read(_) | Step::More if again && !self.input.is_empty() => {
                    again = false;
                    let input = std::mem::take(&mut self.input);
                    self.octets(input)?
                }
                Step::Read(_) | Step::More if self.input.len() > S::IN_MAX => {
                    return Err(format!("the session left {} octets unused", self.input.len()));
                }
                Step::Read(Duration::ZERO) => {
                    self.wants = Wants::OctetsNow;
                    return Ok(());
                }
                Step::Read(_) | Step::More => {
                    self.wants = Wants::Octets;
                    return Ok(());
                }
                Step::StartTls => {
                    self.wants = Wants::Tls;
                    return Ok(());
                }
                Step::Close => {
                    self.wants = Wants::Nothing;
                    return Ok(());
                }
            };
        }
        Err("100,000 turns without waiting for the peer".into())
    }

    /// The peer is silent now: the answer to a read that does not wait.
    fn nothing_now(&mut self) -> Result<(), String> {
        for _ in 0..1000 {
            match self.wants {
                Wants::OctetsNow => self.run(Input::Deadline)?,
                _ => return Ok(()),
            }
        }
        Err("it only looks, again and again".into())
    }

    fn octets(&mut self, mut input: Vec<u8>) -> Result<Step<S::Ask>, String> {
        let before = self.out.len();
        let turn = self.session.turn(Input::Octets(&input), &mut self.out);
        self.bounded(before)?;
        if turn.used > input.len() {
            return Err(format!("the session used {} octets of {}", turn.used, input.len()));
        }
        input.drain(..turn.used);
        self.input = input;
        Ok(turn.step)
    }

    fn turn(&mut self, input: Input<'_, S::Answer, S::Event>) -> Result<Step<S::Ask>, String> {
        if let Input::Octets(octets) = input {
            let mut all = std::mem::take(&mut self.input);
            all.extend_from_slice(octets);
            return self.octets(all);
        }
        let before = self.out.len();
        let turn = self.session.turn(input, &mut self.out);
        self.bounded(before)?;
        match turn.used {
            0 => Ok(turn.step),
            used => Err(format!("the session used {used} octets of none")),
        }
    }

    fn bounded(&self, before: usize) -> Result<(), String> {
        match self.out.len().checked_sub(before) {
            None => Err("the session took back what it had said".into()),
            Some(said) if said > S::OUT_MAX => Err(format!("one turn said {said} octets")),
            Some(_) => Ok(()),
        }
    }
}

impl<S: Session> End for Scripted<'_, S> {
    fn give(&mut self, octets: &[u8]) -> Result<(), String> {
        match self.wants {
            Wants::Octets | Wants::OctetsNow => self.run(Input::Octets(octets)),
            // What comes before TLS stands is never given to the session.
            Wants::Tls => Ok(()),
            // A peer that goes on talking to a closed connection is not heard.
            Wants::Nothing => Ok(()),
        }
    }

    fn hear(&mut self) -> Result<Vec<u8>, String> {
        self.nothing_now()?;
        let end = self.out.iter().position(|&octet| octet == b'\n').map_or(self.out.len(), |at| at + 1);
        Ok(self.out.drain(..end).collect())
    }

    fn unhear(&mut self, line: &[u8]) {
        self.out.splice(..0, line.iter().copied());
    }

    fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    fn act(&mut self, what: &Move) -> Result<(), String> {
        self.nothing_now()?;
        let extra = self.rest();
        if !extra.is_empty() {
            return Err(format!("it had already said {:?}", extra.escape_ascii().to_string()));
        }
        match (what, &self.wants) {
            (Move::Tls, Wants::Tls) => {
                self.input.clear();
                self.run(Input::Secured)
            }
            (Move::Close, Wants::Nothing) => Ok(()),
            (Move::Eof, Wants::Octets) => self.run(Input::Eof),
            (Move::Deadline, Wants::Octets) => self.run(Input::Deadline),
            (Move::Event(name), Wants::Octets) => {
                let event = (self.event)(name);
                self.run(Input::Event(event))
            }
            (what, wants) => Err(format!("{what:?}, but the session wants {wants:?}")),
        }
    }
}

impl Talk {
    /// Plays the dialogue against a session, whole and octet by octet; `make` makes a fresh one for each.
    pub fn play_session<'a, S: Session>(&self, mut make: impl FnMut(&Talk) -> Scripted<'a, S>) {
        self.play_session_at(Pace::Whole, &mut make);
        self.play_session_at(Pace::Octets, make);
    }

    /// Plays it at one pace, where the other would be another story.
    pub fn play_session_at<'a, S: Session>(&self, pace: Pace, make: impl FnOnce(&Talk) -> Scripted<'a, S>) {
        let mut scripted = make(self);
        let played = scripted.run(Input::Begin).and_then(|()| play(self, pace, &mut scripted, 0));
        played.unwrap_or_else(|said| panic!("{said}"));
    }
}
