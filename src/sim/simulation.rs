//! The world: hosts, streams, datagrams, a clock, and the queue of what will happen.
//!
//! How the network carries bytes stands in `network`, how a host's driver treats its core in `driver`, what goes
//! wrong in `faults`, what must never be in `oracle`.

mod results;
mod start;

use std::fmt;
use std::rc::Rc;

use slab::Slab;

use crate::core::{ConnId, Event, Rng};
use crate::sim::classic::ClassicWatch;
use crate::sim::content::SimContent;
use crate::sim::datagrams::Packet;
use crate::sim::disk::Library;
use crate::sim::host::Host;
use crate::sim::network::index;
use crate::sim::oracle::Oracle;
use crate::sim::queue::{Happening, Queue};
use crate::sim::report::Tally;
use crate::sim::scenario::Scenario;
use crate::sim::swarm::Spread;
use crate::sim::tcp::{StreamRef, Streams};
use crate::sim::trace::Trace;
use crate::sim::transfers::TransferWatch;
use crate::types::geometry::GeometryError;
use crate::types::{Geometry, Time};

/// A scenario under way.
#[derive(Debug)]
pub struct Simulation {
    pub(super) scenario: Scenario,
    pub(super) library: Library,
    pub(super) hosts: Vec<Host>,
    pub(super) streams: Streams,
    pub(super) packets: Slab<Packet>,
    pub(super) queue: Queue,
    pub(super) now: Time,
    pub(super) rng: Rng,
    pub(super) loss_ppm: u32,
    /// Connections that the driver is done with and the core must hear about.
    pub(super) forgotten: Vec<(usize, ConnId)>,
    touched: Vec<usize>,
    /// Control bytes on their way into a core.
    pub(super) scratch: Vec<u8>,
    /// Mutations of all peers so far.
    pub(super) steps: u64,
    happenings: u64,
    pub(super) oracle: Oracle,
    pub(super) watch: ClassicWatch,
    pub(super) transfers: TransferWatch,
    pub(super) tally: Tally,
    spread: Spread,
    pub(super) trace: Trace,
    events: Vec<(Time, usize, Event)>,
}

/// Something was as it must never be, or did not happen in time. Everything that it takes to see it again.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What.
    pub what: String,
    /// When.
    pub at: Time,
    /// After how many mutations of peers.
    pub step: u64,
    /// In which world.
    pub scenario: Box<Scenario>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { what, at, step, scenario } = self;
        write!(f, "{what}\nseed {}, {at}, step {step}, of\n{scenario:?}", scenario.seed)
    }
}

impl std::error::Error for Failure {}

impl Simulation {
    /// The world that a scenario describes, before its first instant. Fails when a content is too large to be cut.
    pub fn new(scenario: Scenario) -> Result<Simulation, GeometryError> {
        let mut rng = Rng::new(scenario.seed);
        let contents: Result<Vec<_>, _> = scenario
            .contents
            .iter()
            .map(|spec| {
                let cut = match (spec.ring_chunk_bytes, spec.chunk_bytes) {
                    (Some(wish), _) => Geometry::ring(spec.size, wish),
                    (None, Some(chunk_bytes)) => Geometry::new(spec.size, chunk_bytes),
                    (None, None) => Geometry::native(spec.size),
                };
                Ok(Rc::new(SimContent::cut(&spec.name, cut?, spec.seed)))
            })
            .collect();
        let contents = contents?;
        let chunks = contents.first().map_or(0, |content| content.geometry().chunks());
        let hosts: Vec<Host> = scenario
            .hosts
            .iter()
            .enumerate()
            .map(|(at, spec)| Host::new(at, spec, Rng::new(rng.next_u64())))
            .collect();
        let shuffle = scenario.network.shuffle.then(|| Rng::new(rng.next_u64()));
        let mut world = Simulation {
            library: Library::new(contents),
            oracle: Oracle::new(&scenario),
            watch: ClassicWatch::new(scenario.hosts.len()),
            transfers: TransferWatch::default(),
            tally: Tally::new(&scenario),
            spread: Spread::new(hosts.len(), chunks, scenario.keep_arrivals),
            hosts,
            streams: Streams::default(),
            packets: Slab::new(),
            queue: Queue::new(shuffle),
            now: Time::ZERO,
            loss_ppm: scenario.network.loss_ppm,
            rng,
            forgotten: Vec::new(),
            touched: Vec::new(),
            scratch: Vec::new(),
            steps: 0,
            happenings: 0,
            trace: Trace::default(),
            events: Vec::new(),
            scenario,
        };
        world.schedule_all();
        Ok(world)
    }

