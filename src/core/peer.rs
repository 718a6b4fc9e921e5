//! The peer: what all engines share, the connections, and the engines. Each call of the door is led to the engine that speaks on the
//! connection in question, and nothing more.
//!
//! The calls come in no order but this: of a connection, [`Peer::accepted`] or an [`Output::Dial`] comes first, and
//! [`Input::Broken`] or [`Input::Closed`] last. After each call that changes something, [`Peer::poll`] is called until it is empty.

use std::net::{IpAddr, SocketAddr};

use crate::core::catalogue::Catalogue;
use crate::core::classic;
use crate::core::config::Config;
use crate::core::connection::{Kind, Protocol, Sniffed, Sniffing};
use crate::core::connections::Connections;
use crate::core::context::{After, Context, Outputs};
use crate::core::counters::Counters;
use crate::core::dialer::Dialer;
use crate::core::door::{
    Command, ConnId, Event, Expect, ForeignFailure, ForeignReply, Input, Output, Segment, StoreReply,
};
use crate::core::http::{self, Reader};
use crate::core::leaving::Leaving;
use crate::core::looks::{Looks, Sought};
use crate::core::native::discovery::searches::Purpose;
use crate::core::native::{self, Session};
use crate::core::rates::Rates;
use crate::core::rng::Rng;
use crate::core::room;
use crate::core::sniffing;
use crate::core::spools::Spools;
use crate::core::status::{DownloadStatus, NeighboursStatus, Status};
use crate::core::timers::{Timer, Timers};
use crate::core::transfer::{self, Order, Transfer};
use crate::core::uploader::Uploader;
use crate::types::bitfield::Bitfield;
use crate::types::geometry::Geometry;
use crate::types::id::{ContentId, PeerId};
use crate::types::time::Time;
use crate::wire::push::Outgoing;

/// Who speaks the protocols that have an engine of their own.
#[derive(Debug)]
struct Engines {
    classic: classic::Engine,
    http: http::Engine,
    native: native::Engine,
    transfer: transfer::Engine,
}

/// A chunkcast peer without sockets, files, clock or threads.
#[derive(Debug)]
pub struct Peer {
    id: PeerId,
    config: Config,
    rng: Rng,
    outputs: Outputs,
    timers: Timers,
    counters: Counters,
    connections: Connections,
    catalogue: Catalogue,
    uploader: Uploader,
    dialer: Dialer,
    rates: Rates,
    /// Names that are looked through for others, and how many may be.
    looks: Looks<Sought>,
    spools: Spools,
    engines: Engines,
    leaving: Option<Leaving>,
}

impl Peer {
    /// A peer that begins at `now`; all its randomness comes from `seed`.
    pub fn new(config: Config, seed: u64, now: Time) -> Peer {
        let (mut rng, mut timers) = (Rng::new(seed), Timers::default());
        let limits = &config.limits;
        let native = native::Engine::new(&config, now, &mut rng, &mut timers);
        let classic = classic::Engine::new(&config, now, &mut rng, &mut timers);
        let (http, transfer) = (http::Engine::default(), transfer::Engine::default());
        Peer {
            id: PeerId(rng.bytes16()),
            outputs: Outputs::default(),
            timers,
            counters: Counters::default(),
            connections: Connections::default(),
            catalogue: Catalogue::default(),
            uploader: Uploader::new(limits),
            dialer: Dialer::new(limits.redial_wait_min, limits.redial_wait_max, config.own_addresses.clone()),
            rates: Rates::new(limits),
            looks: Looks::new(limits, now),
            spools: Spools::default(),
            engines: Engines { classic, http, native, transfer },
            leaving: None,
            rng,
            config,
        }
    }

    /// Who this peer is.
    pub fn id(&self) -> PeerId {
        self.id
    }

