//! Looking through the names that are offered here for what others ask for: what it may take, and whose turn it is.
//!
//! Owns the budgets and the line. A query, or a request for a page of the catalogue, is looked for at once while the budget
//! lasts; what is not done then waits, and gets a slice whenever its turn comes. So no number of them keeps the loop for longer
//! than the budget, and one that is soon done does not wait for one that is not.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use crate::core::limits::Limits;
use crate::core::sorted::SortedMap;
use crate::core::time::Time;

/// The most addresses that are counted; in a second in which more ask, no others are looked for.
const SOURCES_MAX: usize = 8_192;
const SECOND: Duration = Duration::from_secs(1);

/// The budgets, and what waits: `T`s, each with the address that pays for it.
#[derive(Debug)]
pub(in crate::core) struct Looks<T> {
    limits: Limits,
    /// Steps that may be taken at once; below zero after the last one took more.
    left: i64,
    filled: Time,
    second_began: Time,
    /// Steps of the present second, of each address that asked.
    sources: SortedMap<IpAddr, u32>,
    waiting: VecDeque<(IpAddr, T)>,
    /// How many of these each address has.
    lines: SortedMap<IpAddr, u32>,
    /// What waits for the next second, because its asker used up the present one.
    stalled: Vec<(IpAddr, T)>,
}

impl<T> Looks<T> {
    /// Nothing looked for yet.
    pub(in crate::core) fn new(limits: &Limits, now: Time) -> Looks<T> {
        Looks {
            limits: limits.clone(),
            left: i64::from(limits.look_steps_at_once),
            filled: now,
            second_began: now,
            sources: SortedMap::new(),
            waiting: VecDeque::new(),
            lines: SortedMap::new(),
            stalled: Vec::new(),
        }
    }

    /// Begins another second when the present one is over.
    pub(in crate::core) fn renew(&mut self, now: Time) {
        if now.since(self.second_began) >= SECOND {
            self.second_began = now;
            self.sources.clear();
            for (source, sought) in std::mem::take(&mut self.stalled) {
                self.wait(source, sought);
            }
        }
    }

    /// Whether an address has not used up its steps of the present second.
    pub(in crate::core) fn admits(&mut self, now: Time, source: IpAddr) -> bool {
        self.renew(now);
        match self.sources.get(&source) {
            Some(steps) => *steps < self.limits.look_steps_per_source_per_s,
            None => self.sources.len() < SOURCES_MAX,
        }
    }

    /// How many steps the next slice may take; `None` before more are to be had.
    pub(in crate::core) fn slice(&mut self, now: Time) -> Option<u32> {
        let nanos = i64::try_from(now.since(self.filled).as_nanos()).unwrap_or(i64::MAX);
        let more = nanos.saturating_mul(i64::from(self.limits.look_steps_per_s)) / 1_000_000_000;
        // A moment too short for a single step is not lost: it counts the next time.
        if more > 0 {
            self.left = self.left.saturating_add(more).min(i64::from(self.limits.look_steps_at_once));
            self.filled = now;
        }
        u32::try_from(self.left)
            .ok()
            .filter(|left| *left > 0)
            .map(|left| left.min(self.limits.look_slice_steps))
    }

    /// So many steps were taken for an address.
    pub(in crate::core) fn took(&mut self, source: IpAddr, steps: u64) {
        self.left = self.left.saturating_sub(i64::try_from(steps).unwrap_or(i64::MAX));
        let of_source = self.sources.entry(source).or_default();
        *of_source = of_source.saturating_add(u32::try_from(steps).unwrap_or(u32::MAX));
    }

    /// Whether nothing waits for a slice, so that what comes may have one at once.
    pub(in crate::core) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether one more query of an address may wait.
    pub(in crate::core) fn has_room(&self, source: &IpAddr) -> bool {
        let of_source = self.lines.get(source).copied().unwrap_or(0);
        let all = self.waiting.len().saturating_add(self.stalled.len());
        of_source < self.limits.looks_per_source_max && all < self.limits.looks_max
    }

    /// Puts something behind what waits.
    pub(in crate::core) fn wait(&mut self, source: IpAddr, sought: T) {
        let of_source = self.lines.entry(source).or_default();
        *of_source = of_source.saturating_add(1);
        self.waiting.push_back((source, sought));
    }

    /// Puts something off until its asker has a new budget.
    pub(in crate::core) fn stall(&mut self, source: IpAddr, sought: T) {
        self.stalled.push((source, sought));
    }

    /// Takes out what is next.
    pub(in crate::core) fn next(&mut self) -> Option<(IpAddr, T)> {
        let (source, sought) = self.waiting.pop_front()?;
        let of_source = self.lines.remove(&source).unwrap_or(0);
        if let Some(left) = of_source.checked_sub(1).filter(|left| *left > 0) {
            self.lines.insert(source, left);
        }
        Some((source, sought))
    }

    /// When there is something to do again.
    pub(in crate::core) fn due(&self, now: Time) -> Option<Time> {
        if !self.waiting.is_empty() {
            return Some(now + self.limits.look_gap);
        }
        (!self.stalled.is_empty()).then(|| (self.second_began + SECOND).max(now + self.limits.look_gap))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            look_steps_at_once: 100,
            look_slice_steps: 40,
            look_steps_per_s: 1_000,
            look_steps_per_source_per_s: 150,
            ..Limits::default()
        }
    }

    #[test]
    fn what_is_taken_at_once_is_given_back_with_time_and_debts_are_paid_first() {
        let mut looks: Looks<()> = Looks::new(&limits(), Time::ZERO);
        let host = IpAddr::from([10, 0, 0, 1]);
        let mut slice = |ms, taken| {
            let slice = looks.slice(Time::from_millis(ms));
            looks.took(host, taken);
            slice
        };
        assert_eq!(
            [slice(0, 40), slice(0, 40), slice(0, 40), slice(0, 0)],
            [Some(40), Some(40), Some(20), None]
        );
        // It took 20 more than there were: they come back first.
        assert_eq!([slice(20, 0), slice(21, 0), slice(30, 0)], [None, Some(1), Some(10)]);
        assert_eq!([slice(9_000, 90), slice(9_000, 0)], [Some(40), Some(10)]);
    }

    #[test]
    fn moments_too_short_for_a_step_add_up() {
        let mut looks: Looks<()> = Looks::new(&limits(), Time::ZERO);
        looks.took(IpAddr::from([10, 0, 0, 1]), 100);
        let slices = (0..=10_000).map(|tenth| looks.slice(Time::from_nanos(tenth * 100_000)));
        assert_eq!(slices.last(), Some(Some(40)));
    }

    #[test]
    fn who_used_up_a_second_waits_for_the_next_and_others_do_not() {
        let mut looks: Looks<u8> = Looks::new(&limits(), Time::ZERO);
        let host = |last| IpAddr::from([10, 0, 0, last]);
        looks.took(host(1), 150);
        assert!(
            !looks.admits(Time::from_millis(999), host(1)) && looks.admits(Time::from_millis(999), host(2))
        );
        looks.stall(host(1), 7);
        assert_eq!((looks.next(), looks.due(Time::ZERO)), (None, Some(Time::from_millis(1_000))));
        looks.renew(Time::from_millis(1_000));
        assert_eq!(looks.next(), Some((host(1), 7)));
        assert!(looks.admits(Time::from_millis(1_000), host(1)));
    }
}
