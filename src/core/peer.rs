//! The peer: owns every role, routes each input to the flow that concerns it, and nothing more.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::core::announcer::Announcer;
use crate::core::assigner::Assigner;
use crate::core::catalogue::Catalogue;
use crate::core::classic;
use crate::core::connection::{Kind, Protocol, Sniffing};
use crate::core::connections::Connections;
use crate::core::context::{After, Context, Outputs};
use crate::core::counters::Counters;
use crate::core::dealer::Dealer;
use crate::core::dialer::Dialer;
use crate::core::directory::Directory;
use crate::core::door::{
    ClassicConfig, Command, ConnId, Event, Expect, ForeignConfig, ForeignFailure, ForeignReply, HttpConfig,
    Input, Output, Segment,
};
use crate::core::downloader::Downloader;
use crate::core::flow::idle::Idleness;
use crate::core::flow::leave::Leaving;
use crate::core::flow::link::broken;
use crate::core::flow::look::Sought;
use crate::core::flow::serve::reason_of;
use crate::core::http::{self, Reader};
use crate::core::limits::Limits;
use crate::core::links::Links;
use crate::core::looks::Looks;
use crate::core::mirror::Mirror;
use crate::core::neighbourhood::Neighbourhood;
use crate::core::pusher::Pusher;
use crate::core::rates::{Allowance, Rates};
use crate::core::rng::Rng;
use crate::core::searches::{Purpose, Searches};
use crate::core::spools::Spools;
use crate::core::status::{DownloadStatus, NeighboursStatus, Status};
use crate::core::timers::{Timer, Timers};
use crate::core::topology::Topology;
use crate::core::transfer::{self, Order, Transfer};
use crate::core::uploader::Uploader;
use crate::types::bitfield::Bitfield;
use crate::types::geometry::Geometry;
use crate::types::id::{ContentId, PeerId};
use crate::types::time::Time;
use crate::wire::push::Outgoing;

/// What a peer is told at its start.
#[derive(Debug, Clone)]
pub struct Config {
    /// Whom it dials, asks and serves.
    pub topology: Topology,
    /// All bounds.
    pub limits: Limits,
    /// The user's name, for display.
    pub user: String,
    /// The TCP port the driver listens on.
    pub tcp_port: u16,
    /// How often it announces itself.
    pub announce_interval: Duration,
    /// Whether it speaks of itself, and listens to others, by native datagrams at all. When not, it is found by nobody.
    pub discovers: bool,
    /// Whether it sends broadcasts at all.
    pub broadcast: bool,
    /// How it speaks the classic dialects; `None`: it does not.
    pub classic: Option<ClassicConfig>,
    /// How it serves readers by HTTP; `None`: it does not.
    pub http: Option<HttpConfig>,
    /// How it takes in pushes in the dialects of the field; `None`: it does not. It sends in them whenever it is told to.
    pub foreign: Option<ForeignConfig>,
    /// Peers that somebody named: dialled and asked without being heard first.
    pub fixed_peers: Vec<SocketAddr>,
    /// This host's own addresses, which some limits except.
    pub own_addresses: Vec<IpAddr>,
    /// Program and version, for display.
    pub agent: String,
}

impl Config {
    /// Whether an address is this host's, which limits by address except.
    pub(in crate::core) fn is_own(&self, ip: IpAddr) -> bool {
        ip.is_loopback() || self.own_addresses.contains(&ip)
    }
}

/// Who speaks the protocols that have an engine of their own.
#[derive(Debug)]
struct Engines {
    classic: classic::Engine,
    http: http::Engine,
    transfer: transfer::Engine,
}

/// A chunkcast peer without sockets, files, clock or threads.
#[derive(Debug)]
pub struct Peer {
    outputs: Outputs,
    pub(in crate::core) timers: Timers,
    pub(in crate::core) connections: Connections,
    pub(in crate::core) catalogue: Catalogue,
    pub(in crate::core) downloader: Downloader,
    /// What is assigned, chunk by chunk, to those who want it of a seed.
    pub(in crate::core) assigners: BTreeMap<ContentId, Assigner>,
    pub(in crate::core) leaving: Option<Leaving>,
    pub(in crate::core) uploader: Uploader,
    /// When all connections were last looked at for one that gives its channels to others, in vain.
    pub(in crate::core) channels_looked_at: Time,
    pub(in crate::core) idleness: Idleness,
    pub(in crate::core) links: Links,
    pub(in crate::core) config: Config,
    pub(in crate::core) id: PeerId,
    pub(in crate::core) rng: Rng,
    pub(in crate::core) dialer: Dialer,
    pub(in crate::core) directory: Directory,
    pub(in crate::core) announcer: Announcer,
    engines: Engines,
    pub(in crate::core) spools: Spools,
    pub(in crate::core) searches: Searches,
    pub(in crate::core) mirror: Option<Mirror>,
    /// Dials for all that the mirror wants.
    pub(in crate::core) mirror_dials: Allowance,
    pub(in crate::core) pusher: Pusher,
    pub(in crate::core) rates: Rates,
    /// Names that are looked through for others, and how many may be.
    pub(in crate::core) looks: Looks<Sought>,
    /// Entries of others' catalogues that may be looked at for what replaced something.
    pub(in crate::core) replaced_looks: Allowance,
    /// How often this newcomer asked who is there.
    pub(in crate::core) acquaintances: usize,
    pub(in crate::core) neighbourhood: Neighbourhood,
    /// What is dealt, chunk by chunk, to who comes for it.
    pub(in crate::core) dealers: BTreeMap<ContentId, Dealer>,
    pub(in crate::core) counters: Counters,
}

