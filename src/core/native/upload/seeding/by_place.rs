//! Super-seeding by place: of n expected peers the k-th is assigned every n-th chunk from k on, so that each chunk leaves once
//! as long as no peer is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Advert;
use crate::core::io::ConnId;
use crate::types::{Bitfield, Time};

/// How long a chunk waits that only a lost peer had: another may have it and not have said so yet.
const LOST_AFTER: Duration = Duration::from_secs(1);

/// Who has one chunk, or is to get it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It belongs to a place that no peer has taken yet.
    Reserved,
    /// It is to be assigned to a connection that is there.
    Open,
    /// This connection is to get it.
    Assigned(ConnId),
    /// A connected peer has it.
    Spread,
    /// The only peer that had it is gone.
    Lost,
}

/// What is assigned to one connection.
#[derive(Debug)]
struct Neighbour {
    /// Assigned, and not advertised yet.
    waiting: BTreeSet<u32>,
    /// Advertised, and neither sent nor had otherwise.
    advertised: BTreeSet<u32>,
    has: Bitfield,
}

/// See [the module](self).
#[derive(Debug)]
pub(crate) struct ByPlace {
    states: Vec<State>,
    /// How many connected peers have each chunk.
    holders: Vec<u32>,
    neighbours: BTreeMap<ConnId, Neighbour>,
    places: u32,
    taken: u32,
    reassign_after: Duration,
    /// When the chunks of empty places are assigned to other peers.
    reassign_at: Option<Time>,
    /// When lost chunks are assigned again.
    lost_at: Option<Time>,
    advertised_max: usize,
    adverts: Vec<Advert>,
}

impl ByPlace {
    /// `chunks` chunks for `places` peers. The chunks of empty places are assigned to others `reassign_after` after the first place
    /// was taken. A connection is told of at most `advertised_max` chunks that it neither got nor has.
    pub(crate) fn new(chunks: u32, places: u32, reassign_after: Duration, advertised_max: usize) -> ByPlace {
        ByPlace {
            states: vec![State::Reserved; chunks as usize],
            holders: vec![0; chunks as usize],
            neighbours: BTreeMap::new(),
            places: places.max(1),
            taken: 0,
            reassign_after,
            reassign_at: None,
            lost_at: None,
            advertised_max: advertised_max.max(1),
            adverts: Vec::new(),
        }
    }

    /// A connection takes the next place. When all places are taken, it gets chunks from the connections that wait for most.
    pub(crate) fn arrive(&mut self, now: Time, conn: ConnId) {
        let has = Bitfield::empty(self.chunks());
        let neighbour = Neighbour { waiting: BTreeSet::new(), advertised: BTreeSet::new(), has };
        if self.neighbours.insert(conn, neighbour).is_some() {
            return;
        }
        if self.taken < self.places {
            let place = self.taken;
            self.taken = self.taken.saturating_add(1);
            self.reassign_at = match self.taken < self.places {
                true => self.reassign_at.or(Some(now + self.reassign_after)),
                false => None,
            };
            for chunk in (place..self.chunks()).step_by(self.places as usize) {
                if self.states.get(chunk as usize) == Some(&State::Reserved) {
                    self.assign(conn, chunk);
                }
            }
        } else {
            self.share_with(conn);
        }
        self.assign_open();
    }

    /// A connection is gone. What it was still to get goes to others at once, and what it alone had a little later.
    pub(crate) fn depart(&mut self, now: Time, conn: ConnId) {
        let Some(neighbour) = self.neighbours.remove(&conn) else { return };
        for ((chunk, state), holders) in (0..).zip(&mut self.states).zip(&mut self.holders) {
            *holders = holders.saturating_sub(u32::from(neighbour.has.get(chunk)));
            if *state == State::Assigned(conn) {
                *state = State::Open;
            } else if *state == State::Spread && *holders == 0 {
                *state = State::Lost;
                self.lost_at = self.lost_at.or(Some(now + LOST_AFTER));
            }
        }
        self.adverts.retain(|advert| !matches!(advert, Advert::Chunk(to, _) if *to == conn));
        self.assign_open();
    }

