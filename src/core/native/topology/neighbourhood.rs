//! Who the neighbours are: the endpoints that were named and who answered there, what the owner offers, and who takes
//! from here.
//!
//! Owns no connection. In a mesh there are no neighbours, and all of this stays empty.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use crate::core::topology::Topology;
use crate::types::{ContentId, Geometry, PeerId};

/// An endpoint that was named.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) addr: SocketAddr,
    /// Who answered there last.
    pub(crate) peer: Option<PeerId>,
    /// It was told that nobody answers there.
    pub(crate) away: bool,
}

/// What a peer is to this one. The owner may be a download neighbour too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) owner: bool,
    pub(crate) upstream: bool,
}

/// See [the module](self).
#[derive(Debug, Default)]
pub(crate) struct Neighbourhood {
    pub(crate) owner: Option<End>,
    /// The download neighbours.
    pub(crate) upstream: Vec<End>,
    /// What the owner offers, once it told.
    pub(crate) content: Option<ContentId>,
    /// The name it offers that under.
    pub(crate) name: String,
    /// How the owner cuts it, once it told.
    pub(crate) cut: Option<Geometry>,
    /// Neighbours of which it was told that they offer something else.
    pub(crate) strangers: BTreeSet<PeerId>,
    /// The owner said that it leaves.
    pub(crate) owner_left: bool,
    /// Who came to take from here, by where each listens: who was killed and started again takes its own place.
    pub(crate) takers: BTreeMap<SocketAddr, Taker>,
}

/// Somebody who came to take from here.
#[derive(Debug)]
pub(crate) struct Taker {
    pub(crate) peer: PeerId,
    /// It has all of it.
    pub(crate) done: bool,
}

impl Neighbourhood {
    /// The neighbours that a topology names.
    pub(crate) fn new(topology: &Topology) -> Neighbourhood {
        let Some((owner, neighbours)) = topology.named() else {
            return Neighbourhood::default();
        };
        let end = |addr: &SocketAddr| End { addr: *addr, peer: None, away: false };
        Neighbourhood {
            owner: Some(end(&owner)),
            upstream: neighbours.iter().map(end).collect(),
            ..Neighbourhood::default()
        }
    }

    /// Everybody that was named, the owner first.
    pub(crate) fn ends(&self) -> impl Iterator<Item = &End> {
        self.owner.iter().chain(&self.upstream)
    }

    /// The same, to change them.
    pub(crate) fn ends_mut(&mut self) -> impl Iterator<Item = &mut End> {
        self.owner.iter_mut().chain(&mut self.upstream)
    }

    /// Somebody came to take from here.
    pub(crate) fn takes(&mut self, addr: SocketAddr, peer: PeerId) {
        let taker = self.takers.entry(addr).or_insert(Taker { peer, done: false });
        if taker.peer != peer {
            *taker = Taker { peer, done: false };
        }
    }

    /// Somebody has all of it.
    pub(crate) fn is_done(&mut self, addr: &SocketAddr, peer: &PeerId) {
        if let Some(taker) = self.takers.get_mut(addr).filter(|taker| taker.peer == *peer) {
            taker.done = true;
        }
    }

    /// What a peer is to this one.
    pub(crate) fn part_of(&self, peer: &PeerId) -> Part {
        let is_it = |end: &End| end.peer == Some(*peer);
        Part { owner: self.owner.as_ref().is_some_and(is_it), upstream: self.upstream.iter().any(is_it) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_started_again_takes_its_own_place() {
        let addr = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let [first, again, other] = [1, 2, 3].map(|byte| PeerId([byte; 16]));
        let mut here = Neighbourhood::default();
        here.takes(addr(7201), first);
        here.is_done(&addr(7201), &first);
        here.takes(addr(7201), first);
        here.takes(addr(7202), other);
        let done = |here: &Neighbourhood| here.takers.values().map(|taker| taker.done).collect::<Vec<_>>();
        assert_eq!(done(&here), [true, false]);
        here.takes(addr(7201), again);
        here.is_done(&addr(7201), &first);
        assert_eq!(done(&here), [false, false]);
        here.is_done(&addr(7201), &again);
        assert_eq!(done(&here), [true, false]);
    }
}
