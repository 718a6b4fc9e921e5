//! A connection's life: dialled or accepted, greeted, kept alive, closed or lost.

use crate::core::connections::Connections;
use crate::core::io::{ConnId, Event, Output};
use crate::core::native::effects::Effect;
use crate::core::native::peers::directory::{By, Heard};
use crate::core::native::session::{Identity, Phase, Session};
use crate::core::native::{Ctx, Engine};
use crate::core::timers::Timer;
use crate::types::{ContentId, PeerId, Time};
use crate::wire::message::{Frame, Hello, PROTOCOL_VERSION};
use std::net::SocketAddr;
use std::time::Duration;

/// Why a peer closes one of two connections that it has with another.
pub(crate) const SECOND: &str = "a second connection";

impl Engine {
    pub(crate) fn on_connected(&mut self, ctx: &mut Ctx, conn: ConnId) {
        let hello = self.hello(ctx);
        let deadline = ctx.now + ctx.config.limits.handshake_deadline;
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        if connection.phase != Phase::Dialling {
            return;
        }
        connection.phase = Phase::Greeting;
        connection.since = ctx.now;
        connection.heard = ctx.now;
        connection.first_words = Some(Vec::new());
        connection.outbox.push(hello);
        ctx.timers.set(Timer::Connection(conn), deadline);
        self.wake(ctx, conn);
    }

    pub(crate) fn on_hello(&mut self, ctx: &mut Ctx, conn: ConnId, hello: Hello) {
        let Some(connection) = ctx.conns.native(conn) else { return };
        let (dialled, addr) = (connection.transport.dialled, connection.transport.addr);
        if hello.peer == ctx.id {
            if dialled {
                ctx.dialer.is_self(addr);
            }
            return self.turn_away(ctx, conn, None);
        }
        if hello.v != PROTOCOL_VERSION {
            return self.turn_away(ctx, conn, Some("this peer speaks protocol version 1"));
        }
        let endpoint = SocketAddr::new(addr.ip(), hello.port);
        if ctx.dialer.is_banned(ctx.now, &endpoint) {
            return self.turn_away(ctx, conn, Some("struck"));
        }
        if dialled {
            ctx.dialer.answered(&addr);
            if addr == endpoint {
                self.forget_impostors(ctx, &endpoint, &hello.peer);
                self.test_claims_at(ctx, &endpoint, Some(&hello.peer));
                self.end_refuted_claim(ctx, &endpoint, &hello.peer);
            }
        }
        self.effects.push(Effect::Met { dialled_to: dialled.then_some(addr), endpoint, peer: hello.peer });
        if dialled {
            ctx.dialer.note_peer(&addr);
            self.effects.push(Effect::Answered { at: addr, peer: hello.peer });
        }
        let elsewhere = self.is_elsewhere(ctx, &hello.peer, dialled.then_some(addr), &endpoint);
        if elsewhere {
            return self.receive_guest(ctx, conn, hello);
        }
        if let Some(other) = self.links.to_peer(&hello.peer) {
            if self.is_surplus(ctx, other, conn, &hello.peer) {
                return self.close_second(ctx, conn);
            }
            self.close_second(ctx, other);
        }
        let heard = Heard {
            peer: hello.peer,
            addr: endpoint,
            user: hello.user.clone(),
            iface: None,
            interval: None,
            by: By::Hello,
        };
        if !self.hear(ctx, heard) {
            return self.turn_away(ctx, conn, Some("no room for another peer"));
        }
        let peer = hello.peer;
        self.open(ctx, conn, hello, false);
        self.connect(ctx, conn, &peer);
    }

    /// Closes a connection on which somebody said hello; `why` is told to the other side.
    pub(crate) fn turn_away(&mut self, ctx: &mut Ctx, conn: ConnId, why: Option<&str>) {
        let hello = self.hello(ctx);
        if let Some(connection) = ctx.conns.native_mut(conn) {
            connection.answer_hello(&hello);
        }
        self.close(ctx, conn, why);
    }

