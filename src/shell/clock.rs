//! The operating system's monotonic clock, as the core counts time, and its randomness for a seed.

use std::time::{Duration, Instant};

use rustix::rand::{GetRandomFlags, getrandom};

use crate::types::Time;

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
    let mut seed = [0; 8];
    match getrandom(&mut seed, GetRandomFlags::empty()) {
        Ok(8) => u64::from_ne_bytes(seed),
        // A system without randomness still has a clock and process ids.
        Ok(_) | Err(_) => {
            let moment =
                std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            u64::from(moment.subsec_nanos()) << 32
                ^ moment.as_secs()
                ^ u64::from(std::process::id()).rotate_right(16)
        }
    }
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
