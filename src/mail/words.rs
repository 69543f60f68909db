//! Encoded words (RFC 2047), parameters (RFC 2231) and charsets, decoded for people and encoded for headers.
