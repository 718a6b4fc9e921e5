//! The classic dialects: what is heard and announced in them, served and fetched.
//!
//! Owns who announced which chunk ([`Directory`]), what is offered here ([`Catalogue`]), what is fetched ([`Fetches`]), and the
//! index of connections that are served, whose chunks stand in the one line of uploads, as those of native peers do. A fetch dials connections of its own, so the engine is lent all classic connections, not
//! only the one in question. Chunks go through the store's spools, whose numbers transfers use too. Knows no other protocol.
//!
//! Of each connection the calls come in this order: [`Engine::accept`], or [`Engine::connected`] where a fetch has dialled it; then
//! [`Engine::received`], [`Engine::stored`], [`Engine::refill`] and [`Engine::sent`] as the driver reads and writes, [`Engine::review`] when its
//! deadline comes; at last [`Engine::broken`] or [`Engine::closed`]. What the store answers comes by [`Engine::replied`].

mod announce;
mod catalogue;
mod chunk_request;
mod conclude;
mod conversation;
mod directory;
mod fetch;
mod fetches;
mod files;
mod hear;
mod requesting;
mod serve;
mod serving;
mod storage;

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::core::config::Config;
use crate::core::connection::Transport;
use crate::core::connections::Classics;
use crate::core::context::Context;
use crate::core::io::{
    BrokenWhy, ClassicContent, ClassicEvent, ClassicJob, ConnId, Event, Output, SpoolId, StoreJob,
};
use crate::core::rhythm::Rhythm;
use crate::core::rng::Rng;
use crate::core::spools::Spools;
use crate::core::timers::{Timer, Timers};
use crate::core::uploader::Uploader;
use crate::types::Time;
use catalogue::Catalogue;
use chunk_request::QUIET_BEGIN;
pub(crate) use conversation::Conversation;
use conversation::Side;
use directory::Directory;
use fetches::Fetches;

/// What the engine is lent for one call.
pub(crate) type Ctx<'p> = Context<'p, Classics<'p>>;

/// See [the module](self).
#[derive(Debug)]
pub(crate) struct Engine {
    directory: Directory,
    catalogue: Catalogue,
    fetches: Fetches,
    /// Connections that came in, by who asks, for none may have too many.
    served: BTreeSet<(IpAddr, ConnId)>,
    /// The rhythm of announcements.
    rhythm: Rhythm,
    /// A round of announcements waits for the store to say what is kept.
    round_due: bool,
    /// The store was asked for what D announces, and did not answer yet.
    digests_due: bool,
    /// Datagrams of the last rounds, to be known when they come back.
    sent: VecDeque<BTreeSet<Vec<u8>>>,
    /// Datagrams of the last round that are still to go, each with its port.
    outbox: VecDeque<(u16, Vec<u8>)>,
    /// Not before this does the next one go.
    next_datagram: Time,
    /// When the file that tells who has what was last written.
    written: Option<Time>,
}

impl Engine {
    /// One that has heard and offers nothing yet.
    pub(crate) fn new(config: &Config, now: Time, rng: &mut Rng, timers: &mut Timers) -> Engine {
        let (limits, classic) = (&config.limits, config.classic.as_ref());
        let interval = classic.map_or(config.announce_interval, |classic| classic.announce_interval);
        let rhythm = Rhythm::new(interval, limits, now, rng);
        if classic.is_some_and(|classic| !classic.voices.is_empty()) {
            timers.set(Timer::ClassicAnnounce, rhythm.next());
        }
        Engine {
            directory: Directory::new(limits),
            catalogue: Catalogue::default(),
            fetches: Fetches::default(),
            served: BTreeSet::new(),
            rhythm,
            round_due: false,
            digests_due: false,
            sent: VecDeque::new(),
            outbox: VecDeque::new(),
            next_datagram: now,
            written: None,
        }
    }

    /// Whether a connection from there may be a classic one.
    pub(crate) fn admits(&self, ctx: &Ctx<'_>, from: SocketAddr) -> bool {
        let (ip, limits) = (from.ip(), &ctx.config.limits);
        ctx.config.classic.is_some()
            && !ctx.is_leaving
            && (ctx.is_own(ip) || self.served_of(ip) < limits.classic_served_per_address_max)
            && self.served.len() < limits.classic_served_max
    }

    /// A connection came in, and is admitted, at a port whose dialect's own port is `tcp_port`.
    pub(crate) fn accept(&mut self, ctx: &mut Ctx<'_>, from: SocketAddr, tcp_port: u16) -> ConnId {
        let conversation = Conversation::serving(Transport::accepted(from), tcp_port, ctx.now);
        let conn = ctx.conns.insert(conversation, ctx.now);
        self.begin_serving(ctx, conn, from);
        conn
    }

