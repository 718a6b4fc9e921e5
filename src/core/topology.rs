//! Whom a peer dials, asks and serves: everybody who offers what it wants, or the few that were named.

use std::net::SocketAddr;
use std::time::Duration;

use crate::types::geometry::{Geometry, GeometryError};

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

impl Topology {
    /// Whether peers find each other.
    pub fn is_mesh(&self) -> bool {
        matches!(self, Topology::Mesh)
    }

    /// How a shared file of this size is cut, in a mesh into chunks of `mesh_chunk_bytes` if that is said.
    pub(crate) fn cut(
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
    pub(crate) fn is_owner(&self) -> bool {
        matches!(self, Topology::Neighbours(Place::Owner { .. }))
    }
}
