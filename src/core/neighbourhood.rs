//! Who the neighbours are: the endpoints that were named and who answered there, what the owner offers, and who takes
//! from here.
//!
//! Owns no connection. In a mesh there are no neighbours, and all of this stays empty.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use crate::core::geometry::Geometry;
use crate::core::id::{ContentId, PeerId};
use crate::core::topology::{Place, Topology};

/// An endpoint that was named.
#[derive(Debug)]
pub(in crate::core) struct End {
    pub(in crate::core) addr: SocketAddr,
    /// Who answered there last.
    pub(in crate::core) peer: Option<PeerId>,
    /// It was told that nobody answers there.
    pub(in crate::core) away: bool,
}

/// What a peer is to this one. The owner may be a download neighbour too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::core) struct Part {
    pub(in crate::core) owner: bool,
    pub(in crate::core) upstream: bool,
}

/// See the file's head.
#[derive(Debug, Default)]
pub(in crate::core) struct Neighbourhood {
    pub(in crate::core) owner: Option<End>,
    /// The download neighbours.
    pub(in crate::core) upstream: Vec<End>,
    /// What the owner offers, once it told.
    pub(in crate::core) content: Option<ContentId>,
    /// The name it offers that under.
    pub(in crate::core) name: String,
    /// How the owner cuts it, once it told.
    pub(in crate::core) cut: Option<Geometry>,
    /// Neighbours of which it was told that they offer something else.
    pub(in crate::core) strangers: BTreeSet<PeerId>,
    /// The owner said that it leaves.
    pub(in crate::core) owner_left: bool,
    /// Who came to take from here, and whether they have all of it by now.
    pub(in crate::core) takers: BTreeMap<PeerId, bool>,
}

impl Neighbourhood {
    /// The neighbours that a topology names.
    pub(in crate::core) fn new(topology: &Topology) -> Neighbourhood {
        let Topology::Neighbours(Place::Peer { owner, neighbours, .. }) = topology else {
            return Neighbourhood::default();
        };
        let end = |addr: &SocketAddr| End { addr: *addr, peer: None, away: false };
        Neighbourhood {
            owner: Some(end(owner)),
            upstream: neighbours.iter().map(end).collect(),
            ..Neighbourhood::default()
        }
    }

    /// Everybody that was named, the owner first.
    pub(in crate::core) fn ends(&self) -> impl Iterator<Item = &End> {
        self.owner.iter().chain(&self.upstream)
    }

    /// The same, to change them.
    pub(in crate::core) fn ends_mut(&mut self) -> impl Iterator<Item = &mut End> {
        self.owner.iter_mut().chain(&mut self.upstream)
    }

    /// What a peer is to this one.
    pub(in crate::core) fn part_of(&self, peer: &PeerId) -> Part {
        let is_it = |end: &End| end.peer == Some(*peer);
        Part { owner: self.owner.as_ref().is_some_and(is_it), upstream: self.upstream.iter().any(is_it) }
    }
}