    /// The other side of a connection has a chunk, wherever it came from.
    pub(crate) fn note_has(&mut self, conn: ConnId, chunk: u32) {
        let Some(neighbour) = self.neighbours.get_mut(&conn) else { return };
        if !neighbour.has.set(chunk) {
            return;
        }
        neighbour.advertised.remove(&chunk);
        if let Some(holders) = self.holders.get_mut(chunk as usize) {
            *holders = holders.saturating_add(1);
        }
        let Some(state) = self.states.get_mut(chunk as usize) else { return };
        if let State::Assigned(other) = std::mem::replace(state, State::Spread)
            && let Some(neighbour) = self.neighbours.get_mut(&other)
        {
            neighbour.waiting.remove(&chunk);
        }
        self.fill(conn);
    }

    /// A chunk was sent to a connection.
    pub(crate) fn note_sent(&mut self, conn: ConnId, chunk: u32) {
        let Some(neighbour) = self.neighbours.get_mut(&conn) else { return };
        neighbour.advertised.remove(&chunk);
        if let Some(state) = self.states.get_mut(chunk as usize) {
            match *state {
                // It was requested as a last resort, by a peer that it was not assigned to.
                State::Reserved | State::Open | State::Lost => *state = State::Assigned(conn),
                State::Assigned(other)
                    if other != conn
                        && self
                            .neighbours
                            .get_mut(&other)
                            .is_some_and(|neighbour| neighbour.waiting.remove(&chunk)) =>
                {
                    *state = State::Assigned(conn);
                }
                State::Assigned(_) | State::Spread => {}
            }
        }
        self.fill(conn);
    }

    /// Assigns the chunks of empty places and the lost chunks to others, if their time has come.
    pub(crate) fn review(&mut self, now: Time) {
        let due = |at: Option<Time>| at.is_some_and(|at| at <= now);
        if due(self.lost_at) {
            self.lost_at = None;
            self.open_all(State::Lost);
        }
        if due(self.reassign_at) {
            self.reassign_at = None;
            self.taken = self.places;
            self.open_all(State::Reserved);
        }
        self.assign_open();
    }

    fn open_all(&mut self, from: State) {
        self.states.iter_mut().filter(|state| **state == from).for_each(|state| *state = State::Open);
    }

    /// When [`ByPlace::review`] is due.
    pub(crate) fn deadline(&self) -> Option<Time> {
        [self.reassign_at, self.lost_at].into_iter().flatten().min()
    }

    /// What is to be told since this was last asked.
    pub(crate) fn take_adverts(&mut self) -> Vec<Advert> {
        std::mem::take(&mut self.adverts)
    }

    fn chunks(&self) -> u32 {
        // Chunks are counted by u32 where they come from.
        self.states.len() as u32
    }

    fn assign(&mut self, conn: ConnId, chunk: u32) {
        let Some(state) = self.states.get_mut(chunk as usize) else { return };
        *state = State::Assigned(conn);
        if let Some(neighbour) = self.neighbours.get_mut(&conn) {
            neighbour.waiting.insert(chunk);
        }
    }

    /// Assigns each open chunk to the connection that is to get the fewest.
    fn assign_open(&mut self) {
        let load = |neighbour: &Neighbour| neighbour.waiting.len().saturating_add(neighbour.advertised.len());
        let mut loads: BTreeSet<(usize, ConnId)> =
            self.neighbours.iter().map(|(conn, neighbour)| (load(neighbour), *conn)).collect();
        let open = (0..).zip(&self.states).filter(|(_, state)| **state == State::Open);
        for chunk in open.map(|(chunk, _)| chunk).collect::<Vec<u32>>() {
            let Some((load, conn)) = loads.pop_first() else { break };
            self.assign(conn, chunk);
            loads.insert((load.saturating_add(1), conn));
        }
        for conn in self.neighbours.keys().copied().collect::<Vec<_>>() {
            self.fill(conn);
        }
    }

