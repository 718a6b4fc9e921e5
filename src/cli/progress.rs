//! Rates, and how often they are printed.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::cli::output::Output;

/// The stretch of time that a rate is taken over.
const WINDOW: Duration = Duration::from_secs(5);
/// After so long without a sample, the growth before it says nothing about now: the host may have slept. It is several times
/// the longest interval between samples, which is that of the lines where there is no terminal.
const STALE: Duration = Duration::from_secs(30);
/// Samples closer to each other than this are one.
const SAMPLE_GAP: Duration = Duration::from_millis(100);

/// The rate of a growing count, over the last few seconds.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    samples: VecDeque<(Instant, u64)>,
}

impl Pace {
    /// The count begins to grow now, from `bytes`.
    pub(crate) fn begin(&mut self, now: Instant, bytes: u64) {
        self.samples.clear();
        self.samples.push_back((now, bytes));
    }

    /// The count is `bytes` now.
    pub(crate) fn add(&mut self, now: Instant, bytes: u64) {
        if self.samples.back().is_some_and(|(at, _)| now.saturating_duration_since(*at) >= STALE) {
            self.samples.clear();
        }
        let close = |at: Instant| now.saturating_duration_since(at) < SAMPLE_GAP;
        if self.samples.len() > 1 && self.samples.back().is_some_and(|(at, _)| close(*at)) {
            self.samples.pop_back();
        }
        self.samples.push_back((now, bytes));
        // One sample from before the window stays: it is where the window's growth began.
        while self.samples.get(1).is_some_and(|(at, _)| now.saturating_duration_since(*at) >= WINDOW) {
            self.samples.pop_front();
        }
    }

    /// Bytes a second; 0 as long as there is nothing to tell it from.
    pub(crate) fn bytes_per_s(&self) -> u64 {
        let (Some((began, first)), Some((ended, last))) = (self.samples.front(), self.samples.back()) else {
            return 0;
        };
        crate::cli::human::bytes_per_s(last.saturating_sub(*first), ended.saturating_duration_since(*began))
    }

    /// How long `left` bytes take at this rate; `None` when they never come.
    pub(crate) fn eta(&self, left: u64) -> Option<Duration> {
        match (left, self.bytes_per_s()) {
            (0, _) => Some(Duration::ZERO),
            (_, 0) => None,
            (left, rate) => Some(Duration::from_secs(left.div_ceil(rate))),
        }
    }
}

/// Lets something happen at most once in so many milliseconds.
#[derive(Debug, Default)]
pub(crate) struct Every<const MS: u64> {
    last: Option<Instant>,
}

/// The line that renews itself on a terminal.
pub(crate) type Live = Every<200>;
/// A line of progress where there is no terminal.
pub(crate) type Plain = Every<5_000>;
/// A JSON line of progress of one thing.
pub(crate) type ProgressLine = Every<500>;

impl<const MS: u64> Every<MS> {
    /// The interval.
    pub(crate) const INTERVAL: Duration = Duration::from_millis(MS);

    /// One whose first interval begins now, so that nothing is due at once.
    pub(crate) fn from_now() -> Every<MS> {
        Every { last: Some(Instant::now()) }
    }

    /// The interval begins now.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.last = Some(now);
    }

    /// Whether it is time (again); then the next interval begins.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        let due = self.last.is_none_or(|last| now.saturating_duration_since(last) >= Self::INTERVAL);
        if due {
            self.last = Some(now);
        }
        due
    }
}

/// When progress may be due again; `None`: it is for nobody.
pub(crate) fn next_tick(out: &Output, now: Instant) -> Option<Instant> {
    let interval = match (out.is_live(), out.is_json(), out.is_quiet()) {
        (true, _, _) => Live::INTERVAL,
        (_, true, _) => ProgressLine::INTERVAL,
        (_, _, false) => Plain::INTERVAL,
        _ => return None,
    };
    Some(now + interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_steady_rate_is_found_and_old_growth_forgotten() {
        let (start, mut pace) = (Instant::now(), Pace::default());
        assert_eq!((pace.bytes_per_s(), pace.eta(1), pace.eta(0)), (0, None, Some(Duration::ZERO)));
        for tenth in 0..100 {
            pace.add(start + Duration::from_millis(100 * tenth), tenth * MIB);
        }
        assert_eq!(pace.bytes_per_s(), 10 * MIB);
        assert_eq!(pace.eta(25 * MIB), Some(Duration::from_secs(3)));
        assert!(pace.samples.len() < 60);
        for tenth in 100..200 {
            pace.add(start + Duration::from_millis(100 * tenth), 99 * MIB);
        }
        assert_eq!((pace.bytes_per_s(), pace.eta(1)), (0, None));
    }

    #[test]
    fn a_rate_is_told_where_samples_are_as_far_apart_as_lines_on_no_terminal() {
        let (start, mut pace) = (Instant::now(), Pace::default());
        // Samples from before a long pause count no more.
        pace.add(start - Duration::from_secs(4), 0);
        pace.begin(start, 0);
        // A line each five seconds, late by as much as the loop happened to be.
        for (at_ms, mib, rate) in [(5_000, 50, 10), (10_001, 100, 9), (15_020, 250, 29), (24_000, 250, 0)] {
            pace.add(start + Duration::from_millis(at_ms), mib * MIB);
            assert_eq!(pace.bytes_per_s() / MIB, rate, "after {at_ms} ms");
        }
    }

    #[test]
    fn a_rate_begins_anew_after_a_while_without_samples() {
        let (start, mut pace) = (Instant::now(), Pace::default());
        pace.add(start, 0);
        let later = start + Duration::from_secs(60);
        pace.add(later, 0);
        pace.add(later + Duration::from_secs(1), MIB);
        assert_eq!(pace.bytes_per_s(), MIB);
    }

    #[test]
    fn samples_at_one_instant_give_no_infinite_rate() {
        let (now, mut pace) = (Instant::now(), Pace::default());
        pace.add(now, 0);
        pace.add(now, u64::MAX);
        assert_eq!(pace.bytes_per_s(), 0);
        pace.add(now, 5);
        assert_eq!((pace.bytes_per_s(), pace.samples.len()), (0, 2));
    }

    #[test]
    fn at_most_once_in_an_interval() {
        let (start, mut every) = (Instant::now(), ProgressLine::default());
        let due = (0..100).filter(|tick| every.is_due(start + Duration::from_millis(100 * tick))).count();
        assert_eq!(due, 20);
    }
}
