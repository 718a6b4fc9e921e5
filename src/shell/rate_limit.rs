//! The most that may move in a second in one direction, over all connections and datagrams of this process.
//!
//! A token bucket: room grows with time, and what moves takes from it. A connection that finds none is held, behind those
//! that wait already, and has its turn when there is room for it: so all share the rate, however little it is. The limit
//! holds where bytes meet sockets, and is the same for every protocol. Bytes of TCP, IP and the link are not counted.

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
    /// What one of those that were released last may move in its turn.
    share: u64,
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
        RateLimit { rate, room: 0, grown: now, held: ReadyQueue::default(), share: u64::MAX }
    }

    /// From now on so many bytes a second may move.
    fn set(&mut self, rate: Option<u64>, now: Instant) {
        self.grow(now);
        self.rate = rate;
        self.room = self.room.min(self.burst());
    }

    /// How many bytes the connection of this place may move now. One that is held waits for its turn, whatever comes
    /// meanwhile.
    pub(super) fn room_of(&mut self, key: usize) -> u64 {
        match self.rate {
            None => u64::MAX,
            Some(_) if self.held.contains(key) => 0,
            Some(_) => self.room(Instant::now()).min(self.share),
        }
    }

    fn room(&mut self, now: Instant) -> u64 {
        self.grow(now);
        u64::try_from(self.room).ok().filter(|room| *room >= SEGMENT_BYTES).unwrap_or(0)
    }

    /// So many bytes moved on a connection.
    pub(super) fn moved(&mut self, bytes: u64) {
        if self.rate.is_some() {
            self.room = self.room.saturating_sub_unsigned(bytes);
        }
    }

    /// A datagram of so many bytes moved. Others may send any number of them here, so they take no more than the room of
    /// one burst in advance: connections wait for that, and not for as long as a flood would have taken.
    pub(super) fn datagram(&mut self, bytes: usize) {
        if self.rate.is_some() {
            let left = self.room.saturating_sub_unsigned(bytes as u64);
            self.room = left.max(self.room.min(self.burst().saturating_neg()));
        }
    }

    /// Whether nothing is limited.
    pub(super) fn is_unlimited(&self) -> bool {
        self.rate.is_none()
    }

    /// The turn of the connection of this place is over, and it has more to move: true when it has another turn soon. Else
    /// it is held, behind those that wait for room already.
    pub(super) fn is_over(&mut self, key: usize) -> bool {
        let has_room = self.rate.is_none() || (self.held.is_empty() && self.room(Instant::now()) > 0);
        if !has_room {
            self.held.push(key);
        }
        has_room
    }

    /// Of those that are held, as many as there is a segment's room for have a turn, the first that came first.
    fn release(&mut self, now: Instant, ready: &mut ReadyQueue) {
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        let mut count = self.held.len();
        if self.rate.is_some() {
            let room = self.room(now);
            count = usize::try_from(room / SEGMENT_BYTES).unwrap_or(usize::MAX).min(count);
            self.share = (room / count.max(1) as u64).max(SEGMENT_BYTES);
        }
        for _ in 0..count {
            if let Some(key) = self.held.pop() {
                ready.push(key);
            }
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
        assert_eq!(limit.room_of(7), u64::MAX);
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

    #[test]
    fn all_that_are_held_have_the_same_share() {
        let mut now = Instant::now();
        // Room for a segment in each step, for two, and for many.
        for rate in [200_000, 600_000, 100_000_000] {
            let (mut limit, mut ready) = (RateLimit::new(Some(rate), now), ReadyQueue::default());
            let mut moved = [0_u64; 5];
            (0..5).for_each(|key| ready.push(key));
            for _ in 0..2_000 {
                now += STEP;
                limit.release(now, &mut ready);
                while let Some(key) = ready.pop() {
                    let room = limit.room(now).min(limit.share);
                    limit.moved(room);
                    moved[key] += room;
                    limit.held.push(key);
                }
            }
            let (least, most) = (*moved.iter().min().unwrap(), *moved.iter().max().unwrap());
            assert!(least * 10 >= most * 9, "{rate}: {moved:?}");
            assert!(moved.iter().sum::<u64>() * 100 >= over(rate, 2_000 * STEP) * 98, "{rate}: {moved:?}");
        }
    }

    #[test]
    fn an_event_gives_nobody_a_turn_before_its_time() {
        let mut limit = RateLimit::new(Some(1_000_000), Instant::now() - Duration::from_secs(1));
        assert!(limit.room_of(1) > 0);
        limit.held.push(1);
        assert_eq!((limit.room_of(1), limit.room_of(2) > 0, limit.is_over(2)), (0, true, false));
    }

    #[test]
    fn after_any_flood_of_datagrams_there_is_room_soon() {
        let mut now = Instant::now();
        let mut limit = RateLimit::new(Some(1_000_000), now);
        (0..100_000).for_each(|_| limit.datagram(1_400));
        now += BURST + STEP;
        assert!(limit.room(now) > 0);
        // What connections moved too much is made up for all the same.
        limit.moved(1_000_000);
        limit.datagram(1_400);
        now += Duration::from_millis(900);
        assert_eq!(limit.room(now), 0);
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
