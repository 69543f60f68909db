//! The selected folder: what is asked of it, and how its watch tells the session.

use super::{
    FULL, User, confused, done,
    message::{self, Opened, Outlines},
    search::{At, Searching, Slice},
};
use crate::{
    mail::{
        folder::FolderName,
        query::{ModSeq, Uid, UidSet},
    },
    net::accept::Closing,
    store::{self, Act, Done, Fault, Scope, Store, Watching},
    wire::imap::server::{Answer, Ask, Changes, Code, Measure, Refusal, Row, Snapshot},
};
use std::{
    collections::BTreeSet,
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// Rows that are looked at together when a folder is selected.
const ROWS: usize = 10_000;
/// Keywords that are told at a selection, at most.
const KEYWORDS: usize = 200;
/// How long a search goes on before its session looks whether somebody waits for it.
const SLICE: Duration = Duration::from_millis(100);

/// A selected folder.
pub(super) struct Selected<S: Store> {
    folder: FolderName,
    read_only: bool,
    /// The session's UIDs are good only together with this.
    uid_validity: u32,
    /// Something happened to the folder since it was last seen to be the one that was selected.
    rung: Arc<AtomicBool>,
    /// Greater than every UID that the session knows.
    uid_next: Uid,
    stirred: Arc<Notify>,
    /// It ends with us. A store's may be of use on one thread only.
    _watching: Mutex<Option<Watching>>,
    opened: Option<Opened<S>>,
    outlines: Outlines,
    searching: Option<Box<Searching<S>>>,
}

impl<S: Store + 'static> Selected<S> {
    /// Selects a folder. It is watched before it is read, so that nothing is missed.
    pub(super) async fn open(
        user: &User<S>,
        folder: FolderName,
        read_only: bool,
    ) -> Result<(Selected<S>, Snapshot), Refusal> {
        let (stirred, rung) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
        let (bell, mark, of) = (Arc::clone(&stirred), Arc::clone(&rung), folder.clone());
        let (watching, snapshot) = user
            .ask(move |store, home| {
                let tell = Box::new(move || {
                    mark.store(true, Ordering::SeqCst);
                    bell.notify_one();
                });
                let watching = store.watch(home, &Scope::Folder(of.clone()), tell)?;
                let snapshot = store.open(home, &of, !read_only)?;
                let (unseen, keywords) =
                    first_look(&snapshot.uids, |uids, most| store.rows(home, &of, uids, most))?;
                let snapshot = Snapshot {
                    uid_validity: snapshot.uid_validity,
                    uid_next: snapshot.uid_next,
                    modseq: snapshot.modseq,
                    uids: snapshot.uids,
                    recent: snapshot.recent,
                    unseen,
                    keywords,
                };
                Ok((watching, snapshot))
            })
            .await?;
        let selected = Selected {
            folder,
            read_only,
            uid_validity: snapshot.uid_validity,
            rung,
            uid_next: snapshot.uid_next,
            stirred,
            _watching: Mutex::new(Some(watching)),
            opened: None,
            outlines: Outlines::default(),
            searching: None,
        };
        Ok((selected, snapshot))
    }

    /// Rings when something may have changed.
    pub(super) fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.stirred)
    }

    /// Answers what is asked of the folder.
    pub(super) async fn answer(&mut self, user: &User<S>, closing: &mut Closing, ask: Ask) -> Answer {
        // What changed is told together with the UIDVALIDITY.
        let told = matches!(ask, Ask::Changes { .. });
        if self.rung.swap(false, Ordering::SeqCst) && !told && !self.is_same(user).await {
            return Answer::Bye("The mailbox was made anew".into());
        }
        let folder = self.folder.clone();
        match ask {
            Ask::Rows { uids, most } => {
                let rows = user.ask(move |store, home| store.rows(home, &folder, &uids, most)).await;
                rows.map_or_else(Answer::No, |rows| Answer::Rows(rows.into_iter().map(row).collect()))
            }
            Ask::Measures { uids, most } => {
                let measures = user.ask(move |store, home| store.measures(home, &folder, &uids, most)).await;
                measures
                    .map_or_else(Answer::No, |all| Answer::Measures(all.into_iter().map(measure).collect()))
            }
            Ask::Size(uid) => {
                let counted = user.ask(move |store, home| store.counted(home, &folder, uid)).await;
                counted
                    .map_or_else(Answer::No, |one| Answer::Measures(one.into_iter().map(measure).collect()))
            }
            Ask::Heads { uids, most } => self.heads(user, uids, most).await,
            Ask::Outline(uid) => self.outline(user, uid).await,
            Ask::Read { uid, range } => self.read(user, uid, range).await,
            Ask::Search(key) => match Searching::new(key) {
                Ok(searching) => self.search(user, closing, Box::new(searching)).await,
                Err(fault) => Answer::No(user.refusal(fault)),
            },
            Ask::GoOn => match self.searching.take() {
                Some(searching) => self.search(user, closing, searching).await,
                None => confused(),
            },
            Ask::Changes { since } => self.changes(user, since).await,
            Ask::Flag { uids, change, flags } => {
                let act = Act::Flag { folder, uids, change, flags, unchanged_since: None };
                done(self.apply(user, act).await.map(drop))
            }
            Ask::Expunge { uids } => {
                let expunged = self.apply(user, Act::Expunge { folder, uids, deleted_only: true }).await;
                user.removed();
                done(expunged.map(drop))
            }
            Ask::Copy { uids, to } => match self.room(user, &uids).await {
                Ok(size) => {
                    let done = self.apply(user, Act::Copy { from: folder, uids, to }).await;
                    if done.is_ok() {
                        user.added(size);
                    }
                    copied(done)
                }
                Err(refusal) => Answer::No(refusal),
            },
            Ask::Move { uids, to } => copied(self.apply(user, Act::Move { from: folder, uids, to }).await),
            _ => confused(),
        }
    }

    /// False when another folder has the name by now: the UIDs that the client knows would name other messages there.
    async fn is_same(&mut self, user: &User<S>) -> bool {
        let (folder, validity) = (self.folder.clone(), self.uid_validity);
        match user.ask(move |store, home| Ok(store.status(home, &folder)?.uid_validity == validity)).await {
            Ok(is_same) => is_same,
            Err(_) => {
                // It is gone, or can't be looked at. A new one of its name would not ring.
                self.rung.store(true, Ordering::SeqCst);
                true
            }
        }
    }

    /// Changes messages, where the folder is still the one that was selected, whether or not anything rang.
    async fn apply(&mut self, user: &User<S>, act: Act<S::Draft>) -> Result<Option<Done>, Refusal> {
        let (folder, validity) = (self.folder.clone(), self.uid_validity);
        let applied = user.ask(move |store, home| {
            if store.status(home, &folder)?.uid_validity != validity {
                return Err(Fault::NoMessage);
            }
            store.apply(home, vec![act]).outcomes.pop().transpose()
        });
        applied.await
    }

    /// A slice of a search, when it has its turn.
    async fn search(
        &mut self,
        user: &User<S>,
        closing: &mut Closing,
        searching: Box<Searching<S>>,
    ) -> Answer {
        let quick = searching.is_quick();
        let turn = async {
            match quick {
                true => None,
                // It is never closed.
                false => user.serve.searches.acquire().await.ok(),
            }
        };
        let _turn = tokio::select! {
            biased;
            () = closing.wanted() => return Answer::Bye("Going down for a while; come back later".into()),
            turn = turn => turn,
        };
        let folder = self.folder.clone();
        let slice = user.ask(move |store, home| {
            let until = Instant::now() + SLICE;
            searching.slice(At { store, home, folder: &folder }, until)
        });
        match slice.await {
            Ok(Slice::Done(found)) => Answer::Found(found),
            Ok(Slice::More(searching)) => {
                self.searching = Some(searching);
                Answer::Searching
            }
            Err(refusal) => Answer::No(refusal),
        }
    }

    /// The octets of messages that are to be copied, where the account has room for them.
    async fn room(&mut self, user: &User<S>, uids: &UidSet) -> Result<u64, Refusal> {
        let Some(quota) = user.quota() else { return Ok(0) };
        let (folder, uids, serve) = (self.folder.clone(), uids.clone(), Arc::clone(&user.serve));
        let room = user.ask(move |store, home| {
            let measures = store.measures(home, &folder, &uids, usize::MAX)?;
            let size = measures.iter().fold(0_u64, |sum, one| sum.saturating_add(one.octets));
            Ok(serve.has_room(home, Some(quota), size)?.then_some(size))
        });
        room.await?.ok_or(FULL)
    }

    async fn heads(&mut self, user: &User<S>, uids: Vec<Uid>, most: usize) -> Answer {
        let folder = self.folder.clone();
        let read = user.ask(move |store, home| message::heads((store, home, &folder), &uids, most)).await;
        match read {
            Ok((heads, opened, fault)) => {
                if let Some(fault) = fault {
                    user.refusal(fault);
                }
                self.opened = opened;
                Answer::Heads(heads)
            }
            Err(refusal) => Answer::No(refusal),
        }
    }

    async fn outline(&mut self, user: &User<S>, uid: Uid) -> Answer {
        let (folder, known) = (self.folder.clone(), self.outlines.get(uid));
        match user.ask(move |store, home| message::outline((store, home, &folder), known, uid)).await {
            Ok(outlined) => {
                if let Some(outlined) = &outlined {
                    self.outlines.keep(outlined);
                }
                Answer::Outline(outlined.map(|outlined| Box::new(outlined.outline)))
            }
            Err(refusal) => Answer::No(refusal),
        }
    }

    async fn read(&mut self, user: &User<S>, uid: Uid, range: Range<u64>) -> Answer {
        let (folder, kept) = (self.folder.clone(), self.opened.take());
        match user.ask(move |store, home| message::read((store, home, &folder), kept, uid, range)).await {
            Ok((opened, octets)) => {
                self.opened = opened;
                if octets.as_ref().is_none_or(Vec::is_empty) {
                    user.changed_under_us(uid);
                }
                Answer::Octets(octets)
            }
            Err(refusal) => Answer::No(refusal),
        }
    }

    /// What changed; of what came it is taken, unless we only look, which messages no session took before.
    async fn changes(&mut self, user: &User<S>, since: ModSeq) -> Answer {
        let (folder, known, take) = (self.folder.clone(), self.uid_next, !self.read_only);
        match user.ask(move |store, home| store.changes(home, &folder, since, take)).await {
            Ok(changes) => {
                self.uid_next = self.uid_next.max(changes.uid_next);
                let recent =
                    changes.changed.iter().filter(|&uid| uid >= known && changes.recent.contains(uid));
                Answer::Changes(Changes {
                    modseq: changes.modseq,
                    uid_validity: changes.uid_validity,
                    uid_next: changes.uid_next,
                    recent: recent.collect(),
                    changed: changes.changed,
                    vanished: changes.vanished,
                })
            }
            Err(refusal) => {
                self.rung.store(true, Ordering::SeqCst);
                Answer::No(refusal)
            }
        }
    }
}