    /// A connection at this peer's own port is a classic one from now on, if it may be one.
    pub(crate) fn take_over(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, transport: Transport) -> bool {
        let may = self.admits(ctx, transport.addr);
        if may {
            // What stands behind this port is no dialect's own.
            let conversation = Conversation::serving(transport, ctx.config.tcp_port, ctx.now);
            ctx.conns.replace(conn, conversation);
            self.begin_serving(ctx, conn, transport.addr);
        }
        may
    }

    fn begin_serving(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, from: SocketAddr) {
        self.served.insert((from.ip(), conn));
        ctx.timers.set(Timer::Connection(conn), ctx.now + ctx.config.limits.handshake_deadline);
        ctx.outputs.push(Output::Wake(conn));
    }

    /// A connection that was dialled stands.
    pub(crate) fn connected(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) {
        let request = ctx.conns.get_mut(conn).and_then(Conversation::as_request);
        if request.is_some_and(|request| request.connected(ctx.now)) {
            self.review(ctx, conn);
            ctx.rouse(conn);
        }
    }

    /// Takes control bytes; returns how many.
    pub(crate) fn received(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, bytes: &[u8]) -> usize {
        match ctx.side(conn) {
            Some(Side::Serving(_)) => self.on_request_bytes(ctx, conn, bytes),
            Some(Side::ChunkRequest(_)) => self.on_answer_bytes(ctx, conn, bytes),
            Some(Side::Closing) | None => 0,
        }
    }

    /// So many bytes of a chunk went into its spool.
    pub(crate) fn stored(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, bytes: u64) {
        let request = ctx.conns.get_mut(conn).and_then(Conversation::as_request);
        match request.and_then(|request| request.stored(ctx.now, bytes)) {
            Some(outcome) => self.end_request(ctx, conn, outcome),
            None => ctx.timers.set_no_later(Timer::Connection(conn), ctx.now + QUIET_BEGIN),
        }
    }

    /// So many bytes of the segment are in the kernel.
    pub(crate) fn sent(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, bytes: u64) {
        match ctx.side(conn) {
            Some(Side::Serving(_)) => self.on_answer_sent(ctx, conn, bytes),
            Some(Side::ChunkRequest(request)) => request.sent(bytes),
            Some(Side::Closing) | None => {}
        }
    }

    /// The other side will send nothing more. Who asks closes its writing half behind the request, and waits.
    pub(crate) fn ended(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) {
        match ctx.side(conn) {
            Some(Side::Serving(serving)) => {
                serving.ended = true;
                if !serving.is_busy() {
                    self.close(ctx, conn);
                }
            }
            Some(Side::ChunkRequest(request)) => {
                let spool = request.spool;
                let (bytes, outcome) = request.end();
                ctx.write_spool(spool, bytes);
                self.end_request(ctx, conn, outcome);
            }
            Some(Side::Closing) | None => {}
        }
    }

    /// The connection was refused, or broke.
    pub(crate) fn broken(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, why: BrokenWhy) {
        match ctx.side(conn) {
            Some(Side::Serving(_)) => self.end_serving(ctx, conn, "the connection broke"),
            Some(Side::ChunkRequest(_)) => self.break_request(ctx, conn, why),
            Some(Side::Closing) | None => {}
        }
        self.forget(ctx, conn);
        self.review_fetches(ctx);
    }

    /// The driver has closed it.
    pub(crate) fn closed(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) {
        self.close(ctx, conn);
        self.forget(ctx, conn);
    }

    fn forget(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) {
        ctx.timers.clear(Timer::Connection(conn));
        ctx.conns.remove(conn);
        ctx.after.review_leaving = true;
    }

    /// Closes a connection, whatever it was about.
    pub(crate) fn close(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) {
        match ctx.side(conn) {
            Some(Side::Serving(_)) => self.end_serving(ctx, conn, "the connection ended"),
            Some(Side::ChunkRequest(_)) => self.break_request(ctx, conn, BrokenWhy::Failed),
            Some(Side::Closing) | None => {}
        }
    }

    /// A connection's deadline may have come.
    pub(crate) fn review(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) {
        let next = match ctx.side(conn) {
            Some(Side::Serving(_)) => self.review_serving(ctx, conn),
            Some(Side::ChunkRequest(_)) => self.review_request(ctx, conn),
            Some(Side::Closing) | None => None,
        };
        if let Some(next) = next {
            ctx.timers.set(Timer::Connection(conn), next.max(ctx.now + Duration::from_millis(1)));
        }
    }

