//! A connection's life: dialled or accepted, greeted, kept alive, closed or lost.

use std::net::SocketAddr;
use std::time::Duration;

use crate::core::connection::{Protocol, Sniffed, Sniffing, Transport};
use crate::core::directory::{By, Heard};
use crate::core::door::{BrokenWhy, ConnId, Event, Output, PeerRef};
use crate::core::peer::Peer;
use crate::core::session::{Identity, Phase, Session};
use crate::core::timers::Timer;
use crate::types::id::{ContentId, PeerId};
use crate::types::time::Time;
use crate::wire::message::{Frame, Hello, PROTOCOL_VERSION};

/// Why a peer closes one of two connections that it has with another.
pub(super) const SECOND: &str = "a second connection";

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

    pub(in crate::core) fn on_accepted(&mut self, now: Time, from: SocketAddr) -> Option<ConnId> {
        let ip = from.ip();
        let limits = &self.config.limits;
        let of_this_host = ip.is_loopback() || self.config.own_addresses.contains(&ip);
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

    pub(in crate::core) fn on_connected(&mut self, now: Time, conn: ConnId) {
        let hello = self.hello();
        let deadline = now + self.config.limits.handshake_deadline;
        let Some(connection) = self.connections.native_mut(conn) else { return };
        if connection.phase != Phase::Dialling {
            return;
        }
        connection.phase = Phase::Greeting;
        connection.since = now;
        connection.heard = now;
        connection.first_words = Some(Vec::new());
        connection.push(hello);
        self.timers.set(Timer::Connection(conn), deadline);
        self.wake(now, conn);
    }

    pub(in crate::core) fn on_hello(&mut self, now: Time, conn: ConnId, hello: Hello) {
        let Some(connection) = self.connections.native(conn) else { return };
        let (dialled, addr) = (connection.transport.dialled, connection.transport.addr);
        if hello.peer == self.id {
            if dialled {
                self.dialer.is_self(addr);
            }
            return self.turn_away(now, conn, None);
        }
        if hello.v != PROTOCOL_VERSION {
            return self.turn_away(now, conn, Some("this peer speaks protocol version 1"));
        }
        let endpoint = SocketAddr::new(addr.ip(), hello.port);
        if self.dialer.is_struck(now, &endpoint) {
            return self.turn_away(now, conn, Some("struck"));
        }
        if dialled {
            self.dialer.answered(&addr);
            if addr == endpoint {
                self.forget_impostors(now, &endpoint, &hello.peer);
                self.test_claims_at(&endpoint, Some(&hello.peer));
                self.end_refuted_claim(now, &endpoint, &hello.peer);
            }
        }
        self.meet(dialled.then_some(addr), endpoint, hello.peer);
        if dialled {
            self.dialer.note_peer(&addr);
            self.pusher.meet(addr, hello.peer);
        }
        let elsewhere = self.is_elsewhere(&hello.peer, dialled.then_some(addr), &endpoint);
        if elsewhere {
            return self.receive_guest(now, conn, hello);
        }
        if let Some(other) = self.links.to_peer(&hello.peer) {
            if self.is_surplus(other, conn, &hello.peer) {
                return self.close_second(now, conn);
            }
            self.close_second(now, other);
            if self.links.to_peer(&hello.peer).is_some() {
                // A guest took the place of the one that was closed.
                return self.close_second(now, conn);
            }
        }
        let heard = Heard {
            peer: hello.peer,
            addr: endpoint,
            user: hello.user.clone(),
            iface: None,
            interval: None,
            by: By::Hello,
        };
        if !self.hear(now, heard) {
            return self.turn_away(now, conn, Some("no room for another peer"));
        }
        let peer = hello.peer;
        self.open(now, conn, hello, false);
        self.connect(now, conn, &peer);
    }

    /// Closes a connection on which somebody said hello; `why` is told to the other side.
    pub(super) fn turn_away(&mut self, now: Time, conn: ConnId, why: Option<&str>) {
        let hello = self.hello();
        if let Some(connection) = self.connections.native_mut(conn) {
            connection.answer_hello(&hello);
        }
        self.close(now, conn, why);
    }

    /// Both sides have said hello.
    pub(super) fn open(&mut self, now: Time, conn: ConnId, hello: Hello, guest: bool) {
        let reply = self.hello();
        let Some(connection) = self.connections.native_mut(conn) else { return };
        connection.phase = Phase::Open;
        connection.since = now;
        connection.identity = Some(Identity { peer: hello.peer, user: hello.user, port: hello.port, guest });
        if !connection.transport.dialled {
            connection.push(reply);
            self.links.half_open_remove(&connection.transport.addr.ip());
        }
    }

    /// An open connection is that to a peer.
    pub(super) fn connect(&mut self, now: Time, conn: ConnId, peer: &PeerId) {
        self.links.opened(*peer, conn);
        self.directory.connected(peer, true);
        self.review_connection(now, conn);
        self.wake(now, conn);
        self.walk_catalogue(now, peer);
        self.greet_neighbour(now, conn);
        self.note_recipient(now);
        self.meet_for_mirror(now, peer);
        for content in self.downloader.wanting() {
            if self.is_companion(peer, &content) {
                self.open_channel(now, conn, content);
            }
        }
    }

    /// Who answers at an endpoint is the one that is there: others that were heard from it are gone, or never were. One of them
    /// may be connected from elsewhere, and is the peer then.
    pub(super) fn forget_impostors(&mut self, now: Time, endpoint: &SocketAddr, there: &PeerId) {
        for id in self.directory.impostors(endpoint, there) {
            if let Some(peer) = self.directory.peer_ref(&id) {
                self.directory.remove(&id);
                self.event(Event::PeerLost(peer));
                self.believe_guest(now, &id);
            }
        }
    }

    /// The other side will send nothing more. A native peer that has said its last word wants nothing either.
    pub(in crate::core) fn on_end_of_stream(&mut self, now: Time, conn: ConnId) {
        self.close(now, conn, None);
    }

    pub(in crate::core) fn on_broken(&mut self, now: Time, conn: ConnId, why: BrokenWhy) {
        self.counters.add(broken(why));
        self.detach(now, conn);
        self.forget(conn);
        self.seek_neighbours(now);
        self.review_leaving(now, false);
    }

    pub(in crate::core) fn on_closed(&mut self, now: Time, conn: ConnId) {
        self.detach(now, conn);
        self.forget(conn);
        self.seek_neighbours(now);
        self.review_leaving(now, false);
    }

    /// Closes a connection; `why` is told to the other side.
    pub(in crate::core) fn close(&mut self, now: Time, conn: ConnId, why: Option<&str>) {
        let Some(connection) = self.connections.native(conn) else { return };
        if connection.phase == Phase::Closing {
            return;
        }
        self.detach(now, conn);
        let grace = self.config.limits.leave_grace;
        if let Some(connection) = self.connections.native_mut(conn) {
            connection.begin_closing(why.map(|reason| Frame::Bye { reason: reason.to_owned() }));
            self.timers.set(Timer::Connection(conn), now + grace);
            // It may be waiting for room to send what will not be sent any more, and room may never come.
            self.rouse(conn);
        }
    }

    /// Closes a connection whose other side broke the rules, and strikes the peer if it is known.
    pub(in crate::core) fn close_for_fault(&mut self, now: Time, conn: ConnId, fault: &'static str) {
        self.counters.add("connections closed for a fault");
        let Some(connection) = self.connections.native(conn) else { return };
        if connection.identity.is_some() {
            self.strike(now, conn, fault);
        } else {
            self.close(now, conn, None);
        }
    }

    /// Nothing is asked of this peer any more for a while, and its connection is closed.
    pub(in crate::core) fn strike(&mut self, now: Time, conn: ConnId, why: &'static str) {
        let Some(connection) = self.connections.native(conn) else { return };
        let peer = connection.peer_ref();
        let contents: Vec<ContentId> = connection.channels.iter().map(|channel| channel.content).collect();
        self.dialer.strike(now, peer.addr, now + self.config.limits.strike_duration);
        for content in contents {
            if let Some(download) =
                self.downloader.get_mut(&content).filter(|download| download.wants_peers())
            {
                download.struck.push(peer.clone());
            }
        }
        self.event(Event::PeerStruck { peer, why });
        self.close(now, conn, Some(why));
    }

    /// Tells the driver to visit a connection that has something to send again.
    pub(in crate::core) fn wake(&mut self, now: Time, conn: ConnId) {
        let Some(connection) = self.connections.native_mut(conn) else { return };
        if connection.transport.asleep && connection.phase != Phase::Dialling {
            connection.transport.asleep = false;
            connection.moved = now;
            self.output(Output::Wake(conn));
        }
    }

    /// A connection's deadline came: is it still alive?
    pub(in crate::core) fn review_connection(&mut self, now: Time, conn: ConnId) {
        let limits = self.config.limits.clone();
        let Some(connection) = self.connections.native_mut(conn) else { return };
        let next = match connection.phase {
            Phase::Dialling => {
                if now.since(connection.since) >= limits.dial_deadline {
                    return self.close(now, conn, None);
                }
                connection.since + limits.dial_deadline
            }
            Phase::Greeting => {
                if now.since(connection.since) >= limits.handshake_deadline {
                    self.counters.add("connections without a hello");
                    return self.close(now, conn, None);
                }
                connection.since + limits.handshake_deadline
            }
            Phase::Closing => {
                // Its last word found no way out in time; it goes without.
                connection.begin_closing(None);
                connection.drop_outbox();
                return self.rouse(conn);
            }
            Phase::Open => {
                let sending = connection.is_sending();
                if now.since(connection.heard) >= limits.silence_max {
                    return self.close(now, conn, Some("silent for too long"));
                }
                if sending && now.since(connection.moved) >= limits.send_stall_max {
                    return self.close(now, conn, Some("takes no bytes"));
                }
                // A trickle holds an upload that another could have.
                let turn_began = self.uploader.turn_began(conn);
                let took = turn_began.map(|began| connection.payload.unwrap_or(began).max(began));
                if took.is_some_and(|took| now.since(took) >= limits.send_stall_max) {
                    return self.close(now, conn, Some("takes next to nothing"));
                }
                if !connection.pinged && now.since(connection.heard) >= limits.keepalive_interval {
                    connection.pinged = true;
                    connection.push(Frame::Ping);
                    self.wake(now, conn);
                }
                self.next_review(conn)
            }
        };
        self.timers.set(Timer::Connection(conn), next.max(now + Duration::from_millis(1)));
    }

    /// When an open connection's silence or stall would next matter.
    fn next_review(&mut self, conn: ConnId) -> Time {
        let limits = &self.config.limits;
        let Some(connection) = self.connections.native(conn) else { return Time::ZERO };
        if let Some(peer) = connection.known_peer() {
            self.directory.touch(connection.heard, &peer);
        }
        let silence = if connection.pinged { limits.silence_max } else { limits.keepalive_interval };
        let heard = connection.heard + silence;
        if connection.is_sending() { heard.min(connection.moved + limits.send_stall_max) } else { heard }
    }

    /// A connection that was dialled is over, whoever ended it: its endpoint is dialled again after a wait, which grows each
    /// time unless the connection was of use or stood for a while. A hello alone is of no use: whoever greets and closes
    /// would be dialled for ever.
    fn note_dial_over(&mut self, now: Time, conn: ConnId, was: Phase) {
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

    /// Closes one of two connections to a peer, which is no failure of the endpoint that was dialled.
    fn close_second(&mut self, now: Time, conn: ConnId) {
        if let Some(connection) =
            self.connections.native(conn).filter(|connection| connection.transport.dialled)
        {
            self.links.undialled(&connection.transport.addr, conn);
        }
        self.turn_away(now, conn, Some(SECOND));
    }

    /// Of two connections to one peer, the one dialled by the lower id stays; of two dialled by the same, the older. Who
    /// comes in from elsewhere with the id of a peer that is connected replaces nobody.
    fn is_surplus(&self, older: ConnId, newer: ConnId, peer: &PeerId) -> bool {
        let dialled =
            |conn| self.connections.native(conn).is_some_and(|connection| connection.transport.dialled);
        let host = |conn| self.connections.native(conn).map(|connection| connection.transport.addr.ip());
        if !dialled(newer) && host(newer) != host(older) {
            return true;
        }
        let dialler = |conn| if dialled(conn) { &self.id } else { peer };
        dialler(older) <= dialler(newer)
    }

    /// Takes a connection out of everything it takes part in.
    fn detach(&mut self, now: Time, conn: ConnId) {
        let Some(connection) = self.connections.native_mut(conn) else { return };
        if connection.phase == Phase::Closing {
            return;
        }
        let was = std::mem::replace(&mut connection.phase, Phase::Closing);
        let (addr, dialled) = (connection.transport.addr, connection.transport.dialled);
        let identity = connection.identity.clone();
        let contents: Vec<ContentId> = connection.channels.iter().map(|channel| channel.content).collect();
        if let Some(incoming) = connection.incoming.take()
            && let Some(buffer) = incoming.buffer
        {
            self.downloader.free_buffer(buffer);
            self.output(Output::Release(buffer));
        }
        if !dialled && was == Phase::Greeting {
            self.links.half_open_remove(&addr.ip());
        }
        if let Some(identity) = identity.as_ref().filter(|identity| identity.guest) {
            self.links.guest_left(identity.peer, conn);
        } else if let Some(identity) = identity {
            self.links.closed(&identity.peer, conn);
            self.directory.connected(&identity.peer, false);
            self.directory.touch(now, &identity.peer);
            self.await_expiry(&identity.peer);
        }
        if dialled && self.links.undialled(&addr, conn) {
            self.note_dial_over(now, conn, was);
        }
        self.uploader.remove(conn);
        self.grant_uploads(now);
        self.end_walks(now, conn);
        self.lose_recipient(now, conn);
        self.lose_sender(conn);
        for content in contents {
            self.lose_source(now, conn, content);
        }
        self.feed_starving(now);
        if dialled {
            self.review_guests(now);
        }
    }

    fn forget(&mut self, conn: ConnId) {
        self.timers.clear(Timer::Connection(conn));
        self.connections.remove(conn);
    }

    fn hello(&self) -> Frame {
        Frame::Hello(Hello {
            v: PROTOCOL_VERSION,
            peer: self.id,
            user: self.config.user.clone(),
            port: self.config.tcp_port,
            agent: self.config.agent.clone(),
        })
    }

    /// Panics when the indexes over connections are not what the connections say.
    pub(in crate::core) fn check_links(&self) {
        for (peer, conn) in self.links.all_open() {
            let identity = self.connections.native(conn).and_then(|connection| connection.identity.as_ref());
            assert_eq!(identity.map(|identity| identity.peer), Some(*peer), "{conn} leads to its peer");
        }
        for (peer, conn) in self.links.guests() {
            let identity = self.connections.native(conn).and_then(|connection| connection.identity.as_ref());
            assert!(
                identity.is_some_and(|identity| identity.guest && identity.peer == *peer),
                "{conn}: {peer}"
            );
        }
        let open = |connection: &Session| connection.phase == Phase::Open;
        let count = self.connections.natives().filter(|(_, connection)| open(connection)).count();
        assert_eq!(count, self.links.open(), "one open connection a peer");
        for (conn, connection) in self.connections.natives().filter(|(_, connection)| open(connection)) {
            for channel in connection.channels.iter() {
                let is_present = connection.channel_of(&channel.content).is_some();
                assert!(
                    !is_present || self.links.on(&channel.content).any(|named| named == conn),
                    "{conn} is indexed"
                );
            }
        }
    }
}

/// The counter of connections that broke so.
pub(in crate::core) const fn broken(why: BrokenWhy) -> &'static str {
    match why {
        BrokenWhy::Refused => "connections refused by the other side",
        BrokenWhy::Unreachable => "connections to nowhere",
        BrokenWhy::Reset => "connections reset",
        BrokenWhy::Failed => "connections failed",
    }
}
