//! The peer: each call is led to the engine that speaks on the connection in question, which is lent what engines share; what it
//! leaves to others is seen to, and nothing more. What concerns several engines, such as commands and the end, stands in `engines.rs`.
//!
//! The calls come in no order but this: of a connection, [`Peer::accepted`] or an [`Output::Dial`] comes first, and
//! [`Input::Broken`] or [`Input::Closed`] last. After each call that changes something, [`Peer::poll`] is called until it is empty.

use std::net::{IpAddr, SocketAddr};

use crate::core::config::Config;
use crate::core::connection::{Kind, Protocol};
use crate::core::connections::Connections;
use crate::core::context::{After, Context, Later};
use crate::core::engines::{Engines, Speakers, end_sniffing, review_sniffing};
use crate::core::http::{self, Reader};
use crate::core::io::{ConnId, Expect, Input, Output, Segment, StoreReply};
use crate::core::status::{DownloadStatus, NeighboursStatus, Status};
use crate::core::timers::Timer;
use crate::core::transfer::{self, Transfer};
use crate::core::{classic, native};
use crate::types::{Bitfield, ContentId, Geometry, PeerId, Time};

/// A chunkcast peer without sockets, files, clock or threads.
#[derive(Debug)]
pub struct Peer {
    engines: Engines,
}

impl Peer {
    /// A peer that begins at `now`; all its randomness comes from `seed`.
    pub fn new(config: Config, seed: u64, now: Time) -> Peer {
        Peer { engines: Engines::new(config, seed, now) }
    }

    /// Who this peer is.
    pub fn id(&self) -> PeerId {
        self.engines.id
    }

    /// Takes in one thing that happened. Drain [`Peer::poll`] afterwards.
    pub fn handle(&mut self, now: Time, input: Input<'_>) {
        match input {
            Input::Datagram { iface, from, bytes } => {
                self.engines.native(now, |native, ctx| native.on_datagram(ctx, iface, from, bytes));
            }
            Input::ClassicDatagram { from, bytes, .. } => {
                self.engines.classic(now, |classic, ctx| classic.heard(ctx, from, bytes));
            }
            Input::Connected { conn } => match self.engines.connections.kind(conn) {
                Some(Kind::Native) => self.engines.native(now, |native, ctx| native.on_connected(ctx, conn)),
                Some(Kind::Classic) => self.engines.classic(now, |classic, ctx| classic.connected(ctx, conn)),
                Some(Kind::Transfer) => self.engines.transfer(now, conn, transfer::Engine::connected),
                // These came in, or are gone.
                Some(Kind::Sniffing | Kind::Http) | None => {}
            },
            Input::EndOfStream { conn } => match self.engines.connections.kind(conn) {
                Some(Kind::Sniffing) => self.engines.native(now, |_, ctx| end_sniffing(ctx, conn)),
                Some(Kind::Native) => {
                    self.engines.native(now, |native, ctx| native.on_end_of_stream(ctx, conn))
                }
                Some(Kind::Http) => self.engines.http(now, conn, http::Engine::ended),
                Some(Kind::Classic) => self.engines.classic(now, |classic, ctx| classic.ended(ctx, conn)),
                Some(Kind::Transfer) => self.engines.transfer(now, conn, transfer::Engine::ended),
                None => {}
            },
            Input::Broken { conn, why } => match self.note_gone(conn) {
                Some(Kind::Sniffing) => {
                    self.engines.counters.add(why.counter());
                    self.engines.end_gone_sniffing(now, conn);
                }
                Some(Kind::Native) => {
                    self.engines.counters.add(why.counter());
                    self.engines.native(now, |native, ctx| native.on_gone(ctx, conn));
                }
                Some(Kind::Http) => self.engines.http(now, conn, http::Engine::gone),
                Some(Kind::Classic) => {
                    self.engines.classic(now, |classic, ctx| classic.broken(ctx, conn, why))
                }
                Some(Kind::Transfer) => self
                    .engines
                    .transfer(now, conn, |engine, ctx, conn, it| engine.broken(ctx, conn, it, why)),
                None => {}
            },
            Input::Closed { conn } => match self.note_gone(conn) {
                Some(Kind::Sniffing) => self.engines.end_gone_sniffing(now, conn),
                Some(Kind::Native) => self.engines.native(now, |native, ctx| native.on_gone(ctx, conn)),
                Some(Kind::Http) => self.engines.http(now, conn, http::Engine::gone),
                Some(Kind::Classic) => self.engines.classic(now, |classic, ctx| classic.closed(ctx, conn)),
                Some(Kind::Transfer) => self.engines.transfer(now, conn, transfer::Engine::closed),
                None => {}
            },
            Input::SpanFailed { conn, source, why } => match self.engines.connections.kind(conn) {
                Some(Kind::Native) => {
                    self.engines.native(now, |native, ctx| native.on_span_failed(ctx, conn, source, why));
                }
                Some(Kind::Http | Kind::Classic | Kind::Transfer) => {
                    self.engines.end_serving(now, conn, why.reason());
                }
                Some(Kind::Sniffing) | None => {}
            },
            Input::Stored(StoreReply::Transfer(reply)) => self.engines.on_transfer_stored(now, reply),
            Input::Stored(StoreReply::Classic(reply)) => {
                self.engines.classic(now, |classic, ctx| classic.replied(ctx, reply));
            }
            Input::Stored(reply) => self.engines.on_stored(now, reply),
            Input::Command(command) => self.engines.on_command(now, command),
            Input::Tick => {}
        }
        self.run_timers(now);
    }

