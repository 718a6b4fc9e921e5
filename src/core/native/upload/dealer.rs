//! Dealing one content: which chunks leave this peer to whom, so that each leaves once as long as nobody is lost.
//!
//! Owns who was dealt which chunk and what of that may be shown by now. Knows a connection only by its id; what is
//! really shown, asked for and sent is the business of others.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::core::door::ConnId;
use crate::types::bitfield::Bitfield;
use crate::types::time::Time;

/// What somebody had who is gone is dealt again only after so long: others may have it and not have said so yet.
const LOST_AFTER: Duration = Duration::from_secs(1);

/// Where one chunk stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lot {
    /// It belongs to a place that nobody has taken yet.
    Kept,
    /// It is to be dealt to whoever is there.
    Pooled,
    /// It was dealt to this connection, which does not have it yet.
    Dealt(ConnId),
    /// Somebody who is connected has it.
    Out,
    /// Who had it is gone.
    Lost,
}

/// What one connection was dealt.
#[derive(Debug)]
struct Hand {
    /// Dealt, and not shown yet.
    waiting: BTreeSet<u32>,
    /// Shown, and neither sent nor had otherwise.
    shown: BTreeSet<u32>,
    has: Bitfield,
}

/// The chunks of one content, dealt to whoever comes.
#[derive(Debug)]
pub(crate) struct Dealer {
    lots: Vec<Lot>,
    /// How many of those who are connected have each chunk.
    holders: Vec<u32>,
    pool: BTreeSet<u32>,
    hands: BTreeMap<ConnId, Hand>,
    places: u32,
    taken: u32,
    deal_after: Duration,
    /// When places that nobody took are dealt out.
    deal_at: Option<Time>,
    /// Chunks that are lost, and when they are dealt again.
    lost: BTreeSet<u32>,
    lost_at: Option<Time>,
    shown_max: usize,
    news: Vec<(ConnId, u32)>,
}

impl Dealer {
    /// `chunks` chunks for `places` peers. Places that nobody took are dealt out `deal_after` after the first was taken. To
    /// one connection no more than `shown_max` chunks are shown that it neither got nor has.
    pub(crate) fn new(chunks: u32, places: u32, deal_after: Duration, shown_max: usize) -> Dealer {
        Dealer {
            lots: vec![Lot::Kept; chunks as usize],
            holders: vec![0; chunks as usize],
            pool: BTreeSet::new(),
            hands: BTreeMap::new(),
            places: places.max(1),
            taken: 0,
            deal_after,
            deal_at: None,
            lost: BTreeSet::new(),
            lost_at: None,
            shown_max: shown_max.max(1),
            news: Vec::new(),
        }
    }

    /// Somebody came: the k-th is dealt every chunk that is k modulo the number of places. Who comes when all places are
    /// taken gets some of what has not left yet and waits longest.
    pub(crate) fn arrive(&mut self, now: Time, conn: ConnId) {
        let has = Bitfield::empty(self.chunks());
        let hand = Hand { waiting: BTreeSet::new(), shown: BTreeSet::new(), has };
        if self.hands.insert(conn, hand).is_some() {
            return;
        }
        if self.taken < self.places {
            let place = self.taken;
            self.taken = self.taken.saturating_add(1);
            self.deal_at = match self.taken < self.places {
                true => self.deal_at.or(Some(now + self.deal_after)),
                false => None,
            };
            for chunk in (place..self.chunks()).step_by(self.places as usize) {
                if self.lots.get(chunk as usize) == Some(&Lot::Kept) {
                    self.deal_one(conn, chunk);
                }
            }
        } else {
            self.share_with(conn);
        }
        self.deal_pool();
    }

