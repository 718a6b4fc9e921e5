//! What this peer says of itself by datagram, when, and whom it answers: announcements, and questions to everybody.
//!
//! Owns the rhythm of announcements and the answers that wait for their moment. What is offered it is told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::core::io::{DatagramTo, Output};
use crate::core::limits::Limits;
use crate::core::looks::Asker;
use crate::core::native::{Ctx, Engine};
use crate::core::rhythm::Rhythm;
use crate::core::rng::Rng;
use crate::core::timers::Timer;
use crate::types::{ContentId, PeerId, Time};
use crate::wire::datagram;
use crate::wire::message::{Announcement, Entry, Query, Wanted};

/// The most answers that wait, and the most sources whose last answer is remembered.
const ANSWERS_MAX: usize = 1024;

/// The latest questions of this peer that are remembered, and for how long answers to them are its own: they come within a
/// moment, and whoever heard the question may forge one.
const QUESTIONS_MAX: usize = 64;
const ANSWERS_TAKE_MAX: Duration = Duration::from_secs(5);

/// Askers at one address that are answered within one gap: processes that come and go use the same ports again.
const ASKERS_PER_GAP_MAX: usize = 32;

/// Hosts that wait for an answer to the same question are a crowd when they are so many, and one of so many of all known peers.
/// A crowd hears one answer together: thousands of answers would take seconds, and the crowd would ask again meanwhile. Where few
/// of many ask, an answer to everybody by each who can answer would be more than an answer to each.
const CROWD_MIN: usize = 32;
const CROWD_SHARE: usize = 8;

/// An answer to a query, waiting for its moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// When to send it.
    pub(crate) at: Time,
    /// What was asked for.
    pub(crate) wanted: Wanted,
    /// The first entry that matches, if any does.
    pub(crate) first: Option<(ContentId, String)>,
    /// Who asked; of a crowd, one of them.
    pub(crate) asker: Asker,
    /// Whether it goes to everybody.
    pub(crate) crowd: bool,
}

/// What this peer says of itself, and when.
#[derive(Debug)]
pub(crate) struct Announcer {
    pub(crate) rhythm: Rhythm,
    limits: Limits,
    /// Whether a datagram can go to everybody.
    broadcasts: bool,
    /// The entry that the last round ended with; the next one goes on behind it.
    pub(crate) cursor: Option<(ContentId, String)>,
    answers: VecDeque<Answer>,
    answered: BTreeMap<(SocketAddr, PeerId), Time>,
    /// When a crowd was answered last, or will be.
    crowd_answered: Option<Time>,
    /// The numbers of this peer's own latest questions, and when each went out.
    questions: VecDeque<(Time, u64)>,
}

impl Announcer {
    /// Announces first within the jitter, then each `interval`; crowds are answered together if it `broadcasts`.
    pub(crate) fn new(
        interval: Duration,
        limits: Limits,
        broadcasts: bool,
        now: Time,
        rng: &mut Rng,
    ) -> Announcer {
        Announcer {
            rhythm: Rhythm::new(interval, &limits, now, rng),
            limits,
            broadcasts,
            cursor: None,
            answers: VecDeque::new(),
            answered: BTreeMap::new(),
            crowd_answered: None,
            questions: VecDeque::new(),
        }
    }

    /// A question of this peer's own with this number goes out.
    pub(crate) fn ask(&mut self, now: Time, nonce: u64) {
        if self.questions.len() >= QUESTIONS_MAX {
            self.questions.pop_front();
        }
        self.questions.push_back((now, nonce));
    }

    /// Whether a question of this peer's own went out.
    pub(crate) fn has_asked(&self) -> bool {
        !self.questions.is_empty()
    }

    /// Whether this is the number of a question that this peer asked a moment ago.
    pub(crate) fn is_answer(&self, now: Time, nonce: u64) -> bool {
        self.questions.iter().any(|(at, asked)| *asked == nonce && now.since(*at) < ANSWERS_TAKE_MAX)
    }