    /// The driver has closed a connection. What is spoken on it, if it is still known.
    fn note_gone(&mut self, conn: ConnId) -> Option<Kind> {
        let connection = self.engines.connections.get_mut(conn)?;
        connection.transport_mut().gone = true;
        Some(connection.kind())
    }

    /// A connection came in on `local_port`; `None`: refuse it (close it at once). Drain [`Peer::poll`] afterwards.
    pub fn accepted(&mut self, now: Time, from: SocketAddr, local_port: u16) -> Option<ConnId> {
        let (transfers, classic) =
            (self.engines.config.transfers.as_ref(), self.engines.config.classic.as_ref());
        let form = transfers.and_then(|transfers| transfers.ports.get(&local_port).copied());
        let dialect = classic.and_then(|classic| classic.ports.get(&local_port).copied());
        let conn = match (form, dialect) {
            (Some(is_named), _) => self.engines.accept_transfer(now, from, is_named),
            (None, Some(tcp_port)) => self.engines.accept_classic(now, from, tcp_port),
            (None, None) => self.engines.accept_sniffing(now, from),
        };
        self.run_timers(now);
        conn
    }

    /// This host's addresses changed, or may have.
    pub fn set_own_addresses(&mut self, addresses: Vec<IpAddr>) {
        self.engines.config.own_addresses = addresses;
    }

    /// What the next bytes of a connection are. Asked before each read.
    pub fn expects(&self, conn: ConnId) -> Expect {
        self.engines.connections.get(conn).map_or(Expect::Nothing, Protocol::expects)
    }

    /// Hands over control bytes; returns how many the core took. What is left over is payload (ask
    /// [`Peer::expects`]), or must not be read any more; or, where control bytes are still expected, it waits until other
    /// connections had their turn, because [`crate::core::Limits::frames_at_once_max`] frames were handled. Drain [`Peer::poll`] afterwards.
    pub fn received(&mut self, now: Time, conn: ConnId, bytes: &[u8]) -> usize {
        let engines = &mut self.engines;
        match engines.connections.kind(conn) {
            Some(Kind::Sniffing) if engines.sniff(now, conn, bytes) => self.received(now, conn, bytes),
            Some(Kind::Sniffing) => 0,
            Some(Kind::Native) => engines.native(now, |native, ctx| native.on_bytes(ctx, conn, bytes)),
            Some(Kind::Http) => {
                engines.http(now, conn, |http, ctx, conn, it| http.received(ctx, conn, it, bytes))
            }
            Some(Kind::Classic) => engines.classic(now, |classic, ctx| classic.received(ctx, conn, bytes)),
            Some(Kind::Transfer) => {
                engines.transfer(now, conn, |engine, ctx, conn, it| engine.received(ctx, conn, it, bytes))
            }
            None => 0,
        }
    }