    /// Whether somebody is being served, or a file is being joined, that a peer that leaves waits for.
    pub(crate) fn is_busy<'c>(&self, mut all: impl Iterator<Item = (ConnId, &'c Conversation)>) -> bool {
        !self.fetches.is_empty() || all.any(|(_, conversation)| conversation.is_serving())
    }

    /// Every fetch ends, but for those whose file will be there in a moment, and who is not being served goes. Nothing more is
    /// announced: the lists of classic peers do not forget.
    pub(crate) fn leave(&mut self, ctx: &mut Ctx<'_>) {
        self.outbox.clear();
        ctx.timers.clear(Timer::ClassicDatagram);
        self.cancel_fetches(ctx);
        let idle = ctx.conns.iter().filter(|(_, conversation)| !conversation.is_serving());
        let idle: Vec<ConnId> = idle.map(|(conn, _)| conn).collect();
        idle.into_iter().for_each(|conn| self.close(ctx, conn));
    }

    /// Closes every connection.
    pub(crate) fn close_all(&mut self, ctx: &mut Ctx<'_>) {
        let all: Vec<ConnId> = ctx.conns.iter().map(|(conn, _)| conn).collect();
        all.into_iter().for_each(|conn| self.close(ctx, conn));
    }

    /// What classic peers offer, in the order of names.
    pub(crate) fn contents(&self) -> Vec<ClassicContent> {
        self.directory.contents()
    }

    /// Panics when the state of the classic dialects does not hang together.
    pub(crate) fn check<'c>(
        &self,
        spools: &Spools,
        uploads: &Uploader,
        all: impl Iterator<Item = (ConnId, &'c Conversation)>,
    ) {
        self.directory.check();
        self.catalogue.check();
        assert!(self.fetches.spools().all(|spool| spools.contains(spool)), "spools are in use");
        let (mut served, mut asks) = (BTreeSet::new(), BTreeSet::new());
        for (conn, conversation) in all {
            match &conversation.side {
                Side::Serving(serving) => {
                    served.insert((conversation.transport.addr.ip(), conn));
                    assert_eq!(
                        uploads.queued(conn),
                        usize::from(serving.request().is_some()),
                        "{conn} waits"
                    );
                }
                Side::ChunkRequest(request) => _ = asks.insert((conn, request.ticket, request.index)),
                Side::Closing => {}
            }
        }
        assert_eq!(self.served, served, "connections that are served");
        let attempts = self.fetches.attempts();
        let asked = attempts.filter_map(|(ticket, index, attempt)| Some((attempt.conn?, ticket, index)));
        assert_eq!(asks, asked.collect(), "connections on which chunks are asked for");
    }

    /// How many connections of an address are served.
    fn served_of(&self, ip: IpAddr) -> usize {
        let first = ConnId { slot: 0, generation: 0 };
        let last = ConnId { slot: u32::MAX, generation: u32::MAX };
        self.served.range((ip, first)..=(ip, last)).count()
    }
}

impl Ctx<'_> {
    fn tell(&mut self, event: ClassicEvent) {
        self.outputs.event(Event::Classic(event));
    }

    fn store(&mut self, job: ClassicJob) {
        self.outputs.push(Output::Store(StoreJob::Classic(job)));
    }

    fn write_spool(&mut self, spool: SpoolId, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.store(ClassicJob::WriteSpool { spool, bytes });
        }
    }

    fn drop_spool(&mut self, spool: SpoolId) {
        self.spools.free(spool);
        self.store(ClassicJob::DropSpool { spool });
    }

    fn side(&mut self, conn: ConnId) -> Option<&mut Side> {
        Some(&mut self.conns.get_mut(conn)?.side)
    }

    /// Tells the driver to visit a connection that has something to send, to read or to close.
    pub(crate) fn rouse(&mut self, conn: ConnId) {
        if let Some(conversation) = self.conns.get_mut(conn) {
            conversation.transport.asleep = false;
            self.outputs.push(Output::Wake(conn));
        }
    }

    /// Nothing more is said on a connection; the driver closes it.
    fn end(&mut self, conn: ConnId) {
        self.timers.clear(Timer::Connection(conn));
        let Some(conversation) = self.conns.get_mut(conn) else { return };
        let is_closing = matches!(conversation.side, Side::Closing);
        conversation.side = Side::Closing;
        if !is_closing && !conversation.transport.gone {
            self.rouse(conn);
        }
    }
}
