//! Who is heard, and guests: connections whose hello has the id of a peer that is known at another address.
//!
//! An id is public, so that a hello is a claim. Somebody who says it from elsewhere may be the peer itself, with a second interface
//! or a new address, or anybody. A guest is served; nothing that it says changes what the peer is known to be.

use crate::core::io::{ConnId, Event, PeerRef};
use crate::core::native::effects::Effect;
use crate::core::native::peers::directory::{By, Heard, Taken};
use crate::core::native::session::Claim;
use crate::core::native::session::life::SECOND;
use crate::core::native::{Ctx, Engine};
use crate::core::timers::Timer;
use crate::types::PeerId;
use crate::wire::message::Hello;
use std::net::SocketAddr;

impl Engine {
    /// A peer was heard. False when it is this peer itself, or nothing may be kept of it.
    pub(crate) fn hear(&mut self, ctx: &mut Ctx, heard: Heard) -> bool {
        if heard.peer == ctx.id {
            ctx.counters.add("own datagrams heard");
            return false;
        }
        let peer = heard.peer;
        match self.directory.heard(ctx.now, heard, ctx.rng) {
            Ok(Taken { new, gone }) => {
                for gone in gone {
                    ctx.counters.add("peers that gave way to another");
                    ctx.outputs.event(Event::PeerLost(gone));
                }
                if new && let Some(peer_ref) = self.directory.peer_ref(&peer) {
                    // Who was there before may have failed for long; this one has just begun.
                    ctx.dialer.newcomer(&peer_ref.addr);
                    ctx.outputs.event(Event::PeerFound(peer_ref));
                }
                self.await_expiry(ctx, &peer);
                self.effects.push(Effect::Heard(peer));
                true
            }
            Err(why) => {
                ctx.counters.add(why);
                false
            }
        }
    }

    /// Whoever may be silent for too long from now on is looked at in time: each that is heard, or whose last connection
    /// is over, sees to that for itself.
    pub(crate) fn await_expiry(&mut self, ctx: &mut Ctx, peer: &PeerId) {
        let expiry = self.directory.get(peer).and_then(|known| self.directory.expiry_of(known));
        if let Some(expiry) = expiry {
            ctx.timers.set_no_later(Timer::Expiry, expiry);
        }
    }

    /// Whether a peer is known at another address than the one from which it says hello, and a dial there has not failed.
    /// An address that the user named is believed, and so is everybody among neighbours, who are all named.
    pub(crate) fn is_elsewhere(
        &self,
        ctx: &Ctx,
        peer: &PeerId,
        dialled_to: Option<SocketAddr>,
        endpoint: &SocketAddr,
    ) -> bool {
        let Some(known) = self.directory.get(peer) else { return false };
        let is_named = dialled_to.is_some_and(|to| to == known.addr || ctx.config.fixed_peers.contains(&to));
        let is_reachable = known.connections > 0 || !ctx.dialer.is_away(&known.addr);
        known.addr != *endpoint && !is_named && is_reachable && ctx.config.topology.finds_peers()
    }

    /// Somebody says hello with the id of a peer that is known at another address. It may be that peer, from another
    /// interface or after a change of its address, so it is served; and it may be anybody.
    pub(crate) fn receive_guest(&mut self, ctx: &mut Ctx, conn: ConnId, hello: Hello) {
        ctx.counters.add("hellos with the id of a peer that is known elsewhere");
        let endpoint = |conn| {
            let connection = ctx.conns.native(conn)?;
            Some(SocketAddr::new(connection.transport.addr.ip(), connection.identity.as_ref()?.port))
        };
        let from = ctx.conns.native(conn).map(|c| SocketAddr::new(c.transport.addr.ip(), hello.port));
        if self.links.guests_of(&hello.peer).any(|guest| endpoint(guest) == from) {
            return self.turn_away(ctx, conn, Some(SECOND));
        }
        let host = |conn| ctx.conns.native(conn).map(|connection| connection.transport.addr.ip());
        let ip = host(conn);
        let of_this_host = ip.is_some_and(|ip| ctx.config.is_own(ip));
        let of_address = self.links.guests().filter(|(_, guest)| host(*guest) == ip).count();
        if !of_this_host && of_address >= ctx.config.limits.peers_per_address_max {
            return self.turn_away(ctx, conn, Some("no room for another peer"));
        }
        let peer = hello.peer;
        self.links.guest_opened(peer, conn);
        self.open(ctx, conn, hello, true);
        self.review_connection(ctx, conn);
        self.wake(ctx, conn);
        self.effects.push(Effect::GuestCame);
        self.test_claims(ctx, &peer);
    }

