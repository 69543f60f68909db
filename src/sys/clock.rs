//! The time of day, asked for in one place so that a test can set it.
