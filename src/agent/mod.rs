//! The verbs: what a program does once its flags are an order.

pub mod compose;
pub mod daemon;
pub mod deliver;
pub mod fetch;
pub mod list;
pub mod message;
pub mod queue;
pub mod relay;
pub mod route;
pub mod send;
pub mod serve;
pub mod show;
pub mod user;
