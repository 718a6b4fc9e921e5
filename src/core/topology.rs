//! Whom a peer dials, asks and serves: everybody who offers what it wants, or the few that were named.

use std::net::SocketAddr;
use std::time::Duration;

use crate::types::Geometry;
use crate::types::geometry::GeometryError;

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
    /// It has the content and super-seeds it by place.
    Owner {
        /// The chunk size it wishes for, in bytes; see [`Geometry::ring`].
        chunk_bytes: u32,
        /// How many peers are expected; each has its share of the chunks assigned.
        peers: u32,
        /// How long after the first peer the shares of peers that did not come are assigned to the others.
        reassign_after: Duration,
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

/// How a peer that has all of a content assigns its chunks, before others can serve them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SuperSeeding {
    /// To a neighbour that gets on, until each chunk has left once.
    ByDemand,
    /// To each of `peers` its share; the shares of empty places to others, `reassign_after` the first peer came.
    ByPlace { peers: u32, reassign_after: Duration },
    /// Not at all: every chunk is advertised.
    Off,
}

/// The decisions that depend on how peers are arranged.
impl Topology {
    /// Whom to dial: whoever offers what is wanted, or, when false, only the peers that were named.
    pub(crate) const fn finds_peers(&self) -> bool {
        self.is_mesh()
    }

    /// Whether anybody may read by HTTP. Where an owner assigns chunks, nobody is to have the whole file from it at once.
    pub(crate) const fn serves_readers(&self) -> bool {
        self.is_mesh()
    }

    /// Whether a peer follows which chunks others have even when it has all of them, and people hear of each list and request.
    pub(crate) const fn follows_lists(&self) -> bool {
        !self.is_mesh()
    }

    /// Whether a request for a chunk that was not advertised is served. A seed of a mesh keeps what it assigns to others only from
    /// peers that go by what is advertised.
    pub(crate) const fn serves_unadvertised(&self) -> bool {
        self.is_mesh()
    }

    /// Whether all have to agree on the owner's chunk size, so that they can serve each other.
    pub(crate) const fn agrees_on_layout(&self) -> bool {
        !self.is_mesh()
    }

    /// Whether a peer that has nothing to send says so.
    pub(crate) const fn tells_idle(&self) -> bool {
        self.is_mesh()
    }

    /// Which chunk to ask for: the rarest, or, when false, any that no nearer neighbour has.
    pub(crate) const fn picks_rarest(&self) -> bool {
        self.is_mesh()
    }

    /// How to super-seed a content that is here whole.
    pub(crate) const fn super_seeding(&self) -> SuperSeeding {
        match self {
            Topology::Mesh => SuperSeeding::ByDemand,
            Topology::Neighbours(Place::Owner { peers, reassign_after, .. }) => {
                SuperSeeding::ByPlace { peers: *peers, reassign_after: *reassign_after }
            }
            Topology::Neighbours(Place::Peer { .. }) => SuperSeeding::Off,
        }
    }

    /// Where the owner and the download neighbours listen, if they were named.
    pub(crate) fn named(&self) -> Option<(SocketAddr, &[SocketAddr])> {
        match self {
            Topology::Neighbours(Place::Peer { owner, neighbours, .. }) => Some((*owner, neighbours)),
            _ => None,
        }
    }

    /// How long a download of what the owner offers waits for chunks, if there is an owner.
    pub(crate) const fn stall(&self) -> Option<Duration> {
        match self {
            Topology::Neighbours(Place::Peer { stall, .. }) => Some(*stall),
            _ => None,
        }
    }

    /// After how long without progress the owner is asked for all that is missing, if it ever is.
    pub(crate) const fn owner_fallback(&self) -> Option<Duration> {
        match self {
            Topology::Neighbours(Place::Peer { owner_fallback, .. }) => *owner_fallback,
            _ => None,
        }
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

    /// Whether this peer is the owner of a ring.
    pub(crate) const fn is_owner(&self) -> bool {
        matches!(self, Topology::Neighbours(Place::Owner { .. }))
    }

    const fn is_mesh(&self) -> bool {
        matches!(self, Topology::Mesh)
    }
}
