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

/// How late a datagram comes that others overtake.
const LATE_MAX: Duration = Duration::from_millis(100);
/// A datagram on its way.
#[derive(Debug, Clone)]
pub(super) struct Packet {
    pub(super) from: SocketAddr,
    /// The classic port that it goes to, if it does.
    pub(super) port: Option<u16>,
    pub(super) bytes: Rc<[u8]>,
}

impl Simulation {
    pub(super) fn send_datagram(&mut self, from: usize, to: DatagramTo, bytes: Vec<u8>) {
        let bytes: Rc<[u8]> = bytes.into();
        match to {
            DatagramTo::Everybody => {
                for host in 0..self.hosts.len() {
                    if self.hosts[host].spec.broadcast {
                        self.carry_datagram(from, host, None, &bytes);
                    }
                }
            }
            DatagramTo::EverybodyAt { port } => {
                for host in 0..self.hosts.len() {
                    if self.hosts[host].spec.broadcast && self.hosts[host].hears(port) {
                        self.carry_datagram(from, host, Some(port), &bytes);
                    }
                }
            }
            DatagramTo::One { addr, .. } => match self.host_at(addr.ip()) {
                Some(host) if addr.port() == DISCOVERY_PORT || addr.port() == OWN_PORT => {
                    self.carry_datagram(from, host, None, &bytes);
                }
                Some(host) if self.hosts[host].hears(addr.port()) => {
                    self.carry_datagram(from, host, Some(addr.port()), &bytes);
                }
                _ => {}
            },
        }
    }

    fn carry_datagram(&mut self, from: usize, to: usize, port: Option<u16>, bytes: &Rc<[u8]>) {
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
            let packet = Packet { from: SocketAddr::new(self.hosts[from].ip, OWN_PORT), port, bytes };
            let packet = u32::try_from(self.packets.insert(packet)).unwrap_or(u32::MAX);
            self.queue.push(at, Happening::Datagram { to: index(to), packet });
        }
    }

    /// Every so often a garbage host mutilates what it heard last.
    pub(super) fn send_garbage(&mut self, host: usize) {
        let mut heard: Rc<[u8]> = self.hosts[host].heard.clone().into();
        for _ in 0..=self.rng.below(3) {
            heard = mutilated(&heard, &mut self.rng);
        }
        for to in (0..self.hosts.len()).filter(|to| *to != host) {
            self.carry_datagram(host, to, None, &heard);
        }
    }

    pub(super) fn datagram_arrived(&mut self, to: usize, packet: u32) {
        if self.hosts[to].paused_until > self.now {
            self.queue.push(self.hosts[to].paused_until, Happening::Datagram { to: index(to), packet });
            return;
        }
        let Some(packet) = self.packets.try_remove(packet as usize) else { return };
        let now = self.local_now(to);
        self.oracle.heard(to, packet.from.ip());
        if matches!(self.hosts[to].spec.nature, Nature::Garbage { .. }) {
            self.hosts[to].heard = packet.bytes.to_vec();
        }
        if packet.port.is_some() {
            self.watch.heard(self.now, to, packet.from.ip(), &packet.bytes);
            self.foreign_heard(to, packet.from.ip(), &packet.bytes);
        }
        let Some(peer) = self.hosts[to].peer.as_mut() else { return };
        let Packet { from, bytes, port } = packet;
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