    /// So many payload bytes went into the sink. Drain [`Peer::poll`] afterwards.
    pub fn stored(&mut self, now: Time, conn: ConnId, bytes: u64) {
        let engines = &mut self.engines;
        match engines.connections.kind(conn) {
            Some(Kind::Native) => engines.native(now, |native, ctx| native.on_payload(ctx, conn, bytes)),
            Some(Kind::Classic) => engines.classic(now, |classic, ctx| classic.stored(ctx, conn, bytes)),
            Some(Kind::Transfer) => {
                engines.transfer(now, conn, |engine, ctx, conn, it| engine.payload(ctx, conn, it, bytes))
            }
            // Neither expects payload.
            Some(Kind::Sniffing | Kind::Http) | None => {}
        }
    }

    /// What a connection wants to send next: a look. Frames are made when they are pulled, so this may encode some
    /// into the connection's outbox; asking again gives the same answer until `sent` or another mutation.
    pub fn next_segment(&mut self, now: Time, conn: ConnId) -> Segment<'_> {
        match self.engines.connections.kind(conn) {
            Some(Kind::Native) => self.engines.native(now, |native, ctx| native.refill(ctx, conn)),
            Some(Kind::Http) => self.engines.http(now, conn, http::Engine::refill),
            Some(Kind::Classic) => self.engines.classic(now, |classic, ctx| classic.refill(ctx, conn)),
            Some(Kind::Transfer) => self.engines.transfer(now, conn, transfer::Engine::refill),
            Some(Kind::Sniffing) | None => {}
        }
        let Some(connection) = self.engines.connections.get_mut(conn) else { return Segment::Nothing };
        let asleep = matches!(connection.segment(conn), Segment::Nothing);
        connection.transport_mut().asleep = asleep;
        connection.segment(conn)
    }

    /// What this host's link carries, in bytes a second, as far as uploads have shown.
    pub fn carries(&self) -> Option<u64> {
        self.engines.uploader.carries()
    }

    /// So many bytes of the segment are in the kernel (1 for [`Segment::HalfClose`] once it is done). Drain
    /// [`Peer::poll`] afterwards.
    pub fn sent(&mut self, now: Time, conn: ConnId, bytes: u64) {
        let engines = &mut self.engines;
        match engines.connections.kind(conn) {
            Some(Kind::Native) => engines.native(now, |native, ctx| native.on_sent(ctx, conn, bytes)),
            Some(Kind::Http) => {
                engines.http(now, conn, |http, ctx, conn, it| http.sent(ctx, conn, it, bytes))
            }
            Some(Kind::Classic) => engines.classic(now, |classic, ctx| classic.sent(ctx, conn, bytes)),
            Some(Kind::Transfer) => {
                engines.transfer(now, conn, |engine, ctx, conn, it| engine.sent(ctx, conn, it, bytes))
            }
            Some(Kind::Sniffing) | None => {}
        }
    }

    /// The next instruction; call until `None` after every mutation.
    pub fn poll(&mut self) -> Option<Output> {
        self.engines.outputs.pop()
    }

    /// The earliest moment at which something must happen without input, and what.
    pub fn deadline(&self) -> Option<(Time, &'static str)> {
        self.engines.timers.first().map(|(at, timer)| (at, timer.name()))
    }

    /// How far the downloads are that are not over and whose turn has come, in the order they were begun.
    pub fn downloads(&self) -> Vec<DownloadStatus> {
        self.engines.speakers.native.download_statuses(
            &self.engines.connections,
            &self.engines.catalogue,
            false,
        )
    }

    /// How an arrangement of neighbours stands; `None` in a mesh.
    pub fn neighbours(&self) -> Option<NeighboursStatus> {
        self.engines.speakers.native.neighbours_status(
            &self.engines.config,
            &self.engines.connections,
            &self.engines.catalogue,
            &self.engines.uploader,
        )
    }

    /// Bytes that transfers have taken in, or are let take in.
    pub fn foreign_bytes(&self) -> u64 {
        self.engines.speakers.transfer.charged_bytes()
    }

    /// The cut of a content that is here, wholly or in part, and which of its chunks are.
    pub fn held(&self, content: &ContentId) -> Option<(Geometry, Bitfield)> {
        let holding = self.engines.catalogue.get(content)?;
        let all = || Bitfield::full(holding.geometry.chunks());
        Some((holding.geometry, holding.bits().cloned().unwrap_or_else(all)))
    }

    /// How many peers a connection stands to.
    pub fn connected(&self) -> usize {
        self.engines.speakers.native.connected()
    }

    /// A snapshot for people.
    pub fn status(&self, now: Time) -> Status {
        let native = &self.engines.speakers.native;
        Status {
            classic: self.engines.speakers.classic.contents(),
            downloads: native.download_statuses(&self.engines.connections, &self.engines.catalogue, true),
            uploads: self.engines.uploader.len(),
            counters: self.engines.counters.all(),
            ..native.status(now)
        }
    }

    /// Panics when something is not as it must be. For tests and simulation.
    pub fn check_invariants(&self) {
        self.engines.uploader.check();
        self.engines.catalogue.check();
        self.engines.speakers.native.check(&self.engines.config, &self.engines.connections);
        self.engines.speakers.classic.check(
            &self.engines.spools,
            &self.engines.uploader,
            self.engines.connections.classics(),
        );
        self.engines.speakers.http.check(&self.engines.uploader, self.engines.connections.readers());
        self.engines.speakers.transfer.check(
            &self.engines.spools,
            &self.engines.uploader,
            self.engines.connections.transfers(),
        );
    }

    /// Deadlines are absolute and looked at with every input, not only when nothing else happens.
    fn run_timers(&mut self, now: Time) {
        let engines = &mut self.engines;
        while let Some(timer) = engines.timers.pop_due(now) {
            match timer {
                Timer::Connection(conn) => match engines.connections.kind(conn) {
                    Some(Kind::Sniffing) => engines.native(now, |_, ctx| review_sniffing(ctx, conn)),
                    Some(Kind::Native) => {
                        engines.native(now, |native, ctx| native.review_connection(ctx, conn))
                    }
                    Some(Kind::Http) => engines.http(now, conn, http::Engine::review),
                    Some(Kind::Classic) => engines.classic(now, |classic, ctx| classic.review(ctx, conn)),
                    Some(Kind::Transfer) => engines.transfer(now, conn, transfer::Engine::review),
                    None => {}
                },
                Timer::Leave => engines.review_leaving(now, true),
                Timer::ClassicAnnounce => engines.classic(now, |classic, ctx| classic.begin_round(ctx)),
                Timer::ClassicDatagram => engines.classic(now, |classic, ctx| classic.send_next(ctx)),
                Timer::ClassicExpiry => engines.classic(now, |classic, ctx| classic.expire(ctx)),
                Timer::ClassicDictionary => {
                    let is_searching = engines.speakers.native.is_searching();
                    engines.classic(now, |classic, ctx| classic.keep_dictionary(ctx, is_searching));
                }
                Timer::ClassicFetch(ticket) => {
                    engines.classic(now, |classic, ctx| classic.review_fetch(ctx, ticket))
                }
                timer => engines.native(now, |native, ctx| native.review(ctx, timer)),
            }
        }
    }
}