    /// Whether an asker was not answered for long enough, nor too many at its address, and there is room for another
    /// answer.
    pub(crate) fn may_answer(&self, now: Time, to: SocketAddr, asker: PeerId) -> bool {
        let (first, last) = (PeerId([0; 16]), PeerId([u8::MAX; 16]));
        let is_recent = |at: &Time| now < *at + self.limits.answer_gap_min;
        let at_address = self.answered.range((to, first)..=(to, last));
        let askers: Vec<PeerId> =
            at_address.filter(|(_, at)| is_recent(at)).map(|((_, asker), _)| *asker).collect();
        let too_soon = askers.contains(&asker) || askers.len() >= ASKERS_PER_GAP_MAX;
        !too_soon && self.answers.len() < ANSWERS_MAX
    }

    /// A query is to be answered, after a random delay that grows with the number of known peers. False when its
    /// source was answered too recently, or too many answers wait.
    pub(crate) fn answer(
        &mut self,
        now: Time,
        asker: Asker,
        wanted: Wanted,
        first: Option<(ContentId, String)>,
        known_peers: usize,
        rng: &mut Rng,
    ) -> bool {
        if self.answers.iter().any(|waiting| waiting.crowd && waiting.wanted == wanted) {
            return true;
        }
        if !self.may_answer(now, asker.addr, asker.peer) {
            return false;
        }
        let gap = self.limits.answer_gap_min;
        if self.answered.len() >= ANSWERS_MAX {
            self.answered.retain(|_, last| now < *last + gap);
            if self.answered.len() >= ANSWERS_MAX {
                return false;
            }
        }
        // Who knows nobody but the asker has nobody to collide with, and answers at once.
        let others = u32::try_from(known_peers.saturating_sub(1)).unwrap_or(u32::MAX);
        let delay_max =
            self.limits.answer_delay_per_peer.saturating_mul(others).min(self.limits.answer_delay_max);
        let at = now + rng.duration_below(delay_max);
        self.answered.insert((asker.addr, asker.peer), at);
        let place = self.answers.partition_point(|waiting| waiting.at <= at);
        self.answers.insert(place, Answer { at, wanted: wanted.clone(), first, asker, crowd: false });
        self.gather_crowd(now, &wanted, known_peers);
        true
    }

    /// Makes one answer to everybody of those that wait for the same, if they are many. That is an announcement, and comes no more
    /// often than one. Whoever did not hear it, or came too late for it, is answered alone when it asks again.
    fn gather_crowd(&mut self, now: Time, wanted: &Wanted, known_peers: usize) {
        let recent = self.crowd_answered.is_some_and(|last| now < last + self.limits.announce_gap_min);
        let crowd = (known_peers / CROWD_SHARE).clamp(CROWD_MIN, ANSWERS_MAX);
        if recent || !self.broadcasts || self.answers.len() < crowd {
            return;
        }
        let waiting = || self.answers.iter().filter(|waiting| waiting.wanted == *wanted);
        if waiting().count() < crowd {
            return;
        }
        // Many at one address are not many hosts.
        let hosts: BTreeSet<IpAddr> = waiting().map(|waiting| waiting.asker.addr.ip()).collect();
        let Some(first) = waiting().next().filter(|_| hosts.len() >= crowd).cloned() else { return };
        self.crowd_answered = Some(first.at);
        let answered = &mut self.answered;
        self.answers.retain(|Answer { wanted: waiting, asker, .. }| {
            let others = waiting != wanted;
            if !others {
                answered.remove(&(asker.addr, asker.peer));
            }
            others
        });
        let place = self.answers.partition_point(|waiting| waiting.at <= first.at);
        self.answers.insert(place, Answer { crowd: true, ..first });
    }

    /// Takes out the next answer that is due.
    pub(crate) fn due_answer(&mut self, now: Time) -> Option<Answer> {
        if self.answers.front()?.at > now {
            return None;
        }
        self.answers.pop_front()
    }

    /// When the next answer is due.
    pub(crate) fn next_answer(&self) -> Option<Time> {
        self.answers.front().map(|answer| answer.at)
    }
}

