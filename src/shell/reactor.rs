//! The one poll loop: what a turn consists of, in which order, and how what the core says is carried out.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Poll, Token};

use crate::core::{BrokenWhy, Command, ConnId, Event, Fault, Input, Output, Peer, Status, StoreReply};
use crate::shell::clock::Clock;
use crate::shell::config::{Rates, ShellError, ShellEvent, no_loop};
use crate::shell::datagrams::{self, Discovery, Received};
use crate::shell::host;
use crate::shell::links::Links;
use crate::shell::listeners::{LISTENERS_MAX, Listeners};
use crate::shell::rate_limit::RateLimits;
use crate::shell::reading::why_broken;
use crate::shell::signals::Signals;
use crate::shell::udp_listeners::{UDP_LISTENERS_MAX, UdpListeners, UdpReceived};
use crate::store::{Buffers, Store, StoreEvent};

pub(super) const SIGNALS: Token = Token(0);
pub(super) const STORE: Token = Token(1);
pub(super) const LISTENERS: Token = Token(2);
pub(super) const UDP_LISTENERS: Token = Token(LISTENERS.0 + LISTENERS_MAX);
pub(super) const DISCOVERY: Token = Token(UDP_LISTENERS.0 + UDP_LISTENERS_MAX);
pub(super) const LINKS: Token = Token(DISCOVERY.0 + datagrams::TOKENS);

/// Events that one look at the sockets takes; what waits beyond comes with the next.
pub(super) const EVENTS_MAX: usize = 1024;
/// Memory that all connections read into before it is known whose bytes these are. Large enough for several small
/// chunks at once, small enough to stay in the processor's cache.
pub(super) const SCRATCH_BYTES: usize = 128 << 10;
/// Connections accepted in a turn at one port.
const ACCEPT_BUDGET: usize = 64;
/// Datagrams taken in a turn.
const DATAGRAM_BUDGET: usize = 256;
/// Of a datagram, so much is looked at: more than the longest that counts, so that a longer one is seen to be longer.
const DATAGRAM_LOOK_BYTES: usize = 2048;
/// Datagrams of the classic dialects taken in a turn.
const UDP_BUDGET: usize = 64;
/// Of those, so much is looked at: all there can be.
const UDP_LOOK_BYTES: usize = 64 << 10;
/// Once connections have moved so many bytes in a turn, deadlines and datagrams come first again.
const TURN_BYTES: usize = 8 << 20;
/// So many sockets are visited in a turn: when thousands say hello at once, the others' turn comes between them.
const TURN_VISITS: usize = 256;
/// A turn that keeps the loop from its sockets for longer is told of, if none was longer before.
const TURN_TOLD: Duration = Duration::from_millis(20);
/// So many events for people have room without asking for memory.
const EVENTS_KEPT: usize = 256;
/// How often the host's interfaces are listed anew.
pub(super) const IFACE_INTERVAL: Duration = Duration::from_secs(5);
/// How long a peer that has left waits for the tails of its connections to arrive.
const LEAVE_LINGER_MAX: Duration = Duration::from_millis(500);

/// The peer on real sockets, files and time: one poll loop.
///
/// A program gives it commands, turns it, and takes the events of each turn; the [crate's front page](crate) shows how.
/// SIGINT, SIGTERM and SIGHUP become [`ShellEvent::Signal`] as long as one of these is there.
pub struct Reactor {
    pub(super) peer: Peer,
    pub(crate) store: Store,
    pub(super) buffers: Buffers,
    pub(super) clock: Clock,
    pub(super) links: Links,
    pub(super) discovery: Discovery,
    /// Whether there are sockets for datagrams at all.
    pub(super) speaks_datagrams: bool,
    pub(super) bind: Option<IpAddr>,
    pub(super) scratch: Vec<u8>,
    pub(super) event_queue: VecDeque<ShellEvent>,
    /// Dials that failed before they began; the core hears of them once it is drained.
    pub(super) failed_dials: VecDeque<(ConnId, BrokenWhy)>,
    /// Bytes that connections moved in this turn.
    pub(super) moved_bytes: usize,
    pub(super) poll: Poll,
    pub(super) events: Events,
    pub(super) listeners: Listeners,
    pub(super) udp_listeners: UdpListeners,
    pub(super) signals: Signals,
    pub(super) signalled: bool,
    pub(super) ifaces_due: Instant,
    /// The core has left; people hear so when the last tail is out, or by then.
    pub(super) left_by: Option<Instant>,
    pub(super) longest_turn: Duration,
    pub(super) rates: RateLimits,
}

