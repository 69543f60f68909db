//! The contract of the spool seam, run on every sibling.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod spool {
    pub mod contract;
}
