//! Whom a peer dials, asks and serves: everybody who offers what it wants, or the few that were named.

use std::net::SocketAddr;
use std::time::Duration;

use crate::core::geometry::{Geometry, GeometryError};
use crate::core::id::PeerId;

/// How peers are arranged.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Topology {
    /// Each finds the others and asks all who have something that it lacks.
    #[default]
    Mesh,
    /// Each has its place among a few that were named, and finds nobody else.
    Neighbours(Place),
}

/// A place in an arrangement of neighbours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// It has the content wholly and deals its chunks to who comes.
    Owner {
        /// The chunk size it wishes for, in bytes; see [`Geometry::ring`].
        chunk_bytes: u32,
        /// How many peers are expected: so many shares are dealt.
        peers: u32,
        /// So long after the first peer came, shares that nobody came for are dealt to who is there.
        deal_after: Duration,
    },
    /// It gets its share from the owner, and the rest from its download neighbours.
    Peer {
        /// Where the owner listens.
        owner: SocketAddr,
        /// Where the neighbours listen that it downloads from.
        neighbours: Vec<SocketAddr>,
        /// After so long without progress the owner is asked for all that is missing; `None`: it never is.
        owner_fallback: Option<Duration>,
        /// How long a download that was begun waits for chunks.
        stall: Duration,
    },
}

/// Whether of `many` who have or want the same content, these two connect to each other: so that each is connected to
/// `count` of them on average. It is the same from both ends, and what is drawn for one pair says nothing of another: the
/// few that came first are not the ones that everybody connects to, and together all hang together.
pub(in crate::core) fn is_drawn(own: &PeerId, other: &PeerId, count: usize, many: usize) -> bool {
    let (low, high) = (own.min(other), own.max(other));
    let words = low.0.chunks(8).chain(high.0.chunks(8));
    let hash = words.fold(0u64, |hash, word| {
        let word = word.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
        let mixed = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ mixed >> 29
    });
    // The upper half is mixed best.
    (hash >> 32) * (many as u64) < (count as u64) << 32
}

impl Topology {
    /// Whether peers find each other.
    pub fn is_mesh(&self) -> bool {
        matches!(self, Topology::Mesh)
    }

    /// How a shared file of this size is cut, in a mesh into chunks of `mesh_chunk_bytes` if that is said.
    pub(in crate::core) fn cut(
        &self,
        size_bytes: u64,
        mesh_chunk_bytes: Option<u32>,
    ) -> Result<Geometry, GeometryError> {
        match self {
            Topology::Neighbours(Place::Owner { chunk_bytes, .. }) => {
                Geometry::ring(size_bytes, *chunk_bytes)
            }
            Topology::Mesh | Topology::Neighbours(Place::Peer { .. }) => match mesh_chunk_bytes {
                Some(chunk_bytes) => Geometry::new(size_bytes, chunk_bytes),
                None => Geometry::native(size_bytes),
            },
        }
    }

    /// Whether this peer deals its chunks.
    pub(in crate::core) fn is_owner(&self) -> bool {
        matches!(self, Topology::Neighbours(Place::Owner { .. }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::rng::Rng;

    #[test]
    fn each_draws_some_and_all_hang_together() {
        let mut rng = Rng::new(1);
        let peers: Vec<PeerId> = (0..400).map(|_| PeerId(rng.bytes16())).collect();
        let of = |own: &PeerId| -> Vec<PeerId> {
            let others = peers.iter().filter(|peer| *peer != own);
            others.filter(|other| is_drawn(own, other, 20, peers.len())).copied().collect()
        };
        let (mut reached, mut next, mut links) = (vec![peers[0]], 0, 0);
        while let Some(peer) = reached.get(next).copied() {
            let drawn = of(&peer);
            assert!((4..45).contains(&drawn.len()) && drawn.iter().all(|other| of(other).contains(&peer)));
            links += drawn.len();
            reached.extend(drawn.into_iter().filter(|other| !reached.contains(other)).collect::<Vec<_>>());
            next += 1;
        }
        assert_eq!(reached.len(), peers.len());
        assert!((18..22).contains(&(links / peers.len())), "{links} links");
        assert!(of(&peers[0]).len() < 40 && is_drawn(&peers[0], &peers[1], 20, 20));
    }
}