impl Drop for Reactor {
    fn drop(&mut self) {
        log::info!("the longest turn of the loop took {:.1} ms", self.longest_turn.as_secs_f64() * 1e3);
    }
}

impl Reactor {
    /// The TCP port on which native peers are taken in; 0: on none.
    pub fn tcp_port(&self) -> u16 {
        self.listeners.native_port
    }

    /// The TCP ports on which classic peers are taken in, each with the dialects' own port that it stands in for.
    pub fn classic_tcp_ports(&self) -> Vec<(u16, u16)> {
        self.listeners.ports.iter().map(|(local, dialects)| (*local, *dialects)).collect()
    }

    /// The TCP ports on which transfers are taken in, in the order of the settings, each with whether a
    /// digit begins the named form there.
    pub fn transfer_ports(&self) -> Vec<(u16, bool)> {
        self.listeners.transfer_ports.clone()
    }

    /// The addresses of this host in the networks that it finds peers in.
    pub fn addresses(&self) -> Vec<IpAddr> {
        self.discovery.addresses()
    }

    /// Shares a file, or all files below a folder, each once nobody has written to it for two seconds.
    ///
    /// # Errors
    ///
    /// The path cannot be read, or is neither file nor folder.
    pub fn share_when_quiet(&mut self, path: &Path) -> Result<(), Fault> {
        self.store.share_when_quiet(path)?;
        self.drain();
        Ok(())
    }

    /// Shares a file, or all files below a folder.
    ///
    /// # Errors
    ///
    /// The path cannot be read, or is neither file nor folder.
    pub fn share(&mut self, path: &Path) -> Result<(), Fault> {
        self.store.share(path)?;
        self.drain();
        Ok(())
    }

    /// Shares all files below a folder, and looks about every `interval` for what changed there.
    ///
    /// # Errors
    ///
    /// The path cannot be read, or is no folder.
    pub fn watch(&mut self, path: &Path, interval: Duration) -> Result<(), Fault> {
        self.store.watch(path, interval)?;
        self.drain();
        Ok(())
    }

    /// The core, to be asked. Whoever changes it drains it, so it is changed here alone.
    pub fn core(&self) -> &Peer {
        &self.peer
    }

    /// Hands a command to the core.
    pub fn command(&mut self, command: Command) {
        let now = self.clock.now();
        self.peer.handle(now, Input::Command(command));
        self.drain();
    }

    /// From now on so much may go out, and come in.
    pub fn set_rates(&mut self, rates: Rates) {
        self.rates.set(rates, Instant::now());
    }

