//! The folders that every account is to have: made and subscribed to where they are missing.

use crate::{
    mail::folder::FolderName,
    store::{Fault, Home, Store},
    wire::imap::server::special_use,
};

/// Makes what is missing of `wanted`. A folder with a use (drafts, sent messages, ...) is not missing where there is another for it,
/// by any of its usual names.
pub(super) fn make<S: Store>(store: &S, home: &Home, wanted: &[FolderName]) -> Result<(), Fault> {
    let there: Vec<FolderName> =
        store.folders(home)?.into_iter().filter(|one| one.exists).map(|one| one.name).collect();
    let has = |folder: &FolderName| {
        let used = special_use(folder);
        there.iter().any(|known| known == folder || (used.is_some() && special_use(known) == used))
    };
    for folder in wanted.iter().filter(|folder| !has(folder)) {
        match store.create(home, folder) {
            // Another session was quicker.
            Ok(()) | Err(Fault::Exists) => store.subscribe(home, folder, true)?,
            Err(fault) => return Err(fault),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::Memory;

    #[test]
    fn what_is_missing_is_made_and_subscribed_once() {
        let store = Memory::default();
        let home = Home { account: "a@example.org".into(), location: "a".into() };
        let folder = |name: &str| FolderName::parse(name, '/').unwrap();
        for name in ["Sent Items", "Lists"] {
            store.create(&home, &folder(name)).unwrap();
        }
        let wanted = ["Drafts", "Sent", "Lists", "A/b"].map(folder);
        let listed = || -> Vec<(String, bool, bool)> {
            let all = store.folders(&home).unwrap().into_iter().filter(|one| !one.name.is_inbox());
            all.map(|one| (one.name.text('/'), one.exists, one.subscribed)).collect()
        };
        for _ in 0..2 {
            make(&store, &home, &wanted).unwrap();
            let is = |name: &str, subscribed| (name.to_owned(), true, subscribed);
            let all = [is("A/b", true), is("Drafts", true), is("Lists", false), is("Sent Items", false)];
            assert_eq!(listed(), all);
        }
        // What its owner does not want to see is not shown again.
        store.subscribe(&home, &folder("Drafts"), false).unwrap();
        make(&store, &home, &wanted).unwrap();
        assert!(listed().contains(&("Drafts".to_owned(), true, false)));
    }
}