    /// Somebody is gone. What it was still to get goes to others at once, and what it alone had a little later.
    pub(crate) fn depart(&mut self, now: Time, conn: ConnId) {
        let Some(hand) = self.hands.remove(&conn) else { return };
        for ((chunk, lot), holders) in (0..).zip(&mut self.lots).zip(&mut self.holders) {
            *holders = holders.saturating_sub(u32::from(hand.has.get(chunk)));
            if *lot == Lot::Dealt(conn) {
                *lot = Lot::Pooled;
                self.pool.insert(chunk);
            } else if *lot == Lot::Out && *holders == 0 {
                *lot = Lot::Lost;
                self.lost.insert(chunk);
                self.lost_at = self.lost_at.or(Some(now + LOST_AFTER));
            }
        }
        self.news.retain(|(to, _)| *to != conn);
        self.deal_pool();
    }

    /// Somebody has a chunk, wherever it came from.
    pub(crate) fn note_has(&mut self, conn: ConnId, chunk: u32) {
        let Some(hand) = self.hands.get_mut(&conn) else { return };
        if !hand.has.set(chunk) {
            return;
        }
        hand.shown.remove(&chunk);
        if let Some(holders) = self.holders.get_mut(chunk as usize) {
            *holders = holders.saturating_add(1);
        }
        let Some(lot) = self.lots.get_mut(chunk as usize) else { return };
        match std::mem::replace(lot, Lot::Out) {
            Lot::Dealt(other) => {
                if let Some(hand) = self.hands.get_mut(&other) {
                    hand.waiting.remove(&chunk);
                }
            }
            Lot::Pooled => {
                self.pool.remove(&chunk);
            }
            Lot::Lost => {
                self.lost.remove(&chunk);
            }
            Lot::Kept | Lot::Out => {}
        }
        self.fill(conn);
    }

    /// A chunk left for a connection.
    pub(crate) fn note_sent(&mut self, conn: ConnId, chunk: u32) {
        let Some(hand) = self.hands.get_mut(&conn) else { return };
        hand.shown.remove(&chunk);
        if let Some(lot) = self.lots.get_mut(chunk as usize) {
            match *lot {
                // It was asked for as a last resort, by who was not dealt it.
                Lot::Kept | Lot::Pooled | Lot::Lost => {
                    self.pool.remove(&chunk);
                    self.lost.remove(&chunk);
                    *lot = Lot::Dealt(conn);
                }
                Lot::Dealt(other)
                    if other != conn
                        && self.hands.get_mut(&other).is_some_and(|hand| hand.waiting.remove(&chunk)) =>
                {
                    *lot = Lot::Dealt(conn);
                }
                Lot::Dealt(_) | Lot::Out => {}
            }
        }
        self.fill(conn);
    }

    /// Deals out the places that nobody took and what was lost, if its time has come.
    pub(crate) fn review(&mut self, now: Time) {
        let due = |at: Option<Time>| at.is_some_and(|at| at <= now);
        if due(self.lost_at) {
            self.lost_at = None;
            self.pool.append(&mut self.lost);
        }
        if due(self.deal_at) {
            self.deal_at = None;
            self.taken = self.places;
            let kept = (0u32..).zip(&self.lots).filter(|(_, lot)| **lot == Lot::Kept);
            self.pool.extend(kept.map(|(chunk, _)| chunk));
        }
        for chunk in &self.pool {
            if let Some(lot) = self.lots.get_mut(*chunk as usize) {
                *lot = Lot::Pooled;
            }
        }
        self.deal_pool();
    }

