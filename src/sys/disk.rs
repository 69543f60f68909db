//! The durable sequence: write, sync, link, sync the directory; and the pool that shares syncs.
