//! Assignment by the seed: until each chunk has left it once, each neighbour is shown only the chunks that are assigned to
//! it, so that no two ask for the same while others have not left at all.
//!
//! Owns what was assigned to whom. Knows a connection only by its id; what is really shown, asked for and sent is the
//! business of others.

use std::time::Duration;

use crate::core::bitfield::Bitfield;
use crate::core::door::ConnId;
use crate::core::rng::Rng;
use crate::core::sorted::{SortedMap, SortedSet};
use crate::core::time::Time;

/// With one or two downloaders there is nothing to assign; so long it takes to see whether more are coming.
const COMING_WAIT: Duration = Duration::from_millis(300);
const FEW: usize = 2;
/// Who does not get on with what was assigned to it, and has asked for nothing, for so long, gives it back.
const STALL: Duration = Duration::from_secs(3);

/// One neighbour.
#[derive(Debug)]
struct Hand {
    /// Assigned and not left yet.
    chunks: SortedSet<u32>,
    /// When it came, or got on.
    moved: Time,
    /// It gave back what it had: nothing is assigned to it until it gets on.
    stalled: bool,
    /// It is shown everything.
    free: bool,
}

/// What follows from what happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::core) enum Show {
    /// This chunk may be shown to this connection.
    One(ConnId, u32),
    /// Everything may be shown to it.
    All(ConnId),
}

/// The chunks of one content, on their first way out.
#[derive(Debug)]
pub(in crate::core) struct Assigner {
    /// Neither assigned nor left, in the order they are assigned in, backwards.
    waiting: Vec<u32>,
    /// Which have left, or are elsewhere for another reason.
    left: Bitfield,
    hands: SortedMap<ConnId, Hand>,
    hand_max: usize,
    news: Vec<Show>,
}

impl Assigner {
    /// `chunks` chunks, none of which has left; no more than `hand_max` are assigned to one at a time.
    pub(in crate::core) fn new(chunks: u32, hand_max: usize, rng: &mut Rng) -> Assigner {
        let mut waiting: Vec<u32> = (0..chunks).collect();
        for at in (1..waiting.len()).rev() {
            waiting.swap(at, rng.below(at + 1));
        }
        Assigner {
            waiting,
            left: Bitfield::empty(chunks),
            hands: SortedMap::new(),
            hand_max: hand_max.max(1),
            news: Vec::new(),
        }
    }

    /// Somebody came.
    pub(in crate::core) fn arrive(&mut self, now: Time, conn: ConnId) {
        let hand = Hand { chunks: SortedSet::new(), moved: now, stalled: false, free: false };
        self.hands.entry(conn).or_insert(hand);
        self.fill(conn);
    }

    /// Somebody is gone: what was assigned to it is assigned to others.
    pub(in crate::core) fn depart(&mut self, conn: ConnId) {
        if let Some(hand) = self.hands.remove(&conn) {
            self.give_back(hand.chunks);
        }
    }

    /// A chunk left, or was seen elsewhere. `by` is who has it, and so gets on.
    pub(in crate::core) fn note_left(&mut self, now: Time, by: ConnId, chunk: u32) {
        if let Some(hand) = self.hands.get_mut(&by) {
            (hand.moved, hand.stalled) = (now, false);
        }
        if self.left.set(chunk) {
            let owner =
                self.hands.iter_mut().find_map(|(conn, hand)| hand.chunks.remove(&chunk).then_some(*conn));
            if let Some(owner) = owner {
                self.fill(owner);
            }
        }
        self.fill(by);
    }

    /// Takes back what does not get on. `asks` says whether a connection has asked for something that it did not get yet.
    pub(in crate::core) fn review(&mut self, now: Time, asks: impl Fn(ConnId) -> bool) {
        if self.hands.len() <= FEW {
            let seen = |hand: &Hand| !hand.free && now.since(hand.moved) >= COMING_WAIT;
            if self.hands.values().any(seen) {
                for (conn, hand) in &mut self.hands {
                    hand.free = true;
                    self.news.push(Show::All(*conn));
                }
            }
        }
        let mut back = SortedSet::new();
        for (conn, hand) in &mut self.hands {
            if !hand.chunks.is_empty() && now.since(hand.moved) >= STALL && !asks(*conn) {
                hand.stalled = true;
                back.append(&mut hand.chunks);
            }
        }
        self.give_back(back);
    }

    /// When [`Assigner::review`] may have something to do.
    pub(in crate::core) fn deadline(&self, now: Time) -> Option<Time> {
        let few = self.hands.len() <= FEW;
        let wait = |hand: &Hand| match (few && !hand.free, hand.chunks.is_empty()) {
            (true, _) => Some(hand.moved + COMING_WAIT),
            (false, false) => Some(hand.moved + STALL),
            (false, true) => None,
        };
        // Who asks is not stalled, and is looked at again later.
        let soonest = now + COMING_WAIT;
        self.hands.values().filter_map(wait).min().map(|at| at.max(soonest))
    }

