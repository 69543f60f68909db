//! One file a program: flags become settings, settings an order for an agent.

pub mod config;
pub mod exit;
pub mod flags;
pub mod log;
pub mod secret;
pub mod server;
