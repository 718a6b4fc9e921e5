//! Walks through the catalogues of peers, for the mirror: which go on, and when the next may begin.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::core::io::ConnId;
use crate::types::{PeerId, Time};

/// A peer's catalogue is walked again no sooner than this.
const WALK_GAP: Duration = Duration::from_secs(2);
/// The same after a walk that found no end of it.
const ENDLESS_WALK_GAP: Duration = Duration::from_secs(600);

/// A walk through one peer's catalogue.
#[derive(Debug, Clone, Copy)]
struct Walk {
    /// The connection it goes over, until it is over.
    conn: Option<ConnId>,
    /// The state of the catalogue that it is of.
    generation: u64,
    /// From then on the catalogue may be walked again.
    again: Time,
    /// Entries that it has listed.
    entries: usize,
}

/// The latest walk of each peer.
#[derive(Debug, Default)]
pub(crate) struct Walks(BTreeMap<PeerId, Walk>);

impl Walks {
    /// Whether a peer's catalogue, now in the state of `generation`, is to be walked.
    pub(crate) fn may_begin(&self, now: Time, peer: &PeerId, generation: u64) -> bool {
        self.0
            .get(peer)
            .is_none_or(|walk| walk.conn.is_none() && walk.generation != generation && walk.again <= now)
    }

    /// A walk begins over a connection, or goes on over it.
    pub(crate) fn began(&mut self, now: Time, peer: PeerId, conn: ConnId, generation: u64) {
        let entries = self.0.get(&peer).filter(|walk| walk.conn.is_some()).map_or(0, |walk| walk.entries);
        self.0.insert(peer, Walk { conn: Some(conn), generation, again: now + WALK_GAP, entries });
    }

    /// A page of a walk came. Returns how many entries the walk has listed by now.
    pub(crate) fn listed(&mut self, peer: &PeerId, entries: usize) -> usize {
        let Some(walk) = self.0.get_mut(peer) else { return 0 };
        walk.entries = walk.entries.saturating_add(entries);
        walk.entries
    }

    /// The last page came, of the catalogue in this state.
    pub(crate) fn ended(&mut self, peer: &PeerId, generation: u64) {
        if let Some(walk) = self.0.get_mut(peer) {
            (walk.conn, walk.generation) = (None, generation);
        }
    }

    /// A walk found no end of the catalogue in this state, and is given up: the next one is long after it.
    pub(crate) fn given_up(&mut self, now: Time, peer: &PeerId, generation: u64) {
        self.ended(peer, generation);
        if let Some(walk) = self.0.get_mut(peer) {
            walk.again = now + ENDLESS_WALK_GAP;
        }
    }

    /// A connection is over; a walk over it begins anew over another.
    pub(crate) fn connection_over(&mut self, conn: ConnId) {
        self.0.retain(|_, walk| walk.conn != Some(conn));
    }

    /// The catalogues of these peers may be walked again whatever is known of them.
    pub(crate) fn forget(&mut self, now: Time, of: impl Fn(&PeerId) -> bool) {
        self.0.retain(|peer, walk| walk.conn.is_some() || walk.again > now || !of(peer));
    }
}