    /// Takes in one thing that happened. Drain [`Peer::poll`] afterwards.
    pub fn handle(&mut self, now: Time, input: Input<'_>) {
        match input {
            Input::Datagram { iface, from, bytes } => {
                self.native(now, |native, ctx| native.on_datagram(ctx, iface, from, bytes));
            }
            Input::ClassicDatagram { from, bytes, .. } => {
                self.classic(now, |classic, ctx| classic.heard(ctx, from, bytes));
            }
            Input::Connected { conn } => match self.connections.kind(conn) {
                Some(Kind::Native) => self.native(now, |native, ctx| native.on_connected(ctx, conn)),
                Some(Kind::Classic) => self.classic(now, |classic, ctx| classic.connected(ctx, conn)),
                Some(Kind::Transfer) => self.transfer(now, conn, transfer::Engine::connected),
                // These came in, or are gone.
                Some(Kind::Sniffing | Kind::Http) | None => {}
            },
            Input::EndOfStream { conn } => match self.connections.kind(conn) {
                Some(Kind::Sniffing) => self.native(now, |_, ctx| sniffing::end(ctx, conn)),
                Some(Kind::Native) => self.native(now, |native, ctx| native.on_end_of_stream(ctx, conn)),
                Some(Kind::Http) => self.http(now, conn, http::Engine::ended),
                Some(Kind::Classic) => self.classic(now, |classic, ctx| classic.ended(ctx, conn)),
                Some(Kind::Transfer) => self.transfer(now, conn, transfer::Engine::ended),
                None => {}
            },
            Input::Broken { conn, why } => match self.note_gone(conn) {
                Some(Kind::Sniffing) => {
                    self.counters.add(why.counter());
                    self.end_gone_sniffing(now, conn);
                }
                Some(Kind::Native) => {
                    self.counters.add(why.counter());
                    self.native(now, |native, ctx| native.on_gone(ctx, conn));
                }
                Some(Kind::Http) => self.http(now, conn, http::Engine::gone),
                Some(Kind::Classic) => self.classic(now, |classic, ctx| classic.broken(ctx, conn, why)),
                Some(Kind::Transfer) => {
                    self.transfer(now, conn, |engine, ctx, conn, it| engine.broken(ctx, conn, it, why))
                }
                None => {}
            },
            Input::Closed { conn } => match self.note_gone(conn) {
                Some(Kind::Sniffing) => self.end_gone_sniffing(now, conn),
                Some(Kind::Native) => self.native(now, |native, ctx| native.on_gone(ctx, conn)),
                Some(Kind::Http) => self.http(now, conn, http::Engine::gone),
                Some(Kind::Classic) => self.classic(now, |classic, ctx| classic.closed(ctx, conn)),
                Some(Kind::Transfer) => self.transfer(now, conn, transfer::Engine::closed),
                None => {}
            },
            Input::SpanFailed { conn, source, why } => match self.connections.kind(conn) {
                Some(Kind::Native) => {
                    self.native(now, |native, ctx| native.on_span_failed(ctx, conn, source, why));
                }
                Some(Kind::Http | Kind::Classic) => self.end_serving(now, conn, why.reason().text()),
                Some(Kind::Transfer) => self.fail_transfer(now, conn, ForeignFailure::File(why)),
                Some(Kind::Sniffing) | None => {}
            },
            Input::Stored(StoreReply::Foreign(reply)) => self.on_transfer_stored(now, reply),
            Input::Stored(StoreReply::Classic(reply)) => {
                self.classic(now, |classic, ctx| classic.replied(ctx, reply));
            }
            Input::Stored(reply) => self.on_stored(now, reply),
            Input::Command(command) => self.on_command(now, command),
            Input::Tick => {}
        }
        self.run_timers(now);
    }

    /// The driver has closed a connection. What is spoken on it, if it is still known.
    fn note_gone(&mut self, conn: ConnId) -> Option<Kind> {
        let connection = self.connections.get_mut(conn)?;
        connection.transport_mut().gone = true;
        Some(connection.kind())
    }

