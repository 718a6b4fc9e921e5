//! What this host's link carries, as far as uploads have shown, and whether one of them takes all of it.
//!
//! Chunks that go out one after the other are there sooner than those that go out side by side, and no later: over a
//! link that is full, the first of four is there in a quarter of the time, and can be passed on.

use std::time::Duration;

use crate::core::time::Time;

/// One measurement takes at least so long, and so many bytes.
const SPAN: Duration = Duration::from_millis(50);
const SPAN_BYTES: u64 = 256 << 10;
/// With each measurement that is no better the best one fades by one of so many parts.
const FADES: u64 = 32;
/// What a chunk is taken to take before anything was measured.
const FIRST: Duration = Duration::from_millis(10);

/// See the file's head.
#[derive(Debug, Default)]
pub(super) struct Uplink {
    /// When the measurement that is under way began, and what was carried since.
    since: Option<Time>,
    bytes: u64,
    /// The most that was carried, in bytes a second.
    best: u64,
}

impl Uplink {
    /// So many bytes were carried, over all uploads.
    pub(super) fn carried(&mut self, now: Time, bytes: u64) {
        let since = *self.since.get_or_insert(now);
        self.bytes = self.bytes.saturating_add(bytes);
        let took = now.since(since);
        if took < SPAN || self.bytes < SPAN_BYTES {
            return;
        }
        let rate = u128::from(self.bytes).saturating_mul(1_000_000_000) / took.as_nanos().max(1);
        let faded = self.best - self.best / FADES;
        self.best = u64::try_from(rate).unwrap_or(u64::MAX).max(faded);
        (self.since, self.bytes) = (Some(now), 0);
    }

    /// Nothing is being sent: what comes next is measured by itself.
    pub(super) fn rest(&mut self) {
        (self.since, self.bytes) = (None, 0);
    }

    /// The most that was carried lately, in bytes a second.
    pub(super) fn best(&self) -> Option<u64> {
        (self.best > 0).then_some(self.best)
    }

    /// How long so many bytes take when nothing else is carried.
    pub(super) fn takes(&self, bytes: u32) -> Duration {
        let nanos = u64::from(bytes).saturating_mul(1_000_000_000).checked_div(self.best);
        nanos.map_or(FIRST, Duration::from_nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_counts_and_fades_and_pauses_do_not() {
        let mut uplink = Uplink::default();
        assert_eq!(uplink.takes(1 << 20), FIRST);
        let mut now = Time::ZERO;
        uplink.carried(now, 0);
        // 10 MB a second.
        for _ in 0..10 {
            now = now + Duration::from_millis(10);
            uplink.carried(now, 100_000);
        }
        assert_eq!(uplink.takes(1_000_000), Duration::from_millis(100));
        uplink.rest();
        now = now + Duration::from_secs(100);
        uplink.carried(now, 0);
        now = now + SPAN;
        uplink.carried(now, 500_000);
        assert_eq!(uplink.takes(1_000_000), Duration::from_millis(100));
        // A link that became ten times as slow is believed after a while.
        for _ in 0..200 {
            now = now + SPAN * 10;
            uplink.carried(now, 500_000);
        }
        assert_eq!(uplink.takes(1_000_000), Duration::from_secs(1));
    }
}