    fn schedule_all(&mut self) {
        for host in 0..self.hosts.len() {
            let at = self.hosts[host].spec.starts_at;
            self.queue.push(at, Happening::Resumed { host: index(host) });
        }
        for (at, action) in self.scenario.timeline.iter().zip(0u32..).map(|((at, _), number)| (*at, number)) {
            self.queue.push(at, Happening::Action(action));
        }
        self.queue.push(Time::ZERO + self.scenario.sweep_every, Happening::Sweep);
    }

    /// Lets the world go on to `until`.
    pub fn run_until(&mut self, until: Time) -> Result<(), Failure> {
        self.run_while(until, |_| true)?;
        self.now = self.now.max(until);
        Ok(())
    }

    /// Lets the world go on until every get of every host is over, but fails when that is not so by `limit`.
    pub fn run_until_done(&mut self, limit: Time) -> Result<(), Failure> {
        self.run_while(limit, |world| !world.is_done())?;
        match self.is_done() {
            true => Ok(()),
            false => Err(self.failure(format!("not done by {limit}: {}", self.unfinished()))),
        }
    }

    /// Lets the world go on until `limit`, as long as `goes_on` says so.
    pub fn run_while(&mut self, limit: Time, goes_on: impl Fn(&Simulation) -> bool) -> Result<(), Failure> {
        while goes_on(self) && self.queue.next_at().is_some_and(|at| at <= limit) {
            self.advance()?;
        }
        Ok(())
    }

    /// The next happening, and all that follows from it at once.
    fn advance(&mut self) -> Result<(), Failure> {
        let Some((at, happening)) = self.queue.pop() else { return Ok(()) };
        self.now = at;
        self.happenings += 1;
        self.dispatch(happening);
        self.forget_closed();
        while let Some(host) = self.touched.pop() {
            self.hosts[host].touched = false;
            self.turn(host);
        }
        match self.oracle.violation() {
            Some(what) => Err(self.failure(what)),
            None => Ok(()),
        }
    }

