//! The peer: owns every role, routes each input to the flow that concerns it, and nothing more.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::core::announcer::Announcer;
use crate::core::assigner::Assigner;
use crate::core::bitfield::Bitfield;
use crate::core::catalogue::Catalogue;
use crate::core::classic::Classic;
use crate::core::connections::Connections;
use crate::core::counters::Counters;
use crate::core::dealer::Dealer;
use crate::core::dialer::Dialer;
use crate::core::directory::Directory;
use crate::core::door::{
    ClassicConfig, Command, ConnId, Event, Expect, ForeignConfig, HttpConfig, Input, Output, Segment,
};
use crate::core::downloader::Downloader;
use crate::core::flow::idle::Idleness;
use crate::core::flow::leave::Leaving;
use crate::core::flow::look::Sought;
use crate::core::geometry::Geometry;
use crate::core::http::Readers;
use crate::core::id::{ContentId, PeerId};
use crate::core::limits::Limits;
use crate::core::links::Links;
use crate::core::looks::Looks;
use crate::core::mirror::Mirror;
use crate::core::neighbourhood::Neighbourhood;
use crate::core::push::Pushes;
use crate::core::pusher::Pusher;
use crate::core::rates::{Allowance, Rates};
use crate::core::rng::Rng;
use crate::core::searches::{Purpose, Searches};
use crate::core::sorted::SortedMap;
use crate::core::spools::Spools;
use crate::core::status::{DownloadStatus, NeighboursStatus, Status};
use crate::core::time::Time;
use crate::core::timers::{Timer, Timers};
use crate::core::topology::Topology;
use crate::core::uploader::Uploader;
use crate::wire::push::Outgoing;

/// What a peer is told at its start.
#[derive(Debug, Clone)]
#[repr(C)]
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

/// So many instructions have room without asking for memory.
const OUTPUTS_KEPT: usize = 1_024;

/// An instruction that waits for the driver. By far the most wake a connection, which is small; so those that are not
/// lie elsewhere.
#[derive(Debug)]
enum Queued {
    Wake(ConnId),
    Other(Box<Output>),
}

/// A chunkcast peer without sockets, files, clock or threads. What nearly every input touches stands together at the beginning:
/// where a thousand peers take turns, as in simulations, hardly any of it is in the processor's cache.
#[derive(Debug)]
#[repr(C)]
pub struct Peer {
    outputs: VecDeque<Queued>,
    pub(in crate::core) timers: Timers,
    pub(in crate::core) connections: Connections,
    pub(in crate::core) catalogue: Catalogue,
    pub(in crate::core) downloader: Downloader,
    /// What is assigned, chunk by chunk, to those who want it of a seed.
    pub(in crate::core) assigners: SortedMap<ContentId, Assigner>,
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
    pub(in crate::core) classic: Classic,
    pub(in crate::core) readers: Readers,
    /// What is pushed here, and from here, in the dialects of the field.
    pub(in crate::core) pushes: Pushes,
    pub(in crate::core) spools: Spools,
    /// The rhythm of announcements in the classic dialects.
    pub(in crate::core) classic_announcer: Announcer,
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
    pub(in crate::core) dealers: SortedMap<ContentId, Dealer>,
    pub(in crate::core) counters: Counters,
}

