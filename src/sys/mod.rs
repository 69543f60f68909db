//! The machine: files made durable, locks, clocks, randomness, watches. `unsafe` lives here or nowhere.

pub mod clock;
pub mod confine;
pub mod disk;
pub mod lock;
pub mod random;
pub mod watch;
