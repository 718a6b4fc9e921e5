//! What came of a simulation: who has what, and the figures.

use crate::core::Event;
use crate::sim::content::SimContent;
use crate::sim::gets::Outcome;
use crate::sim::host::Host;
use crate::sim::report::{HostReport, Report};
use crate::sim::scenario::Action;
use crate::sim::simulation::Simulation;
use crate::sim::swarm::Spread;
use crate::types::Time;

impl Simulation {
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
        use std::fmt::Write;
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
}