    /// Both sides have said hello.
    pub(crate) fn open(&mut self, ctx: &mut Ctx, conn: ConnId, hello: Hello, guest: bool) {
        let reply = self.hello(ctx);
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        connection.phase = Phase::Open;
        connection.since = ctx.now;
        connection.identity = Some(Identity { peer: hello.peer, user: hello.user, port: hello.port, guest });
        if !connection.transport.dialled {
            connection.outbox.push(reply);
            let ip = connection.transport.addr.ip();
            ctx.conns.half_open_remove(&ip);
        }
    }

    /// An open connection is that to a peer.
    pub(crate) fn connect(&mut self, ctx: &mut Ctx, conn: ConnId, peer: &PeerId) {
        self.links.opened(*peer, conn);
        self.directory.connected(peer, true);
        self.review_connection(ctx, conn);
        self.wake(ctx, conn);
        self.effects.push(Effect::Connected { conn, peer: *peer });
    }

    /// Who answers at an endpoint is the one that is there: others that were heard from it are gone, or never were. One of them
    /// may be connected from elsewhere, and is the peer then.
    pub(crate) fn forget_impostors(&mut self, ctx: &mut Ctx, endpoint: &SocketAddr, there: &PeerId) {
        for id in self.directory.impostors(endpoint, there) {
            if let Some(peer) = self.directory.peer_ref(&id) {
                self.directory.remove(&id);
                ctx.outputs.event(Event::PeerLost(peer));
                self.believe_guest(ctx, &id);
            }
        }
    }

    /// The other side will send nothing more. A native peer that has said its last word wants nothing either.
    pub(crate) fn on_end_of_stream(&mut self, ctx: &mut Ctx, conn: ConnId) {
        self.close(ctx, conn, None);
    }

    /// Closes a connection; `why` is told to the other side.
    pub(crate) fn close(&mut self, ctx: &mut Ctx, conn: ConnId, why: Option<&str>) {
        let Some(connection) = ctx.conns.native(conn) else { return };
        if connection.phase == Phase::Closing {
            return;
        }
        self.detach(ctx, conn);
        let grace = ctx.config.limits.leave_grace;
        if let Some(connection) = ctx.conns.native_mut(conn) {
            connection.begin_closing(why.map(|reason| Frame::Bye { reason: reason.to_owned() }));
            ctx.timers.set(Timer::Connection(conn), ctx.now + grace);
            // It may be waiting for room to send what will not be sent any more, and room may never come.
            ctx.rouse(conn);
        }
    }

    /// Closes a connection whose other side broke the rules, and bans the peer if it is known.
    pub(crate) fn close_for_fault(&mut self, ctx: &mut Ctx, conn: ConnId, fault: &'static str) {
        ctx.counters.add("connections closed for a fault");
        let Some(connection) = ctx.conns.native(conn) else { return };
        if connection.identity.is_some() {
            self.ban(ctx, conn, fault);
        } else {
            self.close(ctx, conn, None);
        }
    }

    /// Nothing is asked of this peer any more for a while, and its connection is closed.
    pub(crate) fn ban(&mut self, ctx: &mut Ctx, conn: ConnId, why: &'static str) {
        let Some(connection) = ctx.conns.native(conn) else { return };
        let peer = connection.peer_ref();
        let contents: Vec<ContentId> = connection.channels.iter().map(|channel| channel.content).collect();
        ctx.dialer.ban(ctx.now, peer.addr, ctx.now + ctx.config.limits.ban_duration);
        self.effects.push(Effect::Banned { peer: peer.clone(), contents });
        ctx.outputs.event(Event::PeerBanned { peer, why });
        self.close(ctx, conn, Some(why));
    }

    /// Tells the driver to visit a connection that has something to send again.
    pub(crate) fn wake(&mut self, ctx: &mut Ctx, conn: ConnId) {
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        if connection.transport.asleep && connection.phase != Phase::Dialling {
            connection.transport.asleep = false;
            connection.moved = ctx.now;
            ctx.outputs.push(Output::Wake(conn));
        }
    }

