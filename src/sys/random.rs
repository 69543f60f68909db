//! Random octets from the kernel.

use super::clock::Clock;
use crate::mail::id::QueueId;
use rustix::rand::{GetRandomFlags, getrandom};
use std::{
    io,
    sync::atomic::{AtomicU32, Ordering},
};

/// Fills `buffer` with octets fit for keys.
pub fn fill(mut buffer: &mut [u8]) -> io::Result<()> {
    while !buffer.is_empty() {
        match getrandom(&mut *buffer, GetRandomFlags::empty()) {
            Ok(got) => buffer = buffer.get_mut(got..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            Err(fault) => return Err(fault.into()),
        }
    }
    Ok(())
}

/// A number that tells names apart (not fit for keys: where the kernel has no randomness it is only a count mixed
/// with the process id and the clock).
pub fn u32() -> u32 {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let mut octets = [0; 4];
    match fill(&mut octets) {
        Ok(()) => u32::from_ne_bytes(octets),
        Err(_) => {
            let count = COUNT.fetch_add(0x9e37_79b9, Ordering::Relaxed);
            let time = Clock::system().micros() as u32;
            count ^ std::process::id().rotate_left(16) ^ time
        }
    }
}

/// A queue id for a message that arrives now.
pub fn queue_id(clock: &Clock) -> QueueId {
    QueueId::new(clock.micros(), u32())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_ids_of_one_moment_differ() {
        let clock = Clock::standing(1_795_000_000_000_000);
        assert_ne!(queue_id(&clock), queue_id(&clock));
        let mut octets = [0; 64];
        fill(&mut octets).unwrap();
        assert_ne!(octets, [0; 64]);
    }
}