    fn dispatch(&mut self, happening: Happening) {
        if happening.process().is_some_and(|(host, incarnation)| !self.lives(host, incarnation)) {
            return;
        }
        match happening {
            Happening::Datagram { packet, next, .. } => self.datagram_arrived(packet, next),
            Happening::Transmitted { host, stream, end, bytes } => {
                self.transmitted(host as usize, stream, end, bytes);
            }
            Happening::Arrived { stream, end, bytes } => self.arrived(stream, end, bytes),
            Happening::FinArrived { stream, end } => self.fin_arrived(stream, end),
            Happening::Reset { stream, end } => match self.paused_until(stream, end) {
                Some(at) => self.queue.push(at, happening),
                None => self.reset_arrived(stream, end),
            },
            Happening::WindowOpened { stream, end } => self.kick(stream, end),
            Happening::Syn { stream, to } => self.syn_arrived(stream, to as usize),
            Happening::Dialled { stream, outcome } => match self.paused_until(stream, 0) {
                Some(at) => self.queue.push(at, happening),
                None => self.dial_answered(stream, outcome),
            },
            Happening::LingerOver { stream, end } => self.linger_over(stream, end),
            Happening::StoreDone { host, .. } => {
                let (host, at) = (host as usize, self.hosts[host as usize].paused_until);
                match at > self.now {
                    true => self.queue.push(at, happening),
                    false => self.store_done(host),
                }
            }
            Happening::Timer { host, .. } => {
                let host = host as usize;
                if self.hosts[host].timer.is_some_and(|timer| timer <= self.now) {
                    self.hosts[host].timer = None;
                    self.touch(host);
                }
            }
            Happening::Get { host, get, .. } => {
                self.ask(host as usize, get as usize);
            }
            Happening::Answer { host, offer, .. } => {
                self.answer_offer(host as usize, offer);
            }
            Happening::TransferAnswer { host, transfer, .. } => {
                self.answer_transfer(host as usize, transfer);
            }
            Happening::Garbage { host, .. } => {
                self.send_garbage(host as usize);
                self.schedule_garbage(host as usize);
            }
            Happening::ForeignAnnounces { host, .. } => {
                self.foreign_announces(host as usize);
            }
            Happening::ForeignWishes { host, .. } => {
                self.foreign_wishes(host as usize);
            }
            Happening::ForeignFloods { host, .. } => {
                self.foreign_floods(host as usize);
            }
            Happening::ForeignGoesOn { host, conn, .. } => {
                self.foreign_goes_on(host as usize, conn);
            }
            Happening::HostileActs { host, .. } => {
                self.hostile_acts(host as usize);
            }
            Happening::ClassicGet { host, get, .. } => {
                self.ask_classic(host as usize, get as usize);
            }
            Happening::Resumed { host } => self.start_or_resume(host as usize),
            Happening::Action(number) => self.act(number as usize),
            // As with `check_every`.
            Happening::Sweep if cfg!(not(debug_assertions)) => {}
            Happening::Sweep => {
                self.oracle.sweep(self.now, &self.hosts, &self.streams, &self.library);
                if let Err(what) = self.watch.sweep(self.now, &self.hosts, &self.streams) {
                    self.oracle.fail(what);
                }
                self.queue.push(self.now + self.scenario.sweep_every, Happening::Sweep);
            }
        }
    }

    /// Until when the process behind an end stands still, if it does.
    fn paused_until(&mut self, stream: StreamRef, end: u8) -> Option<Time> {
        let host = self.streams.end_mut(stream, end)?.host();
        Some(self.hosts[host].paused_until).filter(|until| *until > self.now)
    }

    fn lives(&self, host: u32, incarnation: u32) -> bool {
        let host = &self.hosts[host as usize];
        host.is_up() && host.incarnation == incarnation
    }

    fn start_or_resume(&mut self, host: usize) {
        if self.hosts[host].incarnation == 0 {
            self.start(host);
        }
        self.touch(host);
    }

    /// Something happened to a host: its driver has a turn before time goes on.
    pub(super) fn touch(&mut self, host: usize) {
        if !std::mem::replace(&mut self.hosts[host].touched, true) {
            self.touched.push(host);
        }
    }

    /// What time a host's peer is told.
    pub(super) fn local_now(&self, host: usize) -> Time {
        self.now + self.hosts[host].clock_ahead
    }

    /// A peer tells something.
    pub(super) fn note(&mut self, host: usize, event: Event) {
        self.oracle.event(host, &event, &self.hosts, &self.library);
        self.tally.event(host, &event);
        self.spread.note(self.now, host, &event);
        self.hosts[host].gets.note(self.now, &event);
        self.note_offer(host, &event);
        if let Event::Classic(event) = &event {
            self.note_classic(host, event);
        }
        if let Event::Transfer(event) = &event {
            self.note_transfer(host, event);
        }
        self.hosts[host].left |= event == Event::Left;
        if self.scenario.keep_events {
            self.events.push((self.now, host, event));
        }
    }

    /// A failure here and now.
    pub fn failure(&self, what: String) -> Failure {
        Failure { what, at: self.now, step: self.steps, scenario: Box::new(self.scenario.clone()) }
    }
}
