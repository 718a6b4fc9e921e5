//! The one poll loop: what a turn consists of, and in which order.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Poll, Token, Waker};

use crate::core::status::{DownloadStatus, NeighboursStatus};
use crate::core::{
    BrokenWhy, ClassicConfig, Command, Config, ConnId, Event, Fault, ForeignConfig, HttpConfig, Input, Peer,
    Status,
};
use crate::shell::clock::{Clock, random_seed};
use crate::shell::config::{ShellConfig, ShellError, ShellEvent};
use crate::shell::datagrams::{self, Discovery, Received, Speech};
use crate::shell::descriptors;
use crate::shell::ears::{EARS_MAX, Ears, Heard};
use crate::shell::host;
use crate::shell::ifaces::Choice;
use crate::shell::links::Links;
use crate::shell::listeners::{LISTENERS_MAX, Listeners};
use crate::shell::signals::Signals;
use crate::shell::writing::why_broken;
use crate::store::{Buffers, Store};
use crate::types::{Bitfield, ContentId, Geometry};
use crate::wire::push::NAMED_LOG;

const SIGNALS: Token = Token(0);
const STORE: Token = Token(1);
const LISTENERS: Token = Token(2);
const EARS: Token = Token(LISTENERS.0 + LISTENERS_MAX);
const DISCOVERY: Token = Token(EARS.0 + EARS_MAX);
const LINKS: Token = Token(DISCOVERY.0 + datagrams::TOKENS);

/// Events that one look at the sockets takes; what waits beyond comes with the next.
const EVENTS_MAX: usize = 1024;
/// Memory that all connections read into before it is known whose bytes these are. Large enough for several small
/// chunks at once, small enough to stay in the processor's cache.
const SCRATCH_BYTES: usize = 128 << 10;
/// Connections accepted in a turn at one port.
const ACCEPT_BUDGET: usize = 64;
/// Datagrams taken in a turn.
const DATAGRAM_BUDGET: usize = 256;
/// Of a datagram, so much is looked at: more than the longest that counts, so that a longer one is seen to be longer.
const DATAGRAM_LOOK_BYTES: usize = 2048;
/// Datagrams of the classic dialects taken in a turn.
const EAR_BUDGET: usize = 64;
/// Of those, so much is looked at: all there can be.
const EAR_LOOK_BYTES: usize = 64 << 10;
/// Once connections have moved so many bytes in a turn, deadlines and datagrams come first again.
const TURN_BYTES: usize = 8 << 20;
/// So many sockets are visited in a turn: when thousands say hello at once, the others' turn comes between them.
const TURN_VISITS: usize = 256;
/// A turn that keeps the loop from its sockets for longer is told of, if none was longer before.
const TURN_TOLD: Duration = Duration::from_millis(20);
/// So many events for people have room without asking for memory.
const EVENTS_KEPT: usize = 256;
/// How often the host's interfaces are listed anew.
const IFACE_INTERVAL: Duration = Duration::from_secs(5);
/// How long a peer that has left waits for the tails of its connections to arrive.
const LEAVE_LINGER_MAX: Duration = Duration::from_millis(500);

/// The peer on real sockets, files and time: one poll loop.
pub struct Reactor {
    pub(super) peer: Peer,
    pub(super) store: Store,
    pub(super) buffers: Buffers,
    pub(super) clock: Clock,
    pub(super) links: Links,
    pub(super) discovery: Discovery,
    /// Whether there are sockets for datagrams at all.
    speaks_datagrams: bool,
    pub(super) bind: Option<IpAddr>,
    pub(super) scratch: Vec<u8>,
    pub(super) happened: VecDeque<ShellEvent>,
    /// Dials that failed before they began; the core hears of them once it is drained.
    pub(super) failed_dials: VecDeque<(ConnId, BrokenWhy)>,
    /// Bytes that connections moved in this turn.
    pub(super) moved_bytes: usize,
    poll: Poll,
    events: Events,
    listeners: Listeners,
    ears: Ears,
    signals: Signals,
    signalled: bool,
    ifaces_due: Instant,
    /// The core has left; people hear so when the last tail is out, or by then.
    left_by: Option<Instant>,
    longest_turn: Duration,
}

