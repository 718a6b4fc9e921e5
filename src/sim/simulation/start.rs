//! The start of a peer on its host, with what it is told of its place, and what it wants.

use std::time::Duration;

use crate::core::{Command, Config, Input, Place, Topology};
use crate::sim::disk::StoreTask;
use crate::sim::network::index;
use crate::sim::queue::Happening;
use crate::sim::scenario::{Nature, PlaceSpec, Target};
use crate::sim::simulation::Simulation;
use crate::sim::transfers::TakesSpec;
use crate::types::name::Layout;
use crate::wire::message::Wanted;

/// The ticket of what a host mirrors; no get has it.
const MIRROR_TICKET: u32 = u32::MAX;

impl Simulation {
    /// Starts a peer, with what its host shares and wants.
    pub(in crate::sim) fn start(&mut self, host: usize) {
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
            transfers: self.hosts[host].spec.takes.as_ref().map(TakesSpec::config),
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
            Some(PlaceSpec::Owner { peers, reassign_after }) => {
                let content = spec.shares.first().map(|content| &self.scenario.contents[*content]);
                let chunk_bytes = content.and_then(|content| content.ring_chunk_bytes).unwrap_or(1 << 20);
                Topology::Neighbours(Place::Owner {
                    chunk_bytes,
                    peers: *peers,
                    reassign_after: *reassign_after,
                })
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

    pub(super) fn schedule_garbage(&mut self, host: usize) {
        if let Nature::Garbage { every } = self.hosts[host].spec.nature {
            let incarnation = self.hosts[host].incarnation;
            self.queue.push(self.now + every, Happening::Garbage { host: index(host), incarnation });
        }
    }

    /// A host asks its peer for one of the things it wants.
    pub(in crate::sim) fn ask(&mut self, host: usize, get: usize) {
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
}