    /// When [`Dealer::review`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Time> {
        [self.deal_at, self.lost_at].into_iter().flatten().min()
    }

    /// What may be shown since this was last asked, and to whom.
    pub(crate) fn take_news(&mut self) -> Vec<(ConnId, u32)> {
        std::mem::take(&mut self.news)
    }

    fn chunks(&self) -> u32 {
        // Chunks are counted by u32 where they come from.
        self.lots.len() as u32
    }

    fn deal_one(&mut self, conn: ConnId, chunk: u32) {
        let Some(lot) = self.lots.get_mut(chunk as usize) else { return };
        *lot = Lot::Dealt(conn);
        if let Some(hand) = self.hands.get_mut(&conn) {
            hand.waiting.insert(chunk);
        }
    }

    /// Deals what belongs to nobody, each chunk to who has the fewest to get, and shows what may be shown.
    fn deal_pool(&mut self) {
        let load = |hand: &Hand| hand.waiting.len().saturating_add(hand.shown.len());
        let mut loads: BTreeSet<(usize, ConnId)> =
            self.hands.iter().map(|(conn, hand)| (load(hand), *conn)).collect();
        while let Some((load, conn)) = loads.pop_first() {
            let Some(chunk) = self.pool.pop_first() else { break };
            self.deal_one(conn, chunk);
            loads.insert((load.saturating_add(1), conn));
        }
        for conn in self.hands.keys().copied().collect::<Vec<_>>() {
            self.fill(conn);
        }
    }

    /// Who came late takes from those who wait for most, one chunk at a time, what they were not shown.
    fn share_with(&mut self, conn: ConnId) {
        loop {
            let own = self.hands.get(&conn).map_or(0, |hand| hand.waiting.len());
            let longest = self.hands.values_mut().max_by_key(|hand| hand.waiting.len());
            let longest = longest.filter(|hand| hand.waiting.len() > own.saturating_add(1));
            let Some(chunk) = longest.and_then(|hand| hand.waiting.pop_last()) else { return };
            self.deal_one(conn, chunk);
        }
    }

    /// Shows a connection more of what it was dealt, as long as it does not get on with what it was shown.
    fn fill(&mut self, conn: ConnId) {
        let Some(hand) = self.hands.get_mut(&conn) else { return };
        while hand.shown.len() < self.shown_max
            && let Some(chunk) = hand.waiting.pop_first()
        {
            hand.shown.insert(chunk);
            self.news.push((conn, chunk));
        }
    }

    /// Panics when a chunk is nowhere, or in two places.
    pub(crate) fn check(&self) {
        for ((chunk, lot), counted) in (0u32..).zip(&self.lots).zip(&self.holders) {
            let holders = self.hands.values().filter(|hand| hand.has.get(chunk)).count();
            assert_eq!(*counted as usize, holders, "chunk {chunk} is held by so many");
            let waits = self.hands.iter().filter(|(_, hand)| hand.waiting.contains(&chunk));
            let waits: Vec<ConnId> = waits.map(|(conn, _)| *conn).collect();
            match lot {
                Lot::Kept => assert!(self.taken < self.places, "chunk {chunk} is kept for nobody"),
                Lot::Pooled => {
                    assert!(self.pool.contains(&chunk) && self.hands.is_empty(), "{chunk} lies about")
                }
                Lot::Dealt(conn) => assert!(self.hands.contains_key(conn), "{chunk} is dealt to nobody"),
                Lot::Out => assert!(holders > 0, "chunk {chunk} is lost"),
                Lot::Lost => {
                    assert!(
                        holders == 0 && self.lost.contains(&chunk) && self.lost_at.is_some(),
                        "{chunk} is found"
                    )
                }
            }
            let dealt = matches!(lot, Lot::Dealt(conn) if waits.is_empty() || waits == [*conn]);
            assert!(waits.is_empty() || dealt, "chunk {chunk} waits for {waits:?}");
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

    fn dealer(chunks: u32, places: u32) -> Dealer {
        Dealer::new(chunks, places, AFTER, 100)
    }

    /// What is shown to each of `count` connections, since this was last asked.
    fn shown(dealer: &mut Dealer, count: u32) -> Vec<Vec<u32>> {
        dealer.check();
        let news = dealer.take_news();
        let of = |slot| news.iter().filter(move |(to, _)| *to == conn(slot)).map(|(_, chunk)| *chunk);
        (0..count).map(|slot| of(slot).collect()).collect()
    }

    #[test]
    fn the_kth_gets_what_is_k_modulo_the_places() {
        let mut dealer = dealer(7, 3);
        (0..3).for_each(|slot| dealer.arrive(Time::ZERO, conn(slot)));
        assert_eq!(shown(&mut dealer, 3), [vec![0, 3, 6], vec![1, 4], vec![2, 5]]);
        assert_eq!(dealer.deadline(), None);
    }

    #[test]
    fn places_not_taken_are_dealt_out_in_time() {
        let mut dealer = dealer(8, 4);
        dealer.arrive(Time::from_millis(5), conn(0));
        dealer.arrive(Time::from_millis(9), conn(1));
        assert_eq!(shown(&mut dealer, 2), [vec![0, 4], vec![1, 5]]);
        assert_eq!(dealer.deadline(), Some(Time::from_millis(10_005)));
        dealer.review(Time::from_millis(10_004));
        assert_eq!(shown(&mut dealer, 2), [[0; 0], []]);
        dealer.review(Time::from_millis(10_005));
        assert_eq!(shown(&mut dealer, 2), [vec![2, 6], vec![3, 7]]);
        assert_eq!(dealer.deadline(), None);
    }

    #[test]
    fn no_more_is_shown_than_is_taken_and_who_is_late_gets_of_the_rest() {
        let mut dealer = Dealer::new(9, 1, AFTER, 2);
        dealer.arrive(Time::ZERO, conn(0));
        assert_eq!(shown(&mut dealer, 1), [[0, 1]]);
        dealer.note_sent(conn(0), 1);
        assert_eq!(shown(&mut dealer, 1), [[2]]);
        // 3 to 8 have not left.
        dealer.arrive(Time::ZERO, conn(1));
        assert_eq!(shown(&mut dealer, 2), [vec![], vec![6, 7]]);
        dealer.note_sent(conn(1), 6);
        dealer.note_sent(conn(1), 7);
        assert_eq!(shown(&mut dealer, 2), [vec![], vec![8]]);
        // What came another way is not waited for.
        dealer.note_has(conn(0), 0);
        dealer.note_has(conn(0), 2);
        assert_eq!(shown(&mut dealer, 2), [vec![3, 4], vec![]]);
    }

    #[test]
    fn what_is_lost_goes_to_others_and_what_is_not_does_not() {
        let mut dealer = dealer(6, 2);
        (0..2).for_each(|slot| dealer.arrive(Time::ZERO, conn(slot)));
        shown(&mut dealer, 2);
        // 0 is on its way, 2 is had, 4 is had by both.
        dealer.note_sent(conn(0), 0);
        for (slot, chunk) in [(0, 2), (0, 4), (1, 4), (1, 1)] {
            dealer.note_sent(conn(slot), chunk);
            dealer.note_has(conn(slot), chunk);
        }
        // What is on its way is dealt at once, what was had when it is plain that nobody else has it.
        dealer.depart(Time::ZERO, conn(0));
        assert_eq!(shown(&mut dealer, 2), [vec![], vec![0]]);
        assert_eq!(dealer.deadline(), Some(Time::ZERO + LOST_AFTER));
        dealer.review(Time::ZERO + LOST_AFTER);
        assert_eq!(shown(&mut dealer, 2), [vec![], vec![2]]);
        dealer.depart(Time::ZERO, conn(1));
        assert_eq!(shown(&mut dealer, 2), [[0; 0], []]);
        dealer.arrive(Time::ZERO, conn(2));
        assert_eq!(shown(&mut dealer, 3)[2], [0, 2, 3, 5]);
        dealer.note_has(conn(2), 4);
        dealer.review(Time::ZERO + LOST_AFTER);
        assert_eq!(shown(&mut dealer, 3)[2], [1]);
        assert_eq!(dealer.deadline(), None);
    }

    #[test]
    fn what_somebody_brings_along_need_not_leave() {
        let mut dealer = Dealer::new(6, 2, AFTER, 1);
        dealer.arrive(Time::ZERO, conn(0));
        (0..6).for_each(|chunk| dealer.note_has(conn(0), chunk));
        dealer.arrive(Time::ZERO, conn(1));
        assert_eq!(shown(&mut dealer, 2)[1], [0; 0]);
        dealer.depart(Time::ZERO, conn(0));
        dealer.review(Time::ZERO + LOST_AFTER);
        assert_eq!(shown(&mut dealer, 2)[1], [0]);
        // A last resort takes what is another's.
        dealer.note_sent(conn(1), 5);
        dealer.note_sent(conn(1), 0);
        assert_eq!(shown(&mut dealer, 2)[1], [1]);
    }
}
