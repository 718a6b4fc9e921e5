//! The most that may move in a second in one direction, over all connections and datagrams of this process.
//!
//! A token bucket: room grows with time, what moves takes from it, and who finds none is held until there is some. The
//! limit holds where bytes meet sockets, so it is the same for every protocol; whose turn it is, is decided before. Bytes
//! of TCP, IP and the link itself are not counted.

use std::time::{Duration, Instant};

use crate::shell::config::Rates;
use crate::shell::ready::ReadyQueue;

/// Room for so long may pile up while nothing moves, or while the loop is late. In no second more moves than the rate and
/// the twentieth part of it.
const BURST: Duration = Duration::from_millis(50);
/// Connections that are held wait for room for so long: fewer bytes at a time cost more than they carry.
const STEP: Duration = Duration::from_millis(5);
/// What a full segment carries on Ethernet. Less room is none.
const SEGMENT_BYTES: u64 = 1_448;
const SECOND_NS: u128 = 1_000_000_000;

/// Those of both directions.
#[derive(Debug)]
pub(super) struct RateLimits {
    pub(super) up: RateLimit,
    pub(super) down: RateLimit,
}

/// That of one direction.
#[derive(Debug)]
pub(super) struct RateLimit {
    /// Bytes a second; `None`: no limit.
    rate: Option<u64>,
    /// How many bytes may move now; less than none when what could not be split was larger than the room for it.
    room: i64,
    /// Up to when room has grown.
    grown: Instant,
    /// Connections that found none, by their places.
    held: ReadyQueue,
}

impl RateLimits {
    pub(super) fn new(rates: Rates, now: Instant) -> RateLimits {
        RateLimits { up: RateLimit::new(rates.up, now), down: RateLimit::new(rates.down, now) }
    }

    /// From now on so much may move.
    pub(super) fn set(&mut self, rates: Rates, now: Instant) {
        self.up.set(rates.up, now);
        self.down.set(rates.down, now);
    }

    /// When there will be room for one that is held; `None`: nobody is.
    pub(super) fn deadline(&self) -> Option<Instant> {
        [self.up.deadline(), self.down.deadline()].into_iter().flatten().min()
    }

    /// Those that are held have something to do again, if there is room for them by now.
    pub(super) fn release(&mut self, ready: &mut ReadyQueue) {
        if self.deadline().is_some() {
            let now = Instant::now();
            self.up.release(now, ready);
            self.down.release(now, ready);
        }
    }
}

impl RateLimit {
    /// A limit of so many bytes a second, at least one; `None`: none.
    fn new(rate: Option<u64>, now: Instant) -> RateLimit {
        RateLimit { rate, room: 0, grown: now, held: ReadyQueue::default() }
    }

    /// From now on so many bytes a second may move.
    fn set(&mut self, rate: Option<u64>, now: Instant) {
        self.grow(now);
        self.rate = rate;
        self.room = self.room.min(self.burst());
    }

    /// How many bytes may move now.
    pub(super) fn room(&mut self, now: Instant) -> u64 {
        if self.rate.is_none() {
            return u64::MAX;
        }
        self.grow(now);
        u64::try_from(self.room)
            .unwrap_or(0)
            .checked_sub(SEGMENT_BYTES)
            .map_or(0, |more| more + SEGMENT_BYTES)
    }

    /// So many bytes moved.
    pub(super) fn moved(&mut self, bytes: u64) {
        if self.rate.is_some() {
            self.room = self.room.saturating_sub_unsigned(bytes);
        }
    }

    /// Whether nothing is limited.
    pub(super) fn is_unlimited(&self) -> bool {
        self.rate.is_none()
    }

    /// The turn of the connection of this place is over, and it has more to move: true when it has another turn soon. Else
    /// it is held until there is room.
    pub(super) fn is_over(&mut self, key: usize) -> bool {
        let has_room = self.room(Instant::now()) > 0;
        if !has_room {
            self.held.push(key);
        }
        has_room
    }