    /// A connection's deadline came: is it still alive?
    pub(crate) fn review_connection(&mut self, ctx: &mut Ctx, conn: ConnId) {
        let limits = &ctx.config.limits;
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        let next = match connection.phase {
            Phase::Dialling => {
                if ctx.now.since(connection.since) >= limits.dial_deadline {
                    return self.close(ctx, conn, None);
                }
                connection.since + limits.dial_deadline
            }
            Phase::Greeting => {
                if ctx.now.since(connection.since) >= limits.handshake_deadline {
                    ctx.counters.add("connections without a hello");
                    return self.close(ctx, conn, None);
                }
                connection.since + limits.handshake_deadline
            }
            Phase::Closing => {
                // Its last word found no way out in time; it goes without.
                connection.begin_closing(None);
                connection.outbox.clear();
                return ctx.rouse(conn);
            }
            Phase::Open => {
                let sending = connection.is_sending();
                if ctx.now.since(connection.heard) >= limits.silence_max {
                    return self.close(ctx, conn, Some("silent for too long"));
                }
                if sending && ctx.now.since(connection.moved) >= limits.send_stall_max {
                    return self.close(ctx, conn, Some("takes no bytes"));
                }
                // A trickle holds an upload that another could have.
                let turn_began = ctx.uploads.turn_began(conn);
                let took = turn_began.map(|began| connection.payload.unwrap_or(began).max(began));
                if took.is_some_and(|took| ctx.now.since(took) >= limits.send_stall_max) {
                    return self.close(ctx, conn, Some("takes next to nothing"));
                }
                if !connection.pinged && ctx.now.since(connection.heard) >= limits.keepalive_interval {
                    connection.pinged = true;
                    connection.outbox.push(Frame::Ping);
                    self.wake(ctx, conn);
                }
                self.next_review(ctx, conn)
            }
        };
        ctx.timers.set(Timer::Connection(conn), next.max(ctx.now + Duration::from_millis(1)));
    }

    /// When an open connection's silence or stall would next matter.
    pub(crate) fn next_review(&mut self, ctx: &mut Ctx, conn: ConnId) -> Time {
        let limits = &ctx.config.limits;
        let Some(connection) = ctx.conns.native(conn) else { return Time::ZERO };
        if let Some(peer) = connection.known_peer() {
            self.directory.touch(connection.heard, &peer);
        }
        let silence = if connection.pinged { limits.silence_max } else { limits.keepalive_interval };
        let heard = connection.heard + silence;
        if connection.is_sending() { heard.min(connection.moved + limits.send_stall_max) } else { heard }
    }

    /// Closes one of two connections to a peer, which is no failure of the endpoint that was dialled.
    fn close_second(&mut self, ctx: &mut Ctx, conn: ConnId) {
        if let Some(connection) = ctx.conns.native(conn).filter(|connection| connection.transport.dialled) {
            self.links.undialled(&connection.transport.addr, conn);
        }
        self.turn_away(ctx, conn, Some(SECOND));
    }

    /// Of two connections to one peer, the one dialled by the lower id stays; of two dialled by the same, the older. Who
    /// comes in from elsewhere with the id of a peer that is connected replaces nobody.
    fn is_surplus(&self, ctx: &Ctx, older: ConnId, newer: ConnId, peer: &PeerId) -> bool {
        let dialled = |conn| ctx.conns.native(conn).is_some_and(|connection| connection.transport.dialled);
        let host = |conn| ctx.conns.native(conn).map(|connection| connection.transport.addr.ip());
        if !dialled(newer) && host(newer) != host(older) {
            return true;
        }
        let dialler = |conn| if dialled(conn) { &ctx.id } else { peer };
        dialler(older) <= dialler(newer)
    }

