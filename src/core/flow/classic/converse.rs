//! A classic connection's life: taken in or dialled, what it reads and writes, its end.

use std::net::SocketAddr;
use std::time::Duration;

use crate::core::classic::asking::QUIET_BEGIN;
use crate::core::classic::conversation::{Conversation, Side};
use crate::core::connection::{Protocol, Transport};
use crate::core::door::{BrokenWhy, ClassicJob, ConnId, Output, StoreJob};
use crate::core::peer::Peer;
use crate::core::timers::Timer;
use crate::types::time::Time;

impl Peer {
    /// A connection came in at a door of the dialects whose own port is `tcp_port`.
    pub(in crate::core) fn on_classic_accepted(
        &mut self,
        now: Time,
        from: SocketAddr,
        tcp_port: u16,
    ) -> Option<ConnId> {
        if self.leaving.is_some() || !self.may_serve(from) || !self.make_room(now, from.ip()) {
            self.counters.add("classic connections refused");
            return None;
        }
        let conn = self
            .connections
            .insert_classic(Conversation::serving(Transport::accepted(from), tcp_port, now), now);
        self.begin_serving(now, conn, from);
        Some(conn)
    }

    /// Whether a connection from there, at this peer's own port, may be a classic one.
    pub(in crate::core) fn may_become_classic(&self, from: SocketAddr) -> bool {
        self.config.classic.is_some() && self.leaving.is_none() && self.may_serve(from)
    }

    /// A connection is a classic one from now on.
    pub(in crate::core) fn become_classic(&mut self, now: Time, conn: ConnId, transport: Transport) {
        let addr = transport.addr;
        self.links.half_open_remove(&addr.ip());
        // What stands behind this port is no dialect's own.
        let conversation = Conversation::serving(transport, self.config.tcp_port, now);
        self.connections.become_protocol(conn, Protocol::Classic(Box::new(conversation)));
        self.begin_serving(now, conn, addr);
    }

    fn begin_serving(&mut self, now: Time, conn: ConnId, from: SocketAddr) {
        self.classic.served.insert((from.ip(), conn));
        self.timers.set(Timer::Connection(conn), now + self.config.limits.handshake_deadline);
        self.output(Output::Wake(conn));
    }

    fn may_serve(&self, from: SocketAddr) -> bool {
        let (ip, limits) = (from.ip(), &self.config.limits);
        let of_this_host = ip.is_loopback() || self.config.own_addresses.contains(&ip);
        let room = of_this_host || self.classic.served_of(ip) < limits.classic_served_per_address_max;
        room && self.classic.served.len() < limits.classic_served_max
    }

    pub(in crate::core) fn on_classic_connected(&mut self, now: Time, conn: ConnId) {
        let asking = self.connections.classic_mut(conn).and_then(Conversation::as_asking);
        if asking.is_some_and(|asking| asking.connected(now)) {
            self.review_classic(now, conn);
            self.rouse(conn);
        }
    }

    pub(in crate::core) fn on_classic_bytes(&mut self, now: Time, conn: ConnId, bytes: &[u8]) -> usize {
        match self.connections.classic(conn).map(|conversation| &conversation.side) {
            Some(Side::Serving(_)) => self.on_request_bytes(now, conn, bytes),
            Some(Side::Asking(_)) => self.on_answer_bytes(now, conn, bytes),
            Some(Side::Closing) | None => 0,
        }
    }

    pub(in crate::core) fn on_classic_payload(&mut self, now: Time, conn: ConnId, bytes: u64) {
        let asking = self.connections.classic_mut(conn).and_then(Conversation::as_asking);
        match asking.and_then(|asking| asking.stored(now, bytes)) {
            Some(outcome) => self.end_ask(now, conn, outcome),
            None => self.timers.set_no_later(Timer::Connection(conn), now + QUIET_BEGIN),
        }
    }

    pub(in crate::core) fn on_classic_sent(&mut self, now: Time, conn: ConnId, bytes: u64) {
        match self.connections.classic_mut(conn).map(|conversation| &mut conversation.side) {
            Some(Side::Serving(_)) => self.on_answer_sent(now, conn, bytes),
            Some(Side::Asking(asking)) => asking.sent(bytes),
            Some(Side::Closing) | None => {}
        }
    }

