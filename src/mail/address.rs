//! Mail addresses as SMTP speaks of them (RFC 5321 section 4.1.2).

use std::net::IpAddr;

/// What stands behind the `@`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Domain {
    /// A host name in lower case, without a final dot.
    Name(String),
    /// An address literal, `[192.0.2.1]` or `[IPv6:2001:db8::1]`.
    Literal(IpAddr),
}

/// `Mailbox = Local-part "@" ( Domain / address-literal )` (RFC 5321 section 4.1.2). The local part is kept
/// unquoted and in its own case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mailbox {
    /// The local part's meaning, without quotes and backslashes.
    pub local: String,
    /// The domain or address literal.
    pub domain: Domain,
}
