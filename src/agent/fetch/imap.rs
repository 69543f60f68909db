//! Answers an IMAP session's questions.

use super::{
    Fetched, Folders,
    catch::{Catch, From, WAVE, Waiting},
    close, explained,
    name::Name,
};
use crate::{
    mail::{
        folder::FolderName,
        query::Uid,
        verdict::{Verdict, Why},
    },
    net::{
        converse::{Agent, Manners, Trouble, converse},
        link::{Link, Wire},
        tls::Role,
    },
    store::Store,
    wire::{
        imap::client::{Answer, Ask, Client, Listed, Row},
        mailbox,
    },
};
use std::collections::{BTreeSet, VecDeque};

/// Fetches what is new in the folders of a mailbox.
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
    let mut mailbox = Mailbox {
        catch,
        server,
        folders: VecDeque::new(),
        opening: None,
        queue: VecDeque::new(),
        listed: BTreeSet::new(),
        whole: true,
        announced: false,
        marked: 0,
        trouble: None,
        ended: lost,
    };
    // What ended the conversation was told to the agent.
    let _ = converse(&mut client, &mut mailbox, link, role, manners).await;
    close(mailbox.catch, mailbox.ended).await
}

/// A mailbox that is being read.
struct Mailbox<'a, S: Store> {
    catch: Catch<'a, S>,
    server: String,
    /// Folders to come; their UIDVALIDITY is not known yet.
    folders: VecDeque<From>,
    opening: Option<From>,
    /// What is new in the folder.
    queue: VecDeque<Waiting>,
    /// All that the server listed of it.
    listed: BTreeSet<Uid>,
    /// It listed all that it has.
    whole: bool,
    announced: bool,
    /// Messages to be deleted.
    marked: u64,
    trouble: Option<String>,
    ended: Verdict,
}

impl<S: Store<Draft: 'static> + 'static> Mailbox<'_, S> {
    async fn ask(&mut self, ask: Ask) -> Result<Answer, Why> {
        match ask {
            Ask::Start => return Ok(self.start()),
            Ask::Folders(listed) => self.folders(listed),
            Ask::Folder => {
                let next = self.folders.pop_front().filter(|_| !self.catch.is_stopped());
                self.opening.clone_from(&next);
                // Also where nothing is deleted: Courier keeps the UIDs of a folder only once it was opened to be written.
                let write = !self.catch.is_dry();
                return Ok(next.map_or(Answer::Quit, |from| Answer::Folder { name: from.key, write }));
            }
            Ask::NoFolder(why) => {
                if let Some(from) = self.opening.take() {
                    self.catch.no_folder(&from.shown, why);
                }
            }
            Ask::Opened { validity, next, exists } => return self.opened(validity, next, exists),
            Ask::Rows(rows) => self.rows(rows),
            Ask::Unlisted(why) => {
                self.whole = false;
                self.catch.unlisted(why);
            }
            Ask::Wave => return self.wave().await,
            Ask::Begin(octets) => self.catch.begin(Some(octets))?,
            Ask::Piece(octets) => self.catch.piece(&octets)?,
            Ask::End(uid) => self.catch.end(&Name::Uid(uid)).await?,
            Ask::Gone(uids) => self.catch.gone(&names(&uids))?,
            Ask::Refused(uids, why) => {
                for name in names(&uids) {
                    self.catch.refused(&name, &why);
                }
            }
            Ask::Deletions => return self.deletions().await,
            Ask::Deleted(Ok(())) => self.catch.deleted(self.marked),
            Ask::Deleted(Err(why)) => self.catch.undeleted(why),
            Ask::Over => self.ended = Verdict::Done,
            Ask::Failed(failure) => {
                self.ended = explained(failure.verdict, &self.server, self.trouble.as_deref());
            }
        }
        Ok(Answer::Noted)
    }

    fn start(&mut self) -> Answer {
        match self.catch.folders() {
            Folders::All => Answer::List(true),
            Folders::These(names) if names.iter().all(|name| name.eq_ignore_ascii_case("INBOX")) => {
                self.folders.push_back(From::inbox("INBOX"));
                Answer::Noted
            }
            // How the levels of their names are parted.
            Folders::These(_) => Answer::List(false),
        }
    }

    fn folders(&mut self, listed: Vec<Listed>) {
        let found: Vec<(String, Option<FolderName>)> = match self.catch.folders() {
            Folders::All => {
                let wanted = listed.into_iter().filter(|one| one.holds && !one.view);
                wanted.map(|one| (folder_of(&one), one.name)).map(|(folder, name)| (name, folder)).collect()
            }
            Folders::These(names) => {
                let separator = listed.first().and_then(|one| one.separator);
                let one = |name: &String| {
                    let folder = FolderName::parse(name, separator.unwrap_or('\0')).ok();
                    let spelled = folder.as_ref().map(|folder| folder.utf7(separator.unwrap_or('\0')));
                    (spelled.unwrap_or_else(|| name.clone()), folder)
                };
                names.iter().map(one).collect()
            }
        };
        for (name, folder) in found {
            let shown = folder.as_ref().map_or_else(|| name.clone(), ToString::to_string);
            let local = match &folder {
                Some(folder) => local(folder),
                None if self.catch.keeps_folders() => {
                    let text = format!("{}: no folder here can have the name {name}", self.server);
                    self.catch.no_folder(&shown, Why::new(2, 0, text));
                    continue;
                }
                None => FolderName::inbox(),
            };
            let key = if folder.is_some_and(|folder| folder.is_inbox()) { "INBOX".to_owned() } else { name };
            if !self.folders.iter().any(|known| known.key == key) {
                self.folders.push_back(From { key, shown, local, validity: 0 });
            }
        }
    }

    fn opened(&mut self, validity: u32, next: Option<Uid>, exists: u32) -> Result<Answer, Why> {
        let Some(from) = self.opening.take() else { return Ok(Answer::Quit) };
        self.queue.clear();
        self.listed.clear();
        self.whole = true;
        self.announced = false;
        self.catch.enter(From { validity, ..from })?;
        let first = match self.catch.deletes() {
            true => Some(1),
            false => self.catch.first_left(),
        };
        let is_new = |first: &Uid| next.is_none_or(|next| *first < next);
        Ok(match first.filter(|first| exists > 0 && is_new(first)) {
            Some(first) => Answer::From(first),
            None => Answer::Quit,
        })
    }

    fn rows(&mut self, rows: Vec<Row>) {
        for Row { uid, flags, date, size } in rows {
            let name = Name::Uid(uid);
            if !self.listed.insert(uid) || self.catch.is_taken(&name) {
                continue;
            }
            let waiting = Waiting { name, flags, date, size: Some(size) };
            if !self.catch.is_too_large(&waiting) {
                self.queue.push_back(waiting);
            }
        }
    }

    async fn wave(&mut self) -> Result<Answer, Why> {
        if !std::mem::replace(&mut self.announced, true) {
            let waiting: Vec<&Waiting> = self.queue.iter().collect();
            self.catch.announce(&waiting);
        }
        if self.catch.is_stopped() || self.catch.is_dry() {
            self.queue.clear();
        }
        let most = self.queue.len().min(WAVE);
        let wave: Vec<Waiting> = self.queue.drain(..most).collect();
        let uids = wave.iter().filter_map(|waiting| waiting.name.uid()).collect();
        if !wave.is_empty() {
            self.catch.wave(wave).await?;
        }
        Ok(Answer::Uids(uids))
    }

    async fn deletions(&mut self) -> Result<Answer, Why> {
        self.catch.finish().await?;
        if self.catch.is_dry() {
            return Ok(Answer::Uids(Vec::new()));
        }
        if self.whole {
            self.catch.pass(&self.listed)?;
        }
        let uids: Vec<Uid> = self.catch.deletable().iter().filter_map(Name::uid).collect();
        self.marked = uids.len() as u64;
        Ok(Answer::Uids(uids))
    }
}

