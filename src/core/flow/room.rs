//! Room for one more connection: who gets a place when they are short, and which connection gives way.

use std::net::IpAddr;
use std::time::Duration;

use crate::core::classic::conversation::Side as ClassicSide;
use crate::core::connection::Phase;
use crate::core::door::ConnId;
use crate::core::peer::Peer;
use crate::core::push::conversation::Side as PushSide;
use crate::core::time::Time;

/// Connections that were closed to make room and whose sockets are not closed yet. With more, newcomers are refused.
const CLOSING_MAX: usize = 64;
/// Connections that are looked at for one newcomer. Those that are of use are looked at again only after all others.
const LOOKS_MAX: usize = 32;
/// A connection that came in has so long to say what it is before it gives way.
const STRANGER_GRACE: Duration = Duration::from_secs(1);
/// A neighbour in a download that goes on is kept for so long after its last chunk.
const NEIGHBOUR_KEPT: Duration = Duration::from_secs(60);
/// Channels of one connection that are looked at for a download that goes on.
const CHANNELS_LOOKED_AT: usize = 64;

impl Peer {
    /// Whether there is a place for one more connection with this address. When places are short, the connection that was
    /// of no use for longest gives its place to an address that has none, and to another only if it is of the same address.
    pub(in crate::core) fn make_room(&mut self, now: Time, ip: IpAddr) -> bool {
        let limits = &self.config.limits;
        let of_this_host = ip.is_loopback() || self.config.own_addresses.contains(&ip);
        let is_newcomer = of_this_host || !self.connections.places.has(ip);
        let reserved = limits.connections_reserved.min(limits.connections_max / 8);
        let most = limits.connections_max.saturating_sub(if is_newcomer { 0 } else { reserved });
        if self.connections.places.len() < most {
            return true;
        }
        if self.connections.len() >= limits.connections_max.saturating_add(CLOSING_MAX) {
            return false;
        }
        let of = (!is_newcomer).then_some(ip);
        for _ in 0..LOOKS_MAX {
            let Some((conn, known)) = self.connections.places.oldest(of) else { return false };
            match self.of_no_use_since(now, conn) {
                Some(since) if since <= known => {
                    self.give_way(now, conn);
                    return true;
                }
                since => self.connections.places.note(conn, since.unwrap_or(now)),
            }
        }
        false
    }

    /// Since when a connection was of no use; `None`: it is of use now, or closes anyway.
    fn of_no_use_since(&self, now: Time, conn: ConnId) -> Option<Time> {
        if let Some(connection) = self.connections.get(conn) {
            let dialled = connection.dialled;
            return match connection.phase {
                Phase::Dialling | Phase::Closing => None,
                Phase::Greeting => {
                    (!dialled && now.since(connection.since) >= STRANGER_GRACE).then_some(connection.since)
                }
                // Whom an arrangement of neighbours names is part of it.
                Phase::Open if dialled && !self.config.topology.is_mesh() => None,
                Phase::Open => {
                    (!self.is_used(now, conn)).then_some(connection.payload.unwrap_or(connection.since))
                }
            };
        }
        if let Some(reader) = self.connections.http(conn) {
            return (!reader.is_busy()).then_some(reader.moved);
        }
        if let Some(conversation) = self.connections.classic(conn) {
            return match &conversation.side {
                ClassicSide::Serving(serving) => (!serving.is_busy()).then_some(serving.moved),
                ClassicSide::Asking(_) | ClassicSide::Closing => None,
            };
        }
        match &self.connections.push(conn)?.side {
            PushSide::Taking(taking) if taking.is_silent() => Some(taking.began),
            PushSide::Taking(_) | PushSide::Giving(_) | PushSide::Closing(_) | PushSide::Aborting => None,
        }
    }

    /// Whether chunks go over an open connection in either direction, or will soon.
    fn is_used(&self, now: Time, conn: ConnId) -> bool {
        let Some(connection) = self.connections.get(conn) else { return false };
        let moves = connection.asked > 0
            || connection.incoming.is_some()
            || connection.outgoing.is_some()
            || self.uploader.serves(conn);
        let offers = self.pusher.count_on(conn) > 0 || self.pusher.offered_on(conn).next().is_some();
        if moves || offers || (connection.dialled && !connection.walks.is_empty()) {
            return true;
        }
        // That it names a content which is fetched here costs it nothing: so it must have been dialled, or moved a chunk.
        let lately = |at: Time| now.since(at) < NEIGHBOUR_KEPT;
        (connection.dialled || connection.payload.is_some_and(lately))
            && connection.channels.iter().take(CHANNELS_LOOKED_AT).any(|channel| {
                !channel.refused
                    && channel.theirs.is_some()
                    && self.downloader.get(&channel.content).is_some_and(|download| download.wants_peers())
            })
    }

    /// A connection is closed to make room for another.
    fn give_way(&mut self, now: Time, conn: ConnId) {
        self.counters.add("connections that gave way to others");
        self.connections.places.give_back(conn);
        if self.connections.http(conn).is_some() {
            self.end_reader(now, conn, "others waited for its place");
        } else if self.connections.classic(conn).is_some() {
            self.close_classic(now, conn);
        } else if self.connections.push(conn).is_some() {
            self.cancel_push(conn);
        } else {
            self.close(now, conn, Some("idle, and others wait for a connection"));
        }
    }
}