impl Drop for Reactor {
    fn drop(&mut self) {
        log::info!("the longest turn of the loop took {:.1} ms", self.longest_turn.as_secs_f64() * 1e3);
    }
}

impl Reactor {
    /// Binds the ports, opens the store, starts the peer.
    pub fn new(config: ShellConfig) -> Result<Reactor, ShellError> {
        let poll = Poll::new().map_err(|error| no_loop(&error))?;
        let mut limits = config.limits;
        let open_max = descriptors::raise_limit();
        let wished = limits.connections_max;
        limits.connections_max = descriptors::connections_max(wished, open_max);
        if limits.connections_max < wished {
            log::info!(
                "at most {} connections instead of {wished}: `ulimit -Hn {}` allows all",
                limits.connections_max,
                wished * 2
            );
        }

        let (classic, mut warnings) = (config.classic.as_ref(), Vec::new());
        let mut listeners = Listeners::bind(
            config.bind,
            config.listen,
            classic,
            config.foreign.as_ref(),
            LISTENERS,
            &mut warnings,
        )?;
        listeners.register(poll.registry()).map_err(|error| no_loop(&error))?;
        let broadcasts = !config.no_broadcast;
        let ears = Ears::open(poll.registry(), config.bind, broadcasts, classic, EARS, &mut warnings)?;
        let signals = Signals::new(poll.registry(), SIGNALS).map_err(|error| no_loop(&error))?;
        let waker = Arc::new(Waker::new(poll.registry(), STORE).map_err(|error| no_loop(&error))?);

        let own_addresses = host::own_addresses(config.bind);
        let choice = Choice { ifaces: config.ifaces, bind: config.bind, broadcast: config.broadcast };
        let mut discovery = Discovery::new(
            choice,
            Speech { port: config.port, native: config.discovers, broadcasts },
            config.peers.iter().map(SocketAddr::ip).collect(),
            DISCOVERY,
        );
        let speaks_datagrams = config.discovers || config.classic.is_some();
        if speaks_datagrams {
            discovery.refresh(poll.registry());
        }
        let speaks_v4 = config.bind.is_none_or(|ip| ip.is_ipv4());
        if speaks_datagrams && discovery.networks() == 0 && config.peers.is_empty() && speaks_v4 {
            return Err(ShellError::Network(discovery.no_network()));
        }

        let mut store = Store::open(config.store).map_err(ShellError::Storage)?;
        if config.foreign.is_some() {
            store.reserve_name(NAMED_LOG);
        }
        store.on_result(Box::new(move || {
            if let Err(error) = waker.wake() {
                log::debug!("a result of the store waits for the next turn: {error}");
            }
        }));

        let clock = Clock::new();
        let buffers = Buffers::new(usize::try_from(limits.buffer_pool_bytes).unwrap_or(usize::MAX));
        let peer_config = Config {
            user: config.user,
            tcp_port: listeners.native_port(),
            announce_interval: config.announce_interval,
            discovers: config.discovers,
            topology: config.topology,
            broadcast: broadcasts,
            classic: config
                .classic
                .map(|classic| ClassicConfig { doors: listeners.doors().clone(), ..classic.config }),
            http: config.http.then(|| HttpConfig { names: host::names() }),
            foreign: config.foreign.map(|foreign| ForeignConfig {
                doors: listeners.push_doors().iter().copied().collect(),
                ..foreign.config
            }),
            fixed_peers: config.peers,
            own_addresses,
            agent: concat!("chunkcast/", env!("CARGO_PKG_VERSION")).to_owned(),
            limits,
        };
        let peer = Peer::new(peer_config, config.seed.unwrap_or_else(random_seed), clock.now());
        let registry = poll.registry().try_clone().map_err(|error| no_loop(&error))?;
        let links = Links::new(registry, LINKS, descriptors::lingering_max(open_max));
        let mut reactor = Reactor {
            peer,
            store,
            buffers,
            clock,
            links,
            discovery,
            speaks_datagrams,
            bind: config.bind,
            scratch: vec![0; SCRATCH_BYTES],
            happened: VecDeque::new(),
            failed_dials: VecDeque::new(),
            moved_bytes: 0,
            poll,
            events: Events::with_capacity(EVENTS_MAX),
            listeners,
            ears,
            signals,
            signalled: false,
            ifaces_due: Instant::now() + IFACE_INTERVAL,
            left_by: None,
            longest_turn: Duration::ZERO,
        };
        if !reactor.discovery.hears() {
            let port = config.port;
            warnings.push(format!("UDP port {port} is taken: other peers are not heard until it is free"));
        }
        let warnings = warnings.into_iter().map(|text| ShellEvent::Core(Event::Warning(text)));
        reactor.happened.extend(warnings);
        reactor.drain();
        Ok(reactor)
    }

