//! How much of what is written to a connection the kernel may hold unsent: what its link takes in a millisecond.
//!
//! Little, so that what is sent next is decided late and here, and what is urgent does not stand behind a queue; enough to keep the
//! link busy between two turns. Over a fast link little means to be woken for every few segments, which costs the
//! sender more than the sending.

use std::time::Duration;

use crate::core::Time;

/// The least: what a gigabit link takes in a millisecond.
pub(super) const UNSENT_BYTES_MIN: u32 = 128 << 10;
/// The most; more wins nothing.
const UNSENT_BYTES_MAX: u32 = 1 << 20;
/// The time for which what is unsent should last.
const AHEAD: Duration = Duration::from_millis(1);
/// So many bytes are one measurement of how fast a link is.
const MEASURED_BYTES: u64 = 1 << 20;

/// One connection's.
#[derive(Debug, Default)]
pub(super) struct Pace {
    since: Option<Time>,
    bytes: u64,
    unsent: Option<u32>,
}

impl Pace {
    /// So many bytes were written: what may be unsent from now on, where that changes.
    pub(super) fn moved(&mut self, now: Time, bytes: u64) -> Option<u32> {
        let since = *self.since.get_or_insert(now);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes < MEASURED_BYTES {
            return None;
        }
        let took = now.since(since).max(Duration::from_nanos(1));
        let ahead = u128::from(self.bytes).saturating_mul(AHEAD.as_nanos()) / took.as_nanos();
        (self.since, self.bytes) = (Some(now), 0);
        // In powers of two, so that it is not said anew all the time.
        let ahead = u32::try_from(ahead).unwrap_or(u32::MAX).clamp(UNSENT_BYTES_MIN, UNSENT_BYTES_MAX);
        let unsent = 1 << ahead.ilog2();
        let before = self.unsent.replace(unsent).unwrap_or(UNSENT_BYTES_MIN);
        (before != unsent).then_some(unsent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_millisecond_of_what_the_link_takes() {
        let mut now = Time::ZERO;
        let mut pace = Pace::default();
        // A gigabit, 3 and 100 of them, and a link that became slow.
        for (took, unsent) in [
            (Duration::from_micros(8_400), None),
            (Duration::from_micros(2_800), Some(256 << 10)),
            (Duration::from_micros(84), Some(1 << 20)),
            (Duration::ZERO, None),
            (Duration::from_secs(1), Some(128 << 10)),
        ] {
            assert_eq!(pace.moved(now, MEASURED_BYTES / 2), None);
            now = now + took;
            assert_eq!(pace.moved(now, MEASURED_BYTES / 2), unsent, "{took:?}");
        }
    }
}
