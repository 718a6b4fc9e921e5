//! What is known of each peer, by its id, where peers number thousands: the ids are searched where they lie close together,
//! and what is known lies elsewhere and is not moved.

use std::collections::BTreeMap;

use slab::Slab;

use crate::core::id::PeerId;

/// See the file's head. In the order of ids.
#[derive(Debug)]
pub(in crate::core) struct Roster<V> {
    places: BTreeMap<PeerId, u32>,
    known: Slab<V>,
    /// How many peers were taken out.
    removed: u32,
}

/// Where a peer was found, as long as none is taken out: looking there again takes no search.
#[derive(Debug, Clone, Copy)]
pub(in crate::core) struct Seat {
    place: u32,
    removed: u32,
}

impl<V> Default for Roster<V> {
    fn default() -> Roster<V> {
        Roster { places: BTreeMap::new(), known: Slab::new(), removed: 0 }
    }
}

impl<V> Roster<V> {
    /// How many peers there are.
    pub(in crate::core) fn len(&self) -> usize {
        self.places.len()
    }

    /// What is known of a peer.
    pub(in crate::core) fn get(&self, peer: &PeerId) -> Option<&V> {
        self.known.get(*self.places.get(peer)? as usize)
    }

    /// What is known of a peer that may have been found here before.
    pub(in crate::core) fn find(&self, peer: &PeerId, seat: &mut Option<Seat>) -> Option<&V> {
        let found = match seat.filter(|seat| seat.removed == self.removed) {
            Some(found) => found,
            None => Seat { place: *self.places.get(peer)?, removed: self.removed },
        };
        *seat = Some(found);
        self.known.get(found.place as usize)
    }

    /// What is known of a peer, to change it.
    pub(in crate::core) fn get_mut(&mut self, peer: &PeerId) -> Option<&mut V> {
        self.known.get_mut(*self.places.get(peer)? as usize)
    }

    /// A peer that was not there before.
    pub(in crate::core) fn insert(&mut self, peer: PeerId, known: V) {
        self.remove(&peer);
        // Bounded by the limits on peers, which callers check.
        let place = self.known.insert(known) as u32;
        self.places.insert(peer, place);
    }

    /// Takes a peer out, and returns what was known of it.
    pub(in crate::core) fn remove(&mut self, peer: &PeerId) -> Option<V> {
        let place = self.places.remove(peer)?;
        self.removed = self.removed.wrapping_add(1);
        self.known.try_remove(place as usize)
    }

    /// All peers, in the order of their ids.
    pub(in crate::core) fn iter(&self) -> impl Iterator<Item = (&PeerId, &V)> {
        self.places.iter().filter_map(|(peer, place)| Some((peer, self.known.get(*place as usize)?)))
    }

    /// What is known of each, in no order that means anything.
    pub(in crate::core) fn values(&self) -> impl Iterator<Item = &V> {
        self.known.iter().map(|(_, known)| known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_come_in_the_order_of_their_ids_and_go_with_what_was_known() {
        let mut roster = Roster::default();
        let id = |number: u8| PeerId([number; 16]);
        for number in [5, 1, 9, 3] {
            roster.insert(id(number), number);
        }
        assert_eq!((roster.remove(&id(1)), roster.remove(&id(1))), (Some(1), None));
        roster.insert(id(7), 7);
        roster.insert(id(9), 90);
        *roster.get_mut(&id(3)).unwrap() += 1;
        let all: Vec<_> = roster.iter().map(|(peer, known)| (peer.0[0], *known)).collect();
        assert_eq!(all, [(3, 4), (5, 5), (7, 7), (9, 90)]);
        assert_eq!((roster.len(), roster.values().count(), roster.get(&id(1))), (4, 4, None));
    }

    #[test]
    fn a_seat_is_found_again_until_somebody_leaves() {
        let mut roster = Roster::default();
        let id = |number: u8| PeerId([number; 16]);
        roster.insert(id(1), 1);
        roster.insert(id(2), 2);
        let mut seat = None;
        assert_eq!([roster.find(&id(2), &mut seat), roster.find(&id(2), &mut seat)], [Some(&2); 2]);
        roster.remove(&id(2));
        roster.insert(id(3), 3);
        assert_eq!(roster.find(&id(2), &mut seat), None);
        roster.insert(id(2), 4);
        assert_eq!(roster.find(&id(2), &mut seat), Some(&4));
    }
}
