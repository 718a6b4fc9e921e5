//! Which connection leads to whom: open ones by peer, dials by endpoint, and who speaks of which content.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use crate::core::io::ConnId;
use crate::types::{ContentId, PeerId};

/// Indexes over the connections.
#[derive(Debug, Default)]
pub(crate) struct Links {
    by_peer: BTreeMap<PeerId, ConnId>,
    /// Open connections whose other side only claims to be this peer: it is known elsewhere.
    guests: BTreeSet<(PeerId, ConnId)>,
    by_endpoint: BTreeMap<SocketAddr, ConnId>,
    by_content: BTreeMap<ContentId, BTreeSet<ConnId>>,
    /// How many pairs of content and connection that is.
    named: usize,
}

impl Links {
    /// How many connections have said hello.
    pub(crate) fn open(&self) -> usize {
        self.by_peer.len().saturating_add(self.guests.len())
    }

    /// The open connection to a peer.
    pub(crate) fn to_peer(&self, peer: &PeerId) -> Option<ConnId> {
        self.by_peer.get(peer).copied()
    }

    /// All open connections, in the order of their peers.
    pub(crate) fn all_open(&self) -> impl Iterator<Item = (&PeerId, ConnId)> {
        self.by_peer.iter().map(|(peer, conn)| (peer, *conn))
    }

    /// A connection to a peer is open.
    pub(crate) fn opened(&mut self, peer: PeerId, conn: ConnId) {
        self.by_peer.insert(peer, conn);
    }

    /// The open connections of those who only claim to be peers, in the order of the peers.
    pub(crate) fn guests(&self) -> impl Iterator<Item = (&PeerId, ConnId)> {
        self.guests.iter().map(|(peer, conn)| (peer, *conn))
    }

    /// Those of whoever claims to be this peer.
    pub(crate) fn guests_of(&self, peer: &PeerId) -> impl Iterator<Item = ConnId> {
        let first = (*peer, ConnId { slot: 0, generation: 0 });
        self.guests.range(first..).take_while(move |(guest, _)| *guest == first.0).map(|(_, conn)| *conn)
    }

    /// Such a connection is open.
    pub(crate) fn guest_opened(&mut self, peer: PeerId, conn: ConnId) {
        self.guests.insert((peer, conn));
    }

    /// Such a connection is open no longer, or it is the peer's after all.
    pub(crate) fn guest_left(&mut self, peer: PeerId, conn: ConnId) {
        self.guests.remove(&(peer, conn));
    }

    /// A connection to a peer is open no longer.
    pub(crate) fn closed(&mut self, peer: &PeerId, conn: ConnId) {
        if self.by_peer.get(peer) == Some(&conn) {
            self.by_peer.remove(peer);
        }
    }

    /// The connection that was dialled to an endpoint and is not over.
    pub(crate) fn to_endpoint(&self, endpoint: &SocketAddr) -> Option<ConnId> {
        self.by_endpoint.get(endpoint).copied()
    }

    /// An endpoint was dialled.
    pub(crate) fn dialled(&mut self, endpoint: SocketAddr, conn: ConnId) {
        self.by_endpoint.insert(endpoint, conn);
    }

    /// A connection that was dialled is over. False when it was said to be so before.
    pub(crate) fn undialled(&mut self, endpoint: &SocketAddr, conn: ConnId) -> bool {
        let dialled = self.by_endpoint.get(endpoint) == Some(&conn);
        if dialled {
            self.by_endpoint.remove(endpoint);
        }
        dialled
    }

    /// The connections on which a content was named.
    pub(crate) fn on(&self, content: &ContentId) -> impl Iterator<Item = ConnId> + '_ {
        self.by_content.get(content).into_iter().flatten().copied()
    }

    /// A content was named on a connection.
    pub(crate) fn named(&mut self, content: ContentId, conn: ConnId) {
        let new = self.by_content.entry(content).or_default().insert(conn);
        self.named = self.named.saturating_add(usize::from(new));
    }

    /// How many channels there are, over all connections.
    pub(crate) fn channels(&self) -> usize {
        self.named
    }

    /// A content is spoken of no longer on a connection.
    pub(crate) fn unnamed(&mut self, content: &ContentId, conn: ConnId) {
        if let Some(conns) = self.by_content.get_mut(content) {
            self.named = self.named.saturating_sub(usize::from(conns.remove(&conn)));
            if conns.is_empty() {
                self.by_content.remove(content);
            }
        }
    }
}
