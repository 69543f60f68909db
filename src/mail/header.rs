//! The header section of a message: fields, folding, and lookups by name (RFC 5322 section 2.2).
