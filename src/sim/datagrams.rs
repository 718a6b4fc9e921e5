//! Virtual UDP: datagrams and their fates.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use crate::core::{DatagramTo, IfaceId, Input, Rng};
use crate::sim::host::{DISCOVERY_PORT, OWN_PORT};
use crate::sim::network::index;
use crate::sim::queue::Happening;
use crate::sim::scenario::Nature;
use crate::sim::simulation::Simulation;
use crate::types::Time;

/// How late a datagram comes that others overtake.
const LATE_MAX: Duration = Duration::from_millis(100);

/// A datagram on its way, to all whom it reaches at one instant: those of a broadcast number hundreds, and only one stands
/// in the queue for all of them.
#[derive(Debug)]
pub(super) struct Packet {
    from: SocketAddr,
    /// The classic port that it goes to, if it does.
    port: Option<u16>,
    bytes: Rc<[u8]>,
    at: Time,
    /// The hosts that it reaches, in order; one that it reaches twice stands there twice.
    to: Vec<u32>,
}

/// What is sent to many, as long as it is the same datagram at the same instant.
type Gathered = Option<Packet>;

impl Simulation {
    pub(super) fn send_datagram(&mut self, from: usize, to: DatagramTo, bytes: Vec<u8>) {
        let bytes: Rc<[u8]> = bytes.into();
        let from = (from, SocketAddr::new(self.hosts[from].ip, OWN_PORT));
        match to {
            DatagramTo::Everybody => {
                let mut gathered = None;
                for host in 0..self.hosts.len() {
                    if self.hosts[host].spec.broadcast {
                        self.carry_datagram(from, host, None, &bytes, &mut gathered);
                    }
                }
                self.post(gathered);
            }
            DatagramTo::EverybodyAt { port } => {
                let mut gathered = None;
                for host in 0..self.hosts.len() {
                    if self.hosts[host].spec.broadcast && self.hosts[host].hears(port) {
                        self.carry_datagram(from, host, Some(port), &bytes, &mut gathered);
                    }
                }
                self.post(gathered);
            }
            DatagramTo::One { addr, .. } => {
                let native = addr.port() == DISCOVERY_PORT || addr.port() == OWN_PORT;
                let port = (!native).then_some(addr.port());
                let host = self.host_at(addr.ip());
                if let Some(host) = host.filter(|host| native || self.hosts[*host].hears(addr.port())) {
                    let mut gathered = None;
                    self.carry_datagram(from, host, port, &bytes, &mut gathered);
                    self.post(gathered);
                }
            }
        }
    }

    /// A datagram that claims to come from `source` goes from a host to all others.
    pub(super) fn broadcast_as(&mut self, host: usize, source: SocketAddr, bytes: &[u8]) {
        let (bytes, mut gathered) = (Rc::from(bytes), None);
        for to in (0..self.hosts.len()).filter(|to| *to != host) {
            self.carry_datagram((host, source), to, None, &bytes, &mut gathered);
        }
        self.post(gathered);
    }

    /// What of a datagram reaches a host, and when. It is put with what was gathered, or in its place.
    fn carry_datagram(
        &mut self,
        (from, source): (usize, SocketAddr),
        to: usize,
        port: Option<u16>,
        bytes: &Rc<[u8]>,
        gathered: &mut Gathered,
    ) {
        self.tally.datagrams_carried += 1;
        if self.hosts[from].group != self.hosts[to].group {
            return;
        }
        let spec = &self.scenario.network;
        let (duplicate, reorder, mutilate) = (spec.duplicate_ppm, spec.reorder_ppm, spec.mutilate_ppm);
        if from != to && self.rng.chance_ppm(self.loss_ppm) {
            return;
        }
        let copies = if self.rng.chance_ppm(duplicate) { 2 } else { 1 };
        for _ in 0..copies {
            let late =
                if self.rng.chance_ppm(reorder) { self.rng.duration_below(LATE_MAX) } else { Duration::ZERO };
            let at = self.now + self.delay() + late;
            let bytes =
                if self.rng.chance_ppm(mutilate) { mutilated(bytes, &mut self.rng) } else { bytes.clone() };
            match gathered {
                Some(packet)
                    if packet.at == at && Rc::ptr_eq(&packet.bytes, &bytes) && !self.queue.shuffles() =>
                {
                    packet.to.push(index(to));
                }
                _ => {
                    let packet = Packet { from: source, port, bytes, at, to: vec![index(to)] };
                    let before = gathered.replace(packet);
                    self.post(before);
                }
            }
        }
    }

    /// What was gathered is on its way.
    fn post(&mut self, gathered: Gathered) {
        if let Some(mut packet) = gathered {
            packet.to.shrink_to_fit();
            let (at, of) = (packet.at, index(packet.to.len()));
            let packet = index(self.packets.insert(packet));
            self.queue.push(at, Happening::Datagram { packet, next: 0, of });
        }
    }

    /// Every so often a garbage host mutilates what it heard last.
    pub(super) fn send_garbage(&mut self, host: usize) {
        let mut heard: Rc<[u8]> = self.hosts[host].heard.clone().into();
        for _ in 0..=self.rng.below(3) {
            heard = mutilated(&heard, &mut self.rng);
        }
        self.broadcast_as(host, SocketAddr::new(self.hosts[host].ip, OWN_PORT), &heard);
    }

    /// A datagram is at the next of the hosts that it reaches.
    pub(super) fn datagram_arrived(&mut self, packet: u32, next: u32) {
        let Some(found) = self.packets.get(packet as usize) else { return };
        let Some(to) = found.to.get(next as usize).map(|to| *to as usize) else { return };
        let (from, port, bytes) = (found.from, found.port, Rc::clone(&found.bytes));
        if next as usize + 1 == found.to.len() {
            self.packets.remove(packet as usize);
        }
        let paused_until = self.hosts[to].paused_until;
        if paused_until > self.now {
            return self.post(Some(Packet { from, port, bytes, at: paused_until, to: vec![index(to)] }));
        }
        let now = self.local_now(to);
        self.oracle.heard(to, from.ip());
        if matches!(self.hosts[to].spec.nature, Nature::Garbage { .. }) {
            self.hosts[to].heard = bytes.to_vec();
        }
        if port.is_some() {
            self.watch.heard(self.now, to, from.ip(), &bytes);
            self.foreign_heard(to, from.ip(), &bytes);
        }
        self.hostile_heard(to, from, &bytes);
        let Some(peer) = self.hosts[to].peer.as_mut() else { return };
        peer.handle(
            now,
            match port {
                None => Input::Datagram { iface: IfaceId(0), from, bytes: &bytes },
                Some(port) => Input::ClassicDatagram { port, from, bytes: &bytes },
            },
        );
        self.mutated(to);
        self.touch(to);
    }
}

fn mutilated(bytes: &Rc<[u8]>, rng: &mut Rng) -> Rc<[u8]> {
    let mut bytes = bytes.to_vec();
    if bytes.is_empty() {
        return rng.bytes16().to_vec().into();
    }
    if rng.chance_ppm(500_000) {
        bytes.truncate(rng.below(bytes.len()));
    } else {
        let at = rng.below(bytes.len());
        bytes[at] ^= 1 << rng.below(8);
    }
    bytes.into()
}
