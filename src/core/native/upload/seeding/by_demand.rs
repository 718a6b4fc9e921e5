//! Super-seeding by demand: until each chunk has left the seed once, a neighbour that gets on is assigned another. A chunk that
//! does not get on is assigned once more.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Advert;
use crate::core::io::ConnId;
use crate::core::rng::Rng;
use crate::types::{Bitfield, Time};

/// One or two downloaders are told of every chunk, after this time in which more may come.
const COMING_WAIT: Duration = Duration::from_millis(300);
const FEW: usize = 2;
/// Chunks assigned and not left, over all neighbours, where these are few: enough that the seed never waits for a request. One
/// neighbour has at least one on its way and one in line, and a bounded number.
const ASSIGNED: usize = 16;
const ASSIGNED_MIN: usize = 2;
const ASSIGNED_MAX: usize = 12;
/// A chunk that takes this many times as long as usual is assigned once more.
const LATE: u32 = 4;
const LATE_IN_THE_END: u32 = 3;
/// When nothing gets on for this time, super-seeding is over: whatever the cause, advertising every chunk helps.
const STANDSTILL: Duration = Duration::from_secs(3);
/// What counts as usual until more is known.
const USUAL_FIRST: Duration = Duration::from_millis(500);
/// How often late chunks are looked for.
pub(crate) const REVIEW: Duration = Duration::from_millis(100);

/// One neighbour.
#[derive(Debug)]
struct Neighbour {
    /// Assigned and not left yet, and since when.
    chunks: BTreeMap<u32, Time>,
    arrived: Time,
    /// It left its chunks lying: no other is assigned to it until it gets on.
    stalled: bool,
    /// It is told of every chunk.
    unlimited: bool,
}

/// See [the module](self).
#[derive(Debug)]
pub(crate) struct ByDemand {
    /// Neither assigned nor left; the last is assigned first.
    waiting: Vec<u32>,
    /// To be assigned once more, to another connection than this.
    again: BTreeMap<u32, ConnId>,
    /// Chunks that have left, or that a peer had already.
    left: Bitfield,
    /// Chunks that only their first receiver has, and since when.
    alone: BTreeMap<u32, (ConnId, Time)>,
    neighbours: BTreeMap<ConnId, Neighbour>,
    /// How long a chunk usually takes until it leaves, and then until a second peer has it.
    leaves: Duration,
    spreads: Duration,
    /// When a chunk last got on.
    moved: Time,
    stands_still: bool,
    adverts: Vec<Advert>,
}

impl ByDemand {
    /// `chunks` chunks, none of which has left.
    pub(crate) fn new(chunks: u32, rng: &mut Rng) -> ByDemand {
        let mut waiting: Vec<u32> = (0..chunks).collect();
        for at in (1..waiting.len()).rev() {
            waiting.swap(at, rng.below(at.saturating_add(1)));
        }
        ByDemand {
            waiting,
            again: BTreeMap::new(),
            left: Bitfield::empty(chunks),
            alone: BTreeMap::new(),
            neighbours: BTreeMap::new(),
            leaves: USUAL_FIRST,
            spreads: USUAL_FIRST,
            moved: Time::ZERO,
            stands_still: false,
            adverts: Vec::new(),
        }
    }

    /// A connection arrived, or begins anew.
    pub(crate) fn arrive(&mut self, now: Time, conn: ConnId) {
        self.depart(now, conn);
        self.moved = now;
        let neighbour = Neighbour { chunks: BTreeMap::new(), arrived: now, stalled: false, unlimited: false };
        self.neighbours.insert(conn, neighbour);
        self.fill(now, conn);
    }

    /// A connection is gone: what was assigned to it, and what it alone had, is assigned to others.
    pub(crate) fn depart(&mut self, now: Time, conn: ConnId) {
        let Some(neighbour) = self.neighbours.remove(&conn) else { return };
        let lost: Vec<u32> =
            self.alone.iter().filter(|(_, (with, _))| *with == conn).map(|(chunk, _)| *chunk).collect();
        for chunk in lost {
            self.alone.remove(&chunk);
            self.again.insert(chunk, conn);
        }
        self.waiting.extend(neighbour.chunks.into_keys());
        self.fill_all(now);
    }

    /// A chunk was sent to a connection.
    pub(crate) fn note_sent(&mut self, now: Time, to: ConnId, chunk: u32) {
        self.again.remove(&chunk);
        self.moved = now;
        if self.left.set(chunk) || self.alone.contains_key(&chunk) {
            self.alone.insert(chunk, (to, now));
        }
        self.unassign(now, chunk);
        self.note_progress(now, to);
    }

    /// The other side of a connection has a chunk.
    pub(crate) fn note_has(&mut self, now: Time, at: ConnId, chunk: u32) {
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
        self.unassign(now, chunk);
        self.note_progress(now, at);
    }

