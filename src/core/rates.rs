//! How much of others' doing is taken: datagrams, so many a second of one source, so many of all; and allowances.

use std::net::IpAddr;

use crate::core::limits::Limits;
use crate::core::sources::Sources;
use crate::types::Time;

/// Of four datagrams that are taken three may be questions: however many ask at once, answers are heard.
const QUESTIONS_OF_FOUR: u32 = 3;

/// After a quiet time so many seconds' worth is taken at once: where thousands begin together, each asks within one second.
const SECONDS_AT_ONCE: u32 = 4;

/// The first so many datagrams of a source in a second may take all of what is left; its others one of so many, so that few
/// sources that say much keep out nobody who says little. Several processes of one host ask from one address: beside 200 sources
/// that say as much as they can, and all of it questions, four questions of another are read.
const FIRST_OF_SOURCE: u32 = 4;
const MORE_ONE_OF: u32 = 4;
/// Datagrams of one source that turn out to be junk and count apart, in a second.
const JUNK_OF_SOURCE: u32 = 4;

/// Of whom a datagram is, as far as can be told without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Somebody who heard a question of ours, and says so.
    Answers,
    /// An address of a peer that is connected, answered, said hello or announces itself regularly.
    Known,
    /// Anybody else.
    Stranger,
}

/// What is taken of whom. Each standing has an allowance of its own, so that none keeps another out; so does junk, which
/// uses up nothing else while that lasts.
#[derive(Debug)]
pub(crate) struct Rates {
    answers: Rate,
    known: Rate,
    strangers: Rate,
    junk: Rate,
}

impl Rates {
    /// Nothing counted yet.
    pub(crate) fn new(limits: &Limits) -> Rates {
        let rate = || Rate::new(limits.datagrams_per_source_per_s, limits.datagrams_per_s);
        let junk = Rate::new(JUNK_OF_SOURCE, limits.datagrams_per_s);
        Rates { answers: rate(), known: rate(), strangers: rate(), junk }
    }

    /// Whether a datagram may be read, which may be a `question`. Then say that it was: [`Rates::took`].
    pub(crate) fn admits(&mut self, now: Time, standing: Standing, source: IpAddr, question: bool) -> bool {
        self.of(standing).admits(now, source, question)
    }

    /// A datagram was read, and is `junk` or not. Junk beyond its allowance counts like anything else of its source: anybody
    /// can send it in the name of another, so that it must not silence anybody at once.
    pub(crate) fn took(&mut self, now: Time, standing: Standing, source: IpAddr, question: bool, junk: bool) {
        if junk && self.junk.admits(now, source, false) {
            self.junk.take(now, source, false);
        } else {
            self.of(standing).take(now, source, question);
        }
    }

    /// Frees the counts of a second that is over.
    pub(crate) fn forget(&mut self, now: Time) {
        for rate in [&mut self.answers, &mut self.known, &mut self.strangers, &mut self.junk] {
            rate.sources.forget(now);
        }
    }

    /// Counts a datagram that is taken from whomever it comes, and whatever is in it; false when it is one too many.
    pub(crate) fn admit(&mut self, now: Time, source: IpAddr, question: bool) -> bool {
        let admitted = self.admits(now, Standing::Stranger, source, question);
        if admitted {
            self.took(now, Standing::Stranger, source, question, false);
        }
        admitted
    }

    fn of(&mut self, standing: Standing) -> &mut Rate {
        match standing {
            Standing::Answers => &mut self.answers,
            Standing::Known => &mut self.known,
            Standing::Stranger => &mut self.strangers,
        }
    }
}

/// Counts of the present second for each source, and what may be taken of all.
#[derive(Debug)]
struct Rate {
    per_source: u32,
    /// In a second in which more come than are counted, no others are heard.
    sources: Sources,
    all: Allowance,
    /// Of those, the ones that may be questions.
    questions: Allowance,
    /// Of those, the ones that may come from who has sent some in this second.
    more: Allowance,
}

impl Rate {
    fn new(per_source: u32, per_second: u32) -> Rate {
        let allowance = |per_second: u32| {
            Allowance::new(per_second.saturating_mul(SECONDS_AT_ONCE), per_second, Time::ZERO)
        };
        Rate {
            per_source,
            sources: Sources::new(Time::ZERO),
            all: allowance(per_second),
            questions: allowance((per_second / 4).saturating_mul(QUESTIONS_OF_FOUR)),
            more: allowance(per_second / MORE_ONE_OF),
        }
    }

    /// Whether one more of a source, which may be a `question`, may be taken.
    fn admits(&mut self, now: Time, source: IpAddr, question: bool) -> bool {
        self.sources.renew(now);
        let of_source = self.sources.of(&source).filter(|count| *count < self.per_source);
        of_source.is_some()
            && self.all.has_any(now)
            && (!question || self.questions.has_any(now))
            && (of_source < Some(FIRST_OF_SOURCE) || self.more.has_any(now))
    }

