//! The overlay of the peers that have or want one content, where they are many: all stand on several circles, each in another
//! order, and a peer connects to those next to it.
//!
//! So all peers have the same number of overlay neighbours, each computes its own by itself, and the overlay is one piece. This
//! module owns the neighbours of one peer; `sources.rs` decides whether they are dialled.

use crate::types::PeerId;

/// The overlay neighbours of one peer: on each circle the next peer and the one before.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    sides: Vec<[Option<Side>; 2]>,
}

/// The nearest peer on one side, and how far away it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Side {
    distance: u64,
    peer: PeerId,
}

impl Overlay {
    /// Alone on `count` circles.
    pub(crate) fn new(count: usize) -> Overlay {
        Overlay { sides: vec![[None; 2]; count] }
    }

    /// How many circles there are.
    pub(crate) fn len(&self) -> usize {
        self.sides.len()
    }

    /// Puts `peer` on every circle.
    pub(crate) fn note(&mut self, own: &PeerId, peer: &PeerId) {
        for (circle, sides) in (1..).zip(&mut self.sides) {
            let after = place(circle, peer).wrapping_sub(place(circle, own));
            for (side, distance) in sides.iter_mut().zip([after, after.wrapping_neg()]) {
                let found = Side { distance, peer: *peer };
                if side.is_none_or(|present| found < present) {
                    *side = Some(found);
                }
            }
        }
    }

    /// Whether `peer` is the next one on a circle.
    pub(crate) fn is_next(&self, peer: &PeerId) -> bool {
        self.sides.iter().any(|[next, _]| next.is_some_and(|next| next.peer == *peer))
    }

    /// Whether `peer` is the one before on a circle.
    pub(crate) fn is_before(&self, peer: &PeerId) -> bool {
        self.sides.iter().any(|[_, before]| before.is_some_and(|before| before.peer == *peer))
    }

    /// All neighbours; a peer that is one on several circles comes several times.
    pub(crate) fn neighbours(&self) -> impl Iterator<Item = &PeerId> {
        self.sides.iter().flatten().flatten().map(|side| &side.peer)
    }
}

/// Where a peer stands on a circle; any peer can compute it, and none can choose it for long.
fn place(circle: u64, peer: &PeerId) -> u64 {
    let id = u128::from_be_bytes(peer.0);
    let mixed = (id as u64 ^ circle.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 31 ^ (id >> 64) as u64).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 29
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::rng::Rng;
    use std::collections::BTreeSet;

    fn overlay(own: &PeerId, peers: &[PeerId], count: usize) -> Overlay {
        let mut overlay = Overlay::new(count);
        peers.iter().filter(|peer| *peer != own).for_each(|peer| overlay.note(own, peer));
        overlay
    }

    #[test]
    fn all_have_as_many_neighbours_and_the_overlay_is_one_piece() {
        let mut rng = Rng::new(1);
        let peers: Vec<PeerId> = (0..400).map(|_| PeerId(rng.bytes16())).collect();
        let of = |own: &PeerId| overlay(own, &peers, 10).neighbours().copied().collect::<BTreeSet<PeerId>>();
        let (mut reached, mut next) = (vec![peers[0]], 0);
        while let Some(peer) = reached.get(next).copied() {
            let neighbours = of(&peer);
            // Two circles may give the same neighbour.
            assert!((16..=20).contains(&neighbours.len()), "{}", neighbours.len());
            assert!(neighbours.iter().all(|other| of(other).contains(&peer)));
            reached
                .extend(neighbours.into_iter().filter(|other| !reached.contains(other)).collect::<Vec<_>>());
            next += 1;
        }
        assert_eq!(reached.len(), peers.len());
    }

    #[test]
    fn both_sides_agree_who_is_next_in_whatever_order_they_hear_of_peers() {
        let mut rng = Rng::new(2);
        let mut peers: Vec<PeerId> = (0..50).map(|_| PeerId(rng.bytes16())).collect();
        let own = peers[7];
        let before = overlay(&own, &peers, 3);
        peers.reverse();
        let after = overlay(&own, &peers, 3);
        assert_eq!((before.len(), before.sides.clone()), (3, after.sides));
        for other in peers.iter().filter(|other| **other != own) {
            let theirs = overlay(other, &peers, 3);
            assert_eq!(before.is_next(other), theirs.is_before(&own));
            assert_eq!(before.is_before(other), theirs.is_next(&own));
        }
        assert!(!overlay(&own, &[own], 3).is_next(&own));
    }
}