    /// The TCP port on which native peers are taken in; 0: on none.
    pub fn tcp_port(&self) -> u16 {
        self.listeners.native_port()
    }

    /// The TCP ports on which classic peers are taken in, each with the dialects' own port that it stands in for.
    pub fn classic_tcp_ports(&self) -> Vec<(u16, u16)> {
        self.listeners.doors().iter().map(|(local, dialects)| (*local, *dialects)).collect()
    }

    /// The TCP ports on which pushes in the field's dialects are taken in, in the order of the settings, each with whether a
    /// digit begins the named form there.
    pub fn push_ports(&self) -> Vec<(u16, bool)> {
        self.listeners.push_doors().to_vec()
    }

    /// The UDP ports on which classic peers are heard.
    pub fn classic_udp_ports(&self) -> Vec<u16> {
        self.ears.ports()
    }

    /// The addresses of this host in the networks that it finds peers in.
    pub fn addresses(&self) -> Vec<IpAddr> {
        self.discovery.addresses()
    }

    /// Shares a file, or all files below a folder, each once nobody has written to it for two seconds.
    pub fn share_when_quiet(&mut self, path: &Path) -> Result<(), Fault> {
        self.store.share_when_quiet(path)?;
        self.drain();
        Ok(())
    }

    /// Shares a file, or all files below a folder.
    pub fn share(&mut self, path: &Path) -> Result<(), Fault> {
        self.store.share(path)?;
        self.drain();
        Ok(())
    }

    /// Shares all files below a folder, and looks about every `interval` for what changed there.
    pub fn watch(&mut self, path: &Path, interval: Duration) -> Result<(), Fault> {
        self.store.watch(path, interval)?;
        self.drain();
        Ok(())
    }

    /// Looks at the watched folders as soon as possible, and tries again what was left out.
    pub fn rescan(&mut self) {
        self.store.rescan();
    }

    /// Opens the folder that downloads go to, before the first of them.
    pub fn open_target(&mut self) -> Result<(), Fault> {
        self.store.open_target()
    }

    /// The bytes that may still be written where downloads go, if that is told.
    pub fn free_bytes(&mut self) -> Option<u64> {
        self.store.free_bytes()
    }

    /// How far the file is that is being hashed to be shared: its name, its bytes that are, and all of them.
    pub fn hashing(&self) -> Option<(String, u64, u64)> {
        self.store.hashing()
    }

    /// The bytes of all files served from below the folder at `path`.
    pub fn bytes_below(&self, path: &Path) -> u64 {
        self.store.bytes_below(path)
    }

    /// Hands a command to the core.
    pub fn command(&mut self, command: Command) {
        let now = self.clock.now();
        self.peer.handle(now, Input::Command(command));
        self.drain();
    }

    /// One turn of the loop: waits for something to happen, at most until `until` (`None`: as long as it takes), and
    /// does what follows from it. Then drain [`Reactor::next_event`].
    pub fn turn(&mut self, until: Option<Instant>) -> Result<(), ShellError> {
        self.store.flush();
        let timeout = self.timeout(until);
        match self.poll.poll(&mut self.events, timeout) {
            Ok(()) => self.note_readiness(),
            // A signal; its pipe tells at the next look.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(no_loop(&error)),
        }
        let began = Instant::now();
        self.moved_bytes = 0;
        self.take_signals();
        self.drain();
        self.take_connections(began);
        self.take_datagrams();
        self.listen_to_ears();
        self.serve_links();
        if self.store.has_work() {
            self.store.step();
            self.drain();
        }
        self.look_at_clocks();
        self.note_turn(began.elapsed());
        Ok(())
    }

