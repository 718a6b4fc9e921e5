//! Assignment by the seed: until each chunk has left it once, each neighbour is shown only the chunks that are assigned to
//! it, so that no two ask for the same while others have not left at all. What does not get on is assigned once more.
//!
//! Owns what was assigned to whom. Knows a connection only by its id; what is really shown, asked for and sent is the
//! business of others.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::core::door::ConnId;
use crate::core::rng::Rng;
use crate::types::bitfield::Bitfield;
use crate::types::time::Time;

/// With one or two downloaders there is nothing to assign; so long it takes to see whether more are coming.
const COMING_WAIT: Duration = Duration::from_millis(300);
const FEW: usize = 2;
/// Chunks assigned and not left, over all neighbours, where these are few: enough that the seed never waits for who is to ask. One neighbour has
/// at least one on its way and one in line, and at most so many.
const ASSIGNED: usize = 16;
const HAND_MIN: usize = 2;
const HAND_MAX: usize = 12;
/// What takes so many times as long as usual is assigned once more; as usual counts this until more is known.
const LATE: u32 = 4;
const LATE_IN_THE_END: u32 = 3;
/// When nothing gets on for so long, assigning is over: whatever the cause, showing everything helps.
const STANDSTILL: Duration = Duration::from_secs(3);
const USUAL_FIRST: Duration = Duration::from_millis(500);
/// How often it is looked for what is late.
pub(crate) const REVIEW: Duration = Duration::from_millis(100);

/// One neighbour.
#[derive(Debug)]
struct Hand {
    /// Assigned and not left yet, and since when.
    chunks: BTreeMap<u32, Time>,
    /// When it came.
    came: Time,
    /// It gave back what it had: nothing is assigned to it until it gets on.
    stalled: bool,
    /// It is shown everything.
    free: bool,
}

/// What follows from what happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Show {
    /// This chunk may be shown to this connection.
    One(ConnId, u32),
    /// Everything may be shown to it.
    All(ConnId),
}

/// The chunks of one content, on their first way out.
#[derive(Debug)]
pub(crate) struct Assigner {
    /// Neither assigned nor left, in the order they are assigned in, backwards.
    waiting: Vec<u32>,
    /// To be assigned once more, to others than these.
    again: BTreeMap<u32, ConnId>,
    /// Which have left, or are elsewhere for another reason.
    left: Bitfield,
    /// Those that only who they were sent to has, and since when.
    alone: BTreeMap<u32, (ConnId, Time)>,
    hands: BTreeMap<ConnId, Hand>,
    /// How long it takes until what is assigned leaves, and until what left is seen at a second peer.
    leaves: Duration,
    spreads: Duration,
    /// When something last got on.
    moved: Time,
    stands_still: bool,
    news: Vec<Show>,
}

impl Assigner {
    /// `chunks` chunks, none of which has left.
    pub(crate) fn new(chunks: u32, rng: &mut Rng) -> Assigner {
        let mut waiting: Vec<u32> = (0..chunks).collect();
        for at in (1..waiting.len()).rev() {
            waiting.swap(at, rng.below(at.saturating_add(1)));
        }
        Assigner {
            waiting,
            again: BTreeMap::new(),
            left: Bitfield::empty(chunks),
            alone: BTreeMap::new(),
            hands: BTreeMap::new(),
            leaves: USUAL_FIRST,
            spreads: USUAL_FIRST,
            moved: Time::ZERO,
            stands_still: false,
            news: Vec::new(),
        }
    }

    /// Somebody came, or begins anew.
    pub(crate) fn arrive(&mut self, now: Time, conn: ConnId) {
        self.depart(now, conn);
        self.moved = now;
        let hand = Hand { chunks: BTreeMap::new(), came: now, stalled: false, free: false };
        self.hands.insert(conn, hand);
        self.fill(now, conn);
    }

    /// Somebody is gone: what was assigned to it is assigned to others, and so is what nobody else has.
    pub(crate) fn depart(&mut self, now: Time, conn: ConnId) {
        let Some(hand) = self.hands.remove(&conn) else { return };
        let lost: Vec<u32> =
            self.alone.iter().filter(|(_, (with, _))| *with == conn).map(|(chunk, _)| *chunk).collect();
        for chunk in lost {
            self.alone.remove(&chunk);
            self.again.insert(chunk, conn);
        }
        self.waiting.extend(hand.chunks.into_keys());
        self.fill_all(now);
    }

