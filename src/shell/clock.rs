//! The operating system's monotonic clock, as the core counts time, and its randomness for a seed.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use crate::core::Time;

/// Counts from its making.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    start: Instant,
}

impl Clock {
    pub(super) fn new() -> Clock {
        Clock { start: Instant::now() }
    }

    pub(super) fn now(&self) -> Time {
        Time::ZERO + self.start.elapsed()
    }

    /// The moment that the core calls `time`; `None` when it is too far away to ever come.
    pub(super) fn instant(&self, time: Time) -> Option<Instant> {
        self.start.checked_add(Duration::from_nanos(time.as_nanos()))
    }
}

/// A seed that differs in every process and at every call.
pub(super) fn random_seed() -> u64 {
    // The standard library keys its hashers from the operating system's randomness. One such key is 128 bits for
    // all hashers of a thread, so the process and the moment are mixed in.
    let moment = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    RandomState::new().hash_one((std::process::id(), moment))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_and_its_instant_agree() {
        let clock = Clock::new();
        let now = clock.now();
        assert!(clock.instant(now).is_some_and(|instant| instant <= Instant::now()));
        assert!(clock.now() >= now);
        assert_ne!(random_seed(), random_seed());
    }
}