impl<S: Store<Draft: 'static> + 'static> Agent<Client> for Mailbox<'_, S> {
    async fn answer(&mut self, ask: Ask) -> Answer {
        self.ask(ask).await.unwrap_or_else(Answer::Stop)
    }

    fn trouble(&mut self, trouble: &Trouble) {
        self.trouble = Some(trouble.to_string());
    }
}

fn names(uids: &[Uid]) -> Vec<Name> {
    uids.iter().copied().map(Name::Uid).collect()
}

/// The folder that the server calls so, in modified UTF-7 or, as some have it, in UTF-8.
fn folder_of(listed: &Listed) -> Option<FolderName> {
    let separator = listed.separator.unwrap_or('\0');
    let strict = FolderName::from_utf7(&listed.name, separator);
    strict.or_else(|_| FolderName::parse(&listed.name, separator)).ok()
}

/// The folder's name here: without the level INBOX that servers put before the names of all folders within it.
fn local(folder: &FolderName) -> FolderName {
    match folder.levels() {
        [first, rest @ ..] if !rest.is_empty() && first.eq_ignore_ascii_case("INBOX") => {
            FolderName::new(rest.to_vec()).unwrap_or_else(|_| folder.clone())
        }
        _ => folder.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_called_here_as_there_without_the_level_of_inbox() {
        for (name, separator, here) in [
            ("INBOX", Some('/'), Some("INBOX")),
            ("Inbox", None, Some("INBOX")),
            ("INBOX.Sent", Some('.'), Some("Sent")),
            ("inbox.Lists.rust", Some('.'), Some("Lists.rust")),
            ("INBOX.INBOX", Some('.'), Some("INBOX")),
            ("Lists/rust.dev", Some('/'), Some("Lists.rust\\2edev")),
            ("R&APw-st", Some('/'), Some("R\u{fc}st")),
            ("a/b", None, None),
            ("a//b", Some('/'), None),
            ("../../etc", Some('/'), None),
            ("..", Some('/'), None),
        ] {
            let listed = Listed { name: name.to_owned(), separator, holds: true, view: false };
            assert_eq!(folder_of(&listed).map(|it| local(&it).to_string()).as_deref(), here, "{name}");
        }
    }
}