    /// A chunk was sent to somebody.
    pub(crate) fn note_sent(&mut self, now: Time, to: ConnId, chunk: u32) {
        self.again.remove(&chunk);
        self.moved = now;
        if self.left.set(chunk) || self.alone.contains_key(&chunk) {
            self.alone.insert(chunk, (to, now));
        }
        self.take_from_hands(now, chunk);
        self.note_progress(now, to);
    }

    /// Somebody has a chunk.
    pub(crate) fn note_seen(&mut self, now: Time, at: ConnId, chunk: u32) {
        match self.alone.get(&chunk) {
            Some((with, _)) if *with == at => {}
            Some((_, since)) => {
                self.spreads = averaged(self.spreads, now.since(*since));
                self.alone.remove(&chunk);
                self.again.remove(&chunk);
            }
            None => {
                if self.left.set(chunk) {
                    self.moved = now;
                }
                self.again.remove(&chunk);
            }
        }
        self.take_from_hands(now, chunk);
        self.note_progress(now, at);
    }

    /// Looks for what is late: it is assigned once more.
    pub(crate) fn review(&mut self, now: Time) {
        if self.hands.len() <= FEW
            && self.hands.values().any(|hand| !hand.free && now.since(hand.came) >= COMING_WAIT)
        {
            for (conn, hand) in &mut self.hands {
                hand.free = true;
                self.news.push(Show::All(*conn));
            }
        }
        self.stands_still |= now.since(self.moved) >= STANDSTILL;
        self.waiting.retain(|chunk| !self.left.get(*chunk));
        // In the end the seed has nothing else to do, and everything waits for what has not left.
        let in_the_end = self.waiting.is_empty();
        let late = if in_the_end { LATE_IN_THE_END } else { LATE };
        let (leaves, spreads) = (self.leaves.saturating_mul(late), self.spreads.saturating_mul(LATE));
        for (conn, hand) in &mut self.hands {
            let late = |(chunk, since): (&u32, &Time)| (now.since(*since) >= leaves).then_some(*chunk);
            for chunk in hand.chunks.iter().filter_map(late).collect::<Vec<_>>() {
                hand.chunks.remove(&chunk);
                hand.stalled |= !in_the_end;
                self.again.insert(chunk, *conn);
            }
        }
        for (chunk, (with, since)) in &mut self.alone {
            if now.since(*since) >= spreads {
                *since = now;
                self.again.insert(*chunk, *with);
            }
        }
        self.fill_all(now);
    }

    /// Whether nothing is left to assign, or nobody to assign it to: everything is shown to everybody then.
    pub(crate) fn is_over(&self) -> bool {
        self.left.is_full() || self.stands_still || self.hands.values().all(|hand| hand.stalled)
    }