    /// The other side will send nothing more. Who asks closes its writing half behind the request, and waits.
    pub(in crate::core) fn on_classic_end(&mut self, now: Time, conn: ConnId) {
        match self.connections.classic_mut(conn).map(|conversation| &mut conversation.side) {
            Some(Side::Serving(serving)) => {
                serving.ended = true;
                if !serving.is_busy() {
                    self.close_classic(now, conn);
                }
            }
            Some(Side::Asking(asking)) => {
                let spool = asking.spool;
                let (bytes, outcome) = asking.end();
                self.write_spool(spool, bytes);
                self.end_ask(now, conn, outcome);
            }
            Some(Side::Closing) | None => {}
        }
    }

    pub(in crate::core) fn on_classic_broken(&mut self, now: Time, conn: ConnId, why: BrokenWhy) {
        match self.connections.classic_mut(conn).map(|conversation| &mut conversation.side) {
            Some(Side::Serving(_)) => self.end_serving(conn, "the connection broke"),
            Some(Side::Asking(_)) => self.break_ask(now, conn, why),
            Some(Side::Closing) | None => {}
        }
        self.forget_classic(conn);
        self.review_fetches(now);
        self.review_leaving(now, false);
    }

    /// The driver has closed it.
    pub(in crate::core) fn on_classic_closed(&mut self, now: Time, conn: ConnId) {
        self.close_classic(now, conn);
        self.forget_classic(conn);
        self.review_leaving(now, false);
    }

    /// Closes a conversation, whatever it was about.
    pub(in crate::core) fn close_classic(&mut self, now: Time, conn: ConnId) {
        match self.connections.classic(conn).map(|conversation| &conversation.side) {
            Some(Side::Serving(_)) => self.end_serving(conn, "the connection ended"),
            Some(Side::Asking(_)) => self.break_ask(now, conn, BrokenWhy::Failed),
            Some(Side::Closing) | None => {}
        }
    }

    /// Nothing more is said on a conversation; the driver closes it.
    pub(super) fn end_conversation(&mut self, conn: ConnId) {
        self.timers.clear(Timer::Connection(conn));
        let Some(conversation) = self.connections.classic_mut(conn) else { return };
        if !matches!(conversation.side, Side::Closing) {
            conversation.side = Side::Closing;
            if !conversation.transport.gone {
                self.rouse(conn);
            }
        }
    }

    /// A conversation's deadline came.
    pub(in crate::core) fn review_classic(&mut self, now: Time, conn: ConnId) {
        let next = match self.connections.classic(conn).map(|conversation| &conversation.side) {
            Some(Side::Serving(_)) => self.review_serving(now, conn),
            Some(Side::Asking(_)) => self.review_asking(now, conn),
            Some(Side::Closing) | None => None,
        };
        if let Some(next) = next {
            self.timers.set(Timer::Connection(conn), next.max(now + Duration::from_millis(1)));
        }
    }

    /// Whether somebody is being served, or a file is being joined, that a peer that leaves waits for.
    pub(in crate::core) fn is_classic_busy(&self) -> bool {
        let serves = |side: &Side| matches!(side, Side::Serving(serving) if serving.is_busy());
        !self.classic.fetches.is_empty()
            || self.classic.served.iter().any(|(_, conn)| {
                self.connections.classic(*conn).is_some_and(|conversation| serves(&conversation.side))
            })
    }

    /// Every fetch ends, but for those whose file will be there in a moment, and who is not being served goes.
    pub(in crate::core) fn leave_classic(&mut self, now: Time) {
        self.cancel_fetches(now);
        let all: Vec<ConnId> = self.connections.classics().map(|(conn, _)| conn).collect();
        for conn in all {
            let side = self.connections.classic(conn).map(|conversation| &conversation.side);
            if !matches!(side, Some(Side::Serving(serving)) if serving.is_busy()) {
                self.close_classic(now, conn);
            }
        }
    }

    /// Closes every conversation.
    pub(in crate::core) fn close_all_classic(&mut self, now: Time) {
        let all: Vec<ConnId> = self.connections.classics().map(|(conn, _)| conn).collect();
        all.into_iter().for_each(|conn| self.close_classic(now, conn));
    }

    pub(super) fn write_spool(&mut self, spool: crate::core::door::SpoolId, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.output(Output::Store(StoreJob::Classic(ClassicJob::WriteSpool { spool, bytes })));
        }
    }

    fn forget_classic(&mut self, conn: ConnId) {
        self.timers.clear(Timer::Connection(conn));
        self.connections.remove(conn);
    }
}
