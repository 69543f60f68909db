//! The verbs: what a program does once its flags are an order.

pub mod deliver;
pub mod queue;
pub mod route;