    /// Everybody to whom something was assigned.
    pub(crate) fn conns(&self) -> impl Iterator<Item = ConnId> + '_ {
        self.hands.keys().copied()
    }

    /// What may be shown since this was last asked.
    pub(crate) fn take_news(&mut self) -> Vec<Show> {
        std::mem::take(&mut self.news)
    }

    /// A chunk is assigned to nobody any more; whoever it was assigned to is assigned another.
    fn take_from_hands(&mut self, now: Time, chunk: u32) {
        let holds = |(conn, hand): (&ConnId, &mut Hand)| Some((*conn, hand.chunks.remove(&chunk)?));
        if let Some((owner, since)) = self.hands.iter_mut().find_map(holds) {
            self.leaves = averaged(self.leaves, now.since(since));
            self.fill(now, owner);
        }
    }

    fn note_progress(&mut self, now: Time, conn: ConnId) {
        if let Some(hand) = self.hands.get_mut(&conn) {
            hand.stalled = false;
            self.fill(now, conn);
        }
    }

    fn fill_all(&mut self, now: Time) {
        if !self.waiting.is_empty() || !self.again.is_empty() {
            self.hands.keys().copied().collect::<Vec<_>>().into_iter().for_each(|conn| self.fill(now, conn));
        }
    }

    /// Assigns more to somebody, as long as there is some and it has not got its share: first what is late elsewhere.
    fn fill(&mut self, now: Time, conn: ConnId) {
        let alone = self.hands.len() == 1;
        let share = ASSIGNED.checked_div(self.hands.len()).unwrap_or(ASSIGNED).clamp(HAND_MIN, HAND_MAX);
        let Some(hand) = self.hands.get_mut(&conn).filter(|hand| !hand.stalled && !hand.free) else {
            return;
        };
        while hand.chunks.len() < share {
            let again = self.again.iter().find(|(_, not)| alone || **not != conn).map(|(chunk, _)| *chunk);
            if let Some(chunk) = again {
                self.again.remove(&chunk);
            }
            let Some(chunk) = again.or_else(|| self.waiting.pop()) else { return };
            if again.is_some() || !self.left.get(chunk) {
                hand.chunks.insert(chunk, now);
                self.news.push(Show::One(conn, chunk));
            }
        }
    }

    /// Panics when a chunk that has not left is nowhere.
    pub(crate) fn check(&self) {
        let mut assigned = Bitfield::empty(self.left.len());
        let in_hands = self.hands.values().flat_map(|hand| hand.chunks.keys());
        for chunk in self.waiting.iter().chain(in_hands).chain(self.again.keys()) {
            let first = assigned.set(*chunk);
            assert!(first || self.left.get(*chunk), "chunk {chunk} is assigned twice before it left");
        }
        for chunk in assigned.missing() {
            assert!(self.left.get(chunk), "chunk {chunk} is assigned or has left");
        }
    }
}

/// A moving average of which the newest of eight parts is `new`.
fn averaged(usual: Duration, new: Duration) -> Duration {
    usual.saturating_mul(7).saturating_add(new).checked_div(8).unwrap_or_default()
}

#[cfg(test)]
mod tests {

    use super::*;
    use std::collections::BTreeSet;

    fn conn(slot: u32) -> ConnId {
        ConnId { slot, generation: 0 }
    }

    fn assigner(chunks: u32, conns: u32) -> Assigner {
        let mut assigner = Assigner::new(chunks, &mut Rng::new(1));
        (0..conns).for_each(|slot| assigner.arrive(Time::ZERO, conn(slot)));
        assigner
    }

    /// The chunks shown to each connection since this was last asked.
    fn shown(assigner: &mut Assigner) -> Vec<(u32, u32)> {
        assigner.check();
        let one = |show| match show {
            Show::One(conn, chunk) => (conn.slot, chunk),
            Show::All(conn) => (conn.slot, u32::MAX),
        };
        assigner.take_news().into_iter().map(one).collect()
    }

    #[test]
    fn nobody_is_shown_what_another_is_and_the_next_follows_each() {
        let mut assigner = assigner(200, 16);
        let first = shown(&mut assigner);
        let chunks: BTreeSet<u32> = first.iter().map(|(_, chunk)| *chunk).collect();
        assert_eq!(chunks.len(), first.len());
        assert!((0..16).all(|slot| first.iter().filter(|(to, _)| *to == slot).count() >= HAND_MIN));
        let last = first.iter().rfind(|(to, _)| *to == 15).unwrap().1;
        assigner.note_sent(Time::ZERO, conn(15), last);
        let next = shown(&mut assigner);
        assert_eq!((next.len(), next[0].0), (1, 15));
        // What is seen at another peer has left too.
        assigner.note_seen(Time::ZERO, conn(14), next[0].1);
        assert!(shown(&mut assigner).iter().any(|(to, _)| *to == 15));
    }

    #[test]
    fn it_is_over_when_all_has_left() {
        let mut assigner = assigner(40, 4);
        for chunk in 0..40 {
            assert!(!assigner.is_over());
            assigner.note_sent(Time::ZERO, conn(0), chunk);
            assigner.check();
        }
        assert!(assigner.is_over());
    }

