//! posthaste: a mail system made of small Unix commands.
//!
//! The floors, lowest first; a module imports only from lower ones (ARCHITECTURE.md, section 2):
//! `mail` and `sys`; then `wire`, `store`, `spool`, `account`; then `net`; then `agent`; then `cli`.

pub mod account;
pub mod agent;
pub mod cli;
pub mod mail;
pub mod net;
pub mod spool;
pub mod store;
pub mod sys;
pub mod wire;
