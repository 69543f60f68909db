//! Folder names.

/// A folder's name as a list of levels in UTF-8; `INBOX` is the single level `INBOX`, in any case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FolderName(Vec<String>);
