//! The spool: the contract of the seam, run on every sibling, and what only the one on disk promises.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod kit;
mod scratch {
    //! A directory for one test, gone when dropped.

    use posthaste::{spool::disk::DiskSpool, sys::disk::Disk};
    use std::path::{Path, PathBuf};

    pub struct Scratch(PathBuf);

    impl Scratch {
        pub fn new() -> Scratch {
            let name =
                format!("posthaste-spool-{}-{:08x}", std::process::id(), posthaste::sys::random::u32());
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir(&path).unwrap();
            Scratch(path)
        }

        pub fn path(&self) -> &Path {
            &self.0
        }

        pub fn spool(&self) -> DiskSpool {
            DiskSpool::open(&Disk::shared(8), &self.0).unwrap()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

mod spool {
    mod contract;
    mod disk;
}

#[test]
fn no_file_is_forgotten() {
    kit::none_forgotten("spool", include_str!("spool.rs"));
}
