//! How much of others' doing is taken: datagrams, so many a second of one source, so many of all; and allowances.

use std::net::IpAddr;
use std::time::Duration;

use crate::core::limits::Limits;
use crate::core::sorted::SortedMap;
use crate::core::time::Time;

/// The most sources that are counted; in a second in which more come, no others are heard.
const SOURCES_MAX: usize = 8_192;
const SECOND: Duration = Duration::from_secs(1);
/// Of four datagrams that are taken three may be questions: however many ask at once, answers are heard.
const QUESTIONS_OF_FOUR: u32 = 3;

/// After a quiet time so many seconds' worth is taken at once: where thousands begin together, each asks within one second.
const SECONDS_AT_ONCE: u32 = 4;

/// Counts of the present second for each source, and what may be taken of all.
#[derive(Debug)]
pub(in crate::core) struct Rates {
    per_source: u32,
    second_began: Time,
    sources: SortedMap<IpAddr, u32>,
    all: Allowance,
    /// Of those, the ones that may be questions.
    questions: Allowance,
}

impl Rates {
    /// Nothing counted yet.
    pub(in crate::core) fn new(limits: &Limits) -> Rates {
        let allowance = |per_second: u32| {
            Allowance::new(per_second.saturating_mul(SECONDS_AT_ONCE), per_second, Time::ZERO)
        };
        Rates {
            per_source: limits.datagrams_per_source_per_s,
            second_began: Time::ZERO,
            sources: SortedMap::new(),
            all: allowance(limits.datagrams_per_s),
            questions: allowance(limits.datagrams_per_s / 4 * QUESTIONS_OF_FOUR),
        }
    }

    /// Counts a datagram, which may be a `question`; false when it is one too many.
    pub(in crate::core) fn admit(&mut self, now: Time, source: IpAddr, question: bool) -> bool {
        if now.since(self.second_began) >= SECOND {
            self.second_began = now;
            self.sources.clear();
        }
        let of_source = self.sources.get(&source).copied();
        let over = match of_source {
            Some(count) => count >= self.per_source,
            None => self.sources.len() >= SOURCES_MAX,
        };
        // What is refused uses up nothing, else a flood of it would keep others out.
        if over || !self.all.has_any(now) || (question && !self.questions.take(now)) || !self.all.take(now) {
            return false;
        }
        self.sources.insert(source, of_source.unwrap_or(0) + 1);
        true
    }
}

/// So much at once, and so much a second in the long run.
#[derive(Debug, Clone, Copy)]
pub(in crate::core) struct Allowance {
    most: u32,
    per_second: u32,
    left: u32,
    filled: Time,
}

impl Allowance {
    /// `most` at once from `now` on, and `per_second` more for each second that passes.
    pub(in crate::core) fn new(most: u32, per_second: u32, now: Time) -> Allowance {
        Allowance { most, per_second, left: most, filled: now }
    }

    /// Takes one. False when none is left.
    pub(in crate::core) fn take(&mut self, now: Time) -> bool {
        self.take_many(now, 1)
    }

    /// Whether more than `kept` are left.
    pub(in crate::core) fn has_above(&mut self, now: Time, kept: u32) -> bool {
        self.has_any(now) && self.left > kept
    }

    /// Takes `count`, or all that is left when that is less. False when nothing is left.
    pub(in crate::core) fn take_many(&mut self, now: Time, count: u32) -> bool {
        let any = self.has_any(now);
        self.left = self.left.saturating_sub(count);
        any
    }

    /// Gives back one that was taken.
    pub(in crate::core) fn give_back(&mut self) {
        self.left = self.left.saturating_add(1).min(self.most);
    }

    /// Whether one is left.
    fn has_any(&mut self, now: Time) -> bool {
        let seconds = u32::try_from(now.since(self.filled).as_secs()).unwrap_or(u32::MAX);
        if seconds > 0 {
            self.left = self.left.saturating_add(seconds.saturating_mul(self.per_second)).min(self.most);
            self.filled = now;
        }
        self.left > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_admits_so_many_and_more_after_a_quiet_time() {
        let limits = Limits { datagrams_per_source_per_s: 2, datagrams_per_s: 1, ..Limits::default() };
        let mut rates = Rates::new(&limits);
        let host = |last| IpAddr::from([10, 0, 0, last]);
        let mut admit = |ms, last| rates.admit(Time::from_millis(ms), host(last), false);
        assert_eq!([admit(0, 1), admit(1, 1), admit(2, 1)], [true, true, false]);
        assert_eq!([admit(3, 2), admit(4, 2), admit(5, 3)], [true, true, false]);
        assert_eq!([admit(1_000, 1), admit(1_001, 2)], [true, false]);
        let later = (0..9).filter(|last| admit(60_000, *last));
        assert_eq!(later.count(), 4);
    }

    #[test]
    fn questions_leave_room_for_answers() {
        let mut rates = Rates::new(&Limits { datagrams_per_s: 8, ..Limits::default() });
        let host = |last| IpAddr::from([10, 0, 0, last]);
        let mut admit = |last, question| rates.admit(Time::ZERO, host(last), question);
        let asked: Vec<bool> = (0..40).map(|last| admit(last, true)).collect();
        assert_eq!(asked.iter().filter(|admitted| **admitted).count(), 24);
        let answered = (50..70).filter(|last| admit(*last, false));
        assert_eq!(answered.count(), 8);
    }

    #[test]
    fn a_flood_of_questions_from_invented_hosts_keeps_no_answer_out() {
        let mut rates = Rates::new(&Limits::default());
        let host = |number: u32| IpAddr::from(number.to_be_bytes());
        let asked = (0..20_000).filter(|number| rates.admit(Time::ZERO, host(*number), true));
        assert_eq!(asked.count(), 6_000);
        assert!(rates.admit(Time::ZERO, host(30_000), false));
        // Nor do those that are refused because of other junk use up what is left to questions.
        let mut rates = Rates::new(&Limits { datagrams_per_s: 8, ..Limits::default() });
        let junk = (0..40).filter(|number| rates.admit(Time::ZERO, host(*number), false));
        assert_eq!(junk.count(), 32);
        let refused = (100..200).filter(|number| rates.admit(Time::ZERO, host(*number), true));
        assert_eq!(refused.count(), 0);
        assert!(rates.admit(Time::from_millis(1_000), host(300), true));
    }

    #[test]
    fn an_allowance_is_used_up_and_grows_again() {
        let mut allowance = Allowance::new(2, 1, Time::ZERO);
        let mut take = |ms| allowance.take(Time::from_millis(ms));
        assert_eq!([take(0), take(0), take(999)], [true, true, false]);
        assert_eq!([take(1_000), take(1_001)], [true, false]);
        assert_eq!([take(60_000), take(60_000), take(60_000)], [true, true, false]);
        allowance.give_back();
        assert!(allowance.take(Time::from_millis(60_000)) && !allowance.take(Time::from_millis(60_000)));
        (0..9).for_each(|_| allowance.give_back());
        assert_eq!((0..9).filter(|_| allowance.take(Time::from_millis(60_000))).count(), 2);
    }
}
