//! Who the neighbours are: the endpoints that were named and who answered there, what the owner offers, who takes from here, and
//! what each is to this peer.
//!
//! Owns no connection. In a mesh there are no neighbours, and all of this stays empty.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use crate::core::catalogue::Catalogue;
use crate::core::io::{ConnId, Event, PeerRef};
use crate::core::native::{Ctx, Engine};
use crate::core::topology::Topology;
use crate::types::{ContentId, Geometry, PeerId};
use crate::wire::message::{CatalogueRequest, Frame, Wanted};

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

/// Stands among the walks of a connection for a look at what a neighbour offers.
/// No search has this key, nor has the mirror.
pub(crate) const NEIGHBOUR_WALK: u32 = u32::MAX - 1;

impl Engine {
    /// Whether this peer wants to be connected to who was named at an endpoint: to everybody while it lacks chunks, and
    /// after that to the owner, which wants to know, until either leaves.
    pub(crate) fn needs(&self, ctx: &Ctx, addr: SocketAddr) -> bool {
        let owner = self.neighbourhood.owner.as_ref().is_some_and(|end| end.addr == addr);
        !ctx.is_leaving && (self.lacks_chunks(ctx.catalogue) || (owner && !self.neighbourhood.owner_left))
    }

    /// Somebody said hello: is it one of those that were named?
    pub(crate) fn meet(
        &mut self,
        ctx: &mut Ctx,
        dialled_to: Option<SocketAddr>,
        endpoint: SocketAddr,
        peer: PeerId,
    ) {
        let mut back = Vec::new();
        for end in self.neighbourhood.ends_mut() {
            if dialled_to == Some(end.addr) || end.addr == endpoint {
                end.peer = Some(peer);
                if std::mem::take(&mut end.away) && !back.contains(&end.addr) {
                    back.push(end.addr);
                }
            }
        }
        if self.neighbourhood.part_of(&peer).owner {
            self.neighbourhood.owner_left = false;
        }
        for addr in back {
            ctx.outputs.event(Event::NeighbourBack { addr });
        }
    }

    /// A dial to one of those that were named came to nothing, or its connection is over.
    pub(crate) fn note_away(&mut self, ctx: &mut Ctx, conn: ConnId) {
        let Some(connection) = ctx.conns.native(conn) else { return };
        let addr = connection.transport.addr;
        if !self.needs(ctx, addr) {
            return;
        }
        let links = &self.links;
        let elsewhere = |end: &End| {
            end.peer.and_then(|peer| links.to_peer(&peer)).is_some_and(|standing| standing != conn)
        };
        let ends = self.neighbourhood.ends_mut();
        let mut lost = ends.filter(|end| end.addr == addr && !end.away && !elsewhere(end)).peekable();
        let said = lost.peek().is_some();
        lost.for_each(|end| end.away = true);
        if said {
            ctx.outputs.event(Event::NeighbourAway { addr });
        }
    }

    /// What the peer behind a connection is to this one.
    pub(crate) fn part_at(&self, ctx: &Ctx, conn: ConnId) -> Part {
        let identity = ctx.conns.native(conn).and_then(|connection| connection.identity.as_ref());
        identity.map_or(Part::default(), |identity| self.neighbourhood.part_of(&identity.peer))
    }

    /// Whether this peer asks whoever is behind a connection for chunks at all.
    pub(crate) fn is_to_ask(&self, ctx: &Ctx, conn: ConnId) -> bool {
        if ctx.config.topology.finds_peers() {
            return true;
        }
        let part = self.part_at(ctx, conn);
        part.owner || part.upstream
    }

    /// Whether a chunk may be asked for at a connection: it is there, and of the owner only what no download neighbour has.
    pub(crate) fn may_request(&self, ctx: &Ctx, conn: ConnId, content: &ContentId, chunk: u32) -> bool {
        if !self.remote_has(ctx, conn, content, chunk) {
            return false;
        }
        let part = self.part_at(ctx, conn);
        let others_have = || {
            let conns = self.neighbourhood.upstream.iter().filter_map(|end| self.links.to_peer(&end.peer?));
            conns.into_iter().any(|other| other != conn && self.remote_has(ctx, other, content, chunk))
        };
        !part.owner || part.upstream || !others_have()
    }

    /// The cut of a content that was found here: the owner's, whatever it was kept in. `None`: a part in another cut, which
    /// is of no use among these neighbours.
    pub(crate) fn owners_cut(&self, found: Geometry, whole: bool) -> Option<Geometry> {
        match self.neighbourhood.cut {
            Some(cut) if cut.size_bytes() == found.size_bytes() && (whole || cut == found) => Some(cut),
            Some(_) => None,
            None => Some(found),
        }
    }

    /// Somebody came to take from here.
    pub(crate) fn note_taker(&mut self, ctx: &mut Ctx, conn: ConnId) {
        let Some(from) = ctx.conns.native(conn).map(|connection| connection.peer_ref()) else {
            return;
        };
        if let Some(peer) = from.id.filter(|_| !ctx.config.topology.finds_peers()) {
            self.neighbourhood.takes(from.addr, peer);
        }
    }

    /// A content without chunks is had whole by who knows that it has none.
    pub(crate) fn note_empty(&mut self, ctx: &mut Ctx, conn: ConnId, content: &ContentId) {
        let Some(connection) = ctx.conns.native(conn) else { return };
        let empty = |cut: Geometry| cut.chunks() == 0;
        let channel = connection.channels.of(content);
        if channel.is_some_and(|(_, channel)| channel.their_cut.is_some_and(empty))
            && let PeerRef { id: Some(peer), addr, .. } = connection.peer_ref()
        {
            self.neighbourhood.is_done(&addr, &peer);
        }
    }

    /// Whether some of what the owner offers is not here, or it is not known what that is.
    pub(crate) fn lacks_chunks(&self, catalogue: &Catalogue) -> bool {
        let whole = |content| catalogue.get(&content).is_some_and(|holding| holding.is_complete());
        !self.neighbourhood.content.is_some_and(whole)
    }

    pub(crate) fn look_at_neighbour(&mut self, ctx: &mut Ctx, conn: ConnId) {
        if let Some(connection) = ctx.conns.native_mut(conn)
            && !connection.walks.contains(&NEIGHBOUR_WALK)
        {
            connection.walks.push_back(NEIGHBOUR_WALK);
            let request = CatalogueRequest { wanted: Wanted::All, after: None };
            self.say(ctx, conn, Frame::CatalogueRequest(request));
        }
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