    /// The next event of the past turns.
    pub fn next_event(&mut self) -> Option<ShellEvent> {
        let event = self.happened.pop_front();
        if event.is_none() {
            self.happened.shrink_to(EVENTS_KEPT);
        }
        event
    }

    /// How far the downloads are that are not over and whose turn has come, in the order they were begun.
    pub fn downloads(&self) -> Vec<DownloadStatus> {
        self.peer.downloads()
    }

    /// How many peers a connection stands to.
    pub fn connected(&self) -> usize {
        self.peer.connected()
    }

    /// How an arrangement of neighbours stands; `None` in a mesh.
    pub fn neighbours(&self) -> Option<NeighboursStatus> {
        self.peer.neighbours()
    }

    /// Bytes that pushes in the dialects of the field have taken in, or are let take in.
    pub fn foreign_bytes(&self) -> u64 {
        self.peer.foreign_bytes()
    }

    /// The cut of a content that is here, wholly or in part, and which of its chunks are.
    pub fn held(&self, content: &ContentId) -> Option<(Geometry, Bitfield)> {
        self.peer.held(content)
    }

    /// Reads a chunk that is here into `into`, whose length it then has.
    pub fn read_chunk(
        &mut self,
        content: &ContentId,
        cut: &Geometry,
        chunk: u32,
        into: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        self.store.read_chunk(content, cut, chunk, into)
    }

    /// A snapshot for people.
    pub fn status(&self) -> Status {
        let mut status = self.peer.status(self.clock.now());
        let micros = u64::try_from(self.longest_turn.as_micros()).unwrap_or(u64::MAX);
        status.counters.extend([
            ("longest turn in microseconds", micros),
            ("datagrams from outside the networks", self.discovery.foreign),
            ("datagrams not sent", self.discovery.unsent),
            ("failures to accept", self.listeners.failures()),
            ("connections closed for lack of descriptors", self.listeners.turned_away()),
        ]);
        status
    }

    /// How long the loop was away from its sockets at most.
    pub fn longest_turn(&self) -> Duration {
        self.longest_turn
    }

    /// The core has left. The process may end with the event that says so, so it waits for the last tails.
    pub(super) fn leave(&mut self) {
        self.left_by = Some(Instant::now() + LEAVE_LINGER_MAX);
    }

    /// How long to wait for events.
    fn timeout(&self, until: Option<Instant>) -> Option<Duration> {
        let now = Instant::now();
        let is_due = self.store.has_work()
            || !self.happened.is_empty()
            || !self.links.ready.is_empty()
            || self.discovery.is_ready()
            || self.ears.is_ready()
            || self.listeners.is_ready(now)
            || (self.left_by.is_some() && self.links.lingering() == 0);
        if is_due {
            return Some(Duration::ZERO);
        }
        let core = self.peer.deadline().and_then(|(time, _)| self.clock.instant(time));
        let deadlines = [
            until,
            core,
            self.listeners.deadline(),
            self.links.deadline(),
            self.left_by,
            self.speaks_datagrams.then_some(self.ifaces_due),
            self.store.deadline(),
        ];
        deadlines.into_iter().flatten().min().map(|deadline| deadline.saturating_duration_since(now))
    }

    fn note_turn(&mut self, took: Duration) {
        if took > self.longest_turn {
            self.longest_turn = took;
            if took > TURN_TOLD {
                log::info!("the longest turn of the loop so far: {} ms", took.as_millis());
            }
        }
    }

