//! How much of what is written to a connection the kernel may hold unsent: what its link takes in a millisecond.
//!
//! Little, so that what is sent next is decided late and here, and what is urgent does not stand behind a queue; enough to keep the
//! link busy between two turns. Over a fast link little means to be woken for every few segments, which costs the
//! sender more than the sending.

use std::time::Duration;

use crate::types::Time;

/// The least, however slow the link of this host is: fewer mean to be woken all the time.
const UNSENT_BYTES_MIN: u32 = 32 << 10;
/// What all connections begin with, and may have in any case over a fast link: what a gigabit carries in a millisecond.
pub(super) const UNSENT_BYTES: u32 = 128 << 10;
/// The most; more wins nothing.
const UNSENT_BYTES_MAX: u32 = 1 << 20;
/// The time for which what is unsent should last.
const AHEAD: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
/// So many bytes are one measurement of how fast a link is.
const MEASURED_BYTES: u64 = 1 << 20;

/// One connection's.
#[derive(Debug, Default)]
pub(super) struct Pace {
    since: Option<Time>,
    bytes: u64,
    /// What it takes in that time by itself, once that was measured.
    ahead: u32,
    unsent: Option<u32>,
}

impl Pace {
    /// So many bytes were written, and this host's link carries `carries` bytes a second, if that is known: what may be unsent
    /// from now on, where that changes. Many connections that share a fast link are slow, but not because they wait for it.
    pub(super) fn moved(&mut self, now: Time, bytes: u64, carries: Option<u64>) -> Option<u32> {
        let since = *self.since.get_or_insert(now);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes >= MEASURED_BYTES {
            let took = now.since(since).max(Duration::from_nanos(1));
            self.ahead = ahead(u128::from(self.bytes), took, UNSENT_BYTES_MAX);
            (self.since, self.bytes) = (Some(now), 0);
        }
        let shared = carries.map_or(UNSENT_BYTES, |rate| ahead(u128::from(rate), SECOND, UNSENT_BYTES));
        let unsent = self.ahead.max(shared);
        let before = self.unsent.replace(unsent).unwrap_or(UNSENT_BYTES);
        (before != unsent).then_some(unsent)
    }
}

/// What goes out in [`AHEAD`] when so many bytes take so long: a power of two, so that it is not said anew all the time.
fn ahead(bytes: u128, took: Duration, most: u32) -> u32 {
    let ahead = bytes.saturating_mul(AHEAD.as_nanos()) / took.as_nanos().max(1);
    1 << u32::try_from(ahead).unwrap_or(u32::MAX).clamp(UNSENT_BYTES_MIN, most).ilog2()
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
            assert_eq!(pace.moved(now, MEASURED_BYTES / 2, None), None);
            now = now + took;
            assert_eq!(pace.moved(now, MEASURED_BYTES / 2, None), unsent, "{took:?}");
        }
    }

    #[test]
    fn over_a_slow_link_it_is_less_for_all() {
        let mut pace = Pace::default();
        let megabits = |rate: u64| Some(rate * 1_000_000 / 8);
        for (carries, unsent) in [
            (None, None),
            (megabits(100), Some(32 << 10)),
            (megabits(400), None),
            (megabits(600), Some(64 << 10)),
            (megabits(100_000), Some(128 << 10)),
            (Some(0), Some(32 << 10)),
        ] {
            assert_eq!(pace.moved(Time::ZERO, 1, carries), unsent, "{carries:?}");
        }
    }
}