impl Engines {
    /// What the engines share, the engines, and the connections: what `split` makes of them for the context, and for beside it.
    pub(crate) fn lend<'p, C, R>(
        &'p mut self,
        now: Time,
        split: impl FnOnce(&'p mut Connections) -> (C, R),
    ) -> (Context<'p, C>, &'p mut Speakers, R) {
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
        (ctx, &mut self.speakers, rest)
    }

    /// Has engines do something with what they share and the connections, and sees to what is left to be done.
    pub(crate) fn with_engines<T>(
        &mut self,
        now: Time,
        act: impl FnOnce(&mut Context<'_>, &mut Speakers, &mut Connections) -> T,
    ) -> T {
        let (mut ctx, engines, connections) = self.lend(now, |connections| ((), connections));
        let value = act(&mut ctx, engines, connections);
        let after = ctx.after;
        self.after(now, after);
        value
    }

    /// Sees to what an engine left to be done.
    pub(crate) fn after(&mut self, now: Time, after: After) {
        for later in after.later {
            match later {
                Later::GiveWay(conn) => self.give_way(now, conn),
                Later::Unserved(conn, why) => self.end_serving(now, conn, why),
                Later::Whole(content, name, bytes) => {
                    self.classic(now, |classic, ctx| classic.offer(ctx, content, &name, bytes));
                }
            }
        }
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
    pub(crate) fn native<T>(
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

    /// Has the HTTP engine do something with a reader, if there is one.
    pub(crate) fn http<T: Default>(
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

    /// Has the transfer engine do something with a transfer, if there is one.
    pub(crate) fn transfer<T: Default>(
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

    /// Has the classic engine do something.
    pub(crate) fn classic<T>(
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
}