impl Peer {
    /// A peer that begins at `now`; all its randomness comes from `seed`.
    pub fn new(config: Config, seed: u64, now: Time) -> Peer {
        let mut rng = Rng::new(seed);
        let limits = config.limits.clone();
        let broadcasts = config.broadcast && config.discovers;
        let announcer = Announcer::new(config.announce_interval, limits.clone(), broadcasts, now, &mut rng);
        let mut timers = Timers::default();
        let classic = classic::Engine::new(&config, now, &mut rng, &mut timers);
        if config.discovers {
            timers.set(Timer::Announce, announcer.rhythm.next());
            timers.set(Timer::Acquaint, now + limits.newcomer_asks.first().copied().unwrap_or_default());
        }
        let neighbourhood = Neighbourhood::new(&config.topology);
        if neighbourhood.owner.is_some() {
            timers.set(Timer::Dial, now);
        }
        Peer {
            id: PeerId(rng.bytes16()),
            timers,
            connections: Connections::default(),
            links: Links::default(),
            dialer: Dialer::new(limits.redial_wait_min, limits.redial_wait_max, config.own_addresses.clone()),
            directory: Directory::new(limits.clone(), config.own_addresses.clone()),
            catalogue: Catalogue::default(),
            announcer,
            engines: Engines {
                classic,
                http: http::Engine::default(),
                transfer: transfer::Engine::default(),
            },
            spools: Spools::default(),
            searches: Searches::default(),
            mirror: None,
            mirror_dials: Allowance::new(limits.mirror_dials_at_once, limits.mirror_dials_per_s, now),
            pusher: Pusher::default(),
            uploader: Uploader::new(&limits),
            channels_looked_at: Time::ZERO,
            downloader: Downloader::new(limits.active_downloads_max, limits.buffer_pool_bytes),
            rates: Rates::new(&limits),
            looks: Looks::new(&limits, now),
            replaced_looks: Allowance::new(limits.replaced_looks_at_once, limits.replaced_looks_per_s, now),
            acquaintances: 0,
            neighbourhood,
            dealers: BTreeMap::new(),
            assigners: BTreeMap::new(),
            idleness: Idleness::default(),
            leaving: None,
            counters: Counters::default(),
            outputs: Outputs::default(),
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
            Input::Datagram { iface, from, bytes } => self.on_datagram(now, iface, from, bytes),
            Input::ClassicDatagram { from, bytes, .. } => {
                self.classic(now, |classic, ctx| classic.heard(ctx, from, bytes));
            }
            Input::Connected { conn } => match self.connections.kind(conn) {
                Some(Kind::Native) => self.on_connected(now, conn),
                Some(Kind::Classic) => self.classic(now, |classic, ctx| classic.connected(ctx, conn)),
                Some(Kind::Transfer) => self.transfer(now, conn, transfer::Engine::connected),
                // These came in, or are gone.
                Some(Kind::Sniffing | Kind::Http) | None => {}
            },
            Input::EndOfStream { conn } => match self.connections.kind(conn) {
                Some(Kind::Sniffing) => self.end_sniffing(conn),
                Some(Kind::Native) => self.on_end_of_stream(now, conn),
                Some(Kind::Http) => self.http(now, conn, http::Engine::ended),
                Some(Kind::Classic) => self.classic(now, |classic, ctx| classic.ended(ctx, conn)),
                Some(Kind::Transfer) => self.transfer(now, conn, transfer::Engine::ended),
                None => {}
            },
            Input::Broken { conn, why } => match self.note_gone(conn) {
                Some(Kind::Sniffing) => {
                    self.counters.add(broken(why));
                    self.on_sniffing_gone(now, conn);
                }
                Some(Kind::Native) => self.on_broken(now, conn, why),
                Some(Kind::Http) => self.http(now, conn, http::Engine::gone),
                Some(Kind::Classic) => self.classic(now, |classic, ctx| classic.broken(ctx, conn, why)),
                Some(Kind::Transfer) => {
                    self.transfer(now, conn, |engine, ctx, conn, it| engine.broken(ctx, conn, it, why))
                }
                None => {}
            },
            Input::Closed { conn } => match self.note_gone(conn) {
                Some(Kind::Sniffing) => self.on_sniffing_gone(now, conn),
                Some(Kind::Native) => self.on_closed(now, conn),
                Some(Kind::Http) => self.http(now, conn, http::Engine::gone),
                Some(Kind::Classic) => self.classic(now, |classic, ctx| classic.closed(ctx, conn)),
                Some(Kind::Transfer) => self.transfer(now, conn, transfer::Engine::closed),
                None => {}
            },
            Input::SpanFailed { conn, source, why } => match self.connections.kind(conn) {
                Some(Kind::Native) => self.on_span_failed(now, conn, source, why),
                Some(Kind::Http) => self.lose_reader(now, conn, reason_of(why).text()),
                Some(Kind::Classic) => {
                    let why = reason_of(why).text();
                    self.classic(now, |classic, ctx| classic.end_serving(ctx, conn, why))
                }
                Some(Kind::Transfer) => self.fail_transfer(now, conn, ForeignFailure::File(why)),
                Some(Kind::Sniffing) | None => {}
            },
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
            (None, None) => self.on_accepted(now, from),
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
            Some(Kind::Native) => self.on_bytes(now, conn, bytes),
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
            Some(Kind::Native) => self.on_payload(now, conn, bytes),
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
            Some(Kind::Native) => self.refill(now, conn),
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
            Some(Kind::Native) => self.on_sent(now, conn, bytes),
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
        self.download_statuses(false)
    }

    /// How an arrangement of neighbours stands; `None` in a mesh.
    pub fn neighbours(&self) -> Option<NeighboursStatus> {
        self.neighbours_status()
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
        self.links.open()
    }

    /// A snapshot for people.
    pub fn status(&self, now: Time) -> Status {
        Status {
            peers: self.directory.peer_statuses(now),
            contents: self.directory.content_statuses(),
            classic: self.engines.classic.contents(),
            downloads: self.download_statuses(true),
            connections: self.links.open(),
            channels: self.links.channels(),
            uploads: self.uploader.len(),
            counters: self.counters.all(),
        }
    }

    /// Panics when something is not as it must be. For tests and simulation.
    pub fn check_invariants(&self) {
        self.uploader.check();
        self.catalogue.check();
        self.directory.check();
        self.downloader.check(self.config.limits.buffer_pool_bytes);
        self.dealers.values().for_each(Dealer::check);
        self.assigners.values().for_each(Assigner::check);
        self.check_links();
        self.check_flights();
        self.engines.classic.check(&self.spools, &self.uploader, self.connections.classics());
        self.engines.http.check(&self.uploader, self.connections.readers());
        self.engines.transfer.check(&self.spools, self.connections.transfers());
    }

    pub(in crate::core) fn output(&mut self, output: Output) {
        self.outputs.push(output);
    }

    /// Has the driver visit a connection that it still knows, which has something to send, to read or to close.
    pub(in crate::core) fn rouse(&mut self, conn: ConnId) {
        let transport = self.connections.get_mut(conn).map(Protocol::transport_mut);
        if let Some(transport) = transport.filter(|transport| !transport.gone) {
            transport.asleep = false;
            self.output(Output::Wake(conn));
        }
    }

    pub(in crate::core) fn event(&mut self, event: Event) {
        self.output(Output::Event(event));
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
            config: &self.config,
            is_leaving: self.leaving.is_some(),
            timers: &mut self.timers,
            outputs: &mut self.outputs,
            counters: &mut self.counters,
            catalogue: &self.catalogue,
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
        if after.grant_uploads {
            self.grant_uploads(now);
        }
        if let Some(conn) = after.forget {
            self.connections.remove(conn);
        }
        if after.review_leaving {
            self.review_leaving(now, false);
        }
    }

    /// Has the HTTP engine do something with a reader, if there is one.
    pub(in crate::core) fn http<T: Default>(
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
    pub(in crate::core) fn become_http(&mut self, now: Time, conn: ConnId, sniffing: &Sniffing) -> bool {
        self.with_engines(now, |ctx, engines, connections| {
            let may = engines.http.admits(ctx, sniffing.transport.addr);
            if may {
                let reader = engines.http.accept(ctx, conn, sniffing.transport, sniffing.since);
                connections.become_protocol(conn, Protocol::Http(Box::new(reader)));
            }
            may
        })
    }

    /// A file that a reader is being sent is not what it was.
    pub(in crate::core) fn lose_reader(&mut self, now: Time, conn: ConnId, why: &'static str) {
        self.http(now, conn, |http, ctx, conn, it| http.lose(ctx, conn, it, why));
    }

    /// Closes the readers that are not being answered, or all.
    pub(in crate::core) fn close_readers(&mut self, now: Time, all: bool) {
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
    pub(in crate::core) fn on_transfer_stored(&mut self, now: Time, reply: ForeignReply) {
        self.with_engines(now, |ctx, engines, connections| {
            engines.transfer.stored(ctx, reply, |conn| connections.transfer_mut(conn));
        });
    }

    /// A file does not come, or does not go.
    pub(in crate::core) fn fail_transfer(&mut self, now: Time, conn: ConnId, reason: ForeignFailure) {
        self.transfer(now, conn, |engine, ctx, conn, it| engine.fail(ctx, conn, it, reason));
    }

    /// Cancels the transfers that end first when this peer leaves, or all.
    pub(in crate::core) fn cancel_transfers(&mut self, now: Time, all: bool) {
        let of_those = self.connections.transfers().filter(|(_, transfer)| all || transfer.ends_first());
        let conns: Vec<ConnId> = of_those.map(|(conn, _)| conn).collect();
        conns.into_iter().for_each(|conn| self.fail_transfer(now, conn, ForeignFailure::Cancelled));
    }

    /// Whether a file comes, goes or is being stored, that a peer that leaves waits for.
    pub(in crate::core) fn is_transfer_busy(&self) -> bool {
        self.engines.transfer.is_storing() || self.connections.transfers().any(|(_, it)| it.is_busy())
    }

    /// Has the classic engine do something.
    pub(in crate::core) fn classic<T>(
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

    /// Whether classic peers are served, or a classic file is fetched, that a peer that leaves waits for.
    pub(in crate::core) fn is_classic_busy(&self) -> bool {
        self.engines.classic.is_busy(self.connections.classics())
    }

    fn on_command(&mut self, now: Time, command: Command) {
        match command {
            Command::Get { ticket, wanted, at, layout, wait, stall } => {
                self.on_get(now, Purpose::Get { ticket, at, layout, stall }, wanted, wait)
            }
            Command::GetClassic { ticket, name, wait } => {
                self.classic(now, |classic, ctx| classic.fetch(ctx, ticket, name, wait))
            }
            Command::Mirror { ticket, wanted, room_bytes } => self.on_mirror(now, ticket, wanted, room_bytes),
            Command::Offer { ticket, content, name, to, wait } => {
                self.on_offer_command(now, ticket, content, name, to, wait);
            }
            Command::Receive => self.on_receive_command(),
            Command::Answer { offer, decision, ticket, stall } => {
                self.on_answer_command(now, offer, decision, ticket, stall);
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
            Command::Look { wanted, wait } => self.on_look(now, wanted, wait),
            Command::Cancel { content } => self.cancel_download(now, content),
            Command::Leave => self.on_leave(now),
        }
    }

    /// Deadlines are absolute and looked at with every input, not only when nothing else happens.
    fn run_timers(&mut self, now: Time) {
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::Connection(conn) => match self.connections.kind(conn) {
                    Some(Kind::Sniffing) => self.review_sniffing(now, conn),
                    Some(Kind::Native) => self.review_connection(now, conn),
                    Some(Kind::Http) => self.http(now, conn, http::Engine::review),
                    Some(Kind::Classic) => self.classic(now, |classic, ctx| classic.review(ctx, conn)),
                    Some(Kind::Transfer) => self.transfer(now, conn, transfer::Engine::review),
                    None => {}
                },
                Timer::Acquaint => self.acquaint(now),
                Timer::Announce => self.announce(now),
                Timer::Answer => self.send_answers(now),
                Timer::Search(key) => self.step_search(now, key),
                Timer::Mirror => self.review_mirror(now),
                Timer::Download(content) => self.review_download(now, content),
                Timer::Push => self.review_pushes(now),
                Timer::MirrorNext => self.fetch_what_was_put_off(now),
                Timer::Dial => self.seek_all_sources(now),
                Timer::UploadSlot => self.grant_uploads(now),
                Timer::Expiry => self.expire_peers(now),
                Timer::Offer => self.ask_for_offer(now),
                Timer::Deal => self.review_dealing(now),
                Timer::Assign => self.review_assigning(now),
                Timer::Idle => self.tell_idle(now),
                Timer::Leave => self.review_leaving(now, true),
                Timer::ClassicAnnounce => self.classic(now, |classic, ctx| classic.begin_round(ctx)),
                Timer::ClassicExpiry => self.classic(now, |classic, ctx| classic.expire(ctx)),
                Timer::ClassicDictionary => {
                    let is_searching = self.searches.len() > 0;
                    self.classic(now, |classic, ctx| classic.keep_dictionary(ctx, is_searching));
                }
                Timer::ClassicFetch(ticket) => {
                    self.classic(now, |classic, ctx| classic.review_fetch(ctx, ticket))
                }
                Timer::Look => self.look_on(now),
            }
        }
    }
}
