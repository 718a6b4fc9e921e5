//! Room for one more connection: who gets a place when they are short, and which connection gives way.

use std::net::IpAddr;
use std::time::Duration;

use crate::core::connection::{Kind, Protocol};
use crate::core::door::{ConnId, ForeignFailure};
use crate::core::peer::Peer;
use crate::core::session::Phase;
use crate::types::time::Time;

/// Connections that were closed to make room and whose sockets are not closed yet. With more, newcomers are refused.
const CLOSING_MAX: usize = 64;
/// Connections that are looked at for one newcomer. Those that are of use are looked at again only after all others.
const LOOKS_MAX: usize = 32;
/// A connection has so long to say what it is, or to ask for something, before it gives way.
const GRACE: Duration = Duration::from_secs(1);
/// A neighbour in a download that goes on is kept for so long after its last chunk, and so is who waits for a chunk from here.
pub(in crate::core) const KEPT: Duration = Duration::from_secs(60);
/// An address with fewer places may take that of any connection that is of no use; with more, of its own ones alone. One with
/// more is also no longer protected by the use of its connections where an address has none.
const PLACES_FEW: usize = 8;
/// Channels of one connection that are looked at for a download that goes on.
const CHANNELS_LOOKED_AT: usize = 64;

impl Peer {
    /// Whether there is a place for one more connection with this address. When places are short, the connection that was
    /// of no use for longest gives its place to an address that has few, and to another only if it is of the same address.
    /// When all are of use, an address that has none gets a place of the one that has most.
    pub(in crate::core) fn make_room(&mut self, now: Time, ip: IpAddr) -> bool {
        let limits = &self.config.limits;
        let of_this_host = self.config.is_own(ip);
        let held = self.connections.places.of(ip);
        let reserved = limits.connections_reserved.min(limits.connections_max / 8);
        let kept = if of_this_host || held == 0 { 0 } else { reserved };
        if self.connections.places.len() < limits.connections_max.saturating_sub(kept) {
            return true;
        }
        if self.connections.len() >= limits.connections_max.saturating_add(CLOSING_MAX) {
            return false;
        }
        let of = (!of_this_host && held >= PLACES_FEW).then_some(ip);
        let unused = self.least_used(now, of);
        let conn = unused.or_else(|| if held == 0 { self.one_of_a_crowd() } else { None });
        if let Some(conn) = conn {
            self.give_way(now, conn);
        }
        conn.is_some()
    }

    /// The connection that was of no use for longest, of all or of one address.
    fn least_used(&mut self, now: Time, of: Option<IpAddr>) -> Option<ConnId> {
        let mut least: Option<(Time, ConnId)> = None;
        for _ in 0..LOOKS_MAX {
            let Some((conn, known)) = self.connections.places.oldest(of) else { break };
            let until = self.of_use_until(now, conn).filter(|until| *until <= now);
            if let Some(until) = until {
                least = Some(least.map_or((until, conn), |least| least.min((until, conn))));
            }
            if until.is_some_and(|until| until <= known) || least.is_some_and(|(least, _)| least <= known) {
                break;
            }
            self.connections.places.note(conn, until.unwrap_or(now));
        }
        least.map(|(_, conn)| conn)
    }

    /// A connection of the address that has most, if that is many.
    fn one_of_a_crowd(&self) -> Option<ConnId> {
        let (ip, count) = self.connections.places.most_crowded()?;
        let is_own = self.config.is_own(ip);
        let (conn, _) = self.connections.places.oldest(Some(ip))?;
        (count > PLACES_FEW && !is_own).then_some(conn)
    }

    /// Until when a connection is, or was, of use; `None`: it stays, or closes anyway.
    fn of_use_until(&self, now: Time, conn: ConnId) -> Option<Time> {
        // A connection is not judged by requests that it queued, nor by an answer that it began to take.
        let while_busy = |is_busy: bool, moved: Time| Some(moved + if is_busy { KEPT } else { GRACE });
        match self.connections.get(conn)? {
            Protocol::Sniffing(sniffing) => (!sniffing.closing).then_some(sniffing.since + GRACE),
            Protocol::Native(session) => match session.phase {
                Phase::Dialling | Phase::Closing => None,
                Phase::Greeting => (!session.transport.dialled).then_some(session.since + GRACE),
                // Whom an arrangement of neighbours names is part of it.
                Phase::Open if session.transport.dialled && !self.config.topology.is_mesh() => None,
                Phase::Open if self.is_used(now, conn) => None,
                Phase::Open => {
                    let is_served = session.outgoing.is_some() || self.uploader.serves(conn);
                    while_busy(is_served, session.payload.unwrap_or(session.since))
                }
            },
            Protocol::Http(reader) => while_busy(reader.is_busy(), reader.moved),
            Protocol::Classic(conversation) => {
                conversation.moved().and_then(|moved| while_busy(conversation.is_serving(), moved))
            }
            Protocol::Transfer(transfer) => transfer.silent_since().map(|since| since + GRACE),
        }
    }

    /// Whether this peer takes chunks on an open connection, or will soon, or offers are open on it.
    fn is_used(&self, now: Time, conn: ConnId) -> bool {
        let Some(connection) = self.connections.native(conn) else { return false };
        let takes = connection.asked > 0 || connection.incoming.is_some();
        let offers = self.pusher.count_on(conn) > 0 || self.pusher.offered_on(conn).next().is_some();
        if takes || offers || (connection.transport.dialled && !connection.walks.is_empty()) {
            return true;
        }
        // That it names a content which is fetched here costs it nothing: so it must have been dialled, or moved a chunk.
        let lately = |at: Time| now.since(at) < KEPT;
        (connection.transport.dialled || connection.payload.is_some_and(lately))
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
        match self.connections.kind(conn) {
            Some(Kind::Sniffing) => self.end_sniffing(conn),
            Some(Kind::Native) => self.close(now, conn, Some("idle, and others wait for a connection")),
            Some(Kind::Http) => self.http(now, conn, |http, ctx, conn, reader| {
                http.close(ctx, conn, reader, "others waited for its place");
            }),
            Some(Kind::Classic) => self.classic(now, |classic, ctx| classic.close(ctx, conn)),
            Some(Kind::Transfer) => self.fail_transfer(now, conn, ForeignFailure::Cancelled),
            None => {}
        }
    }
}
