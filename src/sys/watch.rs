//! Hints that a directory changed.
