//! When the next round of announcements is due.

use std::time::Duration;

use crate::core::limits::Limits;
use crate::core::rng::Rng;
use crate::types::Time;

/// The rhythm of what this peer says of itself.
#[derive(Debug)]
pub(crate) struct Rhythm {
    interval: Duration,
    jitter_max: Duration,
    gap_min: Duration,
    change_jitter_max: Duration,
    next: Time,
    last: Option<Time>,
}

impl Rhythm {
    /// The first round comes within the jitter, then one each `interval`.
    pub(crate) fn new(interval: Duration, limits: &Limits, now: Time, rng: &mut Rng) -> Rhythm {
        Rhythm {
            interval,
            jitter_max: limits.announce_jitter_max,
            gap_min: limits.announce_gap_min,
            change_jitter_max: limits.change_jitter_max,
            next: now + rng.duration_below(limits.announce_jitter_max),
            last: None,
        }
    }

    /// When the next round is due.
    pub(crate) fn next(&self) -> Time {
        self.next
    }

    /// What is offered changed: the next round comes soon, but not too soon after the last one.
    pub(crate) fn changed(&mut self, now: Time, rng: &mut Rng) {
        let earliest = self.last.map_or(now, |last| last + self.gap_min);
        let soon = earliest.max(now) + rng.duration_below(self.change_jitter_max);
        self.next = self.next.min(soon);
    }

    /// A round was sent.
    pub(crate) fn round_sent(&mut self, now: Time, rng: &mut Rng) {
        self.last = Some(now);
        self.next = now + self.interval + rng.duration_below(self.jitter_max);
    }

    /// A round that would say nothing is not sent, so that it does not hold up the one that will.
    pub(crate) fn put_off(&mut self, now: Time) {
        self.next = now + self.gap_min;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rhythm(rng: &mut Rng) -> Rhythm {
        Rhythm::new(Duration::from_secs(60), &Limits::default(), Time::ZERO, rng)
    }

    #[test]
    fn changes_never_make_more_than_a_round_in_five_seconds() {
        let mut rng = Rng::new(1);
        let mut rhythm = rhythm(&mut rng);
        let first = rhythm.next();
        assert!(first < Time::from_millis(1000));
        rhythm.round_sent(first, &mut rng);
        rhythm.changed(first + Duration::from_millis(10), &mut rng);
        let second = rhythm.next().since(first);
        assert!(second >= Duration::from_secs(5) && second < Duration::from_secs(6), "{second:?}");
        rhythm.round_sent(first + second, &mut rng);
        let third = rhythm.next().since(first + second);
        assert!(third >= Duration::from_secs(60) && third < Duration::from_secs(61), "{third:?}");
    }

    #[test]
    fn a_round_that_is_put_off_holds_up_nothing() {
        let mut rng = Rng::new(1);
        let mut rhythm = rhythm(&mut rng);
        rhythm.put_off(Time::ZERO);
        assert_eq!(rhythm.next(), Time::from_millis(5_000));
        rhythm.changed(Time::from_millis(10), &mut rng);
        assert!(rhythm.next() <= Time::from_millis(60));
    }
}
