//! Locks: Dovecot's dotlock, and advisory locks that die with their owner.