    /// Those that are held have something to do again, if there is room for them by now.
    fn release(&mut self, now: Instant, ready: &mut ReadyQueue) {
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        while let Some(key) = self.held.pop() {
            ready.push(key);
        }
    }

    /// When there will be room for those that are held; `None`: nobody is.
    fn deadline(&self) -> Option<Instant> {
        if self.held.is_empty() {
            return None;
        }
        let Some(rate) = self.rate else { return Some(self.grown) };
        let step = over(rate, STEP).max(SEGMENT_BYTES);
        let lacking = i64::try_from(step).unwrap_or(i64::MAX).saturating_sub(self.room);
        Some(self.grown + time_for(u64::try_from(lacking).unwrap_or(0), rate))
    }

    fn grow(&mut self, now: Instant) {
        let Some(rate) = self.rate else { return self.grown = now };
        let grows = over(rate, now.saturating_duration_since(self.grown));
        self.room = self.room.saturating_add_unsigned(grows).min(self.burst());
        // The time of a part of a byte is not lost.
        self.grown =
            if self.room == self.burst() { now } else { (self.grown + time_for(grows, rate)).min(now) };
    }

    fn burst(&self) -> i64 {
        let burst = self.rate.map_or(0, |rate| over(rate, BURST).max(2 * SEGMENT_BYTES));
        i64::try_from(burst).unwrap_or(i64::MAX)
    }
}

/// How many whole bytes a rate comes to in a time.
fn over(rate: u64, time: Duration) -> u64 {
    u64::try_from(u128::from(rate).saturating_mul(time.as_nanos()) / SECOND_NS).unwrap_or(u64::MAX)
}

/// The time that so many bytes take, rounded up.
fn time_for(bytes: u64, rate: u64) -> Duration {
    let ns = (u128::from(bytes) * SECOND_NS).div_ceil(u128::from(rate.max(1)));
    Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn without_a_limit_everything_moves_and_nobody_is_held_for_long() {
        let now = Instant::now();
        let (mut limit, mut ready) = (RateLimit::new(Some(1_000_000), now), ReadyQueue::default());
        assert_eq!(limit.room(now), 0);
        limit.held.push(3);
        limit.held.push(5);
        limit.release(now, &mut ready);
        assert!(ready.is_empty() && limit.deadline() == Some(now + Duration::from_millis(5)));
        limit.set(None, now);
        assert_eq!(limit.room(now), u64::MAX);
        limit.release(now, &mut ready);
        assert_eq!((ready.pop(), ready.pop(), limit.deadline()), (Some(3), Some(5), None));
    }

    #[test]
    fn what_could_not_be_split_is_made_up_for() {
        let mut now = Instant::now();
        let mut limit = RateLimit::new(Some(100_000), now);
        limit.moved(50_000);
        limit.held.push(1);
        assert_eq!(limit.deadline(), Some(now + Duration::from_nanos(514_480_000)));
        now += Duration::from_millis(514);
        assert_eq!(limit.room(now), 0);
        now += Duration::from_millis(1);
        assert_eq!(limit.room(now), 1_500);
        // A day later there is no more room than for one burst.
        now += Duration::from_secs(86_400);
        assert_eq!(limit.room(now), 5_000);
    }

    proptest! {
        /// Somebody takes whatever room there is at moments of any distance: over any time it is at most what the rate allows
        /// and one burst, and nearly that when the moments are close.
        #[test]
        fn no_second_has_more_than_the_rate_and_a_twentieth(
            rate in 20_000u64..2_000_000_000,
            waits in prop::collection::vec(0u64..40_000_000, 1..400),
        ) {
            let begin = Instant::now();
            let (mut limit, mut now, mut sum) = (RateLimit::new(Some(rate), begin), begin, 0);
            for wait in waits {
                now += Duration::from_nanos(wait);
                let room = limit.room(now);
                limit.moved(room);
                sum += room;
                let allowed = over(rate, now - begin);
                prop_assert!(sum <= allowed, "{} of {}", sum, allowed);
                prop_assert!(sum + over(rate, BURST).max(2 * SEGMENT_BYTES) >= allowed, "{} of {}", sum, allowed);
            }
        }
    }
}