impl Peer {
    /// A peer that begins at `now`; all its randomness comes from `seed`.
    pub fn new(config: Config, seed: u64, now: Time) -> Peer {
        let mut rng = Rng::new(seed);
        let limits = config.limits.clone();
        let broadcasts = config.broadcast && config.discovers;
        let announcer = Announcer::new(config.announce_interval, limits.clone(), broadcasts, now, &mut rng);
        let classic_interval =
            config.classic.as_ref().map_or(config.announce_interval, |c| c.announce_interval);
        let classic_announcer = Announcer::new(classic_interval, limits.clone(), broadcasts, now, &mut rng);
        let mut timers = Timers::default();
        if config.classic.as_ref().is_some_and(|classic| !classic.voices.is_empty()) {
            timers.set(Timer::ClassicAnnounce, classic_announcer.next_round());
        }
        if config.discovers {
            timers.set(Timer::Announce, announcer.next_round());
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
            classic: Classic::new(&limits),
            readers: Readers::default(),
            pushes: Pushes::default(),
            spools: Spools::default(),
            classic_announcer,
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
            dealers: SortedMap::new(),
            assigners: SortedMap::new(),
            idleness: Idleness::default(),
            leaving: None,
            counters: Counters::default(),
            outputs: VecDeque::new(),
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
        let is_classic = |conn: ConnId| self.connections.classic(conn).is_some();
        let is_http = |conn: ConnId| self.connections.http(conn).is_some();
        let is_push = |conn: ConnId| self.connections.push(conn).is_some();
        match input {
            Input::Datagram { iface, from, bytes } => self.on_datagram(now, iface, from, bytes),
            Input::ClassicDatagram { from, bytes, .. } => self.on_classic_datagram(now, from, bytes),
            Input::Connected { conn } if is_classic(conn) => self.on_classic_connected(now, conn),
            Input::Connected { conn } if is_push(conn) => self.on_push_connected(now, conn),
            Input::Connected { conn } => self.on_connected(now, conn),
            Input::EndOfStream { conn } if is_classic(conn) => self.on_classic_end(now, conn),
            Input::EndOfStream { conn } if is_http(conn) => self.on_http_end(now, conn),
            Input::EndOfStream { conn } if is_push(conn) => self.on_push_end(now, conn),
            Input::EndOfStream { conn } => self.on_end_of_stream(now, conn),
            Input::Broken { conn, why } if is_classic(conn) => self.on_classic_broken(now, conn, why),
            Input::Broken { conn, .. } | Input::Closed { conn } if is_http(conn) => {
                self.on_http_broken(now, conn);
            }
            Input::Broken { conn, why } if is_push(conn) => self.on_push_broken(now, conn, why),
            Input::Broken { conn, why } => self.on_broken(now, conn, why),
            Input::Closed { conn } if is_classic(conn) => self.on_classic_closed(now, conn),
            Input::Closed { conn } if is_push(conn) => self.on_push_closed(now, conn),
            Input::Closed { conn } => self.on_closed(now, conn),
            Input::SpanFailed { conn, source, why } if is_classic(conn) => {
                self.on_classic_span_failed(conn, source, why)
            }
            Input::SpanFailed { conn, why, .. } if is_http(conn) => self.on_http_span_failed(now, conn, why),
            Input::SpanFailed { conn, why, .. } if is_push(conn) => self.on_push_span_failed(conn, why),
            Input::SpanFailed { conn, source, why } => self.on_span_failed(now, conn, source, why),
            Input::Stored(reply) => self.on_stored(now, reply),
            Input::Command(command) => self.on_command(now, command),
            Input::Tick => {}
        }
        self.run_timers(now);
    }

    /// A connection came in on `local_port`; `None`: refuse it (close it at once). Drain [`Peer::poll`] afterwards.
    pub fn accepted(&mut self, now: Time, from: SocketAddr, local_port: u16) -> Option<ConnId> {
        let conn = match (self.push_door(local_port), self.classic_door(local_port)) {
            (Some(is_named), _) => self.on_push_accepted(now, from, is_named),
            (None, Some(tcp_port)) => self.on_classic_accepted(now, from, tcp_port),
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
        let native = self.connections.get(conn).map(|connection| connection.expects());
        let classic = || self.connections.classic(conn).map(|conversation| conversation.expects());
        let http = || self.connections.http(conn).map(|reader| reader.expects());
        let push = || self.connections.push(conn).map(|push| push.expects());
        native.or_else(classic).or_else(http).or_else(push).unwrap_or(Expect::Nothing)
    }

    /// Hands over control bytes; returns how many the core took. What is left over is payload (ask
    /// [`Peer::expects`]), or must not be read any more; or, where control bytes are still expected, it waits until other
    /// connections had their turn, because [`Limits::frames_at_once_max`] frames were handled. Drain [`Peer::poll`] afterwards.
    pub fn received(&mut self, now: Time, conn: ConnId, bytes: &[u8]) -> usize {
        if self.connections.get(conn).is_some() {
            self.on_bytes(now, conn, bytes)
        } else if self.connections.classic(conn).is_some() {
            self.on_classic_bytes(now, conn, bytes)
        } else if self.connections.http(conn).is_some() {
            self.on_http_bytes(now, conn, bytes)
        } else if self.connections.push(conn).is_some() {
            self.on_push_bytes(now, conn, bytes)
        } else {
            0
        }
    }

    /// So many payload bytes went into the sink. Drain [`Peer::poll`] afterwards.
    pub fn stored(&mut self, now: Time, conn: ConnId, bytes: u64) {
        if self.connections.get(conn).is_some() {
            self.on_payload(now, conn, bytes);
        } else if self.connections.push(conn).is_some() {
            self.on_push_payload(now, conn, bytes);
        } else if self.connections.classic(conn).is_some() {
            self.on_classic_payload(now, conn, bytes);
        }
    }

    /// What a connection wants to send next: a look. Frames are made when they are pulled, so this may encode some
    /// into the connection's outbox; asking again gives the same answer until `sent` or another mutation.
    pub fn next_segment(&mut self, now: Time, conn: ConnId) -> Segment<'_> {
        self.refill(now, conn);
        if self.connections.get(conn).is_none() {
            return self.next_segment_of_others(now, conn);
        }
        let Some(connection) = self.connections.get_mut(conn) else { return Segment::Nothing };
        connection.asleep = matches!(connection.segment(), Segment::Nothing);
        connection.segment()
    }

    /// The same for connections that are not native.
    fn next_segment_of_others(&mut self, now: Time, conn: ConnId) -> Segment<'_> {
        self.refill_http(now, conn);
        if let Some(conversation) = self.connections.classic_mut(conn) {
            conversation.asleep = matches!(conversation.segment(conn), Segment::Nothing);
        } else if let Some(reader) = self.connections.http_mut(conn) {
            reader.asleep = matches!(reader.segment(), Segment::Nothing);
        } else if let Some(push) = self.connections.push_mut(conn) {
            push.asleep = matches!(push.segment(), Segment::Nothing);
        }
        let classic = self.connections.classic(conn).map(|conversation| conversation.segment(conn));
        let http = || self.connections.http(conn).map(|reader| reader.segment());
        let push = || self.connections.push(conn).map(|push| push.segment());
        classic.or_else(http).or_else(push).unwrap_or(Segment::Nothing)
    }