    /// A connection came in on `local_port`; `None`: refuse it (close it at once). Drain [`Peer::poll`] afterwards.
    pub fn accepted(&mut self, now: Time, from: SocketAddr, local_port: u16) -> Option<ConnId> {
        let (foreign, classic) = (self.config.foreign.as_ref(), self.config.classic.as_ref());
        let form = foreign.and_then(|foreign| foreign.doors.get(&local_port).copied());
        let dialect = classic.and_then(|classic| classic.doors.get(&local_port).copied());
        let conn = match (form, dialect) {
            (Some(is_named), _) => self.accept_transfer(now, from, is_named),
            (None, Some(tcp_port)) => self.accept_classic(now, from, tcp_port),
            (None, None) => self.accept_sniffing(now, from),
        };
        self.run_timers(now);
        conn
    }

    /// This host's addresses changed, or may have.
    pub fn set_own_addresses(&mut self, addresses: Vec<IpAddr>) {
        self.config.own_addresses = addresses;
    }

    /// What the next bytes of a connection are. Asked before each read.
    pub fn expects(&self, conn: ConnId) -> Expect {
        self.connections.get(conn).map_or(Expect::Nothing, Protocol::expects)
    }

    /// Hands over control bytes; returns how many the core took. What is left over is payload (ask
    /// [`Peer::expects`]), or must not be read any more; or, where control bytes are still expected, it waits until other
    /// connections had their turn, because [`Limits::frames_at_once_max`] frames were handled. Drain [`Peer::poll`] afterwards.
    pub fn received(&mut self, now: Time, conn: ConnId, bytes: &[u8]) -> usize {
        match self.connections.kind(conn) {
            Some(Kind::Sniffing) => self.sniff(now, conn, bytes),
            Some(Kind::Native) => self.native(now, |native, ctx| native.on_bytes(ctx, conn, bytes)),
            Some(Kind::Http) => {
                self.http(now, conn, |http, ctx, conn, it| http.received(ctx, conn, it, bytes))
            }
            Some(Kind::Classic) => self.classic(now, |classic, ctx| classic.received(ctx, conn, bytes)),
            Some(Kind::Transfer) => {
                self.transfer(now, conn, |engine, ctx, conn, it| engine.received(ctx, conn, it, bytes))
            }
            None => 0,
        }
    }

    /// So many payload bytes went into the sink. Drain [`Peer::poll`] afterwards.
    pub fn stored(&mut self, now: Time, conn: ConnId, bytes: u64) {
        match self.connections.kind(conn) {
            Some(Kind::Native) => self.native(now, |native, ctx| native.on_payload(ctx, conn, bytes)),
            Some(Kind::Classic) => self.classic(now, |classic, ctx| classic.stored(ctx, conn, bytes)),
            Some(Kind::Transfer) => {
                self.transfer(now, conn, |engine, ctx, conn, it| engine.payload(ctx, conn, it, bytes))
            }
            // Neither expects payload.
            Some(Kind::Sniffing | Kind::Http) | None => {}
        }
    }

