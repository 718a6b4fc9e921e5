//! The world: hosts, streams, datagrams, a clock, and the queue of what will happen.
//!
//! How the network carries bytes stands in `network`, how a host's driver treats its core in `driver`, what goes
//! wrong in `faults`, what must never be in `oracle`.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use slab::Slab;

use crate::core::{Command, Config, ConnId, Event, Input, Place, Rng, Topology};
use crate::sim::classic::ClassicWatch;
use crate::sim::content::SimContent;
use crate::sim::datagrams::Packet;
use crate::sim::disk::{Library, StoreTask};
use crate::sim::field::{PushWatch, TakesSpec};
use crate::sim::gets::Outcome;
use crate::sim::host::Host;
use crate::sim::network::index;
use crate::sim::oracle::Oracle;
use crate::sim::queue::{Happening, Queue};
use crate::sim::report::{HostReport, Report, Tally};
use crate::sim::scenario::{Action, Nature, PlaceSpec, Scenario, Target};
use crate::sim::swarm::Spread;
use crate::sim::tcp::{StreamRef, Streams};
use crate::sim::trace::Trace;
use crate::types::geometry::GeometryError;
use crate::types::name::Layout;
use crate::types::{Geometry, Time};
use crate::wire::message::Wanted;

/// The ticket of what a host mirrors; no get has it.
const MIRROR_TICKET: u32 = u32::MAX;

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
    pub(super) pushes: PushWatch,
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
            pushes: PushWatch::default(),
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
            Happening::StoreDone { host, incarnation } if self.lives(host, incarnation) => {
                let (host, at) = (host as usize, self.hosts[host as usize].paused_until);
                match at > self.now {
                    true => self.queue.push(at, happening),
                    false => self.store_done(host),
                }
            }
            Happening::Timer { host, incarnation } if self.lives(host, incarnation) => {
                let host = host as usize;
                if self.hosts[host].timer.is_some_and(|timer| timer <= self.now) {
                    self.hosts[host].timer = None;
                    self.touch(host);
                }
            }
            Happening::Get { host, incarnation, get } if self.lives(host, incarnation) => {
                self.ask(host as usize, get as usize);
            }
            Happening::Answer { host, incarnation, offer } if self.lives(host, incarnation) => {
                self.answer_offer(host as usize, offer);
            }
            Happening::PushAnswer { host, incarnation, push } if self.lives(host, incarnation) => {
                self.answer_push(host as usize, push);
            }
            Happening::Garbage { host, incarnation } if self.lives(host, incarnation) => {
                self.send_garbage(host as usize);
                self.schedule_garbage(host as usize);
            }
            Happening::ForeignAnnounces { host, incarnation } if self.lives(host, incarnation) => {
                self.foreign_announces(host as usize);
            }
            Happening::ForeignWishes { host, incarnation } if self.lives(host, incarnation) => {
                self.foreign_wishes(host as usize);
            }
            Happening::ForeignFloods { host, incarnation } if self.lives(host, incarnation) => {
                self.foreign_floods(host as usize);
            }
            Happening::ForeignGoesOn { host, incarnation, conn } if self.lives(host, incarnation) => {
                self.foreign_goes_on(host as usize, conn);
            }
            Happening::HostileActs { host, incarnation } if self.lives(host, incarnation) => {
                self.hostile_acts(host as usize);
            }
            Happening::ClassicGet { host, incarnation, get } if self.lives(host, incarnation) => {
                self.ask_classic(host as usize, get as usize);
            }
            Happening::ForeignAnnounces { .. }
            | Happening::ForeignWishes { .. }
            | Happening::ForeignFloods { .. }
            | Happening::ForeignGoesOn { .. }
            | Happening::HostileActs { .. }
            | Happening::ClassicGet { .. }
            | Happening::StoreDone { .. }
            | Happening::Timer { .. }
            | Happening::Get { .. }
            | Happening::Answer { .. }
            | Happening::PushAnswer { .. }
            | Happening::Garbage { .. } => {}
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

    /// Starts a peer, with what its host shares and wants.
    pub(super) fn start(&mut self, host: usize) {
        if self.hosts[host].incarnation == 0 {
            self.put_chunks(host);
        }
        self.watch.started(host);
        if self.hosts[host].foreign.is_some() {
            self.hosts[host].start(self.now, None);
            self.start_foreign(host);
            return;
        }
        if self.hosts[host].hostile.is_some() {
            self.hosts[host].start(self.now, None);
            self.start_hostile(host);
            return;
        }
        let fixed_peers: Vec<_> =
            self.hosts[host].spec.fixed_peers.iter().map(|other| self.hosts[*other].tcp_address()).collect();
        let config = Config {
            user: format!("host-{host}"),
            tcp_port: self.hosts[host].tcp_address().port(),
            announce_interval: self.scenario.announce_interval,
            discovers: self.hosts[host].spec.place.is_none()
                && self.hosts[host].spec.classic.as_ref().is_none_or(|classic| classic.native),
            topology: self.topology_of(host),
            broadcast: self.hosts[host].spec.broadcast,
            classic: self.classic_config(host),
            http: None,
            foreign: self.hosts[host].spec.takes.as_ref().map(TakesSpec::config),
            fixed_peers,
            own_addresses: vec![self.hosts[host].ip],
            agent: "sim".to_owned(),
            limits: self.scenario.limits.clone(),
        };
        self.hosts[host].start(self.now, Some(config));
        self.oracle.started(host);
        self.mutated(host);
        self.touch(host);
        for content in self.hosts[host].spec.shares.clone() {
            if let Some(reply) = self.hosts[host].disk.share(&self.library, content) {
                self.submit(host, StoreTask::Tell(reply));
            }
        }
        let incarnation = self.hosts[host].incarnation;
        for (get, after) in (0u32..).zip(self.hosts[host].spec.gets.iter().map(|get| get.after)) {
            self.queue.push(self.now + after, Happening::Get { host: index(host), incarnation, get });
        }
        if let Some((pattern, room_bytes)) = self.hosts[host].spec.mirrors.clone() {
            let wanted = vec![Wanted::Glob(pattern)];
            self.tell(host, Input::Command(Command::Mirror { ticket: MIRROR_TICKET, wanted, room_bytes }));
        }
        if self.hosts[host].spec.receives.is_some() {
            self.tell(host, Input::Command(Command::Receive));
        }
        self.schedule_garbage(host);
        self.start_classic(host);
        self.await_bytes(host);
    }

    /// A host's place, in the addresses that its peer is told.
    fn topology_of(&self, host: usize) -> Topology {
        let spec = &self.hosts[host].spec;
        let address = |other: &usize| self.hosts[*other].tcp_address();
        match &spec.place {
            None => Topology::Mesh,
            Some(PlaceSpec::Owner { peers, deal_after }) => {
                let content = spec.shares.first().map(|content| &self.scenario.contents[*content]);
                let chunk_bytes = content.and_then(|content| content.ring_chunk_bytes).unwrap_or(1 << 20);
                Topology::Neighbours(Place::Owner { chunk_bytes, peers: *peers, deal_after: *deal_after })
            }
            Some(PlaceSpec::Peer { owner, neighbours, owner_fallback }) => {
                Topology::Neighbours(Place::Peer {
                    owner: address(owner),
                    neighbours: neighbours.iter().map(address).collect(),
                    owner_fallback: *owner_fallback,
                    stall: spec.gets.first().map_or(Duration::MAX, |get| get.stall),
                })
            }
        }
    }

    fn schedule_garbage(&mut self, host: usize) {
        if let Nature::Garbage { every } = self.hosts[host].spec.nature {
            let incarnation = self.hosts[host].incarnation;
            self.queue.push(self.now + every, Happening::Garbage { host: index(host), incarnation });
        }
    }

    /// A host asks its peer for one of the things it wants.
    pub(super) fn ask(&mut self, host: usize, get: usize) {
        let Some(spec) = self.hosts[host].spec.gets.get(get) else { return };
        let wanted = match &spec.what {
            Target::Id(content) => Wanted::Id(self.library.contents[*content].id),
            Target::Name(name) => Wanted::Name(name.clone()),
            Target::Glob(pattern) => Wanted::Glob(pattern.clone()),
        };
        let (wait, stall) = (spec.wait, spec.stall);
        self.hosts[host].gets.ask(get);
        if self.hosts[host].spec.place.is_some() {
            // A neighbour asks the owner of its own accord.
            return;
        }
        let command =
            Command::Get { ticket: index(get), wanted, at: None, layout: Layout::Flat, wait, stall };
        self.tell(host, Input::Command(command));
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
        if let Event::Foreign(event) = &event {
            self.note_push(host, event);
        }
        self.hosts[host].left |= event == Event::Left;
        if self.scenario.keep_events {
            self.events.push((self.now, host, event));
        }
    }

    /// Whether no host waits for anything: each peer that runs or will run has what it asked for, or was told why not.
    pub fn is_done(&self) -> bool {
        (0u32..).zip(&self.hosts).all(|(number, host)| {
            let over = (0..host.gets.len()).all(|get| host.gets.is_over(get)) && host.classic_gets.all_over();
            let gone = host.incarnation > 0 && !host.is_up() && !self.will_start(number as usize);
            gone || (host.incarnation > 0 && over)
        })
    }

    fn will_start(&self, host: usize) -> bool {
        self.scenario.timeline.iter().any(|(at, action)| *at >= self.now && *action == Action::Start(host))
    }

    /// Whether every get of every honest host that runs brought what it named.
    pub fn all_succeeded(&self) -> bool {
        let served = |host: &Host| {
            (0..host.gets.len()).all(|get| host.gets.succeeded(get)) && host.classic_gets.all_finished()
        };
        self.hosts.iter().filter(|host| host.honest() && host.peer.is_some()).all(served)
    }

    /// What a failed run did not bring.
    pub fn unfinished(&self) -> String {
        use fmt::Write;
        let mut text = String::new();
        for (number, host) in self.hosts.iter().enumerate() {
            for get in 0..host.classic_gets.len() {
                if !host.classic_gets.all_finished() {
                    let outcome = host.classic_gets.outcome(get);
                    // Writing into a String cannot fail.
                    let _ = write!(text, "host {number} classic get {get} ({outcome:?}); ");
                }
            }
            for get in (0..host.gets.len()).filter(|get| !host.gets.succeeded(*get)) {
                let held: Vec<u32> =
                    (0..self.library.contents.len()).map(|content| host.disk.chunks_held(content)).collect();
                let why = host.gets.search_failure(get);
                // Writing into a String cannot fail.
                let _ = write!(
                    text,
                    "host {number} get {get} ({:?}, chunks {held:?}, {why:?}, {:?}); ",
                    host.spec.gets[get].what,
                    host.gets.outcomes()
                );
            }
        }
        text
    }

    /// What happened, with the time, the host and what its peer said.
    pub fn events(&self) -> &[(Time, usize, Event)] {
        &self.events
    }

    /// How a host's download of a content ended, as far as it did.
    pub fn outcome(&self, host: usize, content: usize) -> Option<&Outcome> {
        self.hosts[host].gets.outcomes().get(&self.library.contents[content].id)
    }

    /// Why a host's search failed, if it did.
    pub fn search_failure(&self, host: usize, get: usize) -> Option<&crate::core::FailReason> {
        self.hosts[host].gets.search_failure(get)
    }

    /// How many chunks of a content lie on a host's disk, verified.
    pub fn chunks_held(&self, host: usize, content: usize) -> u32 {
        self.hosts[host].disk.chunks_held(content)
    }

    /// How many channels a host's peer has that are not over.
    pub fn channels(&self, host: usize) -> usize {
        self.hosts[host].peer.as_ref().map_or(0, |peer| peer.status(self.now).channels)
    }

    /// A content of the world.
    pub fn content(&self, content: usize) -> &SimContent {
        &self.library.contents[content]
    }

    /// The virtual time.
    pub fn now(&self) -> Time {
        self.now
    }

    /// How many things happened so far.
    pub fn happenings(&self) -> u64 {
        self.happenings
    }

    /// How the first content spreads.
    pub fn spread(&self) -> &Spread {
        &self.spread
    }

    /// The figures so far.
    pub fn report(&self) -> Report {
        let hosts = self.hosts.iter().zip(&self.tally.hosts).map(|(host, tally)| HostReport {
            written_bytes: host.disk.written_bytes,
            outcomes: host.gets.outcomes().clone(),
            ..tally.clone()
        });
        Report {
            now: self.now,
            happenings: self.happenings,
            steps: self.steps,
            hosts: hosts.collect(),
            digest: self.trace.digest(),
        }
    }

    /// A failure here and now.
    pub fn failure(&self, what: String) -> Failure {
        Failure { what, at: self.now, step: self.steps, scenario: Box::new(self.scenario.clone()) }
    }
}