impl Engine {
    /// What is offered changed; tell the others soon.
    pub(crate) fn announce_soon(&mut self, ctx: &mut Ctx) {
        if !ctx.config.discovers {
            return;
        }
        self.announcer.rhythm.changed(ctx.now, ctx.rng);
        ctx.timers.set(Timer::Announce, self.announcer.rhythm.next());
    }

    /// Asks everybody, and the peers that somebody named, for something.
    pub(crate) fn query(&mut self, ctx: &mut Ctx, wanted: Wanted) {
        let query = Query {
            peer: ctx.id,
            user: ctx.config.user.clone(),
            port: ctx.config.tcp_port,
            nonce: ctx.rng.next_u64(),
            wanted,
        };
        match datagram::encode_query(&query) {
            Some(bytes) => {
                self.announcer.ask(ctx.now, query.nonce);
                self.send_to_all(ctx, bytes);
            }
            None => ctx.counters.add("queries too long for a datagram"),
        }
    }

    pub(crate) fn announcement(&self, ctx: &Ctx, entries: Vec<Entry>, answers: Option<u64>) -> Announcement {
        Announcement {
            peer: ctx.id,
            user: ctx.config.user.clone(),
            port: ctx.config.tcp_port,
            interval_ms: u64::try_from(ctx.config.announce_interval.as_millis()).unwrap_or(u64::MAX),
            known_peers: u32::try_from(self.directory.len()).unwrap_or(u32::MAX),
            generation: ctx.catalogue.generation(),
            catalogue: u32::try_from(ctx.catalogue.len()).unwrap_or(u32::MAX),
            entries,
            answers,
        }
    }

    /// The next `count` entries behind the announcer's cursor, from the start again after the last one.
    pub(crate) fn entries_from_cursor(&self, ctx: &Ctx, count: usize) -> Vec<Entry> {
        let behind = ctx.catalogue.entries_after(self.announcer.cursor.clone());
        behind.chain(ctx.catalogue.entries_after(None)).take(count).collect()
    }