    /// One turn of the loop: waits for something to happen, at most until `until` (`None`: as long as it takes), and
    /// does what follows from it. Then drain [`Reactor::next_event`].
    ///
    /// # Errors
    ///
    /// [`ShellError::Network`] when the system does not let this process wait for its sockets, or a port that it needs
    /// did not become free.
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
        self.take_classic_datagrams();
        self.serve_links();
        if self.store.has_work() {
            self.store.step();
            self.drain();
        }
        self.look_at_clocks();
        let failed = self.listeners.retry(Instant::now(), self.poll.registry())?;
        self.event_queue.extend(failed.into_iter().map(|text| ShellEvent::Core(Event::Warning(text))));
        self.note_turn(began.elapsed());
        Ok(())
    }

    /// The next event of the past turns.
    pub fn next_event(&mut self) -> Option<ShellEvent> {
        let event = self.event_queue.pop_front();
        if event.is_none() {
            self.event_queue.shrink_to(EVENTS_KEPT);
        }
        event
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

    /// Ends the store in order; gives what failed. The reactor is not to be used afterwards.
    pub fn close(&mut self) -> Vec<Fault> {
        self.store.close()
    }

    /// The core has left. The process may end with the event that says so, so it waits for the last tails.
    pub(super) fn leave(&mut self) {
        self.left_by = Some(Instant::now() + LEAVE_LINGER_MAX);
    }

    /// How long to wait for events.
    fn timeout(&self, until: Option<Instant>) -> Option<Duration> {
        let now = Instant::now();
        let is_due = self.store.has_work()
            || !self.event_queue.is_empty()
            || !self.links.ready.is_empty()
            || self.discovery.is_ready()
            || self.udp_listeners.is_ready()
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
            self.rates.deadline(),
        ];
        deadlines.into_iter().flatten().min().map(|deadline| deadline.saturating_duration_since(now))
    }

    /// Carries out everything that the last mutation of the core asks for, and what follows from that in turn.
    /// To be called after each mutation.
    pub(super) fn drain(&mut self) {
        loop {
            while let Some(output) = self.peer.poll() {
                self.carry_out(output);
            }
            // One mutation, then drain: so one of these at a time.
            if let Some((conn, why)) = self.failed_dials.pop_front() {
                let now = self.clock.now();
                self.peer.handle(now, Input::Broken { conn, why });
                continue;
            }
            match self.store.poll() {
                Some(StoreEvent::Reply(reply)) => self.answered(reply),
                Some(StoreEvent::Share(event)) => self.event_queue.push_back(ShellEvent::Share(event)),
                None => return,
            }
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Datagram { to, bytes } => {
                self.rates.up.datagram(bytes.len());
                self.discovery.send(to, &bytes);
            }
            Output::Dial { conn, to } => {
                if let Err(error) = self.links.dial(conn, to, self.bind) {
                    log::debug!("{conn}: cannot dial {to}: {error}");
                    self.failed_dials.push_back((conn, why_broken(&error)));
                }
            }
            Output::Wake(conn) => self.links.wake(conn),
            Output::Store(job) => self.store.submit(job, &mut self.buffers),
            Output::Release(buffer) => self.buffers.release(buffer),
            Output::Event(Event::Left) => self.leave(),
            Output::Event(event) => self.event_queue.push_back(ShellEvent::Core(event)),
        }
    }

    fn answered(&mut self, reply: StoreReply) {
        if let StoreReply::ChunkStored { buffer, .. }
        | StoreReply::SingleChunkStored { buffer, .. }
        | StoreReply::ChunkBad { buffer, .. }
        | StoreReply::ChunkFailed { buffer, .. } = reply
        {
            // Before the core hears of it: it may give the number to another chunk at once.
            self.buffers.release(buffer);
        }
        let now = self.clock.now();
        self.peer.handle(now, Input::Stored(reply));
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
                token if token < UDP_LISTENERS => self.listeners.set_ready(token),
                token if token < DISCOVERY => self.udp_listeners.set_ready(token),
                token if token < LINKS => self.discovery.set_ready(token),
                _ => self.links.set_ready(event),
            }
        }
    }

    fn take_signals(&mut self) {
        if std::mem::take(&mut self.signalled) {
            self.event_queue.extend(self.signals.pending().map(ShellEvent::Signal));
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
            let added = if self.listeners.ports.contains_key(&port) {
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
                    self.rates.down.datagram(len);
                    let now = self.clock.now();
                    self.peer.handle(now, Input::Datagram { iface, from, bytes: &self.scratch[..len] });
                    self.drain();
                }
                Received::Dropped => {}
                Received::Nothing => return,
            }
        }
    }

    fn take_classic_datagrams(&mut self) {
        for _ in 0..UDP_BUDGET {
            match self.udp_listeners.receive(&mut self.scratch[..UDP_LOOK_BYTES]) {
                UdpReceived::Datagram { port, from, len } => {
                    self.rates.down.datagram(len);
                    if self.discovery.counts(from) {
                        let (now, bytes) = (self.clock.now(), &self.scratch[..len]);
                        self.peer.handle(now, Input::ClassicDatagram { port, from, bytes });
                        self.drain();
                    }
                }
                UdpReceived::Lost => {}
                UdpReceived::Nothing => return,
            }
        }
    }

    /// One visit to each socket that is ready, unless the turn grows too long.
    fn serve_links(&mut self) {
        self.rates.release(&mut self.links.ready);
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
            self.udp_listeners.refresh(self.poll.registry());
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
            self.event_queue.push_back(ShellEvent::Core(Event::Left));
        }
    }
}

impl fmt::Debug for Reactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor").field("peer", &self.peer.id()).finish_non_exhaustive()
    }
}
