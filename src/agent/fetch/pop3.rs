//! Answers a POP3 session's questions.

use super::{
    Fetched,
    catch::{Catch, From, WAVE, Waiting},
    close, explained,
    name::Name,
};
use crate::{
    mail::{
        flags::Flags,
        verdict::{Verdict, Why},
    },
    net::{
        converse::{Agent, Manners, Trouble, converse},
        link::{Link, Wire},
        tls::Role,
    },
    store::Store,
    wire::{
        mailbox,
        pop3::client::{Answer, Ask, Client, Listed},
    },
};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

/// Fetches what is new in a maildrop.
pub(super) async fn fetch<S: Store<Draft: 'static> + 'static>(
    catch: Catch<'_, S>,
    talk: mailbox::Order,
    link: Link<Wire>,
    role: &Role,
    manners: &Manners,
) -> Fetched {
    let server = talk.server.clone();
    let mut client = Client::new(talk);
    let lost = Verdict::Later(Why::new(4, 2, format!("{server}: the session ended early")));
    let mut drop = Maildrop {
        catch,
        server,
        queue: VecDeque::new(),
        names: HashMap::new(),
        numbers: HashMap::new(),
        marked: 0,
        deleted: HashSet::new(),
        trouble: None,
        ended: lost,
    };
    // What ended the conversation was told to the agent.
    let _ = converse(&mut client, &mut drop, link, role, manners).await;
    close(drop.catch, drop.ended).await
}

/// A maildrop that is being read.
struct Maildrop<'a, S: Store> {
    catch: Catch<'a, S>,
    server: String,
    /// What is new, by its number.
    queue: VecDeque<(u32, Waiting)>,
    /// What the messages are called that were asked for.
    names: HashMap<u32, Name>,
    /// The numbers of each name: two copies of one message may have the same (RFC 1939 section 7).
    numbers: HashMap<Arc<str>, Vec<u32>>,
    /// Messages to be deleted: their number, and their names.
    marked: u64,
    deleted: HashSet<Arc<str>>,
    trouble: Option<String>,
    ended: Verdict,
}

impl<S: Store<Draft: 'static> + 'static> Maildrop<'_, S> {
    fn listed(&mut self, listed: Vec<Listed>) -> Result<Answer, Why> {
        self.catch.enter(From::inbox(""))?;
        let present: HashSet<&str> = listed.iter().map(|one| one.uidl.as_str()).collect();
        self.catch.forget(&present)?;
        let mut is_wanted = false;
        for Listed { number, uidl, size } in &listed {
            let uidl: Arc<str> = uidl.as_str().into();
            let numbers = self.numbers.entry(Arc::clone(&uidl)).or_default();
            numbers.push(*number);
            if numbers.len() > 1 {
                continue;
            }
            let name = Name::Uidl(uidl);
            if self.catch.is_taken(&name) {
                is_wanted = true;
                continue;
            }
            let waiting = Waiting { name, flags: Flags::default(), date: None, size: *size };
            if !self.catch.is_too_large(&waiting) {
                self.queue.push_back((*number, waiting));
            }
        }
        let waiting: Vec<&Waiting> = self.queue.iter().map(|(_, waiting)| waiting).collect();
        self.catch.announce(&waiting);
        let nothing = self.queue.is_empty() && !(is_wanted && self.catch.deletes());
        Ok(if nothing || self.catch.is_dry() { Answer::Quit } else { Answer::Noted })
    }

    async fn wave(&mut self) -> Result<Answer, Why> {
        if self.catch.is_stopped() {
            self.queue.clear();
        }
        let most = self.queue.len().min(WAVE);
        let (numbers, wave): (Vec<u32>, Vec<Waiting>) = self.queue.drain(..most).unzip();
        self.names.extend(numbers.iter().copied().zip(wave.iter().map(|waiting| waiting.name.clone())));
        if !wave.is_empty() {
            self.catch.wave(wave).await?;
        }
        Ok(Answer::Numbers(numbers))
    }

    async fn ask(&mut self, ask: Ask) -> Result<Answer, Why> {
        match ask {
            Ask::Listed(listed) => return self.listed(listed),
            Ask::Wave => return self.wave().await,
            Ask::Begin(_) => self.catch.begin(None)?,
            Ask::Piece(octets) => self.catch.piece(&octets)?,
            Ask::End(number) => {
                if let Some(name) = self.names.remove(&number) {
                    self.catch.end(&name).await?;
                }
            }
            Ask::Refused(number, why) => {
                if let Some(name) = self.names.remove(&number) {
                    self.catch.refused(&name, &why);
                }
            }
            Ask::Deletions => {
                self.catch.finish().await?;
                let names = self.catch.deletable();
                for name in names {
                    if let Name::Uidl(name) = name {
                        self.deleted.insert(name);
                    }
                }
                let numbers = self.deleted.iter().filter_map(|name| self.numbers.get(name)).flatten();
                let mut numbers: Vec<u32> = numbers.copied().collect();
                numbers.sort_unstable();
                self.marked = numbers.len() as u64;
                return Ok(Answer::Numbers(numbers));
            }
            Ask::Over(outcome) => {
                self.ended = Verdict::Done;
                match outcome {
                    Ok(()) if self.marked > 0 => {
                        // The server may give their names to others from now on.
                        let left = self.numbers.keys().filter(|name| !self.deleted.contains(*name));
                        self.catch.forget(&left.map(|name| &**name).collect())?;
                        self.catch.deleted(self.marked);
                    }
                    Ok(()) => {}
                    Err(why) => self.catch.undeleted(why),
                }
            }
            Ask::Failed(failure) => {
                self.ended = explained(failure.verdict, &self.server, self.trouble.as_deref());
            }
        }
        Ok(Answer::Noted)
    }
}

impl<S: Store<Draft: 'static> + 'static> Agent<Client> for Maildrop<'_, S> {
    async fn answer(&mut self, ask: Ask) -> Answer {
        self.ask(ask).await.unwrap_or_else(Answer::Stop)
    }

    fn trouble(&mut self, trouble: &Trouble) {
        self.trouble = Some(trouble.to_string());
    }
}