    /// Takes a connection out of everything it takes part in.
    pub(crate) fn detach(&mut self, ctx: &mut Ctx, conn: ConnId) {
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        if connection.phase == Phase::Closing {
            return;
        }
        let was = std::mem::replace(&mut connection.phase, Phase::Closing);
        let (addr, dialled) = (connection.transport.addr, connection.transport.dialled);
        let identity = connection.identity.clone();
        let contents: Vec<ContentId> = connection.channels.iter().map(|channel| channel.content).collect();
        let buffer = connection.incoming.take().and_then(|incoming| incoming.buffer);
        if !dialled && was == Phase::Greeting {
            ctx.conns.half_open_remove(&addr.ip());
        }
        if let Some(identity) = identity.as_ref().filter(|identity| identity.guest) {
            self.links.guest_left(identity.peer, conn);
        } else if let Some(identity) = identity {
            self.links.closed(&identity.peer, conn);
            self.directory.connected(&identity.peer, false);
            self.directory.touch(ctx.now, &identity.peer);
            self.await_expiry(ctx, &identity.peer);
        }
        if dialled && self.links.undialled(&addr, conn) {
            self.note_dial_over(ctx, conn, was);
        }
        ctx.uploads.remove(conn);
        for content in &contents {
            self.links.unnamed(content, conn);
        }
        self.effects.push(Effect::Disconnected { conn, dialled, buffer, contents });
    }

    pub(crate) fn hello(&self, ctx: &Ctx) -> Frame {
        Frame::Hello(Hello {
            v: PROTOCOL_VERSION,
            peer: ctx.id,
            user: ctx.config.user.clone(),
            port: ctx.config.tcp_port,
            agent: ctx.config.agent.clone(),
        })
    }

    /// Panics when the indexes over connections are not what the connections say.
    pub(crate) fn check_links(&self, conns: &Connections) {
        for (peer, conn) in self.links.all_open() {
            let identity = conns.native(conn).and_then(|connection| connection.identity.as_ref());
            assert_eq!(identity.map(|identity| identity.peer), Some(*peer), "{conn} leads to its peer");
        }
        for (peer, conn) in self.links.guests() {
            let identity = conns.native(conn).and_then(|connection| connection.identity.as_ref());
            assert!(
                identity.is_some_and(|identity| identity.guest && identity.peer == *peer),
                "{conn}: {peer}"
            );
        }
        let open = |connection: &Session| connection.phase == Phase::Open;
        let count = conns.natives().filter(|(_, connection)| open(connection)).count();
        assert_eq!(count, self.links.open(), "one open connection a peer");
        for (conn, connection) in conns.natives().filter(|(_, connection)| open(connection)) {
            for channel in connection.channels.iter() {
                let is_present = connection.channels.of(&channel.content).is_some();
                assert!(
                    !is_present || self.links.on(&channel.content).any(|named| named == conn),
                    "{conn} is indexed"
                );
            }
        }
    }

    /// Queues a frame and sees to it that it is sent; who asks faster than it reads is closed.
    pub(crate) fn say(&mut self, ctx: &mut Ctx, conn: ConnId, frame: Frame) {
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        if connection.phase != Phase::Open {
            return;
        }
        if connection.outbox.queued() >= crate::core::native::session::QUEUED_FRAMES_MAX {
            return self.close_for_fault(ctx, conn, "asks faster than it reads");
        }
        connection.outbox.push(frame);
        self.wake(ctx, conn);
    }

    /// Whether somebody named this peer by its address.
    pub(crate) fn is_fixed(&self, ctx: &Ctx, peer: &PeerId) -> bool {
        let listens = self.directory.get(peer).map(|known| known.addr);
        let conn = self.links.to_peer(peer).and_then(|conn| ctx.conns.native(conn));
        let dialled = conn.map(|connection| connection.transport.addr);
        ctx.config.fixed_peers.iter().any(|named| Some(*named) == listens || Some(*named) == dialled)
    }
}