    pub(crate) fn send_to_all(&mut self, ctx: &mut Ctx, bytes: Vec<u8>) {
        if !ctx.config.discovers {
            return;
        }
        for addr in ctx.config.fixed_peers.clone() {
            let to = DatagramTo::One { iface: None, addr };
            ctx.outputs.push(Output::Datagram { to, bytes: bytes.clone() });
        }
        if ctx.config.broadcast {
            ctx.outputs.push(Output::Datagram { to: DatagramTo::Everybody, bytes });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::io::IfaceId;

    fn announcer(rng: &mut Rng) -> Announcer {
        Announcer::new(Duration::from_secs(60), Limits::default(), true, Time::ZERO, rng)
    }

    fn asker(port: u16) -> Asker {
        let addr = SocketAddr::from(([127, 0, 0, 1], port));
        Asker { peer: PeerId([1; 16]), addr, iface: IfaceId(0), nonce: 0 }
    }

    #[test]
    fn an_answer_is_told_by_the_number_of_a_late_question() {
        let mut rng = Rng::new(6);
        let mut announcer = announcer(&mut rng);
        assert!(!announcer.has_asked() && !announcer.is_answer(Time::ZERO, 0));
        (0..70).for_each(|nonce| announcer.ask(Time::ZERO, nonce));
        let answers = |nonce, ms| announcer.is_answer(Time::from_millis(ms), nonce);
        assert!(answers(69, 0) && answers(6, 4_999));
        assert!(!answers(5, 0) && !answers(70, 0) && !answers(69, 5_000));
    }

    #[test]
    fn a_source_is_answered_once_in_a_while_and_at_once_when_nobody_else_is_known() {
        let mut rng = Rng::new(1);
        let mut announcer = announcer(&mut rng);
        let mut answer = |announcer: &mut Announcer, ms, asker| {
            announcer.answer(Time::from_millis(ms), asker, Wanted::All, None, 1, &mut rng)
        };
        assert!(answer(&mut announcer, 0, asker(1)));
        assert!(!answer(&mut announcer, 249, asker(1)));
        assert!(answer(&mut announcer, 249, asker(2)));
        assert!(answer(&mut announcer, 250, asker(1)));
        assert_eq!(announcer.next_answer(), Some(Time::ZERO));
        let due = announcer.due_answer(Time::ZERO).map(|answer| answer.asker.addr.port());
        assert_eq!(due, Some(1));
        assert_eq!(announcer.due_answer(Time::ZERO), None);
        let from = |peer| Asker { peer: PeerId([peer; 16]), ..asker(1) };
        let answered = (2..80).filter(|peer| answer(&mut announcer, 251, from(*peer)));
        assert_eq!(answered.count(), ASKERS_PER_GAP_MAX - 1);
    }

    #[test]
    fn among_many_the_answer_waits_a_little() {
        let mut rng = Rng::new(3);
        let mut announcer = announcer(&mut rng);
        for port in 1..200 {
            announcer.answer(Time::ZERO, asker(port), Wanted::All, None, 1000, &mut rng);
        }
        let mut last = Time::ZERO;
        while let Some(at) = announcer.next_answer() {
            assert!(at >= last && at < Time::from_millis(50));
            last = at;
            announcer.due_answer(at);
        }
        assert!(last > Time::from_millis(40));
    }

    /// An asker on a host of its own.
    fn host(number: u16) -> Asker {
        let [high, low] = number.to_be_bytes();
        Asker { addr: SocketAddr::from(([10, 0, high, low], 7117)), ..asker(0) }
    }

    fn due(announcer: &mut Announcer, ms: u64) -> Vec<(Wanted, bool)> {
        let due = std::iter::from_fn(|| announcer.due_answer(Time::from_millis(ms)));
        due.map(|answer| (answer.wanted, answer.crowd)).collect()
    }

    #[test]
    fn a_crowd_hears_one_answer_and_who_did_not_hear_it_another() {
        let mut rng = Rng::new(4);
        let mut announcer = announcer(&mut rng);
        let other = Wanted::Name("other".to_owned());
        assert!(announcer.answer(Time::ZERO, host(9_999), other.clone(), None, 100, &mut rng));
        for number in 1..=4_000 {
            // Each that asks is known by then.
            let known_peers = usize::from(number);
            assert!(announcer.answer(Time::ZERO, host(number), Wanted::All, None, known_peers, &mut rng));
        }
        let mut answers = due(&mut announcer, 50);
        answers.sort_by_key(|(_, crowd)| *crowd);
        assert_eq!(answers, [(other, false), (Wanted::All, true)]);
        // Each that asks again within a quarter of a second and is heard is answered alone.
        for number in 1..=100 {
            assert!(announcer.answer(Time::from_millis(250), host(number), Wanted::All, None, 1, &mut rng));
        }
        assert_eq!(due(&mut announcer, 251), vec![(Wanted::All, false); 100]);
        // There is no other crowd before there could be another announcement.
        let later = 50 + 5_000;
        for (ms, answers) in [(later - 51, 40), (later, 1)] {
            for number in 1..=40 {
                assert!(announcer.answer(
                    Time::from_millis(ms),
                    host(number),
                    Wanted::All,
                    None,
                    1,
                    &mut rng
                ));
            }
            assert_eq!(due(&mut announcer, ms).len(), answers, "after {ms} ms");
            announcer.answered = BTreeMap::new();
        }
    }

    #[test]
    fn few_of_many_are_no_crowd_and_many_on_one_host_neither() {
        let mut rng = Rng::new(5);
        for (known_peers, of_hosts, crowd) in [(255, 32, true), (400, 32, false), (400, 50, true)] {
            let mut announcer = announcer(&mut rng);
            for number in 1..=of_hosts {
                announcer.answer(Time::ZERO, host(number), Wanted::All, None, known_peers, &mut rng);
            }
            assert_eq!(due(&mut announcer, 50).iter().any(|(_, crowd)| *crowd), crowd, "{of_hosts}");
        }
        let mut announcer = announcer(&mut rng);
        for port in 1..=200 {
            announcer.answer(Time::ZERO, asker(port), Wanted::All, None, 1, &mut rng);
        }
        assert_eq!(due(&mut announcer, 50), vec![(Wanted::All, false); 200]);
    }
}