    /// Assigns late chunks once more.
    pub(crate) fn review(&mut self, now: Time) {
        if self.neighbours.len() <= FEW
            && self
                .neighbours
                .values()
                .any(|neighbour| !neighbour.unlimited && now.since(neighbour.arrived) >= COMING_WAIT)
        {
            for (conn, neighbour) in &mut self.neighbours {
                neighbour.unlimited = true;
                self.adverts.push(Advert::All(*conn));
            }
        }
        self.stands_still |= now.since(self.moved) >= STANDSTILL;
        self.waiting.retain(|chunk| !self.left.get(*chunk));
        // In the end the seed has nothing else to do, and everything waits for what has not left.
        let in_the_end = self.waiting.is_empty();
        let late = if in_the_end { LATE_IN_THE_END } else { LATE };
        let (leaves, spreads) = (self.leaves.saturating_mul(late), self.spreads.saturating_mul(LATE));
        for (conn, neighbour) in &mut self.neighbours {
            let late = |(chunk, since): (&u32, &Time)| (now.since(*since) >= leaves).then_some(*chunk);
            for chunk in neighbour.chunks.iter().filter_map(late).collect::<Vec<_>>() {
                neighbour.chunks.remove(&chunk);
                neighbour.stalled |= !in_the_end;
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

    /// Whether no chunk is left to assign, or no connection to assign it to: all are told of every chunk then.
    fn is_over(&self) -> bool {
        self.left.is_full()
            || self.stands_still
            || self.neighbours.values().all(|neighbour| neighbour.stalled)
    }

    /// What is to be told since this was last asked, and whether super-seeding is over.
    pub(crate) fn take_adverts(&mut self) -> (Vec<Advert>, bool) {
        let mut adverts = std::mem::take(&mut self.adverts);
        let is_over = self.is_over();
        if is_over {
            adverts.extend(self.neighbours.keys().copied().map(Advert::All));
        }
        (adverts, is_over)
    }

    /// A chunk is no longer assigned; the connection that it was assigned to gets another.
    fn unassign(&mut self, now: Time, chunk: u32) {
        let holds =
            |(conn, neighbour): (&ConnId, &mut Neighbour)| Some((*conn, neighbour.chunks.remove(&chunk)?));
        if let Some((owner, since)) = self.neighbours.iter_mut().find_map(holds) {
            self.leaves = averaged(self.leaves, now.since(since));
            self.fill(now, owner);
        }
    }

    fn note_progress(&mut self, now: Time, conn: ConnId) {
        if let Some(neighbour) = self.neighbours.get_mut(&conn) {
            neighbour.stalled = false;
            self.fill(now, conn);
        }
    }

    fn fill_all(&mut self, now: Time) {
        if !self.waiting.is_empty() || !self.again.is_empty() {
            self.neighbours
                .keys()
                .copied()
                .collect::<Vec<_>>()
                .into_iter()
                .for_each(|conn| self.fill(now, conn));
        }
    }

    /// Assigns chunks to a connection up to its share: first those that are late elsewhere.
    fn fill(&mut self, now: Time, conn: ConnId) {
        let alone = self.neighbours.len() == 1;
        let share =
            ASSIGNED.checked_div(self.neighbours.len()).unwrap_or(ASSIGNED).clamp(ASSIGNED_MIN, ASSIGNED_MAX);
        let Some(neighbour) =
            self.neighbours.get_mut(&conn).filter(|neighbour| !neighbour.stalled && !neighbour.unlimited)
        else {
            return;
        };
        while neighbour.chunks.len() < share {
            let again = self.again.iter().find(|(_, not)| alone || **not != conn).map(|(chunk, _)| *chunk);
            if let Some(chunk) = again {
                self.again.remove(&chunk);
            }
            let Some(chunk) = again.or_else(|| self.waiting.pop()) else { return };
            if again.is_some() || !self.left.get(chunk) {
                neighbour.chunks.insert(chunk, now);
                self.adverts.push(Advert::Chunk(conn, chunk));
            }
        }
    }

    /// Panics when a chunk that has not left is nowhere.
    pub(crate) fn check(&self) {
        let mut assigned = Bitfield::empty(self.left.len());
        let in_hands = self.neighbours.values().flat_map(|neighbour| neighbour.chunks.keys());
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

    fn seeding(chunks: u32, conns: u32) -> ByDemand {
        let mut seeding = ByDemand::new(chunks, &mut Rng::new(1));
        (0..conns).for_each(|slot| seeding.arrive(Time::ZERO, conn(slot)));
        seeding
    }

    /// What each connection is told since this was last asked.
    fn told(seeding: &mut ByDemand) -> Vec<(u32, u32)> {
        seeding.check();
        let one = |advert| match advert {
            Advert::Chunk(conn, chunk) => (conn.slot, chunk),
            Advert::All(conn) => (conn.slot, u32::MAX),
        };
        seeding.take_adverts().0.into_iter().map(one).collect()
    }

    #[test]
    fn no_two_are_told_of_the_same_chunk_and_the_next_follows_each() {
        let mut seeding = seeding(200, 16);
        let first = told(&mut seeding);
        let chunks: BTreeSet<u32> = first.iter().map(|(_, chunk)| *chunk).collect();
        assert_eq!(chunks.len(), first.len());
        assert!((0..16).all(|slot| first.iter().filter(|(to, _)| *to == slot).count() >= ASSIGNED_MIN));
        let last = first.iter().rfind(|(to, _)| *to == 15).unwrap().1;
        seeding.note_sent(Time::ZERO, conn(15), last);
        let next = told(&mut seeding);
        assert_eq!((next.len(), next[0].0), (1, 15));
        // What is seen at another peer has left too.
        seeding.note_has(Time::ZERO, conn(14), next[0].1);
        assert!(told(&mut seeding).iter().any(|(to, _)| *to == 15));
    }

    #[test]
    fn it_is_over_when_all_has_left() {
        let mut seeding = seeding(40, 4);
        for chunk in 0..40 {
            assert!(!seeding.is_over());
            seeding.note_sent(Time::ZERO, conn(0), chunk);
            seeding.check();
        }
        assert!(seeding.is_over());
    }

    #[test]
    fn what_is_late_to_leave_is_assigned_to_another_and_its_neighbour_to_nothing_until_it_gets_on() {
        let mut seeding = seeding(40, 3);
        let first: BTreeSet<u32> = told(&mut seeding).into_iter().map(|(_, chunk)| chunk).collect();
        let late = Time::ZERO + USUAL_FIRST * LATE;
        seeding.review(late);
        assert!(
            seeding.is_over() && seeding.neighbours.values().all(|neighbour| neighbour.chunks.is_empty())
        );
        seeding.arrive(late, conn(3));
        let again = told(&mut seeding);
        assert!(!again.is_empty() && again.iter().all(|(to, chunk)| *to == 3 && first.contains(chunk)));
        assert!(!seeding.is_over());
        seeding.note_sent(late, conn(2), again[0].1);
        assert!(!seeding.neighbours[&conn(2)].stalled && !seeding.neighbours[&conn(2)].chunks.is_empty());
        seeding.check();
    }

    #[test]
    fn in_the_end_less_is_late() {
        let mut seeding = seeding(15, 3);
        let first = told(&mut seeding);
        assert_eq!(first.len(), 15);
        seeding.review(Time::ZERO + USUAL_FIRST);
        assert!(told(&mut seeding).is_empty());
        seeding.review(Time::ZERO + USUAL_FIRST * LATE_IN_THE_END);
        // Each is assigned to another, and nobody is left out.
        let again = told(&mut seeding);
        assert!(!again.is_empty() && again.iter().all(|(to, chunk)| !first.contains(&(*to, *chunk))));
        assert!(!seeding.is_over());
    }

    #[test]
    fn what_only_one_has_for_long_is_assigned_once_more() {
        let mut seeding = seeding(40, 3);
        let (to, chunk) = told(&mut seeding)[0];
        seeding.note_sent(Time::ZERO, conn(to), chunk);
        seeding.note_has(Time::ZERO, conn(to), chunk);
        seeding.review(Time::ZERO + USUAL_FIRST);
        assert!(seeding.again.is_empty());
        let late = Time::ZERO + USUAL_FIRST * LATE;
        seeding.review(late);
        assert_eq!(seeding.again.get(&chunk), Some(&conn(to)));
        seeding.note_has(late, conn((to + 1) % 3), chunk);
        assert!(!seeding.again.contains_key(&chunk) && seeding.alone.is_empty());
        seeding.check();
    }

    #[test]
    fn who_leaves_gives_back_what_nobody_else_has() {
        let mut seeding = seeding(60, 4);
        let (to, chunk) = told(&mut seeding)[0];
        seeding.note_sent(Time::ZERO, conn(to), chunk);
        told(&mut seeding);
        let assigned: Vec<u32> = seeding.neighbours[&conn(to)].chunks.keys().copied().collect();
        seeding.depart(Time::ZERO, conn(to));
        // With one less each other gets more.
        assert!(told(&mut seeding).iter().any(|(other, again)| *other != to && *again == chunk));
        let is_kept = |chunk: &u32| {
            seeding.waiting.contains(chunk)
                || seeding.neighbours.values().any(|neighbour| neighbour.chunks.contains_key(chunk))
        };
        assert!(assigned.iter().all(is_kept));
        (0..4).for_each(|slot| seeding.depart(Time::ZERO, conn(slot)));
        assert!(seeding.is_over());
    }

    #[test]
    fn a_connection_that_begins_anew_is_told_anew_and_a_standstill_ends_it() {
        let mut seeding = seeding(4, 1);
        let first: BTreeSet<(u32, u32)> = told(&mut seeding).into_iter().collect();
        seeding.arrive(Time::ZERO, conn(0));
        assert_eq!(told(&mut seeding).into_iter().collect::<BTreeSet<_>>(), first);
        seeding.review(Time::ZERO + STANDSTILL);
        assert!(seeding.is_over());
    }

    #[test]
    fn one_or_two_are_told_of_every_chunk_soon() {
        let mut seeding = seeding(8, 2);
        told(&mut seeding);
        seeding.review(Time::ZERO + COMING_WAIT / 2);
        assert!(told(&mut seeding).is_empty());
        seeding.review(Time::ZERO + COMING_WAIT);
        assert_eq!(told(&mut seeding), [(0, u32::MAX), (1, u32::MAX)]);
    }
}
