//! Connections that came in at this peer's own port: who is let in, and what the first byte says is spoken.

use std::net::SocketAddr;
use std::time::Duration;

use crate::core::connection::{Protocol, Sniffed, Sniffing, Transport};
use crate::core::door::{ConnId, Output};
use crate::core::peer::Peer;
use crate::core::session::Session;
use crate::core::timers::Timer;
use crate::types::time::Time;

impl Peer {
    pub(in crate::core) fn on_accepted(&mut self, now: Time, from: SocketAddr) -> Option<ConnId> {
        let ip = from.ip();
        let limits = &self.config.limits;
        let of_this_host = self.config.is_own(ip);
        if !of_this_host && self.links.half_open(&ip) >= limits.half_open_per_address_max {
            self.counters.add("connections refused: half-open of one address");
            return None;
        }
        if !self.make_room(now, ip) {
            self.counters.add("connections refused: table full");
            return None;
        }
        let deadline = now + self.config.limits.handshake_deadline;
        let sniffing = Sniffing { transport: Transport::accepted(from), since: now, closing: false };
        let conn = self.connections.insert(Protocol::Sniffing(sniffing), now);
        self.links.half_open_add(ip);
        self.timers.set(Timer::Connection(conn), deadline);
        // Nothing is said before the other side has: it may speak another dialect, or none. Reading may begin.
        self.output(Output::Wake(conn));
        Some(conn)
    }

    /// The first bytes of a connection that came in say what is spoken on it. Returns how many were taken.
    pub(in crate::core) fn sniff(&mut self, now: Time, conn: ConnId, bytes: &[u8]) -> usize {
        let Some(first) = bytes.first() else { return 0 };
        let Some(sniffing @ Sniffing { closing: false, .. }) = self.connections.sniffing(conn).copied()
        else {
            return 0;
        };
        let Sniffing { transport, since, .. } = sniffing;
        match Sniffed::of(*first) {
            Sniffed::Classic if self.classic(now, |classic, ctx| classic.take_over(ctx, conn, transport)) => {
                self.links.half_open_remove(&transport.addr.ip());
                self.received(now, conn, bytes)
            }
            Sniffed::Http if self.become_http(now, conn, &sniffing) => {
                self.links.half_open_remove(&transport.addr.ip());
                self.received(now, conn, bytes)
            }
            Sniffed::Native | Sniffed::Classic | Sniffed::Http => {
                let session = Session::new(transport, &self.config.limits, since);
                self.connections.become_protocol(conn, Protocol::Native(Box::new(session)));
                self.on_bytes(now, conn, bytes)
            }
        }
    }

    /// A connection that came in and says nothing ends, or is to be looked at again later.
    pub(in crate::core) fn review_sniffing(&mut self, now: Time, conn: ConnId) {
        let Some(sniffing) = self.connections.sniffing(conn).filter(|sniffing| !sniffing.closing) else {
            return;
        };
        let deadline = sniffing.since + self.config.limits.handshake_deadline;
        if deadline <= now {
            self.counters.add("connections without a hello");
            return self.end_sniffing(conn);
        }
        self.timers.set(Timer::Connection(conn), deadline.max(now + Duration::from_millis(1)));
    }

    /// A connection that said nothing is closed.
    pub(in crate::core) fn end_sniffing(&mut self, conn: ConnId) {
        if let Some(Protocol::Sniffing(sniffing)) = self.connections.get_mut(conn)
            && !std::mem::replace(&mut sniffing.closing, true)
        {
            self.links.half_open_remove(&sniffing.transport.addr.ip());
            self.timers.clear(Timer::Connection(conn));
            self.rouse(conn);
        }
    }

    /// A connection that said nothing is gone.
    pub(in crate::core) fn on_sniffing_gone(&mut self, now: Time, conn: ConnId) {
        self.end_sniffing(conn);
        self.connections.remove(conn);
        self.seek_neighbours(now);
        self.review_leaving(now, false);
    }
}