    /// Two say that they are a peer. Unless it answered where it is known to be, it may be either, and dials show which: first
    /// one to the known address, and when the peer is not there, one to where each guest says that it listens.
    fn test_claims(&mut self, ctx: &mut Ctx, peer: &PeerId) {
        let Some(known) = self.directory.get(peer) else { return };
        let addr = known.addr;
        let Some(standing) = self.links.to_peer(peer) else {
            if !known.is_greeted() {
                self.dial_or_wait(ctx, addr);
            }
            return;
        };
        match self.claim_of(ctx, standing) {
            Claim::Proven => {}
            Claim::Untested => {
                self.dial_though_connected(ctx, addr);
            }
            Claim::Refuted => {
                let guests = self.links.guests_of(peer).filter_map(|guest| ctx.conns.native(guest));
                let endpoints: Vec<SocketAddr> = guests.map(|guest| guest.peer_ref().addr).collect();
                for endpoint in endpoints {
                    self.dial(ctx, endpoint);
                }
            }
        }
    }

    pub(crate) fn claim_of(&self, ctx: &Ctx, conn: ConnId) -> Claim {
        ctx.conns.native(conn).map_or(Claim::Untested, |connection| connection.claim)
    }

    /// An endpoint was dialled, and this peer answered, or none. So it is known who came in from there, and who did not.
    pub(crate) fn test_claims_at(&mut self, ctx: &mut Ctx, endpoint: &SocketAddr, there: Option<&PeerId>) {
        for peer in self.directory.peers_at(endpoint) {
            let connection = self.links.to_peer(&peer).and_then(|conn| ctx.conns.native_mut(conn));
            if let Some(connection) = connection.filter(|connection| connection.claim == Claim::Untested) {
                connection.claim = if Some(&peer) == there { Claim::Proven } else { Claim::Refuted };
            }
        }
    }

    /// A peer answered where it was dialled: whoever came in with its id, and is not where it says, is somebody else.
    pub(crate) fn end_refuted_claim(&mut self, ctx: &mut Ctx, endpoint: &SocketAddr, peer: &PeerId) {
        let is_elsewhere = self.directory.get(peer).is_some_and(|known| known.addr != *endpoint);
        let Some(standing) = self.links.to_peer(peer).filter(|_| is_elsewhere) else { return };
        if self.claim_of(ctx, standing) == Claim::Refuted {
            ctx.counters.add("connections with the id of another peer");
            self.close(ctx, standing, Some("another peer answers with this id"));
            if let Some(gone) = self.directory.peer_ref(peer) {
                self.directory.remove(peer);
                ctx.outputs.event(Event::PeerLost(gone));
            }
        }
    }

    /// If a connection stands to somebody who claims to be a peer, and nothing speaks against it any more, it is that
    /// peer's; and the peer is known at that address.
    pub(crate) fn believe_guest(&mut self, ctx: &mut Ctx, peer: &PeerId) {
        let is_believed = |conn: &ConnId| {
            let Some(connection) = ctx.conns.native(*conn) else { return false };
            let dialled_to = connection.transport.dialled.then_some(connection.transport.addr);
            !self.is_elsewhere(ctx, peer, dialled_to, &connection.peer_ref().addr)
        };
        let guest = self.links.guests_of(peer).find(is_believed);
        let Some(conn) = guest.filter(|_| self.links.to_peer(peer).is_none()) else { return };
        let Some(connection) = ctx.conns.native(conn) else { return };
        let PeerRef { addr, user, .. } = connection.peer_ref();
        let heard = Heard { peer: *peer, addr, user, iface: None, interval: None, by: By::Hello };
        if !self.hear(ctx, heard) {
            return self.close(ctx, conn, Some("no room for another peer"));
        }
        self.links.guest_left(*peer, conn);
        if let Some(identity) = ctx.conns.native_mut(conn).and_then(|c| c.identity.as_mut()) {
            identity.guest = false;
        }
        self.connect(ctx, conn, peer);
    }

    /// A peer says, where it was dialled at its known address, that it has another connection with this one: then the
    /// one that claimed to be it is.
    pub(crate) fn note_second(&mut self, ctx: &mut Ctx, conn: ConnId, reason: &str) {
        let Some(connection) = ctx.conns.native(conn).filter(|c| c.transport.dialled && reason == SECOND)
        else {
            return;
        };
        if connection.known_peer().is_some_and(|peer| self.links.guests_of(&peer).next().is_some()) {
            ctx.dialer.unanswered(connection.transport.addr);
        }
    }

    /// A dial may have failed, or a peer may have said who it is: see [`Peer::believe_guest`].
    pub(crate) fn review_guests(&mut self, ctx: &mut Ctx) {
        let guests: Vec<PeerId> = self.links.guests().map(|(peer, _)| *peer).collect();
        for peer in guests {
            self.believe_guest(ctx, &peer);
            if self.links.to_peer(&peer).is_some() && self.links.guests_of(&peer).next().is_some() {
                self.test_claims(ctx, &peer);
            }
        }
    }
}