    /// What this host's link carries, in bytes a second, as far as uploads have shown.
    pub fn carries(&self) -> Option<u64> {
        self.uploader.carries()
    }

    /// So many bytes of the segment are in the kernel (1 for [`Segment::HalfClose`] once it is done). Drain
    /// [`Peer::poll`] afterwards.
    pub fn sent(&mut self, now: Time, conn: ConnId, bytes: u64) {
        if self.connections.get(conn).is_some() {
            self.on_sent(now, conn, bytes);
        } else if self.connections.classic(conn).is_some() {
            self.on_classic_sent(now, conn, bytes);
        } else if self.connections.http(conn).is_some() {
            self.on_http_sent(now, conn, bytes);
        } else if self.connections.push(conn).is_some() {
            self.on_push_sent(now, conn, bytes);
        }
    }

    /// The next instruction; call until `None` after every mutation.
    pub fn poll(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front();
        if output.is_none() {
            // The next begins at the start of the memory again, instead of wandering through all of it; and a burst, as
            // when a pattern matches thousands, must not keep its memory.
            self.outputs.clear();
            self.outputs.shrink_to(OUTPUTS_KEPT);
        }
        output.map(|output| match output {
            Queued::Wake(conn) => Output::Wake(conn),
            Queued::Other(output) => *output,
        })
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
        self.pushes.taken_bytes
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
            classic: self.classic_contents(),
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
        self.check_classic();
        self.check_http();
        self.check_pushes();
    }

    pub(in crate::core) fn output(&mut self, output: Output) {
        self.outputs.push_back(match output {
            Output::Wake(conn) => Queued::Wake(conn),
            output => Queued::Other(Box::new(output)),
        });
    }

    pub(in crate::core) fn event(&mut self, event: Event) {
        self.output(Output::Event(event));
    }

    fn on_command(&mut self, now: Time, command: Command) {
        match command {
            Command::Get { ticket, wanted, at, layout, wait, stall } => {
                self.on_get(now, Purpose::Get { ticket, at, layout, stall }, wanted, wait)
            }
            Command::GetClassic { ticket, name, wait } => self.on_get_classic(now, ticket, name, wait),
            Command::Mirror { ticket, wanted, room_bytes } => self.on_mirror(now, ticket, wanted, room_bytes),
            Command::Offer { ticket, content, name, to, wait } => {
                self.on_offer_command(now, ticket, content, name, to, wait);
            }
            Command::Receive => self.on_receive_command(),
            Command::Answer { offer, decision, ticket, stall } => {
                self.on_answer_command(now, offer, decision, ticket, stall);
            }
            Command::SendForeign { ticket, to, form, content, name, sender } => {
                self.on_send_foreign(now, ticket, to, content, Outgoing { form, sender, name, size: 0 })
            }
            Command::AnswerForeign { push, accept } => self.on_answer_foreign(now, push, accept),
            Command::LimitForeign { quota_bytes } => self.on_limit_foreign(quota_bytes),
            Command::Look { wanted, wait } => self.on_look(now, wanted, wait),
            Command::Cancel { content } => self.cancel_download(now, content),
            Command::Leave => self.on_leave(now),
        }
    }

    /// Deadlines are absolute and looked at with every input, not only when nothing else happens.
    fn run_timers(&mut self, now: Time) {
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::Connection(conn) if self.connections.classic(conn).is_some() => {
                    self.review_classic(now, conn);
                }
                Timer::Connection(conn) if self.connections.http(conn).is_some() => {
                    self.review_http(now, conn);
                }
                Timer::Connection(conn) if self.connections.push(conn).is_some() => {
                    self.review_push(now, conn)
                }
                Timer::Connection(conn) => self.review_connection(now, conn),
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
                Timer::ClassicAnnounce => self.begin_classic_round(now),
                Timer::ClassicExpiry => self.expire_classic(now),
                Timer::ClassicDictionary => self.keep_dictionary(now),
                Timer::ClassicFetch(ticket) => self.review_fetch(now, ticket),
                Timer::Look => self.look_on(now),
            }
        }
    }
}
