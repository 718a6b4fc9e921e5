//! Dials: when an endpoint is dialled, and what its answer, or the lack of one, says of it.

use std::net::SocketAddr;

use crate::core::door::{ConnId, Event, Output, PeerRef};
use crate::core::peer::Peer;
use crate::core::session::Phase;
use crate::core::timers::Timer;
use crate::types::time::Time;

impl Peer {
    /// Dials an endpoint, unless it may not be dialled now or a dial to it is under way.
    pub(in crate::core) fn dial(&mut self, now: Time, to: SocketAddr) -> Option<ConnId> {
        if self.is_connected(&to) { None } else { self.dial_though_connected(now, to) }
    }

    /// The same, whoever is connected and says that it listens there.
    pub(super) fn dial_though_connected(&mut self, now: Time, to: SocketAddr) -> Option<ConnId> {
        let own = to.port() == self.config.tcp_port && self.config.own_addresses.contains(&to.ip());
        if own
            || self.leaving.is_some()
            || self.links.to_endpoint(&to).is_some()
            || !self.dialer.may_dial(now, &to)
            || !self.make_room(now, to.ip())
        {
            return None;
        }
        let conn = self.connections.dial(to, &self.config.limits, now);
        self.links.dialled(to, conn);
        self.timers.set(Timer::Connection(conn), now + self.config.limits.dial_deadline);
        self.output(Output::Dial { conn, to });
        Some(conn)
    }

    /// Whether a connection stands to who listens at this endpoint, whoever dialled.
    fn is_connected(&self, endpoint: &SocketAddr) -> bool {
        self.links.all_open().any(|(peer, _)| self.directory.get(peer).is_some_and(|k| k.addr == *endpoint))
    }

    /// A connection that was dialled is over, whoever ended it: its endpoint is dialled again after a wait, which grows each
    /// time unless the connection was of use or stood for a while. A hello alone is of no use: whoever greets and closes
    /// would be dialled for ever.
    pub(super) fn note_dial_over(&mut self, now: Time, conn: ConnId, was: Phase) {
        let Some(connection) = self.connections.native_mut(conn) else { return };
        let (addr, since) = (connection.transport.addr, connection.since);
        let said = connection.first_words.take().filter(|_| was == Phase::Greeting);
        if was == Phase::Dialling || said.is_some() {
            self.dialer.unanswered(addr);
            self.test_claims_at(&addr, None);
        }
        if was == Phase::Open && now.since(since) >= self.config.limits.redial_forgives {
            self.dialer.succeeded(&addr);
        }
        self.dialer.failed(now, addr);
        if let Some(said) = said {
            self.note_stranger(addr, said);
        }
        self.note_away(conn);
    }

    /// The program at an endpoint did not greet as a peer does. Where somebody named the endpoint, that is told. A peer
    /// may be killed, or be full, before it says a word; so that is told when it happens again.
    fn note_stranger(&mut self, addr: SocketAddr, said: Vec<u8>) {
        let named = self.config.fixed_peers.contains(&addr)
            || self.neighbourhood.ends().any(|end| end.addr == addr)
            || self.pusher.is_for(&addr);
        let sure = !said.is_empty() || self.dialer.failures(&addr) > 1;
        if named && sure && self.dialer.note_stranger(addr) {
            // That it is away is told with it.
            let ends = self.neighbourhood.ends_mut().filter(|end| end.addr == addr);
            ends.for_each(|end| end.away = true);
            self.event(Event::NotAPeer { addr, said });
        }
    }

    /// A chunk from a peer was right: its endpoint, and the one that was dialled, have not failed.
    pub(in crate::core) fn note_use(&mut self, conn: ConnId, from: &PeerRef) {
        self.dialer.succeeded(&from.addr);
        if let Some(connection) =
            self.connections.native(conn).filter(|connection| connection.transport.dialled)
        {
            self.dialer.succeeded(&connection.transport.addr);
        }
    }
}