    /// What a connection wants to send next: a look. Frames are made when they are pulled, so this may encode some
    /// into the connection's outbox; asking again gives the same answer until `sent` or another mutation.
    pub fn next_segment(&mut self, now: Time, conn: ConnId) -> Segment<'_> {
        match self.connections.kind(conn) {
            Some(Kind::Native) => self.native(now, |native, ctx| native.refill(ctx, conn)),
            Some(Kind::Http) => self.http(now, conn, http::Engine::refill),
            Some(Kind::Classic) => self.classic(now, |classic, ctx| classic.refill(ctx, conn)),
            Some(Kind::Sniffing | Kind::Transfer) | None => {}
        }
        let Some(connection) = self.connections.get_mut(conn) else { return Segment::Nothing };
        let asleep = matches!(connection.segment(conn), Segment::Nothing);
        connection.transport_mut().asleep = asleep;
        connection.segment(conn)
    }

    /// What this host's link carries, in bytes a second, as far as uploads have shown.
    pub fn carries(&self) -> Option<u64> {
        self.uploader.carries()
    }

    /// So many bytes of the segment are in the kernel (1 for [`Segment::HalfClose`] once it is done). Drain
    /// [`Peer::poll`] afterwards.
    pub fn sent(&mut self, now: Time, conn: ConnId, bytes: u64) {
        match self.connections.kind(conn) {
            Some(Kind::Native) => self.native(now, |native, ctx| native.on_sent(ctx, conn, bytes)),
            Some(Kind::Http) => self.http(now, conn, |http, ctx, conn, it| http.sent(ctx, conn, it, bytes)),
            Some(Kind::Classic) => self.classic(now, |classic, ctx| classic.sent(ctx, conn, bytes)),
            Some(Kind::Transfer) => {
                self.transfer(now, conn, |engine, ctx, conn, it| engine.sent(ctx, conn, it, bytes))
            }
            Some(Kind::Sniffing) | None => {}
        }
    }

    /// The next instruction; call until `None` after every mutation.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop()
    }

    /// The earliest moment at which something must happen without input, and what.
    pub fn deadline(&self) -> Option<(Time, &'static str)> {
        self.timers.first().map(|(at, timer)| (at, timer.name()))
    }

    /// How far the downloads are that are not over and whose turn has come, in the order they were begun.
    pub fn downloads(&self) -> Vec<DownloadStatus> {
        self.engines.native.download_statuses(&self.connections, &self.catalogue, false)
    }

    /// How an arrangement of neighbours stands; `None` in a mesh.
    pub fn neighbours(&self) -> Option<NeighboursStatus> {
        self.engines.native.neighbours_status(
            &self.config,
            &self.connections,
            &self.catalogue,
            &self.uploader,
        )
    }

    /// Bytes that pushes in the dialects of the field have taken in, or are let take in.
    pub fn foreign_bytes(&self) -> u64 {
        self.engines.transfer.charged_bytes()
    }

    /// The cut of a content that is here, wholly or in part, and which of its chunks are.
    pub fn held(&self, content: &ContentId) -> Option<(Geometry, Bitfield)> {
        let holding = self.catalogue.get(content)?;
        let all = || Bitfield::full(holding.geometry.chunks());
        Some((holding.geometry, holding.bits().cloned().unwrap_or_else(all)))
    }

    /// How many peers a connection stands to.
    pub fn connected(&self) -> usize {
        self.engines.native.connected()
    }

    /// A snapshot for people.
    pub fn status(&self, now: Time) -> Status {
        let native = &self.engines.native;
        Status {
            classic: self.engines.classic.contents(),
            downloads: native.download_statuses(&self.connections, &self.catalogue, true),
            uploads: self.uploader.len(),
            counters: self.counters.all(),
            ..native.status(now)
        }
    }

    /// Panics when something is not as it must be. For tests and simulation.
    pub fn check_invariants(&self) {
        self.uploader.check();
        self.catalogue.check();
        self.engines.native.check(&self.config, &self.connections);
        self.engines.classic.check(&self.spools, &self.uploader, self.connections.classics());
        self.engines.http.check(&self.uploader, self.connections.readers());
        self.engines.transfer.check(&self.spools, self.connections.transfers());
    }

    /// What the engines share, the engines, and the connections: what `split` makes of them for the context, and for beside it.
    fn lend<'p, C, R>(
        &'p mut self,
        now: Time,
        split: impl FnOnce(&'p mut Connections) -> (C, R),
    ) -> (Context<'p, C>, &'p mut Engines, R) {
        let (conns, rest) = split(&mut self.connections);
        let ctx = Context {
            now,
            id: self.id,
            config: &self.config,
            is_leaving: self.leaving.is_some(),
            timers: &mut self.timers,
            outputs: &mut self.outputs,
            counters: &mut self.counters,
            catalogue: &mut self.catalogue,
            uploads: &mut self.uploader,
            looks: &mut self.looks,
            rng: &mut self.rng,
            rates: &mut self.rates,
            dialer: &mut self.dialer,
            spools: &mut self.spools,
            conns,
            after: After::default(),
        };
        (ctx, &mut self.engines, rest)
    }

    /// Has engines do something with what they share and the connections, and sees to what is left to be done.
    fn with_engines<T>(
        &mut self,
        now: Time,
        act: impl FnOnce(&mut Context<'_>, &mut Engines, &mut Connections) -> T,
    ) -> T {
        let (mut ctx, engines, connections) = self.lend(now, |connections| ((), connections));
        let value = act(&mut ctx, engines, connections);
        let after = ctx.after;
        self.after(now, after);
        value
    }

    /// Sees to what an engine left to be done.
    fn after(&mut self, now: Time, after: After) {
        for (content, name, bytes) in after.whole {
            self.classic(now, |classic, ctx| classic.offer(ctx, content, &name, bytes));
        }
        after.unserved.into_iter().for_each(|(conn, why)| self.end_serving(now, conn, why));
        after.give_way.into_iter().for_each(|conn| self.give_way(now, conn));
        if after.grant_uploads {
            self.native(now, native::Engine::grant_uploads);
        }
        if let Some(conn) = after.forget {
            self.connections.remove(conn);
        }
        if after.review_leaving {
            self.review_leaving(now, false);
        }
    }

    /// Has the native engine do something.
    fn native<T>(
        &mut self,
        now: Time,
        act: impl FnOnce(&mut native::Engine, &mut native::Ctx<'_>) -> T,
    ) -> T {
        let (mut ctx, engines, ()) = self.lend(now, |connections| (connections, ()));
        let value = act(&mut engines.native, &mut ctx);
        engines.native.drain(&mut ctx);
        let after = ctx.after;
        self.after(now, after);
        value
    }

    /// Whether there is a place for one more connection with this address.
    fn make_room(&mut self, now: Time, ip: IpAddr) -> bool {
        self.native(now, |_, ctx| room::make(ctx, ip))
    }

    /// A connection is closed to make room for another.
    fn give_way(&mut self, now: Time, conn: ConnId) {
        match self.connections.kind(conn) {
            Some(Kind::Sniffing) => self.native(now, |_, ctx| sniffing::end(ctx, conn)),
            Some(Kind::Native) => self.native(now, |native, ctx| {
                native.close(ctx, conn, Some("idle, and others wait for a connection"));
            }),
            Some(Kind::Http) => self.http(now, conn, |http, ctx, conn, reader| {
                http.close(ctx, conn, reader, "others waited for its place");
            }),
            Some(Kind::Classic) => self.classic(now, |classic, ctx| classic.close(ctx, conn)),
            Some(Kind::Transfer) => self.fail_transfer(now, conn, ForeignFailure::Cancelled),
            None => {}
        }
    }

    fn accept_sniffing(&mut self, now: Time, from: SocketAddr) -> Option<ConnId> {
        if !self.native(now, |_, ctx| sniffing::admits(ctx, from)) {
            self.counters.add("connections refused: half-open of one address");
            return None;
        }
        if !self.make_room(now, from.ip()) {
            self.counters.add("connections refused: table full");
            return None;
        }
        Some(self.native(now, |_, ctx| sniffing::accept(ctx, from)))
    }

    /// The first bytes of a connection that came in say what is spoken on it. Returns how many were taken.
    fn sniff(&mut self, now: Time, conn: ConnId, bytes: &[u8]) -> usize {
        let Some(first) = bytes.first() else { return 0 };
        let Some(sniffing @ Sniffing { closing: false, .. }) = self.connections.sniffing(conn).copied()
        else {
            return 0;
        };
        let Sniffing { transport, since, .. } = sniffing;
        let is_another = match Sniffed::of(*first) {
            Sniffed::Classic => self.classic(now, |classic, ctx| classic.take_over(ctx, conn, transport)),
            Sniffed::Http => self.become_http(now, conn, &sniffing),
            Sniffed::Native => false,
        };
        if is_another {
            self.connections.half_open_remove(&transport.addr.ip());
        } else {
            // What is nothing that is known here, the native codec says so.
            let session = Session::new(transport, &self.config.limits, since);
            self.connections.become_protocol(conn, Protocol::Native(Box::new(session)));
        }
        self.received(now, conn, bytes)
    }

    /// A connection that said nothing is gone.
    fn end_gone_sniffing(&mut self, now: Time, conn: ConnId) {
        self.native(now, |native, ctx| {
            sniffing::end(ctx, conn);
            ctx.conns.remove(conn);
            native.seek_neighbours(ctx);
            ctx.after.review_leaving = true;
        });
    }

    /// A file that is being sent by HTTP or in a classic dialect is not what it was.
    fn end_serving(&mut self, now: Time, conn: ConnId, why: &'static str) {
        match self.connections.kind(conn) {
            Some(Kind::Http) => self.http(now, conn, |http, ctx, conn, it| http.lose(ctx, conn, it, why)),
            Some(Kind::Classic) => self.classic(now, |classic, ctx| classic.end_serving(ctx, conn, why)),
            _ => {}
        }
    }

    /// Has the HTTP engine do something with a reader, if there is one.
    fn http<T: Default>(
        &mut self,
        now: Time,
        conn: ConnId,
        act: impl FnOnce(&mut http::Engine, &mut Context<'_>, ConnId, &mut Reader) -> T,
    ) -> T {
        self.with_engines(now, |ctx, engines, connections| match connections.http_mut(conn) {
            Some(reader) => act(&mut engines.http, ctx, conn, reader),
            None => T::default(),
        })
    }

    /// A connection that has said nothing yet is a reader's from now on, if it may be one.
    fn become_http(&mut self, now: Time, conn: ConnId, sniffing: &Sniffing) -> bool {
        self.with_engines(now, |ctx, engines, connections| {
            let may = engines.http.admits(ctx, sniffing.transport.addr);
            if may {
                let reader = engines.http.accept(ctx, conn, sniffing.transport, sniffing.since);
                connections.become_protocol(conn, Protocol::Http(Box::new(reader)));
            }
            may
        })
    }

    /// Closes the readers that are not being answered, or all.
    fn close_readers(&mut self, now: Time, all: bool) {
        for conn in self.engines.http.open() {
            self.http(now, conn, |http, ctx, conn, reader| {
                if all || !reader.is_busy() {
                    http.close(ctx, conn, reader, "this peer leaves");
                }
            });
        }
    }

    /// Has the transfer engine do something with a transfer, if there is one.
    fn transfer<T: Default>(
        &mut self,
        now: Time,
        conn: ConnId,
        act: impl FnOnce(&mut transfer::Engine, &mut Context<'_>, ConnId, &mut Transfer) -> T,
    ) -> T {
        self.with_engines(now, |ctx, engines, connections| match connections.transfer_mut(conn) {
            Some(transfer) => act(&mut engines.transfer, ctx, conn, transfer),
            None => T::default(),
        })
    }

    fn accept_transfer(&mut self, now: Time, from: SocketAddr, is_named: bool) -> Option<ConnId> {
        let may = self.with_engines(now, |ctx, engines, connections| {
            engines.transfer.admits(ctx, from, connections.transfers())
        });
        if !may || !self.make_room(now, from.ip()) {
            self.counters.add("pushes refused");
            return None;
        }
        let transfer = self.engines.transfer.accept(now, from, is_named);
        Some(self.begin_transfer(now, transfer))
    }

    fn send_transfer(&mut self, now: Time, order: Order) {
        let has_room = self.connections.len() < self.config.limits.connections_max;
        let transfer = self.with_engines(now, |ctx, engines, _| engines.transfer.send(ctx, order, has_room));
        if let Some(transfer) = transfer {
            self.begin_transfer(now, transfer);
        }
    }

    fn begin_transfer(&mut self, now: Time, transfer: Transfer) -> ConnId {
        let conn = self.connections.insert(Protocol::Transfer(Box::new(transfer)), now);
        self.transfer(now, conn, transfer::Engine::begin);
        conn
    }

    /// What the store says of what came.
    fn on_transfer_stored(&mut self, now: Time, reply: ForeignReply) {
        self.with_engines(now, |ctx, engines, connections| {
            engines.transfer.stored(ctx, reply, |conn| connections.transfer_mut(conn));
        });
    }

    /// A file does not come, or does not go.
    fn fail_transfer(&mut self, now: Time, conn: ConnId, reason: ForeignFailure) {
        self.transfer(now, conn, |engine, ctx, conn, it| engine.fail(ctx, conn, it, reason));
    }

    /// Cancels the transfers that end first when this peer leaves, or all.
    fn cancel_transfers(&mut self, now: Time, all: bool) {
        let of_those = self.connections.transfers().filter(|(_, transfer)| all || transfer.ends_first());
        let conns: Vec<ConnId> = of_those.map(|(conn, _)| conn).collect();
        conns.into_iter().for_each(|conn| self.fail_transfer(now, conn, ForeignFailure::Cancelled));
    }

    /// Has the classic engine do something.
    fn classic<T>(
        &mut self,
        now: Time,
        act: impl FnOnce(&mut classic::Engine, &mut classic::Ctx<'_>) -> T,
    ) -> T {
        let (mut ctx, engines, ()) = self.lend(now, |connections| (connections.classics_alone(), ()));
        let value = act(&mut engines.classic, &mut ctx);
        let after = ctx.after;
        self.after(now, after);
        value
    }

    fn accept_classic(&mut self, now: Time, from: SocketAddr, tcp_port: u16) -> Option<ConnId> {
        if !self.classic(now, |classic, ctx| classic.admits(ctx, from)) || !self.make_room(now, from.ip()) {
            self.counters.add("classic connections refused");
            return None;
        }
        Some(self.classic(now, |classic, ctx| classic.accept(ctx, from, tcp_port)))
    }

    /// What the store says of files and contents. Of shared files, all who offer them take note.
    fn on_stored(&mut self, now: Time, reply: StoreReply) {
        match reply {
            StoreReply::Offered { content, name, size } => {
                if self.native(now, |native, ctx| native.on_offered(ctx, content, &name, size)) {
                    self.classic(now, |classic, ctx| classic.offer(ctx, content, &name, size));
                    self.outputs.event(Event::Offered { content, name, size });
                }
            }
            StoreReply::Withdrawn { content, name, why } => {
                self.native(now, |native, ctx| native.on_withdrawn(ctx, content, &name, why.reason()));
                self.classic(now, |classic, ctx| classic.withdraw(ctx, content, &name));
                self.outputs.event(Event::Withdrawn { content, name, why });
            }
            reply => self.native(now, |native, ctx| native.on_stored(ctx, reply)),
        }
    }

    fn leave(&mut self, now: Time) {
        if self.leaving.is_none() {
            self.leaving = Some(Leaving::new(now, &self.config.limits, &mut self.timers));
            self.native(now, |native, ctx| native.leave(ctx));
            self.classic(now, |classic, ctx| classic.leave(ctx));
            self.close_readers(now, false);
            self.cancel_transfers(now, false);
            self.review_leaving(now, false);
        }
    }

    /// Leaves as soon as nothing is left to finish, or the time is over.
    fn review_leaving(&mut self, now: Time, is_late: bool) {
        let is_busy = || {
            self.engines.classic.is_busy(self.connections.classics())
                || self.connections.readers().any(|(_, reader)| reader.is_busy())
                || self.engines.transfer.is_storing()
                || self.connections.transfers().any(|(_, it)| it.is_busy())
        };
        let is_fetching = self.engines.native.is_fetching();
        let is_idle = self.leaving.is_some() && self.uploader.is_idle() && !is_fetching && !is_busy();
        if let Some(leaving) = &mut self.leaving
            && leaving.is_to_close(now, is_idle, is_late)
        {
            let all: Vec<(ConnId, Kind)> = self.connections.kinds().collect();
            for (conn, kind) in all {
                match kind {
                    Kind::Sniffing => self.native(now, |_, ctx| sniffing::end(ctx, conn)),
                    Kind::Native => {
                        self.native(now, |native, ctx| native.close(ctx, conn, Some(native::LEAVING)))
                    }
                    Kind::Http | Kind::Classic | Kind::Transfer => {}
                }
            }
            self.classic(now, |classic, ctx| classic.close_all(ctx));
            self.close_readers(now, true);
            self.cancel_transfers(now, true);
        }
        let is_gone = self.connections.len() == 0 && !self.engines.native.is_fetching();
        if let Some(leaving) = &mut self.leaving
            && leaving.is_over(now, is_gone, is_late, &mut self.timers)
        {
            self.outputs.event(Event::Left);
        }
    }

    fn on_command(&mut self, now: Time, command: Command) {
        match command {
            Command::Get { ticket, wanted, at, layout, wait, stall } => self.native(now, |native, ctx| {
                native.on_get(ctx, Purpose::Get { ticket, at, layout, stall }, wanted, wait)
            }),
            Command::GetClassic { ticket, name, wait } => {
                self.classic(now, |classic, ctx| classic.fetch(ctx, ticket, name, wait))
            }
            Command::Mirror { ticket, wanted, room_bytes } => {
                self.native(now, |native, ctx| native.on_mirror(ctx, ticket, wanted, room_bytes));
            }
            Command::Offer { ticket, content, name, to, wait } => {
                self.native(now, |native, ctx| native.on_offer_command(ctx, ticket, content, name, to, wait));
            }
            Command::Receive => self.engines.native.receive(),
            Command::Answer { offer, decision, ticket, stall } => {
                self.native(now, |native, ctx| native.on_answer_command(ctx, offer, decision, ticket, stall));
            }
            Command::SendForeign { ticket, to, form, content, name, sender } => {
                let file = Outgoing { form, sender, name, size: 0 };
                self.send_transfer(now, Order { ticket, to, content, file });
            }
            Command::AnswerForeign { push, accept } => self.with_engines(now, |ctx, engines, connections| {
                engines.transfer.answer(ctx, (push, accept), |conn| connections.transfer_mut(conn));
            }),
            // What was let come already may come.
            Command::LimitForeign { quota_bytes } => {
                if let Some(foreign) = &mut self.config.foreign {
                    foreign.quota_bytes = quota_bytes;
                }
            }
            Command::Look { wanted, wait } => {
                self.native(now, |native, ctx| native.on_look(ctx, wanted, wait));
                let is_searching = self.engines.native.is_searching();
                self.classic(now, |classic, ctx| classic.read_dictionary(ctx, is_searching));
            }
            Command::Cancel { content } => {
                self.native(now, |native, ctx| native.cancel_download(ctx, content))
            }
            Command::Leave => self.leave(now),
        }
    }

    /// Deadlines are absolute and looked at with every input, not only when nothing else happens.
    fn run_timers(&mut self, now: Time) {
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::Connection(conn) => match self.connections.kind(conn) {
                    Some(Kind::Sniffing) => self.native(now, |_, ctx| sniffing::review(ctx, conn)),
                    Some(Kind::Native) => self.native(now, |native, ctx| native.review_connection(ctx, conn)),
                    Some(Kind::Http) => self.http(now, conn, http::Engine::review),
                    Some(Kind::Classic) => self.classic(now, |classic, ctx| classic.review(ctx, conn)),
                    Some(Kind::Transfer) => self.transfer(now, conn, transfer::Engine::review),
                    None => {}
                },
                Timer::Leave => self.review_leaving(now, true),
                Timer::ClassicAnnounce => self.classic(now, |classic, ctx| classic.begin_round(ctx)),
                Timer::ClassicExpiry => self.classic(now, |classic, ctx| classic.expire(ctx)),
                Timer::ClassicDictionary => {
                    let is_searching = self.engines.native.is_searching();
                    self.classic(now, |classic, ctx| classic.keep_dictionary(ctx, is_searching));
                }
                Timer::ClassicFetch(ticket) => {
                    self.classic(now, |classic, ctx| classic.review_fetch(ctx, ticket))
                }
                timer => self.native(now, |native, ctx| native.review(ctx, timer)),
            }
        }
    }
}