    /// Whether nothing is left to assign, or nobody to assign it to: everything is shown to everybody then.
    pub(in crate::core) fn is_over(&self) -> bool {
        self.left.is_full() || self.hands.values().all(|hand| hand.stalled)
    }

    /// Everybody to whom something was assigned.
    pub(in crate::core) fn conns(&self) -> impl Iterator<Item = ConnId> + '_ {
        self.hands.keys().copied()
    }

    /// What may be shown since this was last asked.
    pub(in crate::core) fn take_news(&mut self) -> Vec<Show> {
        std::mem::take(&mut self.news)
    }

    /// Assigns more to somebody, as long as there is some and it has not got its share. The more there are, the smaller
    /// that is: half of what there is, over all.
    fn fill(&mut self, conn: ConnId) {
        let share = (self.left.len() as usize / (2 * self.hands.len().max(1))).clamp(1, self.hand_max);
        let Some(hand) = self.hands.get_mut(&conn).filter(|hand| !hand.stalled && !hand.free) else {
            return;
        };
        while hand.chunks.len() < share
            && let Some(chunk) = self.waiting.pop()
        {
            if !self.left.get(chunk) {
                hand.chunks.insert(chunk);
                self.news.push(Show::One(conn, chunk));
            }
        }
    }

    fn give_back(&mut self, chunks: SortedSet<u32>) {
        if chunks.is_empty() {
            return;
        }
        self.waiting.extend(chunks);
        for conn in self.hands.keys().copied().collect::<Vec<_>>() {
            self.fill(conn);
        }
    }

    /// Panics when a chunk is nowhere, or in two places.
    pub(in crate::core) fn check(&self) {
        let mut places = vec![0; self.left.len() as usize];
        let assigned = self.hands.values().flat_map(|hand| &hand.chunks);
        for chunk in self.waiting.iter().chain(assigned).filter(|chunk| !self.left.get(**chunk)) {
            places[*chunk as usize] += 1;
        }
        for (chunk, count) in (0u32..).zip(places) {
            assert_eq!(count == 1, !self.left.get(chunk), "chunk {chunk} is assigned once or has left");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conn(slot: u32) -> ConnId {
        ConnId { slot, generation: 0 }
    }

    fn assigner(chunks: u32, hand_max: usize, conns: u32) -> Assigner {
        let mut assigner = Assigner::new(chunks, hand_max, &mut Rng::new(1));
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
        let mut assigner = assigner(100, 3, 4);
        let first = shown(&mut assigner);
        assert_eq!(first.len(), 12);
        assert_eq!(first.iter().map(|(_, chunk)| *chunk).collect::<SortedSet<_>>().len(), 12);
        assigner.note_left(Time::ZERO, conn(0), first[0].1);
        let next = shown(&mut assigner);
        assert_eq!((next.len(), next[0].0), (1, 0));
        // What is seen at another peer has left too.
        assigner.note_left(Time::ZERO, conn(1), next[0].1);
        assert_eq!(shown(&mut assigner)[0].0, 0);
    }

    #[test]
    fn it_is_over_when_all_has_left() {
        let mut assigner = assigner(40, 3, 4);
        for chunk in 0..40 {
            assert!(!assigner.is_over());
            assigner.note_left(Time::ZERO, conn(0), chunk);
            assigner.check();
        }
        assert!(assigner.is_over());
    }

    #[test]
    fn who_leaves_or_stalls_gives_back() {
        let mut assigner = assigner(8, 2, 4);
        // Who came while there were few was assigned two each, the others one.
        assert_eq!(shown(&mut assigner).len(), 6);
        assigner.depart(conn(3));
        let waiting = assigner.waiting.len();
        assert_eq!(waiting, 3);
        let late = Time::ZERO + STALL;
        (0..2).for_each(|slot| assigner.hands.get_mut(&conn(slot)).unwrap().moved = late);
        // Who has asked waits for us.
        assigner.review(late, |_| true);
        assert_eq!(assigner.waiting.len(), waiting);
        assigner.review(late, |_| false);
        assert!(assigner.hands[&conn(2)].stalled && assigner.hands[&conn(2)].chunks.is_empty());
        assert!(!assigner.is_over());
        assigner.check();
        (0..2).for_each(|slot| assigner.depart(conn(slot)));
        assert!(assigner.is_over());
        // Who gets on takes part again.
        assigner.note_left(late, conn(2), 0);
        assert!(!assigner.is_over() && !assigner.hands[&conn(2)].chunks.is_empty());
    }

    #[test]
    fn one_or_two_are_shown_everything_soon() {
        let mut assigner = assigner(8, 2, 2);
        shown(&mut assigner);
        assert_eq!(assigner.deadline(Time::ZERO), Some(Time::ZERO + COMING_WAIT));
        assigner.review(Time::ZERO + COMING_WAIT, |_| true);
        assert_eq!(shown(&mut assigner), [(0, u32::MAX), (1, u32::MAX)]);
    }
}
