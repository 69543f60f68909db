//! The only sockets: what drives a session over a stream, accepts connections, dials out, speaks TLS and asks the DNS.

pub mod accept;
pub mod converse;
pub mod dial;
pub mod dns;
pub mod link;
pub mod listen;
pub mod network;
pub mod tls;