impl<S: Store> Drop for Selected<S> {
    fn drop(&mut self) {
        // The last of it may join a thread or two.
        drop(self._watching.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

fn copied(done: Result<Option<Done>, Refusal>) -> Answer {
    match done {
        Ok(Some(Done::Copied { uid_validity, pairs })) => Answer::Copied { uid_validity, pairs },
        Ok(_) => confused(),
        // The folder that they are in is open: it is the other that is missing.
        Err(Refusal { code: Some(Code::NonExistent), text }) => {
            Answer::No(Refusal::new(Code::TryCreate, text))
        }
        Err(refusal) => Answer::No(refusal),
    }
}

/// The first message that is not `\Seen`, and the keywords in use.
fn first_look(
    uids: &UidSet,
    rows: impl Fn(&UidSet, usize) -> Result<Vec<store::Row>, Fault>,
) -> Result<(Option<Uid>, Vec<String>), Fault> {
    let (mut unseen, mut keywords) = (None, BTreeSet::new());
    let mut left = uids.clone();
    while !left.is_empty() {
        let some = rows(&left, ROWS)?;
        for row in &some {
            if !row.flags.seen {
                unseen = unseen.or(Some(row.uid));
            }
            for keyword in row.flags.names().filter(|name| !name.starts_with('\\')) {
                if keywords.len() < KEYWORDS && !keywords.contains(keyword) {
                    keywords.insert(keyword.to_owned());
                }
            }
        }
        let Some(last) = some.last().map(|row| row.uid).filter(|_| some.len() >= ROWS) else { break };
        left = left.iter().filter(|uid| *uid > last).collect();
    }
    Ok((unseen, keywords.into_iter().collect()))
}

fn row(row: store::Row) -> Row {
    Row { uid: row.uid, flags: row.flags, modseq: row.modseq }
}

fn measure(measure: store::Measure) -> Measure {
    Measure { uid: measure.uid, octets: measure.octets, date: measure.date }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::flags::Flags;

    #[test]
    fn no_more_keywords_are_told_at_a_selection_than_it_may() {
        for (count, told) in [(199, 199), (200, 200), (201, 200)] {
            let row = |uid: Uid| {
                let mut flags = Flags { seen: uid < 7, ..Flags::default() };
                flags.insert(&format!("k{uid}")).unwrap();
                store::Row { uid, flags, modseq: ModSeq(1), uidl: None }
            };
            let all = UidSet::new([1..=count]);
            let rows = |uids: &UidSet, most: usize| Ok(uids.iter().take(most).map(row).collect());
            let (unseen, keywords) = first_look(&all, rows).unwrap();
            assert_eq!((unseen, keywords.len()), (Some(7), told), "{count}");
        }
    }
}
