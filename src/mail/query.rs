//! What store and wire both speak of: UID sets, modification sequences and search keys.
