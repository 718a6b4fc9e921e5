//! Datagrams of hostile hosts: junk, invented peers, other hosts' names and other peers' ids.

use std::net::SocketAddr;

use crate::sim::host::OWN_PORT;
use crate::sim::hostile::Hostility;
use crate::sim::hostile::state::{announcement, invented, query, stranger};
use crate::sim::simulation::Simulation;
use crate::types::PeerId;
use crate::wire::datagram;
use crate::wire::message::{Datagram, Entry, Wanted};

/// From so many addresses of no host a flood comes.
const STRANGERS: usize = 64;
/// Entries of the first announcement of an endless catalogue.
const ENTRIES: usize = 3;

impl Simulation {
    /// A hostile host hears a datagram: the id in it may serve it, and whoever asks may be answered in that id.
    pub(in crate::sim) fn hostile_heard(&mut self, host: usize, from: SocketAddr, bytes: &[u8]) {
        let honest = self.host_at(from.ip()).is_some_and(|from| self.hosts[from].hostile.is_none());
        let Some(hostile) = self.hosts[host].hostile.as_mut().filter(|_| honest) else { return };
        let (peer, nonce) = match datagram::decode(bytes) {
            Ok(Datagram::Announcement(told)) => (told.peer, None),
            Ok(Datagram::Query(asked)) => (asked.peer, Some(asked.nonce)),
            Err(_) => return,
        };
        hostile.hear(peer);
        if hostile.spec.manner == Hostility::Impersonates
            && nonce.is_some()
            && let Some(claimed) = self.a_heard_id(host)
        {
            let mut answer = announcement(claimed, u64::MAX, Vec::new());
            answer.answers = nonce;
            let source = SocketAddr::new(self.hosts[host].ip, OWN_PORT);
            self.broadcast_as(host, source, &datagram::encode_announcement(&answer).0);
        }
    }

    /// Junk, an announcement or a query of a peer that does not exist, from an address where no host is.
    pub(super) fn flood_datagrams(&mut self, host: usize) {
        let source = match self.rng.chance_ppm(500_000) {
            true => stranger(&mut self.rng, STRANGERS),
            false => self.hosts[host].ip,
        };
        let bytes = match self.rng.below(3) {
            0 => {
                let noise = self.rng.bytes16();
                [datagram::MAGIC, b"1,\"announce\":", &noise, &noise].concat()
            }
            _ => self.of_an_invented_peer(),
        };
        self.broadcast_as(host, SocketAddr::new(source, OWN_PORT), &bytes);
    }

    /// The same, in the name of an honest host.
    pub(super) fn forge_source(&mut self, host: usize) {
        // Also of one that is not there yet: it comes and finds its name used.
        let honest: Vec<usize> =
            (0..self.hosts.len()).filter(|host| self.hosts[*host].hostile.is_none()).collect();
        let Some(victim) = honest.get(self.rng.below(honest.len().max(1))) else { return };
        let source = SocketAddr::new(self.hosts[*victim].ip, OWN_PORT);
        let bytes = self.of_an_invented_peer();
        self.broadcast_as(host, source, &bytes);
    }

    fn of_an_invented_peer(&mut self) -> Vec<u8> {
        let peer = PeerId(self.rng.bytes16());
        if self.rng.chance_ppm(500_000) {
            let wanted = match self.rng.below(3) {
                0 => Wanted::All,
                1 => Wanted::Glob("*o*t*n*-*".to_owned()),
                _ => Wanted::Id(invented(&mut self.rng).id),
            };
            let query = query(peer, self.rng.next_u64(), wanted);
            return datagram::encode_query(&query).unwrap_or_default();
        }
        // Half of the time it says that it has what others look for.
        let mut entry = invented(&mut self.rng);
        if self.rng.chance_ppm(500_000) {
            let content = &self.library.contents[self.rng.below(self.library.contents.len())];
            let chunks = content.geometry().chunks();
            entry = Entry {
                id: content.id,
                name: content.name.clone(),
                size: content.size(),
                have: chunks,
                of: chunks,
            };
        }
        datagram::encode_announcement(&announcement(peer, 1, vec![entry])).0
    }

    /// An announcement with the id of another host, which then offers nothing any more.
    pub(super) fn announce_as_another(&mut self, host: usize) {
        let Some(claimed) = self.a_heard_id(host) else { return };
        let source = SocketAddr::new(self.hosts[host].ip, OWN_PORT);
        let bytes = datagram::encode_announcement(&announcement(claimed, u64::MAX, Vec::new())).0;
        self.broadcast_as(host, source, &bytes);
    }

    /// The announcement of a catalogue that is far larger than what stands in it.
    pub(super) fn announce_endless(&mut self, host: usize) {
        let entries = (0..ENTRIES).map(|_| invented(&mut self.rng)).collect();
        let mut told = announcement(hostile_id(host), self.rng.next_u64() >> 1, entries);
        told.catalogue = u32::MAX;
        let source = SocketAddr::new(self.hosts[host].ip, OWN_PORT);
        self.broadcast_as(host, source, &datagram::encode_announcement(&told).0);
    }

    /// One of the ids that were on the wire.
    pub(super) fn a_heard_id(&mut self, host: usize) -> Option<PeerId> {
        let hostile = self.hosts[host].hostile.as_ref()?;
        let at = self.rng.below(hostile.heard.len().max(1));
        hostile.heard.get(at).copied()
    }

    /// The hosts whose peers are ours and run.
    pub(super) fn honest_hosts(&self) -> Vec<usize> {
        (0..self.hosts.len()).filter(|host| self.hosts[*host].peer.is_some()).collect()
    }
}

/// The id of a hostile host that has one of its own.
pub(super) fn hostile_id(host: usize) -> PeerId {
    let mut id = [0xee; 16];
    id[..8].copy_from_slice(&(host as u64).to_be_bytes());
    PeerId(id)
}
