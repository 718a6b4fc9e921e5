//! Who is known at an address, and who gives way when places are short.

use std::net::{IpAddr, SocketAddr};

use super::{By, Directory, Heard, Known, Standing};
use crate::core::io::PeerRef;
use crate::core::rng::Rng;
use crate::types::{PeerId, Time};

impl Directory {
    /// Whether a peer at this address is more than an invention may be: it is connected, answered, said hello or announces
    /// itself regularly. Looks at no more peers than an address may have.
    pub(crate) fn is_proven_at(&self, ip: &IpAddr) -> bool {
        let mut peers = self.at_address(*ip).take(self.limits.peers_per_address_max);
        let is_proven = |known: &Known| known.connections > 0 || known.standing >= Standing::Answered;
        peers.any(|peer| self.get(peer).is_some_and(is_proven))
    }

    /// The peers that are known at an endpoint.
    pub(crate) fn peers_at(&self, endpoint: &SocketAddr) -> Vec<PeerId> {
        let at_endpoint = |peer: &&PeerId| self.peers.get(peer).is_some_and(|known| known.addr == *endpoint);
        self.at_address(endpoint.ip()).filter(at_endpoint).copied().collect()
    }

    /// The peers without a connection that are known at an endpoint where another is.
    pub(crate) fn impostors(&self, endpoint: &SocketAddr, there: &PeerId) -> Vec<PeerId> {
        let others = self.at_address(endpoint.ip()).filter(|peer| *peer != there);
        let at_endpoint = |known: &Known| known.addr == *endpoint && known.connections == 0;
        others.filter(|peer| self.get(peer).is_some_and(at_endpoint)).copied().collect()
    }

    /// The peers of another id that are known at an endpoint.
    pub(crate) fn others_at(&self, endpoint: &SocketAddr, peer: &PeerId) -> Vec<PeerId> {
        let others = self.at_address(endpoint.ip()).filter(|other| *other != peer);
        others
            .filter(|other| self.peers.get(other).is_some_and(|known| known.addr == *endpoint))
            .copied()
            .collect()
    }

    /// Where a peer is known to be, unless it has been silent for so long that it may have moved.
    pub(crate) fn settled(&self, now: Time, peer: &PeerId) -> Option<SocketAddr> {
        let known = self.peers.get(peer)?;
        let silence_max = known.interval().saturating_add(self.limits.announce_jitter_max);
        let settled = known.connections > 0 || now.since(known.heard) < silence_max;
        settled.then_some(known.addr)
    }

    /// Makes room for a peer that is new, if there is none: returns the peers that had to go.
    pub(crate) fn make_room(&mut self, new: &Heard, rng: &mut Rng) -> Result<Vec<PeerRef>, &'static str> {
        let mut gone = Vec::new();
        let ip = new.addr.ip();
        let bounded = !(ip.is_loopback() || self.own_addresses.contains(&ip));
        if bounded && self.at_address(ip).count() >= self.limits.peers_per_address_max {
            let weakest = self.weakest_at(ip, new.by, rng).ok_or("too many peers of one address")?;
            gone.extend(self.give_way(&weakest));
        }
        if new.by != By::Hello && self.unconnected.only_heard() >= self.limits.peers_max {
            let best = Standing::gives_way_to(new.by);
            let weakest = self.unconnected.draw_weakest(best, rng).ok_or("peer table full")?;
            gone.extend(self.give_way(&weakest));
        }
        // A peer that said hello and is gone keeps nobody out either.
        if self.unconnected.greeted() >= self.limits.connections_max
            && let Some(one) = self.unconnected.draw_greeted(rng)
        {
            gone.extend(self.give_way(&one));
        }
        Ok(gone)
    }

    /// Of the peers at an address that have no connection, one of those for which least is known. A peer that only asked
    /// takes the place of nobody but another that only asked.
    pub(crate) fn weakest_at(&self, ip: IpAddr, by: By, rng: &mut Rng) -> Option<PeerId> {
        let unconnected = self.at_address(ip).filter_map(|peer| {
            let known = self.peers.get(peer).filter(|known| known.connections == 0)?;
            Some((known.standing, *peer))
        });
        let mut unconnected: Vec<(Standing, PeerId)> = unconnected.collect();
        let least = unconnected.iter().map(|(standing, _)| *standing).min()?;
        unconnected.retain(|(standing, _)| *standing == least);
        let drawn = unconnected.get(rng.below(unconnected.len()))?.1;
        (by != By::Question || least <= Standing::gives_way_to(by)).then_some(drawn)
    }

    pub(crate) fn give_way(&mut self, peer: &PeerId) -> Option<PeerRef> {
        let gone = self.peer_ref(peer);
        self.remove(peer);
        gone
    }

    /// The peers that are known at an address.
    pub(crate) fn at_address(&self, ip: IpAddr) -> impl Iterator<Item = &PeerId> {
        let ends = (ip, PeerId([0; 16]))..=(ip, PeerId([u8::MAX; 16]));
        self.at_address.range(ends).map(|(_, peer)| peer)
    }

    /// Gives a peer that stands so another standing.
    pub(crate) fn set_standing(&mut self, peer: &PeerId, from: Standing, to: Standing) {
        if self.peers.get(peer).is_some_and(|known| known.standing == from) {
            self.unlist_unconnected(peer);
            if let Some(known) = self.peers.get_mut(peer) {
                known.standing = to;
            }
            self.list_unconnected(peer);
        }
    }

    /// Puts a peer among those without a connection, if it has none.
    pub(crate) fn list_unconnected(&mut self, peer: &PeerId) {
        if let Some(known) = self.peers.get_mut(peer).filter(|known| known.connections == 0) {
            known.place = self.unconnected.add(known.standing, *peer);
        }
    }

    /// Takes a peer out from among those without a connection, before its standing or its connections change.
    pub(crate) fn unlist_unconnected(&mut self, peer: &PeerId) {
        let Some(known) = self.peers.get(peer).filter(|known| known.connections == 0) else { return };
        let place = known.place;
        if let Some(moved) = self.unconnected.take(known.standing, place)
            && let Some(known) = self.peers.get_mut(&moved)
        {
            known.place = place;
        }
    }
}
