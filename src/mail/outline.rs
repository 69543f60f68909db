//! The shape of a message as octet ranges: what IMAP calls ENVELOPE and BODYSTRUCTURE.