    /// Keeps what the events say; nothing else happens while they are looked at.
    fn note_readiness(&mut self) {
        for event in &self.events {
            match event.token() {
                SIGNALS => self.signalled = true,
                // The store is drained in every turn.
                STORE => {}
                token if token < EARS => self.listeners.set_ready(token),
                token if token < DISCOVERY => self.ears.set_ready(token),
                token if token < LINKS => self.discovery.set_ready(token),
                _ => self.links.set_ready(event),
            }
        }
    }

    fn take_signals(&mut self) {
        if std::mem::take(&mut self.signalled) {
            self.happened.extend(self.signals.pending().map(ShellEvent::Signal));
        }
    }

    fn take_connections(&mut self, now: Instant) {
        for at in 0..self.listeners.len() {
            for _ in 0..ACCEPT_BUDGET {
                let Some((stream, from, port)) = self.listeners.accept(at, now) else { break };
                if self.discovery.admits(from.ip()) {
                    self.take_connection(stream, from, port);
                }
            }
        }
    }

    fn take_connection(&mut self, stream: TcpStream, from: SocketAddr, port: u16) {
        if let Some(conn) = self.peer.accepted(self.clock.now(), from, port) {
            let added = if self.listeners.doors().contains_key(&port) {
                self.links.accept_whole(conn, stream)
            } else {
                self.links.accept(conn, stream)
            };
            if let Err(error) = added {
                self.failed_dials.push_back((conn, why_broken(&error)));
            }
        }
        self.drain();
    }

    fn take_datagrams(&mut self) {
        for _ in 0..DATAGRAM_BUDGET {
            match self.discovery.receive(&mut self.scratch[..DATAGRAM_LOOK_BYTES]) {
                Received::Datagram { iface, from, len } => {
                    let now = self.clock.now();
                    self.peer.handle(now, Input::Datagram { iface, from, bytes: &self.scratch[..len] });
                    self.drain();
                }
                Received::Dropped => {}
                Received::Nothing => return,
            }
        }
    }

    fn listen_to_ears(&mut self) {
        for _ in 0..EAR_BUDGET {
            match self.ears.receive(&mut self.scratch[..EAR_LOOK_BYTES]) {
                Heard::Datagram { port, from, len } => {
                    if self.discovery.counts(from) {
                        let (now, bytes) = (self.clock.now(), &self.scratch[..len]);
                        self.peer.handle(now, Input::ClassicDatagram { port, from, bytes });
                        self.drain();
                    }
                }
                Heard::Lost => {}
                Heard::Nothing => return,
            }
        }
    }

    /// One visit to each socket that is ready, unless the turn grows too long.
    fn serve_links(&mut self) {
        for _ in 0..self.links.ready.len().min(TURN_VISITS) {
            if self.moved_bytes >= TURN_BYTES {
                return;
            }
            if let Some(key) = self.links.ready.pop() {
                self.visit(key);
            }
        }
    }

    /// Does what is due by now, whether or not the wait for events timed out.
    fn look_at_clocks(&mut self) {
        let now = Instant::now();
        self.links.expire(now);
        if self.speaks_datagrams && self.ifaces_due <= now {
            self.ifaces_due = now + IFACE_INTERVAL;
            self.discovery.refresh(self.poll.registry());
            self.ears.refresh(self.poll.registry());
            let own_addresses = host::own_addresses(self.bind);
            if !own_addresses.is_empty() {
                self.peer.set_own_addresses(own_addresses);
            }
        }
        let time = self.clock.now();
        if self.peer.deadline().is_some_and(|(due, _)| due <= time) {
            self.peer.handle(time, Input::Tick);
            self.drain();
        }
        if self.left_by.is_some_and(|by| by <= now || self.links.lingering() == 0) {
            self.left_by = None;
            self.happened.push_back(ShellEvent::Core(Event::Left));
        }
    }
}

impl fmt::Debug for Reactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor")
            .field("listeners", &self.listeners)
            .field("ears", &self.ears)
            .field("discovery", &self.discovery)
            .field("links", &self.links)
            .finish_non_exhaustive()
    }
}

fn no_loop(error: &io::Error) -> ShellError {
    ShellError::Network(format!("the system does not let this process wait for its sockets: {error}"))
}
