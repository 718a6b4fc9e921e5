//! Readers by HTTP: a connection's life, what a request means, and turns among all who are served.

mod answer;
mod send;

use std::net::SocketAddr;
use std::time::Duration;

use crate::core::connection::{Protocol, Transport};
use crate::core::door::{ConnId, Output};
use crate::core::http::{Reader, Stage};
use crate::core::peer::Peer;
use crate::core::timers::Timer;
use crate::types::time::Time;
use crate::wire::http::{RequestError, Stays, refusal};

impl Peer {
    /// Whether a connection from there may be a reader's.
    pub(in crate::core) fn may_become_http(&self, from: SocketAddr) -> bool {
        // Where an owner deals chunks, nobody is to have the whole file from it at once.
        let serves = self.config.http.is_some() && self.config.topology.is_mesh() && self.leaving.is_none();
        serves && self.may_read(from)
    }

    /// A connection is a reader's from now on.
    pub(in crate::core) fn become_http(
        &mut self,
        now: Time,
        conn: ConnId,
        transport: Transport,
        since: Time,
    ) {
        let ip = transport.addr.ip();
        self.links.half_open_remove(&ip);
        let reader = Reader::new(transport, since, now);
        self.connections.become_protocol(conn, Protocol::Http(Box::new(reader)));
        self.readers.open.insert((ip, conn));
        self.output(Output::Wake(conn));
    }

    fn may_read(&self, from: SocketAddr) -> bool {
        let (ip, limits) = (from.ip(), &self.config.limits);
        let of_this_host = ip.is_loopback() || self.config.own_addresses.contains(&ip);
        let room = of_this_host || self.readers.of(ip) < limits.http_readers_per_address_max;
        room && self.readers.open.len() < limits.http_readers_max
    }

    pub(in crate::core) fn on_http_bytes(&mut self, now: Time, conn: ConnId, bytes: &[u8]) -> usize {
        let Some(reader) = self.connections.http_mut(conn) else { return 0 };
        match reader.push(now, bytes) {
            Ok((used, request)) => {
                if let Some(request) = request {
                    self.on_http_request(now, conn, request);
                }
                self.review_http(now, conn);
                used
            }
            Err(RequestError::Foreign) => {
                self.counters.add("connections closed for a fault");
                self.end_reader(now, conn, "speaks no dialect of ours");
                bytes.len()
            }
            Err(RequestError::Refused(status)) => {
                self.counters.add("HTTP requests refused");
                self.say_http(now, conn, refusal(status, false, Stays::Closes), Stays::Closes);
                bytes.len()
            }
        }
    }

    /// The other side will send nothing more. What it asked for before, it still gets.
    pub(in crate::core) fn on_http_end(&mut self, now: Time, conn: ConnId) {
        if self.connections.http(conn).is_some_and(|reader| !reader.is_busy()) {
            self.end_reader(now, conn, "the connection ended");
        }
    }

    /// The driver has closed the connection.
    pub(in crate::core) fn on_http_gone(&mut self, now: Time, conn: ConnId) {
        self.end_reader(now, conn, "the connection broke");
        self.timers.clear(Timer::Connection(conn));
        self.connections.remove(conn);
        self.review_leaving(now, false);
    }

    /// A reader is not served any more; the driver closes the connection.
    pub(in crate::core) fn end_reader(&mut self, now: Time, conn: ConnId, why: &'static str) {
        let Some(reader) = self.connections.http_mut(conn) else { return };
        let (addr, gone) = (reader.transport.addr, reader.transport.gone);
        let was = std::mem::replace(&mut reader.stage, Stage::Closing);
        if let Stage::Answering(answer) = was
            && let Some(body) = answer.body
        {
            self.uploader.remove(conn);
            self.grant_uploads(now);
            self.tell_unsent_http(&body, addr, why);
        }
        if self.readers.open.remove(&(addr.ip(), conn)) {
            // What it had of turns before is forgotten with it.
            self.uploader.remove(conn);
            self.timers.clear(Timer::Connection(conn));
            if !gone {
                self.wake_http(now, conn);
            }
        }
    }

    /// Tells the driver to visit a reader that has something to send or to read again.
    pub(in crate::core) fn wake_http(&mut self, now: Time, conn: ConnId) {
        if let Some(reader) = self.connections.http_mut(conn) {
            reader.transport.asleep = false;
            reader.moved = now;
            self.output(Output::Wake(conn));
        }
    }

    /// A reader's deadline may have come: it neither asked nor took anything for too long.
    pub(in crate::core) fn review_http(&mut self, now: Time, conn: ConnId) {
        let Some(reader) = self.connections.http(conn) else { return };
        let Some(deadline) = reader.deadline(now, &self.config.limits) else { return };
        if deadline <= now {
            let why = if reader.is_busy() { "takes no bytes" } else { "asks for nothing" };
            return self.end_reader(now, conn, why);
        }
        self.timers.set(Timer::Connection(conn), deadline.max(now + Duration::from_millis(1)));
    }

    /// Whether an answer is on its way that a peer that leaves waits for.
    pub(in crate::core) fn is_http_busy(&self) -> bool {
        let busy = |conn: &ConnId| self.connections.http(*conn).is_some_and(Reader::is_busy);
        self.readers.open.iter().any(|(_, conn)| busy(conn))
    }

    /// Closes the readers that are not being answered, or all.
    pub(in crate::core) fn close_readers(&mut self, now: Time, all: bool) {
        let open: Vec<ConnId> = self.readers.open.iter().map(|(_, conn)| *conn).collect();
        for conn in open {
            if all || !self.connections.http(conn).is_some_and(Reader::is_busy) {
                self.end_reader(now, conn, "this peer leaves");
            }
        }
    }

    /// Panics when readers, their indexes and their turns do not hang together.
    pub(in crate::core) fn check_http(&self) {
        let open = self.connections.readers().filter(|(_, reader)| !matches!(reader.stage, Stage::Closing));
        let open = open.map(|(conn, reader)| (reader.transport.addr.ip(), conn)).collect();
        assert_eq!(self.readers.open, open, "readers that are served");
        for (conn, reader) in self.connections.readers() {
            assert_eq!(self.uploader.queued(conn), usize::from(reader.waits()), "{conn} waits for its turn");
        }
    }
}