    /// A connection that comes late gets chunks that are not advertised yet, one at a time, from the one that waits for most.
    fn share_with(&mut self, conn: ConnId) {
        loop {
            let own = self.neighbours.get(&conn).map_or(0, |neighbour| neighbour.waiting.len());
            let longest = self.neighbours.values_mut().max_by_key(|neighbour| neighbour.waiting.len());
            let longest = longest.filter(|neighbour| neighbour.waiting.len() > own.saturating_add(1));
            let Some(chunk) = longest.and_then(|neighbour| neighbour.waiting.pop_last()) else { return };
            self.assign(conn, chunk);
        }
    }

    /// Advertises more of what is assigned to a connection, up to the most that it may leave lying.
    fn fill(&mut self, conn: ConnId) {
        let Some(neighbour) = self.neighbours.get_mut(&conn) else { return };
        while neighbour.advertised.len() < self.advertised_max
            && let Some(chunk) = neighbour.waiting.pop_first()
        {
            neighbour.advertised.insert(chunk);
            self.adverts.push(Advert::Chunk(conn, chunk));
        }
    }

    /// Panics when a chunk is nowhere, or assigned twice.
    pub(crate) fn check(&self) {
        for ((chunk, state), counted) in (0u32..).zip(&self.states).zip(&self.holders) {
            let holders = self.neighbours.values().filter(|neighbour| neighbour.has.get(chunk)).count();
            assert_eq!(*counted as usize, holders, "chunk {chunk} is held by so many");
            let waits = self.neighbours.iter().filter(|(_, neighbour)| neighbour.waiting.contains(&chunk));
            let waits: Vec<ConnId> = waits.map(|(conn, _)| *conn).collect();
            match state {
                State::Reserved => assert!(self.taken < self.places, "chunk {chunk} is reserved for nobody"),
                State::Open => assert!(self.neighbours.is_empty(), "chunk {chunk} is open"),
                State::Assigned(conn) => {
                    assert!(self.neighbours.contains_key(conn), "chunk {chunk} is assigned to nobody")
                }
                State::Spread => assert!(holders > 0, "chunk {chunk} is lost"),
                State::Lost => assert!(holders == 0 && self.lost_at.is_some(), "chunk {chunk} is found"),
            }
            let assigned = matches!(state, State::Assigned(conn) if waits.is_empty() || waits == [*conn]);
            assert!(waits.is_empty() || assigned, "chunk {chunk} waits for {waits:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_secs(10);

    fn conn(slot: u32) -> ConnId {
        ConnId { slot, generation: 0 }
    }

    fn seeding(chunks: u32, places: u32) -> ByPlace {
        ByPlace::new(chunks, places, AFTER, 100)
    }

    /// What each of `count` connections is told since this was last asked.
    fn told(seeding: &mut ByPlace, count: u32) -> Vec<Vec<u32>> {
        seeding.check();
        let adverts = seeding.take_adverts();
        let chunk = |slot, advert: &Advert| match advert {
            Advert::Chunk(to, chunk) if *to == conn(slot) => Some(*chunk),
            _ => None,
        };
        let of = |slot| adverts.iter().filter_map(move |advert| chunk(slot, advert));
        (0..count).map(|slot| of(slot).collect()).collect()
    }

    #[test]
    fn the_kth_gets_what_is_k_modulo_the_places() {
        let mut seeding = seeding(7, 3);
        (0..3).for_each(|slot| seeding.arrive(Time::ZERO, conn(slot)));
        assert_eq!(told(&mut seeding, 3), [vec![0, 3, 6], vec![1, 4], vec![2, 5]]);
        assert_eq!(seeding.deadline(), None);
    }

    #[test]
    fn empty_places_are_assigned_to_others_in_time() {
        let mut seeding = seeding(8, 4);
        seeding.arrive(Time::from_millis(5), conn(0));
        seeding.arrive(Time::from_millis(9), conn(1));
        assert_eq!(told(&mut seeding, 2), [vec![0, 4], vec![1, 5]]);
        assert_eq!(seeding.deadline(), Some(Time::from_millis(10_005)));
        seeding.review(Time::from_millis(10_004));
        assert_eq!(told(&mut seeding, 2), [[0; 0], []]);
        seeding.review(Time::from_millis(10_005));
        assert_eq!(told(&mut seeding, 2), [vec![2, 6], vec![3, 7]]);
        assert_eq!(seeding.deadline(), None);
    }

    #[test]
    fn no_more_is_advertised_than_is_taken_and_a_late_peer_gets_of_the_rest() {
        let mut seeding = ByPlace::new(9, 1, AFTER, 2);
        seeding.arrive(Time::ZERO, conn(0));
        assert_eq!(told(&mut seeding, 1), [[0, 1]]);
        seeding.note_sent(conn(0), 1);
        assert_eq!(told(&mut seeding, 1), [[2]]);
        // 3 to 8 have not left.
        seeding.arrive(Time::ZERO, conn(1));
        assert_eq!(told(&mut seeding, 2), [vec![], vec![6, 7]]);
        seeding.note_sent(conn(1), 6);
        seeding.note_sent(conn(1), 7);
        assert_eq!(told(&mut seeding, 2), [vec![], vec![8]]);
        // What came another way is not waited for.
        seeding.note_has(conn(0), 0);
        seeding.note_has(conn(0), 2);
        assert_eq!(told(&mut seeding, 2), [vec![3, 4], vec![]]);
    }

    #[test]
    fn what_is_lost_goes_to_others_and_what_is_not_does_not() {
        let mut seeding = seeding(6, 2);
        (0..2).for_each(|slot| seeding.arrive(Time::ZERO, conn(slot)));
        told(&mut seeding, 2);
        // 0 is on its way, 2 is had, 4 is had by both.
        seeding.note_sent(conn(0), 0);
        for (slot, chunk) in [(0, 2), (0, 4), (1, 4), (1, 1)] {
            seeding.note_sent(conn(slot), chunk);
            seeding.note_has(conn(slot), chunk);
        }
        // What is on its way is assigned at once, what was had when it is plain that nobody else has it.
        seeding.depart(Time::ZERO, conn(0));
        assert_eq!(told(&mut seeding, 2), [vec![], vec![0]]);
        assert_eq!(seeding.deadline(), Some(Time::ZERO + LOST_AFTER));
        seeding.review(Time::ZERO + LOST_AFTER);
        assert_eq!(told(&mut seeding, 2), [vec![], vec![2]]);
        seeding.depart(Time::ZERO, conn(1));
        assert_eq!(told(&mut seeding, 2), [[0; 0], []]);
        seeding.arrive(Time::ZERO, conn(2));
        assert_eq!(told(&mut seeding, 3)[2], [0, 2, 3, 5]);
        seeding.note_has(conn(2), 4);
        seeding.review(Time::ZERO + LOST_AFTER);
        assert_eq!(told(&mut seeding, 3)[2], [1]);
        assert_eq!(seeding.deadline(), None);
    }

    #[test]
    fn what_somebody_brings_along_need_not_leave() {
        let mut seeding = ByPlace::new(6, 2, AFTER, 1);
        seeding.arrive(Time::ZERO, conn(0));
        (0..6).for_each(|chunk| seeding.note_has(conn(0), chunk));
        seeding.arrive(Time::ZERO, conn(1));
        assert_eq!(told(&mut seeding, 2)[1], [0; 0]);
        seeding.depart(Time::ZERO, conn(0));
        seeding.review(Time::ZERO + LOST_AFTER);
        assert_eq!(told(&mut seeding, 2)[1], [0]);
        // A last resort takes what is another's.
        seeding.note_sent(conn(1), 5);
        seeding.note_sent(conn(1), 0);
        assert_eq!(told(&mut seeding, 2)[1], [1]);
    }
}