    /// Takes one that was admitted. What is refused uses up nothing, else a flood of it would keep others out.
    fn take(&mut self, now: Time, source: IpAddr, question: bool) {
        self.all.take(now);
        if question {
            self.questions.take(now);
        }
        if self.sources.add(source, 1) > FIRST_OF_SOURCE {
            self.more.take(now);
        }
    }
}

/// So much at once, and so much a second in the long run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    most: u32,
    per_second: u32,
    left: u32,
    filled: Time,
}

impl Allowance {
    /// `most` at once from `now` on, and `per_second` more for each second that passes.
    pub(crate) fn new(most: u32, per_second: u32, now: Time) -> Allowance {
        Allowance { most, per_second, left: most, filled: now }
    }

    /// Takes one. False when none is left.
    pub(crate) fn take(&mut self, now: Time) -> bool {
        self.take_many(now, 1)
    }

    /// How many are left.
    pub(crate) fn left(&mut self, now: Time) -> u32 {
        self.has_any(now);
        self.left
    }

    /// Whether more than `kept` are left.
    pub(crate) fn has_above(&mut self, now: Time, kept: u32) -> bool {
        self.has_any(now) && self.left > kept
    }

    /// Takes `count`, or all that is left when that is less. False when nothing is left.
    pub(crate) fn take_many(&mut self, now: Time, count: u32) -> bool {
        let any = self.has_any(now);
        self.left = self.left.saturating_sub(count);
        any
    }

    /// Gives back one that was taken.
    pub(crate) fn give_back(&mut self) {
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
    fn who_says_much_keeps_out_nobody_who_says_little() {
        let mut rates = Rates::new(&Limits::default());
        let host = |last| IpAddr::from([10, 0, 0, last]);
        let of_few = (0..200).cycle().take(40_000);
        let of_few = of_few.filter(|last| rates.admit(Time::ZERO, host(*last), false)).count();
        // Four of each, and a quarter of 8,000.
        assert_eq!(of_few, 2_800);
        let others = (200..250).filter(|last| rates.admit(Time::ZERO, host(*last), false));
        assert_eq!(others.count(), 50);
    }

    #[test]
    fn a_flood_of_many_sources_leaves_each_other_source_a_few() {
        let mut rates = Rates::new(&Limits::default());
        let host = |last| IpAddr::from([10, 0, 0, last]);
        // In each second three processes of a host that was not there before ask, and one of them again, beside 40 questions a
        // millisecond from 200 sources.
        let (mut asked, mut heard) = ([0; 20], [0; 20]);
        for ms in 0..20_000_u64 {
            let now = Time::from_millis(ms);
            for number in 0..40 {
                let last = u8::try_from((ms * 40 + number) % 200).expect("below 200");
                rates.admit(now, host(last), true);
            }
            let second = usize::try_from(ms / 1_000).expect("few");
            let asks = match ms % 1_000 {
                300 => 3,
                550 => 1,
                _ => 0,
            };
            asked[second] += asks;
            heard[second] += (0..asks).filter(|_| rates.admit(now, host(200 + second as u8), true)).count();
        }
        assert_eq!(heard, asked);
    }

    #[test]
    fn junk_has_an_allowance_of_its_own_and_what_exceeds_it_counts_like_the_rest() {
        let limits = Limits { datagrams_per_s: 10, datagrams_per_source_per_s: 6, ..Limits::default() };
        let mut rates = Rates::new(&limits);
        let host = |last| IpAddr::from([10, 0, 0, last]);
        let mut junk = |ms, last| {
            let now = Time::from_millis(ms);
            let admitted = rates.admits(now, Standing::Stranger, host(last), false);
            if admitted {
                rates.took(now, Standing::Stranger, host(last), false, true);
            }
            admitted
        };
        assert_eq!((0..20).filter(|_| junk(0, 1)).count(), 4 + 6);
        assert!(junk(0, 2) && junk(1_000, 1));
        assert!(rates.admits(Time::from_millis(1_000), Standing::Stranger, host(3), false));
        // Once that is used up, it costs the strangers theirs, and nobody else.
        let mut rates = Rates::new(&Limits { datagrams_per_s: 10, ..Limits::default() });
        for last in 0..255 {
            if rates.admits(Time::ZERO, Standing::Stranger, host(last), false) {
                rates.took(Time::ZERO, Standing::Stranger, host(last), false, true);
            }
        }
        let mut admits = |standing| rates.admits(Time::ZERO, standing, host(255), false);
        assert_eq!(
            [Standing::Stranger, Standing::Known, Standing::Answers].map(&mut admits),
            [false, true, true]
        );
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