    #[test]
    fn what_is_late_to_leave_is_assigned_to_another_and_its_neighbour_to_nothing_until_it_gets_on() {
        let mut assigner = assigner(40, 3);
        let first: BTreeSet<u32> = shown(&mut assigner).into_iter().map(|(_, chunk)| chunk).collect();
        let late = Time::ZERO + USUAL_FIRST * LATE;
        assigner.review(late);
        assert!(assigner.is_over() && assigner.hands.values().all(|hand| hand.chunks.is_empty()));
        assigner.arrive(late, conn(3));
        let again = shown(&mut assigner);
        assert!(!again.is_empty() && again.iter().all(|(to, chunk)| *to == 3 && first.contains(chunk)));
        assert!(!assigner.is_over());
        assigner.note_sent(late, conn(2), again[0].1);
        assert!(!assigner.hands[&conn(2)].stalled && !assigner.hands[&conn(2)].chunks.is_empty());
        assigner.check();
    }

    #[test]
    fn in_the_end_less_is_late() {
        let mut assigner = assigner(15, 3);
        let first = shown(&mut assigner);
        assert_eq!(first.len(), 15);
        assigner.review(Time::ZERO + USUAL_FIRST);
        assert!(shown(&mut assigner).is_empty());
        assigner.review(Time::ZERO + USUAL_FIRST * LATE_IN_THE_END);
        // Each is assigned to another, and nobody is left out.
        let again = shown(&mut assigner);
        assert!(!again.is_empty() && again.iter().all(|(to, chunk)| !first.contains(&(*to, *chunk))));
        assert!(!assigner.is_over());
    }

    #[test]
    fn what_only_one_has_for_long_is_assigned_once_more() {
        let mut assigner = assigner(40, 3);
        let (to, chunk) = shown(&mut assigner)[0];
        assigner.note_sent(Time::ZERO, conn(to), chunk);
        assigner.note_seen(Time::ZERO, conn(to), chunk);
        assigner.review(Time::ZERO + USUAL_FIRST);
        assert!(assigner.again.is_empty());
        let late = Time::ZERO + USUAL_FIRST * LATE;
        assigner.review(late);
        assert_eq!(assigner.again.get(&chunk), Some(&conn(to)));
        assigner.note_seen(late, conn((to + 1) % 3), chunk);
        assert!(!assigner.again.contains_key(&chunk) && assigner.alone.is_empty());
        assigner.check();
    }

    #[test]
    fn who_leaves_gives_back_what_nobody_else_has() {
        let mut assigner = assigner(60, 4);
        let (to, chunk) = shown(&mut assigner)[0];
        assigner.note_sent(Time::ZERO, conn(to), chunk);
        shown(&mut assigner);
        let assigned: Vec<u32> = assigner.hands[&conn(to)].chunks.keys().copied().collect();
        assigner.depart(Time::ZERO, conn(to));
        // With one less each other gets more.
        assert!(shown(&mut assigner).iter().any(|(other, again)| *other != to && *again == chunk));
        let is_kept = |chunk: &u32| {
            assigner.waiting.contains(chunk)
                || assigner.hands.values().any(|hand| hand.chunks.contains_key(chunk))
        };
        assert!(assigned.iter().all(is_kept));
        (0..4).for_each(|slot| assigner.depart(Time::ZERO, conn(slot)));
        assert!(assigner.is_over());
    }

    #[test]
    fn who_begins_anew_is_shown_anew_and_a_standstill_ends_it() {
        let mut assigner = assigner(4, 1);
        let first: BTreeSet<(u32, u32)> = shown(&mut assigner).into_iter().collect();
        assigner.arrive(Time::ZERO, conn(0));
        assert_eq!(shown(&mut assigner).into_iter().collect::<BTreeSet<_>>(), first);
        assigner.review(Time::ZERO + STANDSTILL);
        assert!(assigner.is_over());
    }

    #[test]
    fn one_or_two_are_shown_everything_soon() {
        let mut assigner = assigner(8, 2);
        shown(&mut assigner);
        assigner.review(Time::ZERO + COMING_WAIT / 2);
        assert!(shown(&mut assigner).is_empty());
        assigner.review(Time::ZERO + COMING_WAIT);
        assert_eq!(shown(&mut assigner), [(0, u32::MAX), (1, u32::MAX)]);
    }
}
