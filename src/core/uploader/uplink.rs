//! What this host's link carries, and whether chunks had better leave it one after the other or side by side.
//!
//! Over a link that is full, chunks that go one after the other are there sooner than side by side, and no later: the first
//! of four is there in a quarter of the time, and can be passed on. Where receivers are slower than the link, it is full only side by
//! side. Nobody says which it is, so now and then the other way is tried, and what carries more goes on.

use std::time::Duration;

use crate::types::Time;

/// One measurement takes at least so long, and so many bytes: what sockets take in at once is little beside them.
const SPAN: Duration = Duration::from_millis(100);
const SPAN_BYTES: u64 = 2 << 20;
/// With each measurement that is no better the best one fades by one of so many parts.
const FADES: u64 = 16;
/// What a chunk is taken to take before anything was measured.
const FIRST: Duration = Duration::from_millis(10);
/// Side by side it has to carry so many percent of what it carries one after the other.
const BETTER_PERCENT: u64 = 130;
/// Every so many measurements is one of the other way.
const TRIAL_EVERY: u32 = 16;

/// See [the module](self).
#[derive(Debug, Default)]
pub(super) struct Uplink {
    /// When the measurement that is under way began, and what was carried since.
    since: Option<Time>,
    bytes: u64,
    /// Somebody waited all the time; else it does not say what either way can carry.
    contended: bool,
    /// The most that was carried, in bytes a second.
    best: u64,
    /// What was carried one after the other and side by side, while somebody waited, in bytes a second.
    alone: Option<u64>,
    beside: Option<u64>,
    /// Whether chunks go side by side.
    is_beside: bool,
    measured: u32,
}

impl Uplink {
    /// The first of those that are to be served now: what was carried before is no part of it.
    pub(super) fn begin(&mut self, now: Time) {
        (self.since, self.bytes, self.contended) = (Some(now), 0, true);
    }

    /// So many bytes were carried, over all uploads; `waiting`: somebody waits for a slot.
    pub(super) fn carried(&mut self, now: Time, bytes: u64, waiting: bool) {
        let Some(since) = self.since else { return };
        self.bytes = self.bytes.saturating_add(bytes);
        self.contended &= waiting;
        let took = now.since(since);
        if took < SPAN || self.bytes < SPAN_BYTES {
            return;
        }
        let rate = u128::from(self.bytes).saturating_mul(1_000_000_000).checked_div(took.as_nanos());
        let rate = rate.and_then(|rate| u64::try_from(rate).ok()).unwrap_or(u64::MAX);
        self.best = rate.max(self.best.saturating_sub(self.best / FADES));
        if self.contended {
            let way = if self.is_beside { &mut self.beside } else { &mut self.alone };
            *way = Some(rate);
            self.choose();
        }
        self.begin(now);
    }

    /// Whether chunks go side by side whatever they take.
    pub(super) fn is_beside(&self) -> bool {
        self.is_beside
    }

    /// The most that was carried lately, in bytes a second.
    pub(super) fn best(&self) -> Option<u64> {
        (self.best > 0).then_some(self.best)
    }

    /// How long so many bytes take when nothing else is carried.
    pub(super) fn takes(&self, bytes: u64) -> Duration {
        let nanos = bytes.saturating_mul(1_000_000_000).checked_div(self.best);
        nanos.map_or(FIRST, Duration::from_nanos)
    }

    fn choose(&mut self) {
        self.measured = self.measured.wrapping_add(1);
        let beside_is_better = match (self.alone, self.beside) {
            (Some(alone), Some(beside)) => beside / BETTER_PERCENT > alone / 100,
            (None, _) => false,
            (_, None) => true,
        };
        self.is_beside = beside_is_better != self.measured.is_multiple_of(TRIAL_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A link that carries so many bytes a second one after the other, and so many side by side: the ways it went, each for one
    /// measurement.
    fn ways(uplink: &mut Uplink, now: &mut Time, [alone, beside]: [u64; 2], waiting: bool) -> Vec<bool> {
        uplink.begin(*now);
        let way = |_| {
            let way = uplink.is_beside();
            for _ in 0..10 {
                *now = *now + SPAN / 10;
                uplink.carried(*now, if way { beside } else { alone } / 100, waiting);
            }
            way
        };
        (0..48).map(way).collect()
    }

    #[test]
    fn what_carries_more_goes_on_and_the_other_is_tried_now_and_then() {
        let (mut uplink, mut now) = (Uplink::default(), Time::ZERO);
        let count = |ways: Vec<bool>| ways.into_iter().filter(|beside| *beside).count();
        // A link that is full: side by side carries no more.
        assert!((2..=5).contains(&count(ways(&mut uplink, &mut now, [80_000_000, 90_000_000], true))));
        assert!((80_000_000..=90_000_000).contains(&uplink.best), "{uplink:?}");
        // Receivers a quarter as fast as the link.
        assert!(count(ways(&mut uplink, &mut now, [40_000_000, 160_000_000], true)) > 30);
        assert_eq!(uplink.takes(160_000_000), Duration::from_secs(1));
        assert!(count(ways(&mut uplink, &mut now, [160_000_000, 160_000_000], true)) < 18);
        // With nobody waiting neither is known, but what the link carries is.
        let mut uplink = Uplink::default();
        assert_eq!(count(ways(&mut uplink, &mut now, [50_000_000; 2], false)), 0);
        assert_eq!((uplink.alone, uplink.takes(50_000_000)), (None, Duration::from_secs(1)));
    }

    #[test]
    fn pauses_are_no_part_of_it_and_a_link_that_became_slower_is_believed() {
        let (mut uplink, mut now) = (Uplink::default(), Time::ZERO);
        uplink.carried(now, 1 << 30, true);
        assert_eq!(uplink.best(), None);
        ways(&mut uplink, &mut now, [80_000_000; 2], true);
        now = now + Duration::from_secs(100);
        ways(&mut uplink, &mut now, [80_000_000; 2], true);
        assert_eq!(uplink.best(), Some(80_000_000));
        (0..10).for_each(|_| drop(ways(&mut uplink, &mut now, [40_000_000; 2], true)));
        assert_eq!(uplink.best(), Some(40_000_000));
    }
}
