//! Dates as mail writes them (RFC 5322 section 3.3), in and out.
